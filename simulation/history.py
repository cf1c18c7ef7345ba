# -*- test-case-name: tests.simulation.test_rules -*-
"""
What happened, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from .queue import BEGIN, SECOND


__all__ = ["Happening", "History", "reads"]


@dataclass(slots=True, eq=False)
class Happening:
    """
    One thing that happened.

    @ivar at: When, in microseconds since the epoch.

    @ivar what: One word.

    @ivar who: The node, socket or web application that did it, or had it happen.

    @ivar more: What else is to be known of it.
    """

    at: int
    what: str
    who: str
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        seconds = (self.at - BEGIN) / SECOND
        return f"{seconds:10.6f}  {self.who:<8} {self.said}"

    @property
    def said(self) -> str:
        """
        What happened, as it was noted.
        """
        more = ", ".join(f"{name} {_shown(v)}" for name, v in self.more.items())
        return f"{self.what}{f': {more}' * bool(more)}"


@cache
def reads(kind: type, what: str) -> Callable[[Any, Happening], None] | None:
    """
    @return: The method of a class that takes the events with a word.
    """
    return getattr(kind, f"_{what.replace(' ', '_')}", None)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
    return value if isinstance(value, str) else repr(value)


class History:
    """
    All that happened.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.all: list[Happening] = []

    def note(self, what: str, who: str, **more: Any) -> None:
        """
        Write down what happens.
        """
        self.all.append(Happening(self._now(), what, who, more))

    def lines(self) -> list[str]:
        """
        The history in words, one line for each event.
        """
        return [str(each) for each in self.all]

    def digest(self) -> str:
        """
        What no other history has.
        """
        return sha256("\n".join(self.lines()).encode()).hexdigest()
