"""What the double does beyond the recordings: protocols, streams, misbehaviour, its log."""

import hashlib
import json
import os
import signal
import subprocess
import time

import pytest

import client
from apiserver import ApiServer
from process import wait_until

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
PODS = "/api/v1/namespaces/default/pods"
MERGE = [("Content-Type", "application/merge-patch+json")]
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def whoami(connection, *headers):
    response = connection.request("POST", WHOAMI, headers, b"{}")
    answer = response.json()
    user = (
        answer["status"]["userInfo"] if answer["kind"] == "SelfSubjectReview" else None
    )
    return response.status, user


def make_pod(connection, name, **spec):
    pod = {"metadata": {"name": name, "labels": {"test": name}}}
    pod["spec"] = {"containers": [{"name": "c", "image": "i:1"}], **spec}
    response = connection.request("POST", PODS, (), json.dumps(pod).encode())
    assert response.status == 201, response.body
    return response.json()


# Authentication.


@pytest.mark.parametrize(
    "certificate, headers, status, user",
    [
        ("front-proxy", [("X-Remote-User", "bob")], 201, "bob"),
        ("front-proxy-other", [("X-Remote-User", "bob")], 401, None),
        ("front-proxy-wrong", [("X-Remote-User", "bob")], 401, None),
        ("front-proxy", [("X-Remote-User", ""), ("X-Remote-User", "bob")], 401, None),
        ("front-proxy", [("x-remote-USER", "bob")], 201, "bob"),
        ("cluster-user", [("X-Remote-User", "bob")], 201, "carol"),
        ("user", [], 401, None),  # a CA that the API server does not know
        (None, [("Authorization", "Bearer nope")], 401, None),
    ],
)
def test_identity_comes_from_the_right_place(
    api, connect, certificate, headers, status, user
):
    code, info = whoami(connect(api, certificate), *headers)
    assert code == status
    assert (info or {}).get("username") == user


def test_client_certificate_groups_are_its_organizations(api, connect):
    _, info = whoami(connect(api, "cluster-user"))
    assert info["groups"] == ["acme-admins", "all-staff", "system:authenticated"]


def test_token_file_gives_identity(pki, tmp_path, connect):
    tokens = tmp_path / "tokens"
    tokens.write_text('t0ken,dora,7,"g1,g2"\n')
    with ApiServer(str(tmp_path), pki, ["--token-file", str(tokens)]) as api:
        _, info = whoami(connect(api), ("Authorization", "Bearer t0ken"))
        assert info == {
            "username": "dora",
            "uid": "7",
            "groups": ["g1", "g2", "system:authenticated"],
        }


def test_anonymous_over_http2_gets_goaway(api, connect):
    connection = connect(api, None, "h2")
    response = connection.request("GET", "/api/v1/namespaces")
    assert (response.status, response.complete) == (403, True)
    wait_until(lambda: connection.goaway or not connection.pump(), 5, "GOAWAY")
    assert connection.goaway.error_code == 0


def test_rules_decide_and_word_the_refusal(pki, tmp_path, connect):
    rbac = tmp_path / "rbac.json"
    rule = {"groups": ["devs"], "verbs": ["get", "list"], "apiGroups": [""]}
    rule.update(resources=["pods", "pods/log"], namespaces=["default"])
    rbac.write_text(json.dumps({"rules": [rule]}))
    with ApiServer(str(tmp_path), pki, ["--rbac", str(rbac)]) as api:
        connection = connect(api, "front-proxy")
        alice = [("X-Remote-User", "alice"), ("X-Remote-Group", "devs")]
        assert connection.request("GET", PODS, alice).status == 200
        cases = (
            ("GET", "/api/v1/pods", 'pods is forbidden: User "alice" cannot list resource '
             '"pods" in API group "" at the cluster scope'),
            ("DELETE", PODS + "/x", 'pods "x" is forbidden: User "alice" cannot delete '
             'resource "pods" in API group "" in the namespace "default"'),
            ("GET", PODS + "?watch=1", 'pods is forbidden: User "alice" cannot watch resource '
             '"pods" in API group "" in the namespace "default"'),
            ("POST", "/apis/apps/v1/namespaces/default/deployments",
             'deployments.apps is forbidden: User "alice" cannot create resource '
             '"deployments" in API group "apps" in the namespace "default"'),
        )  # fmt: skip
        for method, target, text in cases:
            response = connection.request(method, target, alice)
            assert (response.status, response.json()["message"]) == (403, text)


