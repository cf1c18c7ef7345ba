"""
What a framework makes of values on their way through it is the same to it, and
what it would make something else of, is not.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.languages import modelOf
from tests.support.recorded import NOW
from tests.support.rewritten import CORPUS, REWRITERS
from txsessionsock.interfaces import Document, IFramework, UnencodableSession
from txsessionsock.session.merge import same as isEqual


CONFUSABLE: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(0, 0.0, -0.0, False, None, "", "0", [], {}, (), 1, 1.0, True, "1", "1.0"),
        *(
            2**53,
            2**53 + 1,
            2.0**53,
            2**60,
            2**60 + 1,
            10**21,
            1e21,
            10**400,
            -(10**400),
        ),
        *("\ud83d\ude00", "\U0001f600", "\ud83d", "é", "e\u0301", 0.1, 0.1 + 2**-54),
    ]
)
VALUES = st.recursive(
    CONFUSABLE | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.tuples(inner)
        | st.dictionaries(st.sampled_from(["0", "1", "a"]), inner, max_size=2)
    ),
    max_leaves=3,
)
WILD = st.recursive(
    VALUES | st.text(st.characters(), max_size=3) | st.sampled_from([*CORPUS.values()]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(), max_size=2), inner, max_size=3)
    ),
    max_leaves=5,
)


def _stored(framework: IFramework, value: Any) -> Any:
    """
    What is stored of a value, as we read it.
    """
    envelope = framework.newDocument(NOW).envelope
    raw = framework.dumps(Document({"value": value}, envelope), NOW)
    return framework.loads(raw, NOW).data["value"]


class RecordedTests(SynchronousTestCase):
    """
    Tests with what the real ones wrote.
    """

    def test_corpus(self) -> None:
        """
        They wrote all that can be stored there.
        """
        for name, rewriter in REWRITERS.items():
            sent, _, rewritten = rewriter.recorded().datas()
            corpus = rewriter.corpus()
            self.assertGreater(len(corpus), 95)
            self.assertEqual(set(sent) - set(corpus), set(rewritten) - set(corpus))
            for key, value in corpus.items():
                self.assertTrue(
                    isEqual(_stored(rewriter.framework, value), sent[key]), (name, key)
                )

    def test_same(self) -> None:
        """
        What a handler stored, what is read back, what the store has, and what
        the application makes of that, is all the same, in whole and in parts.
        """
        for name, rewriter in REWRITERS.items():
            same = rewriter.framework.same
            sent, stored, rewritten = rewriter.recorded().datas()
            self.assertTrue(same(sent, rewritten), name)
            self.assertTrue(same(stored, sent), name)
            for key, value in rewriter.corpus().items():
                for other in sent[key], stored[key], rewritten[key]:
                    self.assertTrue(same(value, other), (name, key))
                    self.assertTrue(same(other, value), (name, key))

    def test_others(self) -> None:
        """
        Of all that was written, no two values are the same that the
        application tells apart.
        """
        for name, rewriter in REWRITERS.items():
            same = rewriter.framework.same
            corpus = rewriter.corpus()
            rewritten = rewriter.recorded().datas()[2]
            for key, value in corpus.items():
                for other in corpus:
                    self.assertIs(
                        same(value, corpus[other]),
                        isEqual(rewritten[key], rewritten[other]),
                        (name, key, other),
                    )

    def test_models(self) -> None:
        """
        The other languages do what these tests say they do.
        """
        for name, rewriter in REWRITERS.items():
            sent, stored, rewritten = rewriter.recorded().datas()
            for key in rewriter.corpus():
                for before in sent, stored:
                    made = modelOf(name)({key: before[key]})[key]
                    self.assertTrue(isEqual(made, rewritten[key]), (name, key))


class AnyTests(SynchronousTestCase):
    """
    Tests with anything, and models of the other languages.
    """

    def test_any(self) -> None:
        """
        Whatever a framework makes of a value is the same to it.
        """
        rewriters = [(modelOf(name), each) for name, each in REWRITERS.items()]

        @settings(deadline=None)
        @given(WILD)
        def check(value: Any) -> None:
            for model, rewriter in rewriters:
                framework = rewriter.framework
                try:
                    stored = _stored(framework, value)
                except UnencodableSession:
                    continue
                made = model({"value": stored})["value"]
                assert framework.same(value, stored), rewriter
                assert framework.same(value, made), rewriter
                assert framework.same(made, stored), rewriter

        check()

    def test_two(self) -> None:
        """
        Two values are the same exactly if the framework makes one of both.
        """
        rewriters = [(modelOf(name), each) for name, each in REWRITERS.items()]

        @settings(deadline=None)
        @given(VALUES, VALUES)
        def check(one: Any, other: Any) -> None:
            for model, rewriter in rewriters:
                framework = rewriter.framework
                try:
                    made = [
                        model({"value": _stored(framework, value)})["value"]
                        for value in (one, other)
                    ]
                except UnencodableSession:
                    continue
                isSame = isEqual(*made)
                assert framework.same(one, other) is isSame, rewriter
                assert framework.same(other, one) is isSame, rewriter

        check()
