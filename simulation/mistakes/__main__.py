# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Plant each mistake in a copy of the library, and see after how many histories it is
found.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory

from . import MISTAKES, ROOT, Mistake


__all__ = ["found", "main"]

_FOUND = re.compile(r"^after \d+ histories: seed (\d+) breaks (\w+)", re.MULTILINE)


def found(mistake: Mistake, histories: int, first: int) -> tuple[int, str] | None:
    """
    @param first: The first seed.

    @return: After how many histories it is found, and by which rule; L{None} if it
        is not.
    """
    with TemporaryDirectory() as path:
        copy = Path(path)
        for name in ("txsessionsock", "simulation"):
            copytree(ROOT / name, copy / name, ignore=ignore_patterns("__pycache__"))
        mistake.plant(copy)
        command = (
            *(sys.executable, "-m", "simulation", "--until-broken"),
            *("--seed", str(first), "--histories", str(histories)),
        )
        run = subprocess.run(
            command, cwd=copy, capture_output=True, text=True, check=False
        )
        first_ = _FOUND.search(run.stdout)
        if first_ is not None:
            return int(first_[1]) - first + 1, first_[2]
        if run.returncode:
            raise RuntimeError(run.stderr)
    return None


def main() -> int:
    """
    @return: What the process returns: 1 if a mistake was not found.
    """
    parser = argparse.ArgumentParser(prog="python -m simulation.mistakes")
    parser.add_argument("--histories", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of its name")
    options = parser.parse_args()
    missed = 0
    for mistake in MISTAKES:
        if options.only in mistake.name:
            result = found(mistake, options.histories, options.seed)
            missed += result is None
            how = "NOT found" if result is None else "{:5}  {}".format(*result)
            print(f"{mistake.name:60} {how}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
