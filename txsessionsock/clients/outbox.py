# -*- test-case-name: tests.clients.test_client -*-
"""
The frames that go out to a client.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Protocol

from txsessionsock._repeatable import NOW
from txsessionsock.closecodes import Code
from txsessionsock.limits import Limits

from .carrier import Carrier
from .life import Life, Phase


__all__ = ["Outbox"]

_END: Final = object()
"""
Stands among held frames for the end of the connection.
"""


_NONE: Final[deque[tuple[int, Any, int]]] = deque(maxlen=0)
"""
The frames of a client of which none is held back; see L{txsessionsock.clients.inbox}.
"""


class _Client(Protocol):
    """
    Whose frames these are.
    """

    def unsaved(self) -> int | None:
        """
        What a frame that is sent now has to wait for; see
        L{txsessionsock.session.roles.Keeper.unsaved}.
        """

    def givenUp(self) -> int | None:
        """
        What a frame has to wait for whose changes are stored; see
        L{txsessionsock.session.roles.Keeper.givenUp}.
        """

    def closes(self) -> None:
        """
        The connection is about to be closed.
        """


class _Nobody:
    """
    Takes the place of a client that is over.
    """

    def unsaved(self) -> int | None:
        return None

    def givenUp(self) -> int | None:
        return None

    def closes(self) -> None:
        pass


_NOBODY: Final = _Nobody()


class Outbox:
    """
    Frames in the order in which they were sent, and at last the end of the
    connection.  Each is held back until what its receiver may learn from it
    is stored.  There is a bound on what waits, here and in the carrier.
    """

    __slots__ = (
        "_carrier",
        "_client",
        "_held",
        "_heldSize",
        "_holds",
        "_life",
        "_most",
        "_why",
    )

    def __init__(
        self,
        client: _Client,
        carrier: Carrier,
        limits: Limits,
        life: Life,
        *,
        holds: bool,
    ) -> None:
        """
        @param holds: Whether frames may have to wait for what is to be stored.
        """
        self._client: _Client = client
        self._carrier: Any = carrier
        self._most = limits.unsentBytes
        self._life = life
        self._holds = holds
        # Each with the number of the change that has to be stored, and its size.
        self._held = _NONE
        self._heldSize = 0
        # The close code and the reason, once there are any.
        self._why = (0, "")

    @property
    def most(self) -> int:
        """
        How many bytes may wait until the client is not to cause any more.
        """
        return self._most

    def size(self, frame: Any) -> int:
        """
        How many bytes a frame takes.
        """
        return 0 if self._carrier is None else self._carrier.size(frame)

    def __len__(self) -> int:
        """
        How much is held back.
        """
        return len(self._held)

    @property
    def held(self) -> list[tuple[int, Any]]:
        """
        What is held back, but for the end of the connection.
        """
        return [(n, frame) for n, frame, _ in self._held if frame is not _END]

    def isFull(self) -> bool:
        """
        Whether so much waits that the client is not to cause any more.
        """
        carrier = self._carrier
        return carrier is not None and self._heldSize + carrier.unsent > self._most

    def connected(self) -> None:
        """
        The handshake is done.
        """
        if self._life.phase is Phase.CLOSED:
            # A handler of the handshake has closed the connection.  Until now
            # there was none that could have been closed.
            self._carrier.close(*self._why)
        else:
            self._life.goOn(Phase.WAITING)

    def send(self, frame: Any) -> None:
        """
        Send a frame behind all others, if the connection is still open.
        """
        if NOW.run is not None:
            NOW.run.hold(self, frame)
        elif not self._life.isOpen:
            pass
        elif self._holds:
            self._put(frame)
        else:
            self._carrier.write(frame)

    def release(self, frames: Iterable[Any]) -> None:
        """
        Send frames of a handler that may run again, when what it changed is stored.
        """
        number = self._client.givenUp()
        for frame in frames:
            if not self._life.isOpen:
                if self._carrier is not None:
                    self._carrier.missed(frame)
            elif number is not None or self._held:
                self._hold(number or 0, frame)
            else:
                self._write(frame)

    def decide(self, code: int, reason: str) -> None:
        """
        Send nothing more, and close the connection later.  The first code that
        somebody decides upon is it.
        """
        if self._life.isOpen:
            self._life.goOn(Phase.CLOSING)
            self._why = code, reason

    def close(self, code: int, reason: str) -> None:
        """
        Close the connection behind all frames.
        """
        if self._life.isOpen:
            self.decide(code, reason)
            self._put(_END)

    def closeNow(self, code: int, reason: str) -> None:
        """
        Close the connection and drop all frames.
        """
        self.decide(code, reason)
        self.clear()
        self._write(_END)

    def stored(self, number: int) -> None:
        """
        All changes up to this one are stored.
        """
        while self._held and self._held[0][0] <= number:
            _, frame, size = self._held.popleft()
            if not self._held:
                self._held = _NONE
            self._heldSize -= size
            self._write(frame)

    def clear(self) -> None:
        """
        Drop what is held back.
        """
        self._held = _NONE
        self._heldSize = 0

    def end(self) -> None:
        """
        The connection is gone, and the client over.
        """
        self.clear()
        self._client, self._carrier, self._holds = _NOBODY, None, False

    def _put(self, frame: Any) -> None:
        number = self._client.unsaved() if self._holds else None
        if number is not None:
            self._hold(number, frame)
        elif self._held:
            self._hold(0, frame)
        else:
            self._write(frame)

    def _hold(self, number: int, frame: Any) -> None:
        carrier = self._carrier
        size = 0 if frame is _END else carrier.size(frame)
        if self._heldSize + size + carrier.unsent > carrier.mostUnsent:
            self._cut()
            return
        if self._held is _NONE:
            self._held = deque()
        self._held.append((number, frame, size))
        self._heldSize += size

    def _cut(self) -> None:
        """
        Give up a client that is sent too much.
        """
        self.decide(Code.TRY_AGAIN_LATER, "")
        self._life.goOn(Phase.CLOSED)
        self.clear()
        self._client.closes()
        self._carrier.cut("it was sent more than may wait until it is stored")

    def _write(self, frame: Any) -> None:
        if frame is not _END:
            self._carrier.write(frame)
        elif self._life.phase is Phase.CLOSING:
            self._life.goOn(Phase.CLOSED)
            self._client.closes()
            self._carrier.close(*self._why)
