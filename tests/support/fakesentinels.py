"""
Sentinels that say what a test wants.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.support.servers import Conditions, reactor
from txsessionsock._redis.resp import encode


__all__ = ["FakeSentinel", "fakeSentinels", "urlOf"]


class _Speaker(Protocol):
    factory: FakeSentinel
    transport: Any

    def connectionMade(self) -> None:
        self.factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        said = self.factory
        if said.hangs:
            return
        if b"SUBSCRIBE" in data:
            said.listeners.append(self)
            self.transport.write(
                b"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n"
            )
        elif said.master:
            said.asked += 1
            self.transport.write(encode(b"127.0.0.1", b"%d" % said.master))
        else:
            said.asked += 1
            self.transport.write(b"*-1\r\n")
        said.happened()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        said = self.factory
        said.connections.remove(self)
        if self in said.listeners:
            said.listeners.remove(self)
        said.happened()


class FakeSentinel(Factory, Conditions):
    """
    @ivar master: On which port it says the master to be.

    @ivar hangs: Whether it says nothing at all.

    @ivar asked: How often it was asked.

    @ivar listeners: Who listens to what it announces.
    """

    noisy = False

    def __init__(self, master: int) -> None:
        super().__init__()
        self.master = master
        self.hangs = False
        self.asked = 0
        self.port = 0
        self.connections: list[_Speaker] = []
        self.listeners: list[_Speaker] = []
        self._listening: Any = None

    def buildProtocol(self, addr: object) -> Any:
        speaker = _Speaker()
        speaker.factory = self
        return speaker

    async def isHeard(self) -> None:
        """
        Wait until somebody listens.
        """
        await self.until(lambda: self.listeners)

    def announce(self, service: str = "mymaster") -> None:
        """
        Tell who listens.
        """
        switch = f"{service} 127.0.0.1 1 127.0.0.1 {self.master}".encode()
        said = encode(b"message", b"+switch-master", switch)
        for listener in self.listeners:
            listener.transport.write(said)

    async def start(self) -> None:
        """
        Be there; on the same port as before.
        """
        endpoint = TCP4ServerEndpoint(reactor, self.port, interface="127.0.0.1")
        self._listening = await endpoint.listen(self)
        self.port = self._listening.getHost().port

    async def stop(self) -> None:
        """
        Be there no more.
        """
        if self._listening is not None:
            listening, self._listening = self._listening, None
            await maybeDeferred(listening.stopListening)
        for connection in list(self.connections):
            connection.transport.abortConnection()
        await self.until(lambda: not self.connections)


@asynccontextmanager
async def fakeSentinels(*masters: int) -> AsyncIterator[list[FakeSentinel]]:
    """
    Run some, until the end of the block.
    """
    made = [FakeSentinel(master) for master in masters]
    async with AsyncExitStack() as stack:
        for each in made:
            await each.start()
            stack.push_async_callback(each.stop)
        yield made


def urlOf(sentinels: list[FakeSentinel]) -> str:
    """
    Where they are.
    """
    hosts = ",".join(f"127.0.0.1:{each.port}" for each in sentinels)
    return f"redis+sentinel://{hosts}/mymaster/0"
