"""An `.onspec` file, or the folder of a run, → a Package. Nothing that is read here is executed or unpickled."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from onspec import __version__
from onspec.decision.rules import read_rules
from onspec.domain import IntegrityError, RecipeError, RulesError
from onspec.recipe import archive, signature
from onspec.recipe.approval import State, read_approval
from onspec.recipe.package import Expected, Golden, Package
from onspec.recipe.schema import SCHEMA_VERSION, Recipe

_EXPECTED = TypeAdapter(dict[str, Expected])


def open_package(path: Path, *, public_key: Path | None = None) -> Package:
    """Open a recipe file, or a RUN folder as a draft. With `public_key` the file must be signed by its private half.

    Raises:
        RecipeError: absent, not a recipe, truncated, or of a newer onspec.
        IntegrityError: changed in any byte, or not signed as it should be.
        MissingExtraError: a signature is to be checked and the extra `sign` is not installed.
    """
    if path.is_dir():
        if public_key is not None:
            raise IntegrityError(f"{path}: the draft of a run is never signed; pack it with onspec pack --sign KEY")
        return _package(_draft_members(path), str(path))
    data = read_file(path)
    members = archive.take_apart(data, str(path))
    if archive.SIGNATURE in members:
        signature.decode(members[archive.SIGNATURE], str(path))
    if public_key is not None:
        signature.check(members[archive.SUMS], members.get(archive.SIGNATURE), public_key, str(path))
    return _package(members, str(path), hashlib.sha256(data).hexdigest())


def members_of(package: Package) -> dict[str, bytes]:
    """What goes into the file of a package, but for SHA256SUMS and signature.

    An approval of another content, as of before a change, is left out.
    """
    members = {archive.RECIPE: (package.recipe.to_json() + "\n").encode(), archive.MODEL: package.model}
    if package.split_csv is not None:
        members[archive.SPLIT] = package.split_csv
    if package.coarse is not None:
        members[archive.COARSE] = package.coarse
    if package.taught is not None:
        members[archive.TAUGHT] = package.taught
    members |= {archive.GOLDEN + golden.name: golden.data for golden in package.golden}
    known = {golden.name: golden.expected for golden in package.golden if golden.expected is not None}
    if known:
        members[archive.EXPECTED] = _EXPECTED.dump_json(known, indent=1) + b"\n"
    if package.approval is not None and package.approval.content == archive.content_digest(members):
        members[archive.APPROVAL] = package.approval.to_json().encode()
    return members


def read_file(path: Path) -> bytes:
    """The bytes of a file of a recipe; raises RecipeError where there are none, or too many."""
    try:
        size = path.stat().st_size
        if size > archive.MAX_FILE:
            raise RecipeError(f"{path}: {size} bytes; a recipe file has at most {archive.MAX_FILE}; is it a recipe?")
        return path.read_bytes()
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe file or run folder; make one with onspec pack") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); check the file's rights") from error


def _draft_members(run: Path) -> dict[str, bytes]:
    if not (run / archive.RECIPE).is_file() or not (run / archive.MODEL).is_file():
        raise RecipeError(
            f"{run}: no recipe.json and model.onnx here, so it is not the folder of a finished run; "
            "finish the training first (onspec train … --resume)"
        )
    files = [run / name for name in (archive.RECIPE, archive.MODEL, archive.SPLIT)]
    files += sorted((run / archive.GOLDEN).glob("*"))
    return {file.relative_to(run).as_posix(): read_file(file) for file in files if file.is_file()}


def _package(members: Mapping[str, bytes], name: str, digest: str | None = None) -> Package:
    content = archive.content_digest(members)
    approval = members.get(archive.APPROVAL)
    package = Package(
        recipe=_recipe(members[archive.RECIPE], name),
        model=members[archive.MODEL],
        golden=_golden(members, name),
        digest=digest or "",
        split_csv=members.get(archive.SPLIT),
        taught=members.get(archive.TAUGHT),
        coarse=members.get(archive.COARSE),
        signed=archive.SIGNATURE in members,
        content=content,
        approval=None if approval is None else read_approval(approval, content, name),
    )
    if (package.coarse is None) is not (package.recipe.hastened is None):
        here, lacks = (archive.COARSE, "hastened") if package.coarse is not None else ("hastened", archive.COARSE)
        raise RecipeError(
            f"{name}: has {here} without {lacks}, which belong together; make it again with onspec hasten"
        )
    if digest is not None:
        return package
    return with_digest(package)


def with_rules(package: Package, file: Path) -> Package:
    """The package as it would decide with the rules of a file, unpacked: to try them, or to replay under them.

    Raises:
        RulesError: the file holds no rules, or rules that do not fit the recipe.
    """
    rules = read_rules(file)
    size = package.recipe.pixel_size_mm if rules.pixel_size_mm is None else rules.pixel_size_mm
    values = {**package.recipe.model_dump(by_alias=True), "rules": rules, "pixel_size_mm": size}
    try:
        return replace(package, recipe=Recipe.model_validate(values), taught=package.taught if rules.part else None)
    except ValidationError as error:
        sentence = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise RulesError(f"{file}: these rules do not fit the recipe: {sentence}") from error


def with_digest(package: Package) -> Package:
    """The package with the digests of the unsigned file that it would be; without an approval of another content."""
    members = members_of(package)
    digest, content = hashlib.sha256(archive.build(members)).hexdigest(), archive.content_digest(members)
    approval = package.approval if archive.APPROVAL in members else None
    return replace(package, digest=digest, content=content, approval=approval, signed=False)


def _recipe(data: bytes, name: str) -> Recipe:
    try:
        tree = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise RecipeError(f"{name}: recipe.json is not JSON ({error})") from error
    version = tree.get("schema_version") if isinstance(tree, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RecipeError(
            f"{name}: made by a newer onspec (recipe schema {version}; this one reads {SCHEMA_VERSION}); upgrade onspec"
        )
    try:
        return Recipe.model_validate_json(data)
    except ValidationError as error:
        unknown = next((d["loc"] for d in error.errors() if d["type"] == "extra_forbidden"), None)
        if unknown is not None:
            raise RecipeError(
                f"{name}: recipe.json has {'.'.join(map(str, unknown))}, which onspec {__version__} does not know; it "
                f"was made by onspec {_maker(tree)}: upgrade onspec, or make the recipe with this one"
            ) from error
        raise RecipeError(f"{name}: recipe.json does not hold a recipe: {_first(error)}") from error


def _maker(tree: object) -> str:
    """The version that a recipe says it was made by."""
    provenance = tree.get("provenance") if isinstance(tree, dict) else None
    made_by = provenance.get("onspec") if isinstance(provenance, dict) else None
    return made_by if isinstance(made_by, str) else "of an unknown version"


def _golden(members: Mapping[str, bytes], name: str) -> tuple[Golden, ...]:
    try:
        expected = _EXPECTED.validate_json(members.get(archive.EXPECTED, b"{}"))
    except ValidationError as error:
        raise RecipeError(f"{name}: {archive.EXPECTED} does not hold results: {_first(error)}") from error
    images = {
        member.removeprefix(archive.GOLDEN): data
        for member, data in members.items()
        if member.startswith(archive.GOLDEN) and member != archive.EXPECTED
    }
    unknown = sorted(set(expected) - set(images))
    if unknown:
        raise RecipeError(f"{name}: {archive.EXPECTED} speaks of {unknown[0]!r}, which is not among the golden samples")
    return tuple(Golden(image, images[image], expected.get(image)) for image in sorted(images))


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    where = ".".join(str(key) for key in detail["loc"])
    return f"{where}: {detail['msg']}" if where else str(detail["msg"])


def require_released(package: Package) -> None:
    """Refuse what is not released for production. Whether it is signed, `open_package` checks with a public key.

    Raises:
        RecipeError: a draft, or only tested.
    """
    if package.state is State.RELEASED:
        return
    raise RecipeError(
        f"{package.identity}: its state is {package.state}; production takes released recipes only: test it with "
        "onspec acceptance, then onspec release"
    )
