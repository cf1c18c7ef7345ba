"""
Whether a C{SessionSocket} connects to a server on the same machine where there is
no other network than the loopback, as a program: C{unshare --map-root-user --net
python -m tests.e2e.loopback}.  It prints what C{navigator.onLine} says, and the
events.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct

from tests.support.clientscript import ClientScriptCase


_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def up(name: bytes) -> None:
    """
    Turn a network interface on; it is off in a network namespace that is new.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = fcntl.ioctl(handle, _SIOCGIFFLAGS, struct.pack("16sh", name, 0))
        (flags,) = struct.unpack("16xh", request)
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh", name, flags | _IFF_UP))


class Alone(ClientScriptCase):
    def runTest(self) -> None:
        self.begin({"say": "hello"})
        self.until("message")
        print(json.dumps([self.js("return navigator.onLine"), self.events()]))


if __name__ == "__main__":
    up(b"lo")
    test = Alone()
    test.setUpClass()
    try:
        test.setUp()
        test.runTest()
    finally:
        test.tearDownClass()
