"""Policy for the node itself: what it closes, what nothing closes, and that it goes again."""

import json
import re
import signal

import pytest

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PORTS = [22, 80, 9100, "53/udp"]
WORLD = """\
apiVersion: v1
kind: Node
metadata: {{name: node-1}}
status:
  addresses: [{{type: InternalIP, address: {v4}}}, {{type: InternalIP, address: "{v6}"}}]
---
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {{name: /shop}}
---
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: web, namespace: /shop, labels: {{app: web}}}}
spec: {{node: node-1, ips: [{w4}, "{w6}"]}}
"""
CLOSED = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: closed, namespace: /}
spec:
  node: {}
  mandatory: {ingress: [{name: shut, action: deny}], egress: [{action: deny}]}
"""
SOME = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: some, namespace: /}
spec:
  node: node-1
  allow:
    ingress:
      - {from: [{namespace: /shop}], ports: [9100/tcp, icmp, icmpv6]}
    egress:
      - {to: [{cidr: 203.0.113.0/24}], ports: [80/tcp]}
"""
AWAY = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: away, namespace: /shop}
spec:
  mandatory: {egress: [{action: deny, to: [{node: {}}]}]}
"""
# That no document speaks of.
OTHERS = ["172.17.0.1", "fd00:17::1"]
SAFE_IN = {("tcp", 22)}
SAFE_OUT = {("udp", 53)}


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(["web"])
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all(PORTS)
        yield lab


@pytest.fixture
def enforcer(lab, tmp_path):
    """A daemon with CLOSED, which it does not put in force."""
    node, web = lab.node, lab.host("web")
    world = WORLD.format(v4=node.address(4), v6=node.address(6),
                         w4=web.address(4), w6=web.address(6))
    with Enforcer(node, tmp_path, {"world.yaml": world, "host.yaml": CLOSED}) as it:
        yield it
    node.exec(["nft", "flush", "ruleset"])


def configure(enforcer, **changes):
    enforcer.write_config(**changes)
    seen = len(enforcer.log())
    generation = enforcer.generation()
    enforcer.process.send_signal(signal.SIGHUP)
    enforcer.wait_log(" reloaded ", seen)
    enforcer.wait_generation(generation + 1)


def probes(lab):
    """Every way to and from the node, over both families."""
    pairs = [("world", lab.node), ("web", lab.node), (lab.node.name, lab.host("world")),
             (lab.node.name, lab.host("web")), ("world", lab.host("web"))]
    return [(src, str(dst.address(version)), proto, port) for src, dst in pairs
            for version in (4, 6) for proto, port in map(lab_module.parse_port, PORTS)]


def check(lab, wanted, version=None):
    """`wanted(src, dst, proto, port)`: whether that is open."""
    lab.conntrack_flush()
    asked = [probe for probe in probes(lab)
             if version is None or (":" in probe[1]) == (version == 6)]
    results = lab.probe_many(asked)
    late = [i for i, (probe, result) in enumerate(zip(asked, results)) if not result.open
            and wanted(probe[0], lab.owner(probe[1]).name, *probe[2:])]
    for i in late:  # the machine may be busy
        results[i] = lab.probe_many([asked[i]], 5000)[0]
    wrong = [(probe, result.state) for probe, result in zip(asked, results)
             if result.open != wanted(probe[0], lab.owner(probe[1]).name, *probe[2:])]
    assert wrong == []


def everything_open(*_probe):
    return True


def only_fail_safe(src, dst, proto, port):
    if dst == "node-1":
        return (proto, port) in SAFE_IN
    if src == "node-1":
        return dst == "web" or (proto, port) in SAFE_OUT
    return True


def host_elements(lab):
    """Elements of all sets that are the node's own."""
    done = lab.node.exec(["nft", "-j", "list", "table", "inet", "ringfence"])
    sets = [item.get("set") or item.get("map")
            for item in json.loads(done.stdout)["nftables"]]
    return sum(len(s.get("elem", [])) for s in sets
               if s and re.match(r"host|own", s["name"]))


