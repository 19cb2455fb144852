"""What must not get through: what the API server saw is the proof."""

import json
import os
import socket
import ssl

import pytest

from proxy_lab import header_values, lab, wait_until  # noqa: F401

PODS = "/api/v1/namespaces/shop-prod/pods"
GLOBEX = "/api/v1/namespaces/globex-prod/pods"


def mark():
    return "mark=" + os.urandom(6).hex()


def raw(lab, head, body=b""):
    """Sends bytes over HTTP/1.1; the first answer or None, and whether it closed."""
    with lab.gate.http1() as c:
        c.send(head.encode("latin-1") + body)
        try:
            return c.read_response()
        except (ConnectionError, OSError):
            return None


def seen_with(lab, text):
    return [r for r in lab.api.requests() if text in r["target"]]


# ---- identity ----

IDENTITY_HEADERS = [
    "X-Remote-User: root",
    "X-Remote-Group: system:masters",
    "X-Remote-Uid: 0",
    "X-Remote-Extra-Scopes: all",
    "x-REMOTE-user: root",
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-User: root",
    "Forwarded: for=203.0.113.9",
    "X-Real-IP: 203.0.113.9",
    "X-Client-Cert: x",
    "X-Forwarded-Client-Cert: x",
    "Cookie: a=b",
    "Proxy-Authorization: Basic cm9vdDpyb290",
    "Audit-ID: 11111111-2222-3333-4444-555555555555",
    "Connection: X-Remote-User",
    "Connection: X-Remote-User, X-Remote-Group, Audit-Id",
    "Connection: close, authorization",
    "Keep-Alive: timeout=5",
    "TE: trailers, deflate",
    "X-Anything: else",
]


@pytest.mark.parametrize("line", IDENTITY_HEADERS)
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_header_of_the_client_does_not_become_identity(lab, protocol, line):
    name, _, value = line.partition(": ")
    target = f"/test/echo?{mark()}"
    hop = name.lower() in ("connection", "keep-alive", "te")
    if protocol == "h2" and hop:
        pytest.skip("HTTP/2 has no such headers")
    with lab.gate.connect(protocol) as c:
        if protocol == "h2":
            headers = lab.gate.bearer() + [(name.lower(), value)]
            c.h2.config.validate_outbound_headers = False
            answer = c.request("GET", target, headers)
        else:
            answer = c.request("GET", target, lab.gate.bearer() + [(name, value)])
    assert answer.status == 200
    seen = lab.last_seen(target)
    assert seen["user"] == "alice"
    assert "system:masters" not in seen["groups"]
    assert header_values(seen, "x-remote-user") == ["alice"]
    assert header_values(seen, "x-forwarded-for") == ["127.0.0.1"]
    assert header_values(seen, "audit-id") == [answer.header("audit-id")]
    assert "11111111" not in answer.header("audit-id")
    allowed = {"x-remote-user", "x-remote-group", "x-remote-uid", "audit-id"}
    allowed |= {"x-forwarded-for", "host", "user-agent", "accept", "accept-encoding"}
    allowed |= {"x-remote-extra-ringfence.dev%2ftoken"}
    assert {k.lower() for k, _ in seen["headers"]} <= allowed
    values = [v for _, v in seen["headers"]]
    assert not {"root", "203.0.113.9", "a=b"} & set(values)


