# -*- test-case-name: tests.simulation.test_world -*-
"""
Tabs of browsers: each has one socket at a time, sends without waiting, and comes
back when it lost the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from txsessionsock.interfaces import SessionID

from .history import History
from .messages import Message
from .node import Node, Wire
from .queue import Queue


__all__ = ["Tab"]

_FINAL = (1000, 4401, 4408, 4400)
"""
The codes after which a client does not come again by itself.
"""


class Tab:
    """
    One tab.
    """

    def __init__(
        self,
        name: str,
        queue: Queue,
        history: History,
        *,
        cookie: Callable[[], SessionID],
        nodes: Callable[[], list[Node]],
        reply: Callable[[], Message],
        latency: float,
    ) -> None:
        """
        @param cookie: The session that its browser has now.

        @param nodes: Those that it may be connected to.

        @param reply: What it answers when it is asked something.
        """
        self.name = name
        self._queue = queue
        self._history = history
        self._cookie = cookie
        self._nodes = nodes
        self._reply = reply
        self._latency = latency
        self._numbers = count(1)
        self._wire: Wire | None = None
        self._isLeaving = False

    def connect(self) -> None:
        """
        Open a socket, unless there is one.
        """
        nodes = self._nodes()
        if self._wire is not None or self._isLeaving:
            return
        if not nodes:
            self._queue.after(0.5, self.connect)
            return
        node = self._queue.random.choice(nodes)
        name = f"{self.name}.{next(self._numbers)}"
        wire = self._wire = Wire(node.clock, name, self._latency)
        wire.heard = partial(self._heard, wire)
        wire.ended = partial(self._ended, wire)
        sessionID = self._cookie()
        self._history.note("connects", name, node=node.name, session=sessionID)
        wire.up(partial(node.accept, wire, sessionID))

    def send(self, message: Message) -> None:
        """
        Send something, if there is a socket.
        """
        wire = self._wire
        if wire is None:
            self.connect()
            return

        def arrived() -> None:
            if wire.served is not None:
                wire.served.arrived(message)

        self._history.note("sends", wire.name, token=message.token, do=message.do)
        wire.up(arrived)

    def cut(self) -> None:
        """
        Lose the connection.
        """
        if self._wire is not None:
            self._history.note("loses", self._wire.name)
            self._wire.cut()

    def leave(self, *, forGood: bool = False) -> None:
        """
        Close the socket.
        """
        self._isLeaving = self._isLeaving or forGood
        wire, self._wire = self._wire, None
        if wire is None:
            return
        self._history.note("leaves", wire.name)

        def arrived() -> None:
            if wire.served is not None:
                wire.served.lost(1001)

        wire.up(arrived)

    def _heard(self, wire: Wire, said: dict[str, Any], *, asks: bool) -> None:
        if wire is self._wire:
            self._history.note("is asked" if asks else "hears", wire.name, **said)
            if asks:
                self.send(self._reply())

    def _ended(self, wire: Wire, code: int) -> None:
        def answered() -> None:
            if wire.served is not None:
                wire.served.closeAnswered(code)

        wire.up(answered)
        if wire is not self._wire:
            return
        self._wire = None
        self._history.note("ended", wire.name, code=code)
        if code not in _FINAL and not self._isLeaving:
            self._queue.after(self._queue.random.uniform(0.1, 1.0), self.connect)
