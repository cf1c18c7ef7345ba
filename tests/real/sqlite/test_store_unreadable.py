"""
Tests for what is stored under a session's key and is no session, in whichever
store: an error of that session, and no outage, which would be tried again for
ever.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from tests.support.pages import WebTestCase, put, read
from tests.support.rediscase import RedisCase
from tests.support.redisscene import node
from tests.support.redisserver import sharedServer
from tests.support.servers import inReactor
from tests.support.wires import SocketCase, count
from txsessionsock.interfaces import FOREVER, KEEP, StoreUnavailable, UndecodableSession


class SocketTests(SocketCase):
    """
    Sockets of such a session.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()
        self.do["smessage"] = count
        self.error = UndecodableSession("no string")

    def assertBroken(self) -> None:
        """
        The socket hears that its session is broken, and why, once.
        """
        self.assertClosed(self.browser, 1011, "session failed")
        self.assertEqual(self.events("serror"), [self.error])
        self.assertEqual(self.events("sinvalid") + self.events("sdestroyed"), [])

    def test_handshake(self) -> None:
        """
        When it connects.
        """
        self.store.fail(self.error, "load")
        self.browser = self.browse()
        self.assertBroken()

    def test_message(self) -> None:
        """
        When a message is read.
        """
        self.browser = self.browse()
        self.store.fail(self.error, "load")
        self.put(n=1)
        self.browser.send("a")
        self.assertBroken()
        self.assertEqual(self.events("smessage"), [])

    def test_write(self) -> None:
        """
        When a change is stored; and when there is a session again, it is put
        into that.
        """
        self.do["smessage"] = lambda client, _, session: session.increment("n")
        self.browser = self.browse()
        self.store.fail(self.error, "replace")
        self.browser.send("a")
        self.assertBroken()
        self.put(n=10)
        self.store.heal()
        self.run_(30)
        self.assertEqual(self.stored(), {"n": 11})
        self.assertNothingLeft()


class PageTests(WebTestCase):
    """
    Pages of such a session, and what is logged.
    """

    def answered(self, page: Any, error: Exception, method: str) -> tuple[int, str]:
        """
        Have a store fail.

        @return: What a page is answered with, and what is logged.
        """
        cookie, _ = self.login()
        self.world.store.fail(error, method)  # type: ignore[arg-type]  # either kind
        with capturedLogs() as logs:
            answer = self.get(page, cookie)
        self.world.store.heal()
        self.world.clock.pump([1.0] * 30)
        return answer.code, "\n".join(str(formatEvent(event)) for event in logs)

    def test_page(self) -> None:
        """
        Nobody is told to come back in a moment, and the log has the reason.
        """
        for page, method in (read, "load"), (put, "replace"):
            error = UndecodableSession("no string")
            code, said = self.answered(page, error, method)
            self.assertEqual(code, 500)
            self.assertIn("its session cannot be read: no string", said)

    def test_outage(self) -> None:
        """
        The log has the reason of an outage, too.
        """
        for page, method in (read, "load"), (put, "replace"):
            error = StoreUnavailable("redis://it: Connection refused")
            code, said = self.answered(page, error, method)
            self.assertEqual(code, 503)
            self.assertIn("failed: StoreUnavailable: redis://it: Connection ref", said)


@pytest.mark.redis
class RedisTests(RedisCase):
    """
    A key of another type in a Redis.
    """

    def test_list(self) -> None:
        """
        What reads it says so, which is no L{StoreFailure}; it is not
        overwritten, and can be deleted.
        """
        store = self.open()
        self.server.command("LPUSH", f"{self.prefix}k", "x")
        answers: list[Deferred[Any]] = [
            store.load("k"),
            store.replace("k", b"1", b"2", KEEP),
            store.destroy("k", b"1"),
        ]
        for answer in answers:
            with self.assertRaisesRegex(UndecodableSession, "is no string"):
                self.wait(answer)
        self.assertFalse(self.wait(store.create("k", b"1", FOREVER)))
        self.assertEqual(self.server.command("TYPE", f"{self.prefix}k"), "list")
        self.assertTrue(self.wait(store.destroy("k")))


@pytest.mark.redis
@pytest.mark.e2e
@pytest.mark.parametrize("perMessage", [True, False])
@inReactor
async def test_redis(perMessage: bool) -> None:
    """
    Sockets of such a key are closed with 1011, when they connect and while
    they are.
    """
    server = sharedServer()
    async with node(server.url, perMessage) as site:
        visitor = await site.visitor(n=0)
        socket = await visitor.connect()
        assert await socket.ask(["get", "n"]) == 0
        with server.client() as other:
            other.send("MULTI")
            other.send("DEL", site.keyOf(visitor))
            other.send("LPUSH", site.keyOf(visitor), "x")
            other.send("EXEC")
            assert [other.receive() for _ in range(4)][-1] == [1, 1]
        assert await socket.closes() == (1011, "session failed")
        assert await (await visitor.connect()).closes() == (1011, "session failed")
        assert [type(error) for error in site.errors] == [UndecodableSession] * 2
        assert (site.invalid, site.ended) == ([], [])
