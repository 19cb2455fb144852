"""Random policies in every dialect: native, NetworkPolicy and the cluster-wide kinds.

All of them are legal. They speak of the hosts of policylab.py, and of ports and
networks at whose ends something changes.
"""

import ipaddress
import random

from policylab import (
    ACCOUNTS, ADDRESSES, LABELS, LOCAL, NODE_LABELS, NODES, NS_LABELS, OUTSIDE, PORT_NAMES,
    PORTS, REMOTE, WIDE_RANGES, WORKLOAD_NETWORKS, usable)

NATIVE = "ringfence.dev/v1alpha1"
ADMIN = "policy.networking.k8s.io/v1alpha1"
CLUSTER = "policy.networking.k8s.io/v1alpha2"


_HOSTS = [own for addresses in ADDRESSES.values() for own in addresses]
_NETWORKS = [ipaddress.ip_network(text) for texts in
             (WORKLOAD_NETWORKS, *(networks for _, networks in OUTSIDE.values()))
             for text in texts]


def document(version, kind, metadata, spec):
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


class Dice:
    """A seeded random.Random, and what is thrown with it often."""

    def __init__(self, seed):
        self.rng = random.Random(f"ringfence {seed}")

    def chance(self, percent):
        return self.rng.random() * 100 < percent

    def some(self, items, least=1, most=3):
        items = list(items)
        return self.rng.sample(items, min(len(items), self.rng.randint(least, most)))

    def labels(self, vocabulary, percent=75):
        return {key: self.rng.choice(values) for key, values in vocabulary.items()
                if self.chance(percent)}


