# -*- test-case-name: tests.test_manager_audience -*-
"""
Who has a session open, whose handlers are at work, and who is told what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from twisted.python.failure import Failure

from txsessionsock.interfaces import EndReason
from txsessionsock.session import Holder


__all__ = ["Audience"]


@dataclass(eq=False, slots=True)
class _Visit:
    """
    A handler at work.

    @ivar number: The number of the last change that it may have made.
    """

    holder: Holder
    number: int = 0


class Audience:
    """
    The holders of one live session.
    """

    def __init__(
        self,
        later: Callable[[float, Callable[[], object]], object],
        noticed: Callable[[], object] = lambda: None,
    ) -> None:
        """
        @param later: Calls something after some seconds.

        @param noticed: Called first at each change, whoever did it.
        """
        self._later = later
        self._noticed = noticed
        self._holders: dict[Holder, None] = {}
        self._inside: list[_Visit] = []
        self._isTelling = False
        self._untold: list[tuple[Sequence[str], object]] = []

    def __len__(self) -> int:
        return len(self._holders)

    def add(self, holder: Holder) -> None:
        """
        Tell somebody from now on.
        """
        self._holders[holder] = None

    def remove(self, holder: Holder) -> None:
        """
        Tell somebody nothing more.
        """
        self._holders.pop(holder, None)

    def entered(self, holder: Holder) -> None:
        """
        A handler begins.
        """
        self._inside.append(_Visit(holder))

    def did(self, author: Holder | None, number: int) -> None:
        """
        Something was changed.

        @param author: By whom, if that is certain.
        """
        for visit in self._inside:
            if author is None or visit.holder is author:
                visit.number = number

    def left(self, holder: Holder) -> int:
        """
        A handler is done.

        @return: The number of its last change, 0 if it made none for certain.
        """
        visit = next(visit for visit in self._inside if visit.holder is holder)
        self._inside.remove(visit)
        return visit.number

    @property
    def isInside(self) -> bool:
        """
        Whether a handler is at work.
        """
        return bool(self._inside)

    def author(self) -> Holder | None:
        """
        Whose handler is at work, if it is one only.
        """
        inside = {visit.holder for visit in self._inside}
        return inside.pop() if len(inside) == 1 else None

    def _each(self) -> Iterator[Holder]:
        for holder in list(self._holders):
            # One who was told before may have ended the session.
            if holder in self._holders:
                yield holder

    def changed(self, keys: Sequence[str], author: object) -> None:
        """
        Tell everybody that keys have other values, but for who did it.  What
        is changed by those who are told is told in the next turn of the
        reactor, or handlers that answer each other's changes would let
        nothing else happen.
        """
        if not keys:
            return
        self._noticed()
        if self._isTelling:
            if not self._untold:
                self._later(0, self._tellRest)
            self._untold.append((keys, author))
            return
        self._isTelling = True
        try:
            for holder in self._each():
                if holder is not author:
                    holder.changed(keys)
        finally:
            self._isTelling = False

    def _tellRest(self) -> None:
        untold, self._untold = self._untold, []
        for keys, author in untold:
            self.changed(keys, author)

    def stored(self, number: int) -> None:
        """
        Tell everybody up to which change the session is stored.
        """
        for holder in self._each():
            holder.stored(number)

    def failed(self, failure: Failure) -> None:
        """
        Tell everybody that the session could not be read or stored.
        """
        for holder in self._each():
            holder.failed(failure)

    def dismiss(self, reason: EndReason) -> Callable[[], None]:
        """
        The session is over; nobody is told anything more.

        @return: What tells them this.
        """
        holders, self._holders = self._holders, {}

        def tell() -> None:
            while holders:
                holder = next(iter(holders))
                del holders[holder]
                holder.ended(reason)

        return tell
