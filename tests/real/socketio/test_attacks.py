"""
Clients of Socket.IO that send what they should not, or nothing, or read nothing: each
is thrown out with the right reason, others are served meanwhile, and nothing is left.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.support.cutting import residentSize
from tests.support.doors import frame
from tests.support.servers import PATIENCE, inReactor, reactor
from tests.support.socketioattacks import (
    BAD_BYTES,
    BAD_FIRST,
    BAD_TEXT,
    ODD_ENGINE,
    POLLING,
    STRANGE,
    TRANSPORTS,
    WEBSOCKET,
    event,
    posted,
    request,
)
from tests.support.socketioscene import Attacked, attacked
from txsessionsock.socketio import Recovery


PARSE_ERROR = "parse error"

CODES = {POLLING: 0, WEBSOCKET: 1007}

LARGE = 1_000_000

MSGPACK_CONNECT = b"\x82\xa4type\x00\xa3nsp\xa1/"

_MORE = 0x0
_TEXT = 0x1


def idOf(answer: bytes) -> str:
    """
    The id of a socket, from the answer to CONNECT.
    """
    found: str = json.loads(answer[answer.index(b"{") :])["sid"]
    return found


async def isThrownOut(
    scene: Attacked, transport: str, name: str, messages: list[bytes | str]
) -> None:
    """
    See that a client which is in the main namespace and sends this is thrown out.
    """
    attacker = await scene.attacker(transport, connects=False)
    await attacker.say("0")
    socket = idOf(await attacker.next())
    if sum(map(len, messages)) > LARGE:
        # Together they are too large for one POST.
        for message in messages:
            await attacker.say(message)
    else:
        await attacker.say(*messages)
    await attacker.ended()
    await scene.until(lambda: socket in scene.reasons)
    assert scene.reasons[socket] == PARSE_ERROR, (name, scene.reasons[socket])
    assert attacker.code == CODES[transport], name
    attacker.leave()


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_malformed(transport: str) -> None:
    """
    Packets in text that are none.
    """
    async with attacked() as scene:
        for name, messages in BAD_TEXT.items():
            await isThrownOut(scene, transport, name, messages)


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_malformedBytes(transport: str) -> None:
    """
    Packets in MessagePack that are none.
    """
    async with attacked() as scene:
        for name, messages in BAD_BYTES.items():
            attacker = await scene.attacker(transport, connects=False)
            await attacker.say(MSGPACK_CONNECT)
            await attacker.next()
            await attacker.say(*messages)
            await attacker.ended()
            await scene.until(lambda: scene.reasons)
            assert scene.reasons.popitem()[1] == PARSE_ERROR, name
            assert attacker.code == CODES[transport], name
            attacker.leave()


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_malformedFirst(transport: str) -> None:
    """
    Something else in place of CONNECT.
    """
    async with attacked() as scene:
        for messages in BAD_FIRST.values():
            attacker = await scene.attacker(transport, connects=False)
            await attacker.say(*messages)
            await attacker.ended()
            attacker.leave()


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_strange(transport: str) -> None:
    """
    What is odd has no error that nobody handles.
    """
    async with attacked() as scene:
        for messages in STRANGE.values():
            attacker = await scene.attacker(transport)
            await attacker.say(*messages)
            await scene.stillServes()
            attacker.leave()


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_strangeEngine(transport: str) -> None:
    """
    The same of packets of Engine.IO.
    """
    async with attacked() as scene:
        for message in ODD_ENGINE:
            attacker = await scene.attacker(transport)
            raw = message.encode() if isinstance(message, str) else message
            if transport == POLLING:
                attacker.post(raw)
                status, _ = await attacker.posts.answer()
                assert status in (200, 400), (message, status)
            else:
                isText = isinstance(message, str)
                attacker.web.send(frame(raw, _TEXT if isText else 2))
            await scene.stillServes()
            attacker.leave()


# Bodies of POSTs.

_CHUNK = b"4000\r\n" + b"4" * 16384 + b"\r\n"
_MANY = 400


@inReactor
async def test_endlessBody() -> None:
    """
    A body without end, in chunks, is refused when it is too large.
    """
    async with attacked(pingInterval=1.0, pingTimeout=1.0) as scene:
        attacker = await scene.attacker(POLLING)
        head = request("POST", attacker.path, b"", "Transfer-Encoding: chunked")
        attacker.posts.send(head.replace(b"Content-Length: 0\r\n", b""))
        sent = 0
        while not attacker.posts.visitor.received and sent < _MANY:
            attacker.posts.send(_CHUNK)
            sent += 1
            await scene.turn()
        assert sent < _MANY / 2
        status, _ = await attacker.posts.answer()
        assert status == 413


@pytest.mark.parametrize(
    "length",
    ["1048577", "1000000000000", "9" * 40, "-1", "+5", "5,5", "0x5", "5 5", ""],
)
@inReactor
async def test_length(length: str) -> None:
    """
    A length that is too large, or none, is refused before the body comes.
    """
    async with attacked(pingInterval=1.0, pingTimeout=1.0) as scene:
        attacker = await scene.attacker(POLLING)
        head = request("POST", attacker.path).replace(
            b"Content-Length: 0", f"Content-Length: {length}".encode()
        )
        attacker.posts.send(head)
        status, _ = await attacker.posts.answer()
        assert status in (400, 413)


@pytest.mark.parametrize("leaves", [False, True])
@inReactor
async def test_halfBody(leaves: bool) -> None:
    """
    A body of which the second half never comes.
    """
    async with attacked(timeout=3.0, pingInterval=0.5, pingTimeout=0.5) as scene:
        attacker = await scene.attacker(POLLING)
        attacker.posts.send(request("POST", attacker.path, b"42[", size=1000))
        await scene.stillServes()
        if leaves:
            attacker.posts.leave()
        await attacker.ended()
        await scene.until(lambda: scene.reasons)
        reason = "transport error" if leaves else "ping timeout"
        assert list(scene.reasons.values()) == [reason]
        await attacker.posts.visitor.ended()


@pytest.mark.parametrize(
    "packet", [b"3", b"2", b"6", b'42["add"]', b"40/nope,", b'431["x"]', b"bAAAA"]
)
@inReactor
async def test_tinyPackets(packet: bytes) -> None:
    """
    As many packets in one body as fit: others do not wait for them.
    """
    async with attacked(unsentTimeout=1.0) as scene:
        attacker = await scene.attacker(POLLING)
        count = 1_000_000 // (len(packet) + 1)
        attacker.post(b"\x1e".join([packet] * count))
        await scene.stillServes()
        await attacker.posts.answer(patience=3 * PATIENCE)


@inReactor
async def test_paused() -> None:
    """
    While too much waits for handlers, what is posted further is bounded.
    """
    async with attacked() as scene:
        attacker = await scene.attacker(POLLING)
        await attacker.say(event("wait"))
        attacker.post(posted([event("say", "x" * 100)] * 1000))
        await scene.until(lambda: scene.waiting)
        before = residentSize()
        others = [await scene.web() for _ in range(50)]
        large = posted([event("say", "x" * 1000)] * 900)
        for other in others:
            other.send(request("POST", attacker.path, large))
            await scene.turn()
        await scene.stillServes()
        assert residentSize() - before < 32 * 1024 * 1024


@inReactor
async def test_twoPolls() -> None:
    """
    Polls and POSTs of one connection at the same time.
    """
    async with attacked() as scene:
        attacker = await scene.attacker(POLLING)
        others = [await scene.web() for _ in range(20)]
        for other in others:
            other.send(request("GET", attacker.path))
        statuses = [await other.answer() for other in others]
        assert [status for status, _ in statuses].count(400) >= len(others) - 1


@inReactor
async def test_lines() -> None:
    """
    There is a line in the log about a handshake and about what is refused, and not
    about each poll and POST.
    """
    async with attacked() as scene:
        attacker = await scene.attacker(POLLING)
        for number in range(20):
            await attacker.say(event("say", number, id=1))
            await attacker.next()
        assert len(scene.requests) == 1, scene.requests
        web = await scene.web()
        for method in "PUT", "DELETE":
            await web.ask(method, attacker.path)
        await web.ask("POST", attacker.path + "x", b"3")
        assert len(scene.requests) == 4, scene.requests


# Strangers.


@inReactor
async def test_guessed() -> None:
    """
    Ids that were guessed.
    """
    async with attacked() as scene:
        web = await scene.web()
        for number in range(1000):
            path = f"/socket.io/?EIO=4&transport=polling&sid={number:020}"
            status, body = await web.ask("GET" if number % 2 else "POST", path)
            assert (status, json.loads(body)["code"]) == (400, 1)


_ODD_PATHS = [
    "",
    "?",
    "?EIO=4",
    "?EIO=5&transport=polling",
    "?EIO=3&transport=polling",
    "?EIO=4&transport=flash",
    "?EIO=4&transport=websocket",
    "?EIO=4&transport=polling&sid=" + "x" * 10_000,
    "?EIO=4&transport=polling&sid=%ff%00",
    "?EIO=4&EIO=4&transport=polling",
    "?EIO=4&transport=polling&transport=websocket",
    "?EIO=4&transport=polling&j=0",
    "?EIO=4&transport=polling&" + "&".join(["a=b"] * 3000),
    "../../etc/passwd",
    "x?EIO=4&transport=polling",
    "?EIO=4&transport=__proto__",
    "?EIO=4&transport=polling&sid=",
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "HEAD", "DELETE"])
@inReactor
async def test_oddRequests(method: str) -> None:
    """
    Requests that no client sends: they have answers, and leave nothing.
    """
    async with attacked(handshakeTimeout=1.0) as scene:
        for path in _ODD_PATHS:
            web = await scene.web()
            web.send(request(method, f"/socket.io/{path}"))
            head = await web.visitor.head()
            assert head.startswith(b"HTTP/1.1 "), (path, head)
            assert not head.startswith(b"HTTP/1.1 5"), (path, head)
            web.leave()


@inReactor
async def test_halfOpen() -> None:
    """
    Thousands of handshakes by polling that nothing follows.
    """
    async with attacked(handshakeTimeout=1.0) as scene:
        web = await scene.web()
        for _ in range(2000):
            status, _ = await web.ask("GET", "/socket.io/?EIO=4&transport=polling")
            assert status == 200
        await scene.until(lambda: len(scene.io.engine) == 1)


@inReactor
async def test_manyHeaders() -> None:
    """
    The same with as many headers as there may be: those who have been there for
    longest are dropped, while others come in.
    """
    most = 2 * 1024 * 1024
    async with attacked(lobbyBytes=most) as scene:
        web = await scene.web()
        headers = [f"A{number}: {number}" for number in range(400)]
        path = "/socket.io/?EIO=4&transport=polling"
        before = residentSize()
        for number in range(500):
            status, _ = await web.ask("GET", path, b"", *headers)
            assert status == 200
            if not number % 100:
                (await scene.attacker(POLLING)).leave()
        assert len(scene.io.engine) < 50
        assert residentSize() - before < 8 * most


@inReactor
async def test_auth() -> None:
    """
    What is sent along with CONNECT is bounded: it is kept.
    """
    async with attacked() as scene:
        large: list[Any] = ["x" * 100_000, [[]] * 5000]
        for auth in large:
            for transport in TRANSPORTS:
                attacker = await scene.attacker(transport, connects=False)
                await attacker.say(f"0{json.dumps({'token': auth})}")
                await attacker.ended()


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_noConnect(transport: str) -> None:
    """
    Nobody may stay outside of all namespaces.
    """
    async with attacked(handshakeTimeout=0.5) as scene:
        attacker = await scene.attacker(transport, connects=False)
        await attacker.ended()
        attacker = await scene.attacker(transport)
        await attacker.say("1")
        await attacker.ended()


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_silent(transport: str) -> None:
    """
    Who answers no ping.
    """
    async with attacked(pingInterval=0.3, pingTimeout=0.3) as scene:
        attacker = await scene.attacker(transport)
        attacker.answersPings = False
        await attacker.ended()
        await scene.until(lambda: scene.reasons)
        assert list(scene.reasons.values()) == ["ping timeout"]


@inReactor
async def test_neverPolls() -> None:
    """
    Who has shaken hands by polling, and never polls.
    """
    async with attacked(pingInterval=0.3, pingTimeout=0.3) as scene:
        attacker = await scene.attacker(POLLING)
        await attacker.say(event("big", 1000, 100))
        await scene.until(lambda: scene.reasons)
        assert list(scene.reasons.values()) == ["ping timeout"]


# Attachments and frames.


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_missingAttachments(transport: str) -> None:
    """
    Ten attachments are announced, and some of them never come.
    """
    places = ",".join(f'{{"_placeholder":true,"num":{n}}}' for n in range(10))
    async with attacked(handshakeTimeout=0.5) as scene:
        attacker = await scene.attacker(transport)
        await attacker.say(f'510-["say",{places}]', *[b"x"] * 9)
        await attacker.ended()
        await scene.until(lambda: scene.reasons)
        assert list(scene.reasons.values()) == [PARSE_ERROR]


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_attachmentsForEver(transport: str) -> None:
    """
    Attachments without end are as many events.
    """
    async with attacked() as scene:
        attacker = await scene.attacker(transport)
        one: list[bytes | str] = [
            '51-["add",{"_placeholder":true,"num":0}]',
            b"x" * 999,
        ]
        for _ in range(20):
            await attacker.say(*one * 100)
            await scene.stillServes()


_FRAMES = {
    "endless fragments": (
        frame(b"4", final=False) + frame(b"", _MORE, final=False) * 2000,
        1009,
    ),
    "a message in large fragments": (
        frame(b"4", final=False) + frame(b"x" * 65_000, _MORE, final=False) * 20,
        1009,
    ),
    "a huge text": (frame(b"4" + b"x" * 1_100_000), 1009),
    "huge bytes": (frame(b"x" * 1_100_000, 2), 1009),
    "an endless frame": (b"\x81\xff" + b"\x7f" * 8 + bytes(4), 1009),
    "half a frame": (frame(b"4" * 100)[:50], 0),
    "no UTF-8": (frame(b'42["say","\xff"]'), 1007),
    "no mask": (b"\x81\x0142", 1002),
    "reserved bits": (b"\xf1" + frame(b"42")[1:], 1002),
    "a reserved opcode": (b"\x83" + frame(b"42")[1:], 1002),
    "a fragment of nothing": (frame(b"4", _MORE), 1002),
}


@pytest.mark.parametrize("name", _FRAMES)
@inReactor
async def test_frames(name: str) -> None:
    """
    Frames that are none, or too many.
    """
    data, code = _FRAMES[name]
    async with attacked() as scene:
        attacker = await scene.attacker(WEBSOCKET)
        attacker.web.send(data)
        await scene.stillServes()
        if code:
            await attacker.ended()
            assert attacker.code == code
            await scene.until(lambda: scene.reasons)


# Floods.


@pytest.mark.parametrize("isRead", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_unknownNamespaces(transport: str, isRead: bool) -> None:
    """
    CONNECT to thousands of namespaces that do not exist.
    """
    async with attacked(unsentTimeout=1.0) as scene:
        attacker = await scene.attacker(transport)
        before = residentSize()
        if not isRead:
            attacker.web.visitor.transport.pauseProducing()
        for number in range(30):
            names = [f"0/{number}-{n}{'x' * 100}," for n in range(300)]
            await attacker.say(*names)
            if isRead:
                await attacker.next()
                attacker.messages.clear()
            await scene.turn()
        await scene.stillServes()
        assert residentSize() - before < 32 * 1024 * 1024


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_comesAndGoes(transport: str) -> None:
    """
    Thousands of CONNECT and DISCONNECT on one connection.
    """
    async with attacked() as scene:
        attacker = await scene.attacker(transport)
        for _ in range(30):
            await attacker.say(*["1", "0"] * 100)
            await scene.stillServes()


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_refusedAgain(transport: str) -> None:
    """
    CONNECT without a session, again and again.
    """
    async with attacked(handshakeTimeout=3.0) as scene:
        bad = "connect.sid=s%3Anone.bad"
        attacker = await scene.attacker(transport, connects=False, cookie=bad)
        for _ in range(20):
            await attacker.say(*["0"] * 100)
            answer = await attacker.next()
            assert json.loads(answer[2:])["message"] == "sinvalid", answer
            attacker.messages.clear()
            await scene.stillServes()


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_pids(transport: str) -> None:
    """
    Clients that want to be what they were not.
    """
    odd: list[Any] = [
        *(
            "",
            "x",
            "x" * 24,
            "x" * 5000,
            "\ud800" * 24,
            "é" * 24,
            None,
            1,
            [],
            {},
            True,
        ),
        *(["x" * 24], {"x": "y"}),
    ]
    async with attacked(recovery=Recovery(seconds=2.0)) as scene:
        for pid in odd:
            for offset in odd:
                attacker = await scene.attacker(transport, connects=False)
                auth = {"pid": pid, "offset": offset}
                await attacker.connect(data=json.dumps(auth))
                await attacker.say(event("say", 1, id=5))
                assert await attacker.next() == b"435[1]"
                attacker.leave()


@inReactor
async def test_ghosts() -> None:
    """
    Clients that are lost again and again, each of which may come back.
    """
    recovery = Recovery(seconds=2.0)
    async with attacked(recovery=recovery, socketsPerSession=50) as scene:
        before = residentSize()
        for _ in range(300):
            attacker = await scene.attacker(WEBSOCKET)
            attacker.leave()
        await scene.until(lambda: len(scene.io.engine) == 1)
        assert len(scene.io.ghosts) <= 50
        assert residentSize() - before < 16 * 1024 * 1024
        await scene.until(lambda: not scene.io.ghosts)


@inReactor
async def test_pipelined() -> None:
    """
    Polls without end behind one that is open.
    """
    async with attacked() as scene:
        attacker = await scene.attacker(POLLING)
        before = residentSize()
        many = request("GET", attacker.path) * 1000
        for _ in range(200):
            attacker.web.send(many)
            await scene.turn()
        await scene.stillServes()
        # What the kernel and this client have not sent is of this process, too.
        sent = 200 * len(many)
        assert residentSize() - before < sent + 16 * 1024 * 1024
        attacker.web.visitor.transport.abortConnection()
        await scene.until(lambda: scene.reasons)


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_connectsTwice(transport: str) -> None:
    """
    CONNECT twice before the session is read: there is one client.
    """
    async with attacked() as scene:
        cookie = await scene.another()
        attacker = await scene.attacker(transport, connects=False, cookie=cookie)
        scene.store.hold("load", "fence")
        before = scene.came
        await attacker.say("0", "0", "0")
        await scene.stillServes()
        scene.store.heal()
        assert (await attacker.next()).startswith(b"40")
        assert scene.came == before + 1
        await attacker.say(event("add", id=7))
        assert await attacker.next() == b"437[1]"


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_leavesWhileItIsRead(transport: str) -> None:
    """
    CONNECT, and DISCONNECT or the end of the connection before the session is read.
    """
    async with attacked() as scene:
        for ends in False, True:
            cookie = await scene.another()
            attacker = await scene.attacker(transport, connects=False, cookie=cookie)
            scene.store.hold("load", "fence")
            await attacker.say("0", "1")
            await scene.turn()
            if ends:
                attacker.leave()
            await scene.turn()
            scene.store.heal()
            await scene.stillServes()
            attacker.leave()


@inReactor
async def test_events() -> None:
    """
    Events without end, in as few reads as can be: others do not wait.
    """
    async with attacked(perMessage=True) as scene:
        attackers = [await scene.attacker(WEBSOCKET) for _ in range(4)]
        for _ in range(5):
            for attacker in attackers:
                attacker.send(*[event("add", id=1)] * 500)
            await scene.stillServes()


# Upgrades.


@pytest.mark.parametrize("data", [frame(b"2probe"), frame(b"6"), frame(b"", 0x9), b""])
@inReactor
async def test_probes(data: bytes) -> None:
    """
    A probe that does not come to its end leaves the polling as it was.
    """
    async with attacked() as scene:
        attacker = await scene.attacker(POLLING)
        path = attacker.path.replace("polling", "websocket")
        probe = await scene.web()
        probe.send(attacker.handshake(path))
        assert (await probe.visitor.head()).startswith(b"HTTP/1.1 101 ")
        probe.send(data * 2000)
        await scene.stillServes()
        probe.leave()
        await attacker.say(event("say", 1, id=5))
        answer = b"6"
        while answer == b"6":
            answer = await attacker.next()
        assert answer == b"435[1]"


@inReactor
async def test_manyProbes() -> None:
    """
    Many probes of one connection, and none of them goes on.
    """
    async with attacked(handshakeTimeout=1.0) as scene:
        attacker = await scene.attacker(POLLING)
        path = attacker.path.replace("polling", "websocket")
        probes = [await scene.web() for _ in range(100)]
        for number, probe in enumerate(probes):
            probe.send(attacker.handshake(path) + frame(b"2probe") * (number % 2))
        await scene.stillServes()
        await scene.until(lambda: all(probe.visitor.isLost for probe in probes))


@inReactor
async def test_wrongUpgrades() -> None:
    """
    An upgrade of somebody who does not exist, and of one who has upgraded.
    """
    async with attacked() as scene:
        attacker = await scene.attacker(WEBSOCKET)
        for sid in attacker.sid, "0" * 20:
            other = await scene.web()
            other.send(attacker.handshake(f"{attacker.path}&sid={sid}"))
            head = await other.visitor.head()
            assert head.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 400 ")), head
            if b" 101 " in head:
                other.send(frame(b"2probe") + frame(b"5"))
                await other.visitor.ended()
        await attacker.say(event("say", 1, id=5))
        assert await attacker.next() == b"435[1]"


# Those who do not read.


@pytest.mark.parametrize("transport", TRANSPORTS)
@inReactor
async def test_readsNothing(transport: str) -> None:
    """
    Who asks for much and reads nothing is dropped, and does not have it all kept.
    """
    async with attacked(unsentTimeout=1.0) as scene:
        attacker = await scene.attacker(transport)
        attacker.web.visitor.transport.pauseProducing()
        before = residentSize()
        if transport == POLLING:
            attacker.web.send(request("GET", attacker.path))
            attacker.post(posted([event("big", 200_000)] * 500))
        else:
            attacker.send(*[event("big", 200_000)] * 500)
        await scene.until(lambda: scene.reasons)
        assert residentSize() - before < 32 * 1024 * 1024
        await scene.stillServes()


@pytest.mark.parametrize("polls", [False, True])
@inReactor
async def test_broadcasts(polls: bool) -> None:
    """
    Broadcasts to those who read nothing.

    @param polls: Whether those who poll have a poll open.
    """
    async with attacked(unsentTimeout=1.0) as scene:
        attackers = []
        for transport in TRANSPORTS * 10:
            attacker = await scene.attacker(transport)
            await attacker.say(event("join", "slow"))
            attackers.append(attacker)
            attacker.web.visitor.transport.pauseProducing()
            if transport == POLLING and polls:
                attacker.web.send(request("GET", attacker.path))
        await scene.stillServes()
        before, most = residentSize(), 0
        for _ in range(200):
            await scene.io.to("slow").emit("big", "x" * 200_000)
            most = max(most, residentSize())
            await scene.turn()
        assert most - before < 96 * 1024 * 1024, most - before
        await scene.until(lambda: len(scene.reasons) == len(attackers))


@inReactor
async def test_atOnce() -> None:
    """
    All kinds of malformed packets by many clients at the same time.
    """
    async with attacked() as scene:
        payloads = [*BAD_TEXT.items()] * 2

        async def one(number: int, name: str, messages: list[bytes | str]) -> None:
            transport = TRANSPORTS[number % 2]
            await deferLater(reactor, number * 0.005, lambda: None)
            await isThrownOut(scene, transport, name, messages)

        await gatherResults(
            [
                Deferred.fromCoroutine(one(number, *each))
                for number, each in enumerate(payloads)
            ],
            consumeErrors=True,
        )
