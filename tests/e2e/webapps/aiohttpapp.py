"""
aiohttp, with C{aiohttp-session} in Redis, C{forever} or C{aging}, or with a cookie
for a domain (C{wide}).
"""

import asyncio
import sys
import warnings

from aiohttp import web
from aiohttp_session import get_session, new_session, setup
from aiohttp_session.redis_storage import RedisStorage
from redis.asyncio import Redis


kind, redisPort = sys.argv[1:]
redis = Redis(port=int(redisPort))
warnings.simplefilter("ignore")


async def show(request):
    return web.json_response(dict(await get_session(request)))


async def add(request):
    session = await get_session(request)
    session[request.query_string] = session.get(request.query_string, 0) + 1
    return web.json_response(dict(session))


async def mark(request):
    (await get_session(request))[request.query_string] = True
    return web.json_response({})


async def slow(request):
    session = await get_session(request)
    await asyncio.sleep(0.06)
    if request.method == "POST":
        key = request.query_string
        session[key] = session.get(key, 0) + 1
    return web.json_response(dict(session))


async def delete(request):
    session = await get_session(request)
    await asyncio.sleep(0.06)
    session.pop(request.query_string, None)
    session.changed()
    return web.json_response(dict(session))


async def login(request):
    session = await get_session(request)
    session["user"] = request.query_string
    return web.json_response(dict(session))


async def renew(request):
    old = await get_session(request)
    session = await new_session(request)
    await redis.delete(f"AIOHTTP_SESSION_{old.identity}")
    session["user"] = request.query_string
    return web.json_response(dict(session))


async def logout(request):
    session = await get_session(request)
    session.invalidate()
    return web.json_response({})


async def main():
    app = web.Application()
    cookie = {"domain": "example.com", "secure": True, "samesite": "Strict"}
    maxAge = None if kind == "forever" else 600
    own = cookie if kind == "wide" else {}
    setup(app, RedisStorage(redis, max_age=maxAge, **own))
    app.router.add_get("/session", show)
    app.router.add_get("/slow", slow)
    for handler in add, mark, slow, delete, login, renew, logout:
        app.router.add_post(f"/{handler.__name__}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
