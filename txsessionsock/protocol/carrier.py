# -*- test-case-name: tests.test_protocol -*-
"""
What stands between an Autobahn protocol and its client: the carrier, the
application with Autobahn's own methods, and the request of the handshake.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from autobahn.util import encode_truncate
from autobahn.websocket.protocol import PreparedMessage
from twisted.internet.interfaces import IDelayedCall

from txsessionsock.clients import Client
from txsessionsock.handshake import Handshake
from txsessionsock.messages import Messages
from txsessionsock.session import Session
from txsessionsock.websocket import Outflow

from .application import _applicationOf
from .aside import BUSY_INTERVAL, Aside
from .equipment import Equipment


__all__ = ["Wire"]

_REASON_SIZE = 123
"""
How many bytes of a reason fit into a close frame (RFC 6455, section 5.5).
"""


class Wire:
    """
    What a protocol has beside Autobahn's, in one place so that few names are
    taken from those who write protocols; and its client's carrier.

    @ivar connectedAt: When the connection came, in seconds since the epoch.

    @ivar handshake: The request, once the connection is open.

    @ivar closed: How it closed, as Autobahn's C{onClose} has it.

    @ivar isPaused: Whether nothing is received for now.

    @ivar aside: What is said beside messages; L{None} if the client did not
        ask for it.
    """

    handshake: Handshake | None = None
    aside: Aside | None = None
    closed: tuple[bool, int | None, str | None] = (False, None, None)
    isPaused = False

    def __init__(
        self,
        protocol: Any,
        sendMessage: Callable[..., None],
        unregisterProducer: Callable[[], None],
    ) -> None:
        """
        @param sendMessage: Sends at once, as Autobahn's does, and for
            C{unregisterProducer} alike.
        """
        self._protocol = protocol
        self._sendMessage = sendMessage
        self._unregisterProducer = unregisterProducer
        equipment: Equipment = protocol.factory._sessionsock
        self.equipment = equipment
        self.messages: Messages = (
            equipment.messages or protocol._sessionsockMessages or protocol.messages
        )
        self._reactor = protocol.factory.reactor
        self.connectedAt = self._reactor.seconds()
        self._outflow: Outflow | None = None
        self._busy: IDelayedCall | None = None
        self._behind: list[tuple[Any, ...] | PreparedMessage] = []
        self._pong: tuple[bytes, bool] | None = None
        self.client = Client(
            equipment.sockets, self, _applicationOf(protocol, self), protocol
        )

    def begin(self, handshake: Handshake) -> None:
        """
        The connection is open.
        """
        self._outflow = Outflow(
            self._protocol.transport,
            self._reactor,
            self.equipment.sockets.limits,
            partial(self._protocol.dropConnection, abort=True),
        )
        self.handshake = handshake
        self.aside = Aside.askedFor(self._protocol.http_request_params)
        if self.aside is not None:
            self.write((self.aside.ready(), False))
        self.client.start(handshake, self._reactor.seconds() - self.connectedAt)

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
                self._behind.pop()
            self._pong = answer, False
            self.write(self._pong)
        return True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Let something of the application's produce.
        """
        if self._outflow is None:
            self._protocol.transport.registerProducer(producer, streaming)
        else:
            self._outflow.register(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        Let it produce no more.
        """
        if self._outflow is None:
            self._unregisterProducer()
        else:
            self._outflow.unregister()

    def wrote(self, size: int) -> None:
        """
        Something was given to the transport.
        """
        if self._outflow is not None:
            self._outflow.wrote(size)

    def drop(self) -> None:
        """
        The connection is about to be cut; a transport with a producer would
        wait for it.
        """
        self._rest()
        outflow, self._outflow = self._outflow, None
        if outflow is not None:
            outflow.end()

    # The carrier.

    def encode(self, value: Any) -> tuple[Any, ...]:
        payload, isBinary = self.messages.encode(value)
        self.checkSize(payload)
        return payload, isBinary

    def checkSize(self, payload: bytes) -> None:
        """
        @raise ValueError: Autobahn would not send that much.
        """
        limit = self._protocol.maxMessagePayloadSize
        if 0 < limit < len(payload):
            raise ValueError(
                f"a message of {len(payload)} bytes; no more than {limit} can be"
                " sent (Limits.messageSize)"
            )

    def write(self, frame: tuple[Any, ...] | PreparedMessage) -> None:
        protocol = self._protocol
        if protocol.state != protocol.STATE_OPEN:
            return
        if protocol.send_state != protocol.SEND_STATE_GROUND:
            # The application is in the middle of a message (beginMessage), and
            # no other may come between its frames (RFC 6455, section 5.4).
            self._behind.append(frame)
        elif not isinstance(frame, PreparedMessage):
            self._sendMessage(*frame)
        elif protocol._perMessageCompress is None or frame.doNotCompress:
            protocol.sendData(frame.payloadHybi)
        else:
            self._sendMessage(frame.payload, frame.binary)

    def messageEnded(self) -> None:
        """
        The application has sent the last frame of a message.
        """
        behind, self._behind = self._behind, []
        for frame in behind:
            self.write(frame)

    def close(self, code: int, reason: str) -> None:
        if self._protocol.state == self._protocol.STATE_OPEN:
            text = reason.encode("utf-8", "replace").decode("utf-8")
            # sendClose refuses every code below 3000 but 1000.
            self._protocol.sendCloseFrame(
                code=int(code), reasonUtf8=encode_truncate(text, _REASON_SIZE) or None
            )

    def whose(self, session: Session) -> tuple[Any, ...] | None:
        if self.aside is None:
            return None
        # Where the session is in the cookie, each change gives it a new id.
        isInCookie = self.equipment.sockets.framework.readOnly
        sessionID = None if isInCookie else session.id
        said = self.aside.whose(sessionID, session.keeper.identity())
        return None if said is None else (said, False)

    def pause(self) -> None:
        self.isPaused = True
        self._protocol.transport.pauseProducing()
        self._sayBusy()

    def _sayBusy(self) -> None:
        # A ping may wait in the socket that we do not read.
        if self.aside is not None:
            self.write((self.aside.busy(), False))
            self._busy = self._reactor.callLater(BUSY_INTERVAL, self._sayBusy)

    def _rest(self) -> None:
        busy, self._busy = self._busy, None
        if busy is not None:
            busy.cancel()

    def resume(self) -> None:
        self.isPaused = False
        self._rest()
        if self._protocol.state != self._protocol.STATE_CLOSED:
            self._protocol.transport.resumeProducing()
