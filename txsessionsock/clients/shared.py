# -*- test-case-name: tests.clients.test_client -*-
"""
The things that all clients of one server share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from txsessionsock.credentials import Credential
from txsessionsock.interfaces import IFramework
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager

from .listeners import Listeners


__all__ = ["Shared"]


@dataclass(frozen=True)
class Shared:
    """
    The things that each client of a server is given.

    @ivar manager: Where sessions come from.

    @ivar perMessage: Whether the session is fresh for each message and stored
        after it, rather than loaded once and stored at the end.

    @ivar credentials: The ways to name a session; the first found wins.

    @ivar limits: What one client may take.

    @ivar listeners: The functions that are called for every client.

    @ivar shortMessages: Whether messages that need not wait take a short way.
    """

    manager: SessionManager
    perMessage: bool
    credentials: tuple[Credential, ...]
    limits: Limits
    listeners: Listeners = field(default_factory=Listeners)
    shortMessages: bool = True

    @cached_property
    def awaitsMessage(self) -> bool:
        """
        Whether a client may name its session in a message.
        """
        return any(each.awaitsMessage for each in self.credentials)

    @cached_property
    def mayBeShort(self) -> bool:
        """
        Whether messages may take the short way: each may be a credential otherwise.
        """
        return self.shortMessages and not self.awaitsMessage

    @property
    def framework(self) -> IFramework:
        """
        The framework whose sessions these are.
        """
        return self.manager.framework
