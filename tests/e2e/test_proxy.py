"""The proxy as such: both protocols on both sides carry requests and answers unharmed."""

import hashlib
import json
import os

import pytest

from proxy_lab import header_values, lab, wait_until  # noqa: F401

UPSTREAMS = [{}, {"api_arguments": ["--no-h2"]}]
pytestmark = pytest.mark.parametrize(
    "lab", UPSTREAMS, indirect=True, ids=["upstream-h2", "upstream-h1"]
)
both = pytest.mark.parametrize("protocol", ["h1", "h2"])

PODS = "/api/v1/namespaces/shop-prod/pods"


@both
def test_list_reaches_the_api_server_as_the_user(lab, protocol):
    target = f"{PODS}?who={protocol}"
    with lab.gate.connect(protocol) as c:
        answer = c.request("GET", target, lab.gate.bearer())
    assert answer.status == 200
    assert [i["metadata"]["name"] for i in answer.json()["items"]] == ["web-0", "web-1"]
    seen = lab.last_seen(target)
    assert seen["client_cn"] == "front-proxy-client"
    assert seen["user"] == "alice"
    assert set(seen["groups"]) == {"acme-admins", "acme-staff", "system:authenticated"}
    assert header_values(seen, "x-remote-user") == ["alice"]
    assert header_values(seen, "authorization") == []
    assert header_values(seen, "audit-id") == [answer.header("audit-id")]


@both
def test_answer_keeps_status_headers_and_body(lab, protocol):
    with lab.gate.connect(protocol) as c:
        answer = c.request("GET", "/test/status?code=409", lab.gate.bearer())
        assert answer.status == 409
        answer = c.request("GET", f"{PODS}/none", lab.gate.bearer())
        assert answer.status == 404
        assert answer.json()["message"] == 'pods "none" not found'
        answer = c.request("GET", "/test/headers?n=40&size=100", lab.gate.bearer())
        assert answer.status == 200
        assert len([n for n in answer.names if n.lower().startswith("x-test")]) == 40


@both
def test_redirect_is_passed_on_and_not_followed(lab, protocol):
    target = "/test/redirect?to=https://other.invalid/x&code=307"
    before = len(lab.seen(target))
    with lab.gate.connect(protocol) as c:
        answer = c.request("GET", target, lab.gate.bearer())
    assert answer.status == 307
    assert answer.header("location") == "https://other.invalid/x"
    assert len(lab.seen(target)) == before + 1


@both
def test_head_has_length_and_no_body(lab, protocol):
    with lab.gate.connect(protocol) as c:
        answer = c.request("HEAD", "/test/bytes?n=1000&length=1", lab.gate.bearer())
        assert answer.status == 200 and answer.body == b""
        # The connection goes on behind it.
        assert c.request("GET", "/version", lab.gate.bearer()).status == 200


