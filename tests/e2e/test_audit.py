"""Every request leaves its records; the log proves that it is whole; without it nothing goes."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

import gate_lab
from gate_lab import PODS, audit, call, get, login, wait_until


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with gate_lab.make(tmp_path_factory.mktemp("audit")) as made:
        yield made
        gate_lab.assert_clean(made.gate)


def records(lab, answer):
    """Those of one request, once its last one is on disk."""
    audit_id = answer.header("audit-id")

    def complete():
        found = lab.gate.audit_of(audit_id)
        return found if any(e["stage"] == "ResponseComplete" for e in found) else None

    wait_until(complete, 5, "the record")
    return complete()


def test_read_has_one_record(lab):
    answer = get(lab.gate, lab.gate.token())
    (event,) = records(lab, answer)
    assert event["kind"] == "Event" and event["apiVersion"] == "audit.k8s.io/v1"
    assert event["level"] == "Metadata"
    assert event["verb"] == "list" and event["requestURI"] == PODS
    assert event["user"]["username"] == "alice"
    assert event["user"]["groups"] == ["acme-admins", "acme-staff", "system:authenticated"]
    assert event["sourceIPs"] == ["127.0.0.1"]
    assert event["objectRef"] == {
        "resource": "pods", "namespace": "shop-prod", "apiVersion": "v1",
    }  # fmt: skip
    assert event["responseStatus"]["code"] == 200
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
    assert stamp.fullmatch(event["requestReceivedTimestamp"])
    assert stamp.fullmatch(event["stageTimestamp"])


def test_change_has_a_record_before_and_one_after(lab):
    name = f"audited-{time.monotonic_ns()}"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    answer = call(
        lab.gate, "POST", "/api/v1/namespaces/shop-prod/configmaps", lab.gate.token(), body
    )
    assert answer.status == 201
    # Without waiting: both are on disk before the answer ends.
    stages = [e["stage"] for e in lab.gate.audit_of(answer.header("audit-id"))]
    assert stages == ["RequestReceived", "ResponseComplete"]


def test_denied_unknown_and_login_are_recorded(lab):
    bob = lab.gate.token("bob")
    answer = call(lab.gate, "DELETE", PODS + "/web-0", bob)
    assert answer.status == 403
    event = records(lab, answer)[-1]
    assert event["user"]["username"] == "bob"
    assert event["responseStatus"]["code"] == 403
    answer = get(lab.gate, "rf_nonsense")
    assert answer.status == 401
    event = records(lab, answer)[-1]
    assert event["responseStatus"]["code"] == 401
    answer = login(lab.gate, "erin", "wrong")
    assert records(lab, answer)[-1]["responseStatus"]["code"] == 401


def test_what_a_client_writes_writes_no_record(lab):
    """Nor a part of one: quotes, backslashes, line ends, bytes that are no UTF-8."""
    agent = b'x","user":{"username":"root"},"z":"\\\\" \\u0022 \xff\xfe \xe2\x80\xa8 end'
    target = PODS + '/x%22%0A%7B%22kind%22:%22Event%22%7D?a="},{"user":"root"'
    with lab.gate.http1() as c:
        head = f"GET {target} HTTP/1.1\r\nHost: x\r\n"
        head += f"Authorization: Bearer {lab.gate.token()}\r\n"
        c.send(head.encode() + b"User-Agent: " + agent + b"\r\n\r\n")
        answer = c.read_response()
    (event,) = records(lab, answer)
    assert event["user"]["username"] == "alice" and "z" not in event
    assert event["userAgent"] == agent.decode(errors="replace")
    assert event["requestURI"] == target or answer.status == 400
    assert audit(lab.gate, "verify").returncode == 0


def test_no_secret_is_recorded(lab):
    answer = login(lab.gate, "alice", "alice-secret")
    token = answer.json()["token"]
    get(lab.gate, token, PODS + "?access_token=abc123&token=def456")
    wait_until(
        lambda: any("access_token" in e["requestURI"] for e in lab.gate.audit_events()),
        5,
        "the record",
    )
    text = json.dumps(lab.gate.audit_events())
    for secret in (token, token.split("_")[2], "alice-secret", "abc123", "def456"):
        assert secret not in text
    assert "alice-secret" not in gate_lab.stderr(lab.gate)
    assert token not in gate_lab.stderr(lab.gate)


def test_verify_says_intact_while_the_gate_writes(lab):
    done = audit(lab.gate, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("intact: ")


def test_search(lab):
    get(lab.gate, lab.gate.token())
    time.sleep(0.2)  # a read's record: the next group commit
    done = audit(lab.gate, "search", "--user", "alice", "--verb", "list", "-o", "json")
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events and all(e["user"]["username"] == "alice" for e in events)
    assert audit(lab.gate, "search", "--user", "nobody-at-all").returncode == 1
    assert audit(lab.gate, "search", "--since", "2200-01-01T00:00:00Z").returncode == 1
    assert audit(lab.gate, "search", "--since", "yesterday").returncode == 2
    assert "list" in audit(lab.gate, "show").stdout


def test_tenants_and_tokens_are_named(lab):
    """By path and id, so that a reviewer finds a subtree, and what became of a token."""
    mine = login(lab.gate, "alice", "alice-secret").json()
    made = call(lab.gate, "POST", "/ringfence/v1/tokens", mine["token"], {"name": "ci"}).json()
    (event,) = records(lab, get(lab.gate, made["token"]))
    assert event["annotations"]["ringfence.dev/tenant"] == "/acme/shop"
    answer = call(lab.gate, "DELETE", f"/ringfence/v1/tokens/{made['id']}", mine["token"])
    assert answer.status == 204
    found = audit(lab.gate, "search", "--token", made["id"], "-o", "json").stdout.splitlines()
    events = [json.loads(line) for line in found]
    assert [(e["verb"], e["objectRef"]["resource"]) for e in events] == [
        ("post", "tokens"), ("list", "pods"), ("delete", "tokens"), ("delete", "tokens"),
    ]  # fmt: skip
    paper = json.loads(audit(lab.gate, "report", "-o", "json", "--user", "alice").stdout)
    tables = {t["id"]: t["rows"] for t in paper["tables"]}
    actions = [row[3:] for row in tables["tokens"] if row[4] == made["id"]]
    assert actions == [["created", made["id"]], ["revoked", made["id"]]]
    assert any(row[0] == made["id"] for row in tables["token-use"])
    assert paper["intact"] and paper["summary"]["gap"] == 0
    below = audit(lab.gate, "search", "--tenant", "/acme/shop", "--id", answer_id(found[1]))
    assert below.returncode == 0
    beside = audit(lab.gate, "search", "--tenant", "/acme/sho", "--id", answer_id(found[1]))
    assert beside.returncode == 1


def answer_id(line):
    return json.loads(line)["auditID"]


@pytest.fixture
def stopped_copy(lab, tmp_path):
    """The log as it is, to be spoilt; with a last line that is signed."""
    token = lab.gate.token()

    def counts():
        words = audit(lab.gate, "verify").stdout.split()
        return words[0] == "intact:", int(words[1]), int(words[3])

    before = counts()[1]
    get(lab.gate, token)

    def all_signed():
        # A read is on disk by the next group commit: its line must be there, and signed.
        intact, lines, signed = counts()
        return intact and lines > before and lines == signed

    wait_until(all_signed, 5, "a log signed to its end")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", os.path.join(lab.gate.directory, "audit"), copy], check=True)
    return copy


def verify(directory, *more):
    return subprocess.run(
        [gate_lab.program("ringfence-audit"), "verify", str(directory), *map(str, more)],
        capture_output=True,
        text=True,
    ).returncode


def test_changed_line_is_found(stopped_copy):
    log = stopped_copy / "log-0.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"alice"', b'"nobdy"', 1))
    assert verify(stopped_copy) == 1


def test_removed_line_is_found(stopped_copy):
    log = stopped_copy / "log-0.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:1] + lines[2:]))
    assert verify(stopped_copy) == 1


def test_cut_tail_is_found_by_a_checkpoint_kept_elsewhere(lab, stopped_copy, tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes((stopped_copy / "checkpoint").read_bytes())
    assert verify(stopped_copy, "--checkpoint", kept) == 0
    lines = (stopped_copy / "log-0.jsonl").read_bytes().splitlines(keepends=True)
    (stopped_copy / "log-0.jsonl").write_bytes(b"".join(lines[:-1]))
    assert verify(stopped_copy, "--checkpoint", kept) == 1


def test_nothing_to_verify_is_not_intact(tmp_path):
    assert verify(tmp_path) == 2
    assert verify(tmp_path / "none") == 2


# ---- what leaves the machine ----


def test_copy_follows_the_log_and_convicts(lab, stopped_copy, tmp_path):
    directory, kept = os.path.join(lab.gate.directory, "audit"), tmp_path / "kept"
    process = subprocess.Popen([gate_lab.program("ringfence-audit"), "copy", directory, kept])
    try:
        answer = get(lab.gate, lab.gate.token())
        audit_id = answer.header("audit-id").encode()
        log = kept / "log-0.jsonl"
        wait_until(lambda: log.exists() and audit_id in log.read_bytes(), 30, "the copy")
    finally:
        process.terminate()
        process.wait(30)
    assert verify(directory, "--against", kept) == 0
    assert verify(stopped_copy, "--against", kept) == 1  # what was there before has less


# ---- how much is recorded ----

AUDIT_POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- { level: None, verbs: [get, list, watch], resources: [ { group: "", resources: [pods] } ] }
- { level: RequestResponse, namespaces: [/acme/shop] }
"""


