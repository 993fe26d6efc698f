"""Figures of one process in plain numbers, which Prometheus' client reads when somebody asks for them.

The client's own take a lock for each number, which is most of what counting a small image costs. Each of these is
changed by one thread only, and read by another: a reader may see a count before its sum, as with the client's.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal, Protocol, cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Kind = Literal["counter", "gauge", "histogram"]
Told = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Figure(Protocol):
    """What may be done with a figure: of a counter, a gauge and a histogram, each its own."""

    def inc(self, amount: float = 1) -> None:
        """Up, of a counter or a gauge."""
        ...

    def dec(self, amount: float = 1) -> None:
        """Down, of a gauge."""
        ...

    def set(self, value: float) -> None:
        """To a value, of a gauge."""
        ...

    def observe(self, amount: float) -> None:
        """One value, of a histogram."""
        ...


class Number:
    """A counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Up."""
        self.value += amount

    def dec(self, amount: float = 1) -> None:
        """Down."""
        self.value -= amount

    def set(self, value: float) -> None:
        """To a value."""
        self.value = value


class Spread:
    """A histogram: how many values were at most each of its bounds, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` rise; over the last is one more count."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, amount: float) -> None:
        """One value."""
        self.counts[bisect_left(self.bounds, amount)] += 1
        self.sum += amount

    def buckets(self) -> list[tuple[str, float]]:
        """Bounds as Prometheus spells them, and how many values were at most so large."""
        names = [*map(floatToGoString, self.bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(list(self.counts))), strict=True))


class Family(Collector):
    """A metric: one figure for each set of its labels' values."""

    def __init__(
        self,
        name: str,
        says: str,
        kind: Kind,
        labels: tuple[str, ...],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        """`bounds` of a histogram. One without labels is told from the start, as 0."""
        self._name, self._says, self._kind, self._labels, self._bounds = name, says, kind, labels, bounds
        self._members: dict[tuple[str, ...], Number | Spread] = {}
        if not labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Figure:
        """The figure for these values, one a label."""
        if values not in self._members:
            self._members[values] = Spread(self._bounds) if self._kind == "histogram" else Number()
        return cast("Figure", self._members[values])

    def collect(self) -> Iterator[Told]:
        """What Prometheus' client asks for."""
        told = _TOLD[self._kind](self._name, self._says, labels=self._labels)
        for values, figure in list(self._members.items()):
            if isinstance(figure, Spread):
                told.add_metric(values, figure.buckets(), figure.sum)
            else:
                told.add_metric(values, figure.value)
        yield told


_TOLD = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
