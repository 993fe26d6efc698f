"""A Package → an `.onspec` file."""

from dataclasses import replace
from pathlib import Path

from onspec.domain import RecipeError
from onspec.imaging.writing import write_bytes
from onspec.recipe import archive, signature
from onspec.recipe.package import Package
from onspec.recipe.reading import members_of


def pack(package: Package, out: Path, *, signing_key: Path | None = None) -> None:
    """Write the recipe file: whole or not at all, and the same bytes for the same package and key.

    Raises:
        RecipeError: a golden sample without its result, or a name that a recipe file cannot hold.
        MissingExtraError: signing without the extra `sign`.
        UsageError: the key or the place to write to cannot be used.
    """
    for golden in package.golden:
        if golden.expected is None:
            raise RecipeError(f"golden sample {golden.name} has no expected result yet; pack with onspec pack")
        check_name(golden.name)
    members = members_of(replace(package, signed=False))
    if signing_key is not None:
        members[archive.SIGNATURE] = signature.sign(archive.sums(members), signing_key)
    write_bytes(out, archive.build(members))


def check_name(name: str) -> None:
    """Refuse a golden sample's name that is not one plain file name.

    Raises:
        RecipeError: with what is allowed.
    """
    if not archive.GOLDEN_NAME.fullmatch(name) or archive.GOLDEN + name == archive.EXPECTED:
        raise RecipeError(
            f"golden sample name {name!r} cannot be stored; allowed: letters, digits, blank, '.', '_', '-', "
            "not beginning with '.', at most 200 characters, not expected.json"
        )
