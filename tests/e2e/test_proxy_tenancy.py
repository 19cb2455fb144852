"""Lists and watches across namespaces: each tenant sees its own, and nothing else."""

import base64
import json
import os
import re
import subprocess

import pytest

from proxy_lab import BUILD, POLICY, SANITIZED, lab, wait_until  # noqa: F401

# What dave, of globex, has; alice is of acme.  Nobody has a right in `default`.
PODS = "/api/v1/pods"
OURS = {"shop-prod/web-0", "shop-prod/web-1", "shop-dev/web-9"}
THEIRS = {"globex-prod/db-0", "globex-prod/db-1", "default/lost"}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
ACME_IN_GLOBEX = """---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: guests, namespace: /globex }
spec:
  groups: [acme-admins]
  default:
    - { action: allow, verbs: [get, list, watch], resources: [pods, namespaces] }
"""


def pod(namespace, name, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"containers": [{"name": "c", "image": "example.invalid/app:1"}]},
    }


def create(lab, namespace, name, **metadata):
    answer = lab.as_admin(
        "POST",
        f"/api/v1/namespaces/{namespace}/pods",
        json.dumps(pod(namespace, name, **metadata)).encode(),
        [("Content-Type", "application/json")],
    )
    assert answer.status == 201, answer.body
    return answer.json()


def delete(lab, namespace, name):
    answer = lab.as_admin("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}")
    assert answer.status == 200


@pytest.fixture(scope="module", autouse=True)
def pods(lab):
    for full in sorted(OURS | THEIRS):
        namespace, name = full.split("/")
        if name not in ("web-0", "web-1"):
            # A label that spoofs, where a careless reader looks.
            create(lab, namespace, name, labels={"namespace": "shop-prod"})


@pytest.fixture
def policy(lab):
    """policy(text): in force when it returns; the usual one comes back afterwards."""
    yield lab.gate.load_policy
    lab.gate.load_policy(POLICY)


def get(lab, target, user="alice", accept=None, method="GET", token=None, protocol="h2"):
    headers = lab.gate.bearer(user, token)
    if accept:
        headers = headers + [("accept", accept)]
    with lab.gate.connect(protocol) as c:
        return c.request(method, target, headers)


def objects(answer):
    assert answer.status == 200, answer.body
    body = answer.json()
    return [row["object"] for row in body["rows"]] if "rows" in body else body["items"]


def names(answer):
    return {
        f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}" for o in objects(answer)
    }


# ---- lists ----


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", TABLE, PARTIAL,
                                    f"{TABLE},application/json", "application/cbor, */*;q=0.1"])  # fmt: skip
@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_list_shows_each_tenant_its_own(lab, accept, protocol):
    answer = get(lab, PODS, accept=accept, protocol=protocol)
    assert names(answer) == OURS
    assert answer.header("content-type") == "application/json"
    whole = lab.as_admin("GET", PODS).json()
    assert answer.json()["metadata"] == {
        "resourceVersion": whole["metadata"]["resourceVersion"]
    }
    assert names(get(lab, PODS, "dave", accept=accept)) == {
        "globex-prod/db-0", "globex-prod/db-1"
    }  # fmt: skip


def test_items_are_passed_byte_for_byte(lab):
    whole = {i["metadata"]["name"]: i for i in lab.as_admin("GET", PODS).json()["items"]}
    for item in objects(get(lab, PODS)):
        assert item == whole[item["metadata"]["name"]]


TARGETS = [
    PODS, f"{PODS}?pretty=true", f"{PODS}?limit=1", f"{PODS}?limit=3",
    f"{PODS}?fieldSelector=metadata.namespace%3Dglobex-prod",
    f"{PODS}?fieldSelector=metadata.name%3Ddb-0",
    f"{PODS}?labelSelector=namespace%3Dshop-prod",
    "/api/v1/watch/pods?timeoutSeconds=1", f"{PODS}?watch=1&timeoutSeconds=1",
    f"{PODS}?includeObject=None", f"{PODS}?includeObject=Object",
    "/api/v1/namespaces", "/api/v1/namespaces?limit=1",
    "/api/v1/configmaps", "/api/v1/events?limit=1",
]  # fmt: skip


