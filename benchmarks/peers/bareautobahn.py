"""
Autobahn on Twisted, without sessions: a counter in the protocol.

    python bareautobahn.py connection URL-OF-REDIS
"""

import json

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor


class Counter(WebSocketServerProtocol):
    pings = 0

    def onMessage(self, payload, isBinary):
        message = json.loads(payload)
        self.pings += 1
        message["n"] = f"{self.pings:010}"
        self.sendMessage(json.dumps(message).encode())


sockets = WebSocketServerFactory()
sockets.protocol = Counter
port = reactor.listenTCP(0, sockets, backlog=1024, interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
