"""
What a connection knows of its server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from txsessionsock.clients import Listener, Listeners
from txsessionsock.protocol import Equipment

from .events import EventListeners
from .lobby import Lobby
from .packets import Parser
from .recovery import Ghosts
from .trail import Codec


__all__ = ["Place", "Places"]


class Place(Protocol):
    """
    A namespace.

    @ivar listeners: Those of session events, of all its clients.

    @ivar events: Those of events of the application.

    @ivar protocol: Makes the object that handlers get as the client.

    @ivar gates: Functions that may refuse a client that has a session.

    @ivar encodings: What encodes its events.

    @ivar ghosts: Those of its clients that may come back; L{None} if none may.
    """

    @property
    def name(self) -> str: ...

    @property
    def listeners(self) -> Listeners: ...

    @property
    def events(self) -> EventListeners: ...

    @property
    def gates(self) -> Sequence[Listener]: ...

    @property
    def protocol(self) -> Any: ...

    @property
    def encodings(self) -> Mapping[Parser, Codec]: ...

    @property
    def ghosts(self) -> Ghosts | None: ...


class Places(Protocol):
    """
    The namespaces of a server.
    """

    @property
    def equipment(self) -> Equipment: ...

    @property
    def lobby(self) -> Lobby: ...

    def named(self, name: str, /) -> Place | None:
        """
        @return: The namespace of that name, if there is one.
        """
