"""
Autobahn's echo server, as it is, and the two lines that give it sessions::

    python examples/listeners.py     # and open http://localhost:8080/
"""

import sys
from pathlib import Path

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
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
    SessionSocketResource,
    enable,
    sessionOf,
)


class Echo(WebSocketServerProtocol):
    """
    Knows nothing of sessions.
    """

    def onMessage(self, payload, isBinary):
        self.sendMessage(payload, isBinary)


factory = WebSocketServerFactory()
factory.protocol = Echo

manager = SessionManager(MemoryStore(), Express(secrets=["keyboard cat"]))
sockets = enable(factory, manager, perMessage=True)


@sockets.on("smessage")
def count(client, message, session):
    """
    Comes before the C{onMessage} of the protocol, whose answer goes out when
    what is done here is stored.
    """
    session["pings"] += 1
    print(f"{message} is message {session['pings']} of this session")


class Home(Resource):
    """
    A page, in the same session.
    """

    def render_GET(self, request):
        sessionOf(request).setdefault("pings", 0)
        return Path(__file__).with_name("ping.html").read_bytes()


root = Resource()
root.putChild(b"", SessionedResource(Home(), manager))
root.putChild(b"ws", SessionSocketResource(factory))
root.putChild(b"sessionsock.js", ClientScript())

globalLogBeginner.beginLoggingTo(
    [textFileLogObserver(sys.stdout)], redirectStandardIO=False
)
where = sys.argv[1] if len(sys.argv) > 1 else "tcp:8080:backlog=1024"
endpoint = endpoints.serverFromString(reactor, where)
manager.endWith(reactor, endpoint.listen(BoundedSite(root)))
reactor.run()
