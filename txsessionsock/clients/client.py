# -*- test-case-name: tests.clients.test_client -*-
"""
One client and its session, whatever carries it: how it gets its session, what
it is sent, and how it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Any, Protocol
from weakref import WeakSet

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._repeatable import refuseRepeatable
from txsessionsock.closecodes import Code
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import (
    ClientGone,
    ConnectRefused,
    EndReason,
    InvalidReason,
    NoSuchSession,
    SecondSession,
    SessionConflict,
    SessionError,
    SessionID,
    SessionReplaced,
    StoreFailure,
    TooManySockets,
    UndecodableSession,
)
from txsessionsock.session import Session, explained, shortHash

from .broadcast import Broadcast
from .carrier import Carrier
from .conversation import Conversation
from .identification import Identification
from .inbox import Inbox, Waiting
from .life import Life, Phase
from .listeners import Application, Handlers
from .outbox import Outbox
from .repeating import RepeatingConversation
from .shared import Shared


__all__ = ["Client", "ClientRegistry"]


class ClientRegistry(Protocol):
    """
    Is told by each client about its life, in this order.
    """

    def connected(self, client: Client) -> None:
        """
        A client is there.
        """

    def opened(self, client: Client) -> None:
        """
        A client has its session.
        """

    def lost(self, client: Client) -> None:
        """
        A client that had its session is disconnected.
        """

    def removed(self, client: Client) -> None:
        """
        A client is gone, and its session stored.
        """


class Client:
    """
    One client, from the handshake to the last save.

    @ivar handlers: The functions and methods that its events call.

    @ivar life: Where it is in its life.
    """

    _log = Logger()

    def __init__(
        self,
        shared: Shared,
        registry: ClientRegistry,
        carrier: Carrier,
        application: Application,
        face: object,
    ) -> None:
        """
        @param registry: Is told where the client is in its life.

        @param application: Is called for each event, after the listeners.

        @param face: The object that listeners get as the client.
        """
        self.handlers = Handlers(shared.listeners, application, face)
        self._shared = shared
        self._tally = shared.manager.tally
        self._registry = registry
        # L{None}, when the client is over.
        self._carrier: Any = carrier
        self.life = Life()
        self._inbox = Inbox(carrier, shared.limits)
        self._outbox = Outbox(
            self, carrier, shared.limits, self.life, holds=shared.perMessage
        )
        # L{None}, when the client can name no session any more.
        self._identification: Identification | None
        self._identification = Identification(self, shared, self.life, self._inbox)
        self._opening: Deferred[Session] | None = None
        self._conversation: Conversation | None = None
        self._stored = 0
        # Whether the session is there, and the carrier has something to do first.
        self._isPreparing = self._isInOutage = self._hasCookie = False
        # When the browser drops the cookie, unless a page has renewed it.
        self._cookieEnds = inf

    @property
    def session(self) -> Session | None:
        """
        The client's session, once it is there.
        """
        return None if self._conversation is None else self._conversation.session

    @property
    def waiting(self) -> tuple[int, int, int]:
        """
        How many messages wait for a handler, of how many bytes; and how many
        are held back until the session is stored.
        """
        return len(self._inbox), self._inbox.size, len(self._outbox)

    @property
    def isOpen(self) -> bool:
        """
        Whether what is sent now may still arrive.
        """
        return self.life.isOpen and not self._isOver

    @property
    def isWritable(self) -> bool:
        """
        Whether what is sent now goes out at once, as far as can be seen here.
        """
        return self.isOpen and not self._outbox and bool(self._carrier.isWritable)

    @property
    def held(self) -> list[tuple[int, Any]]:
        """
        The frames that are held back until the session is stored, each with the
        number that L{stored} is to reach.
        """
        return self._outbox.held

    @property
    def groups(self) -> list[Any]:
        """
        See L{Carrier.groups}.
        """
        return [] if self._carrier is None else list(self._carrier.groups)

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
        The source of the message that is being handled; see L{Waiting}.
        """
        return None if self._conversation is None else self._conversation.source

    # From the handshake to the session.

    def start(
        self,
        handshake: Handshake,
        elapsed: float = 0.0,
        known: SessionID | None = None,
    ) -> None:
        """
        The client is connected: find its session.

        @param elapsed: How many seconds that took.

        @param known: Its session, if the handshake names none.
        """
        self._hasCookie = "cookie" in handshake.headers
        self._outbox.connected()
        self._registry.connected(self)
        if self.life.isOpen and self._identification is not None:
            self._identification.begin(handshake, elapsed, known)

    def awaits(self) -> None:
        """
        The client is to name its session in a message.
        """
        self._carrier.awaitCredential()

    def found(self, sessionID: SessionID) -> None:
        """
        The client has named its session: open that.
        """
        self.life.goOn(Phase.OPENING)
        shared = self._shared
        opening = shared.manager.open(sessionID, self, shared.limits.socketsPerSession)
        self._opening = opening
        opening.addCallback(self._prepare)
        opening.addCallbacks(self._opened, self._notOpened)
        opening.addErrback(self.unexpected)

    def _prepare(self, session: Session) -> Session | Deferred[Session]:
        """
        Wait for what the carrier has to do first.  Meanwhile this is a holder of
        the session already.
        """
        preparing: Deferred[None] | None = self._carrier.prepare(session)
        if preparing is None:
            preparing = self._turn(session)
        if preparing is None:
            return self._prepared(session, None)
        self._isPreparing = True
        return preparing.addBoth(partial(self._prepared, session))

    def _turn(self, session: Session) -> Deferred[None] | None:
        """
        Wait until there is time for those who come: the store may answer thousands at
        once.

        @return: L{None} if it is now.
        """
        slices = self._shared.manager.slices
        if slices.hasTime():
            return None
        turn: Deferred[None] = Deferred()

        def begin() -> None:
            # It may have been cancelled.
            if not turn.called:
                turn.callback(None)

        slices.later(session.keeper, begin, isBulk=True)
        return turn

    def _prepared(self, session: Session, result: object) -> Session:
        failure = result if isinstance(result, Failure) else None
        self._isPreparing = False
        if self.life.phase is not Phase.OPENING:
            # It was closed meanwhile, or went.  What is cancelled then may fail with
            # what it likes, or not at all.
            self._letGo(session)
            if failure is not None and not failure.check(CancelledError, SessionError):
                self.unexpected(failure)
            raise CancelledError
        if failure is not None:
            self._letGo(session)
            failure.raiseException()
        if session.keeper.reason is not None:
            # It ended meanwhile.
            self._letGo(session)
            raise NoSuchSession
        return session

    def _letGo(self, session: Session) -> None:
        releasing = self._shared.manager.release(session, self)
        # Nothing was changed that could be lost.
        releasing.addErrback(lambda failure: failure.trap(SessionError) and None)

    def _opened(self, session: Session) -> None:
        self._shared.manager.slices.spend(partial(self._begin, session))

    def _begin(self, session: Session) -> None:
        self.life.goOn(Phase.OPEN)
        self._opening = None
        assert self._identification is not None
        lookThrough = self._identification.opened()
        if not self._shared.awaitsMessage:
            self._identification = None
        manager = self._shared.manager
        manager.doubts.found()
        lifetime = manager.cookieLifetime(session) if self._hasCookie else None
        if lifetime is not None:
            self._cookieEnds = manager.reactor.seconds() + lifetime
        self._conversation = self._converse(session)
        limits = self._shared.limits
        if limits.sessionRate is not None or limits.userRate is not None:
            self._conversation.ration(manager.rations, limits)
        self._registry.opened(self)
        self.tellWhose()
        self._conversation.begin()
        lookThrough()

    def _converse(self, session: Session) -> Conversation:
        repeats = self.handlers.mayRepeat
        return (RepeatingConversation if repeats else Conversation)(
            session,
            self,
            self._inbox,
            self._outbox,
            self.handlers,
            slices=self._shared.manager.slices,
            isPerMessage=self._shared.perMessage,
            isShort=self._shared.mayBeShort and not repeats,
        )

    def _notOpened(self, failure: Failure) -> None:
        if failure.check(CancelledError) and self.life.phase is not Phase.OPENING:
            return
        if failure.check(NoSuchSession, SessionReplaced):
            identification = self._identification
            if identification is None or not identification.notThere():
                self.invalid("unknown")
        elif failure.check(SecondSession):
            self.second()
        elif isinstance(failure.value, ConnectRefused):
            self._refused("application")
            self.closeNow(Code.NORMAL, failure.value.message)
        elif failure.check(TooManySockets):
            self._refused("session-limit")
            self.closeNow(Code.TOO_MANY_SOCKETS, "session-limit")
        else:
            self.broken(failure)

    def _refused(self, reason: str) -> None:
        """
        @param reason: One of few words.
        """
        self._tally.refusals[reason] += 1
        line = f"a socket is not let in: {reason}"
        self._shared.manager.events.tell("refused", line, reason, reason=reason)

    def invalid(self, reason: InvalidReason) -> None:
        """
        There is no session for this client: say so, and disconnect.
        """
        self._tally.refusals[reason] += 1
        line = f"a socket has no session: {reason}"
        self._shared.manager.events.tell("invalid", line, reason, reason=reason)
        self.life.goOn(Phase.REFUSED)
        self._stopIdentification()
        self._shared.manager.doubts.refused(reason)
        self._forget()
        late = reason == "timeout"
        code = Code.NO_CREDENTIAL_IN_TIME if late else Code.SESSION_OVER
        self._notify("sinvalid", reason).addCallback(
            lambda _: self.closeNow(code, f"session-{reason}")
        )

    def second(self) -> None:
        """
        The client named its session again.
        """
        self._refused("second-credential")
        self.closeNow(Code.SECOND_CREDENTIAL, "session-second")

    # In both directions.

    def received(self, message: Any, size: int, source: Any = None) -> None:
        """
        The client sent a message.

        @param size: How many bytes it takes.

        @param source: See L{Waiting}.
        """
        self._tally.messages += 1
        conversation = self._conversation
        if not (
            self.life.listens
            and conversation is not None
            and conversation.takes(message, source, self._cookieEnds)
        ):
            self.again(Waiting(message, size, source))

    def again(self, waiting: Waiting) -> None:
        """
        The same for a message that waited until it was known which session is named.
        """
        if not self.life.listens:
            return
        identification = self._identification
        if identification is not None and identification.takes(waiting):
            return
        if self._conversation is None:
            self._inbox.append(waiting)
        else:
            self._conversation.received(waiting)
            ends = self._cookieEnds
            if ends < inf and self._shared.manager.reactor.seconds() > ends:
                self._outlivesCookie()

    def _outlivesCookie(self) -> None:
        session, manager = self.session, self._shared.manager
        # It is said once for all clients.
        self._cookieEnds = inf
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
        refuseRepeatable("receive()")
        if self._conversation is None or not self.life.isOpen:
            return fail(ClientGone("the client is gone"))
        return self._conversation.receive()

    def answered(self, deliver: Callable[[], object]) -> None:
        """
        The client answered something that it was asked: tell whoever asked, when
        the session is as fresh as for a message.
        """
        if self._conversation is not None and self.life.listens:
            self._conversation.answered(deliver)

    def send(self, value: Any) -> None:
        """
        Send a message, when all that was changed until now is stored.  Does
        nothing when the client is gone.

        @raise ValueError: The value is no message.
        """
        conversation = self._conversation
        # As isOpen: in one, for this is called for each answer.
        if self.life.isOpen and (
            conversation is None or conversation.session.keeper.reason is None
        ):
            carrier = self._carrier
            frame = carrier.encode(value)
            carrier.check(frame)
            self._outbox.send(frame)

    def sendOneOfMany(self, message: Broadcast) -> None:
        """
        The same for a message that many clients get.
        """
        conversation = self._conversation
        # As isOpen: in one, for this is called for each of many.
        if self.life.isOpen and (
            conversation is None or conversation.session.keeper.reason is None
        ):
            self._outbox.send(message.frameFor(self._carrier))

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

    def unsaved(self) -> int | None:
        """
        What a frame that is sent now has to wait for.
        """
        if self._conversation is None:
            return None
        return self._conversation.session.keeper.unsaved(self)

    def givenUp(self) -> int | None:
        """
        What a frame has to wait for whose changes are stored: until this client was
        told, if something of its own was given up.
        """
        conversation = self._conversation
        if conversation is None or not conversation.hasUnsaved(self._stored):
            return None
        return conversation.session.keeper.givenUp()

    # What the session tells.

    def changed(self, keys: Sequence[str]) -> None:
        if self._conversation is not None and self.life.isOpen:
            self.tellWhose()
            if not self.handlers.isIdle("schanged"):
                self._conversation.changed(keys)

    def tellWhose(self) -> None:
        """
        Tell the client whose session it is, before it sees anything of it.
        """
        session = self.session
        if session is None or not self.isOpen:
            return
        try:
            frame = self._carrier.whose(session)
            if frame is not None:
                self._outbox.send(frame)
        except Exception:
            self.broken(Failure())

    def stored(self, number: int) -> None:
        self._stored = number
        self._isInOutage = False
        try:
            self._outbox.stored(number)
            self.tellWhose()
            self.relieved()
        except Exception:
            # The other holders of the session are told after this one, and have
            # to be told even if this client fails.
            self.broken(Failure())

    def relieved(self) -> None:
        """
        There is room again for what the client is sent.
        """
        if self._conversation is not None:
            self._conversation.relieved()

    def failed(self, failure: Failure) -> None:
        conversation = self._conversation
        isWaiting = conversation is not None and conversation.isWaiting
        isOutage = failure.check(StoreFailure) is not None
        self._notStored(failure, isMine=isWaiting and isOutage)

    def gaveUp(self, failure: Failure, *, isMine: bool) -> None:
        # Also in an outage that was told already.
        self._isInOutage = False
        self._notStored(failure, isMine=isMine)

    def _notStored(self, failure: Failure, *, isMine: bool = False) -> None:
        conversation = self._conversation
        if conversation is not None and not conversation.postpones(
            failure, self._stored
        ):
            isMine = isMine or conversation.hasUnsaved(self._stored)
            self.storingFailed(failure, isMine)

    def storingFailed(self, failure: Failure, isMine: bool) -> None:
        """
        A write failed.

        @param isMine: Whether it was to store a change of this client.
        """
        if failure.check(StoreFailure) and not self._shared.perMessage:
            if not self._isInOutage:
                # Those who were told what was given up may hear of it once more, from
                # who waited for that: then it is no outage.
                self._isInOutage = self._report(failure)
        elif isMine or self._outbox or failure.check(UndecodableSession):
            self.broken(failure)

    def ended(self, reason: EndReason) -> None:
        conversation = self._conversation
        life = self.life
        if self._isPreparing and life.phase is Phase.OPENING:
            if reason == "moved":
                self.closeNow(Code.SESSION_MOVED, "session-moved")
            else:
                self.invalid("unknown")
        if conversation is None or life.phase is Phase.OVER:
            return
        if life.isConnected:
            code = Code.SESSION_MOVED if reason == "moved" else Code.SESSION_OVER
            # Before any handler is called, so that it cannot send.
            self._outbox.decide(code, f"session-{reason}")
            self._outbox.clear()
        conversation.drop()
        if life.isConnected:
            self._notify("sdestroyed", conversation.session, reason)
            self.closeNow(code, f"session-{reason}")
        conversation.sessionOver()

    # What goes wrong.

    def raised(self, failure: Failure) -> None:
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

    def broken(self, failure: Failure) -> None:
        """
        The store failed, or something cannot be read or stored.
        """
        self._forget()
        if not self.life.wasClosed:
            self._report(failure)
        if failure.check(StoreFailure, SessionConflict):
            self.closeNow(Code.TRY_AGAIN_LATER, "store failed")
        else:
            self.closeNow(Code.INTERNAL_ERROR, "session failed")

    def _report(self, failure: Failure) -> bool:
        """
        @return: Whether this error was not told yet.
        """
        # Several handlers of a client may fail with one error: each that waited
        # for a write fails with the error of that write.  The error itself keeps
        # which clients were told.  If the clients kept the errors, these would
        # live as long: with their tracebacks, and all that is in those frames.
        told = vars(failure.value).setdefault("_toldBySessionsock", WeakSet())
        isNew = self not in told
        if isNew:
            told.add(self)
            self._notify("serror", failure)
        return isNew

    def _notify(self, event: str, *args: Any) -> Deferred[None]:
        """
        Call the handlers of an event that may come at any time.

        @return: A L{Deferred} that fires when they are done, or failed.
        """

        def failed(failure: Failure) -> None:
            if not self._isExpected(failure):
                self.unexpected(failure)

        return self.handlers.notify(event, *args).addErrback(failed)

    def _isExpected(self, failure: Failure) -> bool:
        """
        Whether a handler may fail like this because the client or its session
        went while the handler was at work.
        """
        return (self._isOver or not self.life.isOpen) and bool(
            failure.check(NoSuchSession, ClientGone, SessionReplaced)
        )

    def unexpected(self, failure: Failure) -> None:
        """
        Log what should not have failed.
        """
        manager = self._shared.manager
        manager.failed(self._log, "a session socket failed", failure)

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
        refuseRepeatable("close()")
        self._outbox.close(code, reason)

    def goAway(self) -> None:
        """
        Disconnect because the server ends.  What waits is handled at once: the
        drain is short.
        """
        if self._conversation is not None:
            self._conversation.waive()
        self.close(Code.GOING_AWAY, "server going away")

    def hurry(self) -> None:
        """
        Begin no handler of what was received.
        """
        if self._conversation is None:
            self._inbox.clear()
        else:
            self._conversation.hurry()

    def closeNow(self, code: int, reason: str) -> None:
        """
        Disconnect, whatever waits to be sent.  The first code wins.
        """
        self._outbox.closeNow(code, reason)

    def closes(self) -> None:
        """
        The connection is about to be closed.
        """
        self._stopLooking()
        # A paused client would never be read, nor its answer to our close frame.
        self._inbox.resume()

    def lost(self, code: int) -> None:
        """
        The client is disconnected.

        @param code: 1006 if there was no close frame (RFC 6455, section 7.1.5).
        """
        self.life.goOn(Phase.LEAVING)
        self._tally.closed(code)
        self._outbox.clear()
        self._stopLooking()
        if self._conversation is None:
            self.life.goOn(Phase.OVER)
            self._inbox.clear()
            self._registry.removed(self)
            self._end()
        else:
            self._registry.lost(self)
            self._conversation.clientGone(code, self._release)

    def _stopLooking(self) -> None:
        """
        Neither look for the session any more, nor open it.
        """
        self._stopIdentification()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()

    def _stopIdentification(self) -> None:
        if self._identification is not None:
            self._identification.stop()

    def _release(self) -> Deferred[None]:
        assert self.session is not None
        self.life.goOn(Phase.OVER)

        def notSaved(failure: Failure) -> None:
            failure.trap(SessionError)
            why = explained(failure.value)
            line = f"{self.session} was not stored when its socket closed: {why}"
            self._shared.manager.warned(self._log, line, "not stored")

        def released(result: Any) -> Any:
            self._registry.removed(self)
            self._end()
            return result

        releasing = self._shared.manager.release(self.session, self)
        return releasing.addErrback(notSaved).addBoth(released)

    def _end(self) -> None:
        """
        Nothing is called any more, neither here nor by this client.  What it is
        made of does not lead back to it, nor to its connection: it is to be freed
        when its last owner lets go of it, not when the garbage collector comes.
        """
        if self._identification is not None:
            self._identification.end()
        self._inbox.end()
        self._outbox.end()
        self._carrier = None
        if self._conversation is not None:
            self._conversation.end()
        self.handlers.end()
