"""How tenants leave, and what of them is published.

The node's daemon translates; the other end tells which address it saw. Policy goes on
judging the client and the workload that are really there.
"""

import json
import signal
import socket

import pytest

import lab as lab_module
from enforcerd import Enforcer, set_in_use
from lab import Lab, wait_until
from shop import TREE, workloads

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLACES = {"web": "/acme/shop", "api": "/acme/shop", "db": "/acme/shop", "mon": "/ops"}
PORTS = [80, 81, 443, 5432, 8000, 8003, 9000, "53/udp", "80/udp", "8001/udp"]
SOURCE = {4: "198.51.100.7", 6: "fd0a::7"}
POOL = {"198.51.100.16", "198.51.100.17", "198.51.100.18", "198.51.100.19"}
VIP = {4: "198.51.100.80", 6: "fd0a::80"}
ANY = {4: "203.0.113.9", 6: "2001:db8::9"}
BANK = {4: "203.0.113.200", 6: "2001:db8:b::1"}
FAMILIES = [4, 6]

# Only web may reach db; anyone may reach web; web reaches the bank by policy.
POLICY = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: db, namespace: /acme/shop}
spec:
  workloads: {matchLabels: {app: db}}
  allow:
    ingress:
      - {name: web, from: [{workloads: {matchLabels: {app: web}}}], ports: [5432/tcp]}
      - {name: partner, from: [{cidr: 203.0.113.64/26}, {cidr: "2001:db8:40::/48"}], ports: [5432/tcp]}
"""
ROUTES = """\
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: forced, namespace: /acme}
spec:
  mandatory:
    egress:
      - {name: no-dns, action: deny, ports: [53/udp]}
      - {name: rest, action: pass}
---
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: out, namespace: /acme/shop}
spec:
  default:
    egress:
      - {name: bank, action: direct, to: [{cidr: 203.0.113.192/26}, {cidr: "2001:db8:b::/48"}]}
      - {name: pool, action: route, to: [{cidr: 203.0.113.0/24}], ports: [81/tcp],
         source: [198.51.100.16/30]}
      - {name: own, action: route, source: [198.51.100.7, "fd0a::7"]}
    ingress:
      - {name: web, action: publish, address: [198.51.100.80, "fd0a::80"],
         ports: [443/tcp, 80/udp], to: [{workloads: {matchLabels: {app: web}}}]}
      - {name: shifted, action: publish, address: [198.51.100.80, "fd0a::80"],
         ports: [7000-7003/tcp], targetPort: 8000, to: [{workloads: {matchLabels: {app: web}}}]}
      - {name: range, action: publish, address: [198.51.100.80, "fd0a::80"],
         ports: [8000-8100/tcp, 8001/udp], to: [{workloads: {matchLabels: {app: web}}}]}
      - {name: both, action: publish, address: [198.51.100.80, "fd0a::80"], ports: [80/tcp],
         to: [{workloads: {matchLabels: {app: web}}, weight: 3},
              {workloads: {matchLabels: {app: api}}, weight: 1}]}
      - {name: sticky, action: publish, address: [198.51.100.80, "fd0a::80"], ports: [90/tcp],
         targetPort: 80, balance: hash,
         to: [{workloads: {matchLabels: {app: web}}}, {workloads: {matchLabels: {app: api}}}]}
      - {name: db, action: publish, address: [198.51.100.80, "fd0a::80"], ports: [5432/tcp],
         to: [{workloads: {matchLabels: {app: db}}}]}
      - {name: nobody, action: publish, address: [198.51.100.80, "fd0a::80"], ports: [9000/tcp],
         to: [{workloads: {matchLabels: {app: nobody}}}]}
