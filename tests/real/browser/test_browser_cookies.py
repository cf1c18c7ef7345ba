"""
A browser has one session cookie, whoever set it: a real Express, or our pages.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from selenium.webdriver import Chrome
from twisted.internet.threads import deferToThread

from tests.support.browser import chromium, missing
from tests.support.certificates import Certificates
from tests.support.expresses import DIRECTORY, expressIsThere
from tests.support.redisserver import sharedServer
from tests.support.servers import VERBS, inReactor, program, twistd


pytestmark = [
    pytest.mark.webapps,
    pytest.mark.redis,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    expressIsThere,
]

HOST = "www.shop.localhost"

STRICT = {"domain": "shop.localhost", "path": "/app", "sameSite": "strict"}
EMBEDDED = {
    **{"domain": "shop.localhost", "path": "/app", "sameSite": "none", "secure": True},
    **{"partitioned": True, "priority": "high", "httpOnly": False},
}

_OTHERS = "expires", "size", "sourcePort"


@pytest.mark.parametrize(
    ("cookie", "isHTTPS"), [(STRICT, False), (EMBEDDED, True)], ids=["http", "https"]
)
@inReactor
async def test_one(cookie: dict[str, Any], isHTTPS: bool, tmp_path: Path) -> None:
    """
    A browser has one session cookie, whether the session begins in Express or
    here, with the attributes that Express gives it: after a change, a login and
    a logout, by either of them.
    """
    certificates = Certificates.make(tmp_path) if isHTTPS else None
    lasting = {**cookie, "maxAge": 600_000}
    options = [f"--framework-option=cookie.{n}={_text(v)}" for n, v in cookie.items()]
    async with _express(lasting, certificates) as express:
        async with _ours(certificates) as ours:
            await deferToThread(_begunThere, express, ours)
        async with _ours(
            certificates, *options, "--framework-option=maxAge=600"
        ) as ours:
            await deferToThread(_begunHere, express, ours)


def _text(value: str | bool) -> str:
    return value if isinstance(value, str) else "yes" if value else "no"


@asynccontextmanager
async def _express(
    cookie: dict[str, Any], certificates: Certificates | None
) -> AsyncIterator[str]:
    files = []
    if certificates is not None:
        files = [str(certificates.certificate), str(certificates.key)]
    command = [str(which("node")), str(DIRECTORY / "app.js"), "cookie"]
    command += [str(sharedServer().port), json.dumps(cookie), *files]
    async with program(*command, listen=0) as server:
        await server.until(lambda: "\n" in server.log or server.status is not None)
        assert server.status is None, server.errors
        yield f"http{'s' if files else ''}://{HOST}:{int(server.log)}/app"


@asynccontextmanager
async def _ours(certificates: Certificates | None, *options: str) -> AsyncIterator[str]:
    endpoint = "tcp:0"
    if certificates is not None:
        key, certificate = certificates.key, certificates.certificate
        endpoint = f"ssl:0:privateKey={key}:certKey={certificate}"
    async with twistd(
        *(*VERBS, "--socket-path=app/ws", "--store", sharedServer().url, *options),
        f"--listen={endpoint}:interface=127.0.0.1",
        listen=0,
    ) as server:
        await server.until(lambda: server.ports or server.status is not None)
        assert server.status is None, server.errors
        scheme = "http" if certificates is None else "https"
        yield f"{scheme}://{HOST}:{server.port}/app"
    assert "Traceback" not in server.log, server.log


def _begunThere(express: str, ours: str) -> None:
    with _Browser() as browser:
        browser.post(express, "add?n")
        first = browser.cookie()
        assert first["domain"] == ".shop.localhost"
        assert browser.post(ours, "add?n") == 2
        assert browser.cookie() == first
        browser.post(ours, "login?ann")
        logged = browser.cookie()
        assert logged.pop("value") != first.pop("value")
        assert logged == first
        for site in express, ours:
            assert browser.session(site) == {"n": 2, "user": "ann"}
        assert browser.ask(ours, "get", "user") == "ann"
        browser.post(ours, "logout")
        assert browser.cookies() == []
        assert browser.session(express) == {}


def _begunHere(express: str, ours: str) -> None:
    with _Browser() as browser:
        browser.post(ours, "add?n")
        first = browser.cookie()
        browser.post(express, "login?ann")
        logged = browser.cookie()
        assert logged.pop("value") != first.pop("value")
        assert logged == first
        assert browser.session(ours) == {"user": "ann"}
        assert browser.ask(ours, "get", "user") == "ann"
        browser.post(ours, "logout")
        assert browser.cookies() == []


class _Browser:
    """
    Visits pages, of one site at a time.
    """

    _driver: Chrome

    def __enter__(self) -> _Browser:
        self._context = chromium("--ignore-certificate-errors")
        self._driver = self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def cookies(self) -> list[dict[str, Any]]:
        """
        @return: All cookies of the browser.
        """
        found = self._driver.execute_cdp_cmd("Network.getAllCookies", {})["cookies"]
        return [
            # Without what is another one each time.
            {k: v for k, v in each.items() if k not in _OTHERS}
            for each in found
        ]

    def cookie(self) -> dict[str, Any]:
        """
        @return: The only cookie, which has a lifetime.
        """
        (cookie,) = self.cookies()
        assert cookie["session"] is False
        return cookie

    def session(self, site: str) -> Any:
        """
        @return: The data of the session.
        """
        value = self._run(site, "fetch('session').then(r => r.json())")
        value.pop("_sessionsock", None)
        return value

    def post(self, site: str, what: str) -> Any:
        """
        Post to a page.
        """
        script = f"fetch({what!r}, {{method: 'POST'}}).then(r => r.text())"
        text = self._run(site, script)
        return json.loads(text) if text else None

    def ask(self, site: str, *message: str) -> Any:
        """
        Ask a socket.
        """
        script = """new Promise((resolve, reject) => {
            const socket = new WebSocket("ws");
            socket.onopen = () => socket.send(JSON.stringify(MESSAGE));
            socket.onmessage = event => resolve(JSON.parse(event.data));
            socket.onclose = event => reject(event.code + event.reason);
        })"""
        return self._run(site, script.replace("MESSAGE", json.dumps(message)))

    def _run(self, site: str, promise: str) -> Any:
        # By itself, because what a page asks of another origin is another matter.
        self._driver.get(f"{site}/session")
        done = "arguments[arguments.length - 1]"
        value = self._driver.execute_async_script(
            f"const done = {done}; {promise}.then(done, e => done({{error: `${{e}}`}}))"
        )
        assert not (isinstance(value, dict) and "error" in value), value
        return value