# HTTP.


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_large_body_comes_whole(api, connect, alpn):
    size = 5_000_000  # far beyond every window
    response = connect(api, "admin", alpn).request("GET", f"/test/bytes?n={size}")
    assert len(response.body) == size
    assert response.body.startswith(bytes(range(32, 127)))


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_upload_is_hashed(api, connect, alpn):
    body = os.urandom(1000) * 3000 if alpn == "http/1.1" else os.urandom(60000)
    response = connect(api, "admin", alpn).request("POST", "/test/echo", (), body)
    answer = response.json()
    assert answer["bodyLength"] == len(body)
    assert answer["bodySha256"] == hashlib.sha256(body).hexdigest()
    record = api.requests(target="/test/echo")[-1]
    assert record["body_sha256"] == answer["bodySha256"]
    assert record["body_complete"] is True


def test_chunked_upload_arrives(api, connect):
    connection = connect(api, "admin")
    head = b"POST /test/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.send(head + b"3\r\nabc\r\n")
    connection.send(b"2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n")
    assert connection.read_response().json()["bodyLength"] == 5
    assert connection.request("GET", "/version").status == 200  # the connection goes on


def test_headers_are_recorded_as_received(api, connect):
    headers = [("X-b", "1"), ("x-A", "2 "), ("X-B", "3"), ("X-Empty", "")]
    connect(api, "admin").request("GET", "/test/echo?a=%2F;b&c", headers)
    record = api.requests(target="/test/echo?a=%2F;b&c")[-1]
    assert record["headers"] == [
        ["Host", "test"], ["X-b", "1"], ["x-A", "2"], ["X-B", "3"], ["X-Empty", ""],
    ]  # fmt: skip
    assert (record["client_cn"], record["user"], record["protocol"]) == (
        "admin", "admin", "HTTP/1.1",
    )  # fmt: skip


def test_requests_of_a_connection_share_its_number(api, connect):
    first, second = connect(api, "admin", "h2"), connect(api, "admin")
    for connection in (first, second, first):
        connection.request("GET", "/test/echo?n=connection")
    numbers = [r["connection"] for r in api.requests(target="/test/echo?n=connection")]
    assert numbers[0] == numbers[2] != numbers[1]


