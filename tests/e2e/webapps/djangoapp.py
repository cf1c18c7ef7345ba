"""
Django, with users who log in by C{django.contrib.auth}, and sessions in its
own cache on Redis (C{json}, the same written at every request: C{every}, with
a cookie for a domain: C{wide}, or C{pickled}), in that of C{django-redis}
(C{django-redis}), in its database (C{database}), in that with copies in its
cache (C{cached}; the port of Redis is the fragment of the URL), or in signed
cookies (C{cookie}).
"""

import sys
import time
from socketserver import ThreadingMixIn
from urllib.parse import unquote, urlsplit
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings
from django.contrib import auth
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path


kind, place = sys.argv[1:]
where = urlsplit(place)
if kind not in ("database", "cached"):
    # One for all threads, of users.
    memory = "file:users?mode=memory&cache=shared"
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": memory}
elif where.scheme == "sqlite":
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": where.path}
else:
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": where.hostname,
        "NAME": where.path[1:],
        "PASSWORD": where.password,
        "PORT": where.port,
        "USER": where.username,
    }
server = {"LOCATION": f"redis://127.0.0.1:{where.fragment or place}/0"}
if kind == "django-redis":
    serializer = "django_redis.serializers.json.JSONSerializer"
    server["BACKEND"] = "django_redis.cache.RedisCache"
    server["OPTIONS"] = {"SERIALIZER": serializer}
else:
    server["BACKEND"] = "django.core.cache.backends.redis.RedisCache"
    if kind in ("json", "every", "wide"):
        server["OPTIONS"] = {"serializer": "django.core.signing.JSONSerializer"}
backends = {"cookie": "signed_cookies", "database": "db", "cached": "cached_db"}
backend = backends.get(kind, "cache")
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    CACHES={"default": server},
    DATABASES={"default": database},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
    SESSION_COOKIE_DOMAIN="example.com" if kind == "wide" else None,
    SESSION_COOKIE_SAMESITE="Strict" if kind == "wide" else "Lax",
    SESSION_COOKIE_SECURE=kind == "wide",
    SESSION_ENGINE=f"django.contrib.sessions.backends.{backend}",
    SESSION_SAVE_EVERY_REQUEST=kind == "every",
)
django.setup()


def argument(request):
    return unquote(request.META["QUERY_STRING"])


def shown(request):
    """
    The session, without what belongs to Django.
    """
    own = {k: v for k, v in request.session.items() if not k.startswith("_")}
    if request.user.is_authenticated:
        own["user"] = request.user.get_username()
    return JsonResponse(own)


def add(request):
    name = argument(request)
    request.session[name] = request.session.get(name, 0) + 1
    return shown(request)


def mark(request):
    request.session[argument(request)] = True
    return JsonResponse({})


def slow(request):
    request.session.get("")
    time.sleep(0.06)
    return add(request) if request.method == "POST" else shown(request)


def delete(request):
    request.session.get("")
    time.sleep(0.06)
    request.session.pop(argument(request), None)
    return shown(request)


def login(request):
    name = argument(request)
    users = auth.get_user_model().objects
    user = users.filter(username=name).first() or users.create_user(name)
    auth.login(request, user)
    return shown(request)


def logout(request):
    auth.logout(request)
    return shown(request)


urlpatterns = [
    path("session", shown),
    path("add", add),
    path("mark", mark),
    path("slow", slow),
    path("delete", delete),
    path("login", login),
    path("logout", logout),
]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


httpd = make_server("127.0.0.1", 0, get_wsgi_application(), Server)
call_command("migrate", verbosity=0)
# Whoever logs in first: whose session has the number 1 as that of the user.
auth.get_user_model().objects.get_or_create(username="ann")
print(httpd.server_port, flush=True)
httpd.serve_forever()
