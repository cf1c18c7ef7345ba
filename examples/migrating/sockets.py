"""
The server code of socket.io-sessions' README, with txsessionsock.
"""

import os
import sys
from pathlib import Path

from twisted.internet import endpoints, reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource

from txsessionsock import BoundedSite, Express, SessionManager
from txsessionsock.credentials import InBand
from txsessionsock.socketio import SocketIO, SocketIOResource, enable
from txsessionsock.stores.redis import RedisStore


PORT = int(os.environ["PORT"])
SCRIPTS = Path(__file__).with_name("node_modules") / "socket.io-client" / "dist"

# The sessions of the application, where it has them.
store = RedisStore(os.environ["REDIS_URL"])
manager = SessionManager(store, Express([os.environ["SESSION_SECRET"]]))

io = SocketIO()
sockets = enable(
    io,
    manager,
    perMessage=True,
    # The page names its session itself, as it did. Cookies are safer: see README.md.
    credentials=[InBand()],
    origins=[f"http://localhost:{PORT}"],
)


@sockets.on("sconnection")
def connected(client, session):
    def show(session):
        client.send({name: session.get(name, 0) for name in ("visits", "pings")})

    def received(event, session):
        # Also when several tabs do it at once.
        session.increment("pings")
        show(session)
        # Calls the function that was given to send().
        client.answer()

    client.on("smessage", received)
    client.on("schanged", lambda session, keys: show(session))
    show(session)


@sockets.on("sinvalid")
def invalid(client, reason):
    print("no session:", reason)


root = Resource()
root.putChild(b"socket.io", SocketIOResource(io, bundle=SCRIPTS))

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
listen = f"tcp:{PORT + 1}:interface=127.0.0.1"
endpoint = endpoints.serverFromString(reactor, listen)
manager.endWith(reactor, endpoint.listen(BoundedSite(root)))
reactor.run()
