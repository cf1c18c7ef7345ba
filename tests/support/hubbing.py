"""
A server with a hub, for the tests of hubs.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.support.managing import raw
from tests.support.wires import Browser, SocketCase
from txsessionsock.hub import Hub, Reached
from txsessionsock.interfaces import FOREVER, SessionID


OTHER = SessionID("another-id")


class HubCase(SocketCase):
    """
    A session with somebody in it, and another.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(user=42)
        other = raw(user="ann")
        self.successResultOf(self.place.create(f"sess:{OTHER}", other, FOREVER))
        self.serve()
        self.hub = Hub(self.factory.sockets)
        self.hub.index("user", lambda session: session.get("user"))

    def reached(self, reaching: Deferred[Reached]) -> int | None:
        """
        How many clients of this node were reached.
        """
        self.wait()
        return self.successResultOf(reaching)[self.hub.node]

    def count(self, user: str | int) -> int | None:
        """
        How many clients a user has.
        """
        return self.reached(self.hub.by("user", user).count())

    def other(self) -> Browser:
        """
        A client with the other session.
        """
        return self.browse(cookie=self.cookie(OTHER))
