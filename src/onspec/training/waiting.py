"""How long torch's threads wait busily for each other, which decides what training takes beside other programs."""

import os

_SPINS = "10000"
"""GNU's OpenMP, which torch has on Linux, otherwise looks 300,000 times before a waiting thread lets go of its core."""


def wait_briefly() -> None:
    """Ask GNU's OpenMP, before torch loads it, to let go of a core soon; unless the environment says how it shall wait.

    Training uses all cores. Where another program needs one of them, the thread on it pauses for milliseconds between
    any two meetings of a step, and the others would wait busily on the cores that it could go on with;
    benchmarks/busy_machine.py measures what that costs.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
