"""
Flask itself, and our sockets with its sessions.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recorded import VALUES
from tests.support.servers import SECRET, inReactor
from tests.support.signedcookies import SIGNED, flaskCookie, flaskPayload
from tests.support.webapplications import (
    WIDE,
    changesID,
    installed,
    readsCookies,
    running,
    setsOneCookie,
    sharesSessions,
)
from txsessionsock.frameworks.flask import Flask, FlaskSession


pytestmark = [
    pytest.mark.redis,
    installed(["flask", "flask_session", "flask_sqlalchemy", "redis"]),
]


@pytest.mark.parametrize("kind", ["msgpack", "json", "signer"])
@inReactor
async def test_shared(kind: str) -> None:
    """
    What one side writes, the other reads; a logout closes the socket, and so
    does a login with a new id.
    """
    framework = FlaskSession(
        format="json" if kind == "json" else "msgpack",
        secrets=SECRET if kind == "signer" else None,
    )
    async with running("flaskapp", kind, framework) as scene:
        await sharesSessions(scene)
        await changesID(scene)


@inReactor
async def test_cookie() -> None:
    """
    Flask's own sessions are read as they are in the cookie.
    """
    async with running("flaskapp", "cookie", Flask(SECRET)) as scene:
        await readsCookies(scene)


TAGGED = st.recursive(
    VALUES | st.binary() | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(
            st.sampled_from(["a", " t", " b", " di", " t__"]), inner, max_size=2
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a", " d", " u"]), TAGGED, max_size=2))
def test_tags(data: dict[str, Any]) -> None:
    """
    What Flask's own serializer makes of values, we read as these values.
    """
    serializer = import_module("flask.json.tag").TaggedJSONSerializer()
    value = flaskCookie(flaskPayload(serializer.dumps(data).encode()), SECRET)
    again = Flask(SECRET).loads(value.encode(), SIGNED)
    assert repr(again.data) == repr(data)


@inReactor
async def test_oneCookie() -> None:
    """
    Our pages set the same cookie.
    """
    async with running("flaskapp", "wide", FlaskSession(cookie=WIDE)) as scene:
        await setsOneCookie(scene)
