"""kubectl against the double.  RINGFENCE_KUBECTL: other programs to try, separated by ':'."""

import json
import os
import socket
import subprocess

import pytest

import process
from apiserver import ApiServer
from kubectls import PROGRAMS

pytestmark = pytest.mark.skipif(not PROGRAMS, reason="no kubectl")

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"nodeName": "worker", "containers": [{"name": "c", "image": "i:1"}]},
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "shop"}},
        "template": {
            "metadata": {"labels": {"app": "shop"}},
            "spec": {
                "containers": [
                    {"name": "a", "image": "a:1", "env": [{"name": "A", "value": "1"}]},
                    {"name": "b", "image": "b:1"},
                ]
            },
        },
    },
}


class Kubectl:
    """Runs kubectl as the cluster's admin with a home of its own."""

    def __init__(self, program, api, pki, home, user="admin"):
        self.argv = [program, "--server", api.url]
        self.argv += ["--certificate-authority", os.path.join(pki, "cluster-ca.crt")]
        self.argv += ["--client-certificate", os.path.join(pki, f"{user}.crt")]
        self.argv += ["--client-key", os.path.join(pki, f"{user}.key")]
        self.environment = {"HOME": home, "PATH": os.environ["PATH"]}

    def run(self, *arguments, text=None):
        return subprocess.run(
            self.argv + list(arguments), input=text, capture_output=True, text=True,
            timeout=30, env=self.environment,
        )  # fmt: skip

    def __call__(self, *arguments, text=None):
        result = self.run(*arguments, text=text)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def start(self, *arguments):
        return process.popen(
            self.argv + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip


@pytest.fixture(params=PROGRAMS)
def kubectl(request, pki, tmp_path):
    arguments = ["--streams", "channels", "--log-interval-ms", "20"]
    with ApiServer(str(tmp_path), pki, arguments) as api:
        kubectl = Kubectl(request.param, api, pki, str(tmp_path))
        kubectl.api = api
        yield kubectl


def lines(text):
    return [line.split() for line in text.splitlines()]


def test_get_namespaces_and_pods(kubectl):
    rows = lines(kubectl("get", "namespaces"))
    assert rows[0] == ["NAME", "STATUS", "AGE"]
    assert [row[:2] for row in rows[1:]] == [
        [name, "Active"]
        for name in ("default", "kube-node-lease", "kube-public", "kube-system")
    ]
    kubectl("create", "--validate=false", "-f", "-", text=json.dumps(POD))
    rows = lines(kubectl("get", "pods", "-A", "-o", "wide", "--no-headers"))
    assert rows[0][:5] == ["default", "web", "0/1", "Pending", "0"]
    assert kubectl("get", "po", "-l", "app=web", "-o", "name") == "pod/web\n"


def test_create_objects_of_many_kinds(kubectl):
    kubectl("create", "namespace", "team")
    kubectl("create", "configmap", "c", "-n", "team", "--from-literal=key=value")
    kubectl(
        "create", "secret", "generic", "s", "-n", "team", "--from-literal=key=value"
    )
    kubectl("create", "deployment", "d", "-n", "team", "--image=i:1")
    kubectl("create", "service", "clusterip", "v", "-n", "team", "--tcp=80:8080")
    kubectl("create", "role", "r", "-n", "team", "--verb=get", "--resource=pods")
    kubectl("create", "rolebinding", "b", "-n", "team", "--role=r", "--user=u")
    kubectl("create", "quota", "q", "-n", "team", "--hard=pods=3")
    everything = (
        "configmap/c,secret/s,deployment/d,service/v,role/r,rolebinding/b,quota/q"
    )
    found = json.loads(
        kubectl("get", "-n", "team", "-o", "json", *everything.split(","))
    )["items"]
    kinds = {item["kind"]: item for item in found}
    assert kinds["ConfigMap"]["data"] == {"key": "value"}
    assert kinds["Secret"]["data"] == {"key": "dmFsdWU="}
    spec = kinds["Deployment"]["spec"]
    assert (spec["replicas"], spec["selector"]) == (1, {"matchLabels": {"app": "d"}})
    assert spec["template"]["spec"]["containers"][0]["image"] == "i:1"
    port = kinds["Service"]["spec"]["ports"][0]
    assert (port["port"], port["targetPort"]) == (80, 8080)
    assert kinds["Role"]["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    ]
    assert kinds["RoleBinding"]["subjects"][0]["name"] == "u"
    assert kinds["ResourceQuota"]["spec"]["hard"] == {"pods": "3"}
    kubectl("delete", "namespace", "team")  # waits until it is gone
    assert "NotFound" in kubectl.run("get", "-n", "team", "configmap/c").stderr


def test_apply_changes_what_changed(kubectl):
    apply = ("apply", "--validate=false", "-f", "-")
    assert "created" in kubectl(*apply, text=json.dumps(DEPLOYMENT))
    changed = json.loads(json.dumps(DEPLOYMENT))
    changed["spec"]["template"]["spec"]["containers"][1]["image"] = "b:2"
    assert "configured" in kubectl(*apply, text=json.dumps(changed))
    assert "unchanged" in kubectl(*apply, text=json.dumps(changed))
    containers = json.loads(kubectl("get", "deployment", "shop", "-o", "json"))["spec"][
        "template"
    ]["spec"]["containers"]
    assert [(c["name"], c["image"]) for c in containers] == [("a", "a:1"), ("b", "b:2")]
    assert containers[0]["env"] == [{"name": "A", "value": "1"}]
    kubectl("scale", "deployment", "shop", "--replicas=5")
    assert kubectl("get", "deploy", "shop", "-o", "jsonpath={.spec.replicas}") == "5"


def test_label_and_delete_pod(kubectl):
    kubectl("create", "--validate=false", "-f", "-", text=json.dumps(POD))
    kubectl("label", "pod", "web", "tier=front")
    assert kubectl("get", "pods", "-l", "tier=front", "-o", "name") == "pod/web\n"
    assert "deleted" in kubectl("delete", "pod", "web")
    assert kubectl("get", "pods", "-o", "name") == ""


def test_logs_follow(kubectl):
    kubectl("create", "--validate=false", "-f", "-", text=json.dumps(POD))
    assert kubectl("logs", "web") == "".join(f"web line {n}\n" for n in range(3))
    assert kubectl("logs", "web", "--tail=1") == "web line 2\n"
    with kubectl.start("logs", "-f", "web") as follower:
        try:
            for number in range(8):
                assert follower.stdout.readline() == f"web line {number}\n"
        finally:
            follower.kill()


def test_watch_prints_changes(kubectl):
    with kubectl.start("get", "pods", "-w", "--no-headers") as watcher:
        try:
            process.wait_until(
                lambda: [r for r in kubectl.api.log() if r["event"] == "watch-start"],
                20, "the watch",
            )  # fmt: skip
            kubectl("create", "--validate=false", "-f", "-", text=json.dumps(POD))
            kubectl("delete", "pod", "web", "--wait=false")
            seen = [watcher.stdout.readline().split()[:3] for _ in range(2)]
        finally:
            watcher.kill()
    assert seen == [["web", "0/1", "Pending"], ["web", "0/1", "Terminating"]]


def test_can_i_and_discovery(kubectl):
    assert kubectl("auth", "can-i", "list", "pods") == "yes\n"
    names = {row[0] for row in lines(kubectl("api-resources", "--no-headers"))}
    assert {"pods", "deployments", "networkpolicies", "namespaces"} <= names
    assert "v1.32" in kubectl("version")
    assert kubectl("get", "--raw", "/readyz") == "ok"
    missing = kubectl.run("get", "pod", "nope")
    assert missing.stderr == 'Error from server (NotFound): pods "nope" not found\n'


def test_exec_talks_both_ways(kubectl):
    """By WebSocket or SPDY, as kubectl does."""
    kubectl("create", "--validate=false", "-f", "-", text=json.dumps(POD))
    assert kubectl("exec", "web", "--", "echo", "hello") == "echo hello\n"
    assert kubectl("exec", "-i", "web", "--", "cat", text="abc\n") == "cat\nabc\n"


def test_attach_and_forwarded_ports(kubectl):
    kubectl("create", "--validate=false", "-f", "-", text=json.dumps(POD))
    running = {**POD, "status": {"phase": "Running"}}
    kubectl("replace", "--raw", "/api/v1/namespaces/default/pods/web/status", "-f", "-",
            text=json.dumps(running))
    assert kubectl("attach", "-i", "web", text="typed").endswith("attached\ntyped")
    with kubectl.start("port-forward", "web", ":80", "--address", "127.0.0.1") as forward:
        try:
            port = int(forward.stdout.readline().split(":")[1].split()[0])
            with socket.create_connection(("127.0.0.1", port), 20) as connection:
                connection.sendall(b"there and back")
                connection.shutdown(socket.SHUT_WR)
                with connection.makefile("rb") as answer:
                    assert answer.read() == b"there and back"
        finally:
            forward.kill()


def test_rules_refuse_in_kubectls_words(pki, tmp_path):
    rbac = tmp_path / "rbac.json"
    rbac.write_text('{"rules": []}')
    with ApiServer(str(tmp_path), pki, ["--rbac", str(rbac)]) as api:
        kubectl = Kubectl(PROGRAMS[0], api, pki, str(tmp_path), user="cluster-user")
        refused = kubectl.run("get", "pods")
        assert refused.returncode == 1
        assert refused.stderr == (
            'Error from server (Forbidden): pods is forbidden: User "carol" cannot list '
            'resource "pods" in API group "" in the namespace "default"\n'
        )
        assert kubectl.run("auth", "can-i", "list", "pods").stdout == "no\n"
