# -*- test-case-name: tests.protocol.test_protocol -*-
"""
A WebSocket as the carrier of a client.
"""

from __future__ import annotations

from math import inf
from typing import Any

from twisted.logger import Logger

from txsessionsock._deferreds import Timer
from txsessionsock.clients import Client
from txsessionsock.messages import JSON, Messages, Raw, Shared
from txsessionsock.session import Session
from txsessionsock.websocket import KNOCKED, Line, isKnock

from .application import _applicationOf
from .aside import BUSY_INTERVAL, Aside
from .equipment import Equipment


__all__ = ["SocketCarrier"]

_log = Logger()


class SocketCarrier(Line):
    """
    The carrier of a client that is connected by a hardened WebSocket.

    @ivar client: That client.

    @ivar sockets: The clients among which this one is.

    @ivar closed: How it closed, as Autobahn's C{onClose} has it.

    @ivar mostValues: How many values a message may hold.

    @ivar aside: What is said beside messages; L{None} if the client did not
        ask for it.
    """

    groups: tuple[Any, ...] = ()
    aside: Aside | None = None
    closed: tuple[bool, int | None, str | None] = (False, None, None)
    _busy: Timer | None = None
    _pong: tuple[bytes, bool] | None = None

    def __init__(self, protocol: Any, ours: type) -> None:
        super().__init__(protocol, ours)
        equipment: Equipment = protocol.factory._sessionsock
        self.equipment = equipment
        self.sockets = equipment.sockets
        self.messages: Messages = (
            equipment.messages or protocol._sessionsockMessages or protocol.messages
        )
        # Those that are no JSON have none.
        isJSON = isinstance(self.messages, JSON)
        self.mostValues = self.rules.limits.messageValues if isJSON else inf
        self.client: Client = self.sockets.client(
            self, _applicationOf(protocol, self), protocol
        )

    def begin(self) -> None:
        """
        The connection is open: find the client's session.
        """
        params = self._protocol.http_request_params
        if isKnock(params):
            # It is served all the same: an application may speak that by itself.
            self.rules.refusals.warn(_log, KNOCKED, self._reactor.seconds())
        self.aside = Aside.askedFor(params)
        if self.aside is not None:
            self.write((self.aside.ready(), False))
        assert self.request is not None
        self.client.start(self.request, self._reactor.seconds() - self.connectedAt)

    def drop(self, *, isAborted: bool = True) -> None:
        self._stopBusy()
        super().drop(isAborted=isAborted)

    def relieved(self) -> None:
        self.client.relieved()

    # What is said beside messages.

    def isAside(self, payload: bytes, isBinary: bool) -> bool:
        """
        Answer what the client says beside its messages, whatever state its
        session is in: that is no activity, and takes no turn.

        @return: Whether that was it.
        """
        aside = self.aside
        if aside is None or not aside.takes(payload, isBinary):
            return False
        answer = aside.answer(payload)
        if answer is not None:
            # One that waits already is superseded: a client may ask at will.
            if self._behind and self._behind[-1] is self._pong:
                self._behindSize -= self.size(self._behind.pop())
            self._pong = answer, False
            self.write(self._pong)
        return True

    def whose(self, session: Session) -> tuple[Any, ...] | None:
        if self.aside is None:
            return None
        # Where the session is in the cookie, each change gives it a new id.
        isInCookie = self.sockets.framework.readOnly
        sessionID = None if isInCookie else session.id
        said = self.aside.whose(sessionID, session.keeper.identity())
        return None if said is None else (said, False)

    def missed(self, frame: Any) -> None:
        """
        Nobody comes back for it.
        """

    def awaitCredential(self) -> None:
        """
        A client of a WebSocket may send messages from the beginning.
        """

    def prepare(self, session: Session) -> None:
        """
        Nothing is to be waited for.
        """

    def pause(self) -> None:
        super().pause()
        self._sayBusy()

    def _sayBusy(self) -> None:
        # A ping may wait in the socket that we do not read.
        if self.aside is not None:
            self.write((self.aside.busy(), False))
            if self._busy is None:
                self._busy = Timer(self._reactor)
            self._busy.start(BUSY_INTERVAL, self._sayBusy)

    def _stopBusy(self) -> None:
        busy, self._busy = self._busy, None
        if busy is not None:
            busy.stop()

    def resume(self) -> None:
        self._stopBusy()
        super().resume()

    # Messages.

    @property
    def isWritable(self) -> bool:
        return not (self.unsent or self.isFilled)

    @property
    def encoding(self) -> object:
        # enable() makes an object of these two for each connection.
        kind = type(self.messages)
        return kind if kind in (JSON, Raw) else self.messages

    def encode(self, value: Any, messageID: str = "") -> tuple[Any, ...]:
        message = self.messages.encode(value)
        return Shared(message) if messageID else message
