"""What costs a client little and would cost the gate much: HTTP/2 frames without end, in bulk and as no
library would send them. The connection ends before long, memory stays bounded, others are served."""

import select
import socket
import ssl

import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from proxy_lab import SANITIZED, lab  # noqa: F401

PODS = "/api/v1/namespaces/shop-prod/pods"
LIMIT = 20000  # frames, or turns; whoever may send so many may send any number
LAST = b"the last"
MIB = 1 << 20


class Flood:
    """A connection that sends frames as they are given, and reads only to see whether it ends."""

    def __init__(self, lab):
        raw = socket.create_connection(("127.0.0.1", lab.gate.port), 30)
        self.socket = lab.gate.context("h2").wrap_socket(raw, server_hostname="127.0.0.1")
        self.encoder = hpack.Encoder()
        self.token = lab.gate.token()
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())
        self.ended, self.taken, self.data = False, False, b""

    def block(self, path="/test/hang", more=(), method="GET"):
        """A head, compressed."""
        pairs = [(":method", method), (":scheme", "https"), (":authority", "x"), (":path", path)]
        return self.encoder.encode([*pairs, ("authorization", f"Bearer {self.token}"), *more])

    def look(self):
        """Takes what is there; sets `ended` at the end, or at a GOAWAY."""
        self.socket.setblocking(False)
        try:
            while not self.ended:
                data = self.socket.recv(65536)
                self.ended = not data
                self.data += data
                while len(self.data) >= 9:
                    size = 9 + int.from_bytes(self.data[:3], "big")
                    if len(self.data) < size:
                        break
                    kind, payload = self.data[3], self.data[9:size]
                    self.ended = self.ended or kind == GoAwayFrame.type
                    self.taken = self.taken or (kind == PingFrame.type and payload == LAST)
                    self.data = self.data[size:]
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        except OSError:
            self.ended = True
        finally:
            self.socket.settimeout(30)

    def send(self, frames):
        try:
            self.socket.sendall(b"".join(f.serialize() for f in frames))
        except TimeoutError:
            raise
        except OSError:
            self.ended = True
        self.look()

    def ends(self, frames, last=()):
        """Sends frames(i) so many times; whether the gate had enough before it had taken all. What
        a slow one has not read yet counts for nothing."""
        for start in range(0, LIMIT, 100):
            if not self.ended:
                self.send([f for i in range(start, start + 100) for f in frames(i)])
        if not self.ended:
            self.send([*last, PingFrame(0, LAST)])
        while not self.ended and not self.taken:
            assert select.select([self.socket], [], [], 60)[0], "the gate is silent"
            self.look()
        return self.ended

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.fixture
def flood(lab):
    with Flood(lab) as made:
        yield made
        with lab.gate.http2() as other:
            assert other.request("GET", PODS, lab.gate.bearer()).status == 200


def test_resets(flood):
    def frames(i):
        stream = 2 * i + 1
        return [
            HeadersFrame(stream, flood.block(), flags=["END_HEADERS", "END_STREAM"]),
            RstStreamFrame(stream, 8),
        ]

    assert flood.ends(frames)


def test_pings(flood):
    assert flood.ends(lambda i: [PingFrame(0, b"12345678")])


def test_settings(flood):
    assert flood.ends(lambda i: [SettingsFrame(0, {4: 65535 + i % 2})])


def test_priorities(flood):
    assert flood.ends(lambda i: [PriorityFrame(2 * i + 1)])


def test_windows_that_nobody_used(flood):
    assert flood.ends(lambda i: [WindowUpdateFrame(0, 1)])


def test_windows_are_given_back_byte_by_byte(lab):
    """A thrifty client is none that floods: it has a reason for each."""
    with lab.gate.http2() as c:
        for _ in range(40):
            answer = c.request("GET", "/test/bytes?n=50000", lab.gate.bearer())
            assert len(answer.body) == 50000  # four frames at least
            for _ in range(30):
                c.h2.increment_flow_control_window(1)
            c._flush()
        assert c.request("GET", PODS, lab.gate.bearer()).status == 200


def test_data_without_bytes(flood):
    flood.send([HeadersFrame(1, flood.block(method="POST"), flags=["END_HEADERS"])])
    assert flood.ends(lambda i: [DataFrame(1)])


def test_continuations(flood):
    """A head that does not end, and does not even grow."""
    flood.send([HeadersFrame(1, flood.block())])
    last = ContinuationFrame(1, b"", flags=["END_HEADERS"])
    assert flood.ends(lambda i: [ContinuationFrame(1, b"")], [last])


def peak(lab):
    """The most that the workers have ever held."""
    total = 0
    for pid in lab.gate.worker_pids():
        with open(f"/proc/{pid}/status") as f:
            (line,) = [line for line in f if line.startswith("VmHWM:")]
        total += int(line.split()[1]) * 1024
    return total


@pytest.mark.skipif(SANITIZED, reason="sanitizers keep freed memory")
def test_head_that_grows_when_it_is_unpacked(lab, flood):
    """One header of 4000 bytes, and 12,000 times one byte that means it again, on ten streams."""
    bomb = [("x-bomb", "b" * 4000)]
    again = b"\xbe"  # the newest in the table
    flood.send([HeadersFrame(1, flood.block(more=bomb), flags=["END_HEADERS", "END_STREAM"])])
    before = peak(lab)
    for stream in range(3, 23, 2):
        head = flood.block(more=bomb) + again * 12000
        flood.send([HeadersFrame(stream, head, flags=["END_HEADERS", "END_STREAM"])])
    with lab.gate.http2() as other:
        assert other.request("GET", PODS, lab.gate.bearer()).status == 200
    assert peak(lab) - before < 8 * MIB
