"""Random histories of a cluster, while its API server misbehaves.

A history is a series of changes, made at once or some together, and of misdeeds between them;
it ends in a state, of which `documents` are what a file would say.
"""

from kubelab import NATIVE, namespace, node, pod, thing

HOMES = ["shop", "ops", "dev", "lab"]
APPS = ["web", "db", "mon"]
TIERS = ["a", "b"]
PLACES = ["/acme/shop", "/acme", "/ops", "/ops/lab"]
NODES = ["node-1", "node-2", "node-3"]
PORTS = [80, 443, 5432]


def _selector(random):
    return random.choice([
        {}, {"matchLabels": {"app": random.choice(APPS)}},
        {"matchExpressions": [{"key": "app", "operator": "In",
                               "values": random.sample(APPS, 2)}]},
        {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}])


def _spaces(random):
    return random.choice([{}, {"matchLabels": {"tier": random.choice(TIERS)}}])


def _cidr(random):
    return random.choice(["10.0.0.0/8", "192.0.2.0/24", f"10.1.0.{random.randrange(1, 30)}/32"])


def network_policy(random, name, home):
    peers = [random.choice([
        {"podSelector": _selector(random)},
        {"namespaceSelector": _spaces(random), "podSelector": _selector(random)},
        {"ipBlock": {"cidr": _cidr(random)}}]) for _ in range(random.randint(1, 2))]
    rule = {"from": peers}
    if random.random() < 0.7:
        rule["ports"] = [{"port": random.choice(PORTS), "protocol": "TCP"}]
    return thing("NetworkPolicy", name, home, spec={
        "podSelector": _selector(random), "policyTypes": ["Ingress"],
        "ingress": [rule] if random.random() < 0.8 else []})


def admin_policy(random, kind, name):
    actions = ["Allow", "Deny"] if kind.startswith("Baseline") else ["Allow", "Deny", "Pass"]
    spec = {"subject": {"namespaces": _spaces(random)}, "ingress": [{
        "action": random.choice(actions),
        "from": [{"pods": {"namespaceSelector": _spaces(random),
                           "podSelector": _selector(random)}}]}]}
    if kind == "ClusterNetworkPolicy":
        spec["tier"] = random.choice(["Admin", "Baseline"])
        spec["ingress"][0]["action"] = random.choice(["Accept", "Deny", "Pass"])
    if not kind.startswith("Baseline"):
        spec["priority"] = random.randrange(100)
    return thing(kind, name, spec=spec)


def native_policy(random, name, home):
    return thing("Policy", name, home, spec={
        "workloads": _selector(random),
        random.choice(["mandatory", "default"]): {"ingress": [{
            "action": random.choice(["allow", "deny"]),
            "from": [{"workloads": _selector(random), "namespace": random.choice([".", "/"])}],
            "ports": [f"{random.choice(PORTS)}/tcp"]}]}})


def route(random, name, home):
    if random.random() < 0.5:
        return thing("Route", name, home, spec={
            "workloads": _selector(random),
            "default": {"ingress": [{
                "action": "publish", "to": [{"workloads": _selector(random)}],
                "address": [f"198.51.100.{random.randrange(1, 4)}"],
                "ports": [f"{random.choice(PORTS)}/tcp"]}]}})
    return thing("Route", name, home, spec={
        "workloads": _selector(random),
        "default": {"egress": [{
            "action": "route", "to": [{"cidr": _cidr(random)}],
            "source": [f"203.0.113.{random.randrange(1, 9)}"]}]}})


