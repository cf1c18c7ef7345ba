"""
Tests for the model of a bus.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from simulation.bus import Ether, SimulatedBus
from simulation.queue import NodeClock, Queue


class BusTests(SynchronousTestCase):
    """
    Tests for L{SimulatedBus}.
    """

    def setUp(self) -> None:
        self.queue = Queue(1)
        ether = Ether(0.01)
        self.heard: dict[str, list[bytes]] = {}
        self.buses = []
        for name in ("node1", "node2"):
            bus = SimulatedBus(name, ether, NodeClock(self.queue))
            heard = self.heard[name] = []

            def answer(command: bytes, heard: list[bytes] = heard) -> bytes:
                heard.append(command)
                return b"answer"

            bus.handle(answer)
            self.buses.append(bus)

    def test_order(self) -> None:
        """
        Commands come in the order of their sender, but for some that are lost;
        and to oneself at once, all of them.
        """
        commands = [b"%03d" % number for number in range(200)]
        asked = [self.buses[0].request(command) for command in commands]
        self.assertEqual(self.heard["node1"], commands)
        self.queue.run(5.0, 10_000)
        heard = self.heard["node2"]
        self.assertEqual(heard, sorted({*heard}))
        self.assertTrue(170 < len(heard) < 200)
        for command, each in zip(commands, asked, strict=True):
            answers = self.answers(each)
            self.assertEqual(answers["node1"], b"answer")
            self.assertEqual(answers["node2"] is None, command not in heard)

    def answers(self, asked: Deferred[dict[str, bytes | None]]) -> dict[str, object]:
        """
        What each node answered.
        """
        answers: dict[str, bytes | None] = self.successResultOf(asked)
        return {**answers}

    def test_closed(self) -> None:
        """
        Nobody waits for a node that is gone.
        """
        self.successResultOf(self.buses[1].close())
        asked = self.buses[0].request(b"command")
        self.assertEqual(self.answers(asked), {"node1": b"answer"})
