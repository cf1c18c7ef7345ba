"""
Tests for the model of a bus.
"""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from simulation.bus import Ether, SimulatedBus
from simulation.queue import SECOND, NodeClock, Queue
from tests.support.busscripts import LIFETIME, SCRIPTS, TIMEOUT, Script
from txsessionsock.interfaces import IBus
from txsessionsock.testing import BusContract


_T = TypeVar("_T")
_MOST = 100_000


class SimulatedBusContractTests(BusContract, SynchronousTestCase):
    """
    What is promised for all buses.
    """

    def setUp(self) -> None:
        self.queue = Queue(1)
        self.ether = Ether(self.queue, 0.02)
        self.made = 0
        super().setUp()

    def makeBus(self) -> IBus:
        self.made += 1
        return SimulatedBus(f"node{self.made}", self.ether, NodeClock(self.queue))

    def makeOther(self, bus: IBus) -> IBus:
        return self.makeBus()

    def joined(self, bus: IBus) -> None:
        assert isinstance(bus, SimulatedBus)
        self.wait(bus.ready())

    def wait(self, answer: Deferred[_T]) -> _T:
        results: list[_T | Failure] = []
        answer.addBoth(results.append)
        self.queue.run(5.0, _MOST)
        (result,) = results
        if isinstance(result, Failure):
            result.raiseException()
        return result


class _Stage:
    """
    Nodes in a world.
    """

    def __init__(self, seed: int, timeout: float = TIMEOUT) -> None:
        self.queue = Queue(seed)
        ether = Ether(self.queue, 0.002)
        self.clock = NodeClock(self.queue)
        self.buses = []
        self.got: list[list[bytes]] = []
        for number in range(3):
            bus = SimulatedBus(
                f"node{number}",
                ether,
                NodeClock(self.queue, number * 10.0),
                timeout=timeout,
                lifetime=LIFETIME,
            )
            got: list[bytes] = []

            def answer(command: bytes, got: list[bytes] = got) -> bytes:
                got.append(command)
                return b"answer"

            bus.handle(answer)
            self.buses.append(bus)
            self.got.append(got)
        self.queue.run(3.0, _MOST)

    def seconds(self) -> float:
        return self.queue.now / SECOND

    def sleep(self, seconds: float) -> Deferred[Any]:
        return deferLater(self.clock, seconds)

    async def cut(self, number: int) -> None:
        line = self.buses[number].line
        line.trouble = "cut"
        line.cut()

    async def hold(self, number: int) -> None:
        self.buses[number].line.trouble = "deaf"

    async def heal(self, number: int) -> None:
        self.buses[number].line.trouble = ""


class SimulatedBusTests(SynchronousTestCase):
    """
    Tests for L{SimulatedBus}.
    """

    def play(self, script: Script, seed: int) -> None:
        """
        Have a script run in a world.
        """
        stage = _Stage(seed)

        async def play() -> None:
            await script(stage)

        playing = Deferred.fromCoroutine(play())
        stage.queue.run(60.0, _MOST)
        self.successResultOf(playing)

    def test_scripts(self) -> None:
        """
        What the scripts say that happens on a Redis happens here.
        """
        for script in SCRIPTS:
            for seed in range(5):
                self.play(script, seed)

    def test_late(self) -> None:
        """
        What is late comes later than anybody waits, and is not lost.
        """
        stage = _Stage(1, 2.0)
        stage.buses[1].line.trouble = "late"
        asked = [stage.buses[0].request(b"%d" % number) for number in range(20)]
        stage.queue.run(10.0, _MOST)
        answers = [self.successResultOf(each) for each in asked]
        self.assertIn(None, [each["node1"] for each in answers])
        self.assertNotIn(None, [each["node2"] for each in answers])
        self.assertGreater(len(stage.got[1]), 3)

    def test_again(self) -> None:
        """
        What was sent last before a connection was lost is sent again, now and then,
        and handled once.
        """
        times = []
        for seed in range(40):
            stage = _Stage(seed)
            publishes: list[bytes] = []
            ether = stage.buses[0].ether
            publish = ether._publish

            def published(stream: Any, channel: bytes, message: bytes) -> int:
                publishes.append(message)  # noqa: B023 - it is called in this turn
                return publish(stream, channel, message)  # noqa: B023 - as above

            ether._publish = published  # type: ignore[method-assign]  # To count.
            stage.buses[0].request(b"x").addErrback(lambda _: None)
            stage.queue.run(0.1, _MOST)
            stage.buses[0].line.cut()
            stage.queue.run(5.0, _MOST)
            times.append(max(publishes.count(each) for each in publishes))
            self.assertEqual(stage.got[1], [b"x"])
        self.assertEqual({*times}, {1, 2})

    def test_killed(self) -> None:
        """
        A node that was killed is reported at once, and does nothing any more.
        """
        stage = _Stage(1)
        stage.buses[2].request(b"?")
        stage.buses[2].killed()
        asked = stage.buses[0].request(b"!")
        stage.queue.run(0.1, _MOST)
        answers = self.successResultOf(asked)
        self.assertEqual(answers["node2"], None)
        self.assertNotIn(b"!", stage.got[2])
