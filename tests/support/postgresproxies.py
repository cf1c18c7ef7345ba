"""
What stands between a web application and its PostgreSQL: pgbouncer and HAProxy,
in processes of their own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket

import pytest

from tests.support.postgresserver import (
    PASSWORD,
    USER,
    PostgreSQLServer,
    Program,
    psycopg,
)
from tests.support.redisprocess import eventually, freePort


__all__ = ["HAProxy", "PgBouncer"]


_BOUNCER = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {directory}/users
admin_users = {user}
pool_mode = {mode}
"""

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


class PgBouncer(Program):
    """
    A pooler before a server, for all of its databases.
    """

    farewell = signal.SIGTERM

    def __init__(self, server: PostgreSQLServer, mode: str) -> None:
        """
        @param mode: For how long a client has a session of the server:
            C{"session"}, C{"transaction"} or C{"statement"}.
        """
        self._program = _program("pgbouncer")
        super().__init__()
        self._server = server
        (self.directory / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
        self._configure(mode)

    def _configure(self, mode: str) -> None:
        (self.directory / "ini").write_text(
            _BOUNCER.format(
                server=self._server.port,
                port=self.port,
                directory=self.directory,
                user=USER,
                mode=mode,
            )
        )

    def url(self, database: str) -> str:
        """
        Where a database is, for those who come by the pooler.
        """
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        return [self._program, f"{self.directory}/ini"]

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), autocommit=True).close()
        except psycopg.OperationalError:
            return False
        return True

    def become(self, mode: str) -> None:
        """
        Go on in another mode, also for those who are connected.
        """
        self._configure(mode)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        eventually(lambda: self._mode() == mode)

    def _mode(self) -> str:
        with psycopg.connect(
            self.url("pgbouncer"), autocommit=True, cursor_factory=psycopg.ClientCursor
        ) as connection:
            settings = {row[0]: row[1] for row in connection.execute("SHOW CONFIG")}
        return str(settings["pool_mode"])


class HAProxy(Program):
    """
    One name for several servers, one of which it belongs to.
    """

    # SIGINT it ignores if whoever runs the tests in the background has it ignored.
    farewell = signal.SIGTERM

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
