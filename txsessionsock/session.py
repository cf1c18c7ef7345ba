# -*- test-case-name: tests.test_session -*-
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
    Sequence,
    ValuesView,
)
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, overload

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from ._changes import WorkingCopy
from .interfaces import EndReason, SessionError, SessionID


__all__ = ["Holder", "Keeper", "Session", "explained", "shortHash"]

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


class Keeper(Protocol):
    """
    What keeps a session stored.  The manager has one for each live session;
    only clients and pages, which are part of this library, call it.

    @ivar isHandling: Whether a handler runs that has not yet waited for
        anything, at whose end changes are looked for.
    """

    isHandling: bool

    @property
    def expires(self) -> float | None:
        """
        See L{Session.expires}.
        """

    @property
    def created(self) -> float | None:
        """
        See L{Session.created}.
        """

    @property
    def isNew(self) -> bool:
        """
        See L{Session.isNew}.
        """

    @property
    def reason(self) -> EndReason | None:
        """
        Why the session ended, even if not all who hold it were told yet.
        """

    def identity(self) -> object:
        """
        Who is logged in, as the framework has it; L{None} for nobody.
        """

    def save(self) -> Deferred[None]:
        """
        See L{Session.save}.
        """

    def change(self, f: Callable[[dict[str, Any]], _T]) -> Deferred[_T]:
        """
        See L{Session.update}.
        """

    def reload(self) -> Deferred[None]:
        """
        See L{Session.reload}.
        """

    def touch(self) -> Deferred[None]:
        """
        See L{Session.touch}.
        """

    def destroy(self) -> Deferred[None]:
        """
        See L{Session.destroy}.
        """

    def arrival(self) -> int:
        """
        Note that a message arrived.

        @return: What L{fresh} wants to know about it.
        """

    def fresh(self, arrival: int) -> Deferred[None] | None:
        """
        Make the session show every write whose writer had its answer before
        the message arrived.

        @return: L{None} if it does already.  Otherwise a L{Deferred} that
            fails with L{NoSuchSession}, L{SessionReplaced},
            L{UndecodableSession} or L{StoreFailure}.
        """

    def visited(self, *, isFresh: bool) -> None:
        """
        The client did something: put off the session's end.

        @param isFresh: Whether the session was made L{fresh} for that.
        """

    def enter(self, holder: Holder) -> None:
        """
        A handler begins.
        """

    def changing(self) -> None:
        """
        Somebody set a key, or deleted one, while no handler was L{handling
        <isHandling>}: that is to be stored soon.
        """

    def goesOn(self, *, looks: bool) -> None:
        """
        A handler waits for something.

        @param looks: Whether what it changed so far, and what it changes until
            it is done, is to be looked for now and then, and stored.
        """

    def leave(self, holder: Holder, *, wasSync: bool, saveNow: bool) -> int:
        """
        A handler is done.

        @param wasSync: Whether no other handler can have run meanwhile.

        @param saveNow: Whether its changes are to be stored at once rather
            than soon.

        @return: The number of the last change, if it changed something; 0 if
            not.
        """

    def unsaved(self) -> int | None:
        """
        What a frame that is sent now has to wait for, so that its receiver
        never learns of a change that is lost.

        @return: The number that L{Holder.stored} will reach, L{None} if
            everything is stored.
        """


class Holder(Protocol):
    """
    Who has a session open: a client, or a page.  None of its methods raises.
    """

    def changed(self, keys: Sequence[str]) -> None:
        """
        Somebody else changed these keys.
        """

    def stored(self, number: int) -> None:
        """
        All changes up to this number are stored.
        """

    def failed(self, failure: Failure) -> None:
        """
        Changes could not be stored.
        """

    def ended(self, reason: EndReason) -> None:
        """
        The session is over.  Called once; nothing else is called after it.
        """


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

    def __init__(self, id: SessionID, copy: WorkingCopy, keeper: Keeper) -> None:
        self.id = id
        self._copy = copy
        self.keeper = keeper

    def __repr__(self) -> str:
        return f"<Session {shortHash(self.id)}>"

    def __getitem__(self, key: str) -> Any:
        return self._copy.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
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
        return self.keeper.change(f)

    def reload(self) -> Deferred[None]:
        """
        Ask the store now, and merge what others wrote.

        @return: A L{Deferred} that fails with L{NoSuchSession},
            L{SessionReplaced}, L{UndecodableSession} or L{StoreFailure}.
        """
        return self.keeper.reload()

    def touch(self) -> Deferred[None]:
        """
        Begin the session's lifetime anew, as a visit does; if it is to end
        later already, that stays.

        @return: A L{Deferred} that fails with L{NoSuchSession},
            L{SessionReplaced}, L{UndecodableSession} or L{StoreFailure}.
        """
        return self.keeper.touch()

    def destroy(self) -> Deferred[None]:
        """
        End the session, everywhere: log out.

        @return: A L{Deferred} that fires when it is gone, also if it was gone
            before.  It fails with L{StoreFailure}; then the session may still
            be there.
        """
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
