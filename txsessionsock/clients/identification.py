# -*- test-case-name: tests.clients.test_client_asking -*-
"""
Finding out which session a client names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import Timer, nothing
from txsessionsock._waiting import waitable
from txsessionsock.credentials import Credential, isAmbient, refuseSecond
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import (
    InvalidCredential,
    InvalidReason,
    SecondSession,
    SessionError,
    SessionID,
    StoreTimeout,
)

from .inbox import Inbox, Waiting
from .life import Life, Phase
from .shared import Shared


__all__ = ["Identification"]

_Ask = Callable[..., Any]

# A name of its own: Python 3.11 is slow to find the members of an Enum, and this one
# is asked for at each message.
_ASKING = Phase.ASKING
_OPENING = Phase.OPENING

_ANOTHER: Final = object()
"""
Stands for a session that a client cannot have.
"""


class _Client(Protocol):
    """
    Whose session is looked for.
    """

    def found(self, sessionID: SessionID) -> None:
        """
        The client named a session.
        """

    def awaits(self) -> None:
        """
        It is to name one in a message.
        """

    def invalid(self, reason: InvalidReason) -> None:
        """
        It will not.
        """

    def second(self) -> None:
        """
        It names one again.
        """

    def broken(self, failure: Failure) -> None:
        """
        Nobody can say which session it named.
        """

    def again(self, waiting: Waiting) -> None:
        """
        It sent this while a credential was asked.
        """


class _Nobody:
    """
    Takes the place of a client that is over.
    """

    found = awaits = invalid = second = broken = again = staticmethod(nothing)


_NOBODY: Final = _Nobody()


class Identification:
    """
    Looks for the one credential of a client: in its handshake, and where that
    is allowed in its first message.  The first that is found is it.  A
    credential may take its time; then the client is L{Phase.ASKING}, and what
    it sends waits in its inbox.

    Where the first message is allowed, the cookie is a guess: if it is bad, or its
    session is gone, the client may name another.  What it sends waits until that is
    known.
    """

    _log = Logger()

    def __init__(
        self, client: _Client, shared: Shared, life: Life, inbox: Inbox
    ) -> None:
        self._client: _Client = client
        self._shared = shared
        self._life = life
        self._inbox = inbox
        self._timer = Timer(shared.manager.reactor)
        self._asked: Deferred[None] | None = None
        # The session that it has without having named it: it may still do so once.
        self._known: SessionID | None = None
        # What is done if the session that the cookie names is not there; L{None} if
        # something else named it, or nothing else may.
        self._otherwise: Callable[[], None] | None = None

    def begin(
        self, handshake: Handshake, elapsed: float, known: SessionID | None = None
    ) -> None:
        """
        The client is connected.

        @param elapsed: How many seconds that took.

        @param known: Its session, if the handshake names none.
        """
        remaining = self._shared.limits.handshakeTimeout - elapsed
        missing = partial(self._notInHandshake, remaining, known)

        def ask(each: Credential, *now: Any) -> object:
            if not (self._shared.awaitsMessage and isAmbient(each)):
                return each.inHandshake(handshake, *now)
            try:
                found = waitable(each.inHandshake(handshake, *now))
            except InvalidCredential:
                return None
            if isinstance(found, Deferred):
                found.addErrback(_takeForNone)
                return found.addCallback(self._guessed, missing)
            return self._guessed(found, missing)

        try:
            refuseSecond(self._shared.credentials, handshake)
        except SecondSession:
            self._client.second()
            return
        self._look(ask, missing)

    def _guessed(self, found: Any, otherwise: Callable[[], None]) -> Any:
        if found is not None:
            self._otherwise = otherwise
        return found

    def _notInHandshake(self, remaining: float, known: SessionID | None) -> None:
        self._otherwise = None
        if known is not None:
            self._known = known
            self._client.found(known)
        elif self._shared.awaitsMessage:
            self._life.goOn(Phase.WAITING)
            self._timer.start(remaining, self._client.invalid, "timeout")
            self._client.awaits()
        else:
            self._client.invalid("missing")

    def takes(self, waiting: Waiting) -> bool:
        """
        The client sent a message.

        @return: Whether it is none for the application, or not yet.
        """
        phase = self._life.phase
        if phase is _ASKING or (phase is _OPENING and self._otherwise is not None):
            self._inbox.append(waiting)
            return True
        if not self._shared.awaitsMessage:
            return False

        def ask(each: Credential, *now: Any) -> object:
            return each.inMessage(waiting.message, *now)

        if phase is Phase.WAITING:
            self._look(ask, partial(self._client.invalid, "missing"))
            return True
        named = self._named(ask)
        if named is None:
            return False
        known, self._known = self._known, None
        if named != known:
            self._client.second()
        return True

    def _named(self, ask: _Ask) -> object:
        """
        @return: The session that a message names; C{_ANOTHER} if some credential
            takes it for a bad one, or has to think about it; L{None} if it is no
            credential.
        """
        try:
            found = self._first(ask, iter(self._shared.credentials))
        except InvalidCredential:
            return _ANOTHER
        if not isinstance(found, Deferred):
            return found
        answers: list[object] = []
        found.addBoth(answers.append)
        if not answers:
            found.cancel()
            return _ANOTHER
        (answer,) = answers
        if isinstance(answer, Failure):
            # As if it had been raised: what else went wrong is no credential.
            answer.trap(InvalidCredential)
            return _ANOTHER
        return answer

    # Asking the credentials.

    def _look(self, ask: _Ask, missing: Callable[[], None]) -> None:
        """
        Ask which session the client named.

        @param missing: Called if there is no credential.
        """
        self._life.goOn(Phase.ASKING)
        try:
            found = self._first(ask, iter(self._shared.credentials))
        except Exception:
            self._failed(Failure())
            return
        if isinstance(found, Deferred):
            self._timer.start(self._shared.limits.handshakeTimeout, self._late)
            self._asked = found.addCallback(self._answered, missing)
            self._asked.addErrback(self._failed)
        else:
            self._answered(found, missing)

    def _first(self, ask: _Ask, credentials: Iterator[Credential]) -> Any:
        """
        Ask one after the other, until a credential is found.

        @return: The L{SessionID}, or L{None}; or a L{Deferred} of that.
        """
        framework, now = self._shared.framework, self._shared.manager.reactor.seconds()
        for credential in credentials:
            found: Any = waitable(ask(credential, framework, now))
            if isinstance(found, Deferred):
                return found.addCallback(
                    lambda found: (
                        self._first(ask, credentials) if found is None else found
                    )
                )
            if found is not None:
                return found
        return None

    def _answered(self, found: SessionID | None, missing: Callable[[], None]) -> None:
        if self._life.phase is not Phase.ASKING:
            return  # The client was closed meanwhile, or is gone.
        self._timer.stop()
        # Taken out before the session is opened, which may begin with what is in
        # the inbox: none of these has been looked at.
        came = self._inbox.takeAll()
        if found is None:
            missing()
        else:
            self._client.found(found)
        self._lookThrough(came)

    def notThere(self) -> bool:
        """
        There is no such session as was found.

        @return: Whether the client may name another.
        """
        otherwise = self._otherwise
        if otherwise is None:
            return False
        self._life.goOn(Phase.ASKING)
        self._answered(None, otherwise)
        return True

    def opened(self) -> Callable[[], None]:
        """
        There is, and the client is about to have it.

        @return: What then looks at all that came before this was known.
        """
        if self._otherwise is None:
            return nothing
        self._otherwise = None
        return partial(self._lookThrough, self._inbox.takeAll())

    def _lookThrough(self, came: list[Waiting]) -> None:
        for waiting in came:
            self._client.again(waiting)
        self._inbox.lookedThrough()

    def _failed(self, failure: Failure) -> None:
        if not self._life.isOpen:
            # Nobody waits for the answer any more.
            if not failure.check(CancelledError, SessionError):
                manager = self._shared.manager
                manager.failed(self._log, "a credential failed", failure)
        elif isinstance(failure.value, InvalidCredential):
            self._client.invalid(failure.value.reason)
        else:
            self._client.broken(failure)

    def _late(self) -> None:
        # The client has done its part; it may come again.
        self._client.broken(Failure(StoreTimeout("a credential took too long")))

    def stop(self) -> None:
        """
        Look no more.
        """
        self._timer.stop()
        self._otherwise = None
        asked, self._asked = self._asked, None
        if asked is not None:
            try:
                asked.cancel()
            except Exception:
                # A credential may have a canceller of its own.  The client has to
                # be closed, or let go of, all the same.
                manager = self._shared.manager
                line = "a credential could not be cancelled"
                manager.failed(self._log, line, Failure())

    def end(self) -> None:
        """
        Call nothing any more.
        """
        self.stop()
        self._client = _NOBODY


def _takeForNone(failure: Failure) -> None:
    failure.trap(InvalidCredential)
