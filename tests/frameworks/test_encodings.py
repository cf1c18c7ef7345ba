"""
Tests for L{txsessionsock.frameworks._encodings}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._foreign import Foreign
from txsessionsock.frameworks._encodings import Encoding, encode


class KnownTests(SynchronousTestCase):
    """
    What was written before is not looked through.
    """

    def looked(self, data: dict[str, Any], known: Mapping[str, Any]) -> list[Any]:
        """
        What is looked through when a session is encoded.
        """
        found: list[Any] = []
        wrote: list[Any] = []

        def find(value: Any, *, isThorough: bool = False) -> Foreign | None:
            found.append(value["data"])
            return None

        def dumps(value: Any) -> bytes:
            wrote.append(value["data"])
            return b"encoded"

        how = Encoding("some", find, dumps)
        raw = encode(how, data, within=lambda data: {"data": data}, known=known)
        self.assertEqual((raw, wrote), (b"encoded", [data]))
        return found

    def test_known(self) -> None:
        """
        Only the very same objects at the same keys are left out, and only when it
        is looked; all is written.
        """
        big = [1] * 10
        data = {"a": big, "b": [2], "c": big, "n": 1000}
        known = {"a": big, "b": [1], "d": big}
        self.assertEqual(self.looked(data, known), [{"b": [2], "c": big, "n": 1000}])

    def test_within(self) -> None:
        """
        So it is within dictionaries and lists; where a key is no plain text, all
        is looked through.
        """

        class Text(str):
            __slots__ = ()

        big = [1] * 10
        known = {"a": {"b": big, "c": [big, [1], big]}, "d": {"e": big}}
        data: dict[str, Any] = {
            "a": {"b": big, "c": [big, [1, {2}], big, 3]},
            "d": {Text("e"): big},
        }
        left = [{"a": {"c": [[{2}], 3]}, "d": {"e": big}}]
        self.assertEqual(self.looked(data, known), left)

    def test_nothing(self) -> None:
        """
        All is looked through, unless something is known.
        """
        self.assertEqual(self.looked({"a": None}, {}), [{"a": None}])
