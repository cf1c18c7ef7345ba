"""
Tests for L{SessionManager.endWith} and L{SessionManager.end}, on a clock.  The
order and the time are in L{tests.service.test_service}, whole programs in
L{tests.real.twistd.test_e2e_programs}.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsessionsock.clients import SessionSockets
from txsessionsock.frameworks.express import Express
from txsessionsock.hub import Hub
from txsessionsock.interfaces import SessionError
from txsessionsock.manager import SessionManager
from txsessionsock.stores.memory import MemoryStore


@implementer(IListeningPort)
class Port:
    """
    Something that listens.
    """

    isListening = True

    def startListening(self) -> None:
        """
        It does.
        """

    def stopListening(self) -> None:
        self.isListening = False

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 1)


class Store(MemoryStore):
    """
    One that can be closed, as all but L{MemoryStore} can.
    """

    isClosed = False

    def close(self) -> Deferred[None]:
        self.isClosed = True
        return succeed(None)


class EndingCase(SynchronousTestCase):
    """
    A manager, and a reactor that does not run.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = Store(self.clock)
        self.manager = SessionManager(self.store, Express(secrets=["x"]), self.clock)
        self.reactor: Any = MemoryReactorClock()

    def stopping(self) -> Any:
        """
        The reactor stops.

        @return: What it has to wait for.
        """
        ((end, args, kwargs),) = self.reactor.triggers["before"]["shutdown"]
        return end(*args, **kwargs)


class _Guest:
    """
    Clients of a server.
    """

    kind = "clients"

    def __init__(self, left: list[_Guest]) -> None:
        self._left = left

    def __len__(self) -> int:
        return 0

    def goAway(self) -> Deferred[None]:
        self._left.append(self)
        return succeed(None)

    def hurry(self) -> None:
        pass

    def awaited(self) -> list[str]:
        return []


class GuestTests(EndingCase):
    """
    L{SessionManager.join}.
    """

    def test_inOrder(self) -> None:
        """
        The servers of a process are told in the order in which they were made.
        """
        left: list[_Guest] = []
        guests = [_Guest(left) for _ in range(20)]
        for guest in guests:
            self.manager.join(guest)
        self.successResultOf(self.manager.end())
        self.assertEqual(left, guests)


class EndWithTests(EndingCase):
    """
    L{SessionManager.endWith}.
    """

    def test_stop(self) -> None:
        """
        When the reactor stops, and not before: it listens no more, and the
        store is closed.
        """
        ports: list[Any] = [Port(), Port(), Port()]
        late: Deferred[Any] = Deferred()
        self.manager.endWith(self.reactor, ports[0], succeed(ports[1]), late)
        late.callback(ports[2])
        self.assertFalse(self.store.isClosed)
        self.successResultOf(self.stopping())
        self.assertTrue(self.store.isClosed)
        self.assertEqual([port.isListening for port in ports], [False] * 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cannotListen(self) -> None:
        """
        Whoever cannot listen is told as without it.
        """
        listening: Deferred[Any] = Deferred()
        self.manager.endWith(self.reactor, listening)
        listening.errback(ZeroDivisionError())
        self.failureResultOf(listening, ZeroDivisionError)
        self.successResultOf(self.stopping())

    def test_noPort(self) -> None:
        """
        Some endpoints have no port, such as that for standard input.
        """
        listening: Deferred[Any] = succeed(object())
        self.manager.endWith(self.reactor, listening)
        self.successResultOf(self.stopping())

    def test_twice(self) -> None:
        """
        It is said once.
        """
        self.manager.endWith(self.reactor)
        with self.assertRaisesRegex(SessionError, "once is right"):
            self.manager.endWith(self.reactor)

    def test_tooLate(self) -> None:
        """
        A reactor that was stopped ends nothing.
        """
        reactor: Any = SelectReactor()
        reactor.callWhenRunning(reactor.stop)
        late: list[object] = []

        def stopped() -> None:
            late.append(self.assertRaises(SessionError, self.manager.endWith, reactor))

        reactor.addSystemEventTrigger("before", "shutdown", stopped)
        reactor.run(installSignalHandlers=False)
        self.assertIn("too late", str(late[0]))
        with self.assertRaisesRegex(SessionError, "too late"):
            self.manager.endWith(reactor)

    def test_noReactor(self) -> None:
        """
        What is no reactor is refused, be it a clock.
        """
        for wrong in None, 10.0, self.clock, Port():
            with self.assertRaisesRegex(TypeError, "takes the reactor"):
                self.manager.endWith(wrong)

    def test_listensNot(self) -> None:
        """
        What does not listen is refused, and says what is right.
        """
        for wrong in 10.0, None, "tcp:8080":
            with self.assertRaisesRegex(TypeError, "drain=SECONDS"):
                self.manager.endWith(self.reactor, wrong)

    def test_drain(self) -> None:
        """
        So is a time that is none.  What was refused was not said.
        """
        wrong: list[Any] = [-1, float("nan"), float("inf"), "10", None]
        for drain in wrong:
            with self.assertRaisesRegex(ValueError, "a number of seconds"):
                self.manager.endWith(self.reactor, drain=drain)
            with self.assertRaisesRegex(ValueError, "a number of seconds"):
                self.manager.end(drain=drain)
        self.manager.endWith(self.reactor, drain=0)
        self.successResultOf(self.stopping())


class EndTests(EndingCase):
    """
    L{SessionManager.end}.
    """

    def test_again(self) -> None:
        """
        Whoever says it later waits for the same end.
        """
        stored: Deferred[None] = Deferred()
        store = Store(self.clock)
        store.close = lambda: stored  # type: ignore[method-assign]  # slow
        self.manager = SessionManager(store, Express(secrets=["x"]), self.clock)
        ends = [self.manager.end(), self.manager.end()]
        for end in ends:
            self.assertNoResult(end)
        stored.callback(None)
        for end in [*ends, self.manager.end()]:
            self.successResultOf(end)

    def test_hub(self) -> None:
        """
        Hubs leave when sessions are stored.
        """
        buses: list[Any] = []
        for _ in range(2):
            hub = Hub(SessionSockets(self.manager))
            buses.append(hub._bus)
        ended = self.manager.end()
        self.clock.advance(0)
        self.successResultOf(ended)
        self.assertEqual([bus._isClosed for bus in buses], [True, True])

    def test_all(self) -> None:
        """
        All who use the sessions go away; those that nobody has any more are
        not kept for that.
        """
        one, two = SessionSockets(self.manager), SessionSockets(self.manager)
        self.assertEqual(len(self.manager._ending._guests), 2)
        del two
        gc.collect()
        self.assertEqual(len(self.manager._ending._guests), 1)
        self.successResultOf(self.manager.end())
        self.assertTrue(one._isGoingAway)
