"""
Cases of Engine.IO: handshakes, refusals, messages by each transport, heartbeat, the
end, and the upgrade.
"""

from __future__ import annotations

import asyncio
import json
from gzip import decompress
from time import monotonic

from .cases import case
from .wire import PATIENCE, POLLING, WEBSOCKET, Polls, Refused, Server, isOpening


_ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    5: "Unsupported protocol version",
}

_ROUNDS = 3


async def _refuses(
    server: Server, method: str, query: str, code: int | None = None
) -> None:
    """
    See that a request is refused.

    @param code: What the answer says, which the texts leave open.
    """
    answer = await server.request(method, query, b"" if method != "GET" else None)
    assert answer.status == 400, (method, query, answer)
    if code is not None:
        assert "json" in answer.headers["content-type"], answer
        expected = {"code": code, "message": _ERRORS[code]}
        assert json.loads(answer.body) == expected, (method, query, answer)


async def _refusesSocket(server: Server, query: str) -> None:
    """
    See that there is no WebSocket, or that it closes before it says anything.
    """
    try:
        async with server.socket(query) as socket:
            assert await socket.closed() == []
    except Refused:
        pass


# The handshake.


@case("handshake")
async def polling(server: Server) -> None:
    """
    Polling opens a session.
    """
    answer = await server.get(POLLING)
    assert answer.status == 200, answer
    assert answer.headers["content-type"].lower() == "text/plain; charset=utf-8", answer
    isOpening(answer.text, ("websocket",))


@case("handshake")
async def websocket(server: Server) -> None:
    """
    A WebSocket opens a session.
    """
    async with server.socket() as socket:
        isOpening(await socket.next(), ())


@case("handshake", isPublished=False)
async def uncached(server: Server) -> None:
    """
    Answers to polls and posts are not kept, and set no cookie.
    """
    polls = await server.polls()
    for answer in await server.get(POLLING), await polls.post("40"), await polls.get():
        assert answer.status == 200, answer
        assert answer.headers.get("cache-control") == "no-store", answer
        assert "set-cookie" not in answer.headers, answer


@case("handshake", isPublished=False)
async def slash(server: Server) -> None:
    """
    The path may be without its last slash.
    """
    head = server.head(
        "GET", f"EIO=4&{POLLING}", "Connection: close", path=server.path.rstrip("/")
    )
    isOpening((await (await server.begin(head)).answer()).text)


# What is refused.


@case("refused")
async def version(server: Server) -> None:
    """
    Other versions of the protocol, or none, by polling.
    """
    for query in "", "EIO=abc&", "EIO=3&", "EIO=5&", "EIO=&":
        await _refuses(server, "GET", query + POLLING)


@case("refused")
async def versionOfSocket(server: Server) -> None:
    """
    The same by WebSocket.
    """
    for query in "", "EIO=abc&", "EIO=3&":
        await _refusesSocket(server, query + WEBSOCKET)


@case("refused")
async def transport(server: Server) -> None:
    """
    Other transports, or none.
    """
    for query in "EIO=4", "EIO=4&transport=abc", "EIO=4&transport=":
        await _refuses(server, "GET", query)


@case("refused")
async def transportOfSocket(server: Server) -> None:
    """
    The same by WebSocket.
    """
    for query in "EIO=4", "EIO=4&transport=abc", f"EIO=4&{POLLING}":
        await _refusesSocket(server, query)


@case("refused")
async def method(server: Server) -> None:
    """
    A session is opened by no other method than GET.
    """
    for name in "POST", "PUT", "DELETE":
        await _refuses(server, name, f"EIO=4&{POLLING}")


@case("refused")
async def unknown(server: Server) -> None:
    """
    Sessions that do not exist.
    """
    for name in "GET", "POST":
        await _refuses(server, name, f"EIO=4&{POLLING}&sid=unknown")
    await _refusesSocket(server, f"EIO=4&{WEBSOCKET}&sid=unknown")


