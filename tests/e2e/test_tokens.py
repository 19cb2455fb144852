"""Tokens: who may make which, what they open, and how they end."""

import string
import zlib

import pytest

import gate_lab
from gate_lab import PODS, call, get, login, wait_until


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with gate_lab.make(
        tmp_path_factory.mktemp("tokens"), {"workers: 1": "workers: 2"}
    ) as made:
        yield made
        gate_lab.assert_clean(made.gate)


def create(lab, body, user="alice", token=None):
    return call(
        lab.gate, "POST", "/ringfence/v1/tokens", token or lab.gate.token(user), body
    )


def test_token_from_a_token(lab):
    answer = create(lab, {"name": "ci", "ttl": "1h"})
    assert answer.status == 201
    assert get(lab.gate, answer.json()["token"]).status == 200
    listed = call(lab.gate, "GET", "/ringfence/v1/tokens", lab.gate.token()).json()
    (entry,) = [t for t in listed["tokens"] if t["id"] == answer.json()["id"]]
    assert entry["name"] == "ci" and entry["revoked"] is False
    assert "token" not in entry


@pytest.mark.parametrize(
    "scope, path, status",
    [
        ({"verbs": ["list"]}, PODS, 200),
        ({"verbs": ["get"]}, PODS, 403),
        ({"resources": ["pods"]}, PODS, 200),
        ({"resources": ["secrets"]}, PODS, 403),
        ({"namespaces": ["/acme/shop"]}, PODS, 200),
        ({"namespaces": ["/globex"]}, PODS, 403),
        ({"namespaces": ["shop-prod"]}, PODS, 200),
        ({"namespaces": ["shop-dev"]}, PODS, 403),
    ],
)
def test_scope(lab, scope, path, status):
    token = create(lab, {"scopes": [scope]}).json()["token"]
    assert get(lab.gate, token, path).status == status


def test_scoped_token_makes_no_token(lab):
    token = create(lab, {"scopes": [{"verbs": ["list"]}]}).json()["token"]
    assert create(lab, {}, token=token).status == 403


@pytest.mark.parametrize(
    "body",
    [
        {"ttl": "721h"},
        {"ttl": "0s"},
        {"ttl": "-1h"},
        {"ttl": "1d"},
        {"ttl": 5},
        {"ttl": "99999999999999999999h"},
        {"scopes": []},
        {"scopes": [{}]},
        {"scopes": [{"verbs": []}]},
        {"scopes": [{"users": ["a"]}]},
        {"unknown": 1},
        {"name": "x" * 129},
        [],
    ],
)
def test_bad_body_is_refused(lab, body):
    assert create(lab, body).status == 400


def test_token_never_outlives_the_one_that_made_it(lab):
    short = login(lab.gate, "alice", "alice-secret", {"ttl": "10m"}).json()
    made = create(lab, {"ttl": "10h"}, token=short["token"]).json()
    assert made["expires"] <= short["expires"]


def test_expired_token_is_refused_and_ends_streams(lab):
    token = login(lab.gate, "alice", "alice-secret", {"ttl": "2s"}).json()["token"]
    with lab.gate.http2() as c:
        stream = c.start("GET", PODS + "?watch=1", lab.gate.bearer(token=token))
        c.wait(stream, until=lambda r: r.status_line)
        assert get(lab.gate, token).status == 200
        c.wait(stream)
    assert get(lab.gate, token).status == 401


def test_revocation_holds_on_the_next_request_in_every_worker(lab):
    for _ in range(10):
        token = login(lab.gate, "alice", "alice-secret").json()["token"]
        # New connections land on both workers: both know the token.
        assert {get(lab.gate, token).status for _ in range(8)} == {200}
        path = "/ringfence/v1/tokens/" + token.split("_")[1]
        assert call(lab.gate, "DELETE", path, token).status == 204
        assert {get(lab.gate, token).status for _ in range(8)} == {401}