@pytest.mark.parametrize(
    "name",
    [
        "Impersonate-User",
        "impersonate-group",
        "Impersonate-Uid",
        "Impersonate-Extra-Scopes",
        "Impersonate-Anything",
    ],
)
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_impersonation_is_refused(lab, protocol, name):
    target = f"{PODS}?{mark()}"
    with lab.gate.connect(protocol) as c:
        headers = lab.gate.bearer() + [(name.lower(), "root")]
        answer = c.request("GET", target, headers)
    assert answer.status == 403
    assert "impersonate" in answer.json()["message"]
    assert not seen_with(lab, target)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_what_one_showed_is_nobody_elses_on_the_same_connection(lab, protocol):
    """Proxies in front share connections between users."""
    target = f"/test/echo?{mark()}"
    asked = ["alice", None, "dave", "alice", "forged", "dave"]
    tokens = {"alice": lab.gate.token("alice"), "dave": lab.gate.token("dave")}
    tokens["forged"] = tokens["alice"][:-8] + "AAAAAAAA"
    statuses = []
    with lab.gate.connect(protocol) as c:
        for user in asked:
            headers = lab.gate.bearer(token=tokens[user]) if user else []
            statuses.append(c.request("GET", target, headers).status)
    assert statuses == [200, 401, 200, 200, 401, 200]
    assert [r["user"] for r in seen_with(lab, target)] == ["alice", "dave", "alice", "dave"]


@pytest.mark.parametrize(
    "name", ["X_Remote_User", "x-remote_user", "Impersonate_User", "X_Anything"]
)
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_underscores_are_refused(lab, protocol, name):
    target = f"/test/echo?{mark()}"
    with lab.gate.connect(protocol) as c:
        answer = c.request(
            "GET", target, lab.gate.bearer() + [(name.lower(), "root")]
        )
    assert answer.status == 400
    assert not seen_with(lab, target)


def test_bearer_in_a_websocket_protocol_goes_no_further(lab):
    import base64

    token = base64.urlsafe_b64encode(lab.gate.token().encode()).rstrip(b"=").decode()
    target = f"{PODS}/web-0/exec?command=double:raw&{mark()}"
    bearer = f"base64url.bearer.authorization.k8s.io.{token}"
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    head += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    with lab.gate.http1() as c:
        c.send(f"{head}Sec-WebSocket-Protocol: {bearer}, v5.channel.k8s.io\r\n\r\n".encode())
        assert c.read_head().status == 101
    seen = lab.last_seen(target)
    assert seen["user"] == "alice"
    assert header_values(seen, "sec-websocket-protocol") == ["v5.channel.k8s.io"]
    # Alone it is refused, as the API server refuses it.
    answer = raw(lab, f"{head}Sec-WebSocket-Protocol: {bearer}\r\n\r\n")
    assert answer.status in (400, 401)


# ---- framing ----

OK_HEAD = "Host: x\r\nAuthorization: Bearer {token}\r\n"

