# -*- test-case-name: tests.simulation.test_world -*-
"""
Pages of our own, in the process of a node: a browser asks for one by HTTP, and the
library's own code opens its session, holds its answer and sets its cookie.  Only
what carries the bytes is a model.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from traceback import clear_frames
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from txsessionsock._waiting import waitable
from txsessionsock.interfaces import SessionID
from txsessionsock.web import (
    BoundedSite,
    PageSession,
    SessionedResource,
    refuse,
    sessionOf,
)
from txsessionsock.web.serving import pagesOf

from .messages import HANDLERS, Message, seen
from .queue import SECOND, NodeClock


if TYPE_CHECKING:
    from .node import Node


__all__ = ["Pages", "Visit"]

_ADDRESS = IPv4Address("TCP", "127.0.0.1", 1234)
_LOST = Failure(ConnectionLost())
_BODY = b"done"


class Pages:
    """
    The pages of a node.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.visits: dict[bytes, Visit] = {}
        self._site: Any = None

    @property
    def underWay(self) -> int:
        """
        How many are being made.
        """
        return 0 if self._site is None else len(pagesOf(self.node.manager).underWay)

    @property
    def site(self) -> Any:
        """
        What serves them; made when the first is asked for.
        """
        if self._site is None:
            resource = SessionedResource(_Tree(self), self.node.manager)
            clock = self.node.clock
            self._site = BoundedSite(resource, reactor=clock, timeout=None)
            self._site.displayTracebacks = False
        return self._site


class _Tree(Resource):
    """
    All pages of a node.
    """

    isLeaf = True

    def __init__(self, pages: Pages) -> None:
        super().__init__()
        self._pages = pages

    def render(self, request: Request) -> int:
        self._pages.visits[request.path].render(request)
        return NOT_DONE_YET


