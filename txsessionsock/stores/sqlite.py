# -*- test-case-name: tests.real.sqlite.test_store_sqlite -*-
"""
Sessions in an SQLite file, which several processes may share.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from txsessionsock._arguments import AboveZero, checked
from txsessionsock._deferreds import Timer
from txsessionsock._kinds import Clock
from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import (
    TTL,
    IWatchableStore,
    Stored,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.stores._sqlite.file import Abandoned, SessionFile, Work

from ._watchers import Changed, Watchers, newDeadline


__all__ = ["SQLiteStore"]


POLL_INTERVAL = 0.1
"""
How many seconds may pass until a watcher hears of a change that nobody has
fenced.
"""

SWEEP_INTERVAL = 60.0
"""
How many seconds pass between two sweeps.
"""


@checked
@implementer(IWatchableStore)
class SQLiteStore:
    """
    A store in a file.

    What is asked while the file is busy is done together, in one transaction;
    every answer comes after its commit, and survives the end of the process
    however that comes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        reactor: Clock | None = None,
        timeout: AboveZero = 2.0,
        powerSafe: bool = False,
    ) -> None:
        """
        @param path: The file; created, readable for its owner alone, if it is
            not there.

        @param reactor: The global reactor unless said otherwise; one that has
            threads.

        @param timeout: After how many seconds a call fails.

        @param powerSafe: Whether answers shall also survive a power failure
            (C{PRAGMA synchronous=FULL}), at the price of waiting for the disk
            with every commit.
        """
        name = os.fspath(path)
        if name in ("", ":memory:"):
            raise ValueError(f"{name!r} is no file: for sessions in memory use memory:")
        # IReactorTime, IReactorThreads and IReactorCore: no type says that.
        self._reactor: Any = clockOf(reactor)
        self._path = os.path.abspath(name)
        self._timeout = timeout
        self._file = SessionFile(self._path, self._reactor.seconds, powerSafe)
        self._pool: ThreadPool | None = None
        self._trigger: object = None
        self._waiting: list[_FileCall] = []
        self._running = _Batch([])
        self._busy = False
        self._closed = False
        self._watchdog = Timer(self._reactor)
        self._nextSweep = 0.0
        self._watchers = Watchers()
        self._poll = Timer(self._reactor)
        self._polling = False

    def load(self, key: str) -> Deferred[Stored | None]:
        return self._ask(lambda file: file.load(key), writes=False)

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        newDeadline(ttl, 0.0)
        raw = bytes(raw)
        return self._ask(lambda file: file.create(key, raw, ttl))

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        new = bytes(new)
        return self._ask(lambda file: file.replace(key, old, new, ttl))

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self._ask(lambda file: file.touch(key, ttl))

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        return self._ask(lambda file: file.destroy(key, old))

    def watch(self, key: str, changed: Changed) -> Callable[[], None]:
        stop = self._watchers.add(key, changed, self._unwatched)
        self._schedulePoll()
        return stop

    def fence(self, key: str) -> Deferred[None]:
        def blind(failure: Failure) -> None:
            failure.trap(StoreError)
            raise StoreUnavailable(str(failure.value))

        # Every transaction begins with a look at what changed.  All fences that
        # wait for the next transaction share its look.  The running one looked
        # before this fence came and may have missed a change.
        looked: Deferred[None] = self._ask(SessionFile.nothing, writes=False)
        return looked.addErrback(blind)

    def close(self) -> Deferred[None]:
        """
        Finish what was asked, then let go of the file and the thread.
        """
        if self._pool is None or self._closed:
            self._closed = True
            return succeed(None)
        last = self._ask(SessionFile.nothing, writes=False)
        self._closed = True
        return last.addBoth(self._letGo)

    def _ask(self, work: Work, writes: bool = True) -> Deferred[Any]:
        if self._closed:
            return fail(StoreUnavailable(f"{self._path}: the store is closed"))
        call = _FileCall(work, writes, self._reactor.seconds() + self._timeout)
        self._waiting.append(call)
        if not self._watchdog.isRunning:
            self._watchdog.start(self._timeout, self._checkTimes)
        if not self._busy:
            self._next()
        return call.answer

    def _next(self) -> None:
        """
        Give all that waits to the thread.
        """
        calls = [call for call in self._waiting if not call.answer.called]
        self._waiting = []
        if not calls:
            return
        now = self._reactor.seconds()
        if now >= self._nextSweep:
            calls.append(self._sweep(now))
        self._busy, self._running = True, _Batch(calls)
        # A lock that does not come must not look like an unknown outcome.
        patience = max(0.0, calls[0].deadline - now) * 0.75
        deferToThreadPool(
            self._reactor,
            self._thread(),
            self._file.run,
            [(call.work, call.writes) for call in calls],
            patience,
            self._running.mayCommit,
        ).addBoth(self._answered, calls)

    def _answered(
        self,
        result: Failure | tuple[list[object], frozenset[str] | None],
        calls: list[_FileCall],
    ) -> None:
        self._running = _Batch([])
        if isinstance(result, Failure) and result.check(Abandoned):
            # For the others there is still time.
            self._waiting[:0] = calls
            self._busy = False
            self._next()
            return
        outcomes, changed = (
            ([result] * len(calls), None) if isinstance(result, Failure) else result
        )
        self._watchers.report(list(self._watchers) if changed is None else changed)
        for call, outcome in zip(calls, outcomes, strict=True):
            if call.doubt is not None and not isinstance(outcome, StoreTimeout):
                call.doubt.isDone = not isinstance(outcome, Exception | Failure)
            if call.answer.called:
                continue
            if isinstance(outcome, Exception | Failure):
                call.answer.errback(outcome)
            else:
                call.answer.callback(outcome)
        # Only now: a caller that was just answered may have asked again, and
        # its call goes into the next transaction with all that waits.
        self._busy = False
        self._next()

    def _checkTimes(self) -> None:
        """
        Fail what took too long.
        """
        now = self._reactor.seconds()
        running = [call for call in self._running.calls if not call.answer.called]
        waiting = [call for call in self._waiting if not call.answer.called]
        self._waiting = [call for call in waiting if call.deadline > now]
        left = [c.deadline for c in (*running, *waiting) if c.deadline > now]
        if left:
            self._watchdog.start(min(left) - now, self._checkTimes)
        late = [call for call in running if call.deadline <= now]
        isBegun = bool(late) and not self._running.giveUp()
        for call in late:
            if isBegun:
                call.doubt = StoreTimeout(f"{self._path}: no answer in time")
                call.answer.errback(call.doubt)
        for call in (*late, *waiting):
            if call.deadline <= now and not call.answer.called:
                text = f"{self._path}: too busy to be asked in time"
                call.answer.errback(StoreUnavailable(text))

    def _sweep(self, now: float) -> _FileCall:
        def swept(more: bool) -> None:
            if more:
                self._nextSweep = now

        self._nextSweep = now + SWEEP_INTERVAL
        call = _FileCall(SessionFile.sweep, True, now + self._timeout)
        call.answer.addCallbacks(swept, lambda _: None)
        return call

    def _schedulePoll(self) -> None:
        isIdle = not self._poll.isRunning and not self._polling
        if self._watchers and isIdle and not self._closed:
            self._poll.start(POLL_INTERVAL, self._look)

    def _look(self) -> None:
        def looked(_: object) -> None:
            self._polling = False
            self._schedulePoll()

        self._polling = True
        self._ask(SessionFile.nothing, writes=False).addBoth(looked)

    def _unwatched(self, key: str) -> None:
        if not self._watchers:
            self._poll.stop()

    def _thread(self) -> ThreadPool:
        if self._pool is None:
            self._pool = _OneThread(1, 1, "sessions")
            self._pool.start()
            self._trigger = self._reactor.addSystemEventTrigger(
                "during", "shutdown", self._shutDown
            )
        return self._pool

    def _shutDown(self) -> None:
        self._closed, self._trigger = True, None
        assert self._pool is not None
        self._pool.callInThread(self._file.close)
        self._pool.stop()

    def _letGo(self, _: object) -> Deferred[None] | None:
        pool = self._pool
        assert pool is not None
        self._poll.stop()
        self._watchdog.stop()
        if self._trigger is not None:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        if self._running.calls:
            # The disk hangs, and would hang us.
            return None
        return deferToThreadPool(self._reactor, pool, self._file.close).addBoth(
            lambda _: pool.stop()
        )


