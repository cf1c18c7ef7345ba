"""
How what a message costs this library grows: with sockets, with the size of sessions,
with sockets of one session, and with workers; and what a quiet client waits for while
very many others come again.

    make bench ARGS=growth                  # a quarter of an hour
    make bench ARGS="growth --quick"        # two minutes, and rough
    make bench ARGS="growth --write"        # into docs/performance.md, with its plots
    make bench ARGS="growth sizes storm"    # two parts

Servers, messages and answers are as in L{benchmarks.compare}.  A server has one
processor, and several have all but one; the load and the Redis have that one.  Each
point has servers that nobody has used, and is the median of several windows.  Plots are
written to C{build/growth/}, or with C{--write} to C{docs/images/}.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import storms
from benchmarks.compare import LIMIT, information, sent, table
from benchmarks.crowds import Crowd, descriptors
from benchmarks.plots import Axis, plot
from benchmarks.scenes import ONE, Place, amiss
from benchmarks.serving import ROOT, ownProcessor
from tests.support.redisserver import RedisServer


__all__ = ["Point", "cart", "main", "rows", "written"]

FIRST = 10
"""
How many come and go first: what they cost is not of each.
"""

FEW = 100
"""
Of fewer sockets than these, the memory of each is not told.
"""

STORM, QUICK_STORM = 10_000, 500
RATES = {"connection": 1000}
"""
At how many messages a second it is told what their answers take, by mode.
"""
RATE = 200

_TRIES = 3

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- growth: {} -->", "<!-- end of growth: {} -->"


@dataclass(frozen=True)
class Plan:
    """
    Who comes to which servers.

    @ivar size: In bytes, of each session as it is stored, if that can be.
    """

    sockets: int = 100
    sessions: int = 100
    size: int = 0
    servers: int = 1


@dataclass(frozen=True)
class Way:
    """
    @ivar mode: Of the servers, as C{peers/ours.py} has it.
    """

    name: str
    mode: str
    plan: Callable[[int], Plan]


@dataclass(frozen=True)
class Series:
    """
    What grows.

    @ivar quick: What is tried where there is little time.

    @ivar hasWaits: Whether there is a plot also of what answers take.
    """

    title: str
    axis: Axis
    values: Sequence[int]
    quick: Sequence[int]
    ways: Sequence[Way]
    hasWaits: bool = False


def _ways(plan: Callable[[int], Plan], *modes: str) -> list[Way]:
    names = {"connection": "per connection", "message": "per message"}
    return [Way(names.get(mode, mode), mode, plan) for mode in modes]


_ALL = ("connection", "message", "repeatable")

_WORKERS = 48
"""
How many sockets workers have together: each has as many as the others.
"""

SERIES = {
    "sockets": Series(
        "Sockets, with a session each",
        Axis("sockets", isLog=True, steps=(10, 100, 1000, 10_000)),
        (10, 100, 1000, 5000, 10_000, 20_000),
        (10, 100, 1000),
        _ways(lambda value: Plan(value, value), "connection", "message"),
        hasWaits=True,
    ),
    "sizes": Series(
        "Size of a session, 100 sockets with one each",
        Axis("bytes of a session", isLog=True, steps=(100, 1000, 10_000, 100_000)),
        (100, 1024, 4096, 16_384, 65_536, 262_144),
        (100, 4096, 65_536),
        _ways(lambda value: Plan(size=value), *_ALL),
        hasWaits=True,
    ),
    "sharing": Series(
        "Sockets of one session, 100 sockets in all",
        Axis("sockets of a session", isLog=True, steps=(1, 2, 5, 10, 20, 50)),
        (1, 2, 5, 10, 20, 50),
        (1, 10),
        _ways(lambda value: Plan(sessions=100 // value), *_ALL),
    ),
    "workers": Series(
        f"Workers, {_WORKERS} sockets in all",
        Axis("workers", steps=(1, 2, 3, 4)),
        (1, 2, 3, 4),
        (1, 2),
        [
            Way(
                *("own sessions", "message"),
                lambda value: Plan(_WORKERS, _WORKERS, servers=value),
            ),
            *_ways(
                lambda value: Plan(_WORKERS, 1, servers=value),
                *("increment", "repeatable"),
            ),
        ],
    ),
}

_EACH = "Cells have: per connection / per message"
NOTES = {
    "sockets": f"One message is under way on each. {_EACH}.",
    "sizes": "A session is a cart of many things, which no handler touches, beside the"
    f" counter. {_EACH} / per message with `repeatable`.",
    "sharing": f"{_EACH} / per message with `repeatable`.",
    "workers": "Cells have: per message, with a session for each socket / all with one"
    " session, by `increment` / all with one session, `repeatable`.",
    "storm": "A quiet client, with a session of its own, says something every 10 ms."
    " Others come all at once, each for one answer; nothing happens; everything is"
    " collected three times; all of them are cut off, and come again at once.",
}

PARTS = (*SERIES, "storm")


@dataclass(frozen=True)
class Point:
    """
    What one way cost at one value.

    @ivar rate: Messages a second, and C{work}, microseconds of the servers for each.

    @ivar memory: KiB of each socket; 0 if they are too few.

    @ivar half: Milliseconds that a half of the answers took at a fixed rate, and
        C{most}, that 99 of a hundred did.

    @ivar commands: How many the Redis had for each message.

    @ivar busy: The share that the servers had of their processors, and C{ownBusy},
        that of the load and the Redis.

    @ivar amiss: The part of messages that were lost, or counted wrongly.
    """

    value: int
    rate: float
    work: float
    memory: float = 0.0
    half: float = 0.0
    most: float = 0.0
    commands: float = 0.0
    busy: float = 1.0
    ownBusy: float = 0.0
    amiss: float = 0.0


def cart(size: int) -> dict[str, object]:
    """
    @return: What has so many bytes of JSON, with the session that it is in.
    """
    count = max(size - 150, 0) // 47
    things = [
        {"id": 10_000 + number, "name": f"thing {number:05}", "price": 12.5}
        for number in range(count)
    ]
    return {"cart": things} if things else {}


@dataclass(frozen=True)
class Pace:
    """
    How long everything takes.

    @ivar windows: How often each point is measured, for C{seconds} each.

    @ivar idle: For how many seconds nothing happens before a storm.
    """

    windows: int
    seconds: float
    idle: float


def measured(place: Place, way: Way, value: int, pace: Pace) -> Point:
    """
    Measure one point.
    """
    plan, redis = way.plan(value), place.redis
    with place.scene(way.mode, plan.servers) as scene:
        Crowd(scene.ports, place.sessions().mint(FIRST)).leave()
        sessions, before = place.sessions(), scene.memory()
        minted = sessions.mint(plan.sessions, cart(plan.size))
        cookies = minted * (plan.sockets // plan.sessions)
        # Where sockets share one, nobody knows what its next count is.
        isAlone = plan.sessions == plan.sockets
        crowd = Crowd(scene.ports, cookies, isAlone=isAlone)
        time.sleep(0.3)
        memory = (scene.memory() - before) / len(cookies) / 1024
        redis.command("CONFIG", "RESETSTAT")
        asked = crowd.answered
        found = [crowd.load(pace.seconds, scene.times) for _ in range(pace.windows)]
        commands = sent(redis, ONE.inner) / (crowd.answered - asked)
        rate = RATES.get(way.mode, RATE)
        rated = crowd.pace(rate, max(1.0, 2 * pace.seconds), scene.times)
        crowd.leave()
        missing = amiss(sessions, [crowd])
    return Point(
        value,
        median(each.rate for each in found),
        median(each.work for each in found),
        memory if len(cookies) >= FEW else 0.0,
        *(1e3 * rated.half, 1e3 * rated.most, commands),
        median(each.busy for each in found) / scene.share,
        median(each.ownBusy for each in found),
        missing,
    )


# What is told.


def rows(head: str, found: Mapping[str, Sequence[Point]]) -> list[list[str]]:
    """
    A line for each value, whose cells have all ways, under a line of heads.
    """
    ways = list(found.values())
    lines = [
        [
            *(head, "messages/s", "µs of the server", "KiB each"),
            *("ms at p50", "ms at p99", "Redis commands", "lost or wrong"),
        ]
    ]
    for points in zip(*ways, strict=True):
        cells = [
            [f"{each.rate:,.0f}{_sign(each)}" for each in points],
            [f"{each.work:,.0f}" for each in points],
            [f"{each.memory:.1f}" if each.memory else "-" for each in points],
            [f"{each.half:.2f}" for each in points],
            [f"{each.most:.1f}" for each in points],
            [f"{each.commands:.2f}" for each in points],
            [f"{100 * each.amiss:.0f} %" if each.amiss else "-" for each in points],
        ]
        lines.append([f"{points[0].value:,}", *map(" / ".join, cells)])
    return lines


def _sign(point: Point) -> str:
    """
    As L{benchmarks.compare} has them.
    """
    return " (!)" * (point.ownBusy > LIMIT) + " (?)" * (point.busy < LIMIT)


def written(page: str, told: Mapping[str, str]) -> str:
    """
    Put what was found between the marks of a page.
    """
    for name, text in told.items():
        begin, end = BEGIN.format(name), END.format(name)
        pattern = f"{re.escape(begin)}\n.*?{re.escape(end)}\n"
        [old] = re.findall(pattern, page, re.DOTALL)
        page = page.replace(old, f"{begin}\n\n{text}\n\n{end}\n")
    return page


@dataclass
class Growth:
    """
    @ivar most: How many sockets a process may have.

    @ivar told: What was found, by part, as it stands in the documentation.

    @ivar plots: The files beside it, by name.
    """

    place: Place
    pace: Pace
    most: int
    isQuick: bool
    told: dict[str, str] = field(default_factory=dict)
    plots: dict[str, str] = field(default_factory=dict)

    def series(self, name: str) -> None:
        """
        Measure one of L{SERIES}.
        """
        series = SERIES[name]
        values = list(series.quick if self.isQuick else series.values)
        if name == "sockets":
            # Descriptors may end before.
            values = sorted({min(value, self.most) for value in values})
        found: dict[str, list[Point]] = {way.name: [] for way in series.ways}
        for value in values:
            for way in series.ways:
                point = self._again(name, way, value)
                found[way.name].append(point)
                say(f"{name} {value}, {way.name}: {point.work:.0f} us, {point}")
        costs = self._plot(name, "cost", "µs of the server for a message", found)
        if series.hasWaits:
            unit = "ms that 99 % of answers take at most"
            costs += "\n" + self._plot(name, "waits", unit, found)
        lines = table(rows(series.axis.title, found), isMarkdown=True)
        text = [f"### {series.title}", NOTES[name], lines, costs]
        self.told[name] = "\n\n".join(text)

    def _again(self, name: str, way: Way, value: int) -> Point:
        """
        Measure one point; where a machine is so busy that something is given up, again.
        """
        for _ in range(_TRIES):
            try:
                return measured(self.place, way, value, self.pace)
            except (AssertionError, OSError, ValueError) as error:
                say(f"{name} {value}, {way.name}: {error!r}")
        raise SystemExit(f"{name} {value}, {way.name} cannot be measured")

    def _plot(
        self, name: str, what: str, unit: str, found: Mapping[str, Sequence[Point]]
    ) -> str:
        """
        @return: The line that shows it.
        """
        curves = {
            way: [
                (each.value, each.work if what == "cost" else each.most)
                for each in points
            ]
            for way, points in found.items()
        }
        ends = [y for curve in curves.values() for _, y in curve]
        isWide = max(ends) > 20 * max(min(ends), 1e-9)
        title = f"{SERIES[name].title}: {unit}"
        axis = SERIES[name].axis
        file = f"growth-{name}-{what}.svg"
        self.plots[file] = plot(title, axis, Axis(unit, isLog=isWide), curves)
        return f"![{title}](images/{file})"

    def storm(self) -> None:
        """
        See what a quiet client waits for.
        """
        # For a moment, a server has those who are gone and those who come again.
        count = min(QUICK_STORM if self.isQuick else STORM, self.most // 2)
        lines, shown, told = [storms.HEADS], list[str](), list[str]()
        for name, mode in ("per connection", "connection"), ("per message", "message"):
            found = storms.storm(self.place, mode, count, self.pace.idle)
            lines += storms.rows(name, found)
            shown.append(self._timeline(name, mode, found))
            say(f"storm, {name}: {100 * found.amiss:.2f} % amiss, {found.phases}")
            told.append(f"{name.capitalize()}: {storms.blamed(found)}.")
        title = f"### A storm of {count:,} sockets"
        told = ["\n".join(told), "\n".join(shown)]
        text = [title, NOTES["storm"], table(lines, isMarkdown=True), *told]
        self.told["storm"] = "\n\n".join(text)

    def _timeline(self, name: str, mode: str, found: storms.Storm) -> str:
        points, marks = storms.timeline(found)
        unit, file = "ms that a quiet client waits", f"growth-storm-{mode}.svg"
        title = f"A storm, {name}: {unit}"
        axes = Axis("seconds"), Axis(unit, isLog=True)
        self.plots[file] = plot(title, *axes, {unit: points}, marks, dotted=False)
        return f"![{title}](images/{file})"


def say(text: str) -> None:
    """
    Tell those who wait how far it is.
    """
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def conditions(place: Place, most: int) -> str:
    """
    @return: What figures depend on.
    """
    redis = information(place.redis, "server")
    version = redis.get("redis_version", "?")
    name = redis.get("server_name", "redis").capitalize()
    text = (
        f"On {time.strftime('%Y-%m-%d')}, with {os.cpu_count()} processors, Python"
        f" {platform.python_version()}, {name} {version}; load average before it"
        f" {os.getloadavg()[1]:.1f}."
    )
    wanted = max(SERIES["sockets"].values)
    if most < wanted:
        text += (
            f" A process may have {most:,} sockets here, by its hard limit of open"
            f" files or by --most: so there are no {wanted:,}."
        )
    return text


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="growth")
    parser.add_argument("names", nargs="*", metavar="PART", help=str(list(PARTS)))
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.8, help="of a window")
    parser.add_argument("--most", type=int, help="sockets, on a small machine")
    parser.add_argument("--quick", action="store_true", help="few points, and short")
    parser.add_argument("--write", action="store_true", help="into docs/")
    options = parser.parse_intermixed_args(arguments)
    if set(options.names) - set(PARTS):
        raise SystemExit(f"there is {', '.join(PARTS)}")
    return options


def main(arguments: Sequence[str]) -> None:
    """
    Measure, and print Markdown.
    """
    options = _options(arguments)
    pace = Pace(options.windows, options.seconds, 5.0)
    if options.quick:
        pace = Pace(1, 0.3, 1.0)
    processors = sorted(os.sched_getaffinity(0))[:-1]
    ownProcessor()
    most = min(descriptors(), options.most or sys.maxsize)
    # The load holds much, and would be gone through again and again.
    gc.disable()
    # However it is told to stop, it stops what it has started.
    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, lambda *_: sys.exit(1))
    with RedisServer() as redis:
        growth = Growth(Place(redis, processors), pace, most, options.quick)
        growth.told["conditions"] = conditions(growth.place, most)
        for name in [name for name in PARTS if name in (options.names or PARTS)]:
            growth.storm() if name == "storm" else growth.series(name)
    print("\n\n".join(growth.told.values()))
    folder = ROOT / "docs" / "images" if options.write else ROOT / "build" / "growth"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in growth.plots.items():
        Path(folder, name).write_text(text, "utf-8")
    if options.write:
        PAGE.write_text(written(PAGE.read_text("utf-8"), growth.told), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
