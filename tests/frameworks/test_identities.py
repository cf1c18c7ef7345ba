"""
Who is logged in, where an application keeps people as objects.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.managing import SID, ManagerCase
from txsessionsock.frameworks import aiohttp, express, flask, php, starlette
from txsessionsock.interfaces import SessionReplaced


FRAMEWORKS = aiohttp, express, flask, php, starlette


class ObjectTests(SynchronousTestCase):
    """
    In each framework whose applications choose what they keep.
    """

    def assertPeople(self, *users: Any) -> None:
        """
        Each of these is somebody, and no two are the same.
        """
        for framework in FRAMEWORKS:
            people = [framework.whoIsLoggedIn({"user": user}) for user in users]
            self.assertNotIn(None, people)
            for number, one in enumerate(people):
                self.assertNotIn(one, people[:number], framework)

    def assertSame(self, *users: Any) -> None:
        """
        These are one and the same person.
        """
        for framework in FRAMEWORKS:
            people = [framework.whoIsLoggedIn({"user": user}) for user in users]
            self.assertIsNotNone(people[0])
            for other in people[1:]:
                self.assertEqual(other, people[0], framework)

    def test_named(self) -> None:
        """
        What names a person is found, and nothing else counts beside it.
        """
        for name in (
            *("id", "_id", "ID", "uid", "uuid", "pk", "sub", "oid", "user_id"),
            *("userId", "userid", "username", "userName", "login", "email"),
        ):
            with self.subTest(name):
                self.assertPeople({name: "ann"}, {name: "bob"}, {name: 0})
                self.assertSame({name: "ann", "visits": 1}, {name: "ann", "iat": "x"})
        self.assertPeople({"_id": {"$oid": "1"}}, {"_id": {"$oid": "2"}})
        self.assertSame({"_id": "1"}, {"_id": "1", "id": "1"})
        self.assertPeople({"id": None, "email": "ann"}, {"id": "", "email": "bob"})

    def test_claims(self) -> None:
        """
        In a token as Authlib has it, the claims count, and not the token.
        """
        ann, bob = [
            [
                {"access_token": token, "expires_at": token, "userinfo": {"sub": who}}
                for token in (1, 2)
            ]
            for who in ("ann", "bob")
        ]
        self.assertSame(*ann)
        self.assertPeople(ann[0], bob[0])

    def test_givers(self) -> None:
        """
        One and the same name may be given to two people, by two who give names.
        """
        for giver in "iss", "provider":
            self.assertPeople(
                {"id": "1"}, {"id": "1", giver: "git"}, {"id": "1", giver: "hub"}
            )
            self.assertSame(
                {"id": "1", giver: "git"}, {"id": "1", giver: "git", "visits": 2}
            )
        self.assertPeople(
            {"userinfo": {"iss": "https://a.example", "sub": "1"}},
            {"userinfo": {"iss": "https://b.example", "sub": "1"}},
        )

    def test_other(self) -> None:
        """
        An object without such a name is somebody, by its texts and numbers;
        what is kept beside these may change, and so may counts and dates.
        """
        self.assertPeople(
            {"googleId": "1", "name": "ann"},
            {"googleId": "2", "name": "ann"},
            {"googleId": "1", "name": "bob"},
            {"name": "ann"},
            {"deep": {"er": {"name": "ann"}}},
            {"deep": {"er": {"name": "bob"}}},
            ["ann", 1],
            ["ann", 2],
        )
        self.assertSame({"name": "a", "basket": [1]}, {"name": "a", "basket": [1, 2]})
        self.assertSame({"name": "a", "isNew": True}, {"name": "a", "isNew": False})
        self.assertPeople({"customer": "20260101"}, {"customer": "20260102"})
        self.assertPeople({"accountID": 1, "name": "a"}, {"accountID": 2, "name": "a"})
        for seen in (
            (1, 2),
            (1767225600000, 1767225601000),
            (1767225600.5, 1767225601.5),
            ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z"),
            ("2026-01-01 00:00:00+01:00", "2026-01-02"),
        ):
            self.assertSame(*({"name": "a", "seen": when} for when in seen))
        # If there is nothing else, these are all that is known.
        self.assertPeople({"number": 1}, {"number": 2})
        self.assertSame({"number": 1, "basket": []}, {"number": 1, "basket": [1]})

    def test_nobody(self) -> None:
        """
        A guest without an id is nobody.
        """
        guest = {"_id": "", "id": None, "name": "x"}
        guests: list[Any] = [{}, [], guest, {"userinfo": {}}]
        for user in guests:
            for framework in FRAMEWORKS:
                self.assertIsNone(framework.whoIsLoggedIn({"user": user}))


class ReplacedTests(ManagerCase):
    """
    Somebody else on the same id.
    """

    def test_replaced(self) -> None:
        """
        The session ends for whoever had it; for the same person it goes on.
        """
        ann, bob = ({"user": {"_id": who, "name": "x"}} for who in ("ann", "bob"))
        self.put(passport=ann)
        live = self.successResultOf(self.manager.open(SID, self.holder))
        ann["user"]["name"] = "y"
        self.put(passport=ann)
        self.successResultOf(live.reload())
        self.assertEqual(live["passport"], ann)
        self.put(passport=bob)
        self.failureResultOf(live.reload(), SessionReplaced)
        self.assertEqual(self.holder.reasons, ["replaced"])
