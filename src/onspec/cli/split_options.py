"""Options that say which images must stay together and how they are split; several commands have them."""

from pathlib import Path
from typing import Annotated

import typer

SplitFile = Annotated[
    Path | None, typer.Option("--split-file", help="CSV with columns image, split, optionally part, lot, time.")
]
PartPattern = Annotated[
    str | None, typer.Option("--part-pattern", help="Regular expression on the image's name; its group 1 is the part.")
]
LotFrom = Annotated[
    str | None,
    typer.Option(
        "--lot-from",
        help="Whole lots (days, coils, batches) stay in one split. The lot is: folder, a column of a table, or a "
        "regular expression on the image's name with the lot in parentheses.",
    ),
]
SplitBy = Annotated[
    str, typer.Option("--split-by", help="chance, or time: the oldest parts train, the newest are the test.")
]
TimeFrom = Annotated[
    str | None,
    typer.Option(
        "--time-from",
        help="For --split-by time: a regular expression on the image's name with the time in parentheses, a column of "
        "a table, or modified, the file's date.",
    ),
]


def refuse_unused(split_by: str, time_from: str | None, split_file: Path | None) -> None:
    """Refuse options that would be passed over.

    Raises:
        UsageError: an unknown way to split, times that nothing uses, or two things that assign splits.
    """
    from onspec.domain import UsageError

    if split_by not in ("chance", "time"):
        raise UsageError(f"Unknown way to split {split_by!r}; choose chance, time")
    if time_from is not None and split_by != "time":
        raise UsageError("--time-from only serves to split by time; add --split-by time, or leave it out")
    if split_file is not None and split_by == "time":
        raise UsageError(f"{split_file} assigns every image already; leave out --split-file or --split-by time")
