"""
Tests for C{--framework} and C{--framework-option}.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.logger import capturedLogs, formatEvent

from tests.tap.test_tap import verbs
from tests.tap.test_tap_tables import ShopCase
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.flask import Flask, FlaskSession
from txsessionsock.frameworks.php import PHP
from txsessionsock.interfaces import CookieAttributes, InvalidCredential
from txsessionsock.stores._sql.table import FLASK_SESSION
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.tap.framework import NAMES


class FrameworkTests(ShopCase):
    """
    Whose sessions they are.
    """

    def test_all(self) -> None:
        """
        Each can be had, with the cookie that it has usually or the one that is
        named; who signs nothing needs no secret.
        """
        secret, shop = self.secretFile(), self.shop()
        more = {
            "django-db": [shop],
            "django-cached-db": [shop, "--cache=redis://localhost"],
        }
        for name in NAMES:
            options = ("--framework", name, secret, *more.get(name, []))
            framework = self.make(*options)._manager.framework
            self.assertTrue(framework.cookieName)
            named = self.make(*options, "--cookie", "mine")
            self.assertEqual(named._manager.framework.cookieName, "mine")

    def test_options(self) -> None:
        """
        What differs from the defaults is said by name, and taken for what it
        is.
        """
        made = self.make(
            *("--framework", "php", "--framework-option", "prefix=app:"),
            *("--framework-option", "maxLifetime=60"),
            *("--framework-option", "handler=php_serialize"),
        )
        framework = made._manager.framework
        assert isinstance(framework, PHP)
        sessionID = framework.newSessionID()
        self.assertEqual(framework.key(sessionID), f"app:{sessionID}")
        document = framework.newDocument(0.0)
        self.assertEqual(framework.lifetime(document, 0.0), 60)
        framework = self.make(
            "--framework=aiohttp", "--framework-option=maxAge=none"
        )._manager.framework
        self.assertIsInstance(framework, Aiohttp)

    def test_cookie(self) -> None:
        """
        What the web application sets on its cookie is said by name, with every
        framework whose cookies we set; empty text is for no such attribute.
        """
        said: dict[str, tuple[str, Any]] = {
            "domain": ("example.com", "example.com"),
            "path": ("/shop", "/shop"),
            "secure": ("yes", True),
            "httpOnly": ("no", False),
            "sameSite": ("none", "None"),
            "partitioned": ("yes", True),
            "priority": ("high", "High"),
        }
        given = [
            f"--framework-option=cookie.{n}={text}" for n, (text, _) in said.items()
        ]
        expected = CookieAttributes(**{n: value for n, (_, value) in said.items()})
        secret = self.secretFile()
        for name in "express", "django", "flask-session", "starsessions", "aiohttp":
            options = (f"--framework={name}", secret)
            manager = self.make(*options, *given)._manager
            self.assertEqual(manager.cookieAttributes(), expected, name)
            plain = self.make(*options, "--framework-option=cookie.sameSite=")._manager
            self.assertEqual(
                plain.cookieAttributes(), CookieAttributes(sameSite=None), name
            )

    def test_signed(self) -> None:
        """
        Who may sign ids does so if told to, by the secret.
        """
        options = ("--framework", "flask-session", self.secretFile())
        plain = self.make(*options)._manager.framework
        signed = self.make(*options, "--framework-option=signed=yes")
        framework = signed._manager.framework
        assert isinstance(framework, FlaskSession)
        value = framework.cookieValue(plain.newSessionID())
        self.assertIn(".", value)
        bare = plain.cookieValue(plain.newSessionID())
        self.assertRaises(InvalidCredential, framework.sessionID, bare, 0.0)

    def test_inTheBrowser(self) -> None:
        """
        Sessions that live in the browser need no store.
        """
        made = self.make("--framework=flask", self.secretFile())
        self.assertIsInstance(made._manager.framework, Flask)
        self.assertIsInstance(made._manager._storage._store, CookieStore)

    def test_secret(self) -> None:
        """
        An application's secret cannot be made up; nor can it be for a signed
        id, nor for Express in a table.
        """
        shop = self.shop()
        del os.environ["SESSIONSOCK_SECRET"]
        for options in (
            ["--framework=flask"],
            ["--framework=starlette"],
            ["--framework=django-signed-cookies"],
            ["--framework=django-db", shop],
            ["--framework=flask-session", "--framework-option=signed=yes"],
            ["--framework=express", "--store=postgresql://localhost/shop"],
        ):
            self.assertIn("application's secret: right is", self.refused(*options))
        self.make("--framework=flask-session")

    def test_elsewhere(self) -> None:
        """
        Stores that are ours alone are no place of an application's sessions:
        that is said, with the place that was meant.
        """
        with capturedLogs() as logs:
            self.make("--framework=php")
            self.make("--framework=django", "--store=sqlite:own.db")
            self.make("--framework=php", "--store=redis://localhost")
            self.make("--framework=express")
        said = [formatEvent(log) for log in logs if "in {kind}" in log["log_format"]]
        self.assertEqual(len(said), 2)
        self.assertIn("php application has its sessions in memory:", said[0])
        self.assertIn("in sqlite:", said[1])
        self.assertIn("table, --framework django-db", said[1])
        theirs = self.shop(FLASK_SESSION, "flask.db")
        self.assertIn("--table NAME", self.refused("--framework=flask-session", theirs))
        self.assertNotIn("--table", self.refused("--framework=php", theirs))

    def test_nothingBegins(self) -> None:
        """
        Where no page begins sessions, memory has none: that is said at once.
        """
        words = "nothing begins a session in memory:"
        for options, isSaid in (
            (verbs("Verbs"), True),
            ([*verbs("Verbs"), "--path=."], True),
            ([*verbs("Verbs"), "--class=verbs.Pages"], False),
            ([*verbs("Verbs"), "--store=sqlite:own.db"], False),
            ([], False),
        ):
            with capturedLogs() as logs:
                self.make(*options)
            said = [str(formatEvent(log)) for log in logs]
            self.assertEqual(any(words in line for line in said), isSaid, options)

    def test_wrong(self) -> None:
        """
        What is wrong is said in one line, with what would be right.
        """
        for options, said in (
            (["--framework", "rails"], "one of express, django, "),
            (["--framework=php", "--framework-option=ttl=5"], "handler, cookieName"),
            (["--framework=php", "--framework-option=prefix"], "name=value"),
            (["--framework=php", "--framework-option=maxLifetime=x"], "a number"),
            (["--framework=php", "--framework-option=maxLifetime=-1"], "from 0"),
            (["--framework=starsessions", "--framework-option=lifetime=nan"], "from 0"),
            (["--framework=express", "--framework-option=maxAge=inf"], "from 0"),
            (["--framework=django", "--framework-option=timeZone=Mars"], "such as"),
            (["--framework=django", "--framework-option=timeZone=../UTC"], "such as"),
            (["--framework=php", "--framework-option=handler=igbinary"], "handler"),
            (["--framework=starsessions", "--framework-option=rolling=x"], "yes or no"),
            (["--framework=flask-session", "--framework-option=x=1"], "signed"),
            (["--framework=php", "--framework-option=x=1"], "cookie.sameSite"),
            (["--framework=php", "--framework-option=cookie=x"], "cookie.domain"),
            (["--framework=php", "--framework-option=cookie.secure=x"], "yes or no"),
            (["--framework=php", "--framework-option=cookie.sameSite=x"], "Strict, L"),
            (["--framework=php", "--framework-option=cookie.domain=a:1"], "xn--"),
            (["--framework=php", "--framework-option=cookie.path=x"], "begins with /"),
            (
                [
                    *("--framework=php", "--cookie=__Host-sid"),
                    "--framework-option=cookie.domain=example.com",
                ],
                "--framework php: a cookie whose name begins with __Host- has no",
            ),
            (["--framework=flask", "--framework-option=cookie.path=/x"], "salt"),
        ):
            self.assertIn(said, self.refused(*options))
