# -*- test-case-name: tests.service.test_metrics -*-
"""
Figures as Prometheus reads them.  Nothing else here knows its library.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openMetrics
from prometheus_client.registry import Collector

from txsessionsock.manager import BOUNDS

from .figures import COUNTS, GAUGES, TIMES, Snapshot


__all__ = ["exposed"]

_PREFIX = "sessionsock_"

_OPEN = "application/openmetrics-text"

_PLAIN = "text/plain; version=0.0.4; charset=utf-8"

_EDGES = [*map(str, BOUNDS), "+Inf"]


class _Collected(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        found = self._snapshot
        for name, text in GAUGES.items():
            value = found.gauges.get(name, 0)
            yield GaugeMetricFamily(_PREFIX + name, text, value=value)
        for name, (text, label) in COUNTS.items():
            # Without a label it is there from the beginning, as 0.
            labels, none = ([], {"": 0.0}) if label is None else ([label], {})
            family = CounterMetricFamily(_PREFIX + name, text, labels=labels)
            some = found.counts.get(name, {})
            for each, value in sorted((some or none).items()):
                family.add_metric([each] if labels else [], value)
            yield family
        for name, text in TIMES.items():
            parts, total = found.times.get(name, ([0] * len(_EDGES), 0.0))
            histogram = HistogramMetricFamily(_PREFIX + name, text)
            upTo = [*zip(_EDGES, map(float, accumulate(parts)), strict=True)]
            histogram.add_metric([], buckets=upTo, sum_value=total)
            yield histogram


def exposed(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """
    @param accept: The header C{Accept} of who asks.

    @return: The figures, and of which type they are.
    """
    registry = CollectorRegistry()
    registry.register(_Collected(snapshot))
    if _OPEN in accept:
        return openMetrics.generate_latest(registry), openMetrics.CONTENT_TYPE_LATEST
    return generate_latest(registry), _PLAIN
