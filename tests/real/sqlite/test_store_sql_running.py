"""
Tests for L{txsessionsock.stores.sql} in a reactor that runs already.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from tests.stores.test_store_sql import SCHEMAS
from tests.support.servers import inReactor, reactor
from txsessionsock.interfaces import FOREVER
from txsessionsock.stores._sql.table import DJANGO
from txsessionsock.stores.sql import SQLStore


@inReactor
async def test_running(tmp_path: Path) -> None:
    """
    It answers, and leaves no thread.
    """
    path = tmp_path / "web application.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(SCHEMAS[DJANGO])
    before = set(threading.enumerate())
    store = SQLStore(f"sqlite:{path}", DJANGO, reactor)
    assert await store.create("k", b"1", FOREVER)
    loaded = await store.load("k")
    assert loaded is not None and loaded.raw == b"1"
    started = set(threading.enumerate()) - before
    assert started
    await store.close()
    for thread in started:
        thread.join(10.0)
        assert not thread.is_alive(), thread
