"""
What a message costs by the size of its session, in memory: time of the process, in µs.

    python -m benchmarks.sizes
    python -m benchmarks.sizes --profile nested 86

A session is a basket of so many articles, and a few small keys.  A handler reads a
small key; reads it when somebody has read the basket before; counts; appends to a short
list beside the articles; or appends an article and takes it out again.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any, Final

from twisted.internet.task import Clock

from txsessionsock import (
    SessionManager,
    SessionSocketFactory,
    SessionSocketProtocol,
)
from txsessionsock.frameworks.express import Express
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import Browser, putSession


SIZES: Final = (0.9, 8.5, 86, 226)
"""
In thousands of bytes, as the session is stored.
"""

_ROUNDS = 3
_MOST = 50

Handler = Callable[[Any], object]


def article(number: int) -> dict[str, Any]:
    """
    One that is in the basket.
    """
    return {
        "id": number,
        "name": f"article {number}",
        "price": number * 1.25,
        "tags": [f"a{number}", "red"],
        "isThere": True,
        "at": None,
    }


def data(size: float) -> dict[str, Any]:
    """
    @param size: In thousands of bytes.
    """
    articles: list[Any] = []
    remaining = size * 1000 - 300
    while remaining > 0:
        articles.append(article(len(articles)))
        remaining -= len(json.dumps(articles[-1], separators=(",", ":"))) + 1
    basket = {"articles": articles, "log": [1, 2]}
    return {"user": "ann", "n": 0, "small": "x", "basket": basket}


def read(session: Any) -> object:
    """
    Get a small key.
    """
    return session["small"]


def count(session: Any) -> object:
    """
    Change a small key.
    """
    session["n"] += 1
    return session["n"]


def nested(session: Any) -> object:
    """
    Change something small within something large.
    """
    log = session["basket"]["log"]
    log.append(1)
    if len(log) > _MOST:
        log.clear()
    return len(log)


def append(session: Any) -> object:
    """
    Put an article in, or take it out.
    """
    articles = session["basket"]["articles"]
    if articles[-1]["name"] == "new":
        articles.pop()
    else:
        articles.append({**article(len(articles)), "name": "new"})
    return len(articles)


COLUMNS: Final[dict[str, tuple[Handler, bool]]] = {
    "read": (read, False),
    "read, basket was read": (read, True),
    "count": (count, False),
    "nested": (nested, False),
    "append": (append, False),
}
"""
What a handler does, and whether the basket was read before.
"""


class _Does(SessionSocketProtocol):
    handler: Handler

    def sessionMessageReceived(self, message: object, session: Session) -> None:
        self.send(self.handler(session))


class Scene:
    """
    A client of a server in memory.
    """

    def __init__(self, size: float, *, perMessage: bool) -> None:
        self._clock = Clock()
        self._clock.advance(1_700_000_000)
        store, framework = MemoryStore(self._clock), Express(secrets=["a secret"])
        cookie = putSession(store, framework, self._clock, data(size))
        manager = SessionManager(store, framework, self._clock)
        factory = SessionSocketFactory(manager, perMessage=perMessage)
        factory.protocol = _Does
        self._browser = Browser(factory, cookie=cookie)
        self._settle()

    def _settle(self) -> None:
        for _ in range(2):
            self._clock.advance(0)
            self._browser.flush()

    def ask(self, handler: Handler) -> None:
        """
        Have a message handled, and its answer come.
        """
        _Does.handler = staticmethod(handler)
        self._browser.send({"m": 1})
        self._settle()
        self._browser.next()
        self._clock.advance(0.01)


def measured(column: str, size: float, *, perMessage: bool) -> float:
    """
    @return: How many µs a message took, in the best of some rounds.
    """
    handler, isRead = COLUMNS[column]
    scene = Scene(size, perMessage=perMessage)
    if isRead:
        scene.ask(lambda session: len(session["basket"]))
    for _ in range(5):
        scene.ask(handler)
    number = max(20, min(400, int(8000 / size)))
    gc.collect()
    best = float("inf")
    for _ in range(_ROUNDS):
        began = process_time()
        for _ in range(number):
            scene.ask(handler)
        best = min(best, process_time() - began)
    return best / number * 1e6


def table() -> Iterator[str]:
    """
    As Markdown: per message, and per connection.
    """
    yield "| KB | " + " | ".join(COLUMNS) + " |"
    yield "| --- |" + " --- |" * len(COLUMNS)
    for size in SIZES:
        cells = [
            " / ".join(
                f"{measured(column, size, perMessage=isPer):.0f}"
                for isPer in (True, False)
            )
            for column in COLUMNS
        ]
        yield f"| {size} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", nargs=2, metavar=("COLUMN", "KB"))
    profiled = parser.parse_args().profile
    if profiled is None:
        for line in table():
            print(line, flush=True)
        return
    column, size = profiled
    profile = cProfile.Profile()
    profile.runcall(measured, column, float(size), perMessage=True)
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
