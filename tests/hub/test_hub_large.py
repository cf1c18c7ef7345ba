"""
Tests for rooms of very many clients: what is sent is encoded once, and each gets it
once.
"""

from __future__ import annotations

from typing import Any

from tests.support.hubbing import HubCase
from tests.support.managing import SID
from tests.support.rooming import Guest, RoomCase
from tests.support.socketio import Page
from tests.support.wires import Recording
from txsessionsock.clients import SessionSockets
from txsessionsock.handshake import Handshake
from txsessionsock.hub import namespaceLabel, roomLabel
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.messages import JSON, Event, Raw
from txsessionsock.socketio import Recovery, SocketIO, enable
from txsessionsock.socketio.packets import MSGPACK, TEXT
from txsessionsock.websocket import answers


_CLIENTS = 10_000

_ROOMS = 50
"""
In how many rooms some of them are.
"""


class LargeTests(RoomCase):
    """
    Tests for ten thousand clients.
    """

    def newSockets(self, manager: SessionManager) -> SessionSockets:
        return SessionSockets(manager, limits=Limits(socketsPerSession=_CLIENTS))

    def fill(self) -> list[Guest]:
        """
        Connect them, and put them into the room C{all}.
        """
        kind = object()
        cookie = f"connect.sid={self.sockets.framework.cookieValue(SID)}"
        handshake = Handshake({"cookie": [cookie]}, False)
        guests = []
        for number in range(_CLIENTS):
            guest = Guest(self.sockets, "/", f"socket {number}", kind)
            guest.client.start(handshake)
            guests.append(guest)
        self.run_(0.1)
        for guest in guests:
            assert self.hub.addTo(roomLabel("all", "/"), guest.face)
        return guests

    def test_once(self) -> None:
        """
        It is encoded once for all, and written once to each, also to those who are in
        many of the rooms.
        """
        guests = self.fill()
        rooms = [roomLabel(f"room {number}", "/") for number in range(_ROOMS)]
        for guest in guests[::10]:
            for room in rooms:
                assert self.hub.addTo(room, guest.face)
        event = Event("e", ("x",))
        labels = [*rooms, roomLabel("all", "/"), namespaceLabel("/")]
        self.reached(self.hub.emit(labels, [], "/", event), _CLIENTS, 0)
        self.assertEqual(Guest.encoded, [event])
        self.assertEqual({len(guest.got) for guest in guests}, {1})
        self.assertEqual(len({id(guest.got[0]) for guest in guests}), 1)


class MixedTests(HubCase):
    """
    Tests for clients of all kinds at once.
    """

    def setUp(self) -> None:
        super().setUp()
        self.encoded: list[str] = []
        parsers = (type(TEXT), "text"), (type(MSGPACK), "msgpack")
        for kind, name in ((JSON, "JSON"), *parsers):
            self.patch(kind, "encode", self.counting(kind.encode, name))
        self.patch(answers, "_made", self.counting(answers._made, "frame"))

    def counting(self, encode: Any, name: str) -> Any:
        def counted(*args: Any) -> Any:
            self.encoded.append(name)
            return encode(*args)

        return counted

    def come(self, **options: Any) -> list[Page]:
        """
        Connect clients of Socket.IO: two for each parser.
        """
        self.io: Any = SocketIO(**options)
        enable(self.io, self.manager)
        self.hub.include(self.io.sockets)
        pages = [
            Page(self.io, self.clock, self.cookie(), parser)
            for parser in (TEXT, TEXT, MSGPACK, MSGPACK)
        ]
        for page in pages:
            page.connect()
        return pages

    def test_all(self) -> None:
        """
        Each gets what it understands, encoded once for all who encode alike, and in
        one frame for all these.
        """
        text: Any = type("Text", (Recording,), {"messages": Raw()})
        plain = []
        for protocol in Recording, text, Recording, text:
            self.factory.protocol = protocol
            plain.append(self.browse())
        pages = [*self.come(), *self.come(recovery=Recovery())]
        self.encoded.clear()
        for _ in range(2):
            self.assertEqual(self.reached(self.hub.session(SID).send("hi")), 12)
        self.assertEqual([browser.got for browser in plain], [["hi"] * 2] * 4)
        for number, page in enumerate(pages):
            events = [event[:2] for event in page.events]
            self.assertEqual(events, [["message", "hi"]] * 2)
            # Who may come back is told which this was.
            self.assertEqual(len(page.events[0]), 2 + (number >= 4))
        # By the hub, for JSON; for the plain ones; and for those of Socket.IO, whose
        # frames are not made here.
        kinds = ["JSON", "frame", "frame", "text", "msgpack", "text", "msgpack"]
        self.assertEqual(self.encoded, kinds * 2)

    def test_kept(self) -> None:
        """
        No frame stays of what is kept for who may come back.
        """
        *_, page = self.come(recovery=Recovery())
        self.hub.session(SID).send("hi")
        self.assertEqual(len(page.events), 1)
        carrier: Any = next(iter(page.connection._carriers.values()))
        (kept,) = carrier.trail._frames
        self.assertEqual([each.frames for each in kept], [None])

    def test_emitted(self) -> None:
        """
        An event of Socket.IO is encoded once for each way, and not where nobody is
        who is to get it.
        """
        pages = self.come()
        namespace = self.io.of("/")
        self.encoded.clear()
        self.reached(namespace.emit("e", {"a": b"\xff"}))
        self.assertEqual(self.encoded, ["text", "msgpack"])
        self.assertEqual([page.events for page in pages], [[["e", {"a": b"\xff"}]]] * 4)
        self.reached(namespace.to("nobody").emit("e", "x"))
        self.assertEqual(self.encoded, ["text", "msgpack"])
