#!/usr/bin/env python3
"""One node's enforcer on a large cluster that an API server holds.

First from its start until policy is in force: everything listed, compiled, in the kernel; the peak
of each process's memory, what each holds then, the processor time that each took, and what is
kept of a pod. Then changes, so many a second: pods that get another address, first those of other
nodes, then of all nodes, this one included; then pods that go and others that come. How long is it
from the event's leaving the server until the address is in the kernel's set, which is asked for
one event in twenty? When all is over, the kernel's table is compared with what it should be; and
what is held then, and when all pods have been listed again? Last, what that is for an API server
with 5,000 such nodes, worked out from what this one was sent.

All of the daemon runs on one processor. The server (kube_server.py) answers with pages that were
rendered before; it runs in this process, on the other processors where there are any. Pods are as
`kubectl get -o json` shows them, with managed fields. While changes come, both are real-time
processes if they may be ("undisturbed"), so that what else the machine does is not measured, and
Python's collector rests.
"""

import contextlib
import gc
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml

from measure import arguments, growth, program, result, target

import cluster as cluster_module
import kube_server
import nft_element

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "double"))
import pki as pki_module  # noqa: E402
from kubectls import kubeconfig  # noqa: E402

SIZES = ((1000, 15000), (10000, 150000))
RATE, QUICK_RATE = 1000, 50
SECONDS = {"elsewhere": 20, "everywhere": 10, "replaced": 10}
QUICK_SECONDS = {"elsewhere": 1, "everywhere": 1, "replaced": 1}
FIRST = {"elsewhere": 64, "everywhere": 80, "replaced": 96}  # 100.N.0.0: addresses of changes
HERE = 2  # which of the nodes
EVERY = 20  # of so many events one is waited for
STEP_S = 0.001
NODES = 5000
PODS, NAMESPACES, NODE_URL = "/api/v1/pods", "/api/v1/namespaces", "/api/v1/nodes"
POLICIES = {  # kind: (url, version)
    "NetworkPolicy": ("/apis/networking.k8s.io/v1/networkpolicies", "networking.k8s.io/v1"),
    "AdminNetworkPolicy": ("/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies",
                           "policy.networking.k8s.io/v1alpha1"),
    "BaselineAdminNetworkPolicy": (
        "/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies",
        "policy.networking.k8s.io/v1alpha1"),
    "ClusterNetworkPolicy": ("/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
                             "policy.networking.k8s.io/v1alpha2"),
}
WAIT_S = 120


# --- what the server holds ---


def managed(name):
    """Managed fields of a pod, about as many bytes as real ones have."""
    fields = {"f:metadata": {"f:labels": {f"f:label-{i}": {} for i in range(10)}},
              "f:spec": {f"f:field-{i}": {} for i in range(25)}}
    return [{"manager": manager, "operation": "Update", "apiVersion": "v1",
             "time": "2026-03-01T08:12:44Z", "fieldsType": "FieldsV1", "fieldsV1": fields}
            for manager in ("kube-controller-manager", name)]


class Pods:
    """Texts of pods: one template for each app, of which few words differ."""

    def __init__(self, cluster):
        self.cluster, self.templates = cluster, {}

    def _template(self, app):
        labels = "\n".join(f"    {key}: {value}" for key, value in app.labels.items())
        ports = "    ports:\n" + "\n".join(
            f"    - {{containerPort: {number}, name: {name}, protocol: {proto}}}"
            for name, number, proto in app.ports)
        pod = yaml.load(cluster_module.POD_FULL.format(
            name="Q.NAME.Q", kube="Q.KUBE.Q", labels=labels, hash=app.hash, owner="Q.OWNER.Q",
            node="Q.NODE.Q", account=app.name, tenant=app.place.tenant, app=app.name, ports=ports,
            ip4="Q.IP4.Q", ip6="Q.IP6.Q", host="Q.HOST.Q", serial=0), yaml.CSafeLoader)
        pod["metadata"] |= {"resourceVersion": "Q.RV.Q", "managedFields": managed("kubelet")}
        return json.dumps(pod, separators=(",", ":"))

    def text(self, w, ip4=None, version=1, name=None):
        key = w.app.name, w.place.path
        if key not in self.templates:
            self.templates[key] = self._template(w.app)
        words = {"NAME": name or w.name, "KUBE": w.place.kube, "OWNER": w.name.rpartition("-")[0],
                 "NODE": self.cluster.nodes[w.node], "IP4": ip4 or w.ips[0], "IP6": w.ips[1],
                 "HOST": self.cluster.node_ips(w.node)[0], "RV": str(version)}
        text = self.templates[key]
        for word, value in words.items():
            text = text.replace(f"Q.{word}.Q", value)
        return text


