# -*- test-case-name: tests.simulation.test_rounds -*-
"""
Rounds of steps: each brings about what hardly ever happens where all is left to chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final


__all__ = ["COPIES", "EMPTIES", "LOGINS", "ROLLS", "ROUNDS", "Round"]

_Step = tuple[str, int, float, tuple[Any, ...]]
Round = tuple[dict[str, Any], Callable[[Random], Iterator[_Step]]]
"""
What a plan says of its world, if not what most do; and the steps of a round: what is
done, who does it, how many seconds later the next comes, and what else is to be known.
"""

_AT_ONCE = (0.0, 0.0, 0.01, 0.05)


def _send(random: Random, do: str, key: str, pause: float) -> _Step:
    return "send", random.randrange(60), pause, (do, key, -1, False)


def _set(random: Random, pause: float) -> _Step:
    return _send(random, "set", random.choice("ab"), pause)


def _copies(random: Random) -> Iterator[_Step]:
    """
    A web application has a copy of a session while a node changes it, and the node
    loses its connection to the table, or to the cache.
    """
    for _ in range(random.randint(1, 3)):
        yield _set(random, random.choice((0.05, 0.1)))
        yield "view", 0, random.choice((0.1, 0.15, 0.2)), ()
    yield "cutStore", 0, random.choice((0.0, 0.1)), ()
    yield "view", 0, random.choice((0.3, 1.0)), ()


def _rolls(random: Random) -> Iterator[_Step]:
    """
    Groups are told something when the sessions of their sockets were just changed, a
    node is told to stop, and another one takes its place; and later again.
    """
    for _ in range(random.randint(1, 3)):
        do = random.choice(("set", "set", "spread", "nested"))
        key = "nest.a" if do == "nested" else "a"
        yield _send(random, do, key, random.choice(_AT_ONCE))
    for _ in range(2):
        more = "send", random.choice(("session", "session", "all"))
        yield "tell", random.randrange(60), random.choice(_AT_ONCE), more
    yield "roll", random.randrange(60), random.choice((1.0, 3.0, 4.0)), ()
    for node in range(3):
        yield "tell", node, random.choice((0.0, 0.3)), ("count", "all")


def _logins(random: Random) -> Iterator[_Step]:
    """
    A page gives a session a new id while sockets at other nodes change it.
    """
    more = "log in", "a", -1, 0.0
    yield "visit", random.randrange(60), random.choice(_AT_ONCE), more
    for _ in range(random.randint(2, 6)):
        yield _set(random, random.choice((0.02, 0.05, 0.1, 0.2)))
    yield _set(random, random.choice((0.3, 1.0)))


def _empties(random: Random) -> Iterator[_Step]:
    """
    A web application empties a session that several nodes have just changed, and
    change at that time.
    """
    seconds = random.choice((0.3, 0.5, 1.0))
    yield _set(random, random.choice(_AT_ONCE))
    yield "rewrite", 0, 0.0, ("ours", seconds, "empties")
    number = random.randint(2, 4)
    for _ in range(number):
        yield _set(random, seconds / number)
    for _ in range(random.randint(1, 3)):
        yield _set(random, random.choice((0.05, 0.1, 0.2)))
    yield _set(random, random.choice((0.3, 1.0)))


COPIES: Final = {"kind": "cached", "latency": 0.2, "offsets": (0.0,)}, _copies
ROLLS: Final = {"kind": "watched", "hub": True}, _rolls
LOGINS: Final[Round] = {}, _logins
EMPTIES: Final = {"repair": True}, _empties

ROUNDS: Final[tuple[Round, ...]] = (COPIES, ROLLS, ROLLS, LOGINS, EMPTIES)
