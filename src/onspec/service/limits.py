"""How much a client may ask for: requests a second, pixels of an image, one of each header that decides something."""

import io
import struct
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic

from onspec.domain import UsageError
from onspec.imaging import png, tiff
from onspec.imaging.camera import Camera
from onspec.imaging.header import size_in
from onspec.service.problems import ProblemError

_MOST_KEYS = 10_000
"""Buckets kept; the one unused for longest goes first, so that made-up addresses do not fill the memory."""

_HEADER = 1 << 18
"""Bytes in which a header is looked for, but for a TIFF's, which may stand at the end: what holds millions of small
segments or lines would keep every other client waiting."""

ONCE = frozenset(
    b"host authorization content-type content-length content-encoding transfer-encoding onspec-deadline-ms origin "
    b"inference-header-content-length x-request-id traceparent".split()
)
"""Headers that may come once: of two, a proxy might have read the one and we the other."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Buckets:
    """Token buckets: each key may ask `rate` times a second, after a pause as often as `burst` at once."""

    def __init__(self, rate: float, burst: float | None = None) -> None:
        """Raises UsageError for a rate that is not over 0."""
        if not rate > 0:
            raise UsageError(f"--max-rate must be over 0 requests/s; got {rate:g}")
        self.rate = rate
        self.burst = max(1.0, 2 * rate if burst is None else burst)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, key: str) -> float:
        """Take one request of `key`; 0, or if there is none the seconds until there is."""
        now = monotonic()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self.burst, now)
            if len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        bucket.left = min(self.burst, bucket.left + (now - bucket.at) * self.rate)
        bucket.at = now
        if bucket.left < 1:
            return (1 - bucket.left) / self.rate
        bucket.left -= 1
        return 0.0

    def require(self, key: str) -> None:
        """Raises ProblemError 429 when `key` asks too often."""
        if (wait_s := self.spend(key)) > 0:
            raise ProblemError(
                429,
                f"{key} asks more than {self.rate:g} times a second (--max-rate); nothing was judged",
                {"Retry-After": str(int(wait_s) + 1)},
            )


def require_pixels(data: bytes, name: str, camera: Camera, most: float) -> None:
    """Look at the header before anything is unpacked: a few KB may unpack to many GB.

    What has no header that we read goes to the decoder, which has the same limit.

    Raises:
        ProblemError: 422 for an image of more than `most` pixels.
    """
    if data.startswith(png.MAGIC) and len(data) >= 24:  # without a walk through its chunks: this is the common one
        size: tuple[int, int] | None = struct.unpack_from(">II", data, 16)
    else:
        size = size_in(io.BytesIO(data if data.startswith(tiff.MAGICS) else data[:_HEADER]), camera)
    if size is not None and size[0] * size[1] > most:
        raise ProblemError(
            422,
            f"{name}: {size[0]} × {size[1]} px are more than the {most / 1e6:g} megapixels allowed "
            "(--max-megapixels); not decoded",
        )


def require_single(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raises ProblemError 400 for a header of `ONCE` that came twice."""
    names = [name for name, _ in headers]
    if len(set(names)) == len(names):
        return
    twice = sorted(name.decode("latin-1") for name, count in Counter(names).items() if count > 1 and name in ONCE)
    if twice:
        raise ProblemError(400, f"the header {twice[0]} came more than once; send it once")
