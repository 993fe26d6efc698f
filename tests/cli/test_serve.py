"""`onspec serve` as a plant runs it: a process of its own, asked over HTTP, stopped by a signal."""

import inspect
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from numpy.typing import NDArray

from onspec.cli import main as cli
from onspec.cli.serve import command
from onspec.imaging.writing import write_image

TOKEN = "a-token-for-the-line-controller"
COMMAND = [sys.executable, "-m", "onspec.cli"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ONSPEC_")}


class Server:
    """A running `onspec serve`: where it listens, and what it said on stderr so far."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "serve", *arguments, "--port", "0", "--threads", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT | environment,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.said = [self.process.stderr.readline()]
        self.url = next((word for word in self.said[0].split() if word.startswith("http")), "")
        self._reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr or ()))
        self._reader.start()

    def wait_ready(self) -> None:
        """Until the golden samples passed; at most 30 s."""
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/v2/health/ready", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        pytest.fail(f"not ready: {self.said}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Exit code after a signal; the process is gone afterwards, whatever it does."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(40)
        finally:
            self.process.kill()
            self._reader.join(5)
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log lines after the first, which is for people."""
        return [json.loads(line) for line in self.said[1:]]


@contextmanager
def serving(*arguments: str | Path, **environment: str) -> Iterator[Server]:
    server = Server([str(argument) for argument in arguments], environment)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


@pytest.fixture
def parts(tmp_path: Path, make_part: Callable[..., NDArray[Any]]) -> list[Path]:
    """Ten parts with 0…9 spots, in several formats."""
    paths = [tmp_path / "parts" / f"{n}{('.png', '.tif', '.bmp')[n % 3]}" for n in range(10)]
    for n, path in enumerate(paths):
        write_image(path, make_part(*[(4 + 9 * k, 8, 6, 6) for k in range(n)]))
    return paths


@pytest.mark.slow
def test_its_verdicts_are_those_of_onspec_inspect(tiny_recipe_path: Path, parts: list[Path]) -> None:
    lines = subprocess.run(
        [*COMMAND, "inspect", str(tiny_recipe_path), *map(str, parts)],
        capture_output=True, text=True, check=True, timeout=120, env=ENVIRONMENT,
    ).stdout.splitlines()  # fmt: skip
    local = [json.loads(line) for line in lines]
    with serving(tiny_recipe_path) as server, ThreadPoolExecutor(4) as clients:
        answers = clients.map(lambda path: httpx.post(f"{server.url}/api/inspect", content=path.read_bytes()), parts)
        remote = [answer.json() for answer in answers]
    changing = {"image", "ms"}
    assert len(local) == len(parts)
    assert [{k: v for k, v in one.items() if k not in changing} for one in remote] == [
        {k: v for k, v in one.items() if k not in changing} for one in local
    ]
    assert {one["verdict"] for one in remote} == {"OK", "NG"}


def test_it_says_where_it_is_then_logs_json_and_ends_with_0(tiny_recipe_path: Path, parts: list[Path]) -> None:
    with serving(tiny_recipe_path) as server:
        assert server.said[0].startswith("onspec: http://127.0.0.1:")
        assert "tiny@sha256:" in server.said[0]
        httpx.post(f"{server.url}/api/inspect?part_id=17", content=parts[3].read_bytes())
        httpx.post(f"{server.url}/api/inspect", content=b"not an image")
        assert server.stop() == 0
    events = [line for line in server.log if line["event"] in ("ready", "inspected", "stopped")]
    assert [line["event"] for line in events] == ["ready", "inspected", "inspected", "stopped"]
    assert (events[1]["part_id"], events[1]["verdict"], events[2]["verdict"]) == ("17", "NG", "ERROR")
    assert not any("traceback" in line for line in server.log)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_in_flight_finish(tiny_recipe_path: Path, parts: list[Path], number: int) -> None:
    """The body comes slowly: the signal arrives in the middle of the request, and the answer is still a verdict."""
    data = parts[2].read_bytes()
    halfway = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield data[:20]
        halfway.set()
        time.sleep(0.5)
        yield data[20:]

    with serving(tiny_recipe_path) as server, ThreadPoolExecutor(1) as clients:
        answer = clients.submit(httpx.post, f"{server.url}/api/inspect", content=slowly(), timeout=30)
        assert halfway.wait(30)
        time.sleep(0.1)
        assert server.stop(number) == 0
        assert answer.result(30).json()["verdict"] == "NG"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/v2/health/live", timeout=5)


def test_readers_of_events_do_not_keep_it_from_stopping(tiny_recipe_path: Path) -> None:
    with serving(tiny_recipe_path) as server, httpx.stream("GET", f"{server.url}/api/events", timeout=30) as events:
        assert next(events.iter_lines()).startswith(":")
        start = time.perf_counter()
        assert server.stop() == 0
        assert time.perf_counter() - start < 10


@pytest.mark.slow
def test_a_decompression_bomb_is_refused_by_its_header(tiny_recipe_path: Path) -> None:
    """20,000 × 20,000 px of gray in 400 KB would take 400 MB unpacked."""
    with serving(tiny_recipe_path) as server:
        before = peak_mb(server.process.pid)
        answer = httpx.post(f"{server.url}/api/inspect", content=bomb(20_000), timeout=30)
        assert answer.status_code == 422
        assert "not decoded" in answer.json()["error"]
        assert peak_mb(server.process.pid) - before < 100


@pytest.mark.slow
def test_the_limit_of_pixels_is_a_setting(tiny_recipe_path: Path, parts: list[Path]) -> None:
    with serving(tiny_recipe_path, "--max-megapixels", "0.0062") as server:  # the parts have 0.006144
        assert httpx.post(f"{server.url}/api/inspect", content=parts[0].read_bytes()).status_code == 200
        assert httpx.post(f"{server.url}/api/inspect", content=bomb(80)).status_code == 422


@pytest.mark.slow
def test_idle_takes_no_cpu(tiny_recipe_path: Path) -> None:
    with serving(tiny_recipe_path) as server:
        time.sleep(0.5)
        before = cpu_s(server.process.pid)
        time.sleep(2)
        assert cpu_s(server.process.pid) - before <= 0.05


@pytest.mark.slow
def test_tokens_of_a_file_and_of_the_environment(tiny_recipe_path: Path, tmp_path: Path, parts: list[Path]) -> None:
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    header = {"Authorization": f"Bearer {TOKEN}"}
    with serving(tiny_recipe_path, ONSPEC_TOKEN_FILE=str(tmp_path / "tokens")) as server:
        assert httpx.get(f"{server.url}/v2").status_code == 401
        answer = httpx.post(f"{server.url}/api/inspect", content=parts[0].read_bytes(), headers=header)
        assert answer.json()["verdict"] == "OK"
    with serving(tiny_recipe_path, ONSPEC_TOKENS=TOKEN) as server:
        assert httpx.get(f"{server.url}/v2").status_code == 401
        assert httpx.get(f"{server.url}/v2", headers=header).status_code == 200


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The sentence with which it does not start."""
    with pytest.raises(SystemExit) as exited:
        cli.run(["serve", *map(str, arguments)])
    captured = capsys.readouterr()
    assert exited.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("onspec: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the settings of whoever runs the tests."""
    for name in ("ONSPEC_TOKENS", "ONSPEC_TOKEN_FILE", "ONSPEC_HOST", "ONSPEC_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "1073741824")  # put back afterwards


@pytest.mark.usefixtures("no_settings")
def test_it_does_not_start_open_to_a_network(tiny_recipe_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--token-file" in refused(capsys, tiny_recipe_path, "--host", "0.0.0.0")


@pytest.mark.usefixtures("no_settings")
def test_it_does_not_start_with_what_is_no_recipe(
    tiny_recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "changed.onspec"
    changed.write_bytes(tiny_recipe_path.read_bytes()[:-40] + bytes(40))
    assert "changed.onspec" in refused(capsys, changed)
    assert "absent.onspec" in refused(capsys, tmp_path / "absent.onspec")
    assert "called 'tiny'" in refused(capsys, tiny_recipe_path, tiny_recipe_path)
    assert "tensort" in refused(capsys, tiny_recipe_path, "--engine", "tensort")


@pytest.mark.usefixtures("no_settings")
def test_options_that_cannot_be_are_sentences(tiny_recipe_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases: tuple[tuple[list[str | Path], str], ...] = (
        ([], "--recipes DIR"),
        ([tiny_recipe_path, "--require-signed"], "--public-key"),
        ([tiny_recipe_path, "--production"], "released"),
        ([tiny_recipe_path, "--golden-every", "1"], "30m"),
        ([tiny_recipe_path, "--golden-every", "0s"], "30m"),
        ([tiny_recipe_path, "--grpc", "8001"], "HOST:PORT"),
        ([tiny_recipe_path, "--grpc", "0.0.0.0:8001"], "--token-file"),
        ([tiny_recipe_path, "--max-wait-ms", "50", "--deadline-ms", "10"], "max_wait_ms"),
        ([tiny_recipe_path, tiny_recipe_path, "--workers", "2"], "called 'tiny'"),
    )
    for options, words in cases:
        assert words in refused(capsys, *options)


@pytest.mark.slow
def test_it_keeps_what_was_activated_over_a_restart(tiny_recipe_path: Path, tmp_path: Path, parts: list[Path]) -> None:
    """It may begin empty; then the folder alone is enough."""
    state = tmp_path / "state"
    empty = Server(["--recipes", str(state)], {})
    try:
        loaded = httpx.post(f"{empty.url}/api/recipes?activate=true", content=tiny_recipe_path.read_bytes(), timeout=30)
        assert loaded.status_code == 201
    finally:
        assert empty.stop() == 0
    with serving("--recipes", state) as server:
        assert "tiny@sha256:" in server.said[0]
        answer = httpx.post(f"{server.url}/api/inspect", content=parts[1].read_bytes())
        assert answer.json()["verdict"] == "NG"


@pytest.mark.usefixtures("no_settings")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_says_that_the_port_of_grpc_is_taken(
    workers: str, tiny_recipe_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(capsys, tiny_recipe_path, "--grpc", address, "--workers", workers)
    assert f"cannot listen on --grpc {address}; choose another address" in said


@pytest.mark.usefixtures("no_settings")
def test_it_says_that_the_port_is_taken(tiny_recipe_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from onspec.service.server import listen

    with listen("127.0.0.1", 0) as sock:
        assert "choose another" in refused(capsys, tiny_recipe_path, "--port", str(sock.getsockname()[1]))


@pytest.mark.usefixtures("no_settings")
def test_without_its_packages_it_names_the_install_line(
    tiny_recipe_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else object())
    assert "pip install 'onspec[serve]'" in refused(capsys, tiny_recipe_path)


def test_it_loads_no_torch(tiny_recipe_path: Path) -> None:
    with serving(tiny_recipe_path) as server:
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "libtorch" not in maps


def test_every_setting_is_documented_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
    rows = {
        row.split("`")[1]: [c.strip() for c in row.split("|")] for row in page.splitlines() if row.startswith("| `--")
    }
    parameters = dict(inspect.signature(command).parameters)
    del parameters["recipes"]
    options = {name: get_args(parameter.annotation)[1] for name, parameter in parameters.items()}
    # The first name that is given to typer.Option stands in its default.
    named = {str(o.default) if o.default != ... else f"--{name.replace('_', '-')}": name for name, o in options.items()}
    assert set(rows) == set(named)
    for option, name in named.items():
        assert rows[option][2] == (f"`{options[name].envvar}`" if options[name].envvar else "")
        if parameters[name].default not in (None, False):
            assert float_or_text(rows[option][3].strip("`")) == float_or_text(str(parameters[name].default))


def float_or_text(text: str) -> float | str:
    """30000 and 30000.0 are one default."""
    try:
        return float(text)
    except ValueError:
        return text


def bomb(side: int) -> bytes:
    """A gray PNG of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pack, row = zlib.compressobj(9), bytes(side + 1)
    rows = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def peak_mb(pid: int) -> float:
    """The most memory a process has had so far, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1e3


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
