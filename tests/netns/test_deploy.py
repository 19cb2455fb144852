"""The containers of samples/kubernetes, run with exactly what their manifests give them: user,
capabilities, system calls, mounts, a read-only root; and nothing of it can be left out.
RINGFENCE_E2E_LONG=1: also what takes half a minute, of roles that hang."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
import yaml

import dnslab
import lab as lab_module
import test_kube
from enforcerd import rf
from kubelab import ADMIN_KINDS, Cluster, make_pki, namespace, thing
from lab import Lab, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import manifests  # noqa: E402

REASON = lab_module.skip_reason()
pytestmark = [
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    pytest.mark.skipif(manifests.kubectl() is None, reason="there is no kubectl"),
    pytest.mark.skipif(rf.sanitized(), reason="images are made of what is shipped"),
]
ACCOUNT = "system:serviceaccount:ringfence:ringfence-enforcer"
WAIT_S = 60
LONG = os.environ.get("RINGFENCE_E2E_LONG") == "1"
FLANNEL = json.dumps({"name": "cbr0", "cniVersion": "0.3.1", "plugins": [{"type": "flannel"}]})


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("images")
    return {kind: manifests.make_image(kind, directory) for kind in ("enforcer", "gate")}


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(["web", "db", "mon"])
        lab.listen_all([80, 5432])
        yield lab


@pytest.fixture(scope="module")
def objects():
    return manifests.render("overlays/node")


def role_rules(objects, path):
    """All roles that are bound to somebody, as the double reads rules; what they give:
    {(group, resource, verb)}."""
    rules = []
    for (kind, _), binding in objects.items():
        if kind not in ("ClusterRoleBinding", "RoleBinding"):
            continue
        (subject,) = binding["subjects"]
        user = subject["name"]
        if subject["kind"] == "ServiceAccount":
            user = f"system:serviceaccount:{subject['namespace']}:{user}"
        where = {"namespaces": [binding["metadata"]["namespace"]]} if kind == "RoleBinding" else {}
        rules += [rule | where | {"users": [user]} for rule in
                  objects[binding["roleRef"]["kind"], binding["roleRef"]["name"]]["rules"]]
    path.write_text(json.dumps({"rules": rules}))
    return {(group, resource, verb) for rule in rules for group in rule["apiGroups"]
            for resource in rule["resources"] for verb in rule["verbs"]}


def definitions(objects):
    """Of the manifests, without the schemas, at which the double does not look."""
    found = [json.loads(json.dumps(item)) for (kind, _), item in objects.items()
             if kind == "CustomResourceDefinition"]
    for version in [v for item in found for v in item["spec"]["versions"]]:
        version.pop("schema")
    return found


class Node:
    """A cluster and a pod of the DaemonSet on the lab's node."""

    def __init__(self, lab, objects, pki, directory):
        self.lab, self.directory = lab, directory
        tokens, rules = directory / "tokens", directory / "rules"
        tokens.write_text(f"a-token,{ACCOUNT},1,,authentication.kubernetes.io/node-name,node-1\n")
        self.granted = role_rules(objects, rules)
        self.cluster = Cluster(lab.node, directory / "cluster", pki, arguments=[
            "--token-file", str(tokens), "--rbac", str(rules), "--webhooks"]).start()
        self.cluster.apply(*ADMIN_KINDS, *definitions(objects), *test_kube.world(lab), *(
            item for (kind, _), item in objects.items() if kind.startswith("ValidatingAdmission")))
        account = {"token": "a-token", "namespace": "ringfence",
                   "ca.crt": (pathlib.Path(pki) / "cluster-ca.crt").read_bytes()}
        self.pod = manifests.Pod(objects, "DaemonSet", "ringfence-enforcer", directory / "pod",
                                 account=account)
        self.log_path = directory / "log"
        self.environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1",
                            "KUBERNETES_SERVICE_PORT": str(self.cluster.port)}
        self.processes = []

    def start(self, name, image, change=None):
        spec = self.pod.spec(name, image, self.environment)
        if name == "enforcer":  # its networks are the lab's, not the sample's
            config = pathlib.Path(next(m["source"] for m in spec["mounts"]
                                       if m["target"] == "/etc/ringfence")) / "enforcer.yaml"
            text = config.read_text()
            assert text.count("10.244.0.0/16") == 1
            config.write_text(text.replace("10.244.0.0/16", '10.1.0.0/16, "fd00:1::/32"'))
        if change:
            change(spec)
        with open(self.log_path, "ab") as log:
            process = self.lab.node.popen(self.pod.argv(spec, name), stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def asked(self):
        return {(r["object"].get("apiGroup", ""), r["object"]["resource"], r["verb"])
                for r in self.cluster.requests(user=ACCOUNT)}

    def write_report(self, node):
        """What the cluster answers, as whom the daemon is."""
        body = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "NodeReport",
                "metadata": {"name": node}, "spec": {}}
        return json.loads(self.lab.node.exec([
            "curl", "-sk", "-X", "PATCH", "--data", json.dumps(body), "-H", "Authorization: Bearer a-token",
            "-H", "Content-Type: application/apply-patch+yaml",
            f"https://127.0.0.1:{self.cluster.port}/apis/ringfence.dev/v1alpha1/nodereports/{node}"
            "?fieldManager=test&force=true"]).stdout)

    def log(self):
        return self.log_path.read_text()

    def ready(self):
        done = self.lab.node.exec(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                   "http://127.0.0.1:9477/readyz"], check=False)
        return done.stdout == "200"

    def ask(self, *words):
        socket = self.pod.host("/run/ringfence") / "enforcer.sock"
        return self.lab.node.exec([rf.program("ringfence-enforcer"), words[0], "--control",
                                   str(socket), *words[1:]]).stdout

    def close(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(WAIT_S)
        self.cluster.stop()
        self.lab.node.exec(["nft", "flush", "ruleset"])


@pytest.fixture
def node(lab, objects, pki, tmp_path):
    node = Node(lab, objects, pki, tmp_path)
    yield node
    node.close()


def test_enforcer_needs_what_the_daemonset_gives_it(lab, node, images):
    process = node.start("enforcer", images["enforcer"])
    wait_until(lambda: process.poll() is not None or node.ready(), WAIT_S, "policy in force")
    assert process.poll() is None, node.log()
    assert test_kube.is_open(lab, "web", "db") and not test_kube.is_open(lab, "mon", "db")
    status = json.loads(node.ask("status", "-o", "json"))
    assert status["node"] == "node-1" and status["kernel"]["connected"]
    # Roles that die are started again, under the filter of system calls as before.
    before = {role["name"]: role["pid"] for role in status["roles"]}
    lab.node.exec(["pkill", "-KILL", "-f", "--parent", str(child_of(process.pid)), "role="])
    wait_until(lambda: roles_of(node) and not set(roles_of(node)) & set(before.values()) - {1},
               WAIT_S, "other roles")
    assert test_kube.is_open(lab, "web", "db") and not test_kube.is_open(lab, "mon", "db")
    node.cluster.apply(test_kube.db_policy("mon"))
    test_kube.wait_open(lab, "mon", "db", True)
    wait_until(lambda: node.asked() >= {("ringfence.dev", "nodereports", "patch")}, WAIT_S,
               "its report")
    # `apply` creates what is not there, which takes the right to.
    assert node.asked() == node.granted - {("ringfence.dev", "nodereports", "create")}
    report = node.cluster.ask("GET", "/apis/ringfence.dev/v1alpha1/nodereports/node-1")
    assert report["spec"]["refused"] == [] and report["spec"]["inForce"]
    own, other = node.write_report("node-1"), node.write_report("node-2")
    assert own["kind"] == "NodeReport" and other["code"] == 422
    assert "a NodeReport is written by its node alone; this is node-1" in other["message"]
    rules_ask_for_what_there_is(lab)
    # Its end leaves the table.
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0, node.log()
    assert test_kube.is_open(lab, "mon", "db") and not test_kube.is_open(lab, "web", "db")


def rules_ask_for_what_there_is(lab):
    """Alerts about what nobody tells would never come."""
    text = lab.node.exec(["curl", "-s", "http://127.0.0.1:9477/metrics"]).stdout
    told = set(re.findall(r"^(ringfence_\w+)", text, re.MULTILINE))
    (rules,) = [item for (kind, _), item in manifests.render("base/monitoring").items()
                if kind == "PrometheusRule"]
    asked = set(re.findall(r"ringfence_\w+", json.dumps(rules["spec"])))
    assert len(asked) > 8
    assert asked <= told, asked - told


def child_of(pid):
    (child,) = children_of(pid)
    return child


def roles_of(node):
    try:
        status = json.loads(node.ask("status", "-o", "json"))
    except (lab_module.LabError, ValueError):
        return []
    return [role["pid"] for role in status["roles"]]


def test_no_capability_of_the_daemonset_can_be_left_out(node, images, objects):
    """Without NET_ADMIN nothing works; without each of the others privilege would stay, or
    roles could not be ended."""
    given = node.pod.container("enforcer")["securityContext"]["capabilities"]["add"]
    assert given
    for missing in given:
        if missing == "KILL" and not LONG:
            continue
        process = node.start("enforcer", images["enforcer"],
                             lambda spec: spec["capabilities"].remove(missing))
        if missing in NEEDED_LATER:
            NEEDED_LATER[missing](node, process)
        else:
            assert process.wait(WAIT_S) != 0, missing
        node.processes.remove(process)


@pytest.mark.skipif(not LONG, reason="RINGFENCE_E2E_LONG is not 1")
def test_role_that_hangs_is_ended(node, images):
    """With the capabilities of the manifest; the contrast to the test above."""
    process = node.start("enforcer", images["enforcer"])
    wait_until(node.ready, WAIT_S, "policy in force")
    hung = hang_and_remove(node, process)
    assert not pathlib.Path(f"/proc/{hung}").exists()


def keeps_a_bounding_set(node, process):
    """SETPCAP: roles whose bounding set is not empty have a way back."""
    wait_until(node.ready, WAIT_S, "policy in force")
    assert bounding_sets(process) - {0}
    process.send_signal(signal.SIGTERM)
    process.wait(WAIT_S)


def cannot_end_roles(node, process):
    """KILL: a role that hangs, and is another user's, cannot be ended by its parent."""
    wait_until(node.ready, WAIT_S, "policy in force")
    assert bounding_sets(process) == {0}
    hung = hang_and_remove(node, process)
    assert field(hung, "State") == "T"
    process.send_signal(signal.SIGTERM)
    process.wait(WAIT_S)


def hang_and_remove(node, process):
    """A cluster's role hangs when the configuration is without that cluster: its pid."""
    parent = child_of(process.pid)
    hung = next(pid for pid in children_of(parent) if "role=kube" in command_of(pid))
    os.kill(hung, signal.SIGSTOP)
    config = node.directory / "pod" / "volumes" / "config" / "enforcer.yaml"
    config.write_text(config.read_text().replace("- kubernetes: {}", "- directory: /tmp"))
    node.lab.node.exec(["kill", "-HUP", str(parent)])
    wait_until(lambda: "reloaded" in node.log(), WAIT_S, "the other configuration")
    return hung


def children_of(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def command_of(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_text()


NEEDED_LATER = {"SETPCAP": keeps_a_bounding_set, "KILL": cannot_end_roles}


def field(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{name}:\s+(\S+)", text, re.MULTILINE)[1]


def bounding_sets(process):
    """Of the roles, as the kernel says."""
    children = children_of(child_of(process.pid))
    assert len(children) >= 3
    return {int(field(pid, "CapBnd"), 16) for pid in children}


@pytest.fixture(name="answers")
def node_that_answers(lab, pki, tmp_path):
    lab.node.exec(["ip", "address", "add", "169.254.20.10/32", "dev", "lo"])
    node = Node(lab, manifests.render("overlays/node-hold"), pki, tmp_path)
    yield node
    node.close()
    lab.node.exec(["ip", "address", "del", "169.254.20.10/32", "dev", "lo"])


def test_port_53_is_opened_by_who_keeps_no_power_for_it(lab, answers, images):
    """It takes NET_BIND_SERVICE, which neither the parent nor a role has any more."""
    process = answers.start("enforcer", images["enforcer"],
                            lambda spec: spec["capabilities"].remove("NET_BIND_SERVICE"))
    assert process.wait(WAIT_S) != 0 and "dns at 169.254.20.10 port 53" in answers.log()
    answers.processes.clear()
    process = answers.start("enforcer", images["enforcer"])
    wait_until(lambda: process.poll() is not None or answers.ready(), WAIT_S, "policy in force")
    assert process.poll() is None, answers.log()
    # Nobody is where the sample's resolver would be.
    reply = wait_until(lambda: dnslab.ask(lab.host("web"), "169.254.20.10", "api.example"), WAIT_S, "an answer")
    assert dnslab.rcode(reply) == 2
    parent = child_of(process.pid)
    for pid in (parent, *children_of(parent)):
        for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert not int(field(pid, caps), 16) & 1 << 10, (pid, caps)
    assert int(field(parent, "CapEff"), 16) & 1 << 12  # what it needs still: NET_ADMIN


def test_cni_containers_need_no_capability(node, images):
    net, bins = node.pod.host("/etc/cni/net.d"), node.pod.host("/opt/cni/bin")
    process = node.start("cni-install", images["enforcer"])
    assert process.wait(WAIT_S) == 0, node.log()
    assert (bins / "ringfence-cni").exists(), "without a configuration, too"
    (net / "10-flannel.conflist").write_text(FLANNEL)
    check = node.pod.container("cni")["readinessProbe"]["exec"]["command"]

    def probe(spec):
        spec["command"] = check

    assert node.start("cni", images["enforcer"], probe).wait(WAIT_S) == 1
    process = node.start("cni", images["enforcer"])

    def there():
        plugins = json.loads((net / "10-flannel.conflist").read_text())["plugins"]
        return plugins[-1]["type"] == "ringfence-cni"

    wait_until(there, WAIT_S, "the plugin in the chain")
    assert node.start("cni", images["enforcer"], probe).wait(WAIT_S) == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    node.processes.clear()


def test_uninstalling_leaves_nothing(lab, node, images, pki, tmp_path):
    process = node.start("enforcer", images["enforcer"])
    (node.pod.host("/etc/cni/net.d") / "10-flannel.conflist").write_text(FLANNEL)
    assert node.start("cni-install", images["enforcer"]).wait(WAIT_S) == 0
    wait_until(node.ready, WAIT_S, "policy in force")
    undo = manifests.Pod(manifests.render("overlays/uninstall"), "DaemonSet",
                         "ringfence-uninstall", tmp_path / "pod")

    def run(name):
        spec = undo.spec(name, images["enforcer"])
        return lab.node.popen(undo.argv(spec, name), stderr=subprocess.DEVNULL)

    assert run("cni").wait(WAIT_S) == 0
    if json.loads(node.ask("status", "-o", "json"))["kernel"]["owned"]:
        assert run("table").wait(WAIT_S) == 1, "a daemon owns it"
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    node.processes.clear()
    assert run("table").wait(WAIT_S) == 0
    assert run("table").wait(WAIT_S) == 0, "there is none"
    assert lab.node.exec(["nft", "list", "ruleset"]).stdout == ""
    assert test_kube.is_open(lab, "mon", "db")
    chain = undo.host("/etc/cni/net.d") / "10-flannel.conflist"
    assert json.loads(chain.read_text()) == json.loads(FLANNEL)
    assert not list(undo.host("/opt/cni/bin").iterdir())
    stays = run("done")  # somebody puts it back meanwhile
    chain.write_text(FLANNEL.replace('"flannel"}', '"flannel"}, {"type": "ringfence-cni"}'))
    wait_until(lambda: json.loads(chain.read_text()) == json.loads(FLANNEL), WAIT_S,
               "the plugin to be taken out again")
    stays.send_signal(signal.SIGTERM)
    assert stays.wait(WAIT_S) == 0


# --- the gate ---


def gate_secrets(pki):
    def pem(name):
        return (pathlib.Path(pki) / name).read_bytes()

    pair = {"tls.crt": pem("gate.crt"), "tls.key": pem("gate.key")}
    return {
        "ringfence-gate-tls": pair,
        "ringfence-gate-upstream": {"tls.crt": pem("front-proxy.crt"),
                                    "tls.key": pem("front-proxy.key"),
                                    "ca.crt": pem("cluster-ca.crt")},
        "ringfence-gate-admission": pair | {"ca.crt": pem("cluster-ca.crt")},
        "ringfence-gate-ldap": {"ca.crt": pem("ldap-ca.crt"), "password": b"secret"},
        "ringfence-gate-etcd": pair | {"ca.crt": pem("cluster-ca.crt")},
    }


POLICIES = "/apis/ringfence.dev/v1alpha1/namespaces/shop/policies"


def accepted(cluster):
    policy = cluster.ask("GET", f"{POLICIES}/web")
    return [c["status"] for c in policy.get("status", {}).get("conditions", [])
            if c["type"] == "Accepted"] == ["True"]


def test_gate_runs_as_nobody_in_particular(lab, pki, images, tmp_path):
    """Every secret as a kubelet writes it, no capability, nothing writable but three
    directories. There is no etcd and no directory here: it keeps its tokens itself."""
    objects = manifests.render("overlays/node-gate")
    config = yaml.safe_load(objects["ConfigMap", "ringfence-gate"]["data"]["gate.yaml"])
    role_rules(objects, tmp_path / "rules")
    with Cluster(lab.node, tmp_path / "cluster", pki, arguments=[
            "--rbac", str(tmp_path / "rules"), "--front-proxy-names", "front-proxy-client",
            "--front-proxy-ca", f"{pki}/front-proxy-ca.crt"]) as cluster:
        cluster.apply(*definitions(objects), namespace("ringfence"), namespace("shop"))
        cluster.ask("POST", POLICIES, thing("Policy", "web", "shop", spec={"allow": {"ingress": []}}))
        config["upstream"]["servers"] = [f"https://127.0.0.1:{cluster.port}"]
        config["ldap"]["servers"] = ["ldaps://127.0.0.1:1"]
        del config["state"]["etcd"]
        objects["ConfigMap", "ringfence-gate"]["data"]["gate.yaml"] = yaml.safe_dump(config)
        pod = manifests.Pod(objects, "Deployment", "ringfence-gate", tmp_path / "pod",
                            secrets=gate_secrets(pki))
        spec = pod.spec("gate", images["gate"])
        assert (spec["uid"], spec["gid"], spec["capabilities"]) == (65532, 65532, [])
        with open(tmp_path / "log", "wb") as log:
            process = lab.node.popen(pod.argv(spec), stdout=log, stderr=log)

        def answers(path):
            done = lab.node.exec(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                  f"http://127.0.0.1:9478{path}"], check=False)
            return done.stdout

        wait_until(lambda: process.poll() is not None or answers("/readyz") == "200", WAIT_S,
                   "the gate to be ready")
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert answers("/healthz") == "200"
        ca = f"{pki}/gate-ca.crt"
        done = lab.node.exec(["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}",
                              "https://127.0.0.1:8443/api/v1/pods"])
        assert done.stdout == "401", ca
        # API servers are answered, and nobody else.
        admission = ["curl", "-sk", "--data", "{}", "https://127.0.0.1:8444/policy"]
        assert lab.node.exec(admission, check=False).returncode != 0
        credentials = ["--cert", f"{pki}/admin.crt", "--key", f"{pki}/admin.key"]
        assert "AdmissionReview" in lab.node.exec(admission + credentials).stdout
        wait_until(lambda: accepted(cluster), WAIT_S, "the status of the policy")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0, (tmp_path / "log").read_text()
