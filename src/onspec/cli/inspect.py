"""`onspec inspect`: images in, verdicts out."""

import re
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self, TextIO

import typer

if TYPE_CHECKING:
    from onspec.domain import Verdict
    from onspec.runtime.inspector import Inspector, Result
    from onspec.runtime.sources import Source

    Judged = Generator[tuple[Source, Result], None, None]


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.onspec), or the folder of a run.")],
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders, globs; - reads names.")],
    jsonl: Annotated[Path | None, typer.Option(help="Write the JSON lines to this file, not to stdout.")] = None,
    maps: Annotated[Path | None, typer.Option(help="Write score maps here: 16-bit PNG, 0…65535 = 0…1.")] = None,
    overlays: Annotated[Path | None, typer.Option(help="Write the images here with defects outlined.")] = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads that read images ahead.")] = 2,
    fail_on_ng: Annotated[bool, typer.Option("--fail-on-ng", help="Exit 1 if any part is not OK.")] = False,
) -> int:
    """Judge images with a recipe: one JSON line an image, in order.

    Exits 1 when an image could not be judged (ERROR for it; the others are judged), and with --fail-on-ng when any
    part is not OK.

    Example: onspec inspect tile.onspec images/ --jsonl verdicts.jsonl --overlays pictures/
    """
    from itertools import chain

    from onspec.cli.progress import talk
    from onspec.domain import Verdict
    from onspec.recipe.reading import open_package
    from onspec.runtime.inspector import Inspector
    from onspec.runtime.sources import find_sources, stdin_sources

    found, from_stdin = find_sources(paths)
    counts: Counter[Verdict] = Counter()
    with ExitStack() as stack:
        inspector = stack.enter_context(closing(Inspector(open_package(recipe), engine)))
        lines = stack.enter_context(_Lines(jsonl))
        pictures = _Pictures(maps, overlays)
        sources = chain(found, stdin_sources() if from_stdin else ())
        results = stack.enter_context(closing(_judged(inspector, sources, workers)))
        stack.callback(lambda: talk(_summary(counts)))  # also after Ctrl-C
        bar = (lines.apart or not sys.stdout.isatty()) and not from_stdin
        for source, result in _with_bar(results, len(found), shown=bar):
            lines.write(result.inspection.to_json())
            counts[result.inspection.verdict] += 1
            pictures.write(source, result)
    not_ok = counts.total() - counts[Verdict.OK]
    return 1 if counts[Verdict.ERROR] or (fail_on_ng and not_ok) else 0


def _judged(inspector: "Inspector", sources: "Iterable[Source]", workers: int) -> "Judged":
    """Each source with its result; both come in one order."""
    under_way: deque[Source] = deque()

    def paths() -> Iterator[Path]:
        for source in sources:
            under_way.append(source)
            yield source.path

    with closing(inspector.inspect_files(paths(), workers)) as results:
        for result in results:
            yield under_way.popleft(), result


def _with_bar(results: "Judged", total: int, shown: bool) -> "Iterable[tuple[Source, Result]]":
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(results, "inspecting", total, console=console, disable=not (shown and console.is_terminal))


def _summary(counts: "Counter[Verdict]") -> str:
    total = counts.total()
    parts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    return f"{total} image{'' if total == 1 else 's'} inspected: {parts or 'nothing to judge'}"


class _Lines:
    """JSON lines to a file or stdout, each passed on at once: what is finished stays, whatever happens next."""

    def __init__(self, path: Path | None) -> None:
        self.apart = path is not None
        self._out: TextIO = sys.stdout if path is None else _open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.apart:
            self._out.close()

    def write(self, line: str) -> None:
        """One line.

        Raises:
            UsageError: the disk is full, or nobody reads the pipe any more.
        """
        from onspec.domain import UsageError

        try:
            self._out.write(line + "\n")
            self._out.flush()
        except OSError as error:
            where = "the --jsonl file" if self.apart else "stdout"
            raise UsageError(f"cannot write to {where} ({error.strerror}); the lines before are complete") from error


class _Pictures:
    """Score maps and overlays under their folders."""

    def __init__(self, maps: Path | None, overlays: Path | None) -> None:
        from onspec.runtime.sources import OutputNames

        self._maps, self._overlays = maps, overlays
        self._names = OutputNames()

    def write(self, source: "Source", result: "Result") -> None:
        """Write what was asked for; an ERROR has no map and no overlay."""
        if result.prediction is None or result.image is None or (self._maps is None and self._overlays is None):
            return
        from onspec.imaging.overlays import PREDICTION, outline_polygons, to_display
        from onspec.imaging.writing import write_image, write_map

        stem = self._names.stem(source)
        if self._maps is not None:
            for score_map in result.maps:
                cls = "" if len(result.maps) == 1 else "." + re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", score_map.cls)
                write_map(self._maps / f"{stem}{cls}.png", score_map)
        if self._overlays is not None:
            picture = to_display(result.image)
            outline_polygons(picture, [defect.polygon for defect in result.inspection.defects], PREDICTION)
            write_image(self._overlays / f"{stem}.png", picture)


def _open(path: Path) -> TextIO:
    from onspec.domain import UsageError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); check the folder and its rights") from error