SMUGGLING = {
    "two lengths": "POST {t} HTTP/1.1\r\n{ok}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "two different lengths": "POST {t} HTTP/1.1\r\n{ok}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "list of lengths": "POST {t} HTTP/1.1\r\n{ok}Content-Length: 3, 3\r\n\r\nabc",
    "signed length": "POST {t} HTTP/1.1\r\n{ok}Content-Length: +3\r\n\r\nabc",
    "negative length": "POST {t} HTTP/1.1\r\n{ok}Content-Length: -1\r\n\r\nabc",
    "hexadecimal length": "POST {t} HTTP/1.1\r\n{ok}Content-Length: 0x3\r\n\r\nabc",
    "empty length": "POST {t} HTTP/1.1\r\n{ok}Content-Length: \r\n\r\n",
    "huge length": "POST {t} HTTP/1.1\r\n{ok}Content-Length: 99999999999999999999\r\n\r\n",
    "length and chunked": "POST {t} HTTP/1.1\r\n{ok}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": "POST {t} HTTP/1.1\r\n{ok}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "chunked twice": "POST {t} HTTP/1.1\r\n{ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, chunked": "POST {t} HTTP/1.1\r\n{ok}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "identity": "POST {t} HTTP/1.1\r\n{ok}Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
    "gzip, chunked": "POST {t} HTTP/1.1\r\n{ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "xchunked": "POST {t} HTTP/1.1\r\n{ok}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": "POST {t} HTTP/1.0\r\n{ok}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "vertical tab": "POST {t} HTTP/1.1\r\n{ok}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "space before colon": "POST {t} HTTP/1.1\r\n{ok}Content-Length : 3\r\n\r\nabc",
    "tab before colon": "POST {t} HTTP/1.1\r\n{ok}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "empty name": "GET {t} HTTP/1.1\r\n{ok}: x\r\n\r\n",
    "no colon": "GET {t} HTTP/1.1\r\n{ok}X-Thing\r\n\r\n",
    "folded line": "GET {t} HTTP/1.1\r\n{ok}X-Thing: a\r\n b\r\n\r\n",
    "folded first line": "GET {t} HTTP/1.1\r\n X: a\r\n{ok}\r\n",
    "bare CR in value": "GET {t} HTTP/1.1\r\n{ok}X-Thing: a\rX-Remote-User: root\r\n\r\n",
    "bare LF in value": "GET {t} HTTP/1.1\r\n{ok}X-Thing: a\nX-Remote-User: root\r\n\r\n",
    "bare LF lines": "GET {t} HTTP/1.1\n{oklf}\n",
    "NUL in value": "GET {t} HTTP/1.1\r\n{ok}X-Thing: a\0b\r\n\r\n",
    "NUL in name": "GET {t} HTTP/1.1\r\n{ok}X\0Thing: b\r\n\r\n",
    "control in value": "GET {t} HTTP/1.1\r\n{ok}X-Thing: a\x01b\r\n\r\n",
    "space in name": "GET {t} HTTP/1.1\r\n{ok}X Thing: b\r\n\r\n",
    "non-ASCII name": "GET {t} HTTP/1.1\r\n{ok}X-Th\xefng: b\r\n\r\n",
    "two spaces": "GET  {t} HTTP/1.1\r\n{ok}\r\n",
    "tab": "GET\t{t} HTTP/1.1\r\n{ok}\r\n",
    "no version": "GET {t}\r\n{ok}\r\n",
    "version 0.9": "GET {t} HTTP/0.9\r\n{ok}\r\n",
    "version 1.2": "GET {t} HTTP/1.2\r\n{ok}\r\n",
    "version 2.0": "GET {t} HTTP/2.0\r\n{ok}\r\n",
    "absolute form": "GET https://127.0.0.1{t} HTTP/1.1\r\n{ok}\r\n",
    "authority form": "CONNECT 127.0.0.1:443 HTTP/1.1\r\n{ok}\r\n",
    "asterisk form": "OPTIONS * HTTP/1.1\r\n{ok}\r\n",
    "no Host": "GET {t} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n",
    "two Hosts": "GET {t} HTTP/1.1\r\n{ok}Host: y\r\n\r\n",
    "odd Host": "GET {t} HTTP/1.1\r\nHost: a b\r\nAuthorization: Bearer {token}\r\n\r\n",
    "two Authorizations": "GET {t} HTTP/1.1\r\n{ok}Authorization: Bearer {token}\r\n\r\n",
    "TRACE": "TRACE {t} HTTP/1.1\r\n{ok}\r\n",
    "unknown method": "FOO {t} HTTP/1.1\r\n{ok}\r\n",
    "lower-case method": "get {t} HTTP/1.1\r\n{ok}\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_doubtful_framing_is_refused_and_ends_the_connection(lab, name):
    target = f"/test/echo?{mark()}"
    follow = f"/test/echo?{mark()}"
    token = lab.gate.token()
    ok = OK_HEAD.format(token=token)
    text = SMUGGLING[name].format(
        t=target, ok=ok, oklf=ok.replace("\r\n", "\n"), token=token
    )
    with lab.gate.http1() as c:
        c.send(text.encode("latin-1"))
        c.send(f"GET {follow} HTTP/1.1\r\n{ok}\r\n".encode())
        answer = c.read_response()
        assert answer.status in (400, 401, 405, 505), answer.body
        assert answer.header("connection") == "close"
        assert answer.json()["kind"] == "Status"
        assert c.read_some() == b""
    assert not seen_with(lab, target)
    assert not seen_with(lab, follow)


CHUNKS = {
    "bad size": b"x\r\nabc\r\n0\r\n\r\n",
    "size with sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "size with prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size with space": b"3 \r\nabc\r\n0\r\n\r\n",
    "extension": b"3;a=b\r\nabc\r\n0\r\n\r\n",
    "LF behind size": b"3\nabc\r\n0\r\n\r\n",
    "CR alone behind size": b"3\rabc\r\n0\r\n\r\n",
    "LF behind data": b"3\r\nabc\n0\r\n\r\n",
    "too much data": b"3\r\nabcd\r\n0\r\n\r\n",
    "huge size": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "LF ends trailers": b"3\r\nabc\r\n0\r\n\n",
    "LF ends a trailer": b"3\r\nabc\r\n0\r\nA: b\n\r\n",
    "folded trailer": b"3\r\nabc\r\n0\r\n A: b\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_bad_chunks_never_become_a_complete_request(lab, name):
    target = f"/test/echo?{mark()}"
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: Bearer {lab.gate.token()}\r\n\r\n"
    answer = raw(lab, head, CHUNKS[name])
    assert answer is None or answer.status == 400
    assert not [r for r in seen_with(lab, target) if r["body_complete"]]


def test_cut_body_never_becomes_a_complete_request(lab):
    for framing, body in (
        ("Content-Length: 10", b"abc"),
        ("Transfer-Encoding: chunked", b"3\r\nabc\r\n"),
    ):
        target = f"/test/echo?{mark()}"
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\n{framing}\r\n"
        head += f"Authorization: Bearer {lab.gate.token()}\r\n\r\n"
        with lab.gate.http1() as c:
            c.send(head.encode() + body)
        with lab.gate.http1() as c:
            c.send(head.encode() + body)
            c.half_close()
            while c.read_some():
                pass
        with lab.gate.http2() as c:  # something later, so that the first has had its time
            c.request("GET", "/test/slow?ms=100", lab.gate.bearer())
        assert not [r for r in seen_with(lab, target) if r["body_complete"]]


# ---- HTTP/2 ----


def h2_request(lab, pairs, end=True):
    """Sends exactly these pairs; (status or None, reset code or None)."""
    with lab.gate.http2() as c:
        c.h2.config.validate_outbound_headers = False
        c.h2.config.normalize_outbound_headers = False
        stream = c.h2.get_next_available_stream_id()
        c.h2.send_headers(stream, pairs, end_stream=end)
        c._flush()
        try:
            answer = c.wait(stream)
        except OSError:
            answer = None
        return answer.status if answer else None


H2_BAD = {
    "upper-case name": [("X-Thing", "a")],
    "connection": [("connection", "close")],
    "connection names identity": [("connection", "x-remote-user")],
    "transfer-encoding": [("transfer-encoding", "chunked")],
    "upgrade": [("upgrade", "websocket")],
    "keep-alive": [("keep-alive", "1")],
    "proxy-connection": [("proxy-connection", "close")],
    "te": [("te", "gzip")],
    "CR LF in value": [("x-thing", "a\r\nx-remote-user: root")],
    "LF in value": [("x-thing", "a\nb")],
    "NUL in value": [("x-thing", "a\0b")],
    "space around value": [("x-thing", " a")],
    "CR LF in name": [("x-thing\r\nx-remote-user", "root")],
    "colon in name": [("x:thing", "a")],
    "space in name": [("x thing", "a")],
    "empty name": [("", "a")],
    "other Host": [("host", "evil.invalid")],
    "two lengths": [("content-length", "0"), ("content-length", "0")],
    "two authorizations": [("authorization", "Bearer x")],
    "pseudo behind": [(":path", "/api/v1/secrets")],
    "unknown pseudo": [(":protocol", "websocket")],
}


@pytest.mark.parametrize("name", H2_BAD)
def test_forbidden_headers_of_http2_are_refused(lab, name):
    target = f"/test/echo?{mark()}"
    pairs = [(":method", "GET"), (":scheme", "https"), (":authority", "x")]
    pairs += [(":path", target), *lab.gate.bearer(), *H2_BAD[name]]
    assert h2_request(lab, pairs) in (None, 400)
    assert not seen_with(lab, target)


H2_PSEUDO = {
    "no path": [(":method", "GET"), (":scheme", "https"), (":authority", "x")],
    "no method": [(":scheme", "https"), (":authority", "x"), (":path", "{t}")],
    "no scheme": [(":method", "GET"), (":authority", "x"), (":path", "{t}")],
    "no authority": [(":method", "GET"), (":scheme", "https"), (":path", "{t}")],
    "two methods": [
        (":method", "GET"),
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "x"),
        (":path", "{t}"),
    ],
    "two paths": [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "x"),
        (":path", "{t}"),
        (":path", "/version"),
    ],
    "path without slash": [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "x"),
        (":path", "api"),
    ],
    "empty path": [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "x"),
        (":path", ""),
    ],
    "absolute path": [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "x"),
        (":path", "https://x{t}"),
    ],
    "CR LF in path": [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "x"),
        (":path", "{t} HTTP/1.1\r\nX-Remote-User: root"),
    ],
    "CR LF in method": [
        (":method", "GET / HTTP/1.1\r\nx: y"),
        (":scheme", "https"),
        (":authority", "x"),
        (":path", "{t}"),
    ],
    "connect": [(":method", "CONNECT"), (":authority", "x:443")],
    "trace": [
        (":method", "TRACE"),
        (":scheme", "https"),
        (":authority", "x"),
        (":path", "{t}"),
    ],
}


