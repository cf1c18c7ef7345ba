# -*- test-case-name: tests.simulation.test_repeats -*-
"""
Clients whose handlers may run again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from txsessionsock.interfaces import SessionError
from txsessionsock.session import Session

from .messages import BASE, Message, seen
from .node import Served


__all__ = ["RepeatedServed"]


class _Meant(Exception):
    """
    What a handler raises.
    """


def _plus(message: Message, session: Session) -> None:
    """
    Count as one must not where others do, too, if that did not run again.
    """
    session["n"] = session.get("n", 0) + BASE**message.digit


def _increment(message: Message, session: Session) -> None:
    session.increment("n", BASE**message.digit)


def _append(message: Message, session: Session) -> None:
    """
    Change a list where it is.
    """
    session.setdefault("log", [])
    session["log"].append(message.token)


def _push(message: Message, session: Session) -> None:
    session["queue"] = [*session.get("queue", ()), message.token]


def _pop(message: Message, session: Session) -> int | None:
    """
    Take out of a list what nobody else gets, and the list, if it is empty.
    """
    queue = session.get("queue")
    if not queue:
        return None
    taken: int = queue.pop(0)
    if not queue:
        del session["queue"]
    return taken


def _read(message: Message, session: Session) -> None:
    """
    What a handler sees is noted for each message.
    """


def _raise(message: Message, session: Session) -> None:
    _append(message, session)
    raise _Meant


def _forbidden(message: Message, session: Session) -> None:
    """
    Try what cannot be thrown away.
    """
    try:
        session.save()
    except SessionError:
        return
    raise AssertionError("save() is not refused")


_DOES: Final[dict[str, Callable[[Message, Session], int | None]]] = {
    "plus": _plus,
    "increment": _increment,
    "append": _append,
    "push": _push,
    "pop": _pop,
    "read": _read,
    "raise": _raise,
    "forbidden": _forbidden,
}

_KNOWN: Final = {"plus": "increment", "increment": "increment", "append": "update"}
"""
As what the rules know what they do: what is counted is told by its digit, and what is
appended by its number.
"""


class RepeatedServed(Served):
    """
    A client whose handlers may run again.  What they do is noted when they run for the
    first time, and what they found with the answer: that is the last time.
    """

    repeatable = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._ran: set[int] = set()

    def sessionMessageReceived(self, message: Message, session: Session) -> None:
        found, token = seen(session), message.token
        isFirst = token not in self._ran
        self._history.note(
            "runs" if isFirst else "runs again", self._name, token=token, finds=found
        )
        if isFirst:
            self._ran.add(token)
            self._notes(message)
        took = _DOES[message.do](message, session)
        self.client.send({"token": token, "found": found, "took": took})

    def _notes(self, message: Message) -> None:
        if message.do in _KNOWN:
            self.changed(message, do=_KNOWN[message.do])
        if message.do == "raise":
            self.told("gives up", message)
            error = _Meant.__name__
            self._history.note("fails", self._name, token=message.token, error=error)
