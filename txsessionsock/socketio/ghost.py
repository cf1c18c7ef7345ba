# -*- test-case-name: tests.socketio.test_recovery -*-
"""
What stands in for a client that lost its connection and may come back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from twisted.python.failure import Failure

from txsessionsock.clients import Broadcast
from txsessionsock.hub import Member
from txsessionsock.interfaces import EndReason
from txsessionsock.messages import Event
from txsessionsock.protocol import written
from txsessionsock.session import Session

from .trail import Codec, Numbered, Trail


__all__ = ["Ghost", "Heir", "Names"]


class Place(Protocol):
    """
    Where ghosts are, as each of them knows it.
    """

    isPerMessage: bool
    mostHeld: int
    messageSize: int

    def log(self, trail: Trail, frame: Numbered) -> None:
        """
        Keep an event in a trail.
        """

    def hold(self, trail: Trail, frame: Numbered) -> None:
        """
        Keep an event, not yet in a trail.
        """

    def letGo(self, frame: Numbered) -> None:
        """
        The opposite.
        """

    def drop(self, ghost: Ghost) -> None:
        """
        Let a ghost be no more.
        """


class Heir(Protocol):
    """
    A client that came back.

    @ivar encoding: How its events are encoded.

    @ivar standIn: Who is where it was, if it was lost again.
    """

    @property
    def client(self) -> Any: ...

    @property
    def encoding(self) -> Codec: ...

    @property
    def standIn(self) -> Member | None: ...

    def emit(self, event: Event) -> None:
        """
        Send it an event.
        """


class Names(NamedTuple):
    """
    What a client is known by.

    @ivar id: The id of its socket.

    @ivar pid: What it names to come back.

    @ivar encoding: How its events are encoded.
    """

    id: str
    pid: str
    encoding: Codec


class Ghost:
    """
    Is in the rooms of a client that lost its connection, holds its session, and
    keeps what it misses.

    It is a L{Holder<txsessionsock.session.Holder>}, a L{Member
    <txsessionsock.hub.Member>}, and the carrier of which a L{Broadcast} asks for a
    frame.

    @ivar session: That session: this very object, as long as it lives.

    @ivar id: The id of the socket.

    @ivar pid: What the client names to have all this back.

    @ivar encoding: How its events are encoded.

    @ivar trail: What it was sent last, and what it misses.

    @ivar until: Until when it stays, as the reactor counts seconds.

    @ivar isClaimed: Whether somebody is about to have it.

    @ivar isOver: Whether nobody can have it any more.

    @ivar heir: Who has come back.
    """

    isOpen = True
    isWritable = False
    isClaimed = False
    isOver = False
    heir: Heir | None = None

    def __init__(
        self,
        place: Place,
        session: Session,
        names: Names,
        trail: Trail,
        until: float,
    ) -> None:
        self._place = place
        self.session = session
        self._identity = written(session.keeper.identity())
        self.id, self.pid, self.encoding = names
        self.trail = trail
        self.until = until
        # Each with the number of the change that has to be stored before.
        self._held: deque[tuple[int, Numbered]] = deque()
        self._heldSize = 0

    def __repr__(self) -> str:
        return f"<Ghost of a socket with {self.session}>"

    @property
    def isSame(self) -> bool:
        """
        Whether the session lives, and is of the same user.
        """
        keeper = self.session.keeper
        return keeper.reason is None and self._identity == written(keeper.identity())

    @property
    def isHolding(self) -> bool:
        """
        Whether something waits until the session is stored.
        """
        return bool(self._held)

    @property
    def current(self) -> Member:
        """
        Who is in the rooms of the client now.
        """
        heir = self.heir
        return self if heir is None else heir.standIn or heir.client

    # What it misses.

    def sendOneOfMany(self, message: Broadcast) -> None:
        carrier: Any = self
        self.keep(message.frameFor(carrier))

    def emit(self, event: Event) -> None:
        """
        A handler that runs on sends the client an event.
        """
        if self.heir is not None:
            self.heir.emit(event)
        elif not self.isOver:
            frame: Any = self.encode(event)
            self.check(frame)
            self.keep(frame)

    def encode(self, value: Any, messageID: str = "") -> Any:
        return self.encoding.encode(value, messageID)

    def check(self, frame: Any) -> None:
        if frame.size > self._place.messageSize:
            raise ValueError("too large for a client that may come back")

    def keep(self, frame: Numbered, number: int | None = None) -> None:
        """
        Keep a frame: when all that was changed until now is stored.

        @param number: Of the change that it waits for, if that is known.
        """
        if self.isOver:
            # It was given up for an event of which it is one of the recipients.
            return
        if number is None and self._place.isPerMessage:
            number = self.session.keeper.unsaved()
        self._keep(frame, number)

    def _keep(self, frame: Numbered, number: int | None) -> None:
        if number is None and not self._held:
            self._place.log(self.trail, frame)
            return
        self._held.append((number or 0, frame))
        self._heldSize += frame.size
        self._place.hold(self.trail, frame)
        if self._heldSize > self._place.mostHeld:
            self._place.drop(self)

    def close(self, code: int, reason: str) -> None:
        self._place.drop(self)

    # What the session tells.

    def changed(self, keys: Sequence[str]) -> None:
        if not self.isSame:
            self._place.drop(self)

    def stored(self, number: int) -> None:
        while self._held and self._held[0][0] <= number and not self.isOver:
            _, frame = self._held.popleft()
            self._heldSize -= frame.size
            self._place.log(self.trail, frame)
            self._place.letGo(frame)

    def failed(self, failure: Failure) -> None:
        # It is not known what becomes of what these wait for.
        if self._held:
            self._place.drop(self)

    def gaveUp(self, failure: Failure, *, isMine: bool) -> None:
        self.failed(failure)

    def ended(self, reason: EndReason) -> None:
        self._place.drop(self)

    def merge(self, offset: str | None, theirs: Iterable[Numbered]) -> None:
        """
        Have missed what another node kept, sent after an event, and behind that what
        was kept here and is not among it.  What waits here until the session is
        stored goes on waiting, and so does what comes behind it.
        """
        own = self.trail.after(offset)
        if own is None:
            # It was too much.
            self._place.drop(self)
            return
        numbers = {frame.offset: number for number, frame in self._held}
        frames = {frame.offset: frame for frame in theirs}
        for frame in (*own, *(frame for _, frame in self._held)):
            frames.setdefault(frame.offset, frame)
        self.trail.restart(offset)
        self._letGo()
        for frame in frames.values():
            if not self.isOver:
                self._keep(frame, numbers.get(frame.offset))

    def end(self) -> None:
        """
        Keep nothing any more.
        """
        self.isOver = True
        self.trail.clear()
        self._letGo()

    def _letGo(self) -> None:
        self._heldSize = 0
        while self._held:
            self._place.letGo(self._held.popleft()[1])
