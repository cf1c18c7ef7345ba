"""
A model of a server that tracks, and of who watches a key there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from txsessionsock.stores._tracking import Tracking


__all__ = ["Holder", "TrackingServer", "ignore"]


def ignore(key: str) -> None:
    """
    For who does not care.
    """


class TrackingServer:
    """
    One key on a server that tracks as a Redis does, and one connection to it,
    on which nothing is overtaken.

    @ivar version: Of the bytes.

    @ivar isMute: Whether it reports nothing of what is done over the
        connection, as with C{NOLOOP}.
    """

    def __init__(self) -> None:
        self.version = 0
        self.isMute = False
        self.isTracked = False
        self.requests: deque[Callable[[], None]] = deque()
        self.messages: deque[Callable[[], None]] = deque()
        self.report: Callable[[], None]

    def changed(self, *, isOwn: bool = False) -> None:
        if self.isTracked and not (isOwn and self.isMute):
            self.messages.append(self.report)
        self.isTracked = False

    def foreign(self) -> None:
        self.version += 1
        self.changed()

    def cut(self) -> None:
        self.requests.clear()
        self.messages.clear()
        self.isTracked = False


class Holder:
    """
    Watches the key, and knows by what was reported whether its copy is
    the current one.

    @ivar known: The version of the copy.

    @ivar isFresh: Whether it was read after all that was told.

    @ivar fences: What each fence that was passed found: whether the copy was
        held for fresh, its version, the version at the time of the question,
        and whether a report was owed.
    """

    def __init__(self, server: TrackingServer) -> None:
        self.server = server
        self.tracking = Tracking()
        server.report = lambda: self.tracking.reported("k")
        self.fences: list[tuple[bool, int, int, bool]] = []
        self.tellings = 0
        self.watch()

    def watch(self) -> None:
        self.known, self.isFresh = -1, False
        self.stop = self.tracking.watch("k", self.changed, ignore)
        self.load()

    def changed(self, key: str) -> None:
        self.tellings += 1
        self.isFresh = False
        self.load()

    def load(self) -> None:
        tellings, server = self.tellings, self.server
        tracked = self.tracking.get("k")

        def execute() -> None:
            version, server.isTracked = server.version, True
            server.messages.append(lambda: answered(version))

        def answered(version: int) -> None:
            if self.tracking.get("k") is tracked:
                self.known = version
                self.isFresh = self.isFresh or tellings == self.tellings

        server.requests.append(execute)

    def change(self, *, isTouch: bool, isEarly: bool) -> None:
        """
        @param isTouch: Whether it leaves the bytes alone, whatever they are.

        @param isEarly: Whether its report comes before its reply.
        """
        server, base = self.server, self.known
        tracked = self.tracking.get("k")
        assert tracked is not None
        foreign = tracked.foreign

        def execute() -> None:
            server.isTracked = True
            version, isDone = server.version, isTouch or base == server.version
            if isDone and not isTouch:
                version = server.version = version + 1
            if isDone and isEarly:
                server.changed(isOwn=True)
            server.messages.append(lambda: answered(version, isDone))
            if isDone and not isEarly:
                server.changed(isOwn=True)
            server.isTracked = not server.isMute or not isDone

        def answered(version: int, isDone: bool) -> None:
            if isDone:
                self.tracking.landed(tracked, foreign)
            if not isTouch and self.tracking.get("k") is tracked:
                self.known = version

        server.requests.append(execute)

    def fence(self) -> None:
        server, debts = self.server, self.tracking.debts()
        asked = server.version

        def answered() -> None:
            owed = self.tracking.isOwed(debts)
            self.fences.append((self.isFresh, self.known, asked, owed))

        server.requests.append(lambda: server.messages.append(answered))

    def cut(self) -> None:
        self.server.cut()
        self.tracking.lost()
        self.tracking.tellAll()

    def act(self, action: str) -> None:
        """
        Let one thing happen.
        """
        server = self.server
        match action:
            case "foreign" | "fence" | "load" | "cut":
                target = server if action == "foreign" else self
                getattr(target, action)()
            case "write" | "early write" | "touch" | "early touch":
                isTouch, isEarly = "touch" in action, "early" in action
                self.change(isTouch=isTouch, isEarly=isEarly)
            case "evict":
                server.changed()
            case "expire":
                # By our own timer.
                self.tracking.tell("k")
            case "execute" if server.requests:
                server.requests.popleft()()
            case "deliver" if server.messages:
                server.messages.popleft()()
            case "watch again":
                self.stop()
                self.watch()

    def settle(self) -> None:
        """
        Let everything arrive.
        """
        while self.server.requests or self.server.messages:
            self.act("execute")
            self.act("deliver")
