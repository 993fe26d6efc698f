"""A real `onspec serve` in a process of its own, with records, with and without tokens."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

TOKEN = "a-token-of-32-characters-or-more!"
MOST_BODY_MB = 8
"""Small, so that what is larger is tried, too."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, and what it has: a recipe's name and version, and a record's id."""

    url: str
    process: "subprocess.Popen[str]"
    token: str | None
    recipe: str = ""
    version: str = ""
    record: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What a request needs."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def fault(self) -> str | None:
        """Why it is not as it was; `None` where it is."""
        if self.process.poll() is not None:
            return f"the server ended with {self.process.returncode}"
        try:
            answer = httpx.get(f"{self.url}/v2/health/ready", timeout=5)
        except httpx.HTTPError as error:
            return f"the server does not answer ({error!r})"
        return None if answer.status_code == 200 else f"the server is not ready: {answer.text}"

    def peak_mb(self) -> float:
        """The most memory that it had; 0 where the system does not tell."""
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        except OSError:
            found = None
        return int(found[1]) / 1024 if found else 0.0


@contextmanager
def serving(recipe: Path, good: bytes, token: str | None) -> Iterator[Server]:
    """From its first answer to its end. `good` is judged once, so that there is a record."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "onspec.cli", "serve", str(recipe), "--port", "0", "--keep-ok", "1"]
        command += ["--db", f"{folder}/records.db", "--max-body-mb", str(MOST_BODY_MB), "--threads", "1"]
        if token is not None:
            path = Path(folder, "tokens")
            path.write_text(f"fuzzer:admin:{token}\n")
            path.chmod(0o600)
            command += ["--token-file", str(path)]
        with Path(folder, "log").open("w+") as log:
            process = subprocess.Popen(command, stderr=log, text=True)
            try:
                yield _ready(process, Path(folder, "log"), good, token)
            finally:
                process.terminate()
                process.wait(60)


def _ready(process: "subprocess.Popen[str]", log: Path, good: bytes, token: str | None) -> Server:
    for _ in range(600):
        found = re.search(r"http://[0-9.:]+", log.read_text())
        server = None if found is None else Server(found[0], process, token)
        if process.poll() is not None:
            break
        if server is not None and server.fault() is None:
            return _filled(server, good)
        time.sleep(0.1)
    raise SystemExit(f"onspec serve did not start: {log.read_text()[:2000]}")


def _filled(server: Server, good: bytes) -> Server:
    with httpx.Client(base_url=server.url, headers=server.headers, timeout=10) as client:
        client.post("/api/inspect", content=good).raise_for_status()
        recipe = client.get("/api/recipes").json()[0]
        record = client.get("/api/records").json()["records"][0]["id"]
    return Server(server.url, server.process, server.token, recipe["name"], recipe["active"], record)
