"""
Tests for L{txsessionsock.web.quiet}: what is logged of requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.web.resource import IResource

from tests.support.pages import View, WebTestCase, Wire, put
from txsessionsock.forwarded import Proxies
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.web import SessionedResource, VisitedSite


class QuietTests(WebTestCase):
    """
    Many requests to one site.
    """

    def ask(
        self, resource: IResource, *heads: bytes, each: Callable[[], object] = int
    ) -> list[str]:
        """
        Have requests made, each by a browser of its own.

        @param each: Called before each.

        @return: The lines in the log until they are summed up.
        """
        clock: Any = self.world.clock
        site: Any = VisitedSite(resource, clock)
        site.displayTracebacks = False
        site.startFactory()
        with capturedLogs() as logs:
            for head in heads:
                each()
                wire = Wire()
                protocol = site.buildProtocol(wire.getPeer())
                protocol.makeConnection(wire)
                protocol.dataReceived(
                    head + b"\r\nHost: a\r\nConnection: close\r\n\r\n"
                )
                self.assertTrue(wire.value(), head)
            clock.advance(60)
        site.stopFactory()
        return [str(formatEvent(event)) for event in logs]

    def test_failing(self) -> None:
        """
        A page that fails for each request has one traceback in the log.
        """

        def fails(request: Any) -> bytes:
            raise ZeroDivisionError(request.uri)

        for resource in (
            View(fails),
            SessionedResource(View(fails), self.world.manager),
        ):
            lines = self.ask(resource, *[b"GET /%d HTTP/1.1" % n for n in range(200)])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            others = [line for line in lines if '"GET /' not in line]
            self.assertEqual(len(others), 2, others)
            self.assertIn("left out: 199 more of: ", others[1])

    def test_outage(self) -> None:
        """
        An outage is in the log once a minute, not with each page.
        """
        cookie, _ = self.login()
        head = b"GET / HTTP/1.1\r\nCookie: " + cookie.encode()
        resource = SessionedResource(View(put), self.world.manager)

        def down() -> None:
            self.world.store.fail(StoreUnavailable("down"))

        lines = self.ask(resource, *[head] * 50, each=down)
        others = [line for line in lines if '"GET /' not in line]
        self.assertEqual(others.pop(0), "the session store failed: StoreUnavailable")
        self.assertEqual(len(others), 2, others)
        self.assertIn("a page was not sent, because the session store", others[0])
        self.assertIn("left out: 49 more of: ", others[1])

    def test_proxy(self) -> None:
        """
        So is a proxy whose headers cannot be understood.
        """
        page = View(lambda request: b"")
        proxies = Proxies(forwarded=True)
        resource = SessionedResource(page, self.world.manager, trustProxy=proxies)
        lines = self.ask(resource, *[b"GET / HTTP/1.1\r\nForwarded: for"] * 20)
        others = [line for line in lines if '"GET /' not in line]
        self.assertEqual(len(others), 2, others)
        self.assertIn("a proxy at 127.0.0.1 is not understood: Forwarded", others[0])

    def test_lines(self) -> None:
        """
        The line about a request is short, and without the queries of it and of
        the page before, which may hold secrets.
        """
        long = b"x" * 4000
        lines = self.ask(
            View(lambda request: b""),
            b"GET /a?token=secret HTTP/1.1\r\nReferer: http://b/?token=secret",
            b"GET /%s HTTP/1.1\r\nReferer: %s\r\nUser-Agent: %s" % (long, long, long),
            b"%s / HTTP/1.1" % long,
        )
        requests = [line for line in lines if "127.0.0.1" in line]
        self.assertEqual(len(requests), 3, lines)
        self.assertIn('"GET /a?... HTTP/1.1" 200 - "http://b/?..." "-"', requests[0])
        self.assertNotIn("secret", "".join(lines))
        self.assertLess(max(map(len, lines)), 1000)
