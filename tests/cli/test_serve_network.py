"""What the service does towards the network and the file system: TLS, no attempt to leave, no path from a request."""

import hashlib
import importlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "onspec.cli", "serve"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("ONSPEC_", "OTEL_"))}


@contextmanager
def serving(*arguments: str | Path, log: Path, **environment: str) -> Iterator[str]:
    """`onspec serve` on a free port; gives its address, once it says it."""
    with log.open("w") as stderr:
        command = [*COMMAND, *map(str, arguments), "--port", "0", "--threads", "1"]
        process = subprocess.Popen(command, stderr=stderr, env=ENVIRONMENT | environment)
    try:
        for _ in range(600):
            if '"ready"' in log.read_text() or process.poll() is not None:
                break
            time.sleep(0.05)
        yield next(word for word in log.read_text().split() if word.startswith("http"))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(40) == 0, log.read_text()
        finally:
            process.kill()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """One for localhost, and its key, as docs/operations.md makes them."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return cert, key


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # the old client is what is tried
@pytest.mark.parametrize("workers", ["1", "2"])
def test_tls_alone_is_spoken(
    tiny_recipe_path: Path, tmp_path: Path, certificate: tuple[Path, Path], good: bytes, workers: str
) -> None:
    cert, key = certificate
    options = ("--tls-cert", cert, "--tls-key", key, "--workers", workers)
    with serving(tiny_recipe_path, *options, log=tmp_path / "log") as url:
        assert url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(verify=trusted) as client:
            for _ in range(600):
                if client.get(f"{url}/v2/health/ready").status_code == 200:
                    break
                time.sleep(0.05)
            answer = client.post(f"{url}/api/inspect", content=good)
            assert answer.json()["verdict"] == "OK"
            assert answer.headers["strict-transport-security"].startswith("max-age=")
            for _ in range(8):
                client.post(f"{url}/api/inspect", content=good, headers={"Connection": "close"})
            time.sleep(0.2)
            text = client.get(f"{url}/metrics").text
            # With two workers both counted, and whichever was asked answers for both.
            assert 'onspec_verdicts_total{recipe="tiny",verdict="OK"} 9.0' in text
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https", "http") + "/v2/health/live")
        old = ssl.create_default_context(cafile=str(cert))
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError), httpx.Client(verify=old) as client:
            client.get(f"{url}/v2/health/live")


def test_the_health_check_of_the_image_speaks_tls_where_the_service_does(
    tiny_recipe_path: Path, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    file = Path(__file__).parents[2] / "deploy" / "serve.Dockerfile"
    check = re.search(r"^HEALTHCHECK.*?CMD (.*?)$", file.read_text().replace("\\\n", ""), flags=re.MULTILINE)
    assert check is not None
    cert, key = map(str, certificate)
    with serving(tiny_recipe_path, log=tmp_path / "log", ONSPEC_TLS_CERT=cert, ONSPEC_TLS_KEY=key) as url:
        port = url.rpartition(":")[2]
        for given, healthy in (({"ONSPEC_TLS_CERT": cert}, True), ({}, False)):
            environment = ENVIRONMENT | given | {"ONSPEC_PORT": port}
            done = subprocess.run(["sh", "-c", check[1]], env=environment, capture_output=True, check=False)
            assert (done.returncode == 0) is healthy, done.stderr


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # the old client is what is tried
def test_grpc_speaks_tls_and_asks_for_tokens(
    tiny_recipe_path: Path, tmp_path: Path, certificate: tuple[Path, Path], good: bytes
) -> None:
    """One certificate and one file of tokens for both forms of the protocol."""
    grpc = pytest.importorskip("tritonclient.grpc", reason="the extra 'grpc' is not installed")
    refused = importlib.import_module("tritonclient.utils").InferenceServerException
    (cert, key), secret, port = certificate, "a-token-for-the-line-controller", free_port()
    tokens = tmp_path / "tokens"
    tokens.write_text(f"line-3:operator:sha256:{hashlib.sha256(secret.encode()).hexdigest()}\n")
    options = ("--tls-cert", cert, "--tls-key", key, "--token-file", tokens, "--grpc", f"127.0.0.1:{port}")
    image = grpc.InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([good], np.object_))
    mine = {"authorization": f"Bearer {secret}"}

    def client(**how: object) -> Any:  # noqa: ANN401 (tritonclient tells no types)
        return closing(grpc.InferenceServerClient(f"localhost:{port}", **how))

    with serving(tiny_recipe_path, *options, log=tmp_path / "log") as url:
        with client(ssl=True, root_certificates=str(cert)) as trusted:
            for _ in range(400):
                if trusted.is_server_ready():
                    break
                time.sleep(0.05)
            assert trusted.infer("tiny", [image], headers=mine).as_numpy("verdict")[0] == b"OK"
            for headers in (None, {"authorization": "Bearer another-token"}):
                with pytest.raises(refused, match="token") as error:
                    trusted.infer("tiny", [image], headers=headers)
                assert "UNAUTHENTICATED" in str(error.value.status())
        with client() as plain, pytest.raises(refused) as error:
            plain.infer("tiny", [image], headers=mine, client_timeout=10)
        assert "UNAVAILABLE" in str(error.value.status())
        with client(ssl=True) as untrusting, pytest.raises(refused) as error:  # a certificate that nobody vouches for
            untrusting.infer("tiny", [image], headers=mine, client_timeout=10)
        assert "UNAVAILABLE" in str(error.value.status())
        trusted_here = ssl.create_default_context(cafile=str(cert))
        over_http = httpx.post(f"{url}/api/inspect", content=good, headers=mine, verify=trusted_here)
        assert over_http.json()["verdict"] == "OK"
        assert spoken(port, cert, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert spoken(port, cert, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            spoken(port, cert, ssl.TLSVersion.TLSv1_1)


def spoken(port: int, cert: Path, version: ssl.TLSVersion) -> str | None:
    """What a client that knows one version of TLS ends up with."""
    context = ssl.create_default_context(cafile=str(cert))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_alpn_protocols(["h2"])
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, version
    with (
        socket.create_connection(("127.0.0.1", port), 10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as sock,
    ):
        return sock.version()


INSIDE = """
import fcntl, os, signal, socket, struct, subprocess, sys, time, urllib.request
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # loopback up, and nothing else
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh", b"lo", 1 | 64))
recipe, image, trace, code = sys.argv[1:]
command = code and [sys.executable, "-c", code] or [
    sys.executable, "-m", "onspec.cli", "serve", recipe, "--port", "18080", "--threads", "1"]
