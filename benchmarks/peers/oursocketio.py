"""
Socket.IO of this library, as docs/socketio.md has it: acknowledged events that count
in the session.

    python oursocketio.py connection URL-OF-REDIS     # or "message"
"""

import sys

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource

from txsessionsock import BoundedSite, Express, SessionManager
from txsessionsock.socketio import SocketIO, SocketIOResource, SocketIOSocket, enable
from txsessionsock.stores.redis import RedisStore


class Counter(SocketIOSocket):
    def on_add(self, padding):
        self.session["pings"] += 1
        return f"{self.session['pings']:010}"


mode, redis = sys.argv[1:]
manager = SessionManager(RedisStore(redis), Express(secrets=["a secret"]))
io = SocketIO()
io.protocol = Counter
enable(io, manager, perMessage=mode == "message")

root = Resource()
root.putChild(b"socket.io", SocketIOResource(io))
endpoint = endpoints.serverFromString(reactor, "tcp:0:interface=127.0.0.1:backlog=1024")


def listening(port):
    print(port.getHost().port, flush=True)
    return port


manager.endWith(reactor, endpoint.listen(BoundedSite(root)).addCallback(listening))
reactor.run()
