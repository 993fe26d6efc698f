"""Make the weights that training starts from anew.

    python -m benchmarks.starting_weights OUT.npz [--surfaces 3000] [--budget 60m] [--from surfaces]
        [--sheet SHEET.png]

Paints surfaces, trains the default network on them as `onspec train --good-only` does, every defect being synthetic,
and writes its weights; `--from surfaces` goes on from those of the package, which are its file
`src/onspec/training/weights/surfaces.npz`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from benchmarks.starting_weights.surfaces import surface

from onspec.training.loop import load_kept
from onspec.training.starting import write_weights

_ON_THE_SHEET = (5, 8)


def main() -> None:
    """Parse, paint, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--surfaces", type=int, default=3000)
    parser.add_argument("--budget", default="60m")
    parser.add_argument("--keep", type=Path, help="folder for the surfaces and the run; otherwise they are deleted")
    parser.add_argument("--from", dest="start", choices=["chance", "surfaces"], default="chance", help="first weights")
    parser.add_argument("--sheet", type=Path, help="a picture of some surfaces")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        paint(folder, given.surfaces)
        if given.sheet:
            rows, columns = _ON_THE_SHEET
            shown = [surface(np.random.default_rng([1, i])) for i in range(rows * columns)]
            cv2.imwrite(str(given.sheet), np.vstack([np.hstack(shown[i::rows]) for i in range(rows)]))
        plan = folder / "plan.yaml"
        plan.write_text(_PLAN.format(start=given.start))
        arguments = ["train", folder / "data", "--out", folder / "run", "--good-only", "--budget", given.budget]
        files = ["--plan", plan, "--split-file", folder / "split.csv"]
        subprocess.run([sys.executable, "-m", "onspec.cli", *map(str, [*arguments, *files])], check=True)
        write_weights(given.out, load_kept(folder / "run").state_dict())


_PLAN = """\
start: {start}
input: {{width: {{min: 32, max: 100000}}, height: {{min: 32, max: 100000}}, channels: 1, normalise: image, stride: 32}}
synthetic_share: 1.0
"""
"""What `onspec train` plans for the surfaces, but for the start: their brightness differs, so each is standardised."""


def paint(folder: Path, count: int) -> None:
    """Good images, as the layout `folders` has them, and a split: every twentieth to validate, none to test."""
    good = folder / "data" / "good"
    good.mkdir(parents=True)
    rows = ["image,split"]
    for i in range(count):
        name = f"{i:05d}.png"
        cv2.imwrite(str(good / name), surface(np.random.default_rng([0, i])))
        rows.append(f"good/{name},{'val' if i % 20 == 0 else 'train'}")
    (folder / "split.csv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
