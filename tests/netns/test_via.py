"""Connections that go through a workload, such as a firewall: on the node of the client, on
another one, through one of two. What goes through is told by counters of the firewalls'
own; they forward, and do nothing else.

    web, near, fw-1 -- node-1 -- "inner" -- node-2 -- far, fw-2

Reverse path filters of the nodes are strict, towards workloads too, and policy is asked of
the ends alone: a firewall may reach nobody by itself, and nobody may reach it.
"""

import re
import socket
import struct

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
metadata: {name: above, namespace: /acme}
spec:
  mandatory:
    via:
      - {name: forced, action: through, ports: [88/tcp],
         through: {namespace: /ops/fw, workloads: {matchLabels: {app: fw-1}}}}
      - {name: shut, action: deny, ports: [89/tcp]}
  default:
    via:
      - {name: usual, action: through, ports: [80/tcp, 90/tcp], through: {namespace: /ops/fw}}
---
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: inspect, namespace: /acme/shop}
spec:
  mandatory:
    via:
      - {name: rather, action: direct, ports: [88-89/tcp]}
  default:
    via:
      - {name: first, action: through, to: [{namespace: /ops}], ports: [81/tcp, 81/udp],
         through: {namespace: /ops/fw, workloads: {matchLabels: {app: fw-1}}}}
      - {name: second, action: through, to: [{namespace: /ops}], ports: [82/tcp, 82/udp],
         through: {namespace: /ops/fw, workloads: {matchLabels: {app: fw-2}}}}
      - {name: either, action: through, to: [{namespace: /ops}], ports: [83/tcp],
         through: {namespace: /ops/fw}}
      - {name: nearer, action: direct, ports: [80/tcp]}
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
# Somebody else's bits of the marks that connections have on a node.
OTHERS = """
table inet other {
  chain theirs {
    type filter hook forward priority -300; policy accept
    ct mark set ct mark | 0x80000001
  }
}
"""
TRANSLATED = "via: translated on a node that it comes by again"
STRAY = "routed, but of no connection that is known"
PORTS = [80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, "81/udp", "82/udp"]


def forward(host, table):
    """Like a firewall: what it lets through it sends on, and counts."""
    host.exec(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
    host.nft(table)


def make_neighbours(lab, homes, numbers):
    """Nodes side by side at a switch, by which what is on one is reached from the other."""
    switch = lab.add_outside("switch", ["192.168.77.1"])
    switch.exec(["ip", "link", "add", "inner", "type", "bridge"])
    switch.exec(["ip", "link", "set", "inner", "up"])
    for node, n in numbers.items():
        plug(lab.host(node), "inner", switch, f"192.0.2.{n}/24", f"fd0b::{n}/64")
        # what comes back by another node, to the one that it began on, is known by its mark
        lab.host(node).exec(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1",
                             "net.ipv4.conf.inner.src_valid_mark=1"])
    for name, at in homes.items():
        other, n = next((other, numbers[at]) for other in numbers if other != at)
        for address in lab.host(name).addresses:
            route(lab.host(other), str(address), f"192.0.2.{n}" if address.version == 4 else
                  f"fd0b::{n}")


def build(lab):
    lab.add_node("node-2")
    homes = {name: at for name, (_, at) in PLACES.items()}
    for node in NODES:
        lab.add_workloads([name for name, at in homes.items() if at == node], node=node)
    make_neighbours(lab, homes, NODES)
    for node in NODES:
        lab.host(node).nft(OTHERS)
    for name in WALLS:
        forward(lab.host(name), WALL)
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
                                  "wl-*"], denied="reject").start()
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


