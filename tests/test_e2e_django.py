"""
Django itself, and our sockets with its sessions.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from hypothesis import given

from txsessionsock.frameworks.django import (
    Django,
    DjangoDatabase,
    DjangoSignedCookies,
)
from txsessionsock.interfaces import Document

from .recorded import SESSIONS
from .servers import SECRET, inReactor
from .visitors import Refused
from .webapplications import Scene, installed, running


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.redis,
    installed(["django", "redis", "django_redis"]),
]


async def isOut(scene: Scene) -> bool:
    """
    Whether the cookies that the browser has open no session here.
    """
    try:
        socket = await scene.connect()
    except Refused:
        return True
    return (await socket.closes())[0] == 4401


@pytest.mark.parametrize("kind", ["json", "pickled", "django-redis"])
@inReactor
async def test_shared(kind: str) -> None:
    """
    A user of Django's logs in; what one side writes, the other reads, and the
    login stays; a logout closes the socket, and nothing revives the session.
    """
    framework = Django(pickled=kind == "pickled")
    async with running("djangoapp", kind, framework) as scene:
        pages = scene.pages
        assert (await pages.post("/login?ann")).value == {"user": "ann"}
        assert (await pages.post("/add?n")).value["n"] == 1
        socket = await scene.connect()
        assert await socket.ask(["get", "_auth_user_id"]) == "1"
        for n in range(2, 20, 2):
            assert await socket.ask(["add", "n"]) == n
            assert await scene.session() == {"user": "ann", "n": n}
            assert (await pages.post("/add?n")).value["n"] == n + 1
            assert await socket.ask(["get", "n"]) == n + 1
        kept = dict(pages.cookies)
        assert (await pages.post("/logout")).value == {}
        assert await socket.closes() == (4401, "session-destroyed")
        pages.cookies = kept
        assert await isOut(scene)
        assert await scene.session() == {}


@inReactor
async def test_anotherLogin() -> None:
    """
    Django gives the session a new id at each login: the sockets of the old
    one are closed.
    """
    async with running("djangoapp", "json", Django()) as scene:
        await scene.pages.post("/add?n")
        socket = await scene.connect()
        assert await socket.ask(["get", "n"]) == 1
        await scene.pages.post("/login?ann")
        assert await socket.closes() == (4401, "session-destroyed")
        again = await scene.connect()
        assert await again.ask(["get", "n"]) == 1


@inReactor
async def test_cookie() -> None:
    """
    Sessions in signed cookies are read as they were when the socket opened.
    """
    framework = DjangoSignedCookies(SECRET)
    async with running("djangoapp", "cookie", framework) as scene:
        await scene.pages.post("/login?ann")
        socket = await scene.connect()
        assert await socket.ask(["get", "_auth_user_id"]) == "1"
        await scene.pages.post("/add?n")
        assert await socket.ask(["get", "n"]) is None
        assert await (await scene.connect()).ask(["get", "n"]) == 1


@given(SESSIONS)
def test_signing(data: dict[str, Any]) -> None:
    """
    What we sign, Django's own functions read, and the other way round.
    """
    signing: Any = import_module("django.core.signing")
    salt = "django.contrib.sessions.SessionStore"
    framework = DjangoDatabase([SECRET, "an old secret"])
    raw = framework.dumps(Document(data, {}), 1795370044.9)
    for key in SECRET, "an old secret":
        signer = signing.TimestampSigner(key=key, salt=salt, fallback_keys=[])
        if key == SECRET:
            assert repr(signer.unsign_object(raw.decode())) == repr(data)
        text = signer.sign_object(data, compress=True)
        assert repr(framework.loads(text.encode(), 0.0).data) == repr(data)
