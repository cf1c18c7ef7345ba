"""
What the tests of stores have in common that work by a reactor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._kinds import Store
from txsessionsock.interfaces import ISessionStore, StoreFailure
from txsessionsock.testing import PrivateReactor, StoreContract
from txsessionsock.testing.contract import toOverride


__all__ = ["FileCase", "StoreCase", "WaitingContract"]


class _Closable(Protocol):
    def close(self) -> Deferred[None]: ...


S = TypeVar("S", bound=_Closable)
T = TypeVar("T")


class StoreCase(SynchronousTestCase):
    """
    A reactor on which nothing stays behind, and stores that are closed in the
    end.
    """

    def setUp(self) -> None:
        self.reactor = PrivateReactor()
        self.addCleanup(self.reactor.close)
        self.addCleanup(lambda: self.assertEqual(self.reactor.getDelayedCalls(), []))
        super().setUp()

    def closing(self, store: S) -> S:
        """
        Have a store closed in the end.
        """
        self.addCleanup(lambda: self.reactor.wait(store.close()))
        return store

    def place(self) -> str:
        """
        What a failure calls the place of the sessions.
        """
        task = "returns what a failure calls the place of the sessions"
        raise toOverride(self, "place()", task)

    def outage(self, answer: Deferred[Any], kind: type[StoreFailure]) -> str:
        """
        Wait for a failure of exactly this kind; its text names the place.
        """
        with self.assertRaises(StoreFailure) as caught:
            self.reactor.wait(answer)
        self.assertIs(type(caught.exception), kind)
        self.assertIn(self.place(), str(caught.exception))
        return str(caught.exception)


class FileCase(StoreCase):
    """
    Stores in a file, in a directory of its own.

    @cvar filename: The name of the file, which a test may replace by another
        C{path}.
    """

    filename: str

    def setUp(self) -> None:
        self.directory = self.mktemp()
        os.makedirs(self.directory)
        self.path = os.path.join(self.directory, self.filename)
        super().setUp()

    def place(self) -> str:
        return os.path.abspath(self.path)


if TYPE_CHECKING:

    class _Contract(StoreContract, StoreCase):
        pass

else:
    # As a test case of its own it would be run wherever it is imported.
    _Contract = object


class WaitingContract(_Contract):
    """
    How the contracts wait, in a L{StoreCase}; to be named before them.
    """

    def makeOther(self, store: ISessionStore) -> Store:
        return self.makeStore()

    def wait(self, answer: Deferred[T]) -> T:
        return self.reactor.wait(answer)

    def advance(self, seconds: float) -> None:
        self.reactor.advance(seconds)

    def until(self, happened: Callable[[], bool]) -> None:
        self.reactor.waitUntil(happened)

    def now(self) -> float:
        return self.reactor.seconds()
