# -*- test-case-name: tests.hub.test_hub_encodings -*-
"""
A message for many clients.
"""

from __future__ import annotations

from typing import Any

from txsessionsock.messages import Shared

from .carrier import Carrier


__all__ = ["Broadcast"]


class Broadcast:
    """
    A value on its way to many clients, which is encoded once for all of them
    that encode alike.
    """

    def __init__(
        self, value: Any, messageID: str, encoding: object = None, frame: Any = None
    ) -> None:
        """
        @param messageID: What tells this message from others.

        @param encoding: See L{Carrier.encoding}: one in which it is encoded
            already, if there is one.

        @param frame: What it is in that encoding.
        """
        self._value = value
        self._messageID = messageID
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
            frame = carrier.encode(self._value, self._messageID)
            found = self._frames[id(encoding)] = encoding, frame
        carrier.check(found[1])
        return found[1]

    def end(self) -> None:
        """
        All clients have been sent it.  What is kept for some of them, until something
        is stored or until they come back, counts as no more than its payload.
        """
        for _, frame in self._frames.values():
            # An event of Socket.IO may be several messages.
            for each in (frame, *frame) if isinstance(frame, tuple) else ():
                if isinstance(each, Shared):
                    each.frames = None
