#!/bin/sh
# Sockets beside the web application at $PORT, with its sessions.
export SESSIONSOCK_SECRET="$SESSION_SECRET" SESSIONSOCK_STORE="$REDIS_URL" PYTHONPATH=..
exec twistd -n --pidfile= sessionsock --per-message --protocol sockets.Basket \
    --listen "tcp:$((PORT + 1)):interface=127.0.0.1" --origin "http://localhost:$PORT" "$@"
