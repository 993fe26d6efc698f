"""What the service counts, and what dashboards, alerts and the documentation say of it."""

import json
import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from onspec.domain import EngineError
from onspec.runtime.golden import GoldenOutcome
from onspec.runtime.inspector import Inspector
from onspec.service.front import SECURITY
from onspec.service.logs import JsonLines
from onspec.service.metrics import METRICS, MOST_VALUES, Metrics
from onspec.service.queue import JudgeQueue, QueueFullError
from onspec.service.versions import Version

Running = Callable[..., AbstractContextManager[httpx.Client]]
ROOT = Path(__file__).parents[2]


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float | None:
    return values(text).get((name, tuple(sorted(labels.items()))))


def test_what_was_judged_is_counted(running: Running, tiny: Inspector, good: bytes, defective: bytes) -> None:
    with running(tiny) as client:
        for body in (good, defective, defective, b"no image"):
            client.post("/api/inspect", content=body)
        client.get("/nowhere/../at/all")
        text = client.get("/metrics").text
    assert value(text, "onspec_verdicts_total", recipe="tiny", verdict="OK") == 1
    assert value(text, "onspec_verdicts_total", recipe="tiny", verdict="NG") == 2
    assert value(text, "onspec_verdicts_total", recipe="tiny", verdict="ERROR") == 1
    inspect = {"route": "/api/inspect", "method": "POST"}
    assert value(text, "onspec_requests_total", **inspect, status="200") == 3
    assert value(text, "onspec_requests_total", **inspect, status="422") == 1
    assert value(text, "onspec_requests_total", route="other", method="GET", status="404") == 1
    assert (value(text, "onspec_defects_total", recipe="tiny", kind="defect") or 0) >= 2
    assert value(text, "onspec_score_count", recipe="tiny") == 3
    for stage in ("queue", "read", "infer", "decide", "total"):
        assert (value(text, "onspec_stage_seconds_count", stage=stage) or 0) >= 3, stage
        assert (value(text, "onspec_stage_seconds_sum", stage=stage) or 0) < 30
    assert value(text, "onspec_batch_size_count") == 4
    assert value(text, "onspec_queue_length", recipe="tiny") == 0
    assert value(text, "onspec_golden_passed", recipe="tiny") == 1
    labels = {"recipe": "tiny", "version": tiny.package.digest, "engine": tiny.engine_name}
    assert value(text, "onspec_recipe_info", **labels) == 1
    assert value(text, "onspec_engine_faults_total", recipe="tiny") == 0  # the first one is to be seen as a rise
    assert value(text, "onspec_records_pending") is None  # nobody keeps records here, so there is no figure


