"""A Package → an `.onspec` file, and a recipe file → the same one with one more step of its approval."""

from dataclasses import replace
from pathlib import Path

from onspec.domain import IntegrityError, RecipeError, UsageError
from onspec.imaging.writing import write_bytes
from onspec.recipe import archive, signature
from onspec.recipe.approval import Approval, Step
from onspec.recipe.package import Package
from onspec.recipe.reading import members_of, open_package, read_file


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
    _write(out, members_of(replace(package, signed=False)), signing_key)


def approve(recipe: Path, step: Step, out: Path, *, signing_key: Path | None = None) -> None:
    """Write the recipe file again, its members untouched but for the approval, which has one more step.

    Raises:
        RecipeError: no recipe file, or a draft that is not packed.
        UsageError: a step that does not follow, a signed recipe whose signature would be lost, or what cannot be
            written.
        MissingExtraError: signing without the extra `sign`.
    """
    package = open_package(recipe)
    if recipe.is_dir():
        raise RecipeError(f"{recipe}: the draft of a run can still change, so nobody can approve it; pack it first")
    if package.signed and signing_key is None:
        raise UsageError(
            f"{recipe} is signed, and its signature does not cover a new state; sign that, too, with --sign KEY"
        )
    data = read_file(recipe)
    members = archive.take_apart(data, str(recipe))
    if archive.content_digest(members) != package.content:
        raise IntegrityError(f"{recipe}: changed while it was read; try again")
    before = package.approval or Approval(content=package.content)
    members[archive.APPROVAL] = before.raised(step).to_json().encode()
    members.pop(archive.SIGNATURE, None)
    _write(out, members, signing_key)


def _write(out: Path, members: dict[str, bytes], signing_key: Path | None) -> None:
    if signing_key is not None:
        members = {**members, archive.SIGNATURE: signature.sign(archive.sums(members), signing_key)}
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
