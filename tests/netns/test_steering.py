"""Tenants that leave another way than the node itself: by a next hop, by a table of the
node's, with two routers side by side.

    workloads -- node-1 --+-- "inner" --+-- gw-1 --+-- "outer" --+-- world
                                        +-- gw-2 --+             |
                                        +------------------------+  the node's own way

What comes by a router bears its address, so that the other end can tell; what comes the
node's own way bears the workload's. Reverse path filters are strict everywhere.
"""

import errno
import json
import re
import signal
import socket

import pytest

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until
from shop import TREE, workloads

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLACES = {"web": "/acme/shop", "mon": "/ops"}
FAMILIES = [4, 6]
FAR = {4: "203.0.113.9", 6: "2001:db8::9"}
ROUTER = {"gw-1": {4: "198.51.100.1", 6: "fd0a::1"}, "gw-2": {4: "198.51.100.2", 6: "fd0a::2"}}
HOP = {"gw-1": '192.0.2.1, "fd0b::1"', "gw-2": '192.0.2.2, "fd0b::2"'}
OWN = {4: "198.18.0.7", 6: "fd0c::7"}
STEERING = {"mark": "0x0ff00000", "priority": 10000, "tables": "10000-10099",
            "routeTables": [{"tables": "100-199", "namespace": "/acme"}]}
MASQUERADE = """
table inet router {
  chain out { type nat hook postrouting priority srcnat; oifname "outer" masquerade; }
}
"""
ROUTES = """\
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: out, namespace: /acme/shop}
spec:
  default:
    egress:
      - {name: one, action: route, ports: [81/tcp, 81/udp], nextHop: [%s]}
      - {name: two, action: route, ports: [82/tcp], nextHop: [%s]}
      - {name: table, action: route, ports: [83/tcp], table: 100}
      - {name: empty, action: route, ports: [84/tcp], table: 101}
      - {name: others, action: route, ports: [85/tcp], table: 254}
      - {name: far, action: route, ports: [86/tcp], nextHop: [203.0.113.77, "2001:db8::77"]}
      - {name: own, action: route, ports: [87/tcp], nextHop: [%s], source: [198.18.0.7, "fd0c::7"]}
""" % (HOP["gw-1"], HOP["gw-2"], HOP["gw-2"])
PORTS = [80, 81, 82, 83, 84, 85, 86, 87, "81/udp"]


def plug(host, bridge, switch, v4, v6):
    """An interface of the host in one of the switch's segments."""
    host.exec(["ip", "link", "add", bridge, "type", "veth", "peer", "name",
               f"{bridge[:2]}-{host.name[:9]}", "netns", switch.netns])
    switch.exec(["ip", "link", "set", f"{bridge[:2]}-{host.name[:9]}", "master", bridge, "up"])
    host.exec(["ip", "link", "set", bridge, "up"])
    host.exec(["ip", "addr", "add", v4, "dev", bridge])
    for own in (v6, "fe80::" + v6.partition("::")[2]):
        host.exec(["ip", "addr", "add", own, "dev", bridge, "nodad"])
    if host.kind == "node":
        host.exec(["sysctl", "-qw", f"net.ipv4.conf.{bridge}.rp_filter=1"])


def route(host, to, via):
    host.exec(["ip", "-6" if ":" in to else "-4", "route", "replace", to, "via", via])


