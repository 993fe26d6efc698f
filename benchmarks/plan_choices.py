"""What a choice of the plan is worth: the plan that onspec makes of a set, and the same with other choices in it.

    python -m benchmarks.plan_choices DATA CHOICE … [--steps 1200 | --budget 5m] [--seeds 0 1] [--keep DIR]
        [-- further options of onspec train, for each]

A CHOICE is field=value, or several with commas: `optimiser=adamw`, `input.scale=1.0,crop=160`. One after another, each
trains as long as the plan of onspec does, on the same images. Prints a row a run: what the held-out parts say of the
network that is kept, by which to choose, and the figures of the test parts, by which to tell what came of it.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.quality import COLUMNS, measure, parted, row
from ruamel.yaml import YAML

from onspec.training.plan import Plan


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("choices", nargs="+", metavar="CHOICE", type=_choice)
    parser.add_argument("--steps", type=int, help="as many for each; otherwise what the budget allows")
    parser.add_argument("--budget", default="60m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--keep", type=Path, help="folder for the runs; otherwise they are deleted")
    own, further = parted(sys.argv[1:])
    given = parser.parse_args(own)
    options = [*further, *(["--steps", str(given.steps)] if given.steps else [])]
    told = " ".join([f"{given.steps} steps" if given.steps else given.budget, *further])
    print(f"{given.data.name}, {told}, {date.today()}, {platform.machine()}")
    print(f"| plan | validation | {' | '.join(COLUMNS)} |\n{'|---' * (len(COLUMNS) + 2)}|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        for seed in given.seeds:
            _run(given.data, folder / "as-planned", given.budget, seed, options, "as planned")
            for number, choice in enumerate(given.choices, start=1):
                plan = folder / f"choice{number}-seed{seed}.yaml"
                changed(folder / "as-planned" / f"seed{seed}" / "plan.yaml", choices_of(choice), plan)
                planned = [*options, "--plan", str(plan)]
                _run(given.data, folder / f"choice{number}", given.budget, seed, planned, choice)


def _choice(told: str) -> str:
    """The choice as it is, if the plan has such fields."""
    for name in choices_of(told):
        if name.partition(".")[0] not in Plan.model_fields:
            raise argparse.ArgumentTypeError(f"the plan has no field {name!r}; it has {', '.join(Plan.model_fields)}")
    return told


def choices_of(told: str) -> dict[str, Any]:
    """`a.b=1,c=x` → {"a.b": 1, "c": "x"}."""
    pairs = (pair.partition("=") for pair in told.split(","))
    return {name.strip(): YAML(typ="safe").load(value) for name, _, value in pairs}


def changed(plan: Path, choices: Mapping[str, Any], to: Path) -> None:
    """Write the plan with other choices."""
    yaml = YAML()
    document = yaml.load(plan)
    for name, value in choices.items():
        *within, last = name.split(".")
        place = document
        for step in within:
            place = place[step]
        place[last] = value  # training refuses what a plan cannot hold
    yaml.dump(document, to)


def _run(data: Path, folder: Path, budget: str, seed: int, options: list[str], name: str) -> None:
    metrics = measure(data, folder, budget, seed, options)
    recipe = json.loads((folder / f"seed{seed}" / "recipe.json").read_text())
    held = recipe["provenance"]["metrics"].items()
    validation = ", ".join(f"{figure.removeprefix('val_')} {value:.3f}" for figure, value in held if value is not None)
    print(f"| {name} | {validation} {row(metrics)}", flush=True)


if __name__ == "__main__":
    main()
