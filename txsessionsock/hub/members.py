# -*- test-case-name: tests.test_hub_nodes -*-
"""
Which clients of this process are in which groups.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from txsessionsock import _json
from txsessionsock.interfaces import SessionID


if TYPE_CHECKING:
    from txsessionsock.clients import Client

__all__ = ["Label", "Members", "describe", "indexLabel", "roomLabel", "sessionLabel"]

Label = tuple[Literal["session", "index", "room"], str, str]
"""
What names a group on every node: of which kind it is, the name of the index or
room, and the value in the index, or the hash of the session's id.
"""


def sessionLabel(sessionID: SessionID) -> Label:
    """
    The clients of a session.  Whoever reads the label does not learn the id.
    """
    hashed = sha256(sessionID.encode("utf-8", "surrogatepass")).hexdigest()
    return "session", "", hashed


def indexLabel(name: str, value: object) -> Label:
    """
    The clients with a value in an index.

    @raise ValueError: It is no value for an index.
    """
    if type(value) is not str and type(value) is not int:
        raise ValueError(
            f"values of an index are str and int, not {type(value).__name__}"
        )
    return "index", name, _json.dumps(value).decode()


def roomLabel(name: str) -> Label:
    """
    The clients in a room.

    @raise ValueError: It is no name of a room.
    """
    if type(name) is not str:
        raise ValueError(f"the name of a room is a str, not {type(name).__name__}")
    return "room", name, ""


def describe(label: Label) -> str:
    """
    What may be said of a group in a log.
    """
    kind, name, value = label
    return f"{kind} {value[:8]}" if kind == "session" else f"{kind} {name!r}"


class Members:
    """
    Clients by group, and groups by client.
    """

    def __init__(self) -> None:
        self._clients: dict[Label, dict[Client, None]] = {}
        self._labels: dict[Client, dict[Label, None]] = {}

    def __contains__(self, client: Client) -> bool:
        return client in self._labels

    def __len__(self) -> int:
        """
        How many groups there are.
        """
        return len(self._clients)

    def of(self, label: Label) -> list[Client]:
        """
        The clients in a group.
        """
        return list(self._clients.get(label, ()))

    def add(self, client: Client, label: Label) -> None:
        """
        Have a client in a group.
        """
        self._labels.setdefault(client, {})[label] = None
        self._clients.setdefault(label, {})[client] = None

    def remove(self, client: Client, label: Label) -> bool:
        """
        Have it there no more.

        @return: Whether it was.
        """
        if self._labels.get(client, {}).pop(label, label) is not None:
            return False
        group = self._clients[label]
        del group[client]
        if not group:
            del self._clients[label]
        return True

    def drop(self, client: Client) -> None:
        """
        Have it nowhere any more.
        """
        for label in list(self._labels.get(client, ())):
            self.remove(client, label)
        self._labels.pop(client, None)

    def move(self, client: Client, name: str, label: Label | None) -> None:
        """
        Have a client at one place in an index, or at none.
        """
        for other in list(self._labels.get(client, ())):
            if other[:2] == ("index", name) and other != label:
                self.remove(client, other)
        if label is not None:
            self.add(client, label)