@case("refused", isPublished=False)
async def said(server: Server) -> None:
    """
    Each is told what is wrong, as JSON.
    """
    for query in "", "EIO=abc&", "EIO=3&", "EIO=5&", "EIO=&":
        await _refuses(server, "GET", query + POLLING, 5)
    for query in "EIO=4", "EIO=4&transport=abc", "EIO=4&transport=":
        await _refuses(server, "GET", query, 0)
    for name in "POST", "PUT", "DELETE":
        await _refuses(server, name, f"EIO=4&{POLLING}", 2)
    for name in "GET", "POST":
        await _refuses(server, name, f"EIO=4&{POLLING}&sid=unknown", 1)


@case("refused", isPublished=False)
async def noUpgrade(server: Server) -> None:
    """
    A WebSocket without the header Upgrade; the session that it names goes on, and
    what waits there is not lost.
    """
    await _refuses(server, "GET", f"EIO=4&{WEBSOCKET}", 3)
    polls = await server.polls()
    await polls.sent("40")
    await _refuses(server, "GET", f"EIO=4&{WEBSOCKET}&sid={polls.sid}", 3)
    answer, _ = await polls.many(2)
    assert answer.startswith("40{"), answer


@case("refused", isPublished=False)
async def methodLater(server: Server) -> None:
    """
    A session that exists, by another method than GET and POST; it goes on.
    """
    polls = await server.polls()
    await polls.connected()
    answer = await server.request("PUT", f"EIO=4&{polls.query}", b"4x")
    assert 400 <= answer.status < 500, answer
    await polls.works()


@case("refused", isPublished=False)
async def pollOfSocket(server: Server) -> None:
    """
    Polls and posts of a session that goes by WebSocket; it goes on.
    """
    async with server.opened() as socket:
        await socket.connected()
        for name in "GET", "POST":
            await _refuses(server, name, f"EIO=4&{POLLING}&sid={socket.sid}", 3)
        await socket.works()


# Messages by polling.


@case("polling")
async def one(server: Server) -> None:
    """
    One packet in each direction.
    """
    polls = await server.polls()
    await polls.connected()
    await polls.sent('42["message","one"]')
    assert await polls.next() == '42["message-back","one"]'


@case("polling")
async def several(server: Server) -> None:
    """
    Several packets at once, in their order.
    """
    polls = await server.polls()
    await polls.connected()
    await polls.sent(*(f'42["message",{n}]' for n in range(20)))
    expected = [f'42["message-back",{n}]' for n in range(20)]
    assert await polls.many(20) == expected


@case("polling")
async def binary(server: Server) -> None:
    """
    Binary packets beside text, in Base64.
    """
    polls = await server.polls()
    await polls.connected()
    place = '{"_placeholder":true,"num":0}'
    await polls.sent('42["message",1]', f'451-["message",{place}]', "bAQIDBA==")
    assert await polls.many(3) == [
        '42["message-back",1]',
        f'451-["message-back",{place}]',
        b"\1\2\3\4",
    ]


@case("polling")
async def text(server: Server) -> None:
    """
    Text of all characters, but for the separator.
    """
    polls = await server.polls()
    await polls.connected()
    for value in "é€\U0001f600", "\u2028 \u0000 \\u001e \x7f", "x" * 20_000:
        word = json.dumps(value, ensure_ascii=False)
        await polls.sent(f'42["message",{word}]')
        packet = await polls.next()
        assert isinstance(packet, str)
        assert json.loads(packet[2:]) == ["message-back", value], packet


@case("polling")
async def waits(server: Server) -> None:
    """
    A poll waits until there is something.
    """
    polls = await server.polls()
    await polls.connected()
    poll = await polls.begin()
    await polls.sent('42["message",1]')
    packets = (await poll.answer()).packets
    if packets == ["2"]:
        # It was time for a ping.
        packets = (await polls.get()).packets
    assert packets == ['42["message-back",1]'], packets


