# -*- test-case-name: tests.stores.test_redis_tracking -*-
"""
Telling the changes of others from one's own, when the server reports both.

A server with C{CLIENT TRACKING ON} reports each change of a key that was read
over a connection, once, to that connection; also a change that was made over
it.  Each of our scripts reads the key before it changes it and reads it again
after: so each change of ours makes exactly one report, which follows the reply
to the script and comes before the reply to whatever was sent after that reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ._watchers import Changed, Watchers


__all__ = ["Tracked", "Tracking"]


class Tracked:
    """
    One key that is watched.

    @ivar owed: How many reports of our own changes are still to come.

    @ivar paid: How many have come.

    @ivar foreign: How many reports there were of others' changes.
    """

    __slots__ = ("foreign", "owed", "paid")

    def __init__(self) -> None:
        self.owed = self.paid = self.foreign = 0


class Tracking(Watchers):
    """
    All keys that are watched over one connection.

    A report is taken for ours only if it is owed.  One is owed after a change
    of ours, unless something was reported while that was under way: then ours
    may have been it, and the next is taken for somebody else's.  So a wrong
    guess costs a read and never a change.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tracked: dict[str, Tracked] = {}
        self._owing: dict[Tracked, None] = {}

    def __len__(self) -> int:
        return len(self._tracked)

    def get(self, key: str) -> Tracked | None:
        """
        What is known of a key, if it is watched.
        """
        return self._tracked.get(key)

    def watch(
        self, key: str, changed: Changed, ended: Callable[[str], None]
    ) -> Callable[[], None]:
        """
        See L{Watchers.add}.
        """
        if key not in self._tracked:
            self._tracked[key] = Tracked()
        return self.add(key, changed, ended)

    def _unwatched(self, key: str) -> None:
        tracked = self._tracked.pop(key)
        # The report of what is under way would come to nobody.
        tracked.foreign += 1
        self._owing.pop(tracked, None)

    def reported(self, key: str) -> None:
        """
        The server says that a key was changed.
        """
        tracked = self._tracked.get(key)
        if tracked is None:
            return
        if tracked.owed:
            tracked.owed -= 1
            tracked.paid += 1
            if not tracked.owed:
                del self._owing[tracked]
            return
        self.tell(key)

    def tell(self, key: str) -> None:
        """
        Tell the watchers of a key that others changed it, or may have.
        """
        tracked = self._tracked.get(key)
        if tracked is not None:
            tracked.foreign += 1
            self.report((key,))

    def tellAll(self) -> None:
        """
        Tell everybody.
        """
        for key in list(self._tracked):
            self.tell(key)

    def landed(self, tracked: Tracked, foreign: int) -> None:
        """
        A change of ours was made.

        @param foreign: What C{tracked.foreign} was when it was sent.
        """
        if tracked.foreign == foreign:
            tracked.owed += 1
            self._owing[tracked] = None

    def debts(self) -> list[tuple[Tracked, int]]:
        """
        @return: What is owed now: the keys, and what C{paid} will be when it
            has come.
        """
        return [(tracked, tracked.paid + tracked.owed) for tracked in self._owing]

    def isOwed(self, debts: Iterable[tuple[Tracked, int]]) -> bool:
        """
        Whether some of it has not come.
        """
        return any(
            tracked.paid < paid and tracked in self._owing for tracked, paid in debts
        )

    def lost(self) -> None:
        """
        The connection is gone: nothing is owed any more.
        """
        for tracked in self._owing:
            tracked.owed = 0
        self._owing.clear()
