"""
What happens on a bus, as scripts: they run on real ones, and on models of these.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from txsessionsock.bus import RedisBus
from txsessionsock.interfaces import StoreFailure, StoreUnavailable


__all__ = ["LIFETIME", "SCRIPTS", "TIMEOUT", "Script", "Stage"]

TIMEOUT: Final = 0.5
LIFETIME: Final = 1.5
_PATIENCE = 8.0


class Stage(Protocol):
    """
    Where scripts run.
    """

    @property
    def buses(self) -> Sequence[RedisBus]:
        """
        One for each node, which have found each other.
        """

    @property
    def got(self) -> Sequence[list[bytes]]:
        """
        What came to each.
        """

    def seconds(self) -> float:
        """
        What time it is.
        """

    def sleep(self, seconds: float) -> Awaitable[object]:
        """
        Let some time pass.
        """

    async def cut(self, number: int) -> None:
        """
        Have a node lose its connection, and get no other one.
        """

    async def hold(self, number: int) -> None:
        """
        Have nothing come through to and from a node, which nobody notices.
        """

    async def heal(self, number: int) -> None:
        """
        Have all be well.
        """


Script = Callable[[Stage], Awaitable[None]]


async def _answers(stage: Stage, number: int) -> dict[int, bool]:
    """
    @return: Which nodes are in the answer to a node, and whether they did answer.
    """
    answers = await stage.buses[number].request(b"?")
    names = [bus.node for bus in stage.buses]
    return {names.index(node): raw is not None for node, raw in answers.items()}


async def _until(stage: Stage, number: int, expected: dict[int, bool]) -> None:
    end, found = stage.seconds() + _PATIENCE, None
    while found != expected:
        assert stage.seconds() < end, found
        with suppress(StoreFailure):
            found = await _answers(stage, number)
        await stage.sleep(0.01)


async def everybody(stage: Stage) -> None:
    """
    All nodes answer all; one that closes is missing at once.
    """
    for number in range(3):
        assert await _answers(stage, number) == {0: True, 1: True, 2: True}
    await stage.buses[2].close()
    for number in range(2):
        await _until(stage, number, {0: True, 1: True})
        assert await _answers(stage, number) == {0: True, 1: True}
    assert await _fails(stage, 2)


async def _fails(stage: Stage, number: int) -> bool:
    before = len(stage.got[number])
    try:
        await stage.buses[number].request(b"!")
    except StoreUnavailable:
        return len(stage.got[number]) == before
    return False


async def cut(stage: Stage) -> None:
    """
    A node that lost its connection is reported at once, and after its lifetime is
    none any more.  What it asks itself fails, and reaches nobody.  It comes back.
    """
    await stage.cut(2)
    await _until(stage, 0, {0: True, 1: True, 2: False})
    began = stage.seconds()
    for _ in range(3):
        assert await _answers(stage, 0) == {0: True, 1: True, 2: False}
    assert stage.seconds() - began < TIMEOUT
    assert await _fails(stage, 2)
    await _until(stage, 0, {0: True, 1: True})
    await stage.heal(2)
    for number in range(3):
        await _until(stage, number, {0: True, 1: True, 2: True})


async def hold(stage: Stage) -> None:
    """
    A node that hangs is waited for until the time is up, and comes back.  Meanwhile
    it did not get what it was sent.
    """
    await stage.hold(2)
    began = stage.seconds()
    assert await _answers(stage, 0) == {0: True, 1: True, 2: False}
    assert 0.8 * TIMEOUT < stage.seconds() - began < 2 * TIMEOUT
    await stage.heal(2)
    for number in range(3):
        await _until(stage, number, {0: True, 1: True, 2: True})


async def lostWhileAsking(stage: Stage) -> None:
    """
    A node whose own connection is lost waits for no answers any more.
    """
    await stage.hold(2)
    await stage.sleep(0.05)
    began = stage.seconds()
    asked: Deferred[dict[str, bytes | None]] = stage.buses[0].request(b"?")
    await stage.sleep(0.1)
    await stage.cut(0)
    answers = await asked
    assert answers[stage.buses[0].node] is not None
    assert answers[stage.buses[2].node] is None
    assert stage.seconds() - began < 0.9 * TIMEOUT
    for number in 0, 2:
        await stage.heal(number)
    for number in range(3):
        await _until(stage, number, {0: True, 1: True, 2: True})


async def order(stage: Stage) -> None:
    """
    What two nodes send at once comes to each in the order of each of them.
    """
    sent = [
        (number, b"%d %03d" % (number, count))
        for count in range(50)
        for number in range(2)
    ]
    for asked in [stage.buses[number].request(raw) for number, raw in sent]:
        assert None not in (await asked).values()
    for got in stage.got:
        for number in range(2):
            mine = [raw for raw in got if raw.startswith(b"%d " % number)]
            assert mine == sorted(mine)
            assert len(mine) == 50


SCRIPTS: Final[tuple[Script, ...]] = (everybody, cut, hold, lostWhileAsking, order)
