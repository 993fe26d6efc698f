"""Builds the serving image on a Debian base made here, runs it, and compares its verdict with the local one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from numpy.typing import NDArray

from onspec.imaging.writing import encode_image
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector

pytestmark = [pytest.mark.container, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
BASE = "localhost/onspec-base"
TOKEN = "a-token-for-the-line-controller"


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Standard output of a command that must succeed; what it said stands in the failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, env=environment)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


class Buildah:
    """buildah with a store of this test's own, without a container engine or user namespaces."""

    def __init__(self, store: Path) -> None:
        self.environment = os.environ | {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
        self._store = store

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return ["buildah", "--root", f"{self._store}/root", "--runroot", f"{self._store}/run", *arguments]

    def __call__(self, *arguments: str) -> str:
        """Run it; its standard output."""
        return _run(self.command(*arguments), self.environment)


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """`Buildah`, or a skip that says what is missing; on CI that is a failure."""
    absent = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if os.geteuid() != 0:
        absent.append("the rights of root")
    if absent:
        sentence = (
            f"building images needs {' and '.join(absent)}; on Debian, as root: apt-get install buildah debootstrap"
        )
        assert os.environ.get("CI") != "true", sentence
        pytest.skip(sentence)
    store = tmp_path_factory.mktemp("images")
    yield Buildah(store)
    shutil.rmtree(store)  # gigabytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that a container's user may read once it is mounted."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@pytest.fixture
def defective(make_part: Callable[..., NDArray[Any]]) -> bytes:
    """The PNG of a part with a spot."""
    return encode_image(make_part((30, 20, 10, 6)))


@pytest.fixture(scope="module")
def base(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A minimal Debian with Python of the release that runs here, since no image can be pulled in a test."""
    release = dict(
        line.replace('"', "").split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    wanted = release["VERSION_CODENAME"]
    targets = _run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(SITE) $(REPO_URI)", "Created-By: Packages"]
    )
    mirror = next(line.split()[-1] for line in targets.splitlines() if line.split()[:2] == [wanted, "main"])
    folder = tmp_path_factory.mktemp("base") / "root"
    packages = "python3,python3-venv,ca-certificates"
    _run(["debootstrap", "--variant=minbase", f"--include={packages}", wanted, str(folder), mirror])
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, str(folder), "/")
    buildah("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(folder)
    return BASE


@pytest.fixture(scope="module")
def wheels(buildah: Buildah, base: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that let pip inside a build take packages from a folder: the build itself needs no network."""
    container = buildah("from", base).strip()
    version = buildah(
        "run", container, "--", "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"
    ).strip()
    buildah("rm", container)
    folder = tmp_path_factory.mktemp("wheels")
    wanted = ["--python-version", version, "--only-binary=:all:", "--dest", str(folder)]
    _run([sys.executable, "-m", "pip", "download", "-qq", *wanted, f"{ROOT}[serve,evaluate]", "hatchling"])
    config = folder / "pip.conf"
    config.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    return ["--volume", f"{folder}:/wheels:ro", "--volume", f"{config}:/etc/pip.conf:ro"]


def build(buildah: Buildah, base: str, wheels: list[str], name: str, *arguments: str) -> str:
    image = f"localhost/onspec-{name}"
    choice = ["--pull-never", "--layers=false", "--format", "docker", "--build-arg", f"BASE={base}", *arguments]
    buildah("build", *choice, *wheels, "--file", f"{ROOT}/deploy/{name}.Dockerfile", "--tag", image, str(ROOT))
    return image


@pytest.fixture(scope="module")
def serve_image(buildah: Buildah, base: str, wheels: list[str]) -> str:
    """The serving image."""
    return build(buildah, base, wheels, "serve")


@pytest.fixture(scope="module")
def config(buildah: Buildah, serve_image: str) -> dict[str, Any]:
    """What the serving image says of itself."""
    config: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", serve_image))["Docker"]["config"]
    return config


@pytest.fixture
def container(buildah: Buildah, serve_image: str) -> Iterator[str]:
    """A container of the serving image."""
    container = buildah("from", "--pull-never", serve_image).strip()
    yield container
    buildah("rm", container)


def test_the_serving_image_holds_no_torch_no_pip_and_no_compiler(buildah: Buildah, container: str) -> None:
    code = "import importlib.util as u; print([n for n in ('torch', 'pip', 'scipy', 'onnxruntime') if u.find_spec(n)])"
    assert buildah("run", container, "--", "python", "-c", code).strip() == "['onnxruntime']"
    assert buildah("run", container, "--", "sh", "-c", "command -v gcc cc make || true").strip() == ""


def test_it_runs_as_nobody_in_particular(buildah: Buildah, container: str) -> None:
    assert buildah("run", container, "--", "id", "-u").strip() == "10001"
    assert (
        buildah("run", container, "--", "sh", "-c", "touch /opt/onspec/x /recipes/x 2>&1 || true").count("denied") == 2
    )


def test_its_verdict_is_the_local_one(
    buildah: Buildah, container: str, config: dict[str, Any], tiny_recipe_path: Path, folder: Path, defective: bytes
) -> None:
    shutil.copy(tiny_recipe_path, folder / "tiny.onspec")
    (folder / "tokens").write_text(f"{TOKEN}\n")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = str(sock.getsockname()[1])
    inside = ["run", "--volume", f"{folder}:/recipes:ro", "--env", f"ONSPEC_PORT={port}", container, "--"]
    command = [*config["Entrypoint"], "serve", "/recipes/tiny.onspec", "--token-file", "/recipes/tokens"]
    with running(buildah.command(*inside, *command), buildah.environment) as log:
        url = f"http://127.0.0.1:{port}"
        wait_ready(url, log)
        assert config["Healthcheck"]["Test"][0] == "CMD-SHELL"
        buildah(*inside, "sh", "-c", config["Healthcheck"]["Test"][1])
        assert httpx.post(f"{url}/api/inspect", content=defective).status_code == 401
        answer = httpx.post(
            f"{url}/api/inspect", content=defective, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30
        )
    inspector = Inspector(open_package(tiny_recipe_path), threads=1)
    local = json.loads(inspector.inspect_bytes(defective, "image").inspection.to_json())
    inspector.close()
    remote = answer.json()
    assert remote["verdict"] == "NG"
    assert remote["score"] == pytest.approx(local["score"], abs=1e-6)
    changing = {"ms": None, "score": None, "defects": None}
    assert {**remote, **changing} == {**local, **changing}
    assert [d["bbox"] for d in remote["defects"]] == [d["bbox"] for d in local["defects"]]
    assert any('"event": "stopped"' in line for line in log)


def test_an_unhealthy_service_fails_the_health_check(buildah: Buildah, container: str, config: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        nobody = str(sock.getsockname()[1])
    inside = buildah.command("run", "--env", f"ONSPEC_PORT={nobody}", container, "--")
    done = subprocess.run(
        [*inside, "sh", "-c", config["Healthcheck"]["Test"][1]],
        env=buildah.environment, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0


def test_the_training_image_builds_and_starts(buildah: Buildah, base: str, wheels: list[str], folder: Path) -> None:
    """Without torch, which alone would take longer than all other tests: every instruction runs, on less content."""
    image = build(buildah, base, wheels, "train", "--build-arg", "EXTRAS=evaluate")
    container = buildah("from", "--pull-never", image).strip()
    folder.chmod(0o777)
    inside = ["run", "--volume", f"{folder}:/work", container, "--", "onspec"]
    buildah(*inside, "synth", "parts", "--textures", "1", "--good", "4", "--defective", "4")
    assert len(list(folder.rglob("*.PNG"))) >= 8
    buildah("rm", container)


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[list[str]]:
    """A process for as long as it is needed, then asked to stop as a container engine would; its lines on stderr."""
    log: list[str] = []
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: log.extend(process.stderr or ()))
    reader.start()
    try:
        yield log
    finally:
        os.kill(innermost(process.pid), signal.SIGTERM)
        try:
            process.wait(40)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            reader.join(10)
            process.stderr.close()


def innermost(pid: int) -> int:
    """The process that buildah runs: it hands no signal on, as a container engine would."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    child = next((word for path in children for word in path.read_text().split()), None)
    return pid if child is None else innermost(int(child))


def wait_ready(url: str, log: list[str]) -> None:
    """Until the golden samples passed; at most a minute."""
    for _ in range(300):
        try:
            if httpx.get(f"{url}/v2/health/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"not ready: {log}")
