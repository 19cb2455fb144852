"""A cluster for a lab: the API server's double, in a host's namespace, and who is in it.

    with Cluster(lab.node, tmp_path, pki) as cluster:
        cluster.apply(namespace("shop"), pod("shop", "web", node="node-1", ips=["10.1.0.1"]))
        Enforcer(lab.node, tmp_path, sources=[cluster.source()])
        cluster.delete(pod("shop", "web"))

Changes are made as if the cluster had made them: at once, and without a check.
"""

import json
import os
import pathlib
import sys

from lab import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "double"))
import client  # noqa: E402
import pki as pki_module  # noqa: E402
import process  # noqa: E402
from kubectls import kubeconfig  # noqa: E402

NATIVE = "ringfence.dev/v1alpha1"
KINDS = {
    "NetworkPolicy": "networking.k8s.io/v1",
    "AdminNetworkPolicy": "policy.networking.k8s.io/v1alpha1",
    "BaselineAdminNetworkPolicy": "policy.networking.k8s.io/v1alpha1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
    "Policy": NATIVE,
    "ExternalNetwork": NATIVE,
    "Workload": NATIVE,
    "Route": NATIVE,
}


def thing(kind, name, namespace=None, labels=None, api=None, **fields):
    """An object; further keywords are its members."""
    metadata = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": api or KINDS.get(kind, "v1"), "kind": kind,
            "metadata": metadata, **fields}


def namespace(name, **labels):
    return thing("Namespace", name, labels={"kubernetes.io/metadata.name": name, **labels})


def node(name, *ips):
    addresses = [{"type": "InternalIP", "address": ip} for ip in ips]
    return thing("Node", name, labels={"kubernetes.io/hostname": name},
                 status={"addresses": addresses})


def pod(home, name, labels=None, node="node-1", ips=(), phase="Running"):
    status = {"phase": phase}
    if ips:
        status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    return thing("Pod", name, home, labels, status=status, spec={
        "nodeName": node, "containers": [{"name": "c", "image": "i"}]})


def definition(group, version, plural, kind, scope):
    """A CustomResourceDefinition, as far as the double looks at it."""
    return thing("CustomResourceDefinition", f"{plural}.{group}",
                 api="apiextensions.k8s.io/v1", spec={
                     "group": group, "scope": scope,
                     "names": {"plural": plural, "kind": kind},
                     "versions": [{"name": version, "served": True, "storage": True}]})


POLICY_GROUP = "policy.networking.k8s.io"
ADMIN_KINDS = [
    definition(POLICY_GROUP, "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy",
               "Cluster"),
    definition(POLICY_GROUP, "v1alpha1", "baselineadminnetworkpolicies",
               "BaselineAdminNetworkPolicy", "Cluster"),
    definition(POLICY_GROUP, "v1alpha2", "clusternetworkpolicies",
               "ClusterNetworkPolicy", "Cluster"),
]
NATIVE_KINDS = [
    definition("ringfence.dev", "v1alpha1", plural, kind, scope)
    for plural, kind, scope in (
        ("namespaces", "Namespace", "Cluster"), ("policies", "Policy", "Namespaced"),
        ("workloads", "Workload", "Namespaced"),
        ("externalnetworks", "ExternalNetwork", "Namespaced"),
        ("routes", "Route", "Namespaced"))]


class Cluster:
    """One API server; `name` is its cluster's (None: it has none)."""

    def __init__(self, host, directory, pki, name=None, arguments=(), port=0):
        self.host, self.pki, self.name = host, pathlib.Path(pki), name
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.arguments, self.port = list(arguments), port
        self.log_path = self.directory / "requests.jsonl"
        self.process = self.connection = None

    # --- life ---

    def start(self):
        def pem(name):
            return str(self.pki / name)

        argv = process.program("apiserver.py") + [
            "--listen", f"127.0.0.1:{self.port}", "--log", str(self.log_path),
            "--cert", pem("apiserver.crt"), "--key", pem("apiserver.key"),
            "--client-ca", pem("cluster-ca.crt"), "--outlive-parent", *self.arguments]
        out_path = self.directory / "double.out"
        with open(out_path, "wb") as out, open(self.directory / "double.err", "ab") as err:
            self.process = self.host.popen(argv, stdout=out, stderr=err)

        def ready():
            assert self.process.poll() is None, (self.directory / "double.err").read_text()
            return out_path.read_text().startswith("READY ") and "\n" in out_path.read_text()

        wait_until(ready, what="the API server")
        self.port = int(out_path.read_text().split()[1].rpartition(":")[2])
        self.write_kubeconfig()
        return self

    def write_kubeconfig(self, user=None):
        user = user or {"client-certificate": str(self.pki / "admin.crt"),
                        "client-key": str(self.pki / "admin.key")}
        self.kubeconfig = self.directory / "kubeconfig"
        self.kubeconfig.write_text(kubeconfig(
            f"https://127.0.0.1:{self.port}", self.pki / "cluster-ca.crt", user))

    def source(self, **more):
        source = {"kubeconfig": str(self.kubeconfig), **more}
        return {"kubernetes": source | ({"cluster": self.name} if self.name else {})}

    def stop(self):
        """End it at once; all that it knew is forgotten."""
        if self.connection:
            self.connection.close()
            self.connection = None
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_exception):
        self.stop()

    # --- changes, and misbehaviour ---

    def ask(self, method, path, body=None):
        if self.connection is None:
            context = client.client_context(
                str(self.pki / "cluster-ca.crt"), str(self.pki / "admin.crt"),
                str(self.pki / "admin.key"))
            self.connection = self.host.enter_and(
                lambda: client.Connection("127.0.0.1", self.port, context))
        data = b"" if body is None else json.dumps(body).encode()
        headers = [("Content-Type", "application/json")] if data else []
        answer = self.connection.request(method, path, headers, data)
        assert answer.status in (200, 201), (answer.status, answer.body)
        return answer.json()

    def change(self, operations):
        return self.ask("POST", "/test/apply", operations)

    def apply(self, *objects):
        return self.change([{"put": obj} for obj in objects])

    def delete(self, *objects):
        return self.change([{"delete": obj} for obj in objects])

    def faults(self, *rules):
        self.ask("PUT", "/test/faults", list(rules))

    def compact(self):
        self.ask("POST", "/test/compact")

    def cut(self, how="end"):
        return self.ask("POST", f"/test/cut-watches?how={how}")

    def misbehave(self, how, n=1, resource="", one=False):
        return self.ask("POST", f"/test/misbehave-watches?how={how}&n={n}"
                        f"&resource={resource}&one={int(one)}")

    def requests(self, **fields):
        if not self.log_path.exists():
            return []
        with open(self.log_path, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f if line.endswith("\n")]
        return [line for line in lines if line["event"] == "request"
                and all(line[key] == value for key, value in fields.items())]


def make_pki(directory):
    return pki_module.make_standard(str(directory))


def env_count(name, default):
    return int(os.environ.get(name, default))