"""


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all(PORTS)
        yield lab


def world(lab):
    return TREE + workloads(lab, PLACES)


@pytest.fixture(scope="module")
def files(lab):
    return {"world.yaml": world(lab), "policy.yaml": POLICY, "routes.yaml": ROUTES}


@pytest.fixture(scope="module")
def shared(lab, files, tmp_path_factory):
    """A daemon for tests that change nothing."""
    with Enforcer(lab.node, tmp_path_factory.mktemp("shared"), files) as it:
        yield it
    lab.node.exec(["nft", "flush", "ruleset"])


@pytest.fixture
def edited(shared):
    """Writes other routes, for one test."""
    def write(text):
        shared.write("routes.yaml", text)
    yield write
    generation = shared.status()["generation"]
    write(ROUTES)
    wait_until(lambda: shared.status()["generation"] > generation, 30, "the former routes")


def seen(lab, src, dst, proto, port, **more):
    """Who answered, and which client it saw; or how the probe ended."""
    result = lab.probe(src, dst, proto, port, **more)
    return (result.who, result.client[0]) if result.open else result.state


# --- configuration ---


@pytest.fixture
def reloaded(shared):
    """Reloads with a changed configuration, for one test."""
    before = dict(shared.config)

    def reload(**changes):
        since = len(shared.log())
        shared.write_config(**changes)
        shared.process.send_signal(signal.SIGHUP)
        shared.wait_log("reloaded", since)
        return shared.log()[since:]
    yield reload
    reload(**before)


def test_reload_leaves_addresses_of_routes_as_they_are(lab, shared, reloaded):
    """routeAddresses change with a restart only, for the engine as for the kernel role."""
    generation = shared.status()["generation"]
    log = reloaded(routeAddresses=[{"network": "192.0.2.0/24"}])
    assert 'fields="routeAddresses" message="change with a restart only"' in log
    shared.wait_generation(generation + 1)
    assert seen(lab, "world", VIP[4], "tcp", 443)[0] == "web"


# --- leaving ---


@pytest.mark.parametrize("family", FAMILIES)
def test_tenant_leaves_with_its_own_address(lab, shared, family):
    assert seen(lab, "web", ANY[family], "tcp", 80) == ("world", SOURCE[family])
    assert seen(lab, "db", ANY[family], "udp", 80) == ("world", SOURCE[family])


@pytest.mark.parametrize("family", FAMILIES)
def test_nearer_direct_leaves_as_it_is(lab, shared, family):
    own = str(lab.host("web").address(family))
    assert seen(lab, "web", BANK[family], "tcp", 80) == ("world", own)


@pytest.mark.parametrize("family", FAMILIES)
def test_others_leave_as_they_are(lab, shared, family):
    own = str(lab.host("mon").address(family))
    assert seen(lab, "mon", ANY[family], "tcp", 80) == ("world", own)


@pytest.mark.parametrize("family", FAMILIES)
def test_inside_nothing_is_translated(lab, shared, family):
    own = str(lab.host("web").address(family))
    assert seen(lab, "web", lab.host("api").address(family), "tcp", 80) == ("api", own)
    node = str(lab.node.address(family))
    assert seen(lab, "web", node, "tcp", 80) == (lab.node.name, own)


def test_pool_gives_each_workload_one_address(lab, shared):
    for name in ("web", "api", "db"):
        clients = {seen(lab, name, "203.0.113.33", "tcp", 81) for _ in range(6)}
        assert len(clients) == 1, clients
        assert clients.pop()[1] in POOL


@pytest.mark.parametrize("family", FAMILIES)
def test_mandatory_deny_of_an_ancestor_holds(lab, shared, family):
    assert seen(lab, "web", ANY[family], "udp", 53) == "closed"
    assert seen(lab, "mon", ANY[family], "udp", 53)[0] == "world"


def test_family_without_a_source_does_not_leave(lab, shared, edited):
    edited(ROUTES.replace('source: [198.51.100.7, "fd0a::7"]', "source: [198.51.100.7]"))
    wait_until(lambda: seen(lab, "web", ANY[6], "tcp", 80) == "closed", 30, "the edit")
    assert seen(lab, "web", ANY[4], "tcp", 80) == ("world", SOURCE[4])
    assert "egress default rule 2, cannot be followed" in shared.ask("rules").stdout


# --- published ---


@pytest.mark.parametrize("family", FAMILIES)
def test_published_ports_lead_to_the_workload_and_keep_the_client(lab, shared, family):
    client = str(lab.host("world").address(family))
    for proto, port in (("tcp", 443), ("udp", 80), ("tcp", 8000), ("tcp", 8003),
                        ("udp", 8001)):
        result = lab.probe("world", VIP[family], proto, port)
        assert (result.who, result.client[0]) == ("web", client), (proto, port, result)
        assert result.local[1] == port
    shifted = lab.probe("world", VIP[family], "tcp", 7003)
    assert (shifted.who, shifted.local[1]) == ("web", 8003)


@pytest.mark.parametrize("family", FAMILIES)
def test_published_address_does_not_bypass_policy(lab, shared, family):
    assert seen(lab, "world", VIP[family], "tcp", 5432) == "closed"
    partner = {4: "203.0.113.65", 6: "2001:db8:40::1"}[family]
    assert seen(lab, "world", VIP[family], "tcp", 5432, src_addr=partner) == ("db", partner)
    # as a workload, and past the published address
    own = str(lab.host("web").address(family))
    assert seen(lab, "web", VIP[family], "tcp", 5432) == ("db", own)
    assert seen(lab, "mon", VIP[family], "tcp", 5432) == "closed"


@pytest.mark.parametrize("family", FAMILIES)
def test_workload_reaches_itself_by_what_is_published(lab, shared, family):
    assert seen(lab, "web", VIP[family], "tcp", 443)[0] == "web"


@pytest.mark.parametrize("family", FAMILIES)
def test_published_without_a_workload_is_closed(lab, shared, family):
    assert seen(lab, "world", VIP[family], "tcp", 9000) == "closed"


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_and_hashes(lab, shared, family):
    probes = [("world", VIP[family], "tcp", 80)] * 80
    who = [result.who for result in lab.probe_many(probes)]
    assert set(who) == {"web", "api"}
    assert who.count("web") > who.count("api"), who
    probes = [("world", VIP[family], "tcp", 90)] * 12
    assert len({result.who for result in lab.probe_many(probes)}) == 1


def test_routes_are_told(lab, shared):
    assert shared.status()["kernel"]["translation"] is True
    assert seen(lab, "web", ANY[4], "udp", 53) == "closed"
    rules = shared.ask("rules").stdout
    assert "Route /acme/forced egress mandatory rule 0 (no-dns)" in rules
    assert "Route /acme/shop/out ingress default rule 0 (web)" in rules

    def told():
        return [flow for flow in shared.flows()
                if (flow["policy"] or {}).get("kind") == "Route"]
    wait_until(told, 30, "the denied route in the flow log")
    assert told()[0]["policy"]["name"] == "forced"
    assert told()[0]["policy"]["ruleName"] == "no-dns"


# --- life ---


class Dialogue:
    """A TCP connection from the outside or to it, with both of its ends in hand."""

    def __init__(self, lab, src, dst, listen, connect):
        with lab.host(dst).enter_and(lambda: socket.socket()) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(listen)
            listener.listen()
            self.client = lab.host(src).enter_and(lambda: socket.socket())
            self.client.settimeout(30)
            self.client.connect(connect)
            self.server, self.peer = listener.accept()
        self.server.settimeout(30)

    def goes_on(self):
        for sender, receiver in ((self.client, self.server), (self.server, self.client)):
            sender.sendall(b"word")
            if receiver.recv(4) != b"word":
                return False
        return True

    def close(self):
        self.client.close()
        self.server.close()


def test_connections_outlive_edits_restarts_and_flushes(lab, shared, edited):
    published = ROUTES.replace("ports: [443/tcp, 80/udp]", "ports: [443/tcp, 80/udp, 8444/tcp]")
    web = str(lab.host("web").address(4))
    edited(published)
    wait_until(lambda: "8444" in lab.node.exec(["nft", "list", "map", "inet", "ringfence",
                                                "publish4"]).stdout, 30, "the new port")
    out = Dialogue(lab, "web", "world", ("203.0.113.9", 8443), ("203.0.113.9", 8443))
    back = Dialogue(lab, "world", "web", (web, 8444), (VIP[4], 8444))
    assert out.peer[0] == SOURCE[4] and out.goes_on() and back.goes_on()
    edited(published.replace("198.51.100.7,", "198.51.100.9,"))
    moved = "world", "198.51.100.9"
    wait_until(lambda: seen(lab, "web", ANY[4], "tcp", 80) == moved, 30, "the new address")
    assert out.goes_on() and back.goes_on()
    # while nobody is there, and whoever comes next adopts what is
    shared.stop(signal.SIGKILL)
    assert out.goes_on() and back.goes_on()
    assert seen(lab, "web", ANY[4], "tcp", 80) == moved
    shared.start()
    assert out.goes_on() and back.goes_on()
    assert seen(lab, "world", VIP[4], "tcp", 443)[0] == "web"
    out.close()
    back.close()


def translates(lab):
    return (seen(lab, "world", VIP[4], "tcp", 443)[0] == "web" and
            seen(lab, "web", ANY[4], "tcp", 80) == ("world", SOURCE[4]))


@pytest.mark.parametrize("change", ["flush ruleset", "flush chain inet ringfence route_out",
                                    "flush map inet ringfence {end4}",
                                    "delete chain inet ringfence route_in"])
def test_what_others_change_is_healed(lab, shared, change):
    """With a table that belongs to nobody, as below Linux 6.9, anyone can."""
    shared.stop()
    lab.node.exec(["nft", "flush", "ruleset"])
    shared.write_config(tableOwner="never")
    shared.start()
    assert translates(lab)
    end4 = set_in_use(lab.node, "end4") if "end4" in change else ""
    lab.node.nft(change.format(end4=end4))
    wait_until(lambda: shared.status()["kernel"]["heals"] > 0, 30, "the table to be healed")
    assert translates(lab)


# --- addresses that the node takes ---


def addresses(lab):
    """The addresses of the node's interface to the world."""
    told = json.loads(lab.node.exec(["ip", "-j", "addr", "show", "dev", "out-world"]).stdout)
    return {info["local"] for link in told for info in link.get("addr_info", ())
            if "local" in info}


