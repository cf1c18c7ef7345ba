# -*- test-case-name: tests.simulation.test_world -*-
"""
What is to happen in a world: drawn from one number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from txsessionsock.manager import Freshness

from .messages import MOST_INCREMENTS
from .rounds import OF_SOCKETS, ROUNDS, Round
from .store import BY_NODES
from .wire import Cut


__all__ = ["LONG", "PLAIN", "SHORT", "Plan", "Step", "drawn", "inRounds"]

LONG: Final = 86400.0
SHORT: Final = 6.0
"""
How many seconds sessions live from the last visit on.
"""

_HOURS = 5 * 3600.0
PLAIN: Final = "plain"
"""
A socket that is none of Socket.IO.
"""

_PAUSES = (0.0, 0.0, 0.002, 0.01, 0.05, 0.3, 1.0)
_COUNTING = ("increment", "twice")
_KEYS = {
    "increment": "n",
    "twice": "n",
    "update": "log",
    "update fails": "log",
    "nested": "nest.{}",
    "deep": "nest.deep.{}",
    "list": "nest.list",
    "put": "d",
    "take": "d",
    "enter": "seat",
}
"""
What handlers change, if not any key.
"""
_PAGES = (
    *("log in", "log in", "log in", "log out", "read", "set", "set", "deep", "list"),
    *("increment", "twice", "put", "take", "update", "wait", "save unheard"),
)
_LONG_PAUSES = (0.0, 0.01, 0.3, 2.0, 5.0, 11.0)
"""
With these, sessions are looked at, put off and let go of while nobody does anything.
"""
_TROUBLES = ("refused", "deaf", "mute", "late")
_TELLING = ("send", "send", "send", "count", "close")
_GROUPS = ("session", "session", "seat", "seat", "all", "r")
_BUS = ("cut", "deaf", "late", "busy")


@dataclass(frozen=True, slots=True)
class Step:
    """
    What somebody does.

    @ivar what: The name of a method of L{World}, with C{_} before it.

    @ivar pause: How many seconds later the next step comes.
    """

    what: str
    who: int
    pause: float
    more: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Plan:
    """
    A world, and what is to happen in it.

    @ivar offsets: By how much the clock of each node is wrong.

    @ivar sessions: How many there are; tabs have them in turn.

    @ivar anonymous: Whether nobody is logged in at first.

    @ivar hub: Whether nodes have a hub, on a bus.

    @ivar isNarrow: Whether little may wait for a socket.

    @ivar sockets: Of which kind those of each tab are: C{"plain"}, or in what its
        client of Socket.IO writes.

    @ivar recovery: For how many seconds clients of Socket.IO are waited for; 0 if
        they come as new ones.

    @ivar hasSecond: Whether some name another session in a second namespace.

    @ivar repeating: Of how many tabs the handlers may run again: the first ones.

    @ivar shortMessages: Whether messages that need not wait take the short way.
    """

    seed: int
    kind: str
    perMessage: bool
    freshness: Freshness
    repair: bool
    offsets: tuple[float, ...]
    latency: float
    ttl: float
    tabs: int
    sessions: int
    steps: tuple[Step, ...]
    anonymous: bool = False
    hub: bool = False
    isNarrow: bool = False
    sockets: tuple[str, ...] = (PLAIN,)
    recovery: float = 0.0
    hasSecond: bool = False
    repeating: int = 0
    shortMessages: bool = True

    @property
    def hasSocketIO(self) -> bool:
        """
        Whether there are any of Socket.IO.
        """
        return self.sockets != (PLAIN,)


def drawn(seed: int, steps: int = 50) -> Plan:
    """
    Draw a plan.
    """
    plan = _drawn(seed, steps)
    # Last, and from a source of its own: all other plans stay what they are.
    random = Random(f"slow {seed}")
    isDoubtful = not plan.repair and plan.tabs == 4
    if plan.repeating:
        return plan
    if random.random() < (_SLOW_IN_DOUBT if isDoubtful else _SLOW):
        return replace(
            plan,
            # Per connection, answers do not wait for what is in doubt.
            perMessage=plan.perMessage or (isDoubtful and random.random() < 0.7),
            steps=tuple(_slowed(random, each) for each in plan.steps),
        )
    return plan


_SLOW = 0.05
_SLOW_IN_DOUBT = 0.5
"""
In how many histories handlers wait after they have counted; also of those in which
answers to increments get lost.
"""


def _slowed(random: Random, step: Step) -> Step:
    """
    Have who counts wait then, or not, and the store not answer for a while instead of
    being cut off, or not.
    """
    if step.what == "cutStore" and random.random() < 0.7:
        return replace(step, what="trouble", more=("mute", random.choice((0.1, 1.0))))
    if step.more[:1] != ("increment",):
        return step
    do = random.choice(("increment", "count and wait", *("count and update",) * 2))
    if step.what != "send" or do == "increment":
        return replace(step, more=(do, *step.more[1:]))
    # Who saves hears of it by that.
    return replace(step, more=(do, *step.more[1:3], False))


def _drawn(seed: int, steps: int) -> Plan:
    if Random(f"ends {seed}").random() < _ENDS:
        return _ending(Random(f"ending {seed}"), seed, steps)
    if Random(f"works {seed}").random() < _WORKS:
        return _working(Random(f"working {seed}"), seed, steps)
    share = Random(f"rounds {seed}").random()
    if share < _ROUNDS + _OF_SOCKETS:
        random = Random(f"in rounds {seed}")
        some = random.choice(ROUNDS if share < _ROUNDS else OF_SOCKETS)
        return inRounds(random, seed, steps, some)
    if Random(f"repeats {seed}").random() < _REPEATS:
        return _repeating(Random(f"repeating {seed}"), seed, steps)
    random = Random(f"plan {seed}")
    if random.random() < 0.15:
        return _doubtful(random, seed, steps)
    nodes = random.choice((1, 2, 2, 3))
    more = _sockets(Random(f"sockets {seed}"))
    writes = random.random() < 0.3
    isShort = random.random() < 0.15
    kinds = ("watched", "watched", "watched", "apart", "polled", "silent", "cached")
    kind = random.choice(kinds)
    hub = random.random() < 0.4 and not more
    return Plan(
        seed,
        kind=kind,
        perMessage=random.random() < 0.8,
        freshness="strict" if random.random() < 0.8 else "tracked",
        repair=writes or random.random() < 0.5,
        offsets=tuple(_offsets(random, nodes, kind, isShort=isShort)),
        latency=random.choice((0.0, 0.002, 0.02, 0.2)),
        ttl=SHORT if isShort else LONG,
        tabs=random.choice((1, 2, 3, 4)),
        sessions=random.choice((1, 1, 2)),
        steps=tuple(
            _steps(
                random,
                steps,
                nodes,
                writes=writes,
                hub=hub,
                isMore=bool(more),
                isCached=kind == "cached",
                isBusy=Random(f"busy {seed}").random() < _BUSY,
            )
        ),
        hub=hub,
        isNarrow=random.random() < 0.4,
        **more,
        anonymous=random.random() < 0.15,
    )


def _sockets(random: Random) -> dict[str, Any]:
    """
    What a plan says of clients of Socket.IO; nothing if there are none.
    """
    if random.random() > _SOCKET_IO:
        return {}
    first = random.choice(("text", "text", "msgpack"))
    others = (random.choice((PLAIN, "text", "msgpack")) for _ in range(3))
    return {
        "sockets": (first, *others),
        "recovery": random.choice((0.0, 2.0, 10.0)),
        "hasSecond": random.random() < 0.3,
    }


def _socketKinds(random: Random, *, isMore: bool) -> list[str]:
    """
    What befalls sockets.
    """
    kinds = ["cut", "leave"] * (random.random() < 0.5)
    kinds += ["stopReading", "burst", "burst"] * (random.random() < 0.4)
    kinds += ["switch"] * (random.random() < 0.2)
    if isMore:
        kinds += ["leaveNamespace", "shout", "shout", "shout", "cut", "cut"]
        kinds += ["bus"] * (random.random() < 0.3)
    return kinds


_SOCKET_IO = 0.2
"""
In how many histories there are clients of Socket.IO.
"""

_BUSY = 0.1
"""
In how many histories handlers take more time than a slice has.
"""

_CUTS: tuple[Cut, ...] = ("told", "told", "reset", "node late", "browser late")

_MORE: dict[str, Callable[[Random], tuple[Any, ...]]] = {
    "cut": lambda random: (random.choice(_CUTS), random.choice((0.5, 2.0, 6.0))),
    "stopReading": lambda random: (
        random.choice((0.5, 2.0, 6.0)),
        random.choice((0, 12)),
    ),
    "jump": lambda random: (random.uniform(-5, 5),),
    "switch": lambda random: (random.random() < 0.5, random.random() < 0.5),
    "shout": lambda random: (random.randint(1, 3), random.random() < 0.3),
    "burst": lambda random: (random.randint(4, 12),),
}
"""
What else is to be known of such a step.
"""


def _nothing(random: Random) -> tuple[Any, ...]:
    return ()


def _offsets(
    random: Random, nodes: int, kind: str, *, isShort: bool
) -> Iterator[float]:
    """
    By how much clocks are wrong.  Where sessions end soon, and by the clocks of nodes,
    they are right; and where sessions end soon, in half of the histories.
    """
    most = _HOURS if random.random() < 0.2 else 60.0
    if isShort and (kind in BY_NODES or random.random() < 0.5):
        most = 0.0
    for _ in range(nodes):
        yield random.uniform(-most, most)


def _troublesOf(random: Random) -> list[str]:
    """
    What befalls the store itself.
    """
    kinds = ["spoil"] * (random.random() < 0.1)
    if random.random() < 0.15:
        kinds += ["restart", random.choice(("logIn", "connect"))]
    return kinds


def _forCopies(random: Random) -> list[str]:
    """
    What has copies in the cache.
    """
    return ["view"] * random.choice((2, 5)) + ["logIn"]


def _moreOf(random: Random, what: str) -> tuple[Any, ...]:
    if what == "spoil":
        how = random.choice(("bytes", "bytes", "type"))
        return how, random.choice((0.3, 1.0, 4.0, 4.0, 20.0))
    if what == "restart":
        return random.choice((0.1, 1.0, 3.0)), random.random() < 0.3
    if what == "tell":
        return random.choice(_TELLING), random.choice(_GROUPS)
    if what == "bus":
        return random.choice(_BUS), random.choice((0.1, 1.0, 3.0, 8.0))
    if what in ("pause", "slow"):
        return (random.choice((0.2, 1.0, 4.0)),)
    return _MORE.get(what, _nothing)(random)


def _doubtful(random: Random, seed: int, steps: int) -> Plan:
    """
    A plan in which answers to increments get lost while others write: without a
    stamp nobody knows then whether these count.
    """
    return Plan(
        seed,
        kind=random.choice(("watched", "apart", "polled", "silent")),
        perMessage=random.random() < 0.3,
        freshness="strict",
        repair=False,
        offsets=(0.0, random.uniform(-60, 60)),
        latency=random.choice((0.02, 0.2)),
        ttl=LONG,
        tabs=4,
        sessions=1,
        steps=tuple(_doubts(random, steps)),
    )


_ENDS = 0.08
"""
In how many histories nodes end that are alone.
"""


def _ending(random: Random, seed: int, steps: int) -> Plan:
    """
    A plan in which a node ends that is alone, while web applications are about to
    write what they read before: nobody else puts back what that undoes.
    """
    isMore = random.random() < 0.3
    kinds = ("watched", "watched", "apart", "polled", "silent", "cached")
    kind = random.choice(kinds)
    # What a slow store does not tell is seen too late.
    latencies = (0.0, 0.002, 0.02) if kind == "silent" else (0.0, 0.002, 0.02, 0.2)
    return Plan(
        seed,
        kind=kind,
        perMessage=random.random() < 0.7,
        freshness="strict",
        # One that guards what it wrote has deleted all copies by then.
        repair=kind != "cached",
        offsets=(random.uniform(-60, 60),),
        latency=random.choice(latencies),
        ttl=LONG,
        tabs=2,
        sessions=1 if kind == "cached" else 2,
        # So is what is from before a node's first stamp.
        steps=tuple(
            _ends(
                random,
                steps,
                2.8 if kind == "silent" else 3.5,
                isCached=kind == "cached",
            )
        ),
        sockets=("text", PLAIN) if isMore else (PLAIN,),
    )


_WORKS = 0.03
"""
In how many histories messages wait for other handlers of their session, which ends.
"""


def _working(random: Random, seed: int, steps: int) -> Plan:
    """
    A plan in which several sockets of a session send at once what takes long, and
    the session ends while some wait for their turn.
    """
    return Plan(
        seed,
        kind=random.choice(("watched", "watched", "apart")),
        perMessage=True,
        freshness="strict",
        repair=random.random() < 0.5,
        offsets=(random.uniform(-60, 60),),
        latency=random.choice((0.0, 0.002, 0.002)),
        ttl=LONG,
        tabs=4,
        sessions=1,
        steps=tuple(_works(random, steps)),
    )


_REPEATS = 0.06
"""
In how many histories handlers may run again.
"""


def _repeating(random: Random, seed: int, steps: int) -> Plan:
    """
    A plan in which handlers of some tabs may run again, and those of others, and pages,
    write the same sessions.
    """
    kinds = ("watched", "watched", "apart", "polled", "silent")
    repeating, writes = random.choice((2, 3, 3, 4)), random.random() < 0.25
    return Plan(
        seed,
        kind=random.choice(kinds),
        perMessage=True,
        freshness="strict" if random.random() < 0.8 else "tracked",
        repair=writes or random.random() < 0.5,
        offsets=tuple(random.uniform(-60, 60) for _ in range(random.choice((1, 2, 3)))),
        latency=random.choice((0.0, 0.002, 0.02, 0.02, 0.2)),
        ttl=LONG,
        tabs=4,
        sessions=1,
        steps=tuple(_repeats(random, steps, repeating, writes=writes)),
        isNarrow=random.random() < 0.2,
        repeating=repeating,
    )


_AGAIN = (
    *("plus",) * 5,
    *("append",) * 3,
    *("push",) * 3,
    *("pop",) * 2,
    *("read", "read", "increment", "forbidden"),
)
_BESIDE = ("set", "nested", "read", "increment", "update", "wait")


def _repeats(
    random: Random, number: int, repeating: int, *, writes: bool
) -> Iterator[Step]:
    kinds = ["send"] * 30 + ["connect"] * 2 + ["write"] * 4 * writes
    kinds += ["logOut", "logIn", "logIn"] * (random.random() < 0.2)
    kinds += ["trouble", "heal", "cutStore"] * (random.random() < 0.5)
    kinds += ["kill", "stop", "start", "start"] * (random.random() < 0.15)
    kinds += ["pause", "slow"] * (random.random() < 0.2)
    kinds += ["cut", "leave"] * (random.random() < 0.4) + ["visit"] * 2
    again = _AGAIN + ("raise",) * (random.random() < 0.3)
    digits = 0
    for _ in range(number):
        what, who = random.choice(kinds), random.randrange(60)
        more: tuple[Any, ...] = ()
        if what == "send":
            do = random.choice(again if who % 4 < repeating else _BESIDE)
            isCount = do in ("plus", "increment")
            if isCount and digits >= MOST_INCREMENTS:
                do, isCount = "read", False
            digits += isCount
            key = _KEYS.get(do, "{}").format(random.choice(("a", "b")))
            more = do, key, digits - 1, False
        elif what == "write":
            more = "ours", random.choice((0.0, 0.05, 0.5, 2.0))
        elif what == "visit":
            more = random.choice(("read", "set")), "a", -1, 0.0
        elif what == "trouble":
            more = random.choice(_TROUBLES), random.choice((0.1, 1.0, 3.0, 6.0))
        else:
            more = _moreOf(random, what)
        yield Step(what, who, random.choice((0.0, 0.0, *_PAUSES)), more)


def _works(random: Random, number: int) -> Iterator[Step]:
    done = 0
    while done < number:
        tabs = [0, 1, 2, 3] * random.randint(1, 2)
        random.shuffle(tabs)
        for tab in tabs:
            do = random.choice(("work", "work", "work", "work", "read", "destroy"))
            yield Step("send", tab, 0.0, (do, random.choice("ab"), -1, False))
        yield Step("connect", 0, random.choice((0.0, 0.002, 0.005, 0.01, 0.02)))
        yield Step("logOut", 0, random.choice((0.0, 0.05, 0.3)))
        yield Step("logIn", 0, random.choice((0.3, 1.0)))
        done += len(tabs) + 3


_ROUNDS = 0.085
"""
In how many histories one thing happens again and again.
"""
_OF_SOCKETS = 0.04
"""
In how many more it is about sockets.
"""


def inRounds(random: Random, seed: int, steps: int, some: Round) -> Plan:
    """
    A plan in which something comes about again and again that is rare else.
    """
    world, happen = some
    taken: list[Step] = []
    plan = Plan(
        seed,
        kind=random.choice(("watched", "watched", "apart", "polled", "silent")),
        perMessage=True,
        freshness="strict",
        repair=random.random() < 0.5,
        offsets=tuple(_offsets(random, random.choice((2, 2, 3)), "", isShort=False)),
        latency=random.choice((0.02, 0.2, 0.2)),
        ttl=LONG,
        tabs=4,
        sessions=1,
        steps=(),
    )
    while len(taken) < steps:
        taken += (Step(*each) for each in happen(random))
    return replace(plan, steps=tuple(_numbered(taken)), **world)


def _numbered(steps: Iterable[Step]) -> Iterator[Step]:
    """
    Give each handler that counts a digit of its own, as long as there are any.
    """
    digits = 0
    for each in steps:
        if each.more[1:2] != ("n",):
            yield each
        elif digits < MOST_INCREMENTS:
            do, key, _, saves = each.more
            yield replace(each, more=(do, key, digits, saves))
            digits += 1


def _ends(
    random: Random, number: int, most: float, *, isCached: bool
) -> Iterator[Step]:
    digits, done = 0, 0
    # While others write, or while the store is away; or others read, of whom copies
    # come.
    other = random.choice(("write",) * 4 + ("cutStore",))
    other = "view" if isCached else other
    while done < number:
        kinds = ["send"] * random.randint(1, 5) + [other] * random.randint(1, 2)
        random.shuffle(kinds)
        last = [other, "send"] if other != "write" else []
        kinds = ["connect", "connect", *kinds, *last]
        for place, what in enumerate(kinds):
            more: tuple[Any, ...] = ()
            if what == "send":
                isCount = random.random() < 0.3 and digits < MOST_INCREMENTS
                digits += isCount
                do = "increment" if isCount else random.choice(_BEFORE_THE_END)
                key = _KEYS.get(do, "{}").format(random.choice(("a", "b")))
                more = do, key, digits - 1, random.random() < 0.2
            elif what == "write":
                more = "ours", random.uniform(0.05, most)
            pause = random.choice((0.0, 0.05, 0.3, 0.3, 1.0))
            pause = min(pause, 0.05) if last else pause
            if isCached and place >= len(kinds) - 2:
                # What is read is stored as a copy when it was changed, and the node
                # is about to end.
                pause = random.choice((0.0, 0.002))
            yield Step(what, random.randrange(60), pause, more)
        late = random.choice((0, 0, 1, 2, 3)) if other == "write" else 0
        pauses = (0.3, 1.0, 2.0) if late else (0.3, 3.0, 12.0)
        yield Step("stop", 0, random.choice(pauses))
        for _ in range(late):
            more = "ours", random.uniform(0.05, most)
            yield Step("write", random.randrange(60), random.choice((0.3, 1.0)), more)
        done += len(kinds) + late + 2
        if isCached and done >= number:
            # Else the one that comes next deletes the copy, too.
            return
        yield Step("start", 0, 0.0)


_BEFORE_THE_END = ("set", "set", "nested", "update", "wait")


def _doubts(random: Random, number: int) -> Iterator[Step]:
    digits = 0
    for _ in range(number):
        more: tuple[Any, ...] = ()
        what = random.choice(("send",) * 8 + ("cutStore",) * 2 + ("connect",))
        if what == "send":
            isCount = random.random() < 0.5 and digits < MOST_INCREMENTS
            digits += isCount
            do, key = ("increment", "n") if isCount else ("set", "a")
            more = do, key, digits - 1, random.random() < 0.7
        pause = random.choice((0.0, 0.0, 0.01, 0.01, 0.05, 0.05, 0.3))
        yield Step(what, random.randrange(60), pause, more)


def _forHubs(random: Random, handlers: list[str]) -> list[str]:
    """
    @param handlers: Gets those that have to do with hubs.

    @return: The kinds of steps that have.
    """
    handlers += ["join", "part", "joinLate", "spread", "spread"]
    handlers += ["enter"] * 2 * (random.random() < 0.5)
    return ["tell"] * 8 + ["bus"] * 2 * (random.random() < 0.5)


def _steps(
    random: Random,
    number: int,
    nodes: int,
    *,
    writes: bool,
    hub: bool,
    isMore: bool,
    isCached: bool,
    isBusy: bool,
) -> Iterator[Step]:
    kinds = ["send"] * 30 + ["connect"] * 2
    kinds += _socketKinds(random, isMore=isMore)
    kinds += ["logOut", "logIn", "logIn"] * (random.random() < 0.4)
    kinds += ["write"] * 5 * writes + ["touch"] * (random.random() < 0.3)
    if random.random() < 0.6:
        kinds += ["trouble"] * 2 + ["heal", "cutStore"] * 2
    if random.random() < 0.2:
        kinds += ["kill", "stop", "start", "start"]
    if random.random() < 0.3:
        kinds += ["pause", "slow", "jump"]
    kinds += _troublesOf(random) + (_forCopies(random) if isCached else [])
    handlers = ["set"] * 3 + ["nested", "increment", "increment", "read", "update"]
    handlers += ["wait", "touch", "ask"] + ["raise"] * (random.random() < 0.3)
    handlers += ["destroy"] * (random.random() < 0.2)
    handlers += ["work"] * 6 * isBusy
    kinds += _forHubs(random, handlers) if hub else []
    kinds += ["roll"] * (random.random() < 0.15)
    pauses = _LONG_PAUSES if random.random() < 0.1 else _PAUSES
    keys, digits, stamps = ("a", "b"), 0, ("ours", "ours", "ours", "old", "none")
    application = _Application(random)
    kinds += application.kinds(writes=writes)
    handlers += application.handlers
    for _ in range(number):
        what = random.choice(kinds)
        more: tuple[Any, ...] = ()
        if what == "send":
            do = random.choice(handlers)
            if do in _COUNTING:
                digits += 1
                if digits > MOST_INCREMENTS:
                    do = "read"
            key = _KEYS.get(do, "{}").format(random.choice(keys))
            more = do, key, digits - 1, random.random() < 0.2
        elif what == "write":
            more = random.choice(stamps), random.choice((0.0, 0.05, 0.5, 2.0))
        elif what in application.steps:
            digits += 1
            more = application.steps[what](min(digits, MOST_INCREMENTS + 1) - 1)
        elif what == "trouble":
            more = random.choice(_TROUBLES), random.choice((0.1, 1.0, 3.0, 6.0))
        else:
            more = _moreOf(random, what)
        yield Step(what, random.randrange(60), random.choice(pauses), more)


class _Application:
    """
    What applications do with sessions, beside most of what handlers do.

    @ivar handlers: What messages ask for.

    @ivar steps: What makes the rest of a step, by its name.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.steps: dict[str, Callable[[int], tuple[Any, ...]]] = {
            "renew": self._renew,
            "visit": self._visit,
            "outside": self._outside,
            "rewrite": self._rewrite,
            "revive": self._revive,
        }
        self.handlers = ["deep", "list", "twice", "save unheard"] * self._is(0.5)
        self.handlers += ["put", "put", "take"] * self._is(0.4)
        self.handlers += ["update fails", "raise late"] * self._is(0.2)
        self.handlers += ["ask twice", "regenerate"] * self._is(0.2)
        self.handlers += ["destroy and set"] * self._is(0.05)
        self.handlers += ["clear"] * self._is(0.05)
        self._does = ["reads", "deletes d"]
        self._does += ["empties"] * self._is(0.2) + ["replaces"] * self._is(0.2)

    def _is(self, share: float) -> bool:
        return self._random.random() < share

    def kinds(self, *, writes: bool) -> list[str]:
        """
        @param writes: Whether the web application writes whole sessions.

        @return: The steps.
        """
        kinds = ["rewrite"] * 3 * writes + ["renew"] * self._is(0.1)
        kinds += ["revive"] * self._is(0.15)
        kinds += ["visit"] * 4 * self._is(0.25)
        return kinds + ["outside"] * 2 * self._is(0.2)

    def _renew(self, _: int) -> tuple[Any, ...]:
        how = self._random.choice(("first deleted", "first created"))
        return how, self._random.choice((0.0, 0.02, 0.3))

    def _outside(self, digit: int) -> tuple[Any, ...]:
        isCounting = digit < MOST_INCREMENTS and self._is(0.3)
        return (digit if isCounting else -1,)

    def _rewrite(self, _: int) -> tuple[Any, ...]:
        stamp = self._random.choice(("ours", "ours", "ours", "ours", "old"))
        seconds = self._random.choice((0.0, 0.05, 0.5, 2.0))
        return stamp, seconds, self._random.choice(self._does)

    def _revive(self, _: int) -> tuple[Any, ...]:
        return (self._random.choice((0.05, 0.5, 2.0, 12.0, 20.0)),)

    def _visit(self, digit: int) -> tuple[Any, ...]:
        random = self._random
        do = random.choice(_PAGES)
        if do in _COUNTING and digit >= MOST_INCREMENTS:
            do = "set"
        key = _KEYS.get(do, "{}").format(random.choice(("a", "b")))
        cutAfter = random.choice((0.0,) * 6 + (0.001, 0.1))
        return do, key, digit, cutAfter
