# -*- test-case-name: tests.simulation.test_main -*-
"""
What came up in many histories: how often, and how long it took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import product

from .case import KINDS, RULES, Kind, Rule
from .history import History
from .plan import Plan
from .rules import Verdict


__all__ = ["Tally"]

_ENOUGH = 1000
_SELDOM = 0.01


class Tally:
    """
    Counts of histories.

    @ivar histories: How many are of each two kinds.

    @ivar applied: In how many of each kind each rule applied.

    @ivar times: How often each rule applied in all.

    @ivar took: How many nanoseconds each rule took; C{timed}: in how many histories.

    @ivar drawn: How often each kind of step was drawn, and in how many histories;
        C{happened}: the same of what happened.

    @ivar seconds: How much time of the processor it took.
    """

    def __init__(self) -> None:
        self.histories: Counter[tuple[str, str]] = Counter()
        self.applied: Counter[tuple[str, str]] = Counter()
        self.times: Counter[str] = Counter()
        self.took: Counter[str] = Counter()
        self.timed = 0
        self.drawn: Counter[str] = Counter()
        self.drawnIn: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()
        self.happenedIn: Counter[str] = Counter()
        self.seconds = 0.0

    def add(self, plan: Plan, history: History, verdict: Verdict) -> None:
        """
        Count a history.
        """
        names = [kind.name for kind in _kindsOf(plan)]
        self.histories.update(product(names, names))
        self.applied.update(product(verdict.applied, names))
        self.times.update(verdict.applied)
        self.took.update(verdict.took)
        self.timed += bool(verdict.took)
        drawn = Counter(step.what for step in plan.steps)
        self.drawn.update(drawn)
        self.drawnIn.update(drawn.keys())
        happened = Counter(each.what for each in history.all)
        self.happened.update(happened)
        self.happenedIn.update(happened.keys())

    def merge(self, other: Tally) -> None:
        """
        Count the histories of another one.
        """
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            if isinstance(mine, Counter):
                mine.update(theirs)
        self.timed += other.timed
        self.seconds += other.seconds

    @property
    def all(self) -> int:
        """
        How many histories there were.
        """
        return self.histories["all", "all"]

    def lines(self) -> Iterator[str]:
        """
        All that was counted, in words.
        """
        yield (
            f"{'rule':24} {'applied':>7} {'of':14} {'least':>7} {'of':14}"
            f" {'times':>6} {'us':>7}"
        )
        for rule in RULES.values():
            yield self._line(rule)
        for name in sorted(self.times.keys() - RULES.keys()):
            yield f"{name}: {self.times[name] / self.all:.3f} a history"
        for what, count, found in (
            ("step", self.drawn, self.drawnIn),
            ("event", self.happened, self.happenedIn),
        ):
            for name, number in count.most_common():
                share = 100 * found[name] / self.all
                mean = number / self.all
                yield f"{what} {name:20} {mean:7.2f} a history, in {share:5.1f} %"
        if self.seconds:
            yield f"{self.all / self.seconds:.1f} histories a second of the processor"

    def _line(self, rule: Rule) -> str:
        shares = {
            kind.name: self._share(rule, kind.name)
            for kind in KINDS
            if self.histories[rule.of.name, kind.name]
        }
        seldom = min(shares, key=lambda name: shares[name], default="-")
        times = self.times[rule.name] / max(1, self.all)
        micros = self.took[rule.name] / 1000 / max(1, self.timed)
        return (
            f"{rule.name:24} {100 * self._share(rule, rule.of.name):5.1f} %"
            f" {rule.of.name:14} {100 * shares.get(seldom, 0):5.1f} % {seldom:14}"
            f" {times:6.1f} {micros:7.1f}"
        )

    def _share(self, rule: Rule, kind: str) -> float:
        there = self.histories[rule.of.name, kind]
        return self.applied[rule.name, kind] / max(1, there)

    def blind(self) -> list[str]:
        """
        @return: The rules that applied in less than one of a hundred histories of
            their kind, if there were enough to tell.
        """
        return [
            rule.name
            for rule in RULES.values()
            if self.all >= _ENOUGH and self._share(rule, rule.of.name) < _SELDOM
        ]


def _kindsOf(plan: Plan) -> list[Kind]:
    return [kind for kind in _kinds() if kind.has(plan)]


@cache
def _kinds() -> list[Kind]:
    kinds = {kind.name: kind for kind in KINDS}
    return list((kinds | {rule.of.name: rule.of for rule in RULES.values()}).values())
