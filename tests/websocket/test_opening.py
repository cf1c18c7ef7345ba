"""
Tests for the handshake of L{txsessionsock.websocket.Hardened}, with Autobahn's own
as the oracle.  C{tests/real/doors} has those of each hole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
)
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.doors import KEY, frame, handshake
from tests.support.frames import Rules
from tests.support.pages import Wire
from txsessionsock.handshake import Handshake
from txsessionsock.limits import Limits
from txsessionsock.origins import Origins
from txsessionsock.testing import ADDRESS
from txsessionsock.websocket import AutobahnTimer, Hardened, setLimits


FUZZ = float(os.environ.get("FUZZ", "1"))
"""
How many times as many heads as usual are tried.
"""

HEADS = 1500

SEED = 20261129

ATTRIBUTES = (
    "http_headers",
    "http_request_data",
    "http_request_host",
    "http_request_params",
    "http_request_path",
    "http_request_uri",
    "http_response_data",
    "http_status_line",
    "websocket_extensions",
    "websocket_extensions_in_use",
    "websocket_origin",
    "websocket_protocol_in_use",
    "websocket_protocols",
    "websocket_version",
    "_wskey",
)
"""
What Autobahn's handshake sets.
"""


@dataclass
class Seen:
    """
    What a server did with a client.
    """

    requests: list[Any] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    answer: bytes = b""
    protocol: Any = None

    @property
    def status(self) -> int | None:
        """
        That of the answer; L{None} if there is none.
        """
        return int(self.answer.split(b" ")[1]) if self.answer else None


class Recording:
    """
    Writes down what it is told.
    """

    seen: Seen
    subprotocol: str | None = None

    def onConnect(self, request: Any) -> Any:
        self.seen.requests.append(request)
        return self.subprotocol if self.subprotocol in request.protocols else None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.seen.messages.append(payload)


class Plain(Recording, WebSocketServerProtocol):  # type: ignore[misc]  # Its own.
    """
    Autobahn's.
    """


class Ours(Recording, Hardened):  # type: ignore[misc]  # The same.
    """
    Ours.
    """


class Anywhere(Origins):
    """
    The origins of which no page is refused, as with Autobahn.
    """

    def refusal(self, handshake: Handshake) -> None:
        return None


class TurnTests(SynchronousTestCase):
    """
    Handshakes that come when others have had all the time.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        factory: Any = WebSocketServerFactory(reactor=self.clock)
        factory.protocol = Ours
        factory._batched_timer = AutobahnTimer(self.clock)
        factory._sessionsock = rules = Rules(origins=Anywhere(), clock=self.clock)
        setLimits(factory, Limits())
        self.protocol = factory.buildProtocol(ADDRESS)
        self.protocol.seen = Seen(protocol=self.protocol)
        self.wire = Wire()
        self.protocol.makeConnection(self.wire)
        rules.turns._spent = 1.0
        self.protocol.dataReceived(handshake())

    def test_waits(self) -> None:
        """
        One waits for its turn, and then is answered.
        """
        self.assertEqual(self.wire.value(), b"")
        self.clock.advance(0)
        self.assertIn(b" 101 ", self.wire.value())

    def test_inTime(self) -> None:
        """
        One that waits for longer than a handshake may take is not cut off: its client
        has done its part.  The application has its time from then on.
        """
        factory = self.protocol.factory
        timeout = Limits().handshakeTimeout
        asked: Deferred[None] = Deferred()
        self.protocol.onConnect = lambda request: asked
        # The reactor does not come to it.
        self.clock.calls = [
            call
            for call in self.clock.calls
            if call.func != factory._sessionsock.turns._turn
        ]
        began = self.protocol._sessionsock.connectedAt
        self.clock.advance(3 * timeout - 1)
        self.assertFalse(self.wire.isAborted)
        factory._sessionsock.turns._turn(self.clock)
        self.assertEqual(
            self.protocol._sessionsock.connectedAt, began + 3 * timeout - 1
        )
        self.clock.advance(timeout - 1)
        self.assertFalse(self.wire.isAborted)
        self.clock.advance(2)
        self.assertTrue(self.wire.isAborted)

    def test_gone(self) -> None:
        """
        One whose client goes meanwhile is forgotten.
        """
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(0)
        self.assertEqual(self.protocol.seen.requests, [])
        self.assertEqual(self.wire.value(), b"")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_early(self) -> None:
        """
        What a client sends meanwhile is bounded.
        """
        self.protocol.dataReceived(b"x" * 127 * 1024)
        self.assertFalse(self.wire.isAborted)
        self.protocol.dataReceived(b"x" * 1025)
        self.assertTrue(self.wire.isAborted)

    def test_fails(self) -> None:
        """
        Where the application fails at what came with it, the connection ends.
        """
        self.protocol.onPing = lambda payload: 1 // 0
        self.protocol.dataReceived(frame(b"x", 9))
        self.clock.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.wire.isAborted)


