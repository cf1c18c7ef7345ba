# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Plant each mistake in a copy of the library, and see after how many histories it is
found.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from time import monotonic

from ..mended import HERE, kept, read, written
from . import MISTAKES, ROOT, Mistake


__all__ = ["broken", "found", "how", "main", "named"]

_FOUND = re.compile(r"^after \d+ histories: seed (\d+) breaks (\w+)", re.MULTILINE)


@contextmanager
def _planted(mistake: Mistake) -> Iterator[Path]:
    """
    A copy in which it is made.
    """
    with TemporaryDirectory() as path:
        copy = Path(path)
        for name in ("txsessionsock", "simulation"):
            copytree(ROOT / name, copy / name)
        mistake.plant(copy)
        yield copy


def _run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run the simulation there.
    """
    command = sys.executable, "-m", "simulation", *arguments
    return subprocess.run(
        command, cwd=copy, capture_output=True, text=True, check=False
    )


def _search(
    copy: Path, histories: int, first: int, *more: str
) -> tuple[int, str] | None:
    """
    @param more: Other arguments of the simulation.

    @return: The seed by which it is found, and the rule.
    """
    numbers = "--seed", str(first), "--histories", str(histories)
    # Not shrunk: nobody reads it.
    run = _run(copy, "--unreplayed", "--until-broken", "--whole", *numbers, *more)
    found = _FOUND.search(run.stdout)
    if found is not None:
        return int(found[1]), found[2]
    # A rule that is blind then is none that found it.
    if run.stderr:
        raise RuntimeError(run.stderr)
    return None


def _isWell(seed: int, *more: str) -> bool:
    """
    Whether a history breaks no rule when nothing is planted.
    """
    numbers = "--seed", str(seed), "--histories", "1"
    return _run(ROOT, "--unreplayed", *numbers, *more).returncode == 0


def found(
    mistake: Mistake, histories: int, first: int, *more: str
) -> tuple[int, str] | None:
    """
    @param first: The first seed.

    @param more: Other arguments of the simulation.

    @return: After how many histories it is found, and by which rule; L{None} if it
        is not.
    """
    begin, end = first, first + histories
    with _planted(mistake) as copy:
        while begin < end:
            result = _search(copy, end - begin, begin, *more)
            if result is None:
                break
            seed, rule = result
            if rule in mistake.rules or _isWell(seed, *more):
                return seed - first + 1, rule
            begin = seed + 1
    return None


def _byPlans(mistake: Mistake) -> str | None:
    """
    @return: The rule by which plans find it that are kept of it.
    """
    plans = [each for each in kept() if each.mistake == mistake.name]
    text = broken(mistake) if plans else ""
    for each in plans:
        if f"broken again: {each.name}:" in text:
            return each.rule
    return None


def broken(mistake: Mistake) -> str:
    """
    @return: What is said of the plans that are kept, when it is planted.
    """
    with _planted(mistake) as copy:
        return _run(copy, "--replay").stdout


def _keep(name: str, mistake: Mistake, sentence: str, first: int) -> bool:
    """
    Have it found, and keep the plan.
    """
    path = HERE / f"{name}.json"
    with _planted(mistake) as copy:
        result = _search(copy, 50_000, first)
        if result is None:
            return False
        print(_run(copy, "--seed", str(result[0]), "--keep", name).stdout)
        there = copy / "simulation" / "mended" / path.name
        mended = read(name, there.read_text("utf-8"))
    mended = replace(mended, sentence=sentence, mistake=mistake.name)
    path.write_text(written(mended), "utf-8")
    return True


def named(name: str) -> Mistake:
    """
    @raise ValueError: There is none of that name.
    """
    for mistake in MISTAKES:
        if mistake.name == name:
            return mistake
    raise ValueError(f"there is no mistake {name!r}")


def _again(name: str, first: int) -> bool:
    """
    Have a plan found again that is kept, but is none any more.
    """
    path = HERE / f"{name}.json"
    old = json.loads(path.read_text("utf-8"))
    return _keep(name, named(old["mistake"]), old["mended"], first)


def main() -> int:
    """
    @return: What the process returns: 1 if a mistake was not found.
    """
    parser = argparse.ArgumentParser(prog="python -m simulation.mistakes")
    parser.add_argument("--histories", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="so many at once")
    parser.add_argument("--only", default="", help="a part of its name")
    parser.add_argument(
        "--long", action="store_true", help="no message takes the short way"
    )
    parser.add_argument(
        "--keep", metavar="NAME", help="keep the plan that shows --only as mended"
    )
    parser.add_argument(
        "--mended", metavar="SENTENCE", help="what was mended; as before if not given"
    )
    options = parser.parse_args()
    some = [each for each in MISTAKES if options.only in each.name]
    if options.keep:
        if options.mended is None:
            return 0 if _again(options.keep, options.seed) else 1
        (mistake,) = some
        isKept = _keep(options.keep, mistake, options.mended, options.seed)
        return 0 if isKept else 1
    return _many(some, options)


def how(mistake: Mistake, result: tuple[int, str] | None) -> tuple[str, bool]:
    """
    Say how it was found: by new histories, or only by a plan that is kept.

    @return: That, and whether it was.
    """
    if result is not None:
        return "{:5}  {}".format(*result), True
    rule = _byPlans(mistake)
    if rule is not None:
        return f"a kept plan  {rule}", True
    return "NOT FOUND", False


def _many(some: list[Mistake], options: argparse.Namespace) -> int:
    began = monotonic()

    def find(mistake: Mistake) -> tuple[str, bool]:
        more = ("--long",) * options.long
        result = found(mistake, options.histories, options.seed, *more)
        return how(mistake, result)

    missed = 0
    print(f"{'mistake':72} {'place':26} found after")
    with ThreadPoolExecutor(options.jobs) as pool:
        for mistake, (text, isFound) in zip(some, pool.map(find, some), strict=True):
            missed += not isFound
            print(f"{mistake.name:72} {mistake.file:26} {text}", flush=True)
    seconds = monotonic() - began
    print(f"{len(some) - missed} of {len(some)} found, in {seconds:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
