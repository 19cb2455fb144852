"""Whether an element is in a set of nftables: one netlink question, some tens of microseconds.

    question = Element("ringfence", "known4")
    question.has("10.0.0.1")

Of a set there may be two copies, of which one is in use: NAME, or NAME_b once all of the table
was made again.
"""

import ipaddress
import socket
import struct

NETLINK_NETFILTER, NFPROTO_INET = 12, 1
SUBSYSTEM, GETSET, GETSETELEM = 10, 10, 13
NLM_F_REQUEST, NESTED = 1, 0x8000
ERROR = 2
COPIES = ("", "_b")


def _attribute(kind, data):
    length = 4 + len(data)
    return struct.pack("HH", length, kind) + data + bytes(-length % 4)


class Element:
    """Of one set of table `inet TABLE`, in the network namespace that it is made in."""

    def __init__(self, table, name):
        self.table, self.names, self.name = table, [name + copy for copy in COPIES], None
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))

    def _ask(self, message, name, more=b""):
        """Whether the kernel knows what is asked for."""
        body = (struct.pack(">BBH", NFPROTO_INET, 0, 0)
                + _attribute(1, self.table.encode() + b"\0") + _attribute(2, name.encode() + b"\0")
                + more)
        self.socket.send(struct.pack("IHHII", 16 + len(body), SUBSYSTEM << 8 | message,
                                     NLM_F_REQUEST, 1, 0) + body)
        return struct.unpack_from("H", self.socket.recv(65536), 4)[0] != ERROR

    def _find_copy(self):
        """True if another copy is in use than before."""
        if self.name is not None and self._ask(GETSET, self.name):
            return False
        self.name = next((name for name in self.names if self._ask(GETSET, name)), None)
        if self.name is None:
            raise SystemExit(f"there is no set {' or '.join(self.names)} in table {self.table}")
        return True

    def has(self, address):
        key = _attribute(1, ipaddress.ip_address(address).packed)
        element = _attribute(3 | NESTED, _attribute(1 | NESTED, _attribute(1 | NESTED, key)))
        if self.name is not None and self._ask(GETSETELEM, self.name, element):
            return True
        return self._find_copy() and self._ask(GETSETELEM, self.name, element)
