"""Service accounts for CI: declared by owners of a node, at work below it, and how they end."""

import json
import os
import subprocess

import pytest

import gate_lab
from gate_lab import PODS, audit, call, get, login, metrics, wait_until
from kubectls import PROGRAMS, kubeconfig  # after gate_lab, which knows where it is

LONG = 40  # nothing here takes so long unless it fails
API = "/ringfence/v1/serviceaccounts"
TOKENS = "/ringfence/v1/serviceaccounttokens"
DEPLOY = "/acme/shop/deploy"
USER = "serviceaccount:" + DEPLOY
DEV = "/api/v1/namespaces/shop-dev/pods"
GLOBEX = "/api/v1/namespaces/globex-prod/pods"
CHECKS = "accounts: {{ checkEvery: 1s, grace: 60s }}"

OWNERS = """\
---
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: { name: /acme }
spec: { owners: [acme-admins, ci-owners] }
---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: deploy, namespace: / }
spec:
  users: [USER]
  default:
    - { action: allow, verbs: [get, list, watch, create, delete], resources: [pods, configmaps] }
    - { action: allow, verbs: [get, list], resources: [nodes] }
""".replace("USER", json.dumps(USER))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    config = {
        "nested: walk }}": "nested: walk }}\n  " + CHECKS,
        "workers: 1": "workers: 2\ntokens: {{ maxPerUser: 30 }}",
    }
    with gate_lab.make(tmp_path_factory.mktemp("services"), config) as made:
        made.policy = gate_lab.proxy_lab.POLICY + OWNERS
        made.gate.load_policy(made.policy)
        yield made
        gate_lab.assert_clean(made.gate)


@pytest.fixture
def declared(lab):
    """DEPLOY, declared by alice."""
    answer = call(lab.gate, "POST", API + DEPLOY, lab.gate.token())
    assert answer.status == 201, answer.body
    yield answer.json()
    call(lab.gate, "DELETE", API + DEPLOY, lab.gate.token())


def issue(lab, token=None, **body):
    return call(lab.gate, "POST", TOKENS + DEPLOY, token or lab.gate.token(), body)


def issued(lab, token=None, **body):
    answer = issue(lab, token, **body)
    assert answer.status == 201, answer.body
    return answer.json()["token"]


def becomes(lab, token, wanted, path=PODS):
    """Every worker comes to say it."""

    def all_say():
        try:
            return {get(lab.gate, token, path).status for _ in range(6)} == {wanted}
        except ConnectionError:  # an answer that had begun when the token ended is cut
            return False

    wait_until(all_say, LONG, f"the answer {wanted}")


def test_token_acts_as_the_account_and_by_its_own_access(lab, declared):
    assert declared["path"] == DEPLOY and declared["user"] == USER
    assert declared["declaredBy"] == "alice"
    answer = issue(lab, name="pipeline", ttl="1h").json()
    assert answer["user"] == USER and answer["groups"] == []
    token = answer["token"]
    me = call(lab.gate, "GET", "/ringfence/v1/whoami", token).json()
    assert me["user"] == USER and me["groups"] == ["system:authenticated"]
    assert get(lab.gate, token).status == 200
    seen = lab.last_seen(PODS)
    assert gate_lab.proxy_lab.header_values(seen, "x-remote-user") == [USER]
    assert gate_lab.proxy_lab.header_values(seen, "x-remote-group") == ["system:authenticated"]
    # Not what alice may, who made it.
    assert get(lab.gate, token, "/api/v1/namespaces/shop-prod/services").status == 403
    assert get(lab.gate, lab.gate.token(), "/api/v1/namespaces/shop-prod/services").status == 200


def test_it_acts_at_and_below_its_node_whatever_access_says(lab, declared):
    token = issued(lab)
    assert get(lab.gate, token, DEV).status == 200
    assert get(lab.gate, token, GLOBEX).status == 403
    assert get(lab.gate, token, "/api/v1/nodes").status == 403
    pods = get(lab.gate, token, "/api/v1/pods")
    assert pods.status == 200
    spaces = {p["metadata"]["namespace"] for p in pods.json()["items"]}
    assert spaces == {"shop-prod"}
    review = call(
        lab.gate,
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        token,
        {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "spec": {
                "resourceAttributes": {
                    "namespace": "globex-prod",
                    "verb": "list",
                    "resource": "pods",
                }
            },
        },
    )
    assert review.json()["status"]["allowed"] is False
    # A scope narrows it further.
    narrow = issued(lab, scopes=[{"namespaces": ["shop-dev"]}])
    assert get(lab.gate, narrow, DEV).status == 200 and get(lab.gate, narrow).status == 403


