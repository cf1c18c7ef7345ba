# -*- test-case-name: tests.test_session -*-
"""
The session that handlers hold, and what was changed in it.

Three versions of its data exist at a time: the one that handlers change, the
one as it was when we last looked for changes, and the one that is stored.
The latter two are never changed in place, so they can share their values.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, overload

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from ._merge import MISSING, adapted, detached, isNumber, merge, same
from .interfaces import EndReason, IncrementError, SessionError, SessionID


__all__ = ["Flight", "Holder", "Keeper", "Session", "WorkingCopy", "shortHash"]

_T = TypeVar("_T")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def shortHash(secret: str) -> str:
    """
    What may be shown of a secret, to tell it from others in a log.
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8]


@dataclass
class Flight:
    """
    One attempt to store a session.

    @ivar origin: The data as collected when it began.

    @ivar data: The data to be stored: C{origin} and what updates made of it.

    @ivar number: The number of the last change that is in it.

    @ivar increments: By how much which keys were incremented since the last
        attempt.

    @ivar plain: Which keys were assigned or deleted since the last attempt.
    """

    origin: dict[str, Any] = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    number: int
    increments: dict[str, int | float] = field(repr=False)
    plain: set[str] = field(repr=False)


class WorkingCopy:
    """
    The data of one live session, and how it came to differ from what is
    stored.

    @ivar data: The data that handlers change.

    @ivar number: Counts changes; each L{collect} that finds one adds one.
    """

    def __init__(self, stored: dict[str, Any]) -> None:
        """
        @param stored: The data as stored.  It becomes the copy's own.
        """
        self.data: dict[str, Any] = detached(stored)
        self.number = 0
        self._stored = stored
        self._seen = dict(stored)
        self._suspects: set[str] = set()
        self._increments: dict[str, int | float] = {}
        self._plain: set[str] = set()

    def get(self, key: str) -> Any:
        """
        Read one key, and remember it if its value can be changed in place.
        """
        value = self.data[key]
        if isinstance(value, (dict, list)):
            self._suspects.add(key)
        return value

    def assign(self, key: str, value: Any) -> None:
        """
        Set one key.
        """
        self.data[key] = value
        self._assigned(key)

    def delete(self, key: str) -> None:
        """
        Remove one key.
        """
        del self.data[key]
        self._assigned(key)

    def _assigned(self, key: str) -> None:
        self._suspects.add(key)
        self._plain.add(key)
        self._increments.pop(key, None)

    def increment(self, key: str, by: int | float) -> int | float:
        """
        Add to a number, in a way that merges by adding.
        """
        value = self.data.get(key, 0)
        if not (isNumber(value) and isNumber(by)):
            raise IncrementError(f"cannot increment {key!r}: it holds no number")
        self.data[key] = value + by
        self._suspects.add(key)
        if key not in self._plain:
            self._increments[key] = self._increments.get(key, 0) + by
        return value + by

    def collect(self) -> list[str]:
        """
        Look for changes made since the last time.

        @return: The keys that have another value than then.
        """
        if not self._suspects:
            return []
        changed = []
        for key in list(self._suspects):
            value = self.data.get(key, MISSING)
            if not isinstance(value, (dict, list)):
                self._suspects.discard(key)
            if same(value, self._seen.get(key, MISSING)):
                continue
            changed.append(key)
            if value is MISSING:
                del self._seen[key]
            else:
                self._seen[key] = detached(value)
        if changed:
            self.number += 1
        return changed

    def differs(self) -> bool:
        """
        Whether what was collected is other than what is stored.
        """
        return not same(self._seen, self._stored)

    def snapshot(self) -> dict[str, Any]:
        """
        A detached copy of the data as collected.
        """
        copy: dict[str, Any] = detached(self._seen)
        return copy

    def begin(self, data: dict[str, Any] | None = None) -> Flight:
        """
        Take what was collected, to store it.

        @param data: What is to be stored, if it is more than that.
        """
        origin = dict(self._seen)
        flight = Flight(
            origin,
            origin if data is None else data,
            self.number,
            self._increments,
            self._plain,
        )
        self._increments, self._plain = {}, set()
        return flight

    def landed(self, flight: Flight) -> list[str]:
        """
        An attempt succeeded.

        @return: The keys that have another value now, because the attempt
            stored more than was collected.
        """
        self._stored = flight.origin
        if flight.data is flight.origin:
            return []
        return self.rebase(flight.data)[0]

    def back(self, flight: Flight) -> None:
        """
        An attempt failed without storing anything; what it was to store still
        is to be stored.
        """
        self._plain |= flight.plain
        for key, by in flight.increments.items():
            self._increments[key] = self._increments.get(key, 0) + by
        for key in self._plain:
            self._increments.pop(key, None)

    def landedLate(self, flight: Flight) -> list[str]:
        """
        An attempt that was taken L{back} succeeded after all.

        @return: See L{landed}.
        """
        for key, by in flight.increments.items():
            if key in self._increments:
                self._increments[key] -= by
        return self.landed(flight)

    def forget(self, flight: Flight) -> None:
        """
        Nobody can tell whether an attempt succeeded: keep its assignments,
        which do no harm twice, and give up its increments, which do.
        """
        lost, flight.increments = flight.increments, {}
        for key, by in lost.items():
            if key in self._plain or key in flight.plain:
                continue
            known = key in self._stored or key in self._increments
            self._take(key, self._seen[key] - by if known else MISSING)

    def revert(self, keys: Iterable[str]) -> None:
        """
        Give some keys their stored values again.
        """
        for key in keys:
            self._increments.pop(key, None)
            self._plain.discard(key)
            self._take(key, self._stored.get(key, MISSING))

    def rebase(self, theirs: dict[str, Any]) -> tuple[list[str], list[str]]:
        """
        Merge with what somebody else stored.  Everything is to be collected
        before, and no attempt under way.

        @param theirs: What is stored now.  It becomes the copy's own.

        @return: The keys that have another value now, and those that could
            not be incremented, because they hold no number any more.
        """
        merged = merge(self._stored, self._seen, theirs)
        notNumbers = []
        for key, by in list(self._increments.items()):
            count = theirs.get(key, 0)
            if isNumber(count):
                merged[key] = count + by
            else:
                notNumbers.append(key)
                del self._increments[key]
                merged[key] = count
        changed = [
            key
            for key in merged.keys() | self._seen.keys()
            if not same(merged.get(key, MISSING), self._seen.get(key, MISSING))
        ]
        self._stored = theirs
        for key in changed:
            self._take(key, merged.get(key, MISSING))
        self._plain = {
            key
            for key in self._plain
            if not same(self._seen.get(key, MISSING), theirs.get(key, MISSING))
        }
        return changed, notNumbers

    def _take(self, key: str, value: Any) -> None:
        """
        Set a key without this being a change of ours.
        """
        if value is MISSING:
            self._seen.pop(key, None)
            self.data.pop(key, None)
        else:
            self._seen[key] = value
            self.data[key] = adapted(self.data.get(key, MISSING), value)


