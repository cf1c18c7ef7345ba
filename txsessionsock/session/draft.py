# -*- test-case-name: tests.session.test_draft -*-
"""
The data of a session while handlers work on it that may run again.
"""

from __future__ import annotations

from typing import Any

from txsessionsock.interfaces import IncrementError, UnencodableSession

from .attempt import Check
from .merge import ATOMS, MISSING, isNumber, quickCopy, renewed
from .workingcopy import uncopyable


__all__ = ["Draft"]


class Draft:
    """
    Takes the place of a L{WorkingCopy<txsessionsock.session.workingcopy.WorkingCopy>}
    while a handler runs.  Nobody else sees it.

    A value that can be changed in place is copied when a handler asks for it, and
    looked at when that handler is done; all others cost nothing.

    @ivar data: The data as handlers see and change it.  Between two of them its
        values are never changed in place.
    """

    __slots__ = ("_before", "data")

    def __init__(self, data: dict[str, Any]) -> None:
        """
        @param data: What it begins with, which stays as it is.
        """
        self.data = dict(data)
        # What the keys had before this handler that it changed or may have changed.
        self._before: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """
        Read one key.
        """
        value = self.data[key]
        if type(value) in ATOMS or key in self._before:
            return value
        self._before[key] = value
        copy = self.data[key] = quickCopy(value)
        return copy

    def assign(self, key: str, value: Any) -> None:
        """
        Set one key.
        """
        self._before.setdefault(key, self.data.get(key, MISSING))
        self.data[key] = value

    def delete(self, key: str) -> None:
        """
        Remove one key.
        """
        value = self.data.pop(key)
        self._before.setdefault(key, value)

    def increment(self, key: str, by: int | float) -> int | float:
        """
        Add to a number.
        """
        value = self.data.get(key, 0)
        if not (isNumber(value) and isNumber(by)):
            raise IncrementError(f"cannot increment {key!r}: it holds no number")
        self.assign(key, value + by)
        return value + by

    def take(self, check: Check) -> list[str]:
        """
        The handler is done: take over what it changed.

        @return: The keys that have another value.

        @raise UnencodableSession: No copy can be made of a value, or C{check} says so.
        """
        changed = []
        for key, old in self._before.items():
            value = self.data.get(key, MISSING)
            if value is old:
                continue
            new = _renewed(key, value, old)
            if new is not old:
                changed.append(key)
            if new is not MISSING:
                self.data[key] = new
        if changed:
            check(self.data)
        self._before = {}
        return changed

    def undo(self) -> None:
        """
        The handler failed: drop what it changed.
        """
        for key, old in self._before.items():
            if old is MISSING:
                self.data.pop(key, None)
            else:
                self.data[key] = old
        self._before = {}


def _renewed(key: str, value: Any, old: Any) -> Any:
    try:
        return renewed(value, old)
    except Exception:
        found = uncopyable(key, value)
        problem = f"cannot be stored: {found.told('session', 'store')}"
        raise UnencodableSession(problem, (key,)) from None
