"""`onspec synth`: generated data in the layout of DAGM 2007, of COCO, or of a folder a class."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Argument(help="Folder for the data set; new or empty.")],
    textures: Annotated[int, typer.Option(help="Textures, from the first: 1 … 10.")] = 6,
    good: Annotated[int, typer.Option(help="Good images of each texture.")] = 60,
    defective: Annotated[int, typer.Option(help="Defective images of each texture.")] = 40,
    seed: Annotated[
        int, typer.Option(help="Start of every random choice; the same seed gives the same bytes.", min=0)
    ] = 0,
    contrast: Annotated[float, typer.Option(help="How far a defect changes the texture: over 0, up to 1.")] = 1.0,
    size: Annotated[float, typer.Option(help="Scale of a defect's axes: 0.2 … 2.")] = 1.0,
    layout: Annotated[
        str,
        typer.Option(
            help="dagm: coarse ellipses as masks. coco: boxes and polygons of one to three kinds of defect an image. "
            "folders: one kind an image, a folder a kind."
        ),
    ] = "dagm",
) -> int:
    """Generate a data set to try segmentation, detection or classification on: half to train on, half to test on.

    A defect is a local change of the texture (direction, scale, order …) with the mean gray kept; its label is a coarse
    ellipse, as in DAGM. In the other layouts any surface may also be scratched or worn.

    Example: onspec synth textures/ --textures 6 --good 60 --defective 40

    Example: onspec synth boxes/ --textures 1 --layout coco --contrast 0.5 --size 0.6
    """
    from onspec.datasets.synth import generate

    generate(
        out,
        textures=textures,
        good=good,
        defective=defective,
        seed=seed,
        contrast=contrast,
        size=size,
        layout=layout,
    )
    typer.echo(f"{out}: {textures} textures of {good} good and {defective} defective images")
    return 0
