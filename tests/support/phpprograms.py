"""
PHP, for tests: whether it is here, and what sessions are to it.
"""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import Any, NamedTuple

import pytest


__all__ = ["Codec", "Seen", "installedPHP"]

_CODEC = Path(__file__).parents[1] / "e2e" / "webapps" / "phpcodec.php"

_NEEDED = "json", "redis", "session"


def _missing() -> str:
    php = which("php")
    if php is None:
        return "no PHP: install php-cli and php-redis"
    done = subprocess.run([php, "-m"], capture_output=True, check=True, text=True)
    missing = [name for name in _NEEDED if name not in done.stdout.split()]
    packages = ", ".join(f"php-{name}" for name in missing)
    return f"PHP lacks extensions: install {packages}" if missing else ""


def installedPHP() -> Any:
    """
    Skip tests where PHP is missing, or C{phpredis}.
    """
    reason = _missing()
    return pytest.mark.skipif(bool(reason), reason=reason)


class Seen(NamedTuple):
    """
    What a session is to PHP.

    @ivar encoded: What it would store.

    @ivar serialized: What C{serialize()} makes of C{$_SESSION}.

    @ivar json: What C{json_encode()} does; L{None} if JSON cannot say it.
    """

    encoded: bytes
    serialized: bytes
    json: str | None


class Codec:
    """
    PHP, decoding and encoding sessions, until the end of the block.
    """

    def __init__(self, handler: str, directory: Path) -> None:
        """
        @param handler: C{session.serialize_handler}.

        @param directory: For what PHP itself keeps of sessions.
        """
        settings = {
            "session.save_handler": "files",
            "session.save_path": str(directory),
            "session.serialize_handler": handler,
            "log_errors": "0",
            "display_errors": "0",
        }
        self._command = ["php", str(_CODEC)]
        self._command[1:1] = [f'-d{name}="{settings[name]}"' for name in settings]

    def __enter__(self) -> Codec:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=20.0)

    def see(self, raw: bytes) -> Seen | None:
        """
        Have PHP decode a session.

        @return: L{None} if it cannot, in which case it would destroy it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b64encode(raw) + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        isDecoded, encoded, serialized, asJSON = answer
        if not isDecoded:
            return None
        return Seen(b64decode(encoded), b64decode(serialized), asJSON)
