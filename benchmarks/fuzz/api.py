"""A real server, asked by what its OpenAPI describes and by what nobody would describe."""

import random
import time
from pathlib import Path

from benchmarks.fuzz.described import try_described
from benchmarks.fuzz.odd import try_odd
from benchmarks.fuzz.originals import originals
from benchmarks.fuzz.serving import TOKEN, serving
from benchmarks.fuzz.tally import REQUESTS_HEADER, Requests

from onspec.recipe.package import Package
from onspec.recipe.reading import open_package


def try_api(recipe: Path, count: int, seed: int, end: float, out: Path) -> int:
    """At least `count` requests, half of them where tokens are needed, unless it is later than `end`; the number of
    faults."""
    package, total, peak = open_package(recipe), Requests("all"), 0.0
    images = bodies(package, seed)
    print(REQUESTS_HEADER)
    for token in (None, TOKEN):
        if token is not None and time.monotonic() > end:
            break
        with serving(recipe, images[0], token) as server:
            rows = try_odd(server, count // 2, seed, images, out)
            if (fault := server.fault()) is not None:
                rows[-1].fault(fault, out)
            rows += try_described(server, max(1, count // 200), seed, images, out)
            peak = max(peak, server.peak_mb())
        for row in rows:
            row.name += "" if token is None else ", token"
            total.include(row)
            print(row, flush=True)
    print(total)
    print(f"the server had at most {peak:.0f} MB", flush=True)
    return total.faults


def bodies(package: Package, seed: int) -> list[bytes]:
    """Image files to send: first one that is judged, then right ones and damaged ones of every format."""
    chance = random.Random(seed)
    files = originals(package)
    return [
        _good(package),
        *(original.data for original in files.values()),
        *(m.change(o.data, o.other, chance) for o in files.values() for m in o.mutations),
    ]


def _good(package: Package) -> bytes:
    return next(golden.data for golden in package.golden if golden.expected and golden.expected.verdict == "OK")