class State:
    """Objects by kind, namespace and name; each change is an operation for the double."""

    def __init__(self, random):
        self.random = random
        self.objects = {}
        self.made = self.addresses = 0
        self.places = {}  # of namespaces: home -> path

    def documents(self):
        """In any order: nothing may follow from it."""
        return self.random.sample(list(self.objects.values()), len(self.objects))

    def put(self, obj):
        metadata = obj["metadata"]
        key = (obj["apiVersion"], obj["kind"], metadata.get("namespace", ""),
               metadata["name"])
        self.objects[key] = obj
        return {"put": obj}

    def delete(self, key):
        return {"delete": self.objects.pop(key)}

    def keys(self, *kinds):
        return sorted(key for key in self.objects if key[1] in kinds)

    # --- what may be changed ---

    def begin(self):
        """What there always is."""
        return [self.put(namespace(home, tier=self.random.choice(TIERS)))
                for home in HOMES] + [
            self.put(node(name, f"192.168.0.{i}", f"fd00:ff::{i}"))
            for i, name in enumerate(NODES, 1)]

    def pod(self):
        random = self.random
        old = self.keys("Pod")
        if old and random.random() < 0.5:
            _, _, home, name = random.choice(old)
            ips = [e["ip"] for e in
                   self.objects["v1", "Pod", home, name]["status"].get("podIPs", [])]
        else:
            self.made += 1
            home, name = random.choice(HOMES), f"p{self.made}"
            ips = []
        if not ips and random.random() < 0.8:
            self.addresses += 1  # never one that another has: whose it is hangs on the order
            high, low = divmod(self.addresses, 250)
            ips = [f"10.1.{high}.{low + 1}", f"fd00:1::{self.addresses:x}"]
        labels = {"app": random.choice(APPS)}
        if random.random() < 0.3:
            labels["tier"] = random.choice(TIERS)
        phase = "Running" if random.random() < 0.85 else random.choice(
            ["Pending", "Succeeded", "Failed"])
        it = pod(home, name, labels, random.choice(NODES[:2]), ips, phase)
        if random.random() < 0.7:  # of what an API server knows, what is led to hangs on one
            it["status"]["conditions"] = [
                {"type": kind, "status": random.choice(["True", "False"]),
                 "lastProbeTime": None, "lastTransitionTime": "2026-03-01T08:12:44Z"}
                for kind in random.sample(["Initialized", "Ready", "ContainersReady"], 3)]
        return [self.put(it)]

    def gone(self):
        keys = self.keys("Pod", "NetworkPolicy", "AdminNetworkPolicy",
                         "ClusterNetworkPolicy", "BaselineAdminNetworkPolicy", "Policy",
                         "Route")
        return [self.delete(self.random.choice(keys))] if keys else []

    def policy(self):
        name = f"n{self.random.randrange(6)}"
        return [self.put(network_policy(self.random, name, self.random.choice(HOMES)))]

    def admin(self):
        kind = self.random.choice(
            ["AdminNetworkPolicy", "ClusterNetworkPolicy", "BaselineAdminNetworkPolicy"])
        name = "default" if kind.startswith("Base") else f"a{self.random.randrange(3)}"
        return [self.put(admin_policy(self.random, kind, name))]

    def native(self):
        name = f"r{self.random.randrange(4)}"
        return [self.put(native_policy(self.random, name, self.random.choice(HOMES)))]

    def route(self):
        return [self.put(route(self.random, f"t{self.random.randrange(3)}",
                               self.random.choice(HOMES)))]

    def labels(self):
        return [self.put(namespace(self.random.choice(HOMES),
                                   tier=self.random.choice(TIERS)))]

    def place(self):
        """A namespace gets another place in the tree; in between it may have two, or none."""
        home, path = self.random.choice(HOMES), self.random.choice(PLACES)
        old, self.places[home] = self.places.get(home), path
        operations = []
        for place in sorted({old, path} - {None}):
            homes = sorted(home for home, at in self.places.items() if at == place)
            name = "at" + place.replace("/", "-")
            if homes:
                operations.append(self.put(thing("Namespace", name, api=NATIVE, spec={
                    "path": place, "kubernetes": {"namespaces": homes}})))
            else:
                operations.append(self.delete((NATIVE, "Namespace", "", name)))
        return sorted(operations, key=lambda op: self.random.random())

    def node(self):
        number = self.random.randint(2, 3)
        return [self.put(node(NODES[number - 1],
                              f"192.168.{self.random.randrange(4)}.{number}"))]

    def same(self):
        """A new version in which nothing is new that matters."""
        keys = self.keys("Pod", "Node")
        if not keys:
            return []
        obj = dict(self.objects[self.random.choice(keys)])
        obj["metadata"] = obj["metadata"] | {
            "annotations": {"seen": str(self.random.random())}}
        return [{"put": obj}]

    CHANGES = {pod: 10, gone: 4, policy: 4, admin: 2, native: 2, route: 1, labels: 2,
               place: 1, node: 1, same: 2}

    def change(self):
        (what,) = self.random.choices(list(self.CHANGES), list(self.CHANGES.values()))
        return what(self)


