"""
Tests for L{txsessionsock.tap.secret}.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.support.frameworkcontract import BYTES
from tests.tap.test_tap import TapCase
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import InvalidCredential, SessionID


class SecretTests(TapCase):
    """
    The secrets that a server has.
    """

    def framework(self, *options: str) -> Any:
        """
        The framework of a server.
        """
        return self.make(*options)._manager.framework

    def file(self, raw: bytes) -> str:
        """
        The option for a file that holds this.
        """
        Path("secrets").write_bytes(raw)
        return "--secret-file=secrets"

    def assertSecrets(self, framework: Any, *secrets: str | bytes) -> None:
        """
        The first of these signs, all verify, and no other does.
        """
        for number, secret in enumerate(secrets):
            value = Express(secret).cookieValue(SessionID("some-id"))
            self.assertEqual(framework.sessionID(value, 0), "some-id")
            self.assertEqual(framework.cookieValue("some-id") == value, not number)
        for other in "", "\n", "other", "\ufeffnew":
            value = Express(other or "x").cookieValue(SessionID("some-id"))
            self.assertRaises(InvalidCredential, framework.sessionID, value, 0)

    def test_lines(self) -> None:
        """
        Of several lines, the first signs and all verify, whatever editor wrote
        them.  The file goes before the environment variable.
        """
        for raw in (
            b"new\n\n  old  \n",
            b"new\nold",
            b"\xef\xbb\xbfnew\r\n\told\r\n",
        ):
            self.assertSecrets(self.framework(self.file(raw)), "new", "old")
        odd = "a b\x0b\x1c\u2028é"
        made = self.framework(self.file(f"{odd}\nb\n".encode()))
        self.assertSecrets(made, odd, "b")

    def test_variable(self) -> None:
        """
        The environment variable holds the same.
        """
        for text, secrets in (
            ("new\nold", ["new", "old"]),
            (f"hex:{BYTES.hex()}\nold", [BYTES, "old"]),
            (os.fsdecode(b"\xffnew"), [b"\xffnew"]),
        ):
            os.environ["SESSIONSOCK_SECRET"] = text
            self.assertSecrets(self.framework(), *secrets)

    def test_notUTF8(self) -> None:
        """
        A file that is not UTF-8 is one secret, byte for byte, and what has a
        newline at its end one without it, too; no line of it is one.  The log
        says so, and shows nothing of it.
        """
        for raw, secrets in (
            (BYTES, [BYTES]),
            (BYTES + b"\n", [BYTES + b"\n", BYTES]),
            (BYTES + b"\r\n", [BYTES + b"\r\n", BYTES]),
            (b"\xffs3cret\nother\n", [b"\xffs3cret\nother\n", b"\xffs3cret\nother"]),
        ):
            with self.subTest(raw), capturedLogs() as logs:
                self.assertSecrets(self.framework(self.file(raw)), *secrets)
                (said,) = [formatEvent(log) for log in logs if "UTF-8" in str(log)]
                self.assertIn(f"one secret of {len(raw)} bytes", said)
                self.assertNotIn("s3cret", said)

    def test_bytes(self) -> None:
        """
        Bytes are a line among others in digits or in base64; what begins like
        that and is not, is text.
        """
        made = self.framework(
            self.file(
                f"hex:{BYTES.hex()}\nold\nbase64:AP8KIA==\nhexe:00\nhex\n".encode()
            )
        )
        self.assertSecrets(made, BYTES, "old", b"\0\xff\n ", "hexe:00", "hex")

    def test_none(self) -> None:
        """
        Without a secret one is made, another each time, with a warning that
        does not show it.
        """
        del os.environ["SESSIONSOCK_SECRET"]
        values = set()
        for _ in range(2):
            with capturedLogs() as logs:
                values.add(self.framework("--listen=tcp:1").cookieValue("some-id"))
            (event,) = logs
            self.assertEqual(event["log_level"], LogLevel.warn)
            self.assertIn("sessions will not survive it", event["log_format"])
            self.assertEqual(event["variable"], "SESSIONSOCK_SECRET")
        self.assertEqual(len(values), 2)

    def test_wrong(self) -> None:
        """
        There is none, it is empty, not readable, or not what it says; nothing
        of it is shown.
        """
        Path("empty").write_text(" \n\n")
        Path("digits").write_text("fine\nhex:s3cret\n")
        Path("letters").write_text("base64:s3cret!\n")
        Path("nothing").write_text("hex:\n")
        for name, words in (
            ("missing", "No such file"),
            (".", "directory"),
            ("empty", "one secret a line"),
            ("digits", "line 2 is no bytes in hex; right is hex:00ff"),
            ("letters", "line 1 is no bytes in base64; right is base64:"),
            ("nothing", "line 1 is no bytes in hex"),
        ):
            with self.subTest(name):
                said = self.refused("--secret-file", name)
                self.assertIn(f"--secret-file {name}", said)
                self.assertIn(words, said)
                self.assertNotIn("s3cret", said)
        os.environ["SESSIONSOCK_SECRET"] = ""
        self.assertIn("SESSIONSOCK_SECRET holds no secret", self.refused())
