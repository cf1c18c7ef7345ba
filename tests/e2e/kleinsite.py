"""
A site of Klein that does to its sessions what it is told, with sockets that do, too.
"""

from __future__ import annotations

import json
from typing import Any

from klein import Authorization, Klein, Requirer, Response
from klein.interfaces import ISession
from twisted.web.server import Request

from txsessionsock.interfaces import SessionError
from txsessionsock.klein import ISessionData, KleinSessions
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.web import SessionSocketResource, refuse


__all__ = ["kleinSite"]


def kleinSite(manager: SessionManager, factory: SessionSocketFactory) -> Any:
    """
    @return: The resource of a site with the pages of L{tests.e2e.verbs.Pages}, and
        sockets at C{/ws}.
    """
    app, requirer = Klein(), Requirer()
    sessions = KleinSessions(manager, setCookieOnGET=False)
    wanted: Any = {"session": Authorization(ISessionData)}

    @requirer.prerequisite([ISession])
    def procure(request: Request) -> Any:
        return sessions.procureSession(request)

    @app.handle_errors(SessionError)
    def failed(request: Any, failure: Any) -> None:
        refuse(failure, request)

    def show(session: Any) -> str:
        return json.dumps(dict(session))

    def add(session: Any, key: str) -> str:
        return str(session.increment(key))

    async def logIn(session: Any, name: str) -> Any:
        await session.regenerate()
        session["user"] = name
        return Response(303, {b"Location": b"/session"})

    async def logOut(session: Any) -> str:
        await session.destroy()
        return ""

    for page, path, method in (
        (show, "/session", "GET"),
        (add, "/add/<key>", "POST"),
        (logIn, "/login/<name>", "POST"),
        (logOut, "/logout", "POST"),
    ):
        requirer.require(app.route(path, methods=[method]), **wanted)(page)

    @app.route("/ws")
    def sockets(request: Request) -> Any:
        return SessionSocketResource(factory)

    return app.resource()
