# -*- test-case-name: tests.stores.test_store_sql -*-
"""
What the table of a web application looks like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from zoneinfo import ZoneInfo

from txsessionsock._arguments import checked


__all__ = [
    "CONNECT_PG_SIMPLE",
    "DJANGO",
    "FLASK_SESSION",
    "Deadline",
    "Table",
    "Value",
    "quoted",
]


_IDENTIFIER = re.compile(r"[^\W\d][\w$]{0,62}")


class Value(Enum):
    """
    How a session is kept.  SQLite keeps any bytes in any of these columns, if
    they are declared as C{text} or C{blob}.
    """

    TEXT = "text"
    """
    In PostgreSQL, UTF-8 without NUL; anything else is refused.
    """

    BYTES = "bytes"
    """
    Any bytes.
    """

    JSON = "json"
    """
    In PostgreSQL, JSON; anything else is refused.  C{json} keeps its text,
    C{jsonb} shows it in a way of its own: that is what a session's bytes are
    then, from the moment that they are stored.
    """


class Deadline(Enum):
    """
    How a point in time is kept.  SQLite knows none but text.
    """

    AWARE = "aware"
    """
    With a time zone; in SQLite, UTC.
    """

    UTC = "utc"
    """
    Without one, meaning UTC.
    """

    LOCAL = "local"
    """
    Without one, meaning that of the session of the database (C{TimeZone}); in
    SQLite, that of this process.  A L{ZoneInfo} says which it is instead.
    """


@checked
@dataclass(frozen=True, slots=True)
class Table:
    """
    A table of sessions: C{dataclasses.replace(DJANGO, name="logins")} for one
    that has another name.

    @ivar key: The column with the key; there is a unique index on it.

    @ivar value: The column with the session.

    @ivar expires: The column with the deadline.

    @ivar deadline: How it is kept there; a L{ZoneInfo}: without a time zone,
        meaning this one.

    @ivar isNullable: Whether a session without deadline does not end.  Where
        there may be none, or it means that the session has ended, what does
        not end is kept until the year 9999.

    @ivar schema: Where the table is, if not where the database looks first.
    """

    name: str
    key: str
    value: str
    expires: str
    keeps: Value = Value.TEXT
    deadline: Deadline | ZoneInfo = Deadline.AWARE
    isNullable: bool = False
    schema: str | None = None

    def __post_init__(self) -> None:
        for name in self.key, self.value, self.expires, self.name, self.schema:
            quoted("ok" if name is None else name)

    @property
    def path(self) -> str:
        """
        The name of the table as SQL has it.
        """
        schema = "" if self.schema is None else f"{quoted(self.schema)}."
        return schema + quoted(self.name)


def quoted(name: str) -> str:
    """
    A name as SQL has it.

    @raise ValueError: It is no ordinary name.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a table or column")
    return f'"{name}"'


DJANGO = Table("django_session", "session_key", "session_data", "expire_date")
"""
Django's C{db} and C{cached_db} sessions.  In SQLite, the deadline is in UTC, and
with C{USE_TZ = False} in C{TIME_ZONE}, as with a C{TIME_ZONE} of the database:
C{replace(DJANGO, deadline=ZoneInfo(TIME_ZONE))}.
"""

FLASK_SESSION = Table(
    "sessions", "session_id", "data", "expiry", Value.BYTES, Deadline.UTC
)
"""
Flask-Session's C{sqlalchemy} sessions.
"""

CONNECT_PG_SIMPLE = Table(
    "session", "sid", "sess", "expire", Value.JSON, Deadline.LOCAL
)
"""
connect-pg-simple's sessions, of Express.
"""
