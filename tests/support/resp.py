"""
A Redis client that waits: another program, as far as what is tested knows.
"""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any


__all__ = ["Address", "Client", "ReplyError"]

Address = str | tuple[str, int]
"""
Where a server is: the path of its socket, or host and port.
"""


class ReplyError(Exception):
    """
    The server said no.
    """


class Client:
    """
    One connection, to be used as a context manager.

    @param timeout: After how many seconds of silence to raise
        L{TimeoutError}.
    """

    def __init__(
        self,
        address: Address,
        *,
        user: str = "default",
        password: str = "",
        timeout: float = 10.0,
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._socket = socket.socket(family)
        self._socket.settimeout(timeout)
        self._file = self._socket.makefile("rb")
        try:
            self._socket.connect(address)
            if password:
                self.command("AUTH", user, password)
        except BaseException:
            self.close()
            raise

    def command(self, *words: str | bytes | float) -> Any:
        """
        Run a command.

        @return: L{bytes} for strings, L{str} for a status like C{"OK"}.

        @raise ReplyError: The answer.
        """
        self.send(*words)
        return self.receive()

    def send(self, *words: str | bytes | float) -> None:
        """
        Send a command.
        """
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        bulks = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), bulks))

    def receive(self) -> Any:
        """
        Wait for the next answer.
        """
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest.decode()
            case b"-":
                raise ReplyError(rest.decode())
            case b":":
                return int(rest)
            case b"$" if rest != b"-1":
                return self._file.read(int(rest) + 2)[:-2]
            case b"*" if rest != b"-1":
                return [self.receive() for _ in range(int(rest))]
        assert kind in b"$*", line
        return None

    def close(self) -> None:
        """
        Leave.
        """
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
