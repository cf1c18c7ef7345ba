"""
Tests for what is said while no socket has found a session.
"""

from __future__ import annotations

from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.support.wires import SocketCase
from txsessionsock.frameworks.django import Django
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.frameworks.php import PHP
from txsessionsock.interfaces import IFramework, ISessionStore
from txsessionsock.manager import SessionManager
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sqlite import SQLiteStore


class DoubtsCase(SocketCase):
    """
    A program with pages elsewhere.
    """

    def said(self, *cookies: str | None) -> list[str]:
        """
        Connect with each of some cookies.

        @return: What is logged.
        """
        with capturedLogs() as logs:
            for cookie in cookies:
                self.browse(cookie=cookie)
                self.wait()
        found = [log for log in logs if "Doubts" in str(log.get("log_source"))]
        for log in found:
            isUsual = "came without" in str(formatEvent(log))
            level = LogLevel.info if isUsual else LogLevel.warn
            self.assertEqual(log["log_level"], level)
        return [str(formatEvent(log)) for log in found]


class SocketTests(DoubtsCase):
    """
    What sockets find.
    """

    def setUp(self) -> None:
        super().setUp()
        self.serve()

    def test_reasons(self) -> None:
        """
        Each reason is said once, without what was sent, in the words of Python
        and of C{twistd}.
        """
        signed = self.cookie("s3cret")
        for cookie, words in (
            (None, ["without the cookie 'connect.sid'; if", "(cookieName, --cookie)?"]),
            ("connect.sid=s3cret%", ["is none of Express", "(--framework)"]),
            (f"{signed[:-9]}s3cret", ["not signed by our", "(secrets, --secret-file)"]),
            (signed, ["not in the store, a FlakyStore, where it would be sess:…"]),
        ):
            said = self.said(cookie, cookie)
            self.assertEqual(len(said), 1, (cookie, said))
            for each in words:
                self.assertIn(each, said[0])
            self.assertNotIn("s3cret", said[0])

    def test_found(self) -> None:
        """
        When one socket has found its session, others that do not are visitors,
        also in another factory of the same manager.
        """
        self.put()
        self.assertEqual(len(self.said(None)), 1)
        self.assertEqual(self.said(""), [])
        self.assertEqual(self.said(self.cookie("other")), [])
        self.serve()
        self.assertEqual(self.said(self.cookie("other"), "connect.sid=x"), [])

    def test_late(self) -> None:
        """
        A socket that gives no credential in time says nothing of the settings.
        """
        self.manager.doubts.refused("timeout")
        self.manager.doubts.refused("expired")
        with capturedLogs() as logs:
            self.manager.doubts.refused("timeout")
        self.assertEqual(logs, [])


class StoreTests(DoubtsCase):
    """
    Where a session was looked for.
    """

    def unknown(self, store: ISessionStore, framework: IFramework) -> str:
        """
        @return: What is said of a session that is not there.
        """
        manager = SessionManager(store, framework, self.clock)
        with capturedLogs() as logs:
            manager.doubts.refused("unknown")
        # Others get this store.
        self.successResultOf(manager.stop())
        (line,) = map(formatEvent, logs)
        return str(line)

    def test_stores(self) -> None:
        """
        A store that applications do not use is said to be that, and memory to
        have been empty.
        """
        empty, none = "It was empty when", "of other frameworks have no sessions there"
        express = Express("secret")
        said = self.unknown(MemoryStore(self.clock), express)
        self.assertIn("MemoryStore, where it would be sess:…: are the store", said)
        self.assertIn(empty, said)
        said = self.unknown(SQLiteStore(self.mktemp(), self.clock), PHP())
        self.assertIn("SQLiteStore, where it would be PHPREDIS_SESSION:…: are", said)
        self.assertIn(none, said)
        for framework in express, Django():
            store = RedisStore("redis://:hush@localhost", self.clock)
            said = self.unknown(store, framework)
            self.assertIn("RedisStore, where", said)
            for wrong in empty, none, "hush":
                self.assertNotIn(wrong, said)

    def test_signed(self) -> None:
        """
        Flask-Session may sign ids, which changes where they are looked for.
        """
        store = MemoryStore(self.clock)
        self.assertIn("(signed=True, signed=yes)", self.unknown(store, FlaskSession()))
        self.assertNotIn("signed=", self.unknown(store, PHP()))
