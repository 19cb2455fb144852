"""Object budgets: a webhook that an API server asks about every creation and change, and that never
lets more exist than Quota documents say, whoever races."""

import concurrent.futures
import json
import os
import socket
import ssl

import pytest

import gate_lab
import proxy_lab
from proxy_lab import client, process, wait_until

QUOTAS = """\
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: acme, namespace: /acme }
spec: { objects: { pods: %(acme_pods)s, requests.cpu: "2", count/deployments.apps: 3 } }
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: shop, namespace: /acme/shop }
spec: { objects: { pods: 5, configmaps: 2 } }
"""

ADMISSION = """\
admission:
  listen: "127.0.0.1:%(port)d"
  certificate: {pki}/gate.crt
  key: {pki}/gate.key
  clientCA: {pki}/cluster-ca.crt
  callers: [ admin ]
  listsAs: ringfence-budgets
  holdSeconds: 2
workers: 1
"""


def policy(acme_pods=6):
    return proxy_lab.POLICY.replace(
        "metadata: { name: /acme/shop }\nspec: { kubernetes: { namespaces: [shop-prod, shop-dev] } }",
        "metadata: { name: /acme/shop }\nspec: { kubernetes: { namespaces: [shop-prod] } }\n---\n"
        "apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: { name: /acme/dev }\n"
        "spec: { kubernetes: { namespaces: [shop-dev] } }",
    ) + QUOTAS % {"acme_pods": acme_pods}


def make(directory, port, *arguments):
    pki = os.path.join(str(directory), "pki")
    return gate_lab.make(
        directory,
        {"workers: 1\n": ADMISSION % {"port": port}},
        policy=policy(),
        api_arguments=[
            "--webhook", f"https://127.0.0.1:{port}/admission",
            "--webhook-ca", f"{pki}/gate-ca.crt",
            "--webhook-cert", f"{pki}/admin.crt",
            "--webhook-key", f"{pki}/admin.key",
            "--webhook-commit-delay-ms", "30",
            "--bookmark-seconds", "0.2",
            "--finish-deletion-ms", "50",
            *arguments,
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    port = process.free_port()
    with make(tmp_path_factory.mktemp("budget"), port) as made:
        made.admission_port = port
        wait_until(lambda: budget(made)["budgetsSynced"], 30, "the first lists")
        yield made
        gate_lab.assert_clean(made.gate)


def budget(lab):
    return next((
        part["status"]
        for part in gate_lab.status(lab.gate)["parts"]
        if part["role"] == "budget"
    ), {"budgetsSynced": False})


def used(lab, namespace, resource, what="usedMilli"):
    (line,) = [
        b
        for b in budget(lab)["budgets"]
        if (b["namespace"], b["resource"]) == (namespace, resource)
    ]
    return line[what]


def pod(name, cpu="100m"):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "image": "example.invalid/a:1",
                    "resources": {"requests": {"cpu": cpu}} if cpu else {},
                }
            ]
        },
    }


def create(lab, body, namespace="shop-prod", path="/api/v1/namespaces/%s/pods", query=""):
    return lab.as_admin(
        "POST",
        path % namespace + query,
        json.dumps(body).encode(),
        [("content-type", "application/json")],
    )


def delete(lab, name, namespace="shop-prod"):
    return lab.as_admin("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0")


def settled(lab):
    """Everything that was admitted has been seen, or was given up."""
    wait_until(lambda: budget(lab)["reservations"] == 0, 30, "reservations to end")


def names(lab, namespace="shop-prod"):
    items = lab.as_admin("GET", f"/api/v1/namespaces/{namespace}/pods").json()["items"]
    return {i["metadata"]["name"] for i in items}


def clear(lab):
    for namespace in ("shop-prod", "shop-dev"):
        for name in names(lab, namespace) - {"web-0", "web-1"}:
            delete(lab, name, namespace)
    wait_until(lambda: used(lab, "/acme", "pods") == 2000, 30, "room after deletions")


