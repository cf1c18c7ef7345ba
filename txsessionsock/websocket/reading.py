# -*- test-case-name: tests.websocket.test_opening -*-
"""
Reading the request that asks for a WebSocket, by RFC 9112 and RFC 6455.

Autobahn's C{processHandshake} is not called, for it

  - splits lines at 0x0b, 0x0c, 0x1c to 0x1e and 0x85, which headers may contain,
    so that a client can make up headers (C{X-Forwarded-For}), and a cookie with
    an "Å" before the session's, which is C3 85 in UTF-8, hides that one;
  - takes a head without end, a body, and names of headers that are none;
  - answers with a status page that redirects to wherever a link says;
  - writes requests to the log, cookies and all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlparse

from autobahn.websocket.protocol import _is_same_origin, _url_to_origin
from autobahn.websocket.types import ConnectionRequest

from txsessionsock.credentials import isSecret
from txsessionsock.handshake import Handshake, fieldsIn

from .knocks import KNOCKED, isKnock


__all__ = ["HEAD_END", "Refused", "read"]

HEAD_END = b"\r\n\r\n"

_REQUEST_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/([0-9]\.[0-9])"
)

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")

_NUMBER = re.compile(r"[0-9]{1,5}")

_NAMED_ORIGIN = 13
"""
The version of the protocol whose handshakes say C{Origin}; those before it say
C{Sec-WebSocket-Origin}.
"""

_Headers = Sequence[tuple[str, str]]

_UPGRADE: _Headers = (("Upgrade", "websocket"),)

_NAMES = {
    "host": "Host",
    "origin": "Origin",
    "sec-websocket-key": "Sec-WebSocket-Key",
    "sec-websocket-origin": "Sec-WebSocket-Origin",
    "sec-websocket-version": "Sec-WebSocket-Version",
}
"""
The headers of which there is one, as they are written.
"""


class Refused(Exception):
    """
    There will be no WebSocket.

    @ivar reason: What the client is told: a fixed text, or the application's.

    @ivar why: What the log is told; the same if it is L{None}, and nothing if
        it is empty.

    @ivar kind: In one of few words, what kind of reason it is.
    """

    def __init__(
        self,
        reason: str,
        status: int = HTTPStatus.BAD_REQUEST,
        *,
        headers: _Headers = (),
        why: str | None = None,
        kind: str = "malformed",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.headers = headers
        self.why = why
        self.kind = kind


class _Request(ConnectionRequest):
    """
    What C{onConnect} gets.  Autobahn's own C{onConnect} writes it to the log, so
    it shows nothing that can be a secret: no header, no query, no subprotocol.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return f"a handshake for {self.path} from {self.peer}"


def read(protocol: Any, head: bytes) -> ConnectionRequest:
    """
    Read a request, and set what Autobahn sets.

    @raise Refused: It is none for a WebSocket.
    """
    protocol.http_request_data = head + HEAD_END
    end = head.find(b"\r\n")
    first, rest = (head, b"") if end < 0 else (head[:end], head[end + 2 :])
    try:
        fields = list(fieldsIn(rest))
    except ValueError:
        raise Refused("a header is malformed") from None
    _readTarget(protocol, first)
    request: Handshake = protocol._requestOf(fields)
    headers = request.headers
    protocol.http_headers = {
        name: ("; " if name == "cookie" else ", ").join(values)
        for name, values in headers.items()
    }
    _refuseBody(headers)
    _readHost(protocol, headers)
    _refuseOther(protocol.http_headers, protocol.http_request_params)
    _readVersion(protocol, headers)
    _readSubprotocols(protocol)
    _readOrigin(protocol, request)
    key = _only(headers, "sec-websocket-key")
    if not _KEY.fullmatch(key):
        raise Refused("Sec-WebSocket-Key is malformed")
    protocol._wskey = key
    offered = protocol.http_headers.get("sec-websocket-extensions")
    # It is a list, which may be in several headers (RFC 6455, section 9.1).
    protocol.websocket_extensions = (
        protocol._parseExtensionsHeader(offered) if offered else []
    )
    _believeProxy(protocol)
    protocol._sessionsock.request = request
    return _Request(
        protocol.peer,
        protocol.http_headers,
        protocol.http_request_host,
        protocol.http_request_path,
        protocol.http_request_params,
        protocol.websocket_version,
        protocol.websocket_origin,
        protocol.websocket_protocols,
        protocol.websocket_extensions,
    )


def _readTarget(protocol: Any, line: bytes) -> None:
    parts = _REQUEST_LINE.fullmatch(line)
    if parts is None:
        raise Refused("the request line is malformed")
    protocol.http_status_line = line.decode("ascii")
    method, target, version = (part.decode("ascii") for part in parts.groups())
    if version != "1.1":
        raise Refused(
            "the version of HTTP is not supported",
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        )
    if method != "GET":
        raise Refused(
            "the method is not allowed",
            HTTPStatus.METHOD_NOT_ALLOWED,
            headers=[("Allow", "GET")],
        )
    try:
        _, _, path, _, query, fragment = urlparse(target)
        params = parse_qs(query) if query else {}
    except ValueError:
        raise Refused("the address is malformed") from None
    if fragment:
        raise Refused("the address has a fragment")
    protocol.http_request_uri = target
    protocol.http_request_path = path
    protocol.http_request_params = params


