"""
Tests for C{--store}, C{--table} and C{--cache}, where sessions are in the table
of a web application.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from twisted.logger import capturedLogs, formatEvent

from tests.stores.test_store_sql import SCHEMAS
from tests.support.redisprocess import freePort
from tests.tap.test_tap import TapCase
from txsessionsock.bus import RedisBus
from txsessionsock.frameworks.django import DjangoDatabase
from txsessionsock.hub import hubOf
from txsessionsock.interfaces import Document, ISharedStore, IWatchableStore
from txsessionsock.service import Workers
from txsessionsock.stores._sql.table import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    Table,
)
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore
from txsessionsock.stores.sqlite import SQLiteStore
from txsessionsock.tap import makeService


needsPsycopg = pytest.mark.skipif(
    find_spec("psycopg") is None,
    reason="no psycopg: pip install txsessionsock[postgresql]",
)


class ShopCase(TapCase):
    """
    Beside a web application.
    """

    def secretFile(self) -> str:
        """
        A file with a secret.
        """
        path = Path(self.mktemp())
        path.write_text("keyboard cat\n")
        return f"--secret-file={path}"

    def shop(self, table: Table = DJANGO, name: str = "shop.db") -> str:
        """
        A database of a web application.
        """
        with closing(sqlite3.connect(name)) as connection:
            schema = SCHEMAS[replace(table, name=STANDARD[table.key])]
            connection.execute(
                schema.replace(f" {STANDARD[table.key]} ", f" {table.name} ")
            )
        return f"--store=sqlite:{name}"

    def store(self, *options: str) -> Any:
        """
        The store of a server.
        """
        return self.make(*options)._manager._storage._store


STANDARD = {table.key: table.name for table in (DJANGO, FLASK_SESSION)}


class TableTests(ShopCase):
    """
    Where sessions are.
    """

    def table(self, store: SQLStore) -> Table:
        """
        Which table a store uses.
        """
        return store._sessions._dialect.table

    def test_django(self) -> None:
        """
        Django's sessions are in its own table, also in an SQLite file.
        """
        store = self.store("--framework=django-db", self.shop())
        self.assertIsInstance(store, SQLStore)
        self.assertEqual(self.table(store), DJANGO)
        self.assertTrue(ISharedStore.providedBy(store))

    def test_zone(self) -> None:
        """
        With a C{TIME_ZONE} of Django's, that is the zone of deadlines in its
        table; for others it can be said.
        """
        options = ("--framework=django-db", self.shop())
        zoned = (*options, "--framework-option=timeZone=America/New_York")
        newYork = replace(DJANGO, deadline=ZoneInfo("America/New_York"))
        self.assertEqual(self.table(self.store(*zoned)), newYork)
        tokyo = replace(DJANGO, deadline=ZoneInfo("Asia/Tokyo"))
        for given in options, zoned:
            store = self.store(*given, "--table-zone=Asia/Tokyo")
            self.assertEqual(self.table(store), tokyo)
        usual = self.store(*options, "--framework-option=timeZone=UTC")
        self.assertEqual(self.table(usual), DJANGO)

    def test_wrongZone(self) -> None:
        """
        Whether deadlines are in another zone is found out from what is stored,
        and told, with what is right.
        """
        shop = self.shop()
        framework = DjangoDatabase("for tests")
        now = time.time()

        def put(key: str, late: float, data: dict[str, Any]) -> None:
            raw = framework.dumps(Document(data, {}), now).decode()
            age = framework.lifetime(Document(data, {}), now)
            assert isinstance(age, (int, float))
            end = datetime.fromtimestamp(int(now) + age + late, UTC)
            text = end.replace(tzinfo=None).isoformat(" ")
            with closing(sqlite3.connect(shop.partition("sqlite:")[2])) as file, file:
                file.execute(
                    "REPLACE INTO django_session VALUES (?, ?, ?)", (key, raw, text)
                )

        def said(*options: str) -> list[str]:
            with capturedLogs() as logs:
                self.store("--framework=django-db", shop, *options)
            lines = [formatEvent(log) or "" for log in logs]
            return [line for line in lines if "hours off" in line]

        newYork = ZoneInfo("America/New_York")
        offset = datetime.fromtimestamp(now + 1209600, newYork).utcoffset()
        assert offset is not None
        late = offset.total_seconds()
        self.assertEqual(said(), [])
        put("a", late + 0.3, {"a": 1})
        (line,) = said()
        self.assertIn(f"django_session are {late / 3600:+g} hours off", line)
        self.assertIn("timeZone=TIME_ZONE", line)
        self.assertEqual(said("--framework-option=timeZone=America/New_York"), [])
        self.assertEqual(said("--table-zone=America/New_York"), [])
        # Whatever else may have moved them, is no zone.
        for late, data in (0.3, {"_session_expiry": 100}), (-86400, {}), (-1000, {}):
            put("a", late, data)
            self.assertEqual(said(), [], (late, data))
        put("a", -18000, {"_session_expiry": 3600})
        self.assertEqual(len(said()), 1)
        # Nor does that one matter of which nobody knows when it ends.
        with closing(sqlite3.connect(shop.partition("sqlite:")[2])) as file, file:
            file.execute("INSERT INTO django_session VALUES ('c', '', 'soon')")
        self.assertEqual(len(said()), 1)
        put("b", 0.1, {})
        self.assertEqual(said(), [])

    def test_named(self) -> None:
        """
        C{--table} is its name, if it has another one; with Flask-Session in
        SQLite it says that there is one.
        """
        own = self.shop(replace(DJANGO, name="logins"), "other.db")
        store = self.store("--framework=django-db", own, "--table=logins")
        self.assertEqual(self.table(store), replace(DJANGO, name="logins"))
        store = self.store("--framework=django-db", own, "--table=main.logins")
        self.assertEqual(self.table(store).path, '"main"."logins"')
        theirs = self.shop(FLASK_SESSION, "flask.db")
        store = self.store("--framework=flask-session", theirs, "--table=sessions")
        self.assertEqual(self.table(store), FLASK_SESSION)
        store = self.store("--framework=flask-session", "--store=sqlite:own.db")
        self.assertIsInstance(store, SQLiteStore)

    def test_cached(self) -> None:
        """
        For C{cached_db}, copies are deleted from the Redis of C{--cache}, on
        which nodes find each other, too.  Its address may be in the
        environment.
        """
        options = ("--framework=django-cached-db", self.shop())
        store = self.store(*options, "--cache=redis://localhost")
        self.assertIsInstance(store, CachedStore)
        os.environ["SESSIONSOCK_CACHE"] = "redis://:hush@localhost/3"
        made = self.make(*options, "--framework-option=keyPrefix=shop")
        store = made._manager._storage._store
        self.assertEqual(str(store._cache._link.address), "redis://localhost:6379/3")
        self.assertEqual(
            store._cacheKey("k"), "shop:1:django.contrib.sessions.cached_dbk"
        )
        self.assertIsInstance(hubOf(made._sockets)._bus, RedisBus)

    def test_workers(self) -> None:
        """
        Workers learn of both addresses by their environment.
        """
        address = "redis://:hush@localhost"
        service = makeService(
            self.parsed(
                *("--workers=2", "--framework=django-cached-db", self.shop()),
                *("--cache", address, "--listen=tcp:1"),
            )
        )
        assert isinstance(service, Workers)
        command = service._command
        self.assertEqual(command.environment["SESSIONSOCK_CACHE"], address)
        self.assertNotIn("hush", " ".join(command.line))

    @needsPsycopg
    def test_server(self) -> None:
        """
        A server that does not answer yet may come later; its password is not
        shown.  It is watched, if it can be.
        """
        place = f"postgresql://web:hush@127.0.0.1:{freePort()}/shop"
        for name, table in (
            ("django-db", DJANGO),
            ("flask-session", FLASK_SESSION),
            ("express", CONNECT_PG_SIMPLE),
        ):
            with capturedLogs() as logs:
                made = self.make(f"--framework={name}", f"--store={place}")
            store = made._manager._storage._store
            self.assertIsInstance(store, WatchableSQLStore)
            self.assertTrue(IWatchableStore.providedBy(store))
            self.assertEqual(self.table(store), table)
            said = [formatEvent(event) for event in logs]
            self.assertIn("it will be asked again", said[0])
            self.assertNotIn("hush", " ".join(said))

    @needsPsycopg
    def test_bareKeys(self) -> None:
        """
        connect-pg-simple's keys have no prefix, unless one is given.
        """
        place = f"--store=postgresql://web@127.0.0.1:{freePort()}/shop"
        for more, prefix in (
            ((), ""),
            (("--framework-option=prefix=app:",), "app:"),
        ):
            with capturedLogs():
                framework = self.make(place, *more)._manager.framework
            sessionID = framework.newSessionID()
            self.assertEqual(framework.key(sessionID), f"{prefix}{sessionID}")
        framework = self.make()._manager.framework
        self.assertEqual(framework.key(sessionID), f"sess:{sessionID}")


class RefusalTests(ShopCase):
    """
    What cannot be is said in one line, without passwords.
    """

    def test_wrong(self) -> None:
        """
        A table that is not there, or another one, or where there can be none.
        """
        shop, theirs = self.shop(), self.shop(FLASK_SESSION, "flask.db")
        postgresql = "--store=postgresql://web:hush@localhost/shop"
        redis, cached = "--store=redis://localhost", "--framework=django-cached-db"
        for options, why in (
            (["--framework=django-db"], "django-db needs --store postgresql://HOST"),
            (["--framework=django-db", redis], "or sqlite:PATH"),
            (["--framework=django-db", "--store=sqlite:no.db"], "no.db: unable to"),
            (["--framework=django-db", theirs], "no such table: django_session"),
            (["--framework=django-db", shop, "--table=x"], "no such table: x"),
            (["--framework=django-db", shop, "--table=a b"], "--table a b"),
            (["--framework=django-db", shop, "--table="], "--table"),
            (["--framework=flask-session", shop, "--table=django_session"], "column"),
            (["--framework=django", postgresql], "django-db, django-cached-db"),
            (["--framework=php", shop, "--table=x"], "php has no sessions in a table"),
            (["--framework=express", shop, "--table=session"], "needs --store postg"),
            (["--framework=django-db", shop, "--table-zone=Mars"], "Europe/Berlin"),
            (["--framework=django", redis, "--table-zone=UTC"], "--table-zone is for"),
            (["--framework=flask-session", "--table=x"], "--table x needs --store"),
            ([cached, shop], "needs --cache"),
            ([cached, shop, "--cache=hush"], "--cache is redis://HOST"),
            ([cached, shop, "--cache=sqlite:x"], "--cache is redis://HOST"),
            ([cached, shop, "--cache=redis://:hush@h/x"], "--cache: "),
            (["--framework=django-db", shop, "--cache=redis://h"], "--cache is for"),
            (["--store=host=localhost password=hush"], "not ***"),
        ):
            with self.subTest(options):
                said = self.refused(*options)
                self.assertIn(why, said)
                if "--cache=hush" not in options:
                    self.assertNotIn("hush", said)

    @needsPsycopg
    def test_noAddress(self) -> None:
        """
        What is no address of a server is not shown.
        """
        said = self.refused("--store=postgresql://[hush")
        self.assertIn("no URL of a PostgreSQL database", said)
        self.assertNotIn("hush", said)

    def test_cachesOptions(self) -> None:
        """
        What is about a cache is no option where there is none.
        """
        said = self.refused(
            *("--framework=django-db", self.shop()),
            "--framework-option=keyPrefix=x",
        )
        self.assertNotIn("version", said.partition("names are")[2])

    def test_notInstalled(self) -> None:
        """
        What it takes is said when it is not there.
        """
        name = "txsessionsock.stores._sql.postgresql"
        anyModules: dict[str, Any] = sys.modules
        had = sys.modules.get(name)
        self.addCleanup(
            lambda: (
                anyModules.update({name: had})
                if had is not None
                else anyModules.pop(name)
            )
        )
        anyModules[name] = None
        said = self.refused(
            "--framework=django-db", "--store=postgresql://web:hush@localhost/shop"
        )
        self.assertIn("pip install txsessionsock[postgresql]", said)
        self.assertNotIn("hush", said)
