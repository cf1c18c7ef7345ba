"""
Flask, with C{Flask-Session} in Redis (C{msgpack} or C{json}), with a signer
(C{signer}), without C{SESSION_PERMANENT} (C{passing}), with a cookie for a
domain (C{wide}), in an SQL database (C{sql}), or with its own sessions (C{cookie}).
"""

import sys
import time
import warnings

import redis
from flask import Flask, request, session
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.serving import make_server


kind, place = sys.argv[1:]
app = Flask(__name__)
app.secret_key = "for tests"
if kind == "sql":
    scheme, _, where = place.partition(":")
    app.config["SQLALCHEMY_DATABASE_URI"] = (
        f"sqlite:///{where}" if scheme == "sqlite" else f"{scheme}+psycopg:{where}"
    )
    app.config["SESSION_TYPE"] = "sqlalchemy"
    app.config["SESSION_SQLALCHEMY"] = SQLAlchemy(app)
    # A logout came between its SELECT and its UPDATE: it tries again.
    app.logger.addFilter(lambda record: (record.exc_info or [0])[0] != StaleDataError)
elif kind != "cookie":
    app.config["SESSION_TYPE"] = "redis"
    app.config["SESSION_REDIS"] = redis.Redis(port=int(place))
    app.config["SESSION_SERIALIZATION_FORMAT"] = "json" if kind == "json" else "msgpack"
    app.config["SESSION_USE_SIGNER"] = kind == "signer"
    app.config["SESSION_PERMANENT"] = kind != "passing"
if kind == "wide":
    app.config["SESSION_COOKIE_DOMAIN"] = "example.com"
    app.config["SESSION_COOKIE_SECURE"] = True
    app.config["SESSION_COOKIE_SAMESITE"] = "Strict"
if kind != "cookie":
    warnings.simplefilter("ignore")
    Session(app)


def argument() -> str:
    return request.query_string.decode()


@app.get("/session")
def show():
    return dict(session)


@app.post("/add")
def add():
    session[argument()] = session.get(argument(), 0) + 1
    return dict(session)


@app.post("/mark")
def mark():
    session[argument()] = True
    return {}


@app.route("/slow", methods=["GET", "POST"])
def slow():
    time.sleep(0.06)
    return add() if request.method == "POST" else show()


@app.post("/delete")
def delete():
    time.sleep(0.06)
    session.pop(argument(), None)
    return dict(session)


@app.post("/login")
def login():
    session["user"] = argument()
    return dict(session)


@app.post("/renew")
def renew():
    app.session_interface.regenerate(session)
    return login()


@app.post("/logout")
def logout():
    session.clear()
    return {}


server = make_server("127.0.0.1", 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()
