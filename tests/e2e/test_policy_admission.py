"""Policy that is written to the API server is judged before it is there: what `ringfence check` refuses is
refused in its words, what it warns of comes as a warning, and only owners write.
"""

import base64
import json
import os
import re
import subprocess

import pytest
import yaml

import gate_lab
import proxy_lab
from proxy_lab import process, wait_until

RINGFENCE = os.path.join(proxy_lab.BUILD, "policy-lang/ringfence")
NATIVE = "ringfence.dev/v1alpha1"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

ADMISSION = """\
admission:
  listen: "127.0.0.1:%(port)d"
  certificate: {pki}/gate.crt
  key: {pki}/gate.key
  clientCA: {pki}/cluster-ca.crt
  callers: [ admin ]
  listsAs: ringfence-policy
  policy: true
workers: 1
"""

# As proxy_lab's, with owners.
POLICY = proxy_lab.POLICY.replace(
    "metadata: { name: /acme/shop }\nspec: {",
    "metadata: { name: /acme }\nspec: { owners: [acme-admins] }\n---\n"
    "apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: { name: /acme/shop }\n"
    "spec: { owners: [acme-shop-devs],",
)


def webhook(port, ca, name="policy.ringfence.dev", path="policy", **more):
    with open(ca, "rb") as f:
        bundle = base64.b64encode(f.read()).decode()
    operations = ["CREATE", "UPDATE", "DELETE"]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "ringfence-policy"},
        "webhooks": [{
            "name": name,
            "clientConfig": {"url": f"https://127.0.0.1:{port}/{path}", "caBundle": bundle},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "timeoutSeconds": 30,
            "rules": [
                {"apiGroups": ["ringfence.dev"], "apiVersions": ["*"], "operations": operations,
                 "resources": ["*"]},
                {"apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"], "operations": operations,
                 "resources": ["networkpolicies"]},
            ],
            **more,
        }],
    }  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    port = process.free_port()
    directory = tmp_path_factory.mktemp("policy")
    pki = os.path.join(str(directory), "pki")
    arguments = ["--webhooks", "--webhook-cert", f"{pki}/admin.crt", "--webhook-key", f"{pki}/admin.key",
                 "--bookmark-seconds", "0.5"]  # fmt: skip
    config = {"workers: 1\n": ADMISSION % {"port": port}}
    with gate_lab.make(directory, config, policy=POLICY, api_arguments=arguments) as made:
        made.port = port
        for crd in definitions():
            send(made, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd, 201)
        made.hook = webhook(port, f"{pki}/gate-ca.crt")
        first = native("ExternalNetwork", "first", {"cidrs": ["192.0.2.0/24"]})
        before = objects(made)
        create(made, first, status=201)
        # Kinds that were not there when the gate began are looked for now and then.
        wait_until(lambda: budget(made).get("policyObjects") == before + 1, 30, "the new kinds")
        assert budget(made)["policyKnown"]
        send(made, "POST", HOOKS, made.hook, 201)
        yield made
        gate_lab.assert_clean(made.gate)


