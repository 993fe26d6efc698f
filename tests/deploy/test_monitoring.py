"""Alert rules and scrape configuration by Prometheus' own tool; the dashboard on a server that scrapes a service."""

import hashlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML

from onspec.imaging.writing import encode_image

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"
SECRET = "a-token-for-prometheus-alone"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("ONSPEC_", "OTEL_"))}

FAULTS = ("Images that got no verdict", "Defects by kind")
"""Panels that are empty until something is wrong, which the test brings about."""
STILL = {"Images waiting or in work", "Engine faults", "Records not yet in the data base", "Workers replaced"}
"""Panels that show 0 while all is well."""

pytestmark = [pytest.mark.prometheus, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    """Prometheus and its tool, or a skip that says what is missing; on CI that is a failure."""
    absent = [tool for tool in ("prometheus", "promtool") if shutil.which(tool) is None]
    if absent:
        sentence = f"{' and '.join(absent)} is needed; on Debian: apt-get install prometheus"
        assert os.environ.get("CI") != "true", sentence
        pytest.skip(sentence)


def promtool(*arguments: str | Path, folder: Path = RULES) -> str:
    """What it says; it must succeed."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def loaded(path: Path) -> dict[str, Any]:
    with path.open() as file:
        return dict(YAML(typ="safe").load(file))


@contextmanager
def configured(folder: Path, target: str) -> Iterator[Path]:
    """The scrape configuration as a plant would fill it in: its token, its station, here without TLS, and quicker."""
    shutil.copy(RULES / "alerts.yml", folder)
    config = loaded(RULES / "prometheus.yml")
    (job,) = config["scrape_configs"]
    assert job["scheme"] == "https"
    (folder / "token").write_text(SECRET)
    job["authorization"]["credentials_file"] = str(folder / "token")
    job["static_configs"] = [{"targets": [target]}]
    job["scheme"] = "http"
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    with (folder / "prometheus.yml").open("w") as file:
        YAML(typ="safe").dump(config, file)
    yield folder / "prometheus.yml"


def test_rules_and_configuration_are_sound(tmp_path: Path) -> None:
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "--syntax-only", "prometheus.yml")
    with configured(tmp_path, "station-3:8000") as config:
        promtool("check", "config", config)


def test_each_alert_says_what_it_should_when_it_should(tmp_path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")
    alerts = {rule["alert"] for group in loaded(RULES / "alerts.yml")["groups"] for rule in group["rules"]}
    tried = [case for test in loaded(RULES / "alerts_test.yml")["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in tried if case.get("exp_alerts")} == alerts
    assert {case["alertname"] for case in tried if not case.get("exp_alerts")} == alerts
    shutil.copy(RULES / "alerts_test.yml", tmp_path)  # and the tool would notice
    (tmp_path / "alerts.yml").write_text((RULES / "alerts.yml").read_text().replace("> 0.01", "> 0.5"))
    with pytest.raises(AssertionError, match="OnspecPartsNotJudged"):
        promtool("test", "rules", "alerts_test.yml", folder=tmp_path)


@contextmanager
def process(command: list[str], log: Path, said: Callable[[], bool]) -> Iterator[None]:
    """Runs while it is needed; begins when it said so."""
    with log.open("w") as stderr:
        running = subprocess.Popen(command, stderr=stderr, stdout=stderr, env=ENVIRONMENT)
    try:
        assert until(lambda: running.poll() is not None or said()), log.read_text()
        yield
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(45)
        finally:
            running.kill()


def until(holds: Callable[[], bool]) -> bool:
    """Whether it holds within 60 s."""
    for _ in range(600):
        try:
            if holds():
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    return False


@pytest.fixture
def station(tiny_recipe_path: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    """`onspec serve` with two workers, records and a token for Prometheus."""
    log, tokens = tmp_path / "log", tmp_path / "tokens"
    tokens.write_text(f"prometheus:operator:sha256:{hashlib.sha256(SECRET.encode()).hexdigest()}\n")
    options = ["--port", "0", "--workers", "2", "--token-file", tokens, "--db", tmp_path / "r.db", "--threads", "1"]
    command = [sys.executable, "-m", "onspec.cli", "serve", str(tiny_recipe_path), *map(str, options)]
    with process(command, log, lambda: log.read_text().count('"ready"') == 2):
        url = next(word for word in log.read_text().split() if word.startswith("http://"))
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {SECRET}"}, timeout=30) as client:
            yield client


class Prometheus:
    """A server of its own that scrapes a station with the configuration of `deploy/`."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=20)

    def ready(self) -> bool:
        return self._client.get("/-/ready").status_code == 200

    def get(self, path: str, **asked: str) -> Any:  # noqa: ANN401
        """`data` of an answer of its API."""
        answer = self._client.get(f"/api/v1/{path}", params=asked).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def values(self, expression: str) -> list[float]:
        """What an expression gives now: a value a series."""
        return [float(series["value"][1]) for series in self.get("query", query=expression)["result"]]

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def prometheus(station: httpx.Client, tmp_path: Path) -> Iterator[Prometheus]:
    """`Prometheus` of the station."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server, folder = Prometheus(f"http://{address}"), tmp_path / "prometheus"
    folder.mkdir()
    with configured(folder, station.base_url.netloc.decode()) as config:
        options = [f"--config.file={config}", f"--storage.tsdb.path={folder}", f"--web.listen-address={address}"]
        with process(["prometheus", *options, "--log.level=warn"], folder / "log", server.ready):
            yield server
            server.close()


def panels() -> dict[str, tuple[str, list[str]]]:
    """Title → what the panel says of itself, and its expressions with all recipes chosen."""
    board = json.loads((ROOT / "deploy" / "grafana" / "onspec.json").read_text())
    return {
        panel["title"]: (
            panel.get("description", ""), [target["expr"].replace("$recipe", ".*") for target in panel["targets"]]
        )
        for panel in board["panels"]
    }  # fmt: skip


def test_every_panel_and_rule_works_on_a_real_service(
    station: httpx.Client, prometheus: Prometheus, make_part: Callable[..., NDArray[Any]]
) -> None:
    def empty() -> set[str]:
        return {title for title, (_, expressions) in panels().items() if not all(map(prometheus.values, expressions))}

    def scraped() -> None:
        """Two scrapes of what was done until now."""
        now = time.time()
        assert until(lambda: prometheus.values("min(timestamp(up))")[0] > now + 0.6)

    good, defective = encode_image(make_part()), encode_image(make_part((30, 20, 10, 6)))
    for _ in range(3):
        assert station.post("/api/inspect", content=good).json()["verdict"] == "OK"
    assert until(lambda: bool(prometheus.values("onspec_verdicts_total")))
    assert station.post("/api/inspect", content=good).status_code == 200
    scraped()
    assert prometheus.values('up{job="onspec"}') == [1]
    assert prometheus.get("label/recipe/values", **{"match[]": "onspec_recipe_info"}) == ["tiny"]
    said = {title for title, (description, _) in panels().items() if description.startswith("Empty ")}
    assert empty() <= said  # before anything went wrong the others show something
    for _ in range(2):
        assert station.post("/api/inspect", content=defective).json()["verdict"] == "NG"
        assert station.post("/api/inspect?deadline_ms=0.001", content=good).status_code in (503, 504)
        scraped()
    assert empty() <= said - {*FAULTS}
    for title, (_, expressions) in panels().items():
        for expression in expressions if title not in empty() else ():
            assert any(map(math.isfinite, prometheus.values(expression))), (title, expression)
    moved = {
        title for title, (_, all_of) in panels().items() if any(v > 0 for one in all_of for v in prometheus.values(one))
    }
    assert set(panels()) - moved <= STILL | empty()
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) >= 8
    assert until(lambda: all(rule["health"] == "ok" for rule in prometheus.get("rules")["groups"][0]["rules"]))
    assert not [rule["name"] for rule in rules if rule.get("lastError")]
