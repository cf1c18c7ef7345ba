# -*- test-case-name: tests.socketio.test_gates -*-
"""
What clients are told that are not let in.
"""

from __future__ import annotations

from typing import Any

from txsessionsock.closecodes import Code
from txsessionsock.messages import Event


__all__ = ["eventOf", "isFinal", "refusal"]

_OWN = range(4400, 4500)


def isFinal(code: int) -> bool:
    """
    Whether a client is not to come again by itself after a close code.
    """
    return code == Code.NORMAL or code in _OWN


def refusal(code: int, reason: str) -> dict[str, Any]:
    """
    @return: The error of a client whose connection was not answered.
    """
    if code in (Code.TOO_MANY_SOCKETS, Code.NORMAL):
        return {"message": reason or "closed"}
    return {"message": "sinvalid", "data": {"reason": reason.removeprefix("session-")}}


def eventOf(why: dict[str, Any]) -> Event:
    """
    @return: What tells the same to a client that is connected already.
    """
    if why["message"] == "sinvalid" and "data" in why:
        return Event("sinvalid", (why["data"],))
    return Event("srefused", (why,))
