"""
Tests for C{--framework} and C{--framework-option}.
"""

from __future__ import annotations

from txsessionsock._twistd.framework import NAMES
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.flask import Flask, FlaskSession
from txsessionsock.frameworks.php import PHP
from txsessionsock.interfaces import InvalidCredential
from txsessionsock.stores.cookie import CookieStore

from .test_tap_tables import ShopCase


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
        self.assertIsInstance(made._manager._backend._store, CookieStore)

    def test_wrong(self) -> None:
        """
        What is wrong is said in one line, with what would be right.
        """
        for options, said in (
            (["--framework", "rails"], "one of express, django, "),
            (["--framework=php", "--framework-option=ttl=5"], "handler, cookieName"),
            (["--framework=php", "--framework-option=prefix"], "name=value"),
            (["--framework=php", "--framework-option=maxLifetime=x"], "no number"),
            (["--framework=php", "--framework-option=handler=igbinary"], "handler"),
            (["--framework=starsessions", "--framework-option=rolling=x"], "yes or no"),
            (["--framework=flask-session", "--framework-option=x=1"], "signed"),
        ):
            self.assertIn(said, self.refused(*options))
