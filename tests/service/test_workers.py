"""
Tests for L{txsessionsock.service.workers} and what it is made of, without processes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

from twisted.internet.error import (
    ProcessDone,
    ProcessExitedAlready,
    ProcessTerminated,
)
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent, formatEventAsClassicLogText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.service import Handover, WorkerCommand, Workers, workers
from txsessionsock.service.signals import onSignals


class Process:
    """
    A process that does nothing by itself, and the parent's end of it.
    """

    def __init__(
        self,
        pid: int,
        protocol: Any,
        env: dict[str, str],
        childFDs: dict[int, Any],
        **more: object,
    ) -> None:
        self.pid = pid
        self.protocol = protocol
        self.handover = Handover.takenFrom(env)
        self.environment = env
        self.childFDs = childFDs
        self.more = more
        self.signals: list[str] = []
        self.isThere = True
        protocol.makeConnection(self)

    def signalProcess(self, name: str) -> None:
        if not self.isThere:
            raise ProcessExitedAlready
        self.signals.append(name)

    def ready(self) -> None:
        """
        Say that it listens.
        """
        assert self.handover is not None
        self.protocol.childDataReceived(self.handover.ready, b"\n")

    def exit(self, code: int | None = 1, signal: int | None = None) -> None:
        """
        Exit, with the output still open.
        """
        self.isThere = False
        error = ProcessTerminated(code, signal) if code or signal else ProcessDone(0)
        self.protocol.processExited(Failure(error))

    def end(self, code: int | None = 1, signal: int | None = None) -> None:
        """
        Exit.
        """
        self.exit(code, signal)
        self.protocol.processEnded(None)


class Reactor(Clock):
    """
    Starts no processes, but notes them.

    @ivar problem: Why it cannot start any.
    """

    problem: OSError | None = None
    stops = 0

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []

    def spawnProcess(
        self, protocol: Any, executable: str, args: list[str], **more: Any
    ) -> None:
        if self.problem is not None:
            raise self.problem
        pid = 1000 + len(self.processes)
        self.processes.append(Process(pid, protocol, args=args, **more))

    def callWhenRunning(self, f: Callable[[], object]) -> None:
        f()

    def callFromThread(self, f: Callable[[], object]) -> None:
        f()

    def stop(self) -> None:
        self.stops += 1


class Sockets:
    """
    The sockets of all workers, without sockets.
    """

    isClosed = False

    def socketsOf(self, number: int) -> list[int]:
        return [70 + number, 80 + number]

    def close(self) -> None:
        self.isClosed = True


class Reports:
    """
    Writes down what it is told of processes.
    """

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes | None]] = []

    def told(self, who: object, line: bytes) -> None:
        self.said.append((str(who), line))

    def gone(self, who: object) -> None:
        self.said.append((str(who), None))


class WorkersCase(SynchronousTestCase):
    """
    Two workers, or what was said.
    """

    count = 2

    def setUp(self) -> None:
        self.reports = Reports()
        self.reactor = Reactor()
        self.sockets = Sockets()
        self.handlers: dict[int, Any] = {}
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.statuses: list[int] = []
        self.patch(workers, "exitWith", self.statuses.append)
        self.patch(workers, "dieOf", self.statuses.append)
        self.errors = StringIO()
        self.patch(sys, "__stderr__", self.errors)
        anySockets: Any = self.sockets
        self.workers = Workers(
            self.count,
            [],
            anySockets,
            WorkerCommand(["--drain=8"], {"HOME": "/"}, "/somewhere"),
            self.reactor,
            drain=8,
            reports=self.reports,
        )
        self.workers.privilegedStartService()
        self.workers.startService()
        self.stopping: Any = None
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """
        End what is left.
        """
        if self.stopping is None:
            self.stopping = self.workers.stopService()
        for process in self.reactor.processes:
            if process.isThere:
                process.end()
        self.successResultOf(self.stopping)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    @property
    def there(self) -> list[Process]:
        """
        The processes that there are.
        """
        return [process for process in self.reactor.processes if process.isThere]

    def allReady(self) -> list[Process]:
        """
        Have all be ready.
        """
        for process in self.there:
            process.ready()
        return self.there

    def signal(self, number: int) -> None:
        """
        Get a signal.
        """
        self.handlers[number](number, None)

    def assertNext(self, delay: float) -> Process:
        """
        Check that the next process starts after so many seconds.
        """
        before = len(self.reactor.processes)
        self.reactor.advance(delay - 0.01)
        self.assertEqual(len(self.reactor.processes), before)
        self.reactor.advance(0.02)
        self.assertEqual(len(self.reactor.processes), before + 1)
        return self.reactor.processes[-1]


class StartTests(WorkersCase):
    """
    What a worker is given.
    """

    def test_given(self) -> None:
        """
        Each has sockets of its own, and knows where they are.
        """
        for number, process in enumerate(self.there):
            handover = process.handover
            assert handover is not None
            self.assertEqual(handover.number, number)
            fds = process.childFDs
            given = [fds[descriptor] for descriptor in handover.sockets]
            self.assertEqual(given, [70 + number, 80 + number])
            self.assertEqual([fds[1], fds[2], fds[handover.ready]], ["r"] * 3)
            self.assertIsInstance(fds[handover.lifeline], int)
            self.assertEqual(len(fds), 7)
            self.assertEqual(process.more["path"], "/somewhere")
            self.assertEqual(process.environment, {"HOME": "/"})
            args: Any = process.more["args"]
            self.assertEqual(args[-2:], ["sessionsock", "--drain=8"])

    def test_handover(self) -> None:
        """
        It is taken once, so what a worker starts is none; most processes were
        given nothing.
        """
        planned = Handover.planned(3, 2)
        self.assertEqual(
            [*planned.sockets, planned.lifeline, planned.ready], [3, 4, 5, 6]
        )
        environment = {"HOME": "/", **planned.environment()}
        taken = Handover.takenFrom(environment)
        assert taken is not None
        self.assertEqual((taken.number, list(taken.sockets)), (3, [3, 4]))
        self.assertEqual((taken.lifeline, taken.ready), (5, 6))
        self.assertEqual(environment, {"HOME": "/"})
        self.assertIsNone(Handover.takenFrom(environment))

    def test_environmentIsNotShown(self) -> None:
        """
        There are secrets in it.
        """
        self.assertNotIn("hush", repr(WorkerCommand([], {"SECRET": "hush"}, "/")))


class DeathTests(WorkersCase):
    """
    What happens when one dies.
    """

    count = 1

    def test_again(self) -> None:
        """
        Another one starts, later and later if it lives for less than 5 s, up
        to 30 s, until there is no point.
        """
        (process,) = self.allReady()
        delays = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30]
        for delay in delays:
            self.reactor.advance(4.9)
            process.end(None, signal.SIGSEGV)
            process = self.assertNext(delay)
            process.ready()
        self.assertEqual(self.reactor.stops, 0)
        process.end(3)
        self.assertEqual(self.reactor.stops, 1)
        self.assertEqual(
            self.errors.getvalue(),
            "twistd sessionsock: worker 0 (pid 1009) died (exit code 3), for the 10th"
            " time in a row\n",
        )
        self.stop()
        self.assertEqual(self.statuses, [1])

    def test_oneOff(self) -> None:
        """
        One that lived for longer was not one of a row.
        """
        (process,) = self.allReady()
        for delay in 0.2, 0.4, 0.8:
            process.end()
            process = self.assertNext(delay)
            process.ready()
        for _ in range(20):
            self.reactor.advance(5)
            process.end(0)
            process = self.assertNext(0.2)
            process.ready()
        self.assertEqual(self.reactor.stops, 0)

    def test_neverReady(self) -> None:
        """
        When none was ever ready there is no point at once.  The reason is the
        last that it said.
        """
        (process,) = self.there
        process.protocol.childDataReceived(2, b"Traceback\n  x\ntwistd sessionsock: ")
        process.protocol.childDataReceived(2, b"no such file\n\n")
        process.protocol.childDataReceived(1, b"goodbye\n")
        process.end(1)
        self.assertEqual(
            self.errors.getvalue(),
            "twistd sessionsock: worker 0 (pid 1000) cannot start (exit code 1): no"
            " such file\n",
        )
        self.assertEqual(self.reactor.stops, 1)
        self.stop()
        self.assertEqual(self.statuses, [1])

    def test_notReadyLater(self) -> None:
        """
        When one was, another that cannot start is tried again.
        """
        (process,) = self.allReady()
        process.end()
        self.assertNext(0.2).end()
        self.assertNext(0.4).ready()
        self.assertEqual(self.reactor.stops, 0)

    def test_tooSlow(self) -> None:
        """
        One that is not ready in time is killed.
        """
        self.reactor.advance(59.9)
        (process,) = self.there
        self.assertEqual(process.signals, [])
        self.reactor.advance(0.2)
        self.assertEqual(process.signals, ["KILL"])

    def test_inTime(self) -> None:
        """
        One that is, is not.
        """
        (process,) = self.allReady()
        self.reactor.advance(1000)
        self.assertEqual(process.signals, [])

    def test_noProcess(self) -> None:
        """
        When the system has no process for us, it is asked again.
        """
        (process,) = self.allReady()
        self.reactor.problem = BlockingIOError(11, "try again")
        process.end()
        self.reactor.advance(0.21)
        self.assertEqual(self.there, [])
        self.reactor.problem = None
        self.assertNext(0.4).ready()

    def test_leftovers(self) -> None:
        """
        One whose output goes on, because it started something that has it too,
        is gone all the same.
        """
        (process,) = self.allReady()
        process.exit()
        self.reactor.advance(1)
        self.assertNext(0.2)
        process.protocol.processEnded(None)
        self.reactor.advance(100)
        self.assertEqual(len(self.reactor.processes), 2)


class EndTests(WorkersCase):
    """
    How it ends.
    """

    def test_terminated(self) -> None:
        """
        SIGTERM is for all workers, also for one that is to be replaced, and
        waits for the last of them.
        """
        first, second = self.allReady()
        self.signal(signal.SIGHUP)
        third = self.there[-1]
        third.ready()
        self.assertEqual(first.signals, ["TERM"])
        self.signal(signal.SIGTERM)
        self.assertEqual(self.reactor.stops, 1)
        self.stopping = self.workers.stopService()
        fourth = self.there[-1]
        self.assertEqual([p.signals for p in self.there], [["TERM"]] * 4)
        for process in second, first, fourth:
            process.end(0)
        self.assertNoResult(self.stopping)
        self.assertFalse(self.sockets.isClosed)
        third.end(0)
        self.successResultOf(self.stopping)
        self.assertTrue(self.sockets.isClosed)
        self.assertEqual(self.statuses, [])
        self.assertEqual(len(self.reactor.processes), 4)

    def test_outOfTime(self) -> None:
        """
        Those that are still there two seconds after they should be gone are
        killed.
        """
        first, second = self.allReady()
        self.stopping = self.workers.stopService()
        second.end(0)
        self.reactor.advance(9.9)
        self.assertEqual(first.signals, ["TERM"])
        self.reactor.advance(0.2)
        self.assertEqual(first.signals, ["TERM", "KILL"])
        self.assertEqual(second.signals, ["TERM"])

    def test_twice(self) -> None:
        """
        A second signal kills them, and this process dies of it.
        """
        first, second = self.allReady()
        self.signal(signal.SIGINT)
        self.stopping = self.workers.stopService()
        second.end(0)
        self.signal(signal.SIGTERM)
        self.assertEqual(first.signals, ["TERM", "KILL"])
        self.assertEqual(second.signals, ["TERM"])
        self.assertEqual(self.reactor.stops, 1)
        self.assertEqual(self.statuses, [signal.SIGTERM])

    def test_whileWaiting(self) -> None:
        """
        None is started any more.
        """
        first, second = self.allReady()
        first.end()
        self.stopping = self.workers.stopService()
        second.end(0)
        self.successResultOf(self.stopping)
        self.reactor.advance(100)
        self.assertEqual(self.there, [])

    def test_deathAtTheEnd(self) -> None:
        """
        One that dies of it is not told as a failure.
        """
        self.stopping = self.workers.stopService()
        for process in self.there:
            process.end(None, signal.SIGTERM)
        self.successResultOf(self.stopping)
        self.assertEqual(self.errors.getvalue(), "")
        self.assertEqual(self.statuses, [])


class ReplaceTests(WorkersCase):
    """
    SIGHUP.
    """

    def test_oneByOne(self) -> None:
        """
        Each is asked to end when its successor is ready, and then the next has
        one.
        """
        first, second = self.allReady()
        self.signal(signal.SIGHUP)
        third = self.there[-1]
        assert third.handover is not None
        self.assertEqual(third.handover.number, 0)
        self.assertEqual([p.signals for p in self.there], [[], [], []])
        third.ready()
        self.assertEqual([p.signals for p in (first, second)], [["TERM"], []])
        first.end(0)
        fourth = self.there[-1]
        assert fourth.handover is not None
        self.assertEqual(fourth.handover.number, 1)
        fourth.ready()
        self.assertEqual(second.signals, ["TERM"])
        second.end(None, signal.SIGKILL)
        self.reactor.advance(100)
        self.assertEqual(self.there, [third, fourth])
        self.assertEqual([p.signals for p in self.there], [[], []])

    def test_broken(self) -> None:
        """
        When the first of the new ones cannot start, the old ones go on, and it
        can be tried again.
        """
        old = self.allReady()
        with capturedLogs() as logs:
            self.signal(signal.SIGHUP)
            self.there[-1].end()
        said = [formatEvent(event) for event in logs]
        self.assertIn(
            "worker 0 (pid 1002) died before it was ready (exit code 1); the old one"
            " goes on",
            said,
        )
        self.reactor.advance(100)
        self.assertEqual(self.there, old)
        self.assertEqual([p.signals for p in old], [[], []])
        self.assertEqual(self.reactor.stops, 0)
        self.signal(signal.SIGHUP)
        self.assertEqual(len(self.there), 3)

    def test_noProcess(self) -> None:
        """
        The same when the system has none.
        """
        old = self.allReady()
        self.reactor.problem = BlockingIOError(11, "try again")
        self.signal(signal.SIGHUP)
        self.reactor.problem = None
        self.assertEqual(self.there, old)
        self.signal(signal.SIGHUP)
        self.assertEqual(len(self.there), 3)

    def test_twice(self) -> None:
        """
        Who says it again meanwhile wants another round after this one.
        """
        self.allReady()
        self.signal(signal.SIGHUP)
        self.signal(signal.SIGHUP)
        self.signal(signal.SIGHUP)
        for n in range(2, 6):
            self.assertEqual(len(self.reactor.processes), n + 1)
            self.reactor.processes[n].ready()
        self.assertEqual(len(self.reactor.processes), 6)

    def test_lateSuccessor(self) -> None:
        """
        One that is ready after it was asked to end is not heard: the old one is
        not asked to end twice, and nothing is replaced.
        """
        self.allReady()
        self.signal(signal.SIGHUP)
        third = self.there[-1]
        self.signal(signal.SIGTERM)
        self.stopping = self.workers.stopService()
        with capturedLogs() as logs:
            third.ready()
            self.signal(signal.SIGHUP)
        self.assertEqual([p.signals for p in self.there], [["TERM"]] * 3)
        self.assertEqual([formatEvent(event) for event in logs], [])

    def test_waiting(self) -> None:
        """
        One that waits for its next try has it now.
        """
        first, _ = self.allReady()
        first.end()
        self.signal(signal.SIGHUP)
        self.assertEqual(len(self.reactor.processes), 3)
        self.there[-1].ready()
        self.assertEqual(len(self.reactor.processes), 4)
        self.there[-1].ready()
        self.reactor.advance(1)
        self.assertEqual(len(self.reactor.processes), 4)

    def test_oldDies(self) -> None:
        """
        When the old one dies before the new one is ready, nothing else needs
        to be done.
        """
        first, _ = self.allReady()
        self.signal(signal.SIGHUP)
        third = self.there[-1]
        first.end()
        self.reactor.advance(1)
        self.assertEqual(len(self.reactor.processes), 3)
        third.ready()
        self.assertEqual(len(self.reactor.processes), 4)

    def test_bothDie(self) -> None:
        """
        When both die, it is tried again as ever, and the others stay.
        """
        first, second = self.allReady()
        self.signal(signal.SIGHUP)
        first.end()
        self.there[-1].end()
        self.assertEqual(self.there, [second])
        self.assertNext(0.2).ready()
        self.assertEqual(second.signals, [])

    def test_notReadyYet(self) -> None:
        """
        One that is not ready yet is replaced too, and is not taken for its own
        successor.
        """
        first, second = self.allReady()
        first.end()
        third = self.assertNext(0.2)
        self.signal(signal.SIGHUP)
        fourth = self.there[-1]
        third.ready()
        self.assertEqual(self.there, [second, third, fourth])
        fourth.ready()
        self.assertEqual([p.signals for p in (third, fourth)], [["TERM"], []])
        self.assertEqual(len(self.there), 4)

    def test_ended(self) -> None:
        """
        At the end nothing is replaced any more.
        """
        self.allReady()
        self.signal(signal.SIGHUP)
        self.signal(signal.SIGTERM)
        self.there[-1].ready()
        self.assertEqual(len(self.reactor.processes), 3)
        self.stopping = self.workers.stopService()
        self.there[-1].end(0)
        self.assertEqual(len(self.reactor.processes), 3)


class LogTests(WorkersCase):
    """
    What workers log is in our log, with their number and pid.
    """

    count = 1

    def log(self, *data: bytes, descriptor: int = 1) -> list[str]:
        """
        @return: Our log of what a worker says.
        """
        (process,) = self.there
        with capturedLogs() as logs:
            for some in data:
                process.protocol.childDataReceived(descriptor, some)
            process.protocol.childConnectionLost(descriptor)
        lines = [formatEventAsClassicLogText(event, lambda t: "T") for event in logs]
        return [str(line) for line in lines]

    def test_lines(self) -> None:
        """
        Line by line, however they come, with one time each.
        """
        data = b"2026-11-22T21:00:00+0000 [-] one\n\ttwo {x}\nthr"
        self.assertEqual(
            self.log(data, b"ee\n2026\xc3", b"\xa9 four\xff"),
            [
                "T [w0 1000] [-] one\n",
                "T [w0 1000] \ttwo {x}\n",
                "T [w0 1000] three\n",
                "T [w0 1000] 2026é four\N{REPLACEMENT CHARACTER}\n",
            ],
        )

    def test_long(self) -> None:
        """
        A line without end does not fill our memory.
        """
        lines = self.log(*[b"x" * 30_000] * 9)
        self.assertEqual([line.count("x") for line in lines], [90_000] * 3)


class ExitTests(SynchronousTestCase):
    """
    Tests for what L{txsessionsock.service.signals} does at the end.
    """

    def test_status(self) -> None:
        """
        The process ends with that exit code, and what it wrote is written.
        """
        script = (
            "import sys;"
            "from txsessionsock.service.signals import exitWith; exitWith(7);"
            "sys.stdout.write('all of it')"
        )
        source, sink = os.pipe()
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", script],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, sink, 1)],
        )
        os.close(sink)
        with open(source) as output:
            self.assertEqual(output.read(), "all of it")
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 7)

    def test_signals(self) -> None:
        """
        A function is called by its signal, by the reactor.
        """
        handlers: dict[int, Any] = {}
        self.patch(signal, "signal", handlers.__setitem__)
        calls: list[object] = []
        reactor = Reactor()
        queue: list[Any] = []
        vars(reactor)["callFromThread"] = queue.append
        onSignals(reactor, {signal.SIGHUP: lambda: calls.append(1)})
        handlers[signal.SIGHUP](1, None)
        self.assertEqual(calls, [])
        queue[0]()
        self.assertEqual(calls, [1])


class FiguresTests(WorkersCase):
    """
    What workers tell their parent.
    """

    count = 1

    def tell(self, process: Process, data: bytes) -> None:
        """
        Write to the pipe.
        """
        assert process.handover is not None
        process.protocol.childDataReceived(process.handover.ready, data)

    def test_lines(self) -> None:
        """
        Whole lines are handed on, however they come; that a process is ready is none,
        and what does not come whole is left out.
        """
        (process,) = self.there
        self.tell(process, b"\n")
        self.assertTrue(self.workers.hasServed)
        self.tell(process, b"one\ntw")
        self.tell(process, b"o\nthr")
        name = "worker 0 (pid 1000)"
        told = [(name, b"one"), (name, b"two")]
        self.assertEqual(self.reports.said, told)
        with capturedLogs() as logs:
            assert process.handover is not None
            process.protocol.childConnectionLost(process.handover.ready)
        self.assertEqual(logs, [])
        process.end()
        self.assertEqual(self.reports.said, [*told, (name, None)])

    def test_late(self) -> None:
        """
        What comes of a process that counts as gone counts no more.
        """
        (process,) = self.allReady()
        process.exit()
        self.reactor.advance(1.5)
        self.assertEqual([line for _, line in self.reports.said], [None])
        self.tell(process, b"late\n")
        self.assertEqual([line for _, line in self.reports.said], [None])
