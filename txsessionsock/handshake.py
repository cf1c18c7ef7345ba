# -*- test-case-name: tests.package.test_handshake -*-
"""
The request with which a socket or a page begins: its headers, and what they
say about TLS and about the host.

Every request is read by L{handshakeOf}, once.  What asks whether a browser
speaks TLS, which host it asked for, where its page comes from or which cookies
it has, asks the L{Handshake}.

Behind a proxy:

  - Without C{trustProxy}, no header of a proxy is believed, since a client can
    send it too.
  - With C{trustProxy}, two are: C{X-Forwarded-Proto} and C{X-Forwarded-Host}.
    The last value of each counts, which the proxy nearest to us has written.
    Where a proxy leaves one out, or empty, the request to us counts.
  - C{https} and C{wss} are TLS, and any other C{X-Forwarded-Proto} is not.
  - C{Forwarded}, C{X-Forwarded-Port} and all others are never believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


__all__ = ["FORWARDED", "Handshake", "fieldsIn", "handshakeOf"]


FORWARDED = ("X-Forwarded-Proto", "X-Forwarded-Host")
"""
The headers of a proxy that are believed, if the proxy is.
"""

_BLANKS = " \t"
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)",
)
_PORT = re.compile(r":\d*\Z")
_SECURE = frozenset({"https", "wss"})


@dataclass(frozen=True)
class Handshake:
    """
    The HTTP request that opens a socket, or asks for a page.

    @ivar headers: The values of each header, by lower-case name.

    @ivar isTLS: Whether it came to this server over TLS.

    @ivar trustProxy: Whether there is a proxy in front that sets
        C{X-Forwarded-Proto} and C{X-Forwarded-Host}.
    """

    # Cookies, tokens: a repr may get into a log.
    headers: Mapping[str, Sequence[str]] = field(repr=False)
    isTLS: bool
    trustProxy: bool = False

    @property
    def isSecure(self) -> bool:
        """
        Whether the browser speaks TLS: to this server, or to the proxy.
        """
        scheme = self.last(FORWARDED[0]) if self.trustProxy else None
        return scheme.lower() in _SECURE if scheme else self.isTLS

    @property
    def hostHeader(self) -> str:
        """
        The name of the header that says for which host the browser asked.
        """
        isForwarded = self.trustProxy and self.last(FORWARDED[1])
        return FORWARDED[1] if isForwarded else "Host"

    @property
    def host(self) -> str:
        """
        The host for which the browser asked, with its port if it has one;
        empty if nobody knows.
        """
        if self.hostHeader != "Host":
            return self.last(self.hostHeader) or ""
        hosts = self.headers.get("host", ())
        # Of two, nobody knows which one the browser means (RFC 9112, section 3.2).
        return hosts[0] if len(hosts) == 1 else ""

    @property
    def hostname(self) -> str:
        """
        The same without port, and without the brackets of an IPv6 address.
        """
        return _PORT.sub("", self.host).strip("[]")

    def last(self, name: str) -> str | None:
        """
        The last value of a header, which the proxy nearest to us has written.
        """
        values = self.headers.get(name.lower())
        return values[-1].rpartition(",")[2].strip(_BLANKS) if values else None


def handshakeOf(
    fields: Iterable[tuple[bytes, bytes]], *, isTLS: bool, trustProxy: bool
) -> Handshake:
    """
    Read a request.

    @param fields: Its headers, name and value, as they came: a name that comes
        twice is there twice.

    @param isTLS: Whether it came to this server over TLS.

    @param trustProxy: See L{Handshake}.
    """
    headers: dict[str, list[str]] = {}
    for name, value in fields:
        values = headers.setdefault(name.decode("iso-8859-1").lower(), [])
        values.append(value.decode("iso-8859-1").strip(_BLANKS))
    return Handshake(headers, isTLS, trustProxy)


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
