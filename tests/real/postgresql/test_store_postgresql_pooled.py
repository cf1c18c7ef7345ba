"""
Tests for L{txsessionsock.stores.sql}, on a real PostgreSQL server behind a real
pgbouncer: in session mode nothing is different; in the others the store knows
that it cannot see changes, says so once, and does to nobody else's statements
what it does to its own.
"""

from __future__ import annotations

import os
import signal

from twisted.internet.defer import gatherResults
from twisted.logger import capturedLogs, formatEvent

from tests.real.postgresql import test_store_postgresql as deadlines
from tests.real.postgresql import test_store_postgresql_contract as contract
from tests.real.postgresql import test_store_postgresql_watch as watch
from tests.support.postgresproxies import PgBouncer
from tests.support.postgresqlcase import NOTIFY, TRIGGER, PostgreSQLCase
from tests.support.postgresserver import psycopg
from tests.support.redisprocess import eventually
from txsessionsock.interfaces import KEEP, Stored, StoreTimeout, StoreUnavailable
from txsessionsock.stores._sql.table import DJANGO
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore


class PooledCase(PostgreSQLCase):
    """
    A store that comes by a pooler.

    @cvar mode: That of the pooler.
    """

    mode = "transaction"

    def setUp(self) -> None:
        super().setUp()
        self.bouncer = PgBouncer(self.server, self.mode)
        self.addCleanup(self.bouncer.close)
        self.bouncer.start()

    def url(self) -> str:
        return self.bouncer.url(self.database)

    def place(self) -> str:
        return f"127.0.0.1:{self.bouncer.port}/"


class TransactionContractTests(contract.FlaskSessionContractTests, PooledCase):
    """
    What all stores promise, in transaction mode.
    """


class TransactionDeadlineTests(deadlines.DeadlineTests, PooledCase):
    """
    Deadlines mean the same, in transaction mode.
    """


class SessionManagerTests(watch.ManagerTests, PooledCase):
    """
    Tests for an Express application whose sessions a manager has live, in
    session mode.
    """

    mode = "session"


class TransactionManagerTests(watch.ManagerTests, PooledCase):
    """
    The same in transaction mode: what is read is never stale.
    """


class StatementManagerTests(watch.ManagerTests, PooledCase):
    """
    And in statement mode.
    """

    mode = "statement"


class HearingTests(PooledCase):
    """
    Tests for what is heard, by the mode of the pooler.
    """

    mode = "session"
    changes = (NOTIFY, TRIGGER.format(table="django_session", key="session_key"))

    def open(self, timeout: float = 2.0, connections: int = 4) -> WatchableSQLStore:
        """
        A store that watches one session.
        """
        store = self.closing(
            WatchableSQLStore(self.url(), DJANGO, self.reactor, timeout, connections)
        )
        self.reported: list[str] = []
        store.watch("k", self.reported.append)
        return store

    def attempts(self, store: WatchableSQLStore) -> None:
        """
        Let it connect again, and find out.
        """
        listener = store._listener
        self.reactor.waitUntil(lambda: listener._again.isRunning)
        self.reactor.advance(10.0)
        self.reactor.waitUntil(lambda: not listener._again.isRunning)
        self.reactor.waitUntil(lambda: listener._again.isRunning)

    def test_session(self) -> None:
        """
        In session mode all is heard.
        """
        store = self.open()
        with capturedLogs() as events:
            self.reactor.wait(store.fence("k"))
            self.reported.clear()
            self.insert("1")
            self.reactor.wait(store.fence("k"))
        self.assertEqual((self.reported, events), (["k"], []))

    def test_swallowed(self) -> None:
        """
        In the others no fence is passed, not even the first, and one warning
        says what to do, however often it is tried again.
        """
        for mode in "transaction", "statement":
            self.bouncer.become(mode)
            store = self.open()
            with capturedLogs() as events, self.subTest(mode=mode):
                text = self.outage(store.fence("k"), StoreUnavailable)
                for _ in range(2):
                    self.attempts(store)
                    self.outage(store.fence("k"), StoreUnavailable)
                (warning,) = map(formatEvent, events)
                self.assertIn("a pooler in session mode", text)
                self.assertTrue(str(warning).endswith(text.partition(": ")[2]))

    def test_becameOther(self) -> None:
        """
        A pooler that leaves session mode while the store is connected is
        noticed when the store next sees whether it hears.
        """
        store = self.open()
        self.reactor.wait(store.fence("k"))
        self.bouncer.become("transaction")
        self.reported.clear()
        with capturedLogs() as events:
            # The server's session is the pooler's after the next answer.
            self.reactor.wait(store.fence("k"))
            self.reactor.advance(15.0)
            self.reactor.waitUntil(lambda: bool(events))
        self.assertIn("in session mode", str(formatEvent(events[0])))
        self.outage(store.fence("k"), StoreUnavailable)
        self.bouncer.become("session")
        self.recovered(store)

    def test_reset(self) -> None:
        """
        No fence is passed by a session of the server that listens no more.
        """
        store = self.open()
        self.reactor.wait(store.fence("k"))
        connection = store._listener._connection
        assert connection is not None
        connection.pgconn.exec_(b"UNLISTEN *")
        text = self.outage(store.fence("k"), StoreUnavailable)
        self.assertIn("a pooler in session mode", text)


