# -*- test-case-name: tests.socketio.test_engine -*-
"""
The heartbeat of Engine.IO: the server pings, and a client that does not answer in
time is gone.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from txsessionsock._deferreds import Timer
from txsessionsock.limits import Limits


__all__ = ["Heartbeat"]


class Owner(Protocol):
    """
    The connection whose client is pinged.
    """

    @property
    def unsent(self) -> int:
        """
        How many bytes wait because the client does not read.
        """

    @property
    def mayHavePonged(self) -> bool:
        """
        Whether a pong may wait where we do not read.
        """

    def ping(self) -> None:
        """
        Ping the client.
        """

    def silent(self) -> None:
        """
        The client has not answered a ping in time.
        """


class Heartbeat:
    """
    The pings and pongs of one connection.
    """

    __slots__ = ("_due", "_isPinged", "_limits", "_owner", "_reactor", "_timer")

    def __init__(self, owner: Owner, limits: Limits, reactor: IReactorTime) -> None:
        self._owner: Owner | None = owner
        self._limits = limits
        self._reactor = reactor
        self._timer = Timer(reactor)
        # When the client is pinged, or until when that is to be answered: one
        # deadline, which does not move when a ping goes out late.
        self._due = reactor.seconds() + limits.pingInterval
        self._isPinged = False

    def start(self) -> None:
        """
        Begin, unless it has ended before.
        """
        if self._owner is not None:
            self._timer.start(self._due - self._reactor.seconds(), self._beat)

    def stop(self) -> None:
        """
        End: the connection closes.
        """
        self._owner = None
        self._timer.stop()

    def ponged(self) -> None:
        """
        The client has answered.
        """
        # Another pong means nothing.
        if self._isPinged:
            self._isPinged = False
            self._due = self._reactor.seconds() + self._limits.pingInterval
            self.start()

    def _beat(self) -> None:
        owner = self._owner
        assert owner is not None  # The timer would not run.
        if not self._isPinged:
            self._isPinged = True
            self._due += self._limits.pingTimeout
            owner.ping()
        elif owner.mayHavePonged:
            # The client still has to hear of us.
            self._due = self._reactor.seconds() + self._limits.pingTimeout
            if not owner.unsent:
                owner.ping()
        else:
            owner.silent()
        # What this has called may have ended it.
        self.start()