class Keeper(Protocol):
    """
    What keeps a session stored.  The manager has one for each live session;
    only clients and pages, which are part of this library, call it.
    """

    expires: float | None
    created: float | None
    isNew: bool

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

    def visited(self) -> None:
        """
        The client did something: put off the session's end.
        """

    def enter(self, holder: Holder) -> None:
        """
        A handler begins.
        """

    def leave(self, holder: Holder, *, wasSync: bool, saveNow: bool) -> bool:
        """
        A handler is done.

        @param wasSync: Whether no other handler can have run meanwhile.

        @param saveNow: Whether its changes are to be stored at once rather
            than soon.

        @return: Whether it changed something.
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
    values are noticed when a handler is done and before each write.

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
        if not isinstance(key, str):
            raise TypeError(f"a session's keys are str, not {type(key).__name__}")
        self._copy.assign(key, value)

    def __delitem__(self, key: str) -> None:
        self._copy.delete(key)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._copy.data))

    def __len__(self) -> int:
        return len(self._copy.data)

    def __contains__(self, key: object) -> bool:
        return key in self._copy.data

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
        return self._copy.increment(key, by)

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
            first.

        @return: A L{Deferred} that fires with what C{f} returned when what it
            did is stored.  It fails with what C{f} raised, in which case
            nothing was changed, and otherwise like that of L{save}.
        """
        if callable(f):
            return self.keeper.change(f)
        super().update(f, **more)
        return None

    def reload(self) -> Deferred[None]:
        """
        Ask the store now, and merge what others wrote.

        @return: A L{Deferred} that fails with L{NoSuchSession},
            L{SessionReplaced}, L{UndecodableSession} or L{StoreFailure}.
        """
        return self.keeper.reload()

    def touch(self) -> Deferred[None]:
        """
        Begin the session's lifetime anew, as a visit does.

        @return: A L{Deferred} that fails with L{NoSuchSession} or
            L{StoreFailure}.
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
