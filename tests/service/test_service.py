"""
Tests for L{txsessionsock.service}.
"""

from __future__ import annotations

import signal
import sys
from io import StringIO
from math import inf
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from zope.interface import implementer

from txsessionsock.clients import SessionSockets
from txsessionsock.frameworks.express import Express
from txsessionsock.manager import SessionManager
from txsessionsock.service import SessionSockService
from txsessionsock.service.service import CannotStart
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.web import VisitedSite


class Port:
    """
    Something that listens.
    """

    isListening = True

    def stopListening(self) -> None:
        self.isListening = False


@implementer(IStreamServerEndpoint)
class Endpoint:
    """
    A place to listen.

    @ivar problem: Why one cannot.
    """

    problem: Exception | None = None
    port: Port | None = None

    def listen(self, factory: object) -> Deferred[Any]:
        if self.problem is not None:
            return fail(self.problem)
        self.port = Port()
        return succeed(self.port)


class Slow:
    """
    A store, a manager and sockets that take their time.

    @ivar steps: What was begun, in this order.
    """

    def __init__(self, clock: Clock) -> None:
        self.steps: list[str] = []
        self.gone: Deferred[None] = Deferred()
        self.saved: Deferred[None] = Deferred()
        self.closed: Deferred[None] = Deferred()
        self.manager = SlowManager(SlowStore(clock), Express(secrets=["x"]), clock)
        self.sockets = SlowSockets(self.manager)
        for part in self.manager, self.sockets, self.manager.slowStore:
            part.slow = self

    def step(self, name: str) -> Deferred[None]:
        """
        Begin something.
        """
        self.steps.append(name)
        return {"go away": self.gone, "save": self.saved, "close": self.closed}[name]


class SlowStore(MemoryStore):
    slow: Slow

    def close(self) -> Deferred[None]:
        """
        As other stores have it.
        """
        return self.slow.step("close")


class SlowManager(SessionManager):
    slow: Slow

    def __init__(self, store: SlowStore, *more: Any) -> None:
        self.slowStore = store
        super().__init__(store, *more)

    def stop(self, drain: float = inf) -> Deferred[None]:
        return self.slow.step("save")


class SlowSockets(SessionSockets):
    slow: Slow
    count = 0

    def __len__(self) -> int:
        return self.count

    def goAway(self) -> Deferred[None]:
        return self.slow.step("go away")


