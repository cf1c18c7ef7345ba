"""
The codes with which sockets are closed.
"""

from __future__ import annotations

from enum import IntEnum

from ._arguments import checked


__all__ = ["Code", "refuseCode"]


_STANDARD = frozenset(range(1000, 1015)) - {1004, 1005, 1006}
_PRIVATE = range(3000, 5000)
"""
The close codes that may be sent (RFC 6455, section 7.4).
"""


class Code(IntEnum):
    """
    Close codes: of RFC 6455, section 7.4.1, and from 4000 on our own.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    BAD_PAYLOAD = 1007
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    SESSION_MOVED = 4307
    SECOND_CREDENTIAL = 4400
    SESSION_OVER = 4401
    NO_CREDENTIAL_IN_TIME = 4408
    TOO_MANY_SOCKETS = 4429


@checked
def refuseCode(code: int) -> None:
    """
    @raise ValueError: It is no close code that can be sent.
    """
    if code not in _STANDARD and code not in _PRIVATE:
        raise ValueError(f"{code} is no close code to send")
