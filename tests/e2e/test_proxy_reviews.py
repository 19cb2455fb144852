"""Who am I, what may I: answered by Access and by the API server together."""

import json

import pytest

from proxy_lab import Gate, make_lab  # noqa: F401
from test_proxy_clients import kubectl, needs_kubectl  # noqa: F401

SSAR = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SSRR = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
SSR = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

# What the API server itself allows; Access (proxy_lab.POLICY) gives alice everything but
# secrets below /acme, and nothing elsewhere.
RBAC = [
    {"users": ["alice"], "namespaces": ["shop-prod", "globex-prod"],
     "verbs": ["get", "list", "watch", "create"], "apiGroups": [""],
     "resources": ["pods", "pods/exec", "secrets", "configmaps"]},
    {"users": ["alice"], "verbs": ["list"], "apiGroups": [""], "resources": ["pods"]},
    {"users": ["alice"], "namespaces": ["shop-prod"], "verbs": ["*"], "apiGroups": ["apps"],
     "resources": ["deployments"]},
    {"users": ["alice"], "verbs": ["get"], "nonResourceURLs": ["/test/*", "/metrics"]},
    {"users": ["lister"], "verbs": ["list", "watch"], "apiGroups": [""],
     "resources": ["configmaps"]},
]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    rules = tmp_path_factory.mktemp("rbac") / "rules.json"
    rules.write_text(json.dumps({"rules": RBAC}))
    made = make_lab(tmp_path_factory, api_arguments=["--rbac", str(rules)])
    try:
        yield made
    finally:
        made.close()


def post(lab, path, body, user="alice", token=None, media="application/json", accept=None):
    headers = lab.gate.bearer(user, token) + [("content-type", media)]
    if accept:
        headers.append(("accept", accept))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with lab.gate.http2() as c:
        return c.request("POST", path, headers, data)


def access(lab, user="alice", token=None, **attributes):
    path = attributes.pop("path", None)
    spec = {"resourceAttributes": attributes}
    if path:
        spec = {"nonResourceAttributes": {"path": path, **attributes}}
    answer = post(lab, SSAR, {"spec": spec}, user, token)
    assert answer.status == 201, answer.body
    body = answer.json()
    assert body["kind"] == "SelfSubjectAccessReview"
    assert body["spec"] == spec
    return body["status"]


@pytest.mark.parametrize("attributes,allowed,by_gate", [
    # both; the API server alone; Access alone; neither
    ({"verb": "get", "resource": "pods", "namespace": "shop-prod"}, True, True),
    ({"verb": "get", "resource": "pods", "namespace": "globex-prod"}, False, False),
    ({"verb": "get", "resource": "secrets", "namespace": "shop-prod"}, False, False),
    ({"verb": "delete", "resource": "pods", "namespace": "shop-prod"}, False, True),
    ({"verb": "get", "resource": "pods", "namespace": "shop-dev"}, False, True),
    ({"verb": "delete", "resource": "pods", "namespace": "globex-prod"}, False, False),
    ({"verb": "get", "resource": "deployments", "group": "apps", "namespace": "shop-prod"},
     True, True),
    ({"verb": "get", "resource": "pods", "subresource": "exec", "namespace": "shop-prod"},
     True, True),
    ({"verb": "create", "resource": "pods", "subresource": "exec", "namespace": "globex-prod"},
     False, False),
    # across namespaces: what a list would come to
    ({"verb": "list", "resource": "pods"}, True, True),
    ({"verb": "list", "resource": "configmaps"}, False, True),
    ({"verb": "list", "resource": "secrets"}, False, False),
    ({"verb": "create", "resource": "pods"}, False, False),
    ({"verb": "get", "resource": "nodes", "name": "worker-1"}, False, False),
    ({"verb": "*", "resource": "*", "namespace": "globex-prod"}, False, False),
    # paths
    ({"verb": "get", "path": "/test/echo"}, True, True),
    ({"verb": "get", "path": "/metrics"}, False, False),
    ({"verb": "get", "path": "/version"}, True, True),
    ({"verb": "post", "path": "/version"}, False, False),
])  # fmt: skip
def test_access_review_is_the_answer_of_both(lab, attributes, allowed, by_gate):
    before = len(lab.api.requests(verb="create"))
    status = access(lab, **dict(attributes))
    assert status["allowed"] is allowed
    # The gate's no is final: the API server is not asked.
    assert (len(lab.api.requests(verb="create")) > before) == by_gate
    if not by_gate:
        assert "Access" in status["reason"]
        assert ".yaml" not in status["reason"]


