# -*- test-case-name: tests.simulation.test_rounds -*-
"""
Rounds of steps: each brings about what hardly ever happens where all is left to chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final


__all__ = [
    "ASKS",
    "COPIES",
    "EMPTIES",
    "EMPTIES_TWICE",
    "ENDS",
    "GIVES_UP",
    "GIVES_UP_LATER",
    "KEEPS",
    "LEAVES",
    "LOGINS",
    "OF_SOCKETS",
    "OVERWRITES",
    "REPLACES",
    "RETURNS",
    "ROLLS",
    "ROUNDS",
    "STOPS",
    "UNSEEN",
    "WAITS",
    "Round",
]

_Step = tuple[str, int, float, tuple[Any, ...]]
Round = tuple[dict[str, Any], Callable[[Random], Iterator[_Step]]]
"""
What a plan says of its world, if not what most do; and the steps of a round: what is
done, who does it, how many seconds later the next comes, and what else is to be known.
"""

_AT_ONCE = (0.0, 0.0, 0.01, 0.05)
_SESSIONS: Final = 4
"""
Of how many sessions some rounds are: each comes about in some that nobody has changed.
"""

_MANY: Final = 24
"""
Of how many one is where something is to happen to hardly any session twice.
"""


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


def _ends(random: Random) -> Iterator[_Step]:
    """
    A node is told to stop when it deletes a copy, and a request reads what was there
    before.
    """
    yield "start", 0, 0.0, ()
    yield "connect", 0, random.choice((0.3, 0.5)), ()
    yield _set(random, random.choice((0.0, 0.005, 0.01, 0.02)))
    for _ in range(random.randint(1, 2)):
        yield "view", 0, random.choice((0.01, 0.02, 0.03, 0.05)), ()
    yield "stop", 0, 3.0, ()


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
    yield "roll", random.randrange(60), random.choice((0.0, 0.3, 1.0)), ()
    yield "roll", random.randrange(60), random.choice((3.0, 4.0)), ()
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


def _emptiesTwice(random: Random) -> Iterator[_Step]:
    """
    A web application empties a session, and once more from a copy of then.  A node saw
    the first time, and not what another one wrote before the second.
    """
    who = random.randrange(_SESSIONS)
    empties = "rewrite", who, 0.3
    yield *empties, ("ours", 0.0, "empties")
    yield "send", who + _SESSIONS, random.choice((0.3, 0.4)), ("read", "a", -1, False)
    yield *empties, ("ours", random.choice((0.6, 0.8, 1.0)), "empties")
    yield "send", who, random.choice((0.2, 0.4)), ("set", "a", -1, False)
    yield "send", who + _SESSIONS, random.choice((0.3, 0.6)), ("set", "b", -1, False)
    yield "send", who, random.choice((0.3, 1.0)), ("set", "b", -1, False)


def _replaces(random: Random) -> Iterator[_Step]:
    """
    Somebody else logs in, while sockets that are open change the session.
    """
    for _ in range(random.randint(1, 4)):
        yield _set(random, random.choice((*_AT_ONCE, 0.3)))
    seconds = random.choice((0.0, 0.05, 0.5))
    yield "rewrite", 0, random.choice(_AT_ONCE), ("ours", seconds, "replaces")
    for _ in range(random.randint(1, 4)):
        yield _set(random, random.choice((*_AT_ONCE, 0.3)))
    yield "connect", random.randrange(60), random.choice((0.3, 2.0)), ()


def _waits(random: Random) -> Iterator[_Step]:
    """
    A request that takes long overwrites what a node stored when that began, and the
    store, which is slow, tells nothing: the node looks only now and then.
    """
    for who in random.sample(range(_MANY), 3):
        seconds = random.uniform(2.8, 3.8)
        yield "rewrite", who, 0.0, ("ours", seconds, "reads")
        yield "send", who, random.choice((0.0, 1.0)), ("set", "a", -1, False)
        if random.random() < 0.5:
            yield "leave", who, 0.0, ()
    yield "connect", 0, 8.0, ()


def _overwrites(random: Random) -> Iterator[_Step]:
    """
    Requests overwrite what a node stored that is told to stop; the store tells nothing.
    """
    who = random.randrange(_MANY)
    yield "start", 0, 0.0, ()
    yield "connect", who, 1.0, ()
    yield "rewrite", who, 0.0, ("ours", random.uniform(2.5, 3.8), "reads")
    yield "send", who, random.choice((0.0, 0.3, 1.0)), ("set", "a", -1, False)
    yield "stop", 0, 0.3, ()
    yield "write", who, 8.0, ("ours", random.uniform(0.2, random.choice((1.0, 3.8))))


def _givesUp(random: Random) -> Iterator[_Step]:
    """
    A handler counts and waits; another's write takes that along, and nobody knows what
    became of it, since the connection to the store is lost and a request writes.
    """
    tab = random.randrange(3)
    counts = "count and update", "n", -1, False
    yield "send", tab, random.choice((0.0, 0.1)), counts
    do = random.choice(("set", "set", "wait"))
    pause = random.choice((0.0, 0.1, 0.2, 0.3))
    yield "send", tab + 1, pause, (do, "a", -1, False)
    yield "cutStore", 0, random.choice((0.0, 0.1)), ()
    yield "write", 0, 0.3, ("ours", random.choice((0.0, 0.1)))
    yield "connect", 0, random.choice((0.3, 1.0, 3.0)), ()


def _keeps(random: Random) -> Iterator[_Step]:
    """
    A handler keeps a list that it got, and changes it when it was looked through
    several times since.
    """
    for who in random.sample(range(_SESSIONS), 2):
        pause = random.choice((0.0, 0.3))
        yield "send", who, pause, ("keep", "nest.list", -1, False)
    for _ in range(random.randint(0, 2)):
        yield _set(random, random.choice((0.0, 0.3, 1.0)))
    yield "connect", 0, 6.0, ()


def _stops(random: Random) -> Iterator[_Step]:
    """
    A node is told to stop when its clients have sent so much that it has hardly time
    for that, or less.
    """
    for _ in range(random.randint(8, 34)):
        yield _send(random, "wait", random.choice("ab"), 0.01)
    yield _send(random, "wait", "a", random.choice((0.3, 0.6)))
    yield "roll", 0, 15.0, ()


def _unseen(random: Random) -> Iterator[_Step]:
    """
    A node changes a key, a request reads that, and the node changes the key again.
    Another node does so then, and never saw what the request has.
    """
    who = random.randrange(_SESSIONS)
    key, *does = random.choice(
        (
            ("a", "set", "set", "set"),
            ("d", "put", "put", "put"),
            ("d", "put", "take", "put"),
        )
    )
    changes = [(do, key, -1, False) for do in does]
    how = "ours", random.choice((0.1, 0.3, 0.6))
    yield "send", who, 0.01, changes[0]
    yield random.choice(
        (("write", who, 0.01, how), ("rewrite", who, 0.01, (*how, "reads")))
    )
    yield "send", who, 0.01, changes[1]
    yield "send", who + _SESSIONS, random.choice((0.6, 1.0)), changes[2]


COPIES: Final = {"kind": "cached", "latency": 0.2, "offsets": (0.0,)}, _copies
ENDS: Final = (
    {"kind": "cached", "latency": 0.02, "offsets": (0.0,), "tabs": 1, "repair": False},
    _ends,
)
ROLLS: Final = {"kind": "watched", "latency": 0.2, "hub": True}, _rolls
LOGINS: Final[Round] = {}, _logins
EMPTIES: Final = {"repair": True}, _empties
EMPTIES_TWICE: Final = (
    {"repair": True, "kind": "polled", "sessions": _SESSIONS, "tabs": 2 * _SESSIONS},
    _emptiesTwice,
)
REPLACES: Final[Round] = {}, _replaces

WAITS: Final = (
    {
        "repair": True,
        "kind": "silent",
        "latency": 0.2,
        "sessions": _MANY,
        "tabs": _MANY,
    },
    _waits,
)
GIVES_UP: Final = (
    {"repair": False, "latency": 0.2, "offsets": (0.0,), "tabs": 3},
    _givesUp,
)
GIVES_UP_LATER: Final = GIVES_UP[0] | {"perMessage": False}, _givesUp
OVERWRITES: Final = (
    {
        "repair": True,
        "kind": "silent",
        "offsets": (0.0,),
        "sessions": _MANY,
        "tabs": _MANY,
    },
    _overwrites,
)
KEEPS: Final = (
    {"perMessage": False, "sessions": _SESSIONS, "tabs": _SESSIONS},
    _keeps,
)
STOPS: Final = {"offsets": (0.0,), "tabs": 1}, _stops
UNSEEN: Final = (
    {
        "repair": True,
        "kind": "polled",
        "latency": 0.002,
        "sessions": _SESSIONS,
        "tabs": 2 * _SESSIONS,
    },
    _unseen,
)

ROUNDS: Final[tuple[Round, ...]] = (
    COPIES,
    *[ROLLS] * 2,
    LOGINS,
    EMPTIES,
    *[EMPTIES_TWICE] * 2,
    REPLACES,
    WAITS,
    *[OVERWRITES] * 2,
    *[GIVES_UP] * 2,
    GIVES_UP_LATER,
    KEEPS,
    STOPS,
    *[ENDS] * 2,
    UNSEEN,
)


def _asks(random: Random) -> Iterator[_Step]:
    """
    Handlers ask their clients, who have sent more by then; and the store is lost while
    the first of that is to be the answer.
    """
    for tab in range(2):
        do, key = random.choice(("ask", "ask", "ask twice")), random.choice("ab")
        # What comes later than the question to the store needs another one.
        yield "send", tab, random.choice((0.1, 0.2, 0.3)), (do, key, -1, False)
        for _ in range(random.randint(2, 3)):
            do = random.choice(("set", "read", "read"))
            yield "send", tab, 0.0, (do, random.choice("ab"), -1, False)
    if random.random() < 0.3:
        yield "trouble", 0, 3.0, ("late", 3.0)
    else:
        yield "connect", 0, random.uniform(0.1, 0.6), ()
        yield "cutStore", 0, random.choice((1.0, 2.0)), ()
    for tab in range(2):
        yield "connect", tab, 0.4, ()


def _returns(random: Random) -> Iterator[_Step]:
    """
    A client of Socket.IO loses its connection, and may come back to another node, while
    others of its session change that, and a little is sent to many.
    """
    yield "cut", 0, 0.2, ("told", 0.0)
    for _ in range(22):
        tab, pause = random.choice((1, 2)), random.uniform(0.0, 0.2)
        if random.random() < 0.65:
            yield "send", tab, pause, ("set", random.choice("ab"), -1, False)
        else:
            yield "shout", random.randrange(60), pause, (1, random.random() < 0.3)
    yield "connect", 0, random.choice((2.0, 4.0)), ()


def _leaves(random: Random) -> Iterator[_Step]:
    """
    A client of Socket.IO leaves a namespace and comes again, sometimes with another
    session, while a handler of its other one fails.
    """
    tab = random.randrange(4)
    who, pause = random.randrange(tab, 60, 4), random.uniform(0.0, 0.2)
    yield "leaveNamespace", who, pause, ()
    for _ in range(3):
        # What is for a namespace where it is not has it go there.
        do, key = random.choice(("raise", "raise", "set")), random.choice("ab")
        yield "send", tab, random.uniform(0.0, 0.1), (do, key, -1, False)
    yield "connect", tab, random.choice((0.0, 0.3, 1.0)), ()


ASKS: Final = {"offsets": (0.0,), "latency": 0.2, "tabs": 2}, _asks
RETURNS: Final = (
    {
        "offsets": (0.0, 0.0),
        "latency": 0.2,
        "tabs": 3,
        "sockets": ("text", "plain", "plain"),
        "recovery": 10.0,
    },
    _returns,
)
LEAVES: Final = (
    {"sessions": 2, "sockets": ("msgpack", "text"), "hasSecond": True},
    _leaves,
)

OF_SOCKETS: Final[tuple[Round, ...]] = (ASKS, *[RETURNS] * 4, LEAVES)
