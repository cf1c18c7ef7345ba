"""
What the tests of both parsers share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from txsessionsock.limits import Limits
from txsessionsock.socketio.packets import (
    RESERVED,
    BadPacket,
    Decoder,
    Kind,
    Message,
    Packet,
    Parser,
)


FIXTURE: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "fixtures" / "packets.json").read_text("utf-8")
)
"""
What the official parsers wrote and read; C{fixtures/make.js} made it.
"""


def restored(value: Any) -> Any:
    """
    A value of the fixture, with bytes for what stands for them.
    """
    if isinstance(value, list):
        return [*map(restored, value)]
    if isinstance(value, dict):
        if value.keys() == {"$bytes"}:
            return bytes.fromhex(value["$bytes"])
        return {key: restored(item) for key, item in value.items()}
    return value


def messagesOf(row: Iterable[dict[str, str]]) -> list[Message]:
    """
    The messages of the fixture, without the C{4} of Engine.IO.
    """
    return [
        (bytes.fromhex(each["hex"]), True)
        if "hex" in each
        else (each["text"].encode(), False)
        for each in row
    ]


def add(decoder: Decoder, messages: Iterable[Message]) -> Packet | None:
    """
    Give a decoder messages.

    @return: What it made of the last one.
    """
    packet = None
    for payload, isBinary in messages:
        packet = decoder.add(payload, isBinary)
    return packet


def decoded(parser: Parser, *messages: Message | bytes, **limits: Any) -> Packet | None:
    """
    What a new decoder makes of messages; C{bytes} are text.
    """
    decoder = parser.decoder(Limits(**limits))
    whole = [each if isinstance(each, tuple) else (each, False) for each in messages]
    return add(decoder, whole)


def unsent(messages: Iterable[Message]) -> list[Message]:
    """
    What was encoded, as it arrives.
    """
    return [(raw if isBinary else raw[1:], isBinary) for raw, isBinary in messages]


def tried(parser: Parser, messages: Iterable[Message]) -> str | Packet | None:
    """
    What a new decoder makes of messages, or what it says against them.
    """
    try:
        return add(parser.decoder(Limits()), messages)
    except BadPacket as error:
        return str(error)


NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = TEXTS.filter(lambda key: key != "_placeholder")
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS


def values(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """
    What may be within packets, of these.
    """
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
        ),
        max_leaves=8,
    )


NAMES = TEXTS.filter(lambda name: name not in RESERVED)
NAMESPACES = st.just("/") | st.text("abcé/_-0{[", max_size=5).map("/".__add__)
IDS = st.integers(0, 2**53 - 1)
PLAIN = values(LEAVES)
MIXED = st.lists(values(LEAVES | st.binary(max_size=5)), max_size=4)
AUTH = st.none() | st.dictionaries(KEYS, PLAIN, max_size=3)

PACKETS = st.one_of(
    st.builds(Packet, st.just(Kind.CONNECT), NAMESPACES, AUTH),
    st.builds(Packet, st.just(Kind.DISCONNECT), NAMESPACES),
    st.builds(
        Packet,
        st.just(Kind.EVENT),
        NAMESPACES,
        st.builds(lambda name, args: [name, *args], NAMES, MIXED),
        st.none() | IDS,
    ),
    st.builds(Packet, st.just(Kind.ACK), NAMESPACES, MIXED, IDS),
    st.builds(
        Packet,
        st.just(Kind.CONNECT_ERROR),
        NAMESPACES,
        st.dictionaries(KEYS, PLAIN, max_size=3),
    ),
)
"""
Any packet that can be sent.
"""


def binariesIn(value: Any) -> int:
    """
    How many attachments a value needs.
    """
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        return sum(map(binariesIn, value))
    return isinstance(value, bytes)
