"""Traces go where they were asked to go, and nowhere otherwise."""

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from onspec.domain import UsageError
from onspec.runtime.inspector import Inspector
from onspec.service.app import Settings
from onspec.service.tracing import otlp_address

Running = Callable[..., AbstractContextManager[httpx.Client]]
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_collector_gets_a_span_for_each_stage(running: Running, tiny: Inspector, defective: bytes) -> None:
    came: list[tuple[str, ExportTraceServiceRequest]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            came.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{collector.server_port}"
            with running(tiny, settings=Settings(otlp=address)) as client:
                headers = {"traceparent": PARENT, "X-Request-ID": "order-4711"}
                assert client.post("/api/inspect?part_id=17", content=defective, headers=headers).status_code == 200
        finally:
            collector.shutdown()
            thread.join()
    assert {path for path, _ in came} == {"/v1/traces"}
    spans = [
        span for _, told in came for group in told.resource_spans for scope in group.scope_spans for span in scope.spans
    ]
    assert sorted(span.name for span in spans) == ["decide", "infer", "inspect", "queue", "read"]
    root = next(span for span in spans if span.name == "inspect")
    assert root.trace_id.hex() == PARENT.split("-")[1]
    assert root.parent_span_id.hex() == PARENT.split("-")[2]
    told = {item.key: item.value.string_value for item in root.attributes}
    assert (told["onspec.part_id"], told["onspec.verdict"]) == ("17", "NG")
    assert told["onspec.request_id"] == "order-4711"
    for span in spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span is root or span.parent_span_id == root.span_id


@pytest.mark.slow
def test_a_collector_that_is_away_costs_no_verdict(running: Running, tiny: Inspector, good: bytes) -> None:
    with running(tiny, settings=Settings(otlp="http://127.0.0.1:9")) as client:
        assert client.post("/api/inspect", content=good).json()["verdict"] == "OK"


def test_nothing_of_it_is_loaded_otherwise() -> None:
    heavy = ("opentelemetry.sdk", "opentelemetry.exporter")  # FastAPI itself loads the API where it is installed
    code = f"import sys, onspec.service.running; print([m for m in sys.modules if m.startswith({heavy})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_address_that_is_none_is_a_sentence() -> None:
    assert otlp_address(None) is None
    assert otlp_address("") is None
    with pytest.raises(UsageError, match="http://127"):
        otlp_address("collector:4318")
