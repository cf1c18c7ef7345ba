"""
A socket whose handler takes as long as its clients say.

Found by C{--protocol busy.Busy}, with this directory on C{PYTHONPATH}.
"""

from __future__ import annotations

import time
from typing import Any

from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session


class Busy(SessionSocketProtocol):
    """
    Works for as many seconds as C{["work", seconds]} says; answers a text; stores
    anything else.
    """

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        if isinstance(message, str):
            self.send(message)
        elif message[:1] == ["work"]:
            until = time.perf_counter() + message[1]
            while time.perf_counter() < until:
                pass
        else:
            session["stored"] = message
