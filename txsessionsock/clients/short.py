# -*- test-case-name: tests.clients.test_short -*-
"""
The short way of a message, from its carrier to its handler and back.

Most messages find nobody before them and a session that is as fresh as they need it,
their handler is an ordinary function, and nothing waits for an answer.  These need
no L{Deferred}, no coroutine, no function made for them, and no place in a queue.
They are handled here, in one function that reads from top to bottom.  B{All others go
the long way, which does the same and can wait}: in C{conversation.py}.
"""

from __future__ import annotations

from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock.manager import Slices
from txsessionsock.session import Session

from .inbox import Inbox
from .listeners import Handlers


__all__ = ["COLLECTING", "HANDLED", "HANDLER", "NOBODY", "OVER", "ShortWay", "Turn"]


class Turn(IntEnum):
    """
    Whose turn it is.
    """

    NOBODY = 0
    """No handler is at work."""

    HANDLER = 1
    """A handler is at work, or the session is being loaded for it."""

    COLLECTING = 2
    """The handler is done, and what it changed is being collected.  If a write
    fails now, it is not yet known whether it was of this client."""

    HANDLED = 3
    """That is done.  The turn ends when this is told to all who want to know."""

    OVER = 4
    """The last handler is done, and the session was given back."""


# Names of their own: Python 3.11 is slow to find the members of an Enum, and these
# are asked for at each message.
NOBODY, HANDLER, COLLECTING, HANDLED, OVER = Turn

_THIS_MOMENT: Final = inf
"""
When a message arrived for which the store was not asked yet.
"""


class ShortWay:
    """
    The part of a L{Conversation<txsessionsock.clients.conversation.Conversation>}
    that messages take which need not wait.
    """

    if TYPE_CHECKING:
        session: Session
        source: Any
        _isShort: bool
        _isQuiet: bool
        _isSettled: bool
        _isPerMessage: bool
        _turn: Turn
        _keeper: Any
        _client: Any
        _handlers: Handlers
        _inbox: Inbox
        _outbox: Any
        _slices: Slices
        _ownChange: int
        _postponed: list[Any] | None

        def _goOn(self) -> None: ...
        def _handled(self, wasSync: bool, failure: Failure | None = None) -> None: ...
        def _awaits(self, event: str, running: Any) -> Deferred[None]: ...
        def _isDone(self, running: Any, then: Turn, client: Any) -> bool: ...
        def _tellPostponed(self, number: int) -> None: ...

    def takes(self, message: Any, source: Any, until: float) -> bool:
        """
        Handle a message, if that can be done at once.

        It can if
          - nobody is before it: no handler has the turn, and L{_goOn} has found
            nothing to do since anything came (C{_isQuiet});
          - there is time for handlers, and nobody's time is being counted, so that
            this is no handler's doing;
          - the client reads what it is sent;
          - the session is at hand: it is there and stored, as fresh as this message
            needs it, and its end need not be put off because of it.

        Each of these is asked of the one who knows, and changes nothing.

        @param until: After this time it cannot.

        @return: Whether it was handled, or its handler has begun and waits for
            something; otherwise nothing was done with it.
        """
        slices = self._slices
        if (
            self._turn is not NOBODY
            or not self._isQuiet
            or not self._isShort
            or slices.isOver
            or slices.isWorking
            or self._outbox.isFull()
        ):
            return False
        now = slices.seconds()
        since = _THIS_MOMENT if self._isPerMessage else None
        if now > until or not self._keeper.isAtHand(now, since):
            return False
        self._turn = HANDLER
        self._spend(message, source, now)
        if self._turn is NOBODY and not self._isQuiet:
            self._goOn()
        return True

    def _takesNext(self) -> bool:
        """
        The same for the first that waits in the inbox, when it is its turn: where
        there is much to do, most have to wait for a slice, and where the store is asked
        for each message, for one answer to all.
        """
        slices = self._slices
        now = slices.seconds()
        since = self._inbox.first.arrival if self._isPerMessage else None
        if not (self._isShort and self._keeper.isAtHand(now, since)):
            return False
        # Before next(), which may have the carrier receive again.
        self._turn = HANDLER
        waiting = self._inbox.next()
        if slices.isWorking:
            self._passOn(self._call(waiting.message, waiting.source))
        else:
            self._spend(waiting.message, waiting.source, now)
        return True

    def _spend(self, message: Any, source: Any, now: float) -> None:
        """
        Handle a message, and count the time that it takes, as Slices.spend does it.
        """
        slices = self._slices
        slices.isWorking, slices.began = True, now
        try:
            running = self._call(message, source)
        finally:
            slices.isWorking = False
            slices.worked(slices.seconds() - now)
        self._passOn(running)

    def _passOn(self, running: Deferred[None] | None) -> None:
        """
        End the turn, if the handler is done.
        """
        if running is None or self._isDone(running, NOBODY, self._client):
            self._turn = NOBODY

    def _call(self, message: Any, source: Any) -> Deferred[None] | None:
        """
        Call the handlers of a message, and find out what they changed.  The turn is
        theirs already, and the session at hand.

        @return: What is still to be waited for.
        """
        keeper, client = self._keeper, self._client
        self._isSettled = True
        self.source = source
        keeper.handlerBegins(client)
        try:
            running = self._handlers.message(message, self.session)
        except BaseException:  # Also sys.exit(), as on the long way.
            self._handled(True, Failure())
            return None
        if running is not None:
            return self._awaits("smessage", running)
        # As Conversation._handled does it.
        self._turn = COLLECTING
        try:
            number = keeper.handlerEnds(
                client, wasSync=True, saveNow=self._isPerMessage
            )
        finally:
            self._turn = HANDLED
            self.source = None
        if number:
            # The last is the highest.
            self._ownChange = number
        if self._postponed:
            self._tellPostponed(number)
        return None