@both
@pytest.mark.parametrize("size", [1, 16384, 3_000_000])
def test_body_of_answer_arrives_whole(lab, protocol, size):
    for suffix in ("", "&length=1"):
        with lab.gate.connect(protocol) as c:
            answer = c.request(
                "GET", f"/test/bytes?n={size}{suffix}", lab.gate.bearer()
            )
        assert answer.status == 200
        pattern = bytes(range(32, 127)) * 700
        want = (pattern * (size // len(pattern) + 1))[:size]
        got = answer.body
        assert len(got) == size
        assert sorted(set(got)) == sorted(set(want))


@both
@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_body_of_request_arrives_whole(lab, protocol, size):
    body = os.urandom(size)
    target = f"/test/sink?size={size}&p={protocol}"
    headers = lab.gate.bearer() + [("content-type", "application/octet-stream")]
    with lab.gate.connect(protocol) as c:
        answer = c.request("POST", target, headers, body)
    assert answer.status == 200
    assert str(size).encode() in answer.body


def test_chunked_request_arrives_whole(lab):
    body = os.urandom(100_000)
    target = "/test/echo?chunked"
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: Bearer {lab.gate.token()}\r\n\r\n"
    with lab.gate.http1() as c:
        c.send(head.encode())
        for i in range(0, len(body), 7777):
            piece = body[i : i + 7777]
            c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        c.send(b"0\r\nX-Trailer: dropped\r\n\r\n")
        answer = c.read_response()
    assert answer.status == 200
    got = answer.json()
    assert got["bodyLength"] == len(body)
    assert got["bodySha256"] == hashlib.sha256(body).hexdigest()
    assert "x-trailer" not in {k.lower() for k, _ in got["headers"]}


def test_object_is_created_patched_and_deleted(lab):
    path = "/api/v1/namespaces/shop-prod/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
    json_type = [("content-type", "application/json")]
    patch_type = [("content-type", "application/merge-patch+json")]
    auth = lab.gate.bearer()
    with lab.gate.http2() as c:
        made = c.request("POST", path, auth + json_type, json.dumps(body).encode())
        assert made.status == 201
        patch = c.request("PATCH", f"{path}/one", auth + patch_type, b'{"data":{"a":"b"}}')
        assert patch.status == 200 and patch.json()["data"] == {"a": "b"}
        gone = c.request("DELETE", f"{path}/one", auth)
        assert gone.status == 200
    # A change is on record twice, before it is forwarded and before its answer ends.
    stages = [e["stage"] for e in lab.gate.audit_of(made.header("audit-id"))]
    assert stages == ["RequestReceived", "ResponseComplete"]


def test_read_is_on_record_once(lab):
    with lab.gate.http2() as c:
        answer = c.request("GET", PODS, lab.gate.bearer())
    events = wait_until(lambda: lab.gate.audit_of(answer.header("audit-id")))
    assert [e["stage"] for e in events] == ["ResponseComplete"]
    assert events[0]["user"]["username"] == "alice"
    assert events[0]["verb"] == "list"
    assert events[0]["responseStatus"]["code"] == 200
    assert "/acme" in events[0]["annotations"]["ringfence.dev/decided-by"]


def test_expectation_is_answered_before_the_body(lab):
    head = "POST /test/sink HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
    with lab.gate.http1() as c:
        c.send(f"{head}Authorization: Bearer {lab.gate.token()}\r\n\r\n".encode())
        assert c.read_head().status == 100
        c.send(b"abcd")
        assert c.read_response().status == 200
    with lab.gate.http1() as c:  # refused: never told to go ahead
        c.send(f"{head}Authorization: Bearer nonsense\r\n\r\n".encode())
        assert c.read_head().status == 401
    with lab.gate.http1() as c:
        c.send(head.replace("100-continue", "miracles").encode() + b"\r\n")
        assert c.read_head().status == 417


def test_pipelined_requests_are_answered_in_order(lab):
    auth = f"Authorization: Bearer {lab.gate.token()}\r\n"
    one = f"GET /test/slow?ms=200 HTTP/1.1\r\nHost: x\r\n{auth}\r\n"
    two = f"POST /test/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n{auth}\r\nabc"
    three = f"GET /version HTTP/1.1\r\nHost: x\r\n{auth}Connection: close\r\n\r\n"
    with lab.gate.http1() as c:
        c.send((one + two + three).encode())
        assert c.read_response().body == b"ok\n"
        assert c.read_response().json()["bodyLength"] == 3
        last = c.read_response()
        assert last.json()["major"] == "1"
        assert last.header("connection") == "close"
        assert c.read_some() == b""


def test_http_1_0_gets_no_chunks(lab):
    auth = f"Authorization: Bearer {lab.gate.token()}\r\n"
    with lab.gate.http1() as c:
        c.send(f"GET /test/bytes?n=50000 HTTP/1.0\r\n{auth}\r\n".encode())
        head = c.read_head()
        assert head.status == 200 and head.header("transfer-encoding") is None
        got = b""
        while piece := c.read_some():
            got += piece
        assert len(got) == 50000  # the end of the connection is the end of the body


def test_many_requests_at_once_share_few_connections(lab):
    before = {r["connection"] for r in lab.api.requests()}
    with lab.gate.http2() as c:
        streams = [
            c.start("GET", f"/test/slow?ms=100&i={i}", lab.gate.bearer())
            for i in range(50)
        ]
        assert [c.wait(s).status for s in streams] == [200] * 50
    after = {r["connection"] for r in lab.api.requests()} - before
    assert len(after) <= (50 if "--no-h2" in lab.api_arguments else 2)


def test_api_server_that_is_away_is_503_and_comes_back(lab):
    port = lab.api.port
    lab.api.stop()
    try:
        with lab.gate.http2() as c:
            answer = c.request("GET", PODS, lab.gate.bearer())
            assert answer.status == 503
            assert answer.header("retry-after") == "1"
            assert answer.json()["reason"] == "ServiceUnavailable"
    finally:
        lab.api = lab.start_api(port)

    def back():
        with lab.gate.http2() as c:
            return c.request("GET", PODS, lab.gate.bearer()).status == 200

    wait_until(back, 15, "the API server is used again")