def heard(sock, wanted):
    """Waits for a packet to everyone that has these bytes."""
    def came():
        try:
            while True:
                data = sock.recv(200)
                if wanted in data:
                    return True
        except BlockingIOError:
            return False
    wait_until(came, 30, "the announcement")


@pytest.mark.parametrize("subtree", [None, "/ops", "/acme/shop"])
def test_addresses_are_whose_the_configuration_says(lab, shared, subtree):
    """Nobody takes connections to an address that is not his, or leaves with it."""
    networks = shared.config["routeAddresses"]
    shared.stop()
    shared.write_config(routeAddresses=subtree and [
        {"network": "198.51.100.0/24", "namespace": subtree}])
    shared.start()
    own = subtree == "/acme/shop"
    assert translates(lab) == own
    assert isinstance(seen(lab, "web", ANY[4], "tcp", 80), str) != own
    # as it is, whoever is the address's
    assert seen(lab, "web", BANK[4], "tcp", 80) == ("world", str(lab.host("web").address(4)))
    shared.stop()
    shared.write_config(routeAddresses=networks)
    shared.start()


def known_macs(lab):
    """By what the world reaches both sources, without ever having asked."""
    told = json.loads(lab.host("world").exec(["ip", "-j", "neigh", "show", "dev", "eth0"]).stdout)
    return {entry.get("lladdr") for entry in told if entry["dst"] in SOURCE.values()}


