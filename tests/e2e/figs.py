"""
A class of Socket.IO that counts in its session, and one of WebSockets beside it: for
C{--socketio --protocol figs.Figs --protocol figs.Plain}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from txsessionsock.hub import hubOf
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.socketio import SocketIOSocket


def user(session: Session) -> Any:
    """
    Who has a session.
    """
    return session.get("user")


class News(SocketIOSocket):
    """
    Another namespace.
    """

    def on_add(self, key: str) -> Any:
        assert self.session is not None
        return self.session.increment(key)


class Figs(News):
    """
    The main one.
    """

    indexes: ClassVar[Mapping[str, Any]] = {"user": user}
    namespaces: ClassVar[Mapping[str, type[SocketIOSocket]]] = {"/news": News}

    def on_tell(self, name: str, value: object) -> None:
        hubOf(self).by("user", name).send(value)


class Plain(SessionSocketProtocol):
    """
    Answers with what is in its session.
    """

    indexes: ClassVar[Mapping[str, Any]] = {"user": user}

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        self.send(session.get(message))