@case("polling")
async def keptAlive(server: Server) -> None:
    """
    Many requests by one TCP connection.
    """
    polls = await server.polls()
    line = await server.begin(server.head("GET", f"EIO=4&{POLLING}"))
    isOpening((await line.answer(isLast=False)).text)
    for packets, count in (["40"], 2), (['42["message",1]', '42["message",2]'], 2):
        body = "\x1e".join(packets).encode()
        length = f"Content-Length: {len(body)}"
        await line.send(server.head("POST", f"EIO=4&{polls.query}", length) + body)
        assert (await line.answer(isLast=False)).text == "ok"
        found: list[str] = []
        while len(found) < count:
            await line.send(server.head("GET", f"EIO=4&{polls.query}"))
            answer = await line.answer(isLast=False)
            found += [packet for packet in answer.packets if packet != "2"]
    assert found == ['42["message-back",1]', '42["message-back",2]'], found
    await line.abort()
    await polls.works()


@case("polling", isPublished=False)
async def shrunk(server: Server) -> None:
    """
    A large answer is compressed for a client that takes that; a small one is not.
    """
    polls = await server.polls()
    await polls.connected()
    for size, isShrunk in (20_000, True), (20, False):
        word = "x" * size
        await polls.sent(f'421["message-with-ack","{word}"]')
        answer = await server.get(polls.query, "Accept-Encoding: gzip, deflate, br")
        assert (answer.headers.get("content-encoding") == "gzip") is isShrunk, answer
        body = decompress(answer.body) if isShrunk else answer.body
        assert body.decode().split("\x1e")[-1] == f'431["{word}"]', body


@case("polling")
async def malformed(server: Server) -> None:
    """
    A packet that is none ends the session.
    """
    for body in b"abc", b"7", b"", b"\xff", b"4\xff", b"40\x1eabc", b"40\x1e\x1e40":
        polls = await server.polls()
        try:
            answer = await server.post(polls.query, body)
            assert answer.status in (200, 400), answer
        except EOFError:
            pass
        await polls.ended()


@case("polling", isPublished=False)
async def malformedAnswer(server: Server) -> None:
    """
    Such a post is not answered as if it were right.
    """
    polls = await server.polls()
    try:
        answer = await server.post(polls.query, "abc")
    except EOFError:
        return
    assert answer.status == 400, answer


@case("polling")
async def twoPolls(server: Server) -> None:
    """
    A second poll at the same time ends the session: the first gets a close packet,
    the second an error.
    """
    polls = await server.polls()
    first = await polls.begin()
    # Polls that go out in one order may arrive in the other one.
    await asyncio.sleep(0.05)
    second = await polls.get()
    assert second.status in (400, 500), second
    assert (await first.answer()).packets[-1] == "1"
    await polls.isUnknown()


@case("polling")
async def twoPosts(server: Server) -> None:
    """
    A second post at the same time ends the session, and gets an error.
    """
    polls = await server.polls()
    await polls.connected()
    head = server.head("POST", f"EIO=4&{polls.query}", "Content-Length: 19")
    first = await server.begin(head + b"42[")
    await asyncio.sleep(0.05)
    second = await polls.post('42["message",2]')
    assert second.status == 400, second
    await first.abort()
    await polls.ended()


@case("polling")
async def broken(server: Server) -> None:
    """
    A poll that the client breaks off ends the session.
    """
    polls = await server.polls()
    poll = await polls.begin()
    await asyncio.sleep(0.05)
    await poll.abort()
    await polls.ended()


@case("polling", isPublished=False)
async def brokenPost(server: Server) -> None:
    """
    So does a post that it breaks off, or nothing of it is seen.
    """
    polls = await server.polls()
    await polls.connected()
    head = server.head("POST", f"EIO=4&{polls.query}", "Content-Length: 19")
    post = await server.begin(head + b"42[")
    await asyncio.sleep(0.05)
    await post.abort()
    answer = await polls.get()
    assert answer.status == 400 or answer.packets == ["2"], answer


@case("polling")
async def large(server: Server) -> None:
    """
    C{maxPayload} bytes are taken.
    """
    polls = await server.polls()
    await polls.connected()
    before, after = '421["message-with-ack","', '"]'
    word = "x" * (server.maxPayload - len(before + after))
    await polls.sent(before + word + after)
    assert await polls.next() == f'431["{word}"]'


