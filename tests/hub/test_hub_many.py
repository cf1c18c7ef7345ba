"""
Tests for L{txsessionsock.hub}: one hub for both kinds of clients, and events for
those of Socket.IO.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.logger import capturedLogs

from tests.support.managing import SID
from tests.support.rooming import Guest, RoomCase
from txsessionsock.clients import SessionSockets
from txsessionsock.hub import (
    Hub,
    hubOf,
    namespaceLabel,
    roomLabel,
    sessionLabel,
    socketLabel,
)
from txsessionsock.messages import Event


class IncludeTests(RoomCase):
    """
    Tests for L{Hub.include}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.others = self.newSockets(self.manager)

    def test_both(self) -> None:
        """
        One hub finds the clients of two servers: by session, index and room.
        """
        self.hub.include(self.others)
        self.assertIs(hubOf(self.others), self.hub)
        guests = [self.enter(), self.enter(self.others)]
        self.hub.index("user", lambda session: session.get("user"))
        self.farHub.index("user", lambda session: session.get("user"))
        room = self.hub.room("news")
        for guest in guests:
            self.assertIs(hubOf(guest.face), self.hub)
            room.add(guest.face)
        for group in self.hub.session(SID), self.hub.by("user", 42), room:
            self.reached(group.count(), 2, 0)
            self.reached(group.send([1]), 2, 0)
        self.assertEqual([guest.got for guest in guests], [[("message", [1])] * 3] * 2)
        self.reached(self.hub.by("user", 42).close(1012, "new"), 2, 0)
        self.assertEqual([guest.closed for guest in guests], [(1012, "new")] * 2)

    def test_later(self) -> None:
        """
        Clients that were there before are found too.
        """
        self.enter(self.others)
        self.hub.include(self.others)
        self.hub.include(self.others)
        self.reached(self.hub.session(SID).count(), 1, 0)

    def test_refused(self) -> None:
        """
        Sockets have one hub, and a hub one manager.
        """
        for sockets in self.farSockets, SessionSockets(self.newManager()):
            with self.assertRaisesRegex(ValueError, "have a hub|have one manager"):
                self.hub.include(sockets)
        self.hub.include(self.others)
        with self.assertRaisesRegex(ValueError, "first room or broadcast"):
            Hub(self.others)
        wrong: Any = self.hub
        with self.assertRaisesRegex(TypeError, "sockets"):
            self.hub.include(wrong)


