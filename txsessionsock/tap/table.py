# -*- test-case-name: tests.tap.test_tap_tables -*-
"""
Sessions in the table of a web application: what C{--store}, C{--table} and
C{--cache} name together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from twisted.logger import Logger

from txsessionsock.frameworks.django import DjangoDatabase
from txsessionsock.interfaces import (
    ISessionStore,
    Lifetime,
    SessionError,
    Stored,
    StoreUnavailable,
    UndecodableSession,
)
from txsessionsock.stores._sql.table import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    Table,
)
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore, checkTable

from .options import Options, refuse
from .store import redisAt


__all__ = ["isTable", "settingsFor", "tableStoreAt"]

_TABLES = {
    "django-db": DJANGO,
    "django-cached-db": DJANGO,
    "express": CONNECT_PG_SIMPLE,
    "flask-session": FLASK_SESSION,
}

_QUARTER = 900
"""
What time zones differ by, in seconds; and C{_FARTHEST}, at most, in hours.
"""

_FARTHEST = 14
_PUNCTUAL = 5
"""
How many seconds may pass between signing a session and storing it.
"""

_SERVERS = ("postgresql", "postgres")

_log = Logger()


def isTable(options: Options) -> bool:
    """
    Whether sessions are in the table of a web application.
    """
    return (
        _kind(options) in _SERVERS
        or options["table"] is not None
        or _TABLES.get(options["framework"]) is DJANGO
    )


def settingsFor(options: Options) -> list[str]:
    """
    The settings of the framework, as C{name=value}.
    """
    given: list[str] = options["framework-option"]
    # Keys of connect-pg-simple have no prefix.
    isBare = isTable(options) and options["framework"] == "express"
    return ["prefix=", *given] if isBare else given


def tableStoreAt(options: Options, framework: Any, reactor: Any) -> ISessionStore:
    """
    @raise SystemExit: There cannot be a store; with one line that says why.
    """
    table = _inZone(_table(options), options["table-zone"], framework)
    place, isServer = options["store"], _kind(options) in _SERVERS
    store: SQLStore | CachedStore
    try:
        there = _check(place, table, isServer)
        if not isServer and isinstance(framework, DjangoDatabase):
            _doubtZone(there, framework, table)
        if isServer:
            # If the trigger is not installed, the store says so in the log, and
            # sessions are read before each message.
            store = WatchableSQLStore(place, table, reactor)
        else:
            store = SQLStore(place, table, reactor)
    except ImportError as error:
        refuse(f"--store {_kind(options)}: {error}")
    except (ValueError, SessionError) as error:
        refuse(
            f"--store: {error}; right is the database where the application"
            f" ({options['framework']}) has made its table, or --table NAME"
        )
    if options["cache"]:
        cache = redisAt(options["cache"], reactor, "--cache")
        store = CachedStore(store, cache, framework.cacheKey, reactor)
    return store


def _check(place: str, table: Table, isServer: bool) -> list[Stored]:
    """
    See whether the table is there.  A server may come later; a file is there,
    or it is the wrong one.

    @return: Some of the sessions there.
    """
    try:
        return checkTable(place, table)
    except StoreUnavailable as error:
        if not isServer:
            raise
        _log.warn("{why}; it will be asked again", why=error)
        return []


def _doubtZone(there: list[Stored], framework: DjangoDatabase, table: Table) -> None:
    """
    Say so if sessions end hours earlier or later than they should, counted from
    when Django signed them: then their deadlines are in another time zone.
    """
    quarters = set()
    for stored in there:
        try:
            signed = framework.signedAt(stored.raw)
            document = framework.loads(stored.raw, signed)
        except UndecodableSession:
            return
        lifetime = framework.lifetime(document, signed)
        if isinstance(lifetime, Lifetime) or stored.expires is None:
            return
        late = stored.expires - signed - lifetime
        quarters.add(round(late / _QUARTER))
        if abs(late - round(late / _QUARTER) * _QUARTER) > _PUNCTUAL:
            return
    hours = quarters.pop() / 4 if len(quarters) == 1 else 0
    if 0 < abs(hours) <= _FARTHEST:
        _log.warn(
            "the deadlines in {table} are {hours:+g} hours off; if the application"
            " has USE_TZ = False, right is --framework-option timeZone=TIME_ZONE,"
            " and else --table-zone",
            table=table.name,
            hours=hours,
        )


def _inZone(table: Table, name: str | None, framework: Any) -> Table:
    """
    @param name: The zone that C{--table-zone} names.
    """
    # That of Django, where it says one, goes for its table too.
    zone = getattr(framework, "timeZone", None)
    if name is not None:
        try:
            zone = ZoneInfo(name)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            zone = None
        if zone is None:
            refuse(f"--table-zone is a name such as Europe/Berlin, not {name!r}")
    return replace(table, deadline=zone) if isinstance(zone, ZoneInfo) else table


def _kind(options: Options) -> str:
    kind: str = options["store"].partition(":")[0]
    return kind


def _table(options: Options) -> Table:
    framework, name, kind = options["framework"], options["table"], _kind(options)
    table = _TABLES.get(framework)
    if table is None:
        refuse(
            f"--framework {framework} has no sessions in a table; who has:"
            f" {', '.join(_TABLES)}"
        )
    isThere = kind in _SERVERS or (kind == "sqlite" and table is not CONNECT_PG_SIMPLE)
    if not isThere:
        right = "--store postgresql://HOST/DATABASE"
        if table is not CONNECT_PG_SIMPLE:
            right += " or sqlite:PATH"
        option = f"--framework {framework}" if name is None else f"--table {name}"
        refuse(f"{option} needs {right}, where the table is")
    if name is None:
        return table
    schema, _, own = name.rpartition(".")
    try:
        return replace(table, name=own, schema=schema or None)
    except ValueError as error:
        refuse(f"--table {name}: {error}")
