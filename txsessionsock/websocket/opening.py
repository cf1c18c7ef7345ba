# -*- test-case-name: tests.websocket.test_opening -*-
"""
How a WebSocket opens: our own reading of the request, and our own answer.

Autobahn's C{processHandshake} is not called, for it

  - splits lines at 0x0b, 0x0c, 0x1c to 0x1e and 0x85, which headers may contain,
    so that a client can make up headers (C{X-Forwarded-For}), and a cookie with
    an "Å" before the session's, which is C3 85 in UTF-8, hides that one;
  - takes a head without end, a body, and names of headers that are none;
  - answers with a status page that redirects to wherever a link says;
  - writes requests to the log, cookies and all.

Nor is its C{succeedHandshake}, which answers nothing at all to a client whose
C{onConnect} went wrong, and whose log lines have the answer's cookies.

The bytes of a client get into no answer: what is said is in this file.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha1
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlparse

from autobahn.websocket.compress import PERMESSAGE_COMPRESSION_EXTENSION
from autobahn.websocket.protocol import (
    WebSocketServerProtocol as AnyAutobahn,
)
from autobahn.websocket.protocol import (
    _is_same_origin,
    _url_to_origin,
)
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._seldom import shown
from txsessionsock._waiting import waitable
from txsessionsock.handshake import Handshake, fieldsIn

from .admission import Overfull, overfull


__all__ = ["HEAD_END", "Refused", "accept", "proceed", "refuse"]

_log = Logger()

HEAD_END = b"\r\n\r\n"

_EARLY_SIZE = 128 * 1024
"""
How many bytes may come while C{onConnect} waits.  They are frames, which clients
send when they have the answer (RFC 6455, section 4.1).
"""

_REQUEST_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/([0-9]\.[0-9])"
)

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")

_NUMBER = re.compile(r"[0-9]{1,5}")

_FIT = re.compile(r"[ -~]{1,200}")
"""
A reason that can be in a status line.
"""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_AUTOBAHNS_BANNER = "AutobahnPython/"

_NAMED_ORIGIN = 13
"""
The version of the protocol whose handshakes say C{Origin}; those before it say
C{Sec-WebSocket-Origin}.
"""

_Headers = Sequence[tuple[str, str]]

_UPGRADE: _Headers = (("Upgrade", "websocket"),)


class Refused(Exception):
    """
    There will be no WebSocket.

    @ivar reason: What the client is told: a fixed text, or the application's.

    @ivar why: What the log is told; the same if it is L{None}, and nothing if
        it is empty.
    """

    def __init__(
        self,
        reason: str,
        status: int = HTTPStatus.BAD_REQUEST,
        *,
        headers: _Headers = (),
        why: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.headers = headers
        self.why = why


class _Request(ConnectionRequest):
    """
    What C{onConnect} gets.  Autobahn's own C{onConnect} writes it to the log, so
    it shows nothing that can be a secret: no header, no query, no subprotocol.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return f"a handshake for {self.path} from {self.peer}"


# Reading.


def proceed(protocol: Any) -> None:
    """
    Something came before the connection is open.

    @param protocol: A L{Hardened<txsessionsock.websocket.Hardened>} one.
    """
    line = protocol._sessionsock
    data = protocol.data
    if line.request is not None:
        # Frames that came while onConnect waits.  Autobahn would look for another
        # handshake in them, call onConnect again, and answer twice.
        if len(data) > _EARLY_SIZE:
            protocol.dropConnection(abort=True)
        return
    end = data.find(HEAD_END)
    limit = line.rules.limits.headerSize
    try:
        # Looked at for each piece that comes, so one that has no end is not joined
        # and searched again and again.
        if len(data) > limit and not 0 <= end <= limit - len(HEAD_END):
            raise Refused(
                "the header is too large",
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            )
        if end < 0:
            return
        asked = _read(protocol, data[:end])
    except Refused as refused:
        refuse(protocol, refused)
    else:
        protocol.data = data[end + len(HEAD_END) :]
        _ask(protocol, asked)


