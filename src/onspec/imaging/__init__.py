"""The only code that reads, scales, tiles and stitches images, and turns score maps into regions."""