def real_status(lab, method, target):
    with lab.gate.http2() as c:
        return c.request(method, target, lab.gate.bearer()).status


def test_reviews_say_what_requests_come_to(lab):
    for namespace in ("shop-prod", "shop-dev", "globex-prod", "default"):
        for resource in ("pods", "secrets", "configmaps"):
            said = access(lab, verb="list", resource=resource, namespace=namespace)["allowed"]
            target = f"/api/v1/namespaces/{namespace}/{resource}"
            assert (real_status(lab, "GET", target) == 200) == said, (namespace, resource)


def test_denial_names_the_rule(lab):
    status = access(lab, verb="get", resource="secrets", namespace="shop-prod")
    assert status["denied"] is True
    assert status["reason"] == "denied by Access /acme/acme rule 0"
    status = access(lab, verb="get", resource="pods", namespace="default")
    assert "denied" not in status
    assert status["reason"] == "no Access document allows it"


def test_scope_of_the_token_counts(lab):
    scope = {"namespaces": ["shop-prod"], "verbs": ["list"], "resources": ["pods"]}
    made = post(lab, "/ringfence/v1/tokens", {"name": "t", "ttl": "1h", "scopes": [scope]})
    token = made.json()["token"]
    ask = {"resource": "pods", "namespace": "shop-prod", "token": token}
    assert access(lab, verb="list", **ask)["allowed"] is True
    assert access(lab, verb="get", **ask)["allowed"] is False
    assert access(lab, verb="list", resource="pods", token=token)["allowed"] is True
    assert access(lab, verb="list", resource="configmaps", token=token)["allowed"] is False


def test_everyone_signed_in_may_ask(lab):
    assert access(lab, "grace", verb="get", resource="pods", namespace="x")["allowed"] is False
    with lab.gate.http2() as c:
        assert c.request("POST", SSAR, [], b"{}").status == 401
    # About others only whom Access lets.
    other = SSAR.replace("self", "")
    body = {"spec": {"user": "root", "resourceAttributes": {"verb": "get", "resource": "pods"}}}
    assert post(lab, other, body).status == 403


@pytest.mark.parametrize("body,media,status", [
    (b"", "application/json", 400),
    (b"{", "application/json", 400),
    (b"[]", "application/json", 400),
    (b'{"spec":{}}', "application/json", 400),
    (b'{"spec":{"resourceAttributes":{},"nonResourceAttributes":{}}}', "application/json", 400),
    (b'{"spec":{"resourceAttributes":{"verb":["get"]}}}', "application/json", 400),
    # duplicate keys: which one would the API server judge?
    (b'{"spec":{"resourceAttributes":{"verb":"get","verb":"list","resource":"pods"}}}',
     "application/json", 400),
    (b"spec: {}", "application/yaml", 415),
    (b"k8s\0\x12\xff\xff\xff\xff", "application/vnd.kubernetes.protobuf", 400),
    (b"k8s\0", "application/vnd.kubernetes.protobuf", 400),
    (b" " * 70_000, "application/json", 413),
])  # fmt: skip
def test_malformed_reviews_are_refused(lab, body, media, status):
    before = len(lab.api.requests(verb="create"))
    assert post(lab, SSAR, body, media=media).status == status
    assert len(lab.api.requests(verb="create")) == before


def field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


