"""
L{simulation.store.ApartLink} beside a real PostgreSQL, and
L{simulation.store.SilentLink} beside a table there that tells nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.support.postgresqlcase import NOTIFY, TRIGGER, PostgreSQLCase
from tests.support.storestages import RealStage, withScripts
from txsessionsock._kinds import Store
from txsessionsock.stores._sql.table import FLASK_SESSION
from txsessionsock.stores.sql import WatchableSQLStore


pytestmark = pytest.mark.postgresql


@withScripts("silent")
class TableScriptTests(RealStage, PostgreSQLCase):
    """
    What the scripts say happens with a table that tells nothing.
    """

    table = FLASK_SESSION

    def newStore(self) -> Store:
        return self.open()

    def waitFor(self, answer: Deferred[Any]) -> None:
        self.reactor.wait(answer)

    def advance(self, seconds: float) -> None:
        self.reactor.advance(seconds)

    def now(self, name: str) -> float:
        return self.reactor.seconds()

    def foreign(self, what: str, key: str) -> None:
        self.execute(f"TRUNCATE {self.table.path}")


@withScripts("apart")
class ListeningScriptTests(TableScriptTests):
    """
    What the scripts say happens with L{WatchableSQLStore}.
    """

    changes = (NOTIFY, TRIGGER.format(table="sessions", key="session_id"))

    def newStore(self) -> Store:
        return self.closing(WatchableSQLStore(self.url(), self.table, self.reactor))
