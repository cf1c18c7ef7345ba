# -*- test-case-name: tests.clients.test_client -*-
"""
The frames that go out to a client.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from .carrier import Carrier
from .life import Life, Phase


__all__ = ["Outbox"]

_END: Final = object()
"""
Stands among held frames for the end of the connection.
"""


class Outbox:
    """
    Frames in the order in which they were sent, and at last the end of the
    connection.  Each is held back until what its receiver may learn from it
    is stored.
    """

    def __init__(
        self,
        carrier: Carrier,
        life: Life,
        unsaved: Callable[[], int | None],
        closes: Callable[[], None],
    ) -> None:
        """
        @param unsaved: Says what a frame that is sent now has to wait for;
            see L{txsessionsock.session.roles.Keeper.unsaved}.

        @param closes: Called before the connection is closed.
        """
        self._carrier = carrier
        self._life = life
        self._unsaved = unsaved
        self._closes = closes
        self._held: deque[tuple[int, Any]] = deque()
        # The close code and the reason, once there are any.
        self._why = (0, "")

    def __len__(self) -> int:
        """
        How much is held back.
        """
        return len(self._held)

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
        if self._life.isOpen:
            self._put(frame)

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
        self._held.clear()
        self._write(_END)

    def stored(self, number: int) -> None:
        """
        All changes up to this one are stored.
        """
        while self._held and self._held[0][0] <= number:
            self._write(self._held.popleft()[1])

    def clear(self) -> None:
        """
        Drop what is held back.
        """
        self._held.clear()

    def _put(self, frame: Any) -> None:
        number = self._unsaved()
        if number is not None:
            self._held.append((number, frame))
        elif self._held:
            self._held.append((0, frame))
        else:
            self._write(frame)

    def _write(self, frame: Any) -> None:
        if frame is not _END:
            self._carrier.write(frame)
        elif self._life.phase is Phase.CLOSING:
            self._life.goOn(Phase.CLOSED)
            self._closes()
            self._carrier.close(*self._why)
