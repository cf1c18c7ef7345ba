"""
A shop in aiohttp, with aiohttp-session in Redis.
"""

import json
import os
from pathlib import Path

from aiohttp import web
from aiohttp_session import get_session, new_session, setup
from aiohttp_session.redis_storage import RedisStorage
from redis.asyncio import Redis


PAGE = Path(__file__).parent.parent / "page"
GOODS = [good["name"] for good in json.loads((PAGE / "static/goods.json").read_text())]

routes = web.RouteTableDef()
routes.static("/static", PAGE / "static")


@routes.get("/")
async def home(request):
    return web.FileResponse(PAGE / "index.html")


@routes.get("/basket")
async def show(request):
    return shown(await get_session(request))


@routes.post("/basket")
async def add(request):
    session = await get_session(request)
    good = (await request.json())["good"]
    if "user" not in session or good not in GOODS:
        raise web.HTTPForbidden
    basket = session.setdefault("basket", {})
    basket[good] = basket.get(good, 0) + 1
    session.changed()
    return shown(session)


@routes.post("/login")
async def login(request):
    old = await get_session(request)
    session = await new_session(request)
    await redis.delete(f"AIOHTTP_SESSION_{old.identity}")
    session["user"] = (await request.json())["name"]
    return shown(session)


@routes.post("/logout")
async def logout(request):
    session = await get_session(request)
    session.invalidate()
    return shown(session)


def shown(session):
    user, basket = session.get("user"), session.get("basket", {})
    shop = "aiohttp with aiohttp-session"
    return web.json_response({"shop": shop, "user": user, "basket": basket})


app = web.Application()
redis = Redis.from_url(os.environ["REDIS_URL"])
setup(app, RedisStorage(redis, max_age=3600, samesite="Lax"))
app.add_routes(routes)
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]))
