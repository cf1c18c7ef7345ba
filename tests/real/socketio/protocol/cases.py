"""
The cases, as they are written down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .wire import Server


__all__ = ["CASES", "Case", "case"]

_Run = Callable[[Server], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """
    Something to be seen of a server.

    @ivar group: What it is about.

    @ivar run: Looks, and raises what is wrong.

    @ivar isPublished: Whether the protocols' texts or suites say so; else it is left
        open there, and ours.
    """

    group: str
    run: _Run
    isPublished: bool

    @property
    def name(self) -> str:
        """
        What is to be seen.
        """
        return " ".join((self.run.__doc__ or "").split())

    def __str__(self) -> str:
        return f"{self.group}-{getattr(self.run, '__name__', '')}"


CASES: list[Case] = []
"""
All of them.
"""


def case(group: str, *, isPublished: bool = True) -> Callable[[_Run], _Run]:
    """
    Make a case of a function.
    """

    def add(run: _Run) -> _Run:
        CASES.append(Case(group, run, isPublished))
        return run

    return add
