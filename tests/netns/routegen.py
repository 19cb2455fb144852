"""Random trees, workloads and Routes, and what ringfence-policy(5) says of them.

The oracle is written from that page alone: for a workload and a kind of rule the first
match going down through `mandatory`, else the first going up through `default`; `pass`
leaves the level. Which addresses a node translates is as enforcer.yaml(5) has it.

    world = RouteWorld(random.Random(seed), {"w1": ("node-1", [ip4, ip6]), ...})
    world.files()                         # {name: documents}
    world.leaves("w1", "203.0.113.9", "tcp", 80)
    world.leads("198.51.100.80", "tcp", 80)
    world.goes("w1", "w2", 4, "tcp", 80)  # through whom
    world.edit()                          # changes something; what, in words
"""

import copy
import ipaddress
from typing import Any, NamedTuple

API = "ringfence.dev/v1alpha1"
LISTEN = [("tcp", 80), ("tcp", 81), ("tcp", 8000), ("tcp", 8001), ("udp", 80), ("udp", 8000)]
FAR = ["203.0.113.9", "203.0.113.130", "203.0.113.250", "2001:db8::9", "2001:db8:1::9"]
NETWORKS = ["203.0.113.0/24", "203.0.113.0/25", "203.0.113.128/26", "2001:db8::/32",
            "2001:db8:1::/48", "0.0.0.0/0", "::/0"]
EXCEPT = {"203.0.113.0/24": "203.0.113.128/25", "0.0.0.0/0": "203.0.113.0/28",
          "2001:db8::/32": "2001:db8:1::/48"}
SOURCES = [["198.51.100.7"], ["fd0a::7"], ["198.51.100.8", "fd0a::8"], ["192.0.2.77"],
           ["198.51.100.16/30", "fd0a::10/127"], ["198.51.100.32", "198.51.100.33"],
           ["198.51.100.31", "198.51.100.32", "fd0a::9"]]
VIPS = ["198.51.100.80", "198.51.100.81", "198.51.100.90", "fd0a::80"]
# Whose the addresses are: the longest network says.
RIGHTS = [("198.51.100.0/24", "/"), ("fd0a::/64", "/"), ("198.51.100.32/28", "/t1"),
          ("198.51.100.90/32", "/t2")]
PORTS = [None, None, ["80/tcp"], ["tcp"], ["80-81/tcp", "80/udp"], ["8000-8001/tcp"], ["udp"]]
PUBLISHED = [["80/tcp"], ["80-81/tcp"], ["8000-8001/tcp"], ["8000/udp"], ["80/udp", "81/tcp"],
             ["79-8001/tcp"]]
APPS = ["x", "v"]
NODE_ADDRESSES = ["192.0.2.10{}", "fd0b::10{}"]
# Keeps nodes asking each other whether they are up; nobody probes these ports.
KEEP = {"apiVersion": API, "kind": "Route", "metadata": {"name": "keep", "namespace": "/"},
        "spec": {"priority": -1, "mandatory": {"egress": [
            {"action": "route", "ports": [f"{n}/sctp"], "gateway": [f"node-{n}"]}
            for n in (1, 2)]}}}


class Found(NamedTuple):
    """The rule that a walk ends at."""

    route: Any
    phase: str
    index: int
    rule: Any


class Workload:
    """As a document, of Kubernetes or native, or as none while it is gone."""

    def __init__(self, dice, name, node, addresses, paths):
        self.name = name
        self.node = node
        self.addresses = [str(address) for address in addresses]
        self.pod = dice.randrange(2) == 0
        self.path = dice.choice(paths)
        self.app = dice.choice(APPS)
        self.ready = True
        self.gone = False
        # a name for a port, which is not everybody's
        self.port = dice.choice([None, 8000, 8000, 81])

    def display(self, kube):
        return f"{kube[self.path]}/{self.name}" if self.pod else f"{self.path}/{self.name}"

    def has(self, family):
        """Whether it is there, and known by an address of the family."""
        return not self.gone and any(version(own) == family for own in self.addresses)

    def is_there(self):
        return not self.gone and (self.ready or not self.pod)

    def document(self, kube):
        labels = {"app": self.app}
        if not self.pod:
            ports = [{"name": "web", "port": self.port}] if self.port else []
            return {"apiVersion": API, "kind": "Workload",
                    "metadata": {"name": self.name, "namespace": self.path, "labels": labels},
                    "spec": {"node": self.node, "ips": self.addresses, "ports": ports}}
        ports = [{"name": "web", "containerPort": self.port}] if self.port else []
        return {"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": self.name, "namespace": kube[self.path], "labels": labels},
                "spec": {"nodeName": self.node, "containers": [{"name": "c", "ports": ports}]},
                "status": {"phase": "Running", "podIP": self.addresses[0],
                           "podIPs": [{"ip": address} for address in self.addresses],
                           "conditions": [{"type": "Ready", "status": str(self.ready)}]}}