def definitions():
    done = subprocess.run(
        [RINGFENCE, "schema", "-o", "crds"], capture_output=True, text=True, check=True
    )
    for crd in yaml.load_all(done.stdout, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        crd["spec"]["versions"][0].pop("schema")  # the double does not look at it
        yield crd


def budget(lab):
    parts = gate_lab.status(lab.gate)["parts"]
    return next((p["status"] for p in parts if p["role"] == "budget"), {})


def send(lab, method, path, body=None, status=None, user=None, groups=()):
    headers = [("content-type", "application/json")]
    if user:
        headers.append(("impersonate-user", user))
        headers += [("impersonate-group", group) for group in groups]
    data = json.dumps(body).encode() if body is not None else b""
    answer = lab.as_admin(method, path, data, headers)
    assert status in (None, answer.status), (answer.status, answer.body)
    return answer


def native(kind, name, spec, namespace="shop-prod"):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": NATIVE, "kind": kind, "metadata": metadata, "spec": spec}


def place(doc, name=False):
    plural = {"Policy": "policies", "ExternalNetwork": "externalnetworks", "Namespace": "namespaces",
              "Route": "routes", "Quota": "quotas", "NetworkPolicy": "networkpolicies"}[doc["kind"]]  # fmt: skip
    namespace = doc["metadata"].get("namespace")
    home = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{doc['apiVersion']}{home}/{plural}" + (f"/{doc['metadata']['name']}" if name else "")


def create(lab, doc, query="", **who):
    return send(lab, "POST", place(doc) + query, doc, **who)


def delete(lab, doc, **who):
    return send(lab, "DELETE", place(doc, True), **who)


def warnings(answer):
    quoted = [value.split('"', 1)[1].rsplit('"', 1)[0]
              for key, value in answer.headers if key.lower() == "warning"]  # fmt: skip
    return [re.sub(r"\\(.)", r"\1", text) for text in quoted]


def checked(tmp_path, doc):
    """What `check` says of the document in the gate's tree: [(severity, message, code)]."""
    (tmp_path / "tree.yaml").write_text(POLICY)
    (tmp_path / "doc.json").write_text(json.dumps(doc))
    done = subprocess.run(
        [RINGFENCE, "check", "-o", "json", tmp_path], capture_output=True, text=True, check=False
    )
    return [
        (d["severity"], d["message"] + (f" ({d['hint']})" if d.get("hint") else ""), d["code"])
        for d in json.loads(done.stdout)
        if d["file"].endswith("doc.json")
    ]


def ingress(**rule):
    return {"allow": {"ingress": [rule]}}


REFUSED = {
    "spec.allow.ingress[0].form": native("Policy", "a", ingress(form=[])),
    "spec.allow.ingress[0].from[0].cidr": native("Policy", "a", ingress(**{"from": [{"cidr": "10.0.0.0/33"}]})),
    "spec.allow.ingress[0].from[0].external": native("Policy", "a", ingress(**{"from": [{"external": "nobody"}]})),
    "spec.allow.ingress[0].ports[1]": native("Policy", "a", ingress(ports=["443/tcp", "81-80/tcp"])),
    "spec.allow.ingress[0].from[0].except[0]": native(
        "Policy", "a", ingress(**{"from": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}]})
    ),
}  # fmt: skip


@pytest.mark.parametrize("field", REFUSED)
def test_what_check_refuses_is_refused_in_its_words(lab, tmp_path, field):
    doc = REFUSED[field]
    found = [(m, c) for severity, m, c in checked(tmp_path, doc) if severity == "error"]
    answer = create(lab, doc)
    assert found and answer.status == 422
    said = answer.json()
    assert said["reason"] == "Invalid"
    words = "; ".join(f"{field}: {message} [{code}]" for message, code in found)
    denied = 'admission webhook "policy.ringfence.dev" denied the request: '
    assert said["message"] == denied + words
    assert [c["field"] for c in said["details"]["causes"]] == [field] * len(found)
    assert send(lab, "GET", place(doc, True)).status == 404


def test_what_check_warns_of_is_a_warning(lab, tmp_path):
    doc = native("Policy", "warned", {
        "mandatory": {"egress": [
            {"name": "all", "action": "deny"},
            {"name": "x" * 150, "action": "allow", "to": [{"cidr": "10.1.2.3/8"}]},
        ]},
    })  # fmt: skip
    expected = {code for severity, _, code in checked(tmp_path, doc) if severity == "warning"}
    assert "shadowed-rule" in expected and "loose-cidr" in expected
    answer = create(lab, doc, "?dryRun=All", status=201)
    told = warnings(answer)
    assert {text.rsplit("[", 1)[1].rstrip("]") for text in told} == expected
    assert all(len(text) <= 120 for text in told)
    assert any(text.startswith("spec.mandatory.egress[1].to[0].cidr: ") for text in told)
    assert send(lab, "GET", place(doc, True)).status == 404, "a dry run stores nothing"


