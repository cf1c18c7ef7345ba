"""
A socket that does what a client says, as C{server.js} does on the official server.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from txsessionsock.interfaces import StoreFailure
from txsessionsock.session import Session
from txsessionsock.socketio import Namespace, Recovery, SocketIO, SocketIOSocket


__all__ = ["Chat", "chatting"]


class Chat(SocketIOSocket):
    """
    Counts, echoes, asks and tells.  Who is in the room C{observers} is told who comes
    and goes.
    """

    main: ClassVar[SocketIO]
    here: ClassVar[Namespace]

    def sessionConnected(self, session: Session) -> None:
        self.taken: list[Any] = []
        self._happened("come", self.namespace)

    def sessionDisconnected(self, session: Session, code: int) -> None:
        session["left"] = self.reason
        self._happened("gone", self.reason)

    def sessionError(self, failure: Failure) -> object:
        # That is what tests of outages are about.
        return None if failure.check(StoreFailure) else super().sessionError(failure)

    def _happened(self, what: str, detail: str) -> None:
        telling = self.main.to("observers").emit("happened", what, self.id, detail)
        # Without a bus, those of this node were told.
        telling.addErrback(Failure.trap, StoreFailure)

    def _session(self) -> Session:
        assert self.session is not None
        return self.session

    def on_add(self, key: str) -> int:
        session = self._session()
        session[key] = session.get(key, 0) + 1
        return int(session[key])

    def on_addLoudly(self, key: str) -> int:
        number = self.on_add(key)
        self.emit("told", number)
        return number

    def on_increment(self, key: str) -> int:
        session = self._session()
        session.increment(key)
        return int(session[key])

    def on_get(self, key: str) -> tuple[Any]:
        # A handler that returns None has no answer.
        return (self._session().get(key),)

    def on_where(self) -> str:
        return self.namespace

    def on_process(self) -> int:
        return os.getpid()

    def on_echo(self, *args: Any) -> None:
        self.emit("echo", *args)

    def on_plain(self, *args: Any) -> tuple[Any, ...]:
        return args

    async def on_coroutine(self, *args: Any) -> tuple[Any, ...]:
        return await succeed(args)

    def on_deferred(self, *args: Any) -> Deferred[tuple[Any, ...]]:
        later: Deferred[tuple[Any, ...]] = Deferred()
        self._sessionsock.sockets.manager.reactor.callLater(0, later.callback, args)
        return later

    async def on_question(self, *args: Any) -> None:
        self.emit("answered", await self.call("ask", *args))

    def on_count(self, times: int) -> None:
        for n in range(times):
            self.emit("n", n)

    def on_take(self, n: Any) -> None:
        self.taken.append(n)

    def on_taken(self) -> list[Any]:
        return self.taken

    def on_leave(self) -> None:
        self.disconnect()

    def on_leaveAll(self) -> None:
        self.disconnect(close=True)

    def on_close(self) -> None:
        self.close(1012)

    def on_login(self, name: str) -> tuple[()]:
        self._session()["user"] = name
        return ()

    def on_join(self, *rooms: str) -> tuple[()]:
        self.join(*rooms)
        return ()

    def on_part(self, room: str) -> tuple[()]:
        self.leave(room)
        return ()

    def on_rooms(self) -> list[str]:
        return sorted(self.rooms - {self.id})

    def on_tell(self, how: dict[str, Any]) -> Any:
        group = self.broadcast if how["from"] == "socket" else self.here
        if how["to"]:
            group = group.to(*how["to"])
        if how["but"]:
            group = group.except_(*how["but"])
        if how["isVolatile"]:
            group = group.volatile
        return group.emit(*how["event"])


def chatting(recovery: Recovery | None) -> SocketIO:
    """
    A server where one chats in two namespaces, which is still without sessions.
    """
    io = SocketIO(recovery=recovery)
    for here in io, io.of("/other"):
        here.protocol = type("Chatting", (Chat,), {"main": io, "here": here})
    return io
