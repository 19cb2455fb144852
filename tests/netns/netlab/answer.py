"""The listeners of a lab: one thread that answers in all namespaces.

Every answer says who answered, at which address, and whom it saw as the client, as one
line of words:

    ringfence-lab TOKEN NAME LOCAL-ADDRESS LOCAL-PORT CLIENT-ADDRESS CLIENT-PORT

TOKEN repeats what a datagram asked with, so that a late answer cannot pass for the
answer to another question; it is "-" over TCP, where the connection itself tells.
After the line a TCP listener echoes whatever it is sent.
"""

import functools
import os
import select
import socket
import struct
import threading

from netlab import sctp

MAGIC = b"ringfence-lab"
QUESTION = b"ringfence-probe"

_BACKLOG = 4096
_IP_PKTINFO = 8
_SO_RCVBUFFORCE = 33
_ROOM_BYTES = 8 << 20
_PKTINFO4 = struct.Struct("=i4s4s")
_PKTINFO6 = struct.Struct("=16si")
_ANCILLARY_BYTES = 128


def make_line(token, name, local, client):
    words = [MAGIC.decode(), token, name, local[0], local[1], client[0], client[1]]
    return (" ".join(str(word) for word in words) + "\n").encode()


@functools.cache
def has_sctp_sockets():
    """Whether this kernel has SCTP itself (else sctp.py stands in)."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, sctp.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


def open_stream(family, port, protocol=0):
    """A listening TCP (or SCTP) socket on all addresses of the thread's namespace."""
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("", port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def make_roomy(sock):
    """Let a socket hold the packets of a whole batch: a full one loses them unseen."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM_BYTES)


def open_datagram(family, kind, port, protocol=0):
    """A UDP or raw socket that learns which local address each packet came to."""
    sock = socket.socket(family, kind, protocol)
    try:
        if family == socket.AF_INET6:
            if kind != socket.SOCK_RAW:  # a raw socket is of one IP version anyway
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        make_roomy(sock)
        sock.bind(("", port))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _packed_local(ancillary):
    """The destination address of a received packet, as bytes."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            return _PKTINFO4.unpack(data[:_PKTINFO4.size])[2]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return _PKTINFO6.unpack(data[:_PKTINFO6.size])[0]
    raise ValueError("packet without local address")


def _reply(sock, data, local, client):
    """Send from exactly the address that was asked."""
    if len(local) == 4:
        item = (socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO4.pack(0, local, bytes(4)))
    else:
        item = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO6.pack(local, 0))
    sock.sendmsg([data], [item], 0, client)


class Answerer:
    """An epoll loop in a thread; sockets may be added and dropped from any thread."""

    def __init__(self):
        self._epoll = select.epoll()
        self._entries = {}
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._stopped = False
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def serve_stream(self, sock, name):
        """Take `sock`, a listening socket, and answer on it as `name`."""
        self._add(sock, name, lambda: self._accept(sock, name))

    def serve_udp(self, sock, name):
        """Take `sock`, a UDP socket, and answer on it as `name`."""
        self._add(sock, name, lambda: self._answer_udp(sock, name))

    def serve_sctp(self, sock, name, ports):
        """Take `sock`, a raw socket; answer as `name` on the ports now in `ports`."""
        self._add(sock, name, lambda: self._answer_sctp(sock, name, ports))

    def drop(self, sock):
        """Close a socket that was taken. Idempotent."""
        fd = sock.fileno()
        if fd < 0:
            return
        if self._entries.pop(fd, None) is not None:
            try:
                self._epoll.unregister(fd)
            except (OSError, ValueError):
                pass
        sock.close()

    def drop_name(self, name):
        """Close everything that answers as `name`, connections too."""
        for sock, owner, _ in list(self._entries.values()):
            if owner == name:
                self.drop(sock)

    def stop(self):
        """End the thread and close all sockets. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(timeout=5)
        for sock, _, _ in list(self._entries.values()):
            self.drop(sock)
        self._epoll.close()
        os.close(self._wake)

    def _add(self, sock, name, handler):
        self._entries[sock.fileno()] = (sock, name, handler)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _loop(self):
        while not self._stopped:
            for fd, _ in self._epoll.poll():
                entry = self._entries.get(fd)
                if entry is not None:
                    entry[2]()

    def _accept(self, listener, name):
        for _ in range(_BACKLOG):
            try:
                sock, client = listener.accept()
            except OSError:  # drained, or the client gave up already
                return
            try:
                sock.setblocking(False)
                sock.send(make_line("-", name, sock.getsockname(), client))
            except OSError:
                sock.close()
                continue
            self._add(sock, name, lambda s=sock: self._echo(s))

    def _echo(self, sock):
        try:
            data = sock.recv(65536)
            if data:
                sock.send(data)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.drop(sock)

    def _receive(self, sock):
        """Yield (data, local address as bytes, client) until the socket is drained."""
        for _ in range(_BACKLOG):
            try:
                data, ancillary, _, client = sock.recvmsg(2048, _ANCILLARY_BYTES)
            except OSError:
                return
            yield data, _packed_local(ancillary), client

    def _answer_udp(self, sock, name):
        port = sock.getsockname()[1]
        for data, local, client in self._receive(sock):
            words = data.split()
            asked = len(words) == 2 and words[0] == QUESTION
            token = words[1].decode("ascii", "replace") if asked else "-"
            line = make_line(token, name, (_text(local), port), client)
            try:
                _reply(sock, line, local, client)
            except OSError:  # refused by a rule of this very namespace
                continue

    def _answer_sctp(self, sock, name, ports):
        for data, local, client in self._receive(sock):
            if len(local) == 4:
                data = data[(data[0] & 15) * 4:]  # raw IPv4 comes with its header
            try:
                packet = sctp.Packet(data)
            except ValueError:
                continue
            if packet.kind != sctp.INIT:
                continue
            answer = packet.refuse()
            if packet.port in ports:
                answer = packet.accept(make_line(
                    packet.init_tag, name, (_text(local), packet.port),
                    (client[0], packet.source_port)))
            try:
                _reply(sock, answer, local, (client[0], 0))
            except OSError:
                continue


def _text(packed):
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed)
