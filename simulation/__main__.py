# -*- test-case-name: tests.simulation.test_main -*-
"""
Have histories happen, and see whether they break a rule: see README.md.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import Pool
from random import SystemRandom
from time import monotonic, process_time

from twisted.logger import globalLogBeginner

from .history import History
from .mended import HERE, Mended, kept, replayed, written
from .plan import Plan, drawn
from .rules import Breach, judged
from .shrink import shrunk
from .tally import Tally
from .timeline import timeline
from .world import happened


__all__ = ["main"]

_CHUNK = 25
_EVERY = 5.0
_STEPS = 50
_MANY = 10**6
"""
More than there is time for.
"""
_TIMED = 20
"""
Of how many histories the rules are timed in one.
"""


def main(arguments: Sequence[str]) -> int:
    """
    @return: What the process returns: 1 if a rule was broken.
    """
    options = _options(arguments)
    if options.replay:
        return 0 if _replay() else 1
    isOne = options.histories is None and options.seconds is None
    if options.seed is not None and isOne:
        plan, breaches = _one(options.seed, options)
        if options.keep and breaches:
            _keep(options.keep, options.mended, plan, breaches[0].rule)
        return 1 if breaches else 0
    if not (options.unreplayed or _replay()):
        return 1
    first = options.seed
    if first is None:
        first = SystemRandom().randrange(10**9)
    return _many(first, options)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation")
    parser.add_argument("--seed", type=int, help="repeat this one; or the first")
    parser.add_argument("--histories", type=int, help="how many; 1000")
    parser.add_argument("--seconds", type=float, help="as many as take so long")
    parser.add_argument("--jobs", type=int, default=1, help="in so many processes")
    parser.add_argument(
        "--until-broken", action="store_true", help="stop when a rule was broken"
    )
    parser.add_argument("--steps", type=int, default=_STEPS, help="of each history")
    parser.add_argument(
        "--long", action="store_true", help="no message takes the short way"
    )
    parser.add_argument(
        "--whole", action="store_true", help="print the history as it is, not shrunk"
    )
    parser.add_argument(
        "--digests", action="store_true", help="print the hash of each history"
    )
    parser.add_argument(
        "--replay", action="store_true", help="those only that were mended once"
    )
    parser.add_argument(
        "--unreplayed", action="store_true", help="without these before the others"
    )
    parser.add_argument("--keep", metavar="NAME", help="keep the plan of --seed there")
    parser.add_argument(
        "--mended", default="", metavar="SENTENCE", help="what was mended, to --keep"
    )
    return parser.parse_args(arguments)


def _replay() -> bool:
    """
    @return: Whether what was mended is well.
    """
    plans = kept()
    isWell = True
    for mended, why in replayed(plans):
        if why is not None:
            isWell = False
            _tell(mended.name, mended.plan, mended.rule)
            print(f"mended once, and broken again: {mended.name}: {mended.sentence}")
    print(
        f"{len(plans)} that were mended: {'well' if isWell else 'broken'}", flush=True
    )
    return isWell


def _keep(name: str, sentence: str, plan: Plan, rule: str) -> None:
    path = HERE / f"{name}.json"
    path.write_text(written(Mended(name, sentence, rule, "", plan)), "utf-8")
    print(f"kept in simulation/mended/{path.name}")


def _plan(seed: int, steps: int, *, isLong: bool) -> Plan:
    plan = drawn(seed, steps)
    return replace(plan, shortMessages=False) if isLong else plan


def _one(seed: int, options: argparse.Namespace) -> tuple[Plan, list[Breach]]:
    """
    Have one history happen, and tell it; one that breaks a rule is shrunk first.
    """
    _hush()
    plan = _plan(seed, options.steps, isLong=options.long)
    breaches = _breaches(plan)
    if options.whole or not breaches:
        _tell(f"seed {seed}", plan)
        return plan, breaches
    rule = breaches[0].rule
    plan = shrunk(plan, lambda plan: bool(_breaches(plan, rule)))
    _tell(f"seed {seed}, shrunk to {len(plan.steps)} steps", plan, rule)
    return plan, _breaches(plan, rule)


def _breaches(plan: Plan, rule: str | None = None) -> list[Breach]:
    """
    Where a history breaks rules, or one of them.
    """
    breaches = judged(plan, happened(plan).history).breaches
    return [each for each in breaches if rule in (None, each.rule)]


def _tell(name: str, plan: Plan, rule: str | None = None) -> None:
    """
    Tell a history in words, and where it breaks rules.

    @param rule: Given to tell no more than what is needed to see this one broken.
    """
    world = happened(plan)
    breaches = judged(plan, world.history).breaches
    mode = "message" if plan.perMessage else "connection"
    print(
        f"{name}: {len(plan.offsets)} nodes, store {plan.kind}, per {mode},"
        f" {plan.freshness}, {'' if plan.repair else 'no '}repair"
    )
    why = {breach.where: breach for breach in reversed(breaches)}
    lines = timeline(world.history)
    last = max((each.where for each in breaches if each.rule == rule), default=None)
    end = len(lines) if last is None else last + 1
    for number, line in enumerate(lines[:end]):
        print(line)
        if number in why:
            print(f"{'':12}*** {why[number]}")
    if lines[end:]:
        print(f"{'':12}and so on: {len(lines) - end} lines more")
    print(f"history {world.history.digest()}")
    for breach in [each for each in breaches if rule in (None, each.rule)][:1]:
        print(f"breaks {breach}")


_Found = tuple[list[tuple[int, str]], Tally, list[str]]
_Work = tuple[int, int, int, bool, bool, bool]


def _chunk(work: _Work) -> _Found:
    first, number, steps, isLong, isDigested, isUntilBroken = work
    _hush()
    failed: list[tuple[int, str]] = []
    tally = Tally()
    digests: list[str] = []
    began = process_time()
    # It comes behind each history here.
    wasEnabled = gc.isenabled()
    gc.disable()
    for seed in range(first, first + number):
        history, why = _counted(_plan(seed, steps, isLong=isLong), tally)
        if isDigested:
            digests.append(f"{seed} {history.digest()}")
        # Else its world would be there still.
        del history
        # What is young is all that this history leaves.
        gc.collect(1)
        if why is not None:
            failed.append((seed, why))
            if isUntilBroken:
                break
    gc.collect()
    if wasEnabled:
        gc.enable()
    tally.seconds = process_time() - began
    return failed, tally, digests


def _counted(plan: Plan, tally: Tally) -> tuple[History, str | None]:
    """
    Have a history happen, and count what came up.

    @return: The history, and which rule it breaks first.
    """
    history = happened(plan).history
    verdict = judged(plan, history, isTimed=not plan.seed % _TIMED)
    tally.add(plan, history, verdict)
    return history, next(map(str, verdict.breaches), None)


def _hush() -> None:
    """
    Have nothing printed of what is logged: what fails is looked at here.
    """
    if not _isQuiet:
        globalLogBeginner.beginLoggingTo(
            [], redirectStandardIO=False, discardBuffer=True
        )
        _isQuiet.append(True)
        # What is here by now stays.
        gc.collect()
        gc.freeze()


_isQuiet: list[bool] = []


def _chunks(first: int, number: int, options: argparse.Namespace) -> Iterator[_Work]:
    for start in range(0, number, _CHUNK):
        size = min(_CHUNK, number - start)
        isLong, isDigested = options.long, options.digests
        more = options.steps, isLong, isDigested, options.until_broken
        yield first + start, size, *more


def _many(first: int, options: argparse.Namespace) -> int:
    number: int = options.histories or (_MANY if options.seconds else 1000)
    end = f" to {first + number - 1}" if number < _MANY else " on"
    print(f"seeds {first}{end}", flush=True)
    began = shown = monotonic()
    failed: list[tuple[int, str]] = []
    tally = Tally()
    digests: list[str] = []
    for some, counts, more in _found(_chunks(first, number, options), options.jobs):
        tally.merge(counts)
        digests += more
        done = tally.all
        for seed, why in some:
            print(f"after {done} histories: seed {seed} breaks {why}", flush=True)
        failed += some
        if some and options.until_broken:
            return 1
        now = monotonic()
        isOver = options.seconds is not None and now - began > options.seconds
        if isOver or now - shown > _EVERY or done == number:
            shown = now
            rate = done / max(now - began, 0.001)
            print(f"{done} histories, {rate:.0f} a second", flush=True)
        if isOver:
            break
    return _report(tally, failed, digests, options)


def _report(
    tally: Tally,
    failed: list[tuple[int, str]],
    digests: list[str],
    options: argparse.Namespace,
) -> int:
    """
    Tell what came up, and the first history that failed.
    """
    for line in (*sorted(digests), *tally.lines()):
        print(line)
    blind = tally.blind()
    for name in blind:
        print(f"{name} applied in less than 1 % of its histories")
    for seed, _ in failed[:1]:
        _one(seed, options)
        more = "" if options.steps == _STEPS else f" --steps {options.steps}"
        more += " --long" * options.long
        print(f"python -m simulation --seed {seed}{more}")
    return 1 if failed or blind else 0


def _found(work: Iterator[_Work], jobs: int) -> Iterator[_Found]:
    if jobs < 2:
        yield from map(_chunk, work)
        return
    with Pool(jobs) as pool:
        yield from pool.imap_unordered(_chunk, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
