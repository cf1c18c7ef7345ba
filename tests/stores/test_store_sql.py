"""
Tests for L{txsessionsock.stores.sql}, on SQLite.
"""

from __future__ import annotations

import operator
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from tests.support.storecase import FileCase, WaitingContract
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    ISessionStore,
    NoSuchSession,
    Stored,
    StoreError,
    StoreRefusal,
    StoreTimeout,
    StoreUnavailable,
    UndecodableSession,
)
from txsessionsock.stores._sql.table import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    Deadline,
    Table,
)
from txsessionsock.stores.sql import SQLStore
from txsessionsock.testing import PrivateReactor, StoreContract


SCHEMAS = {
    DJANGO: "CREATE TABLE django_session (session_key varchar(40) NOT NULL PRIMARY KEY,"
    " session_data text NOT NULL, expire_date datetime NOT NULL)",
    FLASK_SESSION: "CREATE TABLE sessions (id INTEGER NOT NULL,"
    " session_id VARCHAR(255), data BLOB, expiry DATETIME, PRIMARY KEY (id),"
    " UNIQUE (session_id))",
    CONNECT_PG_SIMPLE: "CREATE TABLE session (sid varchar NOT NULL PRIMARY KEY,"
    # Declared as json, SQLite would make a number of what looks like one.
    " sess text NOT NULL, expire timestamp(6) NOT NULL)",
}


def renamed(field: str, name: str) -> Table:
    """
    Django's table, in which something has another name.
    """
    changes: dict[str, Any] = {field: name}
    return replace(DJANGO, **changes)


class _Fixture(FileCase):
    """
    Stores in the database of a web application.
    """

    filename = "web application.db"
    table: Table = DJANGO

    def setUp(self) -> None:
        super().setUp()
        sqlite3.connect(self.path).close()
        self.execute(SCHEMAS[self.table])

    def open(self, timeout: float = 2.0, table: Table | None = None) -> SQLStore:
        """
        A store, as one more process would have it.
        """
        url = f"sqlite:{self.path}"
        return self.closing(SQLStore(url, table or self.table, self.reactor, timeout))

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """
        Be the web application.
        """
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(sql, values).fetchall()


class DjangoContractTests(WaitingContract, StoreContract, _Fixture):
    """
    What stores promise, in Django's table.
    """

    def makeStore(self) -> ISessionStore:
        return self.open()


class FlaskSessionContractTests(DjangoContractTests):
    """
    What stores promise, in Flask-Session's table.
    """

    table = FLASK_SESSION


class ConnectPgSimpleContractTests(DjangoContractTests):
    """
    What stores promise, in connect-pg-simple's table.
    """

    table = CONNECT_PG_SIMPLE


class TableTests(SynchronousTestCase):
    """
    Tests for L{Table}.
    """

    def test_names(self) -> None:
        """
        Names that are no ordinary ones are refused; the others are quoted.
        """
        for name in "", 'a"b', "a b", "a;b", "a.b", "a%s", "1a", "a\0", "a" * 64, "a]b":
            for field in "name", "key", "value", "expires", "schema":
                with self.assertRaises(ValueError):
                    renamed(field, name)
        table = replace(DJANGO, name="Größe", schema="web")
        self.assertEqual(table.path, '"web"."Größe"')

    def test_url(self) -> None:
        """
        What is no URL is refused, and not shown.
        """
        for url in (
            "",
            "sqlite:",
            "sqlite::memory:",
            "mysql://u:geheim@h/d",
            "geheim",
        ):
            with self.assertRaises(ValueError) as caught:
                SQLStore(url, DJANGO, PrivateReactor())
            self.assertNotIn("geheim", str(caught.exception))


