# -*- test-case-name: tests.bus.test_bus -*-
"""
What was asked on a bus, and who has not answered yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from txsessionsock._deferreds import Timer
from txsessionsock.interfaces import BusFull, StoreError, StoreTimeout, StoreUnavailable


__all__ = ["Answers", "Requests"]

Answers = dict[str, bytes | None]
"""
What each node answered; L{None} if it did not.
"""


@dataclass(eq=False, slots=True)
class _Request:
    """
    A command that was sent, and the answers to it.

    @ivar awaited: The nodes that are expected to answer.

    @ivar gone: The nodes that will not answer any more.

    @ivar reached: How many other nodes got it; L{None} until that is known.

    @ivar isUnsure: Whether those were more than were expected, and it is not
        known which.
    """

    size: int
    deadline: float
    awaited: set[str]
    done: Deferred[Answers]
    answers: Answers = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    reached: int | None = None
    isUnsure: bool = False

    def isComplete(self, own: str) -> bool:
        """
        Whether nobody else can be expected to answer.
        """
        if self.reached is None or own not in self.answers:
            return False
        if len(self.answers) > self.reached:
            return True
        return not self.isUnsure and all(
            n in self.answers or n in self.gone for n in self.awaited
        )


class Requests:
    """
    The requests of one node.
    """

    def __init__(
        self, own: str, reactor: IReactorTime, timeout: float, most: int, mostBytes: int
    ) -> None:
        """
        @param timeout: How many seconds there are for all answers.

        @param most: How many may wait for answers, and C{mostBytes}, of what
            size together.
        """
        self._own = own
        self._reactor = reactor
        self._timeout = timeout
        self._most = most
        self._mostBytes = mostBytes
        self._number = 0
        # In the order of their deadlines.
        self._pending: dict[int, _Request] = {}
        self._size = 0
        self._timer = Timer(reactor)

    def add(self, size: int, others: Iterable[str]) -> tuple[int, Deferred[Answers]]:
        """
        Note that something is asked.

        @param size: How many bytes it has.

        @param others: Who is expected to answer, beside this node.

        @return: Its number, and a L{Deferred} of the answers.

        @raise BusFull: Too much waits for answers already.
        """
        if len(self._pending) >= self._most or self._size + size > self._mostBytes:
            raise BusFull(
                f"{len(self._pending)} commands of {self._size} bytes wait for other"
                " nodes to answer; this one was not sent"
            )
        self._number += 1
        number, deadline = self._number, self._reactor.seconds() + self._timeout
        request = _Request(size, deadline, {self._own, *others}, Deferred())
        self._pending[number] = request
        self._size += size
        if not self._timer.isRunning:
            self._timer.start(self._timeout, self._due)
        return number, request.done

    def reached(self, number: int, count: int) -> bool:
        """
        It is known how many other nodes got a request.

        @return: Whether those are more than were expected.  Then L{awaits}
            has to be called when it is known who they are.
        """
        request = self._pending.get(number)
        if request is None:
            return False
        request.reached = count
        request.isUnsure = count >= len(request.awaited)
        self._look(number, request)
        return request.isUnsure and number in self._pending

    def awaits(self, number: int, others: Iterable[str]) -> None:
        """
        It is known which nodes there are besides those that were expected.
        """
        request = self._pending.get(number)
        if request is not None:
            request.isUnsure = False
            request.awaited.update(others)
            self._look(number, request)

    def answered(self, number: int, node: str, answer: bytes | None) -> None:
        """
        A node has answered.
        """
        request = self._pending.get(number)
        if request is not None:
            request.answers.setdefault(node, answer)
            self._look(number, request)

    def lost(self, node: str) -> None:
        """
        A node answers nothing any more.
        """
        for number, request in list(self._pending.items()):
            request.gone.add(node)
            self._look(number, request)

    def _look(self, number: int, request: _Request) -> None:
        if request.isComplete(self._own):
            self._end(number)

    def failed(self, number: int, failure: Failure) -> None:
        """
        It is not known that anybody else got a request.
        """
        if failure.check(StoreUnavailable):
            # StoreUnavailable would say that nothing was done.  But this node
            # has done it.
            why = failure.getErrorMessage()
            failure = Failure(StoreError(f"only this node got a command: {why}"))
        if number in self._pending:
            self._end(number, failure)

    def giveUp(self) -> None:
        """
        Nobody answers any more.
        """
        for number in list(self._pending):
            self._end(number)

    def stop(self) -> None:
        """
        Nobody answers any more, and nothing more is asked.
        """
        self.giveUp()
        self._timer.stop()

    def _due(self) -> None:
        now = self._reactor.seconds()
        due = []
        for number, request in self._pending.items():
            if request.deadline > now:
                self._timer.start(request.deadline - now, self._due)
                break
            due.append(number)
        for number in due:
            self._end(number)

    def _end(self, number: int, failure: Failure | None = None) -> None:
        request = self._pending.pop(number, None)
        if request is None:
            return
        self._size -= request.size
        if failure is None and request.reached is None:
            failure = Failure(StoreTimeout("it is unknown who got a command"))
        if failure is None:
            missing = request.awaited - request.answers.keys()
            request.done.callback({**request.answers, **dict.fromkeys(missing)})
        else:
            request.done.errback(failure)
