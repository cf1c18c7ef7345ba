"""
Tests for what L{txsessionsock.stores.redis} makes of who is no Redis, or says too
much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.support.accesscase import SECRET, AccessCase
from tests.support.redisserver import Proxy
from tests.support.servers import reactor
from txsessionsock._redis.greeting import Greeting
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    StoreError,
    StoreFailure,
    StoreUnavailable,
)
from txsessionsock.stores.redis import RedisStore


class GreetingTests(SynchronousTestCase):
    """
    L{Greeting}
    """

    def test_master(self) -> None:
        """
        Behind sentinels, a server may say by C{HELLO} or by C{ROLE} that it is the
        master; one that says neither is none to use.
        """
        no = StoreError("no such command, or not allowed")
        for hello, role, problem in (
            ({b"role": b"master"}, no, None),
            (no, [b"master", 0, []], None),
            ([b"proto", 2], [b"master", 0, []], None),
            ({b"role": b"replica"}, [b"slave"], "it is a replica"),
            (no, [b"slave", b"127.0.0.1", 1, b"connected", 0], "it is a replica"),
            (b"OK", no, "does not say"),
            (no, [], "does not say"),
        ):
            for speaksThree in False, True:
                greeting = Greeting(
                    speaksThree=speaksThree, tracks=True, wantsMaster=True
                )
                answers = {b"HELLO": hello, b"ROLE": role, b"CLIENT": no}

                def ask(*words: bytes, answers: Any = answers) -> Deferred[Any]:
                    answer = answers.get(words[0], b"PONG")
                    isError = isinstance(answer, Exception)
                    return fail(answer) if isError else succeed(answer)

                greeted = Deferred.fromCoroutine(greeting.greet(ask))
                if problem is None:
                    self.successResultOf(greeted)
                else:
                    failure = self.failureResultOf(greeted, StoreUnavailable)
                    self.assertIn(problem, failure.getErrorMessage())


class _Says(Protocol):
    """
    Says something to everybody.
    """

    transport: Any
    factory: Any

    def connectionMade(self) -> None:
        self.factory.peers.append(self)
        self.transport.write(self.factory.greeting)
        if self.factory.closes:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        self.factory.heard += data
        self.transport.write(self.factory.answer(data))


class Stranger(Factory):
    """
    No Redis.
    """

    noisy = False
    protocol = _Says

    def __init__(
        self,
        greeting: bytes = b"",
        answer: Callable[[bytes], bytes] = lambda _: b"",
        closes: bool = False,
    ) -> None:
        self.greeting = greeting
        self.answer = answer
        self.closes = closes
        self.heard = b""
        self.peers: list[Any] = []


class StrangerCase(AccessCase):
    """
    Somebody else at the port.
    """

    def listen(self, factory: Any) -> int:
        """
        Be somebody, until the end of the test.
        """
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port: Any = self.wait(endpoint.listen(factory))

        def stop() -> None:
            self.wait(maybeDeferred(port.stopListening))
            for peer in getattr(factory, "peers", []):
                peer.transport.abortConnection()
            self.advance(0.01)

        self.addCleanup(stop)
        number: int = port.getHost().port
        return number


class StrangerTests(StrangerCase):
    """
    Servers that do not speak as a Redis does.
    """

    def test_strangers(self) -> None:
        """
        A server that does not speak as a Redis does is found out, with and
        without a password, and no error is logged.  When there is a Redis, all
        is well.
        """
        unknown = "does not speak as a Redis"
        for stranger, problem in (
            (Site(Resource()), unknown),
            (Stranger(b"\xff\xfe garbage \r\n"), unknown),
            (Stranger(b"220 mail.example.com ESMTP\r\n"), unknown),
            (Stranger(answer=lambda data: data), unknown),
            (Stranger(closes=True), "closed"),
            (Stranger(b"-ERR max number of clients reached\r\n", closes=True), ""),
        ):
            network = Proxy(self.listen(stranger))
            self.wait(network.listen())
            for credentials in "", ":pw@":
                url = f"redis://{credentials}127.0.0.1:{network.port}"
                store = self.open(url, timeout=0.25)
                error = self.failing(store.load("k"), StoreUnavailable)
                self.assertIn(problem, error)
                self.advance(0.15)
                # Not one for each attempt.
                self.assertLess(len(self.warnings), 3, self.warnings)
                self.logged.clear()
                self.wait(store.close())
            network.target = self.server.port
            self.wait(network.cut())
            store = self.open(f"redis://127.0.0.1:{network.port}")
            self.wait(self.everything(store))
            self.wait(store.close())
            self.wait(network.refuse())
            self.wait(network.cut())

    def test_odd(self) -> None:
        """
        A server that speaks as a Redis does and says odd things is not believed
        either.
        """
        for stranger in (
            Stranger(answer=lambda data: data),
            Stranger(answer=lambda _: b"*3\r\n:1\r\n:2\r\n:3\r\n" * 9),
            Stranger(answer=lambda _: b"+PONG\r\n" * 4),
            Stranger(b"+PONG\r\n" * 100),
        ):
            store = self.open(f"redis://127.0.0.1:{self.listen(stranger)}", 0.25)
            for _ in range(2):
                with self.assertRaises(StoreFailure):
                    self.wait(store.load("k"))
            self.wait(store.close())

    def test_comesBack(self) -> None:
        """
        The same store works as soon as there is a Redis.
        """
        network = Proxy(self.listen(Site(Resource())))
        self.wait(network.listen())
        store = self.assertRefused(
            f"redis://127.0.0.1:{network.port}", "does not speak as a Redis"
        )
        network.target = self.server.port
        self.until(lambda: store._link.isUp)
        self.wait(self.everything(store))
        self.wait(network.refuse())
        self.wait(network.cut())

    def test_secrets(self) -> None:
        """
        What a server repeats of what it was asked is neither told nor logged:
        no password, no key and no session.
        """

        def repeat(data: bytes) -> bytes:
            name, *words = data.split(b"\r\n")[2::2]
            said = b"', '".join(words)
            return b"-ERR unknown command '%s', with args beginning with: '%s'\r\n" % (
                name,
                said,
            )

        parrot = Stranger(answer=repeat)
        place = f"127.0.0.1:{self.listen(parrot)}"
        url = f"redis://joe:{SECRET}@{place}"
        store = self.assertRefused(url, "unknown command 'AUTH'")
        self.assertIn(SECRET.encode(), parrot.heard)
        shown = [repr(each) for each in _reachable(store)]
        self.assertGreater(len(shown), 5)
        self.assertEqual([text for text in shown if SECRET in text], [])

    def test_secretSessions(self) -> None:
        """
        A session that a server repeats is neither told nor logged.
        """
        server = self.start('rename-command EVALSHA ""')
        store = self.open(server.url)
        for answer in (
            store.load(SECRET),
            store.create(SECRET, SECRET.encode(), FOREVER),
            store.replace(SECRET, b"", SECRET.encode(), KEEP),
        ):
            error = self.failing(answer, StoreError)
            self.assertIn("unknown command", error)
            self.assertNotIn(SECRET, error)
        self.assertEqual([line for line in self.logged if SECRET in line], [])


def _reachable(store: RedisStore) -> list[object]:
    """
    What somebody may come to look at.
    """
    link: Any = store._link
    own = [store, link, link.address, link._endpoint, link._factory, link._connection]
    return [*own, store.load("k").addErrback(lambda _: None), vars(store), vars(link)]
