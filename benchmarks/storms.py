"""
What a quiet client waits for while ten thousand others come, are there, are gone
through by the garbage collector, and come again all at once.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.crowds import Crowd
from benchmarks.plots import Point
from benchmarks.quiet import Noted, Quiet, waits
from benchmarks.scenes import Place, Scene, amiss


__all__ = ["HEADS", "Storm", "blamed", "rows", "storm", "timeline"]

_FULL = 3
"""
How often everything is collected.
"""

_BIN = 0.1
"""
How many seconds of a timeline are one point.
"""

HEADS = [
    "",
    "seconds",
    "connections/s",
    "µs of the server",
    "s at p99 to be served",
    "quiet: ms at p50",
    "p99",
    "worst",
    "collected, ms of the processor",
    "longest",
]


@dataclass
class Phase:
    """
    @ivar name: What happens.

    @ivar came: How many came, C{work}, the microseconds of the server for each, and
        C{served}, the seconds until 99 of a hundred had an answer; C{again}, how often
        one of them was refused before, by how.
    """

    name: str
    began: float
    ended: float = 0.0
    came: int = 0
    work: float = 0.0
    served: float = 0.0
    again: Counter[str] = field(default_factory=Counter)


@dataclass
class Storm:
    """
    What one was like.

    @ivar noted: By the quiet client, and C{cut}, how often it was cut off.

    @ivar collections: When each began, and what it took of the processor.

    @ivar amiss: The part of messages that were lost or counted wrongly.
    """

    phases: list[Phase] = field(default_factory=list)
    noted: Noted = ()
    cut: int = 0
    collections: Sequence[Point] = ()
    amiss: float = 0.0


def storm(place: Place, mode: str, count: int, idle: float) -> Storm:
    """
    @param idle: For how many seconds nothing happens.
    """
    found = Storm()
    with (
        tempfile.TemporaryDirectory() as folder,
        place.scene(mode, log=f"{folder}/log") as scene,
    ):
        _happen(place, scene, found, count, idle)
        found.collections = _collections(Path(folder, "log"))
    return found


def _happen(place: Place, scene: Scene, found: Storm, count: int, idle: float) -> None:
    sessions, [port] = place.sessions(), scene.ports
    cookies = sessions.mint(count)
    quiet = Quiet(port, place.sessions().mint(1)[0])
    try:
        with _phase(found, "alone"):
            time.sleep(idle)
        with _phase(found, "come") as phase:
            first = _come(scene, phase, cookies, 0)
        with _phase(found, "idle"):
            time.sleep(idle)
        with _phase(found, "collected"):
            for _ in range(_FULL):
                os.kill(scene.pids[0], signal.SIGUSR1)
                time.sleep(idle / _FULL)
        with _phase(found, "come again") as phase:
            first.cut()
            second = _come(scene, phase, cookies, 1)
        second.leave()
        found.noted, found.cut = quiet.end()
    finally:
        quiet.stop()
    found.amiss = amiss(sessions, [first, second])


@contextmanager
def _phase(found: Storm, name: str) -> Iterator[Phase]:
    phase = Phase(name, time.monotonic())
    yield phase
    phase.ended = time.monotonic()
    found.phases.append(phase)


def _come(scene: Scene, phase: Phase, cookies: list[str], counted: int) -> Crowd:
    before = scene.seconds()
    crowd = Crowd(scene.ports, cookies, len(cookies), counted=counted)
    phase.came = len(cookies)
    phase.work = (scene.seconds() - before) / phase.came * 1e6
    phase.served = crowd.took[len(crowd.took) * 99 // 100]
    phase.again = crowd.again
    return crowd


def _collections(path: Path) -> list[Point]:
    lines = [line.split() for line in path.read_text("ascii").splitlines()]
    return [(float(began), float(took)) for began, took in lines]


def rows(way: str, found: Storm) -> list[list[str]]:
    """
    A line for each phase, below L{HEADS}.
    """
    return [
        [f"{way}: {phase.name}", *_came(phase), *_waited(phase, found)]
        for phase in found.phases
    ]


def _came(phase: Phase) -> list[str]:
    lasted = phase.ended - phase.began
    if not phase.came:
        return [f"{lasted:.1f}", "-", "-", "-"]
    rate = phase.came / lasted
    return [
        f"{lasted:.1f}",
        f"{rate:,.0f}",
        f"{phase.work:,.0f}",
        f"{phase.served:.1f}",
    ]


def _waited(phase: Phase, found: Storm) -> list[str]:
    quiet = waits(found.noted, phase.began, phase.ended)
    within = [
        1e3 * took
        for began, took in found.collections
        if phase.began <= began < phase.ended
    ]
    return [
        f"{1e3 * quiet.half:.1f}",
        f"{1e3 * quiet.most:.1f}",
        f"{1e3 * quiet.worst:.0f}",
        f"{sum(within):.0f}" if within else "-",
        f"{max(within):.0f}" if within else "-",
    ]


def blamed(found: Storm) -> str:
    """
    @return: What did not work.
    """
    again = Counter[str]()
    for phase in found.phases:
        again += phase.again
    why = f" ({', '.join(sorted(again))})" if again else ""
    return (
        f"{again.total():,} times somebody was refused{why} and came again later; the"
        f" quiet client was cut off {found.cut} times; {100 * found.amiss:.2f} % of"
        " messages were lost or counted wrongly"
    )


def timeline(found: Storm) -> tuple[list[Point], list[tuple[float, str]]]:
    """
    @return: The most that the quiet client waited, in milliseconds, and when each
        phase began, in seconds.
    """
    began, ended = found.phases[0].began, found.phases[-1].ended
    worst: dict[int, float] = {}
    for when, took in found.noted:
        if when < ended:
            number = int((when - began) / _BIN)
            worst[number] = max(worst.get(number, 0.0), 1e3 * took)
    points = [(number * _BIN, took) for number, took in sorted(worst.items())]
    return points, [(each.began - began, each.name) for each in found.phases]