def goes(lab, server, family, port, proto="tcp"):
    """Which firewalls it goes through: a node that is busy may be taken for down for a while."""
    return wait_until(lambda: [walls for state, walls in
                               [through(lab, server, family, port, proto)] if state == "open"],
                      30, f"{server} to be reached at {port}/{proto}")[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("server", SERVERS)
def test_both_directions_go_through(lab, nodes, server, family):
    assert goes(lab, server, family, 80) == []
    assert goes(lab, server, family, 81) == ["fw-1"]
    assert goes(lab, server, family, 81, "udp") == ["fw-1"]
    assert goes(lab, server, family, 82) == ["fw-2"]
    assert goes(lab, server, family, 82, "udp") == ["fw-2"]
    assert len(goes(lab, server, family, 83)) == 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("server", SERVERS)
def test_a_packet_goes_through_once(lab, nodes, server, family):
    for port, wall in ((81, "fw-1"), (82, "fw-2")):
        def walls(port=port):
            result, seen = passed(lab, lambda: lab.probe(
                "web", lab.host(server).address(family), "udp", port))
            return seen if result.open else None
        assert wait_until(walls, 30, "an answer") == {wall: [1, 1]}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("server", SERVERS)
def test_what_cannot_go_through_is_refused(lab, nodes, server, family):
    for port in (84, 85, 87):
        state, walls = through(lab, server, family, port)
        assert state != "open" and not walls, port
    assert goes(lab, server, family, 86) == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("server", SERVERS)
def test_ancestors_force_and_forbid_and_the_nearest_default_wins(lab, nodes, server, family):
    assert goes(lab, server, family, 88) == ["fw-1"]
    state, walls = through(lab, server, family, 89)
    assert state != "open" and not walls
    assert goes(lab, server, family, 80) == []
    assert len(goes(lab, server, family, 90)) == 1


def test_rules_are_counted_and_named(lab, nodes):
    daemon, near = nodes["node-1"], lab.host("near").address(4)

    def counter(name):
        return daemon.rules()["Route /acme/shop/inspect via default rule " + name]["packets"]

    names = {81: "0 (first)", 84: "4 (never)", 85: "5, cannot be followed (nobody)"}
    before = {port: counter(name) for port, name in names.items()}
    for port in names:
        lab.probe("web", near, "tcp", port)
    wait_until(lambda: all(counter(names[port]) > before[port] for port in names), 30, "counters")
    assert counter(names[81]) == before[81] + 1  # once, though it passed the node twice
    wait_until(lambda: any(f["dst"]["port"] == 85 and f["policy"] is not None and
                           f["policy"]["name"] == "inspect" for f in daemon.flows()), 30,
               "the refusal to be told")
    ways = {way["way"].partition(": ")[2]: way for way in daemon.status()["ways"]}
    assert ways[f"via {lab.host('fw-1').address(4)}, {lab.host('fw-1').address(6)}"]["ipv4"] == {
        "state": "goes", "by": str(lab.host("fw-1").address(4))}
    assert ways["via node node-2"]["ipv6"]["gateway"] == "node-2"


# --- connections that last ---


class Dialogue:
    """A TCP connection of web's to a server, which says back what it is told."""

    def __init__(self, lab, server, family, port):
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        address = str(lab.host(server).address(family))
        self.client = lab.host("web").enter_and(lambda: socket.socket(kind))
        self.client.settimeout(30)
        self.client.connect((address, port))
        self.hear(b"\n")

    def hear(self, end):
        data = b""
        while not data.endswith(end):
            data += self.client.recv(100)

    def goes_on(self):
        self.client.sendall(b"still.")
        self.hear(b"still.")

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.client.close()


@pytest.fixture
def world(lab, nodes):
    """To be told without whom it is; in the end they are all there."""
    def give(*without):
        for daemon in nodes.values():
            before = daemon.generation()
            daemon.write("world.yaml", files_of(lab, *without)["world.yaml"])
            daemon.wait_generation(before + 1)

    yield give
    give("far")  # so that there is a change
    give()


@pytest.mark.parametrize("family", FAMILIES)
def test_connections_keep_what_they_go_through(lab, nodes, world, family):
    """Even where the hash says otherwise, which is what new ones go by."""
    now, = goes(lab, "far", family, 83)
    other, = set(WALLS) - {now}
    world(now)
    with Dialogue(lab, "far", family, 83) as dialogue:
        assert passed(lab, dialogue.goes_on)[1].keys() == {other}
        world()
        assert goes(lab, "far", family, 83) == [now]
        assert passed(lab, dialogue.goes_on)[1].keys() == {other}
        # what it went through is gone: it goes by what there is
        world(other)
        assert passed(lab, dialogue.goes_on)[1].keys() == {now}


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_passes_when_all_are_gone(lab, nodes, world, family):
    with Dialogue(lab, "far", family, 81) as dialogue:
        dialogue.goes_on()
        world("fw-1")
        with pytest.raises(ConnectionResetError):
            dialogue.goes_on()
        assert through(lab, "far", family, 81) == ("refused", [])
    world()
    assert goes(lab, "far", family, 81) == ["fw-1"]


# --- what others go through is nobody else ---


def pose(lab, wall, server, family, port):
    """A datagram of the firewall's in web's name."""
    kind, level, transparent = (socket.AF_INET, socket.IPPROTO_IP, 19) if family == 4 else \
        (socket.AF_INET6, socket.IPPROTO_IPV6, 75)
    sock = lab.host(wall).enter_and(lambda: socket.socket(kind, socket.SOCK_DGRAM))
    with sock:
        sock.setsockopt(level, transparent, 1)
        sock.bind((str(lab.host("web").address(family)), 0))
        for _ in range(3):
            sock.sendto(b"?", (str(lab.host(server).address(family)), port))


@pytest.fixture
def heard(lab):
    """How many packets of a kind that no probe sends have come to near."""
    near = lab.host("near")
    near.nft("""
table inet ear {
  counter heard { }
  chain in {
    type filter hook input priority -300
    udp dport 81-82 udp length 9 counter name heard
    tcp flags & (syn | fin) == syn | fin counter name heard
  }
}
""")
    yield lambda: int(re.search(r"packets (\d+)",
                                near.exec(["nft", "list", "counters"]).stdout)[1])
    near.exec(["nft", "delete", "table", "inet", "ear"])


@pytest.mark.parametrize("family", FAMILIES)
def test_nobody_is_posed_as(lab, nodes, heard, family):
    for wall in WALLS:
        for port in (81, 82):
            pose(lab, wall, "near", family, port)
    assert goes(lab, "near", family, 81, "udp") == ["fw-1"]  # behind all of these
    assert heard() == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_of_no_connection_does_not_pass_by(lab, nodes, heard, family):
    """Flags that no connection has: conntrack does not know it, so nothing is sent through."""
    rules, kind = nodes["node-1"].rules, socket.AF_INET if family == 4 else socket.AF_INET6
    before = rules().get(STRAY, {}).get("packets", 0)
    sock = lab.host("web").enter_and(
        lambda: socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_TCP))
    with sock:
        for _ in range(3):
            sock.sendto(struct.pack("!HHIIBBHHH", 2000, 81, 0, 0, 0x50, 3, 1000, 0, 0),
                        (str(lab.host("near").address(family)), 0))
    wait_until(lambda: rules()[STRAY]["packets"] >= before + 3, 30, "the packets to be counted")
    wait_until(lambda: [flow for flow in nodes["node-1"].flows() if flow["reason"] == "stray"
                        and flow["src"].get("workload") == "web"], 30, "a record that says why")
    assert heard() == 0


