"""Label files of text, line by line."""

import math
from pathlib import Path

from onspec.domain import LabelError

_DELIMITERS = (",", ";", "\t")


def read_text(path: Path, what: str = "label file") -> str:
    """The whole file, without the mark that some editors write first; `what` it is stands in the error.

    Raises:
        LabelError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path}: {what} cannot be read ({error.strerror}); check its name and rights") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path}: {what} is not UTF-8 text; save it again as UTF-8") from error


def lines_of(path: Path) -> list[tuple[int, str]]:
    """(number, line) of every line that is not blank, from 1.

    Raises:
        LabelError: as `read_text`.
    """
    lines = enumerate(read_text(path).splitlines(), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def delimiter_of(header: str) -> str:
    """What separates the cells of a table, by its first line: comma, semicolon or tab, whichever it has most of."""
    return max(_DELIMITERS, key=header.count)


def number_of(text: str) -> float:
    """A finite number, with a decimal point or, as some spreadsheets write it, a decimal comma.

    Raises:
        ValueError: anything else.
    """
    value = float(text.strip().replace(",", "."))
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no finite number")
    return value