class _Transport(StringTransport):
    """
    The server's end of a connection.
    """

    def __init__(self, visit: Visit) -> None:
        super().__init__(peerAddress=_ADDRESS, lenient=True)
        self._visit = visit
        self.isOver = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Nothing waits here.
        """

    def unregisterProducer(self) -> None:
        # Those of the reactor do not mind if there is none.
        self.producer = None

    def write(self, data: bytes) -> None:
        if not self.isOver:
            self._visit.writes(data)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if not self.isOver:
            self.isOver = True
            self._visit.closes()

    abortConnection = loseConnection


class Visit:
    """
    A page that a browser asks for, and its connection.

    @ivar session: That of the page, when it has one.
    """

    session: PageSession | None = None

    def __init__(
        self,
        name: str,
        node: Node,
        message: Message,
        sessionID: SessionID,
        *,
        latency: float,
        setsCookie: Callable[[SessionID | None], object],
    ) -> None:
        """
        @param message: What the page is to do.

        @param setsCookie: Called with the id that the answer gives the browser;
            with L{None} if it takes it away.
        """
        self.name = name
        self.node = node
        self.clock: NodeClock = node.clock
        self._history = node.history
        self._message = message
        self._latency = latency
        self._setsCookie = setsCookie
        self._transport = _Transport(self)
        self._channel: Any = None
        self._got = b""
        self._isAnswered = self._isLost = self._isGone = False
        self._lastDown = 0
        path = f"/{name}".encode()
        node.pages.visits[path] = self
        cookie = node.cookie(sessionID).encode()
        self._bytes = b"POST %b HTTP/1.1\r\nHost: localhost\r\nCookie: %b\r\n" % (
            path,
            cookie,
        )
        self._bytes += b"Connection: close\r\nContent-Length: 0\r\n\r\n"
        self._history.note(
            "asks for page",
            name,
            node=node.name,
            session=f"sess:{sessionID}",
            token=message.token,
            do=message.do,
        )
        self._queue = self.clock.queue
        self._queue.at(self._queue.now + self._delay(), self._arrive, self.clock)

    def _delay(self) -> int:
        return round(self._queue.random.random() * self._latency * SECOND)

    # Its connection, as the node has it.

    def _arrive(self) -> None:
        if self._isLost:
            return
        channel = self.node.pages.site.buildProtocol(_ADDRESS)
        self._channel = channel
        channel.makeConnection(self._transport)
        channel.dataReceived(self._bytes)

    def _close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            self._transport.isOver = True
            channel.connectionLost(_LOST)

    def writes(self, data: bytes) -> None:
        """
        The node sends something.
        """
        if not self._isAnswered:
            self._isAnswered = True
            code = int(data.split(b" ", 2)[1])
            token = self._message.token
            self._history.note("page answers", self.name, token=token, code=code)
        self._down(partial(self._heard, data))

    def closes(self) -> None:
        """
        The node closes the connection.
        """
        self._down(self._ended)
        self._queue.after(0, self._close, self.clock)

    def _down(self, arrive: Callable[[], object]) -> None:
        self._lastDown = max(self._lastDown, self._queue.now + self._delay())
        self._queue.at(self._lastDown, arrive)

    # The same, as its browser has it.

    def _heard(self, data: bytes) -> None:
        self._got += data

    def cut(self) -> None:
        """
        Lose the connection.
        """
        if not self._isLost:
            self._isLost = True
            self._history.note("page is lost", self.name)
            self._queue.after(0, self._close, self.clock)

    def _ended(self) -> None:
        if self._isLost:
            return
        self._isLost = True
        head, _, body = self._got.partition(b"\r\n\r\n")
        if not body:
            self._history.note("page is lost", self.name)
            return
        lines = head.decode("ascii").split("\r\n")
        code, token = int(lines[0].split(" ")[1]), self._message.token
        self._history.note("page comes", self.name, code=code, token=token)
        for line in lines:
            name, _, value = line.partition(": ")
            if name.lower() == "set-cookie":
                self._cookie(code, value.partition(";")[0].partition("=")[2])

    def _cookie(self, code: int, value: str) -> None:
        framework = self.node.manager.framework
        now = self._queue.now / SECOND
        sessionID = framework.sessionID(value, now) if value else None
        key = None if sessionID is None else f"sess:{sessionID}"
        self._history.note("cookie", self.name, session=key, code=code)
        self._setsCookie(sessionID)

    # The page.

    def render(self, request: Request) -> None:
        """
        Be made, for a request that has its session.
        """
        session = self.session = sessionOf(request)
        message = self._message
        self._history.note(
            "page reads",
            self.name,
            node=self.node.name,
            session=self._key(),
            token=message.token,
            isNew=session.isNew,
            sees=seen(session),
        )
        request.notifyFinish().addErrback(self._left)
        made = Deferred.fromCoroutine(self._make(message, session))
        made.addCallback(self._finish, request)
        made.addErrback(self._failed, request).addBoth(self._forget)

    def _failed(self, failure: Failure, request: Request) -> None:
        refuse(failure, request)
        # What failed has the session still, in a circle of Twisted's, until the
        # garbage collector comes: which it does not here.
        clear_frames(failure.getTracebackObject())

    def _forget(self, _: object) -> None:
        # A page whose client left goes on for as long as somebody has its session.
        self.session = None

    def _left(self, _: Failure) -> None:
        self._isGone = True

    def _finish(self, _: object, request: Request) -> None:
        if not self._isGone:
            request.setHeader(b"Content-Length", b"%d" % (len(_BODY),))
            request.write(_BODY)
            request.finish()

    async def _make(self, message: Message, session: PageSession) -> None:
        if message.do == "log in":
            await self._logIn(message, session)
        elif session.isNew:
            return
        elif message.do == "log out":
            await session.destroy()
            self._history.note("logs out", self.name, token=message.token)
        else:
            # A page is no client: it waits, too, where a client's handler does.
            result = waitable(HANDLERS[message.do](self, message, session))
            if isinstance(result, Deferred):
                await result

    async def _logIn(self, message: Message, session: PageSession) -> None:
        if session.isNew:
            session.update(
                {"user": "ann", "nest": {"deep": {}, "list": [0]}, "log": []}
            )
        else:
            before = self._key()
            await session.regenerate()
            self._history.note("moves", self.name, old=before, new=self._key())
        session[message.key] = message.token
        self.changed(message)

    def _key(self) -> str:
        assert self.session is not None
        return f"sess:{self.session.id}"

    # What handlers tell.

    def changed(self, message: Message, **more: Any) -> None:
        """
        See L{Served.changed <simulation.node.Served.changed>}.
        """
        told = {
            "do": message.do,
            "key": message.key,
            "token": message.token,
            "digit": message.digit,
            "session": self._key(),
            "node": self.node.name,
        }
        self._history.note("changes", self.name, **told | more)

    def told(self, what: str, message: Message, **more: Any) -> None:
        """
        See L{Served.told <simulation.node.Served.told>}.
        """
        told = {"session": self._key(), "key": message.key, "token": message.token}
        self._history.note(what, self.name, **told | more)
