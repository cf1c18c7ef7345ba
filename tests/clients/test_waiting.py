"""
Tests for what users' functions return: it is waited for, or refused aloud.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.wires import SocketCase, shake
from txsessionsock._waiting import waitable
from txsessionsock.bus import LocalBus
from txsessionsock.clients import METHODS
from txsessionsock.clients.life import Phase
from txsessionsock.credentials import Cookie
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.express import Express
from txsessionsock.hub import Hub
from txsessionsock.messages import JSON
from txsessionsock.protocol import SessionSocketProtocol, enable
from txsessionsock.session import Session


class Odd:
    """
    Something that some other library could wait for.
    """

    def __await__(self) -> Generator[Any, Any, None]:
        yield self


def asyncioFuture() -> Any:
    """
    Make a Future of a loop that does not run.
    """
    loop = asyncio.new_event_loop()
    loop.close()
    return loop.create_future()


async def asyncGenerator(*args: Any) -> AsyncGenerator[int, None]:
    """
    A handler of somebody who mixed two ways to wait.
    """
    yield 1


UNFIT: list[Callable[..., Any]] = [
    asyncGenerator,
    lambda *args: asyncioFuture(),
    lambda *args: Future(),
    lambda *args: Odd(),
]
"""
Functions that return what Twisted cannot wait for.
"""


class WaitableTests(SynchronousTestCase):
    """
    L{waitable}
    """

    def begin(self, result: object) -> Deferred[Any]:
        """
        What is to be waited for.
        """
        deferred = waitable(result)
        assert isinstance(deferred, Deferred)
        return deferred

    def test_ordinary(self) -> None:
        """
        What needs no waiting is left as it is, a L{Deferred} too.
        """
        for result in None, 0, "", [1], object(), Deferred[None](), iter([1]):
            self.assertIs(waitable(result), result)

    def test_generator(self) -> None:
        """
        A generator runs as by C{inlineCallbacks}: it waits for Deferreds,
        coroutines and other generators, is given what they result in, and what
        they fail with.
        """
        gate: Deferred[str] = Deferred()
        seen: list[Any] = []

        async def coroutine() -> str:
            return await gate

        def generator() -> Generator[Any, Any, str]:
            yield
            return "generator"

        def steps() -> Generator[Any, Any, int]:
            seen.append((yield coroutine()))
            seen.append((yield generator()))
            seen.append((yield "as it is"))
            try:
                yield bad
            except ZeroDivisionError:
                seen.append("failed")
            return 5

        bad: Deferred[None] = Deferred()
        running = self.begin(steps())
        self.assertEqual(seen, [])
        gate.callback("coroutine")
        self.assertEqual(seen, ["coroutine", "generator", "as it is"])
        self.assertNoResult(running)
        bad.errback(ZeroDivisionError())
        self.assertEqual(seen[3:], ["failed"])
        self.assertEqual(self.successResultOf(running), 5)

    def test_long(self) -> None:
        """
        It may wait often for what is there.
        """

        def steps() -> Generator[Any, Any, int]:
            count = 0
            for _ in range(5000):
                count += yield succeed(1)
            return count

        self.assertEqual(self.successResultOf(self.begin(steps())), 5000)

    def test_cancel(self) -> None:
        """
        Whoever is cancelled stops waiting.
        """
        cancelled: list[object] = []
        waited: Deferred[None] = Deferred(cancelled.append)

        def steps() -> Generator[Any, Any, None]:
            yield waited

        running = self.begin(steps())
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(cancelled, [waited])

    def test_unfit(self) -> None:
        """
        What Twisted cannot wait for is refused, and the error says what is
        right; also where a coroutine or a generator waits for it.
        """
        for make in UNFIT:

            async def coroutine(make: Any = make) -> None:
                await make()

            def generator(make: Any = make) -> Generator[Any, Any, None]:
                yield make()

            with self.assertRaisesRegex(TypeError, r"right is async def with await"):
                waitable(make())
            self.failureResultOf(self.begin(generator()), TypeError)
            self.failureResultOf(self.begin(coroutine()), TypeError)


class HandlerTests(SocketCase):
    """
    Handlers of a socket.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put(user="al")

    def test_everyEvent(self) -> None:
        """
        Each event's listeners and methods may be generators.
        """
        heard: list[str] = []

        def handler(name: str) -> Callable[..., Any]:
            def steps(*args: Any) -> Generator[Any, Any, None]:
                heard.append((yield succeed(name)))

            return steps

        own = {method: handler(method) for method in METHODS.values()}
        plain: Any = type("Waiting", (SessionSocketProtocol,), own)
        factory = self.serve(plain)
        for event in METHODS:
            factory.on(event, handler(event))
        self.browse(cookie=None)
        browser = self.browse()
        browser.send("x")
        self.put(user="al", n=1)
        self.wait()
        browser.server._sessionsock.client._report(Failure(ZeroDivisionError()))
        self.successResultOf(self.place.destroy("sess:an-id"))
        self.wait()
        self.assertEqual(
            heard,
            [
                name
                for event in (
                    "sinvalid",
                    "sconnection",
                    "smessage",
                    "schanged",
                    "serror",
                    "sdestroyed",
                    "disconnect",
                )
                for name in (event, METHODS[event])
            ],
        )

    def test_answer(self) -> None:
        """
        A generator that stores, and answers after.
        """

        class Saving(SessionSocketProtocol):
            def sessionMessageReceived(
                self, message: Any, session: Session
            ) -> Generator[Any, Any, None]:
                session["n"] = message
                yield session.save()
                self.send((yield self.receive()))

        self.serve(Saving)
        browser = self.browse()
        browser.send(1, "again")
        self.wait()
        self.assertEqual(browser.got, ["again"])
        self.assertEqual(self.stored(), {"user": "al", "n": 1})

    def test_unfit(self) -> None:
        """
        What cannot be waited for fails as a handler that raised does.
        """
        for unfit in UNFIT:
            self.serve()
            self.factory.on("smessage", unfit)
            browser = self.browse()
            browser.send("x")
            self.assertClosed(browser, 1011, "handler failed")
            (error,) = self.events("serror")
            self.assertIsInstance(error, TypeError)
            self.assertIn("right is", str(error))
            self.assertEqual(self.events("smessage"), [])
            self.seen.clear()

    def test_unfitMethods(self) -> None:
        """
        So does a method, ours or Autobahn's, and the log says so where nobody
        listens.
        """
        for name, code in (
            ("sessionConnected", 1011),
            ("sessionMessageReceived", 1011),
            ("sessionInvalid", 4401),
            ("sessionDisconnected", 1000),
            ("onOpen", 1011),
            ("onMessage", 1011),
            ("onClose", 1000),
        ):
            own = {name: asyncGenerator}
            factory: Any = WebSocketServerFactory(reactor=self.clock)
            enable(factory, self.manager, True)
            factory.protocol = type("Unfit", (WebSocketServerProtocol,), own)
            self.factory = factory
            isInvalid = name == "sessionInvalid"
            browser = self.browse(cookie=None if isInvalid else "")
            if name.endswith(("Received", "Message")):
                browser.send("x")
            if code == 1000:
                browser.close()
            self.wait()
            assert browser.closed is not None
            self.assertEqual(browser.closed[0], code, name)
            self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1, name)
            self.clock.advance(60)

    def test_autobahns(self) -> None:
        """
        Autobahn's methods may be generators, also those that one object was
        given.
        """
        seen: list[Any] = []

        def steps(self: Any, *args: Any) -> Generator[Any, Any, None]:
            seen.append((yield succeed(args)))

        names = "onOpen", "onMessage", "onClose"
        plain: Any = type(
            "Plain", (WebSocketServerProtocol,), dict.fromkeys(names, steps)
        )
        factory: Any = WebSocketServerFactory(reactor=self.clock)
        factory.protocol = plain
        enable(factory, self.manager, True)

        def build(address: Any) -> Any:
            protocol: Any = WebSocketServerProtocol()
            for name in names:
                setattr(protocol, name, lambda *args: steps(None, *args))
            return protocol

        for _ in range(2):
            browser = self.browse(factory)
            browser.send(b"plain")
            browser.close()
            self.assertEqual(seen[:2], [(), (b"plain", False)])
            self.assertEqual(seen[2][:2], (True, 1000))
            seen.clear()
            factory.buildProtocol = build

    def test_onConnect(self) -> None:
        """
        C{onConnect} too: it may wait, and choose a subprotocol; what cannot be
        waited for is answered with 500.
        """
        gate: Deferred[str] = Deferred()

        class Choosing(WebSocketServerProtocol):
            def onConnect(self, request: Any) -> Any:
                return (yield gate)

        factory = WebSocketServerFactory(reactor=self.clock)
        factory.protocol = Choosing
        enable(factory, self.manager)
        browser = self.browse(factory, protocols=["a", "b"])
        client = browser.server._sessionsock.client
        self.assertIs(client.life.phase, Phase.CONNECTING)
        gate.callback("b")
        browser.flush()
        self.assertEqual(browser.client.websocket_protocol_in_use, "b")
        for unfit in UNFIT:
            for base in WebSocketServerProtocol, SessionSocketProtocol:
                plain: Any = type("Unfit", (base,), {"onConnect": unfit})
                factory.protocol = plain
                self.assertEqual(shake(factory, "Host: a"), 500)
                self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
                self.clock.advance(60)

    def test_credential(self) -> None:
        """
        A credential may wait, too; what cannot be waited for is answered with
        1011.
        """

        class Slow(Cookie):
            f: Any

            def inHandshake(self, *args: Any) -> Any:
                return self.f()

        for f in UNFIT:
            slow = Slow()
            slow.f = f
            self.serve(SessionSocketProtocol, credentials=[slow])
            self.assertClosed(self.browse(), 1011, "session failed")
            (failure,) = self.flushLoggedErrors(TypeError)
            self.assertIn("Twisted cannot wait", str(failure.value))
            self.clock.advance(60)


