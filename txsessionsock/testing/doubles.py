# -*- test-case-name: tests.package.test_testing -*-
"""
For the tests of those who write a store, and of those who use one.

A store has all that this library expects of it when these pass::

    class MyStoreTests(WatchableContract, SynchronousTestCase):
        def makeStore(self):
            self.clock = Clock()
            return MyStore(..., self.clock)

        def makeOther(self, store):
            return MyStore(..., self.clock)     # same place, as another process has it

        def advance(self, seconds):
            self.clock.advance(seconds)         # or wait, if a server has the clock

        def now(self):
            return self.clock.seconds()

They run under trial and under pytest.  A C{TestCase} whose methods are
coroutines would not: it runs the global reactor, which cannot be run again in
a session of pytest-twisted.  So the tests are synchronous and wait by
L{StoreContract.wait}, which a store that does not answer at once overrides::

    def setUp(self):
        self.reactor = PrivateReactor()
        self.addCleanup(self.reactor.close)
        super().setUp()

    def wait(self, answer):
        return self.reactor.wait(answer)

    def until(self, happened):                  # of a WatchableContract
        self.reactor.waitUntil(happened)

    def advance(self, seconds):
        self.reactor.advance(seconds)

    def now(self):
        return self.reactor.seconds()

C{docs/stores.md} has both in whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock._kinds import Store, WatchableStore
from txsessionsock.interfaces import (
    TTL,
    ISessionStore,
    IWatchableStore,
    SessionError,
    Stored,
    StoreTimeout,
)

from .buscontract import BusContract
from .storecontract import StoreContract
from .watchcontract import WatchableContract


__all__ = [
    "BusContract",
    "FlakyStore",
    "StoreContract",
    "UnwatchableStore",
    "WatchableContract",
]


T = TypeVar("T")


@checked
@implementer(ISessionStore)
class UnwatchableStore:
    """
    A store that can do no more than it must.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    def load(self, key: str) -> Deferred[Stored | None]:
        return self.inner.load(key)

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return self.inner.create(key, raw, ttl)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        return self.inner.replace(key, old, new, ttl)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self.inner.touch(key, ttl)

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        return self.inner.destroy(key, old)


_METHODS = ("load", "create", "replace", "touch", "destroy", "fence")

_HOLD, _LOSE = "hold", "lose"


@checked
@implementer(IWatchableStore)
class FlakyStore:
    """
    A store whose outages are made by the test.

    L{fail}, L{hold} and L{lose} hold for the methods whose names are given,
    for all if none is.

    @ivar calls: The name of the method and the key of every call.
    """

    def __init__(self, inner: WatchableStore) -> None:
        self.inner = inner
        self.calls: list[tuple[str, str]] = []
        self._modes: dict[str, SessionError | str] = {}
        self._gates: list[Deferred[None]] = []
        self._watchers: dict[object, tuple[str, Callable[[str], None]]] = {}
        self._missed = False

    def fail(self, error: SessionError, *methods: str) -> None:
        """
        From now on, do nothing and fail with C{error}.  While L{fence} fails,
        no change is reported either.
        """
        self._set(error, methods)

    def lose(self, *methods: str) -> None:
        """
        From now on, do what is asked and fail with L{StoreTimeout}.
        """
        self._set(_LOSE, methods)

    def hold(self, *methods: str) -> None:
        """
        From now on, do what is asked and answer when told to L{release}.
        """
        self._set(_HOLD, methods)

    def release(self) -> None:
        """
        Give the answers that were held, and hold no more.
        """
        self._modes = {m: mode for m, mode in self._modes.items() if mode != _HOLD}
        gates, self._gates = self._gates, []
        for gate in gates:
            gate.callback(None)

    def heal(self) -> None:
        """
        Be well: answer what was held, and report every watched key if changes
        may have been missed.
        """
        self._modes.clear()
        self.release()
        if self._missed:
            self._missed = False
            for key, changed in list(self._watchers.values()):
                changed(key)

    def load(self, key: str) -> Deferred[Stored | None]:
        return self._ask("load", key, lambda: self.inner.load(key))

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return self._ask("create", key, lambda: self.inner.create(key, raw, ttl))

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        return self._ask("replace", key, lambda: self.inner.replace(key, old, new, ttl))

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self._ask("touch", key, lambda: self.inner.touch(key, ttl))

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        return self._ask("destroy", key, lambda: self.inner.destroy(key, old))

    def fence(self, key: str) -> Deferred[None]:
        return self._ask("fence", key, lambda: self.inner.fence(key))

    def watch(self, key: str, changed: Callable[[str], None]) -> Callable[[], None]:
        token = object()
        self._watchers[token] = key, changed

        def relay(key: str) -> None:
            if not self._missed:
                changed(key)

        unwatch = self.inner.watch(key, relay)

        def stop() -> None:
            self._watchers.pop(token, None)
            unwatch()

        return stop

    def _set(self, mode: SessionError | str, methods: tuple[str, ...]) -> None:
        self._modes.update(dict.fromkeys(methods or _METHODS, mode))
        if isinstance(self._modes.get("fence"), SessionError):
            self._missed = True

    def _ask(
        self, method: str, key: str, ask: Callable[[], Deferred[T]]
    ) -> Deferred[T]:
        self.calls.append((method, key))
        mode = self._modes.get(method)
        if isinstance(mode, SessionError):
            return fail(mode)
        answer = ask()
        if mode == _LOSE:
            lost = Failure(StoreTimeout("the answer was lost"))
            return answer.addBoth(lambda _: lost)
        if mode == _HOLD:
            gate: Deferred[None] = Deferred()
            self._gates.append(gate)
            return answer.addBoth(lambda result: gate.addCallback(lambda _: result))
        return answer
