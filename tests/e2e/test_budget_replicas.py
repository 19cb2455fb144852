"""Object budgets that two gates keep together through a real etcd; and what outlives a process."""

import concurrent.futures
import json
import os
import signal
import uuid

import pytest

import gate_lab
import test_budget
import test_key
from proxy_lab import Gate, client, process, wait_until

from etcd import Etcd, Forwarder

long = pytest.mark.skipif(
    not os.environ.get("RINGFENCE_E2E_LONG"), reason="takes its time; RINGFENCE_E2E_LONG=1"
)
HOLD = 60  # seconds; a ghost of one test must not be gone before it is looked for

STATE = """\
state:
  directory: {directory}/state
  etcd:
    endpoints: [ {etcd} ]
    ca: {etcd_pki}/ca.crt
    certificate: {etcd_pki}/etcd.crt
    key: {etcd_pki}/etcd.key
"""
CHANGES = {"state: {{ directory: {directory}/state }}\n": STATE}


def admission():
    """With a certificate that only this listener has."""
    text = test_budget.ADMISSION.replace("holdSeconds: 2", f"holdSeconds: {HOLD}")
    return text.replace("%(port)d", "{admission}").replace("{pki}/gate.", "{pki}/admission.")


class Pair:
    """Two gates that an API server asks in turn; the second has a way to etcd that can be cut."""

    def __init__(self, lab, b, way, ports, etcd):
        self.lab, self.a, self.b, self.way = lab, lab.gate, b, way
        self.ports = {self.a: ports[0], self.b: ports[1]}
        self.etcd_key = os.path.join(etcd.pki, "etcd.key")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    directory = tmp_path_factory.mktemp("budgets")
    ports = [process.free_port() for _ in range(2)]
    changes = {**CHANGES, "workers: 1\n": admission()}
    with Etcd(directory, members=1) as etcd, Forwarder(etcd.ports[0]) as way:
        options = {"etcd": etcd.endpoints[0], "etcd_pki": etcd.pki, "admission": ports[0]}
        with gate_lab.make(
            directory,
            changes,
            policy=test_budget.policy(),
            gate_options=options,
            api_arguments=webhook(directory, *ports),
        ) as lab:
            options.update(etcd=f"https://127.0.0.1:{way.port}", admission=ports[1])
            with gate_lab.config_of(changes):
                made = Pair(lab, Gate(lab, options), way, ports, etcd)
            try:
                wait_until(lambda: all(synced(g) for g in (made.a, made.b)), 60, "the lists")
                yield made
            finally:
                made.b.stop()
            gate_lab.assert_clean(made.a)
            gate_lab.assert_clean(made.b)


def webhook(directory, *ports):
    pki = os.path.join(str(directory), "pki")
    return [
        "--webhook", ",".join(f"https://127.0.0.1:{p}/admission" for p in ports),
        "--webhook-ca", f"{pki}/gate-ca.crt",
        "--webhook-cert", f"{pki}/admin.crt",
        "--webhook-key", f"{pki}/admin.key",
        "--webhook-commit-delay-ms", "30",
        "--bookmark-seconds", "0.2",
        "--finish-deletion-ms", "50",
    ]  # fmt: skip


def budget(gate):
    return next(
        (p["status"] for p in gate_lab.status(gate)["parts"] if p["role"] == "budget"), {}
    )


def synced(gate):
    return budget(gate).get("budgetsSynced", False)


def used(gate, namespace="/acme", resource="pods"):
    return next(
        (
            b["usedMilli"]
            for b in budget(gate).get("budgets", [])
            if (b["namespace"], b["resource"]) == (namespace, resource)
        ),
        None,
    )


def ask(lab, port, name, namespace="shop-prod"):
    """What a gate says to one more pod, which nobody then stores: 200, 403 or 503."""
    body = test_budget.pod(name)
    body["metadata"].update(namespace=namespace, uid=str(uuid.uuid4()))
    review = {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": str(uuid.uuid4()),
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace,
            "operation": "CREATE",
            "object": body,
        },
    }
    pem = lambda suffix: os.path.join(lab.pki, f"admin.{suffix}")  # noqa: E731
    context = client.client_context(
        os.path.join(lab.pki, "gate-ca.crt"), pem("crt"), pem("key")
    )
    with client.Connection("127.0.0.1", port, context) as c:
        answer = c.request(
            "POST", "/admission", [("content-type", "application/json")],
            json.dumps(review).encode(),
        )  # fmt: skip
    assert answer.status == 200, answer.body
    response = answer.json()["response"]
    assert response["uid"] == review["request"]["uid"]
    return 200 if response["allowed"] else response["status"]["code"]


