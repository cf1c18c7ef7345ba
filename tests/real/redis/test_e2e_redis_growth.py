"""
The benchmark of L{benchmarks.growth} works.
"""

from __future__ import annotations

import pytest

from benchmarks.growth import Pace, Plan, Way, measured
from benchmarks.scenes import Place
from benchmarks.storms import storm
from tests.support.redisserver import RedisServer


pytestmark = pytest.mark.e2e

COUNT = 8


@pytest.mark.parametrize(
    ("mode", "plan"),
    [
        ("connection", Plan(COUNT, COUNT)),
        ("message", Plan(COUNT, COUNT, size=4096)),
        ("repeatable", Plan(COUNT, 1, servers=2)),
    ],
)
def test_point(mode: str, plan: Plan) -> None:
    """
    A point has all its figures, and nothing is lost.
    """
    with RedisServer() as redis:
        way = Way("a way", mode, lambda _: plan)
        point = measured(Place(redis, []), way, COUNT, Pace(1, 0.1, 0.1))
    assert point.value == COUNT
    assert min(point.rate, point.half, point.most) > 0.0
    assert (point.memory, point.amiss) == (0.0, 0.0)


def test_storm() -> None:
    """
    A storm has all its phases, the quiet client is answered in each, and everything
    is collected when it is to be.
    """
    with RedisServer() as redis:
        found = storm(Place(redis, []), "connection", COUNT, 0.3)
    names = [phase.name for phase in found.phases]
    assert names == ["alone", "come", "idle", "collected", "come again"]
    assert (found.amiss, found.cut) == (0.0, 0)
    for phase in found.phases:
        said = [when for when, _ in found.noted if phase.began <= when < phase.ended]
        assert said or phase.came, phase
    collected = found.phases[3]
    assert any(collected.began <= began for began, _ in found.collections)
