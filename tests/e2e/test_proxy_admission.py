"""Who may pass, and how much: 401, 403, 429, 503 in the API server's own words."""

import base64
import json
import os
import time

import pytest

from proxy_lab import POLICY, header_values, lab, wait_until  # noqa: F401

PODS = "/api/v1/namespaces/shop-prod/pods"
both = pytest.mark.parametrize("protocol", ["h1", "h2"])

QUOTAS = """
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: globex, namespace: /globex }
spec:
  requests: { perSecond: 1, burst: 3 }
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: shop, namespace: /acme/shop }
spec:
  requests: { watches: 2, bodyBytes: 100Ki }
"""


@pytest.fixture
def policy(lab):
    """policy(text): in force when it returns; the usual one comes back afterwards."""
    yield lab.gate.load_policy
    lab.gate.load_policy(POLICY)


def status_of(lab, method, target, user="alice", body=b"", protocol="h2"):
    with lab.gate.connect(protocol) as c:
        return c.request(method, target, lab.gate.bearer(user), body).status


# ---- 401 ----

CREDENTIALS = [
    [],
    [("authorization", "")],
    [("authorization", "Bearer")],
    [("authorization", "Bearer ")],
    [("authorization", "Bearer nonsense")],
    [("authorization", "Bearer rf_0000000000_" + "0" * 36)],
    [("authorization", "Bearer " + "x" * 5000)],
    [("authorization", "Negotiate abc")],
    [("authorization", "Basic " + base64.b64encode(b"alice:alice-secret").decode())],
]


@both
@pytest.mark.parametrize("headers", CREDENTIALS, ids=range(len(CREDENTIALS)))
def test_without_good_credentials_it_is_401(lab, protocol, headers):
    before = len(lab.api.requests())
    with lab.gate.connect(protocol) as c:
        answer = c.request("GET", PODS, headers)
    assert answer.status == 401
    assert answer.body == (
        b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
        b'"message":"Unauthorized","reason":"Unauthorized","code":401}\n'
    )
    assert answer.header("content-type") == "application/json"
    assert answer.header("www-authenticate") is None
    assert len(lab.api.requests()) == before


def test_many_refusals_end_the_connection(lab):
    with lab.gate.http2() as c:
        statuses = []
        for _ in range(10):
            statuses.append(c.request("GET", PODS).status)
        assert statuses == [401] * 10
        wait_until(lambda: c.goaway or not c.pump(), what="GOAWAY")


# ---- certificates ----


@both
def test_client_certificate_names_the_user(lab, protocol):
    target = f"/test/echo?{os.urandom(4).hex()}"
    with lab.gate.connect(protocol, certificate="user") as c:
        assert c.request("GET", target).status == 200
    seen = lab.last_seen(target)
    assert seen["user"] == "alice"
    # The directory's groups; the certificate says all-staff, which it does not have.
    assert set(seen["groups"]) == {"acme-admins", "acme-staff", "system:authenticated"}


@pytest.mark.parametrize("certificate", ["user-expired", "user-wrong", "admin"])
def test_certificate_that_does_not_verify_is_nobody(lab, certificate):
    with lab.gate.http2(certificate=certificate) as c:
        assert c.request("GET", PODS).status == 401
        # A token beside it stands for itself.
        assert c.request("GET", PODS, lab.gate.bearer()).status == 200


def test_certificate_and_token_must_name_the_same_user(lab):
    with lab.gate.http2(certificate="user") as c:
        assert c.request("GET", PODS, lab.gate.bearer("alice")).status == 200
        assert c.request("GET", PODS, lab.gate.bearer("bob")).status == 401
        assert c.request("GET", PODS, [("authorization", "Bearer x")]).status == 401


# ---- 403 ----

