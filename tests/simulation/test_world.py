"""
Tests for the world: what happens in it comes from one number.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from simulation.plan import drawn
from simulation.rules import judged
from simulation.world import World, happened


ROOT = Path(__file__).resolve().parents[2]


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

    def test_endless(self) -> None:
        """
        What goes round for ever within one event is broken off, and told; also where
        somebody takes any exception.
        """

        def goesRound(*_: object) -> None:
            while True:
                pass

        plan = drawn(1)
        self.patch(World, f"_{plan.steps[0].what}", goesRound)
        (breach, *_) = judged(plan, happened(plan, 0.1).history).breaches
        self.assertIn("does not come to an end", str(breach))

        def swallows(*_: object) -> None:
            maybeDeferred(goesRound).addErrback(lambda failure: None)

        self.patch(World, f"_{plan.steps[0].what}", swallows)
        breaches = judged(plan, happened(plan, 0.1).history).breaches
        self.assertIn("does not come to an end", " ".join(map(str, breaches)))

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
