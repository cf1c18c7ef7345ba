"""
The request with which a socket or a page comes: its headers, whether over TLS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._arguments import checked


__all__ = ["Handshake", "handshakeOf"]


_FORWARDED = ("X-Forwarded-Proto", "X-Forwarded-Host")


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


def handshakeOf(request: bytes, isSecure: bool) -> Handshake:
    """
    Read the headers anew: Autobahn joins repeated ones, cookies with commas.

    @param request: The request as it came.
    """
    headers: dict[str, list[str]] = {}
    for line in request.decode("iso-8859-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            values = headers.setdefault(name.strip(" \t").lower(), [])
            values.append(value.strip(" \t"))
    return Handshake(headers, isSecure)
