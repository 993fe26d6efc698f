"""`onspec calibrate`: how large a pixel is on the part, from an image of a checkerboard or a grid of dots."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.imaging.calibrating import Calibration, Together
    from onspec.imaging.grids import Pattern
    from onspec.imaging.reading import Image

_COVERS = 0.25
"""Share of the image that a pattern should take up; one that takes up less says little about the rest."""


def command(
    images: Annotated[list[Path], typer.Argument(help="Images of the pattern, where the parts lie.")],
    pattern: Annotated[str, typer.Option(help="checkerboard or dots.")],
    pitch_mm: Annotated[float, typer.Option(help="From one corner or dot to the next, mm.")],
    rows: Annotated[int | None, typer.Option(help="Rows of inner corners or dots; otherwise counted.")] = None,
    columns: Annotated[int | None, typer.Option(help="Columns of inner corners or dots; otherwise counted.")] = None,
    into: Annotated[Path | None, typer.Option(help="Write the pixel size into this rules file, YAML.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Picture with the points found and their errors, .png; of several, numbered.")
    ] = None,
    warn_over: Annotated[float, typer.Option(help="Warn where limits in mm are off by more than so many %.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not sentences.")] = False,
) -> int:
    """Measure how large a pixel is on the part.

    The pattern lies flat where the surface of the parts is. A checkerboard's points are its inner corners, one less
    each way than squares. Several images are averaged, and how far they agree is said. Exits 1 when limits in mm would
    be off by more than --warn-over in places.

    Example: onspec calibrate board.png --pattern checkerboard --pitch-mm 2 --into rules.yaml
    """
    from onspec.cli.progress import talk
    from onspec.decision.rules_rewrite import pixel_size_line, set_pixel_size
    from onspec.imaging.calibrating import together

    read = _read(images)
    found = [_calibrated(image, path, _pattern(pattern), pitch_mm, columns, rows) for path, image in read]
    mean = together(found)
    if into is not None:
        set_pixel_size(into, mean.pixel_size_mm)
    if out is not None:
        _draw(out, [image for _, image in read], found)
    line = pixel_size_line(mean.pixel_size_mm)
    typer.echo(_json(images, found, mean) if as_json else _told(images, found, mean, pattern, line))
    if into is not None:
        talk(f"{into}: {line}")
    warnings = _warnings(found, mean, warn_over / 100)
    for warning in warnings:
        talk(f"warning: {warning}")
    return 1 if warnings else 0


def _pattern(name: str) -> "Pattern":
    from onspec.domain import UsageError
    from onspec.imaging.grids import FINDERS

    if name not in FINDERS:
        raise UsageError(f"Unknown pattern {name!r}; choose {', '.join(FINDERS)}")
    return name


def _read(paths: list[Path]) -> "list[tuple[Path, Image]]":
    """Every image; refuses several sizes: they are not of one setting."""
    from onspec.domain import UsageError
    from onspec.imaging.reading import read_image

    read = [(path, read_image(path)) for path in paths]
    first, size = read[0][0], read[0][1].shape[:2]
    for path, image in read[1:]:
        if image.shape[:2] != size:
            raise UsageError(
                f"{path}: {image.shape[1]}×{image.shape[0]} px, {first} has {size[1]}×{size[0]}; images to average are "
                "of one camera in one setting; calibrate each setting by itself"
            )
    return read


def _calibrated(
    image: "Image", path: Path, pattern: "Pattern", pitch_mm: float, columns: int | None, rows: int | None
) -> "Calibration":
    from onspec.domain import UsageError
    from onspec.imaging.calibrating import calibrate
    from onspec.imaging.grids import LEAST, find_grid

    if not 0 < pitch_mm < 1e6:
        raise UsageError(f"--pitch-mm must be a length in mm over 0; got {pitch_mm:g}")
    for option, count in (("--rows", rows), ("--columns", columns)):
        if count is not None and count < LEAST:
            raise UsageError(f"{option} must be at least {LEAST}; got {count}")
    return calibrate(find_grid(image, pattern, columns, rows, str(path)), pitch_mm)


def _draw(out: Path, images: "list[Image]", found: "list[Calibration]") -> None:
    from onspec.imaging.calibration_picture import calibration_picture
    from onspec.imaging.writing import write_image

    for number, (image, calibration) in enumerate(zip(images, found, strict=True), 1):
        path = out if len(images) == 1 else out.with_stem(f"{out.stem}-{number}")
        write_image(path, calibration_picture(image, calibration))


def _told(paths: list[Path], found: "list[Calibration]", mean: "Together", pattern: str, line: str) -> str:
    """What a person reads: an image a paragraph, then the result, then the line for the rules."""
    points = {"checkerboard": "inner corners", "dots": "dots"}[pattern]
    lines = []
    for path, c in zip(paths, found, strict=True):
        lines += [
            f"{path}: {pattern}, {c.grid.columns} columns × {c.grid.rows} rows of {points}, turned by "
            f"{c.rotation_deg:.2f}°, over {c.coverage:.0%} of the image",
            f"  scale       x {c.scale.x:.6g}, y {c.scale.y:.6g} mm/px",
            f"  residual    rms {c.rms_px:.3f} px ({c.rms_mm:.4f} mm), max {c.max_px:.3f} px ({c.max_mm:.4f} mm)",
            f"  slant       {c.keystone:.2%}: by so much the scale changes as the camera does not look straight down",
            f"  lens        {c.distortion:.2%}: by so much the scale changes as the lens distorts",
            f"  altogether  lengths in mm are right within {c.variation:.2%} everywhere on the pattern",
        ]
    if mean.spread is not None:
        lines.append(f"{len(found)} images averaged; the furthest from the mean is off by {mean.spread:.3%}")
    lines.append(
        f"scale: x {mean.scale.x:.6g}, y {mean.scale.y:.6g} mm/px ± {2 * mean.uncertainty:.3%} (two standard "
        "uncertainties; what the pattern itself is off comes on top)"
    )
    if min(c.coverage for c in found) < _COVERS:
        lines.append(
            f"the pattern takes up less than {_COVERS:.0%} of the image: away from it the scale is not measured"
        )
    return "\n".join([*lines, "", line])


def _warnings(found: "list[Calibration]", mean: "Together", allowed: float) -> list[str]:
    warnings = []
    if mean.variation > allowed:
        slanted = max(c.keystone for c in found) >= max(c.distortion for c in found)
        lens, camera = "use a lens that distorts less", "set the camera at a right angle to the part"
        remedy = camera if slanted else lens
        warnings.append(
            f"limits in mm would be off by up to {mean.variation:.1%} in length, {2 * mean.variation:.1%} in area, in "
            f"places; {allowed:.1%} is allowed; {remedy}, or raise --warn-over"
        )
    if mean.spread is not None and mean.spread > allowed:
        warnings.append(
            f"the images disagree by {mean.spread:.1%}; {allowed:.1%} is allowed; put the pattern at the height of "
            "the parts' surface in each of them, and leave camera and lens as they are"
        )
    return warnings


def _json(paths: list[Path], found: "list[Calibration]", mean: "Together") -> str:
    size = mean.pixel_size_mm
    return json.dumps(
        {
            "pixel_size_mm": size if isinstance(size, float) else {"x": size.x, "y": size.y},
            "scale_mm": {"x": mean.scale.x, "y": mean.scale.y},
            "uncertainty": mean.uncertainty,
            "spread": mean.spread,
            "variation": mean.variation,
            "images": [
                {
                    "image": str(path),
                    "columns": c.grid.columns,
                    "rows": c.grid.rows,
                    "points": len(c.grid.points),
                    "scale_mm": {"x": c.scale.x, "y": c.scale.y},
                    "uncertainty": c.uncertainty,
                    "rotation_deg": c.rotation_deg,
                    "residual_px": {"rms": c.rms_px, "max": c.max_px},
                    "residual_mm": {"rms": c.rms_mm, "max": c.max_mm},
                    "keystone": c.keystone,
                    "distortion": c.distortion,
                    "variation": c.variation,
                    "coverage": c.coverage,
                }
                for path, c in zip(paths, found, strict=True)
            ],
        },
        indent=2,
    )
