"""What came of the files of one format, as a row of the table."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HEADER = (
    f"{'format':18}{'files':>8}{'refused':>9}{'same':>7}{'other':>7}{'OK':>6}{'faults':>8}"
    f"{'slowest ms':>12}{'peak MB':>9}"
)
"""`same`: judged with the pixels of the original. `other`: with other pixels, and not OK. `OK`: with others, and OK."""


@dataclass(slots=True)
class Tally:
    """Files by what came of them; the slowest, and the most memory."""

    name: str
    seen: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0
    peak_mb: float = 0.0

    def add(self, outcome: str, ms: float, mb: float) -> None:
        """One file more."""
        self.seen["fault" if outcome.startswith("fault") else outcome] += 1
        self.slowest_ms, self.peak_mb = max(self.slowest_ms, ms), max(self.peak_mb, mb)

    def include(self, other: "Tally") -> None:
        """All files of another."""
        self.seen += other.seen
        self.slowest_ms, self.peak_mb = max(self.slowest_ms, other.slowest_ms), max(self.peak_mb, other.peak_mb)

    def __str__(self) -> str:
        """The row."""
        seen = self.seen
        return (
            f"{self.name:18}{seen.total():8}{seen['refused']:9}{seen['same']:7}{seen['other']:7}{seen['OK']:6}"
            f"{seen['fault']:8}{self.slowest_ms:12.1f}{self.peak_mb:9.0f}"
        )


REQUESTS_HEADER = (
    f"{'requests':26}{'sent':>8}{'2xx':>7}{'4xx':>7}{'50x':>6}{'closed':>8}{'faults':>8}{'slowest ms':>12}"
)
"""`50x`: 501, 503 and 504, which are documented; another is a fault. `closed`: the connection was closed without an
answer, as is right for what is no HTTP."""


@dataclass(slots=True)
class Requests:
    """Requests by how they were answered, and the slowest."""

    name: str
    seen: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    slowest_ms: float = 0.0

    def add(self, status: int | None, ms: float) -> None:
        """One more; its status, `None` without an answer."""
        self.seen["closed" if status is None else "50x" if status >= 500 else f"{status // 100}xx"] += 1
        self.slowest_ms = max(self.slowest_ms, ms)

    def fault(self, what: str, out: Path) -> None:
        """One of them was not answered as it should be; what it was is kept."""
        self.faults += 1
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{self.name.replace(' ', '-')}-{self.faults}.txt").write_text(what, encoding="utf-8", errors="replace")
        print(f"{self.name}: {what[:400]}", file=sys.stderr, flush=True)

    def include(self, other: "Requests") -> None:
        """All requests of another."""
        self.seen += other.seen
        self.faults += other.faults
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)

    def __str__(self) -> str:
        """The row."""
        seen = self.seen
        return (
            f"{self.name:26}{seen.total():8}{seen['2xx']:7}{seen['4xx']:7}{seen['50x']:6}{seen['closed']:8}"
            f"{self.faults:8}{self.slowest_ms:12.1f}"
        )
