# -*- test-case-name: tests.test_credentials -*-
"""
Who may connect, and where in a handshake the session id is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from . import _json
from ._arguments import checked
from ._origins import Origin, listedOrigin, namesPort, parseOrigin, shownOrigin
from ._seldom import shown
from .cookies import cookieNamed
from .interfaces import IFramework, InvalidCredential, SessionID


__all__ = ["Cookie", "Credential", "Handshake", "InBand", "Origins"]

_FORWARDED = ("X-Forwarded-Proto", "X-Forwarded-Host")

# What begins like a signed value of Express has to be one.
_PLAIN_SESSION_ID = re.compile(
    r"(?!s(?::|%3A))[^\0-\x1f\x7f-\x9f\ud800-\udfff]{1,4096}", re.IGNORECASE
)


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
        @param allowed: Further sites, such as C{"https://example.com"}.  A host
            may be in any language; there are no patterns.

        @param trustProxy: Whether there is a proxy in front that sets
            C{X-Forwarded-Proto} and C{X-Forwarded-Host}.

        @raise ValueError: One of them is no origin.

        @raise TypeError: One of them is no text, or C{allowed} is one;
            C{trustProxy} is neither L{True} nor L{False}.
        """
        self._trustProxy = trustProxy
        self._allowed = {listedOrigin(origin) for origin in allowed}

    def permits(self, handshake: Handshake) -> bool:
        """
        Whether a handshake may go on; see L{refusal}.
        """
        return self.refusal(handshake) is None

    def refusal(self, handshake: Handshake) -> str | None:
        """
        Why a handshake may not go on (RFC 6455, section 10.2).  One without
        an C{Origin} header does not come from a browser.

        @return: The reason, with what the page's origin was compared with;
            L{None} if it may go on.
        """
        origins = handshake.headers.get("origin", ())
        if not origins:
            return None
        sent = origins[0] if len(origins) == 1 else ", ".join(origins)
        page = parseOrigin(sent) if len(origins) == 1 else None
        own = self._own(handshake)
        if page is not None and (page in self._allowed or page == own):
            return None
        name, host = self._host(handshake)
        us = "unknown" if own is None else shownOrigin(own)
        how = "with" if self.isSecure(handshake) else "without"
        return (
            f"refused a page of {shown(sent)}, which is not listed in origins"
            f" (--origin): this server is {shown(us)} ({name}: {shown(host)},"
            f" {how} TLS){self._hint(handshake, page, own)}"
        )

    def _hint(
        self, handshake: Handshake, page: Origin | None, own: Origin | None
    ) -> str:
        """
        What a proxy has probably done.
        """
        if page is None:
            return ""
        told = [name for name in _FORWARDED if handshake.last(name.lower())]
        if told and not self._trustProxy:
            return (
                f"; {' and '.join(told)} of a proxy count only with trustProxy=True"
                " (--trust-proxy)"
            )
        if own is None or page[1] != own[1]:
            return "; if browsers call it otherwise, a proxy has changed the name"
        hints = ""
        if page[0] == "https" and own[0] == "http":
            right = "" if self._trustProxy else " and trustProxy=True (--trust-proxy)"
            hints = (
                f"; where a proxy ends TLS, right is X-Forwarded-Proto: https{right}"
            )
        if namesPort(page) and not namesPort(own):
            name, where = self._host(handshake)[0], shownOrigin(page).partition("//")[2]
            hints += f"; if a proxy drops the port, right is {name}: {shown(where)}"
        return hints

    def isSecure(self, handshake: Handshake) -> bool:
        """
        Whether the browser speaks TLS, to us or to the proxy.
        """
        scheme = handshake.last("x-forwarded-proto") if self._trustProxy else None
        if not scheme:
            return handshake.isSecure
        return scheme.lower() in ("https", "wss")

    def _host(self, handshake: Handshake) -> tuple[str, str]:
        """
        @return: What the browser connected to, after the name of the header that
            says so.
        """
        host = handshake.last("x-forwarded-host") if self._trustProxy else None
        if host:
            return "X-Forwarded-Host", host
        return "Host", handshake.last("host") or ""

    def _own(self, handshake: Handshake) -> Origin | None:
        scheme = "https" if self.isSecure(handshake) else "http"
        return parseOrigin(f"{scheme}://{self._host(handshake)[1]}")


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
