# -*- test-case-name: tests.real.sqlite.test_store_sqlite -*-
"""
How a file of sessions is created, recognised and opened.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from importlib.resources import files
from time import monotonic, sleep
from urllib.parse import quote

from txsessionsock.interfaces import StoreError


__all__ = ["PASSING", "errorCode", "openFile"]


APPLICATION_ID = 0x74785353
"""
What marks an SQLite file as ours: C{txSS}.
"""

SCHEMA = 1
"""
The version of C{sqlite.sql}.
"""

PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}
"""
The errors after which a connection is as good as before.
"""

_OWN_FILE = "give a file of its own, which is created if it is not there"


def errorCode(error: BaseException) -> int | None:
    """
    SQLite's number for what went wrong, if it was SQLite that said so.
    """
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def openFile(path: str, synchronous: str, patience: float) -> sqlite3.Connection:
    """
    Open a file of sessions, which is created if it is not there.

    @param patience: For how many seconds to wait for a lock.

    @raise StoreError: The file is something else.
    """
    _create(path)
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode=rw",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if not _isOurs(connection, path):
            _makeTables(connection, path)
        _useWAL(connection, path, monotonic() + patience)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
    except BaseException as error:
        connection.close()
        if errorCode(error) == sqlite3.SQLITE_NOTADB:
            raise StoreError(f"{path} is not an SQLite database: {_OWN_FILE}") from None
        raise
    return connection


def _create(path: str) -> None:
    # Closing a descriptor drops the locks that this process has on the file,
    # so this must not open one that is there already.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _isOurs(connection: sqlite3.Connection, path: str) -> bool:
    """
    @return: L{False} if there is nothing in the file yet.
    """
    # One statement, so that no other process comes in between.
    application, version, things = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if not (application or version or things):
        return False
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is the database of another application: {_OWN_FILE}")
    if version != SCHEMA:
        raise StoreError(
            f"{path} has schema {version}, but this txsessionsock knows schema"
            f" {SCHEMA}: use the version that wrote it, or another file"
        )
    return True


def _makeTables(connection: sqlite3.Connection, path: str) -> None:
    schema = files("txsessionsock.stores").joinpath("sqlite.sql").read_text("utf-8")
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been faster.
    if not _isOurs(connection, path):
        for statement in schema.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("COMMIT")


def _useWAL(connection: sqlite3.Connection, path: str, until: float) -> None:
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            # SQLite does not always wait for the lock that this needs.
            if errorCode(error) not in PASSING or monotonic() > until:
                raise
            sleep(0.005)
        else:
            break
    if mode != "wal":
        raise StoreError(f"{path}: its file system allows no write-ahead log")