def make_kinds(cluster, pods, count):
    """{url: Kind}: the cluster's pods, nodes, namespaces and `count` policies."""
    found = {kind: [] for kind in POLICIES}
    left = count
    for text in cluster.policies:
        kind = text.partition("kind: ")[2].partition("\n")[0]
        if kind in found and left > 0:
            left -= 1
            item = yaml.load(text, yaml.CSafeLoader)
            item["metadata"]["resourceVersion"] = "1"
            del item["kind"], item["apiVersion"]
            found[kind].append(json.dumps(item, separators=(",", ":")))
    assert left == 0, f"{left} policies too few"
    kinds = {url: kube_server.Kind(kind, version, found[kind])
             for kind, (url, version) in POLICIES.items()}
    kinds[PODS] = kube_server.Kind("Pod", "v1", [pods.text(w) for w in cluster.workloads])
    kinds[NAMESPACES] = kube_server.Kind("Namespace", "v1", [
        json.dumps({"metadata": {"name": p.kube, "resourceVersion": "1",
                                 "labels": p.labels | {"kubernetes.io/metadata.name": p.kube}}})
        for p in cluster.places])
    nodes = []
    for i, name in enumerate(cluster.nodes):
        addresses = [{"type": "InternalIP", "address": ip} for ip in cluster.node_ips(i)]
        nodes.append(json.dumps({"metadata": {"name": name, "resourceVersion": "1", "labels": {
            "kubernetes.io/hostname": name}}, "status": {"addresses": addresses}}))
    kinds[NODE_URL] = kube_server.Kind("Node", "v1", nodes)
    return kinds


# --- the daemon ---


