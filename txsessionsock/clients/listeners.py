# -*- test-case-name: tests.clients.test_events -*-
"""
The functions and methods that are called for an event, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, overload

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from txsessionsock._deferreds import inOrder, unfinished
from txsessionsock.interfaces import EndReason, InvalidReason
from txsessionsock.session import Session


__all__ = [
    "METHODS",
    "Application",
    "Handlers",
    "Listener",
    "Listeners",
    "Once",
    "doesNothing",
    "listen",
    "refuseUnknown",
    "without",
]

METHODS = {
    "sconnection": "sessionConnected",
    "smessage": "sessionMessageReceived",
    "sinvalid": "sessionInvalid",
    "schanged": "sessionChanged",
    "sdestroyed": "sessionDestroyed",
    "serror": "sessionError",
    "disconnect": "sessionDisconnected",
}
"""
The events, and for each the method that is called after its listeners.
"""

Listener = Callable[..., object]

_L = TypeVar("_L", bound=Listener)


def doesNothing(method: _L) -> _L:
    """
    Say of a method that it does nothing, and is there to be overridden: where it is
    called for very many clients, it need not be.
    """
    vars(method)["doesNothing"] = True
    return method


class Application(Protocol):
    """
    The methods of a protocol that are called for events, after the listeners.
    """

    def sessionConnected(self, session: Session) -> object:
        """
        C{sconnection}
        """

    def sessionMessageReceived(self, message: Any, session: Session) -> object:
        """
        C{smessage}
        """

    def sessionInvalid(self, reason: InvalidReason) -> object:
        """
        C{sinvalid}
        """

    def sessionChanged(self, session: Session, keys: Sequence[str]) -> object:
        """
        C{schanged}
        """

    def sessionDestroyed(self, session: Session, reason: EndReason) -> object:
        """
        C{sdestroyed}
        """

    def sessionError(self, failure: Failure) -> object:
        """
        C{serror}
        """

    def sessionDisconnected(self, session: Session, code: int) -> object:
        """
        C{disconnect}
        """


class Once:
    """
    A listener that is called once.

    @ivar listener: The function that it calls.
    """

    def __init__(self, listener: Listener, taken: Callable[[Listener], object]) -> None:
        """
        @param taken: Is called with this when it is to be called no more.
        """
        self.listener = listener
        self._taken = taken
        self._isCalled = False

    def __call__(self, *args: Any, **more: Any) -> object:
        # The list of listeners is taken before the first of them is called, so a
        # second event may have this one in its list, too.
        if self._isCalled:
            return None
        self._isCalled = True
        self._taken(self)
        return self.listener(*args, **more)


def listen(add: Callable[[Listener], object], listener: Listener | None) -> Any:
    """
    Add a function that is given, or else the one that is decorated.

    @return: That function, or a decorator that leaves it as it is.

    @raise TypeError: It cannot be called.
    """

    def register(listener: Listener) -> Listener:
        if not callable(listener):
            kind = type(listener).__name__
            raise TypeError(f"who listens to an event is a function, not a {kind}")
        add(listener)
        return listener

    return register if listener is None else register(listener)


def refuseUnknown(event: object, *more: str) -> None:
    """
    @param more: Events that there are beside L{METHODS}.

    @raise ValueError: There is no such event.
    """
    if event not in (known := (*METHODS, *more)):
        raise ValueError(f"no such event: {event!r}; there is {', '.join(known)}")


def without(listeners: Iterable[Listener], listener: Listener | None) -> list[Listener]:
    """
    @param listener: The one to leave out, also where it is in a L{Once};
        L{None} for all.

    @return: The other ones.
    """
    return [
        other
        for other in listeners
        if listener is not None
        and other != listener
        and not (isinstance(other, Once) and other.listener == listener)
    ]


class Listeners:
    """
    Functions by event.

    @ivar hearMessages: Whether there are any for C{smessage}: that is asked at each
        message.
    """

    def __init__(self) -> None:
        self.hearMessages = False
        self._listeners: dict[str, tuple[Listener, ...]] = {}

    @overload
    def on(self, event: str, listener: _L) -> _L: ...

    @overload
    def on(self, event: str) -> Callable[[_L], _L]: ...

    def on(self, event: str, listener: _L | None = None) -> Any:
        """
        Have a function called on each event of one name.  Without a function,
        a decorator.

        @raise ValueError: There is no such event.

        @raise TypeError: That is no function.
        """
        refuseUnknown(event)
        return listen(partial(self._add, event), listener)

    @overload
    def once(self, event: str, listener: _L) -> _L: ...

    @overload
    def once(self, event: str) -> Callable[[_L], _L]: ...

    def once(self, event: str, listener: _L | None = None) -> Any:
        """
        The same for the next event of that name only.
        """
        refuseUnknown(event)
        taken = partial(self.off, event)
        return listen(lambda f: self._add(event, Once(f, taken)), listener)

    def off(self, event: str, listener: Listener | None = None) -> None:
        """
        Have a function called no more; none of that event unless one is given.

        @raise ValueError: There is no such event.
        """
        refuseUnknown(event)
        self._set(event, without(self.of(event), listener))

    def _add(self, event: str, listener: Listener) -> None:
        self._set(event, [*self.of(event), listener])

    def _set(self, event: str, listeners: list[Listener]) -> None:
        self._listeners[event] = tuple(listeners)
        self.hearMessages = bool(self._listeners.get("smessage"))

    def of(self, event: str) -> tuple[Listener, ...]:
        """
        The functions for an event, in the order in which they came.
        """
        return self._listeners.get(event, ())


class Handlers:
    """
    The listeners of all clients, those of this one, and the method.

    @ivar face: The object that the listeners of all clients get as the client.
    """

    __slots__ = ("_application", "_current", "_own", "_shared", "face")

    def __init__(
        self, shared: Listeners, application: Application, face: object
    ) -> None:
        """
        @param shared: The listeners of all clients.

        @param application: Is called last.

        @param face: See above.
        """
        self._own: Listeners | None = None
        self._shared = shared
        self._application: Any = application
        self.face: object = face
        self._current: object = None

    @property
    def listeners(self) -> Listeners:
        """
        Those of this client; most clients have none.
        """
        if self._own is None:
            self._own = Listeners()
        return self._own

    def _ofThis(self, event: str) -> tuple[Listener, ...]:
        return () if self._own is None else self._own.of(event)

    def hear(self, event: str) -> bool:
        """
        Whether somebody listens to an event.
        """
        return bool(self._shared.of(event) or self._ofThis(event))

    def isIdle(self, event: str) -> bool:
        """
        Whether nothing would be done about an event.
        """
        method = self._method(event)
        return getattr(method, "doesNothing", False) and not self.hear(event)

    @property
    def mayRepeat(self) -> bool:
        """
        Whether the handlers of messages may run again.
        """
        return getattr(self.face, "repeatable", False) is True

    def caller(self, event: str) -> Callable[..., object]:
        """
        @return: What L{call}s them as they are now, also when this has ended.  They
            are not to be waited for.
        """
        method = self._method(event)
        if not self.hear(event):
            return method
        shared, own = self._shared.of(event), self._ofThis(event)
        return partial(
            _callAll, (*(partial(f, self.face) for f in shared), *own, method)
        )

    def call(self, event: str, *args: Any) -> Deferred[None] | None:
        """
        Call them one after the other.

        @return: L{None} if they are done.  Otherwise a L{Deferred} that fails
            as the first of them does that fails.

        @raise Exception: What the first of them raises, if it is at once.
        """
        if not self.hear(event):
            # Most have only the method: nothing is made to call that.
            return self._left(self._method(event)(*args))
        return inOrder(self._noted(event, args))

    def message(self, message: Any, session: Session) -> Deferred[None] | None:
        """
        Call them for a message.  The same as L{call}, in fewer steps where only the
        method is to be called, and does not wait.
        """
        own = self._own
        if self._shared.hearMessages or (own is not None and own.hearMessages):
            return self.call("smessage", message, session)
        result = self._application.sessionMessageReceived(message, session)
        return None if result is None else self._left(result)

    def _left(self, result: object) -> Deferred[None] | None:
        """
        @param result: What the method returned.

        @return: What is left to be done of it.
        """
        self._current = type(self.face)
        running = unfinished(result)
        return None if running is None else running.addCallback(lambda _: None)

    def _noted(self, event: str, args: tuple[Any, ...]) -> Iterator[Callable[[], Any]]:
        """
        Yield the calls one after the other, and keep which handler came last.
        """
        for handler, call in self._calls(event, args):
            self._current = handler
            yield call

    def _calls(
        self, event: str, args: tuple[Any, ...]
    ) -> list[tuple[object, Callable[[], Any]]]:
        shared, own = self._shared.of(event), self._ofThis(event)
        return [
            *((f, partial(f, self.face, *args)) for f in shared),
            *((f, partial(f, *args)) for f in own),
            (type(self.face), partial(self._method(event), *args)),
        ]

    def _method(self, event: str) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self._application, METHODS[event])
        return method

    @property
    def current(self) -> str:
        """
        Where the last that was L{called<call>} is written: the name of a
        listener, or of the class with the method.
        """
        current = self._current
        while isinstance(current, (Once, partial)):
            current = current.listener if isinstance(current, Once) else current.func
        name = getattr(current, "__qualname__", type(current).__qualname__)
        return f"{current.__module__}.{name}"

    def notify(self, event: str, *args: Any) -> Deferred[None]:
        """
        Call them one after the other.

        @return: A L{Deferred} that fails as the first of them does that fails.
        """
        try:
            calls = (call for _, call in self._calls(event, args))
            return inOrder(calls) or succeed(None)
        except Exception:
            return fail()

    def end(self) -> None:
        """
        Call nothing any more.
        """
        self._application = self.face = None


def _callAll(handlers: Iterable[Callable[..., object]], *args: Any) -> object:
    return inOrder(partial(handler, *args) for handler in handlers)
