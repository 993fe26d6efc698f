"""Damaged files against the real readers, odd requests against a real server.

    python -m benchmarks.fuzz images|recipes|api [RECIPE] [--count N] [--seed S] [--minutes M] [--out FOLDER]

Nothing may crash, hang, take all memory or be taken for what it is not; docs/fuzzing.md says what counts as a fault.
What made one is kept in `--out`; then the exit status is 1. RECIPE has a gray 8-bit golden sample that is OK; without
one, a small recipe is made that costs no time of its own.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fuzz.small import small_recipe


def main() -> int:
    """Try, print the table; 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="benchmarks.fuzz")
    parser.add_argument("what", choices=("images", "recipes", "api"))
    parser.add_argument("recipe", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("fuzz-faults"))
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    if options.what == "api":
        from benchmarks.fuzz.api import try_api as attempt
    elif options.what == "images":
        from benchmarks.fuzz.files import try_images as attempt
    else:
        from benchmarks.fuzz.files import try_recipes as attempt
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder  # a process that was killed clears up nothing
        recipe = options.recipe or small_recipe(Path(folder))
        return int(attempt(recipe, options.count, options.seed, end, options.out) > 0)


if __name__ == "__main__":
    sys.exit(main())
