"""
What stands between a web application and its PostgreSQL: HAProxy, in a
process of its own.
"""

from __future__ import annotations

import os
import shutil
import socket

import pytest

from .postgresserver import PostgreSQLServer, Program
from .redisprocess import freePort


__all__ = ["HAProxy"]


_PROXY = """
global
    stats socket 127.0.0.1:{control} level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen postgresql
    bind 127.0.0.1:{port}
"""


def _program(name: str) -> str:
    """
    Where a program is.  Skips the test if it is nowhere.
    """
    # Not everybody has these directories on the path.
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin")
    if path is None:
        pytest.skip(f"no {name}: install it")
    return path


class HAProxy(Program):
    """
    One name for several servers, one of which it belongs to.
    """

    def __init__(self, *servers: PostgreSQLServer) -> None:
        self._program = _program("haproxy")
        super().__init__()
        self._control = freePort()
        self._servers = servers
        lines = _PROXY.format(port=self.port, control=self._control)
        for number, server in enumerate(servers):
            more = " disabled" if number else ""
            lines += f"    server s{number} 127.0.0.1:{server.port}{more}\n"
        (self.directory / "cfg").write_text(lines)

    def command(self) -> list[str]:
        return [self._program, "-db", "-f", f"{self.directory}/cfg"]

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def belongTo(self, server: PostgreSQLServer) -> None:
        """
        Send all who connect from now on to a server; those who are connected
        stay where they are.
        """
        self._set(server, "ready")
        for other in self._servers:
            if other is not server:
                self._set(other, "maint")

    def _set(self, server: PostgreSQLServer, state: str) -> None:
        number = self._servers.index(server)
        self._say(f"set server postgresql/s{number} state {state}")

    def _say(self, command: str) -> None:
        with socket.create_connection(("127.0.0.1", self._control)) as connection:
            connection.sendall(command.encode() + b"\n")
            answer = connection.recv(4096)
        assert not answer.strip(), answer
