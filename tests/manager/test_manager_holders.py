"""
Tests for the manager: who is told that keys changed, and what frames wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.managing import KEY, ManagerCase, Recorder
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.manager.holders import Holders


class ChangedTests(ManagerCase):
    """
    Who is told of a change.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.session, self.other = self.open(), Recorder()
        self.open(self.other)
        self.keeper = self.session.keeper

    def told(self) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        """
        What the two were told.
        """
        return self.holder.keys, self.other.keys

    def test_synchronous(self) -> None:
        """
        The others, when a handler did it; nobody, when it did nothing.
        """
        number = self.handle(self.session, lambda s: s.update(n=1, m=1))
        self.assertEqual((number, self.told()), (1, ([], [("n", "m")])))
        self.assertEqual(self.handle(self.session, lambda s: s["n"]), 0)
        self.assertEqual(self.told(), ([], [("n", "m")]))

    def test_asynchronousAlone(self) -> None:
        """
        The others, when one handler alone was at work.
        """
        self.keeper.handlerBegins(self.holder)
        self.session["n"] = 1
        self.keeper.handlerEnds(self.holder, wasSync=False, saveNow=True)
        self.assertEqual(self.told(), ([], [("n",)]))

    def test_uncertain(self) -> None:
        """
        Everybody, when two handlers were at work.
        """
        self.keeper.handlerBegins(self.holder)
        self.keeper.handlerBegins(self.other)
        self.session["n"] = 1
        self.keeper.handlerEnds(self.holder, wasSync=False, saveNow=True)
        self.assertEqual(self.told(), ([("n",)], [("n",)]))
        self.keeper.handlerEnds(self.other, wasSync=False, saveNow=True)
        self.assertEqual(self.told(), ([("n",)], [("n",)]))

    def test_answeringEachOther(self) -> None:
        """
        Two who change something whenever the other does take turns with
        everything else.
        """
        for holder in self.holder, self.other:
            self.whenChanged(holder)
        self.handle(self.session, lambda s: s.increment("n"))
        self.assertLess(self.session["n"], 4)
        self.clock.advance(0)
        self.assertEqual(self.session["n"], 20)

    def whenChanged(self, holder: Recorder) -> None:
        """
        Have somebody answer each change with one, up to a number: what is to
        be done in the next turn, this clock does in the same.
        """

        def changed(keys: Sequence[str]) -> None:
            if self.session["n"] < 20:
                self.handle(self.session, lambda s: s.increment("n"), holder)

        holder.changed = changed  # type: ignore[method-assign]  # does more

    def test_besideSuspended(self) -> None:
        """
        A synchronous handler beside one that waits: each is told what the
        other did, and not what it did itself.
        """
        self.keeper.handlerBegins(self.holder)
        self.session["mine"] = 1
        self.handle(self.session, lambda s: s.update(yours=1), self.other)
        self.assertEqual(self.told(), ([("yours",)], [("mine",)]))
        self.keeper.handlerEnds(self.holder, wasSync=False, saveNow=True)
        self.assertEqual(self.told(), ([("yours",)], [("mine",)]))

    def test_outside(self) -> None:
        """
        Everybody, when no handler did it.
        """
        self.session["n"] = 1
        self.successResultOf(self.session.save())
        self.assertEqual(self.told(), ([("n",)], [("n",)]))

    def test_outsideBeforeHandler(self) -> None:
        """
        Also if a handler began since.
        """
        self.session["n"] = 1
        self.handle(self.session, lambda s: s.update(m=1))
        self.assertEqual(self.told(), ([("n",)], [("n",), ("m",)]))

    def test_afterRelease(self) -> None:
        """
        Nobody who does not hold the session any more.
        """
        self.successResultOf(self.manager.release(self.session, self.other))
        self.put(n=5)
        self.clock.advance(0)
        self.assertEqual(self.told(), ([("n",)], []))

    def test_changesMore(self) -> None:
        """
        What one changes who is told, and who then waits for something, is as
        safe from what others store as anything else.
        """

        def waits(keys: Sequence[str]) -> None:
            if "n" in keys:
                self.keeper.handlerBegins(self.other)
                self.session["theirs"] = 2

        self.put(n=0, theirs=1, far=[0])
        self.clock.advance(0)
        self.other.changed = waits  # type: ignore[method-assign]  # Recorder has none.
        self.keeper.handlerBegins(self.holder)
        self.session["n"] = 1
        self.put(n=0, theirs=1, far=[1])
        self.run_(1)
        self.assertEqual(dict(self.session), {"n": 1, "theirs": 2, "far": [1]})

    def test_endedBecauseTold(self) -> None:
        """
        Nobody is told anything more after the end, which may come while they
        are told something.
        """
        for tell in (
            lambda holders: holders.changed(["n"], None),
            lambda holders: holders.stored(1),
            lambda holders: holders.failed(Failure(ZeroDivisionError())),
        ):
            holders, first, second = (
                Holders(Clock().callLater),
                Recorder(),
                Recorder(),
            )

            def end(*_: object, holders: Holders = holders) -> None:
                holders.dismiss("destroyed")()

            recorder: Any = first
            recorder.changed = recorder.stored = recorder.failed = end
            holders.add(first)
            holders.add(second)
            tell(holders)
            self.assertEqual(second.reasons, ["destroyed"])
            told = second.keys, second.numbers, second.failures
            self.assertEqual(told, ([], [], []))

    def test_releasedBecauseTold(self) -> None:
        """
        One who is told may release the session.
        """
        holders, one, other = Holders(Clock().callLater), Recorder(), Recorder()
        holders.add(one)
        holders.add(other)
        one.whenEnded = lambda: holders.remove(other)
        tell = holders.dismiss("destroyed")
        self.assertEqual(len(holders), 0)
        tell()
        self.assertEqual((one.reasons, other.reasons), (["destroyed"],) * 2)


