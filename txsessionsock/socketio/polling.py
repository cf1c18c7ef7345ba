# -*- test-case-name: tests.socketio.test_engine_flow -*-
"""
Long-polling: what goes out is the answer to a request that waits for it, and what
comes in are the bodies of others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._collector import COLLECTIONS
from txsessionsock._deferreds import Timer
from txsessionsock.limits import Limits
from txsessionsock.websocket import Turns

from .answers import BAD_REQUEST, finish, refuse
from .enginepackets import CLOSE, NOOP, Message, joined
from .requests import SLICE, Poll, Post


__all__ = ["Polling", "Rounds", "mostUnsentOf"]

_log = Logger()

_OVERHEAD: Final = 64
"""
How many bytes a packet that waits takes beside its payload: about its objects.
"""

_PACKETS: Final = 16
"""
Of how many packets one message may be made.
"""

_MANY: Final = 64
"""
How many packets of one client are handled before others come; see L{Frames
<txsessionsock.websocket.frames>}.
"""

_FEW: Final = 8
"""
As many, while others wait for their next turn.
"""

_SECONDS: Final = 0.002
"""
For how long packets of one client are handled before others come.
"""

_ROUND: Final = 0.005
"""
For how many seconds polls are answered before other things come.
"""


def mostUnsentOf(limits: Limits) -> int:
    """
    @return: How many bytes may wait for a client.
    """
    return limits.unsentBytes + limits.messageSize + _PACKETS * _OVERHEAD


class Owner(Protocol):
    """
    The connection that goes by polling.

    @ivar isPaused: Whether it receives nothing for now.

    @ivar isUpgrading: Whether each poll is to be answered at once.
    """

    @property
    def isPaused(self) -> bool: ...

    @property
    def isUpgrading(self) -> bool: ...

    def took(self, packet: Message) -> None:
        """
        The client sent a packet.
        """

    def given(self) -> None:
        """
        All that was sent has gone out.
        """

    def relieved(self) -> None:
        """
        There is room again for what the client is sent.
        """

    def broken(self, reason: str) -> None:
        """
        The client did what it may not, or is gone.
        """

    def cut(self, why: str) -> None:
        """
        Disconnect at once.
        """


class Rounds:
    """
    Answers the polls of all connections for which something was sent in one turn
    of the reactor, at its end: what one handler sends goes out together.

    Answers that are given before end then, too.  At the end of one, the next
    request on its connection is served: not in the midst of what somebody else
    does.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._waiting: dict[Polling, None] = {}
        self._answered: list[Any] = []
        self._isCalled = False

    def add(self, polling: Polling) -> None:
        """
        Have one flushed.
        """
        self._waiting[polling] = None
        self._call()

    def finish(self, request: Any) -> None:
        """
        Have an answer ended.
        """
        self._answered.append(request)
        self._call()

    def _call(self) -> None:
        if not self._isCalled:
            self._isCalled = True
            self._reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        self._isCalled = False
        answered, self._answered = self._answered, []
        waiting, self._waiting = self._waiting, {}
        for request in answered:
            finish(request)
        until = self._reactor.seconds() + _ROUND
        for polling in waiting:
            if self._reactor.seconds() > until:
                self.add(polling)
                continue
            try:
                polling.flush()
            except Exception:
                # The others still have their answers.
                _log.failure("a poll could not be answered")
                polling.fail("it could not be answered")


