# -*- test-case-name: tests.real.redis.test_redis_sentinel -*-
"""
The sentinels of a Redis: which server is the master now, and when that may have
changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from txsessionsock.interfaces import StoreUnavailable

from .address import RedisAddress
from .resp import encode


__all__ = ["Master", "Sentinels"]

Master = tuple[str, int]
"""
Host and port.
"""

_GRACE = 0.2
"""
How many seconds to wait for other sentinels when one has answered, and most
have not.
"""

_SWITCHED = b"+switch-master"


class Sentinels:
    """
    The sentinels of one address.  Any one of them may be dead, or have missed
    the last fail-over, or be cut off from the others and still take the old
    master for one.
    """

    def __init__(
        self,
        address: RedisAddress,
        reactor: Any,
        timeout: float,
        to: Callable[[str, int], IStreamClientEndpoint],
    ) -> None:
        """
        @param timeout: How many seconds one has to answer.

        @param to: Makes an endpoint that leads to a host and port.
        """
        self._address = address
        self._reactor = reactor
        self._timeout = timeout
        self._ends = [to(host, port) for host, port in address.hosts]
        self._most = len(self._ends) // 2 + 1
        self._services: list[ClientService] = []
        self._problem = ""

    async def master(self) -> Master:
        """
        Ask all sentinels at once, and believe what most of those that answer
        say.

        @raise StoreUnavailable: None of them knows.
        """
        for master, _ in (await self._ask()).most_common(1):
            return master
        why = self._problem and f": {self._problem}"
        raise StoreUnavailable(f"no sentinel knows where the master is{why}")

    async def deny(self, master: Master) -> bool:
        """
        Whether most sentinels agree that another server is the master.
        """
        said = (await self._ask()).most_common(1)
        return any(each != master and votes >= self._most for each, votes in said)

    async def _ask(self) -> Counter[Master]:
        said: Counter[Master] = Counter()
        enough: Deferred[None] = Deferred()
        grace: list[Deferred[None]] = []

        def isEnough(_: object = None) -> None:
            if not enough.called:
                enough.callback(None)

        def answered(master: Master | None) -> None:
            if master is None:
                self._problem = "there is none of that name"
            elif not enough.called:
                said[master] += 1
                if said[master] == self._most:
                    isEnough()
                elif not grace:
                    grace.append(deferLater(self._reactor, _GRACE, isEnough))

        def failed(failure: Failure) -> None:
            if not failure.check(CancelledError):
                self._problem = failure.getErrorMessage()

        asking = [self._asked(end) for end in self._ends]
        for question in asking:
            question.addCallbacks(answered, failed)
        DeferredList(asking).addCallback(isEnough)
        try:
            await enough
        finally:
            waiting: list[Deferred[Any]] = [*asking, *grace]
            for each in waiting:
                each.addErrback(lambda _: None).cancel()
        return said

    def _asked(self, end: IStreamClientEndpoint) -> Deferred[Master | None]:
        async def ask() -> Master | None:
            connecting: Deferred[Any] = end.connect(
                _SpeakerFactory(_MasterQuestion, self._address)
            )
            question: _MasterQuestion = await connecting
            try:
                return await question.answer
            finally:
                question.hangUp()

        return Deferred.fromCoroutine(ask()).addTimeout(self._timeout, self._reactor)

    def watch(self, changed: Callable[[], object]) -> None:
        """
        Have a function called, until L{close}, whenever one of them may have
        learnt of another master.
        """
        if self._services:
            return
        for end in self._ends:
            factory = _SpeakerFactory(_SwitchListener, self._address, changed)
            service = ClientService(end, factory, clock=self._reactor)
            self._services.append(service)
            service.startService()

    def close(self) -> Deferred[Any]:
        """
        Disconnect.
        """
        services, self._services = self._services, []
        return DeferredList([service.stopService() for service in services])


class _SpeakerFactory(Factory):
    noisy = False

    def __init__(
        self,
        speaker: Callable[[], _Speaker],
        address: RedisAddress,
        changed: Callable[[], object] = lambda: None,
    ) -> None:
        self.address = address
        self.changed = changed
        self._speaker = speaker

    def buildProtocol(self, addr: object) -> Any:
        speaker = self._speaker()
        speaker.factory = self
        return speaker


class _Speaker(LineReceiver):
    """
    Speaks to a sentinel.  A sentinel answers with lists of strings: each string
    is on a line of its own, after a line with its length.
    """

    factory: _SpeakerFactory
    transport: Any

    def say(self, *command: bytes) -> None:
        """
        Say who we are, and send a command.
        """
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpKeepAlive(True)
        address = self.factory.address
        if address.sentinelPassword is not None:
            user = (address.sentinelUser or "default").encode()
            self.transport.write(
                encode(b"AUTH", user, address.sentinelPassword.encode())
            )
        self.transport.write(encode(*command))


class _MasterQuestion(_Speaker):
    """
    Asks where the master is.

    @ivar answer: A L{Deferred} of the answer; L{None} if there is no master of
        that name, and a failure if it is no sentinel.
    """

    def __init__(self) -> None:
        self.answer: Deferred[Master | None] = Deferred()
        self._host: str | None = None

    def connectionMade(self) -> None:
        service = self.factory.address.service or ""
        self.say(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service.encode())

    def lineReceived(self, line: bytes) -> None:
        if line[:1] == b"+" or line[:1] == b"$" or line == b"*2":
            pass
        elif line[:1] == b"*":
            self._end(None)
        elif line[:1] == b"-":
            self._fail(line[1:].decode("utf-8", "replace"))
        else:
            text = line.decode("utf-8", "replace")
            if self._host is None:
                self._host = text
            else:
                self._end((self._host, int(text)) if text.isdigit() else None)

    def _end(self, master: Master | None) -> None:
        if not self.answer.called:
            self.answer.callback(master)

    def _fail(self, problem: str) -> None:
        if not self.answer.called:
            self.answer.errback(StoreUnavailable(problem))

    def connectionLost(self, reason: Any = None) -> None:
        self._fail("the sentinel closed the connection")

    def hangUp(self) -> None:
        """
        Close the connection.
        """
        self.answer.addErrback(lambda _: None)
        self.transport.abortConnection()


class _SwitchListener(_Speaker):
    """
    Hears of each fail-over.
    """

    def connectionMade(self) -> None:
        self.say(b"SUBSCRIBE", _SWITCHED)

    def lineReceived(self, line: bytes) -> None:
        service = (self.factory.address.service or "").encode()
        # The answer to SUBSCRIBE counts as well: there may have been a fail-over
        # just before it.
        if line == b":1" or line.startswith(service + b" "):
            self.factory.changed()