def test_only_owners_declare_and_only_where_they_own(lab, declared):
    for user, path, status in (
        ("bob", API + "/acme/shop/mine", 403),  # not an owner
        ("alice", API + "/globex/mine", 403),  # of another node
        ("alice", API + "/mine", 403),  # the root has no owners
        ("alice", API + "/acme/nowhere/mine", 404),
        ("alice", API + "/acme/shop/Mine", 400),
        ("alice", API + "/acme/shop/", 400),
        ("alice", API + DEPLOY, 409),
    ):
        answer = call(lab.gate, "POST", path, lab.gate.token(user))
        assert answer.status == status, (path, answer.body)
    for method, path in (
        ("GET", API + "/acme/shop"),
        ("GET", TOKENS + DEPLOY),
        ("POST", TOKENS + DEPLOY),
        ("DELETE", API + DEPLOY),
    ):
        assert call(lab.gate, method, path, lab.gate.token("bob")).status == 403, path
    scoped = call(
        lab.gate,
        "POST",
        "/ringfence/v1/tokens",
        lab.gate.token(),
        {"scopes": [{"verbs": ["*"]}]},
    ).json()["token"]
    assert call(lab.gate, "POST", API + "/acme/shop/other", scoped).status == 403
    listed = call(lab.gate, "GET", API + "/acme", lab.gate.token()).json()["serviceAccounts"]
    assert [a["path"] for a in listed] == [DEPLOY]


def test_it_is_not_who_made_it(lab, declared):
    """Its bearer neither sees, ends nor takes over the maker's tokens, and makes none."""
    token = issued(lab, ttl="1h")
    mine = call(lab.gate, "POST", "/ringfence/v1/tokens", lab.gate.token(), {}).json()["id"]
    tokens = "/ringfence/v1/tokens"
    assert call(lab.gate, "POST", tokens, token, {}).status == 403
    assert call(lab.gate, "POST", f"{tokens}/{mine}/rotate", token).status == 403
    assert call(lab.gate, "DELETE", f"{tokens}/{mine}", token).status == 404
    assert call(lab.gate, "POST", API + "/acme/shop/other", token).status == 403
    assert issue(lab, token).status == 403
    listed = call(lab.gate, "GET", tokens, token).json()["tokens"]
    assert {t["serviceAccount"] for t in listed} == {DEPLOY}


def test_it_rotates_itself_and_a_stolen_one_ends(lab, declared):
    old = issued(lab, name="pipeline", ttl="1h")
    path = f"/ringfence/v1/tokens/{old.split('_')[1]}/rotate"
    answer = call(lab.gate, "POST", path, old)
    assert answer.status == 201 and answer.json()["user"] == USER
    fresh = answer.json()["token"]
    assert get(lab.gate, old).status == 401 and get(lab.gate, fresh).status == 200
    listed = call(lab.gate, "GET", TOKENS + DEPLOY, lab.gate.token()).json()["tokens"]
    (live,) = [t for t in listed if not t["revoked"]]
    assert live["name"] == "pipeline" and live["madeBy"] == "alice"
    # Any owner ends it; and its own bearer.
    url = f"{TOKENS}{DEPLOY}/{live['id']}"
    assert call(lab.gate, "DELETE", url, lab.gate.token("bob")).status == 403
    assert call(lab.gate, "DELETE", url, lab.gate.token()).status == 204
    assert get(lab.gate, fresh).status == 401


def test_made_by_password_it_outlives_the_login(lab, declared):
    short = issue(lab).json()
    with lab.gate.http1(timeout=30) as c:
        headers = [("Authorization", "Basic YWxpY2U6YWxpY2Utc2VjcmV0")]  # alice
        body = json.dumps({"ttl": "700h"}).encode()
        answer = c.request("POST", TOKENS + DEPLOY, headers, body)
        assert answer.status == 201, answer.body
        bob = [("Authorization", "Basic Ym9iOmJvYi1zZWNyZXQ=")]
        assert c.request("POST", TOKENS + DEPLOY, bob, body).status == 403
    assert answer.json()["expires"] > short["expires"]
    assert get(lab.gate, answer.json()["token"]).status == 200


