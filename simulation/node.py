# -*- test-case-name: tests.simulation.test_world -*-
"""
A process of ours, as in production: manager and clients.  Only what carries them
is a model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock._waiting import waitable
from txsessionsock.clients import Client, SessionSockets, Waiting
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import EndReason, IFramework, InvalidReason, SessionID
from txsessionsock.manager import Freshness, SessionManager
from txsessionsock.session import Session

from .bus import Ether, SimulatedBus
from .groups import GROUP_HANDLERS, Groups
from .history import History
from .messages import BASE, HANDLERS, Message, seen
from .pages import Pages
from .queue import SECOND, NodeClock
from .store import Link


__all__ = ["Node", "Served", "Wire"]

_CLOSING = 3.0
"""
For how many seconds the answer to a close frame is awaited.
"""


_HANDLERS = {**HANDLERS, **GROUP_HANDLERS}


class Wire:
    """
    A connection between a browser and a node: one stream in each direction.

    @ivar isCut: Whether nothing comes through any more.
    """

    def __init__(self, clock: NodeClock, name: str, latency: float) -> None:
        self._clock = clock
        self._queue = clock.queue
        self._latency = latency
        self.name = name
        self.isCut = False
        self._lastUp = self._lastDown = 0
        self.served: Served | None = None
        self.heard: Callable[..., object] = lambda *_, **__: None
        self.ended: Callable[[int], None] = lambda code: None

    def up(self, arrive: Callable[[], object]) -> None:
        """
        Send something to the node.
        """
        self._lastUp = max(self._lastUp, self._queue.now + self._delay())
        self._send(self._lastUp, arrive, self._clock)

    def down(self, arrive: Callable[[], object]) -> None:
        """
        Send something to the browser.
        """
        self._lastDown = max(self._lastDown, self._queue.now + self._delay())
        self._send(self._lastDown, arrive, None)

    def _send(
        self, at: int, arrive: Callable[[], object], where: NodeClock | None
    ) -> None:
        def arrived() -> None:
            if not self.isCut:
                arrive()

        self._queue.at(at, arrived, where)

    def _delay(self) -> int:
        return round(self._queue.random.random() * self._latency * SECOND)

    def cut(self) -> None:
        """
        Have nothing come through any more, which both sides notice.
        """
        if not self.isCut:
            self.isCut = True
            served = self.served
            if served is not None:
                self._queue.after(0, partial(served.lost, 1006), self._clock)
            self._queue.after(0, partial(self.ended, 1006))


class Served:
    """
    One client at a node: what carries it, its application, and its face.
    """

    isPaused = False
    unsent = 0
    mostUnsent = 2 * 1024 * 1024
    isWritable = True
    groups: tuple[Any, ...] = ()
    encoding: object = json

    def __init__(self, node: Node, wire: Wire) -> None:
        self.node = node
        self.clock = node.clock
        self._wire = wire
        self.name = self._name = wire.name
        self._history = node.history
        self._unread: list[Callable[[], object]] = []
        self._isLost = self._isClosing = False
        self.client: Client = node.sockets.client(self, self, self)
        wire.served = self

    def __repr__(self) -> str:
        return f"<{self._name}>"

    def begin(self, cookie: str) -> None:
        """
        The handshake is done.
        """
        headers = {"cookie": [cookie], "host": ["localhost"]}
        self.client.start(Handshake(headers, isTLS=False, peer="127.0.0.1"))

    @property
    def isOver(self) -> bool:
        """
        Whether it is lost, or about to be.
        """
        return self._isLost or self._isClosing

    def arrived(self, message: Message) -> None:
        """
        The browser sent a message.
        """
        if self.isPaused:
            self._unread.append(partial(self.arrived, message))
        elif not self._isLost:
            self.client.received(Waiting(message, 50, None))

    def lost(self, code: int) -> None:
        """
        The connection is gone.
        """
        if not self._isLost:
            self._isLost = True
            self._history.note("lost", self._name, code=code)
            self.client.lost(code)

    # The carrier.

    def encode(self, value: Any, messageID: str = "") -> str:
        return json.dumps(value)

    def check(self, frame: str) -> None:
        """
        All may be sent.
        """

    def size(self, frame: str) -> int:
        return len(frame)

    def write(self, frame: str) -> None:
        if self._isLost or self._wire.isCut:
            return
        said = json.loads(frame)
        asks = said.pop("asks", False)
        what = "asks" if asks else "answers" if "token" in said else "passes on"
        self._history.note(what, self._name, node=self.node.name, **said)
        heard = partial(self._wire.heard, said, asks=asks)
        self._wire.down(heard)

    def whose(self, session: Session) -> None:
        """
        It did not ask.
        """

    def awaitCredential(self) -> None:
        """
        It may send from the beginning.
        """

    def prepare(self, session: Session) -> None:
        """
        Nothing is to be waited for.
        """

    def close(self, code: int, reason: str) -> None:
        self._isClosing = True
        self._history.note(
            "closes", self._name, node=self.node.name, code=int(code), reason=reason
        )
        self._wire.down(partial(self._wire.ended, int(code)))
        self.clock.callLater(_CLOSING, self.lost, int(code))

    def closeAnswered(self, code: int) -> None:
        """
        The browser answered our close frame.
        """
        self.lost(code)

    def cut(self, why: str) -> None:
        self._history.note("cuts", self._name, why=why)
        self._wire.cut()

    def pause(self) -> None:
        self.isPaused = True

    def resume(self) -> None:
        if self.isPaused:
            self.isPaused = False
            unread, self._unread = self._unread, []
            for arrive in unread:
                self.clock.callLater(0, arrive)

    # The application.

    def sessionConnected(self, session: Session) -> None:
        self._history.note("connected", self._name, node=self.node.name)
        if self.node.groups is not None:
            self.node.inGroups.join(self, "all")

    def sessionMessageReceived(self, message: Message, session: Session) -> object:
        sees = seen(session)
        self._history.note("handles", self._name, token=message.token, sees=sees)
        try:
            result = waitable(_HANDLERS[message.do](self, message, session))
            if isinstance(result, Deferred):
                result = result.addCallback(lambda _: self._did(message, session))
            else:
                result = self._did(message, session)
        except Exception:
            self._failed(message, Failure())
            raise
        if isinstance(result, Deferred):
            return result.addErrback(partial(self._failed, message))
        return result

    def _did(self, message: Message, session: Session) -> object:
        if not message.waitsToBeSaved:
            self._done(message)
            return None
        self._history.note("saves", self._name, token=message.token)
        return session.save().addCallback(lambda _: self._done(message))

    def _done(self, message: Message) -> None:
        self._history.note("done", self._name, token=message.token)
        self.client.send({"token": message.token})

    def _failed(self, message: Message, failure: Failure) -> Failure:
        error = type(failure.value).__name__
        self._history.note("fails", self._name, token=message.token, error=error)
        return failure

    def sessionInvalid(self, reason: InvalidReason) -> None:
        self._history.note("sinvalid", self._name, reason=reason)

    def sessionChanged(self, session: Session, keys: Sequence[str]) -> None:
        self._history.note("schanged", self._name, keys=sorted(keys))

    def sessionDestroyed(self, session: Session, reason: EndReason) -> None:
        self._history.note("sdestroyed", self._name, reason=reason)

    def sessionError(self, failure: Failure) -> None:
        self._history.note("serror", self._name, error=type(failure.value).__name__)

    def sessionDisconnected(self, session: Session, code: int) -> None:
        self._history.note("disconnect", self._name, code=int(code))

    # What handlers tell.

    def changed(self, message: Message, **more: Any) -> None:
        """
        A handler makes its change now.
        """
        told = {
            "do": message.do,
            "key": message.key,
            "token": message.token,
            "digit": message.digit,
            "node": self.node.name,
        }
        self._history.note("changes", self._name, **told | more)

    def told(self, what: str, message: Message, **more: Any) -> None:
        """
        A handler does something else.
        """
        key, token = message.key, message.token
        session = f"sess:{self.client.session.id}" if self.client.session else ""
        told = {"session": session, "key": key, "token": token}
        self._history.note(what, self._name, **told | more)

    def takes(self, message: Message) -> None:
        """
        A handler that asked takes a message for the answer.
        """
        self._history.note("takes", self._name, token=message.token)


class Node:
    """
    One process.
    """

    def __init__(
        self,
        name: str,
        history: History,
        clock: NodeClock,
        link: Link,
        framework: IFramework,
        *,
        ether: Ether | None,
        perMessage: bool,
        freshness: Freshness,
        repair: bool,
    ) -> None:
        self.name = name
        self.history = history
        self.clock = clock
        self.link = link
        self.isAlive = True
        self.manager = SessionManager(
            link.store, framework, clock, freshness=freshness, repair=repair
        )
        self.sockets = SessionSockets(self.manager, perMessage=perMessage)
        self.groups: Groups | None = None
        if ether is not None:
            bus = SimulatedBus(name, ether, clock)
            self.groups = Groups(history, self.sockets, bus)
        self._framework = framework
        self.wires: dict[Wire, None] = {}
        self.pages = Pages(self)

    def accept(self, wire: Wire, sessionID: SessionID) -> None:
        """
        A browser connects.
        """
        self.wires[wire] = None
        served = Served(self, wire)
        value = self._framework.cookieValue(sessionID)
        served.begin(f"{self._framework.cookieName}={value}")

    def change(self, number: int, token: int, *, counts: int) -> None:
        """
        Change the session of one of the clients outside of a handler.

        @param number: Which of the clients.

        @param counts: The place of an increment among the digits; -1 to assign.
        """
        served = [wire.served for wire in self.wires if wire.served is not None]
        clients = [each.client for each in served if not each.isOver]
        sessions = [client.session for client in clients if client.session is not None]
        if not sessions:
            return
        session = sessions[number % len(sessions)]
        if counts < 0:
            session["out"] = token
        else:
            session.increment("n", BASE**counts)
        self.history.note(
            "changes",
            self.name,
            do="set" if counts < 0 else "increment",
            key="out" if counts < 0 else "n",
            token=token,
            digit=counts,
            session=f"sess:{session.id}",
            isOutside=True,
        )

    @property
    def inGroups(self) -> Groups:
        """
        Its hub, which it has.
        """
        assert self.groups is not None
        return self.groups

    def stop(self) -> None:
        """
        End well.
        """

        def stopped(_: object) -> None:
            self.history.note("stopped", self.name)
            if self.groups is not None:
                self.groups.bus.killed()
            self.clock.stop()
            self._cut()

        self.isAlive = False
        self.history.note("stops", self.name)
        self.manager.end(drain=10.0).addCallback(stopped)

    def kill(self) -> None:
        """
        Be gone at once.
        """
        self.isAlive = False
        self.history.note("killed", self.name)
        if self.groups is not None:
            self.groups.bus.killed()
        self.clock.stop()
        self._cut()

    def _cut(self) -> None:
        for wire in self.wires:
            wire.cut()
        for visit in self.pages.visits.values():
            visit.cut()

    def rest(self) -> list[str]:
        """
        @return: What is left, when nothing should be.
        """
        statistics = self.manager.statistics()
        found = self.link.rest()
        for what in ("sessions", "holders", "watchedKeys", "unanswered"):
            number = getattr(statistics, what)
            found += [f"{number} {what}"] * bool(number)
        found += [f"{len(self.sockets)} clients"] * bool(len(self.sockets))
        found += [f"{self.pages.underWay} pages"] * bool(self.pages.underWay)
        # These two end by themselves.
        ends = ["Storage._checkTimes", "Seldom.end"]
        if self.groups is not None:
            found += self.groups.rest()
            ends.append("_Line._checkTimes")
        for call in self.clock.getDelayedCalls():
            name = repr(call)
            if not any(end in name for end in ends):
                found.append(f"timer {name}")
        # Where something is in memory is another place each time.
        return [re.sub(r" at 0x[0-9a-f]+", "", each) for each in found]