@case("polling")
async def tooLarge(server: Server) -> None:
    """
    More than that are not; whether the length is announced or not.
    """
    size = server.maxPayload + 1
    announced = f"Content-Length: {size}\r\n\r\n".encode()
    chunk = b"%x\r\n%s\r\n" % (100_000, b"x" * 100_000)
    for headers, pieces in (
        (announced, []),
        (announced, [b"4" * size]),
        (b"Transfer-Encoding: chunked\r\n\r\n", [chunk] * (size // 100_000 + 1)),
    ):
        polls = await server.polls()
        await polls.connected()
        head = server.head("POST", f"EIO=4&{polls.query}")[:-2]
        post = await server.begin(head + headers)
        for piece in pieces:
            await post.send(piece)
        try:
            answer = await post.answer()
            assert answer.status in (400, 413), answer
        except EOFError:
            pass


# Messages by WebSocket.


@case("websocket")
async def textOfSocket(server: Server) -> None:
    """
    Text.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send('42["message","one é€\U0001f600"]')
        assert await socket.next() == '42["message-back","one é€\U0001f600"]'


@case("websocket")
async def binaryOfSocket(server: Server) -> None:
    """
    Binary packets.
    """
    async with server.opened() as socket:
        await socket.connected()
        place = '{"_placeholder":true,"num":0}'
        await socket.send(f'451-["message",{place}]', b"\1\2\3\4")
        expected = [f'451-["message-back",{place}]', b"\1\2\3\4"]
        assert await socket.many(2) == expected


@case("websocket")
async def malformedOfSocket(server: Server) -> None:
    """
    A packet that is none closes it.
    """
    for packet in "abc", "7", "", "-1", "{}":
        async with server.opened() as socket:
            await socket.send(packet)
            await socket.closed()


@case("websocket")
async def largeOfSocket(server: Server) -> None:
    """
    C{maxPayload} bytes are taken, and more are not.
    """
    before, after = '421["message-with-ack","', '"]'
    word = "x" * (server.maxPayload - len(before + after))
    async with server.opened() as socket:
        await socket.connected()
        await socket.send(before + word + after)
        assert await socket.next() == f'431["{word}"]'
        await socket.send(before + word + "x" + after)
        await socket.closed()
        assert socket.code == 1009, socket.code


# The heartbeat.


@case("heartbeat")
async def pingsPolling(server: Server) -> None:
    """
    The server pings by polling, at its interval.
    """
    began = monotonic()
    polls = await server.polls()
    for _ in range(_ROUNDS):
        assert (await polls.get()).packets == ["2"]
        assert 0.8 * server.pingInterval < monotonic() - began, monotonic() - began
        began = monotonic()
        await polls.sent("3")


@case("heartbeat")
async def pings(server: Server) -> None:
    """
    The server pings by WebSocket, at its interval.
    """
    began = monotonic()
    async with server.opened(isAnswering=False) as socket:
        for _ in range(_ROUNDS):
            assert await socket.next(server.pingInterval + PATIENCE) == "2"
            assert 0.8 * server.pingInterval < monotonic() - began
            began = monotonic()
            await socket.send("3")


@case("heartbeat")
async def silentPolling(server: Server) -> None:
    """
    A client that does not poll is given up.
    """
    polls = await server.polls()
    await asyncio.sleep(server.silence + 0.2)
    await polls.isUnknown()


@case("heartbeat")
async def silentPost(server: Server) -> None:
    """
    So is one that polls and does not answer a ping.
    """
    began = monotonic()
    polls = await server.polls()
    assert (await polls.get()).packets == ["2"]
    answer = await polls.get()
    assert monotonic() - began > 0.8 * server.silence
    assert answer.status == 400 or answer.packets[-1] == "1", answer
    await polls.isUnknown()


@case("heartbeat")
async def silent(server: Server) -> None:
    """
    So is one by WebSocket.
    """
    began = monotonic()
    async with server.opened(isAnswering=False) as socket:
        assert await socket.closed(server.silence + PATIENCE) == ["2"]
    took = monotonic() - began
    assert 0.8 * server.silence < took < server.silence + PATIENCE / 2, took


@case("heartbeat", isPublished=False)
async def pong(server: Server) -> None:
    """
    A pong without a ping means nothing.
    """
    async with server.opened() as socket:
        await socket.send("3", "3")
        await socket.connected()
        await socket.works()


@case("heartbeat", isPublished=False)
async def ping(server: Server) -> None:
    """
    A ping from the client, as in older protocols, closes the session.
    """
    async with server.opened() as socket:
        await socket.send("2")
        await socket.closed()


# The end.


@case("close")
async def closePolling(server: Server) -> None:
    """
    The client closes by polling: a poll that waits gets a noop packet.
    """
    polls = await server.polls()
    poll = await polls.begin()
    await asyncio.sleep(0.05)
    await polls.sent("1")
    assert (await poll.answer()).packets == ["6"]
    await polls.isUnknown()


@case("close")
async def closeUnpolled(server: Server) -> None:
    """
    The same while no poll waits.
    """
    polls = await server.polls()
    await polls.sent("1")
    await polls.isUnknown()


@case("close")
async def close(server: Server) -> None:
    """
    The client closes by WebSocket.
    """
    async with server.opened() as socket:
        await socket.send("1")
        await socket.closed()
        await Polls(server, socket.sid).isUnknown()


@case("close", isPublished=False)
async def lost(server: Server) -> None:
    """
    The WebSocket is lost: so is the session.
    """
    async with server.opened() as socket:
        socket.abort()
        polls = Polls(server, socket.sid)
        for _ in range(100):
            if json.loads((await polls.get()).body)["code"] == 1:
                break
            await asyncio.sleep(0.01)
        await polls.isUnknown()


# The upgrade.


async def _probed(server: Server, polls: Polls) -> None:
    """
    See that a probe is answered; then break it off.
    """
    async with server.upgrading(polls.sid) as socket:
        await socket.send("2probe")
        assert await socket.next() == "3probe"


@case("upgrade")
async def upgrade(server: Server) -> None:
    """
    From polling to WebSocket.
    """
    polls = await server.polls()
    await polls.connected()
    async with server.upgrading(polls.sid) as socket:
        await socket.send("2probe")
        assert await socket.next() == "3probe"
        assert (await polls.get()).packets[-1] == "6"
        await socket.send("5")
        await socket.works()


@case("upgrade")
async def hurried(server: Server) -> None:
    """
    From polling to WebSocket, when the client does not wait for the answer to its
    probe.
    """
    polls = await server.polls()
    await polls.connected()
    async with server.upgrading(polls.sid) as socket:
        await socket.send("2probe", "5")
        assert await socket.next() == "3probe"
        answer = await polls.get()
        assert answer.status == 400, answer
        await socket.works()


@case("upgrade")
async def pollIsAnswered(server: Server) -> None:
    """
    A poll that waits is answered with a noop packet when the probe comes.
    """
    for _ in range(_ROUNDS):
        polls = await server.polls()
        await polls.connected()
        poll = await polls.begin()
        await asyncio.sleep(0.02)
        async with server.upgrading(polls.sid) as socket:
            await socket.send("2probe")
            assert await socket.next() == "3probe"
            packet = (await poll.answer()).packets[-1]
            await socket.send("5")
            await socket.works()
        if packet == "6":
            return
        # It may have been time for a ping.
        assert packet == "2", packet
    raise AssertionError("no noop packet")


@case("upgrade", isPublished=False)
async def eachPollIsAnswered(server: Server) -> None:
    """
    While the probe is open, each poll is answered at once.
    """
    polls = await server.polls()
    await polls.connected()
    async with server.upgrading(polls.sid) as socket:
        await socket.send("2probe")
        assert await socket.next() == "3probe"
        for _ in range(5):
            began = monotonic()
            packets = (await polls.get()).packets
            if "2" in packets:
                await polls.sent("3")
            assert packets[-1] in ("6", "2"), packets
            assert monotonic() - began < 0.25, monotonic() - began
        await socket.send("5")
        await socket.works()


@case("upgrade")
async def nothingIsLost(server: Server) -> None:
    """
    What is sent meanwhile comes once and in order.
    """
    polls = await server.polls()
    await polls.connected()
    async with server.upgrading(polls.sid) as socket:
        await polls.sent(*(f'42["message",{n}]' for n in range(10)))
        await socket.send("2probe")
        assert await socket.next() == "3probe"
        await polls.sent(*(f'42["message",{n}]' for n in range(10, 20)))
        packets = (await polls.get()).packets
        if "2" in packets:
            await polls.sent("3")
        found = [packet for packet in packets if packet not in ("2", "6")]
        await polls.sent(*(f'42["message",{n}]' for n in range(20, 30)))
        await socket.send("5")
        await socket.send(*(f'42["message",{n}]' for n in range(30, 40)))
        found += await socket.many(40 - len(found))
        assert found == [f'42["message-back",{n}]' for n in range(40)], found
        await socket.works()


@case("upgrade")
async def pollAfter(server: Server) -> None:
    """
    There are no polls after it; the WebSocket goes on.
    """
    polls = await server.polls()
    await polls.connected()
    async with server.upgrading(polls.sid) as socket:
        await socket.send("2probe")
        assert await socket.next() == "3probe"
        await socket.send("5")
        await socket.works()
        answer = await polls.get()
        assert answer.status == 400, answer
        await socket.works()


@case("upgrade")
async def secondSocket(server: Server) -> None:
    """
    There is no second WebSocket; the first goes on.
    """
    polls = await server.polls()
    await polls.connected()
    async with server.upgrading(polls.sid) as socket:
        await socket.send("2probe")
        assert await socket.next() == "3probe"
        await socket.send("5")
        await socket.works()
        await _refusesSocket(server, f"EIO=4&{WEBSOCKET}&sid={polls.sid}")
        await socket.works()


@case("upgrade")
async def secondOfSocket(server: Server) -> None:
    """
    Nor of a session that began by WebSocket.
    """
    async with server.opened() as socket:
        await socket.connected()
        await _refusesSocket(server, f"EIO=4&{WEBSOCKET}&sid={socket.sid}")
        await socket.works()


@case("upgrade", isPublished=False)
async def brokenOff(server: Server) -> None:
    """
    A probe that is broken off leaves the session as it was; another may follow.
    """
    polls = await server.polls()
    await polls.connected()
    async with server.upgrading(polls.sid) as socket:
        socket.abort()
    await _probed(server, polls)
    await polls.works()
    await polls.works()
    await upgraded(server, polls)


async def upgraded(server: Server, polls: Polls) -> None:
    """
    See that a session goes over to a WebSocket.
    """
    async with server.upgrading(polls.sid) as socket:
        await socket.send("2probe")
        assert await socket.next() == "3probe"
        await socket.send("5")
        await socket.works()


@case("upgrade", isPublished=False)
async def noProbe(server: Server) -> None:
    """
    A WebSocket that does not begin with a probe is closed; the session goes on.
    """
    for packet in '42["message",1]', "5", "2other", "abc":
        polls = await server.polls()
        await polls.connected()
        async with server.upgrading(polls.sid) as socket:
            await socket.send(packet)
            await socket.closed()
        await polls.works()


@case("upgrade")
async def pingsAfter(server: Server) -> None:
    """
    The heartbeat goes on after it.
    """
    polls = await server.polls()
    query = f"EIO=4&{WEBSOCKET}&sid={polls.sid}"
    async with server.socket(query, isAnswering=False) as socket:
        await socket.send("2probe")
        assert await socket.next() == "3probe"
        await socket.send("5", "40")
        for _ in range(_ROUNDS):
            while await socket.next(server.pingInterval + PATIENCE) != "2":
                pass
            await socket.send("3")
        found = await socket.closed(server.silence + PATIENCE)
        assert found == ["2"], found
