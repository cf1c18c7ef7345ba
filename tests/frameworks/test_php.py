"""
Tests for L{txsessionsock.frameworks.php}.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar
from unittest.mock import patch

from hypothesis import strategies as st

from tests.support.frameworkcontract import StoringContract
from tests.support.recorded import NOW, RecordedCase
from txsessionsock.frameworks.php import PHP
from txsessionsock.interfaces import Document, IFramework, SessionID, UnencodableSession


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
KEYS = st.text('ab1-0é";:{}', max_size=3)
NAMES = KEYS.filter(lambda name: not name.lstrip("-").isdecimal())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)
NOT_VALUES = (
    b"",
    b"s3cret",
    b"x:1;",
    b"N",
    b"n;",
    b"I:1;",
    b"i:;",
    b"i: 1;",
    b"i:1_0;",
    b"b:2;",
    b"d:inf;",
    b"d:nan;",
    b"d:+INF;",
    b"d:-NAN;",
    b"d:0x1;",
    b's:2:"abc";',
    b's:-1:"abc";',
    b's:3:"abc"',
    b'S:1:"a";',
    b"a:-1:{}",
    b"a:1:{}",
    b"a:0:{i:0;i:1;}",
    b"a:1:{i:0;}",
    b"a:1:{N;i:1;}",
    b"a:1:{b:1;i:1;}",
    b"a:1:{d:1.5;i:1;}",
    b"a:1:{a:0:{}i:1;}",
    b"a:2:{i:0;i:1;i:0;i:2;}",
    b'a:2:{i:0;i:1;s:1:"0";i:2;}',
    b"i:1;garbage",
    b"i:1;}",
)
"""
What PHP would not write, though the library may read it.
"""
JUNK = st.binary() | st.lists(
    st.sampled_from(
        b'a| | N; i:0; i:1; " ; } a:1:{ a:0:{} O:1:"a":0:{} R: s:1:" 9'.split()
    ),
    max_size=12,
).map(b"".join)


def asInPHP(value: Any) -> Any:
    """
    What comes back from PHP: an array is a list or not by its keys alone.
    """
    if isinstance(value, list):
        return [asInPHP(item) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == [str(n) for n in range(len(value))]:
        return [asInPHP(item) for item in value.values()]
    return {key: asInPHP(item) for key, item in value.items()}


class OfPHP(StoringContract):
    """
    What holds for both handlers.
    """

    make = staticmethod(PHP)
    firstCookieWins = True
    shown = "<PHP cookieName='PHPSESSID' prefix='PHPREDIS_SESSION:'>"
    identities = (
        ({"user_id": 3, "uid": 4}, 3),
        ({"user": {"id": "7"}}, "7"),
        ({"cart": []}, None),
    )
    malformed = (
        *("", "a" * 4097, "é", "%FF", "%00", "%7F", "a b", "a%20b", "a%09b", "a%0A"),
        *("a%22b", "a%27b", "a%3Cb", "a%3Eb", "a%5Cb", '"a'),
    )
    junk = JUNK
    ids = "[0-9a-f]{32}"
    chosen: ClassVar[dict[str, str]] = {
        "6650f3a1b2c3d": "6650f3a1b2c3d",
        "a%2C-": "a,-",
        "a%3Ab": "a:b",
        "%C3%A9": "é",
        "a%2Bb": "a+b",
        "a%3Bb_.": "a;b_.",
    }
    sessions = st.dictionaries(NAMES, VALUES, max_size=4)

    def made(self, config: dict[str, Any]) -> IFramework:
        return PHP(
            handler=config["serialize_handler"],
            cookieName=config["cookie_name"],
            prefix=config["prefix"],
            maxLifetime=config["gc_maxlifetime"],
        )

    def asRead(self, data: dict[str, Any]) -> dict[str, Any]:
        return {key: asInPHP(value) for key, value in data.items()}


class SplitTests(OfPHP, RecordedCase):
    """
    Tests for L{PHP} with its own handler, C{php}.
    """

    framework = PHP()
    recordings = (("php_redis_php", 5),)
    undecodable = (
        *(b"s3cret", b"a|i:1;a|i:2;", b"5|i:1;", b"a|i:1;b", b"|"),
        *(b"a|" + value for value in NOT_VALUES),
    )


class SerializeTests(OfPHP, RecordedCase):
    """
    Tests for L{PHP} with the handler C{php_serialize}.
    """

    framework = PHP(handler="php_serialize")
    recordings = (("php_redis_php_serialize", 4),)
    undecodable = (
        b"a:0:{}a:0:{}",
        *(value or b"i:1;" for value in NOT_VALUES),
        *(b'a:1:{s:1:"a";' + value + b"}" for value in NOT_VALUES),
    )


class PHPTests(RecordedCase):
    """
    Tests for what is PHP's own.
    """

    framework = PHP()
    serialize = PHP(handler="php_serialize")

    def test_handler(self) -> None:
        """
        A handler that we do not know is refused, with those that we do.
        """
        error = self.assertRaises(ValueError, PHP, handler="php_binary")
        self.assertIn("php_serialize", str(error))

    def test_missing(self) -> None:
        """
        Whoever has not installed the library is told what to install.
        """
        with patch.dict(sys.modules, phpserialize=None):
            error = self.assertRaises(ImportError, PHP)
        self.assertIn("txsessionsock[php]", str(error))

    def test_bytes(self) -> None:
        """
        What PHP serialized, we write with the very same bytes.
        """
        for framework, raw in [
            (self.framework, b'n|N;t|b:1;f|b:0;i|i:-7;d|d:3.25;s|s:3:"a|b";'),
            (self.framework, b'a|a:2:{i:0;i:5;i:1;a:1:{s:1:"k";s:2:"\xc3\xa9";}}'),
            (self.framework, b'u|a:2:{i:1;s:3:"one";s:2:"01";s:4:"\xff"};";}'),
            (self.serialize, b'a:2:{s:1:"a";i:1;i:7;a:0:{}}'),
            (self.serialize, b"a:2:{i:0;i:1;i:1;i:2;}"),
            (self.serialize, b"a:0:{}"),
            (self.framework, b""),
        ]:
            document = framework.loads(raw, NOW)
            self.assertEqual(framework.dumps(document, NOW), raw)

    def test_arrays(self) -> None:
        """
        Arrays are lists or dictionaries by their keys, as text.
        """
        for array, value in [
            (b"a:0:{}", []),
            (b"a:2:{i:0;i:5;i:1;i:6;}", [5, 6]),
            (b'a:2:{s:1:"0";i:5;i:1;i:6;}', [5, 6]),
            (b"a:2:{i:1;i:5;i:0;i:6;}", {"1": 5, "0": 6}),
            (b"a:1:{i:-3;i:5;}", {"-3": 5}),
            (b'a:1:{s:0:"";N;}', {"": None}),
        ]:
            data = self.framework.loads(b"a|" + array, NOW).data
            self.assertEqual(data, {"a": value})
            data = self.serialize.loads(array, NOW).data
            if isinstance(value, list):
                self.assertEqual(data, {str(n): v for n, v in enumerate(value)})
            else:
                self.assertEqual(data, value)

    def test_new(self) -> None:
        """
        New sessions are as empty as those of PHP.
        """
        document = self.framework.newDocument(NOW)
        self.assertEqual(self.framework.dumps(document, NOW), b"")
        self.assertEqual(self.serialize.dumps(document, NOW), b"a:0:{}")
        for framework in self.framework, self.serialize:
            self.assertEqual(framework.loads(b"", NOW), Document({}, {}))

    def test_lifetimes(self) -> None:
        """
        Each visit has a session live on.
        """
        document = Document({}, {})
        framework = PHP(maxLifetime=60, maxAge=3600)
        self.assertEqual(framework.lifetime(document, NOW), 60)
        self.assertEqual(framework.touchLifetime(document, NOW), 60)
        self.assertEqual(framework.cookieLifetime(document, NOW), 3600)
        self.assertIsNone(self.framework.cookieLifetime(document, NOW))

    def test_ids(self) -> None:
        """
        An id is what PHP takes for one, and its comma comes encoded.
        """
        sessionID = SessionID("abc,DEF-0123456789012345")
        for cookie in sessionID, self.framework.cookieValue(sessionID):
            self.assertEqual(self.framework.sessionID(cookie, NOW), sessionID)
        self.assertIn("%2C", self.framework.cookieValue(sessionID))

    def test_unencodable(self) -> None:
        """
        What PHP could not read back is refused by its keys.
        """
        bad: dict[Any, Any] = {
            "fine": 1,
            "set": {"s3cret"},
            "big": [2**63],
            "half": "\ud800",
            "made": "\udcc3\udca9",
            "key": {"\ud800": 1},
            "int": {5: 1},
            "raw": b"s3cret",
            7: 1,
        }
        loop: list[object] = []
        bad["loop"] = loop
        loop.append(loop)
        for framework, more in (self.framework, ("a|b", "5")), (self.serialize, ()):
            data = bad | {"a|b": 1, "5": 1}
            error = self.assertRaises(
                UnencodableSession, framework.dumps, Document(data, {}), NOW
            )
            expected = {"fine"} | ({"a|b", "5"} - set(more))
            self.assertEqual(set(data) - set(error.keys), expected)
            self.assertNotIn("s3cret", str(error))

    def test_objects(self) -> None:
        """
        Objects and references are refused, in words, and nothing is made.
        """
        for value in [
            b'O:6:"s3cret":0:{}',
            b'a:1:{i:0;O:8:"stdClass":1:{s:1:"a";i:1;}}',
            b'C:6:"s3cret":2:{ab}',
            b'E:11:"s3cret:CASE";',
            b"a:2:{i:0;i:1;i:1;R:2;}",
            b"a:2:{i:0;i:1;i:1;r:2;}",
        ]:
            for framework, raw in (
                (self.framework, b"a|" + value),
                (self.serialize, b'a:1:{s:1:"a";' + value + b"}"),
            ):
                self.assertUndecodable(framework, raw, "object or a reference")

    def test_bombs(self) -> None:
        """
        Depth and lengths that are not there are refused at once.
        """
        for depth in 101, 100_000:
            deep = b"a:1:{i:0;" * depth + b"N;" + b"}" * depth
            self.assertUndecodable(self.framework, b"a|" + deep, "too deeply")
            self.assertUndecodable(self.serialize, deep, "too deeply")
        deep = b"a:1:{i:0;" * 99 + b"N;" + b"}" * 99
        self.framework.loads(b"a|" + deep, NOW)
        for value in [
            b"a:999999999:{",
            b"a:999999999:{}",
            b's:999999999:"s3cret";',
            b's:99999999999999999999:"s3cret";',
            b"i:" + b"9" * 5000 + b";",
            b"i:9999999999999999999;",
        ]:
            self.assertUndecodable(self.framework, b"a|" + value)
            self.assertUndecodable(self.serialize, b'a:1:{s:1:"a";' + value + b"}")
