"""
Tests for L{txsessionsock.stores.sql}, on a real PostgreSQL server: what all
stores promise.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import NoReturn

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.support.postgresqlcase import NOTIFY, TRIGGER, PostgreSQLCase
from tests.support.storecase import WaitingContract
from txsessionsock.interfaces import TTL, ISessionStore, SessionConflict, Stored
from txsessionsock.stores._sql.table import CONNECT_PG_SIMPLE, DJANGO, FLASK_SESSION
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore
from txsessionsock.testing import StoreContract, WatchableContract


@implementer(ISessionStore)
class Encoded:
    """
    A store for which a framework makes what fits of any bytes.
    """

    def __init__(
        self,
        inner: SQLStore,
        encode: Callable[[bytes], bytes],
        decode: Callable[[bytes], bytes],
    ) -> None:
        self.inner, self.encode, self.decode = inner, encode, decode

    def _decoded(self, stored: Stored) -> Stored:
        return Stored(self.decode(stored.raw), stored.expires)

    def load(self, key: str) -> Deferred[Stored | None]:
        return self.inner.load(key).addCallback(
            lambda stored: None if stored is None else self._decoded(stored)
        )

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return self.inner.create(key, self.encode(raw), ttl)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        answer = self.inner.replace(key, self.encode(old), self.encode(new), ttl)
        return answer.addCallbacks(self._decoded, self._failed)

    def _failed(self, failure: Failure) -> NoReturn:
        failure.trap(SessionConflict)
        assert isinstance(failure.value, SessionConflict)
        raise SessionConflict(self._decoded(failure.value.current))

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self.inner.touch(key, ttl)

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        was = None if old is None else self.encode(old)
        return self.inner.destroy(key, was).addErrback(self._failed)


class FlaskSessionContractTests(WaitingContract, StoreContract, PostgreSQLCase):
    """
    What stores promise, in Flask-Session's table.
    """

    table = FLASK_SESSION
    # The contract has a longer key.
    changes: tuple[str, ...] = ("ALTER TABLE sessions ALTER session_id TYPE varchar",)

    def makeStore(self) -> ISessionStore:
        return self.open()


class DjangoContractTests(FlaskSessionContractTests):
    """
    What stores promise, in Django's table, where there is text.
    """

    table = DJANGO
    changes = ("ALTER TABLE django_session ALTER session_key TYPE varchar",)

    def makeStore(self) -> ISessionStore:
        return Encoded(self.open(), b64encode, b64decode)


class ConnectPgSimpleContractTests(FlaskSessionContractTests):
    """
    What stores promise, in connect-pg-simple's table, where there is JSON.
    """

    table = CONNECT_PG_SIMPLE
    changes = ()

    def makeStore(self) -> ISessionStore:
        return Encoded(
            self.open(),
            lambda raw: json.dumps({"": raw.decode("latin-1")}).encode(),
            lambda text: str(json.loads(text)[""]).encode("latin-1"),
        )


class WatchableContractTests(WaitingContract, WatchableContract, PostgreSQLCase):
    """
    What stores promise that can be watched.
    """

    table = FLASK_SESSION
    changes = (
        *FlaskSessionContractTests.changes,
        NOTIFY,
        TRIGGER.format(table="sessions", key="session_id"),
    )

    def makeStore(self) -> WatchableSQLStore:
        return self.closing(WatchableSQLStore(self.url(), self.table, self.reactor))
