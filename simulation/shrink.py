# -*- test-case-name: tests.simulation.test_main -*-
"""
Making a history that breaks a rule short enough to be understood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .plan import Plan


__all__ = ["shrunk"]


def shrunk(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """
    Leave out what a history does not need to fail: steps, nodes, tabs.

    @param fails: Tells of a plan whether it fails.
    """
    for name in ("tabs", "sessions"):
        while getattr(plan, name) > 1:
            fewer = replace(plan, **{name: getattr(plan, name) - 1})
            if not fails(fewer):
                break
            plan = fewer
    while len(plan.offsets) > 1 and fails(fewer := _withOneNodeLess(plan)):
        plan = fewer
    size = max(1, len(plan.steps) // 2)
    while size:
        start = 0
        while start < len(plan.steps):
            steps = plan.steps[:start] + plan.steps[start + size :]
            if fails(fewer := replace(plan, steps=steps)):
                plan = fewer
            else:
                start += size
        size //= 2
    return plan


def _withOneNodeLess(plan: Plan) -> Plan:
    return replace(plan, offsets=plan.offsets[:-1])
