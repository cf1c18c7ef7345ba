# -*- test-case-name: tests.simulation.test_bus -*-
"""
A model of what brings commands from node to node: late, lost now and then, in order
from each sender to each receiver, and in no order between senders.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from txsessionsock.interfaces import IBus

from .queue import SECOND, NodeClock


__all__ = ["Ether", "SimulatedBus"]

_TIMEOUT = 2.0
_LOST: Final = 0.05
"""
How many of the commands are lost.
"""

Answers = dict[str, bytes | None]


class Ether:
    """
    What connects all nodes.
    """

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.nodes: dict[SimulatedBus, None] = {}


@implementer(IBus)
class SimulatedBus:
    """
    One node's way to the others.

    @ivar node: See L{IBus}.
    """

    def __init__(self, node: str, ether: Ether, clock: NodeClock) -> None:
        self.node = node
        self._ether = ether
        self._clock = clock
        self._answer: Callable[[bytes], bytes] | None = None
        self._own: deque[Callable[[], object]] = deque()
        self._isBusy = False
        # When the last arrives of what each other node was sent.
        self._last: dict[SimulatedBus, int] = {}

    def handle(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._ether.nodes[self] = None

    def request(self, command: bytes) -> Deferred[Answers]:
        others = [each for each in self._ether.nodes if each is not self]
        done: Deferred[Answers] = Deferred()
        answers: Answers = {}
        awaited = {self, *others}

        def answered(node: SimulatedBus, answer: bytes | None) -> None:
            answers.setdefault(node.node, answer)
            awaited.discard(node)
            if not awaited and not done.called:
                if late.active():
                    late.cancel()
                done.callback(answers)

        def giveUp() -> None:
            for node in [self, *others]:
                if node in awaited:
                    answered(node, None)

        late = self._clock.callLater(_TIMEOUT, giveUp)
        for node in others:
            self._send(node, command, partial(answered, node))
        self._handleOwn(lambda: answered(self, self._handled(command)))
        return done

    def _handleOwn(self, call: Callable[[], object]) -> None:
        self._own.append(call)
        if not self._isBusy:
            self._isBusy = True
            try:
                while self._own:
                    self._own.popleft()()
            finally:
                self._isBusy = False

    def _handled(self, command: bytes) -> bytes | None:
        if self._answer is None:
            return None
        try:
            return self._answer(command)
        except ValueError:
            return None

    def _send(
        self,
        to: SimulatedBus,
        command: bytes,
        answered: Callable[[bytes | None], object],
    ) -> None:
        queue = self._clock.queue
        if queue.random.random() < _LOST:
            return

        def arrived() -> None:
            answer = to._handled(command)
            queue.at(queue.now + self._delay(), partial(answered, answer), self._clock)

        at = max(self._last.get(to, 0), queue.now + self._delay())
        self._last[to] = at
        queue.at(at, arrived, to._clock)

    def _delay(self) -> int:
        most = self._ether.latency * 3
        return round(self._clock.queue.random.random() * most * SECOND)

    def close(self) -> Deferred[None]:
        self._ether.nodes.pop(self, None)
        return succeed(None)
