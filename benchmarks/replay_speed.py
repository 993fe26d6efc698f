"""How long replay takes: builds an archive of recorded parts, judges them by changed rules, prints time and memory.

    python benchmarks/replay_speed.py [--parts 100000] [--rules zones]

The parts are made up: 7 of 10 without a defect, the others with one to four outlined ones; every twentieth is reviewed.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np

from onspec.decision.judge import judge
from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Inspection, Prediction, ScoreMap
from onspec.records.archive import Archive
from onspec.records.query import Filter
from onspec.records.record import RecipeFacts, Record, Review, changes_of, new_id, now, review_change
from onspec.records.replay import Replay, Summary

RULES: dict[str, dict[str, object]] = {
    "sizes": {"rules": [{"name": "large", "when": {"min_area_px": 150}}, {"name": "many", "max_count": 2}]},
    "zones": {
        "zones": {"seal": {"ring": {"centre": [256, 256], "inner": 120, "outer": 220}}},
        "rules": [{"name": "seal", "when": {"zone": "seal"}}, {"name": "near", "max_count": 1, "within_px": 40}],
    },
}
THRESHOLDS = Thresholds(image=0.6, pixel=0.5)


def facts(identity: str, rules: RuleSet) -> RecipeFacts:
    """Of a recipe with these rules and always the same network."""
    recipe = {
        "task": "segment", "classes": ["defect"], "separate": False, "input": {},
        "thresholds": THRESHOLDS.model_dump(), "rules": rules.model_dump(mode="json", by_alias=True),
    }  # fmt: skip
    return RecipeFacts(identity, "tile", "00" * 32, json.dumps(recipe))


def inspections(identity: str, count: int) -> list[Inspection]:
    """Some that are then recorded over and over."""
    chance, made = random.Random(7), []
    for _ in range(count):
        values = np.zeros((512, 512), np.float32)
        for _ in range(0 if chance.random() < 0.7 else chance.randint(1, 4)):
            row, column = np.ogrid[:512, :512]
            x, y, a, b = chance.randint(20, 490), chance.randint(20, 490), chance.randint(3, 18), chance.randint(3, 9)
            values[((column - x) / a) ** 2 + ((row - y) / b) ** 2 <= 1] = chance.uniform(0.55, 1.0)
        told = judge(Prediction((ScoreMap(values, "defect"),)), THRESHOLDS)
        made.append(
            Inspection(
                image="part.png",
                verdict=told.verdict,
                score=told.score,
                class_scores=told.class_scores,
                reasons=told.reasons,
                fired=told.fired,
                defects=told.defects,
                size=(512, 512),
                recipe=identity,
                engine="none",
                ms={"read": 2.0, "infer": 20.0, "decide": 0.3},
            )
        )
    return made


def build(url: str, parts: int) -> None:
    """An archive with so many parts."""
    identity = "tile@sha256:" + "ab" * 32
    archive = Archive(url)
    archive.database.insert([facts(identity, RuleSet()).change()])
    some, begin = inspections(identity, 500), now() - timedelta(days=7)
    for start in range(0, parts, 2000):
        changes = []
        for number in range(start, min(parts, start + 2000)):
            time_ = begin + timedelta(seconds=number)
            record = Record(new_id(), time_, "bench", some[number % len(some)], None)
            changes += changes_of(record)
            if number % 20 == 0:
                review = Review(truth="defective" if number % 40 == 0 else "good", by="bench")
                changes.append(review_change(review, record.id, new_id(), time_))
        archive.database.insert(changes)
    archive.close()


def run(url: str, rules: str) -> Iterator[str]:
    """Lines to print."""
    archive, summary = Archive(url), Summary()
    start = time.perf_counter()
    replay = Replay(archive, facts("tile@sha256:" + "cd" * 32, RuleSet.model_validate(RULES[rules])))
    for one in replay.run(Filter()):
        summary.add(one)
    seconds = time.perf_counter() - start
    archive.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield f"rules {rules}: {summary.parts} parts, {summary.replayed} replayed, {summary.changed} changed"
    yield f"  {seconds:.1f} s, {summary.parts / seconds:.0f} parts/s, peak memory {peak:.0f} MB"


def main() -> None:
    """Each replay in a process of its own, so that its memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=100_000)
    parser.add_argument("--rules", choices=[*RULES, "all"], default="all")
    parser.add_argument("--archive", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.archive is not None:
        print("\n".join(run(given.archive, given.rules)), flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="onspec-replay-") as folder:
        url = str(Path(folder) / "records.db")
        start = time.perf_counter()
        build(url, given.parts)
        size = Path(url).stat().st_size / 1e6
        print(f"archive: {given.parts} parts, {size:.0f} MB, built in {time.perf_counter() - start:.1f} s", flush=True)
        for rules in RULES if given.rules == "all" else [given.rules]:
            command = [sys.executable, __file__, "--archive", url, "--rules", rules]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    main()
