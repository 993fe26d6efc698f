"""Engines (one file each) and the Inspector: image → verdict, streamed."""