def _read(protocol: Any, head: bytes) -> ConnectionRequest:
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
    _refuseOther(protocol.http_headers)
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


def _refuseOther(headers: Mapping[str, str]) -> None:
    """
    Refuse what does not ask for a WebSocket.
    """
    if "websocket" not in _words(headers.get("upgrade", "")):
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
        raise Refused("origin not allowed", HTTPStatus.FORBIDDEN, why=why)


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


_NAMES = {
    "host": "Host",
    "origin": "Origin",
    "sec-websocket-key": "Sec-WebSocket-Key",
    "sec-websocket-origin": "Sec-WebSocket-Origin",
    "sec-websocket-version": "Sec-WebSocket-Version",
}


# Asking the application.


def _ask(protocol: Any, request: ConnectionRequest) -> None:
    problem = _tooMany(protocol)
    if problem is not None:
        refused = Refused(
            problem.reason, problem.status, headers=problem.headers, why=problem.why
        )
        refuse(protocol, refused)
        return
    onConnect = protocol.onConnect
    try:
        isTheirs = getattr(onConnect, "__func__", None) is not AnyAutobahn.onConnect
        result: Any = waitable(onConnect(request)) if isTheirs else None
    except Exception:
        _deny(protocol, Failure())
        return
    if isinstance(result, Deferred):
        result.addCallbacks(
            protocol.succeedHandshake, lambda failure: _deny(protocol, failure)
        )
    else:
        protocol.succeedHandshake(result)


def _tooMany(protocol: Any) -> Overfull | None:
    """
    @return: Why this connection is one too many; L{None} if it is not.
    """
    limit = protocol.maxConnections
    if 0 < limit < protocol.factory.countConnections:
        return overfull(limit, "Autobahn's option maxConnections")
    line = protocol._sessionsock
    problem: Overfull | None = line.place.settle(line.request)
    return problem


def _logFailure(protocol: Any, line: str, failure: Failure) -> None:
    now = protocol.factory.reactor.seconds()
    protocol._sessionsock.rules.refusals.failure(_log, line, failure, now)


def _deny(protocol: Any, failure: Failure) -> None:
    """
    C{onConnect} raised something.
    """
    denied = failure.value
    if isinstance(denied, ConnectionDeny):
        refuse(protocol, Refused(denied.reason or "", denied.code, why=""))
    else:
        _logFailure(protocol, "onConnect failed", failure)
        refuse(protocol, _broken(""))


def _broken(why: str) -> Refused:
    return Refused("", HTTPStatus.INTERNAL_SERVER_ERROR, why=why)


# Answering.


def refuse(protocol: Any, refused: Refused) -> None:
    """
    Answer, and close the connection.
    """
    if protocol.state != protocol.STATE_CONNECTING:
        return  # The client left while onConnect waited.
    # An application may have put into a reason what a client sent, or a line break.
    isFit = isinstance(refused.reason, str) and _FIT.fullmatch(refused.reason)
    reason = refused.reason if isFit else _phrase(refused.status)
    protocol.wasNotCleanReason = reason
    why = f"refused a handshake: {reason}" if refused.why is None else refused.why
    if why:
        rules = protocol._sessionsock.rules
        now = protocol.factory.reactor.seconds()
        # In the line may be what the client sent.
        rules.refusals.warn(_log, why, now, (refused.status, reason))
    headers = [*refused.headers, ("Content-Length", "0"), ("Connection", "close")]
    protocol.data = b""
    protocol.sendData(_head(f"{int(refused.status)} {reason}", headers))
    protocol.dropConnection(abort=False)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


