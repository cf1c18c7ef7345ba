"""
Tests for L{txsessionsock.socketio.lobby}: clients that are in no namespace.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.socketio import SocketIOCase
from txsessionsock.credentials import InBand
from txsessionsock.handshake import Handshake
from txsessionsock.limits import Limits
from txsessionsock.socketio.lobby import Lobby, sizeOf
from txsessionsock.socketio.packets import MSGPACK, TEXT


class _Connection:
    def __init__(self) -> None:
        self.cuts: list[str] = []

    def cut(self, why: str) -> None:
        self.cuts.append(why)


class LobbyTests(SynchronousTestCase):
    """
    L{Lobby}.
    """

    def test_bound(self) -> None:
        """
        Those who have been there for longest are dropped, as many as have to be.
        """
        lobby = Lobby(Limits(lobbyBytes=100))
        all_ = [_Connection() for _ in range(6)]
        for each in all_[:5]:
            lobby.enter(each, 20)
        self.assertFalse(any(each.cuts for each in all_))
        lobby.enter(all_[5], 30)
        self.assertEqual([len(each.cuts) for each in all_], [1, 1, 0, 0, 0, 0])
        self.assertIn("Limits.lobbyBytes", all_[0].cuts[0])
        self.assertEqual(len(lobby), 4)

    def test_leave(self) -> None:
        """
        Who has left takes nothing, and who comes again is the last.
        """
        lobby = Lobby(Limits(lobbyBytes=100))
        first, second, third = (_Connection() for _ in range(3))
        lobby.enter(first, 50)
        lobby.enter(second, 50)
        lobby.leave(second)
        lobby.leave(second)
        lobby.enter(third, 50)
        lobby.enter(first, 50)
        self.assertEqual([first.cuts, second.cuts, third.cuts], [[], [], []])
        lobby.enter(second, 10)
        self.assertTrue(third.cuts)
        self.assertFalse(first.cuts)

    def test_alone(self) -> None:
        """
        One that is too large by itself may stay: its head is bounded.
        """
        lobby = Lobby(Limits(lobbyBytes=10))
        connection = _Connection()
        lobby.enter(connection, 50)
        self.assertFalse(connection.cuts)

    def test_size(self) -> None:
        """
        Many small headers take more than a large one.
        """
        none = sizeOf(Handshake({}, False))
        large = sizeOf(Handshake({"cookie": ["x" * 1000]}, False))
        many = sizeOf(Handshake({str(n): ["x", "y"] for n in range(50)}, False))
        self.assertLess(none, large)
        self.assertGreater(large, none + 1000)
        self.assertGreater(many, none + 10_000)


class LobbyOfConnectionsTests(SocketIOCase):
    """
    Who is in the lobby.
    """

    def serveFew(self) -> Any:
        self.put()
        self.serve(limits=Limits(lobbyBytes=3 * 6500))
        return self.io.lobby

    def test_connections(self) -> None:
        """
        Connections are, until they are in a namespace, and when they have left it;
        that of a session that is being read is not.
        """
        lobby = self.serveFew()
        pages = [self.browse(connects=False) for _ in range(4)]
        isCut = [page.engine.closed is not None for page in pages]
        self.assertEqual(isCut, [True, False, False, False])
        self.wait()
        self.assertEqual(len(lobby), 3)
        self.store.hold("load")
        for page in pages[1:]:
            page.connect()
        self.assertEqual(len(lobby), 0)
        self.store.heal()
        self.wait()
        more = [self.browse(connects=False) for _ in range(3)]
        self.assertTrue(all(page.isConnected for page in pages[1:]))
        pages[1].raw(b"1")
        self.assertEqual(len(lobby), 3)
        self.assertIsNotNone(more[0].engine.closed)
        self.assertIsNone(pages[1].engine.closed)
        self.wait()
        self.assertNothingLeft()
        self.assertEqual(len(lobby), 0)

    def test_inBand(self) -> None:
        """
        A client that was let into a namespace to name its session is in it until it
        has.
        """
        self.put()
        self.serve(limits=Limits(lobbyBytes=3 * 6500), credentials=[InBand()])
        lobby = self.io.lobby
        pages = [self.browse(None) for _ in range(4)]
        isCut = [page.engine.closed is not None for page in pages]
        self.assertEqual(isCut, [True, False, False, False])
        self.wait()
        value = self.cookie().partition("=")[2]
        pages[3].emit("connect_with_session", {"__sid": value})
        self.wait()
        self.assertEqual(len(lobby), 2)
        pages[2].emit("hello")
        self.wait()
        self.assertFalse(pages[2].isConnected)
        self.assertEqual(len(lobby), 2)
        self.wait(10)
        self.assertEqual(len(lobby), 0)
        self.assertTrue(pages[3].isConnected)
        self.assertNothingLeft()

    def test_refused(self) -> None:
        """
        A client without a session comes back to it.
        """
        lobby = self.serveFew()
        page = self.browse(cookie="connect.sid=none")
        self.wait()
        self.assertEqual(len(lobby), 1)
        self.wait(10)
        self.assertEqual(len(lobby), 0)
        self.assertIsNotNone(page.engine.closed)
        self.assertNothingLeft()


class AuthTests(SocketIOCase):
    """
    What a client sends along is kept while it is connected.
    """

    def test_size(self) -> None:
        """
        It is bounded, and the log says so: as the head of a request is, with what
        lists take.
        """
        self.put()
        self.serve(limits=Limits(headerSize=1000))
        for parser in TEXT, MSGPACK:
            for auth, isTaken in (
                ({"token": "x" * 900}, True),
                ({"token": "x" * 1000}, False),
                ({"token": [[]] * 10}, True),
                ({"token": [[]] * 20}, False),
            ):
                page = self.browse(parser=parser, connects=False)
                page.connect(auth=auth)
                self.wait()
                self.assertEqual(page.isConnected, isTaken, auth)
                isClosed = page.engine.closed == (1007, "parse error")
                self.assertEqual(isClosed, not isTaken)
        self.assertNothingLeft()
