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
from .node import Node
from .queue import SECOND, Queue
from .wire import Cut, Wire


__all__ = ["Tab"]

_HANDSHAKE = 200
_HEAD = 20
_CLOSE_FRAME = 4
"""
About how many bytes these take.
"""

_GOING_AWAY = 1001

_OFTEN = 4
"""
After how many short connections in a row a client waits longer for the next.
"""

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
        self._nodeName = ""
        self._began = self._inVain = 0

    def connect(self) -> None:
        """
        Open a socket, unless there is one.
        """
        if self._wire is not None or self._isLeaving:
            return
        nodes = self._nodes()
        if not nodes:
            self._queue.after(0.5, self.connect)
            return
        node = self._queue.random.choice(nodes)
        name = f"{self.name}.{next(self._numbers)}"
        wire = self._wire = Wire(node.clock, name, self._latency)
        wire.heard = partial(self._heard, wire)
        wire.ended = partial(self._ended, wire)
        self._nodeName = node.name
        self._began = self._queue.now
        self._comes(node, wire, self._cookie())

    def _comes(self, node: Node, wire: Wire, sessionID: SessionID) -> None:
        self._history.note("connects", wire.name, node=node.name, session=sessionID)
        wire.up(_HANDSHAKE, partial(node.accept, wire, sessionID))

    def send(self, message: Message) -> None:
        """
        Send something, if there is a socket.
        """
        wire = self._wire
        if wire is None:
            self.connect()
            return

        size = _HEAD + len(message.key)

        def arrived() -> None:
            line: Any = wire.line
            line.came(partial(line.arrived, size, message))

        self._history.note("sends", wire.name, token=message.token, do=message.do)
        wire.up(size, arrived)

    def cut(self, how: Cut = "told", seconds: float = 0.0) -> None:
        """
        Lose the connection.
        """
        if self._wire is not None:
            self._history.note("loses", self._wire.name, how=how, seconds=seconds)
            self._wire.cut(how, seconds)

    def stopReading(self, seconds: float) -> None:
        """
        Read nothing for some seconds.
        """
        if self._wire is not None:
            self._history.note("reads nothing", self._wire.name, seconds=seconds)
            self._wire.stopReading(seconds)

    def leave(self, *, forGood: bool = False) -> None:
        """
        Close the socket.
        """
        self._isLeaving = self._isLeaving or forGood
        wire, self._wire = self._wire, None
        if wire is None:
            return
        self._history.note("leaves", wire.name)
        self._close(wire, _GOING_AWAY)

    def _close(self, wire: Wire, code: int) -> None:
        def arrived() -> None:
            if wire.line is not None:
                wire.line.closeAnswered(code)

        wire.up(_CLOSE_FRAME, arrived)

    def _heard(self, wire: Wire, what: Any, isMore: bool) -> None:
        """
        Something came.

        @param isMore: Whether it is a question.
        """
        said, asks = what, isMore
        if wire is self._wire:
            word = "overhears" if "number" in said else "hears"
            self._history.note("is asked" if asks else word, wire.name, **said)
            if asks:
                self.send(self._reply())

    def _ended(self, wire: Wire, code: int) -> None:
        self._close(wire, code)
        if wire is not self._wire:
            return
        self._wire = None
        self._history.note("ended", wire.name, code=code)
        if code not in _FINAL and not self._isLeaving:
            # Mostly soon: then much is under way.  Later, if it was in vain often.
            wait = 0.01 + self._queue.random.random() ** 3
            isShort = self._queue.now - self._began < SECOND
            self._inVain = self._inVain + 1 if isShort else 0
            wait *= 2 ** min(max(self._inVain - _OFTEN, 0), 4)
            self._queue.after(wait, self.connect)
