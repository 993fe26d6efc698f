"""`onspec inspect`: images in, verdicts out."""

import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self, TextIO

import typer

if TYPE_CHECKING:
    from onspec.domain import ScoreMap, Verdict
    from onspec.imaging.reading import Image
    from onspec.runtime.inspector import Inspector, Result
    from onspec.runtime.sources import Source

    Judged = Generator[tuple[Source, Result], None, None]

_WRITERS = 2
"""Threads that write pictures: packing a PNG takes several times as long as unpacking one."""


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.onspec), or the folder of a run.")],
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders, globs; - reads names.")],
    jsonl: Annotated[Path | None, typer.Option(help="Write the JSON lines to this file, not to stdout.")] = None,
    maps: Annotated[Path | None, typer.Option(help="Write score maps here: 16-bit PNG, 0…65535 = 0…1.")] = None,
    overlays: Annotated[Path | None, typer.Option(help="Write the images here with defects outlined.")] = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Files read at a time, ahead of the judging; more for a slow drive.")
    ] = 2,
    fail_on_ng: Annotated[bool, typer.Option("--fail-on-ng", help="Exit 1 if any part is not OK.")] = False,
) -> int:
    """Judge images with a recipe: one JSON line an image, in order.

    Exits 1 when an image could not be judged (ERROR for it; the others are judged), and with --fail-on-ng when any
    part is not OK.

    Example: onspec inspect tile.onspec images/ --jsonl verdicts.jsonl --overlays pictures/
    """
    from itertools import chain

    import cv2

    from onspec.cli.progress import talk
    from onspec.domain import Verdict
    from onspec.recipe.reading import open_package
    from onspec.runtime.choosing import resolve
    from onspec.runtime.inspector import Inspector
    from onspec.runtime.lanes import plan_lanes
    from onspec.runtime.sources import find_sources, stdin_sources

    found, from_stdin = find_sources(paths)
    counts: Counter[Verdict] = Counter()
    with ExitStack() as stack:
        package = open_package(recipe)
        if not from_stdin:  # who hands over names one by one waits for each answer
            engine = resolve(engine, package, None, len(found), talk)
        cv2.setNumThreads(1)  # images are worked on side by side; threads for each of them only get in their way
        plan = plan_lanes(engine, None if from_stdin else len(found), package.recipe.input)
        inspector = stack.enter_context(closing(Inspector(package, engine, plan.threads, plan.lanes)))
        lines = stack.enter_context(_Lines(jsonl))
        pictures = stack.enter_context(_Pictures(maps, overlays))
        sources = chain(found, stdin_sources() if from_stdin else ())
        results = stack.enter_context(closing(_judged(inspector, sources, workers)))
        stack.callback(lambda: talk(_summary(counts)))  # also after Ctrl-C
        bar = (lines.apart or not sys.stdout.isatty()) and not from_stdin
        advance = stack.enter_context(_bar(len(found), shown=bar))
        for source, result in results:
            lines.write(result.inspection.to_json())
            counts[result.inspection.verdict] += 1
            pictures.write(source, result)
            advance()
            del result  # its image and maps, which nobody needs while the next one is waited for
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
        while (result := next(results, None)) is not None:
            yield under_way.popleft(), result
            del result


@contextmanager
def _bar(total: int, shown: bool) -> "Generator[Callable[[], None], None, None]":
    """A bar on a terminal, with what advances it by one; nothing, and nothing loaded for it, anywhere else."""
    if not (shown and sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("inspecting", total=total)
        yield lambda: progress.advance(task)


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
    """Score maps and overlays under their folders, made and written beside the judging of the next images."""

    def __init__(self, maps: Path | None, overlays: Path | None) -> None:
        from onspec.runtime.sources import OutputNames

        self._maps, self._overlays = maps, overlays
        self._names = OutputNames()
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="onspec-write")
        self._under_way: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for those under way: their lines are written, so they are kept after Ctrl-C, too."""
        self._pool.shutdown()
        if kind is None:
            self._settle(0)

    def write(self, source: "Source", result: "Result") -> None:
        """Have written what was asked for; an ERROR has no map and no overlay. Waits while many are under way.

        Raises:
            UsageError: one of these or of earlier ones could not be written.
        """
        if result.prediction is None or result.image is None or (self._maps is None and self._overlays is None):
            return
        stem = self._names.stem(source)
        if self._maps is not None:
            for score_map in result.maps:
                cls = "" if len(result.maps) == 1 else "." + re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", score_map.cls)
                self._start(_write_map, self._maps / f"{stem}{cls}.png", score_map)
        if self._overlays is not None:
            polygons = [defect.polygon for defect in result.inspection.defects]
            self._start(_write_overlay, self._overlays / f"{stem}.png", result.image, polygons)

    def _start(self, work: "Callable[..., None]", *arguments: object) -> None:
        self._under_way.append(self._pool.submit(work, *arguments))
        self._settle(2 * _WRITERS)

    def _settle(self, most: int) -> None:
        """Until no more than so many are under way; raises what went wrong with the others."""
        while len(self._under_way) > most:
            self._under_way.popleft().result()


def _write_map(path: Path, score_map: "ScoreMap") -> None:
    from onspec.imaging.writing import write_map

    write_map(path, score_map)


def _write_overlay(path: Path, image: "Image", polygons: "Sequence[Sequence[tuple[int, int]]]") -> None:
    from onspec.imaging.overlays import PREDICTION, outline_polygons, to_display
    from onspec.imaging.writing import write_image

    picture = to_display(image)
    outline_polygons(picture, polygons, PREDICTION)
    write_image(path, picture)


def _open(path: Path) -> TextIO:
    from onspec.domain import UsageError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); check the folder and its rights") from error
