"""
Tests for L{txsessionsock.stores.sql}, on a real PostgreSQL server.
"""

from __future__ import annotations

import json
import os
import signal
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress as suppressing
from importlib.resources import files
from time import monotonic, time
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    ISessionStore,
    NoSuchSession,
    SessionConflict,
    SessionID,
    Stored,
    StoreError,
    StoreFailure,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.manager import SessionManager
from txsessionsock.stores.sql import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    SQLStore,
    Table,
    WatchableSQLStore,
)
from txsessionsock.testing import PrivateReactor, StoreContract, WatchableContract

from .managing import Recorder
from .postgresserver import PASSWORD, psycopg, sharedServer


pytestmark = pytest.mark.postgresql

SCHEMAS = {
    DJANGO: "CREATE TABLE django_session (session_key varchar(40) NOT NULL PRIMARY KEY,"
    " session_data text NOT NULL, expire_date timestamp with time zone NOT NULL)",
    FLASK_SESSION: "CREATE TABLE sessions (id SERIAL NOT NULL,"
    " session_id VARCHAR(255), data BYTEA, expiry TIMESTAMP WITHOUT TIME ZONE,"
    " PRIMARY KEY (id), UNIQUE (session_id))",
    CONNECT_PG_SIMPLE: 'CREATE TABLE "session" ("sid" varchar NOT NULL COLLATE'
    ' "default", "sess" json NOT NULL, "expire" timestamp(6) NOT NULL)'
    " WITH (OIDS=FALSE);"
    ' ALTER TABLE "session" ADD CONSTRAINT "session_pkey" PRIMARY KEY ("sid")'
    " NOT DEFERRABLE INITIALLY IMMEDIATE",
}

NOTIFY = (files("txsessionsock.stores") / "notify.sql").read_text("utf-8")

TRIGGER = (
    "CREATE TRIGGER txsessionsock AFTER INSERT OR UPDATE OR DELETE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION txsessionsock_notify('{key}');"
    "CREATE TRIGGER txsessionsock_all AFTER TRUNCATE ON {table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION txsessionsock_notify()"
)


class _Fixture(SynchronousTestCase):
    """
    A database with the table of a web application, a reactor, and stores that
    are closed in the end.
    """

    table: Table = DJANGO
    changes: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.server = sharedServer()
        self.database = self.server.newDatabase()
        self.execute(SCHEMAS[self.table])
        for change in self.changes:
            self.execute(change)
        self.reactor = PrivateReactor()
        self.addCleanup(self.reactor.close)
        self.addCleanup(lambda: self.assertEqual(self.reactor.getDelayedCalls(), []))
        super().setUp()

    def open(self, timeout: float = 2.0, connections: int = 4) -> SQLStore:
        """
        A store, as one more process would have it.
        """
        store = SQLStore(
            self.server.url(self.database),
            self.table,
            self.reactor,
            timeout,
            connections,
        )
        self.addCleanup(lambda: self.reactor.wait(store.close()))
        return store

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """
        Be the web application.
        """
        return self.server.execute(sql, *values, database=self.database)

    def outage(self, answer: Deferred[Any], kind: type[StoreFailure]) -> str:
        """
        Wait for a failure of exactly this kind; its text names the database
        and not the password.
        """
        with self.assertRaises(StoreFailure) as caught:
            self.reactor.wait(answer)
        self.assertIs(type(caught.exception), kind)
        text = str(caught.exception)
        self.assertIn(f"127.0.0.1:{self.server.port}/", text)
        self.assertNotIn(PASSWORD, text)
        return text


@implementer(ISessionStore)
class Encoded:
    """
    A store for which a framework makes what fits of any bytes.
    """

    def __init__(
        self,
        inner: SQLStore,
        encode: Callable[[bytes], bytes],
        decode: Callable[[bytes], bytes],
    ) -> None:
        self.inner, self.encode, self.decode = inner, encode, decode

    def _decoded(self, stored: Stored) -> Stored:
        return Stored(self.decode(stored.raw), stored.expires)

    def load(self, key: str) -> Deferred[Stored | None]:
        return self.inner.load(key).addCallback(
            lambda stored: None if stored is None else self._decoded(stored)
        )

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return self.inner.create(key, self.encode(raw), ttl)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        def failed(failure: Failure) -> Stored:
            failure.trap(SessionConflict)
            assert isinstance(failure.value, SessionConflict)
            raise SessionConflict(self._decoded(failure.value.current))

        answer = self.inner.replace(key, self.encode(old), self.encode(new), ttl)
        return answer.addCallbacks(self._decoded, failed)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self.inner.touch(key, ttl)

    def destroy(self, key: str) -> Deferred[bool]:
        return self.inner.destroy(key)