@pytest.mark.parametrize("name", H2_PSEUDO)
def test_odd_pseudo_headers_are_refused(lab, name):
    target = f"/test/echo?{mark()}"
    before = len(lab.api.requests())
    pairs = [(k, v.format(t=target)) for k, v in H2_PSEUDO[name]]
    assert h2_request(lab, pairs + lab.gate.bearer()) in (None, 400, 405)
    assert len(lab.api.requests()) == before


def test_body_shorter_than_its_length_is_not_complete(lab):
    target = f"/test/echo?{mark()}"
    with lab.gate.http2() as c:
        headers = lab.gate.bearer() + [("content-length", "10")]
        stream = c.start("POST", target, headers, b"abc")
        answer = c.wait(stream)
        assert answer is None or answer.status == 400
    assert not [r for r in seen_with(lab, target) if r["body_complete"]]


# ---- paths ----

SNEAKY = [
    "/api/v1/namespaces/shop-prod/../globex-prod/pods",
    "/api/v1/namespaces/shop-prod/..%2fglobex-prod/pods",
    "/api/v1/namespaces/shop-prod%2f..%2fglobex-prod/pods",
    "/api/v1/namespaces/%2e%2e/namespaces/globex-prod/pods",
    "//api/v1/namespaces/globex-prod/pods",
    "/api//v1/namespaces/globex-prod/pods",
    "/healthz/../api/v1/namespaces/globex-prod/pods",
    "/test/../api/v1/namespaces/globex-prod/pods",
    "/test/%2e%2e/api/v1/namespaces/globex-prod/pods",
    "/api/v1/namespaces/globex-prod;x/pods",
    "/api/v1/namespaces/globex-prod%00/pods",
    "/api/v1/namespaces/shop-prod/pods;/../../globex-prod/pods",
    "/api/v1/namespaces/globex-prod/pods#shop-prod",
    "/api/v1/namespaces/globex-prod\\pods",
    "/%2e/api/v1/namespaces/globex-prod/pods",
    "/ringfence/../api/v1/namespaces/globex-prod/pods",
]


