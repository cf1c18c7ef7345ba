# -*- test-case-name: tests.test_client -*-
"""
How a client comes to name its session.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from txsessionsock._waiting import refuseToWait
from txsessionsock.credentials import Credential
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import InvalidCredential, InvalidReason, SessionID

from .sockets import SessionSockets


__all__ = ["Naming"]


class Naming:
    """
    Looks for the one credential of a client: in its handshake, and where that
    is allowed in its first message.  The first that is found is it.
    """

    def __init__(
        self,
        sockets: SessionSockets,
        found: Callable[[SessionID], None],
        invalid: Callable[[InvalidReason], None],
        second: Callable[[], None],
    ) -> None:
        """
        @param found: Called when the client named a session.

        @param invalid: Called when it will not.

        @param second: Called when it names one again.
        """
        self._sockets = sockets
        self._found = found
        self._invalid = invalid
        self._second = second
        self._isDone = False
        self._timeout: IDelayedCall | None = None

    def begin(self, handshake: Handshake, elapsed: float) -> None:
        """
        The client is connected.

        @param elapsed: How many seconds that took.
        """
        if self._look(lambda c, *now: c.inHandshake(handshake, *now)):
            return
        if not self._sockets.awaitsMessage:
            self._refuse("missing")
            return
        left = max(0.0, self._sockets.limits.handshakeTimeout - elapsed)
        reactor = self._sockets.manager.reactor
        self._timeout = reactor.callLater(left, self._refuse, "timeout")

    def takes(self, message: object) -> bool:
        """
        The client sent a message.

        @return: Whether it is none for the application.
        """
        if not self._sockets.awaitsMessage:
            return False
        if self._look(lambda c, *now: c.inMessage(message, *now)):
            return True
        if self._isDone:
            return False
        self._refuse("missing")
        return True

    def _look(self, ask: Callable[..., SessionID | None]) -> bool:
        """
        @return: Whether there was a credential, good or bad.
        """
        now = self._sockets.manager.reactor.seconds()
        credential: Credential
        for credential in self._sockets.credentials:
            try:
                found = ask(credential, self._sockets.framework, now)
            except InvalidCredential as error:
                if self._isDone:
                    self._second()
                else:
                    self._refuse(error.reason)
                return True
            if found is not None:
                refuseToWait(found, type(credential).__name__)
                if self._isDone:
                    self._second()
                else:
                    self.stop()
                    self._found(found)
                return True
        return False

    def _refuse(self, reason: InvalidReason) -> None:
        self.stop()
        self._invalid(reason)

    def stop(self) -> None:
        """
        Look no more.
        """
        self._isDone = True
        timeout, self._timeout = self._timeout, None
        if timeout is not None and timeout.active():
            timeout.cancel()
