# -*- test-case-name: tests.test_protocol_origin -*-
"""
Origins of web pages (RFC 6454), as browsers send them and as users list them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

import idna

from ._arguments import checked
from ._seldom import shown
from .handshake import _FORWARDED, Handshake


__all__ = ["Origins"]

Origin = tuple[str, str, int | None]
"""
Scheme, host and port.
"""

_DEFAULT_PORTS = {"http": 80, "https": 443}

_RIGHT = "right is scheme, host and perhaps port, like https://example.com:8443"

_NAME = re.compile(r"([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")

_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)\.?")


def parseOrigin(text: str) -> Origin | None:
    """
    @return: L{None} if this is no origin.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
        host = _hostIn(parts)
    except ValueError:
        return None
    if not (parts.scheme and host) or "@" in parts.netloc:
        return None
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return None
    if parts.scheme in ("ws", "wss"):
        # A socket's address: no page comes from there.
        return None
    if port is None:
        port = _DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, host, port


def _hostIn(parts: SplitResult) -> str:
    host = parts.hostname or ""
    # An address may be written in many ways.
    return IPv6Address(host).compressed if ":" in host else host


def shownOrigin(origin: Origin) -> str:
    """
    @return: It as browsers write it.
    """
    scheme, host, port = origin
    where = f"[{host}]" if ":" in host else host
    return f"{scheme}://{where}" + (f":{port}" if namesPort(origin) else "")


def namesPort(origin: Origin) -> bool:
    """
    Whether it has another port than its scheme.
    """
    scheme, _, port = origin
    return port != _DEFAULT_PORTS.get(scheme)


def listedOrigin(text: str) -> Origin:
    """
    @param text: An origin that a user lists, whose host may be in any language.

    @raise ValueError: No browser ever sends that; says what is right.

    @raise TypeError: It is no text.
    """
    if not isinstance(text, str):
        raise TypeError(f"an origin is a text like https://example.com, not {text!r}")
    for problem in _problems(text.strip()):
        raise ValueError(f"not an origin: {text!r}; {problem}")
    origin = parseOrigin(text)
    assert origin is not None, text
    scheme, host, port = origin
    host = _inPunycode(host)
    for problem in _hostProblems(scheme, host, port):
        raise ValueError(f"not an origin: {text!r}; {problem}")
    return scheme, host, port


def _problems(text: str) -> Iterator[str]:
    """
    Why this is no origin at all, first what is most likely meant.
    """
    if "*" in text:
        yield "there are no patterns: list each origin, like https://app.example.com"
    if text == "null":
        yield "null is what sandboxed frames and local files send, anybody's"
    if "," in text or len(text.split()) > 1:
        yield "that is more than one: list each by itself"
    try:
        parts = urlsplit(text)
        port, host = parts.port, _hostIn(parts)
    except ValueError:
        yield _RIGHT
        return
    if not (parts.scheme and host):
        yield _RIGHT
    if "@" in parts.netloc:
        yield f"an origin has no user name; {_RIGHT}"
    if parts.scheme in ("ws", "wss"):
        page = f"http{parts.scheme[2:]}://{parts.netloc}"
        yield f"that is a socket; right is its page's, like {page}"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        right = f"{parts.scheme}://{parts.netloc}"
        yield f"an origin ends with host or port: right is {right}"
    if port == 0:
        yield "no browser sends port 0"


def _inPunycode(host: str) -> str:
    """
    @return: A host as browsers send it (UTS 46, nontransitional processing); as
        it is, if it is none by RFC 5891, which allows less than they do.
    """
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return host


def _hostProblems(scheme: str, host: str, port: int | None) -> Iterator[str]:
    """
    Why no page comes from there.
    """
    if scheme == "file":
        yield "pages of files have no origin; serve them by http:"
    if ":" in host:
        if "%" in host:
            yield "no browser sends a zone"
        return
    if not host.isascii():
        yield "write its host in punycode (xn--...), as the browser sends it"
    if host.startswith("."):
        one = shownOrigin((scheme, f"app{host}", port))
        yield f"there are no patterns: list each origin, like {one}"
    if not _NAME.fullmatch(host):
        yield f"{host!r} is no host; {_RIGHT}"
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        # What ends in a number is an address, and is sent in its one form (URL
        # Standard, host parsing).
        try:
            IPv4Address(host)
        except AddressValueError:
            yield "an address is four numbers, like http://127.0.0.1:8080"


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
