"""From settings to a running service: one process, or a supervisor with several."""

import os
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI

from onspec.domain import UsageError
from onspec.service.app import Settings, create_app
from onspec.service.audit import AuditLog
from onspec.service.logs import log_to_stderr
from onspec.service.metrics import MULTIPROCESS
from onspec.service.queue import BatchPolicy
from onspec.service.recipes import Opening, take_in
from onspec.service.server import GRACE_S, listen, serve
from onspec.service.store import FolderStore
from onspec.service.tokens import Tokens
from onspec.service.versions import Version
from onspec.service.workers import SILENT_S, Link, Supervisor

if TYPE_CHECKING:
    from onspec.service.recording import Archiving, Recording


@dataclass(frozen=True, slots=True)
class Station:
    """Everything a worker is started with.

    Attributes:
        files: recipe files to begin with.
        folder: state of the recipes, kept over restarts and shared by workers; needed by more than one.
        workers: processes.
        silent_s: a worker of several whose event loop or engine gave no sign of life for so long is replaced.
        archive: where every verdict is recorded before it is given; `None` records none.
    """

    files: tuple[Path, ...]
    folder: Path | None = None
    workers: int = 1
    opening: Opening = Opening()  # noqa: RUF009 - frozen
    tokens: Tokens = field(default_factory=Tokens)
    settings: Settings = Settings()  # noqa: RUF009 - frozen
    policy: BatchPolicy = BatchPolicy()  # noqa: RUF009 - frozen
    archive: "Archiving | None" = None
    silent_s: float = SILENT_S


def application(station: Station, link: Link | None = None) -> FastAPI:
    """The application of one process. Raises what opening the recipes raises."""
    store = None if station.folder is None else FolderStore(station.folder)
    inspectors = [] if store is not None else [station.opening(path) for path in station.files]
    recording = None if station.archive is None else _recording(station.archive)
    app = create_app(
        inspectors,
        tokens=station.tokens,
        settings=station.settings,
        policy=station.policy,
        store=store,
        opening=station.opening,
        recorder=recording,
        link=link,
    )
    if recording is not None:
        recording.join(app)
    return app


def _recording(archive: "Archiving") -> "Recording":
    """Imported only here: who keeps no records needs no database."""
    from onspec.service.recording import Recording

    return Recording(archive.open())


def prepare(station: Station, stack: ExitStack) -> Station:
    """Put the given files into the folder, and share the cores among the workers; `stack` removes what is temporary.

    Raises:
        UsageError, RecipeError, IntegrityError: a file, the folder or the address of gRPC cannot be used.
    """
    if station.settings.grpc is not None:
        _require_free(station.settings.grpc)
    if station.workers > 1 and station.folder is None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="onspec-recipes-"))
        station = replace(station, folder=Path(folder))
    if station.workers > 1:  # what no worker could start with is told here, once
        for path in station.files:
            Version(station.opening(path)).inspector.close()
        if station.archive is not None:
            station.archive.open().close()
    if station.folder is not None:
        take_in(FolderStore(station.folder), station.files, station.opening)
    if station.settings.audit is not None:
        AuditLog(station.settings.audit)
    if station.workers > 1 and station.opening.threads is None:
        threads = max(1, (os.cpu_count() or 1) // station.workers)
        station = replace(station, opening=replace(station.opening, threads=threads))
    return station


def _require_free(address: str) -> None:
    """HOST:PORT, here in the process that talks to the user: workers share a port, with another program's, too."""
    host, _, port = address.rpartition(":")
    try:
        listen(host.strip("[]"), int(port)).close()
    except UsageError:
        raise UsageError(f"cannot listen on --grpc {address}; choose another address") from None


def identities(station: Station) -> list[str]:
    """NAME@sha256:HEX of what is active in the folder."""
    assert station.folder is not None
    recipes = FolderStore(station.folder).read().recipes
    return [f"{name}@sha256:{recipe.active}" for name, recipe in recipes.items()]


def run_workers(station: Station, sock: socket.socket) -> None:
    """Until SIGINT or SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="onspec-metrics-") as folder:
        os.environ[MULTIPROCESS] = folder  # the workers, which start anew, find it there
        try:
            Supervisor(station.workers, _work, station, sock, GRACE_S + 10, station.silent_s).run()
        finally:
            del os.environ[MULTIPROCESS]


def _work(station: Station, sock: socket.socket, connection: Connection, restarted: bool) -> None:
    log_to_stderr()
    serve(application(station, Link(connection, restarted=restarted)), sock, station.settings.tls)