@pytest.mark.parametrize(
    "head, status",
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", 400),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1_100_000 + b"\r\n\r\n", 431),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_malformed_request_is_refused(api, connect, head, status):
    connection = connect(api, "admin")
    connection.send(head)
    assert connection.read_response().status == status
    assert connection.read_some() == b""


def test_expect_continue_is_answered(api, connect):
    connection = connect(api, "admin")
    connection.send(
        b"POST /test/sink HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
        b"Content-Length: 3\r\n\r\n"
    )
    assert connection.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
    connection.send(b"abc")
    assert connection.read_response().body.startswith(b"3 ")


def test_body_that_is_too_large_is_413(api, connect):
    body = b'{"data": {"a": "' + b"x" * (3 << 20) + b'"}}'
    response = connect(api, "admin").request("POST", CONFIG_MAPS, (), body)
    assert response.status == 413
    assert response.json()["reason"] == "RequestEntityTooLarge"


def test_large_list_is_compressed_when_asked(api, connect):
    connection = connect(api, "admin")
    body = json.dumps(
        {"metadata": {"name": "big"}, "data": {"a": "x" * 200_000}}
    ).encode()
    assert connection.request("POST", CONFIG_MAPS, (), body).status == 201
    plain = connection.request("GET", CONFIG_MAPS)
    packed = connection.request("GET", CONFIG_MAPS, [("Accept-Encoding", "gzip")])
    assert packed.header("Content-Encoding") == "gzip"
    assert packed.header("Vary") == "Accept-Encoding"
    import gzip

    assert gzip.decompress(packed.body) == plain.body
    assert connection.request("DELETE", CONFIG_MAPS + "/big").status == 200


# Watches.


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_watch_event_is_flushed_at_once(api, connect, alpn):
    other = connect(api, "admin")
    watch = connect(api, "admin", alpn)
    target = CONFIG_MAPS + f"?watch=1&labelSelector=alpn={alpn.replace('/', '')}"
    if alpn == "h2":
        stream = watch.start("GET", target)
        response = watch.wait(stream, until=lambda r: True)
    else:
        watch.send(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        response = watch.read_head()
    metadata = {"name": f"w-{alpn[:2]}", "labels": {"alpn": alpn.replace("/", "")}}
    body = json.dumps({"metadata": metadata}).encode()
    assert other.request("POST", CONFIG_MAPS, (), body).status == 201
    if alpn == "h2":
        watch.wait(stream, until=lambda r: r.chunks)
    else:
        watch.next_chunk(response)
    event = json.loads(response.chunks[0])
    assert (event["type"], event["object"]["metadata"]["name"]) == (
        "ADDED",
        metadata["name"],
    )
    watch.close()
    wait_until(
        lambda: [
            r for r in api.log()
            if r["event"] == "watch-end" and r["id"] == api.requests(target=target)[-1]["id"]
        ],
        5,
        "the end of the watch",
    )  # fmt: skip


def read_events(connection, target, count):
    connection.send(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    response = connection.read_head()
    assert response.status == 200
    return response, [json.loads(connection.next_chunk(response)) for _ in range(count)]


def test_watch_with_selector_sees_objects_come_and_go(api, connect):
    other, watch = connect(api, "admin"), connect(api, "admin")
    make_pod(other, "sel")
    target = PODS + "?watch=1&labelSelector=in%3Dyes"
    response, _ = read_events(watch, target, 0)
    for value in ("yes", "no", "yes"):
        body = json.dumps({"metadata": {"labels": {"in": value}}}).encode()
        other.request("PATCH", PODS + "/sel", MERGE, body)
    other.request("DELETE", PODS + "/sel")
    events = [json.loads(watch.next_chunk(response)) for _ in range(5)]
    kinds = [event["type"] for event in events]
    # Deleting a pod marks it first.
    assert kinds == ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]
    assert events[1]["object"]["metadata"]["labels"]["in"] == "yes"
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert versions == sorted(set(versions))


def test_watch_from_the_past_replays_and_compacted_past_is_gone(pki, tmp_path, connect):
    with ApiServer(str(tmp_path), pki) as api:
        connection = connect(api, "admin")
        for name in ("a", "b", "c"):
            make_pod(connection, name)
        first = connection.request("GET", PODS + "/a").json()["metadata"][
            "resourceVersion"
        ]
        target = f"{PODS}?watch=1&resourceVersion={first}"
        _, events = read_events(connect(api, "admin"), target, 2)
        assert [e["object"]["metadata"]["name"] for e in events] == ["b", "c"]
        old = connection.request(
            "GET", f"{PODS}?resourceVersion={first}&resourceVersionMatch=Exact"
        )
        assert [i["metadata"]["name"] for i in old.json()["items"]] == ["a"]
        connection.request("POST", "/test/compact")
        watch = connect(api, "admin")
        response, events = read_events(watch, target, 1)
        assert (events[0]["type"], events[0]["object"]["code"]) == ("ERROR", 410)
        assert watch.next_chunk(response) == b""


def test_initial_events_end_with_an_annotated_bookmark(pki, tmp_path, connect):
    with ApiServer(str(tmp_path), pki) as api:
        target = (
            "/api/v1/namespaces?watch=1&sendInitialEvents=true&allowWatchBookmarks=true"
            "&resourceVersionMatch=NotOlderThan"
        )
        _, events = read_events(connect(api, "admin"), target, 5)
    assert [e["type"] for e in events] == ["ADDED"] * 4 + ["BOOKMARK"]
    annotations = events[-1]["object"]["metadata"]["annotations"]
    assert annotations == {"k8s.io/initial-events-end": "true"}


@pytest.mark.parametrize("how", ["end", "cut", "reset", "gone"])
def test_watches_can_be_cut(pki, tmp_path, connect, how):
    with ApiServer(str(tmp_path), pki) as api:
        watch = connect(api, "admin")
        response, _ = read_events(watch, "/api/v1/namespaces?watch=1", 4)
        answer = connect(api, "admin").request("POST", f"/test/cut-watches?how={how}")
        assert answer.body == b"1\n"
        if how in ("cut", "reset"):
            with pytest.raises((ConnectionError, OSError)):
                watch.next_chunk(response)
        else:
            if how == "gone":
                assert json.loads(watch.next_chunk(response))["object"]["code"] == 410
            assert watch.next_chunk(response) == b""


# Objects.


def test_conflicts_are_refused(api, connect):
    connection = connect(api, "admin")
    pod = make_pod(connection, "conflict")
    assert (
        connection.request(
            "PATCH", PODS + "/conflict", MERGE, b'{"metadata":{"labels":{"a":"b"}}}'
        ).status
        == 200
    )
    response = connection.request(
        "PUT", PODS + "/conflict", (), json.dumps(pod).encode()
    )
    assert (response.status, response.json()["message"]) == (
        409,
        'Operation cannot be fulfilled on pods "conflict": the object has been modified; '
        "please apply your changes to the latest version and try again",
    )
    body = b'{"preconditions": {"uid": "other"}}'
    assert connection.request("DELETE", PODS + "/conflict", (), body).status == 409
    assert connection.request("DELETE", PODS + "/conflict").status == 200


def test_change_that_changes_nothing_makes_no_version(api, connect):
    connection = connect(api, "admin")
    pod = make_pod(connection, "same")
    again = connection.request(
        "PUT", PODS + "/same", (), json.dumps(pod).encode()
    ).json()
    assert again["metadata"]["resourceVersion"] == pod["metadata"]["resourceVersion"]
    connection.request("DELETE", PODS + "/same")


def test_pages_cover_everything_once(api, connect):
    connection = connect(api, "admin")
    for number in range(7):
        body = json.dumps({"metadata": {"name": f"page-{number}"}}).encode()
        connection.request("POST", "/api/v1/namespaces/kube-public/secrets", (), body)
    names, token, pages = [], "", 0
    while True:
        target = f"/api/v1/namespaces/kube-public/secrets?limit=3&continue={token}"
        page = connection.request("GET", target).json()
        names += [item["metadata"]["name"] for item in page["items"]]
        pages += 1
        token = page["metadata"].get("continue")
        if not token:
            break
        assert page["metadata"]["remainingItemCount"] == 7 - len(names)
    assert (names, pages) == ([f"page-{n}" for n in range(7)], 3)


def test_pod_on_a_node_goes_after_a_while_and_namespace_is_emptied(api, connect):
    connection = connect(api, "admin")
    connection.request(
        "POST", "/api/v1/namespaces", (), b'{"metadata": {"name": "doomed"}}'
    )
    home = "/api/v1/namespaces/doomed"
    body = b'{"metadata": {"name": "c"}}'
    connection.request("POST", home + "/configmaps", (), body)
    make_pod(connection, "slow", nodeName="n")
    deleted = connection.request("DELETE", PODS + "/slow").json()
    assert deleted["metadata"]["deletionGracePeriodSeconds"] == 30
    assert connection.request("DELETE", home).json()["status"] == {
        "phase": "Terminating"
    }
    late = connection.request(
        "POST", home + "/secrets", (), b'{"metadata": {"name": "s"}}'
    )
    assert (late.status, late.json()["reason"]) == (403, "Forbidden")
    for target in (PODS + "/slow", home, home + "/configmaps/c"):
        wait_until(lambda: connection.request("GET", target).status == 404, 5, target)


# Upgrades.

UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]


def upgrade(connection, pod, command, sub="exec", headers=UPGRADE, method="POST"):
    lines = [f"{method} {PODS}/{pod}/{sub}?command={command} HTTP/1.1", "Host: h"]
    lines += [f"{k}: {v}" for k, v in headers]
    connection.send(("\r\n".join(lines) + "\r\n\r\n").encode())
    return connection.read_head()


@pytest.fixture
def pod(api, connect):
    connection = connect(api, "admin")
    if connection.request("GET", PODS + "/up").status == 404:
        make_pod(connection, "up")
    return "up"


@pytest.mark.parametrize("sub", ["exec", "attach", "portforward"])
def test_upgrade_echoes_bytes_and_half_close(api, connect, pod, sub):
    connection = connect(api, "admin")
    response = upgrade(connection, pod, "x", sub)
    assert response.status_line == "HTTP/1.1 101 Switching Protocols"
    assert response.header("Upgrade") == "SPDY/3.1"
    data = os.urandom(300_000)
    connection.socket.settimeout(30)
    echoed = b""
    for start in range(0, len(data), 50_000):
        connection.send(data[start : start + 50_000])
        while len(echoed) < min(len(data), start + 50_000):
            echoed += connection.read_some()
    assert echoed == data
    connection.socket.unwrap()  # close_notify both ways


def test_half_close_leaves_the_other_direction_open(api, connect, pod):
    connection = connect(api, "admin")
    assert upgrade(connection, pod, "double:half").status == 101
    connection.send(b"abc")
    assert connection.read_some() == b"abc"
    connection.half_close()
    rest = b""
    while data := connection.read_some():
        rest += data
    assert rest == b"eof after 3 bytes\n"


def test_upgrade_with_bytes_sent_early(api, connect, pod):
    connection = connect(api, "admin")
    lines = f"POST {PODS}/{pod}/exec HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
    connection.send((lines + "Upgrade: SPDY/3.1\r\n\r\nearly").encode())
    assert connection.read_head().status == 101
    assert connection.read_exactly(5) == b"early"


def test_websocket_handshake_is_right(api, connect, pod):
    headers = [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "v5.channel.k8s.io, v4.channel.k8s.io"),
    ]
    response = upgrade(connect(api, "admin"), pod, "x", "exec", headers, "GET")
    assert response.status == 101
    # The value of RFC 6455, section 1.3.
    assert response.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert response.header("Sec-WebSocket-Protocol") == "v5.channel.k8s.io"


