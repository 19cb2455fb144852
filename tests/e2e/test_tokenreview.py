"""TokenReview: an API server asks the gate whose token it is."""

import json

import pytest

from proxy_lab import POLICY, lab  # noqa: F401

PATH = "/ringfence/v1/tokenreviews"
REVIEWERS = """---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: api-servers, namespace: / }
spec:
  users: [grace]
  default:
    - { action: allow, verbs: [create], resources: [tokenreviews.authentication.k8s.io] }
"""
pytestmark = pytest.mark.parametrize(
    "lab", [{"policy": POLICY + REVIEWERS}], indirect=True
)


def review(lab, token, caller="grace", version="v1", body=None):
    if body is None:
        body = json.dumps({"apiVersion": f"authentication.k8s.io/{version}",
                           "kind": "TokenReview", "spec": {"token": token}}).encode()  # fmt: skip
    headers = lab.gate.bearer(caller) if caller else []
    with lab.gate.http2() as c:
        return c.request("POST", PATH, headers + [("content-type", "application/json")], body)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_good_token_names_its_user(lab, version):
    answer = review(lab, lab.gate.token("alice"), version=version)
    assert answer.status == 200
    body = answer.json()
    assert body["kind"] == "TokenReview"
    assert body["apiVersion"] == f"authentication.k8s.io/{version}"
    status = body["status"]
    assert status["authenticated"] is True
    assert status["user"]["username"] == "alice" and status["user"]["uid"]
    assert status["user"]["groups"] == ["acme-admins", "acme-staff"]
    assert status["user"]["extra"] == {
        "ringfence.dev/token": [lab.gate.token("alice").split("_")[1]]
    }
    assert lab.gate.token("alice") not in answer.body.decode()


def test_bad_tokens_are_nobodys(lab):
    good = lab.gate.token("alice")
    for token in ("nonsense", good[:-1] + ("a" if good[-1] != "a" else "b"), "x" * 500,
                  good + " ", " " + good, "rf_" + "0" * 46):  # fmt: skip
        status = review(lab, token).json()["status"]
        assert status["authenticated"] is False and "user" not in status


def test_revoked_token_is_nobodys_at_once(lab):
    token = lab.gate.login("dave")
    assert review(lab, token["token"]).json()["status"]["authenticated"] is True
    with lab.gate.http2() as c:
        auth = lab.gate.bearer(token=token["token"])
        assert c.request("DELETE", f"/ringfence/v1/tokens/{token['id']}", auth).status == 204
    assert review(lab, token["token"]).json()["status"]["authenticated"] is False


def test_scoped_token_is_good_for_the_gate_alone(lab):
    """The API server would give its holder everything that the user may do."""
    body = json.dumps({"name": "s", "ttl": "1h", "scopes": [{"verbs": ["get"]}]}).encode()
    headers = lab.gate.bearer() + [("content-type", "application/json")]
    with lab.gate.http2() as c:
        token = c.request("POST", "/ringfence/v1/tokens", headers, body).json()["token"]
    status = review(lab, token).json()["status"]
    assert status["authenticated"] is False and "scopes" in status["error"]


def test_only_whom_access_lets_may_ask(lab):
    token = lab.gate.token("alice")
    answer = review(lab, token, caller="dave")
    assert answer.status == 403
    assert 'cannot create resource "tokenreviews"' in answer.json()["message"]
    assert review(lab, token, caller="alice").status == 403
    assert review(lab, token, caller=None).status == 401
    with lab.gate.http2() as c:
        assert c.request("GET", PATH, lab.gate.bearer("grace")).status == 405


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b'{"kind":"TokenReview"}',
    b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{}}',
    b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":""}}',
    b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":["a"]}}',
    b'{"apiVersion":"authentication.k8s.io/v2","kind":"TokenReview","spec":{"token":"a"}}',
    b'{"apiVersion":"authentication.k8s.io/v1","kind":"Pod","spec":{"token":"a"}}',
    b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"%s"}}'
    % (b"x" * 1000),
])  # fmt: skip
def test_what_is_no_review_is_refused(lab, body):
    assert review(lab, None, body=body).status == 400


def test_review_is_on_record_without_the_token(lab):
    token = lab.gate.login("alice")["token"]
    audit_id = review(lab, token).header("audit-id")
    events = lab.gate.audit_of(audit_id)
    assert [e["stage"] for e in events] == ["RequestReceived", "ResponseComplete"]
    assert {e["user"]["username"] for e in events} == {"grace"}
    assert token not in json.dumps(lab.gate.audit_events())
