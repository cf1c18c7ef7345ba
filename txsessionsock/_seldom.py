# -*- test-case-name: tests.package.test_seldom -*-
"""
A limit for lines of the log that anybody can cause, or that come in crowds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure


__all__ = ["LongError", "Seldom", "clipped", "shown"]

_log = Logger()
_events = Logger("sessionsock.events")

_LONGEST_SHOWN = 200

_LONGEST_LINE = 1000


def shown(text: str) -> str:
    """
    @return: What a client sent, fit for a line of the log.
    """
    return clipped(repr(text[:_LONGEST_SHOWN]), _LONGEST_SHOWN)


def clipped(text: str, most: int = _LONGEST_LINE) -> str:
    """
    @return: The text, or its beginning.
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


class LongError(Exception):
    """
    Stands in the log for an error with a long text, which a client may have sent.
    """


@dataclass
class _Said:
    """
    A kind of line that was logged.

    @ivar event: The name of the event; L{None} for what has none.
    """

    level: Any
    line: str
    event: object = None
    leftOut: int = 0


class Seldom:
    """
    Lets few lines through: one of each kind in a while, and not of too many
    kinds.  When that time is over, it says how many were left out.
    """

    span = 60.0
    """
    How long a while is, in seconds.
    """

    most = 20
    """
    How many lines in that time.
    """

    def __init__(self, clock: IReactorTime | None = None) -> None:
        """
        @param clock: Without it, what was left out is said when the next line
            comes, and else when the time is over.
        """
        self._clock = clock
        self._began = 0.0
        self._said: dict[object, _Said] = {}
        self._others = 0
        self._ending: IDelayedCall | None = None

    def warn(
        self,
        log: Logger,
        line: str,
        now: float,
        kind: object = None,
        **fields: Any,
    ) -> None:
        """
        Log a line, unless it is left out.

        @param now: Seconds since the epoch.

        @param kind: Of which kind it is.  Unless given, only lines that are equal
            are of one kind.

        @param fields: What else the event of the log has.
        """
        self.say(log, LogLevel.warn, line, now, kind, **fields)

    def error(self, log: Logger, line: str, now: float, kind: object = None) -> None:
        """
        The same for what is an error.
        """
        self.say(log, LogLevel.error, line, now, kind)

    def failure(self, log: Logger, line: str, failure: Failure, now: float) -> None:
        """
        The same with a traceback.  Failures of one type and from one place are of
        one kind.
        """
        name = getattr(failure.type, "__name__", "failure")
        kind = line, name, _placeOf(failure)
        if self._takes(LogLevel.error, f"{line}: {name}", now, kind):
            log.failure("{line}", _shortened(failure), line=line)

    def say(
        self,
        log: Logger,
        level: Any,
        line: str,
        now: float,
        kind: object = None,
        **fields: Any,
    ) -> None:
        """
        The same at any level.
        """
        line = clipped(line)
        name = fields.get("event")
        if self._takes(level, line, now, line if kind is None else kind, name):
            log.emit(level, "{line}", line=line, **fields)

    def _takes(
        self, level: Any, line: str, now: float, kind: object, name: object = None
    ) -> bool:
        # A clock may be set back.
        if not 0 <= now - self._began < self.span:
            self.end()
            self._began = now
        said = self._said.get(kind)
        if said is None and len(self._said) < self.most:
            self._said[kind] = _Said(level, line, name)
            return True
        if said is None:
            self._others += 1
        else:
            said.leftOut += 1
        if self._ending is None and self._clock is not None:
            rest = self._began + self.span - now
            self._ending = self._clock.callLater(rest, self.end)
        return False

    def end(self) -> None:
        """
        Say now what was left out, and begin anew.
        """
        ending, self._ending = self._ending, None
        if ending is not None and ending.active():
            ending.cancel()
        kinds, self._said = self._said, {}
        others, self._others = self._others, 0
        for said in kinds.values():
            if said.leftOut:
                line = f"{said.leftOut} more of: {said.line}"
                _leftOut(said.level, line, said.event, said.leftOut)
        if others:
            names = {said.event for said in kinds.values()}
            name = names.pop() if len(names) == 1 else None
            _leftOut(LogLevel.warn, f"{others} of other kinds", name, others)


def _leftOut(level: Any, what: str, event: object = None, count: int = 0) -> None:
    fields = {} if event is None else {"event": "left-out", "of": event, "count": count}
    # Not to the log of the line, which may belong to one connection.
    log = _log if event is None else _events
    log.emit(level, "left out: {what}", what=clipped(what, _LONGEST_SHOWN), **fields)


def _placeOf(failure: Failure) -> object:
    """
    @return: Where it was raised, and from where that was called.
    """
    places, traceback = [], failure.getTracebackObject()
    while traceback is not None:
        places.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    return tuple(places)


def _shortened(failure: Failure) -> Failure:
    """
    @return: One whose text is not long.
    """
    text = failure.getErrorMessage()
    if len(text) <= _LONGEST_SHOWN:
        return failure
    name = getattr(failure.type, "__name__", "")
    short = LongError(f"{name}: {clipped(text, _LONGEST_SHOWN)}")
    return Failure(short, LongError, failure.getTracebackObject())
