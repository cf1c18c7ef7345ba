"""
What all tests have in common.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from twisted.trial.unittest import TestCase

from tests.support.secrets import SECRETS


# How long an example takes says something of the machine, not of what is tested.
settings.register_profile(
    "timeless", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("timeless")
# For make quick; those that say how many examples they want have them there too.
settings.register_profile("quick", settings.get_profile("timeless"), max_examples=20)

_OUTSIDE = {"browser", "e2e", "packaging", "postgresql", "redis", "webapps"}
"""
The marks of tests that need more than memory.
"""

_HERE = Path(__file__).parent

SECRETS.install()

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)
_Wrapper = Generator[None, _Report, _Report]


def _unskipped(report: _Report) -> _Report:
    """
    Make a failure of a skip, if C{SESSIONSOCK_NO_SKIP} is set.
    """
    if report.skipped and os.environ.get("SESSIONSOCK_NO_SKIP"):
        skip = report.longrepr
        reason = skip[2] if isinstance(skip, tuple) else str(skip)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: nothing may be skipped here: {reason}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[
    None, pytest.TestReport, pytest.TestReport
]:
    return _unskipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> _Wrapper[pytest.CollectReport]:
    return _unskipped((yield))


def pytest_pycollect_makeitem(name: str, obj: object) -> None:
    """
    Refuse trial's asynchronous test cases: they run the reactor themselves,
    and fail, as soon as a test of pytest-twisted has run before them.
    """
    if isinstance(obj, type) and issubclass(obj, TestCase) and obj is not TestCase:
        raise pytest.Collector.CollectError(
            f"{name}: use SynchronousTestCase, or a function with "
            "pytest_twisted.ensureDeferred where the reactor must run"
        )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """
    Where several processes run tests, those of servers go first: what takes
    long is not to be what is left for one process in the end.
    """
    if _isOneOfMany(config):
        items.sort(key=_isInMemory)


def _isInMemory(item: pytest.Item) -> bool:
    return not any(mark.name in _OUTSIDE for mark in item.iter_markers())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """
    Where several processes run tests, have one that is marked as C{timed} run
    while none of the others runs any.
    """
    if not _isOneOfMany(item.config):
        return (yield)
    isTimed = item.get_closest_marker("timed") is not None
    # Anything would do that is the same to all, and nobody else locks.
    gate, tests = (os.open(path, os.O_RDONLY) for path in (__file__, _HERE))
    try:
        # A timed test stays here until the others' have ended, and none begins.
        flock(gate, LOCK_EX)
        flock(tests, LOCK_EX if isTimed else LOCK_SH)
        flock(gate, LOCK_UN)
        return (yield)
    finally:
        os.close(gate)
        os.close(tests)


def _isOneOfMany(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_collection_finish() -> None:
    """
    Leave out of all that the garbage collector does what is here before the
    first test, and stays: modules, mostly.  Many tests have it look for what
    they left, which took a third of the time of those in memory.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothingLeftToSay() -> Iterator[None]:
    """
    What one test left out of the log is not said in another one, a minute later.
    """
    yield
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    for call in reactor.getDelayedCalls() if reactor else ():
        if getattr(call.func, "__qualname__", "") == "Seldom.end":
            call.cancel()


@pytest.fixture(autouse=True)
def _noSecretsTold(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Nothing that a test has logged or raised, at whichever level, has a secret in it.
    One that is marked as C{telling} has others tell some.
    """
    SECRETS.found()
    yield
    found = SECRETS.found()
    if request.node.get_closest_marker("telling") is None:
        assert not found, f"a secret is told: {found[0]}"
