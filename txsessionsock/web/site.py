# -*- test-case-name: tests.web.test_site -*-
"""
A site of Twisted Web that bounds what a client may take before its request is
there.  Twisted's own waits for ever for a client that sends a line now and then,
and keeps a body of any size, first in memory and then in a file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import (
    HTTPChannel,
    _GenericHTTPChannelProtocol,
)
from twisted.web.resource import IResource
from twisted.web.server import Request, Site, version

from txsessionsock._arguments import checked
from txsessionsock._deferreds import Timer
from txsessionsock._kinds import Clock
from txsessionsock.limits import Limits
from txsessionsock.websocket import acceptFew, forgetErrors

from .knocks import noticeKnock
from .quiet import Quietly, QuietRequest, accessLine, endQuiet
from .requests import Pages, wantsSocket


__all__ = ["BoundedChannel", "BoundedSite", "Bounds"]

_LONGEST_LENGTH = 40

_END_OF_HEAD = b"\r\n\r\n"

_BAD = b"400 Bad Request"
_TOO_LARGE = b"413 Content Too Large"
_HEAD_TOO_LARGE = b"431 Request Header Fields Too Large"


@checked
class BoundedSite(Site):
    """
    A L{Site} that bounds, for each request,

      - how long it takes until its head is there: C{Limits.handshakeTimeout}
        from the connection, or from the first byte of a later request.  Between
        two requests, and while a body comes, Twisted's C{timeOut} counts;
      - the size of that head, by C{Limits.headerSize}: else 431;
      - the size of its body, by C{Limits.bodySize}: else 413, and where the length
        is said before, as soon as the head is there.  A resource may have
        another bound, C{mostBody}, and a method C{bodyBegins}, which is told of
        the request and its address when its body comes slowly.  The handshake
        of a socket has no body, nor has another request to its place: else 400.

    Of requests that come in one go, one is handled in each turn of the reactor.

    It does not speak HTTP/2, for which none of this holds, does not say which
    version of Twisted it is, and writes no queries to the log, which may hold
    secrets.
    """

    requestFactory = QuietRequest

    def __init__(
        self,
        resource: Pages,
        *,
        limits: Limits | None = None,
        reactor: Clock | None = None,
        **options: Any,
    ) -> None:
        """
        @param limits: See above.

        @param reactor: The clock; the global reactor unless given.

        The other arguments are those of L{Site}.
        """
        options.setdefault("logFormatter", accessLine)
        super().__init__(resource, reactor=reactor, **options)
        self.limits = limits or Limits()

    def protocol(self) -> Any:
        """
        Make what speaks HTTP with one client.
        """
        return _GenericHTTPChannelProtocol(BoundedChannel(self.limits, self.reactor))

    def acceptableProtocols(self) -> list[bytes]:
        """
        See L{IProtocolNegotiationFactory
        <twisted.internet.interfaces.IProtocolNegotiationFactory>}.
        """
        return [b"http/1.1"]

    def stopFactory(self) -> None:
        """
        See L{IProtocolFactory
        <twisted.internet.interfaces.IProtocolFactory>}.
        """
        super().stopFactory()
        endQuiet(self)

    def log(self, request: Any) -> None:
        """
        A request was answered.
        """
        if not getattr(request, "isUnlogged", False):
            super().log(request)
        noticeKnock(request)

    def getResourceFor(self, request: Request) -> IResource:
        """
        Find the resource of a request.
        """
        headers = request.responseHeaders
        if headers.getRawHeaders(b"server") == [version]:
            headers.removeHeader(b"server")
        resource: IResource = super().getResourceFor(request)
        return resource


class BoundedChannel(HTTPChannel):
    """
    The connection of a client to a L{BoundedSite}.

    @ivar beganAt: When what it sends began: with the connection, or with the
        first byte of a later request.
    """

    site: Any
    transport: Any
    _transferDecoder: Any
    _log = Quietly()

    def __init__(self, limits: Limits, clock: IReactorTime) -> None:
        super().__init__()
        size = limits.headerSize
        # One header has at least two bytes, so that the size bounds their number.
        self.totalHeadersSize = self.MAX_LENGTH = self.maxHeaders = size
        self._limits = limits
        self._clock = clock
        self._late = Timer(clock)
        self._next = Timer(clock)
        self._isHeadHere = False
        self._bodySize = self._mostBody = 0
        self._awaiting: Callable[[Any, bytes], object] | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        forgetErrors(self.transport)
        acceptFew(self.transport, self._clock)
        self._begin()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._late.stop()
        if self._next.isRunning:
            self._next.stop()
            del self.requests[0]
        super().connectionLost(reason)
        # TLS would keep this as its producer, and this has TLS as its transport:
        # garbage for the collector.
        self.transport.unregisterProducer()

    # The head.

    def _begin(self) -> None:
        self.beganAt = self._clock.seconds()
        # Not only closed: over TLS, that waits for the client too.
        self._late.start(self._limits.handshakeTimeout, self._abort)

    def _abort(self) -> None:
        self.transport.abortConnection()

    def _look(self) -> None:
        """
        See whether a request began, or a body that has not come whole.
        """
        began = self._receivedHeaderSize or self._buffer
        if began and not self._isHeadHere and not self._late.isRunning:
            self._begin()
        begins, self._awaiting = self._awaiting, None
        if begins is not None:
            begins(self.requests[-1], self._path)

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._look()

    def requestDone(self, request: Request) -> None:
        behind = self._buffer or b"".join(self._dataBuffer)
        if self.persistent and _END_OF_HEAD in behind:
            # Others come in between: a thousand requests may be in what was read at
            # once, and Twisted would handle all of them.
            self._next.start(0, self._goOn, request)
        else:
            self._goOn(request)

    def _goOn(self, request: Request) -> None:
        self._isHeadHere = False
        # This goes on with what came behind the request.
        super().requestDone(request)
        self._look()

    def lineReceived(self, line: bytes) -> None:
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self._refuse(_HEAD_TOO_LARGE)
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        self._refuse(_HEAD_TOO_LARGE)

    def headerReceived(self, line: bytes) -> bool:
        name, _, value = line.partition(b":")
        if len(value) > _LONGEST_LENGTH and name.lower() == b"content-length":
            # Python does not read a number of thousands of digits, and what it
            # raises would be in the log for each of them.
            self._refuse(_TOO_LARGE)
            return False
        return bool(super().headerReceived(line))

    def allHeadersReceived(self) -> None:
        self._late.stop()
        self._isHeadHere = True
        refusal = None if self.length == 0 else self._bodyRefusal()
        if refusal is None:
            super().allHeadersReceived()
        else:
            self._refuse(refusal)

    # The body.

    def _bodyRefusal(self) -> bytes | None:
        place, request = self._place(), self.requests[-1]
        isHandshake = self._command == b"GET" and wantsSocket(request)
        self._mostBody = most = 0 if isHandshake else self._mostAt(place)
        if most == 0:
            return _BAD
        if self.length is not None and self.length > most:
            return _TOO_LARGE
        self._awaiting = getattr(place, "bodyBegins", None)
        if self._awaiting is not None:
            # Its bodies are no forms.  To look whether they are takes Twisted a fifth
            # of the time of a request.
            request._parsePOSTFormSubmission = False
        if self.length is None:
            decoder = self._transferDecoder
            self._bodySize = 0
            decoder.dataCallback = partial(self._chunkReceived, decoder.dataCallback)
        return None

    def _place(self) -> Any:
        """
        @return: The resource to which a request goes, as far as can be said without
            a call of anybody's C{getChild}, which may do all kinds of things.
        """
        place: Any = self.site.resource
        path, _, _ = self._path.partition(b"?")
        for name in path[1:].split(b"/"):
            if getattr(place, "mostBody", None) is not None:
                break
            place = getattr(place, "children", {}).get(unquote_to_bytes(name))
        return place

    def _mostAt(self, place: Any) -> int:
        most: int | None = getattr(place, "mostBody", None)
        return self._limits.bodySize if most is None else most

    def allContentReceived(self) -> None:
        self._awaiting = None
        super().allContentReceived()

    def _chunkReceived(self, receive: Callable[[bytes], object], data: bytes) -> None:
        self._bodySize += len(data)
        if self._bodySize <= self._mostBody:
            receive(data)
        else:
            self._transferDecoder.finishCallback = _ignore
            self._refuse(_TOO_LARGE)

    # Refusing.

    def _refuse(self, status: bytes) -> None:
        """
        Answer a request that is not all there, and close the connection.
        """
        if self.lineReceived is _ignore:
            return  # It was answered.
        # What else comes is not looked at.
        for name in ("dataReceived", "lineReceived", "rawDataReceived"):
            setattr(self, name, _ignore)
        self.transport.write(
            b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (status,)
        )
        self.loseConnection()
        self._late.start(self._limits.closeTimeout, self._abort)

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's would read on, over TLS until the client agrees to the end.
        self._refuse(_BAD)


def _ignore(*args: object) -> None:
    """
    Take what comes too late.
    """


class Bounds:
    """
    Says in the log, once, that a place which wants a L{BoundedSite} is in another
    site.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._isSaid = False

    def want(self, request: Any) -> None:
        """
        A request came to that place.
        """
        if isinstance(request.channel, BoundedChannel) or self._isSaid:
            return
        self._isSaid = True
        self._log.warn(
            "this site waits as long as a client likes for its request, and keeps a"
            " body of any size; right is txsessionsock.BoundedSite in place of"
            " twisted.web.server.Site"
        )