class OrdinaryTests(SocketCase):
    """
    Functions that must not wait.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(user="al")

    async def coroutine(self, *args: Any) -> None:
        """
        A function that would wait.
        """

    def waiting(self) -> list[Callable[..., Any]]:
        """
        Functions that return something to wait for, which cannot be seen
        before.
        """
        return [
            lambda *args: self.coroutine(),
            lambda *args: (each for each in args),
            lambda *args: Deferred(),
            *(lambda *args, unfit=unfit: unfit() for unfit in UNFIT),
        ]

    def said(self, *expected: str) -> None:
        """
        The log says what is wanted.
        """
        (failure,) = self.flushLoggedErrors(TypeError)
        # The same is logged once a minute.
        self.clock.advance(60)
        for text in (*expected, "an ordinary function, which does not wait"):
            self.assertIn(text, str(failure.value))

    def test_atOnce(self) -> None:
        """
        Where it is seen when they are given, they are refused then.
        """
        self.serve()
        hub = Hub(self.factory.sockets)
        for f in self.coroutine, asyncGenerator, lambda *args: (yield):
            with self.assertRaisesRegex(TypeError, "index 'user' wants an ordinary"):
                hub.index("user", f)
            with self.assertRaisesRegex(TypeError, "identity wants an ordinary"):
                Express(secrets=["x"], identity=f)
        hub.index("user", lambda session: session["user"])

    def test_index(self) -> None:
        """
        An index does not wait.
        """
        self.serve()
        hub = Hub(self.factory.sockets)
        self.browse()
        for number, f in enumerate(self.waiting()):
            hub.index(f"i{number}", f)
            self.said(f"index 'i{number}'")

    def test_identity(self) -> None:
        """
        Nor does the question who is logged in.
        """
        for f in self.waiting():
            for made in Express(secrets=["x"], identity=f), Aiohttp(identity=f):
                with self.assertRaisesRegex(TypeError, "identity wants an ordinary"):
                    made.identity({})

    def test_update(self) -> None:
        """
        Nor does C{update}.
        """
        self.serve()
        session = self.browse().server.session
        for f in self.waiting():
            error = self.failureResultOf(session.update(f), TypeError)
            self.assertIn("update() wants an ordinary function", str(error.value))
        self.assertEqual(dict(session), {"user": "al"})

    def test_messages(self) -> None:
        """
        Nor does what makes messages.
        """

        class Slow(JSON):
            f: Any

            def decode(self, payload: bytes, isBinary: bool) -> Any:
                return self.f()

        for f in self.waiting():
            slow = Slow()
            slow.f = f
            plain: Any = type("Plain", (SessionSocketProtocol,), {"messages": slow})
            self.serve(plain)
            browser = self.browse()
            browser.send("x")
            self.assertClosed(browser, 1011, None)
            self.said("decode()")

    def test_bus(self) -> None:
        """
        Nor does what answers commands.
        """
        for f in self.waiting():
            bus = LocalBus(self.clock)
            bus.handle(f)
            answers = self.successResultOf(bus.request(b"x"))
            self.assertEqual(answers, {bus.node: None})
            self.said("handle()")
