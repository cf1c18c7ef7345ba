"""
Tests for L{txsessionsock._redis.link} and what is below it: one connection, on a
real server.
"""

from __future__ import annotations

import re
import socket
from random import randbytes
from time import monotonic
from typing import Any

import hiredis
import txredisapi  # type: ignore[import-untyped]  # It has no types.
from twisted.internet.defer import Deferred, gatherResults

from tests.support.rediscase import RedisCase
from tests.support.redisserver import RedisServer, freePort
from tests.support.servers import PATIENCE, reactor
from txsessionsock._redis.link import Link, LinkState
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    Stored,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)


class InternalsTests(RedisCase):
    """
    What our connections lean on is in this txredisapi.
    """

    def test_waiting(self) -> None:
        """
        What waits for replies is a list, whose first is called back with the
        next reply; hiredis reads.
        """
        protocol = txredisapi.RedisProtocol(charset=None)
        self.assertIs(type(protocol.replyQueue.waiting), list)
        self.assertIsInstance(protocol._reader, hiredis.Reader)
        first, second = Deferred[Any](), Deferred[Any]()
        protocol.replyQueue.waiting += [first, second]
        protocol.dataReceived(b"+one\r\n-two\r\n")
        self.assertEqual(self.successResultOf(first), b"one")
        error = self.successResultOf(second)
        self.assertIs(type(error), txredisapi.ResponseError)

    def test_mixed(self) -> None:
        """
        Our commands and those of txredisapi keep their order on one
        connection.
        """
        link = self.link()
        self.wait(link.ask(b"PING"))
        connection: Any = link._connection
        answers: list[Deferred[Any]] = []
        for n in range(100):
            text = b"%d" % n
            answers.append(link.ask(b"ECHO", text))
            answers.append(connection.execute_command("ECHO", text))
        replies = self.wait(gatherResults(answers))
        self.assertEqual(replies, [b"%d" % (n // 2) for n in range(200)])


class AskTests(RedisCase):
    """
    Questions and answers.
    """

    def test_pipelined(self) -> None:
        """
        What is asked in one turn goes out in one write, and the answers come
        in order.
        """
        server = self.start()
        link = self.link(server.url)
        self.wait(link.ask(b"PING"))
        first, second = _reads(server), _reads(server)
        answers = [link.ask(b"ECHO", b"%d" % n) for n in range(200)]
        replies = self.wait(gatherResults(answers))
        self.assertEqual(replies, [b"%d" % n for n in range(200)])
        # Without those of the connection that asks this.
        self.assertEqual(_reads(server) - second - (second - first), 1)

    def test_big(self) -> None:
        """
        Big sessions are stored and come back as they were, whatever bytes they
        are.
        """
        store = self.open(timeout=PATIENCE)
        was = b"small"
        self.assertTrue(self.wait(store.create("k", was, FOREVER)))
        for size in 100_000, 5_000_000:
            new = randbytes(size)
            stored = self.wait(store.replace("k", was, new, KEEP))
            self.assertTrue(stored.raw == new)
            small = store.load("none")
            loaded = self.wait(store.load("k"))
            assert loaded is not None
            self.assertTrue(loaded.raw == new)
            self.assertIsNone(self.wait(small))
            was = new

    def test_refused(self) -> None:
        """
        What the server refuses is an error, and the next answer is the next
        question's.
        """
        link = self.link()
        wrong, right = link.ask(b"NONSENSE"), link.ask(b"ECHO", b"x")
        self.assertIn("unknown command", self.failing(wrong, StoreError))
        self.assertEqual(self.wait(right), b"x")

    def test_cancelled(self) -> None:
        """
        When a question is given up, each other question still gets its own
        answer.  A question that is on its way is asked anyway.
        """
        link = self.link()
        for isUp in False, True:
            answers = [link.ask(b"INCR", self._key(isUp)) for _ in range(100)]
            if isUp:
                self.advance()
            for answer in answers[::3]:
                answer.cancel()
            kind = StoreTimeout if isUp else StoreUnavailable
            for answer in answers[::3]:
                self.failing(answer, kind)
            left = [answer for n, answer in enumerate(answers) if n % 3]
            counts = [n + 1 for n in range(100) if n % 3] if isUp else range(1, 67)
            self.assertEqual(self.wait(gatherResults(left)), list(counts))
            last = 101 if isUp else 67
            self.assertEqual(self.wait(link.ask(b"INCR", self._key(isUp))), last)

    def _key(self, isUp: bool) -> bytes:
        return b"%s%d" % (self.prefix.encode(), isUp)

    def test_cancelledStore(self) -> None:
        """
        A change of a session that is given up on its way is made, and not taken
        for anybody else's.
        """
        store, told = self.open(), list[str]()
        self.assertTrue(self.wait(store.create("k", b"0", FOREVER)))
        self.wait(store.replace("k", b"0", b"0", KEEP))
        store.watch("k", told.append)
        self.wait(store.load("k"))
        self.wait(store.fence("k"))
        told.clear()
        changing = store.replace("k", b"0", b"1", KEEP)
        changing.addErrback(lambda failure: failure.trap(StoreTimeout) and None)
        loading = store.load("k")
        changing.cancel()
        self.assertEqual(self.wait(loading), Stored(b"1", None))
        self.wait(store.fence("k"))
        self.assertEqual((told, self.warnings), ([], []))

    def test_unsent(self) -> None:
        """
        What could not be sent in time never is.
        """
        server = RedisServer()
        self.addCleanup(server.close)
        store = self.open(server.url, timeout=0.3)
        begun = monotonic()
        self.failing(store.create("k", b"x", FOREVER), StoreUnavailable)
        self.assertLess(0.25, monotonic() - begun)
        waiting = self.open(server.url, timeout=PATIENCE).load("k")
        server.start()
        self.assertIsNone(self.wait(waiting))
        self.until(lambda: store._link.isUp)
        self.assertIsNone(self.wait(store.load("k")))
        stats: bytes = server.command("INFO", "commandstats")
        self.assertNotIn(b"cmdstat_set:", stats)
        self.assertIn(b"cmdstat_get:", stats)

    def test_late(self) -> None:
        """
        Of what was sent and not answered in time, the outcome is unknown; what
        waits for the next connection is not sent.
        """
        server = self.start()
        store = self.open(server.url, timeout=0.3)
        self.wait(store.create("k", b"0", FOREVER))
        server.pause()
        try:
            begun = monotonic()
            error = self.failing(store.replace("k", b"0", b"1", KEEP), StoreTimeout)
            self.assertLess(monotonic() - begun, 5.0)
            self.assertIn("no answer", error)
            self.failing(store.destroy("k"), StoreUnavailable)
        finally:
            server.resume()
        self.until(lambda: store._link.isUp)
        loaded = self.wait(store.load("k"))
        assert loaded is not None
        self.assertIn(loaded.raw, (b"0", b"1"))

    def test_askedAgain(self) -> None:
        """
        Those who ask again as soon as they are told of an outage cause no
        storm, and have one timer.
        """
        link = self.link(f"redis://127.0.0.1:{freePort()}", timeout=0.05)
        failures: list[Any] = []

        timers: list[int] = []

        def again(failure: Any) -> None:
            failures.append(failure.value)
            calls = reactor.getDelayedCalls()
            timers.append(sum("Link" in str(call) for call in calls))
            if len(failures) < 90:
                link.ask(b"PING").addErrback(again)

        for _ in range(10):
            link.ask(b"PING").addErrback(again)
        begun = monotonic()
        self.until(lambda: len(failures) == 99)
        self.assertGreater(monotonic() - begun, 0.3)
        self.assertEqual(max(timers), 1)
        self.assertEqual({type(each) for each in failures}, {StoreUnavailable})

    def test_scripts(self) -> None:
        """
        A server that has forgotten the scripts is told again, at once.
        """
        store, told = self.open(), list[str]()
        client = self.server.client()
        self.addCleanup(client.close)
        store.watch("k", told.append)
        self.wait(store.load("k"))
        told.clear()

        async def change() -> None:
            for n in range(3):
                client.command("SCRIPT", "FLUSH")
                assert await store.create("k", b"%d" % n, 60.0)
                client.command("SCRIPT", "FLUSH")
                answers = store.replace("k", b"%d" % n, b"x", KEEP), store.load("k")
                assert (await answers[0]).raw == b"x"
                assert await answers[1]
                client.command("SCRIPT", "FLUSH")
                assert await store.touch("k", FOREVER) is None
                client.command("SCRIPT", "FLUSH")
                assert await store.destroy("k")
                await store.fence("k")

        self.wait(change())
        self.assertEqual((told, self.warnings), ([], []))

    def test_heard(self) -> None:
        """
        The owner of a link hears when it is up, before anybody has an answer,
        when it is down, and what the server says by itself.
        """
        link = self.link(tracks=True)
        heard = self.ear(link).heard
        waiting = link.ask(b"GET", self.prefix.encode())
        waiting.addCallback(lambda _: heard.append("answered"))
        self.wait(waiting)
        self.assertEqual(heard, ["up", "answered"])
        self.assertTrue(link.isUp and link.isTracking and link.hasPushes)
        client = self.server.client()
        self.addCleanup(client.close)
        client.command("SET", self.prefix, "x")
        self.wait(link.ask(b"PING"))
        self.assertEqual(heard[2:], [[b"invalidate", [self.prefix.encode()]]])
        client.command("CLIENT", "KILL", "ID", self.wait(link.ask(b"CLIENT", b"ID")))
        self.until(lambda: heard[3:] == ["down", "up"])
        self.assertIsNone(self.wait(link.ask(b"GET", b"none")))


class StateTests(RedisCase):
    """
    The state of a link.
    """

    def setUp(self) -> None:
        super().setUp()
        self.states: list[tuple[str, bool, bool]] = []
        become = Link._become

        def becoming(link: Link, state: LinkState) -> None:
            self.states.append((state.name, link.isUp, link.isTracking))
            become(link, state)

        self.patch(Link, "_become", becoming)

    def test_states(self) -> None:
        """
        A link goes from state to state, and is up and tracks while it is of
        use, also until it is closed.
        """
        link = self.link(tracks=True)
        self.assertIs(link.state, LinkState.NEW)
        number = self.wait(link.ask(b"CLIENT", b"ID"))
        self.assertIs(link.state, LinkState.UP)
        self.server.command("CLIENT", "KILL", "ID", number)
        self.until(lambda: len(self.states) == 6)
        last = link.ask(b"ECHO", b"last")
        closing = link.close()
        self.assertIs(link.state, LinkState.CLOSING)
        self.assertEqual(self.wait(last), b"last")
        self.wait(closing)
        self.assertIs(link.state, LinkState.CLOSED)
        off, on = (False, False), (True, True)
        self.assertEqual(
            self.states,
            [
                ("CONNECTING", *off),
                ("GREETING", *off),
                ("UP", *off),
                ("CONNECTING", *on),
                ("GREETING", *off),
                ("UP", *off),
                ("CLOSING", *on),
                ("CLOSED", *on),
            ],
        )

    def test_never(self) -> None:
        """
        A link that is closed while it connects, or before, was never up.
        """
        for isAsked in False, True:
            link = self.link(f"redis://127.0.0.1:{freePort()}")
            if isAsked:
                link.ask(b"PING").addErrback(lambda failure: None)
                # Until it was refused, and waits to try again.
                self.advance(0.05)
            self.wait(link.close())
            self.assertIs(link.state, LinkState.CLOSED)
            self.assertEqual(self.ear(link).heard, [])
        self.assertNotIn("UP", [name for name, *_ in self.states])

    def test_lostWhileClosing(self) -> None:
        """
        A link that loses its connection while it is closed makes no other one.
        """
        server = self.start()
        link = self.link(server.url, timeout=PATIENCE)
        self.wait(link.ask(b"PING"))
        server.pause()
        last = link.ask(b"PING")
        closing = link.close()
        server.kill()
        self.failing(last, StoreTimeout)
        self.wait(closing)
        self.assertIs(link.state, LinkState.CLOSED)
        self.assertEqual(self.ear(link).heard, ["up", "down"])
        server.launch()
        self.advance(0.3)
        self.assertNotIn(b"txsessionsock", server.command("CLIENT", "LIST"))

    def test_droppedWhileClosing(self) -> None:
        """
        A link whose connection turns out to be of no use while it is closed
        makes no other one.
        """
        link = self.link()
        self.wait(link.ask(b"PING"))
        closing = link.close()
        link.drop("it is of no use")
        self.assertIs(link.state, LinkState.CLOSED)
        self.wait(closing)
        self.assertEqual(self.ear(link).heard, ["up", "down"])
        self.assertEqual(self.logged, [])


class CloseTests(RedisCase):
    """
    The end of a link; that no timer is left is looked at after each test.
    """

    def test_unused(self) -> None:
        """
        What was never used is closed at once, twice, and used no more.
        """
        link = self.link(f"redis://127.0.0.1:{freePort()}")
        for _ in range(2):
            self.successResultOf(link.close())
        self.assertIn("is closed", self.failing(link.ask(b"PING"), StoreUnavailable))
        self.assertEqual(self.logged, [])

    def test_inFlight(self) -> None:
        """
        What was asked is answered, also if the server has to be told the
        script again.
        """
        client = self.server.client()
        self.addCleanup(client.close)
        for isForgotten in False, True:
            store = self.open()
            self.wait(store.create("k", b"0", 60.0))
            store.watch("k", lambda key: None)
            if isForgotten:
                client.command("SCRIPT", "FLUSH")
            changing = store.replace("k", b"0", b"1", KEEP)
            loading, fence = store.load("k"), store.fence("k")
            closing = store.close()
            self.failing(store.load("k"), StoreUnavailable)
            self.assertEqual(self.wait(changing).raw, b"1")
            loaded = self.wait(loading)
            assert loaded is not None
            self.wait(fence)
            self.wait(closing)
            client.command("DEL", self.prefix + "k")

    def test_waiting(self) -> None:
        """
        What waits for a connection fails, and nothing connects any more, at
        whatever moment of an attempt that is.
        """
        server = RedisServer()
        self.addCleanup(server.close)
        for delay in 0.0, 0.001, 0.05, 0.1, 0.2, 0.31, 0.45:
            link = self.link(server.url, timeout=PATIENCE, tracks=True)
            waiting = link.ask(b"PING")
            if delay:
                self.advance(delay)
            closing = link.close()
            self.failing(waiting, StoreUnavailable)
            self.wait(closing)
        server.start()
        # Longer than who does not give up would wait.
        self.advance(1.1)
        self.assertNotIn(b"txsessionsock", server.command("CLIENT", "LIST"))

    def test_connecting(self) -> None:
        """
        An attempt that hangs is given up.
        """
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            # Nobody is let in after these.
            for _ in range(4):
                client = socket.socket()
                self.addCleanup(client.close)
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            link = self.link(f"redis://127.0.0.1:{port}", timeout=PATIENCE)
            waiting = link.ask(b"PING")
            self.advance(0.1)
            closing = link.close()
            self.failing(waiting, StoreUnavailable)
            self.wait(closing)

    def test_silent(self) -> None:
        """
        A connection on which nothing is answered is given up, at any stage.
        """
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(10)
            place = f"127.0.0.1:{silent.getsockname()[1]}"
            for url in (
                f"redis://{place}",
                f"redis://:pw@{place}",
                f"rediss://{place}/0",
            ):
                link = self.link(url, timeout=PATIENCE)
                waiting = link.ask(b"PING")
                self.advance(0.1)
                begun = monotonic()
                closing = link.close()
                self.failing(waiting, StoreUnavailable)
                self.wait(closing)
                self.assertLess(monotonic() - begun, PATIENCE / 2)

    def test_hanging(self) -> None:
        """
        A server that hangs is waited for as long as for any answer.
        """
        server = self.start()
        store = self.open(server.url, timeout=0.3)
        self.wait(store.load("k"))
        server.pause()
        try:
            waiting = store.load("k")
            closing = store.close()
            self.failing(waiting, StoreTimeout)
            self.wait(closing)
        finally:
            server.resume()

    def test_within(self) -> None:
        """
        The store may be closed as soon as a call fails in an outage.
        """
        server = self.start()
        store = self.open(server.url, timeout=0.3)
        self.wait(store.load("k"))
        server.pause()
        try:
            first = store.load("k")
            # With a later deadline.
            self.advance(0.01)
            second = store.load("k")
            first.addErrback(lambda _: store.close())
            self.assertIsNone(self.wait(first))
            self.failing(second, StoreTimeout)
        finally:
            server.resume()


def _reads(server: RedisServer) -> int:
    """
    How often the server has read from connections.
    """
    found = re.search(rb"total_reads_processed:(\d+)", server.command("INFO", "stats"))
    assert found is not None
    return int(found[1])
