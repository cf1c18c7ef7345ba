# -*- test-case-name: tests.simulation.test_main -*-
"""
Have histories happen, and see whether they break a rule: see README.md.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import Pool
from random import SystemRandom
from time import monotonic, process_time

from twisted.logger import globalLogBeginner

from .plan import Plan, drawn
from .rules import Breach, judged
from .shrink import shrunk
from .tally import Tally
from .world import World, happened


__all__ = ["main"]

_CHUNK = 25
_EVERY = 5.0
_TIMED = 10
"""
Of how many histories the rules are timed in one.
"""


def main(arguments: Sequence[str]) -> int:
    """
    @return: What the process returns: 1 if a rule was broken.
    """
    options = _options(arguments)
    if options.seed is not None and options.histories is None:
        return _one(options.seed, options.steps, isWhole=options.whole)
    first = options.seed
    if first is None:
        first = SystemRandom().randrange(10**9)
    return _many(first, options)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation")
    parser.add_argument("--seed", type=int, help="repeat this one; or the first")
    parser.add_argument("--histories", type=int, help="how many; 1000")
    parser.add_argument("--jobs", type=int, default=1, help="in so many processes")
    parser.add_argument(
        "--until-broken", action="store_true", help="stop when a rule was broken"
    )
    parser.add_argument("--steps", type=int, default=50, help="of each history")
    parser.add_argument(
        "--whole", action="store_true", help="print the history as it is, not shrunk"
    )
    return parser.parse_args(arguments)


def _one(seed: int, steps: int, *, isWhole: bool) -> int:
    plan = drawn(seed, steps)
    world = happened(plan)
    breaches = judged(plan, world.history).breaches
    if isWhole or not breaches:
        _tell(world, breaches)
    else:
        rule = breaches[0].rule
        plan = shrunk(plan, lambda plan: _breaks(plan, rule))
        world = happened(plan)
        _tell(world, judged(plan, world.history).breaches)
    return 1 if breaches else 0


def _breaks(plan: Plan, rule: str) -> bool:
    return any(
        breach.rule == rule for breach in judged(plan, happened(plan).history).breaches
    )


def _tell(world: World, breaches: list[Breach]) -> None:
    """
    Tell a history in words, and where it breaks rules.
    """
    plan = world.plan
    mode = "message" if plan.perMessage else "connection"
    print(
        f"seed {plan.seed}: {len(plan.offsets)} nodes, store {plan.kind}, per {mode},"
        f" {plan.freshness}, {'' if plan.repair else 'no '}repair"
    )
    why = {breach.where: breach for breach in reversed(breaches)}
    for number, line in enumerate(world.history.lines()):
        print(line)
        if number in why:
            print(f"{'':12}*** {why[number]}")
    print(f"history {world.history.digest()}")
    for breach in breaches[:1]:
        print(f"breaks {breach}")


_Found = tuple[list[tuple[int, str]], Tally]


def _chunk(work: tuple[int, int, int]) -> _Found:
    first, number, steps = work
    # What fails is looked at here; the console has no need of it.
    if not _isQuiet:
        globalLogBeginner.beginLoggingTo(
            [], redirectStandardIO=False, discardBuffer=True
        )
        _isQuiet.append(True)
        # What is here by now stays.
        gc.collect()
        gc.freeze()
    failed: list[tuple[int, str]] = []
    tally = Tally()
    began = process_time()
    # Otherwise it would come between histories.
    wasEnabled = gc.isenabled()
    gc.disable()
    for seed in range(first, first + number):
        plan = drawn(seed, steps)
        history = happened(plan).history
        verdict = judged(plan, history, isTimed=not seed % _TIMED)
        tally.add(plan, history, verdict)
        if verdict.breaches:
            failed.append((seed, str(verdict.breaches[0])))
    gc.collect()
    if wasEnabled:
        gc.enable()
    tally.seconds = process_time() - began
    return failed, tally


_isQuiet: list[bool] = []


def _chunks(first: int, number: int, steps: int) -> Iterator[tuple[int, int, int]]:
    for start in range(0, number, _CHUNK):
        yield first + start, min(_CHUNK, number - start), steps


def _many(first: int, options: argparse.Namespace) -> int:
    number: int = options.histories or 1000
    print(f"seeds {first} to {first + number - 1}", flush=True)
    began = shown = monotonic()
    failed: list[tuple[int, str]] = []
    tally = Tally()
    for some, counts in _found(_chunks(first, number, options.steps), options.jobs):
        tally.merge(counts)
        done = tally.all
        for seed, why in some:
            print(f"after {done} histories: seed {seed} breaks {why}", flush=True)
        failed += some
        if some and options.until_broken:
            return 1
        now = monotonic()
        if now - shown > _EVERY or done == number:
            shown = now
            rate = done / max(now - began, 0.001)
            print(f"{done} histories, {rate:.0f} a second", flush=True)
    for line in tally.lines():
        print(line)
    for seed, _ in failed[:1]:
        print(f"python -m simulation --seed {seed}")
    blind = tally.blind()
    for name in blind:
        print(f"{name} applied in less than 1 % of its histories")
    return 1 if failed or blind else 0


def _found(work: Iterator[tuple[int, int, int]], jobs: int) -> Iterator[_Found]:
    if jobs < 2:
        yield from map(_chunk, work)
        return
    with Pool(jobs) as pool:
        yield from pool.imap_unordered(_chunk, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