def test_deny_all_leaves_the_way_in_and_turning_it_off_removes_all(lab, enforcer):
    check(lab, everything_open)
    before = host_elements(lab)
    ssh = lab.connect("world", lab.node, "tcp", 22)
    configure(enforcer, hostProtection=True)
    check(lab, only_fail_safe)
    assert host_elements(lab) > before
    assert ssh.ask() == "open"
    told = enforcer.ask("explain", "203.0.113.1", "node/node-1", "80/tcp")
    assert 'mandatory rule "shut" of Policy /closed' in told.stdout
    told = enforcer.ask("explain", "203.0.113.1", "node/node-1", "22/tcp")
    assert "fail-safe" in told.stdout
    denied = wait_until(
        lambda: [flow for flow in enforcer.flows() if flow["dst"].get("node") == "node-1"
                 and flow["dst"].get("port") == 80], 30, "a denied flow")
    assert denied[0]["policy"]["name"] == "closed"
    assert denied[0]["direction"] == "ingress"
    assert enforcer.rules()["fail-safe port of the node"]["packets"] > 0
    assert enforcer.rules()["Policy /closed ingress mandatory rule 0 (shut)"][
        "packets"] > 0
    # Neighbours are found anew, and so is the way in.
    lab.node.exec(["ip", "-6", "neigh", "flush", "all"])
    lab.node.exec(["ip", "neigh", "flush", "all"])
    for version in (4, 6):
        wait_until(lambda v=version: lab.probe(
            "world", str(lab.node.address(v)), "tcp", 22).open, 30, "SSH")
    configure(enforcer, hostProtection=False)
    check(lab, everything_open)
    assert host_elements(lab) == before
    assert ssh.ask() == "open"


def test_other_fail_safe_ports(lab, enforcer):
    configure(enforcer, hostProtection={
        "enforce": True, "failSafe": {"ingress": ["22/tcp", "80/tcp"], "egress": []}})

    def wanted(src, dst, proto, port):
        if dst == "node-1":
            return (proto, port) in {("tcp", 22), ("tcp", 80)}
        return src != "node-1" or dst == "web"

    check(lab, wanted)


def test_allow_block_lets_in_whom_it_names(lab, enforcer):
    enforcer.write("host.yaml", SOME)
    configure(enforcer, hostProtection=True)

    def wanted(src, dst, proto, port):
        if dst == "node-1" and src == "web" and (proto, port) == ("tcp", 9100):
            return True
        return only_fail_safe(src, dst, proto, port)

    def wanted_of_family(version):
        def judge(src, dst, proto, port):
            out = src == "node-1" and dst == "world" and (proto, port) == ("tcp", 80)
            return (out and version == 4) or wanted(src, dst, proto, port)
        return judge

    for version in (4, 6):
        check(lab, wanted_of_family(version), version)
        assert lab.probe("web", str(lab.node.address(version)), "icmp", 0).open
        assert not lab.probe("world", str(lab.node.address(version)), "icmp", 0).open


def test_peers_that_name_nodes_take_in_all_addresses_of_this_one(lab, enforcer):
    def change(verb, address):
        bits = 128 if ":" in address else 32
        lab.node.exec(["ip", "addr", verb, f"{address}/{bits}", "dev", "lo"])

    def denied(address):
        return not lab.probe("web", address, "tcp", 9100).open

    change("add", OTHERS[0])
    try:
        enforcer.write("away.yaml", AWAY)
        wait_until(lambda: denied(str(lab.node.address(4))), 30, "the policy")
        wait_until(lambda: denied(OTHERS[0]), 30, "the address")
        change("add", OTHERS[1])
        wait_until(lambda: denied(OTHERS[1]), 30, "the address")
        told = enforcer.ask("explain", "/shop/web", OTHERS[1], "9100/tcp")
        assert "deny" in told.stdout and "away" in told.stdout
        configure(enforcer, clusterDefault="allow")
        assert all(map(denied, OTHERS))
    finally:
        for address in OTHERS:
            change("del", address)