def test_revocation_ends_open_watches(lab):
    token = login(lab.gate, "alice", "alice-secret").json()["token"]
    with lab.gate.http2() as c:
        stream = c.start("GET", PODS + "?watch=1", lab.gate.bearer(token=token))
        c.wait(stream, until=lambda r: r.status_line)
        path = "/ringfence/v1/tokens/" + token.split("_")[1]
        assert call(lab.gate, "DELETE", path, lab.gate.token()).status == 204
        c.wait(stream)


def test_nobody_sees_or_ends_the_tokens_of_others(lab):
    token_id = lab.gate.token("alice").split("_")[1]
    bob = lab.gate.token("bob")
    listed = call(lab.gate, "GET", "/ringfence/v1/tokens", bob).json()["tokens"]
    assert token_id not in [t["id"] for t in listed]
    assert call(lab.gate, "DELETE", f"/ringfence/v1/tokens/{token_id}", bob).status == 404
    assert get(lab.gate, lab.gate.token("alice")).status == 200


def rotate(lab, token_id, token, body=None):
    return call(lab.gate, "POST", f"/ringfence/v1/tokens/{token_id}/rotate", token, body)


def test_rotated_token_ends_and_the_fresh_one_is_what_it_was(lab):
    scopes = [{"namespaces": ["/acme/shop"], "verbs": ["list"]}]
    old = create(lab, {"name": "deploy", "ttl": "2h", "scopes": scopes}).json()
    assert {get(lab.gate, old["token"]).status for _ in range(8)} == {200}
    answer = rotate(lab, old["id"], lab.gate.token())
    assert answer.status == 201
    fresh = answer.json()
    assert fresh["id"] != old["id"] and fresh["expires"] == old["expires"]
    assert {get(lab.gate, old["token"]).status for _ in range(8)} == {401}
    assert {get(lab.gate, fresh["token"]).status for _ in range(8)} == {200}
    listed = call(lab.gate, "GET", "/ringfence/v1/tokens", lab.gate.token()).json()
    by_id = {t["id"]: t for t in listed["tokens"]}
    assert by_id[old["id"]]["revoked"] and not by_id[fresh["id"]]["revoked"]
    assert by_id[fresh["id"]]["scopes"] == scopes
    assert by_id[fresh["id"]]["name"] == "deploy"
    assert rotate(lab, old["id"], lab.gate.token()).status == 404


def test_scoped_token_rotates_itself_and_both_work_meanwhile(lab):
    old = create(lab, {"ttl": "2h", "scopes": [{"verbs": ["list"]}]}).json()
    other = create(lab, {"ttl": "2h"}).json()
    assert rotate(lab, other["id"], old["token"]).status == 403
    answer = rotate(lab, old["id"], old["token"], {"overlap": "1h", "ttl": "700h"})
    assert answer.status == 201
    assert answer.json()["expires"] == old["expires"]  # never wider, never longer
    for token in (old["token"], answer.json()["token"]):
        assert {get(lab.gate, token).status for _ in range(8)} == {200}
    listed = call(lab.gate, "GET", "/ringfence/v1/tokens", lab.gate.token()).json()
    (entry,) = [t for t in listed["tokens"] if t["id"] == old["id"]]
    assert not entry["revoked"] and entry["expires"] < old["expires"]


@pytest.mark.parametrize(
    "body", [{"overlap": "169h"}, {"overlap": 1}, {"ttl": "721h"}, {"name": "x"}, []]
)
def test_bad_rotation_changes_nothing(lab, body):
    token = create(lab, {}).json()
    assert rotate(lab, token["id"], token["token"], body).status == 400
    assert get(lab.gate, token["token"]).status == 200


def test_nobody_rotates_the_tokens_of_others(lab):
    token = create(lab, {}).json()
    assert rotate(lab, token["id"], lab.gate.token("bob")).status == 404
    assert rotate(lab, token["id"], None).status == 401
    assert get(lab.gate, token["token"]).status == 200


def _flipped(token):
    at = token.index("_", 3) + 4
    return token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :]


def _with_checksum(text):
    """As whoever knows the form would write it."""
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    crc, out = zlib.crc32(text.encode()), ""
    for _ in range(6):
        crc, digit = divmod(crc, 62)
        out = digits[digit] + out
    return text + out


