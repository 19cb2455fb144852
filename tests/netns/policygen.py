"""Random policy sets for a lab: legal, seeded, rich in edges and in dialects.

    policies = PolicySet(seed)
    policies.write(directory)
    policies.candidates(1000)                # connections worth trying
    policies.edit()                          # "remove policy p3"; then write() again

A set is a tree of namespaces, native and Kubernetes workloads in it (the hosts of
policylab.py, each with a random identity), and policies of every kind. Equal seeds make
equal sets. `policygen.py SEED DIRECTORY` writes one.
"""

import collections
import itertools
import os
import pathlib
import sys

import yaml

from policylab import (
    ACCOUNTS, ADDRESSES, EXTERNALS, HOME, LABELS, LOCAL, NODE_LABELS, NODES, NS_LABELS,
    OUTSIDE, PORT_NAMES, PORTS, REMOTE, STEPS, TOP_STEPS, WORKLOADS, owner)
from policyrules import NATIVE, RuleMaker, document

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Candidate = collections.namedtuple("Candidate", "src src_addr dst_addr proto port")


class PolicySet(RuleMaker):
    """One random state of the sources: documents by file name."""

    def __init__(self, seed):
        super().__init__(seed)
        self.seed = seed
        self.files = {}
        self._numbers = itertools.count(1)
        self._makers = {}  # policy file -> what makes another of its kind
        self.ports = {}  # workload -> its named ports
        self.own = {}  # workload -> those of its host's addresses that it is known by
        self._make_tree()
        self._make_nodes()
        self._make_externals()
        for name in HOME:
            self._make_workload(name)
        self._make_bystanders()
        for _ in range(self.rng.randint(4, 14)):
            self.add_policy()

    # --- the tree ---

    def _make_tree(self):
        self._roll_paths()
        self.placed = {f"k{i}": self.rng.choice(self.paths)
                       for i in range(1, self.rng.randint(4, 6))}
        self.kube = self.placed | {"loose": "/loose"}
        if self.chance(50):  # where native workloads are, too
            self.kube[self.paths[1][1:]] = self.paths[1]
        self._place()
        self.files["01-kube.yaml"] = [
            {"apiVersion": "v1", "kind": "Namespace",
             "metadata": {"name": name, "labels": self.labels(NS_LABELS)}}
            for name in self.kube if self.chance(85)]

    def _place(self):
        """The documents that say where Kubernetes' namespaces are in the tree."""
        docs = []
        for path in self.paths:
            names = [name for name, place in self.placed.items() if place == path]
            if not names and (path == "/" or self.chance(15)):
                continue  # exists all the same
            spec = {"kubernetes": {"namespaces": names}} if names else {}
            metadata = {"name": path, "labels": self.labels(NS_LABELS)}
            docs.append(document(NATIVE, "Namespace", metadata, spec))
        self.files["00-tree.yaml"] = docs

    def _roll_paths(self):
        """Three or four levels."""
        for top in self.some(TOP_STEPS, 2, 3):
            self.paths.append(f"/{top}")
            for step in self.some(STEPS, 1, 2):
                self.paths.append(f"/{top}/{step}")
                self.paths += [f"/{top}/{step}/{leaf}"
                               for leaf in self.some(STEPS, 0, 2)]

    def _make_nodes(self):
        self.files["10-nodes.yaml"] = [
            {"apiVersion": "v1", "kind": "Node",
             "metadata": {"name": name, "labels": self.labels(NODE_LABELS)},
             "status": {"addresses": [{"type": "InternalIP", "address": text}
                                      for text in texts]
                        + [{"type": "Hostname", "address": name}]}}
            for name, texts in NODES.items()]

    def _make_externals(self):
        docs = []
        for name in EXTERNALS:
            for path in self.some(self.paths, 1, 2):
                self.externals.setdefault(name, []).append(path)
                docs.append(document(NATIVE, "ExternalNetwork",
                                      {"name": name, "namespace": path},
                                      {"cidrs": self._cidrs()}))
        self.files["30-external.yaml"] = docs

    def _cidrs(self):
        return [str(self.network()) for _ in range(self.rng.randint(1, 3))]

    # --- workloads ---

    def _make_workload(self, name):
        """Give a host an identity: where it is, what it is called, its ports, its addresses."""
        self.own[name] = ADDRESSES[name]
        self.ports[name] = [(port_name, *self.rng.choice(meanings))
                            for port_name, meanings in PORT_NAMES.items()
                            for _ in range(self.rng.choice([0, 1, 1, 2]))]
        if name != "a9" and self.chance(60):
            doc = self._pod(name)
        else:
            doc = self._native_workload(name)
        self.files[f"20-{name}.yaml"] = [doc]

    def _native_workload(self, name):
        spec = {"node": HOME[name], "ips": [str(own) for own in self.own[name]]}
        if self.ports[name]:
            spec["ports"] = [{"name": port_name, "port": port, "protocol": proto}
                             for port_name, proto, port in self.ports[name]]
        if self.chance(50):
            spec["serviceAccount"] = self.rng.choice(ACCOUNTS)
        metadata = {"name": name, "namespace": self.rng.choice(self.paths),
                    "labels": self.labels(LABELS)}
        return document(NATIVE, "Workload", metadata, spec)

    def _pod(self, name):
        containers = [{"name": each, "image": "none"} for each in ("main", "side")]
        for i, (port_name, proto, port) in enumerate(self.ports[name]):
            containers[i % 2].setdefault("ports", []).append(
                {"name": port_name, "containerPort": port, "protocol": proto.upper()})
        spec = {"nodeName": HOME[name], "containers": containers}
        if self.chance(50):
            spec["serviceAccountName"] = self.rng.choice(ACCOUNTS)
        metadata = {"name": name, "namespace": self.rng.choice(list(self.kube)),
                    "labels": self.labels(LABELS)}
        if self.chance(30):
            metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": f"rs-{name}"}]
        return document("v1", "Pod", metadata, spec) | {
            "status": self._pod_status(map(str, self.own[name]), HOME[name])}

    @staticmethod
    def _pod_status(texts, node, phase="Running"):
        texts = list(texts)
        return {"phase": phase, "hostIP": NODES[node][0], "podIP": texts[0],
                "podIPs": [{"ip": text} for text in texts]}

    def _make_bystanders(self):
        """Pods that are no ends of their own: the node's, a finished, a waiting one."""
        def pod(name, spec, status=None):
            metadata = {"name": name, "namespace": self.rng.choice(list(self.kube)),
                        "labels": self.labels(LABELS)}
            spec = {"containers": [{"name": "main", "image": "none", "ports": [
                {"name": "http", "containerPort": 80}]}]} | spec
            doc = document("v1", "Pod", metadata, spec)
            return doc if status is None else doc | {"status": status}

        reused = map(str, ADDRESSES[self.rng.choice(["a1", "a2", "a12"])])
        end = self.rng.choice(["Succeeded", "Failed"])
        self.files["25-bystanders.yaml"] = [
            pod("agent", {"hostNetwork": True, "nodeName": LOCAL},
                self._pod_status([NODES[LOCAL][0], NODES[LOCAL][-1]], LOCAL)),
            pod("finished", {"nodeName": LOCAL},
                self._pod_status(reused, LOCAL, end)),
            pod("waiting", {}),
        ]

    def known_addresses(self):
        """All addresses of workloads and nodes in the documents."""
        return {own for name, addresses in ADDRESSES.items()
                for own in (addresses if name in NODES else self.own[name])
                if name in NODES or f"20-{name}.yaml" in self.files}

    # --- policies come, go and change ---

    def _populated(self):
        """Where some workload is, mostly: a path or a Kubernetes namespace."""
        present = self._present()
        if self.chance(15) or not present:
            return self.rng.choice([*self.paths, *self.kube])
        file = f"20-{self.rng.choice(present)}.yaml"
        return self.files[file][0]["metadata"]["namespace"]

    def add_policy(self):
        make = self.rng.choices(
            [self.native_policy, self.network_policy, self.admin_policy,
             self.cluster_policy, self.baseline_policy], [44, 29, 10, 12, 5])[0]
        name = f"p{next(self._numbers)}"
        file = f"40-{name}.yaml"
        if make == self.baseline_policy:  # there is one at most
            file = "50-banp.yaml"
        self._makers[file] = (make, name)
        self.files[file] = [make(name, self._populated())]
        return f"add policy {file}"

    def _remove_policy(self):
        file = self.rng.choice(sorted(self._makers))
        del self.files[file], self._makers[file]
        return f"remove policy {file}"

    def _change_policy(self):
        file = self.rng.choice(sorted(self._makers))
        make, name = self._makers[file]
        self.files[file] = [make(name, self._populated())]
        return f"change policy {file}"

    def _relabel_workload(self):
        name = self.rng.choice(sorted(self._present()))
        doc = self.files[f"20-{name}.yaml"][0]
        doc["metadata"]["labels"] = self.labels(LABELS)
        return f"relabel {name}"

    def _replace_workload(self):
        """Another identity for a host: place, kind, labels, ports."""
        name = self.rng.choice(sorted(HOME))
        self._make_workload(name)
        return f"replace {name}"

    def _remove_workload(self):
        name = self.rng.choice(sorted(self._present()))
        del self.files[f"20-{name}.yaml"]
        self.ports[name] = []
        return f"remove {name}"

    def _readdress_workload(self):
        """It is known by others of its host's addresses than before."""
        name = self.rng.choice(sorted(self._present()))
        self.own[name] = self.some(ADDRESSES[name], 1, len(ADDRESSES[name]))
        texts = [str(own) for own in self.own[name]]
        doc = self.files[f"20-{name}.yaml"][0]
        if doc["kind"] == "Pod":
            doc["status"] = self._pod_status(texts, HOME[name])
        else:
            doc["spec"]["ips"] = texts
        return f"readdress {name}: {' '.join(texts)}"

    def _move_namespace(self):
        """A Kubernetes namespace is elsewhere in the tree; native policy there is new, as what
        it says of its surroundings may not hold where it is now."""
        name = self.rng.choice(sorted(self.placed))
        self.placed[name] = self.kube[name] = self.rng.choice(self.paths)
        self._place()
        for file, (make, policy) in self._makers.items():
            if self.files[file][0]["metadata"].get("namespace") == name:
                self.files[file] = [make(policy, name)]
        return f"move {name} to {self.placed[name]}"

    def _change_external(self):
        doc = self.rng.choice(self.files["30-external.yaml"])
        doc["spec"]["cidrs"] = self._cidrs()
        return f"change ExternalNetwork {doc['metadata']['name']}"

    def _relabel_node(self):
        doc = self.rng.choice(self.files["10-nodes.yaml"])
        doc["metadata"]["labels"] = self.labels(NODE_LABELS)
        return f"relabel node {doc['metadata']['name']}"

    def _change_bystanders(self):
        self._make_bystanders()
        return "change bystanders"

    def _relabel_tree(self):
        doc = self.rng.choice(self.files["00-tree.yaml"] + self.files["01-kube.yaml"])
        doc["metadata"]["labels"] = self.labels(NS_LABELS)
        return f"relabel {doc['apiVersion']} namespace {doc['metadata']['name']}"

    def _present(self):
        return [name for name in HOME if f"20-{name}.yaml" in self.files]

    def edit(self):
        """Change one thing; returns what, in words."""
        edits = {self.add_policy: 20, self._relabel_workload: 25,
                 self._replace_workload: 10, self._remove_workload: 5,
                 self._relabel_tree: 8, self._readdress_workload: 8,
                 self._move_namespace: 5, self._change_external: 6, self._relabel_node: 4,
                 self._change_bystanders: 3}
        if self._makers:
            edits |= {self._remove_policy: 15, self._change_policy: 20}
        return self.rng.choices(list(edits), list(edits.values()))[0]()

    # --- out ---

    def texts(self):
        """File name -> YAML."""
        return {name: yaml.dump_all(docs, Dumper=_DUMPER, sort_keys=False)
                for name, docs in self.files.items()}

    def write(self, directory):
        """Make a directory hold this set alone, changing files as little as possible.

        A file is replaced by rename, so that nobody reads half of it.
        """
        directory = pathlib.Path(directory)
        texts = self.texts()
        for name, text in texts.items():
            path = directory / name
            if path.exists() and path.read_text() == text:
                continue
            half = directory / f".{name}.new"
            half.write_text(text)
            os.rename(half, path)
        for path in directory.glob("*.yaml"):
            if path.name not in texts:
                path.unlink()

    # --- connections worth trying ---

    def _end(self, weights, edges):
        """(host, address), for either end."""
        kind = self.rng.choices(["local", "remote", "outside", "node"], weights)[0]
        if kind == "outside":
            address = self.rng.choice(edges)
            return owner(address), address
        names = list(NODES) if kind == "node" else list(
            WORKLOADS[LOCAL if kind == "local" else REMOTE])
        name = self.rng.choice(names)
        return name, self.rng.choice(ADDRESSES[name])

    def _service(self, dst, version):
        proto = self.rng.choices(["tcp", "udp", "sctp", "icmp"], [50, 27, 8, 15])[0]
        if proto == "icmp":
            return ("icmp" if version == 4 else "icmpv6"), 0
        named = [(p, port) for _, p, port in self.ports.get(dst, ())]
        if named and self.chance(30):
            return self.rng.choice(named)
        if self.port_edges[proto] and self.chance(35):
            return proto, self.rng.choice(sorted(self.port_edges[proto]))
        if self.chance(60):
            return proto, self._port(proto)
        return proto, self.rng.choice(PORTS[proto])

    def candidates(self, count):
        """Random connections between ends that policy may speak of."""
        edges = sorted(self.edges, key=str)
        found = []
        while len(found) < count:
            src, src_addr = self._end([50, 15, 22, 13], edges)
            dst, dst_addr = self._end([60, 12, 18, 10], edges)
            if src_addr.version != dst_addr.version:
                continue
            if src in OUTSIDE and dst in OUTSIDE:
                continue
            if src == dst and not self.chance(20):
                continue
            proto, port = self._service(dst, dst_addr.version)
            found.append(Candidate(src, str(src_addr), str(dst_addr), proto, port))
        return found


def main(arguments):
    if len(arguments) != 2:
        print("usage: policygen.py SEED DIRECTORY", file=sys.stderr)
        return 2
    os.makedirs(arguments[1], exist_ok=True)
    PolicySet(int(arguments[0])).write(arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
