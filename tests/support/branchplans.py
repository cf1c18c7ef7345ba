"""
What shall happen in one random history: who is there, and what each does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random


__all__ = ["Plan", "Profile", "Step", "planned", "shrunk"]

_CHANGES = (
    "increment",
    "update",
    "append",
    "assign",
    "push",
    "own",
    "nested",
    "toggle",
    "ticket",
)
"""
What a node does to the session; see L{tests.support.branches}.
"""

_TROUBLES = ("refused", "deaf", "mute")

_OFFSETS = (0.0, 3500.0, 3700.0, -3700.0, 7300.0, -36000.0)
"""
By how many seconds clocks are wrong.
"""

_PAUSES = (0.0, 0.0, 0.001, 0.01, 0.1, 0.5, 1.0)
"""
How many seconds pass between two steps.
"""

_FRAMEWORKS = ("express", "django", "flask", "starsessions", "aiohttp", "php")


@dataclass(frozen=True)
class Profile:
    """
    What may be in a history.

    @ivar nodes: How many processes of ours there are at most.

    @ivar foreign: How many foreign writers there are at most; each makes one
        request after the other.

    @ivar doesShare: Whether foreign writers assign to the keys that nodes
        count in, too.

    @ivar areClocksWrong: Whether nodes have different times.

    @ivar isSlow: Whether what goes to the store and back takes time.

    @ivar isCut: Whether the network fails now and then.

    @ivar isBlind: Whether stores may be such that cannot be watched.

    @ivar doLeave: Whether sockets leave, and come back.

    @ivar end: What becomes of one of the nodes: C{"stop"}, C{"kill"} or
        nothing.

    @ivar steps: How many steps there are.
    """

    nodes: int = 3
    foreign: int = 2
    doesShare: bool = False
    areClocksWrong: bool = False
    isSlow: bool = False
    isCut: bool = False
    isBlind: bool = False
    doLeave: bool = False
    end: str = ""
    steps: int = 40


@dataclass(frozen=True)
class Step:
    """
    One thing that happens.

    @ivar number: Which step it is; what is written is told by it.

    @ivar who: The number of the node, or of the foreign writer.

    @ivar options: What a foreign request changes.

    @ivar pause: How many seconds pass after it.
    """

    number: int
    what: str
    who: int
    options: frozenset[str] = frozenset()
    pause: float = 0.0

    def __str__(self) -> str:
        isForeign = self.what == "request"
        who = f"foreign {self.who}" if isForeign else f"node {self.who}"
        options = f" ({', '.join(sorted(self.options))})" if self.options else ""
        return f"#{self.number} {who}: {self.what}{options}, then {self.pause:g} s"


@dataclass(frozen=True)
class Node:
    """
    What a process of ours is like.

    @ivar offset: By how many seconds its clock is ahead.

    @ivar isWatchable: Whether its store tells what others do.

    @ivar isFresh: Whether its sockets' sessions are fresh for each message.

    @ivar isTracked: Whether without asking the store.
    """

    offset: float = 0.0
    isWatchable: bool = True
    isFresh: bool = True
    isTracked: bool = False


@dataclass(frozen=True)
class Plan:
    """
    One history.

    @ivar delay: How many seconds it takes at most to the store, and back.

    @ivar window: For how many seconds writes are guarded.

    @ivar longest: How many seconds a foreign request takes at most.

    @ivar repair: Whether anything is repaired; the judge is judged without.
    """

    seed: int
    profile: Profile
    framework: str
    nodes: tuple[Node, ...]
    foreign: int
    steps: tuple[Step, ...]
    delay: float = 0.0
    window: float = 5.0
    longest: float = 4.5
    repair: bool = True

    def __str__(self) -> str:
        nodes = "\n".join(f"  node {n}: {node}" for n, node in enumerate(self.nodes))
        steps = "\n".join(f"  {step}" for step in self.steps)
        return (
            f"seed {self.seed} of {self.profile}\n"
            f"  {self.framework}, {self.foreign} foreign writers, up to"
            f" {self.delay:g} s to the store, window {self.window:g} s\n"
            f"{nodes}\n{steps}"
        )


def planned(seed: int, profile: Profile) -> Plan:
    """
    Make one history of many.
    """
    random = Random(f"{seed} {profile}")
    fewest = 2 if profile.end else 1
    count = random.randint(fewest, profile.nodes)
    foreign = random.randint(1, profile.foreign)
    return Plan(
        seed,
        profile,
        random.choice((*_FRAMEWORKS, *["express"] * 5)),
        tuple(_node(random, profile) for _ in range(count)),
        foreign,
        tuple(_steps(random, profile, count, foreign)),
        random.choice((0.001, 0.02, 0.3)) if profile.isSlow else 0.0,
        # What comes late because the network was down is to be within it.
        30.0 if profile.isCut else 5.0,
    )


def _node(random: Random, profile: Profile) -> Node:
    return Node(
        random.choice(_OFFSETS) if profile.areClocksWrong else 0.0,
        not (profile.isBlind and random.random() < 0.5),
        random.random() < 0.7,
        random.random() < 0.3,
    )


def _steps(
    random: Random, profile: Profile, nodes: int, foreign: int
) -> Iterator[Step]:
    kinds = _kinds(profile)
    ending = random.randrange(profile.steps) if profile.end else -1
    for number in range(profile.steps):
        what = random.choice(kinds)
        if number == ending:
            what = profile.end
        if what != "request":
            # The last is the one that ends; the others are there throughout.
            who = nodes - 1 if number == ending else random.randrange(nodes)
            yield Step(number, what, who, frozenset(), random.choice(_PAUSES))
            if number == ending and random.random() < 0.5:
                yield Step(number, "start", who)
            continue
        who = random.randrange(foreign)
        options = frozenset(_options(random, profile, who))
        yield Step(number, what, who, options, random.choice(_PAUSES))


def _kinds(profile: Profile) -> list[str]:
    kinds = [*_CHANGES, *["request"] * 8, "look", "look"]
    if profile.doLeave:
        kinds += ["leave", "return", "return"]
    if profile.isCut:
        kinds += [*_TROUBLES, *["heal"] * 4]
    if profile.areClocksWrong and not profile.isBlind:
        kinds.append("wait")
    return kinds


def _options(random: Random, profile: Profile, who: int) -> Iterator[str]:
    """
    What a request changes; one that changes nothing writes all the same.
    """
    if random.random() < 0.25:
        return
    yield "own"
    chances = {"nested": 0.3, "delete": 0.3, "flash": 0.5 if who == 0 else 0.0}
    if profile.doesShare:
        chances |= {"c": 0.3, "u": 0.3}
    for option, chance in chances.items():
        if random.random() < chance:
            yield option


def shrunk(plan: Plan, fails: object) -> Plan:
    """
    Leave out what a history does not need to fail.

    @param fails: Tells of a plan whether it fails.
    """
    assert callable(fails)
    size = len(plan.steps) // 2
    while size:
        start = 0
        while start < len(plan.steps):
            steps = plan.steps[:start] + plan.steps[start + size :]
            if fails(fewer := replace(plan, steps=steps)):
                plan = fewer
            else:
                start += size
        size //= 2
    return plan
