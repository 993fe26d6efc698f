"""The `.onspec` file: schema, read, write, hash, sign, verify."""
