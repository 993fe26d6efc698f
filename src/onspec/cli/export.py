"""`onspec export`: a recipe's network for other runtimes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.recipe.package import Package


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.onspec), or the folder of a run.")],
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    to: Annotated[str, typer.Option("--to", help="Format: onnx, or tensorrt (an engine of TensorRT-RTX).")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> int:
    """Write a recipe's network for another runtime; input `image`, output `scores`.

    Only the network is written: scaling, threshold and rules stay in the recipe.

    Example: onspec export tile.onspec --to tensorrt tile.engine
    """
    from onspec.cli.progress import talk
    from onspec.domain import UsageError
    from onspec.imaging.writing import write_bytes
    from onspec.recipe.reading import open_package

    if to not in FORMATS:
        raise UsageError(f"Unknown export format {to!r}; choose {', '.join(FORMATS)}")
    if out.exists() and not force:
        raise UsageError(f"{out} exists; choose another name, or overwrite it with --force")
    package = open_package(recipe)
    data = FORMATS[to](package)
    write_bytes(out, data)
    talk(f"{out}: {to}, {len(data)} bytes, from {package.identity}")
    return 0


def _onnx(package: "Package") -> bytes:
    return package.model


def _tensorrt(package: "Package") -> bytes:
    from onspec.runtime.tensorrt_export import build_engine

    return build_engine(package)


FORMATS: "dict[str, Callable[[Package], bytes]]" = {"onnx": _onnx, "tensorrt": _tensorrt}
"""Format → what makes its bytes."""
