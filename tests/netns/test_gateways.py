"""Tenants that leave by another node, the first that is up of two: what that does for them,
and what becomes of their connections when it dies. Where things are: test_steering.py."""

import json
import re
import socket

import pytest

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until
from shop import TREE, workloads
from test_steering import FAMILIES, FAR, PLACES, ROUTER, STEERING, build, ours, route, seen

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

OWN = {4: "198.51.100.7", 6: "fd0a::7"}
NODES = {"gw-1": "1", "gw-2": "2", "node-1": "10"}
NODE = """\
apiVersion: v1
kind: Node
metadata: {{name: {name}}}
status: {{addresses: [{{type: InternalIP, address: 192.0.2.{n}}}, {{type: InternalIP, address: "fd0b::{n}"}}]}}
---
"""
ROUTES = """\
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: out, namespace: /acme/shop}
spec:
  default:
    egress:
      - {name: direct, action: direct, ports: [80/tcp]}
      - {name: second, action: route, ports: [82/tcp], gateway: [gw-2], source: [198.51.100.8, "fd0a::8"]}
      - {name: both, action: route, gateway: [gw-1, gw-2], source: [198.51.100.7, "fd0a::7"]}
"""
PLACES_OF_ADDRESSES = [{"network": "198.51.100.0/24", "interface": "outer"},
                       {"network": "fd0a::/64", "interface": "outer"}]


def has(lab, node, family):
    out = lab.host(node).exec(["ip", "-j", f"-{family}", "addr", "show", "dev", "outer"]).stdout
    return OWN[family] in [a.get("local") for link in json.loads(out)
                           for a in link.get("addr_info", [])]


def gateways(daemon):
    return {(g["node"], g["address"]): g["up"] for g in daemon.status()["gateways"]}


def records(daemon):
    return "".join(p.read_text() for p in (daemon.directory / "audit").glob("log-*.jsonl"))


def all_up(daemon):
    states = gateways(daemon)
    return states and all(states.values())


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        build(lab)
        yield lab


@pytest.fixture(scope="module")
def nodes(lab, tmp_path_factory):
    """A daemon on each of them."""
    files = {"routes.yaml": ROUTES, "world.yaml": TREE + "".join(
        NODE.format(name=name, n=n) for name, n in NODES.items()) + workloads(lab, PLACES)}
    daemons = {}
    try:
        for name in NODES:
            path = tmp_path_factory.mktemp(name)
            daemons[name] = Enforcer(
                lab.host(name), path, files, steering=STEERING,
                routeAddresses=PLACES_OF_ADDRESSES,
                audit={"directory": str(path / "audit"), "mode": "best-effort"}).start()
        wait_until(lambda: all_up(daemons["node-1"]), 30, "the gateways to be up")
        wait_until(lambda: all_up(daemons["gw-2"]), 30, "the same for the second")
        wait_until(lambda: not has(lab, "gw-2", 4) and not has(lab, "gw-2", 6), 30,
                   "the second to have given the addresses up")
        yield daemons
    finally:
        for daemon in daemons.values():
            daemon.__exit__()


def links(lab, node, state):
    for name in ("inner", "outer"):
        # what is ours there goes with the link, what is the test's stays
        lab.host("switch").exec(["ip", "link", "set", f"{name[:2]}-{node}", state])


@pytest.mark.parametrize("family", FAMILIES)
def test_first_gateway_puts_on_the_address(lab, nodes, family):
    assert seen(lab, "web", family, 81) == OWN[family]
    assert seen(lab, "web", family, 81, "udp") == OWN[family]
    assert seen(lab, "web", family, 82) == OWN[family][:-1] + "8"
    assert seen(lab, "web", family, 80) == str(lab.host("web").address(family))
    assert seen(lab, "mon", family, 81) == str(lab.host("mon").address(family))
    assert has(lab, "gw-1", family)
    assert not has(lab, "gw-2", family)


def test_gateway_counts_and_node_tells(lab, nodes):
    assert "egress default rule 2 (both)" in nodes["gw-1"].ask("rules").stdout
    status = nodes["node-1"].status()
    ways = {way["way"].partition(": ")[2]: way for way in status["ways"]}
    assert ways["gateway gw-1, gw-2"]["ipv4"] == {
        "state": "goes", "by": "192.0.2.1", "gateway": "gw-1"}
    assert ways["gateway gw-2"]["ipv6"] == {"state": "goes", "by": "fd0b::2", "gateway": "gw-2"}
    assert nodes["node-1"].metric("ringfence_ways") == 2
    assert nodes["node-1"].metric("ringfence_ways_lost") == 0
    text = nodes["node-1"].ask("status", "-o", "text").stdout
    assert "gateway gw-1, gw-2; IPv4 goes by 192.0.2.1; IPv6 goes by fd0b::1" in text