def test_protobuf_is_understood(lab):
    def message(namespace):
        attributes = field(1, namespace) + field(2, b"get") + field(5, b"pods")
        raw = field(1, b"") + field(2, field(1, attributes)) + field(3, b"")
        kind = field(1, b"authorization.k8s.io/v1") + field(2, b"SelfSubjectAccessReview")
        return b"k8s\0" + field(1, kind) + field(2, raw)

    media = "application/vnd.kubernetes.protobuf"
    for namespace, allowed in ((b"shop-prod", True), (b"globex-prod", False)):
        answer = post(lab, SSAR, message(namespace), media=media,
                      accept=f"{media},application/json")  # fmt: skip
        assert answer.status == 201, answer.body
        assert answer.json()["status"]["allowed"] is allowed


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_body_that_comes_late_is_waited_for(lab, protocol):
    body = json.dumps({"spec": {"resourceAttributes": {
        "verb": "get", "resource": "pods", "namespace": "shop-prod"}}}).encode()  # fmt: skip
    headers = lab.gate.bearer() + [("content-type", "application/json")]
    with lab.gate.connect(protocol) as c:
        if protocol == "h2":
            stream = c.start("POST", SSAR, headers, end=False)
            c.h2.send_data(stream, body[:20])
            c._flush()
            c.h2.send_data(stream, body[20:], end_stream=True)
            c._flush()
            answer = c.wait(stream)
        else:
            lines = [f"POST {SSAR} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
            lines += [f"{k}: {v}" for k, v in headers]
            c.send(("\r\n".join(lines) + "\r\n\r\n").encode() + body[:20])
            c.send(body[20:])
            answer = c.read_response("POST")
        assert answer.status == 201 and answer.json()["status"]["allowed"] is True
        # The connection goes on.
        assert c.request("GET", "/version", headers).status == 200


def test_subject_review_names_the_user(lab):
    answer = post(lab, SSR, {"kind": "SelfSubjectReview",
                             "apiVersion": "authentication.k8s.io/v1"})  # fmt: skip
    assert answer.status == 201
    info = answer.json()["status"]["userInfo"]
    assert info["username"] == "alice"
    assert "acme-admins" in info["groups"] and "system:masters" not in info["groups"]


def rules(lab, namespace, user="alice", token=None, **kwargs):
    answer = post(lab, SSRR, {"spec": {"namespace": namespace}}, user, token, **kwargs)
    assert answer.status == 201, answer.body
    return answer.json()["status"]


def flat(status):
    """{(verb, resource.group or path)}"""
    out = set()
    for r in status["resourceRules"]:
        for g in r["apiGroups"]:
            out |= {(v, f"{x}.{g}" if g else x) for v in r["verbs"] for x in r["resources"]}
    for r in status["nonResourceRules"]:
        out |= {(v, x) for v in r["verbs"] for x in r["nonResourceURLs"]}
    return out


SELF = {
    ("create", "selfsubjectaccessreviews.authorization.k8s.io"),
    ("create", "selfsubjectrulesreviews.authorization.k8s.io"),
    ("create", "selfsubjectreviews.authentication.k8s.io"),
}
OPEN = {
    ("get", path)
    for path in ("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi",
                 "/openapi/*", "/readyz", "/version", "/version/")
}  # fmt: skip


def test_rules_review_lists_what_both_allow(lab):
    found = flat(rules(lab, "shop-prod"))
    pods = {(v, r) for v in ("get", "list", "watch", "create")
            for r in ("pods", "pods/exec", "configmaps")}  # fmt: skip
    assert found == SELF | OPEN | pods | {("*", "deployments.apps"), ("get", "/test/*")}
    # The API server allows much in globex-prod, Access nothing.
    assert flat(rules(lab, "globex-prod")) == SELF | OPEN | {("get", "/test/*")}
    # Access allows all of shop-dev, the API server next to nothing.
    assert flat(rules(lab, "shop-dev")) == SELF | OPEN | {("list", "pods"), ("get", "/test/*")}


def test_rules_review_never_says_more_than_requests_come_to(lab):
    for namespace in ("shop-prod", "shop-dev", "globex-prod", "default"):
        for verb, what in flat(rules(lab, namespace)):
            if what.startswith("/"):
                status = access(lab, verb=verb, path=what.replace("*", "x"))
            else:
                what, _, group = what.partition(".")
                resource, _, sub = what.partition("/")
                where = {} if resource.startswith("self") else {"namespace": namespace}
                status = access(lab, verb="get" if verb == "*" else verb, resource=resource,
                                group=group, subresource=sub, **where)  # fmt: skip
            assert status["allowed"] is True, (namespace, verb, what)


def test_rules_review_keeps_to_the_tokens_scope(lab):
    scope = {"namespaces": ["shop-prod"], "verbs": ["list"], "resources": ["pods", "secrets"]}
    made = post(lab, "/ringfence/v1/tokens", {"name": "r", "ttl": "1h", "scopes": [scope]})
    token = made.json()["token"]
    assert flat(rules(lab, "shop-prod", token=token)) == SELF | OPEN | {("list", "pods")}
    assert flat(rules(lab, "shop-dev", token=token)) == SELF | OPEN


@pytest.fixture
def api_says(lab):
    def say(status, body, media="application/json"):
        lab.faults({"path": "rulesreviews", "do": "raw", "code": status,
                    "headers": [["Content-Type", media]], "body": body})  # fmt: skip

    yield say
    lab.faults()


def test_every_right_of_an_administrator_is_cut_down(lab, api_says):
    """The API server lets alice do everything: Access makes an exception of secrets."""
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    paths = {"verbs": ["*"], "nonResourceURLs": ["*"]}
    api_says(201, json.dumps({"kind": "SelfSubjectRulesReview", "status": {
        "resourceRules": [everything], "nonResourceRules": [paths], "incomplete": False}}))  # fmt: skip
    status = rules(lab, "shop-prod")
    assert status["incomplete"] is True
    assert ("*", "*.*") not in flat(status)
    assert not any("secrets" in what for _, what in flat(status))
    assert ("*", "/test/*") in flat(status)
    # dave's Access makes none.
    status = rules(lab, "globex-prod", "dave")
    assert ("*", "*.*") in flat(status)


@pytest.mark.parametrize("body", [
    "", "{", "[]", '{"status":[]}', '{"status":{"resourceRules":{}}}',
    '{"status":{"resourceRules":[{"verbs":"*"}]}}', '{"status":{"resourceRules":[["get"]]}}',
    '{"status":{"resourceRules":[{"verbs":[1]}]}}',
    '{"status":{"resourceRules":[]},"status":{"resourceRules":[]}}',
    " " * 1_200_000,
])  # fmt: skip
def test_rules_that_cannot_be_read_do_not_pass(lab, api_says, body):
    api_says(201, body)
    assert post(lab, SSRR, {"spec": {"namespace": "shop-prod"}}).status == 500


def test_refusal_of_the_api_server_passes(lab):
    answer = post(lab, SSRR, {"spec": {}})
    assert answer.status == 400
    assert answer.json()["message"] == "no namespace on request"


# ---- lists in another name ----


@pytest.fixture
def lister_gate(lab):
    """A gate that asks for lists across namespaces as `lister`."""
    gate = Gate(lab, {"identity": "front-proxy\n  listsAs: lister"})
    yield gate
    gate.stop()


def test_filtered_lists_are_asked_in_the_name_that_is_configured(lab, lister_gate):
    everywhere = "/api/v1/configmaps"
    for namespace in ("shop-prod", "globex-prod"):
        body = {"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "c", "namespace": namespace}}  # fmt: skip
        lab.as_admin("POST", f"/api/v1/namespaces/{namespace}/configmaps",
                     json.dumps(body).encode(), [("Content-Type", "application/json")])  # fmt: skip
    # As herself the API server refuses her: her role there is of single namespaces.
    with lab.gate.http2() as c:
        refused = c.request("GET", everywhere, lab.gate.bearer())
        assert refused.status == 403 and "alice" in refused.json()["message"]
    with lister_gate.http2() as c:
        auth = lister_gate.bearer()
        listed = c.request("GET", f"{everywhere}?named", auth)
        assert listed.status == 200, listed.body
        assert {i["metadata"]["namespace"] for i in listed.json()["items"]} == {"shop-prod"}
        seen = lab.last_seen(f"{everywhere}?named")
        assert seen["user"] == "lister" and seen["groups"] == ["system:authenticated"]
        extra = {k.lower(): v for k, v in seen["headers"]}
        assert extra["x-remote-extra-ringfence.dev%2fuser"] == "alice"
        # Everything else is asked as herself, and refused where the API server does.
        target = "/api/v1/namespaces/shop-prod/configmaps?own"
        assert c.request("GET", target, auth).status == 200
        assert lab.last_seen(target)["user"] == "alice"
        assert c.request("GET", "/api/v1/namespaces/shop-dev/configmaps", auth).status == 403
        assert c.request("GET", "/api/v1/services", auth).status == 403
        # The review says what the list comes to.
        for resource, allowed in (("configmaps", True), ("services", False)):
            body = {"spec": {"resourceAttributes": {"verb": "list", "resource": resource}}}
            headers = auth + [("content-type", "application/json")]
            answer = c.request("POST", SSAR, headers, json.dumps(body).encode())
            assert answer.json()["status"]["allowed"] is allowed


@needs_kubectl
def test_kubectl_lists_rights(lab, kubectl):
    out = kubectl("auth", "can-i", "--list")
    assert "deployments.apps" in out and "secrets" not in out


@needs_kubectl
def test_kubectl_auth_can_i(lab, kubectl):
    def can_i(*arguments):
        return kubectl("auth", "can-i", *arguments, check=False).stdout.split()[:1]

    assert can_i("get", "pods") == ["yes"]
    assert can_i("get", "pods", "-n", "globex-prod") == ["no"]
    assert can_i("get", "secrets") == ["no"]
    assert can_i("list", "pods", "-A") == ["yes"]
    assert can_i("delete", "pods") == ["no"]
    assert can_i("get", "/test/echo") == ["yes"]
