"""A process with a memory limit that tries one file after another, so that a crash or a hang of it is seen."""

import contextlib
import multiprocessing
import os
import re
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

_MOST_WAIT = 12
"""Times as long as it may work, it may take by the clock."""

Attempt = Callable[[bytes, bytes, bool], str]
"""(damaged, original, whether the format tells the damage) → what happened, in a word; a fault starts with "fault"."""


def _serve(pipe: Connection, prepare: Callable[[str], Attempt], argument: str, limit: int) -> None:
    attempt = prepare(argument)
    for stream in (1, 2):  # the decoders' own words about damage
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    pipe.send("ready")
    while True:
        data, original, told = pipe.recv()
        _forget_peak()
        try:
            outcome = attempt(data, original, told)
        except BaseException as error:  # whatever is not the domain's is what we look for
            outcome = f"fault {type(error).__name__}: {error}"
        pipe.send((outcome, _peak_mb()))


def _forget_peak() -> None:
    """Let the kernel measure the peak from here on; where it does not, it is that of all files so far."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    return (int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024


def _worked(pid: int | None) -> float:
    """Seconds of processor time of a process; by the clock, where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Worker:
    """One such process; started anew after a crash, or after it worked `seconds` without an answer."""

    def __init__(self, prepare: Callable[[str], Attempt], argument: str, seconds: float, limit: int = 4 << 30) -> None:
        self._arguments = (prepare, argument, limit)
        self._seconds = seconds
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()

    def attempt(self, data: bytes, original: bytes, told: bool) -> tuple[str, float]:
        """What happened, and the most MB that the process had meanwhile."""
        try:
            self._pipe.send((data, original, told))
            if self._answers():
                outcome: tuple[str, float] = self._pipe.recv()
                return outcome
            fault = f"fault hang: over {self._seconds} s"
        except (EOFError, OSError):
            self._process.join()
            fault = f"fault crash: exit code {self._process.exitcode}"
        self.close()
        self._start()
        return fault, 0.0

    def _answers(self) -> bool:
        """Whether it does before it has worked `seconds`. That it waits for a busy machine is not its fault."""
        begun, end = _worked(self._process.pid), time.monotonic() + _MOST_WAIT * self._seconds
        while not self._pipe.poll(0.2):
            if _worked(self._process.pid) - begun > self._seconds or time.monotonic() > end:
                return False
        return True

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()
