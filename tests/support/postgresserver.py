"""
A PostgreSQL server for tests, in processes of its own.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
from contextlib import suppress
from glob import glob
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.support.redisprocess import eventually, freePort


__all__ = [
    "PASSWORD",
    "USER",
    "PostgreSQLServer",
    "Program",
    "psycopg",
    "sharedServer",
]


psycopg: Any = pytest.importorskip(
    "psycopg", reason="no psycopg: pip install txsessionsock[postgresql]"
)

PASSWORD = "geheim+1"

USER = "web"

_SETTINGS = {
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "America/Caracas",
    "max_connections": "40",
    "shared_buffers": "16MB",
}
"""
What is not the default.  The time zone is one that nothing else uses.
"""

_WATCHDOG = 'read said || { kill -9 -- "-$1"; rm -rf "$2"; }'
"""
Notices that nobody is there any more to stop the server.
"""

_shared: list[PostgreSQLServer] = []


def _programs() -> Path:
    """
    Where the newest server is.  Skips the test if there is none.
    """
    found = glob("/usr/lib/postgresql/*/bin/initdb")
    found += glob("/usr/pgsql-*/bin/initdb")
    path = shutil.which("initdb")
    if path is None and found:
        path = max(found, key=lambda name: [int(n) for n in _numbers(name)])
    if path is None:
        pytest.skip("no PostgreSQL server: install postgresql")
    return Path(os.path.realpath(path)).parent


def _numbers(path: str) -> list[str]:
    return "".join(c if c.isdigit() else " " for c in path).split()


def _unprivileged() -> dict[str, Any]:
    """
    As whom to run a server, which refuses to run as root.
    """
    if os.getuid() != 0:
        return {}
    for name in "postgres", "nobody":
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
    pytest.skip("PostgreSQL does not run as root, and there is nobody else")


class Program:
    """
    Something that listens on a port, as somebody who is not root, and does not
    survive this process.

    @ivar port: Where it listens, whenever it runs.

    @ivar directory: Its own, with what it writes in C{log}.

    @cvar farewell: What has it end all connections and leave.
    """

    farewell = signal.SIGINT

    def __init__(self) -> None:
        self.port = freePort()
        self._user = _unprivileged()
        self.directory = Path(mkdtemp(prefix="postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._own(self.directory)

    def _own(self, path: Path) -> None:
        if self._user:
            os.chown(path, self._user["user"], self._user["group"])

    def command(self) -> list[str]:
        """
        What runs it.
        """
        raise NotImplementedError

    def answers(self) -> bool:
        """
        Whether it can be used.
        """
        raise NotImplementedError

    def start(self) -> None:
        """
        Run, and wait until it answers.
        """
        with (self.directory / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._user,
            )
        self._watchdog = subprocess.Popen(
            ["sh", "-c", _WATCHDOG, "sh", str(process.pid), str(self.directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()
        return self.answers()

    def stop(self) -> None:
        """
        Have it end all connections and leave.
        """
        assert self._process is not None
        self._process.send_signal(self.farewell)
        self._ended()

    def _ended(self) -> None:
        assert self._process is not None and self._watchdog is not None
        self._process.wait()
        self._watchdog.communicate(b"\n")
        self._process = self._watchdog = None

    def close(self) -> None:
        """
        Leave nothing behind.
        """
        if self._process is not None:
            self.stop()
        shutil.rmtree(self.directory)


class PostgreSQLServer(Program):
    """
    A server.
    """

    def __init__(self, primary: PostgreSQLServer | None = None) -> None:
        """
        @param primary: Whose standby to be.
        """
        super().__init__()
        self._names = count()
        self._programs = _programs()
        data = f"{self.directory}/data"
        password = self.directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        make = [
            *("initdb", "-D", data, "-U", USER, "-E", "UTF8", "-A", "scram-sha-256"),
            *("--locale=C", "--no-sync", f"--pwfile={password}"),
        ]
        if primary is not None:
            make = ["pg_basebackup", "-D", data, "-R", "-N", "-c", "fast"]
            make += ["-d", primary.url()]
        subprocess.run(
            [str(self._programs / make[0]), *make[1:]],
            cwd=self.directory,
            check=True,
            capture_output=True,
            **self._user,
        )

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        """
        Where a database is.
        """
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        return [
            str(self._programs / "postgres"),
            *("-D", f"{self.directory}/data", f"-p{self.port}"),
            *(f"-c{name}={value}" for name, value in _SETTINGS.items()),
        ]

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def execute(
        self, sql: str, *values: object, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """
        Be the web application.
        """
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def newDatabase(self) -> str:
        """
        Make an empty one.

        @return: Its name.
        """
        name = f"test{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def pause(self) -> None:
        """
        Make all of it hang; its connections stay.
        """
        self._tellAll(signal.SIGSTOP)

    def resume(self) -> None:
        """
        Let it go on.
        """
        self._tellAll(signal.SIGCONT)

    def _tellAll(self, number: signal.Signals) -> None:
        for pid in self._family():
            # One whose client has left ends as soon as it goes on, or before.
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _family(self) -> list[int]:
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [pid, *map(int, children.split())]

    def close(self) -> None:
        """
        Leave nothing behind.
        """
        if self._process is not None:
            self.resume()
            self._process.send_signal(signal.SIGQUIT)
            self._ended()
        super().close()


def sharedServer() -> PostgreSQLServer:
    """
    The server of all tests; whoever stops it starts it.
    """
    if not _shared:
        server = PostgreSQLServer()
        atexit.register(server.close)
        server.start()
        _shared.append(server)
    return _shared[0]
