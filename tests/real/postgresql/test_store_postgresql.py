"""
Tests for L{txsessionsock.stores.sql}, on a real PostgreSQL server.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress as suppressing
from dataclasses import replace
from time import monotonic, time
from zoneinfo import ZoneInfo

from twisted.internet.task import deferLater

from tests.support.managing import Recorder
from tests.support.postgresqlcase import SCHEMAS, PostgreSQLCase
from tests.support.postgresserver import psycopg
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    NoSuchSession,
    SessionConflict,
    SessionID,
    StoreError,
    StoreRefusal,
    StoreTimeout,
    StoreUnavailable,
    UnencodableSession,
)
from txsessionsock.manager import SessionManager
from txsessionsock.stores._sql.table import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    Table,
)
from txsessionsock.stores.sql import SQLStore


class DeadlineTests(PostgreSQLCase):
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

    def test_zone(self) -> None:
        """
        In a zone that the table is said to be in, where the application's
        connection has it and ours would not; a column that has zones means
        the same as ever.
        """
        server, zone = "America/Caracas", "Asia/Tokyo"
        for table, expires in (DJANGO, "expire_date"), (CONNECT_PG_SIMPLE, "expire"):
            isAware = table is DJANGO
            if not isAware:
                self.become(table)
            moment = "now()" if isAware else f"(now() AT TIME ZONE '{zone}')"
            zoned = replace(table, deadline=ZoneInfo(zone))
            self.table = zoned
            store = self.open()
            self.table = table
            self.insert("{}")
            self.execute(
                f"UPDATE {table.path} SET {expires} = {moment} + interval '1 hour'"
            )
            stored = self.reactor.wait(store.load("k"))
            assert stored is not None and stored.expires is not None
            self.assertLess(abs(stored.expires - time() - 3600), 5.0)
            self.reactor.wait(store.touch("k", 30.0))
            alive = f"SELECT count(*) FROM {table.path} WHERE {expires} BETWEEN"
            within = f"{alive} {moment} AND {moment} + interval '31 seconds'"
            self.assertEqual(self.execute(within), [(1,)])
        self.assertEqual(self.execute("SHOW TimeZone"), [(server,)])

    def become(self, table: Table) -> None:
        """
        Be about another application.
        """
        self.table = table
        self.execute(SCHEMAS[table])


class ValueTests(PostgreSQLCase):
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
                self.assertNotIn("geheim", self.outage(answer, StoreRefusal))
        for key in "geheim\0", "geheim\ud800":
            self.assertNotIn("geheim", self.outage(store.load(key), StoreRefusal))
        self.execute("ALTER TABLE session ALTER sid TYPE varchar(9)")
        answer = store.create("geheim-1234", b"{}", 60.0)
        self.assertNotIn("geheim", self.outage(answer, StoreRefusal))
        self.assertEqual(self.rows(), ["{}"])

    def test_characters(self) -> None:
        """
        C{json} takes all that JSON has, C{jsonb} Unicode's characters without
        the first.
        """
        raws = b'{"a":"\\u0000"}', b'{"a":"\\ud83d"}', b'{"\\u0000":1}'
        store = self.open()
        for raw in raws:
            self.insert("{}", raw.hex())
            self.reactor.wait(store.replace(raw.hex(), b"{}", raw, KEEP))
        self.execute("DELETE FROM session")
        self.execute("ALTER TABLE session ALTER sess TYPE jsonb")
        for raw in raws:
            self.insert("{}", raw.hex())
            answer = store.replace(raw.hex(), b"{}", raw, KEEP)
            self.outage(answer, StoreRefusal)
            self.outage(store.create("other", raw, 60.0), StoreRefusal)
        self.assertEqual(self.rows(), ["{}"] * len(raws))

    def test_refused(self) -> None:
        """
        What a column is too short for, and what the table's conditions do not
        allow, is refused; what no value can help is an error.
        """
        self.insert("{}")
        store = self.open()
        for change, revert in (
            ("TYPE varchar(12)", "TYPE json USING sess::json"),
            ("TYPE json, ADD CHECK (length(sess::text) < 12)", "TYPE json"),
        ):
            self.execute(f"ALTER TABLE session ALTER sess {change}")
            answer = store.replace("k", b"{}", b'{"a":"long enough"}', KEEP)
            self.outage(answer, StoreRefusal)
            self.execute(f"ALTER TABLE session ALTER sess {revert}")
        self.execute("ALTER TABLE session ADD more int NOT NULL DEFAULT 1")
        self.execute("ALTER TABLE session ALTER more DROP DEFAULT")
        self.outage(store.create("other", b"{}", 60.0), StoreError)

    def test_encoding(self) -> None:
        """
        What the database has no characters for is refused.
        """
        name = f"{self.database}_latin"
        create = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING"
        self.server.execute(f"{create} 'LATIN1' LOCALE 'C'", database="postgres")
        self.database = name
        self.execute(SCHEMAS[self.table])
        store = self.open()
        self.assertTrue(self.reactor.wait(store.create("k", '"é"'.encode(), 60.0)))
        answer = store.replace("k", '"é"'.encode(), '"€"'.encode(), KEEP)
        self.outage(answer, StoreRefusal)
        self.assertEqual(self.rows(), ['"é"'])

    def test_session(self) -> None:
        """
        A session that is given such a text goes on without it.
        """
        self.execute("ALTER TABLE session ALTER sess TYPE jsonb")
        self.insert('{"cookie": {"originalMaxAge": null}, "n": 1}')
        framework = Express("s3cret", prefix="")
        manager = SessionManager(self.open(), framework, self.reactor, repair=False)
        holder = Recorder()
        session = self.reactor.wait(manager.open(SessionID("k"), holder))
        session["text"], session["n"] = ["a\0b"], 2
        with self.assertRaises(UnencodableSession) as caught:
            self.reactor.wait(session.save())
        self.assertIn("session['text'][0]: str with U+0000", str(caught.exception))
        session["text"] = "a\ud83d"
        with self.assertRaises(UnencodableSession) as caught:
            self.reactor.wait(session.save())
        self.assertIn("session['text']: str with half a su", str(caught.exception))
        session.increment("n")
        self.reactor.wait(session.save())
        self.assertEqual(dict(session), {"n": 3})
        self.reactor.wait(manager.release(session, holder))
        self.reactor.wait(manager.end())

    def test_oldUnfit(self) -> None:
        """
        What cannot be what is stored is in conflict with it.
        """
        store = self.open()
        self.insert("{}")
        with self.assertRaises(SessionConflict):
            self.reactor.wait(store.replace("k", b"\xff", b"{}", KEEP))


class OutageTests(PostgreSQLCase):
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

    def test_standbyWanted(self) -> None:
        """
        A URL that asks for a server which takes no writes is refused at once,
        and says for what to ask.
        """
        for kind in "read-only", "standby", "prefer-standby":
            url = f"{self.server.url()}?target_session_attrs={kind}"
            with self.assertRaisesRegex(ValueError, "must be read-write"):
                SQLStore(url, DJANGO, self.reactor)

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

    def test_lockedInLine(self) -> None:
        """
        What had to wait in line does not wait for others until nobody knows
        what became of it; and what comes next has all its time.
        """
        store = self.open(timeout=1.2)
        self.insert("1")
        with psycopg.connect(self.server.url(self.database)) as connection:
            connection.execute("UPDATE django_session SET session_data = '1'")
            first = store.replace("k", b"1", b"2", KEEP)
            self.reactor.wait(deferLater(self.reactor, 0.5))
            second = store.replace("k", b"1", b"2", KEEP)
            self.outage(first, StoreUnavailable)
            self.outage(second, StoreUnavailable)
        self.assertEqual(self.rows(), ["1"])
        self.reactor.wait(store.replace("k", b"1", b"2", KEEP))
        shown = self.reactor.wait(
            store._pool.ask(lambda execute: execute("SHOW statement_timeout"))
        )
        self.assertEqual(shown, [("900ms",)])

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
        stored = self.reactor.wait(store.load("k"))
        assert stored is not None
        self.assertEqual(stored.raw, b"1")

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

    def test_descriptorOfOthers(self) -> None:
        """
        When a call is given up just as its connection is lost, the descriptor
        may be another connection's by now: that one is left alone.
        """
        store = self.open()
        database = store._database
        with psycopg.connect(self.url()) as connection:
            database.opened(connection)
            ours, theirs = socket.socketpair()
            with ours, theirs:
                self.patch(connection, "fileno", ours.fileno)
                database.abort(connection, writes=False)
                theirs.sendall(b"hello")
                self.assertEqual(ours.recv(9), b"hello")

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
