"""`onspec explain`: why one image was judged as it was."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.cli.explain_picture import Explained
    from onspec.decision.inspectability import Gate


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.onspec), or the folder of a run.")],
    image: Annotated[Path, typer.Argument(help="The image.")],
    out: Annotated[Path | None, typer.Option(help="Draw it: the image with defects and zones, and the rules.")] = None,
    rules: Annotated[Path | None, typer.Option(help="Try these rules, not those of the recipe.")] = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not sentences.")] = False,
) -> int:
    """Say why an image is OK, NG or REVIEW: every rule, whether it fired, figures and limits for each defect.

    With --rules it says what other rules would make of it, before they are packed. Exits 1 when the image cannot be
    judged.

    Example: onspec explain tile.onspec part.png --out why.png --rules rules.yaml
    """
    from contextlib import closing

    from onspec.cli.progress import talk
    from onspec.decision.explaining import read_rules_on
    from onspec.decision.inspectability import Gate
    from onspec.decision.judge import sight
    from onspec.recipe.reading import open_package, with_rules
    from onspec.runtime.inspector import Inspector

    package = open_package(recipe)
    if rules is not None:
        package = with_rules(package, rules)
    with closing(Inspector(package, engine)) as inspector:
        result = inspector.inspect_file(image)
    if result.prediction is None or result.image is None:
        typer.echo(result.inspection.to_json() if as_json else f"ERROR  {result.inspection.error}")
        return 1
    known = package.recipe
    seen = sight(
        result.prediction, known.thresholds, known.rules, known.pixel_size_mm, known.task, image=result.image,
        placement=result.placement,
    )  # fmt: skip
    readings = read_rules_on(seen, known.rules)
    from onspec.cli.explain_picture import Explained, picture

    told = Explained(result.image, result.inspection, seen, known.rules, readings, result.placement)
    gate = Gate(known.reference, known.rules.inspectable)
    typer.echo(_json(told, gate) if as_json else _text(told, gate))
    if out is not None:
        from onspec.imaging.writing import write_image

        write_image(out, picture(told))
        talk(f"picture: {out}")
    return 0


def _text(told: "Explained", gate: "Gate") -> str:
    from onspec.cli.explain_picture import effect, summary

    one = told.inspection
    lines = [
        f"{one.verdict}  score {one.score:.2f}  {one.image}",
        *(f"  {reason}" for reason in one.reasons),
        "",
        "rules",
    ]
    for reading in told.readings:
        lines += [f"  {reading.rule}: {reading.words}", f"    {effect(reading)}"]
        lines += [f"      #{under.defect + 1} {'yes' if under.meant else 'no'}: {under}" for under in reading.defects]
    lines += ["", f"defects: {len(one.defects)}"]
    for place, defect in enumerate(one.defects):
        zones = ", ".join(sorted(told.seen.found[place].zones))
        x, y = defect.centroid
        lines.append(f"  {summary(place + 1, defect)}; at ({x:.0f}, {y:.0f}){f' in {zones}' if zones else ''}")
    if told.rules.zones:
        lines += ["", "zones"]
    for name, zone in told.rules.zones.items():
        use = f", {zone.use}" if zone.use else ""
        lines.append(f"  {name}{use}: {int(told.seen.zones.mask(name).sum())} px")
    if told.placement is not None:
        (x, y), angle = told.placement.found, told.placement.angle_deg
        lines += ["", f"part: at ({x:.1f}, {y:.1f}), turned by {angle:.1f}°"]
    if one.look is not None:
        lines += ["", "image" + (" (the rules accept it wherever it lies)" if gate.outside == "accept" else "")]
        lines += [f"  {reading}" for reading in gate.read(one.look)]
    return "\n".join(lines)


def _json(told: "Explained", gate: "Gate") -> str:
    """The inspection's own fields, `rules`: what each made of each defect, and `limits` of its look."""
    import json

    shown = told.inspection.model_dump(mode="json", by_alias=True)
    shown["rules"] = [reading.model_dump(mode="json") for reading in told.readings]
    shown["zones"] = {
        name: {"use": told.rules.zones[name].use, "area_px": int(told.seen.zones.mask(name).sum())}
        for name in told.rules.zones
    }
    shown["limits"] = {limit.measure: {"min": limit.low, "max": limit.high} for limit in gate.limits}
    for place, defect in enumerate(shown["defects"]):
        defect["zones"] = sorted(told.seen.found[place].zones)
    return json.dumps(shown, ensure_ascii=False)
