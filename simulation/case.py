# -*- test-case-name: tests.simulation.test_rules -*-
"""
What a rule is, and the history that it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .crowds import Crowds
from .history import Happening
from .plan import LONG, Plan
from .queue import SECOND
from .state import Socket, State


__all__ = [
    "ALL",
    "APART",
    "CACHED",
    "HUB",
    "KINDS",
    "PER_CONNECTION",
    "PER_MESSAGE",
    "REPAIR",
    "RULES",
    "SOCKET_IO",
    "STRICT",
    "WATCHED",
    "Breach",
    "Case",
    "Kind",
    "Rule",
    "Says",
    "reads",
]


_MINUTE: Final = 60.0
_SOON: Final = 3 * SECOND


@dataclass(frozen=True)
class Breach:
    """
    A rule was broken.

    @ivar where: By which event of the history.
    """

    rule: str
    where: int
    why: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.why}"


class Case:
    """
    A history that is being read.

    @ivar applied: How often each rule said something about it, and how often
        something was excepted.

    @ivar took: For how many nanoseconds each rule was at work, if that is measured.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.state = State(isShort=plan.ttl < LONG)
        self.crowds = Crowds(self.state, len(plan.offsets))
        self.applied: dict[str, int] = {}
        self.took: dict[str, int] = {}
        self.breaches: list[Breach] = []
        self.number = 0

    def take(self, each: Happening) -> None:
        """
        Something happened.
        """
        self.state.take(each)
        if self.plan.hub:
            self.crowds.take(each)

    def lost(self, socket: Socket) -> bool:
        """
        Whether the session of a socket had ended when its browser connected, as far
        as its node can know.  If reports are trusted, none may have come by then; and
        its node may just have ended it, and have no answer yet.
        """
        state = self.state
        isEnding = state.rows.get(socket.key) == (None, socket.node)
        isTold = not isEnding and self.plan.freshness != "tracked"
        gone = state.gone.get(socket.key, -1)
        return gone < socket.began - (0 if isTold else _SOON)

    def excepted(self, what: str) -> None:
        """
        Count what a rule does not look at.
        """
        what = f"excepted: {what}"
        self.applied[what] = self.applied.get(what, 0) + 1


@dataclass(frozen=True)
class Kind:
    """
    Some of the histories: those that a rule speaks of.
    """

    name: str
    has: Callable[[Plan], bool]


ALL: Final = Kind("all", lambda plan: True)
PER_MESSAGE: Final = Kind("per message", lambda plan: plan.perMessage)
PER_CONNECTION: Final = Kind("per connection", lambda plan: not plan.perMessage)
STRICT: Final = Kind(
    "strict", lambda plan: plan.perMessage and plan.freshness == "strict"
)
SOCKET_IO: Final = Kind("Socket.IO", lambda plan: plan.hasSocketIO)
CACHED: Final = Kind("cached", lambda plan: plan.kind == "cached")
APART: Final = Kind(
    "clocks hours apart", lambda plan: max(map(abs, plan.offsets)) > _MINUTE
)
REPAIR: Final = Kind("repair", lambda plan: plan.repair)
WATCHED: Final = Kind("watched", lambda plan: plan.kind == "watched")
HUB: Final = Kind("hub", lambda plan: plan.hub)

KINDS: Final = (
    *(ALL, PER_MESSAGE, PER_CONNECTION, STRICT),
    Kind("tracked", lambda plan: plan.freshness == "tracked"),
    REPAIR,
    HUB,
    Kind("no repair", lambda plan: not plan.repair),
    WATCHED,
    Kind("apart", lambda plan: plan.kind == "apart"),
    Kind("polled", lambda plan: plan.kind == "polled"),
    Kind("silent", lambda plan: plan.kind == "silent"),
    SOCKET_IO,
    Kind("recovery", lambda plan: plan.recovery > 0),
    Kind("narrow", lambda plan: plan.isNarrow),
    CACHED,
    APART,
    Kind("one node", lambda plan: len(plan.offsets) == 1),
    Kind("several nodes", lambda plan: len(plan.offsets) > 1),
)
"""
In each of these it is counted in how many histories a rule applied.
"""


Says = Callable[[Case, Happening], Iterator[str | None]]
"""
Yields L{None} each time a rule applies and is kept, and why it is broken if it is.
"""


@dataclass(frozen=True)
class Rule:
    """
    A rule.

    @ivar of: The histories that it speaks of.

    @ivar words: Those of the events that it reads.

    @ivar first: Whether it reads them before the state does.
    """

    name: str
    says: Says
    of: Kind
    words: tuple[str, ...]
    first: bool


RULES: dict[str, Rule] = {}


def reads(*words: str, of: Kind = ALL, first: bool = False) -> Callable[[Says], Says]:
    """
    Have a rule read the events with these words.  Its docstring names the rows of
    C{docs/promises.md} that it is, as C{@promise}, or says why it is none, as
    C{@unlisted}.

    @param of: The histories that it speaks of.

    @param first: Whether it reads them before the state does.
    """

    def add(says: Says) -> Says:
        RULES[says.__name__] = Rule(says.__name__, says, of, words, first)
        return says

    return add
