# -*- test-case-name: tests.test_manager_regenerate -*-
"""
Going on under another id, with all that was acknowledged under the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ._branches import Stamps, covers
from ._merge import detached
from ._saving import backOff
from .interfaces import (
    NoSuchSession,
    SessionConflict,
    Stored,
    StoreError,
    StoreFailure,
    StoreTimeout,
)
from .journal import stampsIn
from .session import Holder


if TYPE_CHECKING:
    from ._live import Live

__all__ = ["move"]

_AT_ONCE: Final = 3
"""
How often to try again without waiting, on what was found instead.
"""

_PATIENCE: Final = 5.0
"""
For how many seconds to try while others go on changing the session.
"""

_LONGEST: Final = 3
"""
As after how many tries to wait at most: who changes it all the time does not
wait either.
"""

_SETTLED: Final = (0.05, 0.4)
"""
How many seconds a node may take to put back what a web application overwrote,
where the store tells what others do and where it does not.
"""

_SETTLING: Final = 1.0
"""
For how many seconds to wait until everything is back.
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
    isWhole = live.settings.node is None
    while True:
        await live.saving.inTurn()
        _copy(live, other)
        await other.save()
        live.checkAlive()
        copied = live.record.stored
        if copied is None:
            return
        elapsed = live.backend.now() - begun
        if not isWhole and elapsed < _SETTLING:
            isWhole = await _isSettled(live, copied)
            continue
        if await _isEnded(live, copied):
            return
        if elapsed > _PATIENCE:
            raise StoreError("no new session id: others change the session")
        isWhole = live.settings.node is None or _isByNode(live, copied)
        tries += 1
        if tries > _AT_ONCE:
            await live.backend.sleep(backOff(min(tries - _AT_ONCE, _LONGEST)))
            isWhole = await _isReadWhole(live)


async def _isSettled(live: Live, copied: Stored) -> bool:
    """
    Give other nodes the time to put back what somebody overwrote, and read
    what they did.

    @return: Whether nothing is overwritten now, as far as one can tell.
    """
    await live.backend.sleep(_SETTLED[not live.backend.isWatchable])
    await _read(live)
    return _rawOf(live) == copied.raw or await _isReadWhole(live)


async def _isReadWhole(live: Live) -> bool:
    """
    Read twice.  A node that writes puts back what it misses at the same time,
    but what a node wrote last may have been copied by a request that writes it
    now.  What was not there a moment ago was not copied yet.
    """
    await _read(live)
    before = live.record.stored
    await _read(live)
    isAlone = live.settings.node is None
    return isAlone or (before is not None and _isByNode(live, before))


def _isByNode(live: Live, before: Stored) -> bool:
    """
    Whether a node wrote what is stored, after what was stored before.
    """
    return not covers(_stampsOf(live, before.raw), _stampsOf(live, _rawOf(live)))


def _rawOf(live: Live) -> bytes:
    return b"" if live.record.stored is None else live.record.stored.raw


def _stampsOf(live: Live, raw: bytes) -> Stamps:
    return stampsIn(live.backend.framework.loads(raw, live.backend.now()).data)


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
    session is gone.

    The new session begins without the stamps of the old one.  They tell which
    copies of I{that} session lack something; whoever has a copy of the new one
    has all that was stored before there was a new one.  Who still has a copy
    of the old session can overwrite nothing here.  For the same reason the
    journal of the old session ends with it.
    """
    data = detached(live.record.copy.stored)
    for key in [key for key in other.session if key not in data]:
        del other.session[key]
    other.session.update(data)
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
