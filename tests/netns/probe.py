"""Probes: what one host of a lab can reach, seen with real packets.

A probe ends in one of three states:

    open      somebody answered
    closed    nothing came back in time: dropped
    refused   RST, ABORT or an ICMP error came back

A probe that could not be sent at all (no address of that family, source port taken)
is a mistake of the test and no state: it raises ProbeError, so that a test which
expects "not open" cannot pass by it.

Nothing is sent twice: the first packet that a filter drops decides. Each probe has a
socket, a connection or a token of its own, so that a late answer to one is never taken
for the answer to another. A host here is any object with `name`, `fd` (its network
namespace) and `addresses`.
"""

import collections
import errno
import ipaddress
import os
import resource
import secrets
import select
import socket
import time
from typing import Any, NamedTuple

from netlab import answer, kernel
from netlab.flight import (
    FLIGHTS, REFUSALS, Flight, Result, SctpChannel, StreamFlight, bind, take_error,
    want_icmp_errors)
from netlab.ports import parse_port

__all__ = ["Connection", "Probe", "ProbeError", "Result", "parse_port", "probe",
           "probe_many"]

DEFAULT_TIMEOUT_MS = 400
DEFAULT_PARALLEL = 256

# TCP sends a second SYN after one second, which must not happen within a probe
LONGEST_TIMEOUT_MS = 900
CONFIRM_FACTOR = 3

# A silent probe stops counting against `parallel` after this long and is only watched
# from then on: dropped probes cost one timeout for the batch, not one for each.
_YOUNG_S = 0.02


class ProbeError(Exception):
    """Probes could not be sent; the message names the first of them."""


class Probe(NamedTuple):
    """What to try. A plain tuple of the first four will do."""

    src: Any
    dst: str
    proto: str
    port: int = 0
    src_addr: str | None = None
    src_port: int = 0


def probe(src, dst, proto="tcp", port=0, timeout_ms=DEFAULT_TIMEOUT_MS, *,
          src_addr=None, src_port=0, confirm=False, answered=True):
    """One probe; see probe_many()."""
    return probe_many([Probe(src, dst, proto, port, src_addr, src_port)], timeout_ms,
                      confirm=confirm, answered=answered)[0]


def probe_many(probes, timeout_ms=DEFAULT_TIMEOUT_MS, parallel=DEFAULT_PARALLEL, *,
               confirm=False, answered=True):
    """Do all probes at once; return a Result for each, in order.

    confirm=True tries what was closed once more, with three times the timeout, for
    machines so loaded that an answer may take that long.
    answered=False calls a connection open as soon as it is established; without it a
    listener's answer (or its end of file) must come through as well.
    """
    if not 0 < timeout_ms <= LONGEST_TIMEOUT_MS:
        raise ValueError(f"timeout_ms must be within 1..{LONGEST_TIMEOUT_MS}")
    probes = [_normal(Probe(*item)) for item in probes]
    results = _run(probes, timeout_ms, parallel, answered)
    if confirm:
        again = [i for i, result in enumerate(results) if result.state == "closed"]
        longer_ms = min(timeout_ms * CONFIRM_FACTOR, LONGEST_TIMEOUT_MS)
        second = _run([probes[i] for i in again], longer_ms, parallel, answered)
        for i, result in zip(again, second):
            results[i] = result
    return results


def _normal(item):
    return item._replace(dst=str(ipaddress.ip_address(item.dst)))


def _run(probes, timeout_ms, parallel, answered):
    if not probes:
        return []
    flights = [_make_flight(item, answered) for item in probes]
    batch = _Batch(flights, timeout_ms / 1000, parallel)
    kernel.in_thread(batch.run)
    failed = [flight for flight in flights if flight.result.state == "error"]
    if failed:
        first = failed[0]
        raise ProbeError(f"{len(failed)} of {len(probes)} probes could not be sent: "
                         f"{first.describe()}: {first.result.detail}")
    return [flight.result for flight in flights]


def _make_flight(item, answered):
    if item.proto not in FLIGHTS:
        raise ValueError(f"unknown protocol {item.proto!r}")
    dst = ipaddress.ip_address(item.dst)
    if item.src_addr and ipaddress.ip_address(item.src_addr).version != dst.version:
        raise ProbeError(f"no probe from {item.src_addr} to {item.dst}")
    if not any(own.version == dst.version for own in item.src.addresses):
        raise ProbeError(f"{item.src.name} has no IPv{dst.version} address "
                         f"to reach {item.dst} from")
    kind = FLIGHTS[item.proto]
    if item.proto == "sctp" and answer.has_sctp_sockets():
        kind = StreamFlight
    return kind(item, dst.version, answered)


