"""
Tests for L{txsessionsock.hub}: several nodes, and what a bus may do.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.support.hubbing import OTHER, HubCase
from tests.support.managing import SID
from txsessionsock.bus import LocalBus
from txsessionsock.hub import Hub, Reached, hubOf
from txsessionsock.hub.commands import Close, Count, Send, decode, encode, number
from txsessionsock.hub.members import Members, indexLabel, roomLabel, sessionLabel
from txsessionsock.interfaces import BusFull, IBus, StoreUnavailable


@implementer(IBus)
class ScriptedBus:
    """
    A bus whose other nodes answer what a test says.
    """

    node = "me"

    def __init__(self) -> None:
        self.others: dict[str, bytes | None] = {}
        self.error: Exception | None = None
        self.commands: list[bytes] = []
        self.closed: Deferred[None] = Deferred()

    def handle(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer

    def request(self, command: bytes) -> Deferred[dict[str, bytes | None]]:
        if self.error is not None:
            return fail(self.error)
        self.commands.append(command)
        done: Deferred[dict[str, bytes | None]] = Deferred()
        done.callback({self.node: self.answer(command), **self.others})
        return done

    def close(self) -> Deferred[None]:
        return self.closed


class NodesTests(HubCase):
    """
    Tests for two nodes, each with its own store, manager and sockets.
    """

    def setUp(self) -> None:
        super().setUp()
        self.bus = LocalBus(self.clock)
        self.here = self.serve()
        self.hub = Hub(self.here.sockets, self.bus)
        self.manager = self.newManager()
        self.there = self.serve()
        self.farHub = Hub(self.there.sockets, LocalBus(place=self.bus))
        for hub in self.hub, self.farHub:
            hub.index("user", lambda session: session.get("user"))

    def assertReached(self, reaching: Deferred[Reached], here: int, there: int) -> None:
        """
        That many were reached.
        """
        self.wait()
        reached = self.successResultOf(reaching)
        self.assertEqual(reached, {self.hub.node: here, self.farHub.node: there})

    def test_everywhere(self) -> None:
        """
        Sessions, users and rooms are on both nodes, and each can reach all.
        """
        browsers = [self.browse(self.here) for _ in range(2)]
        browsers += [self.browse(self.there) for _ in range(3)]
        for browser in browsers:
            hubOf(browser.server).room("news").add(browser.server)
        for hub in self.hub, self.farHub:
            for group in hub.session(SID), hub.by("user", 42), hub.room("news"):
                self.assertReached(group.count(), 2, 3)
                self.assertReached(group.send(repr(group)), 2, 3)
        for browser in browsers:
            self.assertEqual(browser.got, browsers[0].got)
        self.assertEqual(len(browsers[0].got), 6)
        self.assertReached(self.hub.by("user", 42).close(), 2, 3)
        for browser in browsers:
            self.assertClosed(browser, 1000, "closed by server")

    def test_order(self) -> None:
        """
        A thousand messages of one sender arrive in order everywhere.
        """
        browsers = [self.browse(self.here), self.browse(self.there)]
        for n in range(1000):
            self.hub.session(SID).send(n)
        self.wait()
        for browser in browsers:
            self.assertEqual(browser.got, list(range(1000)))

    def test_noSecrets(self) -> None:
        """
        No session's id goes to other nodes.
        """
        bus = ScriptedBus()
        hub = Hub(self.serve().sockets, bus)
        group = hub.session(SID)
        for doing in group.send("x"), group.close(), group.count():
            self.successResultOf(doing)
        self.assertEqual(len(bus.commands), 3)
        for command in bus.commands:
            self.assertNotIn(SID.encode(), command)

    def test_missingIndex(self) -> None:
        """
        A node that does not have an index cannot answer by it, and says so in
        its log.
        """
        self.hub.index("team", lambda session: 1)
        with capturedLogs() as events:
            counting = self.hub.by("team", 1).count()
            self.wait()
        reached = self.successResultOf(counting)
        self.assertEqual(reached, {self.hub.node: 0, self.farHub.node: None})
        self.assertIn("no index 'team' here", str(events[0]["why"]))

    def test_closed(self) -> None:
        """
        A hub that was closed is not reached.
        """
        closing = self.farHub.close()
        self.wait()
        self.successResultOf(closing)
        counting = self.hub.room("news").count()
        self.assertEqual(self.successResultOf(counting), {self.hub.node: 0})
        self.failureResultOf(self.farHub.room("news").count(), StoreUnavailable)


class BusTroubleTests(HubCase):
    """
    Tests for what a bus may do to a hub.
    """

    def setUp(self) -> None:
        super().setUp()
        self.bus = ScriptedBus()
        self.hub = Hub(self.serve().sockets, self.bus)
        self.browser = self.browse()

    def test_missing(self) -> None:
        """
        Nodes without an answer are reported, and so are answers that are
        none.
        """
        self.bus.others = {"a": None, "b": encode(3), "c": b"\xff", "d": encode("x")}
        self.bus.others["e"] = encode(-1)
        self.assertEqual(
            self.successResultOf(self.hub.session(SID).send("hi")),
            {"me": 1, "a": None, "b": 3, "c": None, "d": None, "e": None},
        )

    def test_failing(self) -> None:
        """
        What the bus fails with is what the sender gets, and nothing is sent.
        """
        for error in BusFull("full"), StoreUnavailable("gone"):
            self.bus.error = error
            self.failureResultOf(self.hub.session(SID).send("hi"), type(error))
            self.failureResultOf(self.hub.session(SID).close(), type(error))
        self.wait()
        self.assertEqual(self.browser.got, [])
        self.assertIsNone(self.browser.closed)

    def test_hostile(self) -> None:
        """
        Commands that are none are refused, and nothing is done.
        """
        label = sessionLabel(SID)
        pack = msgspec.msgpack.encode
        for command in (
            b"",
            b"\xc1",
            b"\x91" * 100_000,
            pack(["Send", label]),
            pack(["Send", ["planet", "", ""], b"1"]),
            pack(["Send", [*label, ""], b"1"]),
            pack(["Send", label, "1"]),
            pack(["Send", label, b"{"]),
            pack(["Send", label, b"[" * 10_000]),
            pack(["Close", label, 1006, ""]),
            pack(["Close", label, "1000", ""]),
            pack(["Close", label, 1000, None]),
            pack(["Destroy", label]),
            pack(["Count", ["index", "unknown", "1"]]),
        ):
            self.assertRaises(ValueError, self.bus.answer, command)
        self.wait()
        self.assertEqual(self.browser.got, [])
        self.assertIsNone(self.browser.closed)
        self.assertEqual(self.bus.answer(pack(["Count", label])), encode(1))

    def test_close(self) -> None:
        """
        The hub is closed when its bus is.
        """
        closing = self.hub.close()
        self.assertNoResult(closing)
        self.bus.closed.callback(None)
        self.successResultOf(closing)


class MembersTests(SynchronousTestCase):
    """
    Tests for L{Members} and the labels of groups.
    """

    def test_labels(self) -> None:
        """
        Different groups have different labels.
        """
        labels = {
            sessionLabel(SID),
            sessionLabel(OTHER),
            indexLabel("a", 1),
            indexLabel("a", "1"),
            indexLabel("a", '"1"'),
            indexLabel("b", 1),
            indexLabel("a", 2**70),
            roomLabel("a"),
            roomLabel(""),
        }
        self.assertEqual(len(labels), 9)

    def test_moved(self) -> None:
        """
        A client is at one place of an index; other indexes, and rooms of the
        same name, are left alone.
        """
        members: Members[object] = Members()
        client = object()
        room, other = roomLabel("user"), indexLabel("team", 1)
        members.add(client, room)
        members.add(client, other)
        for value in 1, 1, 2:
            members.move(client, "user", indexLabel("user", value))
        self.assertEqual(len(members), 3)
        self.assertEqual(members.of(indexLabel("user", 1)), [])
        self.assertEqual(members.of(indexLabel("user", 2)), [client])
        members.move(client, "user", None)
        self.assertEqual(members.of(indexLabel("user", 2)), [])
        self.assertEqual([members.of(each) for each in (room, other)], [[client]] * 2)
        members.drop(client)
        members.drop(client)
        self.assertEqual(len(members), 0)
        self.assertNotIn(client, members)
        gc.collect()

    def test_commands(self) -> None:
        """
        What was encoded is decoded, and results too.
        """
        label = indexLabel("user", 42)
        for command in Send(label, b"{}"), Close(label, 1000, "why"), Count(label):
            self.assertEqual(decode(encode(command)), command)
        self.assertEqual(number(encode(7)), 7)
        self.assertIsNone(number(None))
