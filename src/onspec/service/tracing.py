"""Traces through OpenTelemetry, where an address for them is given. Without one nothing of it is imported or sent."""

import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from onspec import __version__
from onspec.domain import Inspection, MissingExtraError, UsageError, Verdict

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


class Tracing:
    """A span for each image, with one for each of its stages, sent from a thread of its own."""

    def __init__(self, exporter: "SpanExporter", *, at_once: bool = False) -> None:
        """`at_once` exports each span when it ends, which waits for the exporter."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

        resource = Resource({"service.name": "onspec", "service.version": __version__, "process.pid": os.getpid()})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(exporter) if at_once else BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("onspec", __version__)

    def judged(self, inspection: Inspection, stages: Iterable[tuple[str, float]], context: Mapping[str, str]) -> None:
        """An image that has its verdict now; `stages` are its times in ms, one after the other, `total` aside.

        `context` may hold a W3C `traceparent`, and the `request_id`.
        """
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(dict(context))
        times = {stage: round(ms * 1e6) for stage, ms in stages}
        end = time.time_ns()
        at = end - times.pop("total")
        span = self._tracer.start_span("inspect", parent, SpanKind.SERVER, start_time=at)
        span.set_attributes({
            "onspec.recipe": inspection.recipe, "onspec.engine": inspection.engine,
            "onspec.verdict": inspection.verdict.value, "onspec.part_id": inspection.part_id or "",
            "onspec.defects": len(inspection.defects), "onspec.request_id": context.get("request_id", ""),
        })  # fmt: skip
        if inspection.verdict is Verdict.ERROR:
            span.set_status(Status(StatusCode.ERROR, inspection.error))
        inside = set_span_in_context(span)
        for stage, took in times.items():
            self._tracer.start_span(stage, inside, start_time=at).end(at + took)
            at += took
        span.end(end)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def otlp_address(address: str | None) -> str | None:
    """Where traces go, given by `--otlp` or OpenTelemetry's variable; `None` sends nothing.

    Raises:
        UsageError: an address that is none.
        MissingExtraError: OpenTelemetry is not installed.
    """
    if not address:
        return None
    if not address.startswith(("http://", "https://")):
        raise UsageError(f"--otlp {address!r}: give the collector's address, as http://127.0.0.1:4318")
    from importlib.util import find_spec

    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
        raise MissingExtraError("onspec serve --otlp", "otel")
    return address


def tracing_to(address: str) -> Tracing:
    """Spans over OTLP/HTTP to ADDRESS/v1/traces."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Tracing(OTLPSpanExporter(endpoint=f"{address.rstrip('/')}/v1/traces", timeout=5))
