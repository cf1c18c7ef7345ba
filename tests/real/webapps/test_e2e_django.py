"""
Django itself, and our sockets with its sessions.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from hypothesis import given

from tests.support.recorded import SESSIONS
from tests.support.servers import SECRET, inReactor
from tests.support.webapplications import (
    WIDE,
    installed,
    readsCookies,
    running,
    setsOneCookie,
    sharesSessions,
)
from txsessionsock.frameworks.django import Django, DjangoDatabase, DjangoSignedCookies
from txsessionsock.interfaces import Document


pytestmark = [
    pytest.mark.redis,
    installed(["django", "redis", "django_redis"]),
]


# What is in a session in which the first user of Django's is logged in.
LOGIN = ("_auth_user_id", "1")


@pytest.mark.parametrize("kind", ["json", "pickled", "django-redis"])
@inReactor
async def test_shared(kind: str) -> None:
    """
    A user of Django's logs in; what one side writes, the other reads, and the
    login stays; a logout closes the socket, and nothing revives the session.
    """
    framework = Django(pickled=kind == "pickled")
    async with running("djangoapp", kind, framework) as scene:
        await sharesSessions(scene, LOGIN)


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
        await readsCookies(scene, LOGIN)


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


@inReactor
async def test_oneCookie() -> None:
    """
    Our pages set the same cookie.
    """
    async with running("djangoapp", "wide", Django(cookie=WIDE)) as scene:
        await setsOneCookie(scene)
