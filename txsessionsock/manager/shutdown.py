# -*- test-case-name: tests.manager.test_ending -*-
"""
How everything ends that uses the sessions of one manager: in which order, and
within which time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from math import inf
from threading import current_thread, main_thread
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from twisted.internet.defer import (
    Deferred,
    DeferredList,
    TimeoutError,
    maybeDeferred,
)
from twisted.internet.interfaces import IListeningPort, IReactorCore, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.interfaces import SessionError


__all__ = [
    "Ending",
    "Guest",
    "endAtOnceFromNow",
    "endAtOnceWhenAskedAgain",
]

_LEFT_BY = 0.7
_STORED_BY = 0.9
"""
By when clients have to be gone and sessions stored, as shares of the time
there is.  What the clients leave is for storing.
"""

_GUARDING = 0.95
"""
For which share of that sessions are guarded that are stored.
"""

_FOR_CLIENTS = "waiting for clients to leave"

_NAMED = 10
"""
How many handlers that do not end are named.
"""

_log = Logger()


class Guest(Protocol):
    """
    Clients of one kind, which have to be gone before their sessions are stored
    for the last time.

    @cvar kind: What they are called.
    """

    kind: str

    def __len__(self) -> int:
        """
        How many are there.
        """

    def goAway(self) -> Deferred[None]:
        """
        Have them leave, and those who still come.

        @return: A L{Deferred} that fires when all are gone.
        """

    def hurry(self) -> None:
        """
        The time to leave is up: begin nothing more of what waits.  What it changes
        might come too late to be stored.
        """

    def awaited(self) -> Iterable[str]:
        """
        What of the application they wait for.
        """


class Ending:
    """
    The end of what uses one manager.
    """

    def __init__(
        self, clock: IReactorTime, storeAll: Callable[[float], Deferred[None]]
    ) -> None:
        """
        @param storeAll: Stores all sessions, and guards them for some seconds at
            most.
        """
        self._clock = clock
        self._storeAll = storeAll
        # A factory or a resource that its program let go of has no clients.
        self._guests: WeakKeyDictionary[Guest, None] = WeakKeyDictionary()
        self._closes: list[Callable[[], object]] = []
        self._isSaid = False
        self._hasBegun = False
        self._isOver = False
        self._waiting: list[Deferred[None]] = []

    @property
    def hasBegun(self) -> bool:
        """
        Whether it ends, or has ended.
        """
        return self._hasBegun

    def join(self, guest: Guest) -> None:
        """
        Have clients leave before sessions are stored.
        """
        self._guests[guest] = None

    def count(self, kind: str) -> int:
        """
        How many clients of a kind there are.
        """
        return sum(len(guest) for guest in self._guests if guest.kind == kind)

    def close(self, close: Callable[[], object]) -> None:
        """
        Have something closed after that; it may return a L{Deferred}.
        """
        self._closes.append(close)

    def beginWith(self, reactor: Any, drain: float, listening: Iterable[Any]) -> None:
        """
        Begin when a reactor stops, and have it wait.

        @param listening: As for L{begin}, or L{Deferred}s of that.

        @raise TypeError: It is no reactor, or nothing that listens.

        @raise ValueError: C{drain} is no number of seconds.

        @raise SessionError: It was said before, or the reactor has stopped.
        """
        if not IReactorCore.providedBy(reactor):
            raise TypeError(f"endWith takes the reactor, not {reactor!r}")
        ports = _portsOf(listening)
        _checkSeconds(drain)
        if self._isSaid:
            raise SessionError("endWith was called before; once is right")
        # There is no public name for that.
        if getattr(reactor, "_startedBefore", False):
            raise SessionError("endWith comes too late: the reactor was stopped")
        self._isSaid = True

        def end() -> Deferred[None]:
            endAtOnceFromNow(reactor)
            return self.begin(drain, ports)

        endAtOnceWhenAskedAgain(reactor)
        reactor.addSystemEventTrigger("before", "shutdown", end)

    def begin(
        self, drain: float, listening: Iterable[IListeningPort]
    ) -> Deferred[None]:
        """
        End.

        @param drain: How many seconds it may take.

        @param listening: What listens no more.

        @return: A L{Deferred} that fires when it is done, or the time is up.
            If it has begun before, it goes on as it was.

        @raise ValueError: C{drain} is no number of seconds.
        """
        _checkSeconds(drain)
        ended: Deferred[None] = Deferred()
        self._waiting.append(ended)
        if self._isOver:
            self._tell()
        elif not self._hasBegun:
            self._hasBegun = True
            Deferred.fromCoroutine(self._end(drain, listening)).addErrback(
                lambda failure: _log.failure("did not end well", failure)
            ).addCallback(lambda _: self._tell())
        return ended

    def _tell(self) -> None:
        self._isOver = True
        waiting, self._waiting = self._waiting, []
        for ended in waiting:
            ended.callback(None)

    async def _end(self, drain: float, listening: Iterable[IListeningPort]) -> None:
        began = self._clock.seconds()

        def remaining(share: float) -> float:
            return max(began + share * drain - self._clock.seconds(), 0.0)

        async def until(share: float, work: Deferred[Any], what: str) -> bool:
            return await self._within(remaining(share), work, what)

        # Tell all at once.  From now on, new connections are refused or sent away.
        ports = [maybeDeferred(port.stopListening) for port in listening]
        leaving = Deferred.fromCoroutine(self._everyoneLeaves())
        hasLeft = await until(_LEFT_BY, leaving, _FOR_CLIENTS)
        if not hasLeft:
            self._tellAwaited()
            for guest in list(self._guests):
                guest.hurry()
        storing = maybeDeferred(self._storeAll, _GUARDING * remaining(_STORED_BY))
        isStored = await until(_STORED_BY, storing, "storing sessions")
        if isStored and not hasLeft:
            # What a handler changes that ends by then is stored, too.
            await until(_STORED_BY, leaving, _FOR_CLIENTS)
        closing = [maybeDeferred(close) for close in self._closes]
        await until(1.0, _all([*ports, *closing]), "closing the store")

    async def _everyoneLeaves(self) -> None:
        while True:
            for leaving in [guest.goAway() for guest in list(self._guests)]:
                await leaving
            # Clients may have come while others left: wait for them, too.
            if not any(len(guest) for guest in self._guests):
                break

    def _tellAwaited(self) -> None:
        awaited = [each for guest in list(self._guests) for each in guest.awaited()]
        for each in awaited[:_NAMED]:
            _log.warn("not waited for any longer: {what}", what=each)
        if len(awaited) > _NAMED:
            _log.warn("… and {count} more", count=len(awaited) - _NAMED)

    async def _within(self, seconds: float, work: Deferred[Any], what: str) -> bool:
        """
        Wait for something, but not for longer than that.

        @return: Whether it was done.
        """

        def ended(result: object) -> None:
            if isinstance(result, Failure):
                _log.failure("did not end well: {what}", result, what=what)

        waiting: Deferred[object] = Deferred()
        work.addBoth(ended).addBoth(waiting.callback)
        try:
            await waiting.addTimeout(seconds, self._clock)
            return True
        except TimeoutError:
            there = [f"{len(each)} {each.kind}" for each in self._guests if len(each)]
            _log.warn(
                "gave up {what} after {seconds:.2g} s, with {left} left",
                what=what,
                seconds=seconds,
                left=" and ".join(sorted(there)) or "no clients",
            )
            return False


def _all(works: Iterable[Deferred[Any]]) -> Deferred[Any]:
    """
    @return: A L{Deferred} that fires when all are done; what fails is logged.
    """

    def failed(failure: Failure) -> None:
        _log.failure("did not end well", failure)

    return DeferredList([work.addErrback(failed) for work in works])


def _portsOf(listening: Iterable[Any]) -> list[IListeningPort]:
    """
    @return: What listens; it is complete when all L{Deferred}s have fired.

    @raise TypeError: Something does not listen.
    """
    ports: list[IListeningPort] = []

    def keep(port: Any) -> Any:
        # Endpoints of kinds such as stdio: have none.
        if IListeningPort.providedBy(port):
            ports.append(port)
        return port

    for each in listening:
        if isinstance(each, Deferred):
            each.addCallback(keep)
        elif IListeningPort.providedBy(each):
            keep(each)
        else:
            raise TypeError(
                f"{each!r} does not listen; right is what the listen of an endpoint"
                " returns, and drain=SECONDS"
            )
    return ports


def _checkSeconds(drain: float) -> None:
    if not isinstance(drain, int | float) or not 0 <= drain < inf:
        raise ValueError(f"drain is a number of seconds, not {drain!r}")


def endAtOnceWhenAskedAgain(reactor: Any) -> None:
    """
    Have a second C{SIGTERM} or C{SIGINT} end this process, where the first is
    answered by the reactor.  To be called when it is to run: the first may come
    while a handler blocks it, so that nobody is told of it.
    """

    def install() -> None:
        for number in _answeredBy(reactor):
            handler: Any = signal.getsignal(number)
            signal.signal(number, _First(reactor, handler))

    if current_thread() is main_thread():
        # Not before: the reactor takes SIGTERM when it begins to run.
        reactor.callWhenRunning(install)


class _First:
    """
    What answers the first signal.
    """

    def __init__(self, reactor: Any, answer: Callable[..., object]) -> None:
        self._reactor = reactor
        self._answer = answer

    def __call__(self, number: int, frame: object) -> None:
        _endAtOnceByAnother(self._reactor)
        self._answer(number, frame)


def endAtOnceFromNow(reactor: Any) -> None:
    """
    The reactor stops, for whatever reason: the next C{SIGTERM} or C{SIGINT} ends
    this process.
    """
    if current_thread() is main_thread():
        for number in _endAtOnceByAnother(reactor):
            # Now: what a handler of signals logs may be lost.
            _log.info("{name} ends this process at once now", name=number.name)


def _endAtOnceByAnother(reactor: Any) -> list[signal.Signals]:
    numbers = _answeredBy(reactor)
    for number in numbers:
        signal.signal(number, _endAtOnce)
    return numbers


def _answeredBy(reactor: Any) -> list[signal.Signals]:
    """
    @return: The signals that the reactor answers, or we for it.  A program that
        has set its own handler decides itself.
    """
    found = []
    for number, name in (signal.SIGTERM, "sigTerm"), (signal.SIGINT, "sigInt"):
        handler = signal.getsignal(number)
        isOurs = isinstance(handler, _First) or handler is _endAtOnce
        if isOurs or handler == getattr(reactor, name, None):
            found.append(number)
    return found


def _endAtOnce(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # The first process of a container does not die of a signal.
    os._exit(128 + number)
