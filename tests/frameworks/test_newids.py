"""
Tests for the ids of sessions that begin here, with any framework.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import log2

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import Django, DjangoDatabase
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.frameworks.php import PHP
from txsessionsock.frameworks.starlette import Starsessions
from txsessionsock.interfaces import IFramework


_MANY = 2000
"""
So many that each character comes at each place.  In a thousand million runs, one of
64 might be missing once.
"""


def frameworks() -> Iterator[IFramework]:
    """
    Those whose sessions have ids.
    """
    yield Aiohttp()
    yield Django()
    yield DjangoDatabase(["a secret"])
    yield Express(["a secret"])
    yield FlaskSession()
    yield PHP()
    yield Starsessions()


class NewIDTests(SynchronousTestCase):
    """
    Tests for C{newSessionID}.
    """

    def test_bits(self) -> None:
        """
        They can be told from at least 2**128, as ASVS 5.0.0 asks in 7.2.3: the
        characters that come at a place are what there is to guess.
        """
        for framework in frameworks():
            ids = [framework.newSessionID() for _ in range(_MANY)]
            bits = sum(log2(len(set(place))) for place in zip(*ids, strict=True))
            self.assertGreaterEqual(bits, 128, framework)

    def test_different(self) -> None:
        """
        Each session has another one.
        """
        for framework in frameworks():
            ids = {framework.newSessionID() for _ in range(_MANY)}
            self.assertEqual(len(ids), _MANY, framework)

    def test_secure(self) -> None:
        """
        Who knows the state of L{random} does not know the next one.
        """
        state = random.getstate()
        self.addCleanup(random.setstate, state)
        for framework in frameworks():
            random.setstate(state)
            first = framework.newSessionID()
            random.setstate(state)
            self.assertNotEqual(framework.newSessionID(), first, framework)
