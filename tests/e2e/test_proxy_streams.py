"""What stays open: watches, logs, exec; slow clients, clients that leave, servers that die."""

import json
import os
import select
import ssl
import time

import pytest

from proxy_lab import SANITIZED, lab, wait_until  # noqa: F401

UPSTREAMS = [{}, {"api_arguments": ["--no-h2"]}]
pytestmark = pytest.mark.parametrize(
    "lab", UPSTREAMS, indirect=True, ids=["upstream-h2", "upstream-h1"]
)
both = pytest.mark.parametrize("protocol", ["h1", "h2"])

PODS = "/api/v1/namespaces/shop-prod/pods"
MIB = 1024 * 1024
# A sanitizer keeps freed memory back: resident size says nothing.
measures_memory = pytest.mark.skipif(SANITIZED, reason="sanitizer")


class Stream:
    """An answer of either protocol that is read as it comes."""

    def __init__(self, lab, protocol, target, method="GET", headers=()):
        self.protocol = protocol
        self.c = lab.gate.connect(protocol)
        headers = lab.gate.bearer() + list(headers)
        if protocol == "h2":
            self.id = self.c.start(method, target, headers)
            self.answer = self.c.wait(self.id, lambda r: True)
        else:
            lines = [f"{method} {target} HTTP/1.1", "Host: test"]
            lines += [f"{k}: {v}" for k, v in headers]
            self.c.send(("\r\n".join(lines) + "\r\n\r\n").encode())
            self.answer = self.c.read_head()
        self.status = self.answer.status

    def until(self, condition):
        """Reads until condition(body so far); the body."""
        while not condition(self.answer.body):
            if self.protocol == "h2":
                if self.answer.complete or not self.c.pump():
                    break
            elif not self.c.next_chunk(self.answer):
                break
        return self.answer.body

    def rest(self):
        return self.until(lambda body: False)

    @property
    def complete(self):
        return self.answer.complete

    def close(self):
        self.c.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def upgrade_head(lab, target, protocol="websocket", method="GET", extra=()):
    lines = [f"{method} {target} HTTP/1.1", "Host: test", "Connection: Upgrade"]
    lines += [f"Upgrade: {protocol}", f"Authorization: Bearer {lab.gate.token()}"]
    if protocol == "websocket":
        lines += [
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: v5.channel.k8s.io",
        ]
    else:
        lines += ["X-Stream-Protocol-Version: v4.channel.k8s.io"]
    return ("\r\n".join([*lines, *extra]) + "\r\n\r\n").encode()


def both_ways(c, data, expected, timeout=20):
    """Sends and receives at once (one thread: TLS sockets do not stand two)."""
    got, sent, end = bytearray(), 0, time.monotonic() + timeout
    c.socket.setblocking(False)
    try:
        while len(got) < expected and time.monotonic() < end:
            waits = [c.socket] if sent < len(data) else []
            try:
                if sent < len(data):
                    sent += c.socket.send(data[sent : sent + 65536])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                pass
            try:
                while piece := c.socket.recv(65536):
                    got += piece
                break  # the end
            except ssl.SSLWantReadError:
                select.select([c.socket], waits, [], 0.05)
    finally:
        c.socket.settimeout(timeout)
    return bytes(got)


def configmap(lab, name):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    lab.as_admin(
        "POST",
        "/api/v1/namespaces/shop-prod/configmaps",
        json.dumps(body).encode(),
        [("Content-Type", "application/json")],
    )


@both
def test_watch_event_arrives_at_once(lab, protocol):
    target = "/api/v1/namespaces/shop-prod/configmaps?watch=1"
    with Stream(lab, protocol, target) as watch:
        assert watch.status == 200
        for _ in range(3):  # each before the next one is made
            name = f"w-{protocol}-{os.urandom(4).hex()}"
            configmap(lab, name)
            assert name.encode() in watch.until(lambda body: name.encode() in body)
    # The client left: the server's watch ends as well.
    events = lab.api.log()
    started = [e["id"] for e in events if e["event"] == "watch-start"]
    wait_until(
        lambda: started[-1]
        in [e["id"] for e in lab.api.log() if e["event"] == "watch-end"],
        what="the watch is cancelled",
    )


