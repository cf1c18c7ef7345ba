"""
A client of Socket.IO that knows no more of it than the tests that use it.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tests.support.visitors import Answer, Socket, Visitor


__all__ = ["PLACE", "EventSocket", "PollingClient", "events"]

PLACE = "/socket.io/?EIO=4&transport="


class EventSocket(Socket):
    """
    The client's end of a WebSocket.
    """

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.received.append(payload.decode())
        self.conditions.happened()

    async def says(self, packet: str) -> str:
        """
        Send a packet.

        @return: The next one that comes.
        """
        self.sendMessage(packet.encode())
        answer: str = await self.next()
        return answer


async def events(visitor: Visitor, path: str = PLACE) -> EventSocket:
    """
    Open a connection of Engine.IO by WebSocket.
    """
    socket = await visitor.open(EventSocket, f"{path}websocket")
    first = await socket.next()
    assert first.startswith("0{"), first
    return socket


class PollingClient:
    """
    A connection by long-polling.
    """

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._path = f"{PLACE}polling"

    async def open(self) -> Answer:
        """
        Ask for a connection.
        """
        answer = await self._visitor.get(self._path)
        if answer.code == 200:
            sid = json.loads(answer.body[1:])["sid"]
            self._path += f"&sid={quote(sid)}"
        return answer

    async def says(self, packet: str) -> Any:
        """
        Send a packet.

        @return: What the next poll brings.
        """
        sent = await self._visitor.send(self._path, packet.encode())
        assert (sent.code, sent.body) == (200, b"ok"), sent
        return (await self._visitor.get(self._path)).body.decode()
