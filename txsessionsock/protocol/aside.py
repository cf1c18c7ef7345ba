# -*- test-case-name: tests.protocol.test_aside -*-
"""
The messages between C{sessionsock.js} and the server that no application sees;
they are described in C{docs/browser.md}.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence

from txsessionsock.interfaces import SessionID


__all__ = ["BUSY_INTERVAL", "PARAMETER", "Aside", "written"]

PARAMETER = "sessionsock"
"""
The parameter in the address of a socket by which a client asks for them.
"""

BUSY_INTERVAL = 5.0
"""
How many seconds may pass between two words to a client that is not read.
"""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")

_PING = re.compile(rb" ping ([0-9]{1,15})")


class Aside:
    """
    These messages of one client.  Each begins with a word that this client made
    up, so that nothing that an application sends can be taken for one.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode("ascii")
        self._told: tuple[SessionID | None, str] | None = None

    @classmethod
    def askedFor(cls, parameters: Mapping[str, Sequence[str]]) -> Aside | None:
        """
        @param parameters: Those of the address that the client connected to.

        @return: L{None} if the client did not ask for it.
        """
        tokens = parameters.get(PARAMETER, ())
        if len(tokens) == 1 and _TOKEN.fullmatch(tokens[0]):
            return cls(tokens[0])
        return None

    def takes(self, payload: bytes, isBinary: bool) -> bool:
        """
        Whether a message is none for the application.
        """
        return not isBinary and payload.startswith(self._token)

    def answer(self, payload: bytes) -> bytes | None:
        """
        @param payload: What this L{takes}.
        """
        ping = _PING.fullmatch(payload, len(self._token))
        return None if ping is None else self._say(b"pong", ping[1])

    def ready(self) -> bytes:
        """
        Tell that pings will be answered.
        """
        return self._say(b"ready")

    def busy(self) -> bytes:
        """
        Tell that nothing is read for now, and when to expect the next word.
        """
        return self._say(b"busy", b"%g" % BUSY_INTERVAL)

    def whose(self, sessionID: SessionID | None, identity: object) -> bytes | None:
        """
        Tell which session this is, and whose, by digests that can be compared
        and nothing else: each is keyed with the client's word.

        @param sessionID: L{None} if the id says nothing.

        @param identity: See L{IFramework.identity
            <txsessionsock.interfaces.IFramework.identity>}.

        @return: L{None} if that was told already.
        """
        # This is called each time the session is stored, mostly with nothing new.
        told = sessionID, written(identity)
        if told == self._told:
            return None
        self._told = told
        found = {
            "id": sessionID and self._digest("id", written(sessionID)),
            "identity": None if identity is None else self._digest("who", told[1]),
        }
        return self._say(b"session", json.dumps(found).encode("ascii"))

    def _digest(self, kind: str, value: str) -> str:
        text = f"{kind} {value}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._token, text, "sha256")[:16].hex()

    def _say(self, *words: bytes) -> bytes:
        return b" ".join((self._token, *words))


def written(value: object) -> str:
    """
    The same text for the same value, in every process.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return _encode(value)
    except (TypeError, ValueError):
        return repr(value)


def _unknown(value: object) -> object:
    # The order of a set is another one in each process.
    if isinstance(value, (set, frozenset)):
        return sorted(map(written, value))
    return repr(value)


_encode = json.JSONEncoder(sort_keys=True, default=_unknown).encode
