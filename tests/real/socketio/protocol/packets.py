"""
Cases of Socket.IO: namespaces, events, acks, bytes, and packets that are none.
"""

from __future__ import annotations

import asyncio
import json
from time import monotonic

from .cases import case
from .wire import PATIENCE, Server, Socket


_PLACE = '{"_placeholder":true,"num":%d}'

_NO_PACKETS = (
    "4",
    "4abc",
    *("47", "48", "49", "4-1"),
    *("42", "42{}", "42[]", '42"x"', '42{"a":1}', "42null", "42[null]", '42[{"a":1}]'),
    *('42["x"', '42["x",]', '42["x",NaN]', '42["x",undefined]', '42abc["x"]'),
    *(f'42["{name}"]' for name in ("connect", "connect_error", "disconnect")),
    *(f'42["{name}"]' for name in ("disconnecting", "newListener", "removeListener")),
    *('45["x"]', '450-["x"]', '45-["x"]', '45a-["x"]', '451["x"]', '451-["x"'),
    *('4511-["x"]', '459999999999-["x"]', '45-1-["x"]', '451-{"a":1}'),
    *("43{}", '43"x"', "431{}", "431null", "461-1{}"),
    *("41{}", "40[]", '40"x"', "40null", "40{"),
)
"""
What closes the connection of a client in the main namespace.
"""


async def _closes(socket: Socket, *messages: str | bytes) -> None:
    """
    See that messages close a connection.
    """
    await socket.send(*messages)
    try:
        await socket.closed()
    except TimeoutError:
        raise AssertionError(f"not closed by {messages!r}") from None


# Connecting.


async def _connects(server: Server, namespace: str, data: str, auth: str) -> None:
    async with server.opened() as socket:
        await socket.send(f"40{namespace}{data}")
        answer = await socket.next()
        assert answer.startswith(f"40{namespace}{{"), answer
        said = json.loads(answer.removeprefix(f"40{namespace}"))
        # With recovery, there is a private ID, too.
        assert {"sid"} <= said.keys() <= {"sid", "pid"}, said
        assert isinstance(said["sid"], str), said
        assert said["sid"] != socket.sid, said
        event = await socket.next()
        assert event == f'42{namespace}["auth",{auth}]', event


@case("connect")
async def main(server: Server) -> None:
    """
    To the main namespace.
    """
    await _connects(server, "", "", "{}")


@case("connect")
async def mainWithData(server: Server) -> None:
    """
    To the main namespace, with data.
    """
    await _connects(server, "", '{"token":"123"}', '{"token":"123"}')


@case("connect")
async def custom(server: Server) -> None:
    """
    To another namespace, and not to the main one.
    """
    await _connects(server, "/custom,", "", "{}")
    async with server.opened() as socket:
        await socket.send("40/custom,")
        await socket.many(2)
        await _closes(socket, '42["message",1]')


@case("connect")
async def customWithData(server: Server) -> None:
    """
    To another namespace, with data.
    """
    await _connects(server, "/custom,", '{"token":"abc"}', '{"token":"abc"}')


@case("connect")
async def withoutComma(server: Server) -> None:
    """
    To another namespace without the comma at the end.
    """
    async with server.opened() as socket:
        await socket.send("40/custom")
        answer, auth = await socket.many(2)
        assert answer.startswith('40/custom,{"sid":'), answer
        assert auth == '42/custom,["auth",{}]', auth


@case("connect", isPublished=False)
async def query(server: Server) -> None:
    """
    To another namespace with a query behind its name, as old clients send it.
    """
    async with server.opened() as socket:
        await socket.send("40/custom?token=abc,")
        answer = await socket.next()
        assert answer.startswith('40/custom,{"sid":'), answer


@case("connect")
async def unknown(server: Server) -> None:
    """
    To a namespace that does not exist; to another one afterwards.
    """
    async with server.opened() as socket:
        await socket.send("40/random")
        answer = await socket.next()
        assert answer == '44/random,{"message":"Invalid namespace"}', answer
        await socket.connected()
        await socket.works()


