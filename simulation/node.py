# -*- test-case-name: tests.simulation.test_world -*-
"""
A process of ours, as in production: manager and clients.  Only what carries them
is a model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from msgspec.json import decode
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txsessionsock._waiting import waitable
from txsessionsock.clients import Client, SessionSockets
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import EndReason, IFramework, InvalidReason, SessionID
from txsessionsock.limits import Limits
from txsessionsock.manager import Freshness, SessionManager
from txsessionsock.session import Session

from .bus import Ether, SimulatedBus
from .groups import GROUP_HANDLERS, Groups
from .history import History
from .messages import BASE, HANDLERS, Message, asJSON, seen
from .pages import Pages
from .queue import NodeClock
from .store import Link
from .wire import Line, Wire


__all__ = ["Node", "Notes", "Served", "seen"]


_HANDLERS = {**HANDLERS, **GROUP_HANDLERS}


class Notes:
    """
    An application that notes what it is told.
    """

    node: Node
    client: Any
    _name: str
    _history: History

    def sessionConnected(self, session: Session) -> None:
        self._history.note("connected", self._name, node=self.node.name)

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

    def _failed(self, message: Message, failure: Failure) -> Failure:
        error = type(failure.value).__name__
        self._history.note("fails", self._name, token=message.token, error=error)
        return failure

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


class Served(Line, Notes):
    """
    One client at a node: what carries it, its application, and its face.
    """

    groups: tuple[Any, ...] = ()
    encoding: object = json

    def __init__(self, node: Node, wire: Wire) -> None:
        super().__init__(node.clock, wire, node.history, node.sockets.limits)
        self.node = node
        self.name = self._name = wire.name
        self.client: Client = node.sockets.client(self, self, self)

    def __repr__(self) -> str:
        return f"<{self._name}>"

    def begin(self, cookie: str) -> None:
        """
        The handshake is done.
        """
        headers = {"cookie": [cookie], "host": ["localhost"]}
        self.client.start(Handshake(headers, isTLS=False, peer="127.0.0.1"))

    def arrived(self, size: int, message: Message) -> None:
        """
        The browser sent a message.
        """
        self._history.note("arrives", self._name, token=message.token)
        self.client.received(message, size)

    def relieved(self) -> None:
        self.client.relieved()

    def gone(self, code: int) -> None:
        self._history.note("lost", self._name, code=code)
        self.client.lost(code)

    # The carrier.

    def encode(self, value: Any, messageID: str = "") -> str:
        return asJSON(value).decode()

    def check(self, frame: str) -> None:
        """
        All may be sent.
        """

    def size(self, frame: str) -> int:
        return len(frame)

    def write(self, frame: str) -> None:
        said = decode(frame)
        asks = said.pop("asks", False)
        other = "passes on" if "told" in said else "carries"
        what = "asks" if asks else "answers" if "token" in said else other
        if self.isOpen:
            self._history.note(what, self._name, node=self.node.name, **said)
            self.put(len(frame), partial(self.wire.heard, said, asks))

    def whose(self, session: Session) -> None:
        """
        It did not ask.
        """

    def missed(self, frame: str) -> None:
        """
        Nobody comes back for it.
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
        self._history.note(
            "closes", self._name, node=self.node.name, code=int(code), reason=reason
        )
        super().close(code, reason)

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


@lru_cache(64)
def _cookie(framework: IFramework, sessionID: SessionID) -> str:
    return f"{framework.cookieName}={framework.cookieValue(sessionID)}"


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
        shortMessages: bool,
        freshness: Freshness,
        repair: bool,
        limits: Limits,
        serve: Callable[[Node, Wire], Served] | None = None,
    ) -> None:
        """
        @param serve: Makes a client.
        """
        self.name = name
        self._serve = Served if serve is None else serve
        self.history = history
        self.clock = clock
        self.link = link
        self.isAlive = True
        self.manager = SessionManager(
            link.store, framework, clock, freshness=freshness, repair=repair
        )
        self.sockets = SessionSockets(
            self.manager,
            perMessage=perMessage,
            limits=limits,
            shortMessages=shortMessages,
        )
        self.bus = None if ether is None else SimulatedBus(name, ether, clock)
        self.groups: Groups | None = None
        self._framework = framework
        self.wires: dict[Wire, None] = {}
        # Its server of Socket.IO, if it has one.
        self.io: Any = None
        self.pages = Pages(self)

    def accept(self, wire: Wire, sessionID: SessionID) -> None:
        """
        A browser connects.
        """
        self.wires[wire] = None
        self._serve(self, wire).begin(self.cookie(sessionID))

    def cookie(self, sessionID: SessionID) -> str:
        """
        What a browser sends along with such a session.
        """
        return _cookie(self._framework, sessionID)

    def meet(self) -> None:
        """
        Have a hub.
        """
        assert self.bus is not None
        self.groups = Groups(self.history, self.sockets, self.bus)

    def change(self, number: int, token: int, *, counts: int) -> None:
        """
        Change the session of one of the clients outside of a handler.

        @param number: Which of the clients.

        @param counts: The place of an increment among the digits; -1 to assign.
        """
        lines = [wire.line for wire in self.wires]
        served = [each for each in lines if isinstance(each, Served)]
        some = [
            (each.name, each.client.session)
            for each in served
            if each.isOpen and not each.isLost and each.client.session is not None
        ]
        if not some:
            return
        name, session = some[number % len(some)]
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
            of=name,
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
            if self.bus is not None:
                self.bus.killed()
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
        if self.bus is not None:
            self.bus.killed()
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
        if self.io is not None:
            found += self.io.rest()
        found += [f"{self.pages.underWay} pages"] * bool(self.pages.underWay)
        # These two end by themselves.
        ends = ["Storage._checkTimes", "Seldom.end"]
        if self.groups is not None:
            found += self.groups.rest()
        if self.bus is not None:
            ends.append("_Line._checkTimes")
        for call in self.clock.getDelayedCalls():
            name = repr(call)
            if not any(end in name for end in ends):
                found.append(f"timer {name}")
        # Where something is in memory is another place each time.
        return [re.sub(r" at 0x[0-9a-f]+", "", each) for each in found]