class ServiceTests(SynchronousTestCase):
    """
    L{SessionSockService}, on a clock.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.slow = Slow(self.clock)
        self.endpoints = [Endpoint(), Endpoint()]
        self.site = VisitedSite(Resource(), self.clock)
        self.service = SessionSockService(
            self.site,
            [(f"tcp:{n}", endpoint) for n, endpoint in enumerate(self.endpoints)],
            self.slow.sockets,
            drain=10,
        )

    def start(self) -> list[Port]:
        """
        Start it.

        @return: What listens.
        """
        self.service.privilegedStartService()
        self.service.startService()
        ports = [endpoint.port for endpoint in self.endpoints]
        return [port for port in ports if port is not None]

    def test_withoutPrivileges(self) -> None:
        """
        It listens also where the runner, such as C{twist}, has none to shed.
        """
        self.service.startService()
        self.assertTrue(all(each.port is not None for each in self.endpoints))

    def test_listening(self) -> None:
        """
        It says where it listens when it does.
        """
        seen: list[bool] = []
        self.service.listening = lambda: seen.append(
            all(endpoint.port is not None for endpoint in self.endpoints)
        )
        self.assertEqual(seen, [])
        self.start()
        self.assertEqual(seen, [True])

    def test_order(self) -> None:
        """
        It ends in this order: no new connections, sockets closed, sessions
        stored, the store closed; each when the one before is done.
        """
        ports = self.start()
        self.assertEqual(len(ports), 2)
        ended = self.service.stopService()
        self.assertFalse(any(port.isListening for port in ports))
        self.assertEqual(self.slow.steps, ["go away"])
        self.slow.gone.callback(None)
        self.assertEqual(self.slow.steps, ["go away", "save"])
        self.slow.saved.callback(None)
        self.assertEqual(self.slow.steps, ["go away", "save", "close"])
        self.assertNoResult(ended)
        self.slow.closed.callback(None)
        self.successResultOf(ended)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_latecomers(self) -> None:
        """
        Who was connected, and has a socket only now, is waited for too.
        """
        self.start()
        emptied: Deferred[None] = Deferred()
        vars(self.site)["goAway"] = lambda: emptied
        self.service.stopService()
        self.slow.gone.callback(None)
        self.assertEqual(self.slow.steps, ["go away"])
        self.slow.sockets.count, self.slow.gone = 1, Deferred()
        emptied.callback(None)
        self.assertEqual(self.slow.steps, ["go away"] * 2)
        self.slow.sockets.count = 0
        self.slow.gone.callback(None)
        self.assertEqual(self.slow.steps, ["go away", "go away", "save"])
        self.slow.saved.callback(None)
        self.slow.closed.callback(None)

    def test_signal(self) -> None:
        """
        SIGHUP, which would end this process, is told to be of no use, if there
        is a reactor for signals.
        """
        handlers: dict[int, Any] = {}
        self.patch(signal, "signal", handlers.__setitem__)
        self.start()
        self.assertEqual(handlers, {})
        reactor: Any = SimpleNamespace(
            callWhenRunning=lambda f: f(),
            callFromThread=lambda f: f(),
            addSystemEventTrigger=lambda *trigger: None,
            stop=lambda: None,
        )
        self.service._reactor = reactor
        self.service.startService()
        self.assertEqual(list(handlers), [signal.SIGHUP])
        with capturedLogs() as logs:
            handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertIn("SIGHUP: nothing to do", logs[0]["log_format"])

    def test_outOfTime(self) -> None:
        """
        Whatever does not end is left alone in time for the next step, and all
        together takes no longer than was said.
        """
        self.start()
        with capturedLogs() as logs:
            ended = self.service.stopService()
            self.clock.advance(6.9)
            self.assertEqual(self.slow.steps, ["go away"])
            self.clock.advance(0.2)
            self.assertEqual(self.slow.steps, ["go away", "save"])
            self.clock.advance(2)
            self.assertEqual(self.slow.steps, ["go away", "save", "close"])
            self.assertNoResult(ended)
            self.clock.advance(1)
        self.successResultOf(ended)
        self.assertEqual([round(event["seconds"]) for event in logs], [7, 2, 1])

    def test_timeLeft(self) -> None:
        """
        Storing has the time that those who left did not need: it goes on for
        C{repairWindow} seconds where others may overwrite what is stored.
        """
        self.start()
        with capturedLogs() as logs:
            self.service.stopService()
            self.slow.gone.callback(None)
            self.clock.advance(1)
            self.clock.advance(7.9)
            self.assertEqual(self.slow.steps, ["go away", "save"])
            self.slow.saved.callback(None)
            self.slow.closed.callback(None)
        self.assertEqual(logs, [])

    def test_failures(self) -> None:
        """
        What fails is logged and keeps nothing after it from being done.
        """
        self.start()
        ended = self.service.stopService()
        self.slow.gone.errback(ZeroDivisionError())
        self.slow.saved.errback(ZeroDivisionError())
        self.slow.closed.errback(ZeroDivisionError())
        self.successResultOf(ended)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def refused(self, problem: Exception) -> str:
        """
        Start it where that is not possible.

        @return: What that says to whoever waits for a daemon to start.
        """
        self.endpoints[1].problem = problem
        self.shown, self.redirected = StringIO(), StringIO()
        self.patch(sys, "__stderr__", self.shown)
        self.patch(sys, "stderr", self.redirected)
        with capturedLogs() as self.logs:
            raised = self.assertRaises(CannotStart, self.start)
        self.assertIsInstance(raised, SystemExit)
        self.assertIsInstance(raised, Exception)
        self.assertEqual(raised.code, 1)
        return str(raised)

    def test_cannotListen(self) -> None:
        """
        A port that cannot be had is told in one line, in the log and on the
        real standard error.
        """
        busy = OSError(98, "Address already in use")
        self.service.listening = lambda: self.fail("it does not listen")
        said = self.refused(CannotListenError("", 1, busy))
        self.assertEqual(said, "cannot listen on tcp:1: Address already in use")
        self.assertEqual(self.shown.getvalue(), f"twistd sessionsock: {said}\n")
        self.assertEqual(self.redirected.getvalue(), "")
        self.assertEqual([event["problem"] for event in self.logs], [said])

    def test_otherProblem(self) -> None:
        """
        What else endpoints fail with is told in its own words.
        """
        said = self.refused(ValueError("no such interface"))
        self.assertEqual(said, "cannot listen on tcp:1: no such interface")
