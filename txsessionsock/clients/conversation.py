# -*- test-case-name: tests.clients.test_client -*-
"""
The handlers of a client that has a session, called one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from txsessionsock._deferreds import isFired, nothing
from txsessionsock.interfaces import (
    ClientGone,
    NoSuchSession,
    SessionError,
    SessionReplaced,
)
from txsessionsock.limits import Limits
from txsessionsock.manager import Rations, Slices
from txsessionsock.session import Holder, Session, shortHash

from .inbox import Inbox, Waiting
from .listeners import Handlers
from .outbox import Outbox
from .short import COLLECTING, HANDLED, HANDLER, NOBODY, OVER, ShortWay, Turn
from .toll import Toll


__all__ = ["Conversation"]


_NEXT: dict[Turn, tuple[Turn, ...]] = {
    NOBODY: (HANDLER,),
    # Without a handler, if the session ended while it was loaded.
    HANDLER: (COLLECTING, NOBODY),
    COLLECTING: (HANDLED,),
    HANDLED: (NOBODY, OVER),
    OVER: (),
}


class _Receiving(Enum):
    """
    Whether a handler L{receive<Conversation.receive>}s.
    """

    NOBODY = 0
    """None does."""

    WAITING = 1
    """One waits for the next message."""

    FEEDING = 2
    """The next message was taken out of the inbox for it, and the session is
    being loaded.  It may have given up meanwhile."""


_NOT_RECEIVING, _WAITING, _FEEDING = _Receiving


class _Client(Holder, Protocol):
    """
    Whose handlers are called.
    """

    def raised(self, failure: Failure) -> None:
        """
        A handler failed.
        """

    def storingFailed(self, failure: Failure, isMine: bool) -> None:
        """
        A write failed that was L{postponed<Conversation.postpones>}.

        @param isMine: Whether it was to store a change of this client.
        """

    def broken(self, failure: Failure) -> None:
        """
        The session cannot be had for a message.
        """

    def unexpected(self, failure: Failure) -> None:
        """
        This should not have failed.
        """

    def tellWhose(self) -> None:
        """
        Something is stored, and the client was sent what the handlers had to say.
        """


class _Gone:
    """
    Takes the place of a client that is over, and of what it is sent.
    """

    changed = stored = failed = gaveUp = ended = staticmethod(nothing)
    raised = storingFailed = broken = unexpected = staticmethod(nothing)
    tellWhose = release = staticmethod(nothing)

    def isFull(self) -> bool:
        return False


_GONE: Final = _Gone()


class Conversation(ShortWay):
    """
    Calls the handlers of a client, each when the one before is done.  What need not
    wait takes the L{ShortWay}.

    @ivar session: The client's session.

    @ivar source: The source of the message that is being handled.
    """

    source: Any = None

    def __init__(
        self,
        session: Session,
        client: _Client,
        inbox: Inbox,
        outbox: Outbox,
        handlers: Handlers,
        *,
        slices: Slices,
        isPerMessage: bool,
        isShort: bool,
    ) -> None:
        """
        @param client: In whose name the session is changed.

        @param outbox: Where so much may wait for the client that nothing more is
            handled until L{relieved} is called.

        @param isShort: Whether messages may take the short way.

        @param slices: When handlers are called.
        """
        self.session = session
        self._keeper = session.keeper
        self._client: _Client = client
        self._inbox = inbox
        self._outbox: Outbox | _Gone = outbox
        self._handlers = handlers
        self._slices = slices
        self._toll: Toll | None = None
        # Whether _goOn is to be called in a later slice, and not before.
        self._isQueued = False
        self._awaited: tuple[str, float] | None = None
        self._isPerMessage = isPerMessage
        self._isShort = isShort
        # Whether nobody waits for the turn: set where nothing was found to do, and
        # taken back wherever something comes.
        self._isQuiet = False
        self._isStopped = False
        # Whether a message was handled.  Until then, it comes.
        self._isSettled = False
        self._turn = NOBODY
        self._changedKeys: tuple[str, ...] = ()
        # What is done when the client is gone and all it sent was handled.
        self._last: Callable[[], Deferred[None]] | None = None
        self._receiving = _NOT_RECEIVING
        self._receiver: Deferred[Any] | None = None
        self._ownChange = 0
        self._postponed: list[tuple[Failure, int]] | None = None

    def ration(self, rations: Rations, limits: Limits) -> None:
        """
        Have messages wait for their tokens.
        """
        self._toll = Toll(rations, limits, self.session, self._goOnSafely)

    def waive(self) -> None:
        """
        Have them wait no more.
        """
        toll, self._toll = self._toll, None
        if toll is not None:
            toll.stop()
            self._goOnSafely()

    def begin(self) -> None:
        """
        The session is there.
        """
        self._inbox.arrived(self._keeper.arrival())
        self._step(partial(self._handle, "sconnection", self.session))
        self._goOn()

    @property
    def _isOver(self) -> bool:
        """
        Whether the session ended, even if the client was not told yet:
        others who are told first, or wait for the session, go on meanwhile.
        """
        return self._keeper.reason is not None

    # One thing at a time.

    def received(self, waiting: Waiting) -> None:
        """
        The client sent something.
        """
        waiting.arrival = self._keeper.arrival()
        if self._isFree():
            self._step(partial(self._handleMessage, waiting))
        else:
            self._inbox.append(waiting)
        self._goOn()

    def _isFree(self) -> bool:
        """
        Whether a message that comes now is handled at once.
        """
        slices = self._slices
        return not (
            self._turn is not NOBODY
            or self._inbox
            or self._changedKeys
            or self._isQueued
            or self._receiving is not _NOT_RECEIVING
            or self._toll is not None
            or self._last is not None
            or slices.isOver
            or slices.isWorking
            or self._isOver
            or self._waits()
        )

    def changed(self, keys: Sequence[str]) -> None:
        """
        Somebody else changed these keys.
        """
        self._changedKeys = tuple(dict.fromkeys((*self._changedKeys, *keys)))
        self._goOn()

    def drop(self) -> None:
        """
        Handle nothing of what waits, and answer nothing.
        """
        self.hurry()

    def hurry(self) -> None:
        """
        Begin no handler of what waits.
        """
        self._inbox.clear()
        self._changedKeys = ()
        if self._toll is not None:
            self._toll.stop()

    def sessionOver(self) -> None:
        """
        There is no session any more.
        """
        self.drop()
        self._failReceiver(NoSuchSession())

    def clientGone(self, code: int, release: Callable[[], Deferred[None]]) -> None:
        """
        The client is gone; finish.

        @param release: Called when all handlers are done.
        """
        self._last = partial(self._handleDisconnect, code, release)
        self._changedKeys = ()
        self._failReceiver(ClientGone("the client is gone"))
        self._goOn()

    def relieved(self) -> None:
        """
        There is room again for what the client is sent.
        """
        if self._isStopped:
            # Not at once: somebody may be about to tell others that it is stored.
            self._isStopped = False
            self._queue()

    def _queue(self) -> None:
        self._isQuiet = False
        if not self._isQueued:
            self._isQueued = True
            self._later(self._goOnLater)

    def _later(self, work: Callable[[], object]) -> None:
        """
        Do something in a later slice.
        """
        isBulk = not self._isSettled or self._last is not None
        self._slices.later(self._keeper, work, isBulk=isBulk)

    def _waits(self) -> bool:
        """
        Whether the client has to read first, or the store to store.  That is noted
        for L{relieved}.
        """
        self._isStopped = self._outbox.isFull()
        return self._isStopped

    def _goOn(self) -> None:
        self._isQuiet = False
        if self._isQueued:
            return
        if self._receiving is _WAITING and self._inbox and self._mayTake():
            self._feed()
        slices = self._slices
        while self._turn is NOBODY:
            if self._isOver:
                self.drop()
            # As short as that, for this is asked at each message.
            if (slices.isOver or slices.isWorking) and not self._hasTime():
                return
            if (self._changedKeys or self._inbox) and self._waits():
                return
            if self._changedKeys:
                self._step(self._handleChanged)
            elif self._receiving is _FEEDING:
                return  # All others in the inbox came after the one that is fed.
            elif self._inbox:
                if not self._handlesNext():
                    return
            elif self._last is not None:
                last, self._last = self._last, None
                self._step(last, OVER)
            else:
                self._isQuiet = self._receiving is _NOT_RECEIVING and self._toll is None
                return

    def _handlesNext(self) -> bool:
        """
        @return: Whether the next message could be paid for.
        """
        if self._toll is not None and not self._toll.pays():
            return False
        if not self._takesNext():
            self._step(self._handleNext)
        return True

    def _hasTime(self) -> bool:
        """
        Whether to go on now; otherwise that is done in a later slice.
        """
        if self._slices.hasTime():
            return True
        if self._changedKeys or self._inbox or self._last is not None:
            self._queue()
        return False

    def _mayTake(self) -> bool:
        """
        Whether to take the next message out now; otherwise that is done later.
        """
        if self._waits() or not self._hasTime():
            return False
        return self._toll is None or self._toll.pays()

    def _goOnLater(self) -> None:
        self._isQueued = False
        self._goOnSafely()

    def _goOnSafely(self) -> None:
        """
        Go on for somebody who has others to see to.
        """
        try:
            self._goOn()
        except Exception:
            self._client.broken(Failure())

    def _turnTo(self, turn: Turn) -> None:
        if turn not in _NEXT[self._turn]:
            raise RuntimeError(f"after {self._turn.name} comes no {turn.name}")
        self._turn = turn

    def _step(
        self, step: Callable[[], Deferred[None] | None], then: Turn = NOBODY
    ) -> None:
        self._turnTo(HANDLER)
        # The last step ends this object.
        client = self._client
        running = self._slices.spend(step)
        # Here, not in a callback: a thousand messages that fail at once would nest
        # a thousand frames.
        if running is None or self._isDone(running, then, client):
            self._turnTo(then)

    def _isDone(
        self,
        running: Deferred[None],
        then: Turn,
        client: _Client,
    ) -> bool:
        """
        @return: Whether a step is done; otherwise the turn is passed on when it is.
        """
        running.addErrback(client.unexpected)
        isDone = isFired(running)
        if not isDone:
            running.addCallback(self._stepped, then)
        return isDone

    def _stepped(self, _: object, then: Turn) -> None:
        self._turnTo(then)
        self._goOn()

    # Calling handlers.

    def _handleNext(self) -> Deferred[None] | None:
        return self._handleMessage(self._inbox.next())

    def _handleMessage(self, waiting: Waiting) -> Deferred[None] | None:
        fresh = self._fresh(waiting)
        if fresh is None:
            return self._handleFresh(waiting)
        return fresh.addCallbacks(partial(self._handleLate, waiting), self._notFresh)

    def _handleLate(self, waiting: Waiting, _: object) -> Deferred[None] | None:
        """
        Handle a message that had to wait for the session.
        """
        if self._isOver:
            return None
        if self._slices.hasTime():
            return self._slices.spend(partial(self._handleFresh, waiting))
        # The answer of a store may let hundreds go on at once.
        turn: Deferred[None] = Deferred()
        self._later(partial(turn.callback, None))
        return turn.addCallback(partial(self._handleLate, waiting))

    def _handleFresh(self, waiting: Waiting) -> Deferred[None] | None:
        # Not before the session was loaded, which may bring another lifetime.
        self._keeper.clientActed(isFresh=self._isPerMessage)
        self._isSettled = True
        self.source = waiting.source
        return self._handle("smessage", waiting.message, self.session)

    def _handleChanged(self) -> Deferred[None] | None:
        keys, self._changedKeys = self._changedKeys, ()
        return self._handle("schanged", self.session, keys)

    def _handleDisconnect(
        self, code: int, release: Callable[[], Deferred[None]]
    ) -> Deferred[None]:
        handled = self._handle("disconnect", self.session, code)
        if handled is None:
            return release()
        return handled.addCallback(lambda _: release())

    def _handle(self, event: str, *args: Any) -> Deferred[None] | None:
        """
        Call the handlers of an event that may change the session.

        @return: L{None} if they are done.
        """
        undrafted: Deferred[None] | None = self._keeper.undrafted()
        if undrafted is not None:
            return undrafted.addCallback(self._handleAfter, event, args)
        self._keeper.handlerBegins(self._client)
        try:
            running = self._handlers.call(event, *args)
        except BaseException:  # Also sys.exit(): those of Deferreds are caught, too.
            self._handled(True, Failure())
            return None
        if running is None:
            self._handled(True)
            return None
        return self._awaits(event, running)

    def _awaits(self, event: str, running: Deferred[Any]) -> Deferred[None]:
        """
        The handlers of an event wait for something.
        """
        self._awaited = event, self._slices.seconds()
        self._keeper.handlerWaits(looks=not self._isPerMessage)
        handled = partial(self._handled, False)
        return running.addCallbacks(handled, handled)

    def _handleAfter(
        self, _: None, event: str, args: tuple[Any, ...]
    ) -> Deferred[None]:
        """
        Handle an event for which the session was not there: a handler that may run
        again had it.
        """
        turn: Deferred[None] = Deferred()
        self._later(partial(turn.callback, None))

        def handle(_: None) -> Deferred[None] | None:
            if self._isOver and event != "disconnect":
                return None
            return self._handle(event, *args)

        return turn.addCallback(handle)

    def _handled(self, wasSync: bool, failure: Failure | None = None) -> None:
        self._turnTo(COLLECTING)
        try:
            number = self._keeper.handlerEnds(
                self._client, wasSync=wasSync, saveNow=self._isPerMessage
            )
        finally:
            self._turnTo(HANDLED)
            if self._awaited is not None:
                self._slices.waited(self._awaited[1])
            self.source = self._awaited = None
        self._ownChange = max(self._ownChange, number)
        if self._postponed:
            self._tellPostponed(number)
        if failure is not None:
            self._client.raised(failure)

    def _tellPostponed(self, number: int) -> None:
        """
        @param number: The number of the last change of the handler that is done.
        """
        postponed, self._postponed = self._postponed, None
        for problem, stored in postponed or ():
            self._client.storingFailed(problem, number > stored)

    def awaited(self) -> str | None:
        """
        Which handler has begun and not ended, if one has.
        """
        if self._awaited is None:
            return None
        event, began = self._awaited
        return (
            f"{self._handlers.current} has been at work on {event} for"
            f" {self._slices.seconds() - began:.1f} s, with the session"
            f" {shortHash(self.session.id)}"
        )

    @property
    def isWaiting(self) -> bool:
        """
        Whether messages wait for a write to begin, or to end.
        """
        return False

    def hasUnsaved(self, stored: int) -> bool:
        """
        Whether this client's handlers changed something that is not stored.

        @param stored: The number of the last change that is.
        """
        return self._ownChange > stored

    def postpones(self, failure: Failure, stored: int) -> bool:
        """
        A write failed.

        @return: Whether to ask again later, when it is known whether it was
            this client's.
        """
        isCollecting = self._turn is COLLECTING
        if isCollecting:
            self._postponed = self._postponed or []
            self._postponed.append((failure, stored))
        return isCollecting

    # Freshness.

    def _fresh(self, waiting: Waiting) -> Deferred[None] | None:
        return self._keeper.fresh(waiting.arrival) if self._isPerMessage else None

    def _notFresh(self, failure: Failure) -> None:
        if not failure.check(NoSuchSession, SessionReplaced):
            self._client.broken(failure)

    # A handler that asks its client something.

    def receive(self) -> Deferred[Any]:
        """
        Wait for the client's next message, which then fires no C{smessage}.

        @return: A L{Deferred} that fires with the message.  It fails with
            L{ClientGone} or L{NoSuchSession} if none will come.
        """
        if self._receiver is not None:
            return fail(SessionError("somebody waits for the next message already"))
        if self._isOver:
            return fail(NoSuchSession())
        self._isQuiet = False
        receiver = self._receiver = Deferred(self._stopReceiving)
        if self._receiving is _NOT_RECEIVING:
            self._receiving = _WAITING
            if self._inbox and not self._slices.isWorking:
                # The handler goes on because of something else, such as the answer
                # of a database: only in a slice is it counted how long that takes.
                self._queue()
            elif self._inbox and not self._isQueued and self._mayTake():
                self._feed()
        return receiver

    def _stopReceiving(self, _: Deferred[Any]) -> None:
        self._takeReceiver()

    def _takeReceiver(self) -> Deferred[Any] | None:
        receiver, self._receiver = self._receiver, None
        if self._receiving is _WAITING:
            self._receiving = _NOT_RECEIVING
        return receiver

    def _feed(self) -> None:
        """
        Give the next message to the handler that waits for it.
        """
        if self._isOver:
            self.drop()
            return
        # Before next(), which may have the carrier receive again: what comes then is
        # behind this message.
        self._receiving = _FEEDING
        waiting = self._inbox.next()

        def give(_: object) -> None:
            if self._slices.hasTime():
                self._slices.spend(partial(self._give, waiting))
            else:
                self._later(partial(give, None))

        def broken(failure: Failure) -> None:
            self._receiving = _NOT_RECEIVING
            # First, so that what waits is dropped: the handler may be done at once,
            # and the next message would be handled, though this one was not.
            self._notFresh(failure)
            self._failReceiver(failure)
            self._goOn()

        fresh = self._fresh(waiting)
        if fresh is None:
            give(None)
        else:
            fresh.addCallbacks(give, broken).addErrback(self._client.unexpected)

    def _give(self, waiting: Waiting) -> None:
        self._keeper.clientActed(isFresh=self._isPerMessage)
        self._isSettled = True
        self._receiving = _NOT_RECEIVING
        receiver = self._takeReceiver()
        if receiver is not None:
            receiver.callback(waiting.message)
        elif not self._isOver:
            self._inbox.putBack(waiting)
            if self._toll is not None:
                self._toll.giveBack()
        self._goOn()

    def answered(self, deliver: Callable[[], object]) -> None:
        """
        The client answered what a handler had asked.  That is no message with a
        turn of its own: the handler which waits for it has the turn.

        @param deliver: Is called in a slice, with the session fresh.
        """
        if self._isOver:
            return

        def give(_: object) -> None:
            if self._slices.hasTime():
                self._keeper.clientActed(isFresh=self._isPerMessage)
                self._slices.spend(deliver)
            else:
                self._later(partial(give, None))

        arrival = self._keeper.arrival()
        fresh = self._keeper.fresh(arrival) if self._isPerMessage else None
        if fresh is None:
            give(None)
        else:
            fresh.addCallbacks(give, self._notFresh).addErrback(self._client.unexpected)

    def _failReceiver(self, error: Failure | SessionError) -> None:
        receiver = self._takeReceiver()
        if receiver is not None:
            receiver.errback(error)

    def end(self) -> None:
        """
        Nothing is called any more.
        """
        if self._toll is not None:
            self._toll.stop()
            self._toll = None
        self._client = self._outbox = _GONE