FORBIDDEN = [
    (
        "GET",
        "/api/v1/namespaces/globex-prod/pods",
        'pods is forbidden: User "alice" cannot list resource "pods" in API group "" '
        'in the namespace "globex-prod"',
        {"kind": "pods"},
    ),
    (
        "GET",
        "/api/v1/nodes",
        'nodes is forbidden: User "alice" cannot list resource "nodes" in API group "" '
        "at the cluster scope",
        {"kind": "nodes"},
    ),
    (
        "GET",
        "/api/v1/namespaces/globex-prod/pods/web-0/log",
        'pods "web-0" is forbidden: User "alice" cannot get resource "pods/log" in API group '
        '"" in the namespace "globex-prod"',
        {"name": "web-0", "kind": "pods"},
    ),
    (
        "DELETE",
        "/apis/apps/v1/namespaces/globex-prod/deployments/x",
        'deployments.apps "x" is forbidden: User "alice" cannot delete resource "deployments" '
        'in API group "apps" in the namespace "globex-prod"',
        {"name": "x", "group": "apps", "kind": "deployments"},
    ),
    (
        "GET",
        "/metrics",
        'forbidden: User "alice" cannot get path "/metrics"',
        {},
    ),
]


@both
@pytest.mark.parametrize("method,target,message,details", FORBIDDEN)
def test_forbidden_in_the_words_of_the_api_server(
    lab, protocol, method, target, message, details
):
    with lab.gate.connect(protocol) as c:
        answer = c.request(method, target, lab.gate.bearer())
    assert answer.status == 403
    assert answer.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "Forbidden",
        "details": details,
        "code": 403,
    }


def test_discovery_is_open_to_everybody_signed_in(lab):
    for target in ("/api", "/apis", "/version", "/openapi/v3", "/livez"):
        assert status_of(lab, "GET", target, "erin") == 200
    assert status_of(lab, "GET", PODS, "erin") == 403


def test_exec_needs_the_right_to_create_also_when_it_is_a_get(lab):
    """bob may get, list and watch everything in the shop."""
    assert status_of(lab, "GET", f"{PODS}/web-0", "bob") == 200
    with lab.gate.http1() as c:
        answer = c.request("GET", f"{PODS}/web-0/exec?command=id", lab.gate.bearer("bob"))
    assert answer.status == 403
    assert 'cannot create resource "pods/exec"' in answer.json()["message"]
    assert status_of(lab, "GET", f"{PODS}/web-0/log", "bob") == 200


# ---- reload ----


def test_permission_that_is_withdrawn_ends_open_streams(lab, policy):
    with lab.gate.http2() as c:
        watch = c.start("GET", f"{PODS}?watch=1", lab.gate.bearer("bob"))
        c.wait(watch, lambda r: len(r.body) > 0)
        policy(POLICY.replace("acme-shop-devs", "nobody-at-all"))
        c.wait(watch)
        assert c.request("GET", PODS, lab.gate.bearer("bob")).status == 403
        # alice keeps what she had.
        assert c.request("GET", PODS, lab.gate.bearer("alice")).status == 200


def test_bad_policy_leaves_the_last_good_one_in_force(lab, policy):
    lab.gate.write_policy(POLICY.replace("action: allow", "actoin: allow"))
    lab.gate.reload()

    def complained():
        with open(lab.gate.stderr_path, errors="replace") as f:
            return "actoin" in f.read()

    wait_until(complained, what="the mistake is reported")
    assert status_of(lab, "GET", PODS) == 200
    assert status_of(lab, "GET", "/api/v1/namespaces/globex-prod/pods") == 403


# ---- 429, 413 ----


def test_rate_limit_is_429_with_a_time(lab, policy):
    policy(POLICY + QUOTAS)
    target = "/api/v1/namespaces/globex-prod/pods"

    def limited():
        with lab.gate.http2() as c:
            for _ in range(5):
                answer = c.request("GET", target, lab.gate.bearer("dave"))
                if answer.status == 429:
                    return answer
        return None

    answer = wait_until(limited, what="the limit")
    body = answer.json()
    assert body["reason"] == "TooManyRequests" and body["code"] == 429
    assert int(answer.header("retry-after")) >= 1
    assert body["details"]["retryAfterSeconds"] == int(answer.header("retry-after"))
    assert "/globex/globex" in body["message"]
    # Nobody else pays for it.
    assert status_of(lab, "GET", PODS, "alice") == 200


