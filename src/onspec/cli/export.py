"""`onspec export`: a recipe's network for other runtimes."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.onspec), or the folder of a run.")],
    out: Annotated[Path, typer.Argument(help="The file to write; for openvino NAME.xml, for triton a folder.")],
    to: Annotated[
        str,
        typer.Option(
            "--to", help="Format: onnx, openvino, tensorrt (an engine of TensorRT-RTX) or triton (a model repository)."
        ),
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(help="For tensorrt: the GPU it is for, as sm89 (may be repeated); else all from sm80 on."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
) -> int:
    """Write a recipe's network for another runtime; input `image`, output `scores`.

    Only the network is written: scaling, threshold and rules stay in the recipe.

    Example: onspec export tile.onspec --to tensorrt --target sm89 tile.engine
    """
    from onspec.cli.progress import talk
    from onspec.domain import UsageError
    from onspec.imaging.writing import write_bytes
    from onspec.recipe.reading import open_package
    from onspec.runtime.exports import EXPORTS

    if to not in EXPORTS:
        raise UsageError(f"Unknown export format {to!r}; choose {', '.join(EXPORTS)}")
    if target and to != "tensorrt":
        raise UsageError(f"--target names the GPU of a TensorRT engine; leave it out for --to {to}")
    if out.is_file() and not force:  # before minutes of building
        raise UsageError(f"{out} exists; choose another name, or overwrite it with --force")
    package = open_package(recipe)
    if package.recipe.hastened is not None:
        raise UsageError(f"{recipe} is hastened: two networks, which only onspec runs together; export its parent")
    files = EXPORTS[to](package, out, target or ())
    for path in files:
        if path.exists() and not force:
            raise UsageError(f"{path} exists; choose another name, or overwrite it with --force")
    for path, data in files.items():
        write_bytes(path, data)
        talk(f"{path}: {to}, {len(data)} bytes, from {package.identity}")
    return 0
