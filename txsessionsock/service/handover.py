# -*- test-case-name: tests.service.test_workers -*-
"""
The file descriptors that a worker process gets from its parent.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping, Sequence
from dataclasses import asdict, dataclass


__all__ = ["Handover"]

_VARIABLE = "SESSIONSOCK_WORKER"

_FIRST = 3
"""
The first file descriptor that is not standard input, output or error.
"""


@dataclass(frozen=True)
class Handover:
    """
    Which worker a process is, and its file descriptors.

    @ivar sockets: What it listens at.

    @ivar lifeline: A pipe that ends when the parent does.

    @ivar ready: A pipe to write to when it listens, and then its figures, if they
        are wanted.
    """

    number: int
    sockets: Sequence[int]
    lifeline: int
    ready: int

    @classmethod
    def planned(cls, number: int, count: int) -> Handover:
        """
        Plan the file descriptors of a process.

        @param count: At how many sockets it will listen.
        """
        end = _FIRST + count
        return cls(number, tuple(range(_FIRST, end)), end, end + 1)

    @classmethod
    def takenFrom(cls, environment: MutableMapping[str, str]) -> Handover | None:
        """
        Find out whether this process is a worker.  The variable is removed, so
        that a process which the worker starts is none.

        @return: L{None} if it is not.
        """
        text = environment.pop(_VARIABLE, None)
        return None if text is None else cls(**json.loads(text))

    def environment(self) -> dict[str, str]:
        """
        The variable that tells it to the worker.
        """
        return {_VARIABLE: json.dumps(asdict(self))}
