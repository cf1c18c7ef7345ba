"""
The two sides of a live session: the keeper that stores it, and the holders that
have it open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock.interfaces import EndReason


__all__ = ["Holder", "Keeper"]

_T = TypeVar("_T")


class Keeper(Protocol):
    """
    What keeps a session stored.  The manager has one for each live session;
    only clients and pages, which are part of this library, call it.

    @ivar isHandling: Whether a handler is running and has not waited for
        anything yet.  Changes are looked for when it ends.
    """

    isHandling: bool

    @property
    def expires(self) -> float | None:
        """
        See L{Session.expires}.
        """

    @property
    def created(self) -> float | None:
        """
        See L{Session.created}.
        """

    @property
    def isNew(self) -> bool:
        """
        See L{Session.isNew}.
        """

    @property
    def reason(self) -> EndReason | None:
        """
        Why the session ended, even if not all who hold it were told yet.
        """

    def identity(self) -> object:
        """
        Who is logged in, as the framework has it; L{None} for nobody.
        """

    def save(self) -> Deferred[None]:
        """
        See L{Session.save}.
        """

    def change(self, f: Callable[[dict[str, Any]], _T]) -> Deferred[_T]:
        """
        See L{Session.update}.
        """

    def reload(self) -> Deferred[None]:
        """
        See L{Session.reload}.
        """

    def touch(self) -> Deferred[None]:
        """
        See L{Session.touch}.
        """

    def destroy(self) -> Deferred[None]:
        """
        See L{Session.destroy}.
        """

    def arrival(self) -> int:
        """
        Note that a message arrived.

        @return: What L{fresh} wants to know about it.
        """

    def fresh(self, arrival: int) -> Deferred[None] | None:
        """
        Make the session show every write whose writer had its answer before
        the message arrived.

        @return: L{None} if it does already.  Otherwise a L{Deferred} that
            fails with L{NoSuchSession}, L{SessionReplaced},
            L{UndecodableSession} or L{StoreFailure}.
        """

    def isAtHand(self, now: float, since: float | None) -> bool:
        """
        Whether a message can be handled at once: then there is nothing to do for
        L{fresh} and L{clientActed}.

        @param now: In seconds since the epoch.

        @param since: The L{arrival} of the message; C{inf}, which is later than any,
            if it comes now; L{None} if the session need not be fresh for it.
        """

    def clientActed(self, *, isFresh: bool) -> None:
        """
        The client did something: put the session's end off.

        @param isFresh: Whether the session was made L{fresh} for that.
        """

    def handlerBegins(self, holder: Holder) -> None:
        """
        A handler begins.
        """

    def changing(self) -> None:
        """
        Somebody set a key, or deleted one, while no handler was running: store
        that soon.
        """

    def handlerWaits(self, *, looks: bool) -> None:
        """
        A handler waits for something.

        @param looks: Whether what it changed so far, and what it changes until
            it is done, is to be looked for now and then, and stored.
        """

    def handlerEnds(self, holder: Holder, *, wasSync: bool, saveNow: bool) -> int:
        """
        A handler is done.

        @param wasSync: Whether no other handler can have run meanwhile.

        @param saveNow: Whether its changes are to be stored at once rather
            than soon.

        @return: The number of the last change, if it changed something; 0 if
            not.
        """

    def enter(self, runner: Any) -> None:
        """
        A client has messages whose handlers may run again.  They are asked for in the
        session's turn to write; see C{Repeats} of the manager.
        """

    def leave(self, runner: Any) -> None:
        """
        It has none any more.
        """

    def undrafted(self) -> Deferred[None] | None:
        """
        What other handlers have to wait for.

        @return: L{None} for nothing.  Otherwise a L{Deferred} that fires when what
            handlers did that may run again is stored, or thrown away.
        """

    def unsaved(self, holder: Holder | None = None) -> int | None:
        """
        What a frame that is sent now has to wait for, so that its receiver
        never learns of a change that is lost.

        @param holder: Who sends it.  While a handler is L{handling
            <isHandling>}, the frame may have to wait until it is known whether
            that changed something; then the holder is told.  Without a holder
            that is found out now.

        @return: The number that L{Holder.stored} will reach, L{None} if
            everything is stored.
        """

    def givenUp(self) -> int | None:
        """
        What a frame has to wait for whose changes are stored: until all were told that
        something was given up, for then it may not go out.

        @return: See L{unsaved}; L{None} if nothing was, or all were told.
        """


class Holder(Protocol):
    """
    A client or a page that has a session open.  None of its methods raises.
    """

    def changed(self, keys: Sequence[str]) -> None:
        """
        Somebody else changed these keys.
        """

    def stored(self, number: int) -> None:
        """
        All changes up to this number are stored.
        """

    def failed(self, failure: Failure) -> None:
        """
        Changes could not be stored.
        """

    def gaveUp(self, failure: Failure, *, isMine: bool) -> None:
        """
        Changes could not be stored, and will not be.

        @param isMine: Whether a handler of this holder may have made one that is
            still at work.
        """

    def ended(self, reason: EndReason) -> None:
        """
        The session is over.  Called once; nothing else is called after it.
        """
