"""An archive, inspections for it, and PostgreSQL as Debian has it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'serve' is not installed")

from onspec.domain import Defect, Inspection, Verdict
from onspec.records.archive import Archive

PNG = b"\x89PNG\r\n\x1a\n and so on "


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """Empty, in SQLite."""
    opened = Archive(str(tmp_path / "records.db"), station="cell 4")
    yield opened
    opened.close()


def _defect(**changes: Any) -> Defect:  # noqa: ANN401
    known: dict[str, Any] = {
        "cls": "scratch", "score": 0.9, "bbox": (30, 20, 10, 6), "centroid": (34.5, 22.5), "area_px": 60,
        "length_px": 10.0, "width_px": 6.0, "elongation": 10 / 6, "orientation_deg": 0.0,
        "distance_to_edge_px": 20.0, "polygon": ((30, 20), (30, 25), (39, 25), (39, 20)),
    }  # fmt: skip
    return Defect(**{**known, **changes})


@pytest.fixture
def defect() -> Callable[..., Defect]:
    """A scratch of 10×6 px at (30, 20), with changes."""
    return _defect


@pytest.fixture
def inspection() -> Callable[..., Inspection]:
    """An inspection of a part with a scratch, or a good one, with changes."""

    def make(verdict: Verdict = Verdict.NG, **changes: Any) -> Inspection:  # noqa: ANN401
        known: dict[str, Any] = {
            "image": "a.png", "part_id": "17", "verdict": verdict, "recipe": "tile@sha256:" + "ab" * 32,
            "engine": "onnxruntime", "ms": {"read": 1.5, "infer": 20.0},
        }  # fmt: skip
        if verdict is Verdict.ERROR:
            known |= {"error": "a.png: truncated"}
        else:
            known |= {"score": 0.1, "class_scores": {"scratch": 0.1}, "size": (96, 64)}
        if verdict is Verdict.NG:
            known |= {"score": 0.9, "defects": (_defect(),), "reasons": ("defect: score 0.90 >= 0.50",)}
        return Inspection(**{**known, **changes})

    return make


class Postgres:
    """A server of its own in a folder of its own."""

    def __init__(self, folder: Path, bin_: Path) -> None:
        self._folder, self._bin = folder, bin_
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._run("initdb", "-D", str(folder / "data"), "-U", "onspec", "-A", "trust", "--no-sync", "--no-instructions")

    @property
    def url(self) -> str:
        """Of its database."""
        return f"postgresql://onspec@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Returns when it answers."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1"
        self._run(
            "pg_ctl", "-D", str(self._folder / "data"), "-w", "-l", str(self._folder / "log"), "-o", options, "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        """As if the power went, unless said otherwise."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-m", mode, "stop")

    def _run(self, program: str, *arguments: str) -> None:
        """As somebody without rights: PostgreSQL refuses root."""
        known = pwd.getpwnam(self._user) if os.geteuid() == 0 else None
        subprocess.run(
            [self._bin / program, *arguments], check=True, timeout=60, cwd=self._folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            user=None if known is None else known.pw_uid, group=None if known is None else known.pw_gid,
            extra_groups=None if known is None else [],
        )  # fmt: skip


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    which = shutil.which("initdb")
    return found[-1].parent if found else None if which is None else Path(which).resolve().parent


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """PostgreSQL, running."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL here; install Debian's postgresql")
    with tempfile.TemporaryDirectory(prefix="onspec-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        server = Postgres(folder, programs)
        server.start()
        yield server
        server.stop()
