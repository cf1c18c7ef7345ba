# -*- test-case-name: tests.manager.test_tally -*-
"""
What is counted for those who watch over a process, from its beginning on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

from txsessionsock.closecodes import Code


__all__ = ["BOUNDS", "Tally", "Times"]

BOUNDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""
How many seconds each part of L{Times} takes at most; the last part has no bound.
"""

_CODES: Final = frozenset({*range(1000, 1016), *Code})

_OTHER: Final = "other"


class Times:
    """
    How often something took how long.

    @ivar counts: How often it took no longer than each of L{BOUNDS}, and longer than
        the one before; and at last how often longer than all of them.

    @ivar total: How many seconds it took together.
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def note(self, seconds: float) -> None:
        """
        It took so long.
        """
        # A clock may be set back.
        seconds = max(seconds, 0.0)
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Tally:
    """
    What is counted.  Numbers only go up.  No name in it comes from a client.

    @ivar connects: Sockets that got their session.

    @ivar messages: Messages that sockets sent.

    @ivar saves: Writes that were stored.

    @ivar conflicts: Writes before which somebody else had written.

    @ivar repairs: Writes that put back what somebody had overwritten.

    @ivar storeFailures: Questions that the store did not answer, or with no.

    @ivar closes: Sockets that were disconnected, by the close code.

    @ivar refusals: Handshakes and sockets that were not let in, by the reason.

    @ivar ends: Sessions that ended while they were live here, by the reason.

    @ivar handlers: How long handlers held the reactor at a stretch.

    @ivar waits: How long those took that waited for something.

    @ivar fences: How long the store took to answer whether it has told all.

    @ivar isTiming: Whether times are noted, for somebody wants to know them.
    """

    def __init__(self) -> None:
        self.isTiming = False
        self.connects = self.messages = 0
        self.saves = self.conflicts = self.repairs = self.storeFailures = 0
        self.closes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.handlers, self.waits, self.fences = Times(), Times(), Times()

    def closed(self, code: int) -> None:
        """
        A socket was disconnected.

        @param code: Clients choose it, among thousands.
        """
        self.closes[str(int(code)) if code in _CODES else _OTHER] += 1
