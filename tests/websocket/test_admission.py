"""
Tests for L{txsessionsock.websocket.admission}: how many connections there may be.
"""

from __future__ import annotations

from random import Random
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.frames import Rules
from tests.websocket.test_websocket import Echo
from txsessionsock._seldom import Seldom
from txsessionsock.forwarded import Proxies
from txsessionsock.handshake import Handshake
from txsessionsock.limits import Limits
from txsessionsock.testing import MemoryWire
from txsessionsock.websocket import Admission, AutobahnTimer, setLimits
from txsessionsock.websocket.admission import Place


def from_(address: str | None) -> Handshake:
    """
    @return: A request from there.
    """
    return Handshake({}, False, peer=address)


class AdmissionTests(SynchronousTestCase):
    """
    L{Admission} alone.
    """

    def admission(self, **limits: Any) -> Admission:
        """
        @return: One with these limits.
        """
        return Admission(Limits(**limits))

    def status(self, place: Place, address: str | None = "192.0.2.1") -> int | None:
        """
        @return: That of the answer; L{None} if it may go on.
        """
        problem = place.settle(from_(address))
        return None if problem is None else problem.status.value

    def test_unlimited(self) -> None:
        """
        Unless a limit is set, there is none.
        """
        admission = Admission(Limits())
        places = [admission.arrive("192.0.2.1") for _ in range(10_000)]
        self.assertEqual({self.status(place) for place in places}, {None})
        self.assertEqual(len(admission), 10_000)

    def test_inAll(self) -> None:
        """
        What is one too many gets 503, and when to come again; one whose request
        comes when there is room may stay.
        """
        admission = self.admission(maxConnections=2)
        first, second, third, fourth = (admission.arrive(None) for _ in range(4))
        self.assertEqual([self.status(p) for p in (first, second)], [None, None])
        problem = third.settle(from_("192.0.2.1"))
        assert problem is not None
        self.assertEqual(
            (problem.status, problem.headers), (503, [("Retry-After", "5")])
        )
        self.assertIn("--max-connections", problem.why)
        first.leave()
        self.assertIsNone(self.status(fourth))
        self.assertEqual(self.status(admission.arrive(None)), 503)
        third.leave()
        self.assertEqual(len(admission), 2)

    def test_hopeless(self) -> None:
        """
        Few may wait for that answer, the others get none.
        """
        admission = self.admission(maxConnections=1)
        inside = admission.arrive(None)
        places = [admission.arrive(None) for _ in range(100)]
        self.assertEqual(
            [place.hopeless is not None for place in places], [False] * 64 + [True] * 36
        )
        places[0].leave()
        self.assertIsNone(admission.arrive(None).hopeless)
        for place in inside, *places:
            place.leave()
        self.assertIsNone(admission.arrive(None).hopeless)

    def test_answered(self) -> None:
        """
        One that was answered counts among those that wait until it is gone: over
        TLS, a client may take its time to leave.
        """
        admission = self.admission(maxConnections=1)
        first = admission.arrive(None)
        places = []
        for _ in range(64):
            place = admission.arrive(None)
            self.assertEqual(self.status(place), 503)
            places.append(place)
        self.assertIsNotNone(admission.arrive(None).hopeless)
        for place in (first, *places):
            place.leave()
        self.assertEqual((len(admission), admission._over), (0, 0))

    def test_address(self) -> None:
        """
        An address has as many as it may, however it is written, and others have
        theirs.
        """
        admission = self.admission(perAddress=2)
        first, second = (admission.arrive("192.0.2.1") for _ in range(2))
        self.assertEqual([self.status(p) for p in (first, second)], [None, None])
        third, other = admission.arrive("192.0.2.1"), admission.arrive("192.0.2.2")
        problem = third.settle(from_("192.0.2.1"))
        assert problem is not None
        self.assertEqual((problem.status, problem.headers), (429, []))
        self.assertIn("192.0.2.1 has 2, as many as it may", problem.why)
        self.assertIsNone(self.status(other, "192.0.2.2"))
        first.leave()
        first.leave()
        self.assertIsNone(self.status(admission.arrive("192.0.2.1")))
        self.assertEqual(self.status(admission.arrive("192.0.2.1")), 429)

    def test_network(self) -> None:
        """
        A network of IPv6 has as many as an address, or as it is given; one of
        IPv4 any number.
        """
        for limits, allowed in (
            ({"perAddress": 3}, 3),
            ({"perNetwork": 5}, 5),
            ({"perAddress": 3, "perNetwork": 5}, 5),
            ({"perAddress": 5, "perNetwork": 3}, 3),
        ):
            admission = self.admission(**limits)
            near = [f"2001:db8:0:1::{n:x}" for n in range(1, 10)]
            got = [self.status(admission.arrive(a), a) for a in near]
            self.assertEqual(got, [None] * allowed + [429] * (9 - allowed), limits)
            far = "2001:db8:0:2::1"
            self.assertIsNone(self.status(admission.arrive(far), far))
            four = [f"192.0.2.{n}" for n in range(10)]
            got = [self.status(admission.arrive(a), a) for a in four]
            self.assertEqual(set(got), {None})

    def test_proxy(self) -> None:
        """
        Behind a proxy, an address counts when it is known.
        """
        admission = self.admission(perAddress=1)
        places = [admission.arrive(None) for _ in range(4)]
        addresses = "192.0.2.1", "192.0.2.1", "192.0.2.2", None
        got = [self.status(*each) for each in zip(places, addresses, strict=True)]
        self.assertEqual(got, [None, 429, None, None])
        for place in places:
            place.leave()
        self.assertEqual((len(admission), admission._counts), (0, {}))

    def test_proxyWithoutWord(self) -> None:
        """
        A proxy that does not say for whom it asks counts as the client, and the
        log says that.
        """
        admission = self.admission(perAddress=1)
        asked = Handshake({}, False, True, Proxies(["10.0.0.1"]), "10.0.0.1")
        places = [admission.arrive(None) for _ in range(2)]
        self.assertIsNone(places[0].settle(asked))
        problem = places[1].settle(asked)
        assert problem is not None
        self.assertIn(
            "a proxy, which did not say for whom by X-Forwarded-For", problem.why
        )

    def test_exactlyOnce(self) -> None:
        """
        Whatever happens in whatever order, what counts is what is there.
        """
        random = Random(12)
        addresses = None, "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
        admission = self.admission(maxConnections=20, perAddress=6, perNetwork=8)
        places: list[Place] = []
        for _ in range(20_000):
            address = random.choice(addresses)
            match random.randrange(3):
                case 0:
                    places.append(admission.arrive(address))
                case 1 if places:
                    place = random.choice(places)
                    place.settle(from_(place.address or address))
                case 2 if places:
                    place = random.choice(places)
                    place.leave()
                    if random.random() < 0.9:
                        places.remove(place)
            inside = [place for place in places if place.state.name == "IN"]
            self.assertEqual(len(admission), len(inside))
            self.assertLessEqual(len(inside), 20)
            for each in addresses[1:]:
                count = sum(place.address == each for place in inside)
                self.assertEqual(admission._counts[each], count)
                self.assertLessEqual(count, 6)
            count = sum(":" in (place.address or "") for place in inside)
            self.assertEqual(admission._counts["2001:db8::/64"], count)
            self.assertLessEqual(count, 8)
        for place in places:
            place.leave()
        self.assertEqual((len(admission), admission._over), (0, 0))
        self.assertEqual(+admission._counts, {})


