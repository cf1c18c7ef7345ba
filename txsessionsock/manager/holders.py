# -*- test-case-name: tests.manager.test_manager_holders -*-
"""
The holders of a session: which of them run a handler, and what each is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.python.failure import Failure

from txsessionsock.interfaces import EndReason
from txsessionsock.session import Holder

from .statistics import Counts


__all__ = ["Holders"]


@dataclass(eq=False, slots=True)
class _RunningHandler:
    """
    A handler that has begun and not ended.

    @ivar number: The number of the last change that it may have made.
    """

    holder: Holder
    number: int = 0


class _Upkeep(Protocol):
    def keysChanged(self) -> None: ...


class Holders:
    """
    The holders of one live session.

    @ivar inside: The handlers that have begun and not ended; L{None} if
        there are none.
    """

    __slots__ = (
        "_counts",
        "_findUpkeep",
        "_holders",
        "_isTelling",
        "_later",
        "_seatless",
        "_untold",
        "inside",
    )

    def __init__(
        self,
        later: Callable[[float, Callable[[], object]], object],
        findUpkeep: Callable[[], _Upkeep | None] = lambda: None,
        counts: Counts | None = None,
    ) -> None:
        """
        @param later: Calls something after some seconds.

        @param findUpkeep: Finds who is told first at each change, whoever did it, where
            anybody watches changes.

        @param counts: Where holders are counted.
        """
        self._counts = Counts() if counts is None else counts
        self._later = later
        self._findUpkeep = findUpkeep
        self._holders: dict[Holder, None] = {}
        self._seatless: set[Holder] | None = None
        self.inside: list[_RunningHandler] | None = None
        self._isTelling = False
        self._untold: list[tuple[Sequence[str], object]] | None = None

    def __len__(self) -> int:
        return len(self._holders)

    @property
    def seats(self) -> int:
        """
        How many of them count where there is a limit.
        """
        return len(self._holders) - len(self._seatless or ())

    def add(self, holder: Holder, *, takesSeat: bool = True) -> None:
        """
        Add a holder.

        @param takesSeat: Whether it counts where there is a limit.
        """
        if holder not in self._holders:
            self._holders[holder] = None
            self._counts.holders += 1
            if not takesSeat:
                self._seatless = self._seatless or set()
                self._seatless.add(holder)

    def remove(self, holder: Holder) -> None:
        """
        Remove a holder: tell it nothing more.
        """
        if holder in self._holders:
            del self._holders[holder]
            if self._seatless is not None:
                self._seatless.discard(holder)
            self._counts.holders -= 1

    def handlerBegins(self, holder: Holder) -> None:
        """
        A handler begins.
        """
        if self.inside is None:
            self.inside = []
        self.inside.append(_RunningHandler(holder))

    def did(self, author: Holder | None, number: int) -> None:
        """
        Something was changed.

        @param author: By whom, if that is certain.
        """
        for handler in self.inside or ():
            if author is None or handler.holder is author:
                handler.number = number

    def handlerEnds(self, holder: Holder) -> int:
        """
        A handler ends.

        @return: The number of its last change, 0 if it certainly made none.
        """
        inside = self.inside
        assert inside is not None
        # Mostly the one that began last.
        last = inside.pop()
        if last.holder is not holder:
            inside.append(last)
            at = len(inside) - 2
            while inside[at].holder is not holder:
                at -= 1
            last = inside.pop(at)
        elif not inside:
            self.inside = None
        return last.number

    @property
    def isInside(self) -> bool:
        """
        Whether a handler is running.
        """
        return bool(self.inside)

    def author(self) -> Holder | None:
        """
        Whose handler is running; L{None} if it is none's, or several's.
        """
        inside = {handler.holder for handler in self.inside or ()}
        return inside.pop() if len(inside) == 1 else None

    def _each(self) -> Iterator[Holder]:
        for holder in list(self._holders):
            # A holder that was told before this one may have ended the session.
            if holder in self._holders:
                yield holder

    def changed(self, keys: Sequence[str], author: object) -> None:
        """
        Tell all holders but the author that keys have other values.

        A holder that is told may change the session.  The others are told of
        that in the next turn of the reactor: otherwise two handlers that answer
        each other's changes would let nothing else happen.
        """
        if not keys:
            return
        upkeep = self._findUpkeep() if self._counts.isWatched else None
        if upkeep is not None:
            upkeep.keysChanged()
        if self._isTelling:
            if self._untold is None:
                self._untold = []
                self._later(0, self._tellRest)
            self._untold.append((keys, author))
            return
        holders = self._holders
        if len(holders) == 1 and author in holders:
            # Most sessions have one socket, which changes them.
            return
        self._isTelling = True
        try:
            for holder in self._each():
                if holder is not author:
                    holder.changed(keys)
        finally:
            self._isTelling = False

    def _tellRest(self) -> None:
        untold, self._untold = self._untold, None
        for keys, author in untold or ():
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

    def gaveUp(self, failure: Failure, number: int) -> None:
        """
        Tell everybody that changes were given up, and those whose handlers are at
        work, whether they may have made them.

        @param number: The number of the last change before these.
        """
        for holder in self._each():
            isMine = any(
                handler.holder is holder and handler.number > number
                for handler in self.inside or ()
            )
            holder.gaveUp(failure, isMine=isMine)

    def dismiss(self, reason: EndReason) -> Callable[[], None]:
        """
        The session is over: remove all holders.

        @return: What tells them so.
        """
        holders, self._holders = self._holders, {}
        self._seatless = None
        self._counts.holders -= len(holders)

        def tell() -> None:
            while holders:
                holder = next(iter(holders))
                del holders[holder]
                holder.ended(reason)

        return tell
