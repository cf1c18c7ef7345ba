# -*- test-case-name: tests.stores.test_store_sql -*-
"""
Asking a database in threads, each question with a deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock, Thread
from typing import Any, Protocol

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from txsessionsock._deferreds import Timer
from txsessionsock.interfaces import (
    NoSuchSession,
    SessionConflict,
    StoreFailure,
    StoreTimeout,
    StoreUnavailable,
    UndecodableSession,
)

from .statements import Dialect, Execute
from .table import Table


__all__ = ["Database", "Pool"]


_FAREWELL = 0.2
"""
For how many seconds to wait for a thread that is to end.
"""


class Database(Protocol):
    """
    A database and the ways of its module.
    """

    name: str
    module: str
    threads: int
    settings: dict[str, Any]
    commits: bool

    def dialect(self, table: Table) -> Dialect: ...

    def opened(self, connection: Any) -> None: ...

    def isUsable(self, connection: Any) -> bool: ...

    def settle(self, connection: Any) -> None: ...

    def begin(self, connection: Any, writes: bool, seconds: float) -> None: ...

    def end(self, connection: Any, commits: bool) -> None: ...

    def abort(self, connection: Any, writes: bool) -> None: ...

    def failure(
        self, error: Exception, connection: Any, writes: bool
    ) -> StoreFailure: ...


class _PoolCall:
    """
    Something that was asked.

    @ivar connection: The one that it uses now.

    @ivar isBegun: Whether it may be done.

    @ivar isOver: Whether nobody waits for it.

    @ivar doubt: What it failed with although it may be done.
    """

    doubt: StoreTimeout | None = None

    def __init__(
        self,
        work: Callable[[Execute], Any],
        writes: bool,
        key: str | None,
        deadline: float,
    ) -> None:
        self.work, self.writes, self.key = work, writes, key
        self.deadline = deadline
        self.connection: Any = None
        self.isBegun = self.isOver = False
        self.answer: Deferred[Any] = Deferred(self._cancelled)
        self.done: Deferred[None] = Deferred()

    def _cancelled(self, _: object) -> None:
        self.isOver = True


class Pool:
    """
    Threads with a connection each, started by the first question.
    """

    def __init__(self, database: Database, reactor: Any, timeout: float) -> None:
        self._database = database
        self._reactor = reactor
        self._timeout = timeout
        self._pool: _Connections | None = None
        self._calls: dict[_PoolCall, Timer] = {}
        self._turns: dict[str, deque[_PoolCall]] = {}
        self._isClosed = False
        # Taken to see or change which call uses which connection.
        self._lock = Lock()

    def ask(
        self,
        work: Callable[[Execute], Any],
        writes: bool = True,
        key: str | None = None,
    ) -> Deferred[Any]:
        """
        Have a thread do some work.

        @param work: Called with what executes a statement.

        @param writes: Whether it can change anything.

        @param key: To which session.  What concerns the same one is done in
            the order in which it was asked.
        """
        if self._isClosed:
            return fail(self._closed())
        if self._pool is None:
            self._pool = _Connections(self._database, self._reactor, self._stop)
            self._pool.start()
        call = _PoolCall(work, writes, key, self._reactor.seconds() + self._timeout)
        timer = self._calls[call] = Timer(self._reactor)
        timer.start(self._timeout, self._late, call)
        turn = self._turns.setdefault(key, deque()) if key is not None else deque()
        turn.append(call)
        if turn[0] is call:
            self._start(call)
        return call.answer

    def _start(self, call: _PoolCall) -> None:
        assert self._pool is not None
        if not self._pool.running:
            self._answered(Failure(self._closed()), call)
            return
        deferToThreadPool(
            self._reactor, self._pool.threadpool, self._perform, call
        ).addBoth(self._answered, call)

    def _closed(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._database.name}: the store is closed")

    def close(self) -> Deferred[None]:
        """
        Wait for the answers to what was asked, then disconnect.
        """
        if self._isClosed or self._pool is None:
            self._isClosed = True
            return succeed(None)
        self._isClosed = True
        pending = DeferredList([call.done for call in self._calls])
        return pending.addCallback(lambda _: self._shut())

    def _shut(self) -> None:
        assert self._pool is not None
        if self._pool.running:
            self._pool.close()

    def _stop(self) -> list[Any]:
        """
        Have all threads come back.

        @return: The connections that are still in use.
        """
        self._isClosed = True
        with self._lock:
            used = [call for call in self._calls if call.connection is not None]
            for call in used:
                self._database.abort(call.connection, call.writes)
        return [call.connection for call in used]

    def _answered(self, result: Any, call: _PoolCall) -> None:
        self._calls.pop(call).stop()
        if call.doubt is not None and self._database.commits:
            isFailure = isinstance(result, Failure)
            if not (isFailure and result.check(StoreTimeout)):
                call.doubt.isDone = not isFailure
        if call.key is not None:
            turn = self._turns[call.key]
            turn.popleft()
            if turn:
                self._start(turn[0])
            else:
                del self._turns[call.key]
        self._finish(call, result)

    def _late(self, call: _PoolCall) -> None:
        name = self._database.name
        with self._lock:
            call.isOver = True
            if call.connection is not None:
                self._database.abort(call.connection, call.writes)
            isBegun = call.isBegun
        if isBegun:
            call.doubt = StoreTimeout(f"{name}: no answer in time")
            self._finish(call, Failure(call.doubt))
        else:
            text = f"{name}: not reached in time"
            self._finish(call, Failure(StoreUnavailable(text)))

    def _finish(self, call: _PoolCall, result: Any) -> None:
        if not call.answer.called:
            call.answer.callback(result)
        if not call.done.called:
            call.done.callback(None)

    # In a thread.

    def _perform(self, call: _PoolCall) -> Any:
        pool, connection = self._pool, None
        assert pool is not None
        try:
            if call.isOver:
                return None
            connection = self._connected(pool)
            left = call.deadline - self._reactor.seconds()
            database = self._database
            with self._lock:
                # It may be used from now on, and no longer be asked for.
                if call.isOver:
                    return None
                call.connection = connection
            database.begin(connection, call.writes, max(0.0, left))
            with self._lock:
                if call.isOver:
                    return None
                call.isBegun = not database.commits

            def execute(statement: str, **values: object) -> list[Any]:
                rows: list[Any] = connection.execute(statement, values).fetchall()
                return rows

            result = call.work(execute)
            if database.commits and call.writes:
                with self._lock:
                    # A caller that was told "not reached in time" relies on it
                    # that nothing is committed later.
                    if call.isOver:
                        return None
                    call.isBegun = True
                database.end(connection, commits=True)
            return result
        except (NoSuchSession, SessionConflict, UndecodableSession):
            raise
        except Exception as error:
            writes = call.writes and call.isBegun
            raise self._database.failure(error, connection, writes) from None
        finally:
            with self._lock:
                call.connection = None
            if connection is not None:
                self._database.end(connection, commits=False)
            pool.keep(connection)

    def _connected(self, pool: _Connections) -> Any:
        connection = pool.connect()
        if not self._database.isUsable(connection):
            pool.disconnect(connection)
            connection = pool.connect()
        self._database.settle(connection)
        return connection


class _Connections(ConnectionPool):
    """
    A pool that ends although a database hangs.
    """

    def __init__(
        self, database: Database, reactor: Any, stop: Callable[[], list[Any]]
    ) -> None:
        self._database, self._beforeEnd = database, stop
        super().__init__(
            database.module,
            **database.settings,
            cp_reactor=reactor,
            cp_openfun=database.opened,
            # It would log the password.
            cp_noisy=False,
        )

    def start(self) -> None:
        # If the reactor runs, this is called within __init__, and then again.
        if not self.running:
            self.threadpool = _Threads(0, self._database.threads, "sessions")
        super().start()

    def keep(self, connection: Any) -> None:
        """
        Have a connection for the next call, if it is of any use.
        """
        if connection is not None and not (
            self.running and self._database.isUsable(connection)
        ):
            self.connections.pop(self.threadID(), None)
            connection.close()

    def finalClose(self) -> None:
        self.shutdownID, self.running = None, False
        used = self._beforeEnd()
        self.threadpool.stop()
        for connection in list(self.connections.values()):
            # To close what a thread uses would not end well.
            if not any(connection is one for one in used):
                connection.close()
        self.connections.clear()


class _Thread(Thread):
    """
    A thread that nobody waits for without end.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, daemon=True, **more)

    def join(self, timeout: float | None = None) -> None:
        super().join(_FAREWELL if timeout is None else timeout)


class _Threads(ThreadPool):
    threadFactory = _Thread
