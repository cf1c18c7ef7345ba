"""
Flask, with C{Flask-Session} in Redis (C{msgpack} or C{json}), with a signer
(C{signer}), or with its own sessions (C{cookie}).
"""

import sys
import warnings

import redis
from flask import Flask, request, session
from flask_session import Session
from werkzeug.serving import make_server


kind, redisPort = sys.argv[1:]
app = Flask(__name__)
app.secret_key = "for tests"
if kind != "cookie":
    app.config["SESSION_TYPE"] = "redis"
    app.config["SESSION_REDIS"] = redis.Redis(port=int(redisPort))
    app.config["SESSION_SERIALIZATION_FORMAT"] = "json" if kind == "json" else "msgpack"
    app.config["SESSION_USE_SIGNER"] = kind == "signer"
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


@app.post("/login")
def login():
    session["user"] = argument()
    return dict(session)


@app.post("/logout")
def logout():
    session.clear()
    return {}


server = make_server("127.0.0.1", 0, app)
print(server.port, flush=True)
server.serve_forever()
