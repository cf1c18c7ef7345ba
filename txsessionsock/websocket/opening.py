# -*- test-case-name: tests.websocket.test_opening -*-
"""
How a WebSocket opens: our own reading of the request, and our own answer.

Autobahn's C{processHandshake} is not called; L{reading
<txsessionsock.websocket.reading>} says why.  Nor is its C{succeedHandshake}, which
answers nothing at all to a client whose C{onConnect} went wrong, and whose log
lines have the answer's cookies.

The bytes of a client get into no answer: what is said is in these two files.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha1
from http import HTTPStatus
from typing import Any

from autobahn.websocket.compress import PERMESSAGE_COMPRESSION_EXTENSION
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._events import EVENTS
from txsessionsock._seldom import shown
from txsessionsock._waiting import waitable
from txsessionsock.credentials import SUBPROTOCOL, isSecret
from txsessionsock.handshake import fieldsIn

from .admission import Overfull, overfull
from .compression import bounded
from .reading import HEAD_END, Refused, read


__all__ = ["accept", "begin", "proceed", "refuse"]

_log = Logger()

_EARLY_SIZE = 128 * 1024
"""
How many bytes may come while C{onConnect} waits, or the handshake for its turn.
They are frames, which clients send when they have the answer (RFC 6455, section
4.1).
"""

_REFUSALS = range(300, 600)

_FIT = re.compile(r"[ -~]{1,200}")
"""
A reason that can be in a status line.
"""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_AUTOBAHNS_BANNER = "AutobahnPython/"


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
    # Looked at for each piece that comes, so one that has no end is joined and
    # searched no further than to the limit.
    if len(data) > limit and not 0 <= end <= limit - len(HEAD_END):
        tooLarge = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        refuse(protocol, Refused("the header is too large", tooLarge))
    elif len(data) - end > _EARLY_SIZE:
        protocol.dropConnection(abort=True)
    elif end >= 0:
        # Thousands may come at once.
        line.headCame()


def begin(protocol: Any) -> None:
    """
    The head of a request is there, and it is its turn.
    """
    end = protocol.data.find(HEAD_END)
    try:
        asked = read(protocol, protocol.data[:end])
    except Refused as refused:
        refuse(protocol, refused)
    else:
        protocol.data = protocol.data[end + len(HEAD_END) :]
        _ask(protocol, asked)


# Asking the application.


def _ask(protocol: Any, request: ConnectionRequest) -> None:
    problem = _tooMany(protocol)
    if problem is not None:
        refused = Refused(
            problem.reason,
            problem.status,
            headers=problem.headers,
            why=problem.why,
            kind="limit",
        )
        refuse(protocol, refused)
        return
    try:
        result: Any = waitable(protocol.onConnect(request))
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
        isStatus = denied.code in _REFUSALS
        code = denied.code if isStatus else HTTPStatus.INTERNAL_SERVER_ERROR
        reason = denied.reason or ""
        refuse(protocol, Refused(reason, code, why="", kind="application"))
    else:
        _logFailure(protocol, "onConnect failed", failure)
        refuse(protocol, _broken(""))


def _broken(why: str) -> Refused:
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return Refused("", status, why=why, kind="failure")


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
    rules = protocol._sessionsock.rules
    rules.refused(refused.kind)
    if why:
        now = protocol.factory.reactor.seconds()
        # In the line may be what the client sent.
        kind = (refused.status, reason)
        fields = {"event": "refused", "reason": refused.kind}
        rules.refusals.warn(EVENTS, why, now, kind, **fields)
    headers = [*refused.headers, ("Content-Length", "0"), ("Connection", "close")]
    protocol.data = b""
    protocol.sendData(_head(f"{int(refused.status)} {reason}", headers))
    # Autobahn would say why, once more, and also of those of whom we say nothing.
    with protocol._sessionsock.rules.quiet.silent():
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
    if subprotocol is None:
        subprotocol = _ours(protocol)
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


def _ours(protocol: Any) -> str | None:
    """
    @return: What to choose where the application has not.
    """
    isOurs = protocol._sessionsock.rules.takesSubprotocols
    isOffered = SUBPROTOCOL in protocol.websocket_protocols
    return SUBPROTOCOL if isOurs and isOffered else None


def _refuseSubprotocol(protocol: Any, subprotocol: Any) -> None:
    # Autobahn raises an exception that nobody hears of, and the client waits.
    if subprotocol is None or subprotocol in protocol.websocket_protocols:
        return
    name = str(subprotocol)
    what = "one that is a credential" if isSecret(name) else shown(name)
    raise _broken(
        f"onConnect returned {what}, a subprotocol that the client"
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
    if not offers:
        return None
    limits = protocol._sessionsock.rules.limits
    accepted = bounded(protocol.perMessageCompressionAccept, limits)(offers)
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
    # All that is to be known of it is known.
    protocol._sessionsock.request = None
    protocol.is_open.callback(None)
    if protocol.data:
        # Frames that came with the handshake, or while onConnect waited.
        try:
            protocol.consumeData()
        except Exception:
            # What a reactor does to a protocol that raises.
            _logFailure(protocol, "a WebSocket failed", Failure())
            protocol.dropConnection(abort=True)
