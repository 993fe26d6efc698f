"""Damaged images, changed recipes and odd requests against what really reads them."""
