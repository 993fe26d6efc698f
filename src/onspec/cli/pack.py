"""`onspec pack`: run + rules → recipe file."""

from collections import Counter
from math import hypot
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.decision.rules import RuleSet
    from onspec.domain.pixel_size import PixelSize
    from onspec.recipe.package import Package
    from onspec.recipe.schema import Recipe
    from onspec.runtime.inspector import Inspector


def command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run, or a recipe to pack anew.")],
    out: Annotated[Path, typer.Option(help="The recipe file to write, as PART.onspec.")],
    rules: Annotated[Path | None, typer.Option(help="The plant's acceptance rules, YAML.")] = None,
    sign: Annotated[Path | None, typer.Option(help="Sign with this Ed25519 private key, PEM.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the recipe; otherwise that of the parent or run.")] = None,
    pixel_size_mm: Annotated[
        str | None, typer.Option(help="Side of an original pixel on the part, mm; X,Y where they differ: 0.05,0.06.")
    ] = None,
    parent: Annotated[
        Path | None, typer.Option(help="The recipe that this is the next version of; with --note and --author.")
    ] = None,
    note: Annotated[str, typer.Option(help="What is changed and why, for the change log.")] = "",
    author: Annotated[str, typer.Option(help="Who changed it, for the change log.")] = "",
    golden_from: Annotated[
        Path | None, typer.Option(help="Choose the golden samples anew, from the validation images of this data set.")
    ] = None,
    part_image: Annotated[
        Path | None, typer.Option(help="The image that the part of the rules is taught on, good and in its place.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Look anew at this data set, for what is inspectable: that of the training.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> int:
    """Pack a run and the plant's rules into one recipe file.

    The golden samples are judged, and what they give is recorded; onspec verify compares with it later. A recipe that
    is packed anew with something changed is the parent of what comes out. Name, rules and pixel size are the parent's
    where neither the options nor the run say otherwise.

    Example: onspec pack run/ --out tile-2.onspec --parent tile.onspec --note "more scratches" --author "A. Meier"
    """
    from contextlib import closing
    from dataclasses import replace

    from onspec.cli.golden import chosen_from
    from onspec.cli.looks import shown_in
    from onspec.cli.progress import talk
    from onspec.domain import UsageError
    from onspec.domain.pixel_size import pixel_size
    from onspec.recipe.reading import open_package, with_digest
    from onspec.recipe.writing import pack
    from onspec.runtime.engines import REFERENCE
    from onspec.runtime.golden import record_golden
    from onspec.runtime.inspector import Inspector

    if out.exists() and not force:
        raise UsageError(f"{out} exists; choose another name, or overwrite it with --force")
    package, before = _opened(run, parent, note, author)
    shown = None if reference is None else shown_in(reference, package)
    package = package if shown is None else shown.put_into(package)
    size = None if pixel_size_mm is None else pixel_size(pixel_size_mm)
    recipe = _recipe(package.recipe, _rules(rules, package, before), name, size, before)
    taught = _taught(part_image, recipe, package, before)
    package = with_digest(replace(package, recipe=recipe, taught=taught))
    with closing(Inspector(package, REFERENCE)) as inspector:
        package = package if shown is None else shown.put_into(package, inspector)
        if golden_from is not None:
            package = replace(package, golden=chosen_from(golden_from, inspector))
        known = {golden.name: golden.expected for golden in package.golden}
        package = replace(package, golden=record_golden(inspector, package.golden))
        located = _located(inspector, package)
    package = _aged(with_digest(package), before, author, note)
    pack(package, out, signing_key=sign)
    talk(f"{out}: {open_package(out).identity}{'' if sign is None else ', signed'}")
    if package.recipe.parent is not None:
        talk(f"version {package.recipe.version}, made from {package.recipe.parent}; {package.state}")
    talk(_golden_summary(package))
    for golden in package.golden:
        was, now = known[golden.name], golden.expected
        if was is not None and now is not None and was != now:
            talk(
                f"golden sample {golden.name}: was {was.verdict}, score {was.score:.3f}; is {now.verdict}, score "
                f"{now.score:.3f}, which is what it must give from now on"
            )
    if located:
        talk(located)
    return 0


def _opened(run: Path, parent: Path | None, note: str, author: str) -> "tuple[Package, Package | None]":
    """What is to be packed, and what it is the next version of, if of anything."""
    from onspec.domain import UsageError
    from onspec.recipe.reading import open_package

    if parent is not None:
        if not note or not author:
            raise UsageError('a new version needs its line in the change log: give --note "…" and --author NAME')
        if parent.is_dir():
            raise UsageError(f"{parent}: the draft of a run is no version; give the recipe file as --parent")
        return open_package(run), open_package(parent)
    if note and not author:
        raise UsageError("--note goes into the change log with a name; give --author NAME")
    package = open_package(run)
    return package, package if run.is_file() else None


def _rules(file: Path | None, package: "Package", before: "Package | None") -> "RuleSet":
    """Those of the file, else the run's own, else the parent's: a plant's rules are not lost by training anew."""
    from onspec.cli.progress import talk
    from onspec.decision.rules import RuleSet, read_rules

    if file is not None:
        return read_rules(file)
    own, inherited = package.recipe.rules, RuleSet() if before is None else before.recipe.rules
    if own == RuleSet() and inherited != RuleSet():
        talk("rules: those of the parent; give --rules for others, an empty file for none")
        return inherited
    return own


def _recipe(
    draft: "Recipe", rules: "RuleSet", name: str | None, size: "float | PixelSize | None", before: "Package | None"
) -> "Recipe":
    """The draft with rules, name and pixel size; refuses two pixel sizes and rules that do not fit."""
    from pydantic import ValidationError

    from onspec.domain import UsageError
    from onspec.recipe.schema import Recipe

    of_rules = rules.pixel_size_mm
    if size is not None and of_rules is not None and size != of_rules:
        raise UsageError(f"--pixel-size-mm says {size}, the rules say {of_rules}; remove one of the two")
    known = None if before is None else before.recipe
    sizes = (size, of_rules, draft.pixel_size_mm, None if known is None else known.pixel_size_mm)
    values = {
        **draft.model_dump(by_alias=True),
        "rules": rules,
        "name": name or (draft.name if known is None else known.name),
        "pixel_size_mm": next((side for side in sizes if side is not None), None),
    }
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(str(key) for key in detail["loc"])
        sentence = detail["msg"].removeprefix("Value error, ")
        got = "" if "got " in sentence else f"; got {_shown(detail)}"
        raise UsageError(f"cannot pack: {where + ': ' if where else ''}{sentence}{got}") from error


def _taught(file: Path | None, recipe: "Recipe", package: "Package", before: "Package | None") -> bytes | None:
    """The image of the part: that of the file, else the one that the recipe or its parent was packed with.

    It is checked anew each time: the rules may look for the part in another way than before.
    """
    from onspec.cli.progress import talk
    from onspec.domain import UsageError
    from onspec.imaging.reading import decode_image, read_image
    from onspec.recipe.taught import teach

    known = package.taught or (None if before is None else before.taught)
    if recipe.rules.part is None and file is None:
        return None
    if file is not None:
        image, name = read_image(file, recipe.input.camera), str(file)
    elif known is not None:
        image, name = decode_image(known, "the parent's image of the part"), "the parent's image of the part"
    else:
        raise UsageError(
            "the rules locate a part (part:), so the recipe needs the image it was taught on; "
            "give --part-image GOOD.png"
        )
    taught, found = teach(image, recipe, name)
    second = "no other place is like it" if found.runner_up is None else f"the next best place {found.runner_up:.2f}"
    talk(f"part: found in {name} where it was taught, score {found.placement.score:.2f}; {second}")
    return taught


def _located(inspector: "Inspector", package: "Package") -> str:
    """How well the part is found in the golden samples, all of which were judged; empty where it is not looked for."""
    from onspec.imaging.reading import decode_image

    camera, places = package.recipe.input.camera, []
    for golden in package.golden:
        placement = inspector.locate(decode_image(golden.data, golden.name, camera), golden.name)
        if placement is not None:
            places.append(placement.place())
    if not places:
        return ""
    shift = max(hypot(*place.shift_px) for place in places)
    turn = max(abs(place.angle_deg) for place in places)
    least = min(place.score for place in places)
    return (
        f"part found in all {len(places)} golden samples: scores from {least:.2f}, shifted by up to {shift:.1f} px, "
        f"turned by up to {turn:.1f}°"
    )


def _aged(package: "Package", before: "Package | None", author: str, note: str) -> "Package":
    """With its version and log. What is packed again unchanged, to sign it, stays the version that it was."""
    from datetime import UTC, datetime

    from onspec.recipe.lineage import first_version, next_version

    told = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "by": author, "note": note}
    if before is None:
        return first_version(package, **told) if note or author else package
    if package.content == before.content and not note:
        return package
    return next_version(package, before, **told)


def _shown(detail: object) -> str:
    got = detail["input"] if isinstance(detail, dict) else detail
    return repr(got) if isinstance(got, str | int | float) else "the values above"


def _golden_summary(package: "Package") -> str:
    verdicts = Counter(str(g.expected.verdict) for g in package.golden if g.expected is not None)
    if not verdicts:
        return "no golden samples in this run, so onspec verify will have nothing to judge"
    return f"golden samples recorded: {', '.join(f'{count} {verdict}' for verdict, count in sorted(verdicts.items()))}"
