"""
aiohttp with aiohttp-session in Redis, on uvloop: a counter in the session.

    python onaiohttp.py connection URL-OF-REDIS     # or "message"

aiohttp-session stores a session with the headers of an answer, which a WebSocket has
sent long before.  So this asks its storage itself.
"""

import asyncio
import sys

import uvloop
from aiohttp import WSMsgType, web
from aiohttp_session import setup
from aiohttp_session.redis_storage import RedisStorage
from redis.asyncio import Redis


async def perConnection(request):
    session = await storage.load_session(request)
    if "pings" not in session:
        raise web.HTTPForbidden
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for each in socket:
        if each.type == WSMsgType.TEXT:
            message = each.json()
            session["pings"] += 1
            message["n"] = f"{session['pings']:010}"
            await socket.send_json(message)
    await storage.save_session(request, web.Response(), session)
    return socket


async def perMessage(request):
    session = await storage.load_session(request)
    if "pings" not in session:
        raise web.HTTPForbidden
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for each in socket:
        if each.type == WSMsgType.TEXT:
            message = each.json()
            session = await storage.load_session(request)
            session["pings"] += 1
            await storage.save_session(request, web.Response(), session)
            message["n"] = f"{session['pings']:010}"
            await socket.send_json(message)
    return socket


async def main():
    app = web.Application()
    setup(app, storage)
    app.router.add_get("/", perMessage if mode == "message" else perConnection)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


mode, url = sys.argv[1:]
storage = RedisStorage(Redis.from_url(url))
uvloop.run(main())
