"""What a user would run instead of onspec's engines, on the same weights: one module a peer, see `__main__`."""
