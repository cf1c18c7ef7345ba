# -*- test-case-name: tests.frameworks.test_django -*-
"""
What C{django.core.signing} makes: JSON, compressed where that is shorter, with
the time of signing and a signature.
"""

from __future__ import annotations

import hmac
import json
import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256


__all__ = ["BadSignature", "asciiJSON", "signed", "unsigned"]


_SIGNED = re.compile(r"(\.?[\w-]*={0,2}):([0-9A-Za-z]{1,9}):([\w-]{1,64})", re.ASCII)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MOST = 16 * 1024 * 1024
"""
How many bytes a compressed session may become.
"""


class BadSignature(ValueError):
    """
    It may be a signed value, and we did not sign it.
    """


def asciiJSON(value: object) -> bytes:
    """
    Encode as compact JSON, in ASCII: Django reads it as Latin-1.

    @raise ValueError: It cannot be encoded.  (Others that the encoder raises
        are L{TypeError} and L{RecursionError}.)
    """
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def signed(value: object, secret: bytes, salt: str, now: float) -> bytes:
    """
    Sign what JSON can hold.

    @raise ValueError: See L{asciiJSON}.
    """
    plain = asciiJSON(value)
    packed = zlib.compress(plain)
    isShorter = len(packed) < len(plain) - 1
    payload = "." + _base64(packed) if isShorter else _base64(plain)
    timed = f"{payload}:{_base62(int(now))}"
    return f"{timed}:{_signature(timed, secret, salt)}".encode("ascii")


def unsigned(raw: bytes, secrets: Sequence[bytes], salt: str) -> tuple[bytes, int]:
    """
    Verify and unpack what L{signed} made.

    @return: The JSON, and when it was signed, in whole seconds since the
        epoch.

    @raise BadSignature: None of the secrets signed it.

    @raise ValueError: It is nothing signed.  No message shows any of it.
    """
    match = _SIGNED.fullmatch(raw.decode("latin-1"))
    if match is None:
        raise ValueError("not a signed value")
    payload, moment, signature = match.groups()
    timed = f"{payload}:{moment}"
    if not any(
        hmac.compare_digest(_signature(timed, secret, salt), signature)
        for secret in secrets
    ):
        raise BadSignature("signed with another secret, or changed")
    return _unpacked(payload), _number(moment)


def _unpacked(payload: str) -> bytes:
    encoded = payload.removeprefix(".").rstrip("=")
    try:
        raw = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        if not payload.startswith("."):
            return raw
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(raw, _MOST)
        isWhole = unpacking.eof
    except (ValueError, zlib.error):
        isWhole = False
    if not isWhole:
        raise ValueError("cut off, or too large")
    return plain


def _signature(value: str, secret: bytes, salt: str) -> str:
    key = sha256(f"{salt}signer".encode() + secret).digest()
    return _base64(hmac.digest(key, value.encode("ascii"), "sha256"))


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * 62 + _DIGITS.index(digit)
    return number
