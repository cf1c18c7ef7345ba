"""
Tests for L{txsessionsock.health}, over HTTP on wires that are not there.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from tests.support.managing import ManagerCase
from tests.support.pages import Answer, Wire, parse
from txsessionsock.health import HealthResource
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.web import BoundedSite


class HTTPCase(ManagerCase):
    """
    A site of what is there to be read.
    """

    def show(self, resource: Any) -> None:
        """
        Have a site with a resource at C{/at}.
        """
        root = Resource()
        root.putChild(b"at", resource)
        self.site = BoundedSite(root, reactor=self.clock)

    def send(self, text: str) -> Wire:
        """
        Send a request.
        """
        wire = Wire()
        wire.protocol = self.site.buildProtocol(wire.getPeer())
        wire.protocol.makeConnection(wire)
        wire.protocol.dataReceived(text.encode())
        return wire

    def ask(self, method: str, path: str, *headers: str, body: str = "") -> Answer:
        """
        @return: The answer, which must come at once.
        """
        lines = [f"{method} /at{path} HTTP/1.1", "Host: a", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        wire = self.send("\r\n".join([*lines, "", body]))
        (answer,) = parse(wire.value(), heads=method == "HEAD")
        return answer


class HealthTests(HTTPCase):
    """
    L{HealthResource}
    """

    def setUp(self) -> None:
        super().setUp()
        self.show(HealthResource(self.manager))

    def code(self, path: str, method: str = "GET") -> int:
        return self.ask(method, path).code

    def test_well(self) -> None:
        """
        Both answer 200, in words, and no cache keeps that.
        """
        for path, words in ("/live", b"alive\n"), ("/ready", b"ready\n"):
            answer = self.ask("GET", path)
            self.assertEqual((answer.code, answer.body), (200, words))
            self.assertEqual(answer.headers["cache-control"], ["no-store"])

    def test_methods(self) -> None:
        """
        They take C{GET}, C{HEAD} and C{OPTIONS}, and refuse all else.
        """
        for path in "/live", "/ready":
            head = self.ask("HEAD", path)
            self.assertEqual((head.code, head.body), (200, b""))
            length = self.ask("GET", path).headers["content-length"]
            self.assertEqual(head.headers["content-length"], length)
            options = self.ask("OPTIONS", path)
            self.assertEqual((options.code, options.body), (200, b""))
            for method in "POST", "PUT", "DELETE", "PATCH", "TRACE", "ANY":
                answer = self.ask(method, path, body="x=y")
                self.assertEqual(answer.code, 405, method)
                self.assertEqual(answer.headers["allow"], ["GET, HEAD, OPTIONS"])

    def test_elsewhere(self) -> None:
        """
        There is nothing else.
        """
        for path in "", "/", "/live/", "/ready/x", "/metrics":
            self.assertEqual(self.code(path), 404, path)

    def test_store(self) -> None:
        """
        While the store is away, the server lives and is not ready.
        """
        self.store.fail(StoreUnavailable("secret"))
        answer = self.ask("GET", "/ready")
        self.assertEqual(answer.code, 503)
        self.assertEqual(answer.body, b"the session store is away\n")
        self.assertEqual(self.code("/ready", "HEAD"), 503)
        self.assertEqual(self.code("/live"), 200)
        self.store.heal()
        self.clock.advance(1.1)
        self.assertEqual(self.code("/ready"), 200)

    def test_slow(self) -> None:
        """
        An answer of the store is waited for, unless the client leaves.
        """
        self.store.hold("load")
        text = "GET /at/ready HTTP/1.1\r\nHost: a\r\n\r\n"
        waits, leaves = self.send(text), self.send(text)
        self.assertEqual(waits.value() + leaves.value(), b"")
        leaves.protocol.connectionLost(Failure(ConnectionDone()))
        self.store.release()
        (answer,) = parse(waits.value())
        self.assertEqual(answer.code, 200)
        self.assertEqual(leaves.value(), b"")

    def test_ending(self) -> None:
        """
        A server that ends is not ready.
        """
        ending = self.manager.end()
        answer = self.ask("GET", "/ready")
        self.assertEqual(answer.code, 503)
        self.assertEqual(answer.body, b"this server is about to end\n")
        self.assertEqual(self.code("/live"), 200)
        self.settled(ending, 12)

    def test_quiet(self) -> None:
        """
        There is no line of the log for what comes every second.
        """
        with capturedLogs() as logs:
            self.ask("GET", "/ready")
            self.ask("HEAD", "/live")
        self.assertEqual(logs, [])

    def test_wrong(self) -> None:
        """
        It takes a manager.
        """
        wrong: Any = "x"
        with self.assertRaisesRegex(TypeError, "SessionManager"):
            HealthResource(wrong)
