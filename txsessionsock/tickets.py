# -*- test-case-name: tests.package.test_tickets -*-
"""
Tickets: a client without the session's cookie shows one of them, once.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from secrets import token_bytes
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from ._arguments import checked
from .interfaces import TTL, InvalidCredential, SessionID, Stored, StoreError


__all__ = ["LIFETIME", "PREFIX", "Tickets"]

LIFETIME: Final = 30
"""
For how many seconds a ticket is good.
"""

PREFIX: Final = "sessionsock\x1fticket\x1f"
"""
What the keys of tickets begin with.  No framework takes an id with a control
character that nobody has signed, and no manager opens a session under such a key.
"""

_SIZE = 24
"""
How many random bytes a ticket is.
"""

_TICKET = re.compile(r"[A-Za-z0-9_-]{32}")


def isTicketKey(key: str) -> bool:
    """
    Whether no session may be under a key, because a ticket may.
    """
    return key.startswith(PREFIX)


class TicketStore(Protocol):
    """
    The part of a store that tickets need.
    """

    def load(self, key: str) -> Deferred[Stored | None]: ...

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]: ...

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]: ...


@checked
class Tickets:
    """
    The tickets of one manager.

    The store has the hash of a ticket, and under it the id of the session: who reads
    the store gets no ticket.
    """

    def __init__(self, store: TicketStore) -> None:
        self._store = store

    def issue(self, sessionID: SessionID) -> Deferred[str]:
        """
        Make a ticket for a session that there is.

        @return: A L{Deferred} that fires with it: 192 random bits in base64url.
            It fails with L{StoreFailure<txsessionsock.interfaces.StoreFailure>}.
        """
        secret = token_bytes(_SIZE)

        def created(isNew: bool) -> str:
            if not isNew:
                raise StoreError("a new ticket is there already")
            return urlsafe_b64encode(secret).decode("ascii")

        raw = sessionID.encode("utf-8", "surrogatepass")
        return self._store.create(_key(secret), raw, LIFETIME).addCallback(created)

    def redeem(self, ticket: object) -> Deferred[SessionID]:
        """
        Take a ticket.  Whoever took it first has it.

        @return: A L{Deferred} that fires with the id of its session, which may be
            gone.  It fails with L{InvalidCredential}: C{malformed}, or C{unknown}
            if there is no such ticket any more, and with L{StoreFailure
            <txsessionsock.interfaces.StoreFailure>} if nobody can say.
        """
        return Deferred.fromCoroutine(self._redeem(ticket))

    async def _redeem(self, ticket: object) -> SessionID:
        if not isinstance(ticket, str) or not _TICKET.fullmatch(ticket):
            raise InvalidCredential("malformed")
        key = _key(urlsafe_b64decode(ticket))
        stored = await self._store.load(key)
        # Several nodes may have read it.  One of them has it: the one that the store
        # says ended it.
        if stored is None or not await self._store.destroy(key):
            raise InvalidCredential("unknown")
        try:
            return SessionID(stored.raw.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise InvalidCredential("unknown") from None


def _key(secret: bytes) -> str:
    digest = urlsafe_b64encode(sha256(secret).digest()).rstrip(b"=")
    return PREFIX + digest.decode("ascii")