class FlaskSessionContractTests(StoreContract, _Fixture):
    """
    What stores promise, in Flask-Session's table.
    """

    table = FLASK_SESSION
    # The contract has a longer key.
    changes: tuple[str, ...] = ("ALTER TABLE sessions ALTER session_id TYPE varchar",)

    def makeStore(self) -> ISessionStore:
        return self.open()

    def makeOther(self, store: ISessionStore) -> ISessionStore:
        return self.makeStore()

    def wait(self, answer):  # type: ignore[no-untyped-def]  # as in the contract
        return self.reactor.wait(answer)

    def advance(self, seconds: float) -> None:
        self.reactor.advance(seconds)

    def now(self) -> float:
        return self.reactor.seconds()


class DjangoContractTests(FlaskSessionContractTests):
    """
    What stores promise, in Django's table, where there is text.
    """

    table = DJANGO
    changes = ("ALTER TABLE django_session ALTER session_key TYPE varchar",)

    def makeStore(self) -> ISessionStore:
        return Encoded(self.open(), b64encode, b64decode)


class ConnectPgSimpleContractTests(FlaskSessionContractTests):
    """
    What stores promise, in connect-pg-simple's table, where there is JSON.
    """

    table = CONNECT_PG_SIMPLE
    changes = ()

    def makeStore(self) -> ISessionStore:
        return Encoded(
            self.open(),
            lambda raw: json.dumps({"": raw.decode("latin-1")}).encode(),
            lambda text: str(json.loads(text)[""]).encode("latin-1"),
        )


class _Tests(_Fixture):
    """
    What the tests below have in common.
    """

    def insert(self, raw: str, key: str = "k") -> None:
        """
        Have a session that the web application wrote, with an hour to live.
        """
        table = self.table
        end = {
            DJANGO: "now() + interval '1 hour'",
            FLASK_SESSION: "now() AT TIME ZONE 'UTC' + interval '1 hour'",
            # As connect-pg-simple does.
            CONNECT_PG_SIMPLE: "to_timestamp(extract(epoch FROM now()) + 3600)",
        }
        self.execute(
            f"INSERT INTO {table.path} ({table.key}, {table.value}, {table.expires})"
            f" VALUES (%s, %s, {end[table]})",
            key,
            raw,
        )

    def rows(self) -> list[Any]:
        """
        All sessions as the web application sees them.
        """
        sql = f"SELECT {self.table.value}::text FROM {self.table.path}"
        return [value for (value,) in self.execute(sql)]

    def backends(self) -> list[int]:
        """
        The processes of the server that serve stores.
        """
        rows = self.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in rows]


class DeadlineTests(_Tests):
    """
    Tests for deadlines that go to and fro; the server's time zone is not UTC.
    """

    def assertSame(self, alive: str) -> None:
        """
        The application and the store mean the same time.
        """
        store = self.open()
        self.insert('{"a": 1}')
        stored = self.reactor.wait(store.load("k"))
        assert stored is not None and stored.expires is not None
        self.assertLess(abs(stored.expires - time() - 3600), 5.0)
        count = f"SELECT count(*) FROM {self.table.path} WHERE {alive}"
        self.assertEqual(self.execute(count), [(1,)])
        for ttl, found in (30.0, 1), (-1.0, 0), (FOREVER, 1):
            with suppressing(NoSuchSession):
                self.reactor.wait(store.touch("k", ttl))
            if not found:
                self.assertEqual(self.execute(count), [(0,)])
                self.assertTrue(self.reactor.wait(store.create("k", b"{}", 1.0)))
            self.assertEqual(self.execute(count), [(1,)])

    def test_django(self) -> None:
        """
        With a time zone, in Django's table.
        """
        self.assertSame("expire_date > now()")

    def test_connectPgSimple(self) -> None:
        """
        In the time zone of the session of the database, in
        connect-pg-simple's table.
        """
        self.become(CONNECT_PG_SIMPLE)
        self.assertSame("expire >= to_timestamp(extract(epoch FROM now()))")

    def test_flask(self) -> None:
        """
        In UTC without saying so, in Flask-Session's table.
        """
        self.become(FLASK_SESSION)
        self.assertSame("expiry > now() AT TIME ZONE 'UTC'")

    def become(self, table: Table) -> None:
        """
        Be about another application.
        """
        self.table = table
        self.execute(SCHEMAS[table])


