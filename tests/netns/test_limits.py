"""What the workloads of a subtree may use of the network together, at their node.

Buckets here refill so slowly, or hold so little, that what passes is a number: no test
waits for one to fill, and none measures a speed.
"""

import json
import socket

import pytest

import lab as lab_module
from enforcerd import Enforcer, kill
from lab import Lab, wait_until
from shop import workloads

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLACES = {"web": "/acme/shop", "api": "/acme/shop", "bi": "/acme/bi", "mon": "/ops"}
TREE = "".join(f"""\
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {{name: {path}}}
---
""" for path in ["/acme", "/acme/shop", "/acme/bi", "/ops"])
QUOTA = """\
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: {{name: {name}, namespace: {ns}}}
spec:
  network: {network}
---
"""
SO_RCVBUFFORCE = 33  # which Python has no name for
WAIT_S = 30
SLOW = 0.001  # connections per second: none comes back while a test runs
SHARED = 0.01  # and it can be parted
PORTS = [80, 81, "53/udp"]


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all(PORTS)
        yield lab


@pytest.fixture
def limited(lab, tmp_path):
    """Starts a daemon with quotas: (name, namespace, {field: value})."""
    started = []

    def start(*quotas, **more):
        files = {"world.yaml": world(lab), "quotas.yaml": text(*quotas), **more}
        # Refused, so that no probe has to wait for an answer that does not come.
        started.append(Enforcer(lab.node, tmp_path, files, denied="reject",
                                metrics="127.0.0.1:9477").start())
        return started[0]

    yield start
    for enforcer in started:
        enforcer.stop()
        enforcer.check_sanitizers()
    lab.node.exec(["nft", "flush", "ruleset"])
    lab.conntrack_flush()


def world(lab):
    return TREE + workloads(lab, PLACES)


def text(*quotas):
    return "".join(QUOTA.format(name=name, ns=ns, network=json.dumps(network))
                   for name, ns, network in quotas)


def write(enforcer, *quotas):
    generation = enforcer.generation()
    enforcer.write("quotas.yaml", text(*quotas))
    enforcer.wait_generation(generation + 1)


def opened(lab, src, dst, count, proto="tcp", port=80, **more):
    """How many of so many connections come about, one after the other."""
    return sum(lab.probe(src, dst, proto, port, **more).open for _ in range(count))


def address(lab, name, family):
    return str(lab.host(name).address(family))


def rule(enforcer, comment):
    return enforcer.rules()[comment]


def send(lab, src, dst, count, size, port=4242):
    """Datagrams of one flow; how many came. Nobody answers."""
    def receiver():
        sock = socket.socket(socket.AF_INET6 if ":" in dst else socket.AF_INET,
                             socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        sock.bind((dst, port))
        sock.setblocking(False)
        return sock

    def sender():
        sock = socket.socket(socket.AF_INET6 if ":" in dst else socket.AF_INET,
                             socket.SOCK_DGRAM)
        sock.connect((dst, port))
        return sock

    with lab.owner(dst).enter_and(receiver) as inlet, \
            lab.host(src).enter_and(sender) as outlet:
        for _ in range(count):
            outlet.send(bytes(size))
        came = 0
        # What was sent has gone through the node, or not, by now.
        while True:
            try:
                inlet.recv(65536)
            except BlockingIOError:
                return came
            came += 1


# --- new connections ---


def test_new_connections_are_limited_and_counted(lab, limited):
    enforcer = limited(("shop", "/acme/shop", {
        "connectionsPerSecond": SLOW, "burst": 6, "guaranteedPercent": 0}))
    assert opened(lab, "web", "mon", 4) == 4
    assert opened(lab, "api", "mon", 4, port=81) == 2  # together
    assert opened(lab, "web", "mon", 1, "udp", 53) == 0
    assert opened(lab, "web", address(lab, "mon", 6), 1) == 0  # and both families
    assert opened(lab, "mon", "web", 9) == 9  # who is connected to is not charged
    denied = rule(enforcer, "Quota /acme/shop/shop connectionsPerSecond")
    assert denied["packets"] == 4
    assert rule(enforcer, "Quota /acme/shop/shop connectionsPerSecond, the whole")[
        "packets"] == 6
    wait_until(lambda: sum(f["count"] for f in enforcer.flows()) == 4, WAIT_S, "four records")
    assert {(f["verdict"], f["direction"], f["reason"], f["tenant"]) for f in enforcer.flows()} == {
        ("deny", "egress", "limit", "acme")}
    assert {(f["policy"]["kind"], f["policy"]["namespace"], f["policy"]["name"],
             f["policy"]["limit"], f["policy"]["line"]) for f in enforcer.flows()} == {
        ("Quota", "/acme/shop", "shop", "connectionsPerSecond", 5)}
    labels = '{limit="connectionsPerSecond",result="%s",namespace="/acme/shop",quota="shop"}'
    assert enforcer.metric("ringfence_limit_packets_total" + labels % "exceeded") == 4
    assert enforcer.metric("ringfence_limit_packets_total" + labels % "passed") == 6
    assert enforcer.metric("ringfence_limits_connections_enforced") == 1
    assert "connectionsPerSecond 0.001 (burst 6) at /acme/shop" in enforcer.ask(
        "explain", "/acme/shop/web", "/ops/mon", "80/tcp").stdout


def test_flow_of_datagrams_is_one_connection(lab, limited):
    limited(("shop", "/acme/shop", {
        "connectionsPerSecond": SLOW, "burst": 2, "guaranteedPercent": 0}))
    assert send(lab, "web", address(lab, "mon", 4), 50, 100) == 50
    assert opened(lab, "web", "mon", 3) == 1


def test_what_policy_denies_is_charged_to_nobody(lab, limited):
    closed = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: closed, namespace: /ops}