@both
def test_watch_is_recorded_at_its_start_and_end(lab, protocol):
    target = f"{PODS}?watch=1&timeoutSeconds=1&p={protocol}"
    with Stream(lab, protocol, target) as watch:
        audit_id = watch.answer.header("audit-id")
        wait_until(lambda: lab.gate.audit_of(audit_id), what="first record")
        watch.rest()
        assert watch.complete
    wait_until(lambda: len(lab.gate.audit_of(audit_id)) == 2)
    stages = [e["stage"] for e in lab.gate.audit_of(audit_id)]
    assert stages == ["ResponseStarted", "ResponseComplete"]


@both
def test_pieces_are_not_collected(lab, protocol):
    with Stream(lab, protocol, "/test/drip?n=2&ms=60000") as drip:
        # The second piece comes after everybody's patience is at its end.
        assert drip.until(lambda body: len(body) >= 2) == b"x\n"
    with Stream(lab, protocol, "/test/drip?n=4&ms=10") as drip:
        assert drip.rest() == b"x\n" * 4


@both
def test_log_is_followed(lab, protocol):
    with Stream(lab, protocol, f"{PODS}/web-0/log?follow=true") as log:
        assert log.status == 200
        assert len(log.until(lambda body: body.count(b"\n") >= 3)) > 0


@pytest.mark.parametrize("protocol", ["websocket", "SPDY/3.1"])
def test_exec_is_two_pipes(lab, protocol):
    target = f"{PODS}/web-0/exec?command=double:raw"
    method = "GET" if protocol == "websocket" else "POST"
    extra = [] if protocol == "websocket" else ["Content-Length: 0"]
    with lab.gate.http1() as c:
        c.send(upgrade_head(lab, target, protocol, method, extra))
        head = c.read_head()
        assert head.status == 101
        assert head.header("upgrade").lower() == protocol.lower()
        for _ in range(3):
            c.send(b"ping")
            assert c.read_exactly(4) == b"ping"
        # Much in both directions at once, more than all buffers on the way hold.
        data = os.urandom(8 * MIB)
        assert both_ways(c, data, len(data)) == data
    seen = lab.last_seen(target)
    assert seen["protocol"] == "HTTP/1.1"
    assert seen["user"] == "alice"


def test_bytes_behind_the_upgrade_are_not_lost(lab):
    target = f"{PODS}/web-0/exec?command=double:raw"
    with lab.gate.http1() as c:
        c.send(upgrade_head(lab, target) + b"early")
        assert c.read_head().status == 101
        assert c.read_exactly(5) == b"early"


def test_half_close_is_passed_on(lab):
    target = f"{PODS}/web-0/exec?command=double:half"
    with lab.gate.http1() as c:
        c.send(upgrade_head(lab, target))
        assert c.read_head().status == 101
        c.send(b"12345")
        assert c.read_exactly(5) == b"12345"
        c.half_close()
        assert c.read_exactly(len(b"eof after 5 bytes\n")) == b"eof after 5 bytes\n"
        assert c.read_some() == b""