def test_upgrade_can_be_refused(api, connect, pod):
    connection = connect(api, "admin")
    assert upgrade(connection, pod, "double:refuse").status == 403
    no_upgrade = connect(api, "admin").request("POST", f"{PODS}/{pod}/exec?command=x")
    assert no_upgrade.json()["message"] == "Upgrade request required"


# Misbehaviour.


def test_body_is_cut(api, connect):
    connection = connect(api, "admin")
    connection.send(b"GET /test/close?n=5000 HTTP/1.1\r\nHost: h\r\n\r\n")
    response = connection.read_head()
    assert response.header("Content-Length") == "10000"
    with pytest.raises((ConnectionError, OSError)):
        connection.read_exactly(10000)
    assert len(connection.data) == 5000
    http2 = connect(api, "admin", "h2")
    stream = http2.start("GET", "/test/close?n=5000")
    response = http2.wait(stream)
    assert (len(response.body), response.complete) == (5000, False)
    assert http2.resets[stream] == 2  # INTERNAL_ERROR
    assert http2.request("GET", "/version").status == 200  # the connection lives


def test_hang_ends_with_the_client(api, connect):
    for alpn in ("http/1.1", "h2"):
        target = f"/test/hang?{alpn[:2]}"
        connection = connect(api, "admin", alpn)
        if alpn == "h2":
            stream = connection.start("GET", target)
        else:
            connection.send(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())

        def events(kind):
            ids = [r["id"] for r in api.requests(target=target)]
            return [r for r in api.log() if r["event"] == kind and r["id"] in ids]

        wait_until(lambda: events("stream-start"), 5, "the request")
        assert not events("stream-end")
        if alpn == "h2":
            connection.reset(stream)
        else:
            connection.close()
        wait_until(lambda: events("stream-end"), 5, "the end")


