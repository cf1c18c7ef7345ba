"""
Tests for L{txsessionsock.protocol.enable}: protocols of somebody else.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred, succeed

from tests.support.wires import SocketCase
from txsessionsock.limits import Limits
from txsessionsock.messages import JSON, Raw
from txsessionsock.protocol import SessionSocketProtocol, enable


class EnableTests(SocketCase):
    """
    L{enable}
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put(user="al")

    def enable(self, protocol: Any, **options: Any) -> Any:
        """
        Enable a plain factory, and listen to what happens.
        """
        self.factory = WebSocketServerFactory(reactor=self.clock)
        self.factory.protocol = protocol
        self.equip(self.factory)
        options.setdefault("perMessage", self.perMessage)
        sockets = enable(self.factory, self.manager, **options)
        for event in "sconnection", "smessage", "sinvalid", "sdestroyed", "disconnect":

            def listener(client: Any, *args: Any, event: str = event) -> object:
                self.seen.append((event, *(a for a in args if type(a) in (str, bytes))))
                do = self.do.get(event)
                return None if do is None else do(client, *args)

            sockets.on(event, listener)
        return sockets

    def test_echo(self) -> None:
        """
        Autobahn's own methods run after our events, as part of their
        handlers; what they send is held.
        """
        seen = self.seen

        class Echo(WebSocketServerProtocol):
            def onOpen(self) -> None:
                seen.append(("onOpen",))

            def onMessage(self, payload: bytes, isBinary: bool) -> None:
                seen.append(("onMessage", payload, isBinary))
                self.sendMessage(payload, isBinary)

            def onClose(self, wasClean: bool, code: Any, reason: Any) -> None:
                seen.append(("onClose", wasClean, code))

        def change(client: Any, message: Any, session: Any) -> None:
            session["n"] = message if isinstance(message, str) else message.decode()

        self.enable(Echo)
        self.do["smessage"] = change
        browser = self.browse()
        self.store.hold("replace")
        browser.send(b"1 ")
        browser.send(b"2", isBinary=True)
        self.wait()
        self.assertEqual(browser.got, [])
        self.store.release()
        self.wait()
        browser.close()
        self.assertEqual(browser.got, [1, b"2"])
        self.assertEqual(
            self.seen,
            [
                ("sconnection",),
                ("onOpen",),
                ("smessage", "1 "),
                ("onMessage", b"1 ", False),
                ("smessage", b"2"),
                ("onMessage", b"2", True),
                ("disconnect",),
                ("onClose", True, 1000),
            ],
        )
        self.assertEqual(self.stored(), {"user": "al", "n": "2"})
        self.assertNothingLeft()

    def test_waitedFor(self) -> None:
        """
        Coroutines and Deferreds of Autobahn's methods are waited for.
        """
        seen = self.seen
        gates: list[Deferred[None]] = [Deferred() for _ in range(3)]

        class Slow(WebSocketServerProtocol):
            def onOpen(self) -> Any:
                return gates[0]

            async def onMessage(self, payload: bytes, isBinary: bool) -> None:  # type: ignore[override]  # As people write it.
                await gates[1]
                seen.append(("done",))

            async def onClose(self, *args: Any) -> None:  # type: ignore[override]  # As people write it.
                await gates[2]

        self.enable(Slow)
        browser = self.browse()
        browser.send(b"1")
        self.assertEqual(self.seen, [("sconnection",)])
        gates[0].callback(None)
        self.assertEqual(self.seen[1:], [("smessage", "1")])
        browser.close()
        self.assertEqual(self.events("disconnect"), [])
        gates[1].callback(None)
        self.assertEqual(self.seen[2:], [("done",), ("disconnect",)])
        self.assertEqual(len(self.factory._sessionsock.sockets), 1)
        gates[2].callback(None)
        self.assertNothingLeft()

    def test_asSent(self) -> None:
        """
        C{onMessage} gets the bytes that the client sent, whatever they mean.
        """
        got: list[Any] = []

        class Plain(WebSocketServerProtocol):
            def onMessage(self, payload: bytes, isBinary: bool) -> None:
                got.append((payload, isBinary))

        self.enable(Plain, messages=JSON())
        self.do["smessage"] = lambda client, message, session: got.append(message)
        browser = self.browse()
        browser.send(b' {"a" : 1.0}', isBinary=True)
        self.assertEqual(got, [{"a": 1.0}, (b' {"a" : 1.0}', True)])

    def test_notLetIn(self) -> None:
        """
        Without a session, none of Autobahn's methods is called.
        """
        called: list[str] = []

        class Plain(WebSocketServerProtocol):
            def onOpen(self) -> None:
                called.append("onOpen")

            def onClose(self, *args: Any) -> None:
                called.append("onClose")

        self.enable(Plain)
        self.assertClosed(self.browse(cookie=None), 4401, "session-missing")
        self.assertEqual(called, [])
        self.assertNothingLeft()

    def test_raises(self) -> None:
        """
        Autobahn's methods may raise.
        """

        class Bad(WebSocketServerProtocol):
            def onMessage(self, payload: bytes, isBinary: bool) -> None:
                raise ZeroDivisionError

            def onClose(self, *args: Any) -> None:
                raise ZeroDivisionError

        self.enable(Bad)
        browser = self.browse()
        browser.send(b"1")
        self.assertClosed(browser, 1011, "handler failed")
        self.assertNothingLeft()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_twice(self) -> None:
        """
        A factory is enabled once.
        """
        self.enable(WebSocketServerProtocol)
        with self.assertRaisesRegex(ValueError, "sessions already"):
            enable(self.factory, self.manager)
        with self.assertRaisesRegex(ValueError, "sessions already"):
            enable(self.serve(), self.manager)

    def test_ours(self) -> None:
        """
        A plain factory may have one of our protocols, which says itself what
        messages are.
        """

        class Plain(SessionSocketProtocol):
            messages = Raw()

        self.enable(Plain)
        self.browse().send(b"x", isBinary=True)
        self.assertEqual(self.seen, [("sconnection",), ("smessage", b"x")])

    def test_namesLikeOurs(self) -> None:
        """
        A protocol may use the names that ours offers; its own code relies on
        them.  What it overrides of ours is called.
        """
        got: list[Any] = []

        class Named(WebSocketServerProtocol):
            messages = ("mine",)
            send = close = receive = None

            def __init__(self) -> None:
                super().__init__()
                self.session = self.client = self.sockets = "mine"

            def connectionMade(self) -> None:
                WebSocketServerProtocol.connectionMade(self)
                got.append("made")

            def sessionMessageReceived(self, message: Any, session: Any) -> None:
                got.append((message, self.session, self.client, self.messages))

        self.factory = WebSocketServerFactory(reactor=self.clock)
        self.factory.sockets = self.factory.origins = "mine"
        self.factory.protocol = Named
        enable(self.factory, self.manager)
        self.browse().send("x")
        self.assertEqual(got, ["made", ("x", "mine", "mine", ("mine",))])

    def test_subprotocol(self) -> None:
        """
        C{onConnect} may choose a subprotocol, later.
        """

        class Choosing(WebSocketServerProtocol):
            def onConnect(self, request: Any) -> Any:
                return succeed(request.protocols[1])

        self.enable(Choosing)
        browser = self.browse(protocols=["a", "b"])
        self.assertEqual(browser.client.websocket_protocol_in_use, "b")
        self.assertEqual(self.seen, [("sconnection",)])

    def test_options(self) -> None:
        """
        What somebody set stays as it is set; the rest has our limits.
        """
        self.factory = WebSocketServerFactory(reactor=self.clock)
        self.factory.setProtocolOptions(
            maxMessagePayloadSize=5, autoPingInterval=7, allowedOrigins=["*"]
        )
        enable(self.factory, self.manager, limits=Limits(messageSize=9))
        factory = self.factory
        self.assertEqual(
            (factory.maxMessagePayloadSize, factory.maxFramePayloadSize), (5, 9)
        )
        self.assertEqual((factory.autoPingInterval, factory.autoPingTimeout), (7, 20))

    def test_prepared(self) -> None:
        """
        What is prepared once for many is held like anything else.
        """
        self.enable(WebSocketServerProtocol)
        browser = self.browse()
        self.store.hold("replace")
        browser.server.session["n"] = 1
        browser.server.send("a")
        for doNotCompress in False, True:
            prepared = self.factory.prepareMessage(b'"b"', False, doNotCompress)
            browser.server.sendPreparedMessage(prepared)
        self.wait()
        self.assertEqual(browser.got, [])
        self.store.release()
        self.wait()
        self.assertEqual(browser.got, ["a", "b", "b"])
        # One that is too large is refused.  Its client is not to blame for it.
        large = self.factory.prepareMessage(b"x" * (2**20 + 1))
        self.assertRaises(ValueError, browser.server.sendPreparedMessage, large)

    def test_sendMessage(self) -> None:
        """
        A C{sendMessage} of its own is used for what goes out; when it fails
        later, that is an error of this client only.
        """

        class Sending(WebSocketServerProtocol):
            def sendMessage(self, payload: bytes, *args: Any, **more: Any) -> None:
                if payload == b'"bad"':
                    raise ZeroDivisionError
                super().sendMessage(b"[%s]" % payload, *args, **more)

        self.enable(Sending)
        browser, other = self.browse(), self.browse()
        self.store.hold("replace")
        browser.server.session["n"] = 1
        browser.server.send("bad")
        other.server.send("good")
        self.wait()
        self.store.release()
        self.assertClosed(browser, 1011, "session failed")
        self.assertEqual(other.got, [["good"]])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
