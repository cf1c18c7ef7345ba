# -*- test-case-name: tests.socketio.test_events -*-
"""
The handlers of an event: those of session events, and those that an application has
for its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._deferreds import inOrder
from txsessionsock._seldom import shown
from txsessionsock._waiting import waitable
from txsessionsock.clients import Client
from txsessionsock.interfaces import EndReason, InvalidReason
from txsessionsock.messages import Event
from txsessionsock.protocol import Equipment
from txsessionsock.session import Session

from .places import Place


__all__ = ["EventApplication"]

_log = Logger()


class _Answering(Protocol):
    """
    The part of a C{NamespaceCarrier} that is used here.
    """

    equipment: Equipment

    @property
    def client(self) -> Client: ...

    def answer(self, values: tuple[Any, ...]) -> None: ...


class EventApplication:
    """
    Calls, for each event of one client, the listeners of its namespace and then its
    own methods.
    """

    def __init__(self, carrier: _Answering, place: Place, face: Any) -> None:
        self._carrier = carrier
        self._place = place
        self._face = face

    def _all(self, event: str, *args: Any) -> Iterator[Callable[[], object]]:
        face = self._face
        for listener in self._place.listeners.of(event):
            yield partial(listener, face, *args)

    def sessionConnected(self, session: Session) -> object:
        calls = self._all("sconnection", session)
        return inOrder([*calls, partial(self._face.sessionConnected, session)])

    def sessionInvalid(self, reason: InvalidReason) -> object:
        calls = self._all("sinvalid", reason)
        return inOrder([*calls, partial(self._face.sessionInvalid, reason)])

    def sessionChanged(self, session: Session, keys: Sequence[str]) -> object:
        calls = self._all("schanged", session, keys)
        return inOrder([*calls, partial(self._face.sessionChanged, session, keys)])

    def sessionDestroyed(self, session: Session, reason: EndReason) -> object:
        calls = self._all("sdestroyed", session, reason)
        return inOrder([*calls, partial(self._face.sessionDestroyed, session, reason)])

    def sessionError(self, failure: Failure) -> object:
        calls = self._all("serror", failure)
        return inOrder([*calls, partial(self._face.sessionError, failure)])

    def sessionDisconnected(self, session: Session, code: int) -> object:
        calls = self._all("disconnect", session, code)
        return inOrder([*calls, partial(self._face.sessionDisconnected, session, code)])

    def sessionMessageReceived(self, event: Event, session: Session) -> object:
        carrier, face = self._carrier, self._face
        method = self._only(event)
        if method is not None:
            result = waitable(method(*event.args))
            if isinstance(result, Deferred):
                return result.addCallback(self._answer)
            self._answer(result)
            return None
        answers: list[Any] = []
        listeners = list(self._all("smessage", event, session))
        handlers = list(self._handlers(event))
        if not (handlers or listeners) and not self._isHeard():
            self._doubt(event)
        running = inOrder(
            [
                *listeners,
                partial(face.sessionMessageReceived, event, session),
                *self._anyway(event),
                *(partial(_note, answers, handler) for handler in handlers),
            ]
        )

        def answer(_: object = None) -> None:
            if handlers:
                carrier.answer(_values(answers))

        if running is None:
            answer()
            return None
        return running.addCallback(answer)

    def _only(self, event: Event) -> Callable[..., object] | None:
        """
        The method for an event, where nobody else is to be called: that is how it
        mostly is, and takes a third of the time then.
        """
        place, face = self._place, self._face
        if (
            place.events
            or face._events
            or face._handlesAll
            or place.listeners.of("smessage")
        ):
            return None
        method = getattr(face, f"on_{event.name}", None)
        return method if callable(method) else None

    def _answer(self, result: object) -> None:
        self._carrier.answer(_valuesOf(result))

    def _anyway(self, event: Event) -> Iterator[Callable[[], object]]:
        for listener in self._place.events.ofAny():
            yield partial(listener, self._face, event.name, *event.args)
        for listener in self._face.events.ofAny():
            yield partial(listener, event.name, *event.args)

    def _handlers(self, event: Event) -> Iterator[Callable[[], object]]:
        """
        The handlers of that very event.
        """
        for listener in self._place.events.of(event.name):
            yield partial(listener, self._face, *event.args)
        for listener in self._face.events.of(event.name):
            yield partial(listener, *event.args)
        # Its name is what the client says: the prefix is what tells methods that are
        # meant for clients from all others.
        method = getattr(self._face, f"on_{event.name}", None)
        if callable(method):
            yield partial(method, *event.args)

    def _isHeard(self) -> bool:
        """
        Whether somebody handles all events.
        """
        return (
            self._carrier.client.handlers.hear("smessage")
            or self._face._handlesAll
            or any(self._anyway(Event("")))
        )

    def _doubt(self, event: Event) -> None:
        equipment, kind = self._carrier.equipment, type(self._face).__name__
        line = (
            f"nobody handles the event {shown(event.name)} of {self._place.name}: right"
            f" is a method of {kind} that is called on_ and that, or a listener"
        )
        now = equipment.sockets.manager.reactor.seconds()
        equipment.refusals.warn(_log, line, now)


def _note(answers: list[Any], handler: Callable[[], object]) -> object:
    """
    Call a handler, and note what it returns, or will.
    """
    result = waitable(handler())
    if isinstance(result, Deferred):
        return result.addCallback(answers.append)
    answers.append(result)
    return None


def _values(answers: list[Any]) -> tuple[Any, ...]:
    """
    The values of an answer: what the first handler returned that returned something.
    """
    return _valuesOf(next((each for each in answers if each is not None), None))


def _valuesOf(result: object) -> tuple[Any, ...]:
    if isinstance(result, tuple):
        return result
    return () if result is None else (result,)
