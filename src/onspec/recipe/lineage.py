"""A package that is packed as the next version of another one."""

from dataclasses import replace

from onspec.recipe.difference import Difference, differences
from onspec.recipe.life import MOST_DIFFERENCES, Change, Parent
from onspec.recipe.package import Package
from onspec.recipe.reading import with_digest

_NOT_CHANGED = ("life", "approval")
"""Sections that say nothing about what a version does."""


def news(before: Package, after: Package) -> tuple[Difference, ...]:
    """What differs but for the version, its log and its approval."""
    return tuple(d for d in differences(before, after) if d.section not in _NOT_CHANGED)


def next_version(package: Package, parent: Package, *, at: str, by: str, note: str) -> Package:
    """The package as the version after `parent`, the log of which it goes on with. It is a draft again.

    Args:
        at: UTC in ISO 8601.
    """
    version = parent.recipe.version + 1
    told = [str(difference) for difference in news(parent, package)]
    if len(told) > MOST_DIFFERENCES:
        told = [*told[:MOST_DIFFERENCES], f"and {len(told) - MOST_DIFFERENCES} more"]
    entry = Change(version=version, at=at, by=by, note=note, differences=tuple(told))
    life = {
        "version": version,
        "parent": Parent(name=parent.recipe.name, version=parent.recipe.version, content=parent.content),
        "changes": (*parent.recipe.changes, entry),
    }
    return with_digest(replace(package, recipe=package.recipe.model_copy(update=life), approval=None))


def first_version(package: Package, *, at: str, by: str, note: str) -> Package:
    """The package as the first version, with what there is to say about it."""
    life = {"version": 1, "parent": None, "changes": (Change(version=1, at=at, by=by, note=note),)}
    return with_digest(replace(package, recipe=package.recipe.model_copy(update=life), approval=None))
