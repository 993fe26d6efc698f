"""The load that measures the service: its rows are there, and a soak finds a record for every verdict."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_rows_of_a_short_run() -> None:
    command = [sys.executable, "-m", "benchmarks.service_speed", "--only", "identity", "soak", "--seconds", "0.5"]
    done = subprocess.run(
        [*command, "--soak", "4", "--server-cpus", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    rows = dict(line[2:-2].split(" | ")[:2] for line in done.stdout.splitlines() if line.startswith("| "))
    (memory,) = (row for what, row in rows.items() if what.startswith("soak for 4 s"))
    assert re.fullmatch(r"\d+\.\d → \d+\.\d → \d+\.\d → \d+\.\d → \d+\.\d MB \([+-]\d+\.\d %\)", memory)
    assert rows["its wrong answers, and connections that broke"] == "0, 0"
    ((verdicts, compared),) = re.findall(r"its (\d+) verdicts: without a record, with two \| (\S+ \S+)", done.stdout)
    assert int(verdicts) > 20
    assert compared == "0, 0"
    (identity,) = (row for what, row in rows.items() if what.startswith("identity"))
    assert float(identity.split(" req/s")[0]) > 20
