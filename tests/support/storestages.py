"""
What plays the scripts of L{tests.support.storescripts} as tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.trial.unittest import SynchronousTestCase

from tests.support.storescripts import SCRIPTS, played, written
from txsessionsock._kinds import Store
from txsessionsock.interfaces import IWatchableStore, StoreUnavailable


__all__ = ["RealStage", "withScripts"]

_TRIES = 500

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    # Before a case, which prepares after this.
    _Base = object


def withScripts(kind: str) -> Callable[[type[Any]], type[Any]]:
    """
    Give a case that is a stage a test for each script.

    @param kind: The kind of its stores.
    """

    def decorate(case: type[Any]) -> type[Any]:
        for name in SCRIPTS:
            expected = written(name, kind)
            if expected is not None:
                test = _test(name, kind, expected)
                setattr(case, test.__name__, test)
        return case

    return decorate


def _test(name: str, kind: str, expected: list[str]) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        self.assertEqual(played(name, kind, self), expected)

    words = "".join(c for c in name.title() if c.isalnum())
    test.__name__ = f"test_{words[0].lower()}{words[1:]}"
    test.__doc__ = f"{name[0].upper()}{name[1:]}."
    return test


class RealStage(_Base):
    """
    Stores as several processes would have them, each under its name.
    """

    def setUp(self) -> None:
        self.stores: dict[str, Any] = {}
        super().setUp()

    def newStore(self) -> Store:
        """
        One more on the same place.
        """
        raise NotImplementedError

    def waitFor(self, answer: Deferred[Any]) -> None:
        """
        Wait until it has fired.
        """
        raise NotImplementedError

    def store(self, name: str) -> Any:
        if name not in self.stores:
            self.stores[name] = self.newStore()
            self.waitFor(self.stores[name].load(""))
            # What it tells because it begins to see is no report.
            self.settle()
        return self.stores[name]

    def waitForAll(self, answers: list[Deferred[Any]]) -> None:
        # Each may take a failure for what is to happen.
        self.waitFor(DeferredList(answers))

    def settle(self) -> None:
        for store in self.stores.values():
            if IWatchableStore.providedBy(store):
                self._fenced(store)

    def _fenced(self, store: Any) -> None:
        for _ in range(_TRIES):
            passed: list[object] = []
            answer = store.fence("k").addCallback(passed.append)
            answer.addErrback(lambda failure: failure.trap(StoreUnavailable))
            self.waitFor(answer)
            if passed:
                return
            self.advance(0.01)
        self.fail("it sees no changes")

    def advance(self, seconds: float) -> None:
        """
        Let time pass.
        """
        raise NotImplementedError
