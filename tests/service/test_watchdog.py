"""Signs of life for systemd: given while all is well, and not otherwise."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onspec.service.watchdog import Watchdog

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ONSPEC_")}


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(30)
        yield listening


def signs(systemd: socket.socket, seconds: float) -> int:
    """How many come in so long."""
    count, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        systemd.settimeout(left)
        try:
            assert systemd.recv(100) == b"WATCHDOG=1"
            count += 1
        except TimeoutError:
            break
    return count


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_that_is_stopped_gives_no_sign(
    tiny_recipe_path: Path, tmp_path: Path, systemd: socket.socket, workers: str
) -> None:
    command = [sys.executable, "-m", "onspec.cli", "serve", str(tiny_recipe_path), "--port", "0", "--workers", workers]
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    with (tmp_path / "log").open("w") as log:
        served = subprocess.Popen(command, env=ENVIRONMENT | told, stderr=log)
    try:
        assert systemd.recv(100) == b"WATCHDOG=1"
        systemd.settimeout(30)
        assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        served.send_signal(signal.SIGSTOP)
        signs(systemd, 0.2)
        assert signs(systemd, 1.0) == 0
        served.send_signal(signal.SIGCONT)
        systemd.settimeout(30)
        assert systemd.recv(100) == b"WATCHDOG=1"
    finally:
        served.send_signal(signal.SIGTERM)
        assert served.wait(45) == 0


def test_an_engine_that_does_not_answer_ends_the_signs(tmp_path: Path, systemd: socket.socket) -> None:
    watchdog = Watchdog({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "40000"})

    async def keep(alive: bool) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watchdog.keep(lambda: alive), 0.3)

    asyncio.run(keep(False))
    assert signs(systemd, 0.1) == 0
    asyncio.run(keep(True))
    assert signs(systemd, 0.1) >= 3


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"NOTIFY_SOCKET": "/run/notify"},
        {"WATCHDOG_USEC": "1000000"},
        {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_where_nobody_watches_nothing_is_said(told: dict[str, str]) -> None:
    watchdog = Watchdog(told)
    assert watchdog.every_s is None
    watchdog.sign()
    asyncio.run(watchdog.keep(lambda: True))  # ends at once


def test_a_socket_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    watchdog = Watchdog({"NOTIFY_SOCKET": str(tmp_path / "absent"), "WATCHDOG_USEC": "1000"})
    watchdog.sign()
    assert Watchdog({"NOTIFY_SOCKET": "@onspec", "WATCHDOG_USEC": "1000"}).every_s == 0.0005