@case("connect")
async def both(server: Server) -> None:
    """
    To two namespaces by one connection: each has an ID of its own.
    """
    async with server.opened() as socket:
        await socket.send("40", "40/custom,")
        found = await socket.many(4)
        sids = [each.partition("{")[2] for each in found if each.startswith("40")]
        assert len(set(sids)) == 2, found
        await socket.send('42["message",1]', '42/custom,["message",2]')
        found = await socket.many(2)
        expected = ['42["message-back",1]', '42/custom,["message-back",2]']
        assert sorted(found) == sorted(expected), found


@case("connect")
async def invalid(server: Server) -> None:
    """
    With what is no packet: the connection is closed.
    """
    for packet in "4abc", "4", "40[]", '40"x"', "40{":
        async with server.opened() as socket:
            await _closes(socket, packet)


@case("connect")
async def late(server: Server) -> None:
    """
    Who does not connect is closed.
    """
    began = monotonic()
    async with server.opened() as socket:
        patience = server.connectTimeout + PATIENCE
        assert await socket.closed(patience) == []
    took = monotonic() - began
    assert 0.8 * server.connectTimeout < took < patience / 2, took


@case("connect")
async def lateAfterRefusal(server: Server) -> None:
    """
    Nor does who asked only for a namespace that does not exist stay.
    """
    async with server.opened() as socket:
        await socket.send("40/random")
        await socket.next()
        assert await socket.closed(server.connectTimeout + PATIENCE) == []


@case("connect")
async def eventFirst(server: Server) -> None:
    """
    An event before CONNECT closes the connection.
    """
    for packet in '42["message",1]', "431[]", '42/custom,["message",1]':
        async with server.opened() as socket:
            await _closes(socket, packet)


@case("connect")
async def byPolling(server: Server) -> None:
    """
    All this by polling, too.
    """
    polls = await server.polls()
    await polls.sent("40/random", "40/custom,", '40{"token":"123"}')
    found = await polls.many(5)
    assert '44/random,{"message":"Invalid namespace"}' in found, found
    assert '42/custom,["auth",{}]' in found, found
    assert '42["auth",{"token":"123"}]' in found, found
    await polls.works()
    await polls.post("4abc")
    await polls.ended()


# Disconnecting.


@case("disconnect")
async def leaveMain(server: Server) -> None:
    """
    From the main namespace: the connection stays for now.
    """
    async with server.opened(isAnswering=False) as socket:
        await socket.send("40")
        await socket.many(2)
        await socket.send("41")
        packet = await socket.next(server.pingInterval + PATIENCE)
        assert packet == "2", packet


@case("disconnect")
async def leaveCustom(server: Server) -> None:
    """
    From another namespace: the main one stays.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.connected("/custom")
        await socket.send("41/custom", '42["message","to main"]')
        answer = await socket.next()
        assert answer == '42["message-back","to main"]', answer


@case("disconnect")
async def again(server: Server) -> None:
    """
    Who left may come again, under a new ID.
    """
    async with server.opened() as socket:
        sids = set()
        for _ in range(3):
            await socket.send("40")
            sids.add(json.loads((await socket.next())[2:])["sid"])
            await socket.next()
            await socket.works()
            await socket.send("41")
        assert len(sids) == 3, sids


@case("disconnect", isPublished=False)
async def others(server: Server) -> None:
    """
    From a namespace that one is not in: nothing happens.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send("41/custom,", "41/random,")
        await socket.works()


# Events.


@case("event")
async def plain(server: Server) -> None:
    """
    Values of each kind.
    """
    async with server.opened() as socket:
        await socket.connected()
        for args in (
            '1,"2",{"3":[true]}',
            'null,false,-1.5,"",[],{}',
            '"é€\U0001f600","\\u0000\\"\\\\"',
            '{"a":{"b":[[[{"c":null}]]]}}',
            '{"_placeholder":true,"num":0}',
        ):
            await socket.send(f'42["message",{args}]')
            answer = await socket.next()
            back = json.loads(answer.removeprefix("42"))
            assert back == ["message-back", *json.loads(f"[{args}]")], answer


