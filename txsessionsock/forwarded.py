# -*- test-case-name: tests.package.test_forwarded -*-
"""
Which proxies are trusted, and what they say of a browser's request: from which
address it came, by which scheme, and for which host.

A client can send the headers of a proxy too.  So they count only if the
connection itself comes from a proxy that is trusted, and then only those of one
family: C{X-Forwarded-For}, C{X-Forwarded-Proto} and C{X-Forwarded-Host}, or
C{Forwarded} (RFC 7239).

Each proxy adds at the right from whom it got the request.  So the addresses are
read from the right, and the first one that is not trusted is the client.  What
is left of it was sent by the client, and is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from ipaddress import ip_address as readAddress
from ipaddress import ip_network as readNetwork

from twisted.internet.address import IPv4Address as TCP4
from twisted.internet.address import IPv6Address as TCP6
from twisted.internet.address import UNIXAddress

from ._arguments import checked
from ._seldom import shown


__all__ = ["FORWARDED", "UNIX", "X_FORWARDED", "Proxies", "Told", "peerOf", "trusted"]

Headers = Mapping[str, Sequence[str]]
"""
The values of each header, by lower-case name.
"""

UNIX = "unix"
"""
Stands for the peer of a Unix socket, which has no address.
"""

X_FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
"""
The headers of a proxy that are believed, if the proxy is.
"""

FORWARDED = "Forwarded"
"""
The one that is believed instead of those with C{Proxies(forwarded=True)}.
"""

_SCHEMES = frozenset({"http", "https", "ws", "wss"})

_BLANKS = " \t"

_NODE = re.compile(
    r"(?:\[(?P<six>(?=[^]]*:)[0-9a-f:.]+)\]|(?P<four>[0-9.]+)|(?P<hidden>unknown|_[\w.-]+))"
    r"(?::(?:[0-9]{1,5}|_[\w.-]+))?",
    re.IGNORECASE | re.ASCII,
)
"""
Who sent a request (RFC 7239, section 6).  Some proxies write C{X-Forwarded-For}
in this way, with a port.
"""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

_PAIR = re.compile(rf'({_TOKEN})=(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")')

_ESCAPED = re.compile(r"\\(.)")

_COMMA = re.compile(r"[ \t]*(?:,[ \t]*|\Z)")
"""
Blanks may be around a comma, and nowhere else.
"""

_ENDS = frozenset({"", ";", ",", " ", "\t"})
"""
What may come after a pair.
"""


@dataclass(frozen=True)
class Told:
    """
    What trusted proxies say of a request.

    @ivar client: The address of the client; L{None} if it has none, or if
        nobody says.

    @ivar scheme: Of the address that the browser asked for; L{None} if nobody
        says, and empty if it cannot be understood.

    @ivar host: And the host in it, with its port.

    @ivar problem: What cannot be understood, for the log.
    """

    client: str | None
    scheme: str | None = None
    host: str | None = None
    problem: str | None = None


@checked
class Proxies:
    """
    The proxies that are trusted: those on this machine, by its loopback
    addresses or a Unix socket, and those in networks that are listed.
    """

    def __init__(
        self,
        networks: Iterable[str] = (),
        *,
        local: bool = True,
        forwarded: bool = False,
    ) -> None:
        """
        @param networks: Such as C{"10.0.0.0/8"} or C{"2001:db8::7"}.

        @param local: Whether to trust those on this machine.

        @param forwarded: Whether they set C{Forwarded} (RFC 7239) instead of
            C{X-Forwarded-For}, C{X-Forwarded-Proto} and C{X-Forwarded-Host}.

        @raise ValueError: One of C{networks} is none.
        """
        self.networks = tuple(_network(text) for text in networks)
        self.local = local
        self.forwarded = forwarded

    def __repr__(self) -> str:
        networks = [str(network) for network in self.networks]
        return f"Proxies({networks}, local={self.local}, forwarded={self.forwarded})"

    @property
    def headers(self) -> tuple[str, ...]:
        """
        Those that are believed.
        """
        return (FORWARDED,) if self.forwarded else X_FORWARDED

    @property
    def hostHeader(self) -> str:
        """
        Which of them has the host.
        """
        return self.headers[-1]

    def trusts(self, peer: str | None) -> bool:
        """
        @param peer: Where a connection comes from; see L{peerOf}.
        """
        if peer == UNIX:
            return self.local
        address = _address(peer)
        if address is None:
            return False
        if address.is_loopback and self.local:
            return True
        return any(address in network for network in self.networks)

    def told(self, headers: Headers, peer: str | None) -> Told:
        """
        Read what proxies have written.

        @param peer: The nearest one, which is trusted.
        """
        client = None if peer == UNIX else peer
        if self.forwarded:
            return self._forwarded(headers, client)
        proto, host = (_last(headers, name) or None for name in X_FORWARDED[1:])
        scheme, problem = proto and proto.lower(), None
        if scheme is not None and scheme not in _SCHEMES:
            scheme, problem = "", f"{X_FORWARDED[1]} is no scheme: {shown(proto or '')}"
        for hop in _fromRight(headers.get(X_FORWARDED[0].lower(), ())):
            address = _hop(hop)
            if address is None:
                problem = f"{X_FORWARDED[0]} has no address in {shown(hop)}"
                break
            client = address
            if not self.trusts(address):
                break
        return Told(client, scheme, host, problem)

    def _forwarded(self, headers: Headers, client: str | None) -> Told:
        told = Told(client)
        for line in reversed(headers.get(FORWARDED.lower(), ())):
            elements = _elements(line)
            if elements is None:
                return Told(told.client, "", "", f"{FORWARDED} is wrong: {shown(line)}")
            for element in reversed(elements):
                told = _toldBy(element)
                if told.problem is not None:
                    return Told(client, "", "", told.problem)
                client = told.client
                if not self.trusts(client):
                    return told
        return told


def trusted(trustProxy: bool | Proxies) -> Proxies | None:
    """
    @param trustProxy: What users say: L{True} for those on this machine.

    @return: L{None} if none is trusted.
    """
    if isinstance(trustProxy, Proxies):
        return trustProxy
    return _LOCAL if trustProxy else None


def peerOf(address: object) -> str | None:
    """
    @param address: Where a connection comes from, as Twisted has it.

    @return: That as a text, of which each address has one; L{None} for what is
        no address of a network, nor a Unix socket.
    """
    if isinstance(address, (TCP4, TCP6)):
        host = _address(address.host)
        return None if host is None else str(host)
    return UNIX if isinstance(address, UNIXAddress) else None


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = readNetwork(text)
    except ValueError:
        try:
            right = f"; right is {readNetwork(text, strict=False)}"
        except ValueError:
            right = ", like 10.0.0.0/8 or 2001:db8::/32"
        raise ValueError(f"not a network: {text!r}{right}") from None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED))


_MAPPED = 96
"""
How many bits come before the address of IPv4 in one of IPv6.
"""


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    """
    @return: An address in the one form in which it is compared.
    """
    try:
        # What comes from a neighbour on the link has a zone.
        address = readAddress((text or "").partition("%")[0])
    except ValueError:
        return None
    # At a port that listens for both, IPv4 looks like this.
    return getattr(address, "ipv4_mapped", None) or address


def _hop(text: str) -> str | None:
    """
    @param text: An address in C{X-Forwarded-For}.
    """
    node = _NODE.fullmatch(text)
    found = text if node is None else node["six"] or node["four"]
    address = None if "%" in text else _address(found)
    return None if address is None else str(address)


def _last(headers: Headers, name: str) -> str | None:
    """
    @return: The last value of a header, which the nearest proxy has written.
    """
    values = headers.get(name.lower())
    return values[-1].rpartition(",")[2].strip(_BLANKS) if values else None


def _fromRight(values: Sequence[str]) -> Iterator[str]:
    """
    Go through the parts of a header, one after the other: a client may have sent
    thousands of them.
    """
    for value in reversed(values):
        rest, comma = value, ","
        while comma and (rest or value.strip(_BLANKS)):
            rest, comma, part = rest.rpartition(",")
            yield part.strip(_BLANKS)


def _elements(line: str) -> list[dict[str, str]] | None:
    """
    Read a C{Forwarded} header (RFC 7239, section 4).

    @return: What each proxy wrote; L{None} if that cannot be understood.
    """
    elements: list[dict[str, str]] = [{}]
    place = 0
    while place < len(line):
        if line[place] == ";":
            place += 1
        elif line[place] in ", \t":
            end = _COMMA.match(line, place)
            if end is None:
                return None
            elements.append({})
            place = end.end()
        else:
            pair = _PAIR.match(line, place)
            if pair is None:
                return None
            name = pair[1].lower()
            if name in elements[-1] or line[pair.end() : pair.end() + 1] not in _ENDS:
                return None
            elements[-1][name] = pair[2] or _ESCAPED.sub(r"\1", pair[3] or "")
            place = pair.end()
    return [element for element in elements if element]


_SAID = ("proto", "host", "for")


def _toldBy(element: dict[str, str]) -> Told:
    """
    @param element: What one proxy wrote.
    """
    # One that is empty says nothing: nginx writes host="" where there is no Host.
    scheme, host, sender = (element.get(name) or None for name in _SAID)
    client = None
    if sender is not None:
        node = _NODE.fullmatch(sender)
        address = node and _address(node["six"] or node["four"])
        if node is None or not (node["hidden"] or address):
            return Told(None, problem=f"{FORWARDED} has no address in {shown(sender)}")
        client = str(address) if address else None
    if scheme is not None:
        scheme = scheme.lower()
        if scheme not in _SCHEMES:
            problem = f"{FORWARDED} has no scheme in {shown(scheme)}"
            return Told(None, problem=problem)
    return Told(client, scheme, host)


_LOCAL = Proxies()
