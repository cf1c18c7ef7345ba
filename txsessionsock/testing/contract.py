# -*- test-case-name: tests.package.test_testing -*-
"""
What the published tests have in common: what one overrides, and waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as MixedIn
else:
    # As test cases of their own they would be run wherever they are imported.
    MixedIn = object


__all__ = ["Contract", "MixedIn", "resultOf", "toOverride"]

T = TypeVar("T")


def toOverride(case: object, method: str, task: str) -> NotImplementedError:
    """
    @return: What to raise where a test case leaves out what it has to have.
    """
    return NotImplementedError(
        f"{type(case).__name__} is to override {method}, which {task}; docs/stores.md"
        " and txsessionsock.testing have examples"
    )


def resultOf(answer: Deferred[T], problem: Exception) -> T:
    """
    @param problem: What to raise if there is no answer yet.

    @raise Exception: What the L{Deferred} failed with.
    """
    results: list[T | Failure] = []
    answer.addBoth(results.append)
    if not results:
        raise problem
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


class Contract(MixedIn):
    """
    Tests to be mixed into a L{twisted.trial.unittest.SynchronousTestCase}.
    """

    def wait(self, answer: Deferred[T]) -> T:
        """
        Wait for an answer.

        @raise Exception: What the L{Deferred} failed with.
        """
        task = "waits for an answer that does not come at once"
        return resultOf(answer, toOverride(self, "wait(answer)", task))