def build(lab):
    """Routers between the node and the world, beside the way that the lab has."""
    lab.add_workloads(list(PLACES))
    world = lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
    switch = lab.add_outside("switch", ["192.168.77.1"])
    for bridge in ("inner", "outer"):
        switch.exec(["ip", "link", "add", bridge, "type", "bridge"])
        switch.exec(["ip", "link", "set", bridge, "up"])
    plug(lab.node, "inner", switch, "192.0.2.10/24", "fd0b::10/64")
    plug(world, "inner", switch, "192.0.2.9/24", "fd0b::9/64")
    plug(world, "outer", switch, "198.51.100.9/24", "fd0a::9/64")
    for number in (1, 2):
        router = lab.add_node(f"gw-{number}")
        plug(router, "inner", switch, f"192.0.2.{number}/24", f"fd0b::{number}/64")
        plug(router, "outer", switch, f"198.51.100.{number}/24", f"fd0a::{number}/64")
        route(router, "203.0.113.0/24", "198.51.100.9")
        route(router, "2001:db8::/32", "fd0a::9")
    route(lab.node, "203.0.113.0/24", "192.0.2.9")
    route(lab.node, "2001:db8::/32", "fd0b::9")
    for name in PLACES:
        for address in lab.host(name).addresses:
            for host in (world, lab.host("gw-1"), lab.host("gw-2")):
                route(host, str(address), "192.0.2.10" if address.version == 4 else "fd0b::10")
    lab.node.exec(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"])
    for family, hop in (("-4", "192.0.2.1"), ("-6", "fd0b::1")):
        lab.node.exec(["ip", family, "route", "add", "default", "via", hop, "table", "100"])
    lab.listen_all(PORTS, ["world"])


def forget(lab, *names):
    for host in (lab.node, *map(lab.host, names)):
        host.exec(["nft", "flush", "ruleset"])
        host.exec(["conntrack", "-F"])


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        build(lab)
        yield lab


@pytest.fixture(scope="module")
def files(lab):
    return {"world.yaml": TREE + workloads(lab, PLACES),
        "routes.yaml": ROUTES}


@pytest.fixture(scope="module")
def shared(lab, files, tmp_path_factory):
    for name in ("gw-1", "gw-2"):
        lab.host(name).nft(MASQUERADE)
    with Enforcer(lab.node, tmp_path_factory.mktemp("shared"), files, steering=STEERING) as it:
        yield it
    forget(lab, "gw-1", "gw-2")


def seen(lab, src, family, port, proto="tcp"):
    """The client that the world saw; or how the probe ended."""
    result = lab.probe(src, FAR[family], proto, port)
    return result.client[0] if result.open else result.state


def ip_rules(lab, family):
    return json.loads(lab.node.exec(["ip", "-j", f"-{family}", "rule"]).stdout or "[]")


def ours(lab, family):
    return [rule for rule in ip_rules(lab, family) if rule["priority"] in (10000, 10001)]


@pytest.mark.parametrize("family", FAMILIES)
def test_next_hops_and_tables_are_followed(lab, shared, family):
    own = str(lab.host("web").address(family))
    assert seen(lab, "web", family, 80) == own
    assert seen(lab, "web", family, 81) == ROUTER["gw-1"][family]
    assert seen(lab, "web", family, 81, "udp") == ROUTER["gw-1"][family]
    assert seen(lab, "web", family, 82) == ROUTER["gw-2"][family]
    assert seen(lab, "web", family, 83) == ROUTER["gw-1"][family]
    assert seen(lab, "mon", family, 81) == str(lab.host("mon").address(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_has_no_way_goes_nowhere(lab, shared, family):
    # an empty table, one that Routes may not name, a next hop that is no neighbour
    assert seen(lab, "web", family, 84) != str(lab.host("web").address(family))
    for port in (84, 85, 86):
        assert seen(lab, "web", family, port) in ("closed", "filtered", "timeout"), port


# --- packets that are not alike ---


@pytest.fixture
def plain(lab, shared):
    """Routers that leave addresses as they are; the world answers by the second."""
    for name in ("gw-1", "gw-2"):
        lab.host(name).exec(["nft", "flush", "ruleset"])
    web = lab.host("web")
    for own, hop in ((web.address(4), "198.51.100.2"), (web.address(6), "fd0a::2")):
        route(lab.host("world"), own, hop)
    yield
    for own, hop in ((web.address(4), "192.0.2.10"), (web.address(6), "fd0b::10")):
        route(lab.host("world"), own, hop)
    for name in ("gw-1", "gw-2"):
        lab.host(name).nft(MASQUERADE)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_may_come_by_another_router(lab, plain, family):
    assert seen(lab, "web", family, 81) == str(lab.host("web").address(family))
    assert seen(lab, "web", family, 81, "udp") == str(lab.host("web").address(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_source_is_put_on_before_the_next_hop(lab, plain, family):
    for name in ("gw-2", "world"):
        route(lab.host(name), OWN[family], "192.0.2.10" if family == 4 else "fd0b::10")
    assert seen(lab, "web", family, 87) == OWN[family]


def datagrams(lab, family):
    """A socket of web's, connected to one of the world's that only listens."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    there = lab.host("world").enter_and(lambda: socket.socket(kind, socket.SOCK_DGRAM))
    there.bind((FAR[family], 0))
    there.settimeout(30)
    here = lab.host("web").enter_and(lambda: socket.socket(kind, socket.SOCK_DGRAM))
    here.connect((FAR[family], there.getsockname()[1]))
    return here, there


@pytest.fixture
def all_ports(shared):
    shared.write("routes.yaml", ROUTES.replace("ports: [81/tcp, 81/udp], ", ""))
    wait_until(lambda: "rule 1 (two)" not in shared.ask("rules").stdout, 30, "the edit")
    yield
    shared.write("routes.yaml", ROUTES)
    wait_until(lambda: "rule 1 (two)" in shared.ask("rules").stdout, 30, "the former routes")


@pytest.mark.parametrize("family", FAMILIES)
def test_fragments_go_the_same_way(lab, all_ports, family):
    here, there = datagrams(lab, family)
    with here, there:
        here.send(bytes(5000))
        data, client = there.recvfrom(9000)
    assert (len(data), client[0]) == (5000, ROUTER["gw-1"][family])


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_too_big_is_told(lab, all_ports, family):
    level, discover, mtu = (socket.IPPROTO_IP, 10, 14) if family == 4 else \
        (socket.IPPROTO_IPV6, 23, 24)
    router = lab.host("gw-1")
    router.exec(["ip", "link", "set", "outer", "mtu", "1400"])
    here, there = datagrams(lab, family)

    def told():
        try:
            here.send(bytes(1420))
        except OSError as error:
            assert error.errno == errno.EMSGSIZE
        return here.getsockopt(level, mtu) == 1400

    try:
        with here, there:
            here.setsockopt(level, discover, 2)  # never in fragments
            wait_until(told, 30, "the path's MTU")
    finally:
        router.exec(["ip", "link", "set", "outer", "mtu", "1500"])


# --- beside others ---


def count(lab, text):
    return int(re.search(text + r" counter packets (\d+)",
                         lab.node.exec(["nft", "list", "table", "inet", "other"]).stdout)[1])


def test_marks_of_others_are_kept_and_ours_do_not_stay(lab, shared):
    """As of kube-proxy, which marks what it will masquerade before we have a look."""
    lab.node.nft("""
table inet other {
  chain before {
    type filter hook prerouting priority -150
    tcp dport 81 meta mark set meta mark | 0x4000
  }
  chain after {
    type filter hook postrouting priority 90
    tcp dport 81 meta mark 0x00004000 counter
    tcp dport 81 meta mark != 0x00004000 counter
  }
}
""")
    try:
        for family in FAMILIES:
            assert seen(lab, "web", family, 81) == ROUTER["gw-1"][family]
        assert count(lab, "meta mark 0x00004000") >= 2
        assert count(lab, "meta mark != 0x00004000") == 0
    finally:
        lab.node.exec(["nft", "delete", "table", "inet", "other"])


@pytest.mark.parametrize("family", FAMILIES)
def test_what_others_take_away_comes_back(lab, shared, family):
    wanted = ours(lab, family)
    assert len(wanted) == 6, wanted
    for priority in [rule["priority"] for rule in wanted]:
        lab.node.exec(["ip", f"-{family}", "rule", "del", "pref", str(priority)])
    wait_until(lambda: sorted(map(str, ours(lab, family))) == sorted(map(str, wanted)), 30,
               "the rules")
    assert seen(lab, "web", family, 81) == ROUTER["gw-1"][family]
    table = next(rule["table"] for rule in wanted if rule["priority"] == 10000
                 and int(rule["table"]) >= 10000)
    lab.node.exec(["ip", f"-{family}", "route", "flush", "table", table])

    def there():
        return lab.node.exec(["ip", f"-{family}", "route", "show", "table", table]).stdout
    wait_until(there, 30, "the route")


# --- life ---


def test_ways_outlive_the_daemon_and_are_adopted(lab, files, tmp_path, shared):
    shared.stop(signal.SIGKILL)
    before = {family: ours(lab, family) for family in FAMILIES}
    assert len(before[4]) == 6
    for family in FAMILIES:
        assert seen(lab, "web", family, 82) == ROUTER["gw-2"][family]
    shared.start()
    for family in FAMILIES:
        assert ours(lab, family) == before[family]
        assert seen(lab, "web", family, 82) == ROUTER["gw-2"][family]


def test_ways_go_with_their_routes(lab, shared):
    shared.write("routes.yaml", ROUTES.partition("      - {name: two")[0])
    for family in FAMILIES:
        wait_until(lambda: len(ours(lab, family)) == 2, 30, "the ways to go")  # noqa: B023
        assert seen(lab, "web", family, 81) == ROUTER["gw-1"][family]
        assert seen(lab, "web", family, 82) == str(lab.host("web").address(family))
    shared.write("routes.yaml", ROUTES)
    wait_until(lambda: len(ours(lab, 6)) == 6, 30, "the ways to come back")
    wait_until(lambda: seen(lab, "web", 6, 82) == ROUTER["gw-2"][6], 30, "the program")


def test_without_configuration_nothing_is_steered(lab, files, shared):
    """What was ours goes, and what would have to go another way is denied."""
    shared.stop()
    shared.write_config(steering=None)
    shared.start()
    try:
        for family in FAMILIES:
            assert seen(lab, "web", family, 81) == "closed"
            wait_until(lambda: not ours(lab, family), 30, "the rules to go")  # noqa: B023
    finally:
        shared.stop()
        shared.write_config(steering=STEERING)
        shared.start()
    assert "is not configured" in shared.log()
