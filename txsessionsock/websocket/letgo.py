# -*- test-case-name: tests.real.doors.test_freed -*-
"""
What an Autobahn protocol holds on to when its connection is gone.
"""

from __future__ import annotations

from typing import Any


__all__ = ["letGo"]


def letGo(protocol: Any) -> None:
    """
    Have a protocol whose connection is gone be freed when its last owner lets go
    of it.  Otherwise it would wait for the garbage collector, with its transport
    and all that was not sent.
    """
    # Autobahn lets this timer run on, which leads back to the protocol.
    call, protocol.closeHandshakeTimeoutCall = protocol.closeHandshakeTimeoutCall, None
    if call is not None and call.active():
        call.cancel()
    # The result of both is the protocol itself.  All who waited have been told.
    for told in protocol.is_open, protocol.is_closed:
        told.addCallback(lambda _: None)
