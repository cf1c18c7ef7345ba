import json

from django.conf import settings
from django.contrib import auth
from django.core.exceptions import PermissionDenied
from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST


GOODS = [
    good["name"]
    for good in json.loads((settings.PAGE / "static/goods.json").read_text())
]


@require_GET
@ensure_csrf_cookie
def home(request):
    return render(request, "index.html")


def basket(request):
    if request.method == "POST":
        good = json.loads(request.body)["good"]
        if not request.user.is_authenticated or good not in GOODS:
            raise PermissionDenied
        basket = request.session.setdefault("basket", {})
        basket[good] = basket.get(good, 0) + 1
        request.session.modified = True
    return shown(request)


@require_POST
def login(request):
    # Anybody is believed here; yours has auth.authenticate().
    users = auth.get_user_model().objects
    user, _ = users.get_or_create(username=json.loads(request.body)["name"])
    auth.login(request, user, "django.contrib.auth.backends.ModelBackend")
    return shown(request)


@require_POST
def logout(request):
    auth.logout(request)
    return shown(request)


def shown(request):
    user = request.user.get_username() or None
    basket = request.session.get("basket", {})
    return JsonResponse({"shop": "Django", "user": user, "basket": basket})
