"""Run by a test: children record as fast as they can and are killed; prints what each was acknowledged.

Arguments: the archive's URL, its folder, the number of kills, a seed. In every third round somebody else holds the
database (SQLite only), so that records go into the spool.
"""

import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

from onspec.domain import Inspection, Verdict
from onspec.records.archive import Archive, Safety
from onspec.records.record import new_id

THREADS = 4


def child(url: str, folder: Path, out: int) -> None:
    """Until it is killed: an id goes out when its record was acknowledged."""
    archive = Archive(url, folder, safety=Safety(max_wait_ms=20))

    def work(number: int) -> None:
        for count in range(10**6):
            id_ = new_id()
            inspection = Inspection(
                image=f"{number}-{count}.png", verdict=Verdict.REVIEW, score=0.4, size=(4, 3), reasons=("unsure",),
                recipe="tile@sha256:00", engine="none",
            )  # fmt: skip
            receipt = archive.record(inspection, f"{number}-{count}".encode(), id_=id_)
            os.write(out, f"{id_} {receipt.where}\n".encode())

    for number in range(THREADS):
        threading.Thread(target=work, args=(number,)).start()


def main(url: str, folder: Path, kills: int, seed: int) -> None:
    """One child after the other."""
    chance = random.Random(seed)
    Archive(url, folder).close()
    acknowledged: list[str] = []
    for round_ in range(kills):
        with ExitStack() as stack:
            if round_ % 3 == 2 and "://" not in url:
                other = stack.enter_context(closing(sqlite3.connect(url, isolation_level=None)))
            else:
                other = None
            into, out = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(into)
                child(url, folder, out)
                threading.Event().wait()
            os.close(out)
            with os.fdopen(into, "rb") as told:
                first = told.readline()
                if other is not None:
                    other.execute("BEGIN EXCLUSIVE")
                time.sleep(chance.uniform(0.0, 0.25))
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                lines = [first, *told.readlines()]
            acknowledged += [line.decode().strip() for line in lines if line.endswith(b"\n")]
    json.dump(acknowledged, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