def test_what_exists_is_counted(lab):
    """The seed's two pods, which ask for no CPU."""
    assert used(lab, "/acme", "pods") == used(lab, "/acme/shop", "pods") == 2000
    assert used(lab, "/acme", "requests.cpu") == 0


def test_racing_clients_never_overdraw(lab):
    """Three places in the shop and four below /acme; 24 at once want them."""
    wanted = [(f"race-{i}", "shop-prod" if i % 2 else "shop-dev") for i in range(24)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda w: create(lab, pod(w[0]), w[1]), wanted))
    codes = [a.status for a in answers]
    assert sorted(set(codes)) == [201, 403]
    assert codes.count(201) == 4
    there = len(names(lab)), len(names(lab, "shop-dev"))
    assert sum(there) == 6 and there[0] <= 5
    settled(lab)
    assert used(lab, "/acme", "pods") == used(lab, "/acme", "pods", "seenMilli") == 6000
    clear(lab)


def test_refusal_says_which_document_and_how_much(lab):
    for i in range(3):
        assert create(lab, pod(f"full-{i}")).status == 201
    answer = create(lab, pod("one-more"))
    assert answer.status == 403
    message = answer.json()["message"]
    assert "exceeded quota: Quota /acme/shop/shop (" in message
    assert "policy.yaml:" in message
    assert "requested: pods=1, used: pods=5" in message and "limited: pods=5" in message
    # Beside it there is room: the smallest on the path counts, not the first.
    assert create(lab, pod("beside"), "shop-dev").status == 201
    assert "Quota /acme/acme" in create(lab, pod("x"), "shop-dev").json()["message"]
    clear(lab)


def test_cpu_is_summed_exactly_and_must_be_said(lab):
    assert create(lab, pod("a", "1500m")).status == 201
    assert create(lab, pod("b", "501m")).status == 403
    assert create(lab, pod("b", "0.5")).status == 201
    refused = create(lab, pod("c", "1m"), "shop-dev")
    assert "requested: requests.cpu=1m, used: requests.cpu=2" in refused.json()["message"]
    unsaid = create(lab, pod("d", None))
    assert unsaid.status == 403
    assert unsaid.json()["message"].endswith("failed quota: must specify requests.cpu for c")
    settled(lab)
    assert used(lab, "/acme", "requests.cpu") == 2000
    clear(lab)
    assert used(lab, "/acme", "requests.cpu") == 0


def test_dry_run_charges_nothing_and_is_judged(lab):
    for i in range(8):
        assert create(lab, pod(f"dry-{i}"), query="?dryRun=All").status == 201
    assert budget(lab)["reservations"] == 0
    assert create(lab, pod("dry", "3"), query="?dryRun=All").status == 403


