"""
What web applications make of values that they do not change: they read and
write whole sessions, in forms of their own.

C{python -m tests.support.rewritten} in the top directory has the real ones write
C{tests/fixtures/rewritten} anew.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import partial
from importlib import import_module
from math import inf, nan
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.support.recorded import FIXTURES, NOW
from tests.support.servers import SECRET, reactor
from tests.support.webapplications import running
from tests.support.webstores import APPLICATIONS, Application, Place
from txsessionsock.frameworks.django import Django
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.interfaces import KEEP, Document, IFramework, UnencodableSession
from txsessionsock.stores._sql.table import CONNECT_PG_SIMPLE
from txsessionsock.stores.sql import SQLStore


__all__ = ["REWRITERS", "Rewriter", "Rewritten"]

_DIRECTORY = FIXTURES / "rewritten"
_MARK = "marked"

_HALVES = "\ud83d\ude00", "\ud800", "\udc00", "\ude00\ud83d", "a\udcff"
_TEXTS = (
    *("", "a", "é", "e\u0301", "\U0001f600", "\x7f", "\u2028", "\ufeff", "\uffff"),
    *('"', "\\", "/", "</script>", "0", "-0", "10.0", "1e3", "true", "null", "\r\n\t"),
)
_INTEGERS = (
    *(0, 1, -1, 2**31, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**60 + 1),
    *(2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 10**21, 10**22 + 1, 10**308),
    *(2**1024, 10**400, -(10**400)),
)
_FLOATS = (
    *(0.0, -0.0, 1.0, 10.0, -1.0, 0.1, 0.1 + 0.2, 1 / 3, 4.35, 123456789.125),
    *(1e15, 1e16, 1e17, 1e20, 1e21, 1e22, 1e23, 1.5e300, 1.7976931348623157e308),
    *(1e-4, 1e-5, 1e-6, 1e-7, 2.2250738585072014e-308, 5e-324, 1.5e-10),
    *(2.0**53, 2.0**60, 2.0**63, -(2.0**63), 2.0**64, nan, inf, -inf),
)
_GROUPS: tuple[Any, ...] = (
    *([], [[]], [{}], {}, {"a": {}}, {"a": []}, (), (1, 2), [(1, (2.0,))], [None, 1.0]),
    *({"": 1}, {"0": "a"}, {"0": "a", "1": "b"}, {"1": "b", "0": "a"}, {"1": "a"}),
    *({"-1": 1}, {"01": 1}, {"-0": 1}, {"1.5": 1}, {"9223372036854775807": 1}),
    *({"9223372036854775808": 1}, {"10": 1, "b": 2, "9": 3, "a": 4}, {"é": 1}),
    *({"__proto__": {"a": 1}}, {"constructor": 1}, {"toJSON": 1}, {"length": 2}),
    *({"cookie": 1}, {"0": {"0": {}}}, [{"0": ()}], {"a b|c": [1.0, -0.0]}),
)
_AWARE = (
    datetime(2026, 7, 1, 12, 0, 0, 123456, UTC),
    datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2, minutes=30))),
    datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
)
_TYPES = (
    *(b"", b"\xff\0", {1: "a"}, {1: "a", "1": "b"}, {-1: [b"a"]}, *_AWARE),
    *(_AWARE[0].replace(tzinfo=None), date(2026, 7, 1), time(12, 30)),
    *(timedelta(days=-1, microseconds=1), Decimal("1.50"), UUID(int=5)),
    *({1, "a"}, frozenset({2.5}), {None: 1, True: 2, 2.5: 3}, {b"k\xff": 1, (): 2}),
    *({(1, 2): "a", ("b", (b"", None, -0.0)): [inf]}, {_AWARE[0]: 1, (_AWARE[1],): 2}),
    *({inf: nan, -inf: {(True,): -inf}}, {date(2026, 7, 1): 1, UUID(int=5): 2}),
    *({Decimal("1.50"): 1, frozenset({1, ("a",)}): 2}, {frozenset({(1,)})}),
    *(Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity")),
)
_NAMES = (
    *("", " ", "!a", "0", "-5", "01", "a|b", "é", "\U0001f600", "\ud800", "a\0", "\0a"),
    *("length", "then", "toJSON", "session", "created", "_a", "a.b", "a[b]", "'\"\\"),
)
CORPUS: dict[str, Any] = dict.fromkeys(_NAMES, "a") | {
    f"{what}{number}": value
    for what, values in (
        ("constant", (None, True, False)),
        ("text", (*_TEXTS, "\0")),
        ("half", _HALVES),
        ("half-key", ({"\ud83d\ude00": 1}, {"\ud800": 1})),
        ("integer", _INTEGERS),
        ("float", _FLOATS),
        ("group", _GROUPS),
        ("type", _TYPES),
    )
    for number, value in enumerate(values)
}
"""
What handlers may store; some of it, a framework may refuse.
"""


@dataclass(frozen=True)
class Rewritten:
    """
    A session that an application has written again, and changed nothing in it
    but one key.

    @ivar sent: What we wrote.

    @ivar stored: How the store has it.

    @ivar rewritten: What the application made of that.
    """

    framework: IFramework
    sent: bytes = field(repr=False)
    stored: bytes = field(repr=False)
    rewritten: bytes = field(repr=False)

    def datas(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """
        The same, read by us, without what the application changed.
        """
        sent, stored, rewritten = (
            self.framework.loads(raw, NOW).data
            for raw in (self.sent, self.stored, self.rewritten)
        )
        assert rewritten.pop(_MARK) is True
        return sent, stored, rewritten


@dataclass(frozen=True)
class Rewriter:
    """
    An application that writes sessions again.

    @ivar refuses: What its store refuses: beginnings of keys.
    """

    application: Application
    file: str
    refuses: tuple[str, ...] = ()

    @property
    def framework(self) -> IFramework:
        return self.application.framework()

    def corpus(self) -> dict[str, Any]:
        """
        What can be stored of the corpus.
        """
        return {
            key: value
            for key, value in CORPUS.items()
            if not key.startswith(self.refuses)
            and _canHold(self.framework, {key: value})
        }

    def recorded(self) -> Rewritten:
        """
        What the real one did.
        """
        said = json.loads((_DIRECTORY / f"{self.file}.json").read_text("ascii"))
        sent = b64decode(said["sent"])
        stored = b64decode(said.get("stored", said["sent"]))
        return Rewritten(self.framework, sent, stored, b64decode(said["rewritten"]))

    async def rewrite(self) -> Rewritten:
        """
        Have the real one do it.
        """
        async with self.application.atWork() as place:
            pages, framework, store = (
                place.scene.pages,
                place.framework,
                place.newStore(),
            )
            try:
                assert (await pages.post(f"/mark?{_MARK}")).code == 200
                cookie = pages.cookies[framework.cookieName]
                now = reactor.seconds()
                key = framework.key(framework.sessionID(cookie, now))
                found = await store.load(key)
                document = framework.loads(found.raw, now)
                document.data.update(self.corpus())
                del document.data[_MARK]
                sent = framework.dumps(document, now)
                stored = await store.replace(key, found.raw, sent, KEEP)
                assert (await pages.post(f"/mark?{_MARK}")).code == 200
                rewritten = await store.load(key)
            finally:
                await store.close()
        return Rewritten(framework, sent, stored.raw, rewritten.raw)

    async def record(self) -> None:
        """
        Write down what the real one does.
        """
        done = await self.rewrite()
        raws = {"sent": done.sent, "rewritten": done.rewritten}
        if done.stored != done.sent:
            raws["stored"] = done.stored
        said = {name: b64encode(raw).decode() for name, raw in raws.items()}
        _DIRECTORY.mkdir(exist_ok=True)
        text = json.dumps(said, indent=1) + "\n"
        (_DIRECTORY / f"{self.file}.json").write_text(text, "ascii")


def _canHold(framework: IFramework, data: dict[str, Any]) -> bool:
    try:
        framework.dumps(Document(data, framework.newDocument(NOW).envelope), NOW)
    except UnencodableSession:
        return False
    return True


@asynccontextmanager
async def _inJSONB(application: Application) -> AsyncIterator[Place]:
    # Where there is no server, only this is not run.
    case: Any = import_module("tests.support.postgresqlcase")
    server, table = case.sharedServer(), CONNECT_PG_SIMPLE
    database = server.newDatabase()
    schema = case.SCHEMAS[table].replace("json NOT NULL", "jsonb NOT NULL")
    assert "jsonb" in schema
    server.execute(schema, database=database)
    url = server.url(database)
    newStore = partial(SQLStore, url, table, reactor)
    async with running(
        application.program,
        application.kind,
        application.framework(),
        store=newStore(),
        place=url,
    ) as scene:
        nobody: Any = None
        yield Place(scene, application.framework(), nobody, newStore)


def _rewriters() -> dict[str, Rewriter]:
    files = {
        "aiohttp": "aiohttp_redis",
        "Django": "django_cache_json",
        "Django, SQLite": "django_db_sqlite",
        "Django, PostgreSQL": "django_db_postgresql",
        "Django, cached_db": "django_cached_db",
        "Flask-Session": "flask_session_msgpack",
        "Flask-Session, SQLite": "flask_session_sqlite",
        "Flask-Session, PostgreSQL": "flask_session_postgresql",
        "starsessions": "starsessions_redis",
        "Express": "express_redis",
        "Express, PostgreSQL": "express_postgresql_json",
        "PHP": "php",
        "PHP, php_serialize": "php_serialize",
    }
    found = {name: Rewriter(APPLICATIONS[name], file) for name, file in files.items()}

    def vary(name: str, **changes: Any) -> Application:
        return replace(APPLICATIONS[name], **changes)

    redis, pickled = vary("Django", kind="django-redis"), partial(Django, pickled=True)
    found["Django, django-redis"] = Rewriter(redis, "django_redis_json")
    found["Django, pickled"] = Rewriter(
        vary("Django", kind="pickled", framework=pickled), "django_cache_pickle"
    )
    found["Flask-Session, JSON"] = Rewriter(
        vary(
            "Flask-Session", kind="json", framework=partial(FlaskSession, format="json")
        ),
        "flask_session_json",
    )
    # That has Unicode's characters only, and not the first of them.
    found["Express, jsonb"] = Rewriter(
        vary(
            "Express, PostgreSQL",
            framework=partial(Express, SECRET, prefix=""),
            place=_inJSONB,
        ),
        "express_postgresql_jsonb",
        ("half", f"text{len(_TEXTS)}", "\ud800", "a\0", "\0a"),
    )
    return found


REWRITERS = _rewriters()
"""
By what tests call them.
"""


async def _main() -> None:
    for name, rewriter in REWRITERS.items():
        await rewriter.record()
        print(name, flush=True)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(_main()))
