# -*- test-case-name: tests.real.redis.test_redis_link -*-
"""
The protocol of Redis, as far as txredisapi does not know it: commands as bytes,
and errors in words.
"""

from __future__ import annotations

import re


__all__ = ["encode", "said"]

_SCRIPTED = re.compile(
    r"^ERR Error running script .*: -?(?=[A-Z]+ )| script: \S+, on @\S+$"
)
"""
What a Redis puts around the error of a command that a script runs: 6.2 before
it, 7 and later behind it.
"""


def encode(*arguments: bytes) -> bytes:
    """
    A command, as Redis takes it.
    """
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%b\r\n" % (len(each), each) for each in arguments]
    return b"".join(parts)


def said(error: object) -> str:
    """
    What an error says, in one line, and without what was asked.
    """
    match error:
        case Exception(args=[[*_, [*_, str(last)]]]):
            # OpenSSL's, whose last word is plain.
            return f"TLS: {last}"
        case Exception() if type(error).__name__ == "VerificationError":
            return "TLS: the certificate is that of another host"
    # A server that does not know a command repeats it, arguments and all.
    text = _SCRIPTED.sub("", str(error).partition(", with args")[0])
    return text[:200].strip() or type(error).__name__
