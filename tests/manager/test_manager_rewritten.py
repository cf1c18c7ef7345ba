"""
Tests for managers beside web applications that write whole sessions in forms
of their own.
"""

from __future__ import annotations

from typing import Any

from tests.support.languages import modelOf
from tests.support.managing import SID, ManagerCase, Recorder
from tests.support.rewritten import REWRITERS
from txsessionsock.interfaces import Document, IFramework
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.session.journal import STAMP


_LIFETIME = 600


class _Scene:
    """
    One application, and a session that it shares with a manager, with all of
    the corpus in it.
    """

    def __init__(self, case: ManagerCase, name: str) -> None:
        self._case = case
        self._model = modelOf(name)
        self.framework: IFramework = REWRITERS[name].framework
        self.key = self.framework.key(SID)
        self.corpus = REWRITERS[name].corpus()
        document = self.framework.newDocument(case.clock.seconds())
        document.data["user"] = "ada"
        raw = self.framework.dumps(document, case.clock.seconds())
        case.successResultOf(case.place.create(self.key, raw, _LIFETIME))
        manager = SessionManager(
            case.newStore(), self.framework, case.clock, repair=True
        )
        self.holder = Recorder()
        self.session: Session = case.successResultOf(manager.open(SID, self.holder))
        self.save(self.corpus)

    def save(self, values: dict[str, Any]) -> None:
        """
        A handler changes the session.
        """
        self.session.update(values)
        self._case.settled(self.session.save())
        self.holder.keys.clear()

    def stored(self) -> dict[str, Any]:
        """
        What is stored.
        """
        data = self.request().data
        return {key: value for key, value in data.items() if key != STAMP}

    def request(self) -> Document:
        """
        A request of the web application begins.

        @return: Its copy of the session.
        """
        current = self._case.successResultOf(self._case.place.load(self.key))
        assert current is not None
        document = self.framework.loads(current.raw, self._case.clock.seconds())
        return Document(self._model(document.data), document.envelope)

    def ends(self, copy: Document, **values: Any) -> None:
        """
        It ends, and writes all that it has.
        """
        case = self._case
        current = case.successResultOf(case.place.load(self.key))
        assert current is not None
        document = Document({**copy.data, **values}, copy.envelope)
        raw = self.framework.dumps(document, case.clock.seconds())
        case.successResultOf(case.place.replace(self.key, current.raw, raw, _LIFETIME))
        case.run_(1)


class RewrittenTests(ManagerCase):
    """
    Whatever a handler stored, and in whatever form the application writes it.
    """

    def test_written(self) -> None:
        """
        Who only writes it again has changed nothing, of which nobody is told.
        """
        for name in REWRITERS:
            self.setUp()
            scene = _Scene(self, name)
            before = dict(scene.session)
            for _ in range(3):
                scene.ends(scene.request())
                self.assertEqual(scene.holder.keys, [], name)
            self.assertTrue(scene.framework.same(dict(scene.session), before), name)

    def test_overwritten(self) -> None:
        """
        Who writes an old copy undoes nothing, and changes what he changes.
        """
        for name in REWRITERS:
            self.setUp()
            scene = _Scene(self, name)
            copy = scene.request()
            scene.save({key: ["new", key] for key in scene.corpus})
            scene.ends(copy, seen=True)
            stored = scene.stored()
            lost = [key for key in scene.corpus if stored.get(key) != ["new", key]]
            self.assertEqual(lost, [], name)
            self.assertIs(stored["seen"], True)
            self.assertEqual(scene.holder.keys, [("seen",)], name)

    def test_changedThere(self) -> None:
        """
        What the application changes is taken over, though it has all the rest
        in another form.
        """
        for name in REWRITERS:
            self.setUp()
            scene = _Scene(self, name)
            keys = [*scene.corpus]
            for those in keys[::2], keys[1::2]:
                copy = scene.request()
                copy.data.update(dict.fromkeys(those, "theirs"))
                scene.ends(copy)
                (told,) = scene.holder.keys
                self.assertEqual({*told}, {*those}, name)
                scene.holder.keys.clear()
            self.assertEqual({scene.session[key] for key in keys}, {"theirs"}, name)

    def test_identity(self) -> None:
        """
        Who is logged in is who it was, in whatever form the application writes
        that, and gets back what it overwrites.
        """
        for who in 10.0, 2**53 + 1, -(2**60) - 1:
            self.setUp()
            scene = _Scene(self, "Express")
            scene.save({"user": who})
            copy = scene.request()
            scene.save({"mine": 1})
            scene.ends(copy)
            self.assertEqual(scene.stored()["mine"], 1, who)
            scene.session["mine"] = 2
            scene.ends(scene.request())
            self.settled(scene.session.save())
            self.assertEqual(scene.stored()["mine"], 2, who)
            self.assertEqual(scene.holder.reasons, [], who)