class OpeningCase(SynchronousTestCase):
    """
    The two, one beside the other.
    """

    externalPort: int | None = None
    origins: Origins

    def setUp(self) -> None:
        self.clock = Clock()
        self.origins = Anywhere()

    def factory(self, kind: type, **options: Any) -> Any:
        """
        Make a factory of one kind of protocol.
        """
        factory: Any = WebSocketServerFactory(
            externalPort=self.externalPort, reactor=self.clock
        )
        factory.protocol = kind
        factory._batched_timer = AutobahnTimer(self.clock)
        factory._sessionsock = Rules(origins=self.origins, clock=self.clock)
        factory.server = ""
        setLimits(factory, Limits())
        if options:
            factory.setProtocolOptions(**options)
        factory.allowNullOrigin = True
        return factory

    def ask(self, kind: type, *data: bytes, **options: Any) -> Seen:
        """
        Connect, and send something.
        """
        factory = self.factory(kind, **options)
        protocol = factory.buildProtocol(ADDRESS)
        protocol.seen = seen = Seen(protocol=protocol)
        wire = Wire()
        wire.protocol = protocol
        protocol.makeConnection(wire)
        for piece in data:
            protocol.dataReceived(piece)
        seen.answer = wire.value()
        protocol.connectionLost(Failure(ConnectionDone()))
        return seen

    def assertSame(self, plain: Seen, ours: Seen, head: object) -> None:
        """
        Both opened, and read the same.
        """
        self.assertEqual((plain.status, ours.status), (101, 101), head)
        self.assertEqual(plain.answer, ours.answer, head)
        self.assertEqual(plain.messages, ours.messages, head)
        (theirs,), (own,) = plain.requests, ours.requests
        self.assertEqual(theirs.__json__(), own.__json__(), head)
        for name in ATTRIBUTES:
            first, second = getattr(plain.protocol, name), getattr(ours.protocol, name)
            if name.endswith("in_use") and isinstance(first, list):
                first, second = [[type(e) for e in each] for each in (first, second)]
            self.assertEqual(first, second, (name, head))


