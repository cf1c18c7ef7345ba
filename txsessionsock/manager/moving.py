# -*- test-case-name: tests.manager.test_manager_regenerate -*-
"""
Going on under another id, with all that was acknowledged under the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from txsessionsock.interfaces import (
    NoSuchSession,
    SessionConflict,
    Stored,
    StoreError,
    StoreFailure,
    StoreTimeout,
)
from txsessionsock.session import Holder, detached

from .keeper import SessionKeeper
from .live import Live
from .saving import TRIES_WITHOUT_WAITING, afterConflict


__all__ = ["move"]

_PATIENCE: Final = 5.0
"""
For how many seconds to try while others go on changing the session.
"""

_LONGEST: Final = 3
"""
The wait does not grow after so many tries: those who change the session all the
time do not wait either.
"""

_SETTLED: Final = (0.02, 20)
"""
Every how many seconds to look, and how often, whether another node stores
something again that a web application overwrote.  This node may never have heard
of it.
"""

_SETTLING: Final = 1.0
"""
For how many seconds to wait for nodes that wrote the session earlier, and may be
there no more.  Whoever opens the session waits meanwhile, however slow the store is.
"""


async def move(
    keeper: SessionKeeper, other: SessionKeeper, holder: Holder
) -> Callable[[], None]:
    """
    Have a session go on as a new one, which nobody else has yet.

    The new one is stored before the old one is deleted, and that only if it
    still is what was copied: so there is always one of them, and what others
    were told is stored is in it.

    @param holder: Who holds the new one then, instead of the old one.

    @return: What tells everybody who holds the old one.
    """
    async with keeper.live.turn:
        # Otherwise it would be dropped, since nobody holds it yet.
        other.opening += 1
        try:
            await _moved(keeper, other)
        finally:
            other.opening -= 1
        keeper.live.holders.remove(holder)
        other.live.holders.add(holder)
        return keeper.live.retire("moved")


async def _moved(keeper: SessionKeeper, other: SessionKeeper) -> None:
    live = keeper.live
    tries, began = 0, live.storage.now()
    while True:
        await keeper.saving.inTurn()
        _copy(live, other.live)
        await other.save()
        live.checkAlive()
        copied = live.record.stored
        if copied is None:
            return
        isSettled = await _isSettled(live, copied, began)
        if isSettled and await _isEnded(keeper, copied):
            return
        if live.storage.now() - began > _PATIENCE:
            raise StoreError("no new session id: others change the session")
        if not isSettled:
            continue
        tries += 1
        if tries > TRIES_WITHOUT_WAITING:
            wait = afterConflict(min(tries - TRIES_WITHOUT_WAITING, _LONGEST))
            await live.storage.sleep(wait)
            await _read(live)


async def _isSettled(live: Live, copied: Stored, began: float) -> bool:
    """
    Wait until no other node has to put back what somebody overwrote, and read
    what they did.

    @param began: Since when the session is looked at.

    @return: Whether what was copied is all.
    """
    if live.policy.node is None:
        return True
    interval, times = _SETTLED
    journal, elapsed = live.record.journal, live.storage.now() - began
    isLate = elapsed > _SETTLING
    if elapsed >= interval and journal.isHeard(isLate=isLate):
        return True
    for _ in range(times):
        await live.storage.sleep(interval)
        await _read(live)
        stored = live.record.stored
        if stored is None or stored.raw != copied.raw:
            return False
        if journal.isHeard(isLate=isLate) or live.storage.now() - began > _SETTLING:
            break
    return True


async def _read(live: Live) -> None:
    live.checkAlive()
    await live.absorb(await live.asking.asked(live.storage.load(live.key)))


async def _isEnded(keeper: SessionKeeper, copied: Stored) -> bool:
    """
    End a session if it still is what was copied; if it is not, what it is
    now is merged.
    """
    live = keeper.live
    try:
        deleted = live.storage.destroy(live.key, copied.raw)
        wasThere = await live.asking.asked(deleted)
    except SessionConflict as conflict:
        await live.absorb(conflict.current)
        return False
    except StoreTimeout as error:
        if not await _isGone(keeper, error):
            return False
    else:
        if not wasThere:
            live.endGone()
    if live.reason is not None:
        # Somebody logged out meanwhile: that counts.
        raise NoSuchSession
    return True


def _copy(live: Live, other: Live) -> None:
    """
    Copy what is stored.  A change that is not stored by now is lost with the old
    session, and its author is told that the session is gone.  What the framework
    keeps beside the data is copied, too: the cookie of Express, when a session of
    starsessions began.

    The new session begins without the stamps of the old one, and with a new
    journal.  Stamps tell which copies of a session lack a write.  Every copy of
    the new session has all writes of the old one, and a copy of the old session
    cannot overwrite the new one.
    """
    data = detached(live.record.copy.stored)
    for key in [key for key in other.session if key not in data]:
        del other.session[key]
    for key, value in data.items():
        # Not by the session itself, which refuses keys that are no str.
        other.record.copy.assign(key, value)
    other.record.adopt(live.record)
    other.record.isWanted = not live.isNew


async def _isGone(keeper: SessionKeeper, error: StoreTimeout) -> bool:
    """
    Find out whether a session was deleted, when the store did not answer that.
    """
    live = keeper.live
    try:
        current = await live.asking.asked(live.storage.load(live.key))
    except StoreFailure:
        keeper.reading.suspect()
        raise error from None
    if current is not None:
        await live.absorb(current)
        return False
    if live.expires is not None and live.expires <= live.storage.now():
        live.endGone()
    # We asked the store to delete the session, it did not answer, and now the
    # session is gone.  Somebody may have logged out in that moment instead: that
    # looks the same.  But if it counted as a logout, each such outage would log
    # everybody out.
    return True
