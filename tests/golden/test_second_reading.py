"""The Kubernetes kinds read a second time, straight from the text of their APIs: over
random clusters, both readings give the same answers.

The reading here works on documents as they are, keeps nothing, and shares nothing with
the tool. What is random favours what is odd and valid: ends of networks and of ranges of
ports, exceptions within exceptions, names of ports that several containers give, pods
with one family, on the node's network, finished, in nobody's namespace.

RINGFENCE_SECOND_CLUSTERS   how many (default 40)
RINGFENCE_SEED              the first one's seed; it is always told on failure
"""

import ipaddress
import itertools
import json
import os
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

CLUSTERS = int(os.environ.get("RINGFENCE_SECOND_CLUSTERS", "40"))
SEED = int(os.environ.get("RINGFENCE_SEED") or random.SystemRandom().randrange(10**8))
MORE = 240  # at most, as long as all answers are the same
QUESTIONS = 250
ADMIN = "policy.networking.k8s.io/v1alpha1"
CLUSTER = "policy.networking.k8s.io/v1alpha2"
NAME_LABEL = "kubernetes.io/metadata.name"


# --- the reading ---


def selects(selector, labels):
    """Of a selector that is there: everything it says must hold."""
    if any(labels.get(key) != value
           for key, value in selector.get("matchLabels", {}).items()):
        return False
    for term in selector.get("matchExpressions", []):
        has, values = term["key"] in labels, term.get("values", [])
        holds = {"Exists": has, "DoesNotExist": not has,
                 "In": has and labels[term["key"]] in values,
                 "NotIn": not has or labels[term["key"]] not in values}
        if not holds[term["operator"]]:
            return False
    return True


class End:
    """One end of a connection in one family: a pod, a node, or an address."""

    def __init__(self, cluster, address):
        self.address = address
        self.pod = self.node = None
        self.labels = self.ns_labels = {}
        for pod in cluster.pods:
            if address in pod["ips"] and not pod["gone"] and not pod["host"]:
                self.pod = pod
                self.labels = pod["labels"]
                self.ns_labels = cluster.ns_labels(pod["ns"])
        for node in cluster.nodes:
            if address in node["ips"]:
                self.node = node

    def named(self, name, proto, port):
        """Whether that is what the pod calls the port."""
        return self.pod is not None and (name, proto, port) in self.pod["ports"]


