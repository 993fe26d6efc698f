"""What a user names on the command line → image files, and where files made from them go."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from onspec.domain import UsageError
from onspec.imaging.reading import SUFFIXES, is_image

STDIN = "-"
_MAGIC = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Source:
    """An image file, and its path below the folder that was named (only its file name if none was)."""

    path: Path
    below: PurePath


def find_sources(names: Sequence[str]) -> tuple[list[Source], bool]:
    """The images that `names` stand for (files, folders with all below them, globs), and whether stdin is among them.

    A file that is named is taken, whatever its ending; one that is absent is taken if its name says image, so that it
    ends as ERROR beside the verdicts of the others. Folders are searched for the endings of images, sorted by name.

    Raises:
        UsageError: a folder that is absent, has no image or cannot be listed, or a glob that matches nothing.
    """
    found: list[Source] = []
    for name in names:
        if name == STDIN:
            continue
        sources = _of_name(name)
        if not sources:
            raise UsageError(f"{name}: no images here; image files end with {', '.join(SUFFIXES)}")
        found += sources
    return found, STDIN in names


def stdin_sources() -> Iterator[Source]:
    """The images whose names come line by line over stdin, as soon as each is there.

    Read without Python's buffer, whose lock a thread that waits for input would hold while the process ends.
    """
    rest = b""
    while chunk := os.read(sys.stdin.fileno(), 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from _of_lines(lines)
    yield from _of_lines([rest])


class OutputNames:
    """Gives each source a path of its own for the files made from it: subfolders kept, never one name twice."""

    def __init__(self) -> None:
        self._taken: dict[str, Path] = {}

    def stem(self, source: Source) -> PurePath:
        """The relative path without ending.

        `STEM` while that is free. If an image of another folder has it, `FOLDER/STEM`; if one of the same folder
        (another ending), the full file name; a number if even that is taken.
        """
        plain = source.below.with_suffix("")
        owner = self._taken.get(_key(plain))
        folder = source.path.absolute().parent
        full = plain if owner is None else source.below if owner == folder else PurePath(folder.name) / plain
        number, choice = 1, full
        while _key(choice) in self._taken:
            number += 1
            choice = full.with_name(f"{full.name}-{number}")
        self._taken[_key(choice)] = folder
        return choice


def _key(path: PurePath) -> str:
    return path.as_posix().casefold()  # some file systems take A.png and a.png for one


def _of_name(name: str) -> list[Source]:
    path = Path(name)
    if _asked(path.is_dir):
        return _below(path)
    if _asked(path.exists) or not _MAGIC & set(name):
        if not _asked(path.exists) and not is_image(path):
            raise UsageError(f"{name}: no such file or folder; check the name")
        return [Source(path, PurePath(path.name))]
    root = Path(*_fixed_part(path))
    try:
        matches = sorted(root.glob(str(path.relative_to(root))))
    except ValueError as error:
        raise UsageError(f"{name}: not a pattern for file names ({error}); write it as folder/**/*.png") from error
    return [Source(match, match.relative_to(root)) for match in matches if match.is_file() and is_image(match)]


def _fixed_part(pattern: Path) -> list[str]:
    """The folders of a glob before its first pattern."""
    fixed = []
    for part in pattern.parts[:-1]:
        if _MAGIC & set(part):
            break
        fixed.append(part)
    return fixed or ["."]


def _asked(question: Callable[[], bool]) -> bool:
    """A path that is too long or may not be asked about is taken for a file, which reading then says in words."""
    try:
        return question()
    except OSError:
        return False


def _refuse_unlisted(error: OSError) -> None:
    """Its images would go uninspected without a word."""
    raise UsageError(
        f"{error.filename}: the folder cannot be listed ({error.strerror}); check its rights and its drive or network, "
        "or name the folders beside it"
    ) from error


def _below(folder: Path) -> list[Source]:
    walk = os.walk(folder, onerror=_refuse_unlisted)
    files = (Path(base) / file for base, _, names in walk for file in names)
    return [Source(file, file.relative_to(folder)) for file in sorted(files) if is_image(file)]


def _of_lines(lines: Iterable[bytes]) -> Iterator[Source]:
    for line in lines:
        name = os.fsdecode(line.rstrip(b"\r"))
        if not name.strip():
            continue
        path = Path(name)
        if _asked(path.is_dir):
            yield from _below(path)
        else:
            yield Source(path, PurePath(path.name or "image"))
