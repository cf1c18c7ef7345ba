# -*- test-case-name: tests.redis.test_redis_url -*-
"""
Where a Redis is: the URLs that name one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit


__all__ = ["RedisAddress"]

_EXAMPLES = {
    "redis": "redis://localhost:6379/0",
    "rediss": "rediss://user:password@redis.example.com:6379/0",
    "redis+unix": "redis+unix:///run/redis.sock?db=0",
    "redis+sentinel": "redis+sentinel://one:26379,two:26379/service/0",
    "rediss+sentinel": "rediss+sentinel://one:26379,two:26379/service/0",
}

_TLS = ("ca", "cert", "key")
_SENTINEL = ("sentinel-user", "sentinel-password")
_NUMBER = re.compile("[0-9]{1,9}")


@dataclass(frozen=True)
class RedisAddress:
    """
    Where a Redis is, and as whom to go there.

    @ivar hosts: Names and ports: of the server, or of the sentinels that know
        it; none for a socket.

    @ivar path: Of the Unix socket, if it is one.

    @ivar service: What the sentinels call the server, if they are asked.

    @ivar database: Its number; L{None} for the one that a connection has
        anyway.

    @ivar sentinelUser: As whom to ask sentinels, with C{sentinelPassword}.

    @ivar isSecure: Whether to use TLS.

    @ivar authorities: A file of the certificates to trust, instead of the
        platform's.

    @ivar certificate: A file of our own certificate, with C{privateKey}.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    service: str | None = None
    database: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinelUser: str | None = None
    sentinelPassword: str | None = field(default=None, repr=False)
    isSecure: bool = False
    authorities: str | None = None
    certificate: str | None = None
    privateKey: str | None = None

    def __str__(self) -> str:
        """
        The URL, without what is secret.
        """
        database = "" if self.database is None else str(self.database)
        if self.path is not None:
            return f"redis+unix://{self.path}" + (database and f"?db={database}")
        hosts = ",".join(_joined(host, port) for host, port in self.hosts)
        scheme = "rediss" if self.isSecure else "redis"
        if self.service is not None:
            return f"{scheme}+sentinel://{hosts}/{self.service}/{database}"
        return f"{scheme}://{hosts}/{database}"

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """
        Read a URL.

        @raise ValueError: It names no Redis.  The message says what is wrong,
            and has no password in it.
        """
        scheme = url.partition(":")[0].lower()
        if scheme not in _EXAMPLES:
            # The scheme is not shown: what stands before the first colon may be
            # a password.
            known = ", ".join(f"{name}://" for name in _EXAMPLES)
            raise ValueError(f"the URL of a Redis begins with one of {known}")
        try:
            parts = urlsplit(url)
        except ValueError:
            _refuse(scheme, "this cannot be read: a [ in a password is written %5B")
        if not url[len(scheme) :].startswith("://"):
            _refuse(scheme, f"{scheme}: is followed by two slashes")
        if parts.fragment:
            _refuse(scheme, "a # in a password is written %23")
        if "@" in parts.path + parts.query:
            _refuse(scheme, "an @, / or ? in a password is written %40, %2F or %3F")
        return cls._fromParts(scheme, parts)

    @classmethod
    def _fromParts(cls, scheme: str, parts: SplitResult) -> RedisAddress:
        options = _options(scheme, parts.query)
        credentials, _, place = parts.netloc.rpartition("@")
        user, colon, password = credentials.partition(":")
        if user and not colon:
            _refuse(scheme, "a password comes after a colon")
        hosts: tuple[tuple[str, int], ...] = ()
        path = service = None
        database = options.get("db", "")
        if scheme == "redis+unix":
            if place or parts.path in ("", "/"):
                _refuse(scheme, "the path of a socket follows redis+unix://")
            path = unquote(parts.path)
        else:
            service, number = _path(scheme, parts.path)
            database = number or database
            port = 26379 if service is not None else 6379
            hosts = tuple(_host(scheme, h, port) for h in place.split(","))
        if len(hosts) > 1 and service is None:
            _refuse(scheme, "several hosts are for sentinels only")
        if ",," in f",{place}," and place:
            _refuse(scheme, "a host is missing")
        if database and not _NUMBER.fullmatch(database):
            _refuse(scheme, "the database is a number")
        return cls(
            hosts=hosts,
            path=path,
            service=service,
            database=int(database) if database else None,
            user=unquote(user) or None,
            # Some users' password is empty.
            password=unquote(password) if user or password else None,
            sentinelUser=options.get("sentinel-user"),
            sentinelPassword=options.get("sentinel-password"),
            isSecure=scheme.startswith("rediss"),
            authorities=options.get("ca"),
            certificate=options.get("cert"),
            privateKey=options.get("key"),
        )


def _refuse(scheme: str, problem: str) -> NoReturn:
    # The message shows nothing of the URL: if a password has a / or ? in it,
    # parts of it are in the path or in the query.
    raise ValueError(f"{problem}; right is, for example, {_EXAMPLES[scheme]}") from None


def _options(scheme: str, query: str) -> dict[str, str]:
    known = ["db", *(_TLS if scheme.startswith("rediss") else ())]
    known += _SENTINEL if scheme.endswith("+sentinel") else ()
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            _refuse(scheme, f"what can follow ? is {', '.join(known)}")
    if ("cert" in options) != ("key" in options):
        _refuse(scheme, "cert= and key= go together")
    if "sentinel-user" in options and "sentinel-password" not in options:
        _refuse(scheme, "sentinel-user= needs sentinel-password=")
    return options


def _path(scheme: str, path: str) -> tuple[str | None, str]:
    """
    Take the service, for sentinels, and the database from a path.
    """
    names = [unquote(name) for name in path.strip("/").split("/")]
    service = names.pop(0) if scheme.endswith("+sentinel") else None
    if service == "":
        _refuse(scheme, "the name of the service is missing")
    if len(names) > 1:
        _refuse(scheme, "there is too much after the host")
    return service, names[0] if names else ""


def _host(scheme: str, text: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        return parts.hostname or "localhost", port if parts.port is None else parts.port
    except ValueError:
        _refuse(scheme, "the port is a number up to 65535, and IPv6 stands in [ ]")


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
