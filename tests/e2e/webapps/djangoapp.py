"""
Django, with users who log in by C{django.contrib.auth}, and sessions in its
own cache on Redis (C{json} or C{pickled}), in that of C{django-redis}
(C{django-redis}), or in signed cookies (C{cookie}).
"""

import sys
from urllib.parse import unquote
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.contrib import auth
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path


kind, redisPort = sys.argv[1:]
server = {"LOCATION": f"redis://127.0.0.1:{redisPort}/0"}
if kind == "django-redis":
    serializer = "django_redis.serializers.json.JSONSerializer"
    server["BACKEND"] = "django_redis.cache.RedisCache"
    server["OPTIONS"] = {"SERIALIZER": serializer}
else:
    server["BACKEND"] = "django.core.cache.backends.redis.RedisCache"
    if kind == "json":
        server["OPTIONS"] = {"serializer": "django.core.signing.JSONSerializer"}
backend = "signed_cookies" if kind == "cookie" else "cache"
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    CACHES={"default": server},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
    SESSION_ENGINE=f"django.contrib.sessions.backends.{backend}",
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
    path("login", login),
    path("logout", logout),
]

# One thread, and so one database.
httpd = make_server("127.0.0.1", 0, get_wsgi_application())
call_command("migrate", verbosity=0)
print(httpd.server_port, flush=True)
httpd.serve_forever()
