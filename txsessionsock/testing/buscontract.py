# -*- test-case-name: tests.bus.test_bus -*-
"""
What every bus promises, as tests; published in L{txsessionsock.testing}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from zope.interface.verify import verifyObject

from txsessionsock._kinds import Bus
from txsessionsock.interfaces import IBus, StoreUnavailable

from .contract import Contract, toOverride


__all__ = ["BusContract"]


_MANY = 200
_TOO_LONG = 100 * 1024 * 1024


class BusContract(Contract):
    """
    Tests for what every L{IBus} promises.

    Mix into a L{twisted.trial.unittest.SynchronousTestCase}, and override what
    is below up to C{wait}.
    """

    def makeBus(self) -> Bus:
        """
        A bus without other nodes.  It takes part when L{IBus.handle} was
        called and L{joined} is done.
        """
        raise toOverride(self, "makeBus()", "returns a bus without other nodes")

    def makeOther(self, bus: Any) -> Bus:
        """
        Another node of the same.
        """
        raise toOverride(self, "makeOther(bus)", "returns another node of that bus")

    def joined(self, bus: Any) -> None:
        """
        Wait until a bus takes part.
        """

    def setUp(self) -> None:
        super().setUp()
        self.got: dict[str, list[bytes]] = {}
        self.one = self._handled(self.makeBus())

    def _handled(self, bus: Bus) -> Bus:
        """
        Have a bus keep what it gets in C{got}, and answer with what it got.
        """
        got = self.got[bus.node] = []

        def answer(command: bytes) -> bytes:
            got.append(command)
            if command == b"nonsense":
                raise ValueError("no such command")
            return command

        bus.handle(answer)
        self.joined(bus)
        return bus

    def _another(self) -> Bus:
        return self._handled(self.makeOther(self.one))

    def test_interface(self) -> None:
        """
        It provides the interface.
        """
        verifyObject(IBus, self.one)

    def test_alone(self) -> None:
        """
        Without others a node reaches itself, before it has the answer.
        """
        asking = self.one.request(b"hello")
        self.assertEqual(self.got, {self.one.node: [b"hello"]})
        self.assertEqual(self.wait(asking), {self.one.node: b"hello"})

    def test_all(self) -> None:
        """
        Every node gets a command, and every answer comes back, whichever node
        asks, and whichever bytes they are.
        """
        nodes = [self.one, self._another(), self._another()]
        self.assertEqual(len({bus.node for bus in nodes}), 3)
        every = bytes(range(256))
        for bus in nodes:
            answers = self.wait(bus.request(every + bus.node.encode()))
            self.assertEqual(len(answers), 3)
            self.assertEqual(set(answers.values()), {every + bus.node.encode()})
        for got in self.got.values():
            self.assertEqual(got, [every + bus.node.encode() for bus in nodes])

    def test_order(self) -> None:
        """
        Commands of one node come to each in the order of the requests.
        """
        nodes = [self.one, self._another()]
        asking = [
            bus.request(b"%d %d" % (n, number))
            for number in range(_MANY)
            for n, bus in enumerate(nodes)
        ]
        answers = self.wait(gatherResults(asking))
        self.assertEqual({len(each) for each in answers}, {2})
        for got in self.got.values():
            for n in range(2):
                self.assertEqual(
                    [each for each in got if each.startswith(b"%d " % n)],
                    [b"%d %d" % (n, number) for number in range(_MANY)],
                )

    def test_nested(self) -> None:
        """
        What is requested while a command is handled comes after it, also to
        the node itself, and both are answered.
        """
        other = self._another()
        order: list[bytes] = []
        asking: list[Deferred[dict[str, bytes | None]]] = []
        bus = self.makeOther(self.one)

        def answer(command: bytes) -> bytes:
            order.append(b"begins " + command)
            if command == b"outer":
                asking.append(bus.request(b"inner"))
            order.append(b"ends " + command)
            return b""

        bus.handle(answer)
        self.joined(bus)
        outer = self.wait(bus.request(b"outer"))
        inner = self.wait(asking[0])
        self.assertEqual(len(outer), 3)
        self.assertEqual(len(inner), 3)
        expected = [b"begins outer", b"ends outer", b"begins inner", b"ends inner"]
        self.assertEqual(order, expected)
        self.assertEqual(self.got[other.node], [b"outer", b"inner"])

    def test_notUnderstood(self) -> None:
        """
        A node that does not understand a command, or fails over it, is in the
        answer with L{None}; it goes on.
        """
        other = self.makeOther(self.one)

        def answer(command: bytes) -> bytes:
            raise ZeroDivisionError

        other.handle(answer)
        self.joined(other)
        for command, own in (b"sense", b"sense"), (b"nonsense", None):
            answers = self.wait(self.one.request(command))
            self.assertEqual(answers, {self.one.node: own, other.node: None})
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_tooLong(self) -> None:
        """
        A command that is too long is refused, and nobody gets it.
        """
        other = self._another()
        self.assertRaises(ValueError, self.one.request, b"x" * _TOO_LONG)
        self.assertEqual(len(self.wait(self.one.request(b"short"))), 2)
        self.assertEqual(self.got[self.one.node], [b"short"])
        self.assertEqual(self.got[other.node], [b"short"])

    def test_closed(self) -> None:
        """
        A node that was closed is not expected to answer, and cannot ask.
        """
        other = self._another()
        self.wait(other.close())
        answers = self.wait(self.one.request(b"?"))
        self.assertEqual(answers, {self.one.node: b"?"})
        self.assertEqual(self.got[other.node], [])
        with self.assertRaises(StoreUnavailable):
            self.wait(other.request(b"?"))
        self.wait(other.close())

    def test_oneHandler(self) -> None:
        """
        A bus serves one hub.
        """
        self.assertRaises(ValueError, self.one.handle, lambda command: command)