class Reading:
    def __init__(self, cluster):
        self.cluster = cluster

    def allows(self, src, dst, proto, port):
        return (self._direction("egress", src, dst, dst, proto, port) and
                self._direction("ingress", dst, src, dst, proto, port))

    def _direction(self, way, own, peer, dst, proto, port):
        if own.pod is None or own.pod is peer.pod:
            return True
        if way == "ingress" and peer.node and peer.node["name"] == own.pod["node"]:
            return True
        asked = (way, own, peer, dst, proto, port)
        for tier in ("Admin", None, "Baseline"):
            verdict = self._isolation(*asked) if tier is None \
                else self._ordered(tier, *asked)
            if verdict is not None:
                return verdict
        return True

    # tiers

    def _ordered(self, tier, way, own, peer, dst, proto, port):
        for policy in self.cluster.tier(tier):
            spec = policy["spec"]
            if not self._subject(spec["subject"], own):
                continue
            for rule in spec.get(way, []):
                peers = rule["from" if way == "ingress" else "to"]
                ports = rule.get("ports", rule.get("protocols"))
                if any(self._admin_peer(p, peer) for p in peers) and (
                        ports is None or
                        any(self._admin_port(p, dst, proto, port) for p in ports)):
                    action = rule["action"]
                    return None if action == "Pass" else action in ("Allow", "Accept")
        return None

    @staticmethod
    def _subject(subject, own):
        if "namespaces" in subject:
            return selects(subject["namespaces"], own.ns_labels)
        return selects(subject["pods"]["namespaceSelector"], own.ns_labels) and \
            selects(subject["pods"]["podSelector"], own.labels)

    def _admin_peer(self, said, peer):
        if "networks" in said:
            return any(peer.address in ipaddress.ip_network(n) for n in said["networks"])
        if "nodes" in said:
            return peer.node is not None and selects(said["nodes"], peer.node["labels"])
        return peer.pod is not None and self._subject(said, peer)

    @staticmethod
    def _admin_port(said, dst, proto, port):
        for key in ("namedPort", "destinationNamedPort"):
            if key in said:
                return dst.named(said[key], proto, port)
        if "portNumber" in said:
            return (proto, port) == (said["portNumber"]["protocol"],
                                     said["portNumber"]["port"])
        if "portRange" in said:
            it = said["portRange"]
            return proto == it["protocol"] and it["start"] <= port <= it["end"]
        (key, what), = said.items()
        if key.upper() != proto:
            return False
        at = what["destinationPort"]
        return at["number"] == port if "number" in at else \
            at["range"]["start"] <= port <= at["range"]["end"]

    # NetworkPolicy

    def _isolation(self, way, own, peer, dst, proto, port):
        isolated = False
        for policy in self.cluster.netpols:
            spec = policy["spec"]
            if policy["metadata"]["namespace"] != own.pod["ns"] or \
                    not selects(spec.get("podSelector", {}), own.labels):
                continue
            types = spec.get("policyTypes") or \
                ["Ingress"] + (["Egress"] if spec.get("egress") else [])
            if way.capitalize() not in types:
                continue
            isolated = True
            for rule in spec.get(way) or []:
                peers = rule.get("from" if way == "ingress" else "to") or None
                ports = rule.get("ports") or None
                if (peers is None or any(
                        self._peer(p, policy["metadata"]["namespace"], peer)
                        for p in peers)) and (ports is None or any(
                            self._port(p, dst, proto, port) for p in ports)):
                    return True
        return False if isolated else None

    @staticmethod
    def _peer(said, home, peer):
        if "ipBlock" in said:
            block = said["ipBlock"]
            return peer.address in ipaddress.ip_network(block["cidr"]) and not any(
                peer.address in ipaddress.ip_network(n) for n in block.get("except", []))
        if peer.pod is None:
            return False
        if "namespaceSelector" in said:
            if not selects(said["namespaceSelector"], peer.ns_labels):
                return False
        elif peer.pod["ns"] != home:
            return False
        return selects(said.get("podSelector", {}), peer.labels)

    @staticmethod
    def _port(said, dst, proto, port):
        wanted = said.get("protocol", "TCP")
        if proto != wanted:
            return False
        if "port" not in said:
            return True
        if isinstance(said["port"], str):
            return dst.named(said["port"], proto, port)
        return said["port"] <= port <= said.get("endPort", said["port"])


# --- what is random ---


PORTS = [1, 53, 79, 80, 81, 443, 8079, 8080, 8081, 65534, 65535]
PROTOS = ["TCP", "UDP", "SCTP"]
NETS = [["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/24", "10.1.0.0/29", "10.1.0.4/30",
         "10.1.0.5/32", "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "192.168.1.1/32",
         "192.168.1.0/24", "203.0.113.0/24", "255.255.255.255/32", "10.1.0.0/31"],
        ["fd00:1::/32", "fd00:1::/64", "fd00:1::/125", "fd00:1::5/128", "::/0", "::/1",
         "8000::/1", "fd00:ff::/64", "2001:db8::/32", "fd00::/8", "fd00:1::4/126"]]
OUTSIDE = ["203.0.113.7", "203.0.113.0", "9.255.255.255", "11.0.0.0", "192.168.1.77",
           "10.1.0.200", "2001:db8::7", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
           "fd00:1::77", "fd00:1::8", "255.255.255.254"]
LABELS = {"app": ["web", "db", ""], "tier": ["a", "b"], "x.io/y": ["1"]}
NS_LABELS = {"team": ["red", "blue"], "env": ["prod", ""]}
NAMES = ["http", "dns", "a-1", "metrics"]


