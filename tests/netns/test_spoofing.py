"""Nobody has an address that is not behind the interface that he is behind.

db hears friends alone: a workload here, one elsewhere, a node, somebody outside. thief is none
of them, and says that it is.

    thief, db, friend -- node-1 -- node-2 -- far
                            |
                          world
"""

import pathlib
import re
import signal
import socket

import pytest

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until
from policylab import WORKLOAD_NETWORKS

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLACES = {"thief": "node-1", "db": "node-1", "friend": "node-1", "far": "node-2"}
NODES = ["node-1", "node-2"]
DOCUMENTS = "".join("""\
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {name: %s}
---
""" % path for path in ("/thief", "/db", "/friends")) + """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: db, namespace: /db}
spec:
  mandatory:
    ingress:
      - action: allow
        from: [{namespace: /friends}, {node: node-2}, {cidr: 203.0.113.0/24}, {cidr: "2001:db8::/32"}]
      - {action: deny}
---
"""
WORKLOAD = """\
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: {name}, namespace: {place}}}
spec: {{node: {node}, ips: [{v4}, "{v6}"]}}
---
"""
NODE = """\
apiVersion: v1
kind: Node
metadata: {{name: {name}}}
status:
  addresses: [{{type: InternalIP, address: {v4}}}, {{type: InternalIP, address: "{v6}"}}]
---
"""
SPOOFED = "source address that is not behind the interface"
EAR = """
table inet ear {
  counter heard { }
  chain in {
    type filter hook input priority 10
    udp dport 53 udp length 9 counter name heard
  }
}
"""
BR_NETFILTER = pathlib.Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_TRANSPARENT = {4: (socket.AF_INET, socket.IPPROTO_IP, 19),
                6: (socket.AF_INET6, socket.IPPROTO_IPV6, 75)}


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_node("node-2")
        for name, node in PLACES.items():
            lab.add_workload(name, node=node)
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all([80, "53/udp"])
        for name in ("db", "node-1"):
            lab.host(name).nft(EAR)
        yield lab


@pytest.fixture(scope="module")
def enforcer(lab, tmp_path_factory):
    def both(text, name, **more):
        host = lab.host(name)
        return text.format(name=name, v4=host.address(4), v6=host.address(6), **more)

    text = DOCUMENTS + "".join(both(NODE, name) for name in NODES) + "".join(
        both(WORKLOAD, name, node=node,
             place=f"/{name}" if name in ("thief", "db") else "/friends")
        for name, node in PLACES.items())
    with Enforcer(lab.node, tmp_path_factory.mktemp("spoofing"), {"all.yaml": text},
                  workloadNetworks=WORKLOAD_NETWORKS, metrics="127.0.0.1:9477") as enforcer:
        yield enforcer
        enforcer.stop()
        enforcer.check_sanitizers()
    lab.node.exec(["nft", "delete", "table", "inet", "ringfence"])


def send(lab, sender, source, to, family, count=3):
    """Datagrams of one byte, in whose name it may be."""
    kind, level, transparent = _TRANSPARENT[family]
    sock = lab.host(sender).enter_and(lambda: socket.socket(kind, socket.SOCK_DGRAM))
    with sock:
        sock.setsockopt(level, transparent, 1)
        sock.bind((str(lab.host(source).address(family)), 0))
        for _ in range(count):
            sock.sendto(b"?", (str(lab.host(to).address(family)), 53))


def heard(lab, who):
    listed = lab.host(who).exec(["nft", "list", "counters", "table", "inet", "ear"]).stdout
    return int(re.search(r"packets (\d+)", listed)[1])


def denied(lab):
    listed = lab.node.exec(["nft", "list", "chain", "inet", "ringfence", "rule_13"]).stdout
    return int(re.search(r"counter packets (\d+)", listed)[1])


def told(enforcer):
    return sum(rule["packets"] for rule in enforcer.ask_json("rules")
               if rule["comment"] == SPOOFED)


def reload(enforcer, **config):
    generation = enforcer.generation()
    enforcer.write_config(**config)
    enforcer.process.send_signal(signal.SIGHUP)
    enforcer.wait_generation(generation + 1)


