"""
What it costs to remember what others may overwrite: time of the process for each
write of a session of twenty keys, with and without.

C{python -m benchmarks.journal} in the top directory; a number of writes may be
given, and C{--profile} to see where the time goes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from cProfile import Profile
from pstats import Stats
from time import process_time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import FOREVER, SessionID
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore


WRITES = 4000

KEYS = 20

INTERVAL = 0.01
"""
How many seconds are between two writes, by the clock of the manager.
"""


class _Holder:
    def changed(self, *_: object) -> None:
        pass

    stored = failed = ended = changed

    def gaveUp(self, failure: Failure, *, isMine: bool) -> None:
        pass


def _assign(session: Session, number: int) -> None:
    session["key 3"] = number


def _increment(session: Session, number: int) -> None:
    session.increment("key 3")


def _append(session: Session, number: int) -> None:
    def append(data: dict[str, Any]) -> None:
        data["list"] = [*data["list"], number][-50:]

    session.update(append)


def _nest(session: Session, number: int) -> None:
    session["nest"][f"key {number % KEYS}"] = number


WAYS: dict[str, Callable[[Session, int], None]] = {
    "assign": _assign,
    "increment": _increment,
    "update, a list of 50": _append,
    "in a dictionary of 20": _nest,
}


def opened(clock: Clock, *, repair: bool) -> Session:
    """
    @return: A session of a new manager.
    """
    store = MemoryStore(clock)
    data = {f"key {number}": number for number in range(KEYS - 2)}
    nest = {f"key {number}": number for number in range(KEYS)}
    cookie = {"originalMaxAge": None}
    raw = json.dumps({"cookie": cookie, **data, "nest": nest, "list": []}).encode()
    _result(store.create("sess:an-id", raw, FOREVER))
    framework = Express(secrets=["keyboard cat"])
    manager = SessionManager(store, framework, clock, repair=repair)
    session: Session = _result(manager.open(SessionID("an-id"), _Holder()))
    return session


def _result(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addCallback(results.append)
    return results[0]


@contextmanager
def profiled(*, isWanted: bool) -> Iterator[None]:
    """
    Show where the time goes.
    """
    if not isWanted:
        yield
        return
    with Profile() as profile:
        yield
    Stats(profile).sort_stats("tottime").print_stats(14)


def measure(way: Callable[[Session, int], None], writes: int, *, repair: bool) -> float:
    """
    @return: How many seconds of the process a write takes.
    """
    clock = Clock()
    clock.advance(1_700_000_000)
    session = opened(clock, repair=repair)
    best = float("inf")
    for _ in range(3):
        began = process_time()
        for number in range(writes):
            way(session, number)
            _result(session.save())
            clock.advance(INTERVAL)
        best = min(best, (process_time() - began) / writes)
    return best


def main() -> None:
    isProfiled = "--profile" in sys.argv
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    writes = numbers[0] if numbers else WRITES
    for what, way in WAYS.items():
        without = measure(way, writes, repair=False)
        with profiled(isWanted=isProfiled):
            taken = measure(way, writes, repair=True)
        print(
            f"{what}: {1e6 * taken:.0f} µs a write, {1e6 * without:.0f} µs without",
            flush=True,
        )


if __name__ == "__main__":
    main()
