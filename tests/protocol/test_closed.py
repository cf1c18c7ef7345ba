"""
Tests that no connection of a factory or resource of ours goes without a
session and without a look at its origin, in whichever order things are set up.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import (
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
    WrappingWebSocketServerFactory,
)
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from zope.interface.verify import verifyObject

from tests.real.twistd.test_web_sockets import frame, handshake
from tests.support.pages import WebTestCase
from tests.support.wires import ADDRESS, HOST, Recording, SocketCase, shake
from txsessionsock.credentials import InBand
from txsessionsock.interfaces import SessionError
from txsessionsock.limits import Limits
from txsessionsock.messages import JSON
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol, enable
from txsessionsock.protocol.application import ApplicationMethods
from txsessionsock.protocol.sessioned import Sessioned
from txsessionsock.web import SessionSocketResource


class Echo(WebSocketServerProtocol):
    """
    Plain Autobahn.
    """

    def __init__(self, greeting: bytes = b"") -> None:
        super().__init__()
        self.greeting = greeting

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(self.greeting + payload, isBinary)


class Other(Echo):
    """
    Another class.
    """


class Slotted(Echo):
    """
    One whose objects are laid out otherwise.
    """

    __slots__ = ("unused",)


class ClosedCase(SocketCase):
    """
    Tests that look whether a factory gives sessions.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(user="al")

    def plain(self, protocol: Any = None) -> Any:
        """
        Make an Autobahn factory that knows nothing of sessions.
        """
        factory = WebSocketServerFactory(reactor=self.clock)
        if protocol is not None:
            factory.protocol = protocol
        return factory

    def enable(self, factory: Any) -> Any:
        """
        Enable it, and return it.
        """
        enable(factory, self.manager)
        return factory

    def both(self, *args: Any) -> list[Any]:
        """
        An Autobahn factory that was enabled, and one of ours.
        """
        return [self.enable(self.plain(*args)), SessionSocketFactory(self.manager)]

    def assertSessions(
        self, factory: Any, echo: Any = "x", kind: type = Echo, origin: str = ""
    ) -> None:
        """
        Its connections have sessions, and pages from elsewhere get none.
        """
        self.factory = factory
        cookie = f"Cookie: {self.cookie()}"
        evil = origin or "http://evil.example"
        self.assertEqual(
            shake(factory, cookie, f"Host: {HOST}", f"Origin: {evil}"), 403
        )
        self.assertClosed(self.browse(cookie=None), 4401, "session-missing")
        heard: list[Any] = []
        listener = factory._sessionsock.sockets.on("smessage", partial(_note, heard))
        browser = self.browse()
        browser.send("x")
        factory._sessionsock.sockets.off("smessage", listener)
        self.assertEqual(browser.got, [] if echo is None else [echo])
        self.assertEqual(heard, ["al"])
        self.assertIsInstance(browser.server, kind)
        self.assertIs(browser.server.factory, factory)
        self.assertEqual(type(browser.server).__name__, kind.__name__)

    def assertRefused(self, factory: Any, *errors: type[BaseException]) -> None:
        """
        Its connections are refused, and the log says so.
        """
        self.assertIsNone(factory.buildProtocol(ADDRESS))
        self.assertEqual(len(self.flushLoggedErrors(*errors)), 1)


def _note(heard: list[Any], client: Any, message: Any, session: Any) -> None:
    heard.append(session["user"])


