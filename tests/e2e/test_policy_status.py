"""What became of each document: nodes report (here by hand), and the gate that holds the Lease writes
conditions.
"""

import itertools
import os
import time

import pytest
import yaml

import gate_lab
import proxy_lab
from proxy_lab import process, wait_until
from test_policy_admission import (
    ADMISSION, HOOKS, NATIVE, POLICY, budget, create, definitions, delete, ingress, native, place, send,
    webhook,
)  # fmt: skip

SAMPLE = os.path.join(os.path.dirname(proxy_lab.HERE), "..", "samples/kubernetes/base/crds/nodereports.yaml")
REPORTS = f"/apis/{NATIVE}/nodereports"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/shop-prod/leases/ringfence-status"
RESOURCE = "policies.ringfence.dev"
LONG = os.environ.get("RINGFENCE_E2E_LONG") == "1"
beats = itertools.count()


def settings(port):
    """What is changed in gate.yaml."""
    status = "  policy: true\n  statusAs: ringfence-status\n  leaseNamespace: shop-prod\n"
    return {"workers: 1\n": ADMISSION.replace("  policy: true\n", status) % {"port": port}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("status")
    port = process.free_port()
    pki = os.path.join(str(directory), "pki")
    arguments = ["--webhooks", "--webhook-cert", f"{pki}/admin.crt", "--webhook-key", f"{pki}/admin.key",
                 "--bookmark-seconds", "0.5"]  # fmt: skip
    with gate_lab.make(directory, settings(port), policy=POLICY, api_arguments=arguments) as made:
        with open(SAMPLE) as f:
            reports = next(yaml.safe_load_all(f))
        for crd in [*definitions(), reports]:
            send(made, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd, 201)
        wait_until(lambda: budget(made).get("statusLeads"), 30, "the gate to lead")
        made.hook = webhook(port, f"{pki}/gate-ca.crt")  # nobody has told the API server of it
        yield made
        gate_lab.assert_clean(made.gate)


def report(lab, node, version, refused=(), valid=3600):
    """What an enforcer writes; each says something new."""
    spec = {
        "renewTime": f"2026-11-26T12:00:00.{next(beats):06}Z", "validSeconds": valid,
        "inForce": [{"resource": RESOURCE, "resourceVersion": str(version)}] if version else [],
        "refused": [{"resource": RESOURCE, "namespace": "shop-prod", "name": name, "message": why}
                    for name, why in refused],
        "refusedMore": 0,
    }  # fmt: skip
    body = {"apiVersion": NATIVE, "kind": "NodeReport", "metadata": {"name": node}, "spec": spec}
    if send(lab, "PUT", f"{REPORTS}/{node}", body).status == 404:
        send(lab, "POST", REPORTS, body, 201)


def read(lab, doc):
    return send(lab, "GET", place(doc, True), status=200).json()


def version(lab, doc):
    return int(read(lab, doc)["metadata"]["resourceVersion"])


def conditions(lab, doc):
    """{type: (status, reason, message)} of this generation."""
    found = read(lab, doc)
    return {
        c["type"]: (c["status"], c["reason"], c["message"])
        for c in found.get("status", {}).get("conditions", [])
        if c["observedGeneration"] == found["metadata"]["generation"]
    }


def wait_condition(lab, doc, kind, *wanted):
    def holds():
        found = conditions(lab, doc).get(kind)
        return found is not None and found[: len(wanted)] == wanted

    wait_until(holds, 30, f"{kind} {wanted}; it is {conditions(lab, doc)}")


def test_conditions_follow_the_nodes(lab):
    doc = native("Policy", "web", ingress(ports=["443/tcp"]))
    create(lab, doc, status=201)
    wait_condition(lab, doc, "Accepted", "True", "Accepted")
    wait_condition(lab, doc, "InForce", "Unknown", "NoReports")
    first = version(lab, doc)
    report(lab, "n1", first)
    wait_condition(lab, doc, "InForce", "True", "InForce", "1 of 1 nodes")
    report(lab, "n2", 1)
    wait_condition(lab, doc, "InForce", "False", "Partly", "1 of 2 nodes")
    report(lab, "n2", first)
    wait_condition(lab, doc, "InForce", "True", "InForce", "2 of 2 nodes")
    # Its status was written since: that is no other generation, and takes no other report.
    assert version(lab, doc) > first
    changed = native("Policy", "web", ingress(ports=["8443/tcp"]))
    send(lab, "PUT", place(doc, True), changed, 200)
    edited = version(lab, doc)
    wait_condition(lab, doc, "InForce", "False", "Nowhere", "0 of 2 nodes")
    report(lab, "n1", edited)
    wait_condition(lab, doc, "InForce", "False", "Partly", "1 of 2 nodes")
    refusal = "spec.allow: no such thing [unknown-field]"
    report(lab, "n2", edited, [("web", refusal)])
    wait_condition(lab, doc, "InForce", "False", "Refused", f"1 of 2 nodes; refused by n2: {refusal}")
    # n2 vanishes: what it said is valid for a while.
    report(lab, "n2", 1, valid=2)
    wait_condition(lab, doc, "InForce", "True", "InForce", "1 of 1 nodes")
    send(lab, "DELETE", f"{REPORTS}/n2", status=200)
    report(lab, "n1", 2**40)
    delete(lab, doc, status=200)


def test_what_check_refuses_is_not_accepted(lab):
    """Nobody asked the webhook: it was written before there was one."""
    bad = native("Policy", "bad", ingress(ports=["443"]))
    create(lab, bad, status=201)
    wait_condition(lab, bad, "Accepted", "False", "BadPort")
    assert conditions(lab, bad)["Accepted"][2].startswith("spec.allow.ingress[0].ports[0]: ")
    external = native("ExternalNetwork", "card", {"cidrs": ["192.0.2.0/24"]})
    doc = native("Policy", "card", {"allow": {"egress": [{"to": [{"external": "card"}]}]}})
    create(lab, doc, status=201)
    wait_condition(lab, doc, "Accepted", "False", "UnknownExternal")
    create(lab, external, status=201)
    wait_condition(lab, doc, "Accepted", "True", "Accepted")
    wait_condition(lab, external, "Accepted", "True", "Accepted")
    assert "InForce" not in conditions(lab, external)
    for it in (bad, doc, external):
        delete(lab, it, status=200)


def test_of_two_that_contradict_each_other_one_is_refused_afterwards(lab):
    """Written at one instant, both are good: the webhook knows neither. What the watch brings says
    which is not."""
    first = native("Namespace", "left", {"path": "/left", "kubernetes": {"namespaces": ["disputed"]}}, None)
    second = native("Namespace", "right", {"path": "/right", "kubernetes": {"namespaces": ["disputed"]}}, None)
    lab.faults({"path": f"^/apis/{NATIVE}/namespaces", "user": "ringfence-policy", "do": "status", "code": 503})
    send(lab, "POST", "/test/cut-watches?how=cut")
    send(lab, "POST", HOOKS, lab.hook, 201)
    allowed = budget(lab)["policyAllowed"]
    for it in (first, second):
        create(lab, it, status=201)
    assert budget(lab)["policyAllowed"] == allowed + 2
    send(lab, "DELETE", f"{HOOKS}/{lab.hook['metadata']['name']}", status=200)
    lab.faults()
    wait_condition(lab, first, "Accepted", "True")
    wait_condition(lab, second, "Accepted", "False", "PlacedTwice")
    message = conditions(lab, second)["Accepted"][2]
    # Which one goes before it, and so stays, is said: of two the one whose name is first.
    assert message == ("spec.kubernetes.namespaces[0]: the Kubernetes namespace disputed is placed at /left "
                       "already (here: Namespace left) [placed-twice]")
    delete(lab, first, status=200)
    wait_condition(lab, second, "Accepted", "True", "Accepted")
    delete(lab, second, status=200)


def test_nothing_is_written_without_a_change(lab):
    doc = native("Policy", "quiet", ingress(ports=["443/tcp"]))
    create(lab, doc, status=201)
    report(lab, "n1", version(lab, doc))
    wait_condition(lab, doc, "InForce", "True")
    settled, writes = version(lab, doc), budget(lab)["statusWrites"]
    other = native("Policy", "other", ingress(ports=["443/tcp"]))
    create(lab, other, status=201)  # another's passes go by
    wait_condition(lab, other, "InForce", "False")
    report(lab, "n1", version(lab, other))
    wait_condition(lab, other, "InForce", "True")
    assert version(lab, doc) == settled
    assert budget(lab)["statusWrites"] - writes <= 4
    for it in (doc, other):
        delete(lab, it, status=200)


def test_who_does_not_hold_the_lease_writes_nothing(lab):
    lease = send(lab, "GET", LEASE, status=200).json()
    mine = lease["spec"]["holderIdentity"]
    assert len(mine) == 32 and lease["spec"]["leaseDurationSeconds"] == 15

    def hold(who):
        now = send(lab, "GET", LEASE, status=200).json()
        now["spec"]["holderIdentity"] = who
        return send(lab, "PUT", LEASE, now).status == 200

    wait_until(lambda: hold("another"), 30, "another holds it")
    wait_until(lambda: not budget(lab)["statusLeads"], 30, "the gate to notice")
    doc = native("Policy", "unwritten", ingress(ports=["443/tcp"]))
    create(lab, doc, status=201)
    writes = budget(lab)["statusWrites"]
    wait_until(lambda: hold("another"), 30, "another renews it")
    assert budget(lab)["statusWrites"] == writes and conditions(lab, doc) == {}
    wait_until(lambda: hold(""), 30, "it is let go")
    wait_condition(lab, doc, "Accepted", "True")
    assert send(lab, "GET", LEASE).json()["spec"]["holderIdentity"] == mine
    delete(lab, doc, status=200)


@pytest.mark.skipif(not LONG, reason="a lease takes its time: RINGFENCE_E2E_LONG=1")
def test_another_gate_takes_over_from_one_that_was_killed(lab):
    """It never said that it ends: its Lease runs out, and only then does another write."""
    with gate_lab.config_of(settings(process.free_port())):
        other = proxy_lab.Gate(lab)
    try:
        wait_until(lambda: gate_lab.role_status(other, "budget").get("policyKnown"), 30, "the other")
        before = send(lab, "GET", LEASE, status=200).json()["spec"]
        assert budget(lab)["statusLeads"] and not gate_lab.role_status(other, "budget")["statusLeads"]
        lab.gate.process.kill()
        lab.gate.process.wait()
        killed = time.monotonic()
        doc = native("Policy", "left-behind", ingress(ports=["443/tcp"]))
        create(lab, doc, status=201)
        wait_condition(lab, doc, "Accepted", "True")
        # Not before its time: it might have been alive, and only slow.
        assert time.monotonic() - killed > 15 - 5 - 1, "it renews every 5 s"
        after = send(lab, "GET", LEASE, status=200).json()["spec"]
        assert after["holderIdentity"] != before["holderIdentity"]
        assert after["leaseTransitions"] == before["leaseTransitions"] + 1
        lab.gate.start_again()
        wait_until(lambda: budget(lab).get("policyKnown"), 30, "the first, again")
        assert not budget(lab)["statusLeads"], "whoever holds it goes on"
        delete(lab, doc, status=200)
    finally:
        other.stop()
    wait_until(lambda: budget(lab).get("statusLeads"), 30, "the first, for good")
    gate_lab.assert_clean(other)


def test_counts_are_metrics(lab):
    doc = native("Policy", "counted", ingress(ports=["443/tcp"]))
    create(lab, doc, status=201)
    report(lab, "n1", version(lab, doc))
    wait_condition(lab, doc, "InForce", "True")
    text = gate_lab.metrics(lab.gate)
    assert "status_writer_leads 1" in text and "policy_known 1" in text
    assert budget(lab)["statusNodes"] >= 1 and budget(lab)["statusWrites"] >= 1
    delete(lab, doc, status=200)
