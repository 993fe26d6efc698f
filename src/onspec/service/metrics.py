"""What the service counts, for Prometheus. Every metric stands in `METRICS`; labels come from bounded sets only.

One process keeps plain numbers, see `figures`. With several workers each writes them to files that the supervisor keeps
(`MULTIPROCESS`), and whichever worker is asked sums them up; the counts of a worker that died stay.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import prometheus_client
from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess

from onspec import __version__
from onspec.domain import Inspection, Verdict
from onspec.service.figures import Family, Figure, Kind

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus-client, which it reads when it is imported."""

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
_SCORES = (*tuple(n / 20 for n in range(1, 20)), 1.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)

MOST_VALUES = 200
"""Different values of a label; further ones are counted as `other`, so that no client fills the memory."""

STAGES = ("queue", "read", "infer", "decide", "record", "total")

Gathering = Literal["livesum", "livemin", "livemax", "mostrecent"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table: what it is, what it counts, its labels, its buckets, and how workers' gauges add up."""

    kind: Kind
    says: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    gathering: Gathering = "livesum"


METRICS: dict[str, Metric] = {
    "onspec_requests_total": Metric("counter", "HTTP requests answered", ("route", "method", "status")),
    "onspec_request_seconds": Metric("histogram", "from a request's head to its answer", ("route",), _SECONDS),
    "onspec_verdicts_total": Metric("counter", "images judged, ERROR included", ("recipe", "verdict")),
    "onspec_refused_total": Metric("counter", "images that were not judged", ("recipe", "status")),
    "onspec_defects_total": Metric("counter", "defects found", ("recipe", "kind")),
    "onspec_score": Metric("histogram", "defect scores of judged images", ("recipe",), _SCORES),
    "onspec_stage_seconds": Metric("histogram", "time of an image by stage", ("stage",), _SECONDS),
    "onspec_queue_length": Metric("gauge", "images waiting or in work", ("recipe",)),
    "onspec_batch_size": Metric("histogram", "images taken from the queue at a time", (), _BATCHES),
    "onspec_engine_faults_total": Metric("counter", "images that the engine or the service failed at", ("recipe",)),
    "onspec_golden_passed": Metric(
        "gauge", "1 if the active version may judge, 0 if its golden samples stop it", ("recipe",), (), "livemin"
    ),
    "onspec_recipe_info": Metric(
        "gauge", "1 for the active version of a recipe", ("recipe", "version", "engine"), (), "livemax"
    ),
    "onspec_not_inspectable_total": Metric("counter", "images that do not look like those of training", ("recipe",)),
    "onspec_drift_psi": Metric(
        "gauge", "population stability index of a window against training", ("recipe", "measure"), (), "mostrecent"
    ),
    "onspec_drift_alarm": Metric(
        "gauge", "1 while a measure has drifted, 0 otherwise", ("recipe", "measure"), (), "mostrecent"
    ),
    "onspec_records_pending": Metric("gauge", "verdicts not yet in the data base"),
    "onspec_workers_replaced_total": Metric("counter", "workers that died, or were silent and killed", ("reason",)),
    "onspec_info": Metric("gauge", "1; the version of the service", ("version",), (), "livemax"),
}

_STAGE_NAMES = frozenset(STAGES)
_OPTIONAL = frozenset({"onspec_records_pending", "onspec_drift_psi", "onspec_drift_alarm"})
"""Registered only where something gives their values: a figure that nobody keeps must not read 0."""


class Metrics:
    """The figures of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._made = {name: _make(name, metric, self._registry) for name, metric in METRICS.items() if
                      name not in _OPTIONAL}  # fmt: skip
        self._children: dict[tuple[str, ...], Figure] = {}
        self._values: dict[tuple[str, int], set[str]] = {}
        self._known: set[tuple[str, str, str]] = set()
        self.before_reading: list[Callable[[], None]] = []
        self._of("onspec_info", __version__).set(1)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """An HTTP request; `route` is the path with its parameters unfilled, or `other`."""
        method = method if method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS") else "other"
        self._of("onspec_requests_total", route, method, str(status)).inc()
        self._of("onspec_request_seconds", route).observe(seconds)

    def entered(self, recipe: str) -> None:
        """An image goes into the queue."""
        self._of("onspec_queue_length", recipe).inc()

    def left(self, recipe: str) -> None:
        """It has its answer."""
        self._of("onspec_queue_length", recipe).dec()

    def batch(self, size: int) -> None:
        """So many images were taken from the queue together."""
        self._of("onspec_batch_size").observe(size)

    def refused(self, recipe: str, status: int) -> None:
        """An image got no verdict."""
        self._of("onspec_refused_total", recipe, str(status)).inc()

    def engine_fault(self, recipe: str) -> None:
        """The engine, or we, failed at an image."""
        self._of("onspec_engine_faults_total", recipe).inc()

    def not_inspectable(self, recipe: str) -> None:
        """An image does not look like those of the training."""
        self._of("onspec_not_inspectable_total", recipe).inc()

    def judged(self, recipe: str, inspection: Inspection, stages: Iterable[tuple[str, float]]) -> None:
        """An image has its verdict; `stages` are its times in ms."""
        self._of("onspec_verdicts_total", recipe, inspection.verdict.value).inc()
        if inspection.score is not None and inspection.verdict is not Verdict.ERROR:
            self._of("onspec_score", recipe).observe(inspection.score)
        for defect in inspection.defects:
            self._of("onspec_defects_total", recipe, defect.cls).inc()
        for stage, ms in stages:
            if stage in _STAGE_NAMES:
                self._of("onspec_stage_seconds", stage).observe(ms / 1e3)

    def recipes(self, active: Iterable[tuple[str, str, str, bool]]) -> None:
        """The active versions as (recipe, version, engine, may judge); those not among them are set to 0."""
        now = {(name, version, engine): passed for name, version, engine, passed in active}
        for key in self._known - set(now):
            self._of("onspec_recipe_info", *key).set(0)
        for key, passed in now.items():
            self._of("onspec_recipe_info", *key).set(1)
            self._of("onspec_golden_passed", key[0]).set(float(passed))
            self._of("onspec_engine_faults_total", key[0])  # from 0, so that the first one is a rise
        self._known |= set(now)

    def give(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge whose value others keep: `onspec_records_pending`, drift."""
        if name not in self._made:
            self._made[name] = _make(name, METRICS[name], self._registry)
        self._of(name, *labels).set(value)

    def text(self) -> bytes:
        """In Prometheus' text form, over all workers."""
        for read in self.before_reading:
            read()
        registry = self._registry
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(registry)

    def _of(self, *key: str) -> Figure:
        """The metric with its labels; looked up once."""
        child = self._children.get(key)
        if child is None:
            name, *labels = key
            bounded = [self._bounded(name, at, value) for at, value in enumerate(labels)]
            made = self._made[name]
            child = made.labels(*bounded) if bounded or isinstance(made, Family) else made
            if bounded == labels:
                self._children[key] = child
        return child

    def _bounded(self, name: str, at: int, value: str) -> str:
        values = self._values.setdefault((name, at), set())
        if value not in values and len(values) >= MOST_VALUES:
            return "other"
        values.add(value)
        return value


def _make(name: str, metric: Metric, registry: CollectorRegistry):  # type: ignore[no-untyped-def]  # noqa: ANN202
    if MULTIPROCESS not in os.environ:
        return Family(name, metric.says, metric.kind, metric.labels, metric.buckets, registry)
    if metric.kind == "counter":
        return Counter(name, metric.says, metric.labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(name, metric.says, metric.labels, registry=registry, multiprocess_mode=metric.gathering)
    return Histogram(name, metric.says, metric.labels, registry=registry, buckets=metric.buckets)


def router(metrics: Metrics) -> APIRouter:
    """`GET /metrics`."""
    routes = APIRouter()

    @routes.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text form."}},
    )
    async def read() -> Response:
        return Response(await asyncio.to_thread(metrics.text), headers={"Content-Type": CONTENT_TYPE})

    return routes


# The time each series began would be a second series, which nobody reads.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
