"""
Two processes with sockets, and a web application that writes whole sessions:
whatever happens in which order, nothing that sockets wrote is lost or counted
twice.
"""

from __future__ import annotations

from random import Random

from zope.interface import alsoProvides

from tests.manager.test_manager_repair import RepairCase
from tests.support.managing import KEY, Recorder
from txsessionsock.interfaces import ISharedStore
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session


class Process:
    """
    A process with one socket.
    """

    session: Session

    def __init__(self, case: WritersTests) -> None:
        self._case = case
        store = case.newStore()
        alsoProvides(store, ISharedStore)
        self._manager: SessionManager = case.newManager(store)
        self.holder = Recorder()
        self.open()

    def open(self) -> None:
        self.session = self._case.open(self.holder, self._manager)

    def write(self, key: str, value: int) -> None:
        self.session.increment("n")
        self.session[key] = value
        self.session.save()

    def leave(self) -> None:
        self._case.settled(self._manager.release(self.session, self.holder), 0.05)

    def assertOver(self) -> None:
        self.leave()
        self._case.clock.pump([1.0] * 8)
        self._case.assertEqual(self._manager.statistics().sessions, 0)


class WritersTests(RepairCase):
    """
    What sockets wrote is there in the end.
    """

    def test_anyOrder(self) -> None:
        """
        Sockets write, and come back early or late; requests begin and end.
        """
        for seed in range(40):
            with self.subTest(seed=seed):
                self.setUp()
                self.inOrder(Random(seed))

    def inOrder(self, random: Random) -> None:
        """
        Do this and that.
        """
        processes = [Process(self), Process(self)]
        copies: dict[int, tuple[float, bytes]] = {}
        expected: dict[str, object] = {"user": "ada", "n": 1}
        count = 1
        for turn in range(40):
            number = random.randrange(4)
            process = processes[number % 2]
            what = random.choice(["write", "write", "request", "end", "come back"])
            if what == "write":
                process.write(key := f"key{number}", turn)
                expected |= {key: turn, "n": (count := count + 1)}
            elif what == "request":
                current = self.successResultOf(self.place.load(KEY))
                assert current is not None
                copies[number] = self.clock.seconds(), current.raw
            elif what == "end" and number in copies:
                began, copy = copies.pop(number)
                if self.clock.seconds() - began < 5:
                    self.putRaw(copy)
            elif what == "come back":
                process.leave()
                self.clock.pump([number] * 3)
                process.open()
            self.clock.advance(random.choice([0.0, 0.001, 0.5]))
        self.run_(1)
        self.assertEqual(self.stored(), expected)
        for process in processes:
            self.assertEqual(dict(process.session), expected)
            self.assertEqual(process.holder.reasons, [])
            process.assertOver()
        self.manager.release(self.session, self.holder)
        self.run_(1)
        self.assertQuiet()
