"""Policies for a generated cluster, in the shares that real ones have: mostly
NetworkPolicies of one app each, native policies at every level of the tree, and a few of
the cluster's administrators.

Each policy is made from its own random number generator, so that one can be exchanged and
the others stay as they are.
"""

import random

# Of a hundred policies; admins write at most this many, however big the cluster is.
NATIVE_SHARE = 0.25
ADMIN_KINDS = (("AdminNetworkPolicy", 40), ("ClusterNetworkPolicy", 40))
OUTSIDE = ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/25", "2001:db8:1::/48")
EXTERNALS = 20


def _labels(labels, indent):
    return "".join(f"\n{' ' * indent}{key}: {value}" for key, value in labels.items())


class PolicyMaker:
    """Makes the documents of `cluster`; the first `edits` differ from those without."""

    def __init__(self, cluster, seed, edits):
        self.cluster = cluster
        self.seed = seed
        self.edits = edits
        self.apps_of = {}
        for app in cluster.apps:
            self.apps_of.setdefault(app.place.path, []).append(app)

    def make(self, count):
        """External networks, then `count` policies."""
        documents = [self._external(i) for i in range(EXTERNALS)]
        kinds = self._kinds(count)
        for i in range(count):
            edit = " edited" if i < self.edits else ""
            rng = random.Random(f"policy {self.seed} {i}{edit}")
            documents.append(getattr(self, "_" + kinds[i])(rng, i))
        return documents

    def _kinds(self, count):
        """The kind of each policy, spread evenly, the same for the same count."""
        rng = random.Random(f"kinds {self.seed}")
        kinds = ["native" if rng.random() < NATIVE_SHARE else "network"
                 for _ in range(count)]
        for at, (kind, limit) in enumerate(ADMIN_KINDS):
            few = min(limit, count // 50)
            for i in range(few):
                kinds[(i * len(ADMIN_KINDS) + at) * count // (few * len(ADMIN_KINDS))] = (
                    "admin" if kind == "AdminNetworkPolicy" else "cluster")
        if count >= 100:
            kinds[-1] = "baseline"
        return kinds

    # --- parts ---

    def _external(self, i):
        return (
            "apiVersion: ringfence.dev/v1alpha1\nkind: ExternalNetwork\nmetadata:\n"
            f"  name: partner-{i}\n  namespace: /org\nspec:\n"
            f"  cidrs: [198.51.{i}.0/24, \"2001:db8:{i:x}::/64\"]\n")

    def _place(self, rng):
        return rng.choice(self.cluster.places)

    def _port(self, rng, app):
        """(number or name, protocol) that the app serves; sometimes others."""
        name, number, proto = rng.choice(app.ports)
        return (name if rng.random() < 0.3 else number), proto

    # --- networking.k8s.io/v1 ---

    def _network_peer(self, rng, place):
        pick = rng.random()
        other = rng.choice(self.apps_of[place.path])
        if pick < 0.5:
            return ("    - podSelector:\n        matchLabels:\n"
                    f"          app: {other.name}\n")
        if pick < 0.7:
            return ("    - namespaceSelector:\n        matchLabels:\n"
                    f"          team: {self._place(rng).team}\n"
                    f"          tenant: {place.tenant}\n"
                    "      podSelector:\n        matchLabels:\n"
                    f"          tier: {rng.choice(('frontend', 'backend'))}\n")
        if pick < 0.8:
            return ("    - namespaceSelector:\n        matchExpressions:\n"
                    "        - key: env\n          operator: In\n"
                    f"          values: [{place.env}, staging]\n"
                    "        - key: tenant\n          operator: In\n"
                    f"          values: [{place.tenant}, {self._place(rng).tenant}]\n")
        cidr = rng.choice(OUTSIDE)
        cut = "" if ":" in cidr else (
            f"        except:\n        - {cidr.rpartition('.')[0]}.{rng.randrange(64)}/32\n")
        return f"    - ipBlock:\n        cidr: {cidr}\n{cut}"

    def _network_rule(self, rng, place, app, peers):
        text = f"  - {peers}:\n"
        for _ in range(rng.randint(1, 3)):
            text += self._network_peer(rng, place)
        if rng.random() < 0.85:
            text += "    ports:\n"
            for _ in range(rng.randint(1, 2)):
                port, proto = self._port(rng, app)
                text += f"    - port: {port}\n      protocol: {proto}\n"
                if isinstance(port, int) and rng.random() < 0.1:
                    text += f"      endPort: {port + rng.randint(1, 400)}\n"
        return text

    def _network(self, rng, i):
        place = self._place(rng)
        app = rng.choice(self.apps_of[place.path])
        head = ("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n"
                f"  name: np-{i:05}\n  namespace: {place.kube}\nspec:\n")
        if rng.random() < 0.1:
            return head + "  podSelector: {}\n  policyTypes: [Ingress]\n"
        head += f"  podSelector:\n    matchLabels:\n      app: {app.name}\n"
        both = rng.random() < 0.3
        head += "  policyTypes:\n  - Ingress\n" + ("  - Egress\n" if both else "")
        head += "  ingress:\n"
        for _ in range(rng.randint(1, 3)):
            head += self._network_rule(rng, place, app, "from")
        if both:
            head += "  egress:\n"
            for _ in range(rng.randint(1, 2)):
                head += self._network_rule(rng, place, rng.choice(self.apps_of[place.path]), "to")
            head += "  - ports:\n    - port: 53\n      protocol: UDP\n"
        return head

    # --- native ---

    def _native_peer(self, rng, place):
        pick = rng.random()
        if pick < 0.4:
            return f"{{ workloads: {{ matchLabels: {{ app: {rng.choice(self.apps_of[place.path]).name} }} }} }}"
        if pick < 0.55:
            return "{ namespace: .. }"
        if pick < 0.7:
            return f"{{ namespace: /org/{self._place(rng).tenant}, workloads: {{ matchLabels: {{ tier: frontend }} }} }}"
        if pick < 0.85:
            return f"{{ external: partner-{rng.randrange(EXTERNALS)} }}"
        return f"{{ cidr: {rng.choice(OUTSIDE)!s} }}".replace("2001:db8:1::/48", '"2001:db8:1::/48"')

    def _native_rules(self, rng, place, key, actions):
        text = ""
        for _ in range(rng.randint(1, 3)):
            app = rng.choice(self.apps_of[place.path])
            port, proto = self._port(rng, app)
            ports = port if isinstance(port, str) else f"{port}/{proto.lower()}"
            action = f"action: {rng.choice(actions)}, " if actions else ""
            text += (f"    - {{ {action}{key}: [{self._native_peer(rng, place)}], "
                     f"ports: [{ports}] }}\n")
        return text

    def _native(self, rng, i):
        place = self._place(rng)
        path = place.path
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            path = path.rpartition("/")[0]
        text = ("apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata:\n"
                f"  name: native-{i:05}\n  namespace: {path}\nspec:\n")
        if rng.random() < 0.1:
            text += f"  priority: {rng.randint(-5, 5)}\n"
        app = rng.choice(self.apps_of[place.path])
        text += f"  workloads:\n    matchLabels:\n      app: {app.name}\n"
        phase = rng.random()
        if phase < 0.3:
            text += "  mandatory:\n    ingress:\n" + self._native_rules(
                rng, place, "from", ("allow", "deny", "pass"))
        elif phase < 0.75:
            text += "  allow:\n    ingress:\n" + self._native_rules(rng, place, "from", None)
            if rng.random() < 0.3:
                text += "    egress:\n" + self._native_rules(rng, place, "to", None)
        else:
            text += "  default:\n    ingress:\n" + self._native_rules(
                rng, place, "from", ("allow", "deny"))
        return text

    # --- policy.networking.k8s.io ---

    def _subject(self, rng):
        return ("  subject:\n    namespaces:\n      matchLabels:"
                + _labels({"tenant": self._place(rng).tenant}, 8) + "\n")

    def _admin(self, rng, i):
        text = ("apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\n"
                f"metadata:\n  name: anp-{i:05}\nspec:\n  priority: {i % 1000}\n")
        text += self._subject(rng) + "  ingress:\n"
        for rule in range(rng.randint(1, 3)):
            text += (f"  - name: rule-{rule}\n    action: {rng.choice(('Allow', 'Deny', 'Pass'))}\n"
                     "    from:\n    - namespaces:\n        matchLabels:"
                     + _labels({"tenant": self._place(rng).tenant}, 10)
                     + "\n    ports:\n    - portNumber:\n        protocol: TCP\n"
                     f"        port: {rng.choice((8080, 9100, 5432))}\n")
        return text

    def _baseline(self, rng, i):
        del rng, i
        return ("apiVersion: policy.networking.k8s.io/v1alpha1\n"
                "kind: BaselineAdminNetworkPolicy\nmetadata:\n  name: default\nspec:\n"
                "  subject:\n    namespaces:\n      matchLabels:\n        env: prod\n"
                "  ingress:\n  - name: no-dev\n    action: Deny\n    from:\n"
                "    - namespaces:\n        matchLabels:\n          env: dev\n")

    def _cluster(self, rng, i):
        tier = rng.choice(("Admin", "Baseline"))
        text = ("apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"
                f"metadata:\n  name: cnp-{i:05}\nspec:\n  tier: {tier}\n"
                f"  priority: {i % 1000}\n")
        text += self._subject(rng) + "  egress:\n"
        for rule in range(rng.randint(1, 3)):
            text += (f"  - name: rule-{rule}\n    action: {rng.choice(('Accept', 'Deny', 'Pass'))}\n"
                     f"    to:\n    - networks:\n      - {rng.choice(OUTSIDE)!r}\n"
                     "    protocols:\n    - tcp:\n        destinationPort:\n"
                     f"          number: {rng.choice((443, 8443))}\n")
        return text
