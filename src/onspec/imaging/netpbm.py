"""PGM and PPM, binary and as text (netpbm): the one format that says its depth in plain words."""

import re

import numpy as np

from onspec.imaging.raw import MOST_PIXELS, Pixels, Raw, damaged, refused

MAGICS = (b"P2", b"P3", b"P5", b"P6")

_BLANK = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([2356])" + 3 * (_BLANK + rb"(\d{1,9})") + rb"(?:#[^\n]*\n)?\s")

_DIGITS = 6
"""What is kept of a longer number: more than any value that may be."""

_COMMENT = re.compile(rb"#[^\n]*")


def read_netpbm(data: bytes, name: str) -> Raw:
    """Decode; the largest value that the header names gives the depth.

    Raises:
        UnreadableImageError: pixels are missing, another image follows, or the largest value is not 2**bits - 1.
    """
    header = _HEADER.match(data)
    if header is None:
        raise damaged(name, "its header is broken")
    kind, width, height, top = (int(word) for word in header.groups())
    bits = top.bit_length()
    if top + 1 != 1 << bits or not 8 <= bits <= 16:
        raise refused(name, f"its largest value is {top}", "255, 511, 1023 … 65535", "write it with 8 to 16 bits")
    shape = (height, width) if kind in (2, 5) else (height, width, 3)
    if not 0 < width * height <= MOST_PIXELS:
        raise refused(name, f"{width}×{height} px", f"1 to {MOST_PIXELS} px", "check the header")
    body = data[header.end() :]
    pixels = _words(body, shape, top, name) if kind < 5 else _bytes(body, shape, bits, name)
    return Raw(pixels.astype(np.uint8 if bits == 8 else np.uint16), None if bits in (8, 16) else bits)


def _bytes(body: bytes, shape: tuple[int, ...], bits: int, name: str) -> Pixels:
    dtype = np.dtype(np.uint8 if bits == 8 else ">u2")
    count = int(np.prod(shape))
    _exactly(len(body), count * dtype.itemsize, bool(body[count * dtype.itemsize :].strip()), name)
    return np.frombuffer(body, dtype, count).reshape(shape)


def _words(body: bytes, shape: tuple[int, ...], top: int, name: str) -> Pixels:
    words = _COMMENT.sub(b"", body).split()
    count = int(np.prod(shape))
    _exactly(len(words), count, len(words) > count, name)
    if not all(word.isdigit() for word in words):
        raise damaged(name, "it holds what is no number")
    words = [word.lstrip(b"0")[:_DIGITS] or b"0" for word in words]
    values = np.fromiter(map(int, words), np.int64, count)
    if int(values.max()) > top:
        raise damaged(name, f"it holds the value {values.max()}; the largest that its header names is {top}")
    return values.reshape(shape)


def _exactly(got: int, wanted: int, more: bool, name: str) -> None:
    if got < wanted:
        raise damaged(name, f"{wanted - got} of its {wanted} values or bytes are missing")
    if more:
        raise refused(name, "more follows after the image", "one image a file", "save each as a file of its own")