def with_tokens_read(body):
    """The body, with the bytes of a `continue` token in the token's place: four letters of a
    sealed one's base64 spell any short word now and then."""
    return re.sub(rb'(?<="rfc1)[-_A-Za-z0-9]+(?=")',
                  lambda m: base64.urlsafe_b64decode(m[0] + b"=" * (-len(m[0]) % 4)), body)


def test_nothing_of_others_is_in_any_answer(lab):
    asked = {}
    with lab.gate.http2() as c:
        for target in TARGETS:
            for accept in (None, TABLE, PARTIAL):
                if accept == PARTIAL and "watch" in target:
                    accept = PARTIAL.replace("MetadataList", "Metadata")
                headers = lab.gate.bearer() + ([("accept", accept)] if accept else [])
                asked[c.start("GET", target, headers)] = (target, accept)
        for stream, question in asked.items():
            answer = c.wait(stream)
            assert answer.status == 200 and answer.complete, (question, answer.body)
            for word in (b"globex", b"db-0", b"db-1", b"lost", b"remaining", b"kube-system"):
                assert word not in with_tokens_read(answer.body), question


def test_who_has_no_right_anywhere_is_refused(lab):
    answer = get(lab, PODS, "frank")
    assert answer.status == 403
    assert answer.json()["message"] == (
        'pods is forbidden: User "frank" cannot list resource "pods" in API group "" '
        "at the cluster scope"
    )
    assert get(lab, f"{PODS}?watch=1", "frank").status == 403
    # A right to pods is none to secrets: acme's own rule denies them.
    assert get(lab, "/api/v1/secrets").status == 403
    before = len(lab.api.requests())
    assert get(lab, "/api/v1/secrets").status == 403
    assert len(lab.api.requests()) == before


def test_cluster_scoped_kinds_stay_refused(lab):
    before = len(lab.api.requests())
    for target in ("/api/v1/nodes", "/api/v1/nodes?watch=1", "/api/v1/persistentvolumes",
                   "/apis/rbac.authorization.k8s.io/v1/clusterroles",
                   "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"):  # fmt: skip
        answer = get(lab, target)
        assert answer.status == 403
        assert "at the cluster scope" in answer.json()["message"]
    assert len(lab.api.requests()) == before


def test_unknown_cluster_scoped_kind_is_refused_by_its_first_object(lab):
    target = "/apis/shop.example/v1/gadgets"
    items = '{"metadata":{"name":"one"}},{"metadata":{"name":"two"}}'
    table = '{"kind":"Table","metadata":{},"columnDefinitions":[],"rows":[{"object":%s}]}'
    for body in ('{"kind":"GadgetList","metadata":{},"items":[%s]}' % items,
                 table % '{"metadata":{"name":"one"}}'):  # fmt: skip
        lab.faults({"path": "gadgets", "do": "raw",
                    "headers": [["Content-Type", "application/json"]], "body": body})  # fmt: skip
        try:
            answer = get(lab, target)
            assert answer.status == 403
            assert b"one" not in answer.body
            assert 'cannot list resource "gadgets"' in answer.json()["message"]
        finally:
            lab.faults()


def test_namespaces_are_listed_by_their_names(lab):
    for accept in (None, TABLE, PARTIAL):
        assert names(get(lab, "/api/v1/namespaces", accept=accept)) == {
            "/shop-prod", "/shop-dev"
        }  # fmt: skip
    assert names(get(lab, "/api/v1/namespaces", "dave")) == {"/globex-prod"}


def test_root_right_does_not_lift_a_deeper_denial(lab, policy):
    """A default at / is overridden by the nearest: so it is in lists."""
    policy(POLICY + """---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: auditors, namespace: / }
spec:
  users: [frank]
  default: [ { action: allow, verbs: [list, watch], resources: ["*"] } ]
---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: no-auditors, namespace: /globex }
spec:
  users: [frank]
  default: [ { action: deny, verbs: ["*"], resources: ["*"] } ]
""")  # fmt: skip
    wait_until(lambda: get(lab, PODS, "frank").status == 200)
    assert names(get(lab, PODS, "frank")) == OURS | {"default/lost"}
    assert "/kube-system" in names(get(lab, "/api/v1/namespaces", "frank"))
    assert "/globex-prod" not in names(get(lab, "/api/v1/namespaces", "frank"))
    assert get(lab, "/api/v1/nodes", "frank").status == 200
    # Rows that do not say whose they are never pass for objects of the cluster.
    answer = get(lab, f"{PODS}?includeObject=None", "frank", TABLE)
    assert b"db-0" not in answer.body and b"web-0" in answer.body