def test_an_engine_that_fails_shows(
    running: Running, tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EngineError("the engine is on fire")

    with running(tiny) as client:
        monkeypatch.setattr(type(tiny), "inspect_decoded", fail)
        assert client.post("/api/inspect", content=good).status_code == 500
        assert value(client.get("/metrics").text, "onspec_engine_faults_total", recipe="tiny") == 1


def test_golden_samples_that_deviate_show(running: Running, tiny: Inspector) -> None:
    def broken(_: Inspector) -> list[GoldenOutcome]:
        raise EngineError("no engine today")

    with running(tiny, check=broken) as client:
        assert client.get("/v2/health/ready").status_code == 503
        assert value(client.get("/metrics").text, "onspec_golden_passed", recipe="tiny") == 0


def test_labels_are_bounded() -> None:
    metrics = Metrics()
    for n in range(MOST_VALUES + 50):
        metrics.refused(f"recipe-{n}", 503)
    found = [key for key in values(metrics.text().decode()) if key[0] == "onspec_refused_total"]
    assert len(found) == MOST_VALUES + 1
    assert value(metrics.text().decode(), "onspec_refused_total", recipe="other", status="503") == 50


def test_what_others_keep_is_read_when_it_is_asked_for() -> None:
    metrics = Metrics()
    metrics.before_reading.append(lambda: metrics.give("onspec_records_pending", 7))
    assert value(metrics.text().decode(), "onspec_records_pending") == 7


def known(name: str) -> bool:
    """Whether a name in an expression is a series of ours."""
    if name in METRICS:
        return METRICS[name].kind != "histogram"
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base in METRICS and METRICS[base].kind == "histogram" and base != name


@pytest.mark.parametrize("path", ["deploy/grafana/onspec.json", "deploy/prometheus/alerts.yml"])
def test_dashboard_and_alerts_name_what_there_is(path: str) -> None:
    text = (ROOT / path).read_text()
    names = set(re.findall(r"\bonspec_\w+", text))
    assert len(names) >= 4
    assert [name for name in sorted(names) if not known(name)] == []
    assert not known("onspec_verdicts")
    for name, inside in re.findall(r"(onspec_\w+)\{([^}]*)\}", text):
        metric = METRICS.get(name) or METRICS[re.sub(r"_(bucket|sum|count)$", "", name)]
        assert set(re.findall(r"(\w+)\s*(?:=|!)", inside)) <= {*metric.labels, "job", "le"}, name


def test_every_metric_is_on_the_dashboard_and_documented() -> None:
    panels = json.loads((ROOT / "deploy/grafana/onspec.json").read_text())["panels"]
    shown = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    page = (ROOT / "docs/operations.md").read_text()
    rows = {row[0]: row[1:] for row in re.findall(r"^\| `(onspec_\w+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)}
    assert set(rows) == set(METRICS)
    for name, metric in METRICS.items():
        assert name in shown or name == "onspec_info", name
        assert rows[name][0] == metric.kind
        assert tuple(re.findall(r"`(\w+)`", rows[name][1])) == metric.labels


def test_every_answer_has_its_security_headers_and_its_id(running: Running, tiny: Inspector, good: bytes) -> None:
    with running(tiny) as client:
        answers = [
            client.post("/api/inspect", content=good),
            client.get("/nowhere"),
            client.delete("/api/inspect"),
            client.post("/api/inspect"),
            client.get("/v2", headers={"Origin": "https://elsewhere.example"}),
        ]
        for answer in answers:
            for name, expected in SECURITY:
                assert answer.headers[name.decode()] == expected.decode()
            assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
            assert "strict-transport-security" not in answer.headers
        assert answers[-1].status_code == 403
        own = client.get("/v2", headers={"X-Request-ID": "order-4711"})
        assert own.headers["x-request-id"] == "order-4711"
        assert client.get("/v2", headers={"X-Request-ID": "a b\tc"}).headers["x-request-id"] != "a b\tc"


def test_a_fault_of_ours_has_them_too(
    running: Running, tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    with running(tiny) as client:
        monkeypatch.setattr("onspec.service.inspecting._answer", fail)
        answer = client.post("/api/inspect", content=good)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8000"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
def test_without_tokens_other_sites_pages_are_kept_out(
    running: Running, tiny: Inspector, headers: dict[str, str], status: int
) -> None:
    with running(tiny) as client:
        assert client.get("/v2", headers=headers).status_code == status
        own = str(client.base_url).rstrip("/")
        assert client.get("/v2", headers={"Origin": own}).status_code == 200


def test_what_is_refused_before_its_body_is_read_is_counted(
    running: Running, tiny: Inspector, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise QueueFullError("the queue is full", 1.0)

    with running(tiny) as client:
        with monkeypatch.context() as patch:
            patch.setattr(JudgeQueue, "require_place", full)
            assert client.post("/api/inspect", content=good).status_code == 503
        with monkeypatch.context() as patch:
            patch.setattr(Version, "fault", "its golden samples deviate")
            assert client.post("/v2/models/tiny/infer", json={"inputs": []}).status_code == 503
        text = client.get("/metrics").text
    assert value(text, "onspec_refused_total", recipe="tiny", status="503") == 2


def test_a_log_line_has_the_requests_id_and_the_part(running: Running, tiny: Inspector, good: bytes) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    told: list[str] = []
    handler.emit = lambda record: told.append(handler.format(record))  # type: ignore[method-assign]
    log = logging.getLogger("onspec.service")
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.INFO)
    try:
        with running(tiny) as client:
            client.post("/api/inspect?part_id=17", content=good, headers={"X-Request-ID": "order-4711"})
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    line = next(line for line in map(json.loads, told) if line["event"] == "inspected")
    assert (line["request_id"], line["part_id"]) == ("order-4711", "17")


def test_counting_is_cheap() -> None:
    """Well under the 5 % of a small request that it may cost; the bound is loose for a busy machine."""
    import time

    metrics = Metrics()
    start = time.perf_counter()
    for _ in range(2000):
        metrics.answered("/api/inspect", "POST", 200, 0.01)
    assert (time.perf_counter() - start) / 2000 < 100e-6