def test_warnings_are_no_more_than_an_api_server_passes_on(lab):
    """Of 120 characters each, and 4096 bytes together; the last says how many there are besides."""
    peers = [{"cidr": f"10.{i}.2.3/16"} for i in range(90)]
    doc = native("Policy", "many", {"allow": {"egress": [{"to": peers}]}})
    told = warnings(create(lab, doc, "?dryRun=All", status=201))
    assert sum(len(text.encode()) for text in told) <= 4096 and all(len(text) <= 120 for text in told)
    assert [text.rsplit("[", 1)[1] for text in told[:-1]] == ["loose-cidr]"] * (len(told) - 1)
    assert len(told) > 20 and told[-1] == f"and {90 - len(told) + 1} more"


def test_names_are_looked_up_among_what_the_cluster_has(lab):
    """Both written at once: the second is judged when the first has been seen."""
    outside = native("ExternalNetwork", "card", {"cidrs": ["203.0.113.0/24"]})
    doc = native("Policy", "uses-card", {"allow": {"egress": [{"to": [{"external": "card"}]}]}})
    assert create(lab, doc).status == 422
    create(lab, outside, status=201)
    create(lab, doc, status=201)
    refused = delete(lab, outside)
    assert refused.status == 422
    message = refused.json()["message"]
    assert "Policy shop-prod/uses-card: " in message and "[unknown-external]" in message
    cleaner = "system:serviceaccount:kube-system:namespace-controller"
    delete(lab, outside, status=200, user=cleaner)
    # What is refused only because of what is not there may still be made less wrong.
    delete(lab, doc, status=200)
    wait_until(lambda: budget(lab)["policyObjects"] == objects(lab), 30, "watches")


def test_what_a_deletion_leaves_behind_is_a_warning(lab):
    """That a path is nobody's is no mistake, but who deletes it is told of policies that name it."""
    tree = native("Namespace", "acme-cards", {"path": "/acme/cards"}, None)
    doc = native("Policy", "names-cards", ingress(**{"from": [{"namespace": "/acme/cards"}]}))
    create(lab, tree, status=201)
    assert warnings(create(lab, doc, status=201)) == []
    (told,) = warnings(delete(lab, tree, status=200))
    assert told.startswith("Policy shop-prod/names-cards: ") and told.endswith(" [unknown-namespace]")
    wait_until(lambda: budget(lab)["policyObjects"] == objects(lab), 30, "watches")
    create(lab, tree, status=201)
    delete(lab, doc, status=200)
    wait_until(lambda: budget(lab)["policyObjects"] == objects(lab), 30, "watches")
    assert warnings(delete(lab, tree, status=200)) == []


def objects(lab):
    return sum(
        len(send(lab, "GET", path).json()["items"])
        for path in ("/api/v1/namespaces", f"/apis/{NATIVE}/policies", f"/apis/{NATIVE}/externalnetworks",
                     f"/apis/{NATIVE}/namespaces", "/apis/networking.k8s.io/v1/networkpolicies")
    )  # fmt: skip


def test_an_update_is_judged_and_metadata_alone_is_not(lab):
    doc = native("Policy", "edited", ingress(ports=["443/tcp"]))
    create(lab, doc, status=201)
    bad = native("Policy", "edited", ingress(ports=["443"]))
    assert send(lab, "PUT", place(doc, True), bad).status == 422
    noted = {**doc, "metadata": {**doc["metadata"], "annotations": {"x": "y"}}}
    send(lab, "PUT", place(doc, True), noted, 200)
    status = {**doc, "status": {"conditions": []}}
    send(lab, "PUT", place(doc, True) + "/status", status, 200)
    delete(lab, doc, status=200)


@pytest.mark.parametrize("kind", ["Policy", "NetworkPolicy"])
def test_owners_write_and_nobody_else(lab, kind):
    if kind == "Policy":
        doc = native("Policy", "owned", ingress(ports=["443/tcp"]))
    else:
        doc = {"apiVersion": "networking.k8s.io/v1", "kind": kind,
               "metadata": {"name": "owned", "namespace": "shop-prod"}, "spec": {"podSelector": {}}}  # fmt: skip
    everyone = "system:authenticated"
    answer = create(lab, doc, user="mallory", groups=["globex-devs", everyone])
    assert answer.status == 403 and answer.json()["reason"] == "Forbidden"
    assert "acme-shop-devs (of /acme/shop), acme-admins (of /acme)" in answer.json()["message"]
    for group in ("acme-admins", "acme-shop-devs"):
        create(lab, doc, status=201, user="ann", groups=[group, everyone])
        assert delete(lab, doc, user="mallory", groups=[everyone]).status == 403
        delete(lab, doc, status=200, user="ann", groups=[group, everyone])
    # /globex has no owners: what the API server permits counts.
    free = native("Policy", "free", ingress(ports=["443/tcp"]), namespace="globex-prod")
    create(lab, free, status=201, user="mallory", groups=[everyone])
    delete(lab, free, status=200)


