"""
C{phpapp.php} in PHP's own server, with sessions of C{phpredis}.
"""

import os
import socket
import subprocess
import sys
import time


kind, redisPort = sys.argv[1:]
settings = {
    "session.save_handler": "redis",
    "session.save_path": f"tcp://127.0.0.1:{redisPort}",
    "session.serialize_handler": "php",
    "log_errors": "1",
    "display_errors": "0",
}
settings |= {
    "php": {},
    "php_serialize": {"session.serialize_handler": "php_serialize"},
    "prefix": {
        "session.save_path": f"tcp://127.0.0.1:{redisPort}?prefix=shop:",
        "session.gc_maxlifetime": "600",
    },
    "wide": {
        "session.cookie_domain": "example.com",
        "session.cookie_secure": "1",
        "session.cookie_httponly": "1",
        "session.cookie_samesite": "Strict",
        "session.cookie_lifetime": "600",
    },
    "eager": {"session.lazy_write": "0"},
    "strict": {"session.use_strict_mode": "1"},
    "locking": {
        "redis.session.locking_enabled": "1",
        "redis.session.lock_retries": "-1",
    },
}[kind]

# PHP neither chooses a port nor tells which it was.
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
options = [part for name in settings for part in ("-d", f'{name}="{settings[name]}"')]
program = os.path.splitext(__file__)[0] + ".php"
server = subprocess.Popen(
    ["php", *options, "-S", f"127.0.0.1:{port}", program],
    env={**os.environ, "PHP_CLI_SERVER_WORKERS": "4"},
    start_new_session=True,
)
# Its workers survive it, and it survives whoever kills this program.
watchdog = subprocess.Popen(
    ["sh", "-c", 'read said || kill -9 "-$1"', "sh", str(server.pid)],
    stdin=subprocess.PIPE,
)
while server.poll() is None:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        time.sleep(0.01)
    else:
        print(port, flush=True)
        break
sys.exit(server.wait())