class SameTests(OpeningCase):
    """
    What Autobahn does right is done as Autobahn does it.
    """

    def same(self, request: bytes, **options: Any) -> Seen:
        """
        Have both read a handshake.
        """
        plain = self.ask(Plain, request, **options)
        ours = self.ask(Ours, request, **options)
        self.assertSame(plain, ours, request)
        return ours

    def test_request(self) -> None:
        """
        The request, with all that can be in it.
        """
        ours = self.same(
            handshake(
                "Origin: http://localhost",
                "Sec-WebSocket-Protocol: a , b",
                "Sec-WebSocket-Extensions: x; y=1; y=2; z",
                "Cookie: a=1",
                "X-A:  \t a \t ",
                path="/a;b/c;d?e=1&e=%C3%85&f=&g",
            )
        )
        (request,) = ours.requests
        self.assertEqual(request.headers["x-a"], "a")
        for target in "http://other/a?b=c", "*", "//a/b", "/%00":
            self.same(handshake(path=target))
        for host in "[::1]", "[::1]:80", "a:80", "", "a.b":
            self.same(handshake().replace(b"localhost", host.encode()))
        self.same(
            handshake("Sec-WebSocket-Origin: http://localhost").replace(b"13", b"8")
        )

    def test_options(self) -> None:
        """
        Autobahn's options count.
        """
        forwarded = handshake("X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-Forwarded-For: 3")
        for proxies, peer in (1, "3"), (2, "2.2.2.2"), (9, "1.1.1.1"):
            ours = self.same(forwarded, trustXForwardedFor=proxies)
            self.assertEqual(ours.requests[0].peer, peer)
        allowed = handshake("Origin: http://localhost")
        self.same(allowed, allowedOrigins=["http://localhost:80"])
        for kind, status in (Plain, 400), (Ours, 403):
            seen = self.ask(kind, allowed, allowedOrigins=["http://other:80"])
            self.assertEqual(seen.status, status)
        for kind, status in (Plain, 400), (Ours, 426):
            self.assertEqual(self.ask(kind, handshake(), versions=[8]).status, status)
        self.patch(Recording, "subprotocol", "b")
        self.same(handshake("Sec-WebSocket-Protocol: a, b"))

    def test_compression(self) -> None:
        """
        Compression is agreed on, if it is asked for.
        """

        def agree(offers: Any) -> Any:
            for offer in offers:
                if isinstance(offer, PerMessageDeflateOffer):
                    return PerMessageDeflateOfferAccept(offer)
            return None

        offered = "permessage-deflate; client_max_window_bits, other"
        request = handshake(f"Sec-WebSocket-Extensions: {offered}")
        ours = self.same(request, perMessageCompressionAccept=agree)
        self.assertIn(b"Sec-WebSocket-Extensions: permessage-deflate", ours.answer)
        self.assertIsNotNone(ours.protocol._perMessageCompress)
        self.same(request)
        both = handshake(
            "Sec-WebSocket-Extensions: other", f"Sec-WebSocket-Extensions: {offered}"
        )
        seen = self.ask(Ours, both, perMessageCompressionAccept=agree)
        self.assertIn(b"Sec-WebSocket-Extensions: permessage-deflate", seen.answer)

    def test_pings(self) -> None:
        """
        From then on there are pings, and no more time limit.
        """
        for kind in Plain, Ours:
            protocol = self.ask(kind, handshake(), autoPingInterval=5.0).protocol
            self.assertIsNone(protocol.openHandshakeTimeoutCall)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_shown(self) -> None:
        """
        A request that is shown shows nothing that may be secret.
        """
        secret = "Sec-WebSocket-Protocol: hunter2", "Cookie: hunter2"
        seen = self.ask(Ours, handshake(*secret, path="/a?hunter2"))
        (request,) = seen.requests
        self.assertIn("/a", str(request))
        self.assertNotIn("hunter2", f"{request} {request!s} {request!r}")


