# -*- test-case-name: tests.manager.test_manager_tickets -*-
"""
Where the tickets of a manager lie.
"""

from __future__ import annotations

from collections.abc import Callable

from txsessionsock._storecheck import takeStore
from txsessionsock.interfaces import ISessionStore, ITableStore
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.tickets import Tickets

from .storage import Storage


__all__ = ["Ticketing"]

_RIGHT = (
    "right is a store of their own, one for both: TicketResource(manager, store) and"
    " Ticket(store), such as a RedisStore (twistd: --ticket-store)"
)


class Ticketing:
    """
    Finds, once, where tickets lie.
    """

    def __init__(
        self,
        store: ISessionStore,
        storage: Storage,
        owner: object,
        close: Callable[[Callable[[], object]], None],
    ) -> None:
        """
        @param store: Where the sessions are.

        @param storage: The same as the manager asks it.

        @param owner: The manager.

        @param close: Has something called when all is stored.
        """
        self._sessions, self._storage = store, storage
        self._owner, self._close = owner, close
        self._store: ISessionStore | None = None
        self._own: Storage | None = None
        self._tickets: Tickets | None = None

    def open(self, store: ISessionStore | None) -> Tickets:
        """
        See L{SessionManager.tickets}.
        """
        if self._tickets is None:
            where = self._sessions if store is None else store
            _refuse(where, isOwn=store is not None)
            self._tickets = Tickets(self._storageOf(where))
            self._store = where
        elif store is not None and store is not self._store:
            raise ValueError(f"tickets lie in another store already; {_RIGHT}")
        return self._tickets

    def _storageOf(self, store: ISessionStore) -> Storage:
        if store is self._sessions:
            return self._storage
        sessions = self._storage
        own = Storage(store, sessions.framework, sessions.reactor, sessions.timeout)
        takeStore(store, self._owner)
        self._own = own
        self._close(own.failures.end)
        close = getattr(store, "close", None)
        if close is not None:
            self._close(close)
        return own

    def rest(self) -> None:
        """
        See L{Storage.rest}.
        """
        if self._own is not None:
            self._own.rest()


def _refuse(store: ISessionStore, *, isOwn: bool) -> None:
    """
    @raise ValueError: No tickets can lie there.
    """
    if ITableStore.providedBy(store):
        where = "in the table of a web application, whose rows are its sessions"
    elif isinstance(store, CookieStore):
        where = "in cookies"
    else:
        return
    what = "this store is not for tickets, which" if isOwn else "tickets"
    raise ValueError(f"{what} cannot lie {where}; {_RIGHT}")