def test_what_failed_after_it_was_admitted_is_given_back(lab):
    """The name is taken: only after the webhook has agreed does the API server notice."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        codes = [a.status for a in pool.map(lambda _: create(lab, pod("same")), range(6))]
    assert codes.count(201) == 1 and set(codes) == {201, 409}
    settled(lab)
    assert used(lab, "/acme", "pods") == 3000
    clear(lab)


def test_scale_is_answered_and_warned_of(lab):
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": pod("x")["spec"]},
        },
    }
    path = "/apis/apps/v1/namespaces/%s/deployments"
    assert create(lab, deployment, path=path).status == 201
    scale = json.dumps({"spec": {"replicas": 10}}).encode()
    answer = lab.as_admin(
        "PATCH",
        path % "shop-prod" + "/d/scale",
        scale,
        [("content-type", "application/merge-patch+json")],
    )
    assert answer.status == 200, answer.body
    assert "9 more replicas are asked for, and Quota /acme/shop/shop" in answer.header("warning")
    wait_until(lambda: used(lab, "/acme", "count/deployments.apps", "seenMilli") == 1000, 30)
    lab.as_admin("DELETE", path % "shop-prod" + "/d")
    wait_until(lambda: used(lab, "/acme", "count/deployments.apps") == 0, 30)


def ask(lab, certificate, body=b"{}", path="/admission"):
    pem = lambda suffix: os.path.join(lab.pki, f"{certificate}.{suffix}")  # noqa: E731
    context = client.client_context(
        os.path.join(lab.pki, "gate-ca.crt"),
        pem("crt") if certificate else None,
        pem("key") if certificate else None,
    )
    with client.Connection("127.0.0.1", lab.admission_port, context) as c:
        return c.request("POST", path, [("content-type", "application/json")], body)


def test_only_the_api_server_may_ask(lab):
    for certificate in (None, "user", "front-proxy"):
        with pytest.raises((ssl.SSLError, OSError, EOFError)):
            ask(lab, certificate)
    assert ask(lab, "cluster-user").status == 403
    assert ask(lab, "admin").status == 400
    assert ask(lab, "admin", path="/other").status == 404


RECORDED = os.environ.get("RINGFENCE_RECORDED", "")


@pytest.mark.skipif(not os.path.isdir(RECORDED), reason="no recordings")
def test_what_a_real_api_server_asks(lab):
    """In a namespace that no Quota is over; the answer bears the question's uid."""
    paths = sorted(n for n in os.listdir(RECORDED) if n.startswith("admission-"))
    assert len(paths) >= 9
    for name in paths:
        with open(os.path.join(RECORDED, name), encoding="utf-8") as f:
            body = json.load(f)["body"]
        answer = ask(lab, "admin", json.dumps(body).encode(), "/admission?timeout=10s")
        assert answer.status == 200, name
        response = answer.json()["response"]
        assert response == {"uid": body["request"]["uid"], "allowed": True}, name
    # They are remembered until they are seen, or given up.
    settled(lab)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{}}',
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":[]}',
        b'{"kind":"AdmissionReview","kind":"AdmissionReview"}',
        b"[" * 100000,
    ],
    ids=range(7),
)
def test_malformed_reviews_fail(lab, body):
    assert ask(lab, "admin", body).status == 400


def test_reload_changes_limits_while_it_runs(lab):
    before = gate_lab.pids(lab.gate, "budget")
    lab.gate.load_policy(policy(acme_pods=2))
    wait_until(lambda: used(lab, "/acme", "pods", "limitMilli") == 2000, 30)
    assert create(lab, pod("no")).status == 403
    lab.gate.load_policy(policy())
    wait_until(lambda: used(lab, "/acme", "pods", "limitMilli") == 6000, 30)
    assert create(lab, pod("yes")).status == 201
    assert gate_lab.pids(lab.gate, "budget") == before
    clear(lab)


def test_metrics_name_the_subtree(lab):
    text = gate_lab.metrics(lab.gate)
    assert 'ringfence_gate_budget_limit{namespace="/acme",quota="acme",resource="pods"} 6\n' in text
    assert 'ringfence_gate_budget_used{namespace="/acme/shop",quota="shop",resource="pods"} 2\n' in text


def test_without_the_gate_nothing_is_created(lab):
    """Fail closed, and found again: what was created meanwhile is counted at the next start."""
    lab.gate.stop()
    assert create(lab, pod("alone")).status == 500
    lab.gate.start_again()
    wait_until(lambda: budget(lab)["budgetsSynced"], 30, "the lists")
    # What was admitted within holdSeconds is remembered, also of what is gone again.
    wait_until(lambda: used(lab, "/acme", "pods") == 2000, 30, "what exists")
    assert create(lab, pod("again")).status == 201
    clear(lab)


def has_ipv6():
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no loopback of IPv6")
def test_api_server_with_an_address_of_ipv6(tmp_path):
    quoted = gate_lab.config_of({"[ {upstream} ]": '[ "{upstream}" ]'})
    with quoted, make(tmp_path, process.free_port(), "--listen", "[::1]:0") as own:
        assert own.api.url.startswith("https://[::1]:")
        wait_until(lambda: budget(own)["budgetsSynced"], what="the first lists")
        gate_lab.assert_clean(own.gate)
