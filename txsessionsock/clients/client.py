# -*- test-case-name: tests.test_client -*-
"""
One client and its session, whatever carries it: how it gets its session, what
it is sent, and how it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import inf
from typing import Any
from weakref import WeakSet

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.closecodes import Code
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import (
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
from txsessionsock.session import Session, explained, shortHash

from .carrier import Application, Carrier
from .conversation import Conversation
from .handlers import Handlers
from .identification import Naming
from .inbox import Inbox, Waiting
from .outbox import Outbox
from .sockets import SessionSockets


__all__ = ["Client"]


class _State(Enum):
    """
    Where a client is in its life.  It only ever goes on to a later state.
    """

    WAITING = 0
    """The handshake is done; the client has not yet named its session."""

    OPENING = 1
    """Its session is being opened."""

    REFUSED = 2
    """It has no session, and is told so."""

    OPEN = 3
    """It has its session."""

    LEAVING = 4
    """It had one and is disconnected; what it sent before is handled."""

    OVER = 5
    """Nothing is called any more."""


class Client:
    """
    One client, from the handshake to the last save.

    @ivar handlers: Whom its events concern.
    """

    _log = Logger()

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
        self._outbox = Outbox(carrier, self._unsaved, self._closes)
        self._opening: Deferred[Session] | None = None
        self._conversation: Conversation | None = None
        self._stored = 0
        self._isInOutage = False
        self._hasCookie = False
        # When the browser drops the cookie, unless a page has renewed it.
        self._cookieEnds = inf

    @property
    def session(self) -> Session | None:
        """
        The client's session, once it is there.
        """
        return None if self._conversation is None else self._conversation.session

    @property
    def isOpen(self) -> bool:
        """
        Whether what is sent now may still arrive.
        """
        return self._outbox.isOpen and not self._isOver

    def awaited(self) -> str | None:
        """
        Which handler has begun and not ended, if one has.
        """
        awaited = None if self._conversation is None else self._conversation.awaited()
        peer = getattr(self.handlers.face, "peer", "somebody")
        return awaited and f"{awaited}, of the client {peer}"

    @property
    def source(self) -> Any:
        """
        What the carrier made the message of that is handled now.
        """
        return None if self._conversation is None else self._conversation.source

    # From the handshake to the session.

    def start(self, handshake: Handshake, elapsed: float = 0.0) -> None:
        """
        The client is connected: find its session.

        @param elapsed: How many seconds that took.
        """
        self._sockets.add(self)
        self._hasCookie = "cookie" in handshake.headers
        if self._outbox.isOpen:
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
        manager = self._sockets.manager
        manager.doubts.found()
        lifetime = manager.cookieLifetime(session) if self._hasCookie else None
        if lifetime is not None:
            self._cookieEnds = manager.reactor.seconds() + lifetime
        self._conversation = Conversation(
            session,
            self,
            self._inbox,
            self.handlers,
            self._sockets.manager.reactor,
            isPerMessage=self._sockets.perMessage,
            raised=self._raised,
            failed=self._failed,
            broken=self._broken,
        )
        self._sockets.opened(self)
        self._tellWhose()
        self._conversation.begin()

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
        self._state = _State.REFUSED
        self._sockets.manager.doubts.refused(reason)
        self._forget()
        late = reason == "timeout"
        code = Code.NO_CREDENTIAL_IN_TIME if late else Code.SESSION_OVER
        self._notify("sinvalid", reason).addCallback(
            lambda _: self.closeNow(code, f"session-{reason}")
        )

    def _second(self) -> None:
        self.closeNow(Code.SECOND_CREDENTIAL, "session-second")

    # In both directions.

    def received(self, message: Any, size: int, source: Any = None) -> None:
        """
        The client sent something.

        @param size: How many bytes it takes while it waits.

        @param source: What the message was made of.
        """
        if not self._outbox.isOpen or self._state is _State.REFUSED:
            return
        if self._naming.takes(message):
            return
        if self._conversation is None:
            self._inbox.append(Waiting(message, size, source, 0))
        else:
            self._conversation.received(message, size, source)
            if self._sockets.manager.reactor.seconds() > self._cookieEnds:
                self._outlivesCookie()

    def _outlivesCookie(self) -> None:
        session, manager = self.session, self._sockets.manager
        if session is not None and not self._isOver and manager.isNews("outlived"):
            self._log.warn(
                "session {session} lives, and the browser of its socket was to keep"
                " the cookie for {lifetime:.0f} s. Messages put off the end of a"
                " session, but not that of its cookie: unless an answer to a request"
                " has, the next request has no session. Have pages make a request"
                " now and then whose answer renews the cookie.",
                session=shortHash(session.id),
                lifetime=manager.cookieLifetime(session) or 0,
            )

    def receive(self) -> Deferred[Any]:
        """
        Wait for the client's next message, which then fires no C{smessage}.

        @return: A L{Deferred} that fires with the message.  It fails with
            L{ClientGone} or L{NoSuchSession} if none will come.
        """
        if self._conversation is None or not self._outbox.isOpen:
            return fail(ClientGone("the client is gone"))
        return self._conversation.receive()

    def send(self, value: Any) -> None:
        """
        Send a message, when all that was changed until now is stored.  Does
        nothing when the client is gone.

        @raise ValueError: The value is no message.
        """
        if self.isOpen:
            self._outbox.send(self._carrier.encode(value))

    def sendFrame(self, frame: Any) -> None:
        """
        The same for what is encoded already.
        """
        if not self._isOver:
            self._outbox.send(frame)

    @property
    def _isOver(self) -> bool:
        """
        Whether the client's session ended, even if it was not told yet.
        """
        session = self.session
        return session is not None and session.keeper.reason is not None

    def _unsaved(self) -> int | None:
        if self._conversation is None or not self._sockets.perMessage:
            return None
        return self._conversation.session.keeper.unsaved()

    # What the session tells.

    def changed(self, keys: Sequence[str]) -> None:
        if self._conversation is not None and self._outbox.isOpen:
            self._tellWhose()
            self._conversation.changed(keys)

    def _tellWhose(self) -> None:
        """
        The client hears first whose session it is, and then what is in it.
        """
        session = self.session
        if session is None or not self.isOpen:
            return
        try:
            frame = self._carrier.whose(session)
            if frame is not None:
                self._outbox.send(frame)
        except Exception:
            self._broken(Failure())

    def stored(self, number: int) -> None:
        self._stored = number
        self._isInOutage = False
        try:
            self._outbox.stored(number)
            self._tellWhose()
        except Exception:
            # Nobody else may miss that it is stored because of this client.
            self._broken(Failure())

    def failed(self, failure: Failure) -> None:
        conversation = self._conversation
        if conversation is not None and not conversation.postpones(
            failure, self._stored
        ):
            self._failed(failure, conversation.hasUnsaved(self._stored))

    def _failed(self, failure: Failure, isMine: bool) -> None:
        if failure.check(StoreFailure) and not self._sockets.perMessage:
            if not self._isInOutage:
                self._isInOutage = True
                self._report(failure)
        elif isMine or self._outbox or failure.check(UndecodableSession):
            self._broken(failure)

    def ended(self, reason: EndReason) -> None:
        conversation = self._conversation
        if conversation is None or self._state is _State.OVER:
            return
        if self._state is _State.OPEN:
            code = Code.SESSION_MOVED if reason == "moved" else Code.SESSION_OVER
            # Before any handler is called, so that it cannot send.
            self._outbox.decide(code, f"session-{reason}")
            self._outbox.clear()
        conversation.drop()
        if self._state is _State.OPEN:
            self._notify("sdestroyed", conversation.session, reason)
            self.closeNow(code, f"session-{reason}")
        conversation.sessionOver()

    # What goes wrong.

    def _raised(self, failure: Failure) -> None:
        """
        A handler failed.
        """
        if self._isExpected(failure):
            return
        self._report(failure)
        if failure.check(StoreFailure):
            self.close(Code.TRY_AGAIN_LATER, "store failed")
        else:
            self.close(Code.INTERNAL_ERROR, "handler failed")

    def _broken(self, failure: Failure) -> None:
        """
        The store failed, or something cannot be read or stored.
        """
        self._forget()
        if not self._outbox.isEnded:
            self._report(failure)
        if failure.check(StoreFailure):
            self.closeNow(Code.TRY_AGAIN_LATER, "store failed")
        else:
            self.closeNow(Code.INTERNAL_ERROR, "session failed")

    def _report(self, failure: Failure) -> None:
        # A handler that waited for a write fails with what the write did.  Who
        # was told of an error is kept there: its frames have all that their
        # callers have, which is not to live as long as a client.
        told = vars(failure.value).setdefault("_toldBySessionsock", WeakSet())
        if self not in told:
            told.add(self)
            self._notify("serror", failure)

    def _notify(self, event: str, *args: Any) -> Deferred[None]:
        """
        Call the handlers of an event that may come at any time.

        @return: A L{Deferred} that fires when they are done, or failed.
        """

        def failed(failure: Failure) -> None:
            if not self._isExpected(failure):
                self._unexpected(failure)

        return self.handlers.notify(event, *args).addErrback(failed)

    def _isExpected(self, failure: Failure) -> bool:
        """
        Whether a handler may fail so, because it was overtaken by events.
        """
        return (self._isOver or not self._outbox.isOpen) and bool(
            failure.check(NoSuchSession, ClientGone, SessionReplaced)
        )

    def _unexpected(self, failure: Failure) -> None:
        self._log.failure("a session socket failed", failure)

    def _forget(self) -> None:
        """
        Drop what waits, in both directions.
        """
        self._outbox.clear()
        if self._conversation is None:
            self._inbox.clear()
        else:
            self._conversation.drop()

    # How it ends.

    def close(self, code: int = Code.NORMAL, reason: str = "") -> None:
        """
        Disconnect, when what was sent before has gone out.  The first code
        wins.
        """
        self._outbox.close(code, reason)

    def closeNow(self, code: int, reason: str) -> None:
        """
        Disconnect, whatever waits to be sent.  The first code wins.
        """
        self._outbox.closeNow(code, reason)

    def _closes(self) -> None:
        self._naming.stop()
        if self._state is _State.OPENING and self._opening is not None:
            self._opening.cancel()
        # Or the answer to our close frame would never be read.
        self._inbox.resume()

    def lost(self, code: int) -> None:
        """
        The client is disconnected.

        @param code: 1006 if there was no close frame (RFC 6455, section 7.1.5).
        """
        self._outbox.cut()
        self._naming.stop()
        if self._conversation is None:
            if self._state is _State.OPENING and self._opening is not None:
                self._opening.cancel()
            self._state = _State.OVER
            self._inbox.clear()
            self._sockets.remove(self)
        elif self._state is _State.OPEN:
            self._state = _State.LEAVING
            self._sockets.lost(self)
            self._conversation.leave(code, self._release)

    def _release(self) -> Deferred[None]:
        assert self.session is not None
        self._state = _State.OVER

        def notSaved(failure: Failure) -> None:
            failure.trap(SessionError)
            self._log.warn(
                "{session} was not stored when its socket closed: {why}",
                session=self.session,
                why=explained(failure.value),
            )

        def released(result: Any) -> Any:
            self._sockets.remove(self)
            return result

        releasing = self._sockets.manager.release(self.session, self)
        return releasing.addErrback(notSaved).addBoth(released)
