"""`onspec synth`: generated data in the DAGM 2007 layout."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Argument(help="Folder for the data set; new or empty.")],
    textures: Annotated[int, typer.Option(help="Textures, a class folder each: 1 … 8.")] = 6,
    good: Annotated[int, typer.Option(help="Good images of each texture.")] = 60,
    defective: Annotated[int, typer.Option(help="Defective images of each texture.")] = 40,
    seed: Annotated[
        int, typer.Option(help="Start of every random choice; the same seed gives the same bytes.", min=0)
    ] = 0,
) -> int:
    """Generate a data set in the DAGM 2007 layout: half of it to train on, half to test on.

    A defect is a local change of the texture (direction, scale, order …) with the mean gray kept; its label is a coarse
    ellipse, as in DAGM.

    Example: onspec synth textures/ --textures 6 --good 60 --defective 40
    """
    from onspec.datasets.synth import generate

    generate(out, textures=textures, good=good, defective=defective, seed=seed)
    typer.echo(f"{out}: {textures} textures of {good} good and {defective} defective images")
    return 0
