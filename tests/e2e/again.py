"""
A socket whose handlers may run again.

Found by C{--protocol e2e.again.Again}, with the directory above this one on
C{PYTHONPATH}.
"""

from __future__ import annotations

from typing import Any

from txsessionsock.session import Session

from .verbs import Verbs


class Again(Verbs):
    """
    Knows also C{["put", value]}, which appends to a list, and C{["take", None]}, which
    answers with the first of it.
    """

    repeatable = True

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        verb, what = message
        if verb == "put":
            session.setdefault("list", []).append(what)
            self.send(len(session["list"]))
        elif verb == "take":
            self.send(session["list"].pop(0) if session.get("list") else None)
        else:
            super().sessionMessageReceived(message, session)
