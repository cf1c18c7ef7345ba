"""
Tests for L{txsessionsock.testing.Browser}, and for the example of how one tests
a protocol of one's own.
"""

from __future__ import annotations

import json
import runpy
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.documents import whole
from txsessionsock import (
    Express,
    MemoryStore,
    SessionManager,
    SessionSocketFactory,
    SessionSocketProtocol,
    enable,
)
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.messages import Raw
from txsessionsock.session import Session
from txsessionsock.testing import Browser, FlakyStore, putSession


EXAMPLE = Path(__file__).parents[2] / "examples" / "test_counter.py"


class Echo(SessionSocketProtocol):
    """
    Sends back what it gets, later if it is told to.
    """

    def sessionMessageReceived(self, message: Any, session: Session) -> object:
        session["last"] = "binary" if isinstance(message, bytes) else message
        if message != "later":
            self.send(message)
            return None
        answer: Deferred[None] = Deferred()
        self.factory.reactor.callLater(5, answer.callback, None)
        return answer.addCallback(lambda _: self.send("now"))


class RawEcho(Echo):
    """
    The same with bytes.
    """

    messages = Raw()


class BrowserTests(SynchronousTestCase):
    """
    Tests for L{Browser} and L{putSession}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.framework = Express(secrets=["hush"])
        self.manager = SessionManager(self.store, self.framework, self.clock)
        self.factory = SessionSocketFactory(self.manager)
        self.factory.protocol = Echo
        self.cookie = putSession(self.store, self.framework, self.clock, {"n": 1})

    def connect(self, **options: Any) -> Browser:
        """
        Connect with the session.
        """
        return Browser(self.factory, cookie=self.cookie, **options)

    def test_putSession(self) -> None:
        """
        It is stored as the application would have done, for as long.
        """
        name, _, value = self.cookie.partition("=")
        self.assertEqual(name, "connect.sid")
        sessionID = self.framework.sessionID(value, 0.0)
        stored = self.successResultOf(self.store.load(f"sess:{sessionID}"))
        assert stored is not None
        self.assertEqual(json.loads(stored.raw)["n"], 1)
        self.assertEqual(stored.expires, 86400)

    def test_putSessionLater(self) -> None:
        """
        A store that fails, or does not answer at once, is none for this.
        """
        store = FlakyStore(MemoryStore(self.clock))
        store.hold()
        with self.assertRaises(AssertionError):
            putSession(store, self.framework, self.clock, {})
        store.fail(StoreUnavailable())
        with self.assertRaises(StoreUnavailable):
            putSession(store, self.framework, self.clock, {})

    def test_messages(self) -> None:
        """
        What is sent comes back, in order, and each message once.
        """
        browser = self.connect()
        self.assertEqual((browser.status, browser.closed), (101, None))
        browser.send({"a": [1]}, "text", None)
        self.assertEqual([browser.next() for _ in range(3)], [{"a": [1]}, "text", None])
        error = self.assertRaises(AssertionError, browser.next)
        self.assertEqual(str(error), "no message came after [{'a': [1]}, 'text', None]")
        browser.close()
        error = self.assertRaises(AssertionError, browser.next)
        self.assertTrue(str(error).endswith("; it was closed with (1000, None)"))

    def test_raw(self) -> None:
        """
        Text that is no JSON, and bytes, come as they are.
        """
        self.factory.protocol = RawEcho
        browser = self.connect()
        browser.send(b"no JSON", b'"JSON"')
        browser.send(b"\xff\x00", isBinary=True)
        self.assertEqual(
            [browser.next() for _ in range(3)], ["no JSON", "JSON", b"\xff\x00"]
        )

    def test_wait(self) -> None:
        """
        Time passes for the server when the test says so.
        """
        browser = self.connect()
        browser.send("later")
        browser.wait(4.9)
        self.assertEqual((browser.got, self.clock.seconds()), ([], 4.9))
        browser.wait(0.2)
        self.assertEqual(browser.next(), "now")

    def test_waitOthers(self) -> None:
        """
        Time passes for all browsers: while the test waits for one, the others answer
        pings.
        """
        one, other = self.connect(), self.connect()
        one.wait(600)
        self.assertEqual(len(self.factory.sockets), 2)
        other.send("hello")
        self.assertEqual(other.next(), "hello")

    def test_handshake(self) -> None:
        """
        What a browser says in its handshake: a page of the host itself is
        welcome, another is not; a query and further headers arrive.
        """
        self.assertEqual(self.connect(origin="http://127.0.0.1:9").status, 101)
        other = self.connect(origin="http://127.0.0.1:10")
        self.assertEqual((other.status, other.got), (403, []))
        browser = self.connect(path="/ws?room=7", headers={"X-Test": "yes"})
        request = browser.server.http_request_params, browser.server.http_headers
        self.assertEqual(request[0], {"room": ["7"]})
        self.assertEqual(request[1]["x-test"], "yes")

    def test_gone(self) -> None:
        """
        One that is cut is gone for the server, and what it did is stored.
        """
        browser = self.connect()
        browser.send("last words")
        browser.cut()
        self.clock.advance(0)
        self.assertEqual(len(self.factory.sockets), 0)
        again = self.connect()
        self.assertEqual(again.server.session["last"], "last words")

    def test_goneOnce(self) -> None:
        """
        A server is told once that its client is gone, also if the other end finds
        out later.
        """
        browser = Browser(self.factory)
        browser.cut()
        browser.client.dropConnection(abort=True)
        browser.flush()
        self.assertEqual(self.factory.countConnections, 0)

    def test_enabled(self) -> None:
        """
        It is one for any factory of Autobahn's with sessions.
        """
        factory = WebSocketServerFactory(reactor=self.clock)
        factory.protocol = WebSocketServerProtocol
        sockets = enable(factory, self.manager)
        sockets.on("smessage", lambda client, message, session: client.send(message))
        browser = Browser(factory, cookie=self.cookie)
        browser.send("hello")
        self.assertEqual(browser.next(), "hello")


class ExampleTests(SynchronousTestCase):
    """
    Tests for C{examples/test_counter.py} and C{docs/testing.md}.
    """

    def run_(self, **changes: Any) -> unittest.TestResult:
        """
        Run it, with another protocol if one is given.
        """
        names = runpy.run_path(str(EXAMPLE), run_name="test_counter")
        case = names["CounterTests"]
        case.setUp.__globals__.update(changes)
        result = unittest.TestResult()
        for each in case, names["PerConnectionTests"]:
            unittest.defaultTestLoader.loadTestsFromTestCase(each).run(result)
        return result

    def test_passes(self) -> None:
        """
        It passes, in both modes.
        """
        result = self.run_()
        self.assertEqual([*result.errors, *result.failures], [])
        self.assertEqual(result.testsRun, 10)

    def test_page(self) -> None:
        """
        What C{docs/testing.md} shows passes.
        """
        shown, result = whole(), unittest.TestResult()
        sys.modules["counter"] = counter = ModuleType("counter")
        self.addCleanup(sys.modules.pop, "counter")
        exec(shown["counter.py"], vars(counter))
        # Where trial makes directories by.
        names: dict[str, Any] = {"__name__": __name__}
        exec(shown["test_counter.py"], names)
        loader = unittest.defaultTestLoader
        loader.loadTestsFromTestCase(names["CounterTests"]).run(result)
        self.assertEqual([*result.errors, *result.failures], [])
        self.assertEqual(result.testsRun, 2)

    def test_fails(self) -> None:
        """
        It fails for a protocol that counts wrong.
        """
        result = self.run_(Counter=Echo)
        self.assertEqual(len([*result.errors, *result.failures]), 5)
