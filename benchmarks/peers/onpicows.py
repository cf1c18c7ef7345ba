"""
picows and orjson on uvloop, without sessions: a counter in the listener.  It is what
one core can do in Python.

    python onpicows.py connection URL-OF-REDIS
"""

import asyncio

import orjson
import uvloop
from picows import WSListener, WSMsgType, ws_create_server


class Counter(WSListener):
    def __init__(self):
        self.pings = 0

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.TEXT:
            message = orjson.loads(frame.get_payload_as_memoryview())
            self.pings += 1
            message["n"] = f"{self.pings:010}"
            transport.send(WSMsgType.TEXT, orjson.dumps(message))
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()


async def main():
    server = await ws_create_server(
        lambda request: Counter(), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


uvloop.run(main())
