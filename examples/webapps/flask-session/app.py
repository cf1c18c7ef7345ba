"""
A shop in Flask, with Flask-Session in Redis.
"""

import json
import os
from pathlib import Path

from flask import Flask, abort, render_template, request, session
from flask_session import Session
from redis import Redis


PAGE = Path(__file__).parent.parent / "page"
GOODS = [good["name"] for good in json.loads((PAGE / "static/goods.json").read_text())]

app = Flask(__name__, template_folder=PAGE, static_folder=PAGE / "static")
app.config.update(
    SESSION_TYPE="redis",
    SESSION_REDIS=Redis.from_url(os.environ["REDIS_URL"]),
    SESSION_COOKIE_SAMESITE="Lax",
)
Session(app)


@app.get("/")
def home():
    return render_template("index.html")


@app.get("/basket")
def show():
    user, basket = session.get("user"), session.get("basket", {})
    return {"shop": "Flask with Flask-Session", "user": user, "basket": basket}


@app.post("/basket")
def add():
    good = request.json["good"]
    if "user" not in session or good not in GOODS:
        abort(403)
    basket = session.setdefault("basket", {})
    basket[good] = basket.get(good, 0) + 1
    session.modified = True
    return show()


@app.post("/login")
def login():
    app.session_interface.regenerate(session)
    session["user"] = request.json["name"]
    return show()


@app.post("/logout")
def logout():
    session.clear()
    return show()