# --- matching, by the words of the manual ---


def version(address):
    return ipaddress.ip_address(address).version


def within(path, top):
    return top == "/" or path == top or path.startswith(top + "/")


def depth(path):
    return 0 if path == "/" else path.count("/")


def in_network(address, network):
    return ipaddress.ip_address(address) in ipaddress.ip_network(network)


def has_port(text, proto, port):
    ports, _, of = text.rpartition("/")
    if of != proto:
        return False
    low, _, high = ports.partition("-")
    return not ports or int(low) <= port <= int(high or low)


def takes_port(rule, proto, port):
    return "ports" not in rule or any(has_port(text, proto, port) for text in rule["ports"])


def selects(selector, workload):
    return selector.get("matchLabels", {}).get("app") in (None, workload.app)


def rank(route):
    meta = route["metadata"]
    return meta["namespace"], route["spec"].get("priority", 0), meta["name"]


def node_document(name):
    own = [text.format(name[-1]) for text in NODE_ADDRESSES]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": text} for text in own]}}


def takes_some(some, level, workload):
    """Whether what is said there of workloads, at that level, takes this one in."""
    return within(workload.path, some.get("namespace", level)) and \
        selects(some.get("workloads", {}), workload)


class Marker:
    """A workload without address and label, which tells states apart. It walks, too."""

    name, path, app = "marker", "/", None


