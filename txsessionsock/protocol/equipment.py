"""
What the connections of one factory have in common.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from txsessionsock._seldom import Seldom
from txsessionsock.clients import SessionSockets
from txsessionsock.messages import Messages
from txsessionsock.origins import Origins


__all__ = ["Equipment"]


@dataclass(frozen=True)
class Equipment:
    """
    What a factory needs to give its connections sessions.

    @ivar messages: What messages are; L{None} if the protocol says.

    @ivar refusals: The lines of the log about handshakes that do not do.

    @ivar troubles: Those about the store, of which each socket hears.
    """

    sockets: SessionSockets
    origins: Origins
    messages: Messages | None = None
    refusals: Seldom = field(default_factory=Seldom)
    troubles: Seldom = field(default_factory=Seldom)