class EmitTests(RoomCase):
    """
    Tests for L{Hub.emit}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.here = [self.enter() for _ in range(3)]
        self.there = [self.enter(self.farSockets) for _ in range(2)]
        self.all = [*self.here, *self.there]

    def put_(self, room: str, *guests: Guest) -> None:
        """
        Put clients into a room of their namespace.
        """
        for guest in guests:
            label = roomLabel(room, guest.namespace)
            assert hubOf(guest.sockets).addTo(label, guest.face)

    def test_everybody(self) -> None:
        """
        All clients of a namespace get it, and none of others.
        """
        other = self.enter(namespace="/other")
        event = Event("e", (1, {"a": b"\xff"}))
        everybody = [namespaceLabel("/")]
        self.reached(self.hub.emit(everybody, [], "/", event), 3, 2)
        for guest in self.all:
            self.assertEqual(guest.got, [("e", 1, {"a": b"\xff"})])
        self.assertEqual(other.got, [])
        self.assertEqual(Guest.encoded, [event] * 2)

    def test_union(self) -> None:
        """
        Who is in several rooms gets it once; who is in one that is left out, not
        at all.
        """
        one, two, three, far, further = self.all
        self.put_("a", one, two, far)
        self.put_("b", two, three, far, further)
        self.put_("c", three, further)
        rooms = [roomLabel(name, "/") for name in "abc"]
        event = Event("e")
        self.reached(self.hub.emit(rooms[:2], [], "/", event), 3, 2)
        self.assertEqual([guest.got for guest in self.all], [[("e",)]] * 5)
        self.reached(self.hub.emit(rooms[:2], rooms[2:], "/", event), 2, 1)
        self.reached(self.hub.emit(rooms[:1], rooms[1:], "/", event), 1, 0)
        self.assertEqual([len(guest.got) for guest in self.all], [3, 2, 1, 2, 1])
        own = [socketLabel("/", one.id)]
        self.reached(self.farHub.emit([*own, *rooms], own, "/", event), 2, 2)
        self.reached(self.farHub.emit(own, [], "/", event), 1, 0)
        many = self.hub.many(rooms[:1], own, "/")
        self.reached(many.count(), 1, 1)
        self.reached(many.disconnect(4001, "bye"), 1, 1)
        closed = [None, (4001, "bye"), None, (4001, "bye"), None]
        self.assertEqual([guest.closed for guest in self.all], closed)

    def test_order(self) -> None:
        """
        Each time the same clients come in the same order: that of the rooms, and
        in each that in which they came.
        """
        order: list[Guest] = []
        for guest in self.here:
            guest.write = lambda frame, guest=guest: order.append(guest)  # type: ignore[method-assign,misc]  # to see the order
        one, two, three = self.here
        self.put_("a", three, two)
        self.put_("b", two, one)
        rooms = [roomLabel(name, "/") for name in "ab"]
        for _ in range(3):
            order.clear()
            self.hub.emit(rooms, [], "/", Event("e"))
            self.assertEqual(order, [three, two, one])

    def test_namespaces(self) -> None:
        """
        A room of the hub's own, or a session, has clients of all kinds; an event
        is for those of one namespace.
        """
        other = self.enter(namespace="/other")
        room = self.hub.room("a")
        for guest in (*self.here, other):
            room.add(guest.face)
        self.put_("a", self.here[0])
        for label in roomLabel("a"), sessionLabel(SID):
            there = 2 if label[0] == "session" else 0
            emitted = self.hub.emit([label], [], "/", Event("e"))
            self.reached(emitted, 3, there)
        self.assertEqual(other.got, [])
        emitted = self.hub.emit([roomLabel("a", "/")], [], "/", Event("e"))
        self.reached(emitted, 1, 0)
        emitted = self.hub.emit([roomLabel("a", "/other")], [], "/other", Event("e"))
        self.reached(emitted, 0, 0)

    def test_encodedOnce(self) -> None:
        """
        An event is encoded once on each node for all clients that encode alike.
        """
        for _ in range(20):
            self.enter(encoding="msgpack")
        event = Event("e", (1,))
        self.reached(self.hub.emit([namespaceLabel("/")], [], "/", event), 23, 2)
        self.assertEqual(Guest.encoded, [event] * 3)

    def test_volatile(self) -> None:
        """
        Those for whom something waits do not get what is volatile, and do not
        count.
        """
        one, two, three, *_ = self.all
        one.isWritable = False
        everybody = [namespaceLabel("/")]
        emitting = self.hub.emit(everybody, [], "/", Event("v"), volatile=True)
        self.reached(emitting, 2, 2)
        self.assertEqual(one.got, [])
        one.isWritable = True
        self.reached(self.hub.emit(everybody, [], "/", Event("e")), 3, 2)
        self.assertEqual([two.got, three.got], [[("v",), ("e",)]] * 2)
        self.assertEqual(one.got, [("e",)])

    def test_refusedForOne(self) -> None:
        """
        A client that cannot be sent it is not reached, and that is logged.
        """
        with capturedLogs() as events:
            emitting = self.hub.emit([namespaceLabel("/")], [], "/", Event("refused"))
            self.reached(emitting, 0, 0)
        self.assertIn("namespace '/'", repr(events))
        self.assertNotIn(SID, repr(events))

    def test_notSendable(self) -> None:
        """
        What cannot be sent is the caller's mistake, and nobody gets anything.
        """
        with self.assertRaisesRegex(ValueError, r"args\[0\]\['a'\]: set"):
            args = ({"a": {1}},)
            self.hub.emit([namespaceLabel("/")], [], "/", Event("e", args))
        with self.assertRaises(ValueError):
            self.hub.many([namespaceLabel("/")], [], "/").disconnect(1006)
        self.run_(0.1)
        self.assertEqual([guest.got for guest in self.all], [[]] * 5)

    def test_hostile(self) -> None:
        """
        Commands that are none are refused, and nothing is done.
        """
        pack = msgspec.msgpack.encode
        labels = [namespaceLabel("/")]
        good = pack(["e"])
        for command in (
            ["Emit", labels, [], "/", good, False],
            ["Emit", labels, [], "/", pack([1]), False, "id"],
            ["Emit", labels, [], "/", pack([]), False, "id"],
            ["Emit", labels, [], "/", b"\x91" * 10_000, False, "id"],
            ["Emit", labels, [["planet", "", ""]], "/", good, False, "id"],
            ["Emit", labels, [], None, good, False, "id"],
            ["Emit", labels, [], "/", good, 2, "id"],
            ["Emit", [["index", "unknown", "1"]], [], "/", good, False, "id"],
            ["Disconnect", labels, [], "/", 1006, ""],
            ["Tally", labels, []],
            ["Ask", 1, b""],
        ):
            self.assertRaises(ValueError, self.hub._orders.obey, pack(command))
        self.assertEqual([guest.got for guest in self.here], [[]] * 3)

    def test_older(self) -> None:
        """
        What a node of an earlier version sends is understood: it gives messages
        no id.
        """
        command = ["Send", sessionLabel(SID), b'"old"']
        answer = self.hub._orders.obey(msgspec.msgpack.encode(command))
        self.assertEqual(msgspec.msgpack.decode(answer), 3)
        self.assertEqual(self.here[0].got, [("message", "old")])

    def test_ask(self) -> None:
        """
        What is asked is answered by those who serve the topic.
        """
        self.farHub.serve("topic", lambda payload: payload * 2)
        asking = self.hub.ask("topic", b"four")
        with capturedLogs() as events:
            self.run_(0.1)
        self.assertEqual(events, [])
        answers = {self.hub.node: None, self.farHub.node: b"fourfour"}
        self.assertEqual(self.successResultOf(asking), answers)


class HeldTests(RoomCase):
    """
    Tests with the session fresh for each message.
    """

    perMessage = True

    def test_held(self) -> None:
        """
        Who has messages that are held back until its session is stored does not
        get what is volatile.
        """
        guest, other = self.enter(), self.enter(self.farSockets)
        session = guest.client.session
        assert session is not None
        self.store.hold("replace")
        session["n"] = 1
        guest.client.send("held")
        self.assertEqual(guest.got, [])
        everybody = [namespaceLabel("/")]
        emitting = self.hub.emit(everybody, [], "/", Event("v"), volatile=True)
        self.reached(emitting, 0, 1)
        self.store.release()
        self.run_(1)
        self.assertEqual(guest.got, [("message", "held")])
        self.assertEqual(other.got, [("v",)])
