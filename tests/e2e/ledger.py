"""
A socket that changes its session in every way there is.

Found by C{--protocol ledger.Ledger}, with this directory on C{PYTHONPATH}.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session


class Ledger(SessionSocketProtocol):
    """
    Does what C{[verb, key, token]} says, and answers with its process id and
    what is under the key then.
    """

    def sessionMessageReceived(self, message: Any, session: Session) -> Any:
        verb, key, token = message
        if verb in _UPDATES:
            updating = session.update(partial(_UPDATES[verb], key, token))
            return updating.addCallback(lambda _: self._answer(None))
        if verb == "increment":
            session.increment(key)
        elif verb == "assign":
            session[key] = token
        elif verb == "push":
            session.setdefault(key, []).append(token)
        elif verb == "nest":
            session.setdefault("nest", {})[key] = token
        self._answer(session.get(key))
        return None

    def _answer(self, value: Any) -> None:
        self.send([os.getpid(), value])


def _countUp(key: str, token: object, data: dict[str, Any]) -> None:
    data[key] = data.get(key, 0) + 1


def _append(key: str, token: object, data: dict[str, Any]) -> None:
    data.setdefault(key, []).append(token)


_UPDATES = {"update": _countUp, "append": _append}
