"""
Clients of namespaces over carriers that are not there, for the tests of hubs and
rooms.
"""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from tests.support.managing import SID, ManagerCase
from txsessionsock.bus import LocalBus
from txsessionsock.clients import Client, SessionSockets
from txsessionsock.handshake import Handshake
from txsessionsock.hub import Hub, Label, Reached, namespaceLabel, socketLabel
from txsessionsock.manager import SessionManager
from txsessionsock.messages import Event
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session


class Roommate:
    """
    What handlers of a client get.
    """

    def __init__(self, guest: Guest) -> None:
        self._sessionsock = guest

    def __getattr__(self, name: str) -> Any:
        # The methods for events, which do nothing.
        return getattr(SessionSocketProtocol, name).__get__(self)


class Guest:
    """
    A carrier, and what it was given to send: as (name, *args) of an event.

    @ivar encoded: What was encoded, by all of them.
    """

    isPaused = False
    unsent = 0
    mostUnsent = 1 << 20
    isWritable = True
    encoded: ClassVar[list[Any]] = []

    def __init__(
        self, sockets: SessionSockets, namespace: str, id: str, encoding: object
    ) -> None:
        self.sockets = sockets
        self.namespace = namespace
        self.id = id
        self.encoding = encoding
        self.got: list[Any] = []
        self.closed: tuple[int, str] | None = None
        self.face = Roommate(self)
        application: Any = self.face
        self.client: Client = sockets.client(self, application, self.face)

    @property
    def groups(self) -> list[Label]:
        return [
            namespaceLabel(self.namespace),
            socketLabel(self.namespace, self.id),
        ]

    def awaitCredential(self) -> None: ...

    def prepare(self, session: Session) -> None: ...

    def encode(self, value: Any, messageID: str = "") -> Any:
        self.encoded.append(value)
        event = value if isinstance(value, Event) else Event("message", (value,))
        if event.name == "refused":
            raise ValueError("refused")
        return event.name, *event.args

    def check(self, frame: Any) -> None: ...

    def size(self, frame: Any) -> int:
        return 1

    def write(self, frame: Any) -> None:
        self.got.append(frame)

    def missed(self, frame: Any) -> None: ...

    def whose(self, session: Session) -> None: ...

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason

    def cut(self, why: str) -> None:
        self.closed = 1006, why

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class RoomCase(ManagerCase):
    """
    Two nodes, each with a hub, its own store, manager and sockets of two kinds.
    """

    perMessage = False

    def setUp(self) -> None:
        super().setUp()
        self.put(user=42)
        self.patch(Guest, "encoded", [])
        self.bus = LocalBus(self.clock)
        self.sockets = self.newSockets(self.manager)
        self.hub = Hub(self.sockets, self.bus)
        self.farManager = self.newManager()
        self.farSockets = self.newSockets(self.farManager)
        self.farHub = Hub(self.farSockets, LocalBus(place=self.bus))
        self.encodings: dict[str, object] = {}
        self.count = 0

    def newSockets(self, manager: SessionManager) -> SessionSockets:
        """
        The clients of another server.
        """
        return SessionSockets(manager, perMessage=self.perMessage)

    def enter(
        self,
        sockets: SessionSockets | None = None,
        namespace: str = "/",
        sid: str = SID,
        encoding: str = "",
    ) -> Guest:
        """
        Connect.
        """
        self.count += 1
        kind = self.encodings.setdefault(f"{namespace} {encoding}", object())
        sockets = self.sockets if sockets is None else sockets
        guest = Guest(sockets, namespace, f"socket {self.count}", kind)
        value = sockets.framework.cookieValue(sid)  # type: ignore[arg-type]  # any text
        cookie = f"{sockets.framework.cookieName}={value}"
        guest.client.start(Handshake({"cookie": [cookie]}, False))
        self.run_(0.1)
        return guest

    def reached(self, reaching: Deferred[Reached], here: int, there: int) -> None:
        """
        That many were reached.
        """
        self.run_(0.1)
        reached = self.successResultOf(reaching)
        self.assertEqual(reached, {self.hub.node: here, self.farHub.node: there})
