"""
Tests for L{txsessionsock.stores.sql}, on a real PostgreSQL server that
tells of changes; and a manager over such a store.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from tests.support.managing import Recorder
from tests.support.postgresqlcase import NOTIFY, TRIGGER, PostgreSQLCase
from tests.support.postgresserver import psycopg
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import NoSuchSession, SessionID, StoreUnavailable
from txsessionsock.manager import SessionManager
from txsessionsock.stores._sql.table import CONNECT_PG_SIMPLE, DJANGO
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore


class ListenerTests(PostgreSQLCase):
    """
    Tests for what is heard, and what is when nothing can be.
    """

    changes = (NOTIFY, TRIGGER.format(table="django_session", key="session_key"))

    def listening(self, timeout: float = 2.0) -> WatchableSQLStore:
        """
        A store that watches one session.
        """
        store = self.closing(
            WatchableSQLStore(self.url(), DJANGO, self.reactor, timeout)
        )
        self.reported: list[str] = []
        store.watch("k", self.reported.append)
        return store

    def fenced(self, store: WatchableSQLStore) -> list[str]:
        """
        What has been reported when a fence was passed.
        """
        self.reactor.wait(store.fence("k"))
        reported, self.reported[:] = list(self.reported), []
        return reported

    def test_application(self) -> None:
        """
        What the application does is heard, whatever it is, as is a session that
        gets another key; nothing is once nothing is done.
        """
        store = self.listening()
        self.insert("1")
        self.fenced(store)
        table = "django_session"
        for change in (
            f"UPDATE {table} SET session_data = '2'",
            f"UPDATE {table} SET expire_date = now()",
            f"UPDATE {table} SET session_key = 'j'",
            f"UPDATE {table} SET session_key = 'k'",
            f"DELETE FROM {table}",
            f"INSERT INTO {table} VALUES ('k', '', now())",
            f"TRUNCATE {table}",
        ):
            self.execute(change)
            with self.subTest(change=change):
                self.assertEqual(self.fenced(store), ["k"])
        self.insert("1", "other")
        self.assertEqual(self.fenced(store), [])

    def test_secret(self) -> None:
        """
        Whoever else listens learns no key.
        """
        with psycopg.connect(
            self.server.url(self.database), autocommit=True
        ) as connection:
            connection.execute("LISTEN txsessionsock")
            self.insert("1", "geheim")
            (notify,) = connection.notifies(timeout=10, stop_after=1)
        self.assertRegex(notify.payload, r"\A[0-9a-f]{64} \Z")

    def test_noTrigger(self) -> None:
        """
        Without the trigger the store is blind, and says what is missing; it
        sees as soon as there is one.
        """
        self.execute("DROP TRIGGER txsessionsock ON django_session")
        store = self.listening()
        self.assertIn("notify.sql", self.outage(store.fence("k"), StoreUnavailable))
        self.assertIn("notify.sql", self.outage(store.fence("k"), StoreUnavailable))
        self.execute(self.changes[1].partition(";")[0])
        self.recovered(store)
        self.assertEqual(self.reported, ["k"])

    def test_triggerGone(self) -> None:
        """
        No fence is passed after the trigger was switched off.
        """
        store = self.listening()
        self.fenced(store)
        self.execute("ALTER TABLE django_session DISABLE TRIGGER txsessionsock")
        self.assertIn("notify.sql", self.outage(store.fence("k"), StoreUnavailable))

    def test_noAnswer(self) -> None:
        """
        No fence is passed by what is no answer to what was asked.
        """
        store = self.listening()
        self.fenced(store)
        question, store._listener._question = store._listener._question, b"LISTEN k"
        self.assertIn("no answer", self.outage(store.fence("k"), StoreUnavailable))
        store._listener._question = question
        self.recovered(store)

    def test_connectionLost(self) -> None:
        """
        After a connection is lost all that is watched is reported, since
        changes may have been missed.
        """
        store = self.listening()
        self.fenced(store)
        for pid in self.backends():
            self.execute("SELECT pg_terminate_backend(%s)", pid)
        self.reactor.waitUntil(lambda: store._listener._connection is None)
        self.insert("1")
        self.outage(store.fence("k"), StoreUnavailable)
        self.recovered(store)
        self.assertEqual(self.reported, ["k"])

    def test_hangs(self) -> None:
        """
        A fence on a server that hangs fails, and neither that nor closing takes
        longer than it may.
        """
        store = self.listening(timeout=0.5)
        self.fenced(store)
        self.server.pause()
        try:
            fences = [store.fence("k"), store.fence("other")]
            for fence in fences:
                self.outage(fence, StoreUnavailable)
            began = monotonic()
            self.reactor.wait(store.close())
            self.assertLess(monotonic() - began, 3.0)
        finally:
            self.server.resume()
        self.failureResultOf(store.fence("k"), StoreUnavailable)
        self.reactor.waitUntil(lambda: not store._pool._calls)

    def test_fencesShare(self) -> None:
        """
        All fences that wait are passed by one answer.
        """
        store = self.listening()
        self.fenced(store)
        asked: list[bytes] = []
        connection = store._listener._connection
        assert connection is not None
        pgconn = connection.pgconn

        class Counting:
            def __getattr__(self, name: str) -> Any:
                return getattr(pgconn, name)

            def send_query(self, query: bytes) -> None:
                asked.append(query)
                pgconn.send_query(query)

        self.patch(connection, "pgconn", Counting())
        for answer in [store.fence(f"k{n}") for n in range(50)]:
            self.reactor.wait(answer)
        self.assertEqual(len(asked), 2)


class ManagerTests(PostgreSQLCase):
    """
    Tests for an Express application with connect-pg-simple, whose sessions a
    manager has live.
    """

    table = CONNECT_PG_SIMPLE
    changes = (NOTIFY, TRIGGER.format(table="session", key="sid"))

    def live(self, kind: type[SQLStore]) -> None:
        """
        What the application changes is seen, what the socket changes is
        stored, both are kept, and a logout is final.
        """
        store = self.closing(kind(self.url(), self.table, self.reactor))
        manager = SessionManager(store, Express("s", prefix=""), self.reactor)
        self.addCleanup(lambda: self.reactor.wait(manager.stop(0)))
        self.insert('{"cookie": {"originalMaxAge": null}, "n": 1}')
        first, second = Recorder(), Recorder()
        session = self.reactor.wait(manager.open(SessionID("k"), first))
        self.execute("UPDATE session SET sess = (sess::jsonb || '{\"n\": 2}')")
        self.reactor.wait(manager.open(SessionID("k"), second))
        self.assertEqual(session["n"], 2)
        self.execute("UPDATE session SET sess = (sess::jsonb || '{\"n\": 3}')")
        session["mine"] = True
        self.reactor.wait(session.save())
        session["mine"] = [1]
        self.reactor.wait(session.save())
        ((kept,),) = self.execute("SELECT sess FROM session")
        self.assertEqual((kept["n"], kept["mine"]), (3, [1]))
        self.execute("DELETE FROM session")
        session["mine"] = False
        with self.assertRaises(NoSuchSession):
            self.reactor.wait(session.save())
        self.assertEqual((first.reasons, self.rows()), (["destroyed"], []))

    def test_watched(self) -> None:
        """
        In a table that tells.
        """
        self.live(WatchableSQLStore)

    def test_unwatched(self) -> None:
        """
        In one that does not.
        """
        self.live(SQLStore)

    def test_blind(self) -> None:
        """
        In one that should, and has no trigger.
        """
        self.execute("DROP TRIGGER txsessionsock ON session")
        self.live(WatchableSQLStore)

    def test_jsonb(self) -> None:
        """
        In one that shows sessions in its own way.
        """
        self.execute("ALTER TABLE session ALTER sess TYPE jsonb")
        self.live(WatchableSQLStore)
