"""
Tests for the world: what happens in it comes from one number.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import CoroutineType
from typing import Any
from weakref import ref

from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from simulation.node import Node
from simulation.plan import LONG, Step, drawn
from simulation.queue import SECOND
from simulation.rules import judged
from simulation.world import World, happened


ROOT = Path(__file__).resolve().parents[2]
_ENDING = "all is well", "quiet"

_COUNT_WORLDS = """
import gc
from simulation.__main__ import _chunk
from simulation.world import World
_chunk((51, 10, 50, False, False, False))
gc.collect()
print(sum(isinstance(each, World) for each in gc.get_objects()))
"""


class _Page:
    """
    What only the collector frees.
    """

    def __init__(self) -> None:
        self.me = self


def _waiting() -> list[Any]:
    """
    @return: What the library's managers wait for, in the order in which they began.
    """
    # Objects of other tests may do something when they are asked what they are.
    return [
        each
        for each in gc.get_objects()
        if type(each) is CoroutineType and "manager" in each.cr_code.co_filename
    ]


class WorldTests(SynchronousTestCase):
    """
    Tests for L{happened}.
    """

    def test_collected(self) -> None:
        """
        What waits in a node that was killed may be collected in any order, and
        nothing of that is logged.
        """
        before = {id(each) for each in _waiting()}
        worlds = []
        for seed, number in ((190, 5), (219, 15), (235, 5)):
            plan = drawn(seed)
            steps = (*plan.steps[:number], Step("kill", 0, 0.0))
            worlds.append(happened(replace(plan, steps=steps)))
        waiting = [each for each in _waiting() if id(each) not in before]
        self.assertGreater(len(waiting), 5)
        # The last that began to wait first: it has not got its turn yet.
        for each in reversed(waiting):
            each.close()
        # An error that nobody takes is logged when it is collected.
        del each, waiting, worlds
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

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

    def test_handlersAreDone(self) -> None:
        """
        All is quiet when handlers are done, however long that takes.
        """
        more = "wait", "a", -1, False
        steps = (Step(what="send", who=0, pause=0.0, more=more),) * 80
        plan = replace(drawn(1), kind="apart", hub=False, offsets=(0.0,), steps=steps)
        plan = replace(plan, tabs=1, sessions=1, isNarrow=False, sockets=("plain",))
        all = happened(plan).history.all
        at = {each.what: each.at for each in all if each.what in _ENDING}
        handled = [each.at for each in all if each.what == "handles"]
        self.assertEqual(len(handled), 80)
        self.assertGreater(max(handled), at["all is well"] + 25 * SECOND)
        self.assertLess(max(handled), at["quiet"])

    def test_mendedLate(self) -> None:
        """
        All is quiet when nodes have tried again to store what they could not while a
        session could not be read.
        """
        steps = (Step("spoil", 0, 0.0, ("bytes", 20.0)),)
        plan = replace(drawn(1), hub=False, offsets=(0.0,), steps=steps, ttl=LONG)
        all = happened(plan).history.all
        (spoiled,) = [n for n, each in enumerate(all) if each.what == "spoiled"]
        mended = next(each.at for each in all[spoiled:] if each.what == "stored")
        (quiet,) = [each.at for each in all if each.what == "quiet"]
        self.assertGreater(quiet, mended + 10 * SECOND)

    def test_collectedAtTheEnd(self) -> None:
        """
        What only the collector frees is not left, nor what ends within ten seconds
        after that.
        """
        plan = replace(drawn(1), steps=(), hub=False, offsets=(0.0,))
        for seconds in 9, 11:
            pages: list[Any] = []
            freed: list[int] = []

            def rest(
                node: Node,
                pages: list[Any] = pages,
                freed: list[int] = freed,
                seconds: int = seconds,
            ) -> list[str]:
                queue = node.clock.queue
                if not pages:
                    page = _Page()
                    pages.append(ref(page, lambda _: freed.append(queue.now)))
                isOver = freed and queue.now >= freed[0] + seconds * SECOND
                return [] if isOver else ["a page"]

            self.patch(Node, "rest", rest)
            left = [e for e in happened(plan).history.all if e.what == "left"]
            self.assertEqual(len(left), int(seconds == 11))

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