def test_slow_and_drip_take_their_time(api, connect):
    connection = connect(api, "admin")
    start = time.monotonic()
    assert connection.request("GET", "/test/slow?ms=200").body == b"ok\n"
    assert time.monotonic() - start >= 0.2
    response = connection.request("GET", "/test/drip?n=3&ms=1")
    assert response.chunks == [b"x\n"] * 3


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_faults_strike_as_often_as_they_say(pki, tmp_path, connect, alpn):
    with ApiServer(str(tmp_path), pki) as api:
        control = connect(api, "admin")
        fault = {"path": "^/api/v1/namespaces$", "times": 1}
        wanted = [
            {**fault, "do": "status", "code": 429, "retryAfter": 3},
            {**fault, "do": "cut", "after": 100},
            {**fault, "do": "close"},
        ]
        body = json.dumps(wanted).encode()
        assert control.request("PUT", "/test/faults", (), body).status == 200

        def ask():
            return connect(api, "admin", alpn).request("GET", "/api/v1/namespaces")

        first = ask()
        assert (first.status, first.header("Retry-After")) == (429, "3")
        if alpn == "h2":
            cut = ask()
            assert (cut.status, len(cut.body), cut.complete) == (200, 100, False)
            assert ask() is None
        else:
            for _ in range(2):
                with pytest.raises((ConnectionError, OSError)):
                    ask()
        assert ask().json()["kind"] == "NamespaceList"
        bad = control.request("PUT", "/test/faults", (), b'[{"do": "dance"}]')
        assert bad.status == 400


