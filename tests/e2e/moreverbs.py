"""
A protocol that knows more ways to change a session.

Found by C{--protocol e2e.moreverbs.MoreVerbs}, with the directory above this one on
C{PYTHONPATH}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from txsessionsock.session import Session

from .verbs import Verbs


class MoreVerbs(Verbs):
    """
    Knows also C{["update", key]}, which counts, and C{["put", key]}, which
    assigns C{True}.
    """

    def sessionMessageReceived(  # type: ignore[override]  # Verbs never waits.
        self, message: Any, session: Session
    ) -> Deferred[None] | None:
        verb, key = message
        if verb == "update":
            return session.update(_oneMore(key)).addCallback(self.send)
        if verb == "put":
            session[key] = True
        super().sessionMessageReceived(message, session)
        return None


def _oneMore(key: str) -> Callable[[dict[str, Any]], int]:
    def count(data: dict[str, Any]) -> int:
        value: int = data.get(key, 0) + 1
        data[key] = value
        return value

    return count
