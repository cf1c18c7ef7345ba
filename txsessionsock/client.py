# -*- test-case-name: tests.test_client -*-
"""
One client and its session, whatever carries it: its messages in order, its
handlers, what is held back for it, and how it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from ._handlers import Handlers
from ._inbox import Inbox, Waiting
from ._naming import Naming
from ._outbox import Outbox
from .credentials import Handshake
from .interfaces import (
    ClientGone,
    EndReason,
    InvalidReason,
    NoSuchSession,
    SessionError,
    SessionID,
    SessionReplaced,
    StoreFailure,
    TooManySockets,
    UndecodableSession,
)
from .session import Session
from .sockets import Application, Carrier, Code, SessionSockets


__all__ = ["Client"]


class _State(Enum):
    """
    Where a client is in its life.  It only ever goes on to a later state.
    """

    WAITING = 0
    """The handshake is done; the client has not yet named its session."""

    OPENING = 1
    """Its session is being opened."""

    OPEN = 2
    """It has its session."""

    LEAVING = 3
    """It had one and is disconnected; what it sent before is handled."""

    OVER = 4
    """Nothing is called any more."""


_CLOSE: Final = object()
"""
Stands among held frames for the end of the connection.
"""


class Client:
    """
    One client, from the handshake to the last save.

    @ivar session: Its session, once it is there.
    """

    _log = Logger()

    session: Session | None = None

    def __init__(
        self,
        sockets: SessionSockets,
        carrier: Carrier,
        application: Application,
        face: object,
    ) -> None:
        """
        @param application: Is called for each event, after the listeners.

        @param face: Whom listeners get as the client.
        """
        self.handlers = Handlers(sockets, application, face)
        self._sockets = sockets
        self._carrier = carrier
        self._state = _State.WAITING
        self._naming = Naming(sockets, self._open, self._invalid, self._second)
        self._inbox = Inbox(carrier, sockets.limits)
        self._outbox = Outbox(self._write)
        self._isBusy = False
        self._changedKeys: dict[str, None] = {}
        self._lostCode = 0
        self._stored = 0
        self._own = 0
        self._isLeaving = False
        self._isInOutage = False
        self._hasEnded = False
        self._closing: tuple[int, str] | None = None
        self._receiver: Deferred[Any] | None = None
        self._isFeeding = False
        self._opening: Deferred[Session] | None = None

    # From the handshake to the session.

    def start(self, handshake: Handshake, elapsed: float = 0.0) -> None:
        """
        The client is connected: find its session.

        @param elapsed: How many seconds that took.
        """
        self._sockets.add(self)
        self._naming.begin(handshake, elapsed)

    def _open(self, sessionID: SessionID) -> None:
        self._state = _State.OPENING
        sockets = self._sockets
        self._opening = sockets.manager.open(
            sessionID, self, sockets.limits.socketsPerSession
        )
        self._opening.addCallbacks(self._opened, self._notOpened)
        self._opening.addErrback(self._unexpected)

    def _opened(self, session: Session) -> None:
        self._state = _State.OPEN
        self.session = session
        self._inbox.arrived(session.keeper.arrival())
        self._step(lambda: self._handle("sconnection", session))
        self._pump()

    def _notOpened(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(NoSuchSession, SessionReplaced):
            self._invalid("unknown")
        elif failure.check(TooManySockets):
            self.closeNow(Code.TOO_MANY_SOCKETS, "session-limit")
        else:
            self._broken(failure)

    def _invalid(self, reason: InvalidReason) -> None:
        self._forget()
        late = reason == "timeout"
        code = Code.NO_CREDENTIAL_IN_TIME if late else Code.SESSION_OVER
        self._notify("sinvalid", reason).addCallback(
            lambda _: self.closeNow(code, f"session-{reason}")
        )

    def _second(self) -> None:
        self.closeNow(Code.SECOND_CREDENTIAL, "session-second")

    # Messages, one at a time.

    def received(self, message: Any, size: int) -> None:
        """
        The client sent something.

        @param size: How many bytes it takes while it waits.
        """
        if self._closing is not None or self._state in (_State.LEAVING, _State.OVER):
            return
        if self._naming.takes(message):
            return
        arrival = 0 if self.session is None else self.session.keeper.arrival()
        self._inbox.append(Waiting(message, size, arrival))
        self._pump()

    def _pump(self) -> None:
        """
        Handle what waits, until there is nothing or something takes its time.
        """
        if self._receiver is not None and not self._isFeeding and self._inbox:
            self._feed()
        while not self._isBusy:
            if self._state not in (_State.OPEN, _State.LEAVING):
                return
            if self._changedKeys and self._state is _State.OPEN:
                self._step(self._handleChanged)
            elif self._inbox:
                self._step(self._handleMessage)
            elif self._state is _State.LEAVING:
                self._step(self._handleDisconnect)
            else:
                return

    def _step(self, step: Callable[[], Deferred[None] | None]) -> None:
        self._isBusy = True
        running = step()
        if running is None:
            self._isBusy = False
        else:
            running.addErrback(self._unexpected).addCallback(self._stepped)

    def _stepped(self, _: object) -> None:
        self._isBusy = False
        self._pump()

    def _handleMessage(self) -> Deferred[None] | None:
        waiting = self._inbox.next()
        fresh = self._fresh(waiting)
        if fresh is None:
            return self._handle("smessage", waiting.message, self.session)

        def isFresh(_: object) -> Deferred[None] | None:
            if self._hasEnded:
                return None
            return self._handle("smessage", waiting.message, self.session)

        return fresh.addCallbacks(isFresh, self._notFresh)

    def _fresh(self, waiting: Waiting) -> Deferred[None] | None:
        assert self.session is not None
        self.session.keeper.visited()
        if not self._sockets.perMessage:
            return None
        return self.session.keeper.fresh(waiting.arrival)

    def _notFresh(self, failure: Failure) -> None:
        failure.trap(SessionError)
        if not failure.check(NoSuchSession, SessionReplaced):
            self._broken(failure)

    def _handleChanged(self) -> Deferred[None] | None:
        keys, self._changedKeys = self._changedKeys, {}
        return self._handle("schanged", self.session, tuple(keys))

    def _handleDisconnect(self) -> Deferred[None]:
        handled = self._handle("disconnect", self.session, self._lostCode)
        if handled is None:
            return self._release()
        return handled.addCallback(lambda _: self._release())

    def _release(self) -> Deferred[None]:
        assert self.session is not None
        self._state = _State.OVER

        def notSaved(failure: Failure) -> None:
            failure.trap(SessionError)
            self._log.warn(
                "{session} was not stored when its socket closed: {why}",
                session=self.session,
                why=type(failure.value).__name__,
            )

        released = self._sockets.manager.release(self.session, self)
        return released.addErrback(notSaved).addBoth(self._finished)

    def _finished(self, result: object) -> object:
        self._sockets.remove(self)
        return result

    # Calling handlers.

    def _handle(self, event: str, *args: Any) -> Deferred[None] | None:
        """
        Call the handlers of an event that may change the session.

        @return: L{None} if they are done.
        """
        assert self.session is not None
        self.session.keeper.enter(self)
        try:
            running = self.handlers.call(event, *args)
        except Exception:
            self._handled(True, Failure())
            return None
        if running is None:
            self._handled(True)
            return None
        handled = partial(self._handled, False)
        return running.addCallbacks(handled, handled)

    def _notify(self, event: str, *args: Any) -> Deferred[None]:
        """
        Call the handlers of an event that may come at any time.

        @return: A L{Deferred} that fires when they are done, or failed.
        """

        def failed(failure: Failure) -> None:
            if not self._isExpected(failure):
                self._unexpected(failure)

        return self.handlers.notify(event, *args).addErrback(failed)

    def _handled(self, wasSync: bool, failure: Failure | None = None) -> None:
        assert self.session is not None
        self._isLeaving = True
        own = self.session.keeper.leave(
            self, wasSync=wasSync, saveNow=self._sockets.perMessage
        )
        self._isLeaving = False
        if own > self._stored:
            self._own = own
        if failure is not None and not self._isExpected(failure):
            self._notify("serror", failure)
            if failure.check(StoreFailure):
                self.close(Code.TRY_AGAIN_LATER, "store failed")
            else:
                self.close(Code.INTERNAL_ERROR, "handler failed")

    def _isExpected(self, failure: Failure) -> bool:
        """
        Whether a handler may fail so, because it was overtaken by events.
        """
        isOver = self._closing is not None or self._state is not _State.OPEN
        return isOver and bool(
            failure.check(NoSuchSession, ClientGone, SessionReplaced)
        )

    def _unexpected(self, failure: Failure) -> None:
        self._log.failure("a handler of {client} failed", failure, client=self)

    # What the application may do.

    def send(self, value: Any) -> None:
        """
        Send a message, when all that was changed until now is stored.  Does
        nothing when the client is gone.
        """
        if self._closing is None:
            self.sendFrame(self._carrier.encode(value))

    def sendFrame(self, frame: Any) -> None:
        """
        The same for what is encoded already.
        """
        if self._closing is None and self._state not in (_State.LEAVING, _State.OVER):
            self._put(frame)

    def _put(self, frame: Any) -> None:
        number = None
        if self.session is not None and self._sockets.perMessage:
            number = self.session.keeper.unsaved()
        self._outbox.put(frame, number)

    def _write(self, frame: Any) -> None:
        if frame is _CLOSE:
            self._disconnect()
        else:
            self._carrier.write(frame)

    def receive(self) -> Deferred[Any]:
        """
        Wait for the client's next message; for a handler that asks its client
        something.  That message does not fire C{smessage}.

        @return: A L{Deferred} that fires with the message.  It fails with
            L{ClientGone} or L{NoSuchSession} if none will come.
        """
        if self._closing is not None or self._state is not _State.OPEN:
            return fail(ClientGone("the client is gone"))
        if self._receiver is not None:
            return fail(SessionError("somebody waits for the next message already"))
        self._receiver = Deferred(self._stopReceiving)
        receiver = self._receiver
        if self._inbox and not self._isFeeding:
            self._feed()
        return receiver

    def _stopReceiving(self, _: Deferred[Any]) -> None:
        self._receiver = None

    def _feed(self) -> None:
        """
        Give the next message to a handler that waits for it.
        """
        waiting = self._inbox.next()

        def give(_: object) -> None:
            self._isFeeding = False
            receiver, self._receiver = self._receiver, None
            if receiver is None:
                self._inbox.putBack(waiting)
                self._pump()
            else:
                receiver.callback(waiting.message)

        def broken(failure: Failure) -> None:
            self._isFeeding = False
            self._failReceiver(failure)
            self._notFresh(failure)

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

    def close(self, code: int = Code.NORMAL, reason: str = "") -> None:
        """
        Disconnect, when what was sent before has gone out.
        """
        if self._closing is None:
            self._closing = (code, reason)
            self._put(_CLOSE)

    # What the session tells.

    def changed(self, keys: Sequence[str]) -> None:
        if self._state is _State.OPEN and self._closing is None:
            self._changedKeys.update(dict.fromkeys(keys))
            self._pump()

    def stored(self, number: int) -> None:
        self._stored = number
        self._isInOutage = False
        self._outbox.stored(number)

    def failed(self, failure: Failure) -> None:
        isMine = self._isLeaving or self._own > self._stored
        if failure.check(UndecodableSession):
            self._broken(failure)
        elif not failure.check(StoreFailure):
            if isMine:
                self._broken(failure)
        elif self._sockets.perMessage:
            if isMine or self._outbox:
                self._broken(failure)
        elif not self._isInOutage:
            self._isInOutage = True
            self._notify("serror", failure)

    def ended(self, reason: EndReason) -> None:
        session = self.session
        if session is None or self._state is _State.OVER:
            return
        self._hasEnded = True
        self._forget()
        self._failReceiver(NoSuchSession())
        if self._state is _State.OPEN:
            hasMoved = reason == "moved"
            code = Code.SESSION_MOVED if hasMoved else Code.SESSION_OVER
            # First, so that the handler cannot send.
            self._closing = self._closing or (code, f"session-{reason}")
            self._notify("sdestroyed", session, reason)
            self._disconnect()

    # How it ends.

    def lost(self, code: int) -> None:
        """
        The client is disconnected.

        @param code: The close code, 1006 if there was none (RFC 6455, section
            7.1.5).
        """
        self._outbox.clear()
        self._naming.stop()
        if self._state is _State.OPEN:
            self._state = _State.LEAVING
            self._lostCode = code
            self._failReceiver(ClientGone("the client is gone"))
            self._pump()
        elif self._state is not _State.OVER:
            self._state = _State.OVER
            self._forget()
            if self._opening is not None:
                self._opening.cancel()
            self._finished(None)

    def _broken(self, failure: Failure) -> None:
        """
        The store failed, or something cannot be read or stored.
        """
        self._forget()
        if self._closing is None:
            self._notify("serror", failure)
        if failure.check(StoreFailure):
            self.closeNow(Code.TRY_AGAIN_LATER, "store failed")
        else:
            self.closeNow(Code.INTERNAL_ERROR, "session failed")

    def _forget(self) -> None:
        """
        Drop what waits, in both directions.
        """
        self._inbox.clear()
        self._changedKeys.clear()
        self._outbox.clear()

    def closeNow(self, code: int, reason: str) -> None:
        """
        Disconnect, whatever waits.
        """
        self._closing = self._closing or (code, reason)
        self._naming.stop()
        if self._state is _State.OPENING and self._opening is not None:
            self._opening.cancel()
        self._disconnect()

    def _disconnect(self) -> None:
        """
        Close with the first code that was decided upon.
        """
        assert self._closing is not None
        # Or the answer to our close frame would never be read.
        self._inbox.resume()
        if self._state not in (_State.LEAVING, _State.OVER):
            self._carrier.close(*self._closing)
