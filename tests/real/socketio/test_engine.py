"""
Tests for L{txsessionsock.socketio.engine} on real connections, plain and over TLS: what
depends on how a transport takes bytes, and how it ends.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from gzip import decompress
from typing import Any

import pytest

from tests.support.doors import Door, Entrance, Visitor, frame, handshake
from tests.support.engines import BareIO, Recording
from tests.support.redisscene import quiet
from tests.support.servers import SECRET, inReactor, reactor
from txsessionsock.clients import SessionSockets
from txsessionsock.frameworks.express import Express
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.origins import Origins
from txsessionsock.protocol import Equipment
from txsessionsock.socketio import SocketIOResource
from txsessionsock.socketio.engine import Engine
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.web import BoundedSite


DOORS = Door(isSite=True, isTLS=False), Door(isSite=True, isTLS=True)

each = pytest.mark.parametrize("door", DOORS, ids=str)

GOOD = "EIO=4&transport=polling"

LIMITS = Limits(unsentTimeout=0.5, messageSize=30_000_000, unsentBytes=1_000_000)

ENDLESS = b"4" + b"x" * 29_999_999
"""
More than the buffers of a system have room for.
"""


class Scene:
    """
    A server, and a client by polling.
    """

    entrance: Entrance

    def __init__(self, limits: Limits) -> None:
        manager = SessionManager(MemoryStore(reactor), Express([SECRET]), reactor)
        sockets = SessionSockets(manager, limits=limits)
        self.made: list[Recording] = []
        equipment = Equipment(sockets, Origins(), trustProxy=False)
        self.engine = Engine(equipment, reactor, self._connected)

    def _connected(self, connection: Any) -> Recording:
        self.made.append(Recording(connection))
        return self.made[-1]

    @property
    def last(self) -> Recording:
        """
        What the connection has told that came last.
        """
        return self.made[-1]

    async def ask(
        self, visitor: Visitor, query: str, body: bytes | None = None, *more: str
    ) -> None:
        """
        Send a request.
        """
        lines = [
            f"{'GET' if body is None else 'POST'} /socket.io/?{query} HTTP/1.1",
            f"Host: 127.0.0.1:{self.entrance.port}",
            *more,
        ]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        visitor.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))

    async def answer(self, visitor: Visitor) -> tuple[bytes, bytes]:
        """
        Wait for an answer.

        @return: Its head, and its body.
        """
        head = await visitor.head()
        size = int(head.lower().partition(b"content-length:")[2].split()[0])
        await visitor.until(lambda: len(visitor.received) >= size)
        body, visitor.received = visitor.received[:size], visitor.received[size:]
        return head, body

    async def begin(self) -> tuple[Visitor, str]:
        """
        Begin by polling.

        @return: The connection, and the query of all further requests.
        """
        visitor = await self.entrance.connect()
        await self.ask(visitor, GOOD)
        _, body = await self.answer(visitor)
        return visitor, f"{GOOD}&sid={json.loads(body[1:])['sid']}"


@asynccontextmanager
async def scene(door: Door, limits: Limits = LIMITS) -> AsyncIterator[Scene]:
    """
    Serve until the block is left; then nothing is left.
    """
    made = Scene(limits)
    with quiet():
        async with door.open(
            made.engine.factory,
            site=lambda root: BoundedSite(root, reactor=reactor, limits=limits),
            pages={b"socket.io": SocketIOResource(BareIO(made.engine))},
        ) as made.entrance:
            yield made
            await made.entrance.until(lambda: not len(made.engine))
            assert not len(made.engine.equipment.admission)
            await made.entrance.until(
                lambda: all(len(x.losses) == 1 for x in made.made)
            )


@each
@inReactor
async def test_upgrade(door: Door) -> None:
    """
    From polling to WebSocket, on a connection that had requests before.
    """
    async with scene(door) as made:
        visitor, query = await made.begin()
        await made.ask(visitor, query, b"4one")
        assert (await made.answer(visitor))[1] == b"ok"
        query = query.replace("polling", "websocket")
        visitor.send(handshake(path=f"/socket.io/?{query}") + frame(b"2probe"))
        assert (await visitor.head()).startswith(b"HTTP/1.1 101 ")
        await visitor.until(lambda: visitor.received.endswith(b"3probe"))
        made.last.connection.send([(b"4a", False)])
        visitor.send(frame(b"5") + frame(b"4two"))
        await visitor.until(lambda: visitor.received.endswith(b"\x81\x024a"))
        await made.entrance.until(lambda: made.last.texts == [b"one", b"two"])
        visitor.leave()


@each
@inReactor
async def test_large(door: Door) -> None:
    """
    An answer of many bytes arrives as it was, whether the client reads at once, takes
    its time, or has it compressed.
    """
    message = b"4" + bytes(range(97, 123)) * 100_000
    async with scene(door) as made:
        visitor, query = await made.begin()
        for how in "at once", "slowly", "small":
            more = ["Accept-Encoding: gzip"] if how == "small" else []
            await made.ask(visitor, query, None, *more)
            if how == "slowly":
                visitor.transport.pauseProducing()
            await made.entrance.until(lambda: made.last.connection.isWritable)
            made.last.connection.send([(message, False)])
            if how == "slowly":
                unsent = made.last.connection.unsent
                assert unsent > LIMITS.unsentBytes
                await made.entrance.turn()
                visitor.transport.resumeProducing()
            head, body = await made.answer(visitor)
            body = decompress(body) if how == "small" else body
            assert body == message, (how, head)
            await made.entrance.until(lambda: not made.last.connection.unsent)
        await made.ask(visitor, query, b"1")
        await made.answer(visitor)
        assert made.last.reliefs


@each
@inReactor
async def test_notRead(door: Door) -> None:
    """
    A client that does not read its answer is cut off, with what is left of it.
    """
    async with scene(door) as made:
        visitor, query = await made.begin()
        await made.ask(visitor, query)
        visitor.transport.pauseProducing()
        await made.entrance.until(lambda: made.last.connection.isWritable)
        made.last.connection.send([(ENDLESS, False)])
        assert made.last.connection.unsent > LIMITS.unsentBytes
        await made.entrance.until(lambda: made.last.losses)
        assert made.last.losses == [(1006, "transport error")]
        visitor.transport.resumeProducing()
        await visitor.ended()
        assert len(visitor.received) < len(ENDLESS)


@each
@inReactor
async def test_left(door: Door) -> None:
    """
    A client that leaves, with a poll that waits, in the middle of its answer, or of
    what it sends, is gone at once.
    """
    async with scene(door) as made:
        for how in "waits", "reads", "sends":
            visitor, query = await made.begin()
            if how == "sends":
                head = f"POST /socket.io/?{query} HTTP/1.1\r\nHost: a\r\n"
                visitor.send(f"{head}Content-Length: 9\r\n\r\n4".encode())
                await made.entrance.turn()
            else:
                await made.ask(visitor, query)
                await made.entrance.until(lambda: made.last.connection.isWritable)
            if how == "reads":
                visitor.transport.pauseProducing()
                made.last.connection.send([(ENDLESS, False)])
            await made.entrance.turn()
            visitor.leave()
            await made.entrance.until(lambda: made.last.losses)
            assert made.last.losses == [(1006, "transport error")], how
