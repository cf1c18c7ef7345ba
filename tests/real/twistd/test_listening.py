"""
Tests for L{txsessionsock.service.listening}, with real sockets.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.service import Adopting, Sharing
from txsessionsock.service.listening import CannotListen, listen


class SharingTests(SynchronousTestCase):
    """
    What the parent makes.
    """

    def share(self, *descriptions: str, count: int = 2) -> Sharing:
        """
        Listen.
        """
        sharing = Sharing(count)
        self.addCleanup(sharing.close)
        anyReactor: Any = sharing
        endpoints = [(d, serverFromString(anyReactor, d)) for d in descriptions]
        listen(endpoints, Factory())
        return sharing

    def test_sockets(self) -> None:
        """
        Each worker has a socket of its own at each port, and all wait for
        connections already.
        """
        sharing = self.share("tcp:0:interface=127.0.0.1", r"tcp6:0:interface=\:\:1")
        ports = set()
        for made, family in zip(
            sharing.sockets, (socket.AF_INET, socket.AF_INET6), strict=True
        ):
            self.assertEqual([each.family for each in made], [family] * 2)
            (address,) = {each.getsockname() for each in made}
            ports.add(address[1])
            for each in made:
                self.assertEqual(each.gettimeout(), 0)
                listens = each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                self.assertTrue(listens)
            with socket.create_connection(address[:2]):
                pass
        self.assertEqual(len(ports), 2)
        self.assertNotIn(0, ports)
        one, two = sharing.socketsOf(0), sharing.socketsOf(1)
        self.assertEqual(len({*one, *two}), 4)
        sharing.close()
        for address in (("127.0.0.1", port) for port in ports):
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(address).close()

    def test_taken(self) -> None:
        """
        Another instance cannot share them, which it would without notice; nor
        do we those of somebody else.
        """
        sharing = self.share("tcp:0:interface=127.0.0.1")
        port = sharing.sockets[0][0].getsockname()[1]
        where = f"tcp:{port}:interface=127.0.0.1"
        error = self.assertRaises(CannotListen, self.share, where)
        said = f"cannot listen on {where}: Address already in use"
        self.assertEqual(str(error), said)
        sharing.close()
        self.share(where)

    def test_wrong(self) -> None:
        """
        What cannot be had is told in words.
        """
        error = self.assertRaises(
            CannotListen, self.share, "tcp:0:interface=203.0.113.1"
        )
        self.assertIn("Cannot assign requested address", str(error))
        error = self.assertRaises(CannotListen, self.share, "tcp:0:interface=no host")
        self.assertIn("cannot listen on tcp:0:interface=no host: ", str(error))


class Adopter:
    """
    A reactor that adopts.
    """

    def __init__(self) -> None:
        self.adopted: list[tuple[int, int, Any]] = []

    def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> object:
        os.fstat(descriptor)
        assert not os.get_inheritable(descriptor)
        self.adopted.append((descriptor, family, factory))
        return self


class AdoptingTests(SynchronousTestCase):
    """
    What a worker does with it.
    """

    def test_adopted(self) -> None:
        """
        It listens at its sockets, in their order, knows what they are, wraps
        the factory for TLS, and keeps no second descriptor.
        """
        made = [
            socket.socket(family) for family in (socket.AF_INET, socket.AF_INET6) * 2
        ]
        handed = [os.dup(each.fileno()) for each in made]
        for each in made:
            each.close()
        for descriptor in handed:
            os.set_inheritable(descriptor, True)
        reactor, factory = Adopter(), Factory()
        adopting = Adopting(reactor, handed)
        adopting.listenTCP(8080, factory, interface="127.0.0.1")
        adopting.listenTCP(8080, factory, backlog=7, interface="::1")
        adopting.listenSSL(8443, factory, CertificateOptions())
        adopting.listenTCP(80, factory)
        self.assertEqual([a[0] for a in reactor.adopted], handed)
        families = [a[1] for a in reactor.adopted]
        self.assertEqual(families, [socket.AF_INET, socket.AF_INET6] * 2)
        one, two, wrapped, four = (a[2] for a in reactor.adopted)
        self.assertEqual([one, two, four], [factory] * 3)
        self.assertIsInstance(wrapped, TLSMemoryBIOFactory)
        self.assertIs(wrapped.wrappedFactory, factory)
        for descriptor in handed:
            self.assertRaises(OSError, os.fstat, descriptor)
