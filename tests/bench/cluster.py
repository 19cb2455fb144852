#!/usr/bin/env python3
"""Clusters of any size, the same for the same arguments: a tree of tenants, nodes, pods and
native workloads labelled as real clusters label them, policies of every dialect.

    cluster = Cluster(seed=1, policies=1000, workloads=10000)
    cluster.write(directory)         # YAML files below it; returns their bytes
    cluster.questions(1000)          # lines for `ringfence can --batch`
    Cluster(1, 1000, 10000, edits=5) # the same, but for five policies

cluster.py [--seed N] [--policies N] [--workloads N] [--detail lean|full] [--edits N]
           [--format yaml|json] DIRECTORY

`lean` pods hold what policy depends on, `full` ones also what `kubectl get -o yaml` shows
beside it (five times as much). 150,000 pods take seconds: documents are texts from the
start, and no YAML library is asked.
"""

import argparse
import collections
import json
import pathlib
import random
import sys

from cluster_policies import PolicyMaker

Place = collections.namedtuple("Place", "path kube tenant team env labels")
App = collections.namedtuple("App", "place name tier labels ports hash")
Workload = collections.namedtuple("Workload", "name place app node ips native")

ENVS = ("prod", "staging", "dev")
TEAMS = ("shop", "billing", "search", "ledger", "media", "mobile", "risk", "etl")
TIERS = (
    ("web", (("http", 8080, "TCP"), ("metrics", 9100, "TCP"))),
    ("api", (("http", 8081, "TCP"), ("grpc", 9090, "TCP"), ("metrics", 9100, "TCP"))),
    ("worker", (("metrics", 9101, "TCP"),)),
    ("cache", (("redis", 6379, "TCP"), ("metrics", 9121, "TCP"))),
    ("db", (("pg", 5432, "TCP"), ("metrics", 9187, "TCP"))),
    ("dns", (("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP"))),
)
HASH = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes makes names of
PODS_PER_NAMESPACE = 50
PODS_PER_NODE = 110
HOSTS_PER_NET = 250
FILE_DOCUMENTS = 20000  # of one file: none grows past what may be read

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: {kube}
  labels:
{labels}
    pod-template-hash: {hash}
  ownerReferences:
  - apiVersion: apps/v1
    kind: ReplicaSet
    name: {owner}
    controller: true{full_metadata}
spec:
  nodeName: {node}
  serviceAccountName: {account}
  containers:
  - name: main{full_container}
    image: registry.example/{tenant}/{app}:1.4.2
{ports}{full_spec}
status:
  phase: Running
  podIP: {ip4}
  podIPs:
  - ip: {ip4}
  - ip: {ip6}
  hostIP: {host}{full_status}