def test_stream_behind_goaway_is_not_served(api, connect):
    connection = connect(api, None, "h2")
    first = connection.start("GET", "/livez?goaway=1")  # anonymous: GOAWAY
    connection.wait(first)
    wait_until(lambda: connection.goaway or not connection.pump(), 5, "GOAWAY")
    assert connection.goaway.last_stream_id == first
    second = connection.start("GET", "/livez?goaway=2")
    assert connection.wait(second) is None  # the connection ends
    assert not api.requests(target="/livez?goaway=2")


def test_namespaces_without_a_name_are_all_of_them(api, connect):
    connection = connect(api, "admin")
    body = b'{"metadata": {"name": "everywhere"}}'
    for namespace in ("default", "kube-system"):
        target = f"/api/v1/namespaces/{namespace}/configmaps"
        assert connection.request("POST", target, (), body).status == 201
    everywhere = "fieldSelector=metadata.name%3Deverywhere"
    found = connection.request("GET", f"/api/v1/namespaces//configmaps?{everywhere}")
    assert [item["metadata"]["namespace"] for item in found.json()["items"]] == [
        "default",
        "kube-system",
    ]
    target = "/api/v1/namespaces/default%2Fconfigmaps?" + everywhere
    assert len(connection.request("GET", target).json()["items"]) == 1
    assert connection.request("GET", "/api/v1//configmaps").status == 404
    assert connection.request("GET", "/api/v1/./configmaps").status == 404


# The process.


def test_seed_in_yaml_and_ipv6(pki, tmp_path):
    seed = tmp_path / "seed.yaml"
    seed.write_text(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: acme}\n---\n"
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: acme}\n"
        "spec: {nodeName: n, containers: [{name: c, image: 'i:1'}]}\n"
        "status: {phase: Running, podIP: 10.0.0.1}\n"
    )
    argv = ["--listen", "[::1]:0", "--seed", str(seed)]
    with ApiServer(str(tmp_path), pki, argv) as api:
        context = client.client_context(
            f"{pki}/cluster-ca.crt", f"{pki}/admin.crt", f"{pki}/admin.key"
        )
        with client.Connection("::1", api.port, context) as connection:
            pod = connection.request("GET", "/api/v1/namespaces/acme/pods/web").json()
    assert pod["status"] == {"phase": "Running", "podIP": "10.0.0.1"}


def test_ends_on_sigterm_with_open_connections(pki, tmp_path, connect):
    api = ApiServer(str(tmp_path), pki)
    watch = connect(api, "admin")
    read_events(watch, "/api/v1/namespaces?watch=1", 4)
    assert api.stop() == 0
    assert not (tmp_path / "api.err").read_text()


def test_dies_with_its_parent(pki, tmp_path):
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import apiserver\n"
        "api = apiserver.ApiServer(sys.argv[2], sys.argv[3])\n"
        "print(api.pid, flush=True); time.sleep(60)"
    )
    here = os.path.dirname(os.path.abspath(__file__))
    argv = ["/usr/bin/python3", "-c", code, here, str(tmp_path), pki]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as parent:
        try:
            pid = int(parent.stdout.readline())
        finally:
            parent.kill()

    def gone():
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    try:
        wait_until(gone, 5, "the end of the double")
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise


def test_without_h2_only_http1_is_offered(pki, tmp_path, connect):
    with ApiServer(str(tmp_path), pki, ["--no-h2"]) as api:
        connection = connect(api, "admin")
        assert connection.socket.selected_alpn_protocol() == "http/1.1"
        assert connection.request("GET", "/version").status == 200


def test_pause_and_resume(pki, tmp_path, connect):
    with ApiServer(str(tmp_path), pki) as api:
        connection = connect(api, "admin")
        api.pause()
        connection.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.request("GET", "/version")
        api.resume()
        connection.socket.settimeout(30)
        assert connection.read_response().status == 200


def test_bad_arguments_are_reported(pki, tmp_path):
    with pytest.raises(RuntimeError, match="No such file"):
        ApiServer(str(tmp_path), pki, ["--seed", str(tmp_path / "none.json")])
