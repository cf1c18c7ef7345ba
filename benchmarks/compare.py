"""
This library beside others, on one machine: what they do in a second, what it costs
them, and what they lose.

    make bench                     # half an hour
    make bench ARGS=--quick        # three minutes, and rough
    make bench ARGS=--markdown     # as it stands in docs/performance.md
    make bench ARGS="connects idle --only ws --only 'this library'"
    make bench ARGS=growth         # something else: benchmarks/growth.py

All servers are in C{benchmarks/peers/}, as their users would write them.  A client
sends a message of 64 bytes, the server counts it in the session, which is in Redis, and
answers with the count.  I{Per connection}, the session is read when the socket
connects, and stored when it closes at the latest.  I{Per message}, it is read anew
for each, and stored before the answer leaves.

Servers have one processor, the load and the Redis have another one.  They take turns:
each round has each of them once, and figures are compared with those of Node ws in the
same round.  All are medians of rounds, with the least and the most.

Whether answers are right is part of it.  On a connection with a session to itself, each
count is one more than the one before, or it is I{wrong}.  In the end, all sessions
together, as they are stored, have counted what was answered; what is missing is
I{lost}.

L{benchmarks.load} says how one knows that the load is not what is measured.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

from benchmarks.answers import spread
from benchmarks.contestants import BASE, CONTESTANTS, Contestant, Sessions
from benchmarks.crowds import descriptors
from benchmarks.load import Loaded, Times, connect, connects, learn, load, rated
from benchmarks.serving import Server, ownProcessor, processorTime
from tests.support.redisserver import RedisServer


CONNECTIONS = 50
SHARING = 20
COMERS = 500
RATES = {"connection": 2000, "message": 400}

LIMIT = 0.8
"""
Above which share of its processor the load may be what is measured, and below which
share of its own the server is not.
"""


@dataclass(frozen=True)
class Found:
    """
    What one round of one measure found.

    @ivar value: What is compared.

    @ivar work: Microseconds of its processor that the server took for each.

    @ivar busy: The share of it that the server took, and C{ownBusy}, that of the other
        one which the load and the Redis took.

    @ivar commands: How many the Redis had for each message.

    @ivar lost: The part of messages that were answered, and of which the sessions know
        nothing; C{wrong}: the part with a wrong count.

    @ivar most: What 99 of a hundred answers took, where C{value} is that of a half.
    """

    value: float
    work: float = 0.0
    busy: float = 0.0
    ownBusy: float = 0.0
    commands: float = 0.0
    lost: float = 0.0
    wrong: float = 0.0
    most: float = 0.0


def information(redis: RedisServer, section: str) -> dict[str, str]:
    """
    What a Redis says about itself.
    """
    text = redis.command("INFO", section).decode()
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value for name, _, value in pairs}


def sent(redis: RedisServer, inner: Container[str]) -> int:
    """
    @param inner: Commands that only scripts do.

    @return: How many the servers have sent to it since its C{CONFIG RESETSTAT}.
    """
    total = 0
    for name, value in information(redis, "commandstats").items():
        command = name.removeprefix("cmdstat_")
        # The others are of this program.
        if command not in _OURS and command not in inner:
            total += int(value.partition("calls=")[2].partition(",")[0] or 0)
    return total


_OURS = ("info", "config|resetstat")


class Scene:
    """
    A contestant that serves.
    """

    def __init__(
        self, one: Contestant, part: str, redis: RedisServer, processor: int | None
    ) -> None:
        self.one, self._redis = one, redis
        # Per message, all is stored before it is answered.
        self._patience = 3.0 if part == "connection" else 0.3
        arguments = one.arguments(part, redis)
        count = 2 if part == "processes" else 1
        self.servers = [Server(arguments, processor) for _ in range(count)]
        pid = int(information(redis, "server")["process_id"])
        self.times = Times(self._seconds, partial(processorTime, pid))

    def _seconds(self) -> float:
        return sum(server.seconds for server in self.servers)

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def refuses(self) -> None:
        """
        See that nobody is served who has no session.
        """
        if self.one.framework is None:
            return
        port = self.servers[0].port
        with suppress(ConnectionError, ValueError):
            [connection] = connect(self.one.protocol, port, [""])
            learn(self.one.protocol, connection)
            raise AssertionError(f"{self.one.name} serves without a session")

    def load(self, sockets: int, depth: int, seconds: float, *, one: bool) -> Found:
        """
        @param one: Whether all sockets have one session.
        """
        sessions = Sessions(self._redis, self.one.framework)
        cookies = sessions.mint(1) * sockets if one else sessions.mint(sockets)
        ports = [server.port for server in self.servers]
        connections = []
        for number, port in enumerate(ports):
            mine = cookies[number :: len(ports)]
            connections += connect(self.one.protocol, port, mine)
        self._redis.command("CONFIG", "RESETSTAT")
        loaded = load(
            *(self.one.protocol, connections, depth, seconds, self.times),
            isAlone=not one,
        )
        commands = sent(self._redis, self.one.inner) / loaded.answered
        for each in connections:
            each.leave()
        return self._found(sessions, loaded, commands)

    def _found(self, sessions: Sessions, loaded: Loaded, commands: float) -> Found:
        lost = 0.0
        if self.one.framework is not None:
            lost = max(self._missing(sessions, loaded.answered) / loaded.answered, 0.0)
        return Found(
            *(loaded.rate, loaded.work, loaded.busy, loaded.ownBusy, commands, lost),
            loaded.wrong / loaded.answered,
        )

    def _missing(self, sessions: Sessions, answered: int) -> int:
        """
        @return: How many messages they have not counted, after a while.
        """
        end = time.monotonic() + self._patience
        while (missing := answered - sessions.counted()) > 0:
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        return missing

    def connects(self, seconds: float) -> Found:
        sessions = Sessions(self._redis, self.one.framework)
        cookies = sessions.mint(COMERS)
        port = self.servers[0].port
        loaded = connects(self.one.protocol, port, cookies, seconds, self.times)
        return self._found(sessions, loaded, 0.0)

    def rate(self, rate: float, seconds: float) -> Found:
        sessions = Sessions(self._redis, self.one.framework)
        cookies = sessions.mint(CONNECTIONS)
        connections = connect(self.one.protocol, self.servers[0].port, cookies)
        found = rated(self.one.protocol, connections, rate, seconds, self.times)
        for each in connections:
            each.leave()
        lost = 0.0
        if self.one.framework is not None:
            missing = self._missing(sessions, found.answered)
            lost = max(missing / found.answered, 0.0)
        return Found(1e3 * found.half, found.work, lost=lost, most=1e3 * found.most)

    def idle(self, count: int) -> Found:
        sessions = Sessions(self._redis, self.one.framework)
        [server] = self.servers
        # What the first ones cost is not of each.
        first = sessions.mint(count // 2)
        for each in connect(self.one.protocol, server.port, first):
            each.leave()
        time.sleep(0.3)
        before = server.memory
        connections = connect(self.one.protocol, server.port, sessions.mint(count))
        time.sleep(0.5)
        taken = server.memory - before
        for each in connections:
            each.leave()
        return Found(taken / count / 1024)


# What is measured.


@dataclass(frozen=True)
class Measure:
    """
    @ivar part: Which mode the servers are in, and how many there are.

    @ivar unit: Of its values; those of a rate are the better the more they are.

    @ivar isFresh: Whether it needs servers that have done nothing before.
    """

    title: str
    part: str
    run: Callable[[Scene, float], Found]
    unit: str = "messages/s"
    isFresh: bool = False

    @property
    def isRate(self) -> bool:
        return self.unit.endswith("/s")


def _alone(depth: int) -> Callable[[Scene, float], Found]:
    return lambda scene, seconds: scene.load(CONNECTIONS, depth, seconds, one=False)


def _together(scene: Scene, seconds: float) -> Found:
    return scene.load(SHARING, 1, seconds, one=True)


def _rated(part: str) -> Callable[[Scene, float], Found]:
    return lambda scene, seconds: scene.rate(RATES[part], seconds)


def _idle(scene: Scene, seconds: float) -> Found:
    # The more, the less their noise; and a short run has less time.
    return scene.idle(max(300, min(2000, round(2500 * seconds) - 700)))


MEASURES = {
    "connection1": Measure("per connection, 1 in flight", "connection", _alone(1)),
    "connection16": Measure("per connection, 16 in flight", "connection", _alone(16)),
    "connects": Measure(
        *("connections: verified, loaded, one answer, closed", "connection"),
        Scene.connects,
        "connections/s",
    ),
    "rate": Measure(
        f"per connection, {RATES['connection']} messages a second",
        *("connection", _rated("connection"), "ms at p50"),
    ),
    "idle": Measure(
        "memory of an idle connection", "connection", _idle, "KiB", isFresh=True
    ),
    "message1": Measure("per message, 1 in flight", "message", _alone(1)),
    "message16": Measure("per message, 16 in flight", "message", _alone(16)),
    "together": Measure(
        f"per message, {SHARING} sockets of one session", "message", _together
    ),
    "messagerate": Measure(
        f"per message, {RATES['message']} messages a second",
        *("message", _rated("message"), "ms at p50"),
    ),
    "processes": Measure(
        f"per message, {SHARING} sockets of one session, two processes",
        *("processes", _together),
    ),
}


Results = dict[str, dict[Contestant, list[Found]]]
"""
By measure, and in the order of rounds.
"""


@dataclass
class Contest:
    """
    @param names: Those of measures.

    @ivar results: What was found until now.
    """

    names: Sequence[str]
    contestants: Sequence[Contestant]
    rounds: int
    seconds: float
    redis: RedisServer
    processor: int | None
    results: Results = field(default_factory=dict)

    def run(self) -> None:
        """
        Take all rounds of one part after the other.
        """
        for part in dict.fromkeys(MEASURES[name].part for name in self.names):
            mine = [name for name in self.names if MEASURES[name].part == part]
            ones = [one for one in self.contestants if part in one.modes]
            for name in mine:
                self.results[name] = {one: [] for one in ones}
            lasting = [name for name in mine if not MEASURES[name].isFresh]
            with ExitStack() as stack:
                scenes = [self._scene(stack, one, part) for one in ones]
                for number in range(self.rounds):
                    self._round(number, lasting, scenes)
            for name in mine:
                if MEASURES[name].isFresh:
                    self._fresh(name, ones)

    def _scene(self, stack: ExitStack, one: Contestant, part: str) -> Scene:
        scene = Scene(one, part, self.redis, self.processor)
        stack.callback(scene.stop)
        scene.refuses()
        return scene

    def _round(self, number: int, names: Iterable[str], scenes: list[Scene]) -> None:
        for name in names:
            measure = MEASURES[name]
            for scene in scenes:
                found = measure.run(scene, self.seconds)
                self.results[name][scene.one].append(found)
                self._tell(number, measure, scene.one, found)

    def _fresh(self, name: str, ones: Iterable[Contestant]) -> None:
        for number in range(self.rounds):
            for one in ones:
                with ExitStack() as stack:
                    scene = self._scene(stack, one, MEASURES[name].part)
                    found = MEASURES[name].run(scene, self.seconds)
                self.results[name][one].append(found)
                self._tell(number, MEASURES[name], one, found)

    def _tell(self, number: int, measure: Measure, one: Contestant, it: Found) -> None:
        what = f"{number + 1}/{self.rounds} {measure.title}: {one.name}{one.way}"
        figure = f"{it.value:.5g} {measure.unit}"
        print(f"{what}: {figure}, {100 * it.lost:.0f} % lost", file=sys.stderr)


# What is printed.


def ratios(
    found: Sequence[Found], base: Sequence[Found], *, ofWork: bool = False
) -> list[float]:
    """
    @param ofWork: By the time of its processor that the server took for each message,
        instead of by the values; more is better then.

    @return: Round by round.
    """
    pairs = zip(found, base, strict=True)
    if ofWork:
        return [b.work / a.work if a.work else 0.0 for a, b in pairs]
    return [a.value / b.value if b.value else 0.0 for a, b in pairs]


def _spread(values: Sequence[float], form: str) -> str:
    middle, least, most = spread(values)
    if len(values) == 1:
        return format(middle, form)
    return f"{middle:{form}} ({least:{form}}-{most:{form}})"


def _share(values: Sequence[float]) -> str:
    middle = spread(values)[0]
    return f"{100 * middle:.0f} %" if middle else "-"


def summary(results: Results, *, ofWork: bool = False) -> list[list[str]]:
    """
    A line for each measure: medians of the ratios to Node ws.

    @param ofWork: As L{ratios} has it, where there is such a time.
    """
    names = list(dict.fromkeys(one.name for found in results.values() for one in found))
    lines = [["", *names]]
    for name, byOne in results.items():
        if ofWork and MEASURES[name].isFresh:
            continue
        base = next(found for one, found in byOne.items() if one.name == BASE)
        for way in dict.fromkeys(one.way for one in byOne):
            there = {one.name: found for one, found in byOne.items() if one.way == way}
            cells = [
                _cell(there[each], ratios(there[each], base, ofWork=ofWork))
                if each in there
                else "-"
                for each in names
            ]
            title = MEASURES[name].title + way
            less = "" if ofWork or MEASURES[name].isRate else " (less is better)"
            lines.append([title + less, *cells])
    return lines


def _cell(found: Sequence[Found], compared: Sequence[float]) -> str:
    text = f"{spread(compared)[0]:.2f}"
    if lost := spread([each.lost for each in found])[0]:
        text += f", {100 * lost:.0f} % lost"
    elif wrong := spread([each.wrong for each in found])[0]:
        text += f", {100 * wrong:.0f} % wrong"
    return text


def details(name: str, byOne: dict[Contestant, list[Found]]) -> list[list[str]]:
    """
    A line for each contestant.
    """
    measure = MEASURES[name]
    base = next(found for one, found in byOne.items() if one.name == BASE)
    heads = ["", f"to {BASE}", measure.unit]
    if not measure.isFresh:
        heads += ["µs of the server", "by that"]
    if measure.isRate:
        heads += ["its share", "the load's", "Redis commands", "wrong"]
    elif not measure.isFresh:
        heads.append("ms at p99")
    lines = [[*heads, "lost"]]
    for one, found in byOne.items():
        cells = [
            one.name + one.way,
            _spread(ratios(found, base), ".2f"),
            _spread([each.value for each in found], ".0f" if measure.isRate else ".2f"),
        ]
        if not measure.isFresh:
            cells.append(_spread([each.work for each in found], ".0f"))
            cells.append(f"{spread(ratios(found, base, ofWork=True))[0]:.2f}")
        if measure.isRate:
            cells += _load(found)
        elif not measure.isFresh:
            cells.append(_spread([each.most for each in found], ".2f"))
        lines.append([*cells, _share([each.lost for each in found])])
    return lines


def _load(found: Sequence[Found]) -> list[str]:
    own = spread([each.ownBusy for each in found])[0]
    busy = spread([each.busy for each in found])[0]
    return [
        f"{100 * busy:.0f} %{' (?)' * (busy < LIMIT)}",
        f"{100 * own:.0f} %{' (!)' * (own > LIMIT)}",
        f"{spread([each.commands for each in found])[0]:.2f}",
        _share([each.wrong for each in found]),
    ]


def table(lines: Sequence[Sequence[str]], *, isMarkdown: bool) -> str:
    """
    @param lines: The first one is that of heads.
    """
    if isMarkdown:
        rows = [f"| {' | '.join(line)} |" for line in lines]
        rows.insert(1, "|" + " --- |" * len(lines[0]))
        return "\n".join(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def show(results: Results, *, isMarkdown: bool) -> None:
    """
    Print all tables.
    """
    title = "### {}\n" if isMarkdown else "{}"
    print(title.format(f"Ratios to {BASE} with express-session, medians of rounds"))
    print(table(summary(results), isMarkdown=isMarkdown))
    print("\n" + title.format("The same by time of the server's processor"))
    print(table(summary(results, ofWork=True), isMarkdown=isMarkdown))
    for name, byOne in results.items():
        print(f"\n{title.format(MEASURES[name].title.capitalize())}")
        print(table(details(name, byOne), isMarkdown=isMarkdown))
    print(
        "\n(!): the load and the Redis took more than 80 % of their processor, so the"
        " server may do more.\n(?): the server had less than 80 % of its own, so"
        " something else was waited for."
    )


def _chosen(words: Sequence[str]) -> list[Contestant]:
    if not words:
        return list(CONTESTANTS)
    found = [
        one
        for one in CONTESTANTS
        if one.name == BASE or any(word in one.name for word in words)
    ]
    if len(found) == 1 and BASE not in words:
        raise SystemExit(f"there is {', '.join(each.name for each in CONTESTANTS)}")
    return found


def main() -> None:
    if "growth" in sys.argv[1:]:
        # It stands on this module.
        from benchmarks import growth  # noqa: PLC0415

        growth.main([word for word in sys.argv[1:] if word != "growth"])
        return
    parser = argparse.ArgumentParser(
        epilog="With growth as the first word: benchmarks/growth.py"
    )
    parser.add_argument("names", nargs="*", metavar="MEASURE", help=str(list(MEASURES)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", action="append", default=[], help="part of a name")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_intermixed_args()
    unknown = set(options.names) - set(MEASURES)
    if unknown:
        raise SystemExit(f"there is {', '.join(MEASURES)}")
    if options.quick:
        options.rounds, options.seconds = 1, 0.4
    names = [name for name in MEASURES if name in (options.names or MEASURES)]
    ones, processor = _chosen(options.only), ownProcessor()
    descriptors()
    # However it is told to stop, it stops what it has started.
    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, lambda *_: sys.exit(1))
    with RedisServer() as redis:
        contest = Contest(
            *(names, ones, options.rounds, options.seconds, redis, processor)
        )
        contest.run()
    show(contest.results, isMarkdown=options.markdown)


if __name__ == "__main__":
    main()