def test_levels_by_subtree_without_secrets_and_reloaded(tmp_path):
    policy = tmp_path / "audit-policy.yaml"
    policy.write_text(AUDIT_POLICY)
    config = {"mode: required }}": f"mode: required, policy: {policy} }}}}"}
    with gate_lab.make(tmp_path / "lab", config) as lab:
        token, bob = lab.gate.token(), lab.gate.token("bob")

        def create(name):
            body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"p": "hush"},
                    "metadata": {"name": name, "annotations": {"password": "hush"}}}  # fmt: skip
            answer = call(lab.gate, "POST", "/api/v1/namespaces/shop-prod/configmaps", token, body)
            assert answer.status == 201
            return lab.gate.audit_of(answer.header("audit-id"))

        received, complete = create("one")
        assert received["level"] == complete["level"] == "RequestResponse"
        assert "requestObject" not in received  # it had not come yet
        assert complete["requestObject"]["metadata"]["name"] == "one"
        assert complete["requestObject"]["data"] == "REDACTED"
        assert complete["responseObject"]["metadata"]["uid"]
        assert complete["responseObject"]["data"] == "REDACTED"
        assert "hush" not in json.dumps([received, complete])
        # A read that the policy wants no record of; but one that is refused has it.
        quiet, denied = get(lab.gate, token), get(lab.gate, bob, "/api/v1/nodes")
        assert quiet.status == 200 and denied.status == 403
        refused = call(lab.gate, "DELETE", PODS + "/web-0", bob)
        assert refused.status == 403
        create("two")  # its records come later in the log
        assert lab.gate.audit_of(quiet.header("audit-id")) == []
        assert lab.gate.audit_of(refused.header("audit-id"))[-1]["level"] == "Metadata"
        # What is too long is not there, and said to be not there.
        body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"p": "x" * 40000},
                "metadata": {"name": "long"}}  # fmt: skip
        long = call(lab.gate, "POST", "/api/v1/namespaces/shop-prod/configmaps", token, body)
        event = lab.gate.audit_of(long.header("audit-id"))[-1]
        assert "requestObject" not in event
        assert event["annotations"]["ringfence.dev/request-object"] == "too long"

        def reload(text, word):
            policy.write_text(text)
            before = gate_lab.stderr(lab.gate).count(word)
            lab.gate.process.send_signal(signal.SIGHUP)
            wait_until(lambda: gate_lab.stderr(lab.gate).count(word) > before, 30, word)

        reload(AUDIT_POLICY.replace("[get, list, watch]", "[create]"), "reload-failed")
        assert create("three")[-1]["level"] == "RequestResponse"  # what was in force stays
        reload(AUDIT_POLICY.replace("RequestResponse", "Metadata"), "in-force")
        wait_until(lambda: create(f"n{time.monotonic_ns()}")[-1]["level"] == "Metadata", 30)
        # Which configuration was in force when is on record too.
        found = audit(lab.gate, "search", "--kind", "policy", "--user", "ringfence:gate", "-o", "json")
        notes = [json.loads(line) for line in found.stdout.splitlines()]
        assert [n["responseStatus"]["code"] for n in notes] == [200, 500, 200]
        words = [n["annotations"]["ringfence.dev/detail"].split(", ") for n in notes]
        assert [w[0].split(":")[0] for w in words] == ["started", "not reloaded", "reloaded"]
        assert re.fullmatch("policy sha256:[0-9a-f]{64}", words[0][1]) and words[0][1] == words[2][1]
        assert audit(lab.gate, "verify").returncode == 0
        gate_lab.assert_clean(lab.gate)


