# -*- test-case-name: tests.real.doors.test_cut -*-
"""
What keeps a connection that is gone from being freed at once.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

from twisted.python.failure import Failure


__all__ = ["forgetErrors", "letGo"]


def forgetErrors(transport: Any) -> None:
    """
    Have TLS keep no error.  A client that is cut off without the good-bye of TLS
    is one: the error has its traceback, this the frame of the method in which it
    was caught, and that the error.  The transport is in that frame, too, with
    the buffers of OpenSSL, and would wait for the garbage collector.
    """
    # The name is private: there is no other place where the error can be seen.
    # Without that method the errors are kept, and nothing else happens.
    kind = type(transport)
    if not hasattr(kind, "_tlsShutdownFinished"):
        return
    find = ref(transport)

    def finished(reason: Failure | None) -> None:
        if reason is not None and reason.value is not None:
            reason.tb = reason.value.__traceback__ = None
        found = find()
        if found is not None:
            kind._tlsShutdownFinished(found, reason)

    transport._tlsShutdownFinished = finished


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
    # It may be a method of the protocol.
    vars(protocol).pop("perMessageCompressionAccept", None)
    # The result of the second is the protocol itself.  All who waited have been told.
    for told in protocol.is_open, protocol.is_closed:
        told.addCallback(lambda _: None)
