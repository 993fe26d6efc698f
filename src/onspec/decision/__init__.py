"""Score maps + thresholds + the plant's rules → a verdict with reasons. No I/O but reading a rules file."""
