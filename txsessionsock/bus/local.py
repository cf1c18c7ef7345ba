# -*- test-case-name: tests.bus.test_bus -*-
"""
A bus that stays in this process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock._deferreds import Timer
from txsessionsock._kinds import Clock
from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import IBus, StoreUnavailable

from .node import COMMAND_SIZE, Handling, checkSize, newNode
from .requests import Answers


__all__ = ["LocalBus"]


@checked
@implementer(IBus)
class LocalBus:
    """
    A bus without other nodes, or with other nodes in the same process.

    @ivar node: See L{IBus}.
    """

    def __init__(
        self, reactor: Clock | None = None, place: LocalBus | None = None
    ) -> None:
        """
        @param reactor: The clock.  If none is given, it is that of C{place}, or
            the global reactor.

        @param place: Another node, in the same process, to exchange commands
            with.
        """
        self.node = newNode()
        self._shared: _SharedByNodes = (
            _SharedByNodes(clockOf(reactor)) if place is None else place._shared
        )
        self._handling = Handling()
        self._isClosed = False

    def handle(self, answer: Callable[[bytes], bytes]) -> None:
        self._handling.answerBy(answer)
        self._shared.nodes[self] = None

    def request(self, command: bytes) -> Deferred[Answers]:
        checkSize(command, COMMAND_SIZE)
        if self._isClosed:
            return fail(StoreUnavailable("this bus is closed"))
        awaited = [self, *(node for node in self._shared.nodes if node is not self)]
        answers: Answers = {}
        done: Deferred[Answers] = Deferred()

        def answered(node: LocalBus, answer: bytes | None) -> None:
            answers[node.node] = answer
            if len(answers) == len(awaited):
                done.callback(answers)

        for node in awaited[1:]:
            self._shared.later(partial(node._take, self, command, answered))
        self._handling.answerOwn(self.node, command, partial(answered, self))
        return done

    def _take(
        self,
        asker: LocalBus,
        command: bytes,
        answered: Callable[[LocalBus, bytes | None], None],
    ) -> None:
        isThere = self in self._shared.nodes
        answered(self, self._handling.answer(asker.node, command) if isThere else None)

    def close(self) -> Deferred[None]:
        self._isClosed = True
        self._shared.nodes.pop(self, None)
        closed: Deferred[None] = Deferred()
        self._shared.later(partial(closed.callback, None))
        return closed


class _SharedByNodes:
    """
    What nodes in one process share.

    @ivar nodes: Those that take part.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self.nodes: dict[LocalBus, None] = {}
        self._waiting: deque[Callable[[], object]] = deque()
        self._delivery = Timer(reactor)

    def later(self, deliver: Callable[[], object]) -> None:
        """
        Do something in another turn of the reactor, after all that was to be
        done before.
        """
        self._waiting.append(deliver)
        if not self._delivery.isRunning:
            self._delivery.start(0, self._deliver)

    def _deliver(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for deliver in waiting:
            deliver()
