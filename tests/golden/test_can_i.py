"""`ringfence can-i`: what Access says of one request, and why."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

PROGRAM = rf.program("ringfence-can-i")

POLICY = """\
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: { name: /acme/shop }
spec: { kubernetes: { namespaces: [shop-prod] } }
---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: never, namespace: / }
spec:
  groups: ["system:authenticated"]
  mandatory:
    - { action: pass, verbs: ["*"], resources: [pods] }
    - { action: deny, verbs: [delete], resources: ["*"] }
  default:
    - { action: allow, verbs: [get], nonResourceURLs: ["/metrics"] }
    - { action: allow, verbs: [get], resources: [nodes] }
---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: devs, namespace: /acme }
spec:
  groups: [devs]
  default:
    - { action: deny, verbs: ["*"], resources: [secrets] }
    - { action: allow, verbs: ["*"], resources: ["*"], resourceNames: [web] }
    - { action: allow, verbs: [get, list, watch, create, delete], resources: [pods, pods/log] }
    - { action: allow, verbs: [get], resources: [pods/exec] }
"""


@pytest.fixture
def can_i(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)

    def run(*arguments, words):
        return subprocess.run(
            [PROGRAM, *arguments, str(path), "--", *words.split()],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run


DEV = ["--as", "ann", "--as-group", "devs"]
SHOP = [*DEV, "-n", "shop-prod"]


@pytest.mark.parametrize("arguments,words,allow", [
    (SHOP, "get pods", True),
    (SHOP, "get pods web-0", True),
    (SHOP, "get pods/log web-0", True),
    (SHOP, "update pods", False),
    (SHOP, "update pods web", True),
    (SHOP, "get secrets", False),
    (SHOP, "get secrets web", False),
    (SHOP, "get deployments.apps web", True),
    (SHOP, "delete pods", True),  # passed by the mandatory rule
    (SHOP, "delete deployments.apps web", False),  # not passed
    (SHOP, "get pods/exec web-0", False),  # would need create, too
    (SHOP, "get pods/exec web", True),
    ([*DEV, "-n", "acme"], "get pods", True),  # /acme by name
    ([*DEV, "-n", "other"], "get pods", False),
    (DEV, "list pods", True),  # across namespaces, filtered
    (DEV, "list services", False),
    (DEV, "list nodes", False),  # judged at / alone
    (DEV, "get pods", False),
    (DEV, "get nodes worker-1", True),
    (DEV, "get namespaces", False),
    (["--as", "bob"], "list pods", False),
    (["--as", "bob"], "get /metrics", True),
    (["--as", "bob"], "post /metrics", False),
    (["--as", "bob"], "get /version", True),
    (["--as", "bob"], "get /apis/apps/v1", True),
    (["--as", "bob"], "create selfsubjectaccessreviews.authorization.k8s.io", True),
    (["--as", "bob"], "create subjectaccessreviews.authorization.k8s.io", False),
    (["--as-group", "devs", "-n", "shop-prod"], "get pods", True),
])  # fmt: skip
def test_answer(can_i, arguments, words, allow):
    done = can_i(*arguments, words=words)
    assert (done.stdout, done.returncode) == (("allow\n", 0) if allow else ("deny\n", 1))
    assert done.stderr == ""
    asked = json.loads(can_i(*arguments, "-o", "json", "--explain", words=words).stdout)
    assert asked["allow"] is allow


def effects(done):
    return [
        (r["level"], r["phase"], r["rule"], r["action"], r["effect"])
        for r in json.loads(done.stdout)["rules"]
    ]


def test_every_rule_that_matches_is_explained(can_i):
    done = can_i(*SHOP, "--explain", "-o", "json", words="delete deployments.apps web")
    assert effects(done) == [
        ("/", "mandatory", 1, "deny", "decides"),
        ("/acme", "default", 1, "allow", "would decide otherwise"),
    ]
    done = can_i(*SHOP, "--explain", "-o", "json", words="delete pods web")
    assert effects(done) == [
        ("/", "mandatory", 0, "pass", "passes on"),
        ("/", "mandatory", 1, "deny", "is not asked, its level was passed"),
        ("/acme", "default", 1, "allow", "decides"),
        ("/acme", "default", 2, "allow", "would decide otherwise"),
    ]
    assert json.loads(done.stdout)["judgedAt"] == "/acme/shop"


def test_place_of_the_rule_is_named(can_i):
    text = can_i(*SHOP, "--explain", words="get secrets").stdout
    line = POLICY.splitlines().index(
        '    - { action: deny, verbs: ["*"], resources: [secrets] }'
    )
    assert "Access /acme/devs rule 0, " in text
    assert f"policy.yaml:{line + 1}:7" in text
    assert "decides" in text


def test_right_to_create_is_named(can_i):
    text = can_i(*SHOP, "--explain", words="get pods/exec web-0").stdout
    assert "exec needs the right to create too" in text


def test_places_of_a_list_are_named(can_i):
    text = can_i(*DEV, "--explain", words="list pods").stdout
    assert "deny  at / and below" in text and "allow at /acme and below" in text


def test_nothing_matches(can_i):
    text = can_i("--as", "bob", "-n", "x", "--explain", words="get pods").stdout
    assert "no rule matches" in text


@pytest.mark.parametrize("arguments,words", [
    ([], "get pods"),
    (DEV, "get"),
    (DEV, ""),
    (DEV, "get pods a b"),
    (DEV, "get /x y"),
    ([*DEV, "-o", "xml"], "get pods"),
    ([*DEV, "--nonsense"], "get pods"),
    ([*DEV, "-n", "a/b"], "get pods"),
    ([*DEV, "-n", "x" * 300], "get pods"),
])  # fmt: skip
def test_mistakes(can_i, arguments, words):
    done = can_i(*arguments, words=words)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr != ""


def test_bad_policy_is_no_answer(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("kind: Access\nspec: [")
    done = subprocess.run([PROGRAM, "--as", "x", str(path), "--", "get", "pods"],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2
    assert "bad.yaml:" in done.stderr


def test_it_is_a_command_of_the_tool(can_i, tmp_path):
    (tmp_path / "p.yaml").write_text(POLICY)
    environment = {**os.environ, "PATH": os.path.dirname(PROGRAM) + ":" + os.environ["PATH"]}
    done = subprocess.run(
        [rf.program(), "can-i", *SHOP,
         str(tmp_path / "p.yaml"), "--", "get", "pods"],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.stdout == "allow\n", done.stderr
