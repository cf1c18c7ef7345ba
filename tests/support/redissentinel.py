"""
A Redis Sentinel for tests, with all that belongs to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

from tests.support.redisprocess import RedisProcess, RedisServer, eventually
from tests.support.resp import ReplyError


__all__ = ["SentinelSetup"]

_Server = TypeVar("_Server", bound=RedisProcess)

_NAME = "mymaster"

_HASTE = ("info-period", 200, "ask-period", 100, "publish-period", 200)
"""
In milliseconds.  Not C{ping-period}: a sentinel takes no replica of which it
has not heard for five of them.
"""


class _Sentinel(RedisProcess):
    options = ("--sentinel",)

    def __init__(self, binary: str) -> None:
        super().__init__(binary)
        self.id = secrets.token_hex(20)
        self.control = "127.0.0.1", self.port

    def configure(self, setup: SentinelSetup) -> None:
        """
        Introduce the others, who would need seconds to find each other.
        """
        master, *replicas = setup.servers
        password = setup.password
        lines = [
            f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}",
            f"sentinel myid {self.id}",
            f"sentinel monitor {_NAME} 127.0.0.1 {master.port} 2",
            f"sentinel down-after-milliseconds {_NAME} 1000",
            f"sentinel failover-timeout {_NAME} 4000",
            *([f"sentinel auth-pass {_NAME} {password}"] if password else []),
        ]
        known = [f"known-replica {_NAME} 127.0.0.1 {each.port}" for each in replicas]
        for each in setup.sentinels:
            if each is not self:
                known.append(f"known-sentinel {_NAME} 127.0.0.1 {each.port} {each.id}")
        lines += [f"sentinel {line}" for line in known]
        self._configuration.write_text("\n".join([*lines, ""]))

    def start(self) -> None:
        super().start()
        self.hurry()

    def hurry(self) -> None:
        """
        Do everything more often, if it can be told to.
        """
        try:
            self.command("SENTINEL", "DEBUG", *_HASTE)
        except ReplyError as error:
            assert "Unknown" in str(error), error

    def address(self) -> int:
        """
        On which port it believes the master to be.
        """
        said = self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _NAME)
        return int(said[1])

    def isContent(self) -> bool:
        """
        Whether it has heard of a master, two replicas and two other sentinels,
        and of nothing wrong with any.
        """
        kinds = ["MASTERS"], ["REPLICAS", _NAME], ["SENTINELS", _NAME]
        entries = [
            dict(zip(entry[::2], entry[1::2], strict=True))
            for kind in kinds
            for entry in self.command("SENTINEL", *kind)
        ]
        flags = sorted(entry[b"flags"] for entry in entries)
        links = [entry.get(b"master-link-status") for entry in entries]
        wanted = [b"master", b"sentinel", b"sentinel", b"slave", b"slave"]
        return flags == wanted and links.count(b"ok") == 2


class SentinelSetup:
    """
    A master, two replicas and three sentinels, which know each other; a
    context manager.

    @ivar servers: The first master and the replicas.
    """

    def __init__(self, *lines: str, password: str = "") -> None:
        """
        @param lines: More configuration for the data servers.
        """
        self.password = password
        self._stack = ExitStack()
        quick = ["repl-diskless-sync-delay 0", "repl-ping-replica-period 1", *lines]
        if password:
            quick.append(f"masterauth {password}")
        master = self._add(RedisServer(*quick, password=password))
        quick.append(f"replicaof 127.0.0.1 {master.port}")
        self.servers = [master]
        for _ in range(2):
            self.servers.append(self._add(RedisServer(*quick, password=password)))
        self.sentinels = [self._add(_Sentinel(master.binary)) for _ in range(3)]
        for sentinel in self.sentinels:
            sentinel.configure(self)

    def _add(self, server: _Server) -> _Server:
        self._stack.callback(server.close)
        return server

    @property
    def url(self) -> str:
        """
        Where the sentinels are.
        """
        credentials = f":{quote(self.password, safe='')}@" if self.password else ""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{credentials}{hosts}/{_NAME}/0"

    @property
    def master(self) -> RedisServer:
        """
        Which server most sentinels say is the master.
        """
        said = [each.address() for each in self.sentinels if each.isRunning]
        port = max(said, key=said.count)
        return next(server for server in self.servers if server.port == port)

    def waitForMaster(
        self, accepted: Callable[[RedisServer], object], patience: float = 60.0
    ) -> RedisServer:
        """
        Block until all sentinels name one master that is C{accepted} and a
        master in its own eyes.
        """

        def found() -> RedisServer | None:
            server = self.master
            agreed = {each.address() for each in self.sentinels} == {server.port}
            good = agreed and server.isRunning and accepted(server)
            return server if good and server.role == "master" else None

        return eventually(found, patience)

    def __enter__(self) -> SentinelSetup:
        try:
            for process in [*self.servers, *self.sentinels]:
                process.launch()
            for server in self.servers:
                server.wait()
            for sentinel in self.sentinels:
                sentinel.wait()
                sentinel.hurry()
            for sentinel in self.sentinels:
                eventually(sentinel.isContent)
            wanted = ["master", "follower", "follower"]
            eventually(lambda: [each.role for each in self.servers] == wanted)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
