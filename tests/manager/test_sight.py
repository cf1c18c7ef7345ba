"""
Tests for L{txsessionsock.manager.sight}: what to ask of a store, so that a
session is fresh.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.manager.sight import Sight, Step


def _blind(sight: Sight) -> None:
    sight.lost()


def _stale(sight: Sight) -> None:
    sight.reported()


def _asIs(sight: Sight) -> None:
    pass


class SightTests(SynchronousTestCase):
    """
    L{Sight}.
    """

    def make(
        self,
        *happened: Callable[[Sight], None],
        isTracked: bool = False,
        isWatchable: bool = True,
    ) -> Sight:
        """
        Make one that is watched, if it can be, and to which things happened.
        """
        sight = Sight(isWatchable=isWatchable, isTracked=isTracked)
        if isWatchable:
            sight.watched()
        for happen in happened:
            happen(sight)
        return sight

    def test_forMessage(self) -> None:
        """
        A message trusts reports only if it may, if they come, and if all were
        heeded.  A store that reports nothing has to be read.
        """
        nothing, fence = Step.NOTHING, Step.FENCE
        for happened, strict, tracked in (
            ([_asIs], fence, nothing),
            ([_stale], fence, fence),
            ([_blind], fence, fence),
            ([_blind, _stale], fence, fence),
            ([Sight.unwatched], fence, fence),
        ):
            self.assertIs(self.make(*happened).forMessage(), strict)
            self.assertIs(self.make(*happened, isTracked=True).forMessage(), tracked)
        for isTracked in False, True:
            sight = self.make(isWatchable=False, isTracked=isTracked)
            self.assertIs(sight.forMessage(), Step.LOAD)

    def test_afterFence(self) -> None:
        """
        An answered fence is enough, if nothing was reported and the session is
        known at all.
        """
        for happened, isLoaded, step in (
            ([_asIs], True, Step.NOTHING),
            ([_asIs], False, Step.LOAD),
            ([_stale], True, Step.LOAD),
            ([_blind], True, Step.LOAD),
            ([_blind, Sight.fenced], True, Step.NOTHING),
        ):
            self.assertIs(self.make(*happened).afterFence(isLoaded=isLoaded), step)

    def test_forReport(self) -> None:
        """
        What was reported is read at once in strict mode, where each message has
        a fence of its own; else a fence first tells whether reports still come.
        """
        for happened, strict, tracked in (
            ([_stale], Step.LOAD, Step.FENCE),
            ([_asIs], Step.NOTHING, Step.FENCE),
            ([_blind], Step.FENCE, Step.FENCE),
            ([_blind, _stale], Step.FENCE, Step.FENCE),
        ):
            self.assertIs(self.make(*happened).forReport(), strict)
            self.assertIs(self.make(*happened, isTracked=True).forReport(), tracked)
            sight = self.make(*happened, isWatchable=False)
            self.assertIs(sight.forReport(), Step.LOAD)

    def test_reportedMeanwhile(self) -> None:
        """
        A report that comes while the store answers may not be about the answer:
        the session is stale until it is read again.
        """
        sight = self.make(_stale)
        reports = sight.reports
        sight.reported()
        sight.heeded(reports)
        self.assertTrue(sight.isStale)
        sight.heeded(sight.reports)
        self.assertFalse(sight.isStale)

    def test_states(self) -> None:
        """
        Fences change what is known of a store that is watched, and only then.
        """
        sight = Sight(isWatchable=True, isTracked=False)
        for happen, isSeeing, isToldInTime in (
            (_asIs, False, True),
            (Sight.fenced, False, True),
            (Sight.lost, False, True),
            (Sight.watched, True, True),
            (Sight.lost, False, False),
            (Sight.watched, False, False),
            (Sight.fenced, True, True),
            (Sight.unwatched, False, True),
        ):
            happen(sight)
            self.assertEqual(
                (sight.isSeeing, sight.isToldInTime), (isSeeing, isToldInTime)
            )
        self.assertFalse(self.make(isWatchable=False).isToldInTime)
