"""XML label files, read without the parts of XML that can be used for an attack.

A document type can define entities that grow to gigabytes ("billion laughs") or that fetch other files. No labelling
tool writes one, so a file that has one is refused before anything of it is expanded.
"""

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from onspec.domain import LabelError


class _SeenEnoughError(Exception):
    """The document element began, and no document type can follow."""


def read_xml(path: Path) -> ElementTree.Element:
    """The document's outermost element.

    Raises:
        LabelError: it cannot be read, has a document type, or is no XML; with the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LabelError(f"{path}: label file cannot be read ({error.strerror}); check its rights") from error
    try:
        _refuse_document_type(data, path)
        return ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError) as error:
        line = error.lineno if isinstance(error, expat.ExpatError) else error.position[0]
        what = "empty" if not data.strip() else f"not valid XML ({expat.ErrorString(error.code)})"
        raise LabelError(f"{path}, line {line}: label file is {what}; export or copy it again") from error
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise LabelError(f"{path}: label file is not valid XML ({error}); export it again as UTF-8") from error


def _refuse_document_type(data: bytes, path: Path) -> None:
    """Parse as far as the outermost element."""

    def refuse(*_: object) -> None:
        raise LabelError(
            f"{path}: label file has a document type (DOCTYPE), which no labelling tool writes and which can be an "
            "attack; remove it from the file, or the file from the set"
        )

    def enough(*_: object) -> None:
        raise _SeenEnoughError

    probe = expat.ParserCreate()
    probe.StartDoctypeDeclHandler = refuse
    probe.StartElementHandler = enough
    try:
        probe.Parse(data, True)
    except _SeenEnoughError:
        return
