"""
Tests for L{txsessionsock.manager.rounds}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.manager.rounds import Rounds


class _Rounds(Rounds):
    """
    Rounds that a function runs, and that may begin only later.
    """

    def __init__(
        self,
        run: Callable[[], Deferred[None] | None],
        afterTurn: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        super().__init__()
        self._run = run
        self._afterTurn = afterTurn

    def round(self) -> Deferred[None] | None:
        return self._run()

    def startLater(self, start: Callable[[], None]) -> bool:
        if self._afterTurn is None:
            return super().startLater(start)
        self._afterTurn(start)
        return True


class RoundsTests(SynchronousTestCase):
    """
    L{Rounds}.
    """

    def setUp(self) -> None:
        self.running: list[Deferred[None]] = []
        self.rounds = _Rounds(self.run_)

    def run_(self) -> Deferred[None]:
        self.running.append(Deferred())
        return self.running[-1]

    def test_first(self) -> None:
        """
        With nothing under way, a round begins at once.
        """
        waiting = self.rounds.fromNow()
        self.assertEqual((len(self.running), self.rounds.begun), (1, 1))
        self.assertNoResult(waiting)
        self.running[0].callback(None)
        self.assertIsNone(self.successResultOf(waiting))

    def test_next(self) -> None:
        """
        All who come while one is under way share the next one.
        """
        first = self.rounds.fromNow()
        others = [self.rounds.fromNow() for _ in range(5)]
        self.assertEqual(len(self.running), 1)
        self.running[0].callback(None)
        self.successResultOf(first)
        self.assertEqual(len(self.running), 2)
        for other in others:
            self.assertNoResult(other)
        self.running[1].callback(None)
        for other in others:
            self.successResultOf(other)
        self.assertEqual(len(self.running), 2)

    def test_after(self) -> None:
        """
        Who came before a round began is served by it.
        """
        before = self.rounds.begun
        self.rounds.fromNow()
        waiting = self.rounds.after(before)
        assert waiting is not None
        self.running[0].callback(None)
        self.successResultOf(waiting)
        self.assertIsNone(self.rounds.after(before))
        self.assertEqual(len(self.running), 1)

    def test_oneTurn(self) -> None:
        """
        Where rounds take time, all who come in one turn of the reactor share
        one, also those who come after the first; where they take none, nobody
        waits for the turn to end.
        """
        turn: list[Callable[[], None]] = []
        self.rounds = _Rounds(self.run_, turn.append)
        self.successful(self.rounds.fromNow())
        waiting = [self.rounds.fromNow() for _ in range(3)]
        self.assertEqual((len(self.running), len(turn)), (1, 1))
        turn.pop()()
        self.assertEqual(len(self.running), 2)
        waiting.append(self.rounds.fromNow())
        self.running[1].callback(None)
        for waiter in waiting[:3]:
            self.successResultOf(waiter)
        self.assertNoResult(waiting[3])
        waiting.append(self.rounds.fromNow())
        turn.pop()()
        self.assertEqual((len(self.running), len(turn)), (3, 0))
        self.running[2].callback(None)
        for waiter in waiting[3:]:
            self.successResultOf(waiter)

    def successful(self, waiting: Deferred[None]) -> None:
        """
        The round that runs succeeds.
        """
        self.running[-1].callback(None)
        self.successResultOf(waiting)

    def test_noTimeAnyMore(self) -> None:
        """
        Rounds that begin to be done at once are begun at once again.
        """
        turn: list[Callable[[], None]] = []
        self.rounds = _Rounds(self.run_, turn.append)
        self.successful(self.rounds.fromNow())
        self.rounds._run = lambda: None
        waiting = self.rounds.fromNow()
        turn.pop()()
        self.successResultOf(waiting)
        self.successResultOf(self.rounds.fromNow())
        self.assertEqual(turn, [])

    def test_failed(self) -> None:
        """
        A round that failed serves nobody afterwards; the next one may.
        """
        before = self.rounds.begun
        first, second = self.rounds.fromNow(), self.rounds.fromNow()
        self.running[0].errback(ValueError())
        self.failureResultOf(first, ValueError)
        waiting = self.rounds.after(before)
        assert waiting is not None
        self.assertNoResult(waiting)
        self.running[1].callback(None)
        self.successResultOf(waiting)
        self.successResultOf(second)

    def test_cancelled(self) -> None:
        """
        Who gives up disturbs neither the round nor the others.
        """
        first, second = self.rounds.after(0), self.rounds.after(0)
        assert first is not None and second is not None
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertFalse(self.running[0].called)
        self.running[0].callback(None)
        self.successResultOf(second)

    def test_failedWithoutWaiters(self) -> None:
        """
        A failure that nobody waits for any more is no error.
        """
        waiting = self.rounds.fromNow()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.running[0].errback(ValueError())

    def test_atOnce(self) -> None:
        """
        A round that is over at once lets nobody wait.
        """
        rounds = _Rounds(lambda: None)
        self.assertIsNone(rounds.after(0))
        self.assertEqual(rounds.begun, 1)
        self.successResultOf(rounds.fromNow())

    def test_raises(self) -> None:
        """
        One that cannot even begin fails.
        """

        def bad() -> None:
            raise ValueError

        rounds = _Rounds(bad)
        for _ in range(2):
            self.failureResultOf(rounds.fromNow(), ValueError)

    def test_reentrant(self) -> None:
        """
        Who is served may ask for another round at once.
        """
        order: list[str] = []

        def again(_: object) -> None:
            order.append("first")
            self.rounds.fromNow().addCallback(lambda _: order.append("third"))

        self.rounds.fromNow().addCallback(again)
        self.rounds.after(0)
        self.rounds.fromNow().addCallback(lambda _: order.append("second"))
        while self.running:
            self.running.pop(0).callback(None)
        self.assertEqual(sorted(order), ["first", "second", "third"])
