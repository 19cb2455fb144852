"""A shop and its watchers: the little world in which most tests of the daemon play.

Tests that need just this import its fixtures; each module of tests has its own lab.
"""

import pytest

from enforcerd import Enforcer
from lab import Lab

WORKLOAD = """\
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: {name}, namespace: {ns}, labels: {{app: {name}}}}}
spec: {{node: node-1, ips: [{v4}, "{v6}"]}}
---
"""
TREE = """\
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {name: /acme/shop}
---
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {name: /ops}
---
"""
PLACES = {"web": "/acme/shop", "db": "/acme/shop", "mon": "/ops"}

# db takes web on 5432/tcp and 53/udp, and monitoring on 9100; nobody else.
DB = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: db, namespace: /acme/shop}
spec:
  workloads: {matchLabels: {app: db}}
  allow:
    ingress:
      - {name: web, from: [{workloads: {matchLabels: {app: web}}}], ports: [5432/tcp, 53/udp]}
      - {from: [{namespace: /ops}], ports: [9100/tcp]}
"""
PORTS = [80, 5432, 9100, "53/udp"]
ALLOWED = {
    ("web", "db", "tcp", 5432), ("web", "db", "udp", 53), ("mon", "db", "tcp", 9100)}


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all(PORTS)
        yield lab


def workloads(lab, places):
    """The documents of hosts of the lab, in these parts of the tree."""
    return "".join(
        WORKLOAD.format(name=name, ns=ns, v4=lab.host(name).address(4),
                        v6=lab.host(name).address(6)) for name, ns in places.items())


def world(lab):
    """The documents that say who there is."""
    return TREE + workloads(lab, PLACES)


@pytest.fixture
def enforcer(lab, tmp_path):
    """A daemon with DB in force."""
    with Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB}) as it:
        yield it
    lab.node.exec(["nft", "flush", "ruleset"])


@pytest.fixture
def idle(lab, tmp_path):
    """A daemon that is not started yet."""
    it = Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB})
    yield it
    it.__exit__()
    lab.node.exec(["nft", "flush", "ruleset"])
