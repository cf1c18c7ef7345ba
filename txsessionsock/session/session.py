# -*- test-case-name: tests.session.test_session -*-
"""
The session that handlers hold, and what it is between: the keeper that stores
it and the holders that have it open.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    ItemsView,
    Iterator,
    Mapping,
    MutableMapping,
    ValuesView,
)
from hashlib import sha256
from types import MappingProxyType
from typing import Any, TypeVar, overload

from twisted.internet.defer import Deferred, fail

from txsessionsock._repeatable import refuseRepeatable
from txsessionsock.interfaces import SessionError, SessionID

from .draft import Draft
from .merge import ATOMS
from .roles import Keeper
from .workingcopy import WorkingCopy


__all__ = ["Session", "explained", "shortHash"]

_T = TypeVar("_T")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def shortHash(secret: str) -> str:
    """
    What may be shown of a secret, to tell it from others in a log.
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def explained(error: BaseException | None) -> str:
    """
    What may be shown of an error in a log: its kind, and what it says if it is
    one of ours.  Any other may quote what is in a session.
    """
    kind = type(error).__name__
    text = str(error) if isinstance(error, SessionError) else ""
    return f"{kind}: {text}" if text else kind


class Session(MutableMapping[str, Any]):
    """
    A browser's session, live: all who hold it in this process hold the same
    object.  Use it like a dictionary; assigning, deleting and changing nested
    values are noticed when a handler is done and before each write, and
    outside of a handler, the former two at once.  One that
    lives in the browser can only be read: assigning and deleting fail with
    L{SessionReadOnly<txsessionsock.interfaces.SessionReadOnly>}.

    @ivar id: The session's id, which is a secret.
    """

    def __init__(
        self, id: SessionID, copy: WorkingCopy | Draft, keeper: Keeper
    ) -> None:
        self.id = id
        self._copy = copy
        self.keeper = keeper

    def __repr__(self) -> str:
        return f"<Session {shortHash(self.id)}>"

    def exchange(self, copy: WorkingCopy | Draft) -> WorkingCopy | Draft:
        """
        Have other data, while a handler runs that may run again.

        @return: What it had.
        """
        before, self._copy = self._copy, copy
        return before

    def __getitem__(self, key: str) -> Any:
        # Here rather than in the copy: this is what most handlers do most.
        copy = self._copy
        value = copy.data[key]
        return value if type(value) in ATOMS else copy.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        if type(key) is not str:
            self._checkKey(key)
        self._copy.assign(key, value)
        if not self.keeper.isHandling:
            self.keeper.changing()

    def __delitem__(self, key: str) -> None:
        self._copy.delete(key)
        if not self.keeper.isHandling:
            self.keeper.changing()

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._copy.data))

    def __len__(self) -> int:
        return len(self._copy.data)

    def __contains__(self, key: object) -> bool:
        return key in self._copy.data

    def _checkKey(self, key: object) -> None:
        # An application that pickles may have others in its sessions.
        if not isinstance(key, str) and key not in self._copy.data:
            raise TypeError(f"a session's keys are str, not {type(key).__name__}")

    def items(self) -> ItemsView[str, Any]:
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        return _Values(self)

    @property
    def expires(self) -> float | None:
        """
        When the session ends, in seconds since the epoch; L{None} if it does
        not end by itself.
        """
        return self.keeper.expires

    @property
    def created(self) -> float | None:
        """
        When the session began, in seconds since the epoch; L{None} if that is
        not known, because another process began it.
        """
        return self.keeper.created

    @property
    def isNew(self) -> bool:
        """
        Whether the session was never stored.
        """
        return self.keeper.isNew

    def increment(self, key: str, by: int | float = 1) -> int | float:
        """
        Add to a number.  Unlike C{session[key] += by}, increments made in
        several processes at once add up.  A missing key counts from 0.

        @return: The new value, as this process sees it.

        @raise IncrementError: The key holds no number.
        """
        self._checkKey(key)
        value = self._copy.increment(key, by)
        if not self.keeper.isHandling:
            self.keeper.changing()
        return value

    def save(self) -> Deferred[None]:
        """
        Store what was changed until now.

        @return: A L{Deferred} that fires when it is stored.  It fails with
            L{NoSuchSession} if the session is gone, L{SessionReplaced} if it
            is somebody else's, L{UnencodableSession} or L{IncrementError} if
            a change cannot be stored, and with L{StoreFailure} if the store
            could not be asked; then the changes stay and are tried again,
            except for increments whose outcome is unknown (L{StoreTimeout}).
        """
        refuseRepeatable("save()")
        return self.keeper.save()

    @overload  # type: ignore[override]  # A function makes it wait for the store.
    def update(self, f: Callable[[dict[str, Any]], _T], /) -> Deferred[_T]: ...

    @overload
    def update(self, f: Mapping[str, Any] = ..., /, **more: Any) -> None: ...

    def update(
        self,
        f: Mapping[str, Any] | Callable[[dict[str, Any]], _T] = _NOTHING,
        /,
        **more: Any,
    ) -> Deferred[_T] | None:
        """
        Read, change and store as one step that nobody else's comes between.

        Given a mapping instead, set its keys, as a dictionary does.

        @param f: An ordinary function that gets a dictionary with the data
            and changes it.  It is called again if somebody else's change came
            first; and for C{repairWindow} after the L{Deferred} fired, if a
            web application overwrote what it did.  It cannot wait: for an
            asynchronous one, the L{Deferred} fails with L{TypeError}.

        @return: A L{Deferred} that fires with what C{f} returned when what it
            did is stored.  It fails with what C{f} raised, in which case
            nothing was changed, and otherwise like that of L{save}.
        """
        if callable(f):
            return self._change(f)
        super().update(f, **more)
        return None

    def _change(self, f: Callable[[dict[str, Any]], _T]) -> Deferred[_T]:
        refuseRepeatable("update()")
        return self.keeper.change(f)

    def reload(self) -> Deferred[None]:
        """
        Ask the store now, and merge what others wrote.

        @return: A L{Deferred} that fails with L{NoSuchSession},
            L{SessionReplaced}, L{UndecodableSession} or L{StoreFailure}.
        """
        refuseRepeatable("reload()")
        return self.keeper.reload()

    def touch(self) -> Deferred[None]:
        """
        Begin the session's lifetime anew, as a visit does; if it is to end
        later already, that stays.

        @return: A L{Deferred} that fails with L{NoSuchSession},
            L{SessionReplaced}, L{UndecodableSession} or L{StoreFailure}.
        """
        refuseRepeatable("touch()")
        return self.keeper.touch()

    def destroy(self) -> Deferred[None]:
        """
        End the session, everywhere: log out.

        @return: A L{Deferred} that fires when it is gone, also if it was gone
            before.  It fails with L{StoreFailure}; then the session may still
            be there.
        """
        refuseRepeatable("destroy()")
        return self.keeper.destroy()

    def regenerate(self) -> Deferred[Session]:
        """
        Continue under a new id, so that whoever knew the old one before a
        login does not have the session after it.  Only where a cookie can be
        set: in a page, before the answer has begun.

        @return: A L{Deferred} that fires with the new session, which has the
            same data.  It fails like that of L{save}, and with
            L{SessionError} where no cookie can be set.
        """
        refuseRepeatable("regenerate()")
        return fail(SessionError("a session gets a new id only where a cookie is set"))


class _Items(ItemsView[str, Any]):
    """
    Walks a snapshot, so that a key may go while somebody walks.
    """

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(list(super().__iter__()))


class _Values(ValuesView[Any]):
    """
    The same for values.
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(list(super().__iter__()))
