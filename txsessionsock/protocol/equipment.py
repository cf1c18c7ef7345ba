"""
The things that the connections of one factory share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from txsessionsock._seldom import Seldom
from txsessionsock.clients import SessionSockets
from txsessionsock.limits import Limits
from txsessionsock.messages import Messages
from txsessionsock.origins import Origins
from txsessionsock.websocket import Turns


__all__ = ["Equipment"]


@dataclass(frozen=True)
class Equipment:
    """
    The things that a factory needs to give its connections sessions.

    @ivar origins: The web sites whose pages may connect.

    @ivar trustProxy: See L{Handshake<txsessionsock.handshake.Handshake>}.

    @ivar messages: What messages are; L{None} if the protocol says.

    @ivar shortFrames: Whether ordinary frames go past Autobahn.

    @ivar refusals: The lines of the log about handshakes that do not do.

    @ivar troubles: Those about the store, of which each socket hears.

    @ivar turns: Whose frames are handled next, where they wait.
    """

    sockets: SessionSockets
    origins: Origins
    trustProxy: bool
    messages: Messages | None = None
    shortFrames: bool = True
    refusals: Seldom = field(default_factory=Seldom)
    troubles: Seldom = field(default_factory=Seldom)
    turns: Turns = field(default_factory=Turns)

    @property
    def limits(self) -> Limits:
        """
        The limits for one client.
        """
        return self.sockets.limits