@case("event")
async def noArguments(server: Server) -> None:
    """
    Nothing but a name.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send('42["message"]')
        assert await socket.next() == '42["message-back"]'


@case("event")
async def inCustom(server: Server) -> None:
    """
    In another namespace.
    """
    async with server.opened() as socket:
        await socket.connected("/custom")
        await socket.send('42/custom,["message",1]')
        assert await socket.next() == '42/custom,["message-back",1]'


@case("event")
async def order(server: Server) -> None:
    """
    Many, in their order.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send(*(f'42["message",{n}]' for n in range(300)))
        found = await socket.many(300)
        assert found == [f'42["message-back",{n}]' for n in range(300)]


@case("event", isPublished=False)
async def number(server: Server) -> None:
    """
    A number as its name.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send('42[1,"x"]', "42[1.5]")
        await socket.works()


@case("event")
async def unheard(server: Server) -> None:
    """
    One that nobody listens for.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send('42["nobody","x"]', '42["toString"]', '42["__proto__",{}]')
        await socket.works()


# Bytes.


@case("binary")
async def attachments(server: Server) -> None:
    """
    Two attachments.
    """
    async with server.opened() as socket:
        await socket.connected()
        places = f"{_PLACE % 0},{_PLACE % 1}"
        await socket.send(f'452-["message",{places}]', b"\1\2\3", b"\4\5\6")
        expected = [f'452-["message-back",{places}]', b"\1\2\3", b"\4\5\6"]
        assert await socket.many(3) == expected


@case("binary")
async def inDictionaries(server: Server) -> None:
    """
    Attachments within lists and dictionaries, and an empty one.
    """
    async with server.opened() as socket:
        await socket.connected("/custom")
        within = f'{{"a":[{_PLACE % 0},1]}},[[{_PLACE % 1}]]'
        await socket.send(f'452-/custom,["message",{within}]', b"", b"\0" * 70_000)
        expected = [f'452-/custom,["message-back",{within}]', b"", b"\0" * 70_000]
        assert await socket.many(3) == expected


@case("binary")
async def otherOrder(server: Server) -> None:
    """
    Places in another order than attachments.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send(f'452-["message",{_PLACE % 1},{_PLACE % 0}]', b"A", b"B")
        head, first, second = await socket.many(3)
        name, *places = json.loads(head.removeprefix("452-"))
        found = [(first, second)[place["num"]] for place in places]
        assert (name, found) == ("message-back", [b"B", b"A"]), (head, first, second)


@case("binary", isPublished=False)
async def tenAttachments(server: Server) -> None:
    """
    Ten attachments.
    """
    async with server.opened() as socket:
        await socket.connected()
        places = ",".join(_PLACE % number for number in range(10))
        binaries = [bytes([number]) for number in range(10)]
        await socket.send(f'4510-["message",{places}]', *binaries)
        assert await socket.many(11) == [f'4510-["message-back",{places}]', *binaries]


@case("binary", isPublished=False)
async def interrupted(server: Server) -> None:
    """
    Text where an attachment belongs closes the connection, but for pings and such;
    so does an attachment of nothing.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send(f'451-["message",{_PLACE % 0}]', "3", b"A")
        assert await socket.many(2) == [f'451-["message-back",{_PLACE % 0}]', b"A"]
        await _closes(socket, f'451-["message",{_PLACE % 0}]', '42["message"]')
    async with server.opened() as socket:
        await socket.connected()
        await _closes(socket, b"A")


@case("binary", isPublished=False)
async def noPlace(server: Server) -> None:
    """
    A place of no attachment closes the connection.
    """
    for number in "1", "-1", '"x"', "null", "1e9", "[]":
        place = f'{{"_placeholder":true,"num":{number}}}'
        async with server.opened() as socket:
            await socket.connected()
            await _closes(socket, f'451-["message",{place}]', b"A")


@case("binary", isPublished=False)
async def missing(server: Server) -> None:
    """
    Who does not send attachments is closed, however well it answers pings.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send(f'452-["message",{_PLACE % 0},{_PLACE % 1}]', b"A")
        assert await socket.closed(server.connectTimeout + PATIENCE) == []


# Acks.


@case("ack")
async def ack(server: Server) -> None:
    """
    Of an event.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await socket.next() == '43456[1,"2",{"3":[false]}]'
        await socket.send('420["message-with-ack"]')
        assert await socket.next() == "430[]"


