"""
Tests for L{txsessionsock.testing.SocketIOBrowser}.
"""

from __future__ import annotations

import sys
import unittest
from types import ModuleType
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.documents import whole
from txsessionsock import Express, MemoryStore, SessionManager
from txsessionsock.interfaces import SessionError
from txsessionsock.socketio import SocketIO, SocketIOSocket, enable
from txsessionsock.testing import FlakyStore, SocketIOBrowser, putSession


class Chat(SocketIOSocket):
    """
    A socket as an application writes it.
    """

    def sessionConnected(self, session: Any) -> None:
        self.join("lobby")
        self.emit("welcome", session["n"])

    def on_add(self, *more: Any) -> object:
        self.to("lobby").emit("added", *more)
        return self.session.increment("n")

    def on_echo(self, *more: Any) -> object:
        self.emit("echo", *more)
        return more

    async def on_ask(self, seconds: float) -> object:
        return "heard", await self.call("question", 20, timeout=seconds)

    def on_bye(self) -> None:
        self.disconnect()

    def on_fail(self) -> None:
        raise ZeroDivisionError


class SocketIOBrowserTests(SynchronousTestCase):
    """
    Tests for L{SocketIOBrowser}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = FlakyStore(MemoryStore(self.clock))
        framework = Express(secrets=["hush"], ttl=3600)
        manager = SessionManager(self.store, framework, self.clock)
        self.io = SocketIO(Chat)
        self.io.of("/news", Chat)
        enable(self.io, manager, perMessage=True)
        self.cookie = putSession(self.store, framework, self.clock, {"n": 1})
        self.tab = self.connect()

    def connect(self, **options: Any) -> SocketIOBrowser:
        """
        Connect with the session.
        """
        return SocketIOBrowser(self.io, cookie=self.cookie, **options)

    def test_connected(self) -> None:
        """
        It is connected to the socket whose id it knows, and gets each event once, in
        order.
        """
        tab = self.tab
        self.assertEqual((tab.status, tab.closed, tab.refused), (101, None, None))
        assert isinstance(tab.server, Chat)
        self.assertEqual(tab.server.id, tab.id)
        tab.emit("echo", {"a": [b"\0", b""]}, "x")
        tab.emit("echo")
        self.assertEqual(tab.next(), ("welcome", 1))
        self.assertEqual(tab.next(), ("echo", {"a": [b"\0", b""]}, "x"))
        self.assertEqual(tab.next(), ("echo",))
        error = self.assertRaises(AssertionError, tab.next)
        self.assertIn("closed: None", str(error))

    def test_answers(self) -> None:
        """
        Both ends answer: with nothing, a value, or several.
        """
        self.assertEqual(self.tab.call("add"), 2)
        self.assertIsNone(self.tab.call("echo"))
        self.assertEqual(self.tab.call("echo", 1, b"2"), (1, b"2"))
        self.tab.answers["question"] = lambda n: n + 1
        self.assertEqual(self.tab.call("ask", 5), ("heard", 21))

    def test_noAnswer(self) -> None:
        """
        An answer that does not come is told, and one that takes its time is waited
        for.
        """
        error = self.assertRaises(AssertionError, self.tab.call, "nobody")
        self.assertEqual(str(error), "no answer to 'nobody' came; closed: None")
        self.store.hold("replace")
        self.assertRaises(AssertionError, self.tab.call, "add")
        self.clock.callLater(1, self.store.release)
        self.assertEqual(self.tab.call("echo", 3, seconds=1.5), 3)

    def test_others(self) -> None:
        """
        Others get what is sent to their room, and all stay connected while one of
        them waits.
        """
        other = self.connect()
        self.tab.emit("add", "figs")
        self.assertEqual([other.next() for _ in range(2)][1], ("added", "figs"))
        self.assertEqual(self.tab.got, [("welcome", 1)])
        self.tab.wait(600)
        self.assertEqual(len(self.io.sockets), 2)

    def test_namespaces(self) -> None:
        """
        Those of one page share a connection, and each has events of its own.
        """
        news = SocketIOBrowser(self.io, namespace="/news", beside=self.tab)
        self.assertNotEqual(news.id, self.tab.id)
        self.assertEqual(news.call("add"), 2)
        self.assertEqual((len(news.got), len(self.tab.got)), (1, 1))
        self.tab.disconnect()
        self.assertEqual(self.tab.closed, "io client disconnect")
        self.assertEqual((news.closed, news.call("add")), (None, 3))
        news.cut()
        self.clock.advance(0)
        self.assertEqual((news.closed, len(self.io.sockets)), ("transport close", 0))

    def test_refused(self) -> None:
        """
        It is told why it is not let in.  A page of another origin has no connection.
        """
        reason = {"message": "sinvalid", "data": {"reason": "missing"}}
        tab = SocketIOBrowser(self.io)
        self.assertEqual((tab.refused, tab.id, tab.server), (reason, None, None))
        unknown = self.connect(namespace="/x").refused
        self.assertEqual(unknown, {"message": "Invalid namespace"})
        tab = self.connect(origin="https://evil.example")
        self.assertEqual((tab.status, tab.closed), (403, "transport close"))
        with self.assertRaisesRegex(SessionError, "right is enable"):
            SocketIOBrowser(SocketIO(Chat))

    def test_closed(self) -> None:
        """
        It says in the words of the client how it ended: after some of them a client
        comes again.
        """
        other, last = self.connect(), self.connect()
        self.tab.emit("bye")
        self.tab.wait()
        self.assertEqual(self.tab.closed, "io server disconnect")
        other.emit("fail")
        other.wait()
        self.assertEqual(other.closed, "transport close")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        last.wait(4000)
        self.assertEqual(last.closed, "io server disconnect")


class PageTests(SynchronousTestCase):
    """
    Tests for what C{docs/testing.md} shows of it.
    """

    def test_page(self) -> None:
        """
        It passes.
        """
        shown, result = whole(), unittest.TestResult()
        sys.modules["chat"] = chat = ModuleType("chat")
        self.addCleanup(sys.modules.pop, "chat")
        exec(shown["chat.py"], vars(chat))
        names: dict[str, Any] = {"__name__": __name__}
        exec(shown["test_chat.py"], names)
        loader = unittest.defaultTestLoader
        loader.loadTestsFromTestCase(names["ChatTests"]).run(result)
        self.assertEqual([*result.errors, *result.failures], [])
        self.assertEqual(result.testsRun, 2)
