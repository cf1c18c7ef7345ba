"""
Starlette, with C{starsessions} in Redis (C{fixed}, C{rolling}, or with a cookie
for a domain: C{wide}), or with its own sessions (C{cookie}).
"""

import asyncio
import socket
import sys

import uvicorn
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as CookieMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from starsessions import (
    SessionAutoloadMiddleware,
    SessionMiddleware,
    get_session_handler,
    regenerate_session_id,
)
from starsessions.stores.redis import RedisStore


kind, redisPort = sys.argv[1:]


async def show(request):
    return JSONResponse(dict(request.session))


async def add(request):
    key = request.url.query
    request.session[key] = request.session.get(key, 0) + 1
    return JSONResponse(dict(request.session))


async def mark(request):
    request.session[request.url.query] = True
    return JSONResponse({})


async def slow(request):
    await asyncio.sleep(0.06)
    if request.method == "POST":
        await add(request)
    return JSONResponse(dict(request.session))


async def delete(request):
    await asyncio.sleep(0.06)
    request.session.pop(request.url.query, None)
    return JSONResponse(dict(request.session))


async def login(request):
    request.session["user"] = request.url.query
    return JSONResponse(dict(request.session))


async def renew(request):
    await get_session_handler(request).destroy()
    regenerate_session_id(request)
    return await login(request)


async def logout(request):
    request.session.clear()
    return JSONResponse({})


if kind == "cookie":
    middleware = [Middleware(CookieMiddleware, secret_key="for tests")]
else:
    middleware = [
        Middleware(
            SessionMiddleware,
            store=RedisStore(connection=Redis(port=int(redisPort))),
            lifetime=600,
            rolling=kind == "rolling",
            cookie_https_only=kind == "wide",
            cookie_domain="example.com" if kind == "wide" else None,
            cookie_same_site="strict" if kind == "wide" else "lax",
        ),
        Middleware(SessionAutoloadMiddleware),
    ]
app = Starlette(
    routes=[
        Route("/session", show),
        Route("/add", add, methods=["POST"]),
        Route("/mark", mark, methods=["POST"]),
        Route("/slow", slow, methods=["GET", "POST"]),
        Route("/delete", delete, methods=["POST"]),
        Route("/login", login, methods=["POST"]),
        Route("/renew", renew, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
    ],
    middleware=middleware,
)
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen()
print(listening.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="warning", lifespan="off")
uvicorn.Server(config).run(sockets=[listening])
