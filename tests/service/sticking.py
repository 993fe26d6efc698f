"""Run by a test: two workers as `onspec serve` starts them, whose engine never comes back from the part `stuck`.

Arguments: a recipe file, and after how many seconds of silence a worker is replaced.
"""

import sys
import threading
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socket

from onspec.runtime.inspector import Decoded, Inspector, Result
from onspec.service import running
from onspec.service.logs import log_to_stderr
from onspec.service.queue import BatchPolicy
from onspec.service.recipes import Opening
from onspec.service.server import address_of, listen

WORK = running._work


def work(station: running.Station, sock: socket, connection: Connection, restarted: bool) -> None:
    """A worker."""
    judge = Inspector.inspect_decoded

    def judge_or_hang(self: Inspector, decoded: Decoded, name: str, part_id: str | None = None) -> Result:
        if part_id == "stuck":
            threading.Event().wait()
        return judge(self, decoded, name, part_id)

    Inspector.inspect_decoded = judge_or_hang  # type: ignore[method-assign]
    WORK(station, sock, connection, restarted)


if __name__ == "__main__":
    running._work = work
    station = running.Station(
        (Path(sys.argv[1]),), workers=2, opening=Opening(threads=1), policy=BatchPolicy(deadline_ms=500),
        silent_s=float(sys.argv[2]),
    )  # fmt: skip
    with ExitStack() as stack:
        station = running.prepare(station, stack)
        listening = listen("127.0.0.1", 0)
        log_to_stderr()
        sys.stderr.write(f"onspec: {address_of(listening)} judges\n")
        running.run_workers(station, listening)
