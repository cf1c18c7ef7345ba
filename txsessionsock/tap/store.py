# -*- test-case-name: tests.tap.test_tap -*-
"""
What C{--store} names: the store, and the way to others that use it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from txsessionsock.interfaces import IBus, ISessionStore, SessionError, StoreError
from txsessionsock.stores._sqlite.opening import openFile
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.sqlite import SQLiteStore

from .files import whyNotWritable
from .options import refuse


__all__ = ["busAt", "isShared", "redisAt", "storeAt"]

_REDIS = ("redis", "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel")

_RIGHT_BUT_TABLES = (
    "memory:, sqlite:PATH, redis://HOST, rediss://HOST, redis+unix://PATH or"
    " redis+sentinel://HOST:PORT/SERVICE"
)

_RIGHT = (
    "memory:, sqlite:PATH, redis://HOST, rediss://HOST, redis+unix://PATH,"
    " redis+sentinel://HOST:PORT/SERVICE or postgresql://HOST/DATABASE"
)


def isShared(place: str) -> bool:
    """
    Whether other processes see what is stored there.
    """
    return not place.startswith("memory:")


def storeAt(
    place: str, reactor: Any, hint: str = "", option: str = "--store"
) -> ISessionStore:
    """
    @param hint: What else might be meant, if a file is not ours.

    @param option: Which option names the place.

    @raise SystemExit: There cannot be one; with one line that says why.
    """
    kind, colon, where = place.partition(":")
    if kind == "memory" and colon and not where:
        return MemoryStore(reactor)
    if kind == "sqlite" and where:
        return _sqlite(where, reactor, hint, option)
    if kind.lower() in _REDIS and colon:
        return redisAt(place, reactor, option)
    right = _RIGHT if option == "--store" else _RIGHT_BUT_TABLES
    refuse(f"{option} is {right}, not {_shown(place)}")


def _sqlite(where: str, reactor: Any, hint: str, option: str) -> ISessionStore:
    problem = whyNotWritable(where)
    if problem is not None:
        refuse(f"{option} sqlite:{where}: {problem}")
    try:
        store = SQLiteStore(where, reactor)
        if Path(where).exists():
            # Only then: what is created now would not belong to --uid.
            _checkFile(where)
    except (ValueError, SessionError) as error:
        refuse(f"{option}: {error}{hint}")
    return store


def _checkFile(where: str) -> None:
    try:
        openFile(str(Path(where).absolute()), "NORMAL", patience=2.0).close()
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{where}: {error}") from error


def redisAt(place: str, reactor: Any, option: str = "--store") -> ISessionStore:
    """
    @param option: Which option names the place.

    @raise SystemExit: There cannot be a store; with one line that says why.
    """
    kind, colon, _ = place.partition(":")
    if kind.lower() not in _REDIS or not colon:
        refuse(f"{option} is redis://HOST or another Redis, not {_shown(place)}")
    try:
        from txsessionsock.stores.redis import RedisStore  # noqa: PLC0415  # Needs the extra.
    except ImportError as error:
        right = 'pip install "txsessionsock[redis]"'
        refuse(f"{option} {kind}: {error}; right is {right}")
    try:
        store = RedisStore(place, reactor)
    except (ValueError, SessionError) as error:
        refuse(f"{option}: {error}")
    return store


def busAt(place: str, reactor: Any) -> IBus | None:
    """
    @param place: Where sessions are; one that L{storeAt} took.

    @return: What brings messages to other nodes with the same sessions, if
        there can be such a thing.
    """
    if place.partition(":")[0].lower() not in _REDIS:
        return None
    from txsessionsock.bus import RedisBus  # noqa: PLC0415  # Needs the extra.

    return RedisBus(place, reactor)


def _shown(place: str) -> str:
    """
    What may be shown of an address that makes no sense: a password could be
    anywhere in it.
    """
    kind, colon, _ = place.partition(":")
    if "=" in kind or "@" in kind:
        return "***"
    return f"{kind}{colon}***" if "@" in place or "?" in place else place
