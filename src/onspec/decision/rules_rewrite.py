"""A rules file with one entry changed, and every other byte of it as its author wrote it."""

import re
from pathlib import Path

from onspec.decision.rules import RuleSet
from onspec.decision.rules_text import parse_rules, read_text
from onspec.domain import RulesError
from onspec.domain.pixel_size import PixelSize
from onspec.imaging.writing import write_bytes

_KEY = "pixel_size_mm"
_ENTRY = re.compile(rf"^{_KEY}[ \t]*:[^\r\n]*$", re.MULTILINE)
_COMMENT = re.compile(r"[ \t]+#[^\r\n]*$")
_DEEPER = re.compile(r"(?:\r?\n[ \t]+[^\s#][^\r\n]*)*")


def pixel_size_line(value: float | PixelSize) -> str:
    """`pixel_size_mm: 0.05`, or `pixel_size_mm: {x: 0.05, y: 0.0502}`."""
    if isinstance(value, PixelSize):
        return f"{_KEY}: {{x: {value.x:.10g}, y: {value.y:.10g}}}"
    return f"{_KEY}: {value:.10g}"


def set_pixel_size(path: Path, value: float | PixelSize) -> None:
    """Write the pixel size into a rules file; comments, order and layout stay. An absent file is made.

    Raises:
        RulesError: not a rules file, or one whose other content would not stay as it is.
        UsageError: the file cannot be written.
    """
    text = read_text(path) if path.exists() else ""
    write_bytes(path, with_pixel_size(text, value, str(path)).encode())


def with_pixel_size(text: str, value: float | PixelSize, name: str) -> str:
    """The text of a rules file with this pixel size; `name` stands in the errors. Raises RulesError as above."""
    before = parse_rules(text, name, RuleSet)
    changed = _changed(text, pixel_size_line(value))
    if not _differs_only_so(before, changed):
        raise RulesError(
            f"{name}: cannot be changed without touching other entries; write {pixel_size_line(value)} into it by hand"
        )
    return changed


def _differs_only_so(before: RuleSet, changed: str) -> bool:
    try:
        after = parse_rules(changed, "", RuleSet)
    except RulesError:
        return False
    return before.model_copy(update={_KEY: after.pixel_size_mm}) == after


def _changed(text: str, line: str) -> str:
    """The entry in its place, or before the first one that is there."""
    found = _ENTRY.search(text)
    if found is not None:
        comment = _COMMENT.search(found.group())
        more = _DEEPER.match(text, found.end())
        end = found.end() if more is None else more.end()
        return text[: found.start()] + line + ("" if comment is None else comment.group()) + text[end:]
    first = re.search(r"^(?!#|---|%)\S", text, re.MULTILINE)
    at = len(text) if first is None else first.start()
    gap = "\n" if first is None and text and not text.endswith("\n") else ""
    newline = "\r\n" if "\r\n" in text else "\n"
    return f"{text[:at]}{gap}{line}{newline}{text[at:]}"
