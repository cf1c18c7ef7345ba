# -*- test-case-name: tests.clients.test_client_rates -*-
"""
The tokens that the messages of a client cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from txsessionsock.limits import Limits, Rate
from txsessionsock.manager import Ration, Rations
from txsessionsock.session import Session


__all__ = ["Toll"]


class Toll:
    """
    Has each message of a client wait for a token of its session, and for one of
    its user.  Meanwhile others wait behind it in the inbox; when that is full,
    nothing more is received.
    """

    def __init__(
        self,
        rations: Rations,
        limits: Limits,
        session: Session,
        goOn: Callable[[], object],
    ) -> None:
        """
        @param goOn: Called when the next message can be paid for.
        """
        self._rations = rations
        self._limits = limits
        self._session = session
        self._goOn = goOn
        self._isPaid = False
        # What is still to be paid, and where this waits for it.
        self._left: Iterator[tuple[Rate, Ration]] = iter(())
        self._waitsAt: Ration | None = None

    def pays(self) -> bool:
        """
        Pay for the message that is about to be taken out.

        @return: Whether that was possible.  Otherwise nothing is to be taken
            out, and C{goOn} called when it is.
        """
        if not self._isPaid and self._waitsAt is None:
            self._left = self._due()
            self._pay()
        isPaid, self._isPaid = self._isPaid, False
        return isPaid

    def _due(self) -> Iterator[tuple[Rate, Ration]]:
        limits, session = self._limits, self._session
        if limits.sessionRate is not None:
            yield limits.sessionRate, self._rations.of(("session", session.id))
        # Now, for somebody may have logged in or out since.
        who = None if limits.userRate is None else session.keeper.identity()
        if who is not None and limits.userRate is not None:
            name = who if type(who) in (int, str) else repr(who)
            yield limits.userRate, self._rations.of(("user", name))

    def _pay(self) -> None:
        for rate, ration in self._left:
            if not ration.take(rate):
                self._waitsAt = ration
                ration.wait(rate, self)
                return
        self._isPaid = True

    def paid(self) -> None:
        self._waitsAt = None
        self._pay()
        if self._isPaid:
            self._goOn()

    def giveBack(self) -> None:
        """
        The message was not handled after all.
        """
        self._isPaid = True

    def stop(self) -> None:
        """
        Nothing more will be handled.
        """
        ration, self._waitsAt = self._waitsAt, None
        if ration is not None:
            ration.leave(self)
