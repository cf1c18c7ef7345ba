"""
Signed cookies, as web frameworks make them.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode

from itsdangerous import TimestampSigner


SECRET = "a-secret"
SIGNED = 1_700_000_000


class Signer(TimestampSigner):
    """
    One whose clock stands still.
    """

    now = SIGNED

    def get_timestamp(self) -> int:
        return self.now


def flaskCookie(payload: bytes, secret: str = SECRET, now: int = SIGNED) -> str:
    """
    What Flask makes of a payload.
    """
    signer = Signer(secret, salt="cookie-session", key_derivation="hmac")
    signer.now = now
    return signer.sign(payload).decode("ascii")


def flaskPayload(text: bytes) -> bytes:
    """
    What Flask makes of short JSON.
    """
    return urlsafe_b64encode(text).rstrip(b"=")


def starletteCookie(text: bytes, now: int = SIGNED) -> str:
    """
    What Starlette makes of JSON.
    """
    signer = Signer(SECRET)
    signer.now = now
    return signer.sign(b64encode(text)).decode("ascii")