class OursTests(OpeningCase):
    """
    What Autobahn does otherwise.
    """

    def connect(self, do: Callable[[Any], Any]) -> tuple[Any, Wire]:
        """
        Connect, and send a handshake.

        @param do: What C{onConnect} does.
        """
        self.patch(Recording, "onConnect", lambda protocol, request: do(request))
        factory = self.factory(Ours)
        wire = Wire()
        wire.protocol = factory.buildProtocol(ADDRESS)
        wire.protocol.seen = Seen()
        wire.protocol.makeConnection(wire)
        wire.protocol.dataReceived(handshake())
        return wire.protocol, wire

    def test_left(self) -> None:
        """
        A client that left while C{onConnect} waited is neither let in nor told
        anything.
        """
        opened: list[None] = []
        self.patch(Ours, "onOpen", lambda protocol: opened.append(None))
        for result in None, Failure(ConnectionDeny(403, "no")):
            gate: Deferred[Any] = Deferred()
            protocol, wire = self.connect(partial(_waitFor, gate))
            protocol.connectionLost(Failure(ConnectionDone()))
            gate.callback(result)
            self.assertEqual((opened, wire.value()), ([], b""))
            self.assertEqual(protocol.state, protocol.STATE_CLOSED)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_onOpen(self) -> None:
        """
        When C{onOpen} fails, the log says so, and the client is told that it was
        the server.
        """
        self.patch(Ours, "onOpen", lambda protocol: 1 / 0)
        protocol, wire = self.connect(lambda request: None)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(wire.value().endswith(b"\x88\x02\x03\xf3"))
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_sentOn(self) -> None:
        """
        What comes from a client that was refused is not kept.
        """
        protocol, wire = self.connect(lambda request: _raise(ConnectionDeny(403)))
        for _ in range(3):
            protocol.dataReceived(b"x" * 1000)
        self.assertEqual(protocol.data, b"")
        # It has not agreed to the end until then.
        self.clock.advance(Limits().handshakeTimeout)
        self.assertTrue(wire.isAborted)

    def test_many(self) -> None:
        """
        Autobahn's C{maxConnections} counts.
        """
        factory = self.factory(Ours, maxConnections=1)
        statuses = []
        for _ in range(2):
            wire = Wire()
            wire.protocol = factory.buildProtocol(ADDRESS)
            wire.protocol.seen = Seen()
            wire.protocol.makeConnection(wire)
            wire.protocol.dataReceived(handshake())
            statuses.append(int(wire.value().split(b" ")[1]))
        self.assertEqual(statuses, [101, 503])

    def test_port(self) -> None:
        """
        Where the factory was told its port, it has to be that one.
        """
        self.externalPort = 9000
        for host, status in (
            (b"localhost:9000", 101),
            (b"localhost:9001", 400),
            (b"localhost", 101),
        ):
            request = handshake().replace(b"localhost", host)
            for kind in Plain, Ours:
                self.assertEqual(self.ask(kind, request).status, status)

    def test_oldOrigin(self) -> None:
        """
        An old browser says with another header which page it is.
        """
        self.origins = Origins()
        old = handshake("Sec-WebSocket-Origin: http://evil.example")
        self.assertEqual(self.ask(Ours, old.replace(b"13", b"8")).status, 403)
        self.assertEqual(self.ask(Ours, old).status, 101)

    def test_visited(self) -> None:
        """
        The log has nothing of a browser that looks at the address of a socket; a
        handshake whose C{Upgrade} got lost is in it.
        """
        for request, lines in (
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0),
            (handshake().replace(b"Upgrade: websocket\r\n", b""), 1),
        ):
            with capturedLogs() as logs:
                self.assertEqual(self.ask(Ours, request).status, 426)
            said = [log for log in logs if "this is a WebSocket" in log.get("line", "")]
            self.assertEqual(len(said), lines)


def _raise(error: Exception) -> None:
    raise error


def _waitFor(gate: Deferred[Any], request: object) -> Deferred[Any]:
    return gate


# Heads of all kinds.

_NAMES = (
    "Host",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Key",
    "Origin",
    "Cookie",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Origin",
    "X-Forwarded-For",
    "Content-Length",
    "Transfer-Encoding",
    "X-A",
)

_VALUES = (
    "localhost",
    "localhost:80",
    "[::1]",
    "localhost:",
    "localhost: 8_0",
    "websocket",
    "h2c, WebSocket",
    "Upgrade",
    "keep-alive, upgrade",
    "13",
    "8",
    "7",
    "013",
    "+13",
    KEY,
    KEY[:-1],
    "http://localhost",
    "null",
    "a=1; b=2",
    "a, b",
    "a, a",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; nonsense",
    "x; y=1",
    "0",
    "5",
    "chunked",
    "n=\xc3\x85; m=1",
    "",
)

_TARGETS = ("/ws", "/a?b=1&b=2", "/a#b", "*", "http://a/b", "//[", "/%zz", "/\xc5")


