# -*- test-case-name: tests.package.test_handshake -*-
"""
The request with which a socket or a page begins: its headers, and what they
say about TLS and about the host.

Every request is read by L{handshakeOf}, once.  What asks whether a browser
speaks TLS, which host it asked for, where its page comes from or which cookies
it has, asks the L{Handshake}.

Behind a proxy:

  - A header of a proxy is believed only if the connection comes from a proxy
    that is trusted, since a client can send it too.
  - C{X-Forwarded-Proto} and C{X-Forwarded-Host} are; with C{forwarded=True},
    C{Forwarded} and not those (see L{Proxies}).
    The last value of each counts, which the proxy nearest to us has written.
    Where a proxy leaves one out, or empty, the request to us counts.
  - C{https} and C{wss} are TLS, and any other scheme is not.
  - C{X-Forwarded-Port} and all others are never believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from .forwarded import UNIX, Proxies, Told, peerOf, trusted


__all__ = ["Handshake", "fieldsIn", "handshakeOf"]


_BLANKS = " \t"
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)",
)
_ALIKE = frozenset(
    (
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "host",
        "origin",
        "pragma",
        "sec-websocket-extensions",
        "sec-websocket-version",
        "upgrade",
        "user-agent",
    )
)
"""
The headers of which many clients send the same.  None of them is a secret.
"""
_SHORT = 256
_PORT = re.compile(r":\d*\Z")
_SECURE = frozenset({"https", "wss"})


@dataclass(frozen=True)
class Handshake:
    """
    The HTTP request that opens a socket, or asks for a page.

    @ivar headers: The values of each header, by lower-case name.

    @ivar isTLS: Whether it came to this server over TLS.

    @ivar trustProxy: Whether it came from a proxy that is trusted.

    @ivar proxies: Those that are; L{None} if nobody has said.

    @ivar peer: Where the connection comes from: its address, or C{"unix"};
        L{None} if nobody knows.

    @ivar auth: What a client of Socket.IO sent along to name itself, empty for
        nothing; L{None} for a client of another kind.
    """

    # Cookies, tokens: a repr may get into a log.
    headers: Mapping[str, Sequence[str]] = field(repr=False)
    isTLS: bool
    trustProxy: bool = False
    proxies: Proxies | None = None
    peer: str | None = None
    auth: object = field(default=None, repr=False)

    @cached_property
    def told(self) -> Told:
        """
        What trusted proxies say of it.
        """
        if not self.trustProxy:
            return Told(None if self.peer == UNIX else self.peer)
        return (self.proxies or Proxies()).told(self.headers, self.peer)

    @property
    def doubt(self) -> str | None:
        """
        What to tell the log of proxies that are trusted; L{None} for nothing.
        """
        problem = self.told.problem
        if problem is not None:
            return f"a proxy at {self.peer} is not understood: {problem}"
        if self.proxies is None or self.trustProxy:
            return None
        sent = [name for name in self.proxies.headers if self.headers.get(name.lower())]
        if not sent:
            return None
        return (
            f"{' and '.join(sent)} from {self.peer} are not believed; only if a proxy"
            f" of yours is there, right is trustProxy=Proxies([{self.peer!r}])"
            f" (--trusted-network {self.peer})"
        )

    @property
    def client(self) -> str | None:
        """
        The address of the client: of the connection, or as the proxies say;
        L{None} if it has none.
        """
        return self.told.client

    @property
    def isSecure(self) -> bool:
        """
        Whether the browser speaks TLS: to this server, or to the proxy.
        """
        scheme = self.told.scheme
        return self.isTLS if scheme is None else scheme in _SECURE

    @property
    def hostHeader(self) -> str:
        """
        The name of the header that says for which host the browser asked.
        """
        if self.told.host is None:
            return "Host"
        return (self.proxies or Proxies()).hostHeader

    @property
    def host(self) -> str:
        """
        The host for which the browser asked, with its port if it has one;
        empty if nobody knows.
        """
        if self.told.host is not None:
            return self.told.host
        hosts = self.headers.get("host", ())
        # Of two, nobody knows which one the browser means (RFC 9112, section 3.2).
        return hosts[0] if len(hosts) == 1 else ""

    @property
    def hostname(self) -> str:
        """
        The same without port, and without the brackets of an IPv6 address.
        """
        return _PORT.sub("", self.host).strip("[]")


def handshakeOf(
    fields: Iterable[tuple[bytes, bytes]],
    *,
    isTLS: bool,
    trustProxy: bool | Proxies = False,
    peer: object = None,
) -> Handshake:
    """
    Read a request.

    @param fields: Its headers, name and value, as they came: a name that comes
        twice is there twice.

    @param isTLS: Whether it came to this server over TLS.

    @param trustProxy: Which proxies are trusted, L{True} for those on this
        machine.

    @param peer: Where the connection comes from, as its transport says.
    """
    headers: dict[str, list[str]] = {}
    for raw, value in fields:
        name = _nameOf(raw) if len(raw) <= _SHORT else _text(raw).lower()
        isAlike = name in _ALIKE and len(value) <= _SHORT
        text = _shared(value) if isAlike else _text(value)
        headers.setdefault(name, []).append(text)
    proxies, address = trusted(trustProxy), peerOf(peer)
    isTrusted = proxies is not None and proxies.trusts(address)
    return Handshake(headers, isTLS, isTrusted, proxies, address)


def _text(raw: bytes) -> str:
    return raw.decode("iso-8859-1").strip(_BLANKS)


# What thousands of requests have in common is kept once.  Not by sys.intern(): in
# Python 3.12 it keeps for ever what clients make up.
_shared = lru_cache(512)(_text)


@lru_cache(512)
def _nameOf(raw: bytes) -> str:
    return raw.decode("iso-8859-1").lower()


def fieldsIn(lines: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    Split the headers of a request, at CR LF only.

    @param lines: They, as they came, without the request line; no CR LF behind
        the last.

    @raise ValueError: One is not as RFC 9110 has it (section 5), such as one with
        another control character than a tab, with a blank before the colon, or
        that goes on in the next line.
    """
    for line in lines.split(b"\r\n") if lines else ():
        parts = _FIELD.fullmatch(line)
        if parts is None:
            raise ValueError("no header")
        name, value = parts.groups()
        yield name, value