spec: {mandatory: {ingress: [{action: deny, ports: [81/tcp]}]}}
"""
    limited(("shop", "/acme/shop", {
        "connectionsPerSecond": SLOW, "burst": 2, "connections": 2,
        "guaranteedPercent": 0}), **{"closed.yaml": closed})
    assert opened(lab, "web", "mon", 5, port=81) == 0
    assert opened(lab, "web", "mon", 3) == 2


def test_no_connection_at_all(lab, limited):
    limited(("shop", "/acme/shop", {"connections": 0}),
            ("bi", "/acme/bi", {"connectionsPerSecond": 0}))
    assert opened(lab, "web", "mon", 2) == 0
    assert opened(lab, "bi", "mon", 2) == 0


def test_every_level_must_have_room(lab, limited):
    enforcer = limited(
        ("acme", "/acme", {
            "connectionsPerSecond": SLOW, "burst": 5, "guaranteedPercent": 0}),
        ("shop", "/acme/shop", {
            "connectionsPerSecond": SLOW, "burst": 3, "guaranteedPercent": 0}))
    assert opened(lab, "web", "mon", 4) == 3  # shop's own limit
    assert opened(lab, "bi", "mon", 4) == 2   # what that left of acme's
    names = ("acme/acme", "acme/shop/shop")
    assert [rule(enforcer, f"Quota /{name} connectionsPerSecond")["packets"]
            for name in names] == [2, 1]


def test_each_has_its_part(lab, limited):
    # 16: a quarter of the half for each of four addresses, and half for whoever comes
    limited(("shop", "/acme/shop", {
        "connectionsPerSecond": SHARED, "burst": 16, "guaranteedPercent": 50}))
    assert opened(lab, "web", address(lab, "mon", 4), 14) == 10
    assert opened(lab, "api", address(lab, "mon", 4), 3) == 2
    assert opened(lab, "api", address(lab, "mon", 6), 3) == 2


# --- open connections ---


def test_open_connections_are_limited_whatever_their_family(lab, limited):
    limited(("shop", "/acme/shop", {"connections": 3, "guaranteedPercent": 0}))
    dst = [address(lab, "mon", family) for family in (4, 6)]
    held = [lab.connect("web", dst[0], "tcp", 80), lab.connect("api", dst[1], "tcp", 80)]
    assert lab.probe("web", dst[0], "udp", 53).open  # goes on for a while
    assert opened(lab, "api", dst[0], 2) == 0
    assert opened(lab, "web", dst[1], 2) == 0
    assert opened(lab, "bi", dst[0], 2) == 2
    held.pop().close()
    wait_until(lambda: opened(lab, "web", dst[1], 1) == 1, WAIT_S, "room for one more")
    held.pop().close()


def test_parts_of_open_connections(lab, limited):
    # 8: one for each of four addresses, and four for whoever comes
    limited(("shop", "/acme/shop", {"connections": 8, "guaranteedPercent": 50}))
    dst = address(lab, "mon", 4)
    held = [lab.connect("web", dst, "tcp", 80) for _ in range(5)]
    assert opened(lab, "web", dst, 2) == 0
    held.append(lab.connect("api", dst, "tcp", 80))
    assert opened(lab, "api", dst, 2) == 0
    for connection in held:
        connection.close()


# --- bytes ---


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("field, src, dst", [
    ("egressBytesPerSecond", "web", "mon"), ("ingressBytesPerSecond", "mon", "web")])
def test_bytes_are_limited_exactly(lab, limited, family, field, src, dst):
    enforcer = limited(("shop", "/acme/shop", {field: 1, "guaranteedPercent": 0}))
    size = 1000 + (28 if family == 4 else 48)
    whole = 4 * 65536 + 1
    assert send(lab, src, address(lab, dst, family), 300, 1000) == whole // size
    dropped = rule(enforcer, f"Quota /acme/shop/shop {field}")
    assert dropped["packets"] == 300 - whole // size
    # others go on, and so does the other direction, and the node
    assert send(lab, "bi", address(lab, "mon", family), 300, 1000) == 300
    assert send(lab, dst, address(lab, src, family), 100, 1000) == 100


@pytest.mark.parametrize("family", [4, 6])
def test_each_has_its_part_of_bytes(lab, limited, family):
    """Of 40 a second half is four addresses' own: that, and 64 KiB, is there whatever one
    sends; the other half goes to who comes first."""
    enforcer = limited(("shop", "/acme/shop", {
        "egressBytesPerSecond": 40, "guaranteedPercent": 50}))
    size = 1000 + (28 if family == 4 else 48)
    dst = address(lab, "mon", family)
    own, first = (65536 + 5) // size, (65536 + 20) // size
    came = send(lab, "web", dst, 300, 1000)
    assert own + first <= came <= own + first + 2
    assert send(lab, "api", dst, own, 1000) == own
    assert send(lab, "web", dst, 50, 1000) <= 2
    wait_until(enforcer.flows, WAIT_S, "what is told of it")
    told = enforcer.flows()[0]
    assert (told["reason"], told["policy"]["limit"], told["tenant"]) == (
        "limit", "egressBytesPerSecond", "acme")


# --- what goes on ---


def test_edits_and_restarts_leave_what_was_used(lab, limited):
    shop = ("shop", "/acme/shop", {
        "connectionsPerSecond": SHARED, "burst": 4, "guaranteedPercent": 50,
        "connections": 40})
    bi = ("bi", "/acme/bi", {"connectionsPerSecond": SLOW, "burst": 1})
    enforcer = limited(shop, bi)
    dst = address(lab, "mon", 4)
    assert opened(lab, "web", dst, 6) == 3  # all but what is api's own, rounded
    assert opened(lab, "bi", dst, 3) == 1

    write(enforcer, ("bi", "/acme/bi", bi[2]), ("shop", *shop[1:]))  # other lines
    assert opened(lab, "web", dst, 1) == 0
    write(enforcer, shop, ("bi", "/acme/bi", bi[2] | {"burst": 2}))
    assert opened(lab, "web", dst, 1) == 0
    assert opened(lab, "bi", dst, 3) == 2  # its own is another, and full again
    write(enforcer, ("shop", "/acme/shop", shop[2] | {"connections": 41}), bi)
    assert opened(lab, "web", dst, 1) == 0  # a limit of another kind
    assert opened(lab, "bi", dst, 2) == 1
    enforcer.write("policy.yaml", """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: some, namespace: /acme/shop}
spec: {default: {egress: [{action: allow, to: [{cidr: 0.0.0.0/0}]}]}}
""")
    wait_until(lambda: any("/acme/shop/some" in name for name in enforcer.rules()),
               WAIT_S, "the policy")
    assert opened(lab, "web", dst, 1) == 0
    engine = enforcer.role("engine")
    kill(engine)
    wait_until(lambda: enforcer.answers() and enforcer.role("engine") != engine and
               enforcer.status()["kernel"]["verified"], WAIT_S, "another engine")
    assert opened(lab, "web", dst, 1) == 0
    enforcer.stop()
    assert opened(lab, "web", dst, 1) == 0  # nobody is there, and the limit holds
    enforcer.start()
    assert opened(lab, "web", dst, 1) == 0
    assert opened(lab, "bi", dst, 1) == 0


def test_restart_goes_on_counting_open_connections(lab, limited):
    enforcer = limited(("shop", "/acme/shop", {"connections": 2, "guaranteedPercent": 0}))
    dst = address(lab, "mon", 4)
    held = [lab.connect("web", dst, "tcp", 80) for _ in range(2)]
    enforcer.stop()
    enforcer.start()
    assert opened(lab, "web", dst, 2) == 0
    for connection in held:
        connection.close()
