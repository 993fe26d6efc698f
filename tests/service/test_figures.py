"""Plain numbers, against those of Prometheus' client."""

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from onspec.service.figures import Family

BOUNDS = (0.0, 0.5, 1.0, 30.0)
values = st.floats(-5, 100) | st.sampled_from(BOUNDS)
labels = st.sampled_from([("a", "b"), ("a", 'quo"te\n'), ("", "ü")])


def text(registry: CollectorRegistry) -> str:
    return prometheus_client.generate_latest(registry).decode()


@given(st.lists(st.tuples(labels, values)), st.lists(values))
def test_they_are_told_as_by_prometheus_client(
    labelled: list[tuple[tuple[str, str], float]], plain: list[float]
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    names = ("one", "two")
    seconds = Family("a_seconds", "so long", "histogram", names, BOUNDS, ours)
    done = Family("a_total", "so many", "counter", names, (), ours)
    size = Family("a_size", "so large", "histogram", (), BOUNDS, ours)
    length = Family("a_length", "so long, too", "gauge", (), (), ours)
    known_seconds = Histogram("a_seconds", "so long", names, registry=theirs, buckets=BOUNDS)
    known_done = Counter("a_total", "so many", names, registry=theirs)
    known_size = Histogram("a_size", "so large", registry=theirs, buckets=BOUNDS)
    known_length = Gauge("a_length", "so long, too", registry=theirs)
    assert text(ours) == text(theirs)  # one without labels is 0 from the start
    for key, value in labelled:
        seconds.labels(*key).observe(value)
        known_seconds.labels(*key).observe(value)
        done.labels(*key).inc()
        known_done.labels(*key).inc()
    for value in plain:
        size.labels().observe(value)
        known_size.observe(value)
        length.labels().inc(value)
        length.labels().dec()
        known_length.inc(value)
        known_length.dec()
    assert text(ours) == text(theirs)
    length.labels().set(7)
    known_length.set(7)
    assert text(ours) == text(theirs)