class KeepingTests(_Fixture):
    """
    Tests for how sessions are kept.
    """

    def insert(self, expires: object) -> None:
        """
        Have a session that the web application wrote.
        """
        self.execute("DELETE FROM django_session")
        self.execute("INSERT INTO django_session VALUES ('k', 'eyJ9', ?)", expires)

    def row(self) -> tuple[Any, ...]:
        """
        A session as the web application sees it.
        """
        (row,) = self.execute("SELECT session_data, expire_date FROM django_session")
        return row

    def test_applicationsDeadlines(self) -> None:
        """
        Deadlines are read as Django writes them, with or without a fraction.
        """
        store = self.open()
        for text, seconds in (
            ("2100-01-02 03:04:05.678901", 4102542245.678901),
            ("2100-01-02 03:04:05", 4102542245.0),
        ):
            self.insert(text)
            self.assertEqual(
                self.reactor.wait(store.load("k")), Stored(b"eyJ9", seconds)
            )
        self.insert("2001-01-02 03:04:05")
        self.assertIsNone(self.reactor.wait(store.load("k")))

    def test_ourDeadlines(self) -> None:
        """
        Deadlines are written as Django does, in UTC with six digits, and text
        as text.
        """
        store = self.open()
        self.assertTrue(self.reactor.wait(store.create("k", b"eyJ9", 60)))
        data, text = self.row()
        self.assertEqual(data, "eyJ9")
        self.assertRegex(text, r"\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\Z")
        then = datetime.fromisoformat(text + "+00:00").timestamp()
        self.assertLess(abs(then - self.reactor.seconds() - 60), 1.0)
        self.reactor.wait(store.touch("k", FOREVER))
        self.assertEqual(self.row(), ("eyJ9", "9999-01-01 00:00:00.000000"))
        self.reactor.wait(store.touch("k", 1e12))
        self.assertEqual(self.row()[1], "9999-01-01 00:00:00.000000")

    def inZone(self, name: str) -> None:
        """
        Have this process be somewhere.
        """
        self.addCleanup(time.tzset)
        before = {name: os.environ[name] for name in ("TZ",) if name in os.environ}
        self.addCleanup(os.environ.update, before)
        self.addCleanup(os.environ.pop, "TZ")
        os.environ["TZ"] = name
        time.tzset()

    def test_local(self) -> None:
        """
        Where the application writes local times, so does the store.
        """
        self.inZone("America/Caracas")
        store = self.open(table=replace(DJANGO, deadline=Deadline.LOCAL))
        self.insert("2100-01-01 23:04:05")
        stored = self.reactor.wait(store.load("k"))
        assert stored is not None
        self.assertEqual(stored.expires, 4102542245.0)
        self.reactor.wait(store.touch("k", 4102542246.0 - self.reactor.seconds()))
        self.assertIn("2100-01-01 23:04:0", self.row()[1])
        self.reactor.wait(store.touch("k", FOREVER))
        self.assertIsNone(self.reactor.wait(store.touch("k", KEEP)))

    def test_zone(self) -> None:
        """
        Where the application writes times of a zone, so does the store,
        whichever this process is in; also in summer.
        """
        for name, text, summer in (
            ("America/New_York", "2100-01-01 22:04:05", "2100-07-01 08:00:00.000000"),
            ("Asia/Kolkata", "2100-01-02 08:34:05", "2100-07-01 17:30:00.000000"),
        ):
            store = self.open(table=replace(DJANGO, deadline=ZoneInfo(name)))
            self.insert(text)
            stored = self.reactor.wait(store.load("k"))
            assert stored is not None
            self.assertEqual(stored.expires, 4102542245.0)
            noon = datetime(2100, 7, 1, 12, tzinfo=UTC).timestamp()
            end = self.reactor.wait(store.touch("k", noon - self.reactor.seconds()))
            assert end is not None
            self.assertLess(abs(end - noon), 1.0)
            self.assertEqual(self.row()[1][:14], summer[:14])
            self.reactor.wait(store.touch("k", FOREVER))
            self.assertIsNone(self.reactor.wait(store.touch("k", KEEP)))
            for seconds, isThere in (-60, False), (60, True):
                then = datetime.fromtimestamp(time.time() + seconds, ZoneInfo(name))
                self.insert(then.replace(tzinfo=None).isoformat(" "))
                found = self.reactor.wait(store.load("k"))
                self.assertIs(found is not None, isThere)

    def test_noZone(self) -> None:
        """
        A deadline that is none is refused where it is given.
        """
        for wrong in "Europe/Berlin", UTC, None:
            changes: dict[str, Any] = {"deadline": wrong}
            with self.assertRaisesRegex(TypeError, "a Deadline or a ZoneInfo, not"):
                replace(DJANGO, **changes)

    def test_noDate(self) -> None:
        """
        What is no date is a session that cannot be read: neither the end of
        it nor an outage.
        """
        store = self.open()
        self.insert("when it suits")
        answers: list[Deferred[Any]] = [
            store.load("k"),
            store.replace("k", b"", b"x", KEEP),
        ]
        for answer in answers:
            with self.assertRaisesRegex(UndecodableSession, "expire_date of what is"):
                self.reactor.wait(answer)
        self.assertTrue(self.reactor.wait(store.destroy("k")))

    def test_endOfCalendar(self) -> None:
        """
        The last day of all is no end, east of London too.
        """
        self.inZone("Asia/Tokyo")
        store = self.open(table=replace(DJANGO, deadline=Deadline.LOCAL))
        self.insert("9999-12-31 23:59:59")
        stored = self.reactor.wait(store.load("k"))
        assert stored is not None
        self.assertIsNone(stored.expires)

    def test_wrongColumn(self) -> None:
        """
        A column that is not there is an error: in SQLite, a name in double
        quotes may also be a string.
        """
        for field in "key", "value", "expires":
            store = self.open(table=renamed(field, "nothere"))
            self.assertIn("nothere", self.outage(store.load("k"), StoreError))
            answer = store.replace("k", b"", b"", 1.0)
            self.assertIn("nothere", self.outage(answer, StoreError))

    def test_noTable(self) -> None:
        """
        Neither a table nor a file is made where there is none.
        """
        store = self.open(table=replace(DJANGO, name="other"))
        self.assertIn("other", self.outage(store.create("k", b"", 1.0), StoreError))
        os.remove(self.path)
        self.outage(self.open().load("k"), StoreUnavailable)
        self.assertFalse(os.path.exists(self.path))

    def test_unfit(self) -> None:
        """
        A key that SQLite cannot hold is refused, and not shown.
        """
        answer = self.open().load("geheim\ud800")
        self.assertNotIn("geheim", self.outage(answer, StoreRefusal))