@pytest.fixture
def by_hand(lab):
    """Somebody sends all of the workloads' traffic to the first gateway, past the daemon; and
    answers come the same way: half of a connection is none."""
    hops = {4: "192.0.2.1", 6: "fd0b::1"}
    for family, hop in hops.items():
        for name in PLACES:
            route(lab.host("world"), str(lab.host(name).address(family)), ROUTER["gw-1"][family])
        lab.node.exec(["ip", f"-{family}", "route", "add", "default", "via", hop, "table", "500"])
        for name in PLACES:
            lab.node.exec(["ip", f"-{family}", "rule", "add", "pref", "5000", "from",
                           str(lab.host(name).address(family)), "lookup", "500"])
    yield
    for family in hops:
        for name in PLACES:
            route(lab.host("world"), str(lab.host(name).address(family)), {4: "192.0.2.10", 6: "fd0b::10"}[family])
            lab.node.exec(["ip", f"-{family}", "rule", "del", "pref", "5000"])
        lab.node.exec(["ip", f"-{family}", "route", "flush", "table", "500"])


@pytest.mark.parametrize("family", FAMILIES)
def test_gateway_lends_itself_to_nobody(lab, nodes, by_hand, family):
    """What policy sends to another gateway is refused, counted and told by this one; nobody
    gets an address by coming here; what is to leave directly does, whatever its way."""
    def refused():
        return sum(rule["packets"] for rule in nodes["gw-1"].ask_json("rules")
                   if rule["rule"] == "second" and rule["action"] == "deny")
    before = refused()
    assert seen(lab, "web", family, 82) == "closed"
    assert refused() > before
    assert seen(lab, "web", family, 81) == OWN[family]
    assert seen(lab, "web", family, 80) == str(lab.host("web").address(family))
    assert seen(lab, "mon", family, 81) == str(lab.host("mon").address(family))
    wait_until(lambda: any((flow["policy"] or {}).get("ruleName") == "second"
                           for flow in nodes["gw-1"].flows()), 30, "the record")


# --- what is written above a tenant, and by it ---

LEVELS = """\
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: above, namespace: /acme}
spec:
  mandatory:
    egress:
      - {name: forced, action: route, ports: [83/tcp], gateway: [gw-2], source: [198.51.100.8, "fd0a::8"]}
      - {name: shut, action: deny, ports: [84/tcp]}
  default:
    egress:
      - {name: usual, action: route, ports: [85-86/tcp], gateway: [gw-1], source: [198.51.100.7, "fd0a::7"]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: own, namespace: /acme/shop}
spec:
  priority: -1
  mandatory:
    egress:
      - {name: rather, action: direct, ports: [83-84/tcp]}
  default:
    egress:
      - {name: nearer, action: direct, ports: [83-85/tcp]}
"""
# Whatever comes for a port that nobody is to reach, by whatever way.
EAR = """
table inet ear {
  counter heard { }
  chain in { type filter hook prerouting priority -300; tcp dport 84 counter name heard; }
}
"""


def tell(nodes, text):
    for daemon in nodes.values():
        before = daemon.generation()
        daemon.write("routes.yaml", text)
        daemon.wait_generation(before + 1)


@pytest.fixture
def levels(lab, nodes):
    """How many packets came to the world that are not to leave."""
    world = lab.host("world")
    world.nft(EAR)
    tell(nodes, LEVELS)
    yield lambda: int(re.search(r"packets (\d+)", world.exec(["nft", "list", "counters"]).stdout)[1])
    tell(nodes, ROUTES)
    world.exec(["nft", "delete", "table", "inet", "ear"])


def test_ancestors_force_and_forbid_and_the_nearest_default_wins(lab, nodes, levels):
    for family in FAMILIES:
        own = str(lab.host("web").address(family))
        wait_until(lambda: seen(lab, "web", family, 83) == OWN[family][:-1] + "8", 30,  # noqa: B023
                   "the gateway that is forced")
        assert seen(lab, "web", family, 84) == "closed"
        assert seen(lab, "web", family, 85) == own
        wait_until(lambda: seen(lab, "web", family, 86) == OWN[family], 30, "the usual gateway")  # noqa: B023
        assert levels() == 0
    wait_until(lambda: any((flow["policy"] or {}).get("ruleName") == "shut"
                           for flow in nodes["node-1"].flows()), 30, "the record")
    # who is not below is not bound, and what is counted is heard
    for family in FAMILIES:
        for port in (83, 84):
            assert seen(lab, "mon", family, port) == str(lab.host("mon").address(family))
    assert levels() > 0


