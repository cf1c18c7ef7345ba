"""
The things that the connections of one factory share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from txsessionsock._seldom import Seldom
from txsessionsock.clients import SessionSockets
from txsessionsock.credentials import takesSubprotocols
from txsessionsock.forwarded import Proxies
from txsessionsock.limits import Limits
from txsessionsock.messages import Messages
from txsessionsock.origins import Origins
from txsessionsock.websocket import Admission, Quiet, Turns


__all__ = ["Equipment"]


@dataclass(frozen=True)
class Equipment:
    """
    The things that a factory needs to give its connections sessions.

    @ivar origins: The web sites whose pages may connect.

    @ivar trustProxy: See L{Proxies}.

    @ivar messages: What messages are; L{None} if the protocol says.

    @ivar shortFrames: Whether ordinary frames go past Autobahn.
    """

    sockets: SessionSockets
    origins: Origins
    trustProxy: bool | Proxies
    messages: Messages | None = None
    shortFrames: bool = True

    @cached_property
    def turns(self) -> Turns:
        """
        Whose handshake, frames or end is handled next, where they wait.
        """
        return Turns()

    @cached_property
    def admission(self) -> Admission:
        """
        How many connections there are.
        """
        return Admission(self.limits)

    @cached_property
    def takesSubprotocols(self) -> bool:
        """
        Whether a subprotocol may be a credential.
        """
        return takesSubprotocols(self.sockets.shared.credentials)

    def countWith(self, other: Equipment) -> None:
        """
        Count connections together with those of another server, whose limits of
        them are ours, too.  They take turns with ours.
        """
        vars(self).update(admission=other.admission, turns=other.turns)

    @cached_property
    def refusals(self) -> Seldom:
        """
        The lines of the log about clients that do what they should not.
        """
        return self._seldom()

    def refused(self, kind: str) -> None:
        """
        A connection was not let in.
        """
        self.sockets.manager.tally.refusals[kind] += 1

    @cached_property
    def quiet(self) -> Quiet:
        """
        What Autobahn's own methods log to.
        """
        return Quiet(self.refusals, self.sockets.manager.reactor)

    @cached_property
    def troubles(self) -> Seldom:
        """
        Those about the store, of which each socket hears.
        """
        return self._seldom()

    def _seldom(self) -> Seldom:
        manager = self.sockets.manager
        seldom = Seldom(manager.reactor)
        # What was left out is not lost with the process.
        manager.closeAtEnd(seldom.end)
        return seldom

    @property
    def limits(self) -> Limits:
        """
        The limits for one client.
        """
        return self.sockets.limits
