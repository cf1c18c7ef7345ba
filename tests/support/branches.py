"""
The judge of random histories: whether anything is lost or doubled, or came
back, that nodes and foreign writers did to one session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tests.support.branchplans import Plan, Profile, planned, shrunk
from tests.support.branchworld import Op, Process, Version, World, happened


__all__ = ["Tally", "Verdict", "judged", "story", "tally"]


@dataclass
class Verdict:
    """
    What is wrong with a history.

    @ivar faults: What must not be.

    @ivar excepted: What is missing that nobody promised.
    """

    faults: set[str] = field(default_factory=set)
    excepted: Counter[str] = field(default_factory=Counter)


def judged(world: World) -> Verdict:
    """
    Look at a history that has happened.
    """
    verdict = Verdict(set(world.faults))
    if not verdict.faults:
        for judge in (
            _counts,
            _appends,
            _inTurn,
            _owns,
            _foreign,
            _asFound,
            _answers,
        ):
            judge(world, verdict)
    return verdict


# What is stored in the end.


def _under(data: Mapping[str, Any], key: str) -> Any:
    """
    What is under a key, or under C{nest.key} of a nested dictionary.
    """
    outer, dot, inner = key.partition(".")
    return data.get(outer, {}).get(inner) if dot else data.get(key)


def _ops(world: World, what: str) -> list[Op]:
    return [op for op in world.ops if op.what == what and op.isPossible]


def _isForgiven(world: World, op: Op) -> bool:
    """
    Whether a change may be lost because its node was killed: nobody who is
    still there has seen it.
    """

    def knows(node: Process) -> bool:
        return node.session is not None and node.knows.get(op.node.name, 0) >= op.writes

    return op.node.wasKilled and not any(knows(node) for node in world.nodes)


def _missing(world: World, verdict: Verdict, what: str, lost: list[Op]) -> None:
    """
    Note that acknowledged changes are not there.
    """
    forgiven = [op for op in lost if _isForgiven(world, op)]
    verdict.excepted["killed before anybody saw it"] += len(forgiven)
    if len(lost) > len(forgiven):
        verdict.faults.add(f"{what} lost{_afterKill(world)}")


def _afterKill(world: World) -> str:
    return " after a kill" if any(node.wasKilled for node in world.everyNode) else ""


def _counts(world: World, verdict: Verdict) -> None:
    """
    Each increment and each C{update} counts once; those of foreign writers at
    most once.
    """
    for key in ("c", "u"):
        ops = _ops(world, key)
        acknowledged = [op for op in ops if op.isAcknowledged]
        count = world.current().data.get(key, 0)
        if count > len(ops) + len(world.foreign.get(key, ())):
            verdict.faults.add(f"{key} doubled")
        if count < len(acknowledged):
            # Nobody can tell which; those that may be lost are the first.
            acknowledged.sort(key=partial(_isForgiven, world), reverse=True)
            lost = acknowledged[: len(acknowledged) - count]
            _missing(world, verdict, key, lost)


def _appends(world: World, verdict: Verdict) -> None:
    """
    What C{update} appended is there once.
    """
    tokens = Counter(world.current().data["log"])
    lost = [
        op for op in _ops(world, "log") if op.isAcknowledged and not tokens[op.token]
    ]
    if max(tokens.values()) > 1:
        verdict.faults.add("log doubled")
    _missing(world, verdict, "log", lost)


def _inTurn(world: World, verdict: Verdict) -> None:
    """
    Of assignments the last stands; what was appended in turn is all there.
    """
    data = world.current().data
    if max(Counter(data["list"]).values()) > 1:
        verdict.faults.add("list doubled")
    pushed = [op for op in _ops(world, "list") if op.isAcknowledged]
    _unlessUnseen(
        world,
        verdict,
        "list",
        [op for op in pushed if op.token not in data["list"]],
        lambda op, version: op.token in version.data["list"],
    )
    ops = _ops(world, "x")
    last = [op for op in ops if op.isAcknowledged][-1:]
    later = ops[ops.index(last[0]) :] if last else []
    if last and data.get("x") not in [op.token for op in later]:
        _unlessUnseen(
            world,
            verdict,
            "x",
            last,
            lambda op, version: op.token == version.data.get("x"),
        )


def _unlessUnseen(
    world: World,
    verdict: Verdict,
    what: str,
    lost: list[Op],
    isIn: Callable[[Op, Version], bool],
) -> None:
    """
    Note that assignments are not there, unless a foreign write came before
    other nodes had seen them.
    """
    unseen = [op for op in lost if _isUnseen(world, op, partial(isIn, op))]
    verdict.excepted[f"{what} overwritten before others saw it"] += len(unseen)
    _missing(world, verdict, what, [op for op in lost if op not in unseen])


def _isUnseen(world: World, op: Op, isIn: Callable[[Version], bool]) -> bool:
    after = world.versions[op.since + 1 :]
    own = [v for v in after if v.writer == op.node.name and isIn(v)]
    if not own:
        return False
    begins = own[0].number
    over = [v for v in world.versions[begins:] if not isIn(v)]
    if not over or not over[0].isForeign:
        return False
    ends = over[0].number
    having = [v.number for v in world.versions[begins:ends] if isIn(v)]

    def saw(node: Process) -> bool:
        return any(node.seen.get(number, ends + 1) <= ends for number in having)

    return not all(saw(node) for node in world.everyNode if node is not op.node)


def _owns(world: World, verdict: Verdict) -> None:
    """
    Keys that only one node assigns have what it assigned last.
    """
    data = world.current().data
    for what in dict.fromkeys(op.what for op in world.ops):
        if what in {"c", "u", "x", "log", "list"}:
            continue
        ops = _ops(world, what)
        if what not in world.foreign:  # Otherwise a foreign writer deleted it.
            lost = list(_behind(ops, _under(data, what)))
            _missing(world, verdict, _kind(what), lost)


def _kind(key: str) -> str:
    """
    What stands for a key and others like it.
    """
    kinds = ("nest", "own", "switch", "flash", "t", "f")
    return next((kind for kind in kinds if key.startswith(kind)), key)


def _behind(ops: list[Op], value: object) -> Iterator[Op]:
    """
    Find the acknowledged assignments to one key that are not there, though
    nothing that was assigned later is.
    """
    for op in reversed(ops):
        if op.token == value:
            return
        if op.isAcknowledged:
            yield op


def _foreign(world: World, verdict: Verdict) -> None:
    """
    No node brings back what a foreign writer changed or deleted, unless
    another foreign writer did.
    """
    for key, changes in world.foreign.items():
        if key in {"c", "u"}:
            continue
        changed = dict(changes)
        last, allowed = 0, [None]
        for version in world.versions[changes[0][0] :]:
            value = _under(version.data, key)
            if version.number in changed:
                last, allowed = version.number, [changed[version.number]]
                continue
            if not version.isForeign and value not in allowed:
                if _isOverwritten(world, world.versions[last], version):
                    verdict.excepted["foreign over foreign, before a node saw it"] += 1
                else:
                    verdict.faults.add(f"{_kind(key)} of a foreign writer undone")
            allowed.append(value)


def _isOverwritten(world: World, foreign: Version, own: Version) -> bool:
    """
    Whether another foreign writer came before the node had seen a foreign
    write, of which its own write knows nothing.
    """
    between = world.versions[foreign.number + 1 : own.number]
    over = [v for v in between if v.isForeign and v.writer != foreign.writer]
    if not over:
        return False
    [node] = [node for node in world.everyNode if node.name == own.writer]
    ends = over[0].number
    return not any(
        node.seen.get(number, ends + 1) <= ends
        for number in range(foreign.number, ends)
    )


def _asFound(world: World, verdict: Verdict) -> None:
    """
    Sockets see what is stored.
    """
    for node in world.nodes:
        if node.session is not None and dict(node.session) != world.current().data:
            verdict.faults.add("a session is not what is stored")
        if node.holder.reasons:
            verdict.faults.add("a session has ended")


def _answers(world: World, verdict: Verdict) -> None:
    """
    Everybody has an answer, and who was to stop has stopped.
    """
    for op in world.ops:
        if op.state == "asked" and op.node.isAlive:
            verdict.faults.add(f"{_kind(op.what)} never answered")
    if any(node.isAlive and node.isStopping for node in world.everyNode):
        verdict.faults.add("a stop does not end")


# Many histories.


@dataclass
class Tally:
    """
    What came of many histories.

    @ivar failed: In how many each fault was, and the first seeds.
    """

    histories: int = 0
    changes: int = 0
    failed: dict[str, list[int]] = field(default_factory=dict)
    bad: set[int] = field(default_factory=set)
    excepted: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        faults = [
            f"{fault}: {len(seeds)} (seeds {', '.join(map(str, seeds[:5]))})"
            for fault, seeds in sorted(self.failed.items())
        ]
        excepted = [
            f"excepted, {what}: {count}"
            for what, count in self.excepted.items()
            if count
        ]
        return "\n  ".join(
            (
                f"{len(self.bad)} of {self.histories} histories wrong,"
                f" {self.changes} changes acknowledged",
                *faults,
                *excepted,
            )
        )


def tally(profile: Profile, seeds: range, **different: Any) -> Tally:
    """
    Have many histories happen.

    @param different: What is not as L{planned}.
    """
    found = Tally()
    for seed in seeds:
        world = happened(_plan(seed, profile, different))
        verdict = judged(world)
        found.histories += 1
        found.changes += sum(op.isAcknowledged for op in world.ops)
        found.excepted += verdict.excepted
        for fault in verdict.faults:
            found.failed.setdefault(fault, []).append(seed)
            found.bad.add(seed)
    return found


def _plan(seed: int, profile: Profile, different: Mapping[str, Any]) -> Plan:
    return replace(planned(seed, profile), **different)


def story(seed: int, profile: Profile, **different: Any) -> str:
    """
    Tell one history that fails, as short as it can be made.
    """
    plan = _plan(seed, profile, different)
    wrong = judged(happened(plan)).faults

    def fails(fewer: Plan) -> bool:
        return bool(wrong & judged(happened(fewer)).faults)

    plan = shrunk(plan, fails)
    world = happened(plan, tells=True)
    faults = ", ".join(sorted(judged(world).faults))
    return "\n".join((str(plan), "", *world.script, "", faults))
