# -*- test-case-name: tests.service.test_metrics -*-
"""
The figures of a process, and those of several together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from txsessionsock._seldom import Seldom
from txsessionsock.manager import BOUNDS, SessionManager, Tally


__all__ = ["COUNTS", "GAUGES", "TIMES", "Figures", "Snapshot", "Totals"]

_log = Logger()

GAUGES: Final = {
    "processes": "Processes whose figures these are, together.",
    "sockets": "Sockets that are connected.",
    "sessions": "Sessions that are live: held, or still to be stored or guarded.",
    "sessions_unsaved": "Sessions with changes that are not stored.",
    "store_unanswered": "Questions that the store has not answered yet.",
    "store_away": "Processes whose store failed when it was last asked.",
    "ending": "Processes that are about to end.",
}
"""
What is there at a moment.
"""

COUNTS: Final = {
    "connects": ("Sockets that got their session.", None),
    "messages": ("Messages that sockets sent.", None),
    "saves": ("Writes that were stored.", None),
    "conflicts": ("Writes that somebody else came before; they are merged.", None),
    "repairs": ("Writes that put back what somebody had overwritten.", None),
    "store_failures": ("Questions that the store did not answer, or failed.", None),
    "closes": ("Sockets that were disconnected.", "code"),
    "refusals": ("Handshakes and sockets that were not let in.", "reason"),
    "ends": ("Sessions that ended while they were live.", "reason"),
}
"""
What only goes up, and by which label.
"""

TIMES: Final = {
    "handler_seconds": "How long handlers held the reactor at a stretch.",
    "handler_wait_seconds": "How long handlers took that waited for something.",
    "fence_seconds": "How long the store took to say that it has told everything.",
}
"""
How long something took.
"""

_LATELY: Final = 10.0
"""
For how many seconds a worker may tell nothing, and count as one that serves.
"""


def _noTimes() -> tuple[list[int], float]:
    return [0] * (len(BOUNDS) + 1), 0.0


@dataclass(frozen=True)
class Snapshot:
    """
    Figures of one moment.

    @ivar gauges: By the names of L{GAUGES}.

    @ivar counts: By the names of L{COUNTS}, and by the label, which is empty if
        there is none.

    @ivar times: By the names of L{TIMES}: the parts and the sum, as L{Times
        <txsessionsock.manager.Times>} has them.

    @ivar trouble: See L{SessionManager.trouble}.
    """

    gauges: dict[str, float] = field(default_factory=dict)
    counts: dict[str, dict[str, float]] = field(default_factory=dict)
    times: dict[str, tuple[list[int], float]] = field(default_factory=dict)
    trouble: str | None = None

    def asJSON(self) -> bytes:
        """
        For another process; in one line.
        """
        return json.dumps(asdict(self)).encode("ascii")

    @classmethod
    def ofJSON(cls, line: bytes) -> Snapshot:
        """
        The other way round.  A worker that has replaced another may be of a later
        version than its parent: what is not known here is left out.

        @raise ValueError: That is none.
        """
        found = json.loads(line)
        try:
            return cls(
                {name: found["gauges"].get(name, 0) for name in GAUGES},
                {name: found["counts"].get(name, {}) for name in COUNTS},
                {
                    name: (parts, total)
                    for name, (parts, total) in found["times"].items()
                    if name in TIMES and len(parts) == len(_noTimes()[0])
                },
                found.get("trouble"),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("these are no figures") from error


def summed(snapshots: Iterable[Snapshot]) -> Snapshot:
    """
    Add figures.
    """
    gauges: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTS}
    times = {name: _noTimes() for name in TIMES}
    for each in snapshots:
        gauges.update(each.gauges)
        for name, labels in each.counts.items():
            counts[name].update(labels)
        for name, (parts, total) in each.times.items():
            before, sum_ = times[name]
            both = [a + b for a, b in zip(before, parts, strict=True)]
            times[name] = both, sum_ + total
    return Snapshot(dict(gauges), {name: dict(c) for name, c in counts.items()}, times)


class Figures:
    """
    The figures of this process.
    """

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._tally: Tally = manager.measure()

    def trouble(self) -> Deferred[Any]:
        """
        See L{SessionManager.trouble}.
        """
        return self._manager.trouble()

    def now(self, trouble: str | None = None) -> Snapshot:
        """
        @param trouble: What L{trouble} said.
        """
        manager, tally = self._manager, self._tally
        found = manager.statistics()
        gauges = {
            "processes": 1,
            "sockets": manager.sockets,
            "sessions": found.sessions,
            "sessions_unsaved": found.unsavedSessions,
            "store_unanswered": found.unanswered,
            "store_away": int(manager.isStoreAway),
            "ending": int(manager.isEnding),
        }
        counts: dict[str, dict[str, float]] = {
            "connects": {"": tally.connects},
            "messages": {"": tally.messages},
            "saves": {"": tally.saves},
            "conflicts": {"": tally.conflicts},
            "repairs": {"": tally.repairs},
            "store_failures": {"": tally.storeFailures},
            "closes": dict(tally.closes),
            "refusals": dict(tally.refusals),
            "ends": dict(tally.ends),
        }
        times = {
            name: (list(each.counts), each.total)
            for name, each in zip(
                TIMES, (tally.handlers, tally.waits, tally.fences), strict=True
            )
        }
        return Snapshot(dict(gauges), counts, times, trouble)


class Totals:
    """
    The figures of worker processes, as each last told them; and what those had
    counted that are gone, in one sum: it neither grows with their number nor goes
    down, as no counter may.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """
        @param now: The time in seconds.
        """
        self._now = now
        self._refused = Seldom()
        self._there: dict[object, tuple[float, Snapshot]] = {}
        self._past = Snapshot()

    def told(self, who: object, line: bytes) -> None:
        """
        A process has told its figures, all of them.
        """
        try:
            self._there[who] = self._now(), Snapshot.ofJSON(line)
        except ValueError:
            self._refused.warn(_log, f"{who} told no figures", self._now())

    def gone(self, who: object) -> None:
        """
        It has ended.
        """
        if who in self._there:
            _, last = self._there.pop(who)
            past = summed([self._past, last])
            self._past = Snapshot({}, past.counts, past.times)

    def now(self) -> Snapshot:
        """
        All together.
        """
        return summed([self._past, *(last for _, last in self._there.values())])

    def trouble(self) -> Deferred[Any]:
        """
        Why none of them can serve; L{None} if one can.
        """
        after = self._now() - _LATELY
        lately = [last.trouble for at, last in self._there.values() if at >= after]
        if None in lately:
            return succeed(None)
        return succeed(lately[0] if lately else "workers")