def unwanted(lab, tries, family, sender="thief"):
    """Who was heard, or is not known to have been refused, of (in whose name, to whom)."""
    ends = sorted({to for _, to in tries})
    before = {to: heard(lab, to) for to in ends}
    refused = denied(lab)
    for source, to in tries:
        send(lab, sender, source, to, family)
    for to in ends:  # what is behind these has come, or never will
        send(lab, "friend", "friend", to, family, 1)
        wait_until(lambda: heard(lab, to) > before[to], 30, "a friend to be heard")
    if (all(heard(lab, to) == before[to] + 1 for to in ends)
            and denied(lab) == refused + 3 * len(tries)):
        return []
    if len(tries) == 1:
        return tries
    return [one for one in tries if unwanted(lab, [one], family, sender)] or tries


def closed(lab, family):
    """Which friends cannot reach db."""
    probes = [(src, str(lab.host("db").address(family)), "tcp", 80)
              for src in ("friend", "far", "node-1", "node-2", "world")]
    return [probe[0] for probe, result in zip(probes, lab.probe_many(probes, confirm=True))
            if result.state != "open"]


@pytest.mark.parametrize("family", [4, 6])
def test_no_workload_takes_an_address(lab, enforcer, family):
    tries = [("friend", "db"), ("far", "db"), ("node-2", "db"), ("friend", "node-1"),
             ("far", "node-1")]
    if family == 6:  # in IPv4 the kernel knows its own, and drops it (martian source)
        tries.append(("node-1", "db"))
    assert unwanted(lab, tries, family) == []
    assert closed(lab, family) == []
    status = enforcer.status()["kernel"]
    assert status["sourceValidation"] is True and status["heals"] == 0
    assert enforcer.metric("ringfence_source_validation_enforced") == 1
    flow = wait_until(lambda: [f for f in enforcer.flows() if f["reason"] == "spoofed"], 30,
                      "a record of it")[0]
    assert flow["verdict"] == "deny"


@pytest.mark.parametrize("family", [4, 6])
def test_behind_named_interfaces_the_outside_is_not_either(lab, enforcer, family):
    reload(enforcer, workloadNetworks=["wl-*"])
    assert unwanted(lab, [("friend", "db"), ("friend", "node-1")], family) == []
    before = heard(lab, "db")
    for source in ("world", "far", "node-2"):
        send(lab, "thief", source, "db", family)
    send(lab, "friend", "friend", "db", family, 1)
    wait_until(lambda: heard(lab, "db") > before, 30, "a friend to be heard")
    assert heard(lab, "db") == before + 1
    assert closed(lab, family) == []
    reload(enforcer, workloadNetworks=WORKLOAD_NETWORKS)


def arrives(lab, sender, to, family):
    """Whether what it sends in its own name is heard, or else is refused as spoofed."""
    before, refused = heard(lab, to), denied(lab)
    send(lab, sender, sender, to, family)
    wait_until(lambda: heard(lab, to) == before + 3 or denied(lab) == refused + 3, 30,
               f"what becomes of what {sender} sends")
    return heard(lab, to) == before + 3


def wait_uplinks(enforcer, names):
    """Until a program that has them is in force."""
    def are_there():
        status = enforcer.status()
        return (status["uplinks"] == names and not status["pending"]
                and status["elements"].get("uplink_if", 0) == len(names))
    wait_until(are_there, 30, f"uplinks {names}")


def route_to(lab, name, family):
    """As the node has it."""
    text = lab.node.exec(["ip", f"-{family}", "route", "show",
                          lab.host(name).address(family)]).stdout
    return " ".join(text.split()[1:])


@pytest.fixture
def ip(lab):
    """Commands of ip on the node, undone in the end by those that go with them, if need be."""
    undo = []

    def run(command, back=None):
        lab.node.exec(["ip", *command.split()])
        if back:
            undo.append(back)
    yield run
    for command in reversed(undo):
        lab.node.exec(["ip", *command.split()], check=False)