def test_what_is_translated_beside_it_is_refused(lab, nodes):
    """As by kube-proxy: only where neither what it goes through nor the server is on the node
    of the client do answers find back."""
    lab.node.nft("table ip services {\n"
                 "  chain pre {\n    type nat hook prerouting priority dstnat\n" + "".join(
                     f"    ip daddr 10.96.0.{n} dnat to {lab.host(server).address(4)}\n"
                     for n, server in enumerate(SERVERS)) + "  }\n}\n")

    def ask(server, port):
        result, walls = passed(lab, lambda: lab.probe(
            "web", f"10.96.0.{SERVERS.index(server)}", "tcp", port))
        return list(walls) if result.open else None

    def refused():
        return nodes["node-1"].rules().get(TRANSLATED, {}).get("packets", 0)
    try:
        wait_until(lambda: ask("far", 80) == ask("near", 80) == [] and ask("far", 82) == ["fw-2"],
                   30, "what can be reached")
        for server, port in (("far", 81), ("near", 81), ("near", 82)):
            before = refused()
            assert ask(server, port) is None
            wait_until(lambda: refused() > before, 30, "the counter")  # noqa: B023
        wait_until(lambda: [flow for flow in nodes["node-1"].flows() if flow["reason"] == "via"
                            and flow["tenant"] and flow["policy"] is None], 30, "the records")
    finally:
        lab.node.exec(["nft", "delete", "table", "ip", "services"])


# --- without the means to follow ---


def test_without_steering_it_is_refused(lab, nodes):
    daemon = nodes["node-1"]
    daemon.stop()
    daemon.write_config(steering=None)
    daemon.start()
    try:
        for family in FAMILIES:
            for port in (81, 82, 83):
                state, walls = through(lab, "near", family, port)
                assert state != "open" and not walls
            assert goes(lab, "near", family, 80) == goes(lab, "near", family, 86) == []
        assert "cannot be followed (first)" in daemon.ask("rules").stdout
        assert '"steering\\" is not configured' in daemon.log()
    finally:
        daemon.stop()
        daemon.write_config(steering=STEERING)
        daemon.start()