# ---- a full disk ----


@pytest.fixture
def small_disk(tmp_path):
    with gate_lab.small_disk(tmp_path / "small", "256k") as path:
        yield path


@pytest.mark.parametrize("mode", ["required", "best-effort"])
def test_full_disk(tmp_path, small_disk, mode):
    config = {
        "audit: {{ directory: {directory}/audit, mode: required }}":
        f"audit: {{{{ directory: {small_disk}/audit, mode: {mode} }}}}",
    }  # fmt: skip
    with gate_lab.make(tmp_path / "lab", config) as lab:
        token = lab.gate.token()
        path = "/api/v1/namespaces/shop-prod/configmaps"

        def change(name):
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
            try:
                return call(lab.gate, "POST", path, token, body).status
            except ConnectionError:
                return "cut"  # its second record could not be written

        assert change("before") == 201
        gate_lab.fill(small_disk)
        statuses = [change(f"full-{i}") for i in range(40)]
        if mode == "required":
            assert statuses[-1] == 503
            assert set(statuses) <= {201, 503, "cut"} and statuses.count("cut") <= 1
            # Nothing was forwarded without its record.
            forwarded = len(lab.api.requests(verb="create", user="alice"))
            assert forwarded == 1 + statuses.count(201) + statuses.count("cut")
            assert get(lab.gate, token).status == 503
        else:
            assert set(statuses) == {201}
        os.unlink(small_disk / "ballast")
        wait_until(lambda: change(f"after-{time.monotonic_ns()}") == 201, 10, "recovery")
        done = subprocess.run(
            [gate_lab.program("ringfence-audit"), "verify", small_disk / "audit"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        gate_lab.assert_clean(lab.gate)


def test_record_that_does_not_fit_is_cut_and_stops_no_other(lab):
    """A target of characters that double when they are written as JSON."""
    token = lab.gate.token()
    answer = get(lab.gate, token, PODS + "?x=" + '"' * 40000)
    if answer.status == 200:
        (event,) = records(lab, answer)
        assert event["requestURI"].startswith(PODS)
    answer = get(lab.gate, token, PODS + "?x=" + "%22" * 15000 + '"' * 10000)
    assert answer.status in (200, 400, 414, 431)
    name = f"after-{time.monotonic_ns()}"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    path = "/api/v1/namespaces/shop-prod/configmaps"
    assert call(lab.gate, "POST", path, token, body).status == 201
