"""
Tests for the world: what happens in it comes from one number.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from simulation.plan import drawn
from simulation.world import happened


ROOT = Path(__file__).resolve().parents[2]

_COUNT_WORLDS = """
import gc
from simulation.__main__ import _chunk
from simulation.world import World
_chunk((51, 10, 50, False))
gc.collect()
print(sum(isinstance(each, World) for each in gc.get_objects()))
"""


class WorldTests(SynchronousTestCase):
    """
    Tests for L{happened}.
    """

    def test_same(self) -> None:
        """
        The same seed gives the same history, byte for byte: in another process,
        with other hashes, and in one of several that share the work.
        """
        here = {seed: happened(drawn(seed)).history.digest() for seed in range(60)}
        self.assertEqual(len({*here.values()}), 60)
        expected = sorted(f"{seed} {digest}" for seed, digest in here.items())
        for hashes, jobs in (("1", "1"), ("2", "2")):
            run = subprocess.run(
                (
                    *(sys.executable, "-m", "simulation", "--unreplayed", "--digests"),
                    *("--seed", "0", "--histories", "60", "--jobs", jobs),
                ),
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": hashes},
                capture_output=True,
                text=True,
                check=True,
            )
            found = [line for line in run.stdout.splitlines() if line in expected]
            self.assertEqual(found, expected)

    def test_freed(self) -> None:
        """
        Nothing keeps a world that is over.  A long run would take all memory, and
        become slower with each history.
        """
        # In a process of its own: what is logged here is kept until a log begins.
        run = subprocess.run(
            (sys.executable, "-c", _COUNT_WORLDS),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(run.stdout, "0\n")

    def test_whatHappens(self) -> None:
        """
        All that can happen does, in some history.
        """
        seen: set[str] = set()
        for seed in range(90):
            seen.update(each.what for each in happened(drawn(seed)).history.all)
        for what in (
            *("created", "stored", "touched", "deleted", "expired"),
            *("connects", "connected", "sends", "handles", "changes", "answers"),
            *("hears", "done", "schanged", "sdestroyed", "serror", "sinvalid"),
            *("disconnect", "closes", "lost", "leaves", "loses", "ended"),
            *("arrives", "reads nothing"),
            *("trouble", "heals", "cut off", "killed", "starts", "stops", "stopped"),
            *("asks", "takes", "tells", "passes on", "reached"),
            *(
                "spoiled",
                "restarts",
                "pauses",
                "jumps",
                "slow",
                "reads",
                "wrote",
                "quiet",
                "end",
            ),
        ):
            self.assertIn(what, seen)
        self.assertFalse(seen & {"error", "endless", "left"})
