# -*- test-case-name: tests.hub.test_hub_encodings -*-
"""
A message for many clients.
"""

from __future__ import annotations

from typing import Any

from .carrier import Carrier


__all__ = ["Broadcast"]


class Broadcast:
    """
    A value on its way to many clients, which is encoded once for all of them
    that encode alike.
    """

    def __init__(self, value: Any, encoding: object, frame: Any) -> None:
        """
        @param encoding: See L{Carrier.encoding}: one in which it is encoded
            already.

        @param frame: What it is in that encoding.
        """
        self._value = value
        # By identity, since an encoding may be of a class that cannot be hashed.
        # The encoding is kept, or another one could get its identity.
        self._frames = {id(encoding): (encoding, frame)}

    def frameFor(self, carrier: Carrier) -> Any:
        """
        @return: What C{carrier.write} takes.

        @raise ValueError: It cannot be sent on that carrier.
        """
        encoding = carrier.encoding
        found = self._frames.get(id(encoding))
        if found is None:
            found = self._frames[id(encoding)] = encoding, carrier.encode(self._value)
        carrier.check(found[1])
        return found[1]