def test_refused_upgrade_is_relayed_and_ends_the_connection(lab):
    target = f"{PODS}/web-0/exec?command=double:refuse"
    before = len(lab.api.requests())
    with lab.gate.http1() as c:
        c.send(upgrade_head(lab, target))
        answer = c.read_response()
        assert answer.status == 403
        assert "upgrade refused" in answer.json()["message"]
        # Whatever follows is a request of its own, never raw bytes to the server.
        try:
            c.send(b"GET /test/echo?smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
            again = c.read_head()
            assert again.status == 401
        except (ConnectionError, OSError):
            pass
    assert len(lab.api.requests()) == before + 1
    assert not lab.seen("/test/echo?smuggled")


def test_exec_is_recorded_before_and_after(lab):
    target = f"{PODS}/web-0/exec?command=double:raw&recorded=1"
    with lab.gate.http1() as c:
        c.send(upgrade_head(lab, target))
        audit_id = c.read_head().header("audit-id")
        stages = [e["stage"] for e in lab.gate.audit_of(audit_id)]
        assert stages[0] == "RequestReceived"
    wait_until(
        lambda: lab.gate.audit_of(audit_id)[-1]["stage"] == "ResponseComplete",
        what="the record of the end",
    )


def test_upgrade_over_http2_is_not_possible(lab):
    target = f"{PODS}/web-0/exec?command=double:raw"
    headers = lab.gate.bearer() + [("upgrade", "websocket"), ("connection", "upgrade")]
    with lab.gate.http2() as c:
        c.h2.config.validate_outbound_headers = False
        c.h2.config.normalize_outbound_headers = False
        before = len(lab.api.requests())
        answer = c.request("GET", target, headers)
        assert answer is None or answer.status == 400
    assert len(lab.api.requests()) == before


@both
@measures_memory
def test_slow_client_does_not_fill_memory(lab, protocol):
    with lab.gate.connect(protocol) as c:
        c.request("GET", "/version", lab.gate.bearer())
        before = lab.gate.memory()
        target = "/test/bytes?n=200000000"
        if protocol == "h2":
            c.consume = False
            stream = c.start("GET", target, lab.gate.bearer())
            c.wait(stream, lambda r: len(r.body) > 1000)
        else:
            auth = "".join(f"{k}: {v}\r\n" for k, v in lab.gate.bearer())
            c.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n{auth}\r\n".encode())
            c.read_head()
        # Others are served meanwhile, over the same upstream connections.
        for _ in range(5):
            with lab.gate.http2() as other:
                assert other.request("GET", PODS, lab.gate.bearer()).status == 200
            time.sleep(0.1)
        assert lab.gate.memory() - before < 8 * MIB


@both
@measures_memory
def test_slow_server_does_not_fill_memory(lab, protocol):
    """A body that nobody reads stops at the client, not in the gate."""
    with lab.gate.connect(protocol) as c:
        c.request("GET", "/version", lab.gate.bearer())
        before = lab.gate.memory()
        sent = 0
        if protocol == "h2":
            stream = c.start("POST", "/test/hang", lab.gate.bearer(), end=False)
            c.socket.settimeout(0.5)
            while sent < 50 * MIB:
                window = c.h2.local_flow_control_window(stream)
                if window == 0:
                    try:
                        c.pump()
                    except TimeoutError:
                        break
                    continue
                piece = min(window, c.h2.max_outbound_frame_size)
                c.h2.send_data(stream, bytes(piece))
                c._flush()
                sent += piece
        else:
            auth = "".join(f"{k}: {v}\r\n" for k, v in lab.gate.bearer())
            head = f"POST /test/hang HTTP/1.1\r\nHost: x\r\nContent-Length: {50 * MIB}\r\n"
            c.send(f"{head}{auth}\r\n".encode())
            c.socket.settimeout(0.5)
            try:
                while sent < 50 * MIB:
                    sent += c.socket.send(bytes(65536))
            except TimeoutError:
                pass
        assert sent < 30 * MIB
        assert lab.gate.memory() - before < 8 * MIB


@both
def test_client_that_leaves_cancels_its_request(lab, protocol):
    mark = os.urandom(4).hex()
    target = f"/test/hang?{mark}"
    c = lab.gate.connect(protocol)
    if protocol == "h2":
        c.start("GET", target, lab.gate.bearer())
    else:
        auth = "".join(f"{k}: {v}\r\n" for k, v in lab.gate.bearer())
        c.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n{auth}\r\n".encode())
    wait_until(lambda: lab.seen(target), what="the request arrives")
    number = lab.last_seen(target)["id"]
    c.close()
    wait_until(
        lambda: [
            e
            for e in lab.api.log()
            if e["event"] == "stream-end" and e["id"] == number
        ],
        what="the request is cancelled",
    )


def test_reset_stream_cancels_its_request_and_no_other(lab):
    mark = os.urandom(4).hex()
    with lab.gate.http2() as c:
        hanging = c.start("GET", f"/test/hang?{mark}", lab.gate.bearer())
        slow = c.start("GET", f"/test/slow?ms=600&{mark}", lab.gate.bearer())
        wait_until(lambda: lab.seen(f"/test/hang?{mark}"))
        number = lab.last_seen(f"/test/hang?{mark}")["id"]
        c.reset(hanging)
        assert c.wait(slow).status == 200
    ends = [e for e in lab.api.log() if e["event"] == "stream-end"]
    assert number in [e["id"] for e in ends]


@both
@pytest.mark.parametrize("how", ["close", "reset"])
def test_server_that_dies_within_a_body_is_not_mistaken_for_its_end(lab, protocol, how):
    target = f"/test/close?n=100000&how={how}"
    with lab.gate.connect(protocol) as c:
        if protocol == "h2":
            stream = c.start("GET", target, lab.gate.bearer())
            answer = c.wait(stream)
            assert not answer or not answer.complete
            assert stream in c.resets
            # The connection is as good as before.
            assert c.request("GET", "/version", lab.gate.bearer()).status == 200
        else:
            with pytest.raises((ConnectionError, OSError)):
                c.request("GET", target, lab.gate.bearer())


@both
def test_server_that_dies_before_its_answer_is_503(lab, protocol):
    lab.faults({"path": "^/test/echo.dies", "do": "close", "times": 2})
    with lab.gate.connect(protocol) as c:
        read = c.request("GET", "/test/echo?dies", lab.gate.bearer())
        assert read.status == 503
        assert read.header("retry-after") == "1"
    with lab.gate.connect(protocol) as c:
        # A change may have been made: clients must not repeat it by themselves.
        change = c.request("POST", "/test/echo?dies", lab.gate.bearer(), b"x")
        assert change.status == 503
        assert change.header("retry-after") is None


def test_goaway_of_the_server_loses_nothing(lab):
    lab.faults({"path": "^/test/slow.goaway", "do": "goaway", "times": 3})
    with lab.gate.http2() as c:
        streams = [
            c.start("GET", f"/test/slow?goaway&ms=50&i={i}", lab.gate.bearer())
            for i in range(20)
        ]
        assert [c.wait(s).status for s in streams] == [200] * 20


def test_abandoned_uploads_do_not_narrow_the_connection(lab):
    """What was received and never passed on is given back when its stream ends."""
    with lab.gate.http2() as c:
        for _ in range(40):
            stream = c.start("POST", "/test/hang", lab.gate.bearer(), end=False)
            left = 250 * 1024
            while left > 0:
                window = c.h2.local_flow_control_window(stream)
                if window == 0:
                    c.socket.settimeout(0.2)
                    try:
                        c.pump()
                    except TimeoutError:
                        break
                    finally:
                        c.socket.settimeout(15)
                    continue
                piece = min(window, left, c.h2.max_outbound_frame_size)
                c.h2.send_data(stream, bytes(piece))
                c._flush()
                left -= piece
            c.reset(stream)
        answer = c.request("POST", "/test/sink", lab.gate.bearer(), bytes(3 * MIB))
        assert answer.status == 200


def test_early_answer_ends_the_upload(lab):
    with lab.gate.http2() as c:
        stream = c.start("POST", "/test/deaf", lab.gate.bearer(), bytes(1000), end=False)
        assert c.wait(stream).body == b"ok\n"
        while stream not in c.resets:  # the rest is not wanted, says RST_STREAM
            assert c.pump()
        assert c.request("GET", "/version", lab.gate.bearer()).status == 200


@both
def test_revoked_token_ends_open_streams(lab, protocol):
    with Stream(lab, protocol, f"{PODS}?watch=1") as watch:
        watch.until(lambda body: b"web-1" in body)
        lab.gate.revoke("alice")
        watch.rest()