"""

FULL_METADATA = """
    uid: 3f0c7a52-6d0e-4a53-9d0f-0000{serial:08d}
    blockOwnerDeletion: true
  annotations:
    kubectl.kubernetes.io/restartedAt: "2026-03-01T08:12:44Z"
    prometheus.io/scrape: "true"
    checksum/config: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  creationTimestamp: "2026-03-01T08:12:45Z"
  generateName: {owner}-
  resourceVersion: "{serial}"
  uid: 8a1d4c9e-9a5e-4f7e-8f63-0000{serial:08d}"""

FULL_CONTAINER = """
    args:
    - --config=/etc/{app}/config.yaml
    - --log-level=info
    env:
    - name: POD_NAMESPACE
      valueFrom:
        fieldRef:
          apiVersion: v1
          fieldPath: metadata.namespace
    - name: GOMEMLIMIT
      value: "450MiB"
    imagePullPolicy: IfNotPresent
    livenessProbe:
      failureThreshold: 3
      httpGet:
        path: /healthz
        port: metrics
        scheme: HTTP
      periodSeconds: 10
      successThreshold: 1
      timeoutSeconds: 1
    resources:
      limits:
        memory: 512Mi
      requests:
        cpu: 250m
        memory: 256Mi
    securityContext:
      allowPrivilegeEscalation: false
      capabilities:
        drop:
        - ALL
      readOnlyRootFilesystem: true
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    volumeMounts:
    - mountPath: /etc/{app}
      name: config
    - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      name: kube-api-access-x7k2p
      readOnly: true"""

FULL_SPEC = """
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  preemptionPolicy: PreemptLowerPriority
  priority: 0
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext:
    runAsNonRoot: true
    seccompProfile:
      type: RuntimeDefault
  terminationGracePeriodSeconds: 30
  tolerations:
  - effect: NoExecute
    key: node.kubernetes.io/not-ready
    operator: Exists
    tolerationSeconds: 300
  - effect: NoExecute
    key: node.kubernetes.io/unreachable
    operator: Exists
    tolerationSeconds: 300
  volumes:
  - configMap:
      defaultMode: 420
      name: {app}-config
    name: config
  - name: kube-api-access-x7k2p
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken:
          expirationSeconds: 3607
          path: token
      - configMap:
          items:
          - key: ca.crt
            path: ca.crt
          name: kube-root-ca.crt"""

FULL_STATUS = """
  hostIPs:
  - ip: {host}
  qosClass: Burstable
  startTime: "2026-03-01T08:12:45Z"
  conditions:
  - lastProbeTime: null
    lastTransitionTime: "2026-03-01T08:12:45Z"
    status: "True"
    type: Initialized
  - lastProbeTime: null
    lastTransitionTime: "2026-03-01T08:12:58Z"
    status: "True"
    type: Ready
  - lastProbeTime: null
    lastTransitionTime: "2026-03-01T08:12:45Z"
    status: "True"
    type: PodScheduled
  containerStatuses:
  - containerID: containerd://5d41402abc4b2a76b9719d911017c592ae5f1b7a0c3e9d2f4b6a8c0d1e2f3a4b
    image: registry.example/{tenant}/{app}:1.4.2
    imageID: registry.example/{tenant}/{app}@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0
    lastState: {{}}
    name: main
    ready: true
    restartCount: 0
    started: true
    state:
      running:
        startedAt: "2026-03-01T08:12:57Z\""""

NATIVE = """\
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata:
  name: {name}
  namespace: {path}
  labels:
{labels}
spec:
  node: {node}
  ips: [{ip4}, "{ip6}"]
  ports:
{ports}"""

NODE = """\
apiVersion: v1
kind: Node
metadata:
  name: {name}
  labels:
    kubernetes.io/hostname: {name}
    kubernetes.io/os: linux
    topology.kubernetes.io/zone: zone-{zone}
status:
  addresses:
  - type: InternalIP
    address: {ip4}
  - type: InternalIP
    address: {ip6}
  - type: Hostname
    address: {name}
"""

KUBE_NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: {kube}
  labels:
    tenant: {tenant}
    team: {team}
    env: {env}
    pod-security.kubernetes.io/enforce: baseline
"""

TREE_NAMESPACE = """\
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata:
  name: {path}
  labels:
    tenant: {tenant}
    env: {env}
spec:
  owners: [{tenant}-admins]{placed}