def believe_others(lab):
    world = lab.host("world")
    world.exec(["sysctl", "-qw", "net.ipv4.neigh.eth0.locktime=0"])
    for address in SOURCE.values():
        world.exec(["ip", "neigh", "replace", address, "lladdr", "02:00:00:00:00:99", "dev",
                    "eth0", "nud", "stale"])


def check_no_door(lab, enforcer):
    """The node listens at all of these ports, at every address that it has."""
    doors = [(src, address[family], proto, port) for src in ("world", "web", "mon")
             for address, proto, port in ((VIP, "tcp", 81), (VIP, "udp", 53),
                                          (SOURCE, "tcp", 443), (SOURCE, "icmp", 0))
             for family in FAMILIES]
    assert {result.state for result in lab.probe_many(doors)} == {"closed"}
    for family in FAMILIES:
        node = str(lab.node.address(family))
        assert seen(lab, "world", node, "tcp", 81)[0] == lab.node.name
        assert seen(lab, "world", VIP[family], "tcp", 443)[0] == "web"
        assert seen(lab, "web", VIP[family], "tcp", 443)[0] == "web"
    assert enforcer.rules()["address of Routes, nothing published"]["packets"] >= 24
    wait_until(lambda: any(flow["reason"] == "unpublished" and flow["dst"]["port"] == 81
                           for flow in enforcer.flows()), 30, "it in the flow log")


def test_node_takes_addresses_and_gives_them_up(lab, shared):
    shared.stop()
    lab.node.exec(["nft", "flush", "ruleset"])
    # somebody else's, one of which a route needs, too
    for address in ("198.51.100.99/32", "198.51.100.80/24"):
        lab.node.exec(["ip", "addr", "add", address, "dev", "out-world"])
    with lab.host("world").enter_and(lambda: socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))) as everything:
        everything.setblocking(False)
        believe_others(lab)
        shared.write_config(routeAddresses=[
            {"network": "198.51.100.0/24", "interface": "out-world"},
            {"network": "fd0a::/64", "interface": "out-world"}])
        shared.start()
        wait_until(lambda: {SOURCE[4], SOURCE[6], *POOL, VIP[6]} <= addresses(lab), 30,
                   "the addresses")
        mac = json.loads(lab.node.exec(["ip", "-j", "link", "show", "dev",
                                        "out-world"]).stdout)[0]["address"]
        arp = (b"\0\1\x08\0\6\4\0\1" + bytes.fromhex(mac.replace(":", ""))
               + socket.inet_aton(SOURCE[4]) + bytes(6) + socket.inet_aton(SOURCE[4]))
        heard(everything, arp)
    # who knew another's by these addresses knows better now
    wait_until(lambda: known_macs(lab) == {mac}, 30, "the neighbour to believe it")
    assert translates(lab)
    check_no_door(lab, shared)
    # drift
    lab.node.exec(["ip", "addr", "del", f"{SOURCE[4]}/32", "dev", "out-world"])
    wait_until(lambda: SOURCE[4] in addresses(lab), 30, "the address to be back")
    # the next one knows its own again, and gives up what nobody needs
    shared.stop(signal.SIGKILL)
    shared.write("routes.yaml", ROUTES.replace("198.51.100.16/30", "198.51.100.16/31"))
    shared.start()
    wait_until(lambda: "198.51.100.18" not in addresses(lab), 30, "one to be given up")
    assert {"198.51.100.16", SOURCE[6]} <= addresses(lab)
    shared.write("routes.yaml", "")
    others = {"198.51.100.99", VIP[4], "fe80::1"}
    wait_until(lambda: addresses(lab) == others, 30, "all but others' to be given up")