@case("ack")
async def ackWithBytes(server: Server) -> None:
    """
    Of an event with attachments, with attachments.
    """
    async with server.opened() as socket:
        await socket.connected()
        places = f"{_PLACE % 0},{_PLACE % 1}"
        await socket.send(f'452-789["message-with-ack",{places}]', b"\1\2", b"\3")
        expected = [f"462-789[{places}]", b"\1\2", b"\3"]
        assert await socket.many(3) == expected


@case("ack")
async def ackInCustom(server: Server) -> None:
    """
    In another namespace; IDs there are its own.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.connected("/custom")
        await socket.send('42/custom,7["message-with-ack","custom"]')
        assert await socket.next() == '43/custom,7["custom"]'
        await socket.send('427["message-with-ack","main"]')
        assert await socket.next() == '437["main"]'


@case("ack")
async def largeID(server: Server) -> None:
    """
    The largest ID that JavaScript has.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send('429007199254740991["message-with-ack",1]')
        assert await socket.next() == "439007199254740991[1]"


@case("ack", isPublished=False)
async def asked(server: Server) -> None:
    """
    Of an event of the server's, with and without attachments.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send('42["ask",1,"x"]')
        question = await socket.next()
        assert question.endswith('["question",1,"x"]'), question
        number = question.removeprefix("42").partition("[")[0]
        assert number.isdecimal(), question
        await socket.send(f'43{number}["yes",2]')
        assert await socket.next() == '42["answered","yes",2]'
        await socket.send('42["ask"]')
        number = (await socket.next()).removeprefix("42").partition("[")[0]
        await socket.send(f"461-{number}[{_PLACE % 0}]", b"A")
        assert await socket.many(2) == [f'451-["answered",{_PLACE % 0}]', b"A"]


@case("ack")
async def unasked(server: Server) -> None:
    """
    Of nothing: nothing happens.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send("4399999[]", "430[1]", f"461-5[{_PLACE % 0}]", b"A")
        await socket.works()


# What is no packet.


@case("malformed")
async def malformed(server: Server) -> None:
    """
    Each closes the connection.
    """

    async def isClosed(packet: str) -> bool:
        async with server.opened() as socket:
            await socket.connected()
            try:
                await _closes(socket, packet)
            except AssertionError:
                return False
            return True

    closed = await asyncio.gather(*map(isClosed, _NO_PACKETS))
    stay = [each for each, is_ in zip(_NO_PACKETS, closed, strict=True) if not is_]
    assert stay == [], f"not closed by {stay}"


@case("malformed")
async def malformedByPolling(server: Server) -> None:
    """
    By polling, too.
    """
    for packet in "4abc", "42{}", '42abc["x"]', '451["x"]', "bAQID":
        polls = await server.polls()
        await polls.connected()
        await polls.post('42["message",1]', packet)
        await polls.ended()


@case("malformed")
async def deep(server: Server) -> None:
    """
    Nested 100,000 times: the connection is closed or goes on, and so does the server.
    """
    async with server.opened() as other:
        await other.connected()
        for left, right in ("[", "]"), ('{"a":', "}"):
            value = f"{left * 100_000}1{right * 100_000}"
            async with server.opened() as socket:
                await socket.connected()
                await socket.send(f'42["unheard",{value}]')
                await other.works()


@case("malformed", isPublished=False)
async def notFinite(server: Server) -> None:
    """
    A number that JSON has and JavaScript has not reaches no client as it is.
    """
    async with server.opened() as socket:
        await socket.connected()
        await socket.send('42["message",1e999]')
        for answer in await socket.closed() if socket.code else []:
            assert "Infinity" not in answer, answer
            assert "999" not in answer, answer


@case("malformed")
async def othersStay(server: Server) -> None:
    """
    Other clients do not notice.
    """
    async with server.opened() as other, server.opened() as socket:
        await other.connected()
        await socket.connected()
        await _closes(socket, "4abc")
        await other.works()