class OrderTests(ClosedCase):
    """
    When the protocol is set, and by whom it is made.
    """

    def test_later(self) -> None:
        """
        The protocol may be set after, and again.
        """
        for factory in self.both():
            for protocol in Echo, Other, Slotted:
                factory.protocol = protocol
                self.assertIs(factory.protocol, protocol)
                self.assertSessions(factory, kind=protocol)
            factory.protocol = SessionSocketProtocol
            self.assertSessions(factory, None, SessionSocketProtocol)

    def test_before(self) -> None:
        """
        It may be set before, also in the class of the factory.
        """

        class Plain(WebSocketServerFactory):
            protocol = Echo

        class Ours(SessionSocketFactory):
            protocol = Echo

        self.assertSessions(self.enable(self.plain(Echo)))
        for factory in self.enable(Plain(reactor=self.clock)), Ours(self.manager):
            self.assertSessions(factory)
        self.assertSessions(SessionSocketFactory.forProtocol(Echo, self.manager))

    def test_never(self) -> None:
        """
        It need not be set, where there are listeners only.
        """
        factory = self.enable(self.plain())
        self.assertSessions(factory, None, factory.protocol)
        self.assertIsInstance(self.browse().server._sessionsock.messages, JSON)

    def test_functions(self) -> None:
        """
        A function may make it.
        """

        class Making(WebSocketServerFactory):
            def protocol(self) -> Echo:  # type: ignore[override]  # As people write it.
                return Echo(b" ")

        for factory in [*self.both(), self.enable(Making(reactor=self.clock))]:
            if not isinstance(factory, Making):
                factory.protocol = partial(Echo, b" ")
            self.assertSessions(factory)

    def test_builders(self) -> None:
        """
        So may the factory itself, with what it inherits or without.
        """

        class Alone:
            def buildProtocol(self, address: Any) -> Any:
                protocol = Echo()
                protocol.factory = self
                return protocol

        class Inherits:
            protocol = Echo

            def buildProtocol(self, address: Any) -> Any:
                protocol: Any = super().buildProtocol(address)  # type: ignore[misc]  # Of the class beside it.
                protocol.greeting = b" "
                return protocol

        class Forgets:
            def buildProtocol(self, address: Any) -> Any:
                return Echo()

        for mixin in Alone, Inherits, Forgets:
            plain: Any = type("Plain", (mixin, WebSocketServerFactory), {})
            ours: Any = type("Ours", (mixin, SessionSocketFactory), {})
            self.assertSessions(self.enable(plain(reactor=self.clock)))
            self.assertSessions(ours(self.manager))

    def test_builderOfOne(self) -> None:
        """
        Or a function that takes the factory's place in that, before or after.
        """
        before = self.plain()
        before.buildProtocol = lambda address: Echo()
        self.assertSessions(self.enable(before))
        for factory in self.both():
            factory.buildProtocol = lambda address: Echo()
            self.assertSessions(factory)
            factory.buildProtocol = lambda address: None
            self.assertIsNone(factory.buildProtocol(ADDRESS))

    def test_wrapped(self) -> None:
        """
        Other factories may stand before ours.
        """
        factory = self.enable(self.plain(Echo))
        wrapper = WrappingFactory(factory)
        built: Any = wrapper.buildProtocol(ADDRESS)
        self.assertIsInstance(built.wrappedProtocol, Sessioned)

        class Passing(WebSocketServerFactory):
            def buildProtocol(self, address: Any) -> Any:
                return factory.buildProtocol(address)

        passing = self.enable(Passing(reactor=self.clock))
        self.assertIs(passing.buildProtocol(ADDRESS).factory, factory)

    def test_stream(self) -> None:
        """
        Where Autobahn makes a stream of a WebSocket, that has a session too.
        """
        factory = self.enable(
            WrappingWebSocketServerFactory(
                Factory.forProtocol(Protocol), "ws://localhost", reactor=self.clock
            )
        )
        self.assertIsInstance(factory.buildProtocol(ADDRESS), Sessioned)

    def test_names(self) -> None:
        """
        The factory and its protocols are called what they were called, and
        are made into another class once.
        """
        factory = self.enable(self.plain(Echo))
        self.assertEqual(type(factory).__name__, "WebSocketServerFactory")
        self.assertIsInstance(factory, WebSocketServerFactory)
        first, second = (factory.buildProtocol(ADDRESS) for _ in range(2))
        self.assertIs(type(first), type(second))
        self.assertEqual(type(first).__module__, Echo.__module__)
        self.assertIsInstance(first, ApplicationMethods)


class RefusedTests(ClosedCase):
    """
    What cannot have a session.
    """

    def test_atOnce(self) -> None:
        """
        Where it is seen when it is set, it is refused then.
        """
        for bad in Protocol, WebSocketClientProtocol, Echo(), "Echo", dict:
            with self.assertRaisesRegex(TypeError, "subclass of SessionSocketProtocol"):
                self.enable(self.plain(bad))
            for factory in (
                self.enable(self.plain()),
                SessionSocketFactory(self.manager),
            ):
                before = factory.protocol
                with self.assertRaisesRegex(TypeError, "not "):
                    factory.protocol = bad
                self.assertIs(factory.protocol, before)
            ours: Any = type("Ours", (SessionSocketFactory,), {"protocol": bad})
            with self.assertRaisesRegex(TypeError, "not "):
                ours(self.manager)

    def test_whenBuilt(self) -> None:
        """
        Else it is refused when it is made.
        """
        factory = self.enable(self.plain())
        for bad in Protocol, WebSocketClientProtocol:
            factory.protocol = partial(bad)
            self.assertRefused(factory, TypeError)
            factory.buildProtocol = lambda address, bad=bad: bad()
            self.assertRefused(factory, TypeError)
            del vars(factory)["buildProtocol"]

    def test_ofAnother(self) -> None:
        """
        A protocol of a factory without sessions is refused, whoever builds it.
        """
        stranger = self.plain(Echo)
        factory = self.enable(self.plain())
        factory.buildProtocol = stranger.buildProtocol
        self.assertRefused(factory, SessionError)
        stranger.protocol = SessionSocketProtocol
        with self.assertRaisesRegex(SessionError, "gives no sessions: right is"):
            stranger.buildProtocol(ADDRESS)

    def test_tooLate(self) -> None:
        """
        A factory that has connections cannot be enabled: they would go on
        without sessions.
        """
        factory = self.plain(Echo)
        browser = self.browse(factory)
        with self.assertRaisesRegex(ValueError, "enable it before it serves"):
            self.enable(factory)
        self.assertIs(type(factory), WebSocketServerFactory)
        browser.cut()
        self.assertSessions(self.enable(factory))

    def test_swapped(self) -> None:
        """
        What is no Autobahn factory is refused.
        """
        wrong: Any = enable
        for bad in self.manager, Factory(), None:
            with self.assertRaisesRegex(TypeError, "is a WebSocketServerFactory"):
                wrong(bad, self.plain(Echo))

    def test_flags(self) -> None:
        """
        A text that says no does not switch on what makes it less safe.
        """
        wrong: Any = "no"
        with self.assertRaisesRegex(
            TypeError, "trustProxy is True or False or a Proxies, not a str"
        ):
            enable(self.plain(), self.manager, trustProxy=wrong)
        with self.assertRaisesRegex(TypeError, "trustProxy is"):
            SessionSocketFactory(self.manager, trustProxy=wrong)
        with self.assertRaisesRegex(TypeError, "allowUnsigned is"):
            InBand(allowUnsigned=wrong)

    def test_interface(self) -> None:
        """
        What was enabled is a factory still, and cannot be told from one.
        """
        for factory in self.both():
            verifyObject(IProtocolFactory, factory)

    def test_resource(self) -> None:
        """
        A place in a site is for a factory with sessions.
        """
        plain = self.plain(Echo)
        for bad in plain, self.manager, Factory(), Recording, Resource():
            with self.assertRaisesRegex(TypeError, "gives no sessions: right is"):
                SessionSocketResource(bad)
        SessionSocketResource(self.enable(plain))