def test_who_may_everywhere_gets_the_answer_as_it_is(lab, policy):
    policy(POLICY + """---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: operators, namespace: / }
spec:
  users: [frank]
  mandatory: [ { action: allow, verbs: ["*"], resources: ["*"] } ]
""")  # fmt: skip
    wait_until(lambda: b"db-0" in get(lab, PODS, "frank").body)
    assert names(get(lab, PODS, "frank")) >= OURS | THEIRS
    page = get(lab, f"{PODS}?limit=1", "frank").json()["metadata"]
    assert page["remainingItemCount"] > 0


def test_token_sees_what_its_scope_covers(lab):
    scope = {"namespaces": ["shop-dev"], "resources": ["pods"]}
    body = json.dumps({"name": "t", "ttl": "1h", "scopes": [scope]}).encode()
    headers = lab.gate.bearer() + [("content-type", "application/json")]
    with lab.gate.http2() as c:
        token = c.request("POST", "/ringfence/v1/tokens", headers, body).json()["token"]
    assert names(get(lab, PODS, token=token)) == {"shop-dev/web-9"}
    assert get(lab, "/api/v1/configmaps", token=token).status == 403


def test_head_tells_nothing(lab):
    answer = get(lab, PODS, method="HEAD", protocol="http/1.1")
    assert answer.status == lab.as_admin("HEAD", PODS).status
    assert answer.header("content-length") is None
    assert answer.body == b""


# ---- what cannot be filtered ----


@pytest.mark.parametrize("accept", [
    "application/vnd.kubernetes.protobuf", "application/yaml", "application/cbor",
    "application/vnd.kubernetes.protobuf;stream=watch", "text/html",
])  # fmt: skip
def test_forms_that_cannot_be_filtered_are_refused(lab, accept):
    answer = get(lab, PODS, accept=accept)
    assert answer.status == 406
    assert answer.json()["reason"] == "NotAcceptable"
    assert get(lab, "/api/v1/namespaces/shop-prod/pods", accept=f"{accept},*/*").status == 200


