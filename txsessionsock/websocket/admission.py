# -*- test-case-name: tests.websocket.test_admission -*-
"""
How many connections there may be: in all, and from one address.

A connection counts from when it is accepted until it is lost, whatever becomes of
it between.  Its address counts as soon as it is known.  Behind a proxy that is
the client's, which is known with the head of the request; until then, and if
there is none, only the connection counts.

One that is too many is answered, which takes its head.  So a few of these may
wait for it beside those that count; what is more is cut off at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum, auto
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Any

from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper

from txsessionsock.forwarded import UNIX, Proxies, peerOf
from txsessionsock.handshake import Handshake
from txsessionsock.limits import Limits


__all__ = ["Admission", "Overfull", "Place", "addressOf"]

_ANSWERED = 64
"""
How many connections that are too many may wait for their answer.
"""

_RETRY_AFTER = 5

_HOST_BITS = 64
"""
How many bits of an address of IPv6 its owner chooses.
"""


@dataclass(frozen=True)
class Overfull:
    """
    Why a connection is one too many.

    @ivar reason: What its client is told.

    @ivar why: What the log is told.
    """

    status: HTTPStatus
    reason: str
    why: str

    @property
    def headers(self) -> list[tuple[str, str]]:
        """
        The headers of the answer.
        """
        if self.status != HTTPStatus.SERVICE_UNAVAILABLE:
            return []
        return [("Retry-After", str(_RETRY_AFTER))]


class _State(Enum):
    """
    Whether a connection counts, or is one too many and waits for its answer; or
    is gone, or has no place.
    """

    IN = auto()
    OVER = auto()
    GONE = auto()


class Place:
    """
    The place that one connection takes.

    @ivar address: For which it counts; L{None} if for none.

    @ivar hopeless: Why it is not even to be answered; L{None} if it is.
    """

    __slots__ = ("_admission", "address", "hopeless", "state")

    def __init__(self, admission: Admission, address: str | None) -> None:
        self._admission = admission
        self.address = address
        self.hopeless: Overfull | None = None
        self.state = _State.GONE

    def settle(self, request: Handshake) -> Overfull | None:
        """
        The head of the request is there, and says who the client is.

        @return: L{None} if the connection may go on.
        """
        problem = self._admission.settle(self, request.client)
        proxies = request.proxies
        if problem is None or proxies is None or not proxies.trusts(request.client):
            return problem
        name = proxies.headers[0]
        why = f"{problem.why}; that is a proxy, which did not say for whom by {name}"
        return replace(problem, why=why)

    def leave(self) -> None:
        """
        The connection is lost.  Nothing happens the second time.
        """
        self._admission.leave(self)


class Admission:
    """
    The places of one server.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = 0
        self._over = 0
        # By address, and by network with the limit that it has.
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """
        How many connections count.
        """
        return self._count

    def arrive(self, address: str | None) -> Place:
        """
        A connection was accepted.

        @param address: From where, as L{addressOf} has it.
        """
        place = Place(self, address)
        problem = self._problem(address)
        if problem is None:
            self._enter(place)
        elif self._over < _ANSWERED:
            place.state = _State.OVER
            self._over += 1
        else:
            place.hopeless = problem
        return place

    def beside(self) -> Place:
        """
        A connection was accepted that takes no place, since its client has one.
        """
        return Place(self, None)

    def settle(self, place: Place, address: str | None) -> Overfull | None:
        """
        See L{Place.settle}.
        """
        before, wasIn = place.address, place.state is _State.IN
        if wasIn and before == address:
            return None
        if place.state is _State.GONE:
            return None
        # It must not count against itself.
        self.leave(place)
        problem = self._problem(address)
        if problem is None:
            place.address = address
            self._enter(place)
        elif wasIn:
            self._enter(place)
        else:
            # It is answered now, and may take its time to leave.
            place.state = _State.OVER
            self._over += 1
        return problem

    def leave(self, place: Place) -> None:
        """
        See L{Place.leave}.
        """
        state, place.state = place.state, _State.GONE
        if state is _State.OVER:
            self._over -= 1
        elif state is _State.IN:
            self._count -= 1
            for key in _keysOf(place.address):
                self._counts[key] -= 1
                if not self._counts[key]:
                    del self._counts[key]

    def _enter(self, place: Place) -> None:
        place.state = _State.IN
        self._count += 1
        self._counts.update(_keysOf(place.address))

    def _problem(self, address: str | None) -> Overfull | None:
        limits = self._limits
        if limits.maxConnections is not None and self._count >= limits.maxConnections:
            return overfull(limits.maxConnections, "maxConnections, --max-connections")
        keys = _keysOf(address)
        perNetwork = limits.perNetwork or limits.perAddress
        names = ("perAddress, --per-address", "perNetwork, --per-network")
        for key, limit, name in zip(
            keys, (limits.perAddress, perNetwork), names, strict=False
        ):
            if limit is not None and self._counts[key] >= limit:
                return Overfull(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    "there are too many connections from this address",
                    f"refused a connection from {address}: {key} has {limit}, as many"
                    f" as it may ({name})",
                )
        return None


def overfull(limit: int, name: str) -> Overfull:
    """
    @param limit: How many connections there may be in all.

    @param name: What the user calls that.
    """
    return Overfull(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "there are too many connections",
        f"refused a connection: there are {limit}, as many as there may be ({name})",
    )


def addressOf(transport: Any, proxies: Proxies | None) -> str | None:
    """
    @param proxies: Those that are trusted.

    @return: The address for which a connection counts before its request has
        come; L{None} if that does not say who the client is.
    """
    if isinstance(transport, HAProxyProtocolWrapper) and transport._proxyInfo is None:
        # It speaks the PROXY protocol, and has not said for whom.
        return None
    peer = peerOf(transport.getPeer())
    isProxy = proxies is not None and proxies.trusts(peer)
    return None if isProxy or peer == UNIX else peer


def _keysOf(address: str | None) -> tuple[str, ...]:
    """
    @return: The address, and for IPv6 its network: whoever has one address there
        has all of them.
    """
    if address is None:
        return ()
    if ":" not in address:
        return (address,)
    number = int(ip_address(address)) >> _HOST_BITS << _HOST_BITS
    return address, f"{IPv6Address(number)}/{_HOST_BITS}"
