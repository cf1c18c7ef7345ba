"""
Tests for L{txsessionsock.socketio.rooms}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.support.rooming import Guest, RoomCase
from txsessionsock.bus import LocalBus
from txsessionsock.hub import Hub, hubOf
from txsessionsock.interfaces import SessionError
from txsessionsock.socketio.rooms import (
    Broadcaster,
    groupsOf,
    hubFor,
    join,
    leave,
    roomsOf,
)


class BroadcasterTests(RoomCase):
    """
    Tests for L{Broadcaster} on two nodes.
    """

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = (self.enter() for _ in range(3))
        self.far = self.enter(self.farSockets)
        self.all = [self.one, self.two, self.three, self.far]
        self.io = Broadcaster(self.sockets, "/")

    def put_(self, room: str, *guests: Guest) -> None:
        """
        Have clients join a room.
        """
        for guest in guests:
            self.assertTrue(join(guest.face, [room]))

    def assertGot(self, reaching: Deferred[Any], *guests: Guest) -> None:
        """
        These clients got something, once, and no others.
        """
        here = sum(guest is not self.far for guest in guests)
        self.reached(reaching, here, len(guests) - here)
        got = [guest for guest in self.all for _ in guest.got]
        self.assertEqual(got, [guest for guest in self.all if guest in guests])
        for guest in self.all:
            guest.got.clear()

    def test_whom(self) -> None:
        """
        Each method names more, or less, of those who get it.
        """
        self.put_("a", self.one, self.far)
        self.put_("b", self.two, self.far)
        io, e = self.io, "e"
        self.assertGot(io.emit(e), *self.all)
        self.assertGot(io.to("a").emit(e), self.one, self.far)
        self.assertGot(io.to("a", "b").emit(e), self.one, self.two, self.far)
        self.assertGot(io.to("a").to("b").emit(e), self.one, self.two, self.far)
        self.assertGot(io.to("a").except_("b").emit(e), self.one)
        self.assertGot(io.except_("a").emit(e), self.two, self.three)
        self.assertGot(io.except_("a").except_("b").emit(e), self.three)
        self.assertGot(io.to("nobody").emit(e))
        self.assertGot(io.to(self.three.id).emit(e), self.three)
        self.assertGot(
            io.to(self.three.id, "a").except_(self.one.id).emit(e), self.three, self.far
        )

    def test_besides(self) -> None:
        """
        What a client sends to a room does not come back to it.
        """
        self.put_("a", self.one, self.two, self.far)
        besides = Broadcaster.besides(self.one.face)
        self.assertGot(besides.emit("e"), self.two, self.three, self.far)
        self.assertGot(besides.to("a").emit("e"), self.two, self.far)
        self.assertGot(besides.to("a").except_(self.two.id).emit("e"), self.far)

    def test_immutable(self) -> None:
        """
        No method changes what it is called on.
        """
        self.put_("a", self.one)
        rooms = self.io.to("a")
        for other in rooms.to("b"), rooms.except_("a"), rooms.volatile:
            self.assertIsNot(other, rooms)
        self.assertGot(rooms.emit("e"), self.one)
        self.assertEqual(repr(rooms), "<Broadcaster / 'a'>")

    def test_volatile(self) -> None:
        """
        What is volatile does not wait.
        """
        self.one.isWritable = False
        self.assertGot(self.io.volatile.emit("e"), self.two, self.three, self.far)
        self.assertGot(
            self.io.except_(self.two.id).volatile.emit("e"), self.three, self.far
        )
        self.assertGot(self.io.emit("e"), *self.all)

    def test_values(self) -> None:
        """
        Arguments arrive as they were sent, and C{send} sends C{message}.
        """
        self.io.emit("e", 1, {"a": [b"\xff"]}, None)
        self.io.send("hello")
        self.run_(0.1)
        for guest in self.all:
            got = [("e", 1, {"a": [b"\xff"]}, None), ("message", "hello")]
            self.assertEqual(guest.got, got)

    def test_order(self) -> None:
        """
        What one node sends arrives in that order, whatever it is sent by.
        """
        self.put_("a", *self.all)
        sent = []
        for n in range(100):
            broadcaster = (self.io, self.io.to("a"), self.io.volatile)[n % 3]
            broadcaster.emit("e", n)
            sent.append(("e", n))
        self.run_(0.1)
        self.assertEqual([guest.got for guest in self.all], [sent] * 4)

    def test_others(self) -> None:
        """
        Clients can be counted, and disconnected.
        """
        self.put_("a", self.one, self.far)
        self.reached(self.io.count(), 3, 1)
        self.reached(self.io.to("a").count(), 1, 1)
        self.reached(self.io.to("a").disconnect("enough"), 1, 1)
        closed = [(1000, "enough"), None, None, (1000, "enough")]
        self.assertEqual([guest.closed for guest in self.all], closed)
        self.reached(self.io.count(), 2, 0)

    def test_namespaces(self) -> None:
        """
        A room of one namespace is none of another.
        """
        other = self.enter(namespace="/other")
        self.put_("a", self.one, other)
        self.assertGot(self.io.to("a").emit("e"), self.one)
        self.assertEqual(other.got, [])
        Broadcaster(self.farSockets, "/other").to("a").emit("o")
        self.run_(0.1)
        self.assertEqual(other.got, [("o",)])
        self.assertEqual([guest.got for guest in self.all], [[]] * 4)

    def test_refused(self) -> None:
        """
        What cannot be sent, and what is no room, is the caller's mistake; nobody
        gets anything.
        """
        wrong: Any = self.io
        eleven = [b"x"] * 11
        deep: list[Any] = []
        for _ in range(200):
            deep = [deep]
        for name, args in (
            ("e", ({1},)),
            ("e", (float("nan"),)),
            ("e", (2**70,)),
            ("e", (10**5000,)),
            ("e", ("\ud800",)),
            ("e", ({"\ud800": 1},)),
            ("e", ({1: 2},)),
            ("e", (deep,)),
            ("e", eleven),
            ("e", (b"x", {"_placeholder": True, "num": 0})),
            ("\ud800", ()),
            ("connect", ()),
            ("disconnect", ()),
            (None, ()),
        ):
            with self.assertRaises(ValueError):
                wrong.emit(name, *args)
        for rooms in [], [None], [1], [["a"]]:
            for method in wrong.to, wrong.except_:
                with self.assertRaisesRegex(ValueError, "room"):
                    method(*rooms)
        with self.assertRaises(TypeError):
            wrong.disconnect(1000)
        self.run_(0.1)
        self.assertEqual([guest.got for guest in self.all], [[]] * 4)


class RoomsTests(RoomCase):
    """
    Tests for the rooms of one client.
    """

    def test_rooms(self) -> None:
        """
        A client is in the rooms that it joined and did not leave, and in its own.
        """
        guest, other = self.enter(), self.enter(namespace="/other")
        self.assertEqual(roomsOf(guest.face), {guest.id})
        self.assertTrue(join(guest.face, ["a", "b", "a"]))
        self.hub.room("hub's").add(guest.face)
        self.assertEqual(roomsOf(guest.face), {guest.id, "a", "b"})
        self.assertEqual(roomsOf(other.face), {other.id})
        leave(guest.face, ["a", "nowhere"])
        self.assertEqual(roomsOf(guest.face), {guest.id, "b"})
        guest.client.lost(1001)
        self.assertEqual(roomsOf(guest.face), {guest.id})
        self.assertFalse(join(guest.face, ["a"]))
        leave(guest.face, ["a"])

    def test_names(self) -> None:
        """
        A room is named by a text; with one that is not, none is joined.
        """
        guest = self.enter()
        wrong: Any = ["a", 1]
        for f in join, leave:
            with self.assertRaisesRegex(ValueError, "name of a room is a str"):
                f(guest.face, wrong)
        self.assertEqual(roomsOf(guest.face), {guest.id})

    def test_groups(self) -> None:
        """
        Each client is in the group of its namespace, and in one of its own.
        """
        groups = (("namespace", "/a", ""), ("socket", "/a", "id"))
        self.assertEqual(groupsOf("/a", "id"), groups)

    def test_ownHub(self) -> None:
        """
        Without a hub, the first use makes one for this process; then it is too
        late for one that reaches others, which is said.
        """
        sockets = self.newSockets(self.newManager())
        guests = [self.enter(sockets) for _ in range(2)]
        with self.assertRaises(SessionError):
            hubOf(sockets)
        self.assertTrue(join(guests[0].face, ["a"]))
        hub = hubFor(sockets)
        self.assertIs(hubOf(guests[1].face), hub)
        reached = self.successResultOf(Broadcaster(sockets, "/").emit("e"))
        self.assertEqual(reached, {hub.node: 2})
        with self.assertRaisesRegex(ValueError, "for this process only, unless you"):
            Hub(sockets, LocalBus(self.clock))

    def test_inConnection(self) -> None:
        """
        A client can join as it comes, without a hub too.
        """
        sockets = self.newSockets(self.newManager())
        sockets.on("sconnection", lambda socket, session: join(socket, ["a"]))
        guest = self.enter(sockets)
        self.assertEqual(roomsOf(guest.face), {guest.id, "a"})
