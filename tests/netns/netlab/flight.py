"""A single probe under way, for each protocol; probe.py launches and watches them."""

import collections
import errno
import os
import secrets
import select
import socket
import struct
import time
import weakref

from netlab import answer, sctp

_SOURCE_PORTS = range(20000, 61000)
_PORT_TRIES = 100
_last_port = weakref.WeakKeyDictionary()

_IP_RECVERR = 11
_IPV6_RECVERR = 25
_IP_TRANSPARENT = 19
_IPV6_TRANSPARENT = 75
_IP_BIND_ADDRESS_NO_PORT = 24
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

REFUSALS = frozenset({
    errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH,
    errno.EACCES, errno.EPROTO, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET,
    errno.EPIPE})


class Result:
    """What came of a probe. `who`, `local` and `client` are as the listener told them:
    its name, the address and port that were reached, and the client's as it saw them.
    """

    __slots__ = ("state", "who", "local", "client", "rtt_ms", "detail")

    def __init__(self, state, who=None, local=None, client=None, rtt_ms=0.0, detail=""):
        self.state = state
        self.who = who
        self.local = local
        self.client = client
        self.rtt_ms = rtt_ms
        self.detail = detail

    @property
    def open(self):
        return self.state == "open"

    def __repr__(self):
        who = f" by {self.who}" if self.who else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"<{self.state}{who}{detail} {self.rtt_ms:.1f} ms>"


def bind(sock, family, src_addr, src_port, share=True):
    """Bind as asked. A foreign source address is allowed: spoofing is worth a test.

    share=True lets probes to different destinations have the same source port.
    """
    if src_port and share:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if src_addr:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        if not src_port and sock.type != socket.SOCK_RAW:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    if src_addr or src_port:
        sock.bind((src_addr or "", src_port))


def next_port(src):
    """A source port that `src` has not used for 41,000 probes.

    Connection tracking remembers UDP and ICMP flows for a while. A port that the
    kernel picks at random now and then revives one, which an "established accept" lets
    pass although the policy has changed: a wrong answer.
    """
    port = _last_port.get(src, _SOURCE_PORTS[-1]) + 1
    if port not in _SOURCE_PORTS:
        port = _SOURCE_PORTS[0]
    _last_port[src] = port
    return port


def bind_next_port(sock, family, src, src_addr):
    """bind() to a next_port() that is free."""
    for tries_left in range(_PORT_TRIES, 0, -1):
        try:
            bind(sock, family, src_addr, next_port(src), share=False)
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE or tries_left == 1:
                raise


def want_icmp_errors(sock, family):
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def take_error(sock):
    """The error that a socket has for us, as errno, or 0.

    An ICMP error that comes while connect() still holds a TCP socket does not become
    its SO_ERROR; over veth that is common. It is in the error queue nevertheless.
    """
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        return code
    return take_queued_error(sock)[0]


def take_queued_error(sock):
    """(errno, quoted packet, destination) of a queued ICMP error; errno 0 if none."""
    try:
        quoted, ancillary, _, dst = sock.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return 0, b"", None
    for _, _, data in ancillary:
        return struct.unpack_from("=I", data)[0], quoted, dst
    return 0, quoted, dst