class Cluster:
    """Random documents, and who there is by them."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.namespaces = {name: self._labels(NS_LABELS)
                           for name in ("x", "y", "z")[:self.rng.randint(1, 3)]}
        self.undeclared = self.rng.random() < 0.3  # a namespace by its pods alone
        self.nodes = [{"name": f"n{i}", "labels": self._labels({"zone": ["1", "2"]}),
                       "ips": self._ips(f"192.168.1.{i}", f"fd00:ff::{i}")}
                      for i in (1, 2)]
        self.pods = [self._pod(i) for i in range(1, 9)]
        self.netpols = [self._netpol(i) for i in range(self.rng.randint(0, 5))]
        self.admin = [self._admin(i) for i in range(self.rng.randint(0, 4))]

    def ns_labels(self, name):
        return {NAME_LABEL: name} | self.namespaces.get(name, {})

    def tier(self, tier):
        """In the order in which they are asked; what is of one priority, by its name."""
        of = [p for p in self.admin if p["kind"] == "ClusterNetworkPolicy"
              and p["spec"]["tier"] == tier or
              (p["kind"] == "AdminNetworkPolicy" and tier == "Admin")]
        of.sort(key=lambda p: p["spec"]["priority"])
        return of + [p for p in self.admin if p["kind"] == "BaselineAdminNetworkPolicy"
                     and tier == "Baseline"]

    def _some(self, pool, low=1, high=2):
        return self.rng.sample(pool, min(len(pool), self.rng.randint(low, high)))

    def _labels(self, words):
        return {key: self.rng.choice(values) for key, values in words.items()
                if self.rng.random() < 0.6}

    def _ips(self, v4, v6):
        both = [ipaddress.ip_address(v4), ipaddress.ip_address(v6)]
        return self.rng.choice([both, both, both[::-1], both[:1], both[1:]])

    def _pod(self, number):
        rng = self.rng
        spaces = list(self.namespaces) + ["u"] * self.undeclared
        node = rng.choice(self.nodes)
        host = rng.random() < 0.1
        pod = {"ns": rng.choice(spaces), "name": f"p{number}", "node": node["name"],
               "labels": self._labels(LABELS), "host": host,
               "gone": not host and rng.random() < 0.08,
               "ips": node["ips"] if host else
               self._ips(f"10.1.0.{number}", f"fd00:1::{number}")}
        pod["containers"] = [
            [(name, rng.choice(PROTOS), rng.choice(PORTS[1:]))
             for name in self._some(NAMES, 0, 3)] for _ in range(rng.randint(1, 2))]
        pod["ports"] = {port for ports in pod["containers"] for port in ports}
        return pod

    def _selector(self, words):
        rng = self.rng
        if rng.random() < 0.25:
            return {}
        selector = {}
        if rng.random() < 0.6:
            key = rng.choice(list(words))
            selector["matchLabels"] = {key: rng.choice(words[key])}
        if rng.random() < 0.5 or not selector:
            key = rng.choice([*words, "none"])
            term = {"key": key, "operator": rng.choice(
                ["In", "NotIn", "Exists", "DoesNotExist"])}
            if term["operator"].endswith("In"):
                term["values"] = self._some(words.get(key, ["v"]))
            selector["matchExpressions"] = [term]
        return selector

    def _ns_selector(self):
        if self.rng.random() < 0.2:
            return {"matchLabels": {NAME_LABEL: self.rng.choice(["x", "y", "u"])}}
        return self._selector(NS_LABELS)

    def _range(self):
        low, high = sorted(self.rng.sample(PORTS, 2))
        return self.rng.choice([(low, high), (low, high), (1, 65535), (low, low)])

    def _net(self):
        return self.rng.choice(self.rng.choice(NETS))

    # NetworkPolicy

    def _netpol_peer(self):
        kind = self.rng.randrange(4)
        if kind == 0:
            net = ipaddress.ip_network(self._net())
            parts = [n for n in NETS[net.version == 6]
                     if ipaddress.ip_network(n) != net
                     and ipaddress.ip_network(n).subnet_of(net)]
            block = {"cidr": str(net)}
            if parts and self.rng.random() < 0.7:
                block["except"] = self._some(parts, 1, 3)
            return {"ipBlock": block}
        peer = {}
        if kind in (1, 2):
            peer["namespaceSelector"] = self._ns_selector()
        if kind in (2, 3):
            peer["podSelector"] = self._selector(LABELS)
        return peer

    def _netpol_port(self):
        kind = self.rng.randrange(5)
        port = {} if self.rng.random() < 0.3 else {"protocol": self.rng.choice(PROTOS)}
        if kind == 0:
            return port
        if kind == 1:
            return port | {"port": self.rng.choice(NAMES)}
        if kind == 2:
            return port | {"port": self.rng.choice(PORTS)}
        low, high = self._range()
        return port | {"port": low, "endPort": high}

    def _netpol(self, number):
        rng = self.rng
        spec = {"podSelector": self._selector(LABELS)}
        for way, key in (("ingress", "from"), ("egress", "to")):
            if rng.random() < 0.3:
                continue
            spec[way] = []
            for _ in range(rng.randint(0, 2)):
                rule = {}
                if rng.random() < 0.75:
                    rule[key] = [self._netpol_peer() for _ in range(rng.randint(0, 2))]
                if rng.random() < 0.6:
                    rule["ports"] = [self._netpol_port() for _ in range(rng.randint(0, 3))]
                spec[way].append(rule)
        types = rng.choice([None, [], ["Ingress"], ["Egress"], ["Ingress", "Egress"]])
        if types is not None:
            spec["policyTypes"] = types
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": f"np{number}",
                             "namespace": rng.choice(list(self.namespaces))},
                "spec": spec}

    # of the cluster

    def _subject(self):
        if self.rng.random() < 0.5:
            return {"namespaces": self._ns_selector()}
        return {"pods": {"namespaceSelector": self._ns_selector(),
                         "podSelector": self._selector(LABELS)}}

    def _admin_peer(self, way):
        kind = self.rng.randrange(4)
        if way == "egress" and kind == 0:
            return {"networks": sorted({self._net() for _ in range(2)})}
        if way == "egress" and kind == 1:
            return {"nodes": self._selector({"zone": ["1", "2"]})}
        return self._subject()

    def _admin_port(self, new, named):
        kind = self.rng.randrange(3)
        proto = self.rng.choice(PROTOS)
        if kind == 0 and named:
            return {"destinationNamedPort" if new else "namedPort":
                    self.rng.choice(NAMES)}
        low, high = self._range()
        if kind == 1 or low == high:
            port = self.rng.choice(PORTS)
            return {proto.lower(): {"destinationPort": {"number": port}}} if new else \
                {"portNumber": {"protocol": proto, "port": port}}
        return {proto.lower(): {"destinationPort": {"range": {
            "start": low, "end": high}}}} if new else \
            {"portRange": {"protocol": proto, "start": low, "end": high}}

    def _admin(self, number):
        rng = self.rng
        kind = rng.choice(["AdminNetworkPolicy", "ClusterNetworkPolicy"] +
                          ["BaselineAdminNetworkPolicy"] * (number == 0))
        new = kind == "ClusterNetworkPolicy"
        actions = ["Accept" if new else "Allow", "Deny"]
        if kind != "BaselineAdminNetworkPolicy":
            actions.append("Pass")
        spec = {"subject": self._subject()}
        for way, key in (("ingress", "from"), ("egress", "to")):
            if rng.random() < 0.3:
                continue
            spec[way] = []
            for _ in range(rng.randint(1, 3)):
                peers = [self._admin_peer(way) for _ in range(rng.randint(1, 2))]
                rule = {"action": rng.choice(actions), key: peers}
                if rng.random() < 0.6:
                    named = not any("networks" in p or "nodes" in p for p in peers)
                    rule["protocols" if new else "ports"] = [
                        self._admin_port(new, named) for _ in range(rng.randint(1, 2))]
                spec[way].append(rule)
        if kind != "BaselineAdminNetworkPolicy":
            spec["priority"] = number * 7 % 5  # no two are the same
        if new:
            spec["tier"] = rng.choice(["Admin", "Baseline"])
        name = "default" if kind == "BaselineAdminNetworkPolicy" else f"a{number}"
        return {"apiVersion": CLUSTER if new else ADMIN, "kind": kind,
                "metadata": {"name": name}, "spec": spec}

    # as documents, and questions about them

    def documents(self):
        found = [{"apiVersion": "v1", "kind": "Namespace",
                  "metadata": {"name": name, "labels": labels}}
                 for name, labels in self.namespaces.items()]
        found += [{"apiVersion": "v1", "kind": "Node",
                   "metadata": {"name": node["name"], "labels": node["labels"]},
                   "status": {"addresses": [{"type": "InternalIP", "address": str(ip)}
                                            for ip in node["ips"]]}}
                  for node in self.nodes]
        for pod in self.pods:
            containers = [
                {"name": f"c{i}", "image": "x", "ports": [
                    {"name": name, "containerPort": port} |
                    ({} if proto == "TCP" and port % 2 else {"protocol": proto})
                    for name, proto, port in ports]}
                for i, ports in enumerate(pod["containers"])]
            found.append({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": pod["name"], "namespace": pod["ns"],
                             "labels": pod["labels"]},
                "spec": {"nodeName": pod["node"], "containers": containers} |
                ({"hostNetwork": True} if pod["host"] else {}),
                "status": {"phase": self.rng.choice(["Succeeded", "Failed"])
                           if pod["gone"] else "Running",
                           "podIP": str(pod["ips"][0]),
                           "podIPs": [{"ip": str(ip)} for ip in pod["ips"]]}})
        found += self.netpols + self.admin
        self.rng.shuffle(found)
        return "---\n".join(json.dumps(document) + "\n" for document in found)

    def questions(self):
        """(source, destination, protocol, port), addresses of one family."""
        inside = [ip for who in self.pods + self.nodes for ip in who["ips"]]
        everyone = inside * 3 + [ipaddress.ip_address(text) for text in OUTSIDE]
        found = []
        while len(found) < QUESTIONS:
            src, dst = self.rng.sample(everyone, 2)
            if src.version == dst.version and src != dst:
                found.append((src, dst, self.rng.choice(PROTOS), self.rng.choice(PORTS)))
        return found


# --- the test ---


@pytest.mark.parametrize("number", range(8))
def test_both_readings_agree(number, tmp_path):
    answers = set()
    for seed in itertools.count(SEED + number, 8):
        # A few clusters may forbid nothing: then some more are asked about.
        if seed >= SEED + CLUSTERS and (len(answers) == 2 or seed >= SEED + CLUSTERS + MORE):
            break
        cluster = Cluster(seed)
        path = tmp_path / f"{seed}.yaml"
        path.write_text(cluster.documents())
        questions = cluster.questions()
        done = rf.run("can", path, "--batch", "-", stdin="".join(
            f"{src} {dst} {port}/{proto.lower()}\n" for src, dst, proto, port in questions))
        assert done.returncode == 0, (seed, done.stderr)
        reading = Reading(cluster)
        for (src, dst, proto, port), said in zip(questions, done.stdout.split(),
                                                 strict=True):
            mine = reading.allows(End(cluster, src), End(cluster, dst), proto, port)
            assert said == ("allow" if mine else "deny"), (
                f"RINGFENCE_SEED={seed} {path}: {src} {dst} {port}/{proto.lower()}")
            answers.add(said)
    assert answers == {"allow", "deny"}, f"RINGFENCE_SEED={SEED}"
