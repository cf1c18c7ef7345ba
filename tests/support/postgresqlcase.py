"""
What the tests of stores in PostgreSQL have in common.
"""

from __future__ import annotations

import re
from contextlib import suppress
from importlib.resources import files
from typing import Any

from twisted.internet.defer import Deferred

from tests.support.documents import commands
from tests.support.postgresserver import PASSWORD, PostgreSQLServer, sharedServer
from tests.support.storecase import StoreCase
from txsessionsock.interfaces import StoreFailure, StoreUnavailable
from txsessionsock.stores._sql.table import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    Table,
)
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore


__all__ = ["NOTIFY", "SCHEMAS", "TRIGGER", "PostgreSQLCase"]

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
    ";".join(re.findall(r'"(CREATE TRIGGER [^"]*)"', "".join(commands("sql.md"))))
    .replace("ON django_session", "ON {table}")
    .replace("'session_key'", "'{key}'")
)
"""
As C{docs/sql.md} says.
"""


class PostgreSQLCase(StoreCase):
    """
    A database with the table of a web application.

    @cvar changes: What else is to be executed in the beginning.
    """

    table: Table = DJANGO
    changes: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.server = self.findServer()
        self.database = self.server.newDatabase()
        self.execute(SCHEMAS[self.table])
        for change in self.changes:
            self.execute(change)
        super().setUp()

    def findServer(self) -> PostgreSQLServer:
        """
        A server that runs.
        """
        return sharedServer()

    def open(self, timeout: float = 2.0, connections: int = 4) -> SQLStore:
        """
        A store, as one more process would have it.
        """
        return self.closing(
            SQLStore(self.url(), self.table, self.reactor, timeout, connections)
        )

    def url(self) -> str:
        """
        Where the store finds the database.
        """
        return self.server.url(self.database)

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """
        Be the web application, which is connected to the server itself.
        """
        return self.server.execute(sql, *values, database=self.database)

    def place(self) -> str:
        return f"127.0.0.1:{self.server.port}/"

    def outage(self, answer: Deferred[Any], kind: type[StoreFailure]) -> str:
        """
        The same, and the text does not show the password.
        """
        text = super().outage(answer, kind)
        self.assertNotIn(PASSWORD, text)
        return text

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

    def recovered(self, store: WatchableSQLStore) -> None:
        """
        Wait until it sees changes again.
        """

        def listens() -> bool:
            if store._listener._again.isRunning:
                self.reactor.advance(10.0)
            with suppress(StoreUnavailable):
                self.reactor.wait(store.fence("k"))
                return True
            return False

        self.reactor.waitUntil(listens, 20.0)
