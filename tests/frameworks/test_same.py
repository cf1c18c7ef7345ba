"""
What is one and the same to the applications of a framework, and which sessions
end when they are emptied.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import Django, DjangoDatabase, DjangoSignedCookies
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import Flask, FlaskSession
from txsessionsock.frameworks.php import PHP
from txsessionsock.frameworks.starlette import Starlette, Starsessions
from txsessionsock.interfaces import IFramework


MSGPACK = FlaskSession()
PICKLES = Django(pickled=True), FlaskSession(pickled=True), Flask("s3cret")
PYTHON = (
    *(Aiohttp(), Django(), DjangoDatabase("s3cret"), DjangoSignedCookies("s3cret")),
    *(FlaskSession(format="json"), Starsessions(), Starlette("s3cret")),
)
EXPRESS = Express("s3cret")
PHPS = PHP(), PHP(handler="php_serialize")
ALL: tuple[IFramework, ...] = (*PICKLES, *PYTHON, MSGPACK, EXPRESS, *PHPS)

BIG = 2**53
NAN = float("nan")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HERE = NOON.astimezone(timezone(timedelta(hours=2)))
# To Python such a time is never equal to one in another zone.
TWICE = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
SAME: tuple[tuple[tuple[IFramework, ...], tuple[tuple[Any, Any], ...]], ...] = (
    (ALL, ((0.0, -0.0), (NAN, float("nan")), ([], []))),
    (
        (*PYTHON, MSGPACK, EXPRESS, *PHPS),
        (((), []), ((1, (2,)), [1, [2]]), ([(1,)], ([1],))),
    ),
    (
        (*PYTHON, EXPRESS),
        (
            ("\ud83d\ude00", "\U0001f600"),
            ({"\ud83d\ude00": 1}, {"\U0001f600": 1}),
            ("\ude00\ud83d\ude00\ud83d", "\ude00\U0001f600\ud83d"),
        ),
    ),
    (
        (EXPRESS,),
        (
            *((10, 10.0), (-1, -1.0), (1e21, 10**21), (0, -0.0)),
            *((BIG, BIG + 1), (-BIG, -BIG - 1), (BIG, float(BIG + 1))),
            *((10**400, None), (10**400, -(10**500)), (NAN, None)),
        ),
    ),
    (
        (MSGPACK,),
        ((NOON, HERE), ({1: NOON}, {1: HERE}), (TWICE, TWICE.astimezone(UTC))),
    ),
    (
        PHPS,
        (
            *(({}, []), ({}, ()), ({"0": "a"}, ["a"])),
            *(({"0": {}, "1": (1,)}, [[], [1]]), ({"5": 1}, {"5": 1})),
        ),
    ),
)
"""
What is the same to whom.  All of it is tried in a list and in a dictionary too.
"""

OTHER: tuple[tuple[tuple[IFramework, ...], tuple[tuple[Any, Any], ...]], ...] = (
    (
        ALL,
        (
            *((1, True), (0, False), (1.0, True), (0, None), ("", None), ([], None)),
            *((1, "1"), (1.5, "1.5"), (0.1, 0.2), (0.1, 0.1 + 2**-54), (1, 2)),
            *((BIG, BIG - 1), (1e308, -1e308), (5e-324, 0.0), ("1", "01")),
            *(("a", "A"), ("é", "e\u0301"), ("\ud800", "\udc00"), ("", "\0")),
            *(({"a": None}, {}), ({"a": 1}, {"b": 1}), ({"a": 1}, {"a": 1, "b": 1})),
            *(([1, 2], [2, 1]), ([1], [1, 1]), ([[]], []), ({"a": []}, ["a"])),
            *((["a", "b"], {"1": "b", "0": "a"}), (["a"], {"1": "a"})),
            (["b", "a"], {"1": "b", "0": "a"}),
            *(({"1": 1}, {"01": 1}), ("a", ["a"]), (NAN, 0.0), (1, [1])),
        ),
    ),
    (
        (*PICKLES, *PYTHON, MSGPACK, *PHPS),
        (
            *((10, 10.0), (BIG, BIG + 1), (10**21, 1e21), (NAN, None)),
            *((2**63 - 1, float(2**63)), (10**400, None)),
        ),
    ),
    (
        (*PICKLES, *PYTHON, MSGPACK, EXPRESS),
        (({}, []), ({"0": "a"}, ["a"]), ({"0": 1}, [1])),
    ),
    ((EXPRESS,), ((BIG, BIG + 2), (0.1, 0.1 + 2**-54), (10**300, None))),
    (
        (*PICKLES, MSGPACK),
        (
            *((b"a", "a"), ({1: "a"}, {"1": "a"}), ({1: "a"}, {True: "a"})),
            *((NOON, NOON + timedelta(microseconds=1)), (NOON, "2026")),
            (NOON, NOON.replace(tzinfo=None)),
        ),
    ),
    (
        PICKLES,
        (
            *(((1,), [1]), ({1}, {True}), ({1}, frozenset({1})), ({1}, {2})),
            ("\ud83d\ude00", "\U0001f600"),
        ),
    ),
    (PHPS, (({"0": 1, "1": 2}, {"1": 2, "0": 1}), ({"": 1}, [1]))),
)
"""
What is not the same to whom.
"""


def placed(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """
    Two values by themselves, and in the places where values are.
    """
    yield one, other
    yield {"k": one, "l": 1}, {"l": 1, "k": other}
    yield [0, [one]], [0, [other]]
    yield {"k": [{"l": one}]}, {"k": [{"l": other}]}


class SameTests(SynchronousTestCase):
    """
    Tests for L{IFramework.same}.
    """

    def test_same(self) -> None:
        """
        What a framework writes in another form than it was, is the same to it.
        """
        for frameworks, pairs in SAME:
            for framework, pair in product(frameworks, pairs):
                for one, other in placed(*pair):
                    self.assertIs(framework.same(one, other), True, (framework, pair))
                    self.assertIs(framework.same(other, one), True, (framework, pair))

    def test_other(self) -> None:
        """
        What only an application can have made of a value is not the same.
        """
        for frameworks, pairs in OTHER:
            for framework, pair in product(frameworks, pairs):
                for one, other in placed(*pair):
                    self.assertIs(framework.same(one, other), False, (framework, pair))
                    self.assertIs(framework.same(other, one), False, (framework, pair))

    def test_equivalence(self) -> None:
        """
        Of all these values, each is the same as itself, and what is the same
        as one value is the same as all that are.
        """
        groups = [pairs for _, pairs in (*SAME, *OTHER)]
        values = [value for pairs in groups for pair in pairs for value in pair]
        for framework in ALL:
            alike = [
                {n for n, other in enumerate(values) if framework.same(one, other)}
                for one in values
            ]
            for n, those in enumerate(alike):
                self.assertIn(n, those)
                for other in those:
                    self.assertEqual(alike[other], those)


class EndedTests(SynchronousTestCase):
    """
    Tests for L{IFramework.isEnded}.
    """

    def test_ended(self) -> None:
        """
        An emptied session ends with Flask-Session, which may keep a key of
        its own there, starsessions and aiohttp-session, and with the cookies of
        Flask and Starlette; not with the others.
        """
        ending: list[IFramework] = [Starsessions(), Aiohttp(), Flask("s3cret")]
        flask = [FlaskSession(), FlaskSession(format="json"), PICKLES[1]]
        ending += [Starlette("s3cret"), *flask]
        for framework in (*ALL, *ending):
            ends = type(framework) in set(map(type, ending))
            self.assertIs(framework.isEnded({}), ends, framework)
            for data in {"user": None}, {"_permanent": True, "user": 1}:
                self.assertIs(framework.isEnded(data), False, framework)
            for permanent in True, False:
                self.assertIs(
                    framework.isEnded({"_permanent": permanent}),
                    type(framework) is FlaskSession,
                    framework,
                )