def _refuseBody(headers: Mapping[str, Sequence[str]]) -> None:
    # What follows the head would be taken for frames, though it was sent by
    # somebody who had no say about frames: a form, through a proxy.
    lengths = headers.get("content-length", ("0",))
    if "transfer-encoding" in headers or list(lengths) != ["0"]:
        raise Refused("a handshake has no body")


def _readHost(protocol: Any, headers: Mapping[str, Sequence[str]]) -> None:
    host = _only(headers, "host")
    if ":" in host and not host.endswith("]"):
        host, _, port = host.rpartition(":")
        if not _NUMBER.fullmatch(port):
            raise Refused("Host is malformed")
        ours = protocol.factory.externalPort
        if ours and int(port) != ours:
            raise Refused("Host has another port")
    protocol.http_request_host = host


def _refuseOther(headers: Mapping[str, str], params: Mapping[str, object]) -> None:
    """
    Refuse what does not ask for a WebSocket.
    """
    if "websocket" not in _words(headers.get("upgrade", "")):
        if isKnock(params):
            raise Refused(
                "this is a plain WebSocket and no Socket.IO",
                HTTPStatus.UPGRADE_REQUIRED,
                headers=_UPGRADE,
                why=KNOCKED,
            )
        # Browsers that look at the address are no trouble.
        isHandshake = "sec-websocket-key" in headers
        raise Refused(
            "this is a WebSocket",
            HTTPStatus.UPGRADE_REQUIRED,
            headers=_UPGRADE,
            why=None if isHandshake else "",
        )
    if "upgrade" not in _words(headers.get("connection", "")):
        raise Refused("Connection does not say Upgrade")


def _words(value: str) -> Iterator[str]:
    return (word.strip(" \t").lower() for word in value.split(","))


def _readVersion(protocol: Any, headers: Mapping[str, Sequence[str]]) -> None:
    version = _only(headers, "sec-websocket-version")
    if not _NUMBER.fullmatch(version):
        raise Refused("Sec-WebSocket-Version is malformed")
    spoken = sorted(protocol.versions, reverse=True)
    if int(version) not in spoken:
        raise Refused(
            "the version of WebSocket is not supported",
            HTTPStatus.UPGRADE_REQUIRED,
            headers=[
                *_UPGRADE,
                ("Sec-WebSocket-Version", ", ".join(str(each) for each in spoken)),
            ],
        )
    protocol.websocket_version = int(version)


def _readSubprotocols(protocol: Any) -> None:
    offered = protocol.http_headers.get("sec-websocket-protocol")
    protocols = (
        [] if offered is None else [each.strip(" \t") for each in offered.split(",")]
    )
    if len(set(protocols)) < len(protocols):
        raise Refused("a subprotocol is offered twice")
    if protocol._sessionsock.rules.takesSubprotocols and any(map(isSecret, protocols)):
        # The application is not to choose one of these, nor to write it to a log.
        protocols = [each for each in protocols if not isSecret(each)]
        protocol.http_headers["sec-websocket-protocol"] = ", ".join(protocols)
    protocol.websocket_protocols = protocols


def _readOrigin(protocol: Any, request: Handshake) -> None:
    named = protocol.websocket_version >= _NAMED_ORIGIN
    header = "origin" if named else "sec-websocket-origin"
    sent = request.headers.get(header)
    if sent is None:
        protocol.websocket_origin = ""
        return
    protocol.websocket_origin = origin = _only(request.headers, header)
    if not named:
        request = replace(request, headers={**request.headers, "origin": sent})
    line = protocol._sessionsock
    why = line.rules.origins.refusal(request)
    if why is not None or not _isAllowed(protocol, origin):
        raise Refused(
            "origin not allowed", HTTPStatus.FORBIDDEN, why=why, kind="origin"
        )


def _isAllowed(protocol: Any, origin: str) -> bool:
    """
    Whether the option C{allowedOrigins} of Autobahn allows an origin, which all
    are unless it is set.
    """
    try:
        parsed = _url_to_origin(origin)
    except ValueError:
        return False
    factory = protocol.factory
    if parsed == "null":
        return bool(factory.allowNullOrigin)
    scheme = "https" if factory.isSecure else "http"
    port = factory.externalPort or factory.port
    return bool(_is_same_origin(parsed, scheme, port, protocol.allowedOriginsPatterns))


def _believeProxy(protocol: Any) -> None:
    """
    Heed the option C{trustXForwardedFor} of Autobahn: how many proxies there are.
    """
    proxies = protocol.trustXForwardedFor
    sent = protocol.http_headers.get("x-forwarded-for") if proxies else None
    if sent is not None:
        addresses = [address.strip(" \t") for address in sent.split(",")]
        protocol.peer = addresses[-proxies:][0]


def _only(headers: Mapping[str, Sequence[str]], name: str) -> str:
    """
    The value of a header that has to be there, once.
    """
    values = headers.get(name, ())
    if len(values) == 1:
        return values[0]
    shownName = _NAMES[name]
    raise Refused(f"{shownName} is {'there twice' if values else 'missing'}")
