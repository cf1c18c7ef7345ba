"""
The official clients of Socket.IO, in a process of Node.js that does as it is told.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from tests.support.npm import installedByNpm
from tests.support.programs import Program
from tests.support.servers import PATIENCE, Conditions, reactor


__all__ = [
    "DIRECTORY",
    "KINDS",
    "Clients",
    "Socket",
    "clients",
    "socketIOIsThere",
]

DIRECTORY = Path(__file__).parents[1] / "e2e" / "socketio"

socketIOIsThere = installedByNpm(DIRECTORY)

KINDS = ("websocket", "polling", "upgrade", "msgpack-websocket", "msgpack-polling")
"""
Which transports and which parser a client has.
"""


class Clients(Program):
    """
    A process with any number of clients.
    """

    def __init__(self) -> None:
        super().__init__("node", str(DIRECTORY / "clients.js"))
        self._rest = b""
        self._numbers = count(1)
        self._calls: dict[int, Deferred[Any]] = {}
        self._sockets: dict[str, Socket] = {}

    async def open(
        self,
        url: str,
        kind: str,
        *,
        isConnected: bool = True,
        beside: Socket | None = None,
        **settings: Any,
    ) -> Socket:
        """
        Open a client, and wait until it is connected.

        @param isConnected: Whether to wait for that.

        @param beside: Another one, whose connection it shares.

        @param settings: C{namespace}, C{auth}, C{isAuthFunction}, C{headers},
            C{cookie}, what to send in a C{burst} when it connects and again when
            it changes its transport, what to say C{first} whenever it has connected
            and, of the official client, C{options}.
        """
        cookie = settings.pop("cookie", "")
        socket = Socket(self, f"s{next(self._numbers)}", cookie)
        self._sockets[socket.name] = socket
        if cookie:
            settings.setdefault("headers", {})["Cookie"] = cookie
        if beside is not None:
            settings["beside"] = beside.name
        await self.call("open", socket.name, url=url, kind=kind, **settings)
        if isConnected:
            await socket.happens("connect")
        return socket

    def call(self, verb: str, socket: str, **command: Any) -> Deferred[Any]:
        """
        Have something done.

        @return: Its result.
        """
        assert not self.isGone, self.errors
        number = next(self._numbers)
        done: Deferred[Any] = Deferred()
        self._calls[number] = done
        line = {"call": number, "do": verb, "socket": socket, **command}
        self._process.write(json.dumps(line, default=_inBase64).encode() + b"\n")
        done.addTimeout(PATIENCE, reactor)
        return done

    def pause(self) -> None:
        """
        Have them all fall silent; their connections stay.
        """
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """
        Let them go on.
        """
        os.kill(self._process.pid, signal.SIGCONT)

    async def forgetAll(self) -> None:
        """
        Leave none of them.
        """
        await self.call("forget", "")
        self._sockets.clear()
        assert not self.errors, self.errors

    async def end(self) -> None:
        """
        Have the process end.
        """
        self.kill()
        await self.until(lambda: self.isGone)

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._heard(json.loads(line, object_hook=_fromBase64))

    def _heard(self, line: dict[str, Any]) -> None:
        if "call" not in line:
            socket = self._sockets.get(line["socket"])
            if socket is not None:
                socket.happened_(line["what"], line["details"])
            return
        done = self._calls.pop(line["call"])
        # It may have been waited for too long.
        if done.called:
            return
        if "error" in line:
            done.errback(AssertionError(line["error"]))
        else:
            done.callback(line["value"])


class Socket(Conditions):
    """
    One client, in one namespace.

    @ivar log: What happened to it: what, and the details.

    @ivar cookie: The header that it sends.
    """

    def __init__(self, clients: Clients, name: str, cookie: str) -> None:
        super().__init__()
        self.name = name
        self.cookie = cookie
        self.log: list[tuple[str, list[Any]]] = []
        self._clients = clients
        self._taken = 0

    def details(self, what: str) -> list[list[Any]]:
        """
        The details of all that happened of one kind.
        """
        return [details for each, details in self.log if each == what]

    def events(self, name: str | None = None) -> list[list[Any]]:
        """
        The events that came, or the arguments of those of a name.
        """
        events = self.details("event")
        if name is None:
            return events
        return [arguments for each, *arguments in events if each == name]

    async def happens(self, what: str, times: int = 1) -> list[Any]:
        """
        Wait until something happened, so many times since the beginning.

        @return: The details.
        """
        try:
            await self.until(lambda: len(self.details(what)) >= times)
        except Exception as error:
            raise AssertionError(f"no {what}, but {self.log[-20:]}") from error
        return self.details(what)[times - 1]

    async def hears(self, name: str, times: int = 1) -> list[Any]:
        """
        Wait for an event.

        @return: Its arguments.
        """
        try:
            await self.until(lambda: len(self.events(name)) >= times)
        except Exception as error:
            raise AssertionError(f"no {name}, but {self.log[-20:]}") from error
        return self.events(name)[times - 1]

    async def emit(self, *args: Any, isVolatile: bool = False) -> None:
        """
        Send an event.
        """
        await self._call("emit", args=args, isVolatile=isVolatile)

    async def emitMany(self, event: str, times: int) -> None:
        """
        Send so many, with their numbers.
        """
        await self._call("emitMany", event=event, times=times)

    async def askAll(self, *args: Any) -> Any:
        """
        Send an event, and wait for what is said to it.
        """
        return await self._call("ask", args=args, timeout=int(PATIENCE * 1000))

    async def ask(self, *args: Any) -> Any:
        """
        The same where that is one value.
        """
        (value,) = await self.askAll(*args)
        return value

    async def askMany(self, *args: Any, times: int) -> list[Any]:
        """
        Ask so often, at once.
        """
        milliseconds = int(PATIENCE * 1000)
        answers: list[Any] = await self._call(
            "askMany", args=args, times=times, timeout=milliseconds
        )
        return answers

    async def asks(self, milliseconds: int, *args: Any) -> bool:
        """
        @return: Whether there is an answer within that time.
        """
        try:
            await self._call("ask", args=args, timeout=milliseconds)
        except AssertionError:
            return False
        return True

    async def begin(self, *events: list[Any]) -> None:
        """
        Send these events in turn for ever, each when the one before is answered.

        @param events: With C{"$n"} for the number of the event.
        """
        milliseconds = int(PATIENCE * 1000)
        await self._call("traffic", events=events, timeout=milliseconds)

    async def more(self, times: int) -> None:
        """
        Wait for so many more answers.
        """
        wanted = times + await self._call("acked")
        end = reactor.seconds() + PATIENCE
        while await self._call("acked") < wanted:
            assert reactor.seconds() < end, self.log[-20:]

    async def stop(self) -> tuple[int, list[int]]:
        """
        Send no more of these.

        @return: How many were sent, and which were answered.
        """
        traffic = await self._call("stopTraffic")
        return traffic["sent"], traffic["acked"]

    async def change(self, **settings: Any) -> None:
        """
        Have C{auth} or C{headers} for the next connections.
        """
        await self._call("change", **settings)

    async def connect(self) -> None:
        """
        Connect, after it was told not to.
        """
        await self._call("connect")

    async def disconnect(self) -> None:
        """
        Leave the namespace.
        """
        await self._call("disconnect")

    async def drop(self) -> None:
        """
        Lose the connection.
        """
        await self._call("drop")

    async def babble(self, text: str) -> None:
        """
        Send what is no packet.
        """
        await self._call("babble", text=text)

    async def ignore(self) -> None:
        """
        Answer no calls any more.
        """
        await self._call("ignore")

    async def state(self) -> dict[str, Any]:
        """
        How it is.
        """
        state: dict[str, Any] = await self._call("state")
        return state

    def _call(self, verb: str, **command: Any) -> Deferred[Any]:
        return self._clients.call(verb, self.name, **command)

    def happened_(self, what: str, details: list[Any]) -> None:
        """
        Note it.
        """
        self.log.append((what, details))
        self.happened()


_kept: list[Clients] = []
"""
A process that has no clients.
"""


@asynccontextmanager
async def clients(*, isKept: bool = True) -> AsyncIterator[Clients]:
    """
    Have a process for clients: one that worked for earlier tests, or a new one if
    these failed.
    """
    made = _kept.pop() if isKept and _kept else Clients()
    try:
        yield made
        await made.forgetAll()
        if isKept:
            _kept.append(made)
    finally:
        if made not in _kept:
            await made.end()


@atexit.register
def _killAll() -> None:
    for each in _kept:
        each.kill()


def _inBase64(value: object) -> dict[str, str]:
    assert isinstance(value, bytes), value
    return {"$bytes": b64encode(value).decode()}


def _fromBase64(value: dict[str, Any]) -> Any:
    return b64decode(value["$bytes"]) if "$bytes" in value else value
