# -*- test-case-name: tests.real.postgresql.test_store_postgresql -*-
"""
Hears what others do to a table, by C{LISTEN} and the trigger of C{notify.sql}.

PostgreSQL sends the notification of a change before it answers the writer, and
before it answers any later question.  So the answer to one question on the
connection that listens is a fence: all earlier changes have been heard.

That holds only for a connection to the server itself.  A pooler may drop
notifications while no question is under way, and the host's name may belong to
another server by now.  So a connection counts only after it has heard a
notification which another connection of this store sent while no question was
under way here.  This proof is repeated from time to time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from itertools import count
from math import inf
from typing import Any

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txsessionsock._deferreds import Timer, backOff
from txsessionsock.interfaces import StoreFailure, StoreUnavailable
from txsessionsock.stores._deadlines import Deadlines
from txsessionsock.stores._tracking import Tracking
from txsessionsock.stores._watchers import Changed

from .attempt import SWALLOWED, ConnectAttempt, question, send
from .pool import Database, Pool
from .postgresql import Connection
from .table import Table


__all__ = ["TableListener"]


PROBE_INTERVAL = 15.0
"""
After how many seconds to see whether the connection lives and hears, and the
trigger is still there.
"""

_DELAYS = 0.1, 10.0
"""
How many seconds to wait before connecting again, at first and at most.
"""

_UNHEARD = 0.5
"""
The share of its time in which a notification has to come after it was sent.
"""


class _Fence:
    """
    A caller of L{TableListener.fence}, which waits until all earlier changes
    have been reported.
    """

    def __init__(self, key: str, reactor: IReactorTime) -> None:
        self.key = key
        self.answer: Deferred[None] = Deferred(lambda _: None)
        self.deadline = Timer(reactor)

    def finish(self, result: Failure | None) -> None:
        """
        Answer the caller.
        """
        self.deadline.stop()
        if not self.answer.called:
            self.answer.callback(result)


@implementer(IReadDescriptor)
class TableListener:
    """
    Tells the watchers of a session what others did to it.
    """

    _log = Logger()

    def __init__(
        self,
        database: Database,
        table: Table,
        pool: Pool,
        reactor: Any,
        timeout: float,
    ) -> None:
        """
        @param pool: Whose threads connect; all it writes is not reported.
        """
        self._database, self._pool = database, pool
        self._writer = str(getattr(database, "writer", ""))
        self._question = question(table)
        self._reactor, self._timeout = reactor, timeout
        self._tracking = Tracking()
        self._deadlines = Deadlines(reactor, self._expired)
        self._ends: dict[str, float] = {}
        self._keys: dict[str, str] = {}
        self._connection: Connection | None = None
        self._descriptor = -1
        self._attempt: ConnectAttempt | None = None
        # What was sent to see whether it arrives.
        self._echoes, self._echo = count(), ""
        self._unheard = Timer(reactor)
        self._again = Timer(reactor)
        self._probing = Timer(reactor)
        self._waiting: list[_Fence] = []
        self._asked: list[_Fence] = []
        self._isProven = self._isAsking = self._isDue = self._isClosed = False
        self._tries = 0
        self._problem = self._answer = ""

    # What a store is asked.

    def watch(self, key: str, changed: Changed) -> Callable[[], None]:
        """
        See L{IWatchableStore.watch}.
        """
        self._keys[_hash(key)] = key
        self._connect()
        return self._tracking.watch(key, changed, self._unwatched)

    def fence(self, key: str) -> Deferred[None]:
        """
        See L{IWatchableStore.fence}.
        """
        self._connect()
        if self._isClosed or (not self._isProven and self._problem):
            return fail(self._blind())
        fence = _Fence(key, self._reactor)
        fence.deadline.start(self._timeout, self._late, fence)
        self._waiting.append(fence)
        self._ask()
        return fence.answer

    def note(self, key: str, expires: float | None) -> None:
        """
        Note a deadline that the store saw.  The nearest counts: answers may
        overtake one another, and a report too many costs a look.
        """
        if self._tracking.get(key) is None or expires is None:
            return
        if expires < self._ends.get(key, inf):
            self._ends[key] = expires
            self._deadlines.expect(key, expires)

    def close(self) -> None:
        """
        Listen no more.
        """
        self._isClosed = True
        self._again.stop()
        if self._attempt is not None:
            self._attempt.giveUp()
            self._attempt = None
        self._deadlines.clear()
        self._drop("the store is closed")

    def _blind(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._database.name}: {self._problem}")

    def _unwatched(self, key: str) -> None:
        self._keys.pop(_hash(key), None)
        self._ends.pop(key, None)
        self._deadlines.forget(key)

    def _expired(self, key: str) -> None:
        self._ends.pop(key, None)
        self._tracking.tell(key)

    def _late(self, fence: _Fence) -> None:
        if fence in self._waiting:
            self._waiting.remove(fence)
            problem = self._problem or "no answer in time"
            text = f"{self._database.name}: {problem}"
            fence.finish(Failure(StoreUnavailable(text)))
        else:
            self._drop("it hangs")

    # The connection.

    def _connect(self) -> None:
        isBusy = self._connection is not None or self._attempt is not None
        if self._isClosed or isBusy or self._again.isRunning:
            return
        attempt = ConnectAttempt(self._database.settings, self._question)
        self._attempt = attempt
        self._pool.ask(attempt, writes=False).addCallbacks(
            self._connected, self._failed, (attempt,), {}, (attempt,)
        )

    def _connected(self, connection: Connection, attempt: ConnectAttempt) -> None:
        if attempt is not self._attempt:
            return
        self._attempt, self._connection = None, connection
        connection.pgconn.nonblocking = 1
        try:
            # libpq closes its own when the server is gone.  epoll must still
            # know it then, or it takes the next connection of anybody that
            # gets the number for one that it watches already.
            self._descriptor = os.dup(connection.pgconn.socket)
        except OSError as error:
            self._drop(os.strerror(error.errno or 0))
            return
        self._reactor.addReader(self)
        self._probing.start(PROBE_INTERVAL, self._probe)
        self._prove()

    def _prove(self) -> None:
        """
        Send a notification over another connection, to see whether it is heard
        here.  No question may be under way meanwhile: a pooler that drops
        notifications still hands over those that come together with an answer.
        """
        self._isDue = False
        self._echo = echo = f"?{self._writer}.{next(self._echoes)}"
        self._unheard.stop()
        self._pool.ask(partial(send, text=echo), writes=False).addCallbacks(
            self._sent, self._unsent, (echo,), {}, (echo,)
        )

    def _sent(self, _: object, echo: str) -> None:
        if echo == self._echo:
            self._unheard.start(self._timeout * _UNHEARD, self._missed)

    def _unsent(self, failure: Failure, echo: str) -> None:
        if echo != self._echo:
            return
        if not self._isProven:
            self._failedWith(failure)
            return
        # What cannot be sent shows nothing about hearing.
        self._echo = ""
        self._ask()

    def _missed(self) -> None:
        # The reactor may have been busy.
        self.doRead()
        if self._echo:
            self._drop(SWALLOWED)

    def _heard(self) -> None:
        self._echo = ""
        self._unheard.stop()
        if not self._isProven:
            self._isProven = True
            if self._problem:
                self._log.info("{name}: listening again", name=self._database.name)
            self._problem, self._tries = "", 0
            # What was done before is unknown.
            self._tracking.tellAll()
        self._ask()

    def _failed(self, failure: Failure, attempt: ConnectAttempt) -> None:
        attempt.giveUp()
        if attempt is self._attempt:
            self._attempt = None
            self._failedWith(failure)

    def _failedWith(self, failure: Failure) -> None:
        text = failure.getErrorMessage() if failure.check(StoreFailure) else ""
        self._drop(text.removeprefix(f"{self._database.name}: ") or "no answer")

    def _drop(self, problem: str) -> None:
        """
        There is no connection, or one that is of no use.
        """
        connection, self._connection = self._connection, None
        if self._descriptor != -1:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1
        if connection is not None:
            connection.close()
        self._probing.stop()
        self._unheard.stop()
        self._echo, self._isProven = "", False
        if problem != self._problem and not self._isClosed:
            self._log.warn(
                "{name}: cannot see changes: {problem}",
                name=self._database.name,
                problem=problem,
            )
        self._problem, self._isAsking = problem, False
        if not self._isClosed:
            self._again.start(backOff(*_DELAYS, self._tries), self._connect)
            self._tries += 1
        fences = [*self._asked, *self._waiting]
        self._asked, self._waiting = [], []
        for fence in fences:
            fence.finish(Failure(self._blind()))

    def _probe(self) -> None:
        self._probing.start(PROBE_INTERVAL, self._probe)
        self._isDue = True
        self.fence("").addErrback(lambda failure: failure.trap(StoreUnavailable))

    # What it says.

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return type(self).__name__

    def connectionLost(self, reason: Failure) -> None:
        if self._connection is not None:
            self._drop("the connection was lost")

    def doRead(self) -> None:
        if self._connection is None:
            return
        pgconn = self._connection.pgconn
        try:
            pgconn.consume_input()
            self._hear()
            # Each turn looks at the connection again: a watcher that was just
            # told may have closed the store.
            while self._isAsking and self._connection and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    self._hear()
                    self._passed()
                else:
                    self._answer = self._judged(result)
        except psycopg.Error:
            self._drop("the connection was lost")

    def _hear(self) -> None:
        while self._connection is not None:
            notify = self._connection.pgconn.notifies()
            if notify is None:
                return
            key, _, writer = notify.extra.decode("ascii", "replace").partition(" ")
            if key == self._echo:
                self._heard()
            elif key == "*":
                self._tracking.tellAll()
            elif writer != self._writer and key in self._keys:
                self._tracking.reported(self._keys[key])

    def _ask(self) -> None:
        """
        Ask one question for all fences that wait, unless one is under way: a
        fence that comes later waits for the next question.
        """
        if self._isAsking or self._echo or self._connection is None:
            return
        if self._isDue:
            self._prove()
        if self._echo or not self._waiting:
            return
        self._asked, self._waiting = self._waiting, []
        self._isAsking = True
        try:
            self._connection.pgconn.send_query(self._question)
            self._connection.pgconn.flush()
        except psycopg.Error:
            self._drop("the connection was lost")

    def _judged(self, result: Any) -> str:
        """
        What an answer says is wrong.
        """
        if result.status == ExecStatus.TUPLES_OK:
            problem: bytes = result.get_value(0, 0)
            return problem.decode()
        # What libpq says by itself is in no field.
        said: bytes = (
            result.error_field(DiagnosticField.MESSAGE_PRIMARY) or result.error_message
        )
        return said.decode("utf-8", "replace").strip() or "no answer"

    def _passed(self) -> None:
        self._isAsking = False
        if self._answer:
            self._drop(self._answer)
            return
        fences, self._asked = self._asked, []
        now = self._reactor.seconds()
        for fence in fences:
            if self._ends.get(fence.key, inf) <= now:
                self._deadlines.forget(fence.key)
                self._expired(fence.key)
            fence.finish(None)
        self._ask()


def _hash(key: str) -> str:
    # PostgreSQL cannot hold a key that is no text, so none is ever reported;
    # whatever the hash of such a key is does not matter.
    return sha256(key.encode("utf-8", "replace")).hexdigest()