class ValueTests(_Tests):
    """
    Tests for sessions that come and go as JSON.
    """

    table = CONNECT_PG_SIMPLE

    def test_json(self) -> None:
        """
        A column of C{json} keeps the text as it came.
        """
        store, raw = self.open(), '{ "b":1,"a" : [2.50] }'
        self.insert(raw)
        stored = self.reactor.wait(store.replace("k", raw.encode(), b'{"b" :2}', KEEP))
        self.assertEqual(stored.raw, b'{"b" :2}')
        self.assertEqual(self.rows(), ['{"b" :2}'])

    def test_jsonb(self) -> None:
        """
        A column of C{jsonb} does not: what was stored is said, and is what the
        next write compares with.
        """
        self.execute("ALTER TABLE session ALTER sess TYPE jsonb")
        store, raw = self.open(), b'{ "b":1,"a":2 }'
        self.assertTrue(self.reactor.wait(store.create("k", raw, 60.0)))
        with self.assertRaises(SessionConflict) as caught:
            self.reactor.wait(store.replace("k", raw, b"{}", KEEP))
        self.assertEqual(caught.exception.current.raw, b'{"a": 2, "b": 1}')
        stored = self.reactor.wait(
            store.replace("k", caught.exception.current.raw, b'{"b" :2}', KEEP)
        )
        self.assertEqual(stored.raw, b'{"b": 2}')
        self.reactor.wait(store.replace("k", stored.raw, b"{}", 60.0))
        self.assertEqual(self.rows(), ["{}"])

    def test_unfit(self) -> None:
        """
        What does not fit is refused, not shown, and changes nothing.
        """
        store = self.open()
        self.insert("{}")
        for raw in b'{"geheim', b'{"geheim":"\xff"}', b'"geheim\0"':
            for answer in (
                store.replace("k", b"{}", raw, KEEP),
                store.create("other", raw, 60.0),
            ):
                self.assertNotIn("geheim", self.outage(answer, StoreError))
        for key in "geheim\0", "geheim\ud800":
            self.assertNotIn("geheim", self.outage(store.load(key), StoreError))
        self.execute("ALTER TABLE session ALTER sid TYPE varchar(9)")
        answer = store.create("geheim-1234", b"{}", 60.0)
        self.assertNotIn("geheim", self.outage(answer, StoreError))
        self.assertEqual(self.rows(), ["{}"])

    def test_oldUnfit(self) -> None:
        """
        What cannot be what is stored is in conflict with it.
        """
        store = self.open()
        self.insert("{}")
        with self.assertRaises(SessionConflict):
            self.reactor.wait(store.replace("k", b"\xff", b"{}", KEEP))


