"""
Tests for the test doubles of L{txsessionsock.testing}.
"""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import txsessionsock
from tests.support.documents import whole
from txsessionsock.bus import LocalBus
from txsessionsock.interfaces import (
    FOREVER,
    IBus,
    ISessionStore,
    IWatchableStore,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import (
    BusContract,
    FlakyStore,
    PrivateReactor,
    StoreContract,
    UnwatchableStore,
    WatchableContract,
)


ROOT = Path(txsessionsock.__file__).parent.parent


class UnwatchableStoreContractTests(StoreContract, SynchronousTestCase):
    """
    L{UnwatchableStore} keeps what stores promise.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        super().setUp()

    def makeStore(self) -> ISessionStore:
        self.inner = MemoryStore(self.clock)
        return UnwatchableStore(self.inner)

    def makeOther(self, store: ISessionStore) -> ISessionStore:
        return UnwatchableStore(MemoryStore(place=self.inner))

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def now(self) -> float:
        return self.clock.seconds()

    def test_unwatchable(self) -> None:
        """
        It cannot be watched.
        """
        self.assertFalse(IWatchableStore.providedBy(self.store))
        self.assertFalse(hasattr(self.store, "watch"))


class FlakyStoreContractTests(WatchableContract, SynchronousTestCase):
    """
    L{FlakyStore} keeps what stores promise, unless told otherwise.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        super().setUp()

    def makeStore(self) -> ISessionStore:
        self.inner = MemoryStore(self.clock)
        return FlakyStore(self.inner)

    def makeOther(self, store: ISessionStore) -> ISessionStore:
        return FlakyStore(MemoryStore(place=self.inner))

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def now(self) -> float:
        return self.clock.seconds()


class FlakyStoreTests(SynchronousTestCase):
    """
    Tests for the outages of L{FlakyStore}.
    """

    def setUp(self) -> None:
        self.inner = MemoryStore(Clock())
        self.store = FlakyStore(self.inner)
        self.reported: list[str] = []
        self.successResultOf(self.inner.create("k", b"1", FOREVER))

    def raw(self) -> bytes:
        """
        What is stored.
        """
        stored = self.successResultOf(self.inner.load("k"))
        assert stored is not None
        return stored.raw

    def test_calls(self) -> None:
        """
        Calls are noted, those that fail too.
        """
        self.store.load("k")
        self.store.fail(StoreUnavailable())
        self.failureResultOf(self.store.touch("j", FOREVER), StoreUnavailable)
        self.assertEqual(self.store.calls, [("load", "k"), ("touch", "j")])

    def test_fail(self) -> None:
        """
        A store that fails does nothing, until it is healed.
        """
        self.store.fail(StoreUnavailable())
        answer = self.store.replace("k", b"1", b"2", FOREVER)
        self.failureResultOf(answer, StoreUnavailable)
        self.failureResultOf(self.store.fence("k"), StoreUnavailable)
        self.assertEqual(self.raw(), b"1")
        self.store.heal()
        self.successResultOf(self.store.replace("k", b"1", b"2", FOREVER))

    def test_failSome(self) -> None:
        """
        Some methods can fail while others work.
        """
        self.store.fail(StoreUnavailable(), "load")
        self.failureResultOf(self.store.load("k"), StoreUnavailable)
        self.successResultOf(self.store.touch("k", FOREVER))
        self.successResultOf(self.store.fence("k"))

    def test_lose(self) -> None:
        """
        A store that loses answers does what it is asked.
        """
        self.store.lose("replace")
        answer = self.store.replace("k", b"1", b"2", FOREVER)
        self.failureResultOf(answer, StoreTimeout)
        self.assertEqual(self.raw(), b"2")

    def test_hold(self) -> None:
        """
        Answers that are held, good and bad, come with the release, in order.
        """
        self.store.hold()
        order: list[str] = []
        good: Deferred[object] = self.store.replace("k", b"1", b"2", FOREVER)  # type: ignore[assignment]  # any
        bad: Deferred[object] = self.store.touch("j", FOREVER)  # type: ignore[assignment]  # any
        good.addCallback(lambda _: order.append("good"))
        bad.addErrback(lambda _: order.append("bad"))
        self.assertEqual((order, self.raw()), ([], b"2"))
        self.store.release()
        self.assertEqual(order, ["good", "bad"])
        self.successResultOf(self.store.load("k"))

    def test_blind(self) -> None:
        """
        While fences fail nothing is reported, and after it everything is.
        """
        self.store.watch("k", self.reported.append)
        self.store.watch("j", self.reported.append)()
        self.store.fail(StoreUnavailable())
        other = MemoryStore(place=self.inner)
        other.touch("k", FOREVER)
        self.inner.fence("k")
        self.assertEqual(self.reported, [])
        self.store.heal()
        self.assertEqual(self.reported, ["k"])
        other.touch("k", FOREVER)
        self.store.fence("k")
        self.assertEqual(self.reported, ["k", "k"])


class OwnStoreTests(SynchronousTestCase):
    """
    Tests for what C{docs/stores.md} shows, and for what a test case is told that
    leaves something out.
    """

    def setUp(self) -> None:
        shown = whole()
        sys.modules["dictstore"] = module = ModuleType("dictstore")
        self.addCleanup(sys.modules.pop, "dictstore")
        exec(shown["dictstore.py"], vars(module))
        # Where trial makes directories by.
        self.cases: dict[str, Any] = {"__name__": __name__}
        for name in "test_dictstore.py", "test_sqlitestore.py":
            exec(shown[name], self.cases)

    def outcome(self, case: type[unittest.TestCase]) -> unittest.TestResult:
        """
        Run a test case.
        """
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
        return result

    def test_examples(self) -> None:
        """
        The examples pass all tests.
        """
        for name, count in ("DictStoreTests", 15), ("SQLiteStoreTests", 25):
            result = self.outcome(self.cases[name])
            told = "".join(text for _, text in [*result.errors, *result.failures])
            self.assertEqual(told, "", name)
            self.assertGreater(result.testsRun, count)

    def test_leftOut(self) -> None:
        """
        A test case that lacks something is told what, and where to look.
        """
        for case, methods in (
            ("DictStoreTests", ("makeStore()", "makeOther(store)", "advance(seconds)")),
            ("SQLiteStoreTests", ("wait(answer)", "advance(seconds)")),
        ):
            for method in methods:
                name = method.partition("(")[0]
                contract = self.cases[case].__bases__[0]
                left = {name: getattr(contract, name)}
                told = self.told(type("OwnTests", (self.cases[case],), left))
                self.assertIn(f"OwnTests is to override {method}, which ", told)
                self.assertIn("docs/stores.md", told)

    def test_leftOutBus(self) -> None:
        """
        The same for a bus.
        """

        class Made(BusContract, SynchronousTestCase):
            def makeBus(self) -> IBus:
                return LocalBus(Clock())

        class Both(Made):
            def makeOther(self, bus: IBus) -> IBus:
                return LocalBus(place=cast(LocalBus, bus))

        class Nothing(BusContract, SynchronousTestCase):
            pass

        for case, method in (
            (Nothing, "makeBus()"),
            (Made, "makeOther(bus)"),
            (Both, "wait(answer)"),
        ):
            self.assertIn(f"{case.__name__} is to override {method}", self.told(case))

    def told(self, case: type[unittest.TestCase]) -> str:
        """
        @return: The last words of all errors of a test case.
        """
        result = self.outcome(case)
        return "".join(text for _, text in [*result.errors, *result.failures])


class PrivateReactorTests(SynchronousTestCase):
    """
    Tests for L{PrivateReactor}.
    """

    def setUp(self) -> None:
        self.reactor = PrivateReactor()
        self.addCleanup(self.reactor.close)

    def test_advance(self) -> None:
        """
        What is due when the clock was put forward is done.
        """
        called: list[float] = []
        start = self.reactor.seconds()
        self.reactor.callLater(3600, lambda: called.append(self.reactor.seconds()))
        self.reactor.advance(3599)
        self.assertEqual(called, [])
        self.reactor.advance(1)
        self.assertGreaterEqual(called[0], start + 3600)

    def test_wait(self) -> None:
        """
        Waiting gives the result, raises the failure, and ends.
        """
        answer: Deferred[int] = Deferred()
        self.reactor.callLater(0.01, answer.callback, 7)
        self.assertEqual(self.reactor.wait(answer), 7)
        answer = Deferred()
        self.reactor.callLater(0.01, answer.errback, ZeroDivisionError())
        self.assertRaises(ZeroDivisionError, self.reactor.wait, answer)
        self.assertRaises(AssertionError, self.reactor.wait, Deferred(), 0.01)

    def test_imports(self) -> None:
        """
        Importing the module installs no reactor and needs no pytest.
        """
        code = (
            "import sys, txsessionsock.testing\n"
            "sys.exit(str({'pytest', 'twisted.internet.reactor'} & set(sys.modules)))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(txsessionsock.__file__).parent.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(run.stderr.strip(), "set()")