class _Batch:
    """Launches flights, a limited number at a time, and watches them until all end."""

    def __init__(self, flights, timeout_s, parallel):
        self.todo = collections.deque(flights)
        self.timeout_s = timeout_s
        self.parallel = max(1, parallel)
        self.most_open = self._room_for_sockets()
        self.young = 0
        self.aging = collections.deque()
        self.waiting = collections.deque()
        self.open = 0
        self.watched = {}
        self.channels = {}
        self.epoll = None

    @staticmethod
    def _room_for_sockets():
        """The listener that accepts is in this process too: half for each."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return max(16, min(8192, (limit - len(os.listdir("/proc/self/fd"))) // 2 - 64))

    def run(self):
        self.epoll = select.epoll()
        try:
            while self.todo or self.open:
                self._launch_some()
                self._turn()
        finally:
            for channel in self.channels.values():
                channel.sock.close()
            for flight in self.waiting:
                if flight.sock is not None:
                    flight.sock.close()
            self.epoll.close()

    def watch(self, sock, handler, events):
        self.watched[sock.fileno()] = handler
        self.epoll.register(sock.fileno(), events)

    def channel(self, src, family, src_addr):
        """The raw socket for a source, in whose namespace the thread now is."""
        key = (src.fd, family, src_addr)
        if key not in self.channels:
            self.channels[key] = channel = SctpChannel(family, src_addr)
            self.watch(channel.sock, channel, select.EPOLLIN)
        return self.channels[key]

    def landed(self, flight):
        """Account for a flight if it has its result. Call after each event."""
        if flight.result is None or not flight.counted:
            return
        flight.counted = False
        self.open -= 1
        if flight.young:
            flight.young = False
            self.young -= 1

    def _launch_some(self):
        where = None
        while self.todo and self.young < self.parallel and self.open < self.most_open:
            flight = self.todo.popleft()
            flight.started = time.monotonic()
            flight.young = flight.counted = True
            self.young += 1
            self.open += 1
            try:
                if flight.item.src.fd != where:
                    where = flight.item.src.fd
                    kernel.enter(where)
                flight.launch(self)
            except OSError as error:
                flight.fail_to_send(error)
                self.landed(flight)
                continue
            self.aging.append(flight)
            self.waiting.append(flight)

    def _turn(self):
        """Wait for events, handle them, and only then let time run out.

        The clock is read before the poll, so that an answer which is there already is
        never lost to this thread having been kept waiting for the processor.
        """
        events = self.epoll.poll(self._patience_s())
        while events:
            for fd, _ in events:
                self._dispatch(fd)
            events = self.epoll.poll(0)
        now = time.monotonic()
        if self.epoll.poll(0):
            return
        self._retire(now)

    def _dispatch(self, fd):
        handler = self.watched[fd]
        handler.on_event(self)
        if isinstance(handler, Flight):
            self.landed(handler)

    def _patience_s(self):
        now = time.monotonic()
        times = []
        if self.waiting:
            times.append(self.waiting[0].started + self.timeout_s)
        if self.todo and self.aging:
            times.append(self.aging[0].started + _YOUNG_S)
        return max(0.0, min(times) - now) if times else 0.0

    def _retire(self, now):
        while self.aging and (self.aging[0].result is not None
                              or self.aging[0].started + _YOUNG_S <= now):
            flight = self.aging.popleft()
            if flight.young:
                flight.young = False
                self.young -= 1
        while self.waiting and (self.waiting[0].result is not None
                                or self.waiting[0].started + self.timeout_s <= now):
            flight = self.waiting.popleft()
            if flight.result is None:
                flight.expire()
                self.landed(flight)


class Connection:
    """A connection that stays, to see what a change of policy does to it.

    ask() sends a word and says whether its echo came back: open, closed or refused
    (which includes a reset). The opening counts as a probe: `state` tells.
    """

    def __init__(self, src, dst, proto, port, *, src_addr=None, src_port=0,
                 timeout_ms=DEFAULT_TIMEOUT_MS):
        if proto not in ("tcp", "udp"):
            raise ValueError(f"no connections over {proto}")
        self._proto = proto
        self._src = src
        self._dst = (dst, port)
        self.sock = kernel.in_thread(lambda: self._open(src_addr, src_port))
        self.state = self._try(timeout_ms, self._connect)

    def ask(self, timeout_ms=DEFAULT_TIMEOUT_MS):
        """Send, and wait for the answer to just that."""
        return self._try(timeout_ms, self._ask)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def _open(self, src_addr, src_port):
        kernel.enter(self._src.fd)
        family = socket.AF_INET6 if ":" in self._dst[0] else socket.AF_INET
        kind = socket.SOCK_STREAM if self._proto == "tcp" else socket.SOCK_DGRAM
        sock = socket.socket(family, kind)
        try:
            sock.setblocking(False)
            want_icmp_errors(sock, family)
            bind(sock, family, src_addr, src_port)
        except BaseException:
            sock.close()
            raise
        return sock

    @staticmethod
    def _try(timeout_ms, action):
        try:
            return action(time.monotonic() + timeout_ms / 1000)
        except OSError as error:
            if isinstance(error, TimeoutError) or error.errno == errno.EPERM:
                return "closed"
            if error.errno in REFUSALS:
                return "refused"
            raise

    def _connect(self, deadline):
        code = self.sock.connect_ex(self._dst)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        if self._proto == "udp":
            return self._ask(deadline)
        return "open" if self._receive(deadline) else "refused"

    def _ask(self, deadline):
        token = secrets.token_hex(8).encode()
        received = b""
        self.sock.send(answer.QUESTION + b" " + token)
        while token not in received:
            data = self._receive(deadline)
            if not data:
                return "refused"
            received += data
        return "open"

    def _receive(self, deadline):
        """Wait for data; TimeoutError, or whatever error comes instead."""
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        while True:
            left_ms = (deadline - time.monotonic()) * 1000
            if left_ms <= 0 or not poller.poll(left_ms):
                raise TimeoutError
            code = take_error(self.sock)
            if code:
                raise OSError(code, os.strerror(code))
            try:
                return self.sock.recv(65536)
            except BlockingIOError:
                continue