def test_watches_are_limited_and_given_back(lab, policy):
    policy(POLICY + QUOTAS)
    target = f"{PODS}?watch=1"

    def statuses():
        with lab.gate.http2() as c:
            streams = [c.start("GET", target, lab.gate.bearer()) for _ in range(3)]
            return sorted(c.wait(s, lambda r: True).status for s in streams)

    wait_until(lambda: statuses() == [200, 200, 429], what="the limit")
    # The connection is gone, and with it the watches: the same again.
    wait_until(lambda: statuses() == [200, 200, 429], what="the limit once more")


@both
def test_body_over_its_limit_is_cut(lab, policy, protocol):
    policy(POLICY + QUOTAS)
    target = "/api/v1/namespaces/shop-prod/configmaps?big"
    wait_until(
        lambda: status_of(lab, "POST", target, body=bytes(200 * 1024)) == 413,
        what="the limit",
    )
    assert status_of(lab, "POST", target, body=b"{}") != 413
    # Without a length it is counted as it comes; the API server never has all of it.
    mark = os.urandom(4).hex()
    target = f"/api/v1/namespaces/shop-prod/configmaps?{mark}"
    with lab.gate.connect(protocol) as c:
        if protocol == "h2":
            stream = c.start("POST", target, lab.gate.bearer(), end=False)
            for _ in range(20):
                if stream in c.resets or stream in c.responses:
                    break
                c.h2.send_data(stream, bytes(10 * 1024))
                c._flush()
                time.sleep(0.01)
                c.socket.settimeout(0.01)
                try:
                    c.pump()
                except OSError:
                    pass
                c.socket.settimeout(5)
            answer = c.wait(stream)
        else:
            auth = "".join(f"{k}: {v}\r\n" for k, v in lab.gate.bearer())
            head = f"POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            c.send(f"{head}{auth}\r\n".encode())
            for _ in range(20):
                c.send(b"2800\r\n" + bytes(0x2800) + b"\r\n")
            answer = c.read_response()
    assert answer.status == 413
    assert answer.json()["reason"] == "RequestEntityTooLarge"
    assert not [r for r in lab.seen(target) if r["body_complete"]]


# ---- the gate's own ----


def test_health_is_for_everybody(lab):
    with lab.gate.http2() as c:
        for target in ("/healthz", "/readyz", "/readyz?verbose"):
            answer = c.request("GET", target)
            assert (answer.status, answer.body) == (200, b"ok")
        assert c.request("POST", "/healthz").status == 405


def test_whoami_tells_who_and_where(lab):
    with lab.gate.http2() as c:
        answer = c.request("GET", "/ringfence/v1/whoami", lab.gate.bearer())
        assert answer.status == 200
        me = answer.json()
        assert c.request("GET", "/ringfence/v1/whoami").status == 401
    assert me["user"] == "alice"
    assert "acme-admins" in me["groups"]
    assert me["namespaces"] == ["/", "/acme"]
    assert me["token"]["id"]
    assert set(me) == {"user", "uid", "groups", "namespaces", "token", "quota"}


def test_unknown_paths_of_the_gate_never_reach_the_api_server(lab):
    before = len(lab.api.requests())
    with lab.gate.http2() as c:
        for target in ("/ringfence", "/ringfence/x", "/ringfence/v1/none", "/ringfence/v2"):
            assert c.request("GET", target, lab.gate.bearer()).status == 404
        assert c.request("PUT", "/ringfence/v1/login").status == 405
        assert c.request("GET", "/ringfence/v1/tokens/x").status == 405
    assert len(lab.api.requests()) == before


def make_token(lab, user="alice", **fields):
    """A further token of the user's: the API's answer."""
    body = json.dumps({"name": "test", **fields}).encode()
    headers = lab.gate.bearer(user) + [("content-type", "application/json")]
    with lab.gate.http2() as c:
        answer = c.request("POST", "/ringfence/v1/tokens", headers, body)
    assert answer.status == 201, answer.body
    return answer.json()