class Flight:
    """A probe under way. launch() runs in the source's namespace."""

    __slots__ = ("item", "family", "answered", "sock", "started", "young", "counted",
                 "result", "token", "port")

    def __init__(self, item, version, answered):
        self.item = item
        self.family = socket.AF_INET6 if version == 6 else socket.AF_INET
        self.answered = answered
        self.sock = None
        self.started = 0.0
        self.young = False    # counts against the batch's limit
        self.counted = False  # is one of those that the batch waits for
        self.result = None
        self.token = ""
        self.port = item.src_port

    def describe(self):
        item = self.item
        return f"{item.src.name} -> {item.dst} {item.port}/{item.proto}"

    def finish(self, state, detail="", **more):
        rtt_ms = (time.monotonic() - self.started) * 1000
        self.result = Result(state, rtt_ms=rtt_ms, detail=detail, **more)
        if self.sock is not None:
            self.sock.close()

    def finish_by_errno(self, code):
        """End with what an error on the wire, not one in sending, stands for."""
        self.finish("refused" if code in REFUSALS else "error", os.strerror(code))

    def fail_to_send(self, error):
        """End after launch() raised.

        EPERM is a filter in the source's own namespace that dropped the packet, or
        rejected it, if the socket holds an error from that too.
        """
        code = error.errno
        if code == errno.EPERM and self.sock is not None:
            code = take_error(self.sock) or code
        if code == errno.EPERM:
            self.finish("closed", os.strerror(code))
        elif code == errno.ECONNREFUSED or code != error.errno:
            self.finish_by_errno(code)
        else:
            self.finish("error", os.strerror(code))

    def finish_by_line(self, line):
        """End open, with what the listener's line says; a foreign one says nothing."""
        words = line.decode("ascii", "replace").split()
        if len(words) != 7 or words[0] != answer.MAGIC.decode():
            self.finish("open", f"foreign answer {line[:40]!r}")
            return
        self.finish("open", who=words[2], local=(words[3], int(words[4])),
                    client=(words[5], int(words[6])))

    def expire(self):
        self.finish("closed", "timeout")


