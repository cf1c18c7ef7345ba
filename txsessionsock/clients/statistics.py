# -*- test-case-name: tests.clients.test_statistics -*-
"""
How many clients a server has, and how much waits for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .life import Phase


__all__ = ["SocketStatistics"]


@dataclass(frozen=True)
class SocketStatistics:
    """
    The clients of one server, as they are at one moment.

    @ivar phases: How many there are in each L{Phase} of their lives.  None is
        L{CONNECTING<Phase.CONNECTING>}: who has not done the handshake is no
        client yet.

    @ivar waitingMessages: How many messages that came wait for a handler,
        and C{waitingBytes}, of what size together.

    @ivar heldMessages: How many messages that were sent wait until the
        session is stored.
    """

    phases: Mapping[Phase, int]
    waitingMessages: int
    waitingBytes: int
    heldMessages: int

    @property
    def clients(self) -> int:
        """
        How many clients there are, in whichever phase.
        """
        return sum(self.phases.values())
