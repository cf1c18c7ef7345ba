# -*- test-case-name: tests.socketio.test_recovery -*-
"""
Clients that come back after their connection was lost, with their rooms and with
what they missed::

    io = SocketIO(Chat, recovery=Recovery(seconds=120))

Only those come back whose session is opened first, as that of any client, and then
is the same: it lived all the time, with the same user in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._arguments import AboveZero, Size, checked
from txsessionsock._deferreds import Timer, nothing
from txsessionsock.clients import Client, SessionSockets
from txsessionsock.handshake import Handshake
from txsessionsock.hub import Hub, Label, Member
from txsessionsock.interfaces import SessionError
from txsessionsock.messages import Event
from txsessionsock.session import Session

from .ghost import Ghost, Names
from .handover import Handover, Wanted
from .rooms import hubFor
from .trail import Budget, Codec, Numbered, Trail


__all__ = ["Ghosts", "Recovery"]

_PID_BYTES = 18
_PID_LENGTH = len(token_urlsafe(_PID_BYTES))
_OFFSET_LENGTH = 64

_LOST = frozenset({"transport close", "transport error", "ping timeout"})
"""
The ends of connections after which a client is waited for.
"""

_SWEEPS = 4


@checked
@dataclass(frozen=True)
class Recovery:
    """
    How long, and with how much, clients are waited for whose connection was lost.

    @ivar seconds: How long.

    @ivar clientBytes: How much of what was sent may be kept for one client.

    @ivar totalBytes: The same for all together; what many are sent counts once.

    @ivar clients: How many may be waited for.
    """

    seconds: AboveZero = 120.0
    clientBytes: Size = 1024 * 1024
    totalBytes: Size = 64 * 1024 * 1024
    clients: Size = 10_000


class Returning(Protocol):
    """
    The carrier of a client that may come back.

    @ivar pid: What the client will name; empty if it is not to come back.

    @ivar trail: What it was sent last.

    @ivar handshake: It has what the client sent along to name itself.

    @ivar isAnswered: Whether it knows that it is connected.

    @ivar mayRecover: Whether what it names counts: that may cost a question to all
        nodes, so it does once for each connection.
    """

    isAnswered: bool
    mayRecover: bool
    pid: str
    trail: Trail | None
    handshake: Handshake
    id: str
    client: Client

    @property
    def encoding(self) -> Codec: ...

    def recover(
        self,
        socketID: str,
        pid: str,
        rooms: tuple[Label, ...],
        missed: list[Numbered],
    ) -> None:
        """
        Be who the client was.
        """

    @property
    def standIn(self) -> Member | None: ...

    def emit(self, event: Event) -> None: ...


class Ghosts:
    """
    The clients of one server that may come back.

    @ivar isPerMessage: Whether what is sent waits until the session is stored.

    @ivar mostHeld: How much may wait for that, in bytes.

    @ivar messageSize: How large an event may be.
    """

    _log = Logger()

    def __init__(self, recovery: Recovery, sockets: SessionSockets) -> None:
        """
        @raise ValueError: More may be kept for a client than it can be sent.
        """
        if recovery.clientBytes > sockets.limits.unsentBytes:
            raise ValueError(
                "Recovery.clientBytes is no more than Limits.unsentBytes: a client is"
                " sent what it missed at once"
            )
        self._recovery = recovery
        self._sockets = sockets
        self._manager = sockets.manager
        self.isPerMessage = sockets.perMessage
        self.mostHeld = recovery.clientBytes
        self.messageSize = sockets.limits.messageSize
        self._budget = Budget(recovery.totalBytes)
        # By the hash of what the client names, in the order in which they end.
        self._ghosts: dict[str, Ghost] = {}
        # By the id of their session.
        self._families: dict[str, dict[Ghost, None]] = {}
        self._trails: dict[Trail, None] = {}
        self._sweeping = Timer(self._manager.reactor)
        self._handover = Handover(self, self._manager.reactor)
        self._isServing = False
        self._manager.closeAtEnd(self.stop)

    def __len__(self) -> int:
        """
        How many are waited for.
        """
        return len(self._ghosts)

    @property
    def hub(self) -> Hub:
        """
        The hub that has the rooms.
        """
        return hubFor(self._sockets)

    def _serve(self) -> None:
        if not self._isServing:
            self._isServing = True
            self._handover.serve(self.hub)

    @property
    def _now(self) -> float:
        return self._manager.reactor.seconds()

    # A client comes.

    def begin(self, carrier: Returning, session: Session) -> Deferred[None] | None:
        """
        A client has its session, and nobody was told yet: if it names what it was,
        let it be that again.

        @return: L{None}, or a L{Deferred} to wait for.
        """
        self._serve()
        carrier.pid = token_urlsafe(_PID_BYTES)
        carrier.trail = self._newTrail()
        wanted = _wanted(carrier)
        if wanted is None:
            return None
        ghost = self._ghosts.get(wanted.key)
        if ghost is None:
            return self._handover.ask(carrier, session, wanted)
        isOwn = ghost.session is session and ghost.isSame
        if not isOwn or self.find(wanted) is None:
            return None
        return self.restore(ghost, carrier, wanted)

    def restore(
        self, ghost: Ghost, carrier: Returning, wanted: Wanted
    ) -> Deferred[None] | None:
        """
        Let a client be who it was.

        @return: L{None}, or a L{Deferred} that fires when that is done, or failed.
        """
        if not ghost.isHolding:
            self._take(ghost, carrier, wanted)
            return None
        # What it missed waits until it is stored.
        ghost.isClaimed = True
        done: Deferred[None] = Deferred(nothing)

        def saved(result: object) -> None:
            ghost.isClaimed = False
            if isinstance(result, Failure):
                self._notSaved(result)
            elif not done.called and not ghost.isHolding:
                self._take(ghost, carrier, wanted)
            if not done.called:
                done.callback(None)

        ghost.session.save().addBoth(saved)
        return done

    def find(self, wanted: Wanted) -> Ghost | None:
        """
        @return: The one that a client names, if it is here and to be had.
        """
        ghost = self._ghosts.get(wanted.key)
        if ghost is None or ghost.isClaimed or ghost.until <= self._now:
            return None
        return ghost if ghost.encoding.name == wanted.encoding else None

    def newGhost(
        self, carrier: Returning, session: Session, wanted: Wanted, socketID: str
    ) -> Ghost:
        """
        One of another node is to go on here.
        """
        return Ghost(
            self,
            session,
            Names(socketID, wanted.pid, carrier.encoding),
            Trail(self._budget, self._recovery.clientBytes, wanted.offset),
            self._now + self._recovery.seconds,
        )

    def _take(self, ghost: Ghost, carrier: Returning, wanted: Wanted) -> None:
        isSame = not ghost.isOver and ghost.isSame
        missed = ghost.trail.after(wanted.offset) if isSame else None
        if missed is not None:
            groups = self.hub.groupsOf(ghost)
            rooms = tuple(label for label in groups if label[0] == "room")
            self._remove(carrier.trail)
            carrier.trail = self._newTrail(wanted.offset)
            carrier.recover(ghost.id, ghost.pid, rooms, missed)
            ghost.heir = carrier
        # One that cannot be continued here cannot be continued at all.
        self.drop(ghost)

    def _newTrail(self, before: str | None = None) -> Trail:
        trail = Trail(self._budget, self._recovery.clientBytes, before)
        self._trails[trail] = None
        return trail

    def _remove(self, trail: Trail | None) -> None:
        if trail is not None:
            self._trails.pop(trail, None)
            trail.clear()

    # What is sent.

    def log(self, trail: Trail, frame: Numbered) -> None:
        """
        Keep an event in a trail.
        """
        trail.add(frame, self._now)
        self._sweepLater()
        if self._budget.isOver:
            self._makeRoom(trail)

    def hold(self, trail: Trail, frame: Numbered) -> None:
        """
        Keep an event that is to be in a trail when the session is stored.
        """
        self._budget.keep(frame, self._now)
        if self._budget.isOver:
            self._makeRoom(trail)

    def letGo(self, frame: Numbered) -> None:
        """
        Keep it for that no more.
        """
        self._budget.release(frame)

    def _makeRoom(self, trail: Trail) -> None:
        """
        What was kept last was too much.  Nobody is to have all the room: not others
        are to suffer first.
        """
        share = self._recovery.totalBytes / (len(self._trails) + len(self._ghosts) + 1)
        trail.shorten(share)
        while self._budget.isOver and self._ghosts:
            self.drop(next(iter(self._ghosts.values())))
        if self._budget.isOver:
            trail.clear()

    def _sweepLater(self) -> None:
        if not self._sweeping.isRunning:
            self._sweeping.start(self._recovery.seconds / _SWEEPS, self._sweep)

    def _sweep(self) -> None:
        now = self._now
        for ghost in list(self._ghosts.values()):
            if ghost.until > now:
                break
            self.drop(ghost)
        isKept = bool(self._ghosts)
        for trail in self._trails:
            trail.forget(now - self._recovery.seconds)
            isKept = isKept or len(trail) > 0
        if isKept:
            self._sweepLater()

    # A client goes.

    def lost(self, carrier: Returning, reason: str) -> Ghost | None:
        """
        The connection of a client is lost.

        @param reason: Why, in Socket.IO's words.

        @return: What stands in for it, if it may come back.
        """
        trail, client = carrier.trail, carrier.client
        carrier.trail = None
        if trail is None:
            return None
        session = client.session
        isOpen = carrier.isAnswered and session is not None and client.isOpen
        if reason not in _LOST or not isOpen:
            self._remove(trail)
            return None
        assert session is not None
        self._trails.pop(trail, None)
        until = self._now + self._recovery.seconds
        names = Names(carrier.id, carrier.pid, carrier.encoding)
        ghost = Ghost(self, session, names, trail, until)
        if not self.add(ghost, self.hub.groupsOf(client)):
            return None
        for number, frame in client.held:
            # Answers are of no use to a client that does not know its question.
            if isinstance(frame, Numbered):
                ghost.keep(frame, number)
        return None if ghost.isOver else ghost

    def add(self, ghost: Ghost, groups: list[Label]) -> bool:
        """
        Wait for a client.

        @param groups: Where it was.

        @return: Whether that makes sense.
        """
        try:
            self._manager.share(ghost.session, ghost)
        except SessionError:
            ghost.end()
            return False
        self.hub.enter(ghost, groups)
        self._ghosts[keyOf(ghost.pid)] = ghost
        family = self._families.setdefault(ghost.session.id, {})
        family[ghost] = None
        self._sweepLater()
        if len(self._ghosts) > self._recovery.clients:
            self.drop(next(iter(self._ghosts.values())))
        if len(family) > self._sockets.limits.socketsPerSession:
            self.drop(next(iter(family)))
        return not ghost.isOver

    def drop(self, ghost: Ghost) -> None:
        """
        Wait for a client no more.
        """
        if ghost.isOver:
            return
        ghost.end()
        key = keyOf(ghost.pid)
        if self._ghosts.get(key) is ghost:
            del self._ghosts[key]
        family = self._families[ghost.session.id]
        del family[ghost]
        if not family:
            del self._families[ghost.session.id]
        self.hub.leave(ghost)
        releasing = self._manager.release(ghost.session, ghost)
        releasing.addErrback(self._notSaved)

    def _notSaved(self, failure: Failure) -> None:
        # Whoever changed it was told.
        if not failure.check(SessionError):
            self._manager.failed(self._log, "a session was not let go of", failure)

    def stop(self) -> None:
        """
        Wait for nobody.
        """
        for ghost in list(self._ghosts.values()):
            self.drop(ghost)
        self._handover.stop()
        self._sweeping.stop()


def keyOf(pid: str) -> str:
    """
    What a ghost is found by, on the bus too.
    """
    return sha256(pid.encode()).hexdigest()


def _wanted(carrier: Returning) -> Wanted | None:
    """
    What a client names, which can be anything.
    """
    auth: Any = carrier.handshake.auth
    if type(auth) is not dict or not carrier.mayRecover:
        return None
    pid, offset = auth.get("pid"), auth.get("offset")
    if type(pid) is not str or len(pid) != _PID_LENGTH or not pid.isascii():
        return None
    if offset is not None and (type(offset) is not str or len(offset) > _OFFSET_LENGTH):
        return None
    return Wanted(keyOf(pid), pid, offset, carrier.encoding.name)
