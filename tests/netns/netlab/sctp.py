"""As much SCTP (RFC 9260) as a reachability probe needs, over raw sockets.

A kernel may be built without SCTP sockets and yet filter and track SCTP. A probe
sends INIT and a listener answers INIT ACK, which is what connection tracking and
policies look at; the text of the answer travels as the state cookie.
"""

import struct

IPPROTO_SCTP = 132

INIT = 1
INIT_ACK = 2
ABORT = 6

_COMMON = struct.Struct("!HHII")
_CHUNK = struct.Struct("!BBH")
_INIT_BODY = struct.Struct("!IIHHI")
_PARAMETER = struct.Struct("!HH")
_STATE_COOKIE = 7
_RECEIVE_WINDOW = 65536


def _make_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _make_table()


def crc32c(data):
    """The checksum of SCTP (RFC 9260 appendix A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _packet(source_port, port, tag, kind, flags, body):
    padding = bytes(-len(body) % 4)
    chunk = _CHUNK.pack(kind, flags, _CHUNK.size + len(body)) + body + padding
    head = _COMMON.pack(source_port, port, tag, 0)
    checksum = struct.pack("<I", crc32c(head + chunk))
    return head[:8] + checksum + chunk


def init(source_port, port, tag):
    """A packet that opens an association; answers to it bear `tag`."""
    body = _INIT_BODY.pack(tag, _RECEIVE_WINDOW, 1, 1, tag)
    return _packet(source_port, port, 0, INIT, 0, body)


class Packet:
    """A received packet, cut down to its header and its first chunk."""

    __slots__ = ("source_port", "port", "tag", "kind", "init_tag", "cookie")

    def __init__(self, data):
        """Parse; raises ValueError when it is not SCTP or damaged."""
        if len(data) < _COMMON.size + _CHUNK.size:
            raise ValueError("short SCTP packet")
        self.source_port, self.port, self.tag, _ = _COMMON.unpack_from(data)
        zeroed = data[:8] + bytes(4) + data[12:]
        if struct.pack("<I", crc32c(zeroed)) != data[8:12]:
            raise ValueError("bad SCTP checksum")
        self.kind, _, length = _CHUNK.unpack_from(data, _COMMON.size)
        body = data[_COMMON.size + _CHUNK.size:_COMMON.size + length]
        self.init_tag = None
        self.cookie = b""
        if self.kind in (INIT, INIT_ACK):
            if len(body) < _INIT_BODY.size:
                raise ValueError("short INIT chunk")
            self.init_tag = _INIT_BODY.unpack_from(body)[0]
            self.cookie = self._find_cookie(body[_INIT_BODY.size:])

    @staticmethod
    def _find_cookie(parameters):
        while len(parameters) >= _PARAMETER.size:
            kind, length = _PARAMETER.unpack_from(parameters)
            if length < _PARAMETER.size:
                break
            if kind == _STATE_COOKIE:
                return parameters[_PARAMETER.size:length]
            parameters = parameters[length + (-length % 4):]
        return b""

    def accept(self, text):
        """The INIT ACK to this INIT, with `text` as its cookie."""
        cookie = _PARAMETER.pack(_STATE_COOKIE, _PARAMETER.size + len(text)) + text
        body = _INIT_BODY.pack(self.init_tag ^ 0x5A5A5A5A or 1, _RECEIVE_WINDOW,
                               1, 1, self.init_tag) + cookie
        return _packet(self.port, self.source_port, self.init_tag, INIT_ACK, 0, body)

    def refuse(self):
        """The ABORT with which a host without listener answers this INIT."""
        return _packet(self.port, self.source_port, self.init_tag, ABORT, 0, b"")

    def abort(self):
        """The ABORT with which a prober ends what this INIT ACK began."""
        return _packet(self.port, self.source_port, self.init_tag, ABORT, 0, b"")