def test_declaration_taken_back_ends_its_tokens_and_streams(lab, declared):
    token = issued(lab)
    with lab.gate.http2(timeout=LONG) as c:
        stream = c.start("GET", PODS + "?watch=1", lab.gate.bearer(token=token))
        c.wait(stream, until=lambda r: r.status_line)
        answer = call(lab.gate, "DELETE", API + DEPLOY, lab.gate.token())
        assert answer.status == 204
        assert {get(lab.gate, token).status for _ in range(6)} == {401}
        c.wait(stream)
    # One of the same name is another.
    assert call(lab.gate, "POST", API + DEPLOY, lab.gate.token()).status == 201
    assert get(lab.gate, token).status == 401
    assert call(lab.gate, "GET", TOKENS + DEPLOY, lab.gate.token()).json()["tokens"] == []
    assert call(lab.gate, "DELETE", API + "/acme/shop/none", lab.gate.token()).status == 404


def test_it_ends_with_the_account_and_the_ownership_of_who_made_it(lab, declared):
    lab.ldap.modify(
        "dn: cn=ci-owners,ou=groups,dc=example,dc=org\nchangetype: add\n"
        "objectClass: groupOfNames\ncn: ci-owners\n"
        "member: uid=carol,ou=people,dc=example,dc=org\n"
        "member: uid=erin,ou=people,dc=example,dc=org\n"
    )
    carol = login(lab.gate, "carol", "carol-secret").json()["token"]
    token = issued(lab, carol)
    assert get(lab.gate, token).status == 200
    lab.ldap.lock("carol")
    becomes(lab, token, 401)
    lab.ldap.unlock("carol")
    becomes(lab, token, 200)
    lab.ldap.remove_member("ci-owners", "carol")
    becomes(lab, token, 403)
    lab.ldap.add_member("ci-owners", "carol")
    becomes(lab, token, 200)
    # So does one whose group is an owner no more.
    lab.gate.load_policy(lab.policy.replace("acme-admins, ci-owners", "acme-admins"))
    becomes(lab, token, 403)
    lab.gate.load_policy(lab.policy)
    becomes(lab, token, 200)


