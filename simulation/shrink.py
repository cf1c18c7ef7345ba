# -*- test-case-name: tests.simulation.test_shrink -*-
"""
Making a history that breaks a rule short enough to be understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, replace
from typing import Any, Final

from .plan import LONG, Plan, Step


__all__ = ["shrunk"]

_MOST: Final = 3000
"""
How many plans are tried: less than a minute.
"""

_CHANCES: Final = (1, 2, 3)
"""
With which seeds a plan is tried as well.  With a step less, everything comes to
other clients in another order; so it may fail only by other chances.
"""

_SIMPLE: Final[dict[str, tuple[Any, ...]]] = {
    "kind": ("watched",),
    "perMessage": (True,),
    "freshness": ("strict",),
    "repair": (True,),
    "latency": (0.0, 0.002, 0.02),
    "ttl": (LONG,),
}
"""
What is the least that one has to think of, best first.
"""

_PLAIN: Final = ("read", "set")
_PAUSES: Final = (0.0, 0.01, 1.0)


class _Trial:
    """
    A plan that fails, and gets simpler.
    """

    def __init__(self, plan: Plan, fails: Callable[[Plan], bool]) -> None:
        self.plan = plan
        self._fails = fails
        self._left = _MOST

    @property
    def isOver(self) -> bool:
        return self._left <= 0

    def take(self, plan: Plan) -> bool:
        """
        Take a simpler one, if it fails too.
        """
        if plan == self.plan:
            return False
        for seed in dict.fromkeys((plan.seed, *_CHANCES)):
            if self.isOver:
                return False
            self._left -= 1
            if self._fails(tried := replace(plan, seed=seed)):
                self.plan = tried
                return True
        return False


def shrunk(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """
    Leave out what a history does not need to fail: steps, nodes, tabs, wrong
    clocks, pauses.

    @param fails: Tells of a plan whether it fails.
    """
    trial = _Trial(plan, fails)
    before = None
    while trial.plan != before and not trial.isOver:
        before = trial.plan
        _leaveOut(trial)
        _simplify(trial)
        _simplifySteps(trial)
    return trial.plan


def _leaveOut(trial: _Trial) -> None:
    size = max(1, len(trial.plan.steps) // 2)
    while size:
        start = 0
        while start < len(trial.plan.steps):
            steps = trial.plan.steps
            fewer = steps[:start] + steps[start + size :]
            if not trial.take(replace(trial.plan, steps=fewer)):
                start += size
        size //= 2


def _simplify(trial: _Trial) -> None:
    for name in ("tabs", "sessions"):
        while (number := getattr(trial.plan, name)) > 1:
            if not trial.take(replace(trial.plan, **{name: number - 1})):
                break
    while len(offsets := trial.plan.offsets) > 1:
        if not trial.take(replace(trial.plan, offsets=offsets[:-1])):
            break
    for number in range(len(trial.plan.offsets)):
        offsets = trial.plan.offsets
        right = (*offsets[:number], 0.0, *offsets[number + 1 :])
        trial.take(replace(trial.plan, offsets=right))
    for field in fields(Plan):
        # What has a default is as it was before there was that field.
        default = () if field.default is MISSING else (field.default,)
        _tryEach(trial, field.name, _SIMPLE.get(field.name, default))


def _tryEach(trial: _Trial, name: str, values: tuple[Any, ...]) -> None:
    for value in values:
        if getattr(trial.plan, name) == value:
            return
        if trial.take(replace(trial.plan, **{name: value})):
            return


def _simplifySteps(trial: _Trial) -> None:
    for number in range(len(trial.plan.steps)):
        for simpler in _SIMPLER:
            for step in simpler(trial.plan.steps[number]):
                steps = trial.plan.steps
                steps = (*steps[:number], step, *steps[number + 1 :])
                if trial.take(replace(trial.plan, steps=steps)):
                    break


def _sooner(step: Step) -> Iterator[Step]:
    for pause in _PAUSES:
        if pause < step.pause:
            yield replace(step, pause=pause)


def _first(step: Step) -> Iterator[Step]:
    if step.who:
        yield replace(step, who=0)


def _plainer(step: Step) -> Iterator[Step]:
    """
    Ask for something that is easier to think of.
    """
    if step.what == "send" and step.more[0] not in _PLAIN:
        _, _, digit, saved = step.more
        for do in _PLAIN:
            yield replace(step, more=(do, "a", digit, saved))


def _less(step: Step) -> Iterator[Step]:
    """
    Do with less of what else a step says.
    """
    for number, value in enumerate(step.more):
        for less in (False,) * (value is True) + (0.0, 1.0) * isinstance(value, float):
            more = (*step.more[:number], less, *step.more[number + 1 :])
            if not isinstance(value, float) or abs(less) < abs(value):
                yield replace(step, more=more)


_SIMPLER: Final = (_sooner, _first, _plainer, _less)
"""
Each yields what may do in place of a step, simplest first.
"""
