"""
A shop in Starlette, with starsessions in Redis.
"""

import json
import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starsessions import (
    SessionAutoloadMiddleware,
    SessionMiddleware,
    get_session_handler,
    regenerate_session_id,
)
from starsessions.stores.redis import RedisStore


PAGE = Path(__file__).parent.parent / "page"
GOODS = [good["name"] for good in json.loads((PAGE / "static/goods.json").read_text())]


async def home(request):
    return FileResponse(PAGE / "index.html")


async def show(request):
    user, basket = request.session.get("user"), request.session.get("basket", {})
    return JSONResponse(
        {"shop": "Starlette with starsessions", "user": user, "basket": basket}
    )


async def add(request):
    good = (await request.json())["good"]
    if "user" not in request.session or good not in GOODS:
        raise HTTPException(403)
    basket = request.session.get("basket", {})
    request.session["basket"] = {**basket, good: basket.get(good, 0) + 1}
    return await show(request)


async def login(request):
    await get_session_handler(request).destroy()
    regenerate_session_id(request)
    request.session["user"] = (await request.json())["name"]
    return await show(request)


async def logout(request):
    request.session.clear()
    return await show(request)


app = Starlette(
    routes=[
        Route("/", home),
        Route("/basket", show),
        Route("/basket", add, methods=["POST"]),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
        Mount("/static", StaticFiles(directory=PAGE / "static")),
    ],
    middleware=[
        Middleware(
            SessionMiddleware,
            store=RedisStore(os.environ["REDIS_URL"]),
            lifetime=3600,
            rolling=True,
            cookie_https_only=False,
        ),
        Middleware(SessionAutoloadMiddleware),
    ],
)