SOMEWHERE = IPv4Address("TCP", "192.0.2.1", 9)


class HardenedTests(SynchronousTestCase):
    """
    Connections that are too many.
    """

    def setUp(self) -> None:
        self.clock = Clock()

    def serve(
        self, protocol: Any = Echo, trustProxy: Any = False, **limits: Any
    ) -> Any:
        """
        Make a server.
        """
        given = Limits(**limits)
        factory: Any = WebSocketServerFactory(reactor=self.clock)
        factory.protocol = protocol
        factory._batched_timer = AutobahnTimer(self.clock)
        factory._sessionsock = Rules(
            limits=given,
            trustProxy=trustProxy,
            refusals=Seldom(self.clock),
            admission=Admission(given),
            clock=self.clock,
        )
        factory.seen = []
        setLimits(factory, given)
        self.factory = factory
        return factory

    def connect(self, address: Any = SOMEWHERE) -> Any:
        """
        @return: The server's end of a connection.
        """
        server = self.factory.buildProtocol(address)
        wire = MemoryWire(server, isServer=True, peerAddress=address)
        server.makeConnection(wire)
        return server

    def ask(self, server: Any, *headers: str) -> bytes:
        """
        Send a handshake.

        @return: The answer.
        """
        lines = [
            "GET / HTTP/1.1",
            "Host: a",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        server.dataReceived("\r\n".join([*lines, "", ""]).encode())
        return bytes(server.transport.getOutBuffer() or b"")

    def assertStatus(self, server: Any, status: int, *headers: str) -> bytes:
        """
        It is answered like that.
        """
        answer = self.ask(server, *headers)
        self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer)
        return answer

    def lose(self, server: Any, error: Exception | None = None) -> None:
        """
        End a connection.
        """
        server.connectionLost(Failure(error or ConnectionLost()))

    def test_halfOpen(self) -> None:
        """
        One that has not yet sent anything counts.
        """
        self.serve(maxConnections=2)
        silent = [self.connect() for _ in range(2)]
        late = self.connect()
        answer = self.assertStatus(late, 503)
        self.assertIn(b"\r\nRetry-After: 5\r\n", answer)
        self.assertTrue(late.transport.disconnecting)
        self.lose(silent[0])
        self.assertStatus(self.connect(), 101)
        self.assertStatus(silent[1], 101)

    def test_flood(self) -> None:
        """
        Those that are far too many are cut off, and cost nothing any more.
        """
        self.serve(perAddress=1)
        with capturedLogs() as logs:
            many = [self.connect() for _ in range(1000)]
        self.assertEqual(sum(each.transport.isAborted for each in many), 935)
        lines = [str(formatEvent(event)) for event in logs]
        self.assertIn("refused a connection from 192.0.2.1: 192.0.2.1 has 1", lines[0])
        self.assertLess(len(lines), 3, lines)
        other = self.connect(IPv4Address("TCP", "192.0.2.2", 9))
        self.assertStatus(other, 101)
        for each in many:
            self.lose(each)
        self.assertEqual(len(self.factory._sessionsock.admission), 1)
        self.assertStatus(self.connect(), 101)

    def test_addresses(self) -> None:
        """
        What an address is: one of IPv4 within IPv6 too, none at a Unix socket, a
        proxy's not, until it has said for whom it asks.
        """
        four = IPv4Address("TCP", "192.0.2.1", 9)
        mapped = IPv6Address("TCP", "::ffff:192.0.2.1", 9)
        unix, near = UNIXAddress(None), IPv4Address("TCP", "127.0.0.1", 9)
        self.serve(perAddress=1)
        for address, status in (four, 101), (mapped, 429), (unix, 101), (unix, 101):
            self.assertStatus(self.connect(address), status)
        said = "X-Forwarded-For: 6.6.6.6, 192.0.2."
        for address, headers, statuses in (
            (near, [f"{said}1"], [101, 429]),
            (unix, [f"{said}1"], [101, 429]),
            (near, [], [101, 429]),
            (unix, [], [101, 101]),
            (four, [f"{said}2"], [101, 429]),
        ):
            self.serve(perAddress=1, trustProxy=True)
            before = [self.connect(address) for _ in statuses]
            for server, status in zip(before, statuses, strict=True):
                self.assertStatus(server, status, *headers)
            if address is not four and headers:
                self.assertStatus(self.connect(address), 101, f"{said}3")

    def test_proxyItself(self) -> None:
        """
        However many connections of a proxy wait for their request, none of them is
        too many for an address.
        """
        near = IPv4Address("TCP", "127.0.0.1", 9)
        for trustProxy, cut in (True, 0), (False, 135):
            self.serve(perAddress=1, trustProxy=trustProxy)
            waiting = [self.connect(near) for _ in range(200)]
            self.assertEqual(sum(each.transport.isAborted for each in waiting), cut)

    def test_proxyProtocol(self) -> None:
        """
        By the PROXY protocol, the client's address counts, and not the proxy's
        before it has said that.
        """
        factory = self.serve(perAddress=1)
        outer = HAProxyWrappingFactory(Factory.forProtocol(Echo))
        outer.wrappedFactory = factory
        address = IPv4Address("TCP", "10.0.0.1", 9)
        wires: list[Any] = []
        for _ in range(3):
            wrapper: Any = outer.buildProtocol(address)
            wires.append(MemoryWire(wrapper, isServer=True, peerAddress=address))
            wrapper.makeConnection(wires[-1])
        for wire, last, status in zip(wires, (1, 1, 2), (101, 429, 101), strict=True):
            wire.protocol.dataReceived(
                b"PROXY TCP4 192.0.2.%d 192.0.2.9 4711 443\r\n" % last
            )
            inner = wire.protocol.wrappedProtocol
            lines = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
            lines += b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            lines += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            wire.protocol.dataReceived(lines)
            answer = bytes(wire.getOutBuffer())
            self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer)
            self.assertIn(f":192.0.2.{last}:", inner.peer)

    def test_notUnderstood(self) -> None:
        """
        The log says that a proxy sends what cannot be understood, also where no
        page is refused for that.
        """
        self.serve(trustProxy=True)
        with capturedLogs() as logs:
            for _ in range(3):
                server = self.connect(IPv4Address("TCP", "127.0.0.1", 9))
                self.assertStatus(server, 101, "X-Forwarded-For: me")
        lines = [str(formatEvent(event)) for event in logs]
        told = [line for line in lines if "not understood" in line]
        self.assertEqual(len(told), 1)
        self.assertIn("a proxy at 127.0.0.1 is not understood: X-Forw", told[0])

    def test_everyStage(self) -> None:
        """
        Wherever a connection ends, its place is free again, and Autobahn's count
        too.
        """

        class Waiting(Echo):
            def onConnect(self, request: Any) -> Any:
                return Deferred()

        class Failing(Echo):
            def onConnect(self, request: Any) -> Any:
                raise ZeroDivisionError

        class FailingAtTheEnd(Echo):
            def onClose(self, *how: Any) -> None:
                raise ZeroDivisionError

        def nothing(server: Any) -> None:
            pass

        def half(server: Any) -> None:
            server.dataReceived(b"GET / HT")

        def wrong(server: Any) -> None:
            server.dataReceived(b"nonsense\r\n\r\n")

        def foreign(server: Any) -> None:
            self.assertStatus(server, 403, "Origin: http://evil.example")

        def badFrame(server: Any) -> None:
            self.ask(server)
            server.dataReceived(b"\xff\xff\xff\xff")

        def late(server: Any) -> None:
            self.clock.advance(11)

        def dropped(server: Any) -> None:
            self.ask(server)
            server.dropConnection(abort=True)

        admission: Any = None
        for protocol in Echo, Waiting, Failing, FailingAtTheEnd:
            stages = nothing, half, wrong, foreign, self.ask, badFrame, late, dropped
            for stage in stages:
                for error in ConnectionDone(), ConnectionLost():
                    self.serve(protocol, maxConnections=1, perAddress=1)
                    admission = self.factory._sessionsock.admission
                    server, over = self.connect(), self.connect()
                    stage(server)
                    self.assertEqual(len(admission), 1, stage)
                    for each in over, server, over:
                        if each.transport is not None:
                            self.lose(each, error)
                            each.transport = None
                    self.assertEqual(len(admission), 0, stage)
                    self.assertEqual((admission._over, admission._counts), (0, {}))
                    self.assertEqual(self.factory.countConnections, 0, stage)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_autobahns(self) -> None:
        """
        Autobahn's own option goes on working, and does not leak if C{onClose}
        fails.
        """

        class Failing(Echo):
            def onClose(self, *how: Any) -> None:
                raise ZeroDivisionError

        self.serve(Failing)
        self.factory.setProtocolOptions(maxConnections=1)
        for _ in range(5):
            server = self.connect()
            self.assertStatus(server, 101)
            answer = self.assertStatus(over := self.connect(), 503)
            self.assertIn(b"Retry-After", answer)
            self.lose(over)
            self.lose(server)
            self.assertEqual(self.factory.countConnections, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_logged(self) -> None:
        """
        The log says seldom that connections are refused, and why.
        """
        self.serve(maxConnections=2, perAddress=1)
        with capturedLogs() as logs:
            self.connect()
            for _ in range(50):
                over = self.connect()
                self.assertStatus(over, 429)
                self.lose(over)
            self.connect(IPv4Address("TCP", "192.0.2.2", 9))
            for _ in range(50):
                over = self.connect()
                self.assertStatus(over, 503)
                self.lose(over)
            self.clock.advance(60)
        lines = [str(formatEvent(event)) for event in logs]
        mine = [line for line in lines if "refused a connection" in line]
        self.assertEqual(len(mine), 4)
        self.assertIn("refused a connection from 192.0.2.1: 192.0.2.1 has 1", mine[0])
        self.assertIn("there are 2, as many as there may be", mine[1])
        self.assertLess(len(lines), 12)
