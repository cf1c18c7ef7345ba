"""
Tests for L{txsessionsock.stores.sql}, on real PostgreSQL servers that take over
from one another, behind a real HAProxy that is one name for both.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import gatherResults
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from tests.support.postgresproxies import HAProxy
from tests.support.postgresqlcase import NOTIFY, TRIGGER, PostgreSQLCase
from tests.support.postgresserver import PASSWORD, USER, PostgreSQLServer
from tests.support.redisprocess import eventually
from txsessionsock.interfaces import KEEP, StoreUnavailable
from txsessionsock.stores._sql.statements import Execute
from txsessionsock.stores._sql.table import DJANGO
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore


def _sleep(execute: Execute) -> None:
    # So long that every connection is needed.
    execute("SELECT pg_sleep(0.2)")


def warned(events: Sequence[LogEvent]) -> list[str]:
    """
    What was warned of.
    """
    return [
        str(formatEvent(event))
        for event in events
        if event["log_level"] is LogLevel.warn
    ]


_VALUE = "SELECT session_data FROM django_session WHERE session_key = 'k'"


class TakeoverTests(PostgreSQLCase):
    """
    Tests for a server that was written to, and its standby.
    """

    changes = (NOTIFY, TRIGGER.format(table="django_session", key="session_key"))

    def findServer(self) -> PostgreSQLServer:
        return self.started(PostgreSQLServer())

    def started(self, server: PostgreSQLServer) -> PostgreSQLServer:
        """
        Have a server run until the end of the test.
        """
        self.addCleanup(server.close)
        server.start()
        return server

    def setUp(self) -> None:
        super().setUp()
        self.insert("1")
        self.standby = self.started(PostgreSQLServer(self.server))
        self.proxy = HAProxy(self.server, self.standby)
        self.addCleanup(self.proxy.close)
        self.proxy.start()

    def url(self) -> str:
        return self.urlOf(f"127.0.0.1:{self.proxy.port}")

    def urlOf(self, hosts: str) -> str:
        """
        Where one of some servers has the database.
        """
        return f"postgresql://{USER}:{PASSWORD}@{hosts}/{self.database}"

    def place(self) -> str:
        return f"/{self.database}: "

    def watching(self) -> WatchableSQLStore:
        """
        A store that hears what is done to a session.
        """
        store = WatchableSQLStore(self.url(), DJANGO, self.reactor)
        self.reported: list[str] = []
        store.watch("k", self.reported.append)
        self.reactor.wait(store.fence("k"))
        self.reported.clear()
        return self.closing(store)

    def promote(self) -> None:
        """
        Have the standby take over, and be who the application writes to.
        """
        self.standby.execute("SELECT pg_promote()")
        self.server = self.standby

    def demote(self, server: PostgreSQLServer) -> None:
        """
        Have a server become read-only, and go on living.
        """
        server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        server.execute("SELECT pg_reload_conf()")
        # What connects then comes after all that were there have been told.
        readOnly = "SHOW default_transaction_read_only"
        eventually(lambda: server.execute(readOnly) == [("on",)])

    def isThere(self) -> bool:
        """
        Whether the standby has what was written.
        """
        return self.standby.execute(_VALUE, database=self.database) == [("2",)]

    def hears(self, store: WatchableSQLStore) -> None:
        """
        What is done now is seen.
        """
        self.reported.clear()
        self.execute("UPDATE django_session SET expire_date = now() + '1 hour'")
        self.reactor.wait(store.fence("k"))
        self.assertEqual(self.reported, ["k"])

    def test_demoted(self) -> None:
        """
        A server that became read-only and goes on living is left for the one
        that the name belongs to now: one write fails, and no other; nothing
        is heard for a while, which is told once.
        """
        store, old = self.watching(), self.server
        sleeps = [store._pool.ask(_sleep, writes=False) for _ in range(4)]
        self.reactor.wait(gatherResults(sleeps))
        self.promote()
        self.demote(old)
        self.proxy.belongTo(self.standby)
        with capturedLogs() as events:
            text = self.outage(store.replace("k", b"1", b"2", KEEP), StoreUnavailable)
            writes = [store.create(f"k{n}", b"", 60.0) for n in range(20)]
            self.assertEqual(self.reactor.wait(gatherResults(writes)), [True] * 20)
            self.reactor.wait(store.replace("k", b"1", b"2", KEEP))
            self.outage(store.fence("k"), StoreUnavailable)
            self.recovered(store)
        self.assertIn("read-only", text)
        self.assertEqual(self.reported, ["k"])
        (warning,) = warned(events)
        self.assertIn("read-only", warning)
        self.hears(store)

    def test_goneThere(self) -> None:
        """
        What a server that became read-only does not have may be at the one that
        took over: that is an outage, and no logout.
        """
        store, old = (
            self.closing(SQLStore(self.url(), DJANGO, self.reactor)),
            self.server,
        )
        self.reactor.wait(store.load("k"))
        self.promote()
        self.demote(old)
        self.execute("UPDATE django_session SET session_key = 'new'")
        self.proxy.belongTo(self.standby)
        text = self.outage(store.load("new"), StoreUnavailable)
        self.assertIn("read-only", text)
        self.assertIsNotNone(self.reactor.wait(store.load("new")))
        self.assertIsNone(self.reactor.wait(store.load("k")))

    def test_standby(self) -> None:
        """
        A standby is asked nothing, since it may not know yet what was written;
        as soon as it has taken over it is.
        """
        store = self.watching()
        self.server.stop()
        self.proxy.belongTo(self.standby)
        self.reactor.waitUntil(lambda: store._listener._connection is None)
        with capturedLogs() as events:
            for _ in range(3):
                self.reactor.advance(10.0)
                self.reactor.waitUntil(lambda: store._listener._again.isRunning)
                for answer in store.load("k"), store.fence("k"):
                    text = self.outage(answer, StoreUnavailable)
                    self.assertIn("read-only", text)
        self.assertEqual(len(warned(events)), 1)
        self.promote()
        self.recovered(store)
        self.assertEqual(self.reported, ["k"])
        self.reactor.wait(store.replace("k", b"1", b"2", KEEP))
        self.hears(store)

    def test_severalHosts(self) -> None:
        """
        Of several servers the one is found that can be written to.
        """
        first, second = (f"127.0.0.1:{s.port}" for s in (self.standby, self.server))
        url = self.urlOf(f"{first},{second}")
        store = self.closing(SQLStore(url, DJANGO, self.reactor))
        self.reactor.wait(store.replace("k", b"1", b"2", KEEP))
        eventually(self.isThere)
        self.server.stop()
        self.promote()
        self.reactor.wait(store.replace("k", b"2", b"3", KEEP))
        self.assertEqual(self.rows(), ["3"])