def anyHead(random: Random) -> bytes:
    """
    Make a head, by some changes to a good one.
    """
    fields = [line.split(": ") for line in handshake().decode().split("\r\n")[1:-2]]
    line = ["GET", "/ws", "HTTP/1.1"]

    def value() -> None:
        random.choice(fields)[1] = random.choice(_VALUES)

    def more() -> None:
        fields.append([random.choice(_NAMES), random.choice(_VALUES)])

    def twice() -> None:
        fields.append(list(random.choice(fields)))

    def fewer() -> None:
        del fields[random.randrange(len(fields))]

    def case() -> None:
        changed = random.choice(fields)
        changed[0] = random.choice([str.lower, str.upper])(changed[0])

    def first() -> None:
        line[random.randrange(3)] = random.choice(
            ["GET", "POST", "HTTP/1.0", "HTTP/1.1", "http/1.1", *_TARGETS]
        )

    def target() -> None:
        line[1] = random.choice(_TARGETS)

    def order() -> None:
        random.shuffle(fields)

    changes: list[Callable[[], None]] = [
        value, more, more, more, twice, fewer, case, first, target, order,
    ]  # fmt: skip
    for _ in range(random.randrange(4)):
        if fields:
            random.choice(changes)()
    blanks = [random.choice([" ", " ", " ", "", "\t", "  "]) for _ in fields]
    lines = [f"{n}:{b}{v}" for (n, v), b in zip(fields, blanks, strict=True)]
    head = "\r\n".join([" ".join(line), *lines, "", ""]).encode("iso-8859-1")
    if random.random() < 0.3:
        at = random.randrange(len(head))
        octet = bytes([random.choice([random.randrange(256), *b"\r\n\x0b\x85 :"])])
        head = head[:at] + octet + head[at + random.randrange(2) :]
    return head


def cut(random: Random, stream: bytes) -> list[bytes]:
    """
    Cut something into a few pieces.
    """
    cuts = sorted(random.randrange(len(stream)) for _ in range(random.randrange(4)))
    return [
        stream[start:end]
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]


_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_STRANGE = re.compile(rb"[\x85\xa0]")
"""
What Python's texts take for the end of a line, or for a blank.
"""


def _isHole(head: bytes) -> bool:
    """
    Whether Autobahn may take a head that is to be refused, or may take it for
    something else than it is.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines]
    values = {
        line.partition(b":")[0].lower(): line.partition(b":")[2] for line in lines
    }
    return bool(
        _CONTROL.search(b"".join([first, *lines]))
        or _STRANGE.search(head)
        or not re.fullmatch(rb"[A-Z]+ [!-~]+ HTTP/1.1", first)
        or not all(re.fullmatch(rb"[!#-'*+.^-z|~A-Z0-9-]+", name) for name in names)
        # A body.
        or values.get(b"content-length", b"0").strip() != b"0"
        or names.count(b"content-length") > 1
        or b"transfer-encoding" in names
        # Numbers as Python has them.
        or re.search(rb"[ _]", values.get(b"host", b"").strip())
        or not values.get(b"sec-websocket-version", b"").strip().isdigit()
        # Two headers, and the last one is none of these: see above.
        or names.count(b"cookie") > 1
    )


class FuzzTests(OpeningCase):
    """
    Heads good and bad, which come in pieces: what Autobahn opens is opened, and
    the application is asked the same, unless it is a hole; and nothing else is.
    """

    def test_fuzz(self) -> None:
        """
        C{FUZZ=100} tries a hundred times as many.
        """
        random = Random(SEED)
        opened = refused = holes = 0
        for _ in range(round(HEADS * FUZZ)):
            head = anyHead(random)
            stream = head + frame(b"behind")
            pieces = cut(random, stream)
            plain, ours = self.ask(Plain, *pieces), self.ask(Ours, *pieces)
            if ours.status == 101:
                opened += 1
                self.assertEqual(len(ours.requests), 1)
                if not _mayDiffer(head):
                    self.assertSame(plain, ours, head)
            elif plain.status == 101:
                holes += 1
                self.assertTrue(_isHole(head), (head, ours.answer))
                self.assertEqual(ours.requests, [], head)
            else:
                refused += 1
                if not _mayDiffer(head):
                    # Autobahn looks at what is offered when it has asked, too.
                    self.assertLessEqual(len(ours.requests), len(plain.requests), head)
                if plain.status != 200:
                    self.assertEqual(plain.status is None, ours.status is None, head)
        least = HEADS * FUZZ / 20
        for count in opened, refused, holes:
            self.assertGreater(count, least / 2)


def _mayDiffer(head: bytes) -> bool:
    """
    Whether a head that is right is one that Autobahn reads wrongly, or refuses.
    """
    lowered = head.lower()
    return bool(
        _STRANGE.search(head)
        or lowered.count(b"\r\ncookie:") > 1
        or lowered.count(b"\r\nsec-websocket-extensions:") > 1
    )