class RouteWorld:
    """`daemon`: as one with these rights has it, that drops what is no known workload's, that
    has a marker beside them, and that sends things through workloads."""

    def __init__(self, dice, homes, daemon=True):
        self.dice = dice
        self.kinds = ["egress", "ingress", "via"] if daemon else ["egress", "ingress"]
        self.rights = RIGHTS if daemon else None
        self.daemon = daemon
        self.paths = ["/", "/t1", "/t2"]
        for i in range(dice.randint(2, 4)):
            parent = dice.choice([path for path in self.paths[1:] if depth(path) < 4])
            self.paths.append(f"{parent}/n{i}")
        self.kube = {path: f"k{i}" for i, path in enumerate(self.paths)}
        self.workloads = {name: Workload(dice, name, *home, self.paths[1:])
                          for name, home in homes.items()}
        if daemon:
            for workload in self.workloads.values():
                workload.ready = not self._chance(4)
        self.networks = {("/", "far"): self._cidrs(), ("/", "near"): self._cidrs()}
        for path in dice.sample(self.paths[1:], 2):
            self.networks[path, dice.choice(["far", "near"])] = self._cidrs()
        self.routes = {}
        for path in self.paths:
            for _ in range(dice.choice([0, 1, 1, 2])):
                self._add_route(path)

    # --- making them ---

    def _chance(self, one_in):
        return self.dice.randrange(one_in) == 0

    def _cidrs(self):
        return self.dice.sample(NETWORKS[:5], self.dice.randint(1, 2))

    def _peer(self):
        if self._chance(3):
            return {"external": self.dice.choice(["far", "near"])}
        cidr = self.dice.choice(NETWORKS)
        peer = {"cidr": cidr}
        if cidr in EXCEPT and self._chance(3):
            peer["except"] = [EXCEPT[cidr]]
        return peer

    def _leaving(self):
        dice = self.dice
        rule = {"action": dice.choice(["route"] * 4 + ["direct", "deny", "pass"])}
        if not self._chance(3):
            rule["to"] = [self._peer() for _ in range(dice.randint(1, 2))]
        if (ports := dice.choice(PORTS)) is not None:
            rule["ports"] = ports
        if rule["action"] == "route":
            if not self._chance(8):
                rule["source"] = dice.choice(SOURCES)
            elif self._chance(2):
                rule["nextHop"] = [dice.choice(["192.0.2.1", "fd0b::1"])]
            else:
                rule["gateway"] = ["nobody"]
        return rule

    def _publishing(self):
        dice = self.dice
        rule = {"action": dice.choice(["publish"] * 4 + ["deny", "pass"])}
        ports = dice.choice(PUBLISHED)
        if rule["action"] != "publish":
            if self._chance(2):
                rule["address"] = [dice.choice(VIPS)]
            return rule | ({"ports": ports} if self._chance(2) else {})
        rule |= {"address": dice.sample(VIPS, dice.randint(1, 3)), "ports": ports}
        if len(ports) == 1 and ports != PUBLISHED[-1] and self._chance(2):
            rule["targetPort"] = 8000
            if ports in (["80/tcp"], ["8000/udp"]) and self._chance(2):
                rule["targetPort"] = "web"
        if self._chance(2):
            rule["balance"] = dice.choice(["hash", "random"])
        rule["to"] = [{"workloads": {"matchLabels": {"app": app}} if app else {},
                       "weight": dice.choice([0, 1, 1, 2, 40])}
                      for app in dice.sample([*APPS, ""], dice.randint(1, 2))]
        return rule

    def _some(self, selector=None):
        """Workloads below the Route's own place, or below another."""
        paths = self.paths[:3] * 2 + self.paths[3:]
        some = {} if self._chance(3) else {"namespace": self.dice.choice(paths)}
        if selector or not some or self._chance(2):
            labels = {"matchLabels": {"app": self.dice.choice(APPS)}}
            some["workloads"] = {} if self._chance(4) else labels
        return some

    def _sending(self):
        dice = self.dice
        rule = {"action": dice.choice(["through"] * 5 + ["direct", "deny", "pass"])}
        for end in ("from", "to"):
            if not self._chance(2):
                rule[end] = [self._some() for _ in range(dice.randint(1, 2))]
        if (ports := dice.choice(PORTS)) is not None:
            rule["ports"] = ports
        if rule["action"] == "through":
            rule["through"] = self._some(selector=True)
            if (failure := dice.choice([None, "deny", "direct"])) is not None:
                rule["onFailure"] = failure
        return rule

    def _rule(self, kind):
        return {"egress": self._leaving, "ingress": self._publishing,
                "via": self._sending}[kind]()

    def _add_route(self, path):
        number = next(n for n in range(1000) if f"r{n}" not in self.routes)
        spec = {"priority": self.dice.randrange(2)}
        if self._chance(3):
            spec["workloads"] = {"matchLabels": {"app": self.dice.choice(APPS)}}
        for phase in ("mandatory", "default"):
            spec[phase] = {kind: [self._rule(kind) for _ in range(
                self.dice.randrange(4 if kind == "via" else 3))] for kind in self.kinds}
        self.routes[f"r{number}"] = {
            "apiVersion": API, "kind": "Route",
            "metadata": {"name": f"r{number}", "namespace": path}, "spec": spec}
        return f"r{number} at {path}"

    # --- as documents ---

    def files(self):
        """A file for each Route, one for the rest."""
        world = [{"apiVersion": API, "kind": "Namespace", "metadata": {"name": path},
                  "spec": {"kubernetes": {"namespaces": [self.kube[path]]}}}
                 for path in self.paths[1:]]
        world += [{"apiVersion": API, "kind": "ExternalNetwork",
                   "metadata": {"name": name, "namespace": path}, "spec": {"cidrs": cidrs}}
                  for (path, name), cidrs in self.networks.items()]
        world += [w.document(self.kube) for w in self.workloads.values() if not w.gone]
        if "via" in self.kinds:
            world += [KEEP, *(node_document(name) for name in self.nodes())]
        return {"world.yaml": world} | {f"{name}.yaml": [route]
                                        for name, route in self.routes.items()}

    def nodes(self):
        return sorted({workload.node for workload in self.workloads.values()})

    # --- edits ---

    def edit(self):
        edits = [self._edit_rule] * 5 + [
            self._edit_add, self._edit_remove, self._edit_priority, self._edit_app,
            self._edit_ready, self._edit_ready, self._edit_move, self._edit_gone,
            self._edit_network]
        while True:
            told = self.dice.choice(edits)()
            if told:
                return told

    def _edit_rule(self):
        lists = [(name, phase, kind, rules) for name, route in self.routes.items()
                 for phase in ("mandatory", "default")
                 for kind, rules in route["spec"][phase].items()]
        if not lists:
            return None
        name, phase, kind, rules = self.dice.choice(lists)
        new = self._rule(kind)
        if rules and self._chance(3):
            index = self.dice.randrange(len(rules))
            del rules[index]
            return f"{name} without {phase} {kind} rule {index}"
        if rules and self._chance(2):
            index = self.dice.randrange(len(rules))
            rules[index] = new
            return f"{name} with another {phase} {kind} rule {index}"
        rules.insert(self.dice.randint(0, len(rules)), new)
        return f"{name} with one more {phase} {kind} rule"

    def _edit_add(self):
        return "new " + self._add_route(self.dice.choice(self.paths))

    def _edit_remove(self):
        if not self.routes:
            return None
        name = self.dice.choice(list(self.routes))
        del self.routes[name]
        return f"no {name}"

    def _edit_priority(self):
        if not self.routes:
            return None
        name = self.dice.choice(list(self.routes))
        self.routes[name]["spec"]["priority"] = self.dice.randrange(3)
        return f"another priority of {name}"

    def _any(self):
        return self.dice.choice(list(self.workloads.values()))

    def _edit_app(self):
        workload = self._any()
        workload.app = APPS[workload.app == APPS[0]]
        return f"{workload.name} is {workload.app}"

    def _edit_ready(self):
        workload = self._any()
        workload.ready = not workload.ready
        return f"{workload.name} is {'' if workload.ready else 'not '}ready" \
            if workload.pod else None

    def _edit_move(self):
        workload = self._any()
        workload.path = self.dice.choice(self.paths[1:])
        return f"{workload.name} in {workload.path}"

    def _edit_gone(self):
        workload = self._any()
        workload.gone = not workload.gone
        return f"{workload.name} is {'gone' if workload.gone else 'back'}"

    def _edit_network(self):
        key = self.dice.choice(list(self.networks))
        self.networks[key] = self._cidrs()
        return f"another {key[1]} at {key[0]}"

    # --- what they say ---

    def without_rights(self):
        """The same to tools, who do not know what a node translates."""
        other = copy.copy(self)
        other.rights = None
        return other

    def may(self, address, path):
        """Whether the node translates the address for Routes of that place."""
        if self.rights is None:
            return True
        fitting = [(ipaddress.ip_network(network).prefixlen, subtree)
                   for network, subtree in self.rights if in_network(address, network)]
        return bool(fitting) and within(path, max(fitting)[1])

    def _takes_peer(self, peer, address, path):
        if "external" in peer:
            known = [at for at, name in self.networks
                     if name == peer["external"] and within(path, at)]
            cidrs = self.networks[max(known, key=depth), peer["external"]]
            return any(in_network(address, cidr) for cidr in cidrs)
        return in_network(address, peer["cidr"]) and not any(
            in_network(address, cut) for cut in peer.get("except", ()))

    def walk(self, workload, kind, match):
        """The Found of the first match, or None."""
        mine = [route for route in self.routes.values()
                if within(workload.path, route["metadata"]["namespace"])
                and selects(route["spec"].get("workloads", {}), workload)]
        for phase, sign in (("mandatory", 1), ("default", -1)):
            passed = set()
            for route in sorted(mine, key=lambda route: (
                    sign * depth(route["metadata"]["namespace"]), rank(route))):  # noqa: B023
                level = route["metadata"]["namespace"]
                if level in passed:
                    continue
                for index, rule in enumerate(route["spec"][phase][kind]):
                    if not match(rule, level):
                        continue
                    if rule["action"] == "pass":
                        passed.add(level)
                        break
                    return Found(route, phase, index, rule)
        return None

    def leaving_rule(self, name, address, proto, port):
        return self.walk(self.workloads[name], "egress", lambda rule, path: takes_port(
            rule, proto, port) and ("to" not in rule or any(
                self._takes_peer(peer, address, path) for peer in rule["to"])))

    def leaves(self, name, address, proto, port):
        """The addresses that it may leave with; none: it does not leave."""
        workload = self.workloads[name]
        own = {text for text in workload.addresses if version(text) == version(address)}
        if workload.gone:
            return set() if self.daemon else own
        found = self.leaving_rule(name, address, proto, port)
        if found is None or found.rule["action"] == "direct":
            return own
        pool = {each for text in found.rule.get("source", ())
                for each in ipaddress.ip_network(text) if each.version == version(address)}
        path = found.route["metadata"]["namespace"]
        return {str(each) for each in pool} if all(self.may(each, path) for each in pool) \
            else set()

    def published_rule(self, address, proto, port):
        """(Found that has the port, {workload: Found}); (None, ...): nobody publishes it."""
        def match(rule, path):
            if not takes_port(rule, proto, port):
                return False
            if "address" in rule and not any(in_network(address, each)
                                             for each in rule["address"]):
                return False
            return rule["action"] != "publish" or self.may(address, path)
        walkers = [w for w in self.workloads.values() if not w.gone]
        if self.daemon:
            walkers.append(Marker)
        answers = {w.name: self.walk(w, "ingress", match) for w in walkers}
        claims = [found for found in answers.values()
                  if found and found.rule["action"] == "publish"]
        sign = {"mandatory": 1, "default": -1}
        first = min(claims, default=None, key=lambda found: (
            found.phase == "default",
            sign[found.phase] * depth(found.route["metadata"]["namespace"]),
            rank(found.route), found.index))
        return first, answers

    def leads(self, address, proto, port):
        """{(workload, port)} that it may lead to; none: it is closed."""
        first, answers = self.published_rule(address, proto, port)
        ends = set()
        for name, found in answers.items():
            workload = self.workloads.get(name)
            if workload is None or first is None or found is None or found.rule is not first.rule \
                    or not (workload.is_there() and workload.has(version(address))):
                continue
            target = next((target for target in first.rule["to"]
                           if selects(target["workloads"], workload)), None)
            to = self._port_at(workload, first.rule, proto, port)
            if target and target["weight"] and to is not None:
                ends.add((name, to))
        return ends

    @staticmethod
    def _port_at(workload, rule, proto, port):
        if "targetPort" not in rule:
            return port
        if rule["targetPort"] == "web":
            return workload.port if proto == "tcp" else None
        return rule["targetPort"] + port - int(rule["ports"][0].split("-")[0].split("/")[0])

    # --- what it goes through ---

    def sending_rule(self, src, dst, proto, port):
        one, other = self.workloads[src], self.workloads[dst]

        def match(rule, level):
            return takes_port(rule, proto, port) and all(
                key not in rule or any(takes_some(some, level, end) for some in rule[key])
                for key, end in (("from", one), ("to", other))) and not (
                rule["action"] == "through" and any(
                    takes_some(rule["through"], level, end) for end in (one, other)))
        return self.walk(one, "via", match)

    def goes(self, src, dst, family, proto, port):
        """Names of those that it goes through one of; None among them: directly. Empty: it
        does not come about."""
        found = self.sending_rule(src, dst, proto, port) if src != dst else None
        if found is None or found.rule["action"] == "direct":
            return {None}
        if found.rule["action"] == "deny":
            return set()
        walls = {name for name, w in self.workloads.items()
                 if w.has(family) and w.is_there()
                 and takes_some(found.rule["through"], found.route["metadata"]["namespace"], w)}
        return walls or ({None} if found.rule.get("onFailure") == "direct" else set())
