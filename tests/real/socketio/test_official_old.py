"""
Clients that are too old for our server.
"""

from __future__ import annotations

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.support.servers import Conditions, inReactor
from tests.support.socketioclients import socketIOIsThere
from tests.support.socketioservers import scene
from tests.support.visitors import Visitor


pytestmark = [socketIOIsThere]


@implementer(ILogObserver)
class Log(Conditions):
    """
    What anybody says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))
        self.happened()


@inReactor
async def test_refused() -> None:
    """
    Clients of version 2 are refused on both transports, and the log says which
    version is right.
    """
    log = Log()
    globalLogPublisher.addObserver(log)
    try:
        async with scene("ours", "old-polling") as made:
            once = {"reconnection": False}
            for kind in "old-polling", "old-websocket":
                socket = await made.open(kind, isConnected=False, options=once)
                await socket.happens("connect_error")
                assert socket.details("connect") == []
            await log.until(lambda: "right is socket.io-client" in "".join(log.lines))
    finally:
        globalLogPublisher.removeObserver(log)


@pytest.mark.parametrize("query", ["EIO=3&transport=polling", "transport=polling"])
@inReactor
async def test_theProtocolsError(query: str) -> None:
    """
    What it gets is the error that the protocol has for that.
    """
    async with scene("ours", "polling") as made:
        port = int(made.server.url("polling").rpartition(":")[2])
        answer = await Visitor(port).get(f"/socket.io/?{query}")
        assert answer.code == 400
        assert answer.value == {"code": 5, "message": "Unsupported protocol version"}
