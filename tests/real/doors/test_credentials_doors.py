"""
Tests for tickets and bearer at all doors of a WebSocket: a port, a site, with and
without TLS.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import partial
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from tests.support.doors import (
    DOORS,
    Door,
    Visitor,
    cookieOf,
    handshake,
    sessionFactory,
)
from tests.support.servers import inReactor
from txsessionsock.credentials import Bearer, Cookie, Ticket
from txsessionsock.interfaces import SessionID
from txsessionsock.protocol import SessionSocketProtocol


atAllDoors = pytest.mark.parametrize("door", DOORS, ids=str)


class Welcoming(SessionSocketProtocol):
    """
    Says whose session it is.
    """

    def sessionConnected(self, session: Any) -> None:
        self.send(session["user"])


def _has(visitor: Visitor, said: bytes) -> bool:
    return said in visitor.received


@atAllDoors
@inReactor
async def test_credentials(door: Door) -> None:
    """
    A ticket is good once, and a bearer as often as it is shown; only C{sessionsock} is
    echoed; a bad one is refused with 4401 beside a good cookie, and nothing of all
    this is in a log.
    """
    factory = sessionFactory(Welcoming, credentials=[Cookie(), Ticket(), Bearer()])
    cookie = await cookieOf(factory, user="zoe")
    value = cookie.partition("=")[2]
    manager = factory.sockets.manager
    sessionID = manager.framework.sessionID(value, 0.0)
    issuing: Deferred[str] = manager.tickets().issue(SessionID(sessionID))
    ticket = await issuing
    encoded = urlsafe_b64encode(value.encode()).decode().rstrip("=")
    byTicket = f"Sec-WebSocket-Protocol: sessionsock, base64url.ticket.{ticket}"
    byBearer = f"Sec-WebSocket-Protocol: sessionsock, base64url.bearer.{encoded}"
    byHeader = f"Authorization: Bearer {value}"
    welcome, refused = b'\x81\x05"zoe"', b"session-unknown"
    with capturedLogs() as events:
        async with door.open(factory) as entrance:
            for headers, said in (
                ((byTicket,), welcome),
                ((byTicket, f"Cookie: {cookie}"), refused),
                ((byBearer,), welcome),
                ((byBearer,), welcome),
                ((byHeader,), welcome),
                ((f"{byHeader}x", f"Cookie: {cookie}"), b"session-bad-signature"),
                ((byHeader, byBearer), b"session-second"),
            ):
                visitor = await entrance.connect()
                visitor.send(handshake(*headers))
                head = await visitor.head()
                assert head.startswith(b"HTTP/1.1 101 "), head
                isOffered = any("sessionsock" in header for header in headers)
                assert (b"Protocol: sessionsock\r\n" in head) == isOffered
                assert ticket.encode() not in head and encoded.encode() not in head
                await visitor.until(partial(_has, visitor, said))
    for secret in ticket, value, encoded:
        assert secret not in repr(events)