def test_watch_by_websocket_is_refused_before_the_api_server_sees_it(lab):
    lines = [f"GET {PODS}?watch=1&socket HTTP/1.1", "Host: x", "Connection: Upgrade",
             "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
    lines += [f"{k}: {v}" for k, v in lab.gate.bearer()]
    with lab.gate.http1() as c:
        c.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert c.read_response("GET").status == 406
    assert not lab.seen(f"{PODS}?watch=1&socket")


def test_json_is_chosen_where_clients_prefer_protobuf(lab):
    accept = "application/vnd.kubernetes.protobuf, application/json;q=0.5"
    answer = get(lab, f"{PODS}?preferred", accept=accept)
    assert names(answer) == OURS
    seen = dict(lab.last_seen(f"{PODS}?preferred")["headers"])
    lowered = {k.lower(): v for k, v in seen.items()}
    assert lowered["accept"] == "application/json;q=0.5"
    assert "accept-encoding" not in lowered


def item(namespace, extra=""):
    return '{"metadata":{"name":"x","namespace":"%s"%s}}' % (namespace, extra)


HOSTILE = [
    # (content type, body)
    ("application/vnd.kubernetes.protobuf", "k8s\0theirs"),
    ("application/yaml", "items: [theirs]"),
    ("text/plain", "theirs"),
    ("application/json", "theirs"),
    ("application/json", '[%s]' % item("theirs")),
    ("application/json", '{"data":[%s]}' % item("theirs")),
    ("application/json", '{"metadata":{},"items":{"theirs":%s}}' % item("theirs")),
]


@pytest.mark.parametrize("media,body", HOSTILE)
def test_answers_that_are_no_lists_do_not_pass(lab, media, body):
    rule = {"path": "hostile", "do": "raw", "headers": [["Content-Type", media]], "body": body}
    lab.faults(rule)
    try:
        answer = get(lab, f"{PODS}?hostile")
        assert answer.status == 500
        assert b"theirs" not in answer.body
        assert answer.json()["reason"] == "InternalError"
    finally:
        lab.faults()


def test_item_without_a_namespace_and_duplicates_do_not_pass(lab):
    items = [
        item("shop-prod"),
        '{"metadata":{"name":"theirs"}}',
        '{"spec":"theirs"}',
        '{"metadata":{"namespace":"shop-prod"},"metadata":{"namespace":"theirs"}}',
        '{"metadata":{"namespace":"theirs"},"metadata":{"namespace":"shop-prod"}}',
        '{"metadata":{"namespace":"shop-prod","n\\u0061mespace":"theirs"}}',
        '{"metadata":{"labels":{"metadata":{"namespace":"shop-prod"}},"namespace":"theirs"}}',
        "%s" % item("theirs", ',"annotations":{"a":"%s"}' % ("x" * 100_000)),
        "[%s]" % item("shop-prod"),
        item("shop-dev"),
    ]
    body = '{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[%s]}' % ",".join(items)
    lab.faults({"path": "hostile", "do": "raw",
                "headers": [["Content-Type", "application/json"]], "body": body})  # fmt: skip
    try:
        answer = get(lab, f"{PODS}?hostile")
        assert [i["metadata"]["namespace"] for i in answer.json()["items"]] == [
            "shop-prod", "shop-dev"
        ]  # fmt: skip
        assert b"theirs" not in answer.body
    finally:
        lab.faults()


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_list_that_breaks_off_does_not_look_whole(lab, protocol):
    lab.faults({"path": "hostile", "do": "cut", "after": 1200})
    try:
        try:
            answer = get(lab, f"{PODS}?hostile", protocol=protocol)
        except (ConnectionError, ValueError):
            return
        assert answer is None or not answer.complete or answer.status >= 500
    finally:
        lab.faults()


def test_large_lists_pass_within_bounded_memory(lab):
    """6 MB from the API server, a third of it for the client."""
    big = "y" * 100_000
    one = item("theirs", ',"annotations":{"a":"%s"}' % big)
    two = item("shop-prod", ',"annotations":{"a":"%s"}' % big)
    parts = [one, two, one] * 20
    body = '{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[%s]}' % ",".join(parts)
    lab.faults({"path": "hostile", "do": "raw",
                "headers": [["Content-Type", "application/json"]], "body": body})  # fmt: skip
    try:
        get(lab, PODS)
        before = lab.gate.memory()
        answer = get(lab, f"{PODS}?hostile")
        assert len(answer.json()["items"]) == 20
        assert SANITIZED or lab.gate.memory() - before < 4_000_000
    finally:
        lab.faults()


# ---- pages ----


@pytest.mark.parametrize("accept", [None, TABLE])
def test_pages_go_on_where_the_last_one_ended(lab, accept):
    seen, target, pages = [], f"{PODS}?limit=2", 0
    while True:
        answer = get(lab, target, accept=accept)
        seen += sorted(names(answer))
        metadata = answer.json()["metadata"]
        assert "remainingItemCount" not in metadata
        pages += 1
        if not metadata.get("continue"):
            break
        target = f"{PODS}?limit=2&continue={metadata['continue']}"
    assert sorted(seen) == sorted(OURS)
    assert pages >= 3


def test_continue_token_is_opaque_and_bound(lab):
    token = get(lab, f"{PODS}?limit=1").json()["metadata"]["continue"]
    clear = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert b"start" not in clear and b"default" not in clear
    # Neither another user's, nor another list's, nor changed, nor the API server's own.
    other = get(lab, f"{PODS}?limit=1&continue={token}", "dave")
    assert other.status == 410 and other.json()["reason"] == "Expired"
    assert get(lab, f"/api/v1/configmaps?limit=1&continue={token}").status == 410
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    assert get(lab, f"{PODS}?limit=1&continue={changed}").status == 410
    own = lab.as_admin("GET", f"{PODS}?limit=1").json()["metadata"]["continue"]
    assert get(lab, f"{PODS}?limit=1&continue={own}").status == 400
    assert get(lab, f"{PODS}?limit=1&continue=").status == 200


def test_expired_page_gives_no_name_away(lab):
    token = get(lab, f"{PODS}?limit=1").json()["metadata"]["continue"]
    create(lab, "shop-dev", "compacted")
    delete(lab, "shop-dev", "compacted")
    assert lab.as_admin("POST", "/test/compact").status == 200
    answer = get(lab, f"{PODS}?limit=1&continue={token}")
    assert answer.status == 410
    status = answer.json()
    assert status["reason"] == "Expired"
    sealed = status["metadata"].get("continue")
    if sealed:  # it leads to the rest, and says nothing
        assert sealed.startswith("rfc1")
        assert get(lab, f"{PODS}?limit=500&continue={sealed}").status == 200


# ---- watches ----


class Watch:
    def __init__(self, lab, target, user="alice", accept=None):
        self.connection = lab.gate.http2()
        headers = lab.gate.bearer(user) + ([("accept", accept)] if accept else [])
        self.stream = self.connection.start("GET", target, headers)
        self.answer = self.connection.wait(self.stream, lambda r: True)
        assert self.answer.status == 200, self.answer.body

    def events(self):
        return [json.loads(line) for line in bytes(self.answer.body).splitlines()]

    def wait(self, count):
        self.connection.wait(self.stream, lambda r: r.body.count(b"\n") >= count)
        return self.events()

    def end(self):
        self.connection.wait(self.stream)
        return self.events()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.connection.close()


def about(events):
    out = []
    for e in events:
        o = e["object"]
        if o["kind"] == "Table":
            o = o["rows"][0]["object"]
        out.append((e["type"], f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}"))
    return out


@pytest.mark.parametrize("accept", [None, TABLE])
def test_watch_shows_each_tenant_its_own(lab, accept):
    version = get(lab, PODS).json()["metadata"]["resourceVersion"]
    target = f"{PODS}?watch=1&resourceVersion={version}"
    with Watch(lab, target, accept=accept) as alice, Watch(lab, target, "dave", accept) as dave:
        for namespace in ("globex-prod", "shop-prod", "default", "shop-dev"):
            create(lab, namespace, "seen", labels={"namespace": "shop-prod"})
        for namespace in ("globex-prod", "shop-prod", "default", "shop-dev"):
            delete(lab, namespace, "seen")
        assert about(alice.wait(6)) == [
            ("ADDED", "shop-prod/seen"), ("ADDED", "shop-dev/seen"),
            ("MODIFIED", "shop-prod/seen"), ("DELETED", "shop-prod/seen"),
            ("MODIFIED", "shop-dev/seen"), ("DELETED", "shop-dev/seen"),
        ]  # fmt: skip
        assert about(dave.wait(3)) == [
            (kind, "globex-prod/seen") for kind in ("ADDED", "MODIFIED", "DELETED")
        ]


def test_watch_without_a_version_begins_with_what_is_there(lab):
    with Watch(lab, f"{PODS}?watch=1") as w:
        assert {name for _, name in about(w.wait(len(OURS)))} == OURS


def test_bookmarks_pass(lab):
    target = f"{PODS}?watch=1&allowWatchBookmarks=true&sendInitialEvents=true"
    with Watch(lab, f"{target}&resourceVersionMatch=NotOlderThan") as w:
        events = w.wait(len(OURS) + 1)
        assert events[-1]["type"] == "BOOKMARK"
        annotations = events[-1]["object"]["metadata"]["annotations"]
        assert annotations["k8s.io/initial-events-end"] == "true"


def test_error_of_a_watch_passes(lab):
    with Watch(lab, f"{PODS}?watch=1&resourceVersion=1") as w:
        (event,) = w.end()
        assert event["type"] == "ERROR" and event["object"]["code"] == 410


def test_namespace_that_is_created_appears(lab):
    version = get(lab, "/api/v1/namespaces").json()["metadata"]["resourceVersion"]
    with Watch(lab, f"/api/v1/namespaces?watch=1&resourceVersion={version}") as w:
        # acme owns /acme; a namespace that nobody placed is /NAME, and so is this one.
        for name in ("other", "acme"):
            body = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            lab.as_admin("POST", "/api/v1/namespaces", body.encode(),
                         [("Content-Type", "application/json")])  # fmt: skip
        assert about(w.wait(1)) == [("ADDED", "/acme")]


def test_watch_ends_with_410_when_more_can_be_seen(lab, policy):
    version = get(lab, PODS).json()["metadata"]["resourceVersion"]
    with Watch(lab, f"{PODS}?watch=1&resourceVersion={version}") as w:
        policy(POLICY + ACME_IN_GLOBEX)
        (event,) = w.end()
        assert event["type"] == "ERROR"
        assert event["object"]["code"] == 410 and event["object"]["reason"] == "Expired"
        assert w.answer.complete
    assert names(get(lab, PODS)) == OURS | {"globex-prod/db-0", "globex-prod/db-1"}
    # ... and when it cannot be seen any more.
    with Watch(lab, f"{PODS}?watch=1&resourceVersion={version}") as w:
        policy(POLICY)
        assert [e["type"] for e in w.end()] == ["ERROR"]


def test_watch_ends_when_a_namespace_is_moved(lab, policy):
    version = get(lab, PODS).json()["metadata"]["resourceVersion"]
    with Watch(lab, f"{PODS}?watch=1&resourceVersion={version}") as w:
        policy(POLICY.replace("[shop-prod, shop-dev]", "[shop-prod]")
                     .replace("[globex-prod]", "[globex-prod, shop-dev]"))  # fmt: skip
        assert [e["type"] for e in w.end()] == ["ERROR"]
    assert names(get(lab, PODS)) == {"shop-prod/web-0", "shop-prod/web-1"}


def test_watch_goes_on_when_nothing_changes_for_it(lab, policy):
    version = get(lab, PODS).json()["metadata"]["resourceVersion"]
    with Watch(lab, f"{PODS}?watch=1&resourceVersion={version}", "dave") as w:
        policy(POLICY + ACME_IN_GLOBEX)
        wait_until(lambda: len(names(get(lab, PODS))) > len(OURS))
        create(lab, "globex-prod", "later")
        assert about(w.wait(1)) == [("ADDED", "globex-prod/later")]
        delete(lab, "globex-prod", "later")


def test_watch_ends_when_the_right_is_lost(lab, policy):
    with Watch(lab, f"{PODS}?watch=1&resourceVersion=0", "dave") as w:
        policy(POLICY.replace("groups: [globex-admins]", "groups: [nobody]"))
        w.end()
    assert get(lab, PODS, "dave").status == 403


# ---- the tool ----


def test_can_i_says_what_the_gate_does(lab, tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    program = os.path.join(BUILD, "authn/ringfence-can-i")
    groups = {"alice": ["acme-admins", "acme-staff"], "dave": ["globex-admins"], "frank": []}
    cases = [("get", "pods/log", "shop-prod", "/api/v1/namespaces/shop-prod/pods/x/log")]
    for resource in ("pods", "secrets", "nodes"):
        cases.append(("list", resource, "", f"/api/v1/{resource}"))
        for ns in ("shop-prod", "globex-prod", "default"):
            cases.append(("list", resource, ns, f"/api/v1/namespaces/{ns}/{resource}"))
    cases += [("get", "/test/echo", "", "/test/echo"), ("get", "/metrics", "", "/metrics"),
              ("get", "/version", "", "/version")]  # fmt: skip
    for user, of in groups.items():
        for verb, resource, namespace, target in cases:
            argv = [program, "--as", user]
            argv += [a for g in of for a in ("--as-group", g)]
            argv += ["-n", namespace] if namespace else []
            argv += [str(tmp_path), "--", verb, resource, *(["x"] if "/log" in resource else [])]
            said = subprocess.run(argv, capture_output=True, text=True).returncode
            assert (get(lab, target, user).status == 403) == (said == 1), argv


# ---- record ----


def test_filtered_list_is_on_record(lab):
    answer = get(lab, f"{PODS}?recorded")
    audit_id = answer.header("audit-id")
    wait_until(lambda: lab.gate.audit_of(audit_id))
    (event,) = lab.gate.audit_of(audit_id)
    assert event["user"]["username"] == "alice"
    assert event["annotations"]["ringfence.dev/decided-by"] == "Access of each namespace"
    assert event["requestURI"] == f"{PODS}?recorded"
