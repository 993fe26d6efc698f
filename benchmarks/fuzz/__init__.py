"""Damaged images and changed recipes against the real readers."""
