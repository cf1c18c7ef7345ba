# -*- test-case-name: tests.package.test_types -*-
"""
What may be given to the public constructors, for type checkers: those that have
no plugin for C{zope.interface} do not know what provides an interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from .interfaces import (
    TTL,
    CookieAttributes,
    Document,
    IBus,
    IFramework,
    ISessionStore,
    ISignedCookies,
    IWatchableStore,
    SessionID,
    Stored,
)


__all__ = [
    "Bus",
    "Clock",
    "CookieFramework",
    "Framework",
    "Store",
    "WatchableStore",
]


class StoreMethods(Protocol):
    """
    See L{ISessionStore}.
    """

    def load(self, key: str) -> Deferred[Stored | None]: ...

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]: ...

    def replace(
        self, key: str, old: bytes, new: bytes, ttl: TTL
    ) -> Deferred[Stored]: ...

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]: ...

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]: ...


class WatchableMethods(StoreMethods, Protocol):
    """
    See L{IWatchableStore}.
    """

    def watch(self, key: str, changed: Callable[[str], None]) -> Callable[[], None]: ...

    def fence(self, key: str) -> Deferred[None]: ...


class FrameworkMethods(Protocol):
    """
    See L{IFramework}.
    """

    @property
    def cookieName(self) -> str: ...

    @property
    def firstCookieWins(self) -> bool: ...

    @property
    def readOnly(self) -> bool: ...

    @property
    def rolling(self) -> bool: ...

    def sessionID(self, cookieValue: str, now: float) -> SessionID: ...

    def cookieValue(self, sessionID: SessionID) -> str: ...

    def cookieLifetime(self, document: Document, now: float) -> float | None: ...

    def newSessionID(self) -> SessionID: ...

    def cookieAttributes(self, document: Document) -> CookieAttributes: ...

    def newDocument(self, now: float, like: Document | None = None) -> Document: ...

    def key(self, sessionID: SessionID) -> str: ...

    def loads(self, raw: bytes, now: float) -> Document: ...

    def dumps(self, document: Document, now: float) -> bytes: ...

    def lifetime(self, document: Document, now: float) -> TTL: ...

    def touchLifetime(self, document: Document, now: float) -> TTL: ...

    def identity(self, data: dict[str, Any]) -> object: ...

    def same(self, one: object, other: object, /) -> bool: ...

    def isEnded(self, data: dict[str, Any]) -> bool: ...


class SignedCookieMethods(FrameworkMethods, Protocol):
    """
    See L{ISignedCookies}.
    """

    def deadline(self, sessionID: SessionID) -> float | None: ...


class BusMethods(Protocol):
    """
    See L{IBus}.
    """

    @property
    def node(self) -> str: ...

    def handle(self, answer: Callable[[bytes], bytes]) -> None: ...

    def request(self, command: bytes) -> Deferred[dict[str, bytes | None]]: ...

    def close(self) -> Deferred[None]: ...


class ClockMethods(Protocol):
    """
    What L{IReactorTime} says, as far as it is asked for.
    """

    def seconds(self) -> float: ...

    def callLater(self, delay: float, callable: Callable[..., Any]) -> Any: ...


Store = Annotated[ISessionStore | StoreMethods, ISessionStore]
WatchableStore = Annotated[IWatchableStore | WatchableMethods, IWatchableStore]
Framework = Annotated[IFramework | FrameworkMethods, IFramework]
CookieFramework = Annotated[ISignedCookies | SignedCookieMethods, ISignedCookies]
Bus = Annotated[IBus | BusMethods, IBus]
Clock = Annotated[IReactorTime | ClockMethods, IReactorTime]
"""
What provides an interface.  C{checked} refuses what does not; of a clock it asks
only for the methods.
"""