class ConstraintTests(_Fixture):
    """
    Tests for a table with conditions of the application's.
    """

    def test_check(self) -> None:
        """
        What the table does not take is refused, which is no time-out: nothing
        was stored.
        """
        self.execute("DROP TABLE django_session")
        schema = SCHEMAS[DJANGO]
        checked = schema.replace(
            "session_data text", "session_data text CHECK (length(session_data) < 9)"
        )
        self.assertNotEqual(schema, checked)
        self.execute(checked)
        store = self.open()
        self.assertTrue(self.reactor.wait(store.create("k", b"short", 60.0)))
        for answer in (
            store.replace("k", b"short", b"x" * 10, KEEP),
            store.create("other", b"x" * 10, 60.0),
        ):
            self.assertIn("CHECK", self.outage(answer, StoreRefusal))
        stored = self.reactor.wait(store.load("k"))
        assert stored is not None
        self.assertEqual(stored.raw, b"short")


class NullableTests(_Fixture):
    """
    Tests for sessions without a deadline.
    """

    table = FLASK_SESSION

    def test_expired(self) -> None:
        """
        In Flask-Session's table, they have expired: their key is free.
        """
        store = self.open()
        self.execute("INSERT INTO sessions VALUES (7, 'k', x'ff', NULL)")
        self.assertIsNone(self.reactor.wait(store.load("k")))
        with self.assertRaises(NoSuchSession):
            self.reactor.wait(store.touch("k", 1.0))
        self.assertTrue(self.reactor.wait(store.create("k", b"\xfe", 60.0)))
        ((raw,),) = self.execute("SELECT data FROM sessions")
        self.assertEqual(raw, b"\xfe")
        self.execute("UPDATE sessions SET expiry = NULL")
        self.assertFalse(self.reactor.wait(store.destroy("k")))
        self.assertEqual(self.execute("SELECT * FROM sessions"), [])

    def test_endless(self) -> None:
        """
        In a table of which it is said, they do not end.
        """
        store = self.open(table=replace(FLASK_SESSION, isNullable=True))
        self.execute("INSERT INTO sessions VALUES (7, 'k', NULL, NULL)")
        self.assertEqual(self.reactor.wait(store.load("k")), Stored(b"", None))
        self.assertFalse(self.reactor.wait(store.create("k", b"", FOREVER)))
        stored = self.reactor.wait(store.replace("k", b"", b"1", FOREVER))
        self.assertEqual(stored, Stored(b"1", None))
        self.assertEqual(
            self.execute("SELECT data, expiry FROM sessions"), [(b"1", None)]
        )


