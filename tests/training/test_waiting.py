import os
import subprocess
import sys

import pytest


def _spins(**wishes: str) -> str | None:
    """What the OpenMP that torch loads says of itself; `None` where it is another one than GNU's."""
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", **wishes}
    done = subprocess.run(
        [sys.executable, "-c", "import onspec.training.run"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    return lines[-1].split("'")[1] if lines else None


def test_threads_let_go_of_a_core_soon() -> None:
    if (spins := _spins()) is None:
        pytest.skip("torch has another OpenMP here")
    assert spins == "10000"


@pytest.mark.parametrize(
    ("wish", "spins"), [({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "active"}, "30000000000")]
)
def test_what_the_environment_says_stands(wish: dict[str, str], spins: str) -> None:
    if (found := _spins(**wish)) is None:
        pytest.skip("torch has another OpenMP here")
    assert found == spins
