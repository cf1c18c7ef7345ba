# -*- test-case-name: tests.real.postgresql.test_store_postgresql_watch -*-
"""
Connecting to PostgreSQL to listen, in a thread, and what the connection then
has to show each time that it is asked.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import psycopg

from txsessionsock.interfaces import StoreUnavailable

from .postgresql import READ_ONLY, Connection
from .statements import Execute
from .table import Table


__all__ = ["SWALLOWED", "ConnectAttempt", "question", "send"]


_CHANNEL = "txsessionsock"

SWALLOWED = (
    "what it tells does not arrive: connect to the server itself,"
    " or through a pooler in session mode"
)

# A trigger of use is for each row (1) that is inserted (4), deleted (8) or updated
# (16), and not disabled.  To join pg_proc would take the server twice as long.
_QUESTION = """
SELECT CASE
WHEN '{channel}' <> ALL (ARRAY(SELECT pg_listening_channels()))
THEN '{swallowed}'
WHEN current_setting('transaction_read_only') = 'on' THEN '{readOnly}'
WHEN NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('{path}')
    AND tgfoid::regproc::text ~ '(^|[.])txsessionsock_notify$'
    AND tgtype & 29 = 29 AND tgenabled IN ('O', 'A'))
THEN 'its table has no trigger: see notify.sql'
ELSE '' END
"""


def question(table: Table) -> bytes:
    """
    A question: why is the session of the server that answers of no use?
    """
    return _QUESTION.format(
        channel=_CHANNEL, swallowed=SWALLOWED, readOnly=READ_ONLY, path=table.path
    ).encode()


def send(execute: Execute, text: str) -> None:
    """
    In a thread: send a notification to all connections that listen.
    """
    execute("SELECT pg_notify(%(channel)s, %(text)s)", channel=_CHANNEL, text=text)


class ConnectAttempt:
    """
    An attempt to connect, which a thread makes.
    """

    def __init__(self, settings: dict[str, Any], question: bytes) -> None:
        self._settings, self._question = settings, question
        self._lock = Lock()
        self._isOver = False
        self._connection: Connection | None = None

    def __call__(self, execute: Execute) -> Connection:
        """
        In a thread: connect and listen.
        """
        connection = psycopg.connect(**self._settings)
        try:
            connection.execute(f"LISTEN {_CHANNEL}")
            ((problem,),) = connection.execute(self._question).fetchall()
            if problem:
                raise StoreUnavailable(problem)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._connection = connection
            if self._isOver:
                connection.close()
        return connection

    def giveUp(self) -> None:
        """
        Nobody wants the connection.
        """
        with self._lock:
            self._isOver = True
            if self._connection is not None:
                self._connection.close()
