"""
Autobahn on Twisted with sessions of one's own in Redis, by txredisapi: what many write
who have no library for it.

    python byhand.py connection URL-OF-REDIS     # or "message"
"""

import json
import sys
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

import txredisapi
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks


class Counter(WebSocketServerProtocol):
    session = None

    async def onConnect(self, request):
        cookies = SimpleCookie(request.headers.get("cookie", ""))
        if "session" not in cookies:
            raise ConnectionDeny(403)
        self.key = "session:" + cookies["session"].value
        stored = await redis.get(self.key)
        if stored is None:
            raise ConnectionDeny(403)
        self.session = json.loads(stored)


class PerConnection(Counter):
    def onMessage(self, payload, isBinary):
        message = json.loads(payload)
        self.session["pings"] += 1
        message["n"] = f"{self.session['pings']:010}"
        self.sendMessage(json.dumps(message).encode())

    def onClose(self, wasClean, code, reason):
        if self.session is not None:
            redis.set(self.key, json.dumps(self.session))


class PerMessage(Counter):
    @inlineCallbacks
    def onMessage(self, payload, isBinary):
        message = json.loads(payload)
        session = json.loads((yield redis.get(self.key)))
        session["pings"] += 1
        yield redis.set(self.key, json.dumps(session))
        message["n"] = f"{session['pings']:010}"
        self.sendMessage(json.dumps(message).encode())


mode, url = sys.argv[1:]
place = urlsplit(url)
redis = txredisapi.lazyConnection(
    place.hostname, place.port, password=place.password, charset=None
)
sockets = WebSocketServerFactory()
sockets.protocol = PerMessage if mode == "message" else PerConnection
port = reactor.listenTCP(0, sockets, backlog=1024, interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
