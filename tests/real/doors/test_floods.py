"""
A client that sends much at once, by each door: others do not wait for it, and what it
sent is handled.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.doors import DOORS, Door, Visitor, cookieOf, frame, sessionFactory
from tests.support.servers import inReactor
from txsessionsock.limits import Limits
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session


_MORE, _CLOSE, _PING = 0, 8, 9

_SIZE = 60_000
"""
How many bytes a flood has: less than is read at once.
"""


class Flooded(SessionSocketProtocol):
    """
    Answers, and knows how much of a flood was handled when somebody else came.
    """

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        factory: Any = self.factory
        if message == "flood":
            factory.flooded = self
            factory.other.send(frame(b'"other"'))
        elif message == "other":
            stats = factory.flooded.trafficStats
            factory.then = stats.outgoingOctetsWireLevel + stats.incomingWebSocketFrames
        factory.handled += 1
        self.send(message)


async def shaken(entrance: Any) -> Visitor:
    """
    Come in, with a session.
    """
    visitor: Visitor = await entrance.shake(
        f"Cookie: {await cookieOf(entrance.factory, n=1)}"
    )
    return visitor


@pytest.mark.parametrize("door", DOORS, ids=str)
@pytest.mark.parametrize(
    "kind",
    [frame(b"1"), frame(b"x", _PING), frame(b"", _MORE, final=False)],
    ids=["messages", "pings", "fragments"],
)
@inReactor
async def test_others(kind: bytes, door: Door) -> None:
    """
    While 60 kB of the smallest frames are handled, somebody else's message is.
    """
    factory = sessionFactory(Flooded, limits=Limits(fragments=_SIZE))
    factory.handled = 0
    factory.then = None
    async with door.open(factory) as entrance:
        factory.other = await shaken(entrance)
        flooder = await shaken(entrance)
        begin = frame(b'"flood"')
        if kind[0] == _MORE:
            begin += frame(b"1", final=False)
        count = _SIZE // len(kind)
        flooder.send(begin + kind * count)
        await entrance.until(lambda: factory.then is not None)
        assert factory.then < count / 2, (factory.then, count)


@pytest.mark.parametrize("door", DOORS, ids=str)
@inReactor
async def test_fragments(door: Door) -> None:
    """
    A message in more than 1024 frames ends the connection with 1009.
    """
    async with door.open(sessionFactory()) as entrance:
        visitor = await shaken(entrance)
        visitor.send(frame(b"1", final=False) + frame(b"", _MORE, final=False) * 1024)
        await visitor.until(lambda: visitor.received[2:4] == (1009).to_bytes(2, "big"))
        assert visitor.received[0] == 0x80 | _CLOSE


@pytest.mark.parametrize("door", DOORS, ids=str)
@inReactor
async def test_leaves(door: Door) -> None:
    """
    All is handled of a client that sends much and leaves at once.
    """
    factory = sessionFactory(Flooded)
    factory.handled = 0
    async with door.open(factory) as entrance:
        visitor = await shaken(entrance)
        visitor.send(frame(b"1") * 5000)
        visitor.transport.loseConnection()
        await entrance.until(lambda: not factory.countConnections)
        assert factory.handled == 5000