# --- misdeeds: name -> (weight, what is done) ---


def _fault(random, verb, **rule):
    path = random.choice(["^/api/v1/pods", "^/api/v1/namespaces", "networkpolicies",
                          "ringfence.dev", ""])
    return rule | {"verb": verb, "path": path, "times": random.randint(1, 2)}


def _set_fault(verb, **rule):
    return lambda cluster, random: cluster.faults(_fault(random, verb, **rule))


def _watches(how, most, resource=False):
    def act(cluster, random):
        what = random.choice(["pods", "pods", "networkpolicies", ""]) if resource else ""
        cluster.misbehave(how, random.randint(1, most), what, one=not what)
    return act


MISDEEDS = {
    "slow lists": (2, _set_fault("list", do="continue", delayMs=50)),
    "cut lists": (2, lambda cluster, random: cluster.faults(
        _fault(random, "list", do="cut", after=random.randrange(2000)))),
    "cut watches": (2, lambda cluster, random: cluster.faults(
        _fault(random, "watch", do="cut", after=random.randrange(2000)))),
    "watches end": (2, lambda cluster, random: cluster.cut("end")),
    "watches break": (2, lambda cluster, random: cluster.cut(
        random.choice(["cut", "reset"]))),
    "watches expire": (2, lambda cluster, random: cluster.cut("gone")),
    "history forgotten": (2, lambda cluster, random: (cluster.cut("cut"),
                                                      cluster.compact())),
    "500": (2, lambda cluster, random: cluster.faults(
        _fault(random, random.choice(["list", "watch"]), do="status", code=500))),
    "429": (1, lambda cluster, random: cluster.faults(
        _fault(random, random.choice(["list", "watch"]), do="status", code=429,
               retryAfter=1))),
    "no JSON": (1, lambda cluster, random: cluster.faults(
        _fault(random, random.choice(["list", "watch"]), do="raw", code=200,
               body='{"kind":"PodList","items":[{"metadata":'))),
    "hangs up": (1, lambda cluster, random: cluster.faults(
        _fault(random, random.choice(["list", "watch"]),
               do=random.choice(["close", "reset", "goaway"])))),
    "stale bookmarks": (2, _watches("stale", 50)),
    "events repeated": (3, _watches("repeat", 20, resource=True)),
    "kinds out of order": (2, _watches("hold", 150, resource=True)),
    "drips": (1, _watches("drip", 40, resource=True)),
    "silence": (1, _watches("silent", 1, resource=True)),
}


def misdeed(cluster, random):
    """Do something that no API server should; returns its name."""
    names = list(MISDEEDS)
    (name,) = random.choices(names, [MISDEEDS[name][0] for name in names])
    MISDEEDS[name][1](cluster, random)
    return name


def run(state, cluster, random, steps):
    """One history; returns what was done to it, for whoever wants to know why."""
    done = []
    for _ in range(steps):
        operations = [op for _ in range(random.choice([1, 1, 1, 3, 10]))
                      for op in state.change()]
        cluster.change(operations)
        if random.random() < 0.25:
            done.append(misdeed(cluster, random))
    return done
