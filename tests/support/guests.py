"""
Clients that know nothing of Twisted: those of the package C{websockets} and of the
standard library, by whatever way a server has.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from tests.support.certificates import Certificates
from tests.support.servers import PATIENCE, reactor


__all__ = ["Guest", "Way", "through"]


@dataclass(frozen=True)
class Way:
    """
    A way into a server.

    @ivar reach: Connects.

    @ivar authority: What a browser has for the host.

    @ivar made: Those of the server, if it speaks TLS.

    @ivar pages: How pages are reached, if otherwise than sockets.
    """

    reach: Callable[[], socket.socket]
    authority: str
    made: Certificates | None = None
    pages: Callable[[], socket.socket] | None = None

    @property
    def secure(self) -> str:
        """
        C{s}, if it is.
        """
        return "s" if self.made else ""

    @property
    def context(self) -> ssl.SSLContext | None:
        """
        Whom clients trust.
        """
        if self.made is None:
            return None
        return ssl.create_default_context(cafile=str(self.made.authority))


class Guest:
    """
    Comes through a way.  Pages block.

    Sockets are those of asyncio: the blocking client of C{websockets} reads and writes
    TLS in two threads, which OpenSSL does not allow.  Of 6,000 connections to an idle
    server 17 failed so.
    """

    cookie = ""

    def __init__(self, way: Way) -> None:
        self._way = way

    def ask(self, method: str, path: str) -> bytes:
        """
        Ask for a page.
        """
        way = self._way
        made = (way.pages or way.reach)()
        made.settimeout(PATIENCE)
        if way.context is not None:
            made = way.context.wrap_socket(made, server_hostname="localhost")
        connection = http.client.HTTPConnection(way.authority)
        connection.sock = made
        try:
            headers = {"Host": way.authority, "Cookie": self.cookie}
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, (answer.status, body)
        finally:
            connection.close()
        said = answer.getheader("set-cookie")
        if said:
            assert ("Secure" in said.split("; ")) is bool(way.secure), said
            self.cookie = said.partition(";")[0]
        return body

    def connect(self, origin: str | None = None) -> Any:
        """
        Open a socket.

        @return: An asynchronous context manager of a C{ClientConnection}.
        """
        way = self._way
        secure: dict[str, Any] = {}
        if way.context is not None:
            secure = {"ssl": way.context, "server_hostname": "localhost"}
        own = f"http{way.secure}://{way.authority}"
        return connect(
            f"ws{way.secure}://{way.authority}/ws",
            sock=way.reach(),
            origin=Origin(origin or own),
            additional_headers={"Cookie": self.cookie},
            open_timeout=PATIENCE,
            close_timeout=PATIENCE,
            **secure,
        )

    async def visit(self, stop: Callable[[], object]) -> list[str]:
        """
        Begin a session, use it in a socket, see that others may not, and log out;
        and once more, but then the server stops.

        @return: What the server said of us.
        """
        self.ask("POST", "/add?n")
        async with self.connect() as client:
            assert await said(client, ["add", "n"]) == 2
            who: list[str] = await said(client, "who")
            for other in "https://a.example", "null":
                await self._isRefused(other)
            self.ask("POST", "/logout")
            assert await closed(client) == (4401, "session-destroyed")
        self.ask("POST", "/add?n")
        async with self.connect() as client:
            assert await said(client, ["add", "n"]) == 2
            stop()
            assert await closed(client) == (1001, "server going away")
        return who

    async def _isRefused(self, origin: str) -> None:
        try:
            async with self.connect(origin):
                raise AssertionError(f"{origin} was let in")
        except InvalidStatus as error:
            assert error.response.status_code == 403


async def said(client: ClientConnection, message: object) -> Any:
    """
    @return: The answer.
    """
    await client.send(json.dumps(message))
    async with asyncio.timeout(PATIENCE):
        return json.loads(await client.recv())


async def closed(client: ClientConnection) -> tuple[int, str]:
    """
    Wait until it is closed.

    @return: How.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            message = await client.recv()
    except ConnectionClosed as error:
        assert error.rcvd is not None
        return error.rcvd.code, error.rcvd.reason
    raise AssertionError(f"not closed, but said {message!r}")


async def through(way: Way, stop: Callable[[], object]) -> list[str]:
    """
    Visit a server, and be there when it stops.

    @param stop: Has it do that.

    @return: What it said of us.
    """

    def visit() -> list[str]:
        guest = Guest(way)
        return asyncio.run(guest.visit(lambda: reactor.callFromThread(stop)))

    visiting: Deferred[list[str]] = deferToThread(visit)
    return await visiting
