"""
A socket and pages that do to their session what they are told.

Found by C{--protocol verbs.Verbs} and C{--class verbs.Pages}, with this directory
on C{PYTHONPATH}.
"""

from __future__ import annotations

import json
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.web import sessionOf


class Verbs(SessionSocketProtocol):
    """
    Does what C{[verb, key]} says and answers with what is under the key then.
    """

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        verb, key = message
        if verb == "add":
            session[key] = session.get(key, 0) + 1
        elif verb == "increment":
            session.increment(key)
        elif verb == "delete":
            session.pop(key, None)
        self.send(session.get(key))


class Echo(WebSocketServerProtocol):
    """
    Knows nothing of sessions.
    """

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


class Pages(Resource):
    """
    C{GET /session} shows the session, C{POST /add?key} counts in it,
    C{POST /login?name} and C{POST /logout} do that, in whatever directory.
    """

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return json.dumps(dict(sessionOf(request))).encode()

    def render_POST(self, request: Request) -> Any:
        verb, _, argument = request.uri.decode().rpartition("/")[2].partition("?")
        session = sessionOf(request)
        if verb == "add":
            session.increment(argument)
            return b"%d" % (session[argument],)
        doing = session.destroy() if verb == "logout" else session.regenerate()

        def done(result: object) -> None:
            if verb == "login":
                session["user"] = argument
            request.finish()

        done_: Deferred[None] = doing.addCallback(done)
        done_.addErrback(request.processingFailed)
        return NOT_DONE_YET


def application(environ: dict[str, Any], startResponse: Any) -> list[bytes]:
    """
    For C{--wsgi}.
    """
    startResponse("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi at " + environ["PATH_INFO"].encode()]
