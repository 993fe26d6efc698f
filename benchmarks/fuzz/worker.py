"""A process with a memory limit that tries one file after another, so that a crash or a hang of it is seen."""

import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection

Attempt = Callable[[bytes, bytes], str]
"""(damaged, original) → what happened: a fault starts with "fault"."""


def _serve(pipe: Connection, prepare: Callable[[str], Attempt], argument: str, limit: int) -> None:
    attempt = prepare(argument)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    pipe.send("ready")
    while True:
        data, original = pipe.recv()
        try:
            outcome = attempt(data, original)
        except BaseException as error:  # whatever is not the domain's is what we look for
            outcome = f"fault {type(error).__name__}: {error}"
        pipe.send((outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


class Worker:
    """One such process; started anew after a crash or after `seconds` without an answer."""

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

    def attempt(self, data: bytes, original: bytes) -> tuple[str, float]:
        """What happened, and the most MB that the process had."""
        try:
            self._pipe.send((data, original))
            if self._pipe.poll(self._seconds):
                outcome: tuple[str, float] = self._pipe.recv()
                return outcome
            fault = f"fault hang: over {self._seconds} s"
        except (EOFError, OSError):
            self._process.join()
            fault = f"fault crash: exit code {self._process.exitcode}"
        self.close()
        self._start()
        return fault, 0.0

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()