@pytest.mark.parametrize("program", PROGRAMS)
def test_kubectl_works_with_it(lab, declared, program, tmp_path):
    """As a CI job does: a kubeconfig that names the token's file."""
    (tmp_path / "token").write_text(issued(lab, ttl="1h"))
    (tmp_path / "config").write_text(
        kubeconfig(
            f"https://127.0.0.1:{lab.gate.port}",
            os.path.join(lab.pki, "gate-ca.crt"),
            {"tokenFile": str(tmp_path / "token")},
        )
    )

    def kubectl(*arguments):
        return subprocess.run(
            [program, "--kubeconfig", str(tmp_path / "config"), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    done = kubectl("get", "pods", "-n", "shop-prod", "-o", "name")
    assert done.returncode == 0 and "pod/web-0" in done.stdout, done.stderr
    done = kubectl("get", "pods", "-n", "globex-prod")
    assert done.returncode != 0 and f'User "{USER}" cannot list' in done.stderr


def test_audit_names_it_who_made_the_token_and_what_became_of_it(lab, declared):
    token = issued(lab)
    assert get(lab.gate, token, DEV).status == 200
    assert call(lab.gate, "DELETE", API + DEPLOY, lab.gate.token()).status == 204

    def events(**wanted):
        return [
            e
            for e in lab.gate.audit_events()
            if e["stage"] == "ResponseComplete"
            and all(e[k] == v for k, v in wanted.items())
        ]

    wait_until(lambda: events(requestURI=DEV), LONG, "the record")
    (used,) = [e for e in events(requestURI=DEV) if e["user"]["username"] == USER][-1:]
    assert used["annotations"]["ringfence.dev/token-maker"] == "alice"
    assert used["annotations"]["ringfence.dev/token"] == token.split("_")[1]
    for verb in ("post", "delete"):
        last = events(requestURI=API + DEPLOY, verb=verb)[-1]
        assert last["user"]["username"] == "alice"
        assert last["objectRef"]["resource"] == "serviceaccounts"
        assert last["objectRef"]["name"] == DEPLOY
        assert last["annotations"]["ringfence.dev/tenant"] == "/acme/shop"
    made = events(requestURI=TOKENS + DEPLOY)[-1]
    assert made["annotations"]["ringfence.dev/token-issued"] == token.split("_")[1]
    found = audit(lab.gate, "search", "--user", USER).stdout
    assert DEV in found
    found = audit(lab.gate, "search", "--token", token.split("_")[1]).stdout
    assert TOKENS in found and DEV in found
    found = audit(lab.gate, "search", "--kind", "token", "--user", "alice").stdout
    assert TOKENS + DEPLOY in found
    found = audit(lab.gate, "search", "--kind", "admin", "--user", "alice").stdout
    assert API + DEPLOY in found and TOKENS not in found
    assert 'ringfence_gate_service_accounts_declared_total' in metrics(lab.gate)


def test_token_review_does_not_know_it(lab, declared):
    """The API server could not keep it to its node."""
    access = "---\napiVersion: ringfence.dev/v1alpha1\nkind: Access\n" \
        "metadata: { name: reviewers, namespace: / }\nspec:\n  users: [dave]\n  default:\n" \
        "    - { action: allow, verbs: [create], resources: [tokenreviews.authentication.k8s.io] }\n"  # fmt: skip
    lab.gate.load_policy(lab.policy + access)
    try:
        for token, known in ((issued(lab), False), (lab.gate.token(), True)):
            body = {
                "kind": "TokenReview",
                "apiVersion": "authentication.k8s.io/v1",
                "spec": {"token": token},
            }
            answer = call(
                lab.gate, "POST", "/ringfence/v1/tokenreviews", lab.gate.token("dave"), body
            )
            assert answer.json()["status"]["authenticated"] is known
    finally:
        lab.gate.load_policy(lab.policy)


def test_tool_declares_makes_rotates_and_removes(lab, tmp_path):
    """As an owner and a CI job do it, with kubectl reading the job's file."""
    (tmp_path / "password").write_text("alice-secret")
    (tmp_path / "password").chmod(0o600)
    server = f"https://127.0.0.1:{lab.gate.port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "RINGFENCE_CA": os.path.join(lab.pki, "gate-ca.crt"),
    }

    def tool(name, *arguments, status=0):
        done = subprocess.run(
            [gate_lab.program("ringfence-" + name), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    password = ("--user", "alice", "--password-file", str(tmp_path / "password"))
    tool("login", "--server", server, *password)
    path = "/acme/shop/release"
    assert f"serviceaccount:{path}" in tool("service-account", "create", path)
    assert "already" in tool("service-account", "create", path, status=1)
    assert "no service account" in tool("service-account", "create", "acme/x", status=1)
    of = ("--service-account", path)
    token = tool("token", "create", *of, "--ttl", "700h", "--name", "job", *password)
    file = tmp_path / "job.token"
    file.write_text(token)
    file.chmod(0o600)
    job = ("--server", server, "--token-file", str(file))
    me = json.loads(tool("whoami", *job, "-o", "json"))
    assert me["user"] == f"serviceaccount:{path}"
    assert tool("token", "rotate", *job) == ""
    assert file.read_text() != token.strip() and file.stat().st_mode & 0o777 == 0o600
    assert get(lab.gate, token.strip()).status == 401
    assert json.loads(tool("whoami", *job, "-o", "json"))["user"] == me["user"]
    config = json.loads(tool("login", *job, "--kubeconfig"))
    assert config["users"][0]["user"] == {"tokenFile": str(file)}
    listed = tool("token", "list", *of)
    assert f"job of {path}, by alice" in listed
    (live,) = [line.split()[0] for line in listed.splitlines() if " no " in line]
    assert path in tool("service-account", "list", "/acme")
    tool("token", "revoke", live, *of)
    assert "Unauthorized" in tool("whoami", *job, status=1)
    assert "removed" in tool("service-account", "remove", path)
    assert path not in tool("service-account", "list", "/acme")
    file.write_text("nonsense")
    assert "no token in it" in tool("whoami", *job, status=1)


def test_nodes_that_can_have_none_are_refused_and_end_no_worker(lab):
    head = "---\napiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: { name: %s }\n"
    deep, policy = "/acme", lab.policy
    for letter in "abcde":  # longer than the path of any service account
        deep += "/" + letter * 63
        policy += head % deep
    owners = json.dumps([f"group-{n}" for n in range(2049)])
    policy += head % "/crowd" + "spec: { owners: %s }\n" % owners
    token = lab.gate.token()
    lab.gate.load_policy(policy)
    try:
        for path, wanted in ((deep, 400), ("/crowd", 403)):
            wait_until(
                lambda: get(lab.gate, token, API + path).status != 404, LONG, f"the node {path}"
            )
            answer = get(lab.gate, token, API + path)
            assert answer.status == wanted, answer.body
            assert b"of the tree" in answer.body, answer.body
    finally:
        lab.gate.load_policy(lab.policy)