class SharedSessionTests(PooledCase):
    """
    Tests for sessions of the server that the store shares with others.
    """

    def test_settings(self) -> None:
        """
        Nothing that the store sets holds for others, and nothing is prepared
        that another session of the server may not have.
        """
        store = self.open()
        self.insert("1")
        for _ in range(4):
            answers = [store.load("k") for _ in range(20)]
            for stored in self.reactor.wait(gatherResults(answers)):
                assert stored is not None
                self.assertEqual(stored.raw, b"1")
        self.reactor.wait(store.replace("k", b"1", b"2", KEEP))
        with psycopg.connect(self.url(), autocommit=True) as application:
            for name in "statement_timeout", "lock_timeout":
                self.assertEqual(
                    application.execute(f"SHOW {name}").fetchone(), ("0",), name
                )
            writer = "SELECT current_setting('txsessionsock.writer', true)"
            self.assertIn(application.execute(writer).fetchone(), [("",), (None,)])
            prepared = "SELECT count(*) FROM pg_prepared_statements"
            self.assertEqual(application.execute(prepared).fetchone(), (0,))

    def test_locked(self) -> None:
        """
        What waits for a row that somebody else holds is given up by the server
        in time, and not done.
        """
        store = self.open(timeout=1.0)
        self.insert("1")
        with psycopg.connect(self.server.url(self.database)) as application:
            application.execute("UPDATE django_session SET session_data = '1'")
            answer = store.replace("k", b"1", b"2", KEEP)
            self.outage(answer, StoreUnavailable)
        self.assertEqual(self.rows(), ["1"])
        self.reactor.wait(store.replace("k", b"1", b"2", KEEP))

    def test_hangs(self) -> None:
        """
        A write with an unknown outcome that the server has not read when
        nobody waits for it any more is never done.
        """
        store = self.open(timeout=0.8, connections=2)
        self.insert("1")
        self.reactor.wait(store.load("k"))
        stopped = self.backends()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.outage(store.replace("k", b"1", b"2", KEEP), StoreTimeout)
            stored = self.reactor.wait(store.load("k"))
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        eventually(lambda: not {*stopped} & {*self.backends()})
        assert stored is not None
        self.assertEqual((stored.raw, self.rows()), (b"1", ["1"]))

    def loaded(self, store: SQLStore) -> Stored | None:
        """
        What is stored, if a busy server says so within two seconds.
        """
        try:
            stored: Stored | None = self.reactor.wait(store.load("k"))
        except StoreUnavailable:
            return None
        return stored

    def test_lost(self) -> None:
        """
        A write with an unknown outcome that is under way is ended before
        anything that is asked later is answered.
        """
        store = self.open(timeout=2.0)
        self.insert("1")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with psycopg.connect(self.server.url(self.database)) as application:
            application.execute("UPDATE django_session SET session_data = '1'")
            answer = store.replace("k", b"1", b"2", KEEP)
            self.reactor.waitUntil(lambda: self.execute(waiting) == [(1,)])
            self.bouncer.stop()
            self.outage(answer, StoreTimeout)
            self.bouncer.start()
            stored = eventually(lambda: self.loaded(store))
            self.assertEqual(self.execute(waiting), [(0,)])
        assert stored is not None
        self.assertEqual((stored.raw, self.rows()), (b"1", ["1"]))
