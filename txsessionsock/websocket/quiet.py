# -*- test-case-name: tests.websocket.test_quiet -*-
"""
What Autobahn logs.  Its lines at the level of debugging have cookies in them, and
messages, and of the others there is one for each client that does something
wrong, as long as the client likes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel, formatEvent
from twisted.python.failure import Failure

from txsessionsock._seldom import Seldom, clipped


__all__ = ["ProtocolLog", "Quiet", "consumed"]

_log = Logger()

_LONGEST_VALUE = 200


class Quiet:
    """
    The logger of Autobahn's methods.  What is for debugging is dropped; of all
    else, one line of each kind is logged in a while.
    """

    def __init__(self, seldom: Seldom, clock: IReactorTime) -> None:
        self._seldom = seldom
        self._clock = clock
        self._isSilent = False

    @contextmanager
    def silent(self) -> Iterator[None]:
        """
        Log nothing, until the end of the block: it was said already.
        """
        self._isSilent = True
        try:
            yield
        finally:
            self._isSilent = False

    def debug(self, *args: Any, **values: Any) -> None:
        """
        Nothing.
        """

    trace = debug

    def info(self, text: str = "", **values: Any) -> None:
        self._say(sys._getframe(1), LogLevel.info, text, values)

    def warn(self, text: str = "", **values: Any) -> None:
        self._say(sys._getframe(1), LogLevel.warn, text, values)

    def error(self, text: str = "", **values: Any) -> None:
        self._say(sys._getframe(1), LogLevel.error, text, values)

    critical = error

    def failure(self, text: str = "", failure: Failure | None = None, **_: Any) -> None:
        now = self._clock.seconds()
        self._seldom.failure(_log, text, failure or Failure(), now)

    def end(self) -> None:
        """
        Say now what was left out.
        """
        self._seldom.end()

    def _say(
        self, caller: FrameType, level: Any, text: str, values: dict[str, Any]
    ) -> None:
        if text == "{tb}" or self._isSilent:
            # The line before is of the same failure, and has become its traceback.
            return
        for value in values.values():
            if isinstance(value, Failure):
                self.failure(text.partition("{")[0].rstrip(" :['"), value)
                return
        if values:
            fit = {name: _fit(value) for name, value in values.items()}
            text = formatEvent({"log_format": text, **fit})
        kind = caller.f_code, caller.f_lineno
        self._seldom.say(_log, level, str(_fit(text)), self._clock.seconds(), kind)


def consumed(fired: Any) -> Any:
    """
    Have failures of Autobahn's listeners logged by Autobahn, and not by the garbage
    collector too, with a traceback for each message.

    @param fired: What its C{fire} returns.
    """
    for each in getattr(fired, "_deferredList", ()):
        each.addErrback(lambda failure: None)
    return fired


def _fit(value: object) -> object:
    """
    @return: A value as one line shows it, if it is a text.
    """
    if not isinstance(value, str):
        return value
    value = clipped(value, _LONGEST_VALUE)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)


class ProtocolLog:
    """
    The attribute C{log} of a protocol: L{Quiet} for Autobahn, and for others what
    the application has set, or what Autobahn has for it.
    """

    def __init__(self, owner: type | None = None) -> None:
        """
        @param owner: A class with an attribute C{log}, somewhere in its bases.
        """
        self._theirs: Any = None
        for base in () if owner is None else owner.__mro__:
            own = vars(base).get("log")
            if own is None or base.__module__.startswith("autobahn."):
                continue
            self._theirs = own._theirs if isinstance(own, ProtocolLog) else own
            if self._theirs is not None:
                return

    def __get__(self, protocol: Any, owner: type) -> Any:
        if protocol is None:
            return self
        own = vars(protocol)
        # Autobahn asks several times for each message: as little as possible is done.
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.startswith("autobahn.") and "_sessionsock" in own:
            return own["_sessionsock"].rules.quiet
        if "log" in own:
            return own["log"]
        theirs = WebSocketServerProtocol.log if self._theirs is None else self._theirs
        bind = getattr(type(theirs), "__get__", None)
        return bind(theirs, protocol, owner) if bind else theirs

    def __set__(self, protocol: Any, log: Any) -> None:
        vars(protocol)["log"] = log
