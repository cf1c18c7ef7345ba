"""
Programs of their own for L{tests.support.redisprocesses}: they use the Redis
directly, as a web application does, and visit nodes.  Each does the task that
its argument describes in JSON, and says in JSON what it found.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from tests.support.rawsocket import RawSocket
from tests.support.resp import Client
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import SessionID


_INNER = ("get", "set", "pttl", "pexpire", "persist", "del")
"""
What only scripts do, and a C{SET} of our own.
"""

_OTHERS = ("config", "info", "auth", "select", "client")
"""
What is sent by others, once a connection, or every few seconds.
"""

_BEAT = ("hello", "sadd", "smembers")
"""
What a node sends every five seconds without any message: that it is there, and
a probe on each of its connections.
"""

_BEATS = 4
"""
How many of each at most there are then, from all nodes and connections.
"""

_LIFETIME = 86400


class Worker:
    """
    The tasks, by name.

    @ivar redis: A connection of our own.
    """

    def __init__(self, secret: str, redisPort: int) -> None:
        self.redis = Client(("127.0.0.1", redisPort), timeout=60)
        self._express = Express(secret)
        self._redisPort = redisPort
        self._secret = secret

    def _mint(self, **data: Any) -> tuple[str, str]:
        """
        Make a session as Express would.

        @return: The key, and the value of the cookie.
        """
        sessionID: SessionID = self._express.newSessionID()
        key = self._express.key(sessionID)
        self._write(key, **data)
        return key, self._express.cookieValue(sessionID)

    def _write(self, key: str, **data: Any) -> None:
        envelope = {"originalMaxAge": None, "httpOnly": True, "path": "/"}
        raw = json.dumps({"cookie": envelope, **data})
        self.redis.command("SET", key, raw, "EX", _LIFETIME)

    def fresh(
        self, port: int, times: int, busy: bool = False, writing: bool = False
    ) -> dict[str, Any]:
        """
        Write a session, and then, with the answer of the Redis, ask a socket
        what is in it.

        @param busy: Whether others keep the node at work.

        @param writing: Whether the node changes the session all the time too.

        @return: How many answers were not what was written, and how many
            writes the worst was behind.
        """
        key, cookie = self._mint(n=0)
        asking, changing = RawSocket(port, cookie), RawSocket(port, cookie)
        stale = behind = changes = 0
        with self._busy(port) if busy else _nothing() as traffic:
            began = monotonic()
            for number in range(1, times + 1):
                if writing:
                    changing.say(["add", "m"])
                self._write(key, n=number)
                answer = asking.ask(["get", "n"])
                assert answer <= number
                stale += answer != number
                behind = max(behind, number - answer)
            seconds = monotonic() - began
        if writing:
            changes = sum(changing.next() > 0 for _ in range(times))
        # What was missed for good would be worse than being late.
        while asking.ask(["get", "n"]) != times:
            assert monotonic() - began < seconds + 5, "stale for ever"
        return {
            "stale": stale,
            "behind": behind,
            "times": times,
            "seconds": seconds,
            "changes": changes,
            "traffic": traffic["messages"] if busy else 0,
        }

    @contextmanager
    def _busy(self, port: int) -> Iterator[dict[str, Any]]:
        task = {"port": port, "sockets": 4, "inFlight": 4, "verb": "add"}
        process = subprocess.Popen(
            command("load", self._secret, self._redisPort, **task),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdin is not None and process.stdout is not None
        found: dict[str, Any] = {}
        try:
            assert process.stdout.readline() == b"began\n"
            yield found
        finally:
            process.stdin.close()
            found.update(json.loads(process.stdout.read() or b"{}"))
            process.wait()

    def load(
        self,
        *,
        port: int,
        sockets: int,
        inFlight: int,
        verb: str,
        times: int | None = None,
        shared: bool = False,
        pid: int | None = None,
    ) -> dict[str, Any]:
        """
        Have a number of messages under way on each of some sockets.

        @param times: How many messages to send in all; until standard input
            ends, if it is not given.

        @param shared: Whether all sockets are of one session.

        @param pid: Whose time to measure.

        @return: How many messages there were, in how many seconds, of how
            many seconds' work for the node, and what commands it sent.
        """
        cookies = [self._mint(n=0)[1] for _ in range(1 if shared else sockets)]
        cookies *= sockets if shared else 1
        opened = [RawSocket(port, cookie) for cookie in cookies]
        message = [verb, "n"]
        for each in opened:
            # The first visit is noted in the store, before what it changes is.
            each.ask(["add", "n"])
        self.redis.command("CONFIG", "RESETSTAT")
        isOver: Callable[[int], bool]
        if times is None:
            print("began", flush=True)
            os.set_blocking(sys.stdin.fileno(), False)
            isOver = lambda sent: sys.stdin.buffer.read(1) == b""  # noqa: E731 - short
        else:
            isOver = lambda sent: sent >= times  # noqa: E731 - short
        began, work = monotonic(), _secondsOf(pid)
        sent = _keepBusy(opened, [message] * inFlight, isOver)
        seconds = monotonic() - began
        return {
            "messages": sent,
            "seconds": seconds,
            "work": _secondsOf(pid) - work,
            "commands": self._commands(sent, seconds),
        }

    def _commands(self, messages: int, seconds: float) -> dict[str, int]:
        """
        How often the nodes sent which command because of messages.
        """
        beats = _BEATS * (1 + seconds // 5)
        said = self.redis.command("INFO", "commandstats").decode()
        counts = {}
        for line in said.splitlines():
            name, isCount, figures = line.partition(":calls=")
            if isCount:
                counts[name.removeprefix("cmdstat_")] = int(figures.partition(",")[0])
        skipped = _INNER + _OTHERS
        return {
            name: caused
            for name, count in counts.items()
            if name.partition("|")[0] not in skipped
            and (caused := _caused(name, count, messages, beats))
        }

    def delete(
        self, ports: list[int], times: int, cut: bool = False
    ) -> list[list[float]]:
        """
        Delete sessions, one by one, that each have a socket at each port.

        @param cut: Whether to end all connections to the Redis in the same
            moment, so that nobody can be told.

        @return: For each port, how many seconds after the answer to each
            deletion the close frame was there.
        """

        def end(key: str, number: int) -> float:
            if cut:
                self.redis.command("MULTI")
                self.redis.command("CLIENT", "KILL", "TYPE", "normal")
                self.redis.command("DEL", key)
                killed, deleted = self.redis.command("EXEC")
                assert killed >= len(ports)
            else:
                deleted = self.redis.command("DEL", key)
            assert deleted == 1
            return monotonic()

        found = [self._ended(ports, 1, end, "session-destroyed") for _ in range(times)]
        return [[one for each in found for one in each[n]] for n in range(len(ports))]

    def expire(
        self, ports: list[int], times: int, lifetime: float, step: float
    ) -> list[list[float]]:
        """
        Have sessions expire that each have a socket at each port.

        @param lifetime: After how many seconds the first does.

        @param step: How many seconds later the next.

        @return: For each port, how many seconds after each deadline the close
            frame was there.
        """

        def end(key: str, number: int) -> float:
            left = round(1000 * (lifetime + number * step))
            # No session can expire earlier than this says.
            at = monotonic() + left / 1000
            assert self.redis.command("PEXPIRE", key, left) == 1
            return at

        return self._ended(ports, times, end, "session-expired")

    def _ended(
        self,
        ports: list[int],
        times: int,
        end: Callable[[str, int], float],
        reason: str,
    ) -> list[list[float]]:
        late: list[list[float]] = [[] for _ in ports]
        keys, opened = [], []
        for _ in range(times):
            key, cookie = self._mint()
            keys.append(key)
            opened.append([RawSocket(port, cookie) for port in ports])
            for each in opened[-1]:
                # Noted as a visit, so that nothing more happens to it.
                assert each.ask(["get", "n"]) is None
        with selectors.DefaultSelector() as selector:
            for number, sockets in enumerate(opened):
                at = end(keys[number], number)
                for node, each in enumerate(sockets):
                    selector.register(
                        each, selectors.EVENT_READ, (each, late[node], at)
                    )
            while selector.get_map():
                ready = selector.select(20)
                now = monotonic()
                assert ready, "still open"
                for entry, _ in ready:
                    each, times_, at = entry.data
                    selector.unregister(each)
                    times_.append(now - at)
                    how = each.closes()
                    assert how == (4401, reason), (how, now - at)
                    each.close()
        return late


ROOT = Path(__file__).parents[2]


def command(task: str, secret: str, redisPort: int, **arguments: Any) -> list[str]:
    """
    What starts a process of this.
    """
    described = json.dumps([secret, redisPort, task, arguments])
    return [sys.executable, "-m", "tests.support.redisworker", described]


@contextmanager
def _nothing() -> Iterator[dict[str, Any]]:
    yield {}


def _keepBusy(
    opened: list[RawSocket], messages: list[Any], isOver: Callable[[int], bool]
) -> int:
    """
    For each message that is answered, send another, until that is enough.

    @return: How many there were.
    """
    waiting = {each: len(messages) for each in opened}
    sent = len(messages) * len(opened)
    with selectors.DefaultSelector() as selector:
        for each in opened:
            selector.register(each, selectors.EVENT_READ)
            each.say(*messages)
        while any(waiting.values()):
            ready = selector.select(20)
            assert ready, "no answer"
            for entry, _ in ready:
                each = entry.fileobj  # type: ignore[assignment]  # As registered.
                count = len(each.arrived())
                waiting[each] -= count
                if count and not isOver(sent):
                    each.say(*messages[:count])
                    waiting[each] += count
                    sent += count
    return sent


def _caused(name: str, count: int, messages: int, beats: float) -> int:
    """
    How many of so many commands are not for a node's beats.
    """
    over = count % messages
    return count - over if name in _BEAT and over <= beats else count


def _secondsOf(pid: int | None) -> float:
    """
    How much processor time a process took; where that can be seen.
    """
    path = Path(f"/proc/{pid}/stat")
    if pid is None or not path.exists():
        return 0.0
    fields = path.read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    secret, redisPort, task, arguments = json.loads(sys.argv[1])
    found = getattr(Worker(secret, redisPort), task)(**arguments)
    print(json.dumps(found), flush=True)
