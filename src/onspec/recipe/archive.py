"""The container of a recipe file: a zip with one possible form for given members.

Members are stored without compression (weights and images hardly compress, and compressors differ between
machines), in one order, with one time stamp. So equal content is an equal file, and a file that differs from what its
members would give has been changed.
"""

import hashlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping

from onspec.domain import IntegrityError, RecipeError

RECIPE, MODEL, SPLIT, SUMS, SIGNATURE = "recipe.json", "model.onnx", "split.csv", "SHA256SUMS", "signature"
APPROVAL, COARSE = "approval.json", "coarse.onnx"
GOLDEN, EXPECTED = "golden/", "golden/expected.json"
TAUGHT = "part/taught.png"
REQUIRED = (RECIPE, MODEL, SUMS)

GOLDEN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,199}")
"""One file name; no folders, so that unpacking a recipe with any tool writes only where it should."""

MAX_FILE = 1 << 31
MAX_MEMBERS = 1000
_MAX_TEXT = 16 << 20
_TIME = (1980, 1, 1, 0, 0, 0)

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    OverflowError,
    RuntimeError,  # encrypted; NotImplementedError (unknown methods) is one, too
)
"""What zipfile raises for broken structures, wrong checksums, unknown methods and encryption."""

Members = Mapping[str, bytes]


def build(members: Members) -> bytes:
    """The file of these members, with SHA256SUMS made anew; the same bytes for the same members.

    A `signature` among the members is kept; it signs SHA256SUMS.
    """
    content = {name: data for name, data in members.items() if name != SUMS}
    content[SUMS] = sums(content)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(content, key=_order):
            info = zipfile.ZipInfo(name, _TIME)
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, content[name])
    return buffer.getvalue()


def sums(members: Members) -> bytes:
    """`SHA256SUMS` as `sha256sum --check` reads it, over everything but itself and the signature."""
    lines = [
        f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n"
        for name in sorted(members, key=_order)
        if name not in (SUMS, SIGNATURE)
    ]
    return "".join(lines).encode()


def content_digest(members: Members) -> str:
    """`sha256:HEX` of what was tested: of the lines of SHA256SUMS, but that of the approval, which may change after."""
    content = sums({name: data for name, data in members.items() if name != APPROVAL})
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def take_apart(data: bytes, name: str) -> dict[str, bytes]:
    """The members of a recipe file, after checking that it is exactly as it was packed.

    Raises:
        RecipeError: not a zip, truncated, too large, or with members that a recipe does not have.
        IntegrityError: changed after it was packed.
    """
    members = _read_zip(data, name)
    missing = [member for member in REQUIRED if member not in members]
    if missing:
        raise RecipeError(f"{name}: not a recipe: {', '.join(missing)} is missing; pack it again with onspec pack")
    for line in sums(members).decode().splitlines():
        if line not in members[SUMS].decode("ascii", "replace").splitlines():
            raise IntegrityError(f"{name}: {line[66:]} was changed after the recipe was packed; {_AGAIN}")
    if build(members) != data:
        raise IntegrityError(f"{name}: the file was changed or written anew after the recipe was packed; {_AGAIN}")
    return members


_AGAIN = "get the file again from its source, or pack it again with onspec pack"


def _read_zip(data: bytes, name: str) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _refuse_strange(infos, name)
            return {info.filename: archive.read(info) for info in infos}
    except _BROKEN as error:
        fault = f"not a recipe file, or truncated or corrupt ({error})"
        raise RecipeError(f"{name}: {fault}; get the file again from its source") from error


def _refuse_strange(infos: list[zipfile.ZipInfo], name: str) -> None:
    """Before a byte is unpacked: nothing compressed (no bombs), nothing twice, nothing unknown, no paths."""
    if len(infos) > MAX_MEMBERS:
        raise RecipeError(f"{name}: {len(infos)} members; a recipe has at most {MAX_MEMBERS}")
    seen: set[str] = set()
    for info in infos:
        if info.filename in seen or not _known(info.filename):
            what = "twice" if info.filename in seen else "which a recipe does not have"
            raise RecipeError(f"{name}: holds {info.filename!r} {what}; pack it with onspec pack")
        seen.add(info.filename)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise IntegrityError(f"{name}: {info.filename} is compressed, so the file was written anew; {_AGAIN}")
        if info.filename in (RECIPE, EXPECTED, APPROVAL, SUMS, SIGNATURE) and info.file_size > _MAX_TEXT:
            raise RecipeError(f"{name}: {info.filename} has {info.file_size} bytes; at most {_MAX_TEXT} are allowed")


def _known(member: str) -> bool:
    if member in (RECIPE, MODEL, SPLIT, APPROVAL, SUMS, SIGNATURE, EXPECTED, TAUGHT, COARSE):
        return True
    return member.startswith(GOLDEN) and GOLDEN_NAME.fullmatch(member.removeprefix(GOLDEN)) is not None


def _order(member: str) -> tuple[int, str]:
    """What a person wants to see first comes first; proofs come last."""
    first = {RECIPE: 0, MODEL: 1, COARSE: 2, SPLIT: 3, TAUGHT: 4, APPROVAL: 7, SUMS: 8, SIGNATURE: 9}
    return first.get(member, 5), member