class Daemon:
    """The enforcer of one node, with nothing else to do, on one processor."""

    def __init__(self, directory, pki, port, node, cpu):
        self.socket = directory / "enforcer.sock"
        (directory / "kubeconfig").write_text(kubeconfig(
            f"https://127.0.0.1:{port}", f"{pki}/cluster-ca.crt",
            {"client-certificate": f"{pki}/admin.crt", "client-key": f"{pki}/admin.key"}))
        (directory / "enforcer.yaml").write_text(yaml.safe_dump({
            "node": node, "control": str(self.socket),
            "workloadNetworks": ["10.0.0.0/8", "100.64.0.0/10", "fd00:10::/32"],
            "sources": [{"kubernetes": {"kubeconfig": str(directory / "kubeconfig"),
                                        "silentSeconds": 3600}}]}))
        self.log = directory / "log"
        read_fd, write_fd = os.pipe()
        self.began = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(cpu), program("ringfence-enforcer"), "--config",
                 directory / "enforcer.yaml", "--ready-fd", str(write_fd)],
                pass_fds=[write_fd], stdout=log, stderr=log)
        os.close(write_fd)
        with os.fdopen(read_fd) as ready:
            if ready.readline() != "READY\n":
                raise SystemExit(f"the daemon is not ready:\n{self.log.read_text()[-3000:]}")
        self.ready_s = time.monotonic() - self.began

    def ask(self, *words, check=True):
        return subprocess.run([program("ringfence-enforcer"), *words, "--control", self.socket],
                              capture_output=True, text=True, check=check)

    def status(self):
        return json.loads(self.ask("status", "-o", "json", check=False).stdout)

    def kinds(self):
        """What is kept of the cluster, which is told a moment later."""
        return {kind["name"]: kind for kind in self.status()["sources"][0].get("kinds", [])}

    def memory(self, field="VmHWM"):
        """Resident bytes of each process: their peak since it began, or what there are now."""
        found = {}
        for role in self.status()["roles"]:
            text = pathlib.Path(f"/proc/{role['pid']}/status").read_text("ascii")
            found[role["name"]] = int(text.partition(f"{field}:")[2].split()[0]) * 1024
        return found

    def sealed_bytes(self):
        """Of memory that has no name but a descriptor's, which is in nobody's resident memory."""
        files = {}
        for pid in self.pids():
            for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if os.readlink(path).startswith("/memfd:"):
                        stat = path.stat()
                        files[stat.st_ino] = stat.st_blocks * 512
        return sum(files.values())

    def held(self):
        """What all of it takes now."""
        now = self.memory("VmRSS")
        return {"bytes": sum(now.values()) + self.sealed_bytes(), "bytes_of": now}

    def cpu_s(self):
        """Of each process."""
        found = {}
        for role in self.status()["roles"]:
            fields = pathlib.Path(f"/proc/{role['pid']}/stat").read_text("ascii")
            ticks = sum(map(int, fields.rpartition(")")[2].split()[11:13]))
            found[role["name"]] = ticks / os.sysconf("SC_CLK_TCK")
        return found

    def counts(self):
        """What changes took, and how many commits there were."""
        with urllib.request.urlopen("http://127.0.0.1:9477/metrics", timeout=60) as page:
            text = page.read().decode()
        found = {kind: float(value) for kind, value in re.findall(
            r'^ringfence_compiles_total\{kind="(\w+)"\} (\S+)', text, re.MULTILINE)}
        found["commits"] = float(re.search(
            r"^ringfence_commit_duration_seconds_count (\S+)", text, re.MULTILINE)[1])
        return found

    def pids(self):
        """Of all roles."""
        return [role["pid"] for role in self.status()["roles"]]

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


# --- changes ---


def listed_again(daemon, server):
    """The server no longer knows where the watch of pods goes on: what is held afterwards."""
    def lists():
        return daemon.kinds()["pods"]["lists"]

    before = lists()
    server.send(PODS, ['{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","code":410,'
                       '"message":"too old"}}\n'])
    wait_until(lambda: lists() > before, "pods to be listed again")
    wait_until(lambda: daemon.status()["kernel"]["verified"], "the table to be read back")
    return daemon.held()