def test_forged_tokens_are_refused(lab):
    token = lab.gate.token()
    assert _with_checksum(token[:-6]) == token
    another = _with_checksum(_flipped(token)[:-6])
    for forged in (_flipped(token), another, token[:-1], token + "a", "rf_", "x" * 50, ""):
        assert get(lab.gate, forged).status == 401
    # Of an id that no worker has heard of yet.
    fresh = login(lab.gate, "carol", "carol-secret").json()["token"]
    assert get(lab.gate, _with_checksum(_flipped(fresh)[:-6])).status == 401
    assert get(lab.gate, token).status == 200


def test_last_used_is_noted_when_the_store_is_asked(lab):
    token = login(lab.gate, "dave", "dave-secret").json()["token"]
    call(lab.gate, "GET", "/ringfence/v1/whoami", token)
    listed = call(lab.gate, "GET", "/ringfence/v1/tokens", token).json()["tokens"]
    assert all(t["lastUsed"] is None or t["lastUsed"] >= t["created"] for t in listed)


def test_no_more_tokens_than_are_allowed(tmp_path):
    config = {"workers: 1": "workers: 1\ntokens: {{ maxPerUser: 4 }}"}
    with gate_lab.make(tmp_path / "few", config) as few:
        first, second = (few.gate.login("alice") for _ in range(2))
        named = create(few, {"name": "ci"}, token=first["token"]).json()
        create(few, {"scopes": [{"verbs": ["list"]}]}, token=first["token"])
        answer = create(few, {"name": "one more"}, token=first["token"])
        assert answer.status == 403 and answer.json()["reason"] == "Forbidden"
        assert "you have 4 tokens" in answer.json()["message"]
        assert "ringfence token revoke" in answer.json()["message"]
        # A rotation takes a place that is there; with an overlap it would be one more.
        path = f"/ringfence/v1/tokens/{named['id']}/rotate"
        answer = call(few.gate, "POST", path, first["token"], {"overlap": "1h"})
        assert answer.status == 403 and "you have 4 tokens" in answer.json()["message"]
        assert call(few.gate, "POST", path, first["token"]).status == 201
        # A login takes that of the login that has not been used for the longest.
        third = few.gate.login("alice")
        assert get(few.gate, third["token"]).status == 200
        assert [get(few.gate, t["token"]).status for t in (first, second)] == [401, 200]
        # Others have their own; and a place that is given back can be taken.
        few.gate.login("bob")
        path = f"/ringfence/v1/tokens/{second['id']}"
        assert call(few.gate, "DELETE", path, third["token"]).status == 204
        assert create(few, {"name": "two"}, token=third["token"]).status == 201
        # Where all have names, and none is a login's, a login is one too many, too.
        path = f"/ringfence/v1/tokens/{third['id']}"
        create(few, {}, token=third["token"])
        assert call(few.gate, "DELETE", path, third["token"]).status == 204
        for name in ("three", "four"):
            answer = login(few.gate, "alice", "alice-secret", {"name": name})
        assert answer.status == 403 and "you have 4 tokens" in answer.json()["message"]
        assert get(few.gate, third["token"]).status == 401
        role = gate_lab.role_status(few.gate, "auth")
        assert role["tokensRefused"] == 4, role
        assert "ringfence_gate_tokens_refused_total 4" in gate_lab.metrics(few.gate)
        gate_lab.assert_clean(few.gate)


def test_tokens_survive_a_restart_and_revocations_too(lab):
    keep = login(lab.gate, "alice", "alice-secret").json()["token"]
    gone = login(lab.gate, "alice", "alice-secret").json()["token"]
    path = "/ringfence/v1/tokens/" + gone.split("_")[1]
    assert call(lab.gate, "DELETE", path, keep).status == 204
    lab.gate.drain()
    assert lab.gate.wait() == 0
    lab.gate._start()
    assert get(lab.gate, keep).status == 200
    assert get(lab.gate, gone).status == 401
    wait_until(lambda: gate_lab.status(lab.gate)["ready"], what="ready")