class OutageTests(_Tests):
    """
    Tests for databases that refuse, hang, or are gone.
    """

    def test_refused(self) -> None:
        """
        What the server does not allow is said, without any password.
        """
        store = self.open()
        self.execute("DROP TABLE django_session")
        self.assertIn("django_session", self.outage(store.load("k"), StoreError))
        for url, kind in (
            (self.server.url(self.database, "falsch"), "authentication"),
            (self.server.url("nothere"), "nothere"),
        ):
            other = SQLStore(url, DJANGO, self.reactor)
            text = self.outage(other.create("k", b"", 60.0), StoreUnavailable)
            self.assertIn(kind, text)
            self.assertNotIn("falsch", text)
            self.reactor.wait(other.close())

    def test_url(self) -> None:
        """
        A URL that is none is not shown.
        """
        for url in "postgresql://u:geheim@[h/d", "postgresql://h/?geheim=1":
            with self.assertRaises(ValueError) as caught:
                SQLStore(url, DJANGO, self.reactor)
            self.assertNotIn("geheim", str(caught.exception))

    def test_locked(self) -> None:
        """
        What waits for a row that somebody else holds is not done and says so
        in time; other sessions do not wait.
        """
        store = self.open(timeout=1.0)
        self.insert("1")
        self.insert("1", "other")
        with psycopg.connect(self.server.url(self.database)) as connection:
            connection.execute("UPDATE django_session SET session_data = '1'")
            answer = store.replace("k", b"1", b"2", KEEP)
            self.assertIsNotNone(self.reactor.wait(store.load("other")))
            self.assertFalse(answer.called)
            self.outage(answer, StoreUnavailable)
        self.assertEqual(self.rows(), ["1", "1"])
        self.reactor.wait(store.replace("k", b"1", b"2", KEEP))

    def test_restarted(self) -> None:
        """
        While there is no server, nothing is sent; when there is one again, the
        store goes on.
        """
        store = self.open(connections=1)
        self.insert("1")
        self.reactor.wait(store.load("k"))
        self.server.stop()
        try:
            self.outage(store.load("k"), StoreUnavailable)
            self.outage(store.replace("k", b"1", b"2", KEEP), StoreUnavailable)
        finally:
            self.server.start()
        self.reactor.wait(store.replace("k", b"1", b"2", KEEP))
        self.server.stop()
        self.server.start()
        self.reactor.wait(store.replace("k", b"2", b"3", KEEP))

    def test_killed(self) -> None:
        """
        The outcome of a write is unknown when its connection breaks; of what
        only reads it does not matter.
        """
        store = self.open(timeout=5.0)
        self.insert("1")
        for writes, kind in (True, StoreTimeout), (False, StoreUnavailable):
            answer = store._pool.ask(
                lambda execute: execute(
                    "SELECT pg_terminate_backend(pg_backend_pid())"
                ),
                writes,
            )
            self.outage(answer, kind)
        self.assertIsNotNone(self.reactor.wait(store.load("k")))

    def test_hangs(self) -> None:
        """
        A write with an unknown outcome is ended before anything that is asked
        later is answered.
        """
        store = self.open(timeout=0.8, connections=2)
        self.insert("1")
        self.reactor.wait(store.load("k"))
        (pid,) = self.backends()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.outage(store.replace("k", b"1", b"2", KEEP), StoreTimeout)
            self.outage(store.load("k"), StoreUnavailable)
        finally:
            os.kill(pid, signal.SIGCONT)
        stored = self.reactor.wait(store.load("k"))
        assert stored is not None
        self.assertNotIn(pid, self.backends())
        self.assertEqual(self.rows(), [stored.raw.decode()])

    def test_closes(self) -> None:
        """
        A server that hangs does not keep the store from closing.
        """
        store = self.open(timeout=0.5)
        self.reactor.wait(store.load("k"))
        self.server.pause()
        try:
            began = monotonic()
            answers = [store.load("k"), store.load("k"), store.create("k", b"", 60.0)]
            self.reactor.wait(store.close())
            self.assertLess(monotonic() - began, 3.0)
        finally:
            self.server.resume()
        for answer in answers:
            self.failureResultOf(answer, StoreTimeout, StoreUnavailable)
        self.reactor.waitUntil(lambda: not store._pool._calls)

    def test_gone(self) -> None:
        """
        What is closed leaves no connection behind.
        """
        store = self.open()
        answers = [store.load(f"k{n}") for n in range(20)]
        for answer in answers:
            self.assertIsNone(self.reactor.wait(answer))
        self.assertIn(len(self.backends()), range(1, 5))
        self.reactor.wait(store.close())
        self.reactor.waitUntil(lambda: not self.backends())


class WatchableContractTests(WatchableContract, FlaskSessionContractTests):
    """
    What stores promise that can be watched.
    """

    changes = (
        *FlaskSessionContractTests.changes,
        NOTIFY,
        TRIGGER.format(table="sessions", key="session_id"),
    )

    def makeStore(self) -> WatchableSQLStore:
        store = WatchableSQLStore(
            self.server.url(self.database), self.table, self.reactor
        )
        self.addCleanup(lambda: self.reactor.wait(store.close()))
        return store

    def makeOther(self, store: ISessionStore) -> WatchableSQLStore:
        return self.makeStore()

    def until(self, happened: Callable[[], bool]) -> None:
        self.reactor.waitUntil(happened)


class ListenerTests(_Tests):
    """
    Tests for what is heard, and what is when nothing can be.
    """

    changes = (NOTIFY, TRIGGER.format(table="django_session", key="session_key"))

    def listening(self, timeout: float = 2.0) -> WatchableSQLStore:
        """
        A store that watches one session.
        """
        store = WatchableSQLStore(
            self.server.url(self.database), DJANGO, self.reactor, timeout
        )
        self.addCleanup(lambda: self.reactor.wait(store.close()))
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

    def recovered(self, store: WatchableSQLStore) -> None:
        """
        Wait until it sees changes again.
        """

        def listens() -> bool:
            self.reactor.advance(10.0)
            with suppressing(StoreUnavailable):
                self.reactor.wait(store.fence("k"))
                return True
            return False

        self.reactor.waitUntil(listens, 20.0)

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


class ManagerTests(_Tests):
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
        store = kind(self.server.url(self.database), self.table, self.reactor)
        self.addCleanup(lambda: self.reactor.wait(store.close()))
        manager = SessionManager(store, Express("s", prefix=""), self.reactor)
        self.addCleanup(lambda: self.reactor.wait(manager.stop()))
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
