# -*- test-case-name: tests.tap.test_tap_secrets -*-
"""
The secrets that sign session cookies, from a file or the environment.
"""

from __future__ import annotations

import os
from base64 import b64decode
from pathlib import Path
from secrets import token_urlsafe

from twisted.logger import Logger

from .framework import takesSecrets
from .options import SECRET, Options, refuse
from .table import isTable


__all__ = ["secretsFor"]

_IN_BYTES = {
    "hex": (bytes.fromhex, "hex:00ff…, two digits for each byte"),
    "base64": (lambda text: b64decode(text, validate=True), "base64:AP8…, with its ="),
}

_log = Logger()


def secretsFor(options: Options) -> list[str | bytes]:
    """
    Find the secrets; make one where nobody else has to know it.

    @return: None, if the framework signs nothing.

    @raise SystemExit: There are none, or wrong ones; with one line that says
        why.
    """
    name, path = options["framework"], options["secret-file"]
    if not takesSecrets(name, options["framework-option"]):
        return []
    if path is not None:
        source = f"--secret-file {path}"
        try:
            return _secretsIn(Path(path).read_bytes(), source)
        except OSError as error:
            refuse(f"{source}: {error.strerror}")
    if SECRET in os.environ:
        return _secretsIn(os.fsencode(os.environ[SECRET]), SECRET)
    if name != "express" or isTable(options):
        refuse(
            f"--framework {name} needs the application's secret: right is"
            f" --secret-file FILE, or the variable {SECRET}"
        )
    _log.warn(
        "no secret given: one is made for this run, so sessions will not"
        " survive it; give one by --secret-file or {variable}",
        variable=SECRET,
    )
    return [token_urlsafe(32)]


def _secretsIn(raw: bytes, source: str) -> list[str | bytes]:
    """
    Take each line for a secret; where it is not UTF-8, all of it for one: a
    line of random bytes may be so short that somebody guesses it.

    @param source: How the user calls it.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        _log.info(
            "{source} is not UTF-8: it is taken for one secret of {count} bytes",
            source=source,
            count=len(raw),
        )
        # An editor may have put a newline there, which the secret has not.
        shorter = raw.removesuffix(b"\n").removesuffix(b"\r")
        return [raw] if shorter == raw else [raw, shorter]
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    secrets = [
        _secret(line, f"{source}: line {number}")
        for number, line in enumerate(lines, 1)
        if line
    ]
    if not secrets:
        refuse(f"{source} holds no secret; right is one secret a line")
    return secrets


def _secret(line: str, source: str) -> str | bytes:
    form, colon, rest = line.partition(":")
    if not colon or form not in _IN_BYTES:
        return line
    decode, right = _IN_BYTES[form]
    try:
        secret = decode(rest)
    except ValueError:
        secret = b""
    if not secret:
        refuse(f"{source} is no bytes in {form}; right is {right}")
    return secret