def test_a_place_in_the_tree_is_its_owners_to_give(lab):
    here = native("Namespace", "acme-new", {"path": "/acme/new"}, None)
    taken = native("Namespace", "mine", {"path": "/mallory", "kubernetes": {"namespaces": ["shop-prod"]}}, None)
    mallory = {"user": "mallory", "groups": ["globex-devs", "system:authenticated"]}
    assert create(lab, here, **mallory).status == 403
    answer = create(lab, taken, **mallory)
    assert answer.status == 403 and '"shop-prod" is at /acme/shop' in answer.json()["message"]
    create(lab, here, status=201, user="ann", groups=["acme-admins"])
    moved = native("Namespace", "acme-new", {"path": "/mallory", "owners": ["globex-devs"]}, None)
    assert send(lab, "PUT", place(here, True), moved, **mallory).status == 403
    delete(lab, here, status=200)
    # placed twice: refused for whoever may
    assert create(lab, taken).status == 422


def test_curl_as_the_api_server(lab):
    """The wire, by hand: who asks, and how."""
    pki, url = lab.pki, f"https://127.0.0.1:{lab.port}/policy?timeout=10s"
    doc = native("Policy", "by-hand", ingress(ports=["443"]))
    review = {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "ringfence.dev", "version": "v1alpha1", "kind": "Policy"},
            "resource": {"group": "ringfence.dev", "version": "v1alpha1", "resource": "policies"},
            "name": "by-hand",
            "namespace": "shop-prod",
            "operation": "CREATE",
            "userInfo": {"username": "ann", "groups": ["acme-admins"]},
            "object": doc,
            "oldObject": None,
            "dryRun": False,
        },
    }

    def curl(name, body):
        credentials = ["--cert", f"{pki}/{name}.crt", "--key", f"{pki}/{name}.key"] if name else []
        return subprocess.run(
            ["curl", "-sS", "-w", "\n%{http_code}", "--cacert", f"{pki}/gate-ca.crt", *credentials,
             "-H", "Content-Type: application/json", "--data-binary", "@-", url],
            input=body, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    answer, code = curl("admin", json.dumps(review)).stdout.rsplit("\n", 1)
    response = json.loads(answer)["response"]
    assert code == "200" and response["uid"] == review["request"]["uid"]
    assert not response["allowed"] and response["status"]["code"] == 422
    assert response["status"]["details"]["causes"][0]["field"] == "spec.allow.ingress[0].ports[0]"
    review["request"]["object"] = native("Policy", "by-hand", ingress(ports=["443/tcp"]))
    answer = json.loads(curl("admin", json.dumps(review)).stdout.rsplit("\n", 1)[0])
    assert answer["response"] == {"uid": review["request"]["uid"], "allowed": True}
    assert curl("admin", "{}").stdout.endswith("400")
    assert curl("admin", '{"a":').stdout.endswith("400")
    assert curl(None, json.dumps(review)).returncode != 0


def test_without_an_answer_nothing_is_written(lab):
    """Last: the webhook is told where nobody listens."""
    closed = process.free_port()
    hooks = f"{HOOKS}/ringfence-policy"
    doc = native("Policy", "unheard", ingress(ports=["443/tcp"]))
    for policy, status in (("Fail", 500), ("Ignore", 201)):
        hook = webhook(closed, f"{lab.pki}/gate-ca.crt", failurePolicy=policy)
        send(lab, "PUT", hooks, hook, 200)
        assert create(lab, doc).status == status
    hook = webhook(closed, f"{lab.pki}/gate-ca.crt", namespaceSelector={"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["shop-prod"]}]})  # fmt: skip
    send(lab, "PUT", hooks, hook, 200)
    delete(lab, doc, status=200)
