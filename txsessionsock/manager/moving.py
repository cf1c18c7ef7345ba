# -*- test-case-name: tests.test_manager_regenerate -*-
"""
Going on under another id, with all that was acknowledged under the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from txsessionsock.interfaces import (
    NoSuchSession,
    SessionConflict,
    Stored,
    StoreError,
    StoreFailure,
    StoreTimeout,
)
from txsessionsock.session import Holder, detached

from .saving import AT_ONCE, backOff


if TYPE_CHECKING:
    from .keeper import Live

__all__ = ["move"]

_PATIENCE: Final = 5.0
"""
For how many seconds to try while others go on changing the session.
"""

_LONGEST: Final = 3
"""
As after how many tries to wait at most: who changes it all the time does not
wait either.
"""

_SETTLED: Final = (0.02, 20)
"""
Every how many seconds to look, and how often, whether another node puts back
what a web application overwrote, of which this node may never have heard.
"""

_SETTLING: Final = 1.0
"""
For how many seconds to wait for nodes that wrote the session earlier, and may be
there no more.
"""


async def move(live: Live, other: Live, holder: Holder) -> Callable[[], None]:
    """
    Have a session go on as a new one, which nobody else has yet.

    The new one is stored before the old one is deleted, and that only if it
    still is what was copied: so there is always one of them, and what others
    were told is stored is in it.

    @param holder: Who holds the new one then, instead of the old one.

    @return: What tells everybody who holds the old one.
    """
    async with live.turn:
        # Nobody holds it yet, which is no reason to drop it.
        other.opening += 1
        try:
            await _moved(live, other)
        finally:
            other.opening -= 1
        live.audience.remove(holder)
        other.audience.add(holder)
        return live.retire("moved")


async def _moved(live: Live, other: Live) -> None:
    tries, begun = 0, live.backend.now()
    while True:
        await live.saving.inTurn()
        _copy(live, other)
        await other.save()
        live.checkAlive()
        copied = live.record.stored
        if copied is None:
            return
        elapsed = live.backend.now() - begun
        isSettled = await _isSettled(live, copied, elapsed)
        if isSettled and await _isEnded(live, copied):
            return
        if elapsed > _PATIENCE:
            raise StoreError("no new session id: others change the session")
        if not isSettled:
            continue
        tries += 1
        if tries > AT_ONCE:
            await live.backend.sleep(backOff(min(tries - AT_ONCE, _LONGEST)))
            await _read(live)


async def _isSettled(live: Live, copied: Stored, elapsed: float) -> bool:
    """
    Wait until no other node has to put back what somebody overwrote, and read
    what they did.

    @param elapsed: For how many seconds the session was looked at before.

    @return: Whether what was copied is all.
    """
    if live.settings.node is None:
        return True
    interval, times = _SETTLED
    journal, isLate = live.record.journal, elapsed > _SETTLING
    if elapsed >= interval and journal.isHeard(isLate=isLate):
        return True
    for _ in range(times):
        await live.backend.sleep(interval)
        await _read(live)
        stored = live.record.stored
        if stored is None or stored.raw != copied.raw:
            return False
        if journal.isHeard(isLate=isLate):
            break
    return True


async def _read(live: Live) -> None:
    live.checkAlive()
    await live.absorb(await live.backend.load(live.key))


async def _isEnded(live: Live, copied: Stored) -> bool:
    """
    End a session if it still is what was copied; if it is not, what it is
    now is merged.
    """
    try:
        wasThere = await live.backend.destroy(live.key, copied.raw)
    except SessionConflict as conflict:
        await live.absorb(conflict.current)
        return False
    except StoreTimeout as error:
        if not await _isGone(live, error):
            return False
    else:
        if not wasThere:
            live.endGone()
    if live.reason is not None:
        # Who logged out meanwhile is logged out.
        raise NoSuchSession
    return True


def _copy(live: Live, other: Live) -> None:
    """
    What is not stored by now is not copied: who changed it is told that the
    session is gone.  What the framework keeps beside the data is copied, too:
    the cookie of Express, when a session of starsessions began.

    The new session begins without the stamps of the old one.  They tell which
    copies of I{that} session lack something; whoever has a copy of the new one
    has all that was stored before there was a new one.  Who still has a copy
    of the old session can overwrite nothing here.  For the same reason the
    journal of the old session ends with it.
    """
    data = detached(live.record.copy.stored)
    for key in [key for key in other.session if key not in data]:
        del other.session[key]
    for key, value in data.items():
        # Of whatever type the key is.
        other.record.copy.assign(key, value)
    other.record.adopt(live.record)
    other.record.isWanted = not live.isNew


async def _isGone(live: Live, error: StoreTimeout) -> bool:
    """
    Find out whether a session was deleted, when the store did not answer that.
    """
    try:
        current = await live.backend.load(live.key)
    except StoreFailure:
        live.reading.suspect()
        raise error from None
    if current is not None:
        await live.absorb(current)
        return False
    if live.expires is not None and live.expires <= live.backend.now():
        live.endGone()
    # A logout in this very moment looks the same; but then the outage would
    # be a logout for everybody else.
    return True