class OptionsTests(ClosedCase):
    """
    Autobahn's own settings, when they are set after.
    """

    def test_options(self) -> None:
        """
        C{setProtocolOptions} changes what it is told to, and no more: pages
        that are listed may still connect.
        """
        factory = self.plain(Echo)
        enable(factory, self.manager, origins=["capacitor://page"])
        before = {name: getattr(factory, name) for name in Echo.CONFIG_ATTRS}
        factory.setProtocolOptions(autoPingInterval=7)
        after = {name: getattr(factory, name) for name in Echo.CONFIG_ATTRS}
        self.assertEqual(after, {**before, "autoPingInterval": 7})
        for origin, status in ("capacitor://page", 101), ("capacitor://other", 403):
            self.assertEqual(
                shake(factory, f"Host: {HOST}", f"Origin: {origin}"), status
            )
        self.assertSessions(factory)

    def test_reset(self) -> None:
        """
        C{resetProtocolOptions} does not take back the limits.
        """
        factory = self.plain(Echo)
        enable(factory, self.manager, limits=Limits(messageSize=9))
        before = {name: getattr(factory, name) for name in Echo.CONFIG_ATTRS}
        factory.setProtocolOptions(maxMessagePayloadSize=0, failByDrop=True)
        factory.resetProtocolOptions()
        after = {name: getattr(factory, name) for name in Echo.CONFIG_ATTRS}
        # Autobahn makes a new function each time.
        for options in before, after:
            del options["perMessageCompressionAccept"]
        self.assertEqual(after, before)
        self.assertEqual(factory.maxMessagePayloadSize, 9)

    def test_parameters(self) -> None:
        """
        C{setSessionParameters} and C{startFactory} take nothing back.
        """
        factory = self.enable(self.plain(Echo))
        factory.setSessionParameters("ws://localhost:9", ["a"], server="me")
        factory.doStart()
        self.assertSessions(factory)
        factory.doStop()


class AutobahnsResourceTests(WebTestCase):
    """
    Autobahn's own L{WebSocketResource}, with a factory that was enabled.
    """

    def setUp(self) -> None:
        super().setUp()
        factory = WebSocketServerFactory(reactor=self.world.clock)
        enable(factory, self.world.manager)
        factory.protocol = Echo
        self.factory: Any = factory
        self.pages = Resource()
        self.pages.putChild(b"ws", WebSocketResource(factory))
        self.cookie, _ = self.login(user="al")

    def status(self, *headers: str) -> bytes:
        """
        What is answered.
        """
        browser = self.world.connect(self.pages)
        browser.protocol.dataReceived(handshake(*headers))
        self.wire = browser.wire
        return bytes(browser.wire.value().split(b" ")[1])

    def test_sessions(self) -> None:
        """
        The session of the cookie is there, and nothing goes without.
        """
        self.assertEqual(self.status(f"Cookie: {self.cookie}"), b"101")
        self.wire.clear()
        self.wire.protocol.dataReceived(frame(b"x"))
        self.assertEqual(self.wire.value(), b"\x81\x01x")
        self.assertEqual(self.status(), b"101")
        self.assertIn(b"session-missing", self.wire.value())

    def test_origins(self) -> None:
        """
        Pages from elsewhere are refused, also when two headers are joined.
        """
        same, evil = "Origin: http://example.com", "Origin: http://evil.example"
        for origins in [evil], [same, evil], [same, same], ["Origin: null"]:
            self.assertEqual(self.status(f"Cookie: {self.cookie}", *origins), b"403")
        self.assertEqual(self.status(f"Cookie: {self.cookie}", same), b"101")

    def test_refused(self) -> None:
        """
        What cannot have a session is answered with 500.
        """
        self.factory.protocol = partial(Protocol)
        self.assertEqual(self.status(f"Cookie: {self.cookie}"), b"500")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