class StoredTests(ManagerCase):
    """
    What a frame waits for.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.session = self.open()
        self.keeper = self.session.keeper

    def test_nothingUnsaved(self) -> None:
        """
        With nothing unsaved, nothing.
        """
        self.assertIsNone(self.keeper.unsaved())
        self.assertEqual(self.calls("replace"), 0)

    def test_inHandler(self) -> None:
        """
        Within a handler that changed something, for that; it is written at
        the end of the turn, though the handler goes on.
        """
        self.keeper.handlerBegins(self.holder)
        self.session["n"] = 1
        number = self.keeper.unsaved()
        self.session["n"] = 2
        self.assertEqual((self.calls("replace"), self.holder.numbers), (0, []))
        self.clock.advance(0)
        self.assertEqual((self.stored(), self.holder.numbers[-1:]), ({"n": 2}, [2]))
        self.assertEqual(number, 1)
        self.assertIsNone(self.keeper.unsaved())
        self.keeper.handlerEnds(self.holder, wasSync=False, saveNow=True)

    def test_ofSuspended(self) -> None:
        """
        It waits for what a handler has changed that is still at work, which
        its sender may have seen.
        """
        self.keeper.handlerBegins(self.holder)
        self.session["n"] = 1
        other = Recorder()
        self.open(other)
        self.keeper.handlerBegins(other)
        number = self.keeper.unsaved()
        assert number is not None
        self.clock.advance(0)
        self.assertGreaterEqual(other.numbers[-1], number)

    def test_notBefore(self) -> None:
        """
        Never is a number told before all up to it is stored.
        """
        self.store.hold("replace")
        self.handle(self.session, lambda s: s.update(n=1))
        self.clock.advance(0)
        first = self.keeper.unsaved()
        self.handle(self.session, lambda s: s.update(m=1))
        second = self.keeper.unsaved()
        self.clock.advance(0)
        self.assertEqual(((first, second), self.holder.numbers), ((1, 2), []))
        gates, self.store._gates = self.store._gates, []
        gates[0].callback(None)
        self.assertEqual(self.holder.numbers, [1])
        self.store.release()
        self.assertEqual(self.holder.numbers, [1, 2])

    def test_notAfterFailure(self) -> None:
        """
        Nor when it could not be stored, whatever is read meanwhile.
        """
        self.store.fail(StoreUnavailable(), "replace")
        self.handle(self.session, lambda s: s.update(m=1))
        self.put(n=5)
        self.clock.advance(0)
        self.assertEqual(self.session["n"], 5)
        self.assertEqual((len(self.holder.failures), self.holder.numbers), (1, []))

    def test_lostAnswer(self) -> None:
        """
        It is told when it is found out that it was stored.
        """
        self.store.lose("replace")
        self.handle(self.session, lambda s: s.update(m=1))
        self.clock.advance(0)
        self.assertEqual(self.holder.numbers, [1])

    def test_ended(self) -> None:
        """
        Of a session that is over nothing is waited for.
        """
        self.session["n"] = 1
        self.successResultOf(self.place.destroy(KEY))
        self.clock.advance(0)
        self.assertIsNone(self.keeper.unsaved())
        self.assertEqual(self.holder.numbers, [])


class TidyTests(SynchronousTestCase):
    """
    L{Holders} by itself.
    """

    def test_handlers(self) -> None:
        """
        Handlers of one holder are told apart from those of others, whoever
        leaves first.
        """
        holders, one, other = Holders(Clock().callLater), Recorder(), Recorder()
        self.assertIsNone(holders.author())
        holders.handlerBegins(one)
        holders.did(one, 1)
        holders.handlerBegins(other)
        self.assertIsNone(holders.author())
        holders.did(other, 2)
        self.assertEqual(holders.handlerEnds(one), 1)
        self.assertIs(holders.author(), other)
        holders.did(None, 3)
        self.assertEqual(holders.handlerEnds(other), 3)
