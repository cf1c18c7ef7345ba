"""
The examples of C{examples/webapps}, started as users start them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.support.servers import SECRET, STARTING, Conditions, reactor
from tests.support.visitors import Answer, Socket, Visitor


__all__ = ["EXAMPLES", "Shop", "open_"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "webapps"


class _Start(ProcessProtocol, Conditions):
    """
    The one command, at work.
    """

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.said = ""
        self.status: int | None = None

    @property
    def address(self) -> re.Match[str] | None:
        """
        Which page it tells users to open.
        """
        return re.search(r"Open (http://localhost:(\d+)/) ", self.said)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.said += data.decode()
        self.happened()

    def processEnded(self, reason: Failure) -> None:
        self.status = getattr(reason.value, "exitCode", None) or 0
        if getattr(reason.value, "signal", None) is not None:
            self.status = -1
        self.happened()


class Shop:
    """
    An example at work.

    @ivar url: Its page.

    @ivar port: The port of that; the sockets have the next one.

    @ivar pages: Visits it.
    """

    def __init__(self, url: str, port: int) -> None:
        self.url = url
        self.port = port
        self.pages = Visitor(port)
        self._sockets = Visitor(port + 1)

    async def connect(self, origin: str = "") -> Socket:
        """
        Open a socket with the cookies of the pages.

        @param origin: Of the page that does; of this one unless given.
        """
        self._sockets.cookies = dict(self.pages.cookies)
        return await self._sockets.connect(origin=origin or self.url.rstrip("/"))

    async def post(self, path: str, **value: str) -> Answer:
        """
        Post something, as the page does.
        """
        token = self.pages.cookies.get("csrftoken", "")
        return await self.pages.post(
            path, value, Content_Type="application/json", X_CSRFToken=token
        )

    async def has(self) -> tuple[str | None, dict[str, int]]:
        """
        Who is logged in, and what is in the basket.
        """
        value = (await self.pages.get("/basket")).value
        return value["user"], value["basket"]


@asynccontextmanager
async def open_(name: str, directory: Path, **environment: str) -> AsyncIterator[Shop]:
    """
    Start an example with what is installed, and end it as Ctrl-C does.

    @param directory: For what it keeps.
    """
    start = _Start()
    command = [sys.executable, str(EXAMPLES / "start"), "--installed", "--port=0", name]
    given = {
        "DATABASE": str(directory / "db.sqlite3"),
        "REDIS_URL": "",
        "SESSION_SECRET": SECRET,
        **environment,
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    reactor.spawnProcess(
        start, command[0], command, {**inherited, **given}, str(directory)
    )
    try:
        await start.until(
            lambda: start.address or start.status is not None, patience=STARTING
        )
        assert start.address, start.said
        yield Shop(start.address[1], int(start.address[2]))
    finally:
        with suppress(ProcessExitedAlready):
            start.transport.signalProcess("INT")
        await start.until(lambda: start.status is not None)
    assert start.status == 0, start.said
