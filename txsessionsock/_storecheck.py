# -*- test-case-name: tests.manager.test_storage -*-
"""
Refusing, at once, a store that cannot be asked as it will be.
"""

from __future__ import annotations

from weakref import ReferenceType, WeakKeyDictionary, ref

from zope.interface import Invalid
from zope.interface.exceptions import DoesNotImplement
from zope.interface.verify import verifyObject

from .interfaces import ISessionStore, IWatchableStore


__all__ = ["checkStore", "takeStore"]

_owners: WeakKeyDictionary[object, ReferenceType[object]] = WeakKeyDictionary()
"""
Which manager each store serves.
"""


def checkStore(store: object) -> None:
    """
    See whether a store has the methods that L{ISessionStore} asks for.

    @raise DoesNotImplement: What is given as a store is none.

    @raise TypeError: A method is missing, or takes something else.
    """
    if not ISessionStore.providedBy(store):
        raise DoesNotImplement(ISessionStore, store)  # type: ignore[call-arg]  # as zope has it
    isWatchable = IWatchableStore.providedBy(store)
    interface = IWatchableStore if isWatchable else ISessionStore
    try:
        verifyObject(interface, store)
    except Invalid as error:
        name = type(store).__name__
        raise TypeError(
            f"{name} is to have the methods of {interface.__name__} as they are in"
            " txsessionsock.interfaces, destroy(key, old=None) among them, which with"
            " old ends a session only if exactly these bytes are stored;"
            f" StoreContract in txsessionsock.testing tests that.  {error}"
        ) from None


def takeStore(store: object, owner: object) -> None:
    """
    Note which manager a store serves.  A store does not report what was done
    through itself: of two managers with one store, neither would hear of the
    other's changes.

    @param owner: The manager; it is done with the store when its C{isStopping}
        is true.

    @raise ValueError: It serves somebody else.
    """
    try:
        taken = _owners.get(store, lambda: None)()
        if taken is not None and not getattr(taken, "isStopping", False):
            name = type(store).__name__
            raise ValueError(
                f"this {name} serves a {type(taken).__name__} already: give each one a"
                f" {name} of its own, which may be on the same place"
            )
        _owners[store] = ref(owner)
    except TypeError:
        # It cannot be referenced weakly, so nothing can be noted of it.
        return
