# -*- test-case-name: tests.socketio.test_recovery_nodes -*-
"""
From one node to another with a client that comes back.

 1. The node to which it came asks all for its ghost: L{_Question}.

 2. The one that has it makes sure that the session lives, with the same user in it,
    and tells where the ghost is: L{_Found}.

 3. The first enters the same rooms by a ghost of its own, and asks for what the
    client missed: L{_Handing}.  The answer ends the other ghost; and L{_Handed} says
    that whatever the second node sent before has come.

All nodes hear these in one order.  So what somebody sends meanwhile is kept by the
one ghost, or by the other, or by both; and what both have comes once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import Timer
from txsessionsock.hub import Hub, Label, sessionLabel
from txsessionsock.interfaces import SessionError
from txsessionsock.protocol import written
from txsessionsock.session import Session

from .ghost import Ghost
from .trail import Numbered


__all__ = ["Handover", "Wanted"]

_QUESTION, _FOUND = "recover", "recover: found"
_HANDING, _HANDED = "recover: hand over", "recover: handed"

_MOST = 100
"""
How many clients may be asked for at a time.
"""

_TIMEOUT = 3.0
"""
How many seconds that may take.
"""


@dataclass(frozen=True)
class Wanted:
    """
    What a client that comes back names.

    @ivar key: The hash of C{pid}.

    @ivar offset: The last event that it got, if it got any.

    @ivar encoding: How its events are encoded.
    """

    key: str
    pid: str = field(repr=False)
    offset: str | None
    encoding: str


class _Question(msgspec.Struct, frozen=True, array_like=True):
    """
    Who has this ghost?

    @ivar number: What the answers name.

    @ivar session: The label of the session that the client has now.

    @ivar identity: The hash of who is in it.
    """

    number: str
    key: str
    offset: str | None
    encoding: str
    session: Label
    identity: str


class _Found(msgspec.Struct, frozen=True, array_like=True):
    """
    It is here.

    @ivar socketID: The id of the socket; L{None} if it is not to be had after all.
    """

    number: str
    socketID: str | None
    groups: list[Label]


class _Handing(msgspec.Struct, frozen=True, array_like=True):
    """
    Hand it over.

    @ivar isWanted: Or keep it: the client is gone again.
    """

    number: str
    isWanted: bool


class _Handed(msgspec.Struct, frozen=True, array_like=True):
    """
    It was handed over.  This comes behind all that its node sent to others before.
    """

    number: str


_encode = msgspec.msgpack.Encoder().encode
_question: Callable[[bytes], _Question] = msgspec.msgpack.Decoder(_Question).decode
_found: Callable[[bytes], _Found] = msgspec.msgpack.Decoder(_Found).decode
_handing: Callable[[bytes], _Handing] = msgspec.msgpack.Decoder(_Handing).decode
_handed: Callable[[bytes], _Handed] = msgspec.msgpack.Decoder(_Handed).decode
_Frames = list[tuple[str, list[tuple[bytes, bool]]]]
_frames: Callable[[bytes], _Frames] = msgspec.msgpack.Decoder(_Frames).decode


class Place(Protocol):
    """
    The ghosts of this node.
    """

    def find(self, wanted: Wanted) -> Ghost | None: ...

    def restore(
        self, ghost: Ghost, carrier: Any, wanted: Wanted
    ) -> Deferred[None] | None: ...

    def add(self, ghost: Ghost, groups: list[Label]) -> bool: ...

    def drop(self, ghost: Ghost) -> None: ...

    def newGhost(
        self, carrier: Any, session: Session, wanted: Wanted, socketID: str
    ) -> Ghost: ...


class _Attempt:
    """
    A client of this node whose ghost is asked for.
    """

    def __init__(
        self,
        carrier: Any,
        session: Session,
        wanted: Wanted,
        timer: Timer,
        done: Deferred[None],
    ) -> None:
        self.carrier = carrier
        self.session = session
        self.wanted = wanted
        self.timer = timer
        self.done = done
        self.isGone = False
        self.ghost: Ghost | None = None
        self.frames: _Frames | None = None
        self.isHanded = False


class Handover:
    """
    Gets ghosts from other nodes, and hands over those of this one.
    """

    _log = Logger()

    def __init__(self, place: Place, reactor: IReactorTime) -> None:
        self._place = place
        self._reactor = reactor
        self._attempts: dict[str, _Attempt] = {}
        self._leaving: dict[str, tuple[Ghost, Wanted, Timer]] = {}
        self._hub: Any = None

    def serve(self, hub: Hub) -> None:
        """
        Answer other nodes.
        """
        self._hub = hub
        hub.serve(_QUESTION, _understood(_question, self._asked))
        hub.serve(_FOUND, _understood(_found, self._found))
        hub.serve(_HANDING, _understood(_handing, self._handOver))
        hub.serve(_HANDED, _understood(_handed, self._handed))

    def stop(self) -> None:
        """
        Wait for nothing.
        """
        for number in list(self._attempts):
            self._finish(number)
        for number in list(self._leaving):
            self._stays(number)

    # The node to which the client came.

    def ask(
        self, carrier: Any, session: Session, wanted: Wanted
    ) -> Deferred[None] | None:
        """
        Look for a ghost on other nodes.

        @return: L{None} if there is none; else a L{Deferred} that fires when the
            client is what it was, or there is none.
        """
        if len(self._attempts) >= _MOST:
            return None
        number = token_urlsafe(9)
        done: Deferred[None] = Deferred(lambda _: self._cancelled(number))
        timer = Timer(self._reactor)
        self._attempts[number] = _Attempt(carrier, session, wanted, timer, done)
        timer.start(_TIMEOUT, self._finish, number)
        question = _Question(
            number,
            wanted.key,
            wanted.offset,
            wanted.encoding,
            sessionLabel(session.id),
            _identityOf(session),
        )
        self._tell(_QUESTION, question).addCallback(self._answered, number)
        return None if done.called else done

    def _answered(self, answers: dict[str, bytes | None] | None, number: str) -> None:
        if not answers or not any(answers.values()):
            # Who has it says so at once.
            self._finish(number)

    def _cancelled(self, number: str) -> None:
        attempt = self._attempts.get(number)
        if attempt is not None:
            # What is on its way is kept: the client may come once more.
            attempt.isGone = True

    def _found(self, found: _Found) -> None:
        attempt = self._attempts.get(found.number)
        if attempt is None:
            return
        own = sessionLabel(attempt.session.id)
        if found.socketID is None or own not in found.groups or attempt.isGone:
            self._refuse(found.number)
            return
        ghost = self._place.newGhost(
            attempt.carrier, attempt.session, attempt.wanted, found.socketID
        )
        ghost.isClaimed = True
        if not self._place.add(ghost, found.groups):
            self._refuse(found.number)
            return
        attempt.ghost = ghost
        handing = self._tell(_HANDING, _Handing(found.number, True))
        handing.addCallback(self._answeredWith, found.number)

    def _refuse(self, number: str) -> None:
        self._tell(_HANDING, _Handing(number, False))
        self._finish(number)

    def _answeredWith(
        self, answers: dict[str, bytes | None] | None, number: str
    ) -> None:
        attempt = self._attempts.get(number)
        if attempt is None:
            return
        raw = next((each for each in (answers or {}).values() if each), None)
        try:
            attempt.frames = None if raw is None else _frames(raw)
        except msgspec.MsgspecError:
            attempt.frames = None
        if attempt.frames is None:
            self._finish(number)
        else:
            self._arrive(number, attempt)

    def _handed(self, handed: _Handed) -> None:
        attempt = self._attempts.get(handed.number)
        if attempt is not None:
            attempt.isHanded = True
            self._arrive(handed.number, attempt)

    def _arrive(self, number: str, attempt: _Attempt) -> None:
        if attempt.isHanded and attempt.frames is not None:
            arriving = Deferred.fromCoroutine(self._arrived(attempt, attempt.frames))
            arriving.addErrback(self._failed)
            arriving.addCallback(lambda _: self._finish(number))

    async def _arrived(self, attempt: _Attempt, frames: _Frames) -> None:
        """
        See once more that the session lives: all of this took some time.
        """
        ghost, keeper = attempt.ghost, attempt.session.keeper
        if ghost is None or ghost.isOver:
            return
        theirs = [Numbered.of(messages, offset) for offset, messages in frames]
        ghost.merge(attempt.wanted.offset, theirs)
        try:
            fresh = keeper.fresh(keeper.arrival())
            if fresh is not None:
                await fresh
        except SessionError:
            return
        if ghost.isOver or attempt.ghost is None:
            # It took too long.
            return
        attempt.ghost = None
        ghost.isClaimed = False
        if not attempt.isGone:
            waiting = self._place.restore(ghost, attempt.carrier, attempt.wanted)
            if waiting is not None:
                await waiting

    def _finish(self, number: str) -> None:
        attempt = self._attempts.pop(number, None)
        if attempt is None:
            return
        attempt.timer.stop()
        if attempt.ghost is not None:
            self._place.drop(attempt.ghost)
        if not attempt.isGone:
            attempt.done.callback(None)

    # The node that has the ghost.

    def _asked(self, question: _Question) -> bytes | None:
        wanted = Wanted(question.key, "", question.offset, question.encoding)
        ghost = self._place.find(wanted)
        if ghost is None or not _isOf(ghost, question):
            return None
        ghost.isClaimed = True
        verifying = Deferred.fromCoroutine(self._verify(ghost, question, wanted))
        verifying.addErrback(self._failed)
        return b"here"

    async def _verify(self, ghost: Ghost, question: _Question, wanted: Wanted) -> None:
        """
        See that the session lived all the time, with the same user in it.  It may
        have been destroyed, and there be another of the same id, without anybody
        here having heard of it yet.
        """
        keeper = ghost.session.keeper
        try:
            fresh = keeper.fresh(keeper.arrival())
            if fresh is not None:
                await fresh
            if ghost.isHolding:
                await keeper.save()
        except SessionError:
            self._place.drop(ghost)
        isGood = _isOf(ghost, question) and not ghost.isHolding
        if not isGood or ghost.trail.after(wanted.offset) is None:
            # One that cannot be continued now cannot be continued at all.
            self._place.drop(ghost)
            self._tell(_FOUND, _Found(question.number, None, []))
            return
        timer = Timer(self._reactor)
        timer.start(_TIMEOUT, self._stays, question.number)
        self._leaving[question.number] = ghost, wanted, timer
        groups = self._hub.groupsOf(ghost)
        self._tell(_FOUND, _Found(question.number, ghost.id, groups))

    def _handOver(self, handing: _Handing) -> bytes | None:
        if not handing.isWanted:
            self._stays(handing.number)
            return None
        found = self._leaving.pop(handing.number, None)
        if found is None:
            return None
        ghost, wanted, timer = found
        timer.stop()
        # What waits until it is stored could be sent before it is.
        isGood = not ghost.isOver and ghost.isSame and not ghost.isHolding
        frames = ghost.trail.after(wanted.offset) if isGood else None
        self._place.drop(ghost)
        if frames is None:
            return None
        self._tell(_HANDED, _Handed(handing.number))
        return _encode([(frame.offset, list(frame)) for frame in frames])

    def _stays(self, number: str) -> None:
        """
        Nobody wants it: the client may come to yet another node.
        """
        found = self._leaving.pop(number, None)
        if found is not None:
            ghost, _, timer = found
            timer.stop()
            ghost.isClaimed = False

    # Both.

    def _tell(self, topic: str, value: object) -> Deferred[Any]:
        try:
            telling: Deferred[Any] = self._hub.ask(topic, _encode(value))
        except ValueError:
            # It is longer than a command may be.
            return _nothing()
        return telling.addErrback(self._untold)

    def _untold(self, failure: Failure) -> None:
        """
        Without other nodes, a client begins anew.
        """
        failure.trap(SessionError)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("a client could not be handed over", failure)


def _nothing() -> Deferred[Any]:
    done: Deferred[Any] = Deferred()
    done.callback(None)
    return done


def _understood(
    decode: Callable[[bytes], Any], then: Callable[[Any], bytes | None]
) -> Callable[[bytes], bytes | None]:
    def answer(payload: bytes) -> bytes | None:
        try:
            value = decode(payload)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            problem = "not understood"
        else:
            return then(value)
        raise ValueError(problem)

    return answer


def _identityOf(session: Session) -> str:
    who = written(session.keeper.identity())
    return sha256(who.encode("utf-8", "surrogatepass")).hexdigest()


def _isOf(ghost: Ghost, question: _Question) -> bool:
    """
    Whether a ghost is that of the session which a client has now.
    """
    session = ghost.session
    return (
        not ghost.isOver
        and ghost.isSame
        and question.session == sessionLabel(session.id)
        and question.identity == _identityOf(session)
    )