@pytest.mark.parametrize("path", SNEAKY)
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_ambiguous_path_never_reaches_the_api_server(lab, protocol, path):
    before = len(lab.api.requests())
    with lab.gate.connect(protocol) as c:
        answer = c.request("GET", path, lab.gate.bearer())
        assert answer.status == 400
        assert answer.json()["reason"] == "BadRequest"
    assert len(lab.api.requests()) == before


DENIED = [
    ("GET", GLOBEX),
    ("GET", "/%61pi/v1/namespaces/globex-prod/pods"),
    ("GET", "/api/v1/namespaces/globex%2Dprod/pods"),
    ("GET", "/api/v1/secrets"),
    ("GET", "/api/v1/nodes"),
    ("GET", "/api/v1/watch/namespaces/globex-prod/pods"),
    ("GET", "/api/v1/proxy/namespaces/globex-prod/pods/x"),
    ("GET", "/api/v1/namespaces/shop-prod/secrets"),
    ("GET", "/api/v1/namespaces/shop-prod/secrets/x"),
    ("GET", "/api/v1/namespaces/shop-prod/secrets?watch=1"),
    ("DELETE", "/api/v1/namespaces/shop-prod/secrets"),
    ("GET", "/metrics"),
    ("GET", "/logs/"),
    ("POST", "/api/v1/namespaces"),
]


