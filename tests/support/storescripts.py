"""
Scripts that are played on stores: on the models of the simulator, and on the real
ones.  Both have to do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    AtLeast,
    NoSuchSession,
    SessionConflict,
    Stored,
    UndecodableSession,
)


__all__ = ["SCRIPTS", "Stage", "played", "written"]

SCRIPTS: dict[str, str] = {
    "create and load": """
        one load k
            one: nothing
        one create k 0 forever
            one: yes
        two create k 1 forever
            two: no
        one load k + two load k
            one: 0 forever
            two: 0 forever
        two load other
            two: nothing
    """,
    "replace": """
        one replace k 0 1 forever
            one: gone
        one create k 0 forever
            one: yes
        two replace k 0 1 1000
            two: 1 1000
        one replace k 0 2 forever
            one: conflict 1 1000
        one replace k 1 1 keep
            one: 1 1000
        one replace k 1 2 keep
            one: 2 1000
        one replace k 2 3 forever
            one: 3 forever
    """,
    "lifetimes of writes": """
        one create k 0 2000
            one: yes
        one replace k 0 1 1000+
            one: 1 2000
        two replace k 1 2 3000+
            two: 2 3000
        one replace k 2 3 500
            one: 3 500
        one replace k 3 4 forever
            one: 4 forever
        one replace k 4 5 1000+
            one: 5 forever
        two load k
            two: 5 forever
    """,
    "touch": """
        one touch k 1000
            one: gone
        one touch k keep
            one: gone
        one create k 0 1000
            one: yes
        one touch k 2000
            one: 2000
        two touch k keep
            two: 2000
        two touch k 500
            two: 500
        one touch k 1500+
            one: 1500
        one touch k 1000+
            one: 1500
        one touch k forever
            one: forever
        one touch k 1000+
            one: forever
        two load k
            two: 0 forever
    """,
    "destroy": """
        one destroy k
            one: no
        one destroy k 0
            one: no
        one create k 0 1000
            one: yes
        two destroy k 1
            two: conflict 0 1000
        two destroy k 0
            two: yes
        one load k
            one: nothing
        one create k 1 forever
            one: yes
        one destroy k
            one: yes
        two destroy k
            two: no
        two load k
            two: nothing
    """,
    "asked at once": """
        one create k 0 forever + one replace k 0 1 keep + one load k + one destroy k
            one: yes
            one: 1 forever
            one: 1 forever
            one: yes
    """,
    "the end of time": """
        one create k 0 0.3
            one: yes
        one create there 0 0.3
            one: yes
        one create later 0 0.3
            one: yes
        two touch later 1000
            two: 1000
        wait 0.5
        one load k
            one: nothing
        one replace k 0 1 forever + one touch k 1000 + one touch k keep
            one: gone
            one: gone
            one: gone
        one destroy k
            one: no
        two create there 1 forever
            two: yes
        one load there
            one: 1 forever
        one load later
            one: 0 1000
    """,
    "what others do is reported": """
        one watch k + one load k
            one: nothing
        two create k 0 1000
            two: yes
            one: hears k
        one load k
            one: 0 1000
        two replace k 0 1 keep
            two: 1 1000
            one: hears k
        one load k
            one: 1 1000
        two touch k 2000
            two: 2000
            one: hears k
        one load k
            one: 1 2000
        two destroy k
            two: yes
            one: hears k
        one load k
            one: nothing
    """,
    "what changes nothing is not": """
        one create k 0 1000
            one: yes
        one watch k + one load k
            one: 0 1000
        two replace k 1 2 keep
            two: conflict 0 1000
        two create k 1 forever
            two: no
        two destroy k 1
            two: conflict 0 1000
        two load k
            two: 0 1000
        two create other 0 forever
            two: yes
        two destroy nothing
            two: no
    """,
    "a lifetime that stays as it is": """
        one create k 0 1000
            one: yes
        one watch k + one load k
            one: 0 1000
        two touch k keep
            two: 1000
            one: hears k  [polled]
        one load k
            one: 0 1000
        two touch k 500+
            two: 1000
            one: hears k  [polled apart]
    """,
    "once until it is read again": """
        one create k 0 forever
            one: yes
        one watch k + one load k
            one: 0 forever
        two replace k 0 1 keep
            two: 1 forever
            one: hears k
        two replace k 1 2 keep
            two: 2 forever
            one: hears k  [polled apart]
        one load k
            one: 2 forever
        two replace k 2 3 keep
            two: 3 forever
            one: hears k
    """,
    "who tries to write has read": """
        one create k 0 forever
            one: yes
        one watch k + one load k
            one: 0 forever
        two replace k 0 1 keep
            two: 1 forever
            one: hears k
        one replace k 0 2 keep
            one: conflict 1 forever
        two replace k 1 2 keep
            two: 2 forever
            one: hears k
        one touch k keep
            one: forever
        two replace k 2 3 keep
            two: 3 forever
            one: hears k
        one create k 0 forever
            one: no
        two replace k 3 4 keep
            two: 4 forever
            one: hears k
        one destroy k 0
            one: conflict 4 forever
        two destroy k
            two: yes
            one: hears k
    """,
    "one's own is not reported, and the next of another is": """
        one watch k
        one create k 0 forever
            one: yes
        two replace k 0 1 keep
            two: 1 forever
            one: hears k
        one load k
            one: 1 forever
        one replace k 1 2 keep
            one: 2 forever
        one replace k 2 3 keep
            one: 3 forever
        two replace k 3 4 keep
            two: 4 forever
            one: hears k
        one load k
            one: 4 forever
        one touch k 1000
            one: 1000
        two touch k 2000
            two: 2000
            one: hears k
        one load k
            one: 4 2000
        one destroy k
            one: yes
        two create k 5 forever
            two: yes
            one: hears k
    """,
    "each of those who watch": """
        one create k 0 forever
            one: yes
        one watch k + one watch other + one load k
            one: 0 forever
        one load other
            one: nothing
        two watch k + two load k
            two: 0 forever
        one replace k 0 1 keep
            one: 1 forever
            two: hears k
        three replace k 1 2 keep
            three: 2 forever
            one: hears k
            two: hears k  [polled apart]
        two load k + one load k
            one: 2 forever
            two: 2 forever
        three replace k 2 3 keep
            three: 3 forever
            one: hears k
            two: hears k
    """,
    "who stopped watching hears nothing": """
        one create k 0 forever
            one: yes
        one watch k + one load k
            one: 0 forever
        one stop k
        two replace k 0 1 keep
            two: 1 forever
    """,
    "a fence is behind what was done before": """
        one create k 0 forever
            one: yes
        one watch k + one load k
            one: 0 forever
        two replace k 0 1 keep !
        one fence k
            one: hears k
            one: passed
            two: 1 forever
        one fence k
            one: passed
    """,
    "a report is before what is read behind it": """
        one create k 0 forever
            one: yes
        one watch k + one load k
            one: 0 forever
        two replace k 0 1 keep !
        one load k
            one: hears k
            one: 1 forever
            two: 1 forever
    """,
    "the end of a time is reported": """
        one create k 0 0.3
            one: yes
        two create later 0 0.3
            two: yes
        one watch k + one load k
            one: 0 0
        one watch later + one load later
            one: 0 0
        two touch later 1000
            two: 1000
            one: hears later
        one load later
            one: 0 1000
        wait 0.6
            one: hears k
            one: hears later  [apart]
        one load k
            one: nothing
    """,
    "another's deadline is reported": """
        one create k 0 1000
            one: yes
        one watch k + one load k
            one: 0 1000
        two touch k 0.3
            two: 0
            one: hears k
        one load k
            one: 0 0
        wait 0.6
            one: hears k
        one load k
            one: nothing
    """,
    "what no session can be read from": """
        one create k 0 forever
            one: yes
        one watch k + one load k
            one: 0 forever
        foreign spoil k
            one: hears k  [watched]
        one load k
            one: undecodable
        one replace k 0 1 forever
            one: undecodable
        one create k 1 forever
            one: no
        one destroy k 0
            one: undecodable
        two destroy k
            two: yes
            one: hears k
        one load k
            one: nothing
    """,
    "everything is gone": """
        one create k 0 forever
            one: yes
        one watch k + one load k
            one: 0 forever
        foreign empty
            one: hears k
        one load k
            one: nothing
        one replace k 0 1 keep
            one: gone
        one touch k keep
            one: gone
        two create k 1 forever
            two: yes
            one: hears k
    """,
}
"""
What is asked, and, farther in, what then happens: answers, and what is heard.  What
is asked at once has a C{+} between; behind C{!} nothing but the answer is waited for,
and what happens is told behind the next line.  C{[}…C{]}
names the kinds of stores that do so; what is reported is never heard from one that
tells nothing.
"""

_ONLY = {
    "what no session can be read from": ("watched", "polled"),
    "everything is gone": ("watched", "apart", "silent"),
}
"""
In a table there is nothing that cannot be read as bytes.  Nobody empties a file of
ours.
"""


class Stage(Protocol):
    """
    Where scripts are played.
    """

    def store(self, name: str) -> Any:
        """
        Somebody's store, on the same place as those of all others.
        """

    def foreign(self, what: str, key: str) -> None:
        """
        Have somebody do something behind the stores' back: C{"spoil"} what is at a
        key, or C{"empty"} the place.
        """

    def now(self, name: str) -> float:
        """
        What time it is for a store, in seconds since the epoch.
        """

    def waitForAll(self, answers: list[Deferred[Any]]) -> None:
        """
        Wait until these have fired.
        """

    def advance(self, seconds: float) -> None:
        """
        Let time pass.
        """

    def settle(self) -> None:
        """
        Wait until all is reported that is to be.
        """


def _lines(script: str, kind: str) -> list[str]:
    """
    @return: What of a script is meant for a kind of stores.
    """
    found = []
    for line in script.strip("\n").splitlines():
        text, _, kinds = line.partition("  [")
        if kinds and kind not in kinds.rstrip("]").split():
            continue
        if kind == "silent" and ("hears" in text or "passed" in text):
            continue
        if text.strip():
            found.append(text.rstrip().removeprefix(" " * 8))
    return found


def written(name: str, kind: str) -> list[str] | None:
    """
    @return: What is to happen; L{None} if the script is not for this kind.
    """
    if kind not in _ONLY.get(name, (kind,)):
        return None
    found: list[str] = []
    heard: list[str] = []
    for line in _lines(SCRIPTS[name], kind):
        if line.startswith(" "):
            heard.append(line.strip())
        else:
            found += [*_ordered(heard, kind), line]
            heard = []
    return found + _ordered(heard, kind)


def _ordered(heard: list[str], kind: str) -> list[str]:
    """
    What somebody asked and heard is in order; that of others is not.
    """

    def order(line: str) -> tuple[str, bool]:
        who, _, what = line.partition(": ")
        # Reports that come over another connection overtake answers.
        isReport = what.startswith("hears") and kind == "apart"
        return who, not isReport

    return [f"    {line}" for line in sorted(heard, key=order)]


def played(name: str, kind: str, stage: Stage) -> list[str]:
    """
    @return: What happens.
    """
    return _Play(kind, stage).play(_lines(SCRIPTS[name], kind))


class _Play:
    """
    A script that is being played.
    """

    def __init__(self, kind: str, stage: Stage) -> None:
        self._kind = kind
        self._stage = stage
        self._heard: list[str] = []
        self._stops: dict[tuple[str, str], Callable[[], None]] = {}

    def play(self, lines: list[str]) -> list[str]:
        """
        @return: What happens.
        """
        found: list[str] = []
        for line in lines:
            if not line.startswith(" "):
                found.append(line)
                self._do(line)
                if not line.endswith("!"):
                    found += _ordered(self._heard, self._kind)
                    self._heard.clear()
        for stop in self._stops.values():
            stop()
        return found

    def _do(self, line: str) -> None:
        said = line.removesuffix(" !")
        answers = [
            answer
            for asked in said.split(" + ")
            if (answer := self._asked(*asked.split())) is not None
        ]
        self._stage.waitForAll(answers)
        if said == line:
            self._stage.settle()

    def _asked(self, who: str, what: str, *more: str) -> Deferred[Any] | None:
        if who == "wait":
            self._stage.advance(float(what))
            return None
        if who == "foreign":
            self._stage.foreign(what, *more or ("",))
            return None
        store, isTelling = self._stage.store(who), self._kind != "silent"
        if what == "watch":
            if isTelling:
                stop = store.watch(more[0], lambda key: self._hear(who, f"hears {key}"))
                self._stops[who, more[0]] = stop
            return None
        if what == "stop":
            if isTelling:
                self._stops[who, more[0]]()
            return None
        if what == "fence" and not isTelling:
            return None
        answer: Deferred[Any] = getattr(store, what)(*_arguments(*more))
        return answer.addBoth(lambda got: self._hear(who, self._said(who, what, got)))

    def _hear(self, who: str, what: str) -> None:
        line = f"{who}: {what}"
        # It may be told more than once.
        if not (what.startswith("hears") and line in self._heard):
            self._heard.append(line)

    def _said(self, who: str, what: str, got: Any) -> str:
        """
        An answer in words.
        """
        now = self._stage.now(who)
        if isinstance(got, Failure):
            if isinstance(got.value, SessionConflict):
                return f"conflict {_stored(got.value.current, now)}"
            if got.check(NoSuchSession):
                return "gone"
            return "undecodable" if got.check(UndecodableSession) else repr(got)
        if isinstance(got, Stored):
            return _stored(got, now)
        if what == "touch":
            return _end(got, now)
        return {True: "yes", False: "no"}.get(
            got, "passed" if what == "fence" else "nothing"
        )


def _arguments(*said: str) -> list[str | bytes | TTL]:
    """
    @param said: A key, and then bytes and a lifetime.
    """
    key, *more = said
    return [key, *(_lifetime(each) or each.encode() for each in more)]


def _lifetime(said: str) -> TTL | None:
    """
    A lifetime, if this is one; what is stored has one digit only.
    """
    if said in ("forever", "keep"):
        return FOREVER if said == "forever" else KEEP
    if len(said) == 1:
        return None
    return AtLeast(said[:-1]) if said.endswith("+") else float(said)


def _stored(stored: Stored, now: float) -> str:
    return f"{stored.raw.decode()} {_end(stored.expires, now)}"


def _end(expires: float | None, now: float) -> str:
    return "forever" if expires is None else f"{round(expires - now, -2):.0f}"