@pytest.mark.parametrize("family", [4, 6])
def test_by_an_uplink_others_come_whatever_the_way_back(lab, enforcer, ip, family):
    """As behind a gateway: far's packets come as they are, what goes to it by an overlay. And
    node-2 is a firewall that sends on what friend sends to db as it was."""
    link = lab.node.links[lab.host("node-2")]
    db = lab.host("db").address(family)
    hop = route_to(lab, "far", family)
    firewall = f"-{family} rule %s pref 77 iif {lab.host('friend').interface} lookup 77"
    far = f"-{family} route replace {lab.host('far').address(family)}"
    ip("link add over up type veth peer over-there", "link del over")
    ip("link set over-there up")
    ip(f"{far} dev over", f"{far} {hop}")
    assert not arrives(lab, "far", "db", family)  # nobody knows that it is the uplink
    ip(f"-{family} route add default dev {link}", f"-{family} route del default")
    wait_uplinks(enforcer, [link])
    assert arrives(lab, "far", "db", family)
    tries = [("friend", "db"), ("far", "db"), ("node-2", "db")]
    assert unwanted(lab, tries, family) == []
    assert unwanted(lab, [("friend", "db")], family, "far") == []
    ip(f"-{family} route add {db} {hop} table 77", f"-{family} route del {db} table 77")
    ip(firewall % "add", firewall % "del")
    assert arrives(lab, "friend", "db", family)
    ip(firewall % "del")
    ip(f"-{family} route del default dev {link}")
    wait_uplinks(enforcer, [])
    assert not arrives(lab, "far", "db", family)


@pytest.mark.skipif(not BR_NETFILTER.exists(), reason="there is no br_netfilter")
def test_an_uplink_is_what_it_is_on(lab, enforcer, ip):
    """The node's own address is that of a veth, the other end a port of a bridge, as the
    link to the other node is."""
    node, link = lab.node, lab.node.links[lab.host("node-2")]
    ip("link add br0 up type bridge nf_call_iptables 1", "link del br0")
    ip("link add v0 up type veth peer v1", "link del v0")
    ip("link set v1 up master br0")
    for name in ("node-2", "far"):
        old = route_to(lab, name, 4)
        address = lab.host(name).address(4)
        ip(f"route replace {address} {old.replace(link, 'v0')}",
           f"route replace {address} {old}")
    ip(f"link set {link} master br0", f"link set {link} nomaster")
    for host, device in ((node, "v0"), (lab.host("node-2"), "nd-1")):
        host.exec(["ip", "neigh", "flush", "dev", device])
    assert not arrives(lab, "node-2", "node-1", 4)
    ip(f"route add default {route_to(lab, 'far', 4)}", "route del default")
    wait_uplinks(enforcer, ["br0", "v0", "v1"])
    assert arrives(lab, "node-2", "node-1", 4)
    assert arrives(lab, "far", "db", 4)
    assert unwanted(lab, [("friend", "db"), ("node-2", "db")], 4) == []
    assert enforcer.status()["unrouted"] == []


@pytest.mark.skipif(not BR_NETFILTER.exists(), reason="there is no br_netfilter")
def test_a_bridge_without_an_address_is_told_of(lab, enforcer, ip):
    ip("link add br0 up type bridge nf_call_iptables 1", "link del br0")
    ip(f"link set {lab.host('thief').interface} master br0",
       f"link set {lab.host('thief').interface} nomaster")
    reload(enforcer)
    assert enforcer.status()["unrouted"] == ["br0"]
    assert "no route leads to the bridge br0" in enforcer.ask("status", "-o", "text").stdout
    assert "unrouted bridge=\"br0\"" in enforcer.log()
    ip("addr add 10.1.9.1/24 dev br0")
    reload(enforcer)
    assert enforcer.status()["unrouted"] == []


def test_it_is_as_configured_and_outlives_a_restart(lab, enforcer):
    reload(enforcer, sourceValidation="none")
    before = heard(lab, "db")
    send(lab, "thief", "friend", "db", 4)
    wait_until(lambda: heard(lab, "db") == before + 3, 30, "it to be believed")
    assert "fib" not in lab.node.exec(["nft", "list", "table", "inet", "ringfence"]).stdout
    assert enforcer.status()["kernel"]["sourceValidation"] is False
    assert enforcer.metric("ringfence_source_validation_enforced") == 0
    assert "sources:    not validated" in enforcer.ask("status", "-o", "text").stdout
    reload(enforcer, sourceValidation="strict")
    assert unwanted(lab, [("friend", "db")], 4) == []
    wait_until(lambda: told(enforcer) == denied(lab), 30, "it to be counted")
    counted = told(enforcer)
    enforcer.stop()
    enforcer.start()
    wait_until(lambda: enforcer.status()["kernel"]["verified"], 30, "it to be looked at")
    assert enforcer.status()["kernel"]["heals"] == 0
    assert told(enforcer) == counted  # the table that was left is the one that is wanted