class _OneThread(ThreadPool):
    @staticmethod
    def threadFactory(*args: Any, **more: Any) -> Thread:  # type: ignore[override]  # makes one
        # A daemon: a program that forgets to close the store can still end.
        return Thread(*args, daemon=True, **more)


@dataclass(slots=True)
class _FileCall:
    """
    Something that was asked.

    @ivar deadline: When it fails, in seconds since the epoch.

    @ivar doubt: What it failed with although it may be done.
    """

    work: Work
    writes: bool
    deadline: float
    answer: Deferred[Any] = field(default_factory=Deferred)
    doubt: StoreTimeout | None = None


class _Batch:
    """
    What is done in one transaction.  Once somebody was told that something of
    it was not done, it is not committed.
    """

    def __init__(self, calls: list[_FileCall]) -> None:
        self.calls = calls
        self._lock = Lock()
        self._isCommitting = self._isGivenUp = False

    def mayCommit(self) -> bool:
        """
        Called in the thread, before that is done.
        """
        with self._lock:
            self._isCommitting = not self._isGivenUp
            return self._isCommitting

    def giveUp(self) -> bool:
        """
        @return: Whether it was early enough to do nothing.
        """
        with self._lock:
            self._isGivenUp = not self._isCommitting
            return self._isGivenUp
