"""
Looks for secrets in all that is logged or raised while a test runs: session ids,
keys, cookies, tickets, and what signs these.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, eventAsText, globalLogPublisher
from zope.interface import implementer

from txsessionsock.interfaces import SessionError, SessionID
from txsessionsock.manager.live import Live
from txsessionsock.tickets import Tickets


__all__ = ["SECRETS", "SecretWatch"]

_SIGNING: Final = ("keyboard cat",)
"""
What signs the cookies of most tests.
"""

_FRAMEWORKS: Final = {
    "aiohttp": "Aiohttp",
    "django": "Django",
    "express": "Express",
    "flask": "FlaskSession",
    "php": "PHP",
    "starlette": "Starsessions",
}

_METHODS: Final = ("cookieValue", "newSessionID", "sessionID")

_WORD: Final = re.compile(r"[A-Za-z]*")
"""
What may stand in any log, and be the id of a session of a test, too.
"""

_SHORTEST: Final = 5

_LONGEST: Final = 100_000


@implementer(ILogObserver)
class SecretWatch:
    """
    Knows the secrets that a test made, and what was told meanwhile.
    """

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._texts: list[str] = []
        self._size = 0

    def install(self) -> None:
        """
        Begin to watch.
        """
        globalLogPublisher.addObserver(self)
        for module, name in _FRAMEWORKS.items():
            for kind in getattr(
                import_module(f"txsessionsock.frameworks.{module}"), name
            ).__mro__:
                for method in _METHODS:
                    if method in vars(kind):
                        setattr(kind, method, self._noting(vars(kind)[method]))
        self._watchSessions()
        self._watchTickets()
        self._watchErrors()

    def _noting(self, method: Callable[..., str]) -> Callable[..., str]:
        @wraps(method)
        def noting(*args: Any, **more: Any) -> str:
            found = method(*args, **more)
            self.made(found)
            return found

        return noting

    def _watchSessions(self) -> None:
        begin: Any = Live.__init__

        def noting(live: Live, *args: Any, **more: Any) -> None:
            begin(live, *args, **more)
            self.made(live.id)
            self.made(live.key)

        setattr(Live, "__init__", noting)  # noqa: B010  # To look at each.

    def _watchTickets(self) -> None:
        issue = Tickets.issue

        def noted(ticket: str) -> str:
            self.made(ticket)
            return ticket

        def noting(tickets: Tickets, sessionID: SessionID) -> Deferred[str]:
            return issue(tickets, sessionID).addCallback(noted)

        setattr(Tickets, "issue", noting)  # noqa: B010  # The same.

    def _watchErrors(self) -> None:
        def noting(kind: Any, *args: Any, **more: Any) -> Any:
            self.told(f"{kind.__name__}: {args!r}")
            return Exception.__new__(kind, *args)

        setattr(SessionError, "__new__", noting)  # noqa: B010  # The same.

    # What is a secret.

    def made(self, secret: object) -> None:
        """
        A test made a secret.
        """
        text = str(secret)
        if len(text) >= _SHORTEST and not _WORD.fullmatch(text):
            self._secrets.add(text)

    # What is told.

    def __call__(self, event: Any) -> None:
        """
        Something was logged; see L{ILogObserver<twisted.logger.ILogObserver>}.
        """
        fields = [
            f"{name}={value!r}"
            for name, value in event.items()
            if name not in ("log_logger", "log_failure")
        ]
        text = eventAsText(event, includeTraceback=True)
        self.told(f"{text}\n{' '.join(fields)}")

    def told(self, text: str) -> None:
        """
        Somebody may read this.
        """
        if self._size < _LONGEST:
            self._size += len(text)
            self._texts.append(text)

    # What is found.

    def found(self) -> list[str]:
        """
        @return: Each text with a secret in it, since this was last called.
        """
        secrets, self._secrets = {*self._secrets, *_SIGNING}, set()
        texts, self._texts, self._size = self._texts, [], 0
        if not texts:
            return []
        words = "|".join(re.escape(each) for each in sorted(secrets, key=len)[::-1])
        pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])")
        return [text for text in texts if pattern.search(text)]


SECRETS: Final = SecretWatch()
"""
The one of this run.
"""
