"""
Tests for L{txsessionsock.hub}: whom a group is, and what it does.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from twisted.logger import capturedLogs

from tests.support.hubbing import HubCase
from tests.support.managing import SID
from tests.support.wires import Recording
from txsessionsock.hub import Hub, Room, hubOf
from txsessionsock.interfaces import SessionError, SessionID
from txsessionsock.messages import JSON, Raw
from txsessionsock.session import Session


class GroupTests(HubCase):
    """
    Tests for whom a group is, on one node.
    """

    def test_bySession(self) -> None:
        """
        A session has all its sockets, and no others.
        """
        one, two, other = self.browse(), self.browse(), self.other()
        session = self.hub.session(SID)
        self.assertEqual(self.reached(session.send({"to": "session"})), 2)
        self.assertEqual([one.got, two.got], [[{"to": "session"}]] * 2)
        self.assertEqual(other.got, [])
        self.assertEqual(self.reached(session.count()), 2)
        self.assertEqual(self.reached(self.hub.session(SessionID("")).count()), 0)

    def test_byIndex(self) -> None:
        """
        A user has the sockets of all sessions that have the user in them;
        C{42} is not C{"42"}.
        """
        one, other = self.browse(), self.other()
        self.assertEqual(self.reached(self.hub.by("user", 42).send(1)), 1)
        self.assertEqual(self.reached(self.hub.by("user", "ann").send(2)), 1)
        self.assertEqual(self.reached(self.hub.by("user", "42").send(3)), 0)
        self.assertEqual([one.got, other.got], [[1], [2]])

    def test_indexDecorator(self) -> None:
        """
        An index may be a decorator, which leaves its function as it is.
        """
        self.browse()

        @self.hub.index("all")
        def everybody(session: Session) -> str:
            return "yes"

        self.assertEqual(everybody(Mock()), "yes")
        self.assertEqual(self.reached(self.hub.by("all", "yes").count()), 1)
        hub: Any = self.hub
        self.assertRaises(TypeError, hub.index, "other", "user")

    def test_byRoom(self) -> None:
        """
        A room has those who were put into it, once, until they are removed.
        """
        one, two, other = self.browse(), self.browse(), self.other()
        news = self.hub.room("news")
        for browser in one, other, other:
            self.assertTrue(news.add(browser.server))
        self.assertEqual(self.reached(news.send("n")), 2)
        self.assertEqual([one.got, two.got, other.got], [["n"], [], ["n"]])
        self.assertTrue(self.hub.room("news").remove(one.server))
        self.assertFalse(news.remove(one.server))
        self.assertEqual(self.reached(news.count()), 1)
        self.assertEqual(self.reached(self.hub.room("old").count()), 0)

    def test_protocols(self) -> None:
        """
        A protocol finds the hub of its server, and is in a room before its
        first message.
        """

        def room(client: Any) -> Room:
            return hubOf(client).room("all")

        self.do["sconnection"] = lambda client, _: room(client).add(client)
        self.do["smessage"] = lambda client, message, _: room(client).send(message)
        one, two = self.browse(), self.browse()
        one.send("hello")
        self.wait()
        self.assertEqual([one.got, two.got], [["hello"]] * 2)

    def test_values(self) -> None:
        """
        What is sent arrives as C{send} of a client would send it, and may be
        changed after.
        """
        browser = self.browse()
        values: list[Any] = [None, "ü\ud800", 2**70, 0.5, [], {"a": {"b": [1]}}]
        for value in values:
            self.hub.session(SID).send(value)
            browser.server.send(value)
        changing = {"n": 1}
        self.hub.session(SID).send(changing)
        changing["n"] = 2
        self.wait()
        twice = [value for value in values for _ in range(2)]
        self.assertEqual(browser.got, [*twice, {"n": 1}])

    def test_between(self) -> None:
        """
        What is sent through the hub and what is sent directly arrive in the
        order in which they were sent.
        """

        def handle(client: Any, message: Any, session: Session) -> None:
            client.send(1)
            self.hub.session(SID).send(2)
            client.send(3)

        self.do["smessage"] = handle
        browser = self.browse()
        browser.send("go")
        self.assertEqual(browser.got, [1, 2, 3])

    def test_notSendable(self) -> None:
        """
        What cannot be sent is the caller's mistake, and nobody gets anything.
        """
        browser = self.browse()
        deep: list[Any] = []
        for _ in range(200):
            deep = [deep]
        for value in object(), {"a": object()}, deep, "x" * (3 << 20):
            with self.assertRaises(ValueError):
                self.hub.session(SID).send(value)
        for bad, kind in (float("nan"), "float that"), (b"", "bytes"), ({1}, "set"):
            for group in self.hub.session(SID), self.hub.room("news"):
                with self.assertRaisesRegex(ValueError, rf"\['a'\]\[0\]: {kind}"):
                    group.send({"a": [bad]})
        self.wait()
        self.assertEqual(browser.got, [])

    def test_tooLargeForOne(self) -> None:
        """
        A client that cannot be sent a value is not reached by it, which is
        logged, without the session's id; others are.
        """

        class Bytes(Recording):
            messages = Raw()

        factory = self.serve(Bytes)
        hub = Hub(factory.sockets)
        self.browse(factory)
        with capturedLogs() as events:
            reaching = hub.session(SID).send({"a": 1})
            self.assertEqual(self.successResultOf(reaching), {hub.node: 0})
        (event,) = events
        self.assertNotIn(SID, repr(event))
        self.assertEqual(
            self.successResultOf(hub.session(SID).send("text")), {hub.node: 1}
        )

    def test_failsForOne(self) -> None:
        """
        When the messages of one client's protocol fail, the others get theirs.
        """

        class FailsOnce(JSON):
            def encode(self, value: Any) -> tuple[bytes, bool]:
                calls.append(value)
                if len(calls) == 1:
                    raise ZeroDivisionError
                return super().encode(value)

        class Once(Recording):
            messages = FailsOnce()

        calls: list[Any] = []
        factory = self.serve(Once)
        hub = Hub(factory.sockets)
        one, two = self.browse(factory), self.browse(factory)
        reaching = hub.session(SID).send(1)
        self.assertEqual(self.successResultOf(reaching), {hub.node: 1})
        one.pump.flush()
        two.pump.flush()
        self.assertEqual((one.got, two.got), ([], [1]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_close(self) -> None:
        """
        Closing closes the sockets, with what was sent before; the session is
        still there.
        """
        one, two, other = self.browse(), self.browse(), self.other()
        self.hub.session(SID).send("last")
        self.assertEqual(self.reached(self.hub.session(SID).close()), 2)
        for browser in one, two:
            self.assertEqual(browser.got, ["last"])
            self.assertClosed(browser, 1000, "closed by server")
        self.assertIsNone(other.closed)
        self.assertEqual(self.stored(), {"user": 42})
        again = self.browse()
        self.assertEqual(self.reached(self.hub.by("user", 42).close(1012, "new")), 1)
        self.assertClosed(again, 1012, "new")

    def test_closeCode(self) -> None:
        """
        A code that cannot be sent is refused before anything is closed.
        """
        browser = self.browse()
        for code in 0, 999, 1005, 1006, 2000, 5000:
            with self.assertRaises(ValueError):
                self.hub.session(SID).close(code)
        self.wait()
        self.assertIsNone(browser.closed)

    def test_unknownIndex(self) -> None:
        """
        Mistakes in names and values are errors at once.
        """
        hub: Any = self.hub
        self.assertRaises(ValueError, hub.by, "nobody", 42)
        for value in None, True, 4.2, ["a"], b"a":
            self.assertRaises(ValueError, hub.by, "user", value)
        self.assertRaises(ValueError, hub.room, None)
        self.assertRaises(ValueError, hub.index, "user", len)
        self.assertRaises(ValueError, hub.index, "user")

    def test_repr(self) -> None:
        """
        A group does not show the session's id.
        """
        shown = repr(self.hub.session(SID))
        self.assertIn("Group session ", shown)
        self.assertNotIn(SID, shown)
        self.assertEqual(repr(self.hub.room("news")), "<Room room 'news'>")

    def test_hubOf(self) -> None:
        """
        A hub is found by a client, its factory and that one's sockets.
        """
        client = self.browse().server
        for owner in client, client.factory, self.hub.sockets:
            self.assertIs(hubOf(owner), self.hub)
        for nothing in None, "sockets", self.manager, self.hub:
            self.assertRaises(TypeError, hubOf, nothing)

    def test_noHub(self) -> None:
        """
        Sockets without a hub say so, also when clients are there: one that is
        made without a bus would not reach the others.
        """
        factory = self.serve()
        client = self.browse(factory).server
        for owner in client, factory, factory.sockets:
            with self.assertRaisesRegex(SessionError, "have no hub: make one"):
                hubOf(owner)
        hub = Hub(factory.sockets)
        self.assertIs(hubOf(client), hub)
        reached = self.successResultOf(hub.session(SID).count())
        self.assertEqual(reached, {hub.node: 1})

    def test_twoHubs(self) -> None:
        """
        Sockets have one hub.
        """
        with self.assertRaisesRegex(ValueError, "have a hub already"):
            Hub(self.factory.sockets)
