"""JSON label files, read so that whatever is wrong is named with file and field."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from onspec.domain import LabelError

_T = TypeVar("_T")

_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a JSON file that knows its place there (`annotations[3].bbox`)."""

    file: Path
    at: str
    value: Any

    def __getitem__(self, key: str) -> "Node":
        """A field that must be there.

        Raises:
            LabelError: it is not.
        """
        found = self.find(key)
        if found is None:
            raise LabelError(f"{self.file}: {self._below(key)} is missing; export the labels again")
        return found

    def find(self, key: str) -> "Node | None":
        """A field that may be absent or null."""
        value = self._of(dict).get(key)
        return None if value is None else Node(self.file, self._below(key), value)

    def items(self) -> Iterator["Node"]:
        """The items of a list."""
        for index, value in enumerate(self._of(list)):
            yield Node(self.file, f"{self.at}[{index}]", value)

    def fields(self) -> Iterator[tuple[str, "Node"]]:
        """The fields of an object."""
        for key, value in self._of(dict).items():
            yield key, Node(self.file, self._below(key), value)

    def text(self) -> str:
        """Text that is not empty."""
        text = self._of(str)
        if not text.strip():
            raise self.wrong("is empty; it must name something")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise self.wrong("holds half of a character; export the labels again")
        return text

    def key(self) -> str:
        """An id: a number or text, as text, since tools write either for the same."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | str):
            raise self.wrong(f"is {self._kind()}; it must be a number or text")
        return str(self.value)

    def number(self) -> float:
        """A finite number; one in quotes is taken, too."""
        try:
            number = math.nan if isinstance(self.value, bool) else float(self.value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise self.wrong(f"is {self._shown()}; it must be a finite number")
        return number

    def numbers(self, count: int | None = None) -> list[float]:
        """A list of finite numbers, `count` of them if given."""
        plain = self._of(list)
        if not all(type(value) in (int, float) and math.isfinite(value) for value in plain):
            plain = [item.number() for item in self.items()]
        found = [float(value) for value in plain]
        if count is not None and len(found) != count:
            raise self.wrong(f"has {len(found)} numbers; it must have {count}")
        return found

    def wrong(self, what: str) -> LabelError:
        """The error that says what is wrong with this value."""
        return LabelError(f"{self.file}: {self.at or 'the file'} {what}")

    def _of(self, kind: type[_T]) -> _T:
        if not isinstance(self.value, kind):
            raise self.wrong(f"is {self._kind()}; it must be {_KINDS[kind]}")
        return self.value

    def _kind(self) -> str:
        return _KINDS.get(type(self.value), "a number")

    def _shown(self) -> str:
        return repr(self.value)[:40] if isinstance(self.value, str | float) else self._kind()

    def _below(self, key: str) -> str:
        return f"{self.at}.{key}" if self.at else key


def read_json(path: Path) -> Node:
    """The whole file.

    Raises:
        LabelError: it cannot be read, is no UTF-8 text or no JSON; a file that is cut off is said to be.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return Node(path, "", json.loads(text))
    except OSError as error:
        raise LabelError(f"{path}: label file cannot be read ({error.strerror}); check its rights") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path}: label file is not UTF-8 text; export it again") from error
    except json.JSONDecodeError as error:
        what = "cut off" if error.pos >= len(text.rstrip()) - 1 or "Unterminated" in error.msg else "not valid JSON"
        raise LabelError(
            f"{path}, line {error.lineno}: label file is {what} ({error.msg}); export or copy it again"
        ) from error
    except (RecursionError, ValueError) as error:
        raise LabelError(f"{path}: label file is no JSON that can be read ({error}); export it again") from error


def ends_of(path: Path, size: int = 1 << 16) -> bytes:
    """The first and the last bytes of a file, to see what it is without reading all of it; empty if unreadable."""
    try:
        with path.open("rb") as file:
            first = file.read(size)
            length = file.seek(0, 2)
            file.seek(max(len(first), length - size))
            return first + b"\n" + file.read()
    except OSError:
        return b""
