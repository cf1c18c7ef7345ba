# -*- test-case-name: tests.clients.test_repeatable -*-
"""
The handlers of a client that may run again.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock._repeatable import refuseRepeatable
from txsessionsock._waiting import refuseToWait
from txsessionsock.messages import Event
from txsessionsock.session import Holder, Session

from .conversation import Conversation
from .inbox import Waiting
from .outbox import Outbox


__all__ = ["RepeatingConversation"]


class RepeatingConversation(Conversation):
    """
    A L{Conversation} whose messages have handlers that may run again.

    Its turn begins when a message waits for the session's turn to write, and ends when
    all that ran then is stored.  Many messages may run in it.
    """

    _outbox: Outbox

    def __init__(self, *args: Any, **more: Any) -> None:
        """
        The arguments are those of a L{Conversation}.
        """
        super().__init__(*args, **more)
        self._most = self._outbox.most
        # Fires when the turn ends; L{None} if it has not begun.
        self._ended: Deferred[None] | None = None
        self._runs: list[_Run] = []
        # How many bytes they have to say.
        self.size = 0
        self._isInLine = self._isPaid = False

    def received(self, waiting: Waiting) -> None:
        waiting.arrival = self._keeper.arrival()
        self._inbox.append(waiting)
        self._goOn()

    # A turn.

    def _handleNext(self) -> Deferred[None]:
        ended: Deferred[None] = Deferred()
        self._ended = ended
        # What decides whether a message may be handled was asked for the first.
        self._isPaid = self._isInLine = True
        self._keeper.enter(self)
        return ended

    def next(self) -> _Run | None:
        """
        See L{Runner<txsessionsock.manager.repeats.Runner>}.
        """
        if not (self._isPaid or self._mayRun()):
            self._isInLine = False
            if not self._runs:
                # Not at once: the draft is not to be seen by those who go on then.
                self._endTurnLater()
            return None
        self._isPaid = False
        self._isSettled = True
        call = self._handlers.caller("smessage")
        run = _Run(self, self._client, self._outbox, call, self._inbox.next())
        self._runs.append(run)
        return run

    def _mayRun(self) -> bool:
        if not self._inbox or self.size > self._most or self._waits():
            return False
        return self._toll is None or self._toll.pays()

    def ran(self, run: _Run, frames: Sequence[Any], failure: Failure | None) -> None:
        """
        What a message did is stored.

        @param frames: What its handler sent.

        @param failure: What it failed with.
        """
        try:
            self._outbox.release(frames)
            if failure is not None:
                self._client.raised(failure)
            self._over(run, isStored=True)
        except Exception:
            # Others are told after this client, and have to be told even if it fails.
            self._client.broken(Failure())

    def broke(self, run: _Run, failure: Failure) -> None:
        """
        It is not.
        """
        self._notFresh(failure)
        self._over(run, isStored=False)

    def given(self, failure: Failure) -> None:
        """
        See L{Runner<txsessionsock.manager.repeats.Runner>}.
        """
        self._isInLine = False
        self._notFresh(failure)
        self._endTurn()

    def _over(self, run: _Run, *, isStored: bool) -> None:
        if run not in self._runs:
            return  # It was dropped meanwhile.
        self._runs.remove(run)
        if self._runs:
            return
        self.size = 0
        if isStored:
            self._keeper.clientActed(isFresh=True)
            self._client.tellWhose()
        if not self._isInLine:
            self._endTurn()

    def _endTurn(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.callback(None)

    def _endTurnLater(self) -> None:
        ended = self._ended

        def end() -> None:
            if self._ended is ended:
                self._endTurn()

        if ended is not None:
            self._later(end)

    # What ends it before.

    def hurry(self) -> None:
        super().hurry()
        if self._isInLine:
            self._isInLine = False
            self._keeper.leave(self)
        # Those that ran have begun: they may run again, until they are stored.
        if not self._runs:
            self._endTurnLater()

    def drop(self) -> None:
        super().drop()
        runs, self._runs = self._runs, []
        for run in runs:
            # It may be stored, but does not run again.
            run.isOver = True
        # Not at once: whoever drops it has something to tell first.
        self._endTurnLater()

    @property
    def isWaiting(self) -> bool:
        return self._ended is not None

    def end(self) -> None:
        super().end()
        self._ended = None


class _Run:
    """
    A message whose handler may run again.  When the client is over, it can still be
    called.
    """

    __slots__ = (
        "_call",
        "_frames",
        "_isAgain",
        "_mark",
        "_message",
        "_outbox",
        "_owner",
        "_size",
        "_source",
        "author",
        "conflicts",
        "isOver",
    )

    def __init__(
        self,
        owner: RepeatingConversation,
        author: Holder,
        outbox: Outbox,
        call: Callable[..., object],
        waiting: Waiting,
    ) -> None:
        self._owner = owner
        self._outbox = outbox
        self._call = call
        self._message = waiting.message
        self._mark = _marked(waiting.message)
        self._source = waiting.source
        self._frames: list[Any] = []
        self._size = 0
        self._isAgain = False
        self.author = author
        self.conflicts = 0
        self.isOver = False

    def run(self, session: Session) -> Sequence[Any]:
        frames = self._frames = []
        message = self._message
        if self._isAgain and self._mark is not None:
            # Somebody may have taken something out of it.
            message = _unmarked(message, self._mark)
        self._isAgain = True
        self._owner.size -= self._size
        self._size = 0
        source = self._source
        # Each time another one: that of Socket.IO notes that it was answered.
        self._owner.source = source if type(source) is tuple else copy(source)
        try:
            refuseToWait(self._call(message, session), "repeatable")
        finally:
            self._owner.source = None
        return frames

    def hold(self, outbox: object, frame: object) -> None:
        if outbox is not self._outbox:
            refuseRepeatable("a message to another client")
        size = self._outbox.size(frame)
        self._size += size
        self._owner.size += size
        self._frames.append(frame)

    def stored(self, frames: Sequence[Any], failure: Failure | None) -> None:
        # From now on, what is done again of it is dropped.
        self._frames = []
        self._owner.ran(self, frames, failure)

    def failed(self, failure: Failure) -> None:
        self._owner.broke(self, failure)


def _marked(message: Any) -> bytes | None:
    """
    @return: What the message is made of again; L{None} if it stays as it is, or is of
        a kind that only the application knows.
    """
    value = message.args if type(message) is Event else message
    if isinstance(value, (bytes, str)):
        return None
    try:
        return marshal.dumps(value)
    except ValueError:
        return None


def _unmarked(message: Any, mark: bytes) -> Any:
    value = marshal.loads(mark)
    return Event(message.name, value) if type(message) is Event else value
