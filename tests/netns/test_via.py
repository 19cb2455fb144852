"""Connections that go through a workload, such as a firewall: on the node of the client, on
another one, through one of two. What goes through is told by counters of the firewalls'
own; they forward, and do nothing else.

    web, near, fw-1 -- node-1 -- "inner" -- node-2 -- far, fw-2

Reverse path filters of the nodes are strict, towards workloads too, and policy is asked of
the ends alone: a firewall may reach nobody by itself, and nobody may reach it.
"""

import re
import socket

import pytest

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until
from test_gateways import NODE, all_up
from test_steering import FAMILIES, STEERING, plug, route

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLACES = {"web": ("/acme/shop", "node-1"), "near": ("/ops", "node-1"), "far": ("/ops", "node-2"),
          "fw-1": ("/ops/fw", "node-1"), "fw-2": ("/ops/fw", "node-2")}
SERVERS = ["near", "far"]
WALLS = ["fw-1", "fw-2"]
NODES = {"node-1": "1", "node-2": "2"}
WORKLOAD = """\
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: {name}, namespace: {ns}, labels: {{app: {name}}}}}
spec: {{node: {node}, ips: [{v4}, "{v6}"]}}
---
"""
TREE = "".join(f"""\
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {{name: {ns}}}
---
""" for ns in ("/acme/shop", "/ops/fw"))
ROUTES = """\
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: inspect, namespace: /acme/shop}
spec:
  default:
    via:
      - {name: first, action: through, to: [{namespace: /ops}], ports: [81/tcp, 81/udp],
         through: {namespace: /ops/fw, workloads: {matchLabels: {app: fw-1}}}}
      - {name: second, action: through, to: [{namespace: /ops}], ports: [82/tcp, 82/udp],
         through: {namespace: /ops/fw, workloads: {matchLabels: {app: fw-2}}}}
      - {name: either, action: through, to: [{namespace: /ops}], ports: [83/tcp],
         through: {namespace: /ops/fw}}
      - {name: never, action: deny, to: [{namespace: /ops}], ports: [84/tcp]}
      - {name: nobody, action: through, to: [{namespace: /ops}], ports: [85/tcp],
         through: {namespace: /ops/fw, workloads: {matchLabels: {app: gone}}}}
      - {name: rather, action: through, to: [{namespace: /ops}], ports: [86/tcp],
         through: {namespace: /ops/fw, workloads: {matchLabels: {app: gone}}}, onFailure: direct}
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: walls, namespace: /ops/fw}
spec: {mandatory: {ingress: [{action: deny}], egress: [{action: deny}]}}
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: servers, namespace: /ops}
spec:
  mandatory:
    ingress: [{name: closed, action: deny, ports: [87/tcp]}]
  allow:
    ingress: [{from: [{namespace: /acme/shop}]}]
---
"""
WALL = """
table inet wall {
  counter out { }
  counter back { }
  chain through {
    type filter hook forward priority 0; policy accept
    th dport 80-90 counter name out
    th sport 80-90 counter name back
  }
}
"""
PORTS = [80, 81, 82, 83, 84, 85, 86, 87, "81/udp", "82/udp"]


def build(lab):
    lab.add_node("node-2")
    for node in NODES:
        lab.add_workloads([name for name, (_, at) in PLACES.items() if at == node], node=node)
    switch = lab.add_outside("switch", ["192.168.77.1"])
    switch.exec(["ip", "link", "add", "inner", "type", "bridge"])
    switch.exec(["ip", "link", "set", "inner", "up"])
    for node, n in NODES.items():
        plug(lab.host(node), "inner", switch, f"192.0.2.{n}/24", f"fd0b::{n}/64")
    for name, (_, at) in PLACES.items():
        other, n = next((other, NODES[at]) for other in NODES if other != at)
        for address in lab.host(name).addresses:
            route(lab.host(other), str(address), f"192.0.2.{n}" if address.version == 4 else
                  f"fd0b::{n}")
    for node in NODES:
        # what comes back by another node, to the one that it began on, is known by its mark
        lab.host(node).exec(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1",
                             "net.ipv4.conf.inner.src_valid_mark=1"])
    for name in WALLS:
        lab.host(name).exec(["sysctl", "-qw", "net.ipv4.ip_forward=1",
                             "net.ipv6.conf.all.forwarding=1"])
        lab.host(name).nft(WALL)
    lab.listen_all(PORTS, SERVERS)


def workload(lab, name):
    ns, node = PLACES[name]
    return WORKLOAD.format(name=name, ns=ns, node=node, v4=lab.host(name).address(4),
                           v6=lab.host(name).address(6))


def files_of(lab, *without):
    return {"routes.yaml": ROUTES, "world.yaml": TREE + "".join(
        NODE.format(name=name, n=n) for name, n in NODES.items()) + "".join(
        workload(lab, name) for name in PLACES if name not in without)}


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        build(lab)
        yield lab


@pytest.fixture(scope="module")
def nodes(lab, tmp_path_factory):
    daemons = {}
    try:
        for name in NODES:
            daemons[name] = Enforcer(
                lab.host(name), tmp_path_factory.mktemp(name), files_of(lab), steering=STEERING,
                workloadNetworks=["10.1.0.0/16", "10.2.0.0/16", "fd00:1::/32", "fd00:2::/32",
                                  "wl-*"]).start()
        for daemon in daemons.values():
            wait_until(lambda: all_up(daemon), 30, "the other to be up")  # noqa: B023
        yield daemons
    finally:
        for daemon in daemons.values():
            daemon.__exit__()


def count(lab, wall):
    """Packets that went through it: of clients, and of servers."""
    text = lab.host(wall).exec(["nft", "list", "counters"]).stdout
    return [int(n) for n in re.findall(r"packets (\d+)", text)]


def passed(lab, action):
    """Its result, and which firewalls saw its packets, one way and the other."""
    before = {wall: count(lab, wall) for wall in WALLS}
    result = action()
    after = {wall: count(lab, wall) for wall in WALLS}
    return result, {wall: [b - a for a, b in zip(before[wall], after[wall])]
                    for wall in WALLS if before[wall] != after[wall]}


def through(lab, server, family, port, proto="tcp"):
    result, walls = passed(lab, lambda: lab.probe(
        "web", lab.host(server).address(family), proto, port))
    if result.open:
        assert result.client[0] == str(lab.host("web").address(family))
    for counts in walls.values():
        assert not result.open or all(counts), counts  # both ways
    return result.state, list(walls)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("server", SERVERS)
def test_both_directions_go_through(lab, nodes, server, family):
    assert through(lab, server, family, 80) == ("open", [])
    assert through(lab, server, family, 81) == ("open", ["fw-1"])
    assert through(lab, server, family, 81, "udp") == ("open", ["fw-1"])
    assert through(lab, server, family, 82) == ("open", ["fw-2"])
    assert through(lab, server, family, 82, "udp") == ("open", ["fw-2"])
    state, walls = through(lab, server, family, 83)
    assert state == "open" and len(walls) == 1
