"""
A WebSocket client that waits, for programs without a reactor: what it measures
is the server's time and not its own.
"""

from __future__ import annotations

import json
import os
import socket
from base64 import b64encode
from typing import Any


__all__ = ["Closed", "RawSocket", "RawSocketIO"]

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


class Closed(Exception):
    """
    There was a close frame.

    @ivar how: Its code and reason.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.how = code, reason


class RawSocket:
    """
    One WebSocket.
    """

    _path = "/ws"

    def __init__(self, port: int, cookie: str, timeout: float = 20.0) -> None:
        """
        @param cookie: The value of C{connect.sid}.

        @param timeout: After how many seconds of silence to raise
            L{TimeoutError}.
        """
        self._data = bytearray()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = (
            f"GET {self._path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode()}",
            f"Cookie: connect.sid={cookie}",
            "\r\n",
        )
        self._socket.sendall("\r\n".join(lines).encode())
        while b"\r\n\r\n" not in self._data:
            self._read()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), bytes(head[:100])

    def fileno(self) -> int:
        return self._socket.fileno()

    def say(self, *values: Any) -> None:
        """
        Send messages, all at once.
        """
        frames = [_frame(_TEXT, self._written(value)) for value in values]
        self._socket.sendall(b"".join(frames))

    def _written(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def _messages(self, payload: bytes) -> list[Any]:
        """
        @return: The messages in a frame.
        """
        return [json.loads(payload)]

    def next(self) -> Any:
        """
        Wait for a message.

        @raise Closed: There was a close frame instead.
        """
        while not (answers := self._parsed(1)):
            self._read()
        return answers[0]

    def arrived(self) -> list[Any]:
        """
        Read once.

        @return: All messages that are there then.

        @raise Closed: There was a close frame.
        """
        self._read()
        return self._parsed()

    def ask(self, value: Any) -> Any:
        """
        Send a message and wait for the next.
        """
        self.say(value)
        return self.next()

    def closes(self) -> tuple[int, str]:
        """
        Read once.

        @return: What the close frame says that has to be there then.
        """
        try:
            messages = self.arrived()
        except Closed as closed:
            return closed.how
        raise AssertionError(f"not closed, but said {messages}")

    def close(self) -> None:
        """
        Leave without a word.
        """
        self._socket.close()

    def _read(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("lost, without a close frame")
        self._data += data

    def _parsed(self, most: int = 1 << 30) -> list[Any]:
        """
        Take whole messages out of what was read.
        """
        messages: list[Any] = []
        while len(messages) < most and (frame := self._frame()) is not None:
            opcode, payload = frame
            if opcode == _TEXT:
                messages += self._messages(payload)
            elif opcode == _PING:
                self._socket.sendall(_frame(_PONG, payload))
            elif opcode == _CLOSE:
                raise Closed(int.from_bytes(payload[:2], "big"), payload[2:].decode())
        return messages

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        length, start = data[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(data) < start:
                return None
            length = int.from_bytes(data[2:start], "big")
        end = start + length
        if len(data) < end:
            return None
        frame = data[0] & 0x0F, bytes(data[start:end])
        del data[:end]
        return frame


class RawSocketIO(RawSocket):
    """
    The same with Socket.IO, in the main namespace: a message is an event C{say}, and
    what it is answered with.
    """

    _path = "/socket.io/?EIO=4&transport=websocket"
    _isConnected = False

    def __init__(self, port: int, cookie: str, timeout: float = 20.0) -> None:
        super().__init__(port, cookie, timeout)
        self._socket.sendall(_frame(_TEXT, b"40"))
        while not self._isConnected:
            self._parsed()
            if not self._isConnected:
                self._read()

    def _written(self, value: Any) -> bytes:
        return b'420["say",' + json.dumps(value).encode() + b"]"

    def _messages(self, payload: bytes) -> list[Any]:
        if payload.startswith(b"430["):
            return [json.loads(payload[3:])[0]]
        if payload == b"2":
            self._socket.sendall(_frame(_TEXT, b"3"))
        elif payload.startswith(b"40{"):
            self._isConnected = True
        elif payload.startswith(b"44"):
            raise Closed(0, payload.decode())
        return []


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    assert size < 1 << 16
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    # A mask of zeros is one too.
    return bytes([0x80 | opcode]) + length + bytes(4) + payload