def test_token_is_limited_to_its_scopes(lab):
    scope = {"namespaces": ["/acme/shop"], "verbs": ["get", "list"], "resources": ["pods"]}
    token = make_token(lab, ttl="1h", scopes=[scope])["token"]
    auth = lab.gate.bearer(token=token)
    with lab.gate.http2() as c:

        def status(target, method="GET"):
            return c.request(method, target, auth).status

        assert status(PODS) == 200
        assert status(f"{PODS}/web-0") == 200
        assert status("/api/v1/namespaces/shop-dev/pods") == 200
        assert status(f"{PODS}?watch=1") == 403
        assert status(f"{PODS}/web-0", "DELETE") == 403
        assert status(f"{PODS}/web-0/log") == 403
        assert status("/api/v1/namespaces/shop-prod/configmaps") == 403
        assert status("/test/echo") == 403
        assert status("/apis") == 200  # discovery
    # The owner himself may do more.
    assert status_of(lab, "GET", "/api/v1/namespaces/shop-prod/configmaps") == 200


def test_expired_token_ends_open_streams(lab):
    made = make_token(lab, ttl="3s")
    with lab.gate.http2() as c:
        watch = c.start("GET", f"{PODS}?watch=1", lab.gate.bearer(token=made["token"]))
        c.wait(watch, lambda r: len(r.body) > 0)
        assert c.wait(watch).complete
        answer = c.request("GET", PODS, lab.gate.bearer(token=made["token"]))
        assert answer.status == 401


def test_login_takes_basic_authentication_only(lab):
    with lab.gate.http2() as c:
        answer = c.request("POST", "/ringfence/v1/login", lab.gate.bearer())
        assert answer.status == 401
        for credentials in ("", "!!!", "YWxpY2U", "YWxpY2U=", base64.b64encode(b":x").decode()):
            headers = [("authorization", f"Basic {credentials}")]
            assert c.request("POST", "/ringfence/v1/login", headers).status == 401
            break_after = c.goaway
            if break_after:
                break


def test_drain_answers_429_and_ends(tmp_path_factory):
    from proxy_lab import make_lab

    own = make_lab(tmp_path_factory)
    try:
        idle = own.gate.http1()
        assert idle.request("GET", PODS, own.gate.bearer()).status == 200
        with own.gate.http2() as c:
            watch = c.start("GET", f"{PODS}?watch=1", own.gate.bearer())
            c.wait(watch, lambda r: len(r.body) > 0)
            slow = c.start("GET", "/test/slow?ms=1500", own.gate.bearer())
            wait_until(lambda: own.seen("/test/slow?ms=1500"))
            busy = own.gate.http1()
            busy.send(b"GET /version HTTP/1.1\r\nHost: x\r\n")  # unfinished
            own.gate.drain()
            # A watch ends as watches do; what is short is finished.
            assert c.wait(watch).complete
            assert c.wait(slow).body == b"ok\n"
            wait_until(lambda: c.goaway or not c.pump(), what="GOAWAY")
        assert idle.read_some() == b""
        auth = "".join(f"{k}: {v}\r\n" for k, v in own.gate.bearer())
        busy.send(f"{auth}\r\n".encode())
        answer = busy.read_response()
        assert answer.status == 429
        assert answer.header("retry-after") == "1"
        assert answer.header("connection") == "close"
        own.gate.wait(20)
    finally:
        own.close()


def test_every_answer_of_the_gate_is_json_with_its_own_code(lab):
    with lab.gate.http2() as c:
        for target, headers in (
            (PODS, []),
            ("/api//v1", lab.gate.bearer()),
            ("/ringfence/none", []),
            ("/metrics", lab.gate.bearer()),
        ):
            answer = c.request("GET", target, headers)
            body = json.loads(answer.body)
            assert body["kind"] == "Status" and body["code"] == answer.status
            assert answer.body.endswith(b"}\n")
            assert header_values({"headers": answer.headers}, "audit-id")
