"""
A process of its own, which does to a file of sessions what its arguments say: see
L{tests.real.sqlite.test_store_sqlite_processes}.
"""

from __future__ import annotations

import sys
from time import time

from txsessionsock.interfaces import FOREVER, KEEP, SessionConflict
from txsessionsock.stores.sqlite import SQLiteStore
from txsessionsock.testing import PrivateReactor


class Worker:
    """
    The tasks, by name.
    """

    def __init__(self, path: str) -> None:
        self.reactor = PrivateReactor()
        self.store = SQLiteStore(path, self.reactor)

    def increment(self, times: int) -> None:
        """
        Count in a session, together with others.
        """
        for _ in range(times):
            while True:
                stored = self.reactor.wait(self.store.load("n"))
                assert stored is not None
                new = b"%d" % (int(stored.raw) + 1)
                try:
                    self.reactor.wait(self.store.replace("n", stored.raw, new, KEEP))
                except SessionConflict:
                    continue
                break

    def create(self, times: int) -> None:
        """
        Say of each session that it is stored, and never end.
        """
        for n in range(times):
            self.reactor.wait(self.store.create(f"k{n}", b"%d" % n, FOREVER))
            print(n, flush=True)

    def touch(self, times: int) -> None:
        """
        For each line of input touch a session and say when that was answered.
        """
        for _ in range(times):
            sys.stdin.readline()
            self.reactor.wait(self.store.touch("n", FOREVER))
            print(time(), flush=True)

    def leave(self, times: int) -> None:
        """
        Run the global reactor, watch, and end without closing the store.
        """
        from twisted.internet import reactor  # noqa: PLC0415 - installs it

        store = SQLiteStore(sys.argv[1])
        store.watch("n", print)
        created = store.create("left", b"", FOREVER)
        created.addCallback(lambda _: reactor.callLater(0, reactor.stop))
        reactor.run()


if __name__ == "__main__":
    getattr(Worker(sys.argv[1]), sys.argv[2])(int(sys.argv[3]))
