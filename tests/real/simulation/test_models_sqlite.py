"""
L{simulation.store.PolledLink} beside a real file, and L{simulation.store.SilentLink}
beside a table that tells nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from twisted.internet.defer import Deferred

from tests.stores.test_store_sql import SCHEMAS
from tests.support.storecase import FileCase
from tests.support.storestages import RealStage, withScripts
from txsessionsock._kinds import Store
from txsessionsock.stores._sql.table import FLASK_SESSION
from txsessionsock.stores.sql import SQLStore
from txsessionsock.stores.sqlite import SQLiteStore


class _Stage(RealStage, FileCase):
    filename = "sessions.db"

    def waitFor(self, answer: Deferred[Any]) -> None:
        self.reactor.wait(answer)

    def advance(self, seconds: float) -> None:
        self.reactor.advance(seconds)

    def now(self, name: str) -> float:
        return self.reactor.seconds()

    def execute(self, sql: str, *values: object) -> None:
        """
        Do something behind everybody's back.
        """
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(sql, values)


@withScripts("polled")
class FileScriptTests(_Stage):
    """
    What the scripts say happens with L{SQLiteStore}.
    """

    def newStore(self) -> Store:
        return self.closing(SQLiteStore(self.path, self.reactor))

    def foreign(self, what: str, key: str) -> None:
        self.execute("UPDATE sessions SET raw = '1' WHERE key = ?", key)


@withScripts("silent")
class TableScriptTests(_Stage):
    """
    What the scripts say happens with L{SQLStore}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.execute(SCHEMAS[FLASK_SESSION])

    def newStore(self) -> Store:
        store = SQLStore(f"sqlite:{self.path}", FLASK_SESSION, self.reactor)
        return self.closing(store)

    def foreign(self, what: str, key: str) -> None:
        self.execute(f"DELETE FROM {FLASK_SESSION.path}")
