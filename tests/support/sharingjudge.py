"""
What became of what sockets of several nodes changed in the same keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.task import deferLater

from tests.support.histories import Version
from tests.support.servers import reactor
from tests.support.sharing import Done, Sharing
from txsessionsock.session.journal import STAMP


__all__ = ["Outcome", "outcome"]

_PATIENCE = 6.5
"""
For how many seconds nobody writes before what is missing is taken for lost: longer
than the window of a repair, after which a node takes over what a dead one wrote.
"""

_QUIET = 0.5
"""
For how many seconds nobody writes in the end, if nothing is missing.
"""

_MOST = 45.0
"""
After how many seconds nodes that still write are taken for restless.
"""

_STORIES = 3
"""
Of how many of the changes that are lost it is told what became of them.
"""


@dataclass
class Outcome:
    """
    What came of a run.

    @ivar acknowledged: How many changes of each kind were.

    @ivar lost: Those that are not there.

    @ivar doubled: What is there more than once.

    @ivar excepted: How many are not there that nobody promised, and why.

    @ivar clobbers: How many writes of the application dropped something.

    @ivar isRestless: Whether nodes still write when all is over.

    @ivar stories: What was stored where changes are lost.
    """

    requests: int
    acknowledged: Counter[str]
    lost: list[Done] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    excepted: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    clobbers: int = 0
    isRestless: bool = False
    stories: list[str] = field(default_factory=list)

    @property
    def isRight(self) -> bool:
        """
        Whether everything is as promised.
        """
        return not (self.lost or self.doubled or self.foreign or self.isRestless)

    def __str__(self) -> str:
        lost = Counter(done.verb for done in self.lost)
        kinds = ", ".join(
            f"{verb} {lost[verb]} of {total}"
            for verb, total in sorted(self.acknowledged.items())
        )
        more = [f"doubled: {', '.join(self.doubled)}"] if self.doubled else []
        more += [f"of the application: {', '.join(self.foreign)}"] * bool(self.foreign)
        more += ["nodes never end to write"] * self.isRestless
        more += [f"excepted: {count} {why}" for why, count in self.excepted.items()]
        summary = "; ".join(
            (
                f"{len(self.lost)} of {self.acknowledged.total()} lost ({kinds})",
                *more,
                f"{self.clobbers} of {self.requests} requests overwrote something",
            )
        )
        return "\n".join((summary, *self.stories))


async def outcome(
    running: Sharing, foreign: Mapping[str, int], patience: float = _PATIENCE
) -> Outcome:
    """
    Find out, when all is over.

    @param foreign: What the application counted, if nobody else writes there.

    @param patience: For how many seconds nobody writes before what is missing is
        taken for lost.
    """
    versions, isRestless = await _settled(running, foreign, patience)
    session = await running.scene.session()
    missing = list(_missing(running, session))
    history = _History(versions)
    found = Outcome(
        running.requests,
        Counter(done.verb for done in running.done if done.answered is not None),
        doubled=list(_doubled(running.done, session)),
        foreign=[
            f"{key} is {session.get(key, 0)}, not {n}"
            for key, n in foreign.items()
            if session.get(key, 0) != n
        ],
        clobbers=history.clobbers(),
        isRestless=isRestless,
    )
    for done in missing:
        why = history.exception(done, running)
        if why:
            found.excepted[why] += 1
        else:
            found.lost.append(done)
    found.stories += [history.story(done, running) for done in found.lost[:_STORIES]]
    return found


async def _settled(
    running: Sharing, foreign: Mapping[str, int], patience: float
) -> tuple[list[tuple[Version, dict[str, Any] | None]], bool]:
    """
    Wait until nothing is missing, or nobody has written for a while.  The
    application is not asked, since asking some makes them write, which drops what
    is put back at that moment.

    @return: All that was stored, and whether nodes still write.
    """
    end = reactor.seconds() + _MOST
    while True:
        versions = await running.versions()
        last, data = versions[-1]
        session = data or {}
        isMissing = any(
            (
                any(_missing(running, session)),
                any(session.get(key, 0) != n for key, n in foreign.items()),
            )
        )
        now = reactor.seconds()
        if now - last.at > (max(patience, _QUIET) if isMissing else _QUIET):
            return versions, False
        if now > end:
            return versions, True
        await deferLater(reactor, _QUIET / 4)


# What is there.


def _by(done: Iterable[Done]) -> dict[str, list[Done]]:
    found: dict[str, list[Done]] = {}
    for each in done:
        found.setdefault(each.key, []).append(each)
    return found


def _under(session: Mapping[str, Any], key: str) -> Any:
    outer, dot, inner = key.partition(".")
    value = session.get(outer)
    if dot:
        return value.get(inner) if isinstance(value, dict) else None
    return value


def _missing(running: Sharing, session: Mapping[str, Any]) -> Iterable[Done]:
    """
    What was acknowledged and is not there.
    """
    for key, changes in _by(running.done).items():
        value = _under(session, key)
        known = [change for change in changes if change.answered is not None]
        match changes[0].verb:
            case "update" | "increment":
                # Nobody can tell which; those who were killed come first, and
                # what they did last.
                known.sort(key=lambda change: -(change.answered or 0.0))
                known.sort(key=lambda change: change.by not in running.killed)
                yield from known[: max(0, len(known) - (value or 0))]
            case "append" | "push":
                yield from (each for each in known if each.token not in (value or ()))
            case _:
                yield from _notLast(changes, value)


def _notLast(changes: list[Done], value: object) -> Iterable[Done]:
    """
    If neither the last acknowledged assignment stands nor a later one, that.
    """
    for change in reversed(changes):
        if change.token == value:
            return
        if change.answered is not None:
            yield change
            return


def _doubled(done: list[Done], session: Mapping[str, Any]) -> Iterable[str]:
    for key, changes in _by(done).items():
        value = _under(session, key)
        if changes[0].verb in ("update", "increment"):
            if (value or 0) > len(changes):
                yield f"{key} is {value}, after {len(changes)} changes"
        elif isinstance(value, list):
            yield from (token for token, n in Counter(value).items() if n > 1)


# What may be missing.


class _History:
    """
    All that was stored.
    """

    def __init__(self, versions: list[tuple[Version, dict[str, Any] | None]]) -> None:
        self._versions = [(version, data or {}) for version, data in versions]
        self._stamps = [_numbers(data) for _, data in self._versions]
        # Whose number is higher than ever.
        self._writers: list[set[str]] = []
        most: dict[str, int] = {}
        for stamps in self._stamps:
            newer = {node for node in stamps if stamps[node] > most.get(node, 0)}
            self._writers.append(newer)
            most |= {node: stamps[node] for node in newer}

    def clobbers(self) -> int:
        """
        How many writes dropped one of ours.
        """
        return sum(
            any(now.get(node, 0) < number for node, number in before.items())
            for before, now in zip(self._stamps, self._stamps[1:], strict=False)
        )

    def exception(self, done: Done, running: Sharing) -> str:
        """
        Why a change may be missing, if it may.
        """
        if done.by in running.killed and not self._isKnown(done, running):
            return "killed before anybody saw it"
        if done.verb == "push" or done.key[0] == "x":
            dropped = self._dropped(done)
            if any(not self._wasSeen(done, number) for number in dropped):
                return f"{done.verb} overwritten before others saw it"
            if dropped and self._wasHidden(done, running):
                return f"{done.verb} overwritten while the next was made"
        return ""

    def story(self, done: Done, running: Sharing) -> str:
        """
        @return: When a change came and went in what was stored, and who wrote
            that, with which stamps.
        """
        start = self._versions[0][0].at
        node = self._nodeOf(done.by, running)
        answered = (done.answered or start) - start
        lines = [
            f"{done.verb} {done.key} {done.token} of {node}, answered {answered:.3f}:"
        ]
        before: object = None
        for number, (version, data) in enumerate(self._versions):
            stamps, writers = self._stamps[number], self._writers[number]
            now = (_under(data, done.key), stamps.get(node))
            if now != before or number == len(self._versions) - 1:
                by = "+".join(sorted(writers)) or "the application"
                lines.append(
                    f"  {version.at - start:.3f} by {by}, {stamps}: {now[0]!r}"
                )
            before = now
        return "\n".join(lines)

    def _having(self, done: Done) -> list[bool]:
        return [_has(data, done) for _, data in self._versions]

    def _dropped(self, done: Done) -> list[int]:
        """
        @return: Which writes of the application dropped a change.
        """
        having = self._having(done)
        return [
            number
            for number in range(1, len(having))
            if having[number - 1] and not (having[number] or self._writers[number])
        ]

    def _wasSeen(self, done: Done, number: int) -> bool:
        """
        Whether all others had read a change before it was dropped.
        """
        at = self._versions[number][0].at
        return all(done.seen.get(name, at) < at for name in done.others)

    def _wasHidden(self, done: Done, running: Sharing) -> bool:
        """
        Whether a change was dropped for good by another one in its place, whose
        handler was shown a session without it.
        """
        having = self._having(done)
        last = len(having) - 1 - having[::-1].index(True)
        others = [
            other
            for other in running.done
            if other.key == done.key and _lacks(other, done)
        ]
        for _, data in self._versions[last + 1 :]:
            if _under(data, done.key):
                return any(_has(data, other) for other in others)
        return False

    def _isKnown(self, done: Done, running: Sharing) -> bool:
        """
        Whether another node has written on top of a change of a node that was
        killed.
        """
        node = self._nodeOf(done.by, running)
        wanted = self._numberOf(done, node)
        return any(
            stamps.get(node, 0) >= wanted and writers - {node}
            for stamps, writers in zip(self._stamps, self._writers, strict=True)
        )

    def _numberOf(self, done: Done, node: str) -> int:
        """
        @return: The number of the write with which a node stored a change, or, as
            nobody can tell that of a number, the last one before the answer.
        """
        first = self._first(done)
        if first is not None:
            return self._stamps[first].get(node, 0)
        assert done.answered is not None
        numbers = [
            stamps.get(node, 0)
            for (version, _), stamps in zip(self._versions, self._stamps, strict=True)
            if version.at <= done.answered
        ]
        return max(numbers, default=0)

    def _first(self, done: Done) -> int | None:
        """
        @return: Which version was the first to have what a clerk was told to put
            there, and nobody else was; L{None} if none has it, or it is a number.
        """
        if done.verb in ("update", "increment"):
            return None
        return next((n for n, has in enumerate(self._having(done)) if has), None)

    def _nodeOf(self, name: str, running: Sharing) -> str:
        """
        What stands for a clerk's node in the stamps: who was the first to store
        what the clerk was told to.  Others put that back later.
        """
        seen: Counter[str] = Counter()
        for done in running.done:
            first = self._first(done) if done.by == name else None
            if first is not None:
                seen.update(self._writers[first])
        return seen.most_common(1)[0][0] if seen else ""


def _has(data: Mapping[str, Any], done: Done) -> bool:
    value = _under(data, done.key)
    return value == done.token or (isinstance(value, list) and done.token in value)


def _lacks(other: Done, done: Done) -> bool:
    """
    Whether a list to which something was appended had not got something else.
    """
    return isinstance(other.made, list) and done.token not in other.made


def _numbers(data: Mapping[str, Any]) -> dict[str, int]:
    """
    The stamps of nodes in what is stored.
    """
    stamps = data.get(STAMP)
    if not isinstance(stamps, dict):
        return {}
    return {node: int(stamp[0]) for node, stamp in stamps.items()}
