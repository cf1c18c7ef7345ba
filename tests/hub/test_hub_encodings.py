"""
Tests for how often a message to a group is encoded, and that each client gets it
as it gets its other messages.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
    PerMessageDeflateResponseAccept,
)

from tests.support.hubbing import HubCase
from tests.support.managing import SID
from tests.support.wires import Browser, Recording
from txsessionsock.bus import LocalBus
from txsessionsock.hub import Hub
from txsessionsock.messages import JSON, Raw
from txsessionsock.protocol import enable
from txsessionsock.testing import browser as browsing


class Counting(JSON):
    """
    Messages that count how often they are encoded, and are not to be compared
    or hashed.
    """

    __hash__ = None  # type: ignore[assignment]  # as of a dataclass

    def __init__(self) -> None:
        self.encoded = 0

    def __eq__(self, other: object) -> bool:
        return True

    def encode(self, value: Any) -> tuple[bytes, bool]:
        self.encoded += 1
        payload, isBinary = super().encode(value)
        return payload.replace(b'"', b'""'), isBinary


class Compressing(WebSocketClientFactory):
    """
    Browsers that compress.
    """

    def resetProtocolOptions(self) -> None:
        super().resetProtocolOptions()
        self.perMessageCompressionOffers = [PerMessageDeflateOffer()]
        accept: Any = PerMessageDeflateResponseAccept
        self.perMessageCompressionAccept = accept


def _accept(offers: list[PerMessageDeflateOffer]) -> Any:
    return PerMessageDeflateOfferAccept(offers[0]) if offers else None


class EncodingTests(HubCase):
    """
    Tests on one node, with the session loaded once.
    """

    def setUp(self) -> None:
        super().setUp()
        self.bus = LocalBus(self.clock)
        self.serve()
        self.hub = Hub(self.factory.sockets, self.bus)
        self.encoded: list[object] = []
        encode = JSON.encode

        def counted(messages: JSON, value: Any) -> tuple[bytes, bool]:
            if type(messages) is JSON:
                self.encoded.append(value)
            return encode(messages, value)

        self.patch(JSON, "encode", counted)

    def test_once(self) -> None:
        """
        A message to fifty clients is encoded once.
        """
        browsers = [self.browse() for _ in range(50)]
        value = {"to": "all", "n": [1.5, None, "ü"]}
        self.assertEqual(self.reached(self.hub.session(SID).send(value)), 50)
        self.assertEqual(self.encoded, [value])
        for browser in browsers:
            self.assertEqual(browser.got, [value])

    def test_far(self) -> None:
        """
        On another node it is not encoded again.
        """
        far = self.serve(perMessage=self.perMessage)
        Hub(far.sockets, LocalBus(place=self.bus))
        browsers = [self.browse(far) for _ in range(3)]
        self.hub.session(SID).send("far")
        self.wait()
        self.assertEqual([browser.got for browser in browsers], [["far"]] * 3)
        self.assertEqual(self.encoded, ["far"])

    def test_kinds(self) -> None:
        """
        Clients with other messages get theirs, encoded once for each kind.
        """
        kinds = Counting(), Counting()
        classes: list[Any] = [
            type("Own", (Recording,), {"messages": messages}) for messages in kinds
        ]
        browsers: list[Browser] = []
        for protocol in (*classes, type("Text", (Recording,), {"messages": Raw()})):
            self.factory.protocol = protocol
            browsers += [self.browse(), self.browse()]
        self.factory.protocol = Recording
        plain = self.browse()
        self.assertEqual(self.reached(self.hub.session(SID).send("hi")), 7)
        self.assertEqual([kind.encoded for kind in kinds], [1, 1])
        self.assertEqual(self.encoded, ["hi"])
        got = [browser.got for browser in browsers]
        self.assertEqual(got, [['""hi""']] * 4 + [["hi"]] * 2)
        self.assertEqual(plain.got, ["hi"])

    def test_refused(self) -> None:
        """
        Clients that cannot be sent it do not count, and the others get it.
        """
        text: Any = type("Text", (Recording,), {"messages": Raw()})
        small: Any = type("Small", (Recording,), {"maxMessagePayloadSize": 4})
        for order in (text, small, Recording), (Recording, small, text):
            browsers = []
            for protocol in order:
                self.factory.protocol = protocol
                browsers.append((protocol, self.browse()))
                if protocol is small:
                    browsers[-1][1].server.maxMessagePayloadSize = 4
            self.assertEqual(self.reached(self.hub.session(SID).send([1, 2, 3])), 1)
            for protocol, browser in browsers:
                expected = [[1, 2, 3]] if protocol is Recording else []
                self.assertEqual(browser.got, expected)
                browser.cut()

    def test_compressed(self) -> None:
        """
        Clients that compress and others get the same.
        """
        self.factory.setProtocolOptions(perMessageCompressionAccept=_accept)
        plain = self.browse()
        self.patch(browsing, "WebSocketClientFactory", Compressing)
        compressing = self.browse()
        self.assertIsNotNone(compressing.server._perMessageCompress)
        self.assertIsNone(plain.server._perMessageCompress)
        for value in "a" * 500, "a" * 500:
            self.assertEqual(self.reached(self.hub.session(SID).send(value)), 2)
        self.assertEqual([compressing.got, plain.got], [["a" * 500] * 2] * 2)
        self.assertEqual(len(self.encoded), 2)

    def test_enabled(self) -> None:
        """
        The same for protocols of Autobahn's own, whose messages are made for
        each of them.
        """

        class Plain(WebSocketServerProtocol):
            pass

        class Echo(WebSocketServerProtocol):
            def onMessage(self, payload: bytes, isBinary: bool) -> None: ...

        browsers = []
        for protocol in Plain, Echo:
            factory: Any = WebSocketServerFactory(reactor=self.clock)
            factory.protocol = protocol
            factory.setProtocolOptions(autoPingInterval=0)
            self.hub = Hub(enable(factory, self.manager))
            browsers += [self.browse(factory) for _ in range(3)]
            self.assertEqual(self.reached(self.hub.session(SID).send("hi")), 3)
        self.assertEqual(self.encoded, ["hi", "hi"])
        self.assertEqual([browser.got for browser in browsers], [["hi"]] * 6)


class EncodingPerMessageTests(EncodingTests):
    """
    The same with the session fresh for each message.
    """

    perMessage = True

    def test_held(self) -> None:
        """
        What is held back for some until it is stored is encoded no more often,
        and as it was when it was sent.
        """
        hub, value = self.hub, ["first"]

        def add(client: Any, message: Any, session: Any) -> None:
            session["n"] = 1
            hub.room("all").send(value)
            value.append("later")

        self.do["sconnection"] = lambda client, _: hub.room("all").add(client)
        self.do["smessage"] = add
        other = self.other()
        browsers = [self.browse() for _ in range(3)]
        self.store.hold("replace")
        browsers[0].send("x")
        self.wait()
        self.assertEqual([browser.got for browser in browsers], [[], [], []])
        self.assertEqual(other.got, [["first"]])
        self.store.release()
        self.wait()
        self.assertEqual([browser.got for browser in browsers], [[["first"]]] * 3)
        self.assertEqual(self.encoded, [["first", "later"]])