"""


class Cluster:
    """A cluster: its places, nodes, apps, workloads and policies."""

    def __init__(self, seed=1, policies=1000, workloads=10000, *, detail="lean",
                 native=0.1, edits=0, pods_per_node=PODS_PER_NODE):
        if not 0 < workloads <= 4_000_000 or policies < 0:
            raise ValueError("1 to 4,000,000 workloads, and no negative number")
        self.rng = random.Random(f"cluster {seed}")
        self.detail = detail
        self.nodes = [f"worker-{i:05}" for i in range(max(3, -(-workloads // pods_per_node)))]
        self.nets_per_node = -(-pods_per_node // HOSTS_PER_NET)
        self.places = self._make_places(max(4, workloads // PODS_PER_NAMESPACE))
        self.apps = [app for place in self.places for app in self._make_apps(place)]
        self.workloads = self._make_workloads(workloads, native)
        self.policies = PolicyMaker(self, seed, edits).make(policies)

    # --- who is there ---

    def _make_places(self, count):
        """Leaves of the tree; a dozen of each tenant, and a namespace of Kubernetes each."""
        places = []
        for i in range(count):
            tenant = f"tenant-{i // 12:04}"
            team = TEAMS[i % 12 // 3 + i // 12 % 5]
            env = ENVS[i % 3]
            labels = {"tenant": tenant, "team": team, "env": env}
            places.append(Place(f"/org/{tenant}/{team}/{env}", f"{tenant}-{team}-{env}",
                                tenant, team, env, labels))
        return places

    def _make_apps(self, place):
        names = self.rng.sample(range(len(TIERS)), self.rng.randint(3, 5))
        for i in names:
            tier, ports = TIERS[i]
            name = f"{place.team}-{tier}"
            labels = {
                "app": name,
                "app.kubernetes.io/name": tier,
                "app.kubernetes.io/instance": f"{name}-{place.env}",
                "app.kubernetes.io/part-of": place.team,
                "app.kubernetes.io/managed-by": "helm",
                "helm.sh/chart": f"{tier}-1.4.2",
                "tier": "frontend" if tier == "web" else "backend",
                "team": place.team,
            }
            # Two letters first: no number, whatever YAML may take for one.
            digest = "".join(self.rng.choices(HASH, k=8))
            yield App(place, name, tier, labels, ports, "fb" + digest)

    def _make_workloads(self, count, native_share):
        rng = self.rng
        by_place = collections.defaultdict(list)
        for app in self.apps:
            by_place[app.place.path].append(app)
        made = []
        slots = [0] * len(self.nodes)
        for i in range(count):
            place = self.places[i % len(self.places)]
            app = rng.choice(by_place[place.path])
            node = i % len(self.nodes)
            slots[node] += 1
            native = rng.random() < native_share
            name = f"{app.name}-{i:06}" if native else f"{app.name}-{app.hash}-{i:06}"
            net = node * self.nets_per_node + (slots[node] - 1) // HOSTS_PER_NET
            ips = (f"10.{net >> 8}.{net & 255}.{(slots[node] - 1) % HOSTS_PER_NET + 1}",
                   f"fd00:10::{node:x}:{slots[node]:x}")
            made.append(Workload(name, place, app, node, ips, native))
        return made

    def node_ips(self, index):
        """The addresses of a node."""
        return f"172.16.{index >> 8}.{index & 255}", f"fd00:172::{index:x}"

    # --- documents ---

    def tree_documents(self):
        """The tree, native and Kubernetes, the nodes, and the outside."""
        seen = set()
        for place in self.places:
            parts = place.path.split("/")
            for depth in range(2, len(parts) + 1):
                path = "/".join(parts[:depth])
                if path in seen:
                    continue
                seen.add(path)
                placed = ""
                if path == place.path:
                    placed = f"\n  kubernetes:\n    namespaces: [{place.kube}]"
                yield TREE_NAMESPACE.format(path=path, tenant=place.tenant, env=place.env,
                                            placed=placed)
            yield KUBE_NAMESPACE.format(kube=place.kube, **place.labels)
        for i, name in enumerate(self.nodes):
            ip4, ip6 = self.node_ips(i)
            yield NODE.format(name=name, zone="abc"[i % 3], ip4=ip4, ip6=ip6)

    def workload_documents(self):
        """Every pod and every native workload."""
        label_texts, port_texts, native_ports = {}, {}, {}
        pod = POD_FULL if self.detail == "full" else POD_LEAN
        for app in self.apps:
            label_texts[app.name, app.place.path] = "\n".join(
                f"    {key}: {value}" for key, value in app.labels.items())
        for tier, ports in TIERS:
            port_texts[tier] = "    ports:\n" + "\n".join(
                f"    - containerPort: {number}\n      name: {name}\n      protocol: {proto}"
                for name, number, proto in ports)
            native_ports[tier] = "".join(
                f"  - {{ name: {name}, port: {number}, protocol: {proto.lower()} }}\n"
                for name, number, proto in ports)
        hosts = [self.node_ips(i)[0] for i in range(len(self.nodes))]
        for serial, w in enumerate(self.workloads):
            key = (w.app.name, w.place.path)
            if w.native:
                yield NATIVE.format(
                    name=w.name, path=w.place.path, labels=label_texts[key],
                    node=self.nodes[w.node], ip4=w.ips[0], ip6=w.ips[1],
                    ports=native_ports[w.app.tier])
                continue
            owner = w.name.rpartition("-")[0]
            yield pod.format(
                name=w.name, kube=w.place.kube, labels=label_texts[key],
                hash=w.app.hash, owner=owner, node=self.nodes[w.node],
                account=w.app.name, tenant=w.place.tenant, app=w.app.name,
                ports=port_texts[w.app.tier], ip4=w.ips[0], ip6=w.ips[1],
                host=hosts[w.node], serial=serial)

    def policy_documents(self):
        """Every policy, and the networks that they name."""
        return self.policies

    # --- files ---

    def write(self, directory, form="yaml"):
        """Writes one file or several of each part; returns the bytes written."""
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        written = 0
        for name, documents in (("00-tree", self.tree_documents()),
                                ("10-workloads", self.workload_documents()),
                                ("20-policies", self.policy_documents())):
            for i, text in enumerate(_batches(documents, form)):
                data = text.encode()
                written += len(data)
                (directory / f"{name}-{i:03}.{form}").write_bytes(data)
        return written

    def end_name(self, workload):
        """The workload as `can` takes it."""
        w = workload
        return f"{w.place.path if w.native else w.place.kube}/{w.name}"

    def questions(self, count, seed=1):
        """Lines for `can --batch`: mostly ports that the destination serves, some not;
        half within a tenant, some from and to the outside."""
        rng = random.Random(f"questions {seed}")
        lines = []
        for _ in range(count):
            dst = rng.choice(self.workloads)
            src = rng.choice(self.workloads)
            name, number, proto = rng.choice(dst.app.ports)
            del name
            if rng.random() < 0.2:
                number = rng.randint(1, 65535)
            ends = [self.end_name(src), self.end_name(dst)]
            outside = rng.random()
            if outside < 0.1:
                ends[0] = f"203.0.113.{rng.randrange(256)}"
            elif outside < 0.2:
                ends[1] = f"198.51.100.{rng.randrange(256)}"
            lines.append(f"{ends[0]} {ends[1]} {number}/{proto.lower()}\n")
        return lines


def _pod(full):
    parts = {"full_metadata": FULL_METADATA, "full_container": FULL_CONTAINER,
             "full_spec": FULL_SPEC, "full_status": FULL_STATUS}
    text = POD
    for key, part in parts.items():
        text = text.replace("{" + key + "}", part if full else "")
    return text


POD_LEAN = _pod(False)
POD_FULL = _pod(True)


def _batches(documents, form):
    batch = []
    for document in documents:
        batch.append(document)
        if len(batch) == FILE_DOCUMENTS:
            yield _join(batch, form)
            batch = []
    if batch:
        yield _join(batch, form)


def _join(documents, form):
    if form == "yaml":
        return "---\n".join(documents)
    import yaml  # only this form needs it, and it takes its time

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    items = list(yaml.load_all("---\n".join(documents), Loader=loader))
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1,
                      default=str) + "\n"


def main():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--workloads", type=int, default=10000)
    parser.add_argument("--detail", choices=("lean", "full"), default="lean")
    parser.add_argument("--edits", type=int, default=0,
                        help="policies that differ from those of the same seed without")
    parser.add_argument("--format", choices=("yaml", "json"), default="yaml")
    parser.add_argument("directory")
    args = parser.parse_args()
    cluster = Cluster(args.seed, args.policies, args.workloads, detail=args.detail,
                      edits=args.edits)
    print(cluster.write(args.directory, args.format), "bytes")


if __name__ == "__main__":
    sys.exit(main())