def _head(status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8")


def accept(protocol: Any, result: Any) -> None:
    """
    Open the connection.

    @param result: What C{onConnect} returned.
    """
    if protocol.state != protocol.STATE_CONNECTING:
        # The client left while onConnect waited.  Autobahn would open the
        # connection all the same, and nothing would ever close it.
        return
    try:
        answer = _answer(protocol, result)
    except Refused as refused:
        refuse(protocol, refused)
    except Exception:
        _logFailure(protocol, "a handshake cannot be answered", Failure())
        refuse(protocol, _broken(""))
    else:
        protocol.http_response_data = answer.decode("utf-8")
        protocol.sendData(answer)
        _open(protocol)


def _answer(protocol: Any, result: Any) -> bytes:
    subprotocol, *more = result if isinstance(result, tuple) and result else (result,)
    if isinstance(result, tuple) and not result:
        subprotocol = None
    _refuseSubprotocol(protocol, subprotocol)
    protocol.websocket_protocol_in_use = subprotocol
    headers = [("Upgrade", "WebSocket"), ("Connection", "Upgrade")]
    server = protocol.factory.server
    # Autobahn's own banner says which version has which holes.
    if server and not server.startswith(_AUTOBAHNS_BANNER):
        headers.append(("Server", server))
    headers += _fitHeaders(protocol.factory.headers)
    headers += _fitHeaders(more[0] if more else {})
    if subprotocol is not None:
        headers.append(("Sec-WebSocket-Protocol", subprotocol))
    digest = sha1(protocol._wskey.encode("ascii") + _GUID, usedforsecurity=False)
    headers.append(("Sec-WebSocket-Accept", b64encode(digest.digest()).decode("ascii")))
    extension = _compression(protocol)
    if extension is not None:
        headers.append(("Sec-WebSocket-Extensions", extension))
    return _head("101 Switching Protocols", headers)


def _refuseSubprotocol(protocol: Any, subprotocol: Any) -> None:
    # Autobahn raises an exception that nobody hears of, and the client waits.
    if subprotocol is None or subprotocol in protocol.websocket_protocols:
        return
    raise _broken(
        f"onConnect returned {shown(str(subprotocol))}, a subprotocol that the client"
        " did not offer; right is one of request.protocols, or None"
    )


def _fitHeaders(headers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """
    The headers of an application.

    @raise ValueError: One of them would be more than one.
    """
    for name, values in (headers or {}).items():
        isOne = isinstance(values, str) or not isinstance(values, Iterable)
        for value in [values] if isOne else values:
            # It raises if this is none.
            ((_, _),) = fieldsIn(f"{name}:{value}".encode())
            yield name, str(value)


def _compression(protocol: Any) -> str | None:
    """
    Choose among the extensions that compress messages and that were offered.
    """
    protocol.websocket_extensions_in_use = []
    known: Any = PERMESSAGE_COMPRESSION_EXTENSION
    offers = []
    for extension, params in protocol.websocket_extensions:
        if extension in known:
            try:
                offers.append(known[extension]["Offer"].parse(params))
            except Exception:  # Autobahn raises nothing narrower.
                raise Refused("Sec-WebSocket-Extensions is malformed") from None
    accepted = protocol.perMessageCompressionAccept(offers) if offers else None
    if accepted is None:
        return None
    kind = known[accepted.EXTENSION_NAME]["PMCE"]
    inUse = kind.create_from_offer_accept(protocol.factory.isServer, accepted)
    protocol._perMessageCompress = inUse
    protocol.websocket_extensions_in_use.append(inUse)
    return str(accepted.get_extension_string())


def _open(protocol: Any) -> None:
    protocol.state = protocol.STATE_OPEN
    timeout = protocol.openHandshakeTimeoutCall
    if timeout is not None:
        protocol.openHandshakeTimeoutCall = None
        timeout.cancel()
    protocol.inside_message = False
    protocol.current_frame = None
    if protocol.autoPingInterval:
        protocol.autoPingPendingCall = protocol.factory._batched_timer.call_later(
            protocol.autoPingInterval, protocol._sendAutoPing
        )
    if protocol.trackedTimings:
        protocol.trackedTimings.track("onOpen")
    try:
        protocol._onOpen()
    except Exception:
        # Autobahn's would be in a Deferred that nobody looks at.
        _logFailure(protocol, "onOpen failed", Failure())
        protocol._sessionsock.close(1011, "")
    protocol.is_open.callback(None)
    if protocol.data:
        # Frames that came with the handshake, or while onConnect waited.
        protocol.consumeData()