class Changes:
    """Pods that get another address, or are replaced, at a rate; markers are waited for."""

    def __init__(self, server, cluster, pods, rate, seconds, where):
        self.server, self.rate, self.total = server, rate, rate * seconds
        # Rendered before: what is measured is not our own work.
        self.events, self.addresses, self.names, self.gone = [], [], [], []
        those = [w for w in cluster.workloads if where != "elsewhere" or w.node != HERE]
        version = kube_server.REVISION + FIRST[where] * 10**6
        for i in range(self.total):
            w = those[(i // 2 if where == "replaced" else i) * 7919 % len(those)]
            address = f"100.{FIRST[where] + (i >> 16)}.{i >> 8 & 255}.{i & 255}"
            if where == "replaced" and i % 2 == 0:
                self._add("DELETED", None, None, pods.text(w, None, version + i))
                self.gone.append(w.name)
            elif where == "replaced":
                name = f"{w.name[:-6]}{i:06}n"
                self._add("ADDED", name, address, pods.text(w, address, version + i, name))
            else:
                self._add("MODIFIED", w.name, address, pods.text(w, address, version + i))
        self.bytes = sum(map(len, self.events))
        # Of a pod that changes again only the last address is sure to be seen.
        last = {name: i for i, name in enumerate(self.names) if name is not None}
        every = EVERY + 1 if where == "replaced" else EVERY  # of these every second is nothing
        self.markers = {i for i in last.values() if i % every == 0}

    def _add(self, event, name, address, text):
        self.names.append(name)
        self.addresses.append(address)
        self.events.append(f'{{"type":"{event}","object":{{"kind":"Pod","apiVersion":"v1",'
                           f'{text[1:]}}}\n')

    def settle(self, last):
        """Brings {pod: address} up to what there is when all have been sent."""
        for name in self.gone:
            last.pop(name, None)
        last.update((name, address) for name, address in zip(self.names, self.addresses) if name)

    def run(self):
        """Sends and waits; seconds of each marker from its leaving the server to the kernel."""
        known = nft_element.Element("ringfence", "known4")
        waiting, latencies = [], []
        began, sent = time.monotonic(), 0
        while sent < self.total or waiting:
            due = min(self.total, int((time.monotonic() - began) * self.rate) + 1)
            if due > sent:
                left = self.server.send(PODS, self.events[sent:due])
                waiting += [(i, left) for i in range(sent, due) if i in self.markers]
                sent = due
            end = time.monotonic() + STEP_S
            while time.monotonic() < end:
                # In the order in which they were sent: the first that is not there is next.
                if waiting and known.has(self.addresses[waiting[0][0]]):
                    latencies.append(time.monotonic() - waiting.pop(0)[1][0])
                else:
                    time.sleep(0.0005)
            left = waiting[0][1] if waiting else ()
            if left and time.monotonic() - left[0] > WAIT_S:
                raise SystemExit(f"an event was not in the kernel after {WAIT_S} s")
        self.sending_s = time.monotonic() - began
        return sorted(latencies)


def quantile(values, q):
    return values[min(len(values) - 1, math.ceil(q * len(values)) - 1)]


def wait_until(condition, what):
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited for {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def undisturbed(pids):
    """For as long as the block runs, as far as that may be; says whether."""
    def schedule(policy, priority):
        for pid in pids:
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setscheduler(int(task), policy, os.sched_param(priority))

    gc.collect()
    gc.disable()
    try:
        try:
            schedule(os.SCHED_FIFO, 1)
        except PermissionError:
            yield False
        else:
            yield True
    finally:
        schedule(os.SCHED_OTHER, 0)
        gc.enable()


# --- one size ---


def load_of(point, counts, rate):
    """5,000 nodes, from what one was sent. Nothing is shared: each asks for itself."""
    per_event = point["event_bytes"]
    return {
        "nodes": NODES,
        "start_requests": NODES * counts["requests"]["list"],
        "start_bytes": NODES * counts["bytes"]["list"],
        "start_bytes_per_s_within_10_min": NODES * counts["bytes"]["list"] / 600,
        "open_watches": NODES * counts["watches"],
        f"watch_bytes_per_s_at_{rate}_changes": NODES * per_event * rate,
        "watch_bytes_per_s_at_10_changes": NODES * per_event * 10,
    }


def changing(daemon, changes, alone):
    """What it takes, and how long; perhaps as if the machine did nothing else."""
    cpu, counts = daemon.cpu_s(), daemon.counts()
    with undisturbed([*daemon.pids(), os.getpid()] if alone else []) as could:
        latencies = changes.run()
    used = {role: 1e6 * (now - cpu[role]) / changes.total for role, now in daemon.cpu_s().items()}
    return {
        "rate": changes.rate, "sent": changes.total, "took_s": changes.sending_s,
        "undisturbed": alone and could,
        "p50_ms": 1000 * quantile(latencies, 0.5),
        "p99_ms": 1000 * quantile(latencies, 0.99),
        "max_ms": 1000 * latencies[-1], "waited_for": len(latencies),
        "cpu_us_per_change": sum(used.values()), "cpu_us_per_change_of": used,
        "counted": {what: now - counts[what] for what, now in daemon.counts().items()},
    }


def point(policies, workloads, quick, cpu):
    """One size: in force, then changes."""
    rate, seconds = (QUICK_RATE, QUICK_SECONDS) if quick else (RATE, SECONDS)
    cluster = cluster_module.Cluster(1, policies * 2 + 40, workloads, native=0)
    pods = Pods(cluster)
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as name:
        directory = pathlib.Path(name)
        pki = pki_module.make_standard(str(directory / "pki"))
        server = kube_server.Server(make_kinds(cluster, pods, policies))
        changes = {where: Changes(server, cluster, pods, rate, seconds[where], where)
                   for where in seconds}
        server.start(pki)
        daemon = Daemon(directory, pki, server.port, cluster.nodes[HERE], cpu)
        try:
            wait_until(lambda: server.watching(PODS) == 1, "the watch of pods")
            listed = server.counts() | {"watches": server.requests.get("watch", 0)}
            wait_until(lambda: daemon.kinds().get("pods", {}).get("objects") == workloads,
                       "the daemon to say what it has")
            wait_until(lambda: daemon.status()["kernel"]["verified"],
                       "the table to be read back first")
            status, memory, kinds = daemon.status(), daemon.memory(), daemon.kinds()
            cpu_s = daemon.cpu_s()
            assert status["policies"] == policies
            p = {
                "pods": workloads, "policies": policies,
                "in_force_s": daemon.ready_s,
                "listed_s": server.last_list - daemon.began,
                "listed_bytes": listed["bytes"]["list"],
                "pod_bytes_served": server.kinds[PODS].item_bytes / workloads,
                "pod_bytes_kept": kinds["pods"]["bytes"] / workloads,
                "peak_bytes": sum(memory.values()), "peak_bytes_of": memory,
                "held_at_start": daemon.held(),
                "cpu_s": sum(cpu_s.values()), "cpu_s_of": cpu_s,
                "listed_mb_per_cpu_s": listed["bytes"]["list"] / 1e6 / max(cpu_s["kube"], 0.01),
                "kept_mb_per_cpu_s": sum(kind["bytes"] for kind in kinds.values()) / 1e6
                                     / max(cpu_s["engine"], 0.01),
                "list_requests": listed["requests"]["list"],
                "event_bytes": changes["elsewhere"].bytes / changes["elsewhere"].total,
            }
            p["changes"] = {where: changing(daemon, these, not quick)
                            for where, these in changes.items()}
            wait_until(lambda: daemon.status()["kernel"]["verified"], "the table to be read back")
            assert daemon.ask("diff", check=False).returncode == 0
            last = {}  # of each pod
            for these in changes.values():
                these.settle(last)
            known = nft_element.Element("ringfence", "known4")
            assert all(known.has(address) for address in last.values())
            p["held_after_changes"] = daemon.held()
            p["held_when_listed_again"] = listed_again(daemon, server)
            p["peak_bytes_after_changes"] = sum(daemon.memory().values())
            p["api_server"] = load_of(p, listed, rate)
        finally:
            daemon.stop()
    return p


def main():
    """All sizes, in a network of its own."""
    args = arguments(__doc__)
    if os.environ.get("RINGFENCE_BENCH_INSIDE") != "1":
        os.environ["RINGFENCE_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
                              sys.executable, *sys.argv])
    sizes = args.sizes if args.quick or args.size else SIZES
    cpu, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, others or [cpu])
    points = [point(*size, args.quick, cpu) for size in sizes]
    last = points[-1]
    result("kube", points, growth=growth(points, "pods", "in_force_s", "peak_bytes", "cpu_s"),
           targets=[
               target("from the start to policy in force", last["in_force_s"], 60, "s"),
               target("kept of a pod", last["pod_bytes_kept"], 1024, "bytes"),
               target("peak of all processes", last["peak_bytes"], 2**30, "bytes"),
               target("memory of the engine at the start",
                      last["held_at_start"]["bytes_of"]["engine"], 100e6, "bytes"),
               *(target(f"99 of 100 changes ({where}), from the event to the kernel",
                        these["p99_ms"], 5, "ms") for where, these in last["changes"].items()),
               *(target(f"changes ({where}) in a second of one processor",
                        1e6 / max(these["cpu_us_per_change"], 1), 1000, "1/s", at_least=True)
                 for where, these in last["changes"].items()),
           ])
    return 0


if __name__ == "__main__":
    sys.exit(main())
