# -*- test-case-name: tests.websocket.test_doors -*-
"""
How many connections a port accepts in one turn of the reactor.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IReactorTime


__all__ = ["acceptFew"]

_FEW: Final = 40
"""
How many at once, and half as many again every other time.  They still come much faster
than they can be answered: what waits in the system's queue may be dropped there.
"""


def acceptFew(transport: Any, reactor: IReactorTime) -> None:
    """
    Have the port of a connection accept few in one turn.  Twisted's has no bound: each
    time that it finds as many as it asked for, it asks for more.

    @param transport: What a connection has that was just accepted.
    """
    port: Any = getattr(transport, "server", None)
    if getattr(port, "numberAccepts", 0) > _FEW:
        # For those that come with this one.  When all are accepted, the port sets it
        # to how many these were; only then can it be told.
        port.numberAccepts = 1
        reactor.callLater(0, _setFew, port)


def _setFew(port: Any) -> None:
    port.numberAccepts = min(port.numberAccepts, _FEW)