class Dialogue:
    """A TCP connection, or a UDP flow, of web's to the world."""

    def __init__(self, lab, family, kind):
        self.family = socket.AF_INET if family == 4 else socket.AF_INET6
        self.listener = lab.host("world").enter_and(lambda: socket.socket(self.family, kind))
        self.listener.bind((FAR[family], 0))
        self.client = lab.host("web").enter_and(lambda: socket.socket(self.family, kind))
        self.client.settimeout(60)
        self.udp = kind == socket.SOCK_DGRAM
        if not self.udp:
            self.listener.listen()
        self.client.connect((FAR[family], self.listener.getsockname()[1]))
        self.server = self.listener if self.udp else self.listener.accept()[0]
        self.server.settimeout(60)

    def goes_on(self):
        if not self.udp:
            for one, other in ((self.client, self.server), (self.server, self.client)):
                one.sendall(b"word")
                assert other.recv(4) == b"word"
            return True
        self.client.settimeout(0.2)
        self.server.settimeout(0.2)
        try:
            self.client.send(b"word")
            data, peer = self.server.recvfrom(9)
            self.server.sendto(data, peer)
            return self.client.recv(9) == b"word"
        except TimeoutError:
            return False

    def close(self):
        for sock in (self.client, self.server, self.listener):
            sock.close()


def test_second_gateway_takes_over_and_gives_back(lab, nodes):
    """Connections live on: the second one has the same addresses, and takes up what it finds."""
    talks = [Dialogue(lab, family, kind) for family in FAMILIES
             for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
    try:
        assert all(talk.goes_on() for talk in talks)
        links(lab, "gw-1", "down")
        wait_until(lambda: not any(
            up for (node, _), up in gateways(nodes["node-1"]).items() if node == "gw-1"), 30,
            "the node to see it")
        wait_until(lambda: has(lab, "gw-2", 4) and has(lab, "gw-2", 6), 30, "the addresses")
        for family in FAMILIES:
            wait_until(lambda: seen(lab, "web", family, 81) == OWN[family], 30,  # noqa: B023
                       "new connections")
        for talk in talks:
            wait_until(talk.goes_on, 30, "what was there")
        assert nodes["node-1"].metric("ringfence_gateway_changes_total") >= 2
        log = nodes["node-1"].log()
        assert 'gateway-down node="gw-1" address=192.0.2.1' in log
        wait_until(lambda: '"verb":"gateway-down"' in records(nodes["node-1"]), 30, "the record")
        lab.host("gw-1").exec(["conntrack", "-F"])  # as a node that has started again
        links(lab, "gw-1", "up")
        wait_until(lambda: all_up(nodes["node-1"]), 30, "it to be back")
        wait_until(lambda: not has(lab, "gw-2", 4) and not has(lab, "gw-2", 6), 30,
                   "the second to give the addresses up")
        for talk in talks:
            wait_until(talk.goes_on, 30, "what was there, back again")
        for family in FAMILIES:
            wait_until(lambda: seen(lab, "web", family, 81) == OWN[family], 30,  # noqa: B023
                       "new connections")
    finally:
        links(lab, "gw-1", "up")
        for talk in talks:
            talk.close()


def test_without_a_gateway_nothing_leaves(lab, nodes):
    """Not by the node's own way either. Nor by one that lives, but has no policy in force."""
    nodes["gw-2"].stop()
    try:
        wait_until(lambda: not gateways(nodes["node-1"])["gw-2", "192.0.2.2"], 30, "it to be down")
        for family in FAMILIES:
            assert seen(lab, "web", family, 82) == "closed"
            assert seen(lab, "web", family, 81) == OWN[family]
            assert len(ours(lab, family)) == 3
        assert nodes["node-1"].metric("ringfence_ways_lost") == 2
    finally:
        nodes["gw-2"].start()
    wait_until(lambda: gateways(nodes["node-1"])["gw-2", "192.0.2.2"], 30, "it to be back")
    wait_until(lambda: seen(lab, "web", 6, 82) == "fd0a::8", 30, "its way")
