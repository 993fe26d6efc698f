"""The `part:` of a rules file, defined where it is applied."""

from onspec.imaging.part_spec import PartSpec

__all__ = ["PartSpec"]
