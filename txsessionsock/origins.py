# -*- test-case-name: tests.protocol.test_protocol_origin -*-
"""
Origins of web pages (RFC 6454), as browsers send them and as users list them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

import idna

from ._arguments import checked
from ._seldom import shown
from .forwarded import FORWARDED, X_FORWARDED, Proxies
from .handshake import Handshake


__all__ = ["Origins"]

Origin = tuple[str, str, int | None]
"""
Scheme, host and port.
"""

_DEFAULT_PORTS = {"http": 80, "https": 443}

_RIGHT = "right is scheme, host and perhaps port, like https://example.com:8443"

_NAME = re.compile(r"([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")

_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)\.?")


@lru_cache(maxsize=64)
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
        # This is the address of a socket, not of a page.
        return None
    if port is None:
        port = _DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, host, port


def _hostIn(parts: SplitResult) -> str:
    host = parts.hostname or ""
    # An IPv6 address can be written in many ways; compare one of them.
    return IPv6Address(host).compressed if ":" in host else host


def shownOrigin(origin: Origin) -> str:
    """
    @return: An origin as browsers write it.
    """
    scheme, host, port = origin
    where = f"[{host}]" if ":" in host else host
    return f"{scheme}://{where}" + (f":{port}" if namesPort(origin) else "")


def namesPort(origin: Origin) -> bool:
    """
    Whether an origin has a port other than the default one of its scheme.
    """
    scheme, _, port = origin
    return port != _DEFAULT_PORTS.get(scheme)


def listedOrigin(text: str) -> Origin:
    """
    @param text: An origin that a user lists, whose host may be in any language.

    @raise ValueError: No browser ever sends it; the error says what is right.

    @raise TypeError: It is not a C{str}.
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
    Say why a text is no origin.  What the user most likely meant comes first.
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
    @return: A host as browsers send it (UTS 46, nontransitional processing).
        One that RFC 5891 does not allow stays as it is; browsers allow more.
    """
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return host


def _hostProblems(scheme: str, host: str, port: int | None) -> Iterator[str]:
    """
    Say why no page comes from a host.
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
        # To browsers, a host that ends in a number is an address.  They send it
        # as four numbers, however it is written (URL Standard, host parsing).
        try:
            IPv4Address(host)
        except AddressValueError:
            yield "an address is four numbers, like http://127.0.0.1:8080"


@checked
class Origins:
    """
    The web sites whose pages may connect: the site to which the handshake is
    sent, and those that are listed.  Without this check, any site that a user
    visits could connect with that user's cookies, since browsers send them
    along with every handshake.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """
        @param allowed: Further sites, such as C{"https://example.com"}.  A host
            may be in any language; there are no patterns.

        @raise ValueError: One of them is no origin.

        @raise TypeError: C{allowed} is not a list of C{str}.
        """
        self._allowed = {listedOrigin(origin) for origin in allowed}

    def permits(self, handshake: Handshake) -> bool:
        """
        Whether a request may go on; see L{refusal}.
        """
        return self.refusal(handshake) is None

    def listed(self, handshake: Handshake) -> str | None:
        """
        @return: The origin of the page that sent a request, as it was sent, if it
            is one of those that are listed; L{None} if not.
        """
        origins = handshake.headers.get("origin", ())
        if len(origins) != 1 or parseOrigin(origins[0]) not in self._allowed:
            return None
        return origins[0]

    def refusal(self, handshake: Handshake) -> str | None:
        """
        Compare the origin of the page that sent a request with this server's own
        and with those that are listed (RFC 6455, section 10.2).  Browsers send
        C{Origin} with every handshake of a WebSocket; a request without it may
        go on.

        @return: L{None} if the request may go on.  Otherwise the reason, with
            what the page's origin was compared with.
        """
        origins = handshake.headers.get("origin", ())
        if not origins:
            return None
        sent = origins[0] if len(origins) == 1 else ", ".join(origins)
        page = parseOrigin(sent) if len(origins) == 1 else None
        own = _ownOrigin(handshake)
        if page is not None and (page in self._allowed or page == own):
            return None
        us = "unknown" if own is None else shownOrigin(own)
        how = "with" if handshake.isSecure else "without"
        return (
            f"refused a page of {shown(sent)}, which is not listed in origins"
            f" (--origin): this server is {shown(us)} ({handshake.hostHeader}:"
            f" {shown(handshake.host)}, {how} TLS){_hint(handshake, page, own)}"
        )


def _ownOrigin(handshake: Handshake) -> Origin | None:
    """
    @return: The origin of this server, as the browser sees it; L{None} if its
        host is unknown.
    """
    scheme = "https" if handshake.isSecure else "http"
    return parseOrigin(f"{scheme}://{handshake.host}")


def _hint(handshake: Handshake, page: Origin | None, own: Origin | None) -> str:
    """
    @return: What a proxy has probably done wrong; empty if nothing.
    """
    if page is None:
        return ""
    problem = handshake.told.problem or _uncounted(handshake)
    if problem:
        return f"; {problem}"
    if own is None or page[1] != own[1]:
        return "; if browsers call it otherwise, a proxy has changed the name"
    hints = ""
    isForwarded = handshake.proxies is not None and handshake.proxies.forwarded
    if page[0] == "https" and own[0] == "http":
        right = "" if handshake.trustProxy else f" and {_trusting(handshake)}"
        name = "Forwarded: proto=" if isForwarded else "X-Forwarded-Proto: "
        hints = f"; where a proxy ends TLS, right is {name}https{right}"
    if namesPort(page) and not namesPort(own):
        where = shown(shownOrigin(page).partition("//")[2])
        name = handshake.hostHeader
        right = f"{name}: host={where}" if name == FORWARDED else f"{name}: {where}"
        hints += f"; if a proxy drops the port, right is {right}"
    return hints


def _trusting(handshake: Handshake) -> str:
    """
    @return: How to trust whom a request came from.
    """
    peer = handshake.peer
    if peer is None or Proxies().trusts(peer):
        return "trustProxy=True (--trust-proxy)"
    return f"trustProxy=Proxies([{peer!r}]) (--trusted-network {peer})"


def _uncounted(handshake: Handshake) -> str:
    """
    @return: Which headers of a proxy do not count, and why; empty if there are
        none.
    """
    headers = handshake.headers
    sent = [n for n in (*X_FORWARDED[1:], FORWARDED) if any(headers.get(n.lower(), ()))]
    proxies, peer = handshake.proxies, handshake.peer
    if not sent:
        return ""
    names = " and ".join(sent)
    if not handshake.trustProxy:
        right = _trusting(handshake)
        if peer is None or Proxies().trusts(peer):
            return f"{names} of a proxy count only with {right}"
        return (
            f"{names} from {peer} count only if that is a proxy of yours: with {right}"
        )
    believed = Proxies().headers if proxies is None else proxies.headers
    if any(name in believed for name in sent):
        return ""
    how = "with" if FORWARDED in sent else "without"
    return f"{names} of a proxy count only {how} forwarded=True (--forwarded)"
