# -*- test-case-name: tests.test_client -*-
"""
What happens between a client and its handlers while it has a session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import isFired
from txsessionsock.interfaces import (
    ClientGone,
    NoSuchSession,
    SessionError,
    SessionReplaced,
)
from txsessionsock.session import Holder, Session, shortHash

from .handlers import Handlers
from .inbox import Inbox, Waiting


__all__ = ["Conversation"]


class Conversation:
    """
    Calls the handlers of a client, each when the one before is done.

    @ivar session: The client's session.

    @ivar source: What the carrier made the message of that is handled now.
    """

    _log = Logger()

    source: Any = None

    def __init__(
        self,
        session: Session,
        holder: Holder,
        inbox: Inbox,
        handlers: Handlers,
        clock: IReactorTime,
        *,
        isPerMessage: bool,
        raised: Callable[[Failure], None],
        failed: Callable[[Failure, bool], None],
        broken: Callable[[Failure], None],
    ) -> None:
        """
        @param holder: Who changes the session.

        @param raised: Called with what a handler failed with.

        @param failed: Called with what was L{postponed<postpones>}, and
            whether it was this client's.

        @param broken: Called when the session cannot be had for a message.
        """
        self.session = session
        self._keeper = session.keeper
        self._holder = holder
        self._inbox = inbox
        self._handlers = handlers
        self._clock = clock
        self._awaited: tuple[str, float] | None = None
        self._isPerMessage = isPerMessage
        self._raised = raised
        self._failed = failed
        self._broken = broken
        self._isBusy = False
        self._changedKeys: dict[str, None] = {}
        self._code: int | None = None
        self._release: Callable[[], Deferred[None]] | None = None
        self._receiver: Deferred[Any] | None = None
        self._isFeeding = False
        self._ownChange = 0
        self._isLeaving = False
        self._postponed: list[tuple[Failure, int]] = []

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

    def received(self, message: Any, size: int, source: Any) -> None:
        """
        The client sent something.
        """
        arrival = self._keeper.arrival()
        self._inbox.append(Waiting(message, size, source, arrival))
        self._goOn()

    def changed(self, keys: Sequence[str]) -> None:
        """
        Somebody else changed these keys.
        """
        self._changedKeys.update(dict.fromkeys(keys))
        self._goOn()

    def drop(self) -> None:
        """
        Handle nothing of what waits.
        """
        self._inbox.clear()
        self._changedKeys.clear()

    def sessionOver(self) -> None:
        """
        There is no session any more.
        """
        self.drop()
        self._failReceiver(NoSuchSession())

    def leave(self, code: int, release: Callable[[], Deferred[None]]) -> None:
        """
        The client is gone; finish.

        @param release: Called when all handlers are done.
        """
        self._code = code
        self._release = release
        self._changedKeys.clear()
        self._failReceiver(ClientGone("the client is gone"))
        self._goOn()

    def _goOn(self) -> None:
        if self._receiver is not None and not self._isFeeding and self._inbox:
            self._feed()
        while not self._isBusy:
            if self._isOver:
                self.drop()
            if self._changedKeys:
                self._step(self._handleChanged)
            elif self._isFeeding:
                return  # What comes now is behind the message that is fed.
            elif self._inbox:
                self._step(self._handleMessage)
            elif self._release is not None:
                release, self._release = self._release, None
                self._step(partial(self._handleDisconnect, release))
            else:
                return

    def _step(self, step: Callable[[], Deferred[None] | None]) -> None:
        self._isBusy = True
        running = step()
        if running is not None:
            running.addErrback(self._unexpected)
            if not isFired(running):
                running.addCallback(self._stepped)
                return
        # Not by a callback, or a thousand that fail at once would nest.
        self._isBusy = False

    def _stepped(self, _: object) -> None:
        self._isBusy = False
        self._goOn()

    def _unexpected(self, failure: Failure) -> None:
        self._log.failure("a session socket failed", failure)

    # Calling handlers.

    def _handleMessage(self) -> Deferred[None] | None:
        waiting = self._inbox.next()
        fresh = self._fresh(waiting)
        if fresh is None:
            return self._handleNow(waiting)
        return fresh.addCallbacks(
            lambda _: None if self._isOver else self._handleNow(waiting),
            self._notFresh,
        )

    def _handleNow(self, waiting: Waiting) -> Deferred[None] | None:
        # Only now: the lifetime may be another one than before.
        self._keeper.visited(isFresh=self._isPerMessage)
        self.source = waiting.source
        return self._handle("smessage", waiting.message, self.session)

    def _handleChanged(self) -> Deferred[None] | None:
        keys, self._changedKeys = self._changedKeys, {}
        return self._handle("schanged", self.session, tuple(keys))

    def _handleDisconnect(
        self, release: Callable[[], Deferred[None]]
    ) -> Deferred[None]:
        handled = self._handle("disconnect", self.session, self._code)
        if handled is None:
            return release()
        return handled.addCallback(lambda _: release())

    def _handle(self, event: str, *args: Any) -> Deferred[None] | None:
        """
        Call the handlers of an event that may change the session.

        @return: L{None} if they are done.
        """
        self._keeper.enter(self._holder)
        try:
            running = self._handlers.call(event, *args)
        except Exception:
            self._handled(True, Failure())
            return None
        if running is None:
            self._handled(True)
            return None
        self._awaited = event, self._clock.seconds()
        self._keeper.goesOn(looks=not self._isPerMessage)
        handled = partial(self._handled, False)
        return running.addCallbacks(handled, handled)

    def _handled(self, wasSync: bool, failure: Failure | None = None) -> None:
        self._isLeaving = True
        try:
            number = self._keeper.leave(
                self._holder, wasSync=wasSync, saveNow=self._isPerMessage
            )
        finally:
            self._isLeaving = False
            self.source = self._awaited = None
        self._ownChange = max(self._ownChange, number)
        postponed, self._postponed = self._postponed, []
        for problem, stored in postponed:
            self._failed(problem, number > stored)
        if failure is not None:
            self._raised(failure)

    def awaited(self) -> str | None:
        """
        Which handler has begun and not ended, if one has.
        """
        if self._awaited is None:
            return None
        event, began = self._awaited
        return (
            f"{self._handlers.current} has been at work on {event} for"
            f" {self._clock.seconds() - began:.1f} s, with the session"
            f" {shortHash(self.session.id)}"
        )

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
        if self._isLeaving:
            self._postponed.append((failure, stored))
        return self._isLeaving

    # Freshness.

    def _fresh(self, waiting: Waiting) -> Deferred[None] | None:
        return self._keeper.fresh(waiting.arrival) if self._isPerMessage else None

    def _notFresh(self, failure: Failure) -> None:
        if not failure.check(NoSuchSession, SessionReplaced):
            self._broken(failure)

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
        self._receiver = Deferred(self._stopReceiving)
        receiver = self._receiver
        if self._inbox and not self._isFeeding:
            self._feed()
        return receiver

    def _stopReceiving(self, _: Deferred[Any]) -> None:
        self._receiver = None

    def _feed(self) -> None:
        """
        Give the next message to the handler that waits for it.
        """
        if self._isOver:
            self.drop()
            return
        waiting = self._inbox.next()

        def give(_: object) -> None:
            self._keeper.visited(isFresh=self._isPerMessage)
            self._isFeeding = False
            receiver, self._receiver = self._receiver, None
            if receiver is not None:
                receiver.callback(waiting.message)
            elif not self._isOver:
                self._inbox.putBack(waiting)
            self._goOn()

        def broken(failure: Failure) -> None:
            self._isFeeding = False
            self._failReceiver(failure)
            self._notFresh(failure)
            self._goOn()

        self._isFeeding = True
        fresh = self._fresh(waiting)
        if fresh is None:
            give(None)
        else:
            fresh.addCallbacks(give, broken).addErrback(self._unexpected)

    def _failReceiver(self, error: Failure | SessionError) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.errback(error)
