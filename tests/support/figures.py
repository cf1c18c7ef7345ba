"""
Figures as Prometheus reads them: by its own parsers.
"""

from __future__ import annotations

from typing import Any

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openFamilies,
)
from prometheus_client.parser import text_string_to_metric_families as plainFamilies


__all__ = ["OPEN", "Read", "read"]

OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_PREFIX = "sessionsock_"


class Read:
    """
    What was read.

    @ivar kinds: What each family is.
    """

    def __init__(self, families: Any) -> None:
        self.kinds: dict[str, str] = {}
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for family in families:
            assert family.documentation, family.name
            self.kinds[family.name] = family.type
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                assert key not in self._values, key
                self._values[key] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        """
        @return: A value; 0 if it is not there.
        """
        return self._values.get((_PREFIX + name, tuple(sorted(labels.items()))), 0.0)

    def labels(self) -> set[tuple[str, str]]:
        """
        @return: All labels, with their values.
        """
        return {pair for _, labels in self._values for pair in labels}

    def counts(self) -> dict[Any, float]:
        """
        @return: All that may only go up.
        """
        up = "_total", "_bucket", "_count"
        return {key: n for key, n in self._values.items() if key[0].endswith(up)}


def read(body: bytes, kind: str) -> Read:
    """
    Read what was answered.

    @param kind: Its content type.
    """
    text = body.decode("utf-8")
    if kind.startswith("application/openmetrics-text"):
        return Read(openFamilies(text))
    assert kind.startswith("text/plain; version=0.0.4"), kind
    return Read(plainFamilies(text))