def kill_budget(gate):
    (pid,) = gate_lab.pids(gate, "budget")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: gate_lab.pids(gate, "budget") not in ([], [pid]), 30, "another process")
    wait_until(lambda: synced(gate), 30, "its lists")


def test_clients_racing_over_both_never_overdraw(pair):
    """Three places in the shop and four below /acme; 24 at once want them, at both gates."""
    wanted = [(f"race-{i}", "shop-prod" if i % 2 else "shop-dev") for i in range(24)]
    before = [budget(g)["admissionsAllowed"] for g in (pair.a, pair.b)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(
            pool.map(lambda w: test_budget.create(pair.lab, test_budget.pod(w[0]), w[1]), wanted)
        )
    codes = [a.status for a in answers]
    assert set(codes) == {201, 403} and codes.count(201) == 4
    there = [len(test_budget.names(pair.lab, n)) for n in ("shop-prod", "shop-dev")]
    assert sum(there) == 6 and there[0] <= 5
    # Each says yes to its own only, and knows of all.
    after = [budget(g)["admissionsAllowed"] for g in (pair.a, pair.b)]
    assert sum(after) - sum(before) == 4
    for gate in (pair.a, pair.b):
        wait_until(lambda: used(gate) == 6000, 30, "both to know")  # noqa: B023
    for namespace in ("shop-prod", "shop-dev"):
        for name in test_budget.names(pair.lab, namespace) - {"web-0", "web-1"}:
            test_budget.delete(pair.lab, name, namespace)
    for gate in (pair.a, pair.b):
        wait_until(lambda: used(gate) == 2000, 60, "room")  # noqa: B023


def test_gate_that_is_cut_off_admits_nothing(pair):
    pair.way.cut()
    assert ask(pair.lab, pair.ports[pair.b], "cut-off") == 503
    pair.way.mend()
    wait_until(lambda: budget(pair.b)["budgetsConnected"] and synced(pair.b), 60, "its return")


def test_what_one_admitted_binds_the_other_and_the_next_process(pair):
    """Four ghosts: admitted by both, stored by nobody, so that the reservations alone count."""
    ports = [pair.ports[pair.a], pair.ports[pair.b]]
    codes = [ask(pair.lab, ports[i % 2], f"ghost-{i}", "shop-dev") for i in range(6)]
    assert codes == [200] * 4 + [403] * 2
    kill_budget(pair.a)
    assert ask(pair.lab, ports[0], "late", "shop-dev") == 403
    # The new process also remembers what is gone again, until holdSeconds are over.
    assert used(pair.b) == 6000 <= used(pair.a)


@long
def test_what_never_came_is_given_back(pair):
    for gate in (pair.a, pair.b):
        wait_until(lambda: used(gate) == 2000, 4 * HOLD, "room")  # noqa: B023


def test_private_keys_are_in_the_key_process_alone(pair):
    """Of roles that have listeners, API servers and etcd to talk to, each with a certificate."""
    assert ask(pair.lab, pair.ports[pair.a], "anybodys", "globex-prod") == 200
    names = ("gate", "admission", "front-proxy")
    files = [os.path.join(pair.lab.pki, f"{name}.key") for name in names]
    test_key.assert_in_the_key_process_alone(pair.a, *files, pair.etcd_key)


def test_budget_goes_on_when_the_key_process_is_another(pair):
    (old,) = gate_lab.pids(pair.a, "key")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: gate_lab.pids(pair.a, "key") not in ([], [old]), 30, "another process")
    # New connections of both kinds: to its listener, and to the API servers and etcd.
    assert ask(pair.lab, pair.ports[pair.a], "later", "globex-prod") == 200
    kill_budget(pair.a)
    assert ask(pair.lab, pair.ports[pair.a], "still-later", "globex-prod") == 200


@long
def test_gate_by_itself_remembers_what_it_admitted(tmp_path):
    """In its journal: a process is killed, and then all of them are ended."""
    port = process.free_port()
    with gate_lab.make(
        tmp_path,
        {"workers: 1\n": admission()},
        policy=test_budget.policy(),
        gate_options={"admission": port},
        api_arguments=webhook(tmp_path, port),
    ) as lab:
        wait_until(lambda: synced(lab.gate), 30, "the lists")
        assert [ask(lab, port, f"ghost-{i}") for i in range(4)] == [200] * 3 + [403]
        kill_budget(lab.gate)
        assert ask(lab, port, "late") == 403
        lab.gate.stop()
        lab.gate.start_again()
        wait_until(lambda: synced(lab.gate), 30, "the lists")
        assert ask(lab, port, "later") == 403
        gate_lab.assert_clean(lab.gate)
