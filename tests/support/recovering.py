"""
Clients that lose their connection and come back, for the tests of recovery.
"""

from __future__ import annotations

from typing import Any

from tests.support.socketio import Page, SocketIOCase
from txsessionsock.hub import hubOf
from txsessionsock.socketio import Recovery
from txsessionsock.socketio.packets import TEXT, Kind, Parser


class RecoveryCase(SocketIOCase):
    """
    A server whose clients may come back.
    """

    recovery = Recovery(seconds=120)

    def setUp(self) -> None:
        super().setUp()
        self.put(user=42)
        self.serve()

    def serve(self, *args: Any, **options: Any) -> Any:
        options.setdefault("recovery", self.recovery)
        return super().serve(*args, **options)

    def come(self, parser: Parser = TEXT) -> Page:
        """
        Connect as a new client.
        """
        page = self.browse(parser=parser)
        self.wait()
        return page

    def lose(
        self, page: Page, code: int = 1006, reason: str = "transport close"
    ) -> None:
        """
        Have a client lose its connection.
        """
        page.lose(code, reason)
        self.wait()

    def back(
        self,
        page: Page,
        offset: Any = ...,
        *,
        cookie: str = "",
        parser: Parser | None = None,
        **auth: Any,
    ) -> Page:
        """
        Connect as the official client does that was another page's: with what that
        was told.

        @param offset: Unless given, that of the last event that it got.
        """
        again = self.browse(cookie, parser or page.parser, connects=False)
        if offset is ...:
            offset = offsetOf(page)
        if offset is not None:
            auth.setdefault("offset", offset)
        again.connect("/", {"pid": pidOf(page), **auth})
        self.wait()
        return again

    def assertBack(self, page: Page, before: Page, *missed: Any) -> None:
        """
        It is who it was, and got what it missed: the names and arguments of events.
        """
        self.assertEqual(page.got[0].kind, Kind.CONNECT)
        self.assertEqual(page.of(Kind.CONNECT), before.of(Kind.CONNECT))
        self.assertEqual(missedBy(page), list(missed))

    def assertNew(self, page: Page, before: Page) -> None:
        """
        It is somebody else, and got nothing.
        """
        (own,), (other,) = page.of(Kind.CONNECT), before.of(Kind.CONNECT)
        for name in "sid", "pid":
            self.assertNotEqual(own[name], other[name])
        self.assertEqual(page.events, [])

    def assertNothingLeft(self) -> None:
        """
        Nothing of ghosts is left, either.
        """
        for page in self.pages:
            if page.connection._engine is not None:
                self.lose(page)
        self.run_(200, 1.0)
        ghosts = self.io.ghosts
        if ghosts is not None:
            self.assertEqual(len(ghosts), 0)
            self.assertEqual(ghosts._budget.used, 0)
            self.assertEqual((ghosts._families, ghosts._trails), ({}, {}))
            self.assertEqual(len(hubOf(self.io.sockets)._members), 0)
        super().assertNothingLeft()


def pidOf(page: Page) -> Any:
    """
    What a client names to come back.
    """
    return page.of(Kind.CONNECT)[-1]["pid"]


def offsetOf(page: Page) -> Any:
    """
    The offset that a client keeps.
    """
    return page.events[-1][-1] if page.events else None


def missedBy(page: Page) -> list[Any]:
    """
    What a client got, without offsets.
    """
    return [event[:-1] for event in page.events]