class Polling:
    """
    The requests of one connection.

    @ivar isFull: Whether so much waits that the client is not to cause any more.
    """

    __slots__ = (
        "_coming",
        "_isSettled",
        "_late",
        "_limits",
        "_outbox",
        "_owner",
        "_poll",
        "_post",
        "_reactor",
        "_rounds",
        "_size",
        "_turns",
        "isFull",
    )

    def __init__(
        self,
        owner: Owner,
        limits: Limits,
        turns: Turns,
        rounds: Rounds,
        reactor: IReactorTime,
    ) -> None:
        self._owner: Owner | None = owner
        self._limits = limits
        self._turns = turns
        self._rounds = rounds
        self._reactor = reactor
        self._late = Timer(reactor)
        self._outbox: list[Message] = []
        self._size = 0
        self._poll: Poll | None = None
        self._post: Post | None = None
        # One whose body has not come whole.
        self._coming: Any = None
        # Whether a post was handled.  Until then, it comes.
        self._isSettled = False
        self.isFull = False

    def end(self, last: Message, *, isCut: bool = False, isFine: bool = False) -> None:
        """
        There is no connection any more.

        @param last: What a poll gets that waits, behind all that was sent.

        @param isCut: Whether it gets nothing of that.

        @param isFine: Whether the client did nothing wrong.
        """
        self._owner = None
        self._late.stop()
        outbox = [last] if isCut else [*self._outbox, last]
        self._outbox, self._size = [], 0
        poll, self._poll = self._poll, None
        post, self._post = self._post, None
        if poll is not None:
            poll.end(joined(outbox), self._rounds.finish)
        if post is not None:
            post.end(isFine=isFine, end=self._rounds.finish)

    def fail(self, why: str) -> None:
        """
        Something of ours went wrong.
        """
        if self._owner is not None:
            self._owner.cut(why)

    # What goes out.

    @property
    def unsent(self) -> int:
        """
        How many bytes wait because the client does not poll, or does not read.
        """
        return self._size + (0 if self._poll is None else self._poll.rest)

    @property
    def isTaken(self) -> bool:
        """
        Whether nothing waits for a poll.
        """
        return not self._outbox

    @property
    def isPolled(self) -> bool:
        """
        Whether a poll waits.
        """
        return self._poll is not None and not self._poll.isAnswered

    @property
    def isIdle(self) -> bool:
        """
        Whether there is no request.
        """
        return self._poll is None and self._post is None and self._coming is None

    @property
    def isPosted(self) -> bool:
        """
        Whether something came that is not handled yet.
        """
        return self._post is not None

    def send(self, messages: Sequence[Message]) -> None:
        """
        Have packets go out with the next answer.
        """
        self._outbox += messages
        self._size += sum(len(payload) + _OVERHEAD for payload, _ in messages)
        if self.isPolled:
            if self._size > SLICE:
                # Whoever calls this is in the midst of something.
                self.flush(self._rounds.finish)
            else:
                self._rounds.add(self)
        elif self._owner is not None and self.unsent > mostUnsentOf(self._limits):
            self._owner.cut("it was sent more than may wait for a client that is slow")
            return
        self._look()

    def close(self) -> None:
        """
        Say that the connection is over, behind all that was sent.
        """
        self._outbox.append(CLOSE)
        self.flush(self._rounds.finish)

    def flush(self, end: Callable[[Any], object] = finish) -> None:
        """
        Answer a poll that waits, if there is something for it.

        @param end: What ends the answer.
        """
        poll = self._poll
        if poll is None or poll.isAnswered:
            return
        if self._outbox:
            body = joined(self._outbox)
            self._outbox, self._size = [], 0
            poll.answer(body, end)
            self._look()
        elif self._owner is not None and self._owner.isUpgrading:
            poll.answer(joined([NOOP]), end)

    def taken(self) -> list[Message]:
        """
        The connection goes on by another transport.

        @return: What waits.
        """
        outbox = self._outbox
        self._outbox, self._size, self._owner = [], 0, None
        self._late.stop()
        return outbox

    def _look(self) -> None:
        """
        See whether too much waits.
        """
        isFull = self.unsent > self._limits.unsentBytes
        owner = self._owner
        if isFull == self.isFull or owner is None:
            return
        self.isFull = isFull
        if isFull:
            self._late.start(
                self._limits.unsentTimeout,
                owner.cut,
                "it has not read for too long what it was sent",
            )
        else:
            self._late.stop()
            self.resume()
            owner.relieved()

    # Polls.

    def poll(self, request: Any) -> None:
        """
        The client asks for what there is, or will be.
        """
        owner = self._owner
        if self._poll is not None or owner is None:
            if owner is not None:
                owner.broken("transport error")
            refuse(request, BAD_REQUEST)
            return
        # It may have had a body.
        self._ended(None, request)
        self._poll = Poll(self, request)
        self.flush()

    def gave(self, poll: Poll) -> None:
        """
        All of an answer was given to the transport.
        """
        if self._poll is poll:
            self._poll = None
            if self._owner is not None and not self._outbox:
                self._owner.given()

    def drained(self) -> None:
        """
        Some of an answer was.
        """
        self._look()

    def left(self, its: Poll | Post) -> None:
        """
        The client has closed the connection of a request.
        """
        if self._owner is not None and its in (self._poll, self._post):
            self._owner.broken("transport error")

    # Posts.

    @property
    def isHeld(self) -> bool:
        """
        Whether nothing is received for now.
        """
        return self.isFull or self._owner is None or self._owner.isPaused

    def posts(self, request: Any) -> None:
        """
        The client begins to send something.
        """
        if self._post is not None or self._coming is not None:
            if self._owner is not None:
                self._owner.broken("transport error")
            return
        self._coming = request
        request.notifyFinish().addCallbacks(
            self._ended, self._brokenOff, (request,), errbackArgs=(request,)
        )

    def _ended(self, _: None, request: Any) -> None:
        """
        It was no post, or was refused.
        """
        if self._coming is request:
            self._coming = None

    def _brokenOff(self, failure: Failure, request: Any) -> None:
        if self._coming is request:
            self._coming = None
            if self._owner is not None:
                self._owner.broken("transport error")

    def post(self, request: Any, body: bytes) -> None:
        """
        The client sent something.
        """
        owner, coming = self._owner, self._coming
        isSecond = self._post is not None or coming not in (None, request)
        if isSecond or owner is None:
            if owner is not None:
                owner.broken("transport error")
            refuse(request, BAD_REQUEST)
            return
        self._coming = None
        self._post = post = Post(self, request, body, isBulk=not self._isSettled)
        if not _isText(body):
            owner.broken("parse error")
        elif not self.isHeld and self._turns.hasTimeFor(post):
            began, collected = self._reactor.seconds(), COLLECTIONS.seconds
            self._go(post, _FEW if self._turns.queue else _MANY)
            elapsed = self._reactor.seconds() - began - COLLECTIONS.seconds + collected
            self._turns.spent(post, max(0.0, elapsed), self._reactor)
        else:
            self.resume()

    def resume(self) -> None:
        """
        Go on with what came, if there is something.
        """
        if self._post is not None and not self.isHeld:
            # Not here: who resumes is in the midst of something else.
            self._turns.add(self._post, self._reactor)

    def goOn(self, post: Post) -> None:
        """
        It is the turn of a post.
        """
        if self._post is not post:
            return
        try:
            self._go(post, _MANY)
        except Exception:
            _log.failure("a post could not be handled")
            self.fail("what it sent could not be handled")

    def _go(self, post: Post, most: int) -> None:
        until = self._reactor.seconds() + _SECONDS
        while most > 0 and self._post is post and not self.isHeld:
            if post.isDone:
                self._post, self._isSettled = None, True
                post.end(isFine=True)
                return
            owner = self._owner
            assert owner is not None  # It would be held.
            try:
                packet = post.next()
            except ValueError:
                owner.broken("parse error")
                return
            owner.took(packet)
            most = most - 1 if self._reactor.seconds() < until else 0
        if self._post is post:
            self.resume()


def _isText(body: bytes) -> bool:
    try:
        return body.isascii() or bool(body.decode("utf-8"))
    except UnicodeDecodeError:
        return False