class TimeTests(_Fixture):
    """
    Tests for locks, deadlines and the end of a store.
    """

    def hang(self, store: SQLStore) -> tuple[Deferred[Any], Event]:
        """
        Have the thread of a store wait until the event is set.
        """
        begun, event = Event(), Event()

        def work(execute: Any) -> object:
            begun.set()
            event.wait(10)
            return execute("DELETE FROM django_session RETURNING 1")

        self.addCleanup(event.set)
        answer = store._pool.ask(work)
        self.assertTrue(begun.wait(10))
        return answer, event

    def test_locked(self) -> None:
        """
        What cannot be written while others write was not written.
        """
        store = self.open(timeout=0.4)
        self.assertTrue(self.reactor.wait(store.create("k", b"1", FOREVER)))
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("BEGIN IMMEDIATE")
        answer = store.replace("k", b"1", b"2", FOREVER)
        self.assertIn("locked", self.outage(answer, StoreUnavailable))
        connection.execute("COMMIT")
        stored = self.reactor.wait(store.replace("k", b"1", b"3", FOREVER))
        self.assertEqual(stored.raw, b"3")

    def test_timeout(self) -> None:
        """
        What takes too long is not done, nor is what was not begun.
        """
        self.reactor.wait(self.open().create("k", b"1", FOREVER))
        store = self.open(timeout=0.2)
        running, event = self.hang(store)
        waiting = store.create("never", b"", FOREVER)
        self.outage(running, StoreUnavailable)
        self.outage(waiting, StoreUnavailable)
        store._pool._timeout = 10.0
        loaded, never = store.load("k"), store.load("never")
        event.set()
        self.assertIsNotNone(self.reactor.wait(loaded))
        self.assertIsNone(self.reactor.wait(never))

    def test_timeoutOfCommit(self) -> None:
        """
        Whether it was done that took too long when it could not be stopped any
        more is known before anything else is answered.
        """
        self.reactor.wait(self.open().create("k", b"1", FOREVER))
        store = self.open(timeout=0.2)
        event, end = Event(), store._database.end

        def slowly(connection: sqlite3.Connection, commits: bool) -> None:
            if commits:
                event.wait(10)
            end(connection, commits)

        self.addCleanup(event.set)
        self.patch(store._database, "end", slowly)
        doubt = []
        destroyed = store.destroy("k")
        destroyed.addErrback(lambda failure: doubt.append(failure.value))
        self.reactor.wait(destroyed)
        self.assertIsInstance(doubt[0], StoreTimeout)
        self.assertIsNone(doubt[0].isDone)
        store._pool._timeout = 10.0
        loaded = store.load("k")
        event.set()
        self.assertIsNone(self.reactor.wait(loaded))
        self.assertIs(doubt[0].isDone, True)

    def test_begunTooLate(self) -> None:
        """
        What waited in line does not wait longer for others than its time, and
        is not done when they are done.
        """
        store = self.open(timeout=0.6)
        self.assertTrue(self.reactor.wait(store.create("k", b"1", FOREVER)))
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("BEGIN IMMEDIATE")
        first = store.replace("k", b"0", b"2", FOREVER)
        self.reactor.wait(deferLater(self.reactor, 0.2))
        second = store.replace("k", b"1", b"2", FOREVER)
        self.outage(first, StoreUnavailable)
        self.outage(second, StoreUnavailable)
        connection.execute("COMMIT")
        self.assertEqual(self.reactor.wait(store.load("k")), Stored(b"1", None))

    def test_cancel(self) -> None:
        """
        What is cancelled before its turn is not done.
        """
        store = self.open()
        running, event = self.hang(store)
        answer = store.create("k", b"", FOREVER)
        answer.cancel()
        with self.assertRaises(CancelledError):
            self.reactor.wait(answer)
        event.set()
        self.reactor.wait(running)
        self.assertIsNone(self.reactor.wait(store.load("k")))

    def test_close(self) -> None:
        """
        Closing finishes what was asked, may be repeated, and ends the rest.
        """
        store = self.open()
        created = store.create("k", b"", FOREVER)
        self.reactor.wait(store.close())
        self.assertTrue(self.successResultOf(created))
        self.successResultOf(store.close())
        failure = self.failureResultOf(store.load("k"), StoreUnavailable)
        self.assertIn("closed", str(failure.value))

    def test_shutdown(self) -> None:
        """
        A database that hangs keeps neither the store from closing nor the
        process from ending.
        """
        for end in self.closed, self.shutDown:
            store = self.open(timeout=0.2)
            running, event = self.hang(store)
            began = time.monotonic()
            end(store)
            self.outage(running, StoreUnavailable)
            self.assertLess(time.monotonic() - began, 2.0)
            event.set()
            self.reactor.waitUntil(partial(operator.not_, store._pool._calls))

    def closed(self, store: SQLStore) -> None:
        """
        Close the store.
        """
        self.reactor.wait(store.close())

    def shutDown(self, store: SQLStore) -> None:
        """
        Do what the end of the reactor does.
        """
        self.reactor.fireSystemEvent("shutdown")
        self.failureResultOf(store.load("k"), StoreUnavailable)
