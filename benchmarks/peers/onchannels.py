"""
Django Channels on uvicorn, with Django's sessions in its cache on Redis: a counter in
the session.

    python onchannels.py connection URL-OF-REDIS     # or "message"
"""

import socket
import sys

import django
import uvicorn
from django.conf import settings


mode, url = sys.argv[1:]
settings.configure(
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": url,
        }
    },
    INSTALLED_APPS=["channels", "django.contrib.sessions"],
    SECRET_KEY="a secret",
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
)
django.setup()

# These need the settings.
from channels.db import database_sync_to_async  # noqa: E402
from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.sessions import SessionMiddlewareStack  # noqa: E402
from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402


class PerConnection(AsyncJsonWebsocketConsumer):
    @database_sync_to_async
    def load(self):
        return "pings" in self.scope["session"]

    @database_sync_to_async
    def store(self):
        self.scope["session"].save()

    async def connect(self):
        if await self.load():
            await self.accept()
        else:
            await self.close()

    async def receive_json(self, content):
        session = self.scope["session"]
        session["pings"] += 1
        content["n"] = f"{session['pings']:010}"
        await self.send_json(content)

    async def disconnect(self, code):
        await self.store()


class PerMessage(PerConnection):
    @database_sync_to_async
    def count(self):
        session = SessionStore(self.scope["session"].session_key)
        session["pings"] += 1
        session.save()
        return session["pings"]

    async def receive_json(self, content):
        content["n"] = f"{await self.count():010}"
        await self.send_json(content)

    async def disconnect(self, code):
        pass


consumer = PerMessage if mode == "message" else PerConnection
app = SessionMiddlewareStack(consumer.as_asgi())
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(1024)
print(listening.getsockname()[1], flush=True)
config = uvicorn.Config(app, lifespan="off", log_level="error", access_log=False)
uvicorn.Server(config).run(sockets=[listening])