class StreamFlight(Flight):
    """TCP, or SCTP where the kernel has it."""

    __slots__ = ()

    def launch(self, batch):
        item = self.item
        protocol = sctp.IPPROTO_SCTP if item.proto == "sctp" else 0
        self.sock = sock = socket.socket(self.family, socket.SOCK_STREAM, protocol)
        sock.setblocking(False)
        # a reset leaves no TIME_WAIT behind, neither here nor in the router
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        want_icmp_errors(sock, self.family)
        bind(sock, self.family, item.src_addr, item.src_port)
        code = sock.connect_ex((item.dst, item.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        batch.watch(sock, self,
                    select.EPOLLIN if self.answered else select.EPOLLOUT)

    def on_event(self, _batch):
        code = take_error(self.sock)
        if code:
            self.finish_by_errno(code)
        elif not self.answered:
            self.finish("open")
        else:
            self._read()

    def _read(self):
        try:
            line = self.sock.recv(512)
        except BlockingIOError:
            return
        except OSError as error:
            self.finish_by_errno(error.errno)
            return
        if line:
            self.finish_by_line(line)
        else:
            self.finish("open", "closed by the peer")

    def expire(self):
        try:
            self.sock.getpeername()
            self.finish("closed", "connected, but no answer")
        except OSError:
            self.finish("closed", "timeout")


class DatagramFlight(Flight):
    """UDP, and through ping sockets ICMP echo."""

    __slots__ = ()

    def open_socket(self):
        return socket.socket(self.family, socket.SOCK_DGRAM)

    def question(self):
        return answer.QUESTION + b" " + self.token.encode()

    def launch(self, batch):
        item = self.item
        self.token = secrets.token_hex(8)
        self.sock = sock = self.open_socket()
        sock.setblocking(False)
        want_icmp_errors(sock, self.family)
        if self.port:
            bind(sock, self.family, item.src_addr, self.port)
        else:
            bind_next_port(sock, self.family, item.src, item.src_addr)
        sock.connect((item.dst, item.port))
        sock.send(self.question())
        batch.watch(sock, self, select.EPOLLIN)

    def on_event(self, _batch):
        try:
            data = self.sock.recv(2048)
        except BlockingIOError:
            return
        except OSError as error:
            self.finish_by_errno(error.errno)
            return
        self.on_data(data)

    def on_data(self, data):
        words = data.split(None, 2)
        if len(words) > 1 and words[0] == answer.MAGIC \
                and words[1] != self.token.encode():
            return  # a late answer to another probe
        self.finish_by_line(data)


class EchoFlight(DatagramFlight):
    """ICMP echo; the kernel of the destination answers, so nobody tells a name."""

    __slots__ = ()

    def open_socket(self):
        self.port = 0  # as echo identifier it must be free, so the lab chooses
        v6 = self.family == socket.AF_INET6
        return socket.socket(
            self.family, socket.SOCK_DGRAM,
            socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)

    def question(self):
        kind = 128 if self.family == socket.AF_INET6 else 8
        # the kernel fills in checksum and identifier
        return struct.pack("!BBHHH", kind, 0, 0, 0, 1) + self.token.encode()

    def on_data(self, data):
        if data[8:] == self.token.encode():
            self.finish("open", local=(self.item.dst, 0),
                        client=(self.sock.getsockname()[0], 0))


class SctpFlight(Flight):
    """SCTP over raw sockets, one for all probes of a source."""

    __slots__ = ()

    def launch(self, batch):
        item = self.item
        channel = batch.channel(item.src, self.family, item.src_addr)
        self.port = channel.take_port(self, item.src_port)
        tag = channel.take_tag(self)
        channel.send(self, sctp.init(self.port, item.port, tag), batch)


class SctpChannel:
    """A raw socket, and the probes that wait for its packets."""

    def __init__(self, family, src_addr):
        self.by_tag = {}
        self.by_port = collections.defaultdict(list)
        self.family = family
        self.sock = socket.socket(family, socket.SOCK_RAW, sctp.IPPROTO_SCTP)
        self.sock.setblocking(False)
        answer.make_roomy(self.sock)
        want_icmp_errors(self.sock, family)
        bind(self.sock, family, src_addr, 0)

    def take_port(self, flight, port):
        port = port or next_port(flight.item.src)
        self.by_port[port].append(flight)
        return port

    def take_tag(self, flight):
        tag = 0
        while tag == 0 or tag in self.by_tag:
            tag = secrets.randbits(32)
        self.by_tag[tag] = flight
        return tag

    def send(self, flight, data, batch):
        """Send, although ICMP errors to earlier probes may surface here."""
        for _ in range(4096):
            try:
                self.sock.sendto(data, (flight.item.dst, 0))
                return
            except OSError as error:
                seen = self._read_icmp_error(batch)
                if flight.result is not None:  # rejected before it left the host
                    return
                if error.errno not in REFUSALS or not seen:
                    raise

    def on_event(self, batch):
        for _ in range(4096):
            try:
                data, sender = self.sock.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                self._read_icmp_error(batch)
                continue
            self._on_packet(data, sender[0], batch)

    def _on_packet(self, data, sender, batch):
        if self.family == socket.AF_INET:
            data = data[(data[0] & 15) * 4:]
        try:
            packet = sctp.Packet(data)
        except ValueError:
            return
        flight = self.by_tag.get(packet.tag)
        if flight is None or flight.result is not None or sender != flight.item.dst \
                or packet.port != flight.port:
            return
        if packet.kind == sctp.INIT_ACK:
            flight.finish_by_line(packet.cookie)
            self._end(packet, sender)
        elif packet.kind == sctp.ABORT:
            flight.finish("refused", "aborted")
        batch.landed(flight)

    def _end(self, packet, sender):
        """Let connection tracking forget the association early; no matter if not."""
        try:
            self.sock.sendto(packet.abort(), (sender, 0))
        except OSError:
            pass

    def _read_icmp_error(self, batch):
        """Handle one ICMP error: it quotes the packet, which tells whose it was.

        Returns whether there was one.
        """
        code, quoted, dst = take_queued_error(self.sock)
        if not code or len(quoted) < 4:
            return bool(code)
        source_port, port = struct.unpack_from("!HH", quoted)
        for flight in self.by_port.get(source_port, ()):
            if flight.result is None and flight.item.port == port \
                    and flight.item.dst == dst[0]:
                flight.finish_by_errno(code)
                batch.landed(flight)
        return True


FLIGHTS = {
    "tcp": StreamFlight,
    "udp": DatagramFlight,
    "sctp": SctpFlight,
    "icmp": EchoFlight,
}
