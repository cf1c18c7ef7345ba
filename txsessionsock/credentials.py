# -*- test-case-name: tests.test_credentials -*-
"""
Who may connect, and where in a handshake the session id is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from . import _json
from ._arguments import checked
from .cookies import cookieNamed
from .interfaces import IFramework, InvalidCredential, SessionID


__all__ = ["Cookie", "Credential", "Handshake", "InBand", "Origins"]

_DEFAULT_PORTS = {"http": 80, "https": 443}

_PLAIN_SESSION_ID = re.compile(r"[A-Za-z0-9_,.~-]{1,256}")


@checked
@dataclass(frozen=True)
class Handshake:
    """
    The HTTP request that opens a socket.

    @ivar headers: The values of each header, by lower-case name.

    @ivar isSecure: Whether it came over TLS.
    """

    headers: Mapping[str, Sequence[str]]
    isSecure: bool

    def last(self, name: str) -> str | None:
        """
        The last value of a header: that of the proxy nearest to us.
        """
        values = self.headers.get(name)
        return values[-1].rpartition(",")[2].strip() if values else None


_Origin = tuple[str, str, int | None]


def _parseOrigin(origin: str) -> _Origin | None:
    """
    @return: Scheme, host and port, or L{None} if this is no origin.
    """
    try:
        parts = urlsplit(origin.strip())
        port = parts.port
    except ValueError:
        return None
    if not (parts.scheme and parts.hostname) or "@" in parts.netloc:
        return None
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return None
    if parts.scheme in ("ws", "wss"):
        # A socket's address: no page comes from there.
        return None
    if port is None:
        port = _DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname, port


@checked
class Origins:
    """
    The web sites whose pages may connect: the one that the handshake itself
    is sent to, and those that are listed.  Browsers send a user's cookies
    along whichever site a page came from.
    """

    def __init__(
        self, allowed: Iterable[str] = (), *, trustProxy: bool = False
    ) -> None:
        """
        @param allowed: Further sites, such as C{"https://example.com"}.

        @param trustProxy: Whether there is a proxy in front that sets
            C{X-Forwarded-Proto} and C{X-Forwarded-Host}.

        @raise ValueError: One of them is no origin.

        @raise TypeError: C{trustProxy} is neither L{True} nor L{False}.
        """
        self._trustProxy = trustProxy
        self._allowed: set[_Origin] = set()
        for origin in allowed:
            parsed = _parseOrigin(origin)
            if parsed is None:
                raise ValueError(
                    f"not an origin: {origin!r}; right is scheme, host and "
                    "perhaps port, like https://example.com:8443"
                )
            self._allowed.add(parsed)

    def permits(self, handshake: Handshake) -> bool:
        """
        Whether a handshake may go on (RFC 6455, section 10.2).  One without
        an C{Origin} header does not come from a browser.
        """
        origins = handshake.headers.get("origin", ())
        if not origins:
            return True
        parsed = _parseOrigin(origins[0])
        return (
            len(origins) == 1
            and parsed is not None
            and (parsed in self._allowed or parsed == self._own(handshake))
        )

    def isSecure(self, handshake: Handshake) -> bool:
        """
        Whether the browser speaks TLS, to us or to the proxy.
        """
        scheme = handshake.last("x-forwarded-proto") if self._trustProxy else None
        if not scheme:
            return handshake.isSecure
        return scheme.lower() in ("https", "wss")

    def _own(self, handshake: Handshake) -> _Origin | None:
        host = handshake.last("x-forwarded-host") if self._trustProxy else None
        scheme = "https" if self.isSecure(handshake) else "http"
        return _parseOrigin(f"{scheme}://{host or handshake.last('host') or ''}")


class Credential(Protocol):
    """
    One way for a client to name its session.

    @ivar awaitsMessage: Whether it may come in a message after the handshake.
    """

    awaitsMessage: bool

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> SessionID | None:
        """
        @return: The id, or L{None} if the handshake has no such credential.

        @raise InvalidCredential: It has one that cannot be verified.
        """

    def inMessage(
        self, message: object, framework: IFramework, now: float
    ) -> SessionID | None:
        """
        The same for a message.
        """


class Cookie:
    """
    The session cookie that browsers send along.
    """

    awaitsMessage = False

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> SessionID | None:
        value = cookieNamed(
            handshake.headers.get("cookie", ()),
            framework.cookieName,
            framework.firstCookieWins,
        )
        return None if value is None else framework.sessionID(value, now)

    def inMessage(
        self, message: object, framework: IFramework, now: float
    ) -> SessionID | None:
        return None


@checked
class InBand:
    """
    The first message: C{{"__sid": value, "connect": 1}}, as the Node library
    has it.  The page must know the value, so a script in it can steal it;
    cookies are safer.
    """

    awaitsMessage = True

    def __init__(self, *, allowUnsigned: bool = False) -> None:
        """
        @param allowUnsigned: Take a bare session id too, where the framework
            would take only a signed one.

        @raise TypeError: It is neither L{True} nor L{False}.
        """
        self._allowUnsigned = allowUnsigned

    def inHandshake(
        self, handshake: Handshake, framework: IFramework, now: float
    ) -> SessionID | None:
        return None

    def inMessage(
        self, message: object, framework: IFramework, now: float
    ) -> SessionID | None:
        if isinstance(message, (str, bytes)):
            message = _parsed(message)
        if not isinstance(message, dict) or "__sid" not in message:
            return None
        value = message["__sid"]
        if message.get("connect") != 1 or not isinstance(value, str):
            raise InvalidCredential("malformed")
        try:
            return framework.sessionID(value, now)
        except InvalidCredential:
            if self._allowUnsigned and _PLAIN_SESSION_ID.fullmatch(value):
                return SessionID(value)
            raise


def _parsed(message: str | bytes) -> object:
    raw = message.encode() if isinstance(message, str) else message
    try:
        return _json.loads(raw)
    except ValueError:
        return None
