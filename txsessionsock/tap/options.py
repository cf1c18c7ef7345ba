# -*- test-case-name: tests.tap.test_tap -*-
"""
What can be said on the command line of C{twistd sessionsock}.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from getopt import getopt
from math import inf
from typing import Any, ClassVar, NoReturn, TypeVar

from twisted.python.usage import Options as BaseOptions
from twisted.python.usage import UsageError

from txsessionsock.interfaces import SessionError
from txsessionsock.limits import Limits, Rate

from .files import prepareFiles


__all__ = ["CACHE", "SECRET", "STORE", "TICKETS", "Options", "attempt", "refuse"]

_T = TypeVar("_T")

SECRET = "SESSIONSOCK_SECRET"
"""
The environment variable for what signs cookies.
"""

STORE = "SESSIONSOCK_STORE"
"""
The environment variable for C{--store}.
"""

CACHE = "SESSIONSOCK_CACHE"
"""
The environment variable for C{--cache}.
"""

TICKETS = "SESSIONSOCK_TICKET_STORE"
"""
The environment variable for C{--ticket-store}.
"""

_WITH_PASSWORDS = ("--store", "--cache", "--ticket-store")

_CACHED = "django-cached-db"

_MOST_WORKERS = 256


def refuse(problem: object) -> NoReturn:
    """
    End with one line that says why.
    """
    line = " ".join(str(problem).split())
    raise SystemExit(f"twistd sessionsock: {line}")


def attempt(option: str, make: Callable[..., _T], *args: Any, **more: Any) -> _T:
    """
    Make something of an option, whose value may be wrong.
    """
    try:
        return make(*args, **more)
    except (ValueError, TypeError, KeyError, ImportError, SessionError) as error:
        refuse(f"--{option}: {error}")


def _seconds(name: str) -> Callable[[str], float]:
    """
    @return: What reads how many seconds an option says.
    """

    def read(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < inf:
            raise UsageError(f"--{name} is a number of seconds, not {text}")
        return seconds

    return read


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= _MOST_WORKERS:
        raise UsageError(
            f"--workers is a number of processes from 1 to {_MOST_WORKERS}, not {text}"
        )
    return count


def _rate(text: str) -> Rate:
    perSecond, _, burst = text.partition("/")
    try:
        return Rate(float(perSecond), int(burst))
    except (TypeError, ValueError):
        pass
    # Without the error's own words, which are of arguments.
    raise UsageError(
        "--session-rate and --user-rate are messages a second and at once, such as"
        f" 20/40, not {text}"
    )


def _connections(name: str) -> Callable[[str], int]:
    """
    @return: What reads how many connections an option allows.
    """

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and int(text)):
            raise UsageError(
                f"--{name} is a number of connections, 1 or more, not {text}"
            )
        return int(text)

    return read


def _bytes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise UsageError(f"--body-size is a number of bytes, 1 or more, not {text}")
    return int(text)


class Options(BaseOptions):
    """
    What can be said on the command line.

    @ivar asArguments: The same once more, for a worker process; without
        addresses that may have a password in them.
    """

    synopsis = "[options]"
    longdesc = (
        "Serves WebSockets that have the sessions of web pages. Without"
        " --protocol, a demo: http://localhost:8080/"
    )

    optParameters: ClassVar = [
        [
            "store",
            None,
            None,
            "Where sessions are: memory: (the default), sqlite:PATH,"
            " redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss://..."
            " (TLS), redis+unix://PATH,"
            " redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB or, in the table of"
            " a web application, postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE."
            f" Else the variable {STORE}, where no other user sees a password.",
        ],
        [
            "table",
            None,
            None,
            "The web application's table in --store, [SCHEMA.]NAME, if it has not"
            " the usual name; with flask-session and sqlite:, that there is one.",
        ],
        [
            "table-zone",
            None,
            None,
            "The time zone of deadlines in that table, where its column has none,"
            " such as Europe/Berlin. Without it, what the application is known to"
            " write; for Django, the framework's option timeZone.",
        ],
        [
            "cache",
            None,
            None,
            f"With {_CACHED}, the Redis that its cache is in: redis://HOST, as"
            f" for --store. Else the variable {CACHE}.",
        ],
        [
            "ticket-store",
            None,
            None,
            "With --tickets, where they lie if that is not --store, as for it; needed"
            " where sessions are in the table of a web application, or in cookies."
            f" Else the variable {TICKETS}.",
        ],
        [
            "framework",
            None,
            "express",
            "Whose sessions they are: express, django, django-db, django-cached-db,"
            " django-signed-cookies, flask, flask-session, starlette, starsessions,"
            " aiohttp or php.",
        ],
        [
            "secret-file",
            None,
            None,
            "File with the secret that signs session cookies; with several lines,"
            " the first signs and all verify. Bytes are hex:... or base64:...; what"
            " is not UTF-8 is one secret, byte for byte, and without a newline at"
            f" its end another. Else the variable {SECRET}.",
        ],
        ["cookie", None, None, "The name of the session cookie."],
        [
            "freshness",
            None,
            "strict",
            "With --per-message: strict, or tracked (no question to the store).",
        ],
        ["socket-path", None, "ws", "Where in the site the WebSockets are."],
        [
            "socketio-client",
            None,
            None,
            "With --socketio, your copy of socket.io-client for browsers: a file, or"
            " a directory; node_modules/socket.io-client/dist unless said.",
        ],
        [
            "recovery",
            None,
            None,
            "With --socketio, for how many seconds a client that lost its connection"
            " may get what it missed; none unless said.",
            _seconds("recovery"),
        ],
        ["path", None, None, "Serve also the files in this directory."],
        ["wsgi", None, None, "Serve also this WSGI application, package.app."],
        [
            "class",
            None,
            None,
            "Serve also this resource, package.Class; its pages have the sessions"
            " of the sockets.",
        ],
        [
            "max-connections",
            None,
            None,
            "How many sockets each process may have, with those that are only about"
            " to open; any number unless said.",
            _connections("max-connections"),
        ],
        [
            "per-address",
            None,
            None,
            "The same from one address, or one network of IPv6 (/64). Behind a proxy,"
            " of the client that it names by X-Forwarded-For or Forwarded.",
            _connections("per-address"),
        ],
        [
            "per-network",
            None,
            None,
            "The same from one network of IPv6 (/64), if it may have more than"
            " --per-address.",
            _connections("per-network"),
        ],
        [
            "session-rate",
            None,
            None,
            "How many messages of one session are handled a second, and how many"
            " at once, such as 20/40; whatever is more waits at the client.",
            _rate,
        ],
        [
            "user-rate",
            None,
            None,
            "The same for one user, by all sessions.",
            _rate,
        ],
        [
            "workers",
            None,
            1,
            "How many processes serve, all at the same ports; not with memory:,"
            " whose sessions no other process sees. SIGHUP replaces them one by"
            " one.",
            _count,
        ],
        [
            "body-size",
            None,
            Limits().bodySize,
            "How many bytes the body of a request to a page may have; for uploads.",
            _bytes,
        ],
        [
            "drain",
            None,
            10.0,
            "How many seconds closing and storing may take at the end.",
            _seconds("drain"),
        ],
        [
            "metrics",
            None,
            None,
            "An endpoint of its own, such as tcp:9100:interface=127.0.0.1, for figures"
            " that Prometheus reads (/metrics), and for /live and /ready.",
        ],
        [
            "health",
            None,
            None,
            "Where in the site live and ready are, such as health: 200, or 503 while"
            " the store is away or the server ends.",
        ],
    ]

    optFlags: ClassVar = [
        [
            "socketio",
            None,
            "Serve Socket.IO, at /socket.io/, for its official client. Its class is"
            " a --protocol, too.",
        ],
        [
            "tickets",
            None,
            "Give pages tickets, at /sessionsock/ticket, with which their sockets come"
            " without a cookie.",
        ],
        [
            "bearer",
            None,
            "Let clients name their session by Authorization: Bearer, with the signed"
            " value of the cookie.",
        ],
        [
            "per-message",
            None,
            "Make the session fresh for each message and store it after, instead"
            " of loading it once and storing it at the end.",
        ],
        [
            "trust-proxy",
            None,
            "There is a proxy in front, on this machine, that sets X-Forwarded-For,"
            " X-Forwarded-Proto and X-Forwarded-Host.",
        ],
        [
            "forwarded",
            None,
            "The proxy sets Forwarded (RFC 7239) instead of those.",
        ],
    ]

    longOpt: Any
    shortOpt: Any

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["protocol"] = []
        self["origin"] = []
        self["trusted-network"] = []
        self["framework-option"] = []
        self.asArguments: list[str] = []

    def opt_listen(self, endpoint: str) -> None:
        """
        Where to listen, such as tcp:8080 (the default) or
        ssl:443:privateKey=key.pem:certKey=cert.pem. May be repeated.
        """
        self["listen"].append(endpoint)

    def opt_protocol(self, name: str) -> None:
        """
        The class of the sockets, package.Class: a SessionSocketProtocol, or any
        WebSocketServerProtocol of Autobahn; with --socketio a SocketIOSocket. Twice
        for one of each.
        """
        self["protocol"].append(name)

    def opt_framework_option(self, option: str) -> None:
        """
        What differs from the framework's defaults, such as prefix=app: or
        cookie.domain=example.com (as name=value). May be repeated.
        """
        self["framework-option"].append(option)

    def opt_origin(self, origin: str) -> None:
        """
        A further web site whose pages may connect, such as
        https://example.com. May be repeated.
        """
        self["origin"].append(origin)

    def opt_trusted_network(self, network: str) -> None:
        """
        There is a proxy in front in this network, such as 10.0.0.0/8 or
        2001:db8::7, that sets the headers of --trust-proxy. May be repeated.
        """
        self["trusted-network"].append(network)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        @raise SystemExit: They are wrong; with one line that says what.
        """
        try:
            super().parseOptions(options)
        except UsageError as error:
            refuse(f"{error}; see twistd sessionsock --help")
        if options is not None:
            # With the whole name of each, also if it was shortened.
            given, _ = getopt(list(options), self.shortOpt, self.longOpt)
            self.asArguments = [
                f"{name}={value}" if f"{name[2:]}=" in self.longOpt else name
                for name, value in given
                if name not in _WITH_PASSWORDS
            ]

    def postOptions(self) -> None:
        problem = prepareFiles(self.parent or {})
        if problem is not None:
            refuse(problem)
        if self["store"] is None:
            self["store"] = os.environ.get(STORE) or "memory:"
        if self["framework"] == _CACHED:
            self["cache"] = self["cache"] or os.environ.get(CACHE)
            if not self["cache"]:
                raise UsageError(f"{_CACHED} needs --cache: the Redis of its cache")
        elif self["cache"] is not None:
            raise UsageError(f"--cache is for {_CACHED}, not {self['framework']}")
        self._credentials()
        if self["freshness"] not in ("strict", "tracked"):
            raise UsageError(
                f"--freshness is strict or tracked, not {self['freshness']}"
            )
        trusts = self["trust-proxy"] or self["trusted-network"]
        if self["forwarded"] and not trusts:
            raise UsageError("--forwarded needs --trust-proxy or --trusted-network")
        for name in "recovery", "socketio-client":
            if self[name] is not None and not self["socketio"]:
                raise UsageError(f"--{name} is for --socketio")
        pages = [name for name in ("path", "wsgi", "class") if self[name]]
        if len(pages) > 1:
            raise UsageError(f"--{pages[0]} and --{pages[1]} exclude each other")
        if pages and not self["protocol"]:
            raise UsageError(f"--{pages[0]} needs --protocol: the class of the sockets")

    def _credentials(self) -> None:
        if self["tickets"]:
            self["ticket-store"] = self["ticket-store"] or os.environ.get(TICKETS)
        elif self["ticket-store"] is not None:
            raise UsageError("--ticket-store is for --tickets")
        for name in "tickets", "bearer":
            if self[name] and not self["protocol"]:
                raise UsageError(f"--{name} needs --protocol: the class of the sockets")
