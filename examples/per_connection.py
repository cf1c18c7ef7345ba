"""
The session is loaded when a socket connects, and saved when it disconnects::

    python examples/per_connection.py     # and open http://localhost:8080/
"""

import sys
from pathlib import Path

from twisted.internet import endpoints, reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource

from txsessionsock import (
    BoundedSite,
    ClientScript,
    Express,
    MemoryStore,
    SessionedResource,
    SessionManager,
    SessionSocketFactory,
    SessionSocketResource,
    sessionOf,
)


manager = SessionManager(MemoryStore(), Express(secrets=["keyboard cat"]))
sockets = SessionSocketFactory(manager)


@sockets.on("sconnection")
def connected(client, session):
    """
    A client connected; its session is loaded.
    """
    client.send(f"Hello, you have {session['pings']} pings.")

    @client.on("smessage")
    def received(message, session):
        session["pings"] += 1
        client.send(f"That is ping {session['pings']}.")

    @client.on("disconnect")
    def disconnected(session, code):
        session["left"] = code  # Saved after this, at the latest.


class Home(Resource):
    """
    A page, in the same session.
    """

    def render_GET(self, request):
        sessionOf(request).setdefault("pings", 0)
        return Path(__file__).with_name("ping.html").read_bytes()


root = Resource()
root.putChild(b"", SessionedResource(Home(), manager))
root.putChild(b"ws", SessionSocketResource(sockets))
root.putChild(b"sessionsock.js", ClientScript())

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
where = sys.argv[1] if len(sys.argv) > 1 else "tcp:8080:backlog=1024"
endpoint = endpoints.serverFromString(reactor, where)
manager.endWith(reactor, endpoint.listen(BoundedSite(root)))
reactor.run()
