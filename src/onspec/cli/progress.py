"""Talk and progress on stderr: bars only on a terminal, sentences always."""

import math
import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import typer

T = TypeVar("T")


def talk(sentence: str) -> None:
    """One sentence to stderr."""
    typer.echo(sentence, err=True)


def tracked(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, with a bar that counts them."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, what, total, console=console, disable=not console.is_terminal)


class TrainingProgress:
    """A bar with loss, the task's own figure and the time left; silent where stderr is not a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn(
                "{task.percentage:3.0f}%  loss {task.fields[loss]}  right {task.fields[quality]}  {task.fields[left]}"
            ),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("training", total=1.0, loss="–", quality="–", left="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: float, loss: float, quality: float, seconds_left: float) -> None:
        """Show the latest figures."""
        left = (
            ""
            if math.isnan(seconds_left)
            else f"{max(0, int(seconds_left)) // 60}:{max(0, int(seconds_left)) % 60:02d} left"
        )
        self._bar.update(self._task, completed=progress, loss=f"{loss:.3f}", quality=f"{quality:.3f}", left=left)