@pytest.mark.parametrize("method,path", DENIED)
def test_denied_request_never_reaches_the_api_server(lab, method, path):
    before = len(lab.api.requests())
    with lab.gate.http2() as c:
        answer = c.request(method, path, lab.gate.bearer())
    assert answer.status == 403
    body = answer.json()
    assert body["reason"] == "Forbidden" and body["code"] == 403
    assert 'User "alice" cannot' in body["message"]
    assert len(lab.api.requests()) == before


def test_path_behind_a_proxy_is_passed_untouched(lab):
    path = "/api/v1/namespaces/shop-prod/services/web/proxy/a//b/../%2f;c?x=%zz;y"
    with lab.gate.http2() as c:
        c.request("GET", path, lab.gate.bearer())
    assert lab.last_seen(path)["target"] == path


# ---- sizes and floods ----


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_header_list_over_64_kib_is_431(lab, protocol):
    target = f"/test/echo?{mark()}"
    headers = lab.gate.bearer() + [(f"x-{i}", "v" * 1000) for i in range(70)]
    with lab.gate.connect(protocol) as c:
        answer = c.request("GET", target, headers)
        assert answer.status == 431
    assert not seen_with(lab, target)


def test_endless_head_is_cut(lab):
    """Answered as soon as it is too large, then cut: not read for ever, nor left waiting
    (which would be a TimeoutError). How much the kernel holds in between is its matter."""
    field = b"X-Thing: " + b"a" * 60000 + b"\r\n"
    with lab.gate.http1() as c:
        c.send(b"GET / HTTP/1.1\r\n" + 2 * field)
        assert c.read_head().status == 431
        with pytest.raises((ConnectionError, ssl.SSLError)):
            for _ in range(4000):
                c.send(field)


def test_slow_handshake_holds_nobody_up(lab):
    idle = [socket.create_connection(("127.0.0.1", lab.gate.port)) for _ in range(20)]
    try:
        with lab.gate.http2() as c:
            assert c.request("GET", PODS, lab.gate.bearer()).status == 200
    finally:
        for s in idle:
            s.close()


def test_garbage_instead_of_tls_is_harmless(lab):
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + os.urandom(3000), b"\0"):
        with socket.create_connection(("127.0.0.1", lab.gate.port), 5) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            try:
                while s.recv(4096):
                    pass
            except OSError:
                pass
    with lab.gate.http2() as c:
        assert c.request("GET", PODS, lab.gate.bearer()).status == 200


def test_record_names_who_tried(lab):
    with lab.gate.http2() as c:
        answer = c.request("GET", GLOBEX, lab.gate.bearer())
    audit_id = answer.header("audit-id")
    events = wait_until(lambda: lab.gate.audit_of(audit_id))
    assert events[0]["user"]["username"] == "alice"
    assert events[0]["responseStatus"]["code"] == 403
    assert json.dumps(events).count("globex-prod") >= 1