calls = "trace=connect,sendto,sendmsg,sendmmsg"
server = subprocess.Popen(["strace", "-D", "-f", "-qq", "-e", calls, "-o", trace, *command])
if not code:
    for _ in range(600):
        try:
            if urllib.request.urlopen("http://127.0.0.1:18080/v2/health/ready").status == 200:
                break
        except OSError:
            time.sleep(0.05)
    for body in (open(image, "rb").read(), b"no image"):
        try:
            print(urllib.request.urlopen("http://127.0.0.1:18080/api/inspect", body).read().decode())
        except OSError as error:
            print(error)
    urllib.request.urlopen("http://127.0.0.1:18080/metrics").read()
    server.send_signal(signal.SIGTERM)
server.wait(60)
"""


def left(trace: str) -> list[str]:
    """The calls that go to an address other than loopback."""
    addressed = [line for line in trace.splitlines() if re.search(r"sin6?_port=", line)]
    return [line for line in addressed if not re.search(r'inet_addr\("127\.|"::1"', line)]


def test_nothing_tries_to_leave(tiny_recipe_path: Path, tmp_path: Path, good: bytes) -> None:
    """In a network namespace without a route, every call of every thread that names an address is looked at."""
    if shutil.which("strace") is None or shutil.which("unshare") is None:
        pytest.skip("strace and unshare are needed (Debian: strace, util-linux)")
    namespace = ["unshare", "-rn"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces are not allowed here")
    image, trace = tmp_path / "a.png", tmp_path / "trace"
    image.write_bytes(good)

    def traced(code: str) -> tuple[str, str]:
        command = [*namespace, sys.executable, "-c", INSIDE, str(tiny_recipe_path), str(image), str(trace), code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT, check=False)
        return done.stdout, trace.read_text()

    _, seen = traced("import socket; socket.socket().connect_ex(('203.0.113.7', 443))")
    assert len(left(seen)) == 1, "an attempt to leave would not be seen"
    said, seen = traced("")
    assert '"verdict":"OK"' in said.replace(" ", "")
    assert "422" in said
    assert left(seen) == []


NAMES = ["../../escape", "/etc/passwd", "..%2f..%2fescape", "a\\..\\..\\b", "C:\\x", "%00", "a/../../b"]


def test_no_name_in_a_request_becomes_a_path(
    tiny_recipe_path: Path, tmp_path: Path, good: bytes, tree: Callable[[Path], set[str]]
) -> None:
    state = tmp_path / "a" / "b" / "state"
    with serving(tiny_recipe_path, "--recipes", state, log=tmp_path / "log") as url:
        before = tree(tmp_path)
        for name in NAMES:
            answer = httpx.post(f"{url}/api/inspect?part_id={name}", files={"image": (name, good)})
            assert answer.status_code in (200, 400, 422), (name, answer.text)
            assert "/" not in answer.json().get("image", "")
            for path in ("/api/recipes/{}", "/v2/models/{}", "/v2/models/tiny/versions/{}/config"):
                assert httpx.get(url + path.format(name.replace("/", "%2f"))).status_code in (200, 404), (path, name)
            for path in (f"/api/recipes/tiny/activate?version={name}", f"/api/recipes/{name}/rollback"):
                assert httpx.post(url + path).status_code >= 400
            assert httpx.delete(f"{url}/api/recipes/tiny/versions/{name.replace('/', '%2f')}").status_code >= 400
            assert httpx.get(f"{url}/api/inspect?recipe={name}").status_code >= 400
        assert httpx.get(f"{url}/v2/models/tiny").status_code == 200
        assert tree(tmp_path) == before


@pytest.fixture
def tree() -> Callable[[Path], set[str]]:
    """All files below a folder."""
    return lambda folder: {str(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def good(tmp_path: Path, make_part: Callable[..., object]) -> bytes:
    """The PNG of a good part."""
    from onspec.imaging.writing import encode_image

    return encode_image(make_part())  # type: ignore[arg-type]
