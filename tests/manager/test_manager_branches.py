"""
Random histories of real managers and foreign writers, on keys that all share:
nothing is lost or doubled, nothing comes back, and there is an end.

C{HISTORIES=20000} in the environment tells how many there are of each kind,
C{SEED=17} which is the first.  A test that fails tells how often what went
wrong, and one history that shows it, with no more steps than it takes.
"""

from __future__ import annotations

import os
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.support.branches import judged, story, tally
from tests.support.branchplans import Profile, planned
from tests.support.branchworld import happened


_HISTORIES = int(os.environ.get("HISTORIES", "45"))
_SEED = int(os.environ.get("SEED", "0"))


class BranchesTests(SynchronousTestCase):
    """
    Each test is a kind of trouble.
    """

    def assertRight(self, profile: Profile) -> None:
        found = tally(profile, range(_SEED, _SEED + _HISTORIES))
        if found.bad:
            self.fail(f"{found}\n\n{story(min(found.bad), profile)}")
        print(found)

    def test_oneNode(self) -> None:
        """
        One node and one foreign writer.
        """
        self.assertRight(Profile(nodes=1, foreign=1))

    def test_nodes(self) -> None:
        """
        Up to three nodes, which change the same keys, and one foreign writer.
        """
        self.assertRight(Profile(foreign=1))

    def test_foreign(self) -> None:
        """
        Two foreign writers.
        """
        self.assertRight(Profile())

    def test_sharedKeys(self) -> None:
        """
        Foreign writers assign to the keys that nodes count in.
        """
        self.assertRight(Profile(doesShare=True))

    def test_clocks(self) -> None:
        """
        The clocks of nodes are wrong by an hour and more.
        """
        self.assertRight(Profile(areClocksWrong=True))

    def test_slow(self) -> None:
        """
        It takes some time to the store and back.
        """
        self.assertRight(Profile(isSlow=True))

    def test_cut(self) -> None:
        """
        The network fails, and answers are lost.
        """
        self.assertRight(Profile(isSlow=True, isCut=True))

    def test_blind(self) -> None:
        """
        Some stores cannot be watched.
        """
        self.assertRight(Profile(isBlind=True))

    def test_leaving(self) -> None:
        """
        Sockets leave and come back.
        """
        self.assertRight(Profile(doLeave=True))

    def test_stopping(self) -> None:
        """
        A node stops, and another may take its place at the same time.
        """
        self.assertRight(Profile(end="stop"))

    def test_killed(self) -> None:
        """
        A node is killed: what another has seen is there.
        """
        self.assertRight(Profile(end="kill"))

    def test_killedSlow(self) -> None:
        """
        Where that takes time, versions come and go unseen: not all that was
        overwritten can be told, and of that which can, nothing is done twice.
        """
        for profile in (
            Profile(end="kill", isSlow=True),
            Profile(end="kill", isSlow=True, nodes=2),
            Profile(end="kill", isSlow=True, doLeave=True),
        ):
            found = tally(profile, range(_SEED, _SEED + _HISTORIES))
            bad = {
                seed
                for fault, seeds in found.failed.items()
                if not fault.endswith((" lost after a kill", " undone"))
                for seed in seeds
            }
            if bad:
                self.fail(f"{found}\n\n{story(min(bad), profile)}")
            self.assertLessEqual(len(found.bad), max(3, _HISTORIES // 20), found)
            print(found)

    def test_everything(self) -> None:
        """
        All at once.
        """
        for end in ("", "stop"):
            self.assertRight(
                Profile(
                    areClocksWrong=True,
                    isSlow=True,
                    isCut=True,
                    isBlind=True,
                    doLeave=True,
                    end=end,
                )
            )


class JudgeTests(SynchronousTestCase):
    """
    The judge can say no.
    """

    def test_withoutRepair(self) -> None:
        """
        Where nothing is repaired, most is lost.
        """
        found = tally(Profile(), range(30), repair=False)
        self.assertGreater(len(found.bad), 20)

    def test_doctored(self) -> None:
        """
        Whatever is changed in what a history left is noticed.
        """
        world = happened(planned(6, Profile(nodes=2, foreign=1)))
        self.assertEqual(judged(world).faults, set())
        data = dict(world.current().data)
        seen = []
        for doctored, fault in (
            ({"c": data["c"] + 1}, "c doubled"),
            ({"c": data["c"] - 1}, "c lost"),
            ({"u": data["u"] - 1}, "u lost"),
            ({"log": data["log"] * 2}, "log doubled"),
            ({"log": data["log"][:-1]}, "log lost"),
            ({"list": data["list"][:-1]}, "list lost"),
            ({"x": 0}, "x lost"),
            ({"own n0": 0}, "own lost"),
            ({"nest": {}}, "nest lost"),
            ({"f0": 0}, "f of a foreign writer undone"),
        ):
            last = world.versions[-1]
            world.versions[-1] = replace(
                last, writer="n0", number=len(world.versions), data={**data, **doctored}
            )
            seen.append((fault, fault in judged(world).faults))
            world.versions[-1] = last
        self.assertEqual([fault for fault, isSeen in seen if not isSeen], [])