class RuleMaker(Dice):
    """Makes policies for a tree, which its user fills in."""

    def __init__(self, seed):
        super().__init__(seed)
        self.paths = ["/"]
        self.kube = {}  # Kubernetes namespace -> its path
        self.externals = {}  # name -> the paths where there is one
        self.edges = set()  # addresses at the ends of networks that rules name
        self.port_edges = {proto: set() for proto in PORTS}
        self.hot = {proto: self.rng.sample(ports, max(2, len(ports) // 3))
                    for proto, ports in PORTS.items()}

    # --- selectors, networks, ports ---

    def _selector(self, vocabulary):
        rng = self.rng

        def pair():
            if self.chance(5):
                return rng.choice([("no", "x"), (list(vocabulary)[0], "other")])
            key = rng.choice(list(vocabulary))
            return key, rng.choice(vocabulary[key])

        kind = rng.randrange(100)
        if kind < 12:
            return {}
        if kind < 60:
            count = rng.choice([1, 1, 1, 2])
            return {"matchLabels": dict(pair() for _ in range(count))}
        expressions = []
        for _ in range(rng.choice([1, 1, 2])):
            key, value = pair()
            operator = rng.choices(["In", "NotIn", "Exists", "DoesNotExist"],
                                   [2, 2, 1, 1])[0]
            expressions.append({"key": key, "operator": operator})
            if operator.endswith("In"):
                more = rng.choice(vocabulary.get(key, ["other"]))
                expressions[-1]["values"] = sorted({value, more})
        selector = {"matchExpressions": expressions}
        if self.chance(20):
            selector["matchLabels"] = dict([pair()])
        return selector

    def _ns_selector(self):
        if self.chance(20):
            return {"matchExpressions": [{
                "key": "kubernetes.io/metadata.name",
                "operator": self.rng.choice(["In", "NotIn"]),
                "values": self.some(self.kube, 1, 2)}]}
        return self._selector(NS_LABELS)

    def network(self):
        """A network in or around those of the lab."""
        rng = self.rng
        version = rng.choice([4, 6])
        bits = 32 if version == 4 else 128
        own = rng.choice([own for own in _HOSTS if own.version == version])
        net = rng.choice([net for net in _NETWORKS if net.version == version])
        kind = rng.randrange(100)
        if kind < 25:
            length = rng.choice([bits, bits, bits - 1, bits - 3, bits - 4])
        elif kind < 45:
            length = rng.choice([8, 16, 24] if version == 4 else [8, 32, 48, 64])
        else:
            own, length = net.network_address, net.prefixlen
        if kind >= 70:  # a part of it
            length = min(bits, length + rng.randint(1, 8))
            own += rng.randrange(1 << (length - net.prefixlen)) << (bits - length)
        network = ipaddress.ip_network((own, length), strict=False)
        self._note_edges(network)
        return network

    def _note_edges(self, network):
        first, last = network[0], network[-1]
        for at, step in ((first, 0), (first, -1), (last, 0), (last, 1), (first, 1)):
            number = int(at) + step
            if 0 <= number < 1 << at.max_prefixlen:
                address = type(at)(number)
                if usable(address):
                    self.edges.add(address)

    def _excepts(self, network):
        """One or two strict parts of a network, around hosts if it has any."""
        known = [own for own in _HOSTS if own in network]
        parts = []
        for _ in range(self.rng.choice([1, 1, 2])):
            if network.prefixlen >= network.max_prefixlen - 1:
                break
            longest = min(network.max_prefixlen, network.prefixlen + 10)
            if known and self.chance(60):
                longest = network.max_prefixlen
            length = self.rng.randint(network.prefixlen + 1, longest)
            base = self.rng.choice(known) if known else network[0]
            part = ipaddress.ip_network((base, length), strict=False)
            self._note_edges(part)
            parts.append(str(part))
        return parts

    def _block(self):
        """{cidr: ..., except: [...]}, sometimes with bits set behind the prefix."""
        network = self.network()
        block = {"cidr": str(network)}
        if self.chance(5):
            block["cidr"] = f"{network[-1]}/{network.prefixlen}"
        if self.chance(35):
            if parts := self._excepts(network):
                block["except"] = parts
        return block

    def _proto(self):
        return self.rng.choices(["tcp", "udp", "sctp"], [60, 30, 10])[0]

    def _port(self, proto):
        return self.rng.choice(self.hot[proto])

    def _range(self, proto):
        """(first, last), first < last; at its ends or just outside somebody listens."""
        low, high = self.rng.choice(WIDE_RANGES)
        if self.chance(60):
            low, high = sorted(self.rng.sample(PORTS[proto], 2))
            if self.chance(50):
                low = high - self.rng.choice([1, 1, 3])
            low += self.rng.choice([0, 1])
            high = max(low + 1, high - self.rng.choice([0, 1]))
        low, high = max(1, min(low, 65534)), min(high, 65535)
        self.port_edges[proto] |= {low - 1, low, high, high + 1} & set(PORTS[proto])
        return low, high

    def _port_name(self):
        return self.rng.choice([*PORT_NAMES, "nowhere"] if self.chance(20)
                               else list(PORT_NAMES))

    # --- native policies ---

    def _native_port(self):
        proto = self._proto()
        kind = self.rng.randrange(100)
        if kind < 35:
            return f"{self._port(proto)}/{proto}"
        if kind < 60:
            low, high = self._range(proto)
            return f"{low}-{high}/{proto}"
        if kind < 80:
            name = self._port_name()
            return name if self.chance(60) else f"{name}/{proto}"
        return self.rng.choice(["tcp", "udp", "sctp", "icmp", "icmpv6"])

    def _relative(self, home):
        """A namespace as a policy at `home` may write it."""
        choices = [self.rng.choice(self.paths), "."]
        if home != "/":
            choices.append("..")
            parent = home.rpartition("/")[0]
            near = [path for path in self.paths if path.startswith(parent + "/")]
            choices += ["../" + path[len(parent) + 1:] for path in near[:3]]
        return self.rng.choice(choices)

    def _visible_externals(self, home):
        return [name for name, places in self.externals.items()
                if any(place == "/" or f"{home}/".startswith(place + "/")
                       for place in places)]

    def _native_peer(self, home):
        rng = self.rng
        kind = rng.randrange(100)
        if kind < 20:
            return {"workloads": self._selector(LABELS)}
        if kind < 50:
            peer = {}
            if self.chance(65):
                peer["namespace"] = self._relative(home)
            if self.chance(45) or not peer:
                peer["namespaces"] = self._ns_selector()
            if self.chance(55):
                peer["workloads"] = self._selector(LABELS)
            return peer
        if kind < 58:
            peer = {"serviceAccount": rng.choice(ACCOUNTS)}
            if self.chance(60):
                peer["namespace"] = "/"
            return peer
        if kind < 80:
            return self._block()
        if kind < 88 and (names := self._visible_externals(home)):
            return {"external": rng.choice(names)}
        if kind < 98:
            if self.chance(50):
                return {"node": rng.choice(list(NODES))}
            return {"node": self._selector(NODE_LABELS)}
        return {"fqdn": "api.example.com"}

    def _native_rules(self, phase, direction, home):
        actions, peers, ports = {
            "mandatory": ([30, 35, 35], 85, 60),
            "allow": (None, 75, 55),
            "default": ([40, 45, 15], 65, 50),
        }[phase]
        rules = []
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            rule = {}
            if actions:
                rule["action"] = self.rng.choices(["allow", "deny", "pass"], actions)[0]
            if self.chance(peers):
                key = "from" if direction == "ingress" else "to"
                rule[key] = [self._native_peer(home)
                             for _ in range(self.rng.choice([1, 2, 3]))]
            if self.chance(ports):
                rule["ports"] = [self._native_port()
                                 for _ in range(self.rng.choice([1, 1, 2, 3]))]
            rules.append(rule)
        return rules

    def native_policy(self, name, namespace):
        """At a path or a Kubernetes namespace, or somewhere above it."""
        home = self.kube.get(namespace, namespace)
        if self.chance(50):
            levels = home.count("/") - (home == "/")
            home = namespace = home.rsplit("/", self.rng.randint(0, levels))[0] or "/"
        spec = {}
        if home == "/" and self.chance(50):
            spec["node"] = self.rng.choice(
                [{}, LOCAL, REMOTE, {"matchLabels": self.labels(NODE_LABELS)}])
        elif self.chance(60):
            spec["workloads"] = self._selector(LABELS)
        if self.chance(30):
            spec["priority"] = self.rng.randint(-3, 3)
        if self.chance(8):
            spec["enforcement"] = "audit"  # and so it changes nothing
        for phase in self.some(["mandatory", "allow", "default"], 1, 2):
            block = {}
            for direction in self.some(["ingress", "egress"], 1, 2):
                block[direction] = self._native_rules(phase, direction, home)
            if self.chance(7):
                block["ingress"] = [] if self.chance(60) else None
            spec[phase] = block
        return document(NATIVE, "Policy", {"name": name, "namespace": namespace}, spec)

    # --- NetworkPolicy ---

    def _netpol_port(self):
        proto = self._proto()
        kind = self.rng.randrange(100)
        if kind < 35:
            return {"protocol": proto.upper(), "port": self._port(proto)}
        if kind < 60:
            low, high = self._range(proto)
            return {"protocol": proto.upper(), "port": low, "endPort": high}
        if kind < 85:
            return {"protocol": proto.upper(), "port": self._port_name()}
        return self.rng.choice([{}, {"protocol": proto.upper()}])

    def _netpol_peer(self):
        kind = self.rng.randrange(100)
        if kind < 30:
            return {"podSelector": self._selector(LABELS)}
        if kind < 50:
            return {"namespaceSelector": self._ns_selector()}
        if kind < 70:
            return {"namespaceSelector": self._ns_selector(),
                    "podSelector": self._selector(LABELS)}
        return {"ipBlock": self._block()}

    def _netpol_rules(self, key):
        rules = []
        for _ in range(self.rng.choice([0, 1, 1, 2, 3])):
            rule = {}
            if self.chance(80):
                rule[key] = [self._netpol_peer()
                             for _ in range(self.rng.choice([1, 2, 3]))]
            if self.chance(55):
                rule["ports"] = [self._netpol_port()
                                 for _ in range(self.rng.choice([1, 1, 2, 3]))]
            rules.append(rule)
        return rules

    def network_policy(self, name, namespace):
        if namespace not in self.kube:
            namespace = self.rng.choice(list(self.kube))
        spec = {}
        if self.chance(85):
            spec["podSelector"] = self._selector(LABELS)
        if self.chance(75):
            spec["ingress"] = self._netpol_rules("from")
        if self.chance(55):
            spec["egress"] = self._netpol_rules("to")
        types = self.rng.choice(
            [None, [], ["Ingress"], ["Egress"], ["Ingress", "Egress"]])
        if types is not None:
            spec["policyTypes"] = types
        return document("networking.k8s.io/v1", "NetworkPolicy",
                         {"name": name, "namespace": namespace}, spec)

    # --- the cluster-wide kinds ---

    def _admin_pods(self):
        return {"namespaceSelector": self._ns_selector(),
                "podSelector": self._selector(LABELS)}

    def _admin_peer(self, direction):
        kind = self.rng.randrange(100)
        if direction == "egress" and kind < 45:
            if kind < 30:
                count = self.rng.choice([1, 2, 3])
                return {"networks": sorted({str(self.network()) for _ in range(count)})}
            return {"nodes": self._selector(NODE_LABELS)}
        if kind < 70:
            return {"namespaces": self._ns_selector()}
        return {"pods": self._admin_pods()}

    def _old_port(self, named):
        proto = self._proto()
        kind = self.rng.randrange(100)
        if named and kind < 30:
            return {"namedPort": self._port_name()}
        if kind < 65:
            return {"portNumber": {"protocol": proto.upper(),
                                   "port": self._port(proto)}}
        low, high = self._range(proto)
        return {"portRange": {"protocol": proto.upper(), "start": low, "end": high}}

    def _new_port(self, named):
        proto = self._proto()
        kind = self.rng.randrange(100)
        if named and kind < 30:
            return {"destinationNamedPort": self._port_name()}
        if kind < 65:
            return {proto: {"destinationPort": {"number": self._port(proto)}}}
        low, high = self._range(proto)
        return {proto: {"destinationPort": {"range": {"start": low, "end": high}}}}

    def _admin_rules(self, direction, actions, ports_key):
        rules = []
        for _ in range(self.rng.choice([1, 2, 3])):
            peers = [self._admin_peer(direction)
                     for _ in range(self.rng.choice([1, 2]))]
            rule = {"action": self.rng.choice(actions),
                    "from" if direction == "ingress" else "to": peers}
            if self.chance(60):
                named = all("networks" not in p and "nodes" not in p for p in peers)
                make = self._old_port if ports_key == "ports" else self._new_port
                rule[ports_key] = [make(named) for _ in range(self.rng.choice([1, 2]))]
            rules.append(rule)
        return rules

    def _cluster_wide(self, version, kind, name, actions, ports_key, more):
        subject = {"namespaces": self._ns_selector()}
        if self.chance(50):
            subject = {"pods": self._admin_pods()}
        spec = more | {"subject": subject}
        for direction in self.some(["ingress", "egress"], 1, 2):
            spec[direction] = self._admin_rules(direction, actions, ports_key)
        return document(version, kind, {"name": name}, spec)

    def admin_policy(self, name, _namespace):
        return self._cluster_wide(ADMIN, "AdminNetworkPolicy", name,
                                  ["Allow", "Deny", "Pass"], "ports",
                                  {"priority": self.rng.randint(0, 9)})

    def baseline_policy(self, _name, _namespace):
        return self._cluster_wide(ADMIN, "BaselineAdminNetworkPolicy", "default",
                                  ["Allow", "Deny"], "ports", {})

    def cluster_policy(self, name, _namespace):
        more = {"tier": self.rng.choice(["Admin", "Baseline"]),
                "priority": self.rng.randint(0, 9)}
        return self._cluster_wide(CLUSTER, "ClusterNetworkPolicy", name,
                                  ["Accept", "Deny", "Pass"], "protocols", more)
