"""
Tests for L{txsessionsock.demo} as a site, without a browser.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.servers import inReactor, twistd
from tests.support.visitors import Answer, Refused, Visitor


class Guest(Visitor):
    """
    A visitor who does what the script of the page does.
    """

    async def act(self, path: str, value: object = None, **more: str) -> Answer:
        """
        Post as the script of the page.
        """
        return await self.post(path, value, X_Demo_Tab="mine", **more)


async def welcomed(port: int) -> Guest:
    """
    @return: A visitor who has seen the page.
    """
    guest = Guest(port)
    assert (await guest.get("/")).code == 200
    return guest


@inReactor
async def test_page() -> None:
    """
    A visitor of the page has a session, whose id is in nothing that is served.
    All files that the page refers to are there.  Other sites cannot frame the
    page.
    """
    async with twistd() as server:
        guest = Guest(server.port)
        page = await guest.get("/")
        text = page.body.decode()
        value = guest.cookies["connect.sid"]
        paths = re.findall(r'(?:src|href)="(/[^"]+)"', text)
        assert len(paths) >= 4
        for path in paths:
            answer = await guest.get(path)
            assert answer.code == 200, path
            assert value[4:20].encode() not in answer.body
        assert value[4:20] not in text
        (policy,) = page.headers.getRawHeaders("content-security-policy", [])
        assert "frame-ancestors 'none'" in policy
        assert page.headers.getRawHeaders("cache-control") == ["no-store"]
        assert (await guest.get("/static/demo.html")).code == 404
        assert (await guest.get("/nothing")).code == 404


@inReactor
async def test_conversation() -> None:
    """
    A socket tells the session when it opens, as the answer to a ping, and when
    a request changed it.  It never tells keys that begin with an underscore.
    """
    async with twistd() as server:
        guest = await welcomed(server.port)
        socket = await guest.connect()
        first = await socket.next()
        assert (first["by"], first["changed"]) == ("you", [])
        assert first["session"]["visits"] == 1
        pong = await socket.ask({"type": "ping", "tab": "mine"})
        assert (pong["by"], pong["changed"]) == ("you", ["pings"])
        assert pong["session"]["pings"] == 1
        assert (await guest.act("/add")).code == 204
        added = await socket.next()
        assert (added["by"], added["changed"]) == ("other", ["basket"])
        assert added["last"] == {"via": "http", "tab": "mine"}
        assert sum(added["session"]["basket"].values()) == 1
        assert not [key for key in added["session"] if key.startswith("_")]
        socket.say({"type": "ping"}, {"type": "ping", "tab": 1}, [], None, "ping")
        pong = await socket.ask({"type": "ping", "tab": "mine"})
        assert pong["session"]["pings"] == 2


@inReactor
async def test_login() -> None:
    """
    Logging in changes the id.  Values that are no name log nobody in.
    """
    async with twistd() as server:
        guest = await welcomed(server.port)
        before = guest.cookies["connect.sid"]
        values: list[Any] = [{}, [], {"name": 1}, {"name": "  "}, None, {"name": None}]
        for value in values:
            assert (await guest.act("/login", value)).code == 204
        assert guest.cookies["connect.sid"] == before
        assert (await guest.act("/login", {"name": " Zoë " + "x" * 50})).code == 204
        assert guest.cookies["connect.sid"] != before
        socket = await guest.connect()
        assert (await socket.next())["session"]["user"] == "Zoë " + "x" * 20


@inReactor
async def test_notAsked() -> None:
    """
    Requests that other sites have a browser send change nothing, nor do
    requests without a session.
    """
    async with twistd() as server:
        guest = await welcomed(server.port)
        socket = await guest.connect()
        await socket.next()
        for more in (
            {"Origin": "http://elsewhere.example"},
            {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
        ):
            for path in "/add", "/login", "/logout":
                assert (await guest.act(path, {"name": "Eve"}, **more)).code == 403
        assert (await guest.post("/logout")).code == 403
        assert (await guest.get("/logout")).code == 405
        pong = await socket.ask({"type": "ping", "tab": "mine"})
        assert set(pong["session"]) == {"nickname", "hue", "visits", "pings"}
        stranger = Guest(server.port)
        for path in "/add", "/login", "/logout":
            assert (await stranger.act(path, {"name": "Eve"})).code == 409
        assert stranger.cookies == {}


@inReactor
async def test_logout() -> None:
    """
    Logging out takes the cookie, closes the sockets and leaves nothing.
    """
    async with twistd() as server:
        guest = await welcomed(server.port)
        value = guest.cookies["connect.sid"]
        sockets = [await guest.connect() for _ in range(2)]
        assert (await guest.act("/logout")).code == 204
        assert guest.cookies == {}
        for socket in sockets:
            assert await socket.closes() == (4401, "session-destroyed")
        again = await Visitor(server.port, value).connect()
        assert await again.closes() == (4401, "session-unknown")


@inReactor
async def test_origin() -> None:
    """
    Pages of other sites cannot connect, unless C{--origin} says so.
    """
    async with twistd("--origin", "https://friend.example") as server:
        guest = await welcomed(server.port)
        await (await guest.connect(origin="https://friend.example")).next()
        with pytest.raises(Refused, match="403"):
            await guest.connect(origin="https://elsewhere.example")
