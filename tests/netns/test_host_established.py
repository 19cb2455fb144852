"""Connections of the node itself that are there when policy for it changes.

Those that it now forbids end, whoever began them; nobody brings them back from the other
side. What a fail-safe port is about, and what the node began to its own workloads, goes on.
"""

import pytest

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until
from test_established import Stream, change
from test_host import WORLD

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

NOTHING = "# nothing\n"
RULES = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{name: node, namespace: /}}
spec:
  node: {{}}
  {enforcement}mandatory: {{{direction}: [{{name: shut, action: deny, {rest}}}]}}
"""
SAFE = {"ingress": ["22/tcp", "10022/tcp"], "egress": ["10053/tcp"]}


def closed(direction, rest="", enforcement=""):
    return RULES.format(direction=direction, rest=rest, enforcement=enforcement)


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(["web"])
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        yield lab


@pytest.fixture
def idle(lab, tmp_path):
    """A daemon for a node that policy may be about, which is not started yet."""
    node, web = lab.node, lab.host("web")
    world = WORLD.format(v4=node.address(4), v6=node.address(6),
                         w4=web.address(4), w6=web.address(6))
    it = Enforcer(node, tmp_path, {"world.yaml": world, "host.yaml": NOTHING},
                  established={"adoptSeconds": 0},
                  hostProtection={"enforce": True, "failSafe": SAFE})
    node.exec(["conntrack", "-F"])
    yield it
    it.__exit__()
    node.exec(["nft", "flush", "ruleset"])


@pytest.fixture
def enforcer(idle):
    with idle:
        yield idle


class Streams:
    """One to the node, one from it, and what nothing of it may end."""

    def __init__(self, lab, version):
        self.began = Stream(lab, "node-1", "world", 80, version)
        self.taken = Stream(lab, "world", "node-1", 80, version)
        self.safe = [Stream(lab, "world", "node-1", 22, version),
                     Stream(lab, "node-1", "world", 53, version),
                     Stream(lab, "node-1", "web", 80, version)]

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        for stream in (self.began, self.taken, *self.safe):
            stream.close()


def dies(stream, first, second):
    """Whichever end says something first, and then the other, it is over."""
    return (stream.is_cut(first) and stream.is_reset(first) and
            stream.is_cut(second) and stream.is_reset(second))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("first,second", [("server", "client"), ("client", "server")])
@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_what_is_forbidden_is_cut(lab, enforcer, version, first, second, direction):
    with Streams(lab, version) as streams:
        forbidden, other = ((streams.began, streams.taken) if direction == "egress"
                            else (streams.taken, streams.began))
        assert forbidden.goes_on() and other.goes_on()
        change(enforcer, closed(direction), "host.yaml")
        assert dies(forbidden, first, second)
        assert other.goes_on() and all(stream.goes_on() for stream in streams.safe)
    assert enforcer.status()["connections"]["cut"] == 1
    flow = wait_until(lambda: [f for f in enforcer.flows() if f["verdict"] == "cut"], 30,
                      "a record")[0]
    end = flow["src" if direction == "egress" else "dst"]
    assert flow["direction"] == direction and end["node"] == "node-1"
    assert flow["policy"]["ruleName"] == "shut"


def test_udp_is_cut(lab, enforcer):
    lab.listen("world", "udp", 9000)
    with lab.connect("node-1", lab.host("world").address(4), "udp", 9000) as udp:
        assert udp.state == "open"
        change(enforcer, closed("egress"), "host.yaml")
        assert udp.ask() == "closed"
    assert enforcer.status()["connections"]["cut"] == 1


def test_workload_that_may_not_reach_the_node_is_cut(lab, enforcer):
    """Policy for the node says nothing, and what the node sends to workloads is free."""
    with (Stream(lab, "web", "node-1", 80, 4) as web,
          Stream(lab, "world", "node-1", 80, 4) as other):
        change(enforcer, """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: web, namespace: /shop}
spec: {mandatory: {egress: [{action: deny, to: [{node: node-1}]}]}}
""", "web.yaml")
        assert dies(web, "server", "client")
        assert other.goes_on()


def test_policy_in_audit_cuts_nothing_and_tells(lab, enforcer):
    with Streams(lab, 4) as streams:
        change(enforcer, closed("egress", enforcement="enforcement: audit\n  "),
               "host.yaml")
        flow = wait_until(lambda: [f for f in enforcer.flows() if f["verdict"] == "audit"],
                          60, "a record")[0]
        assert flow["src"]["node"] == "node-1" and flow["direction"] == "egress"
        assert streams.began.goes_on()
    status = enforcer.status()["connections"]
    assert status["cut"] == 0 and status["audited"] == 1


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_what_was_there_before_is_judged(lab, idle, version, direction):
    """Before anybody tracked it: as workloads' connections are."""
    idle.write("host.yaml", closed(direction))
    idle.write_config(established={"adoptSeconds": 3})
    with Streams(lab, version) as streams:
        forbidden, other = ((streams.began, streams.taken) if direction == "egress"
                            else (streams.taken, streams.began))
        with idle:
            assert other.pushes("server") and other.pushes("client")
            for stream in streams.safe:
                assert stream.pushes("client") and stream.pushes("server")
            assert forbidden.is_cut("server") and forbidden.is_cut("client")
            idle.wait_log("adoption-ends")
            assert forbidden.is_reset("server") and forbidden.is_reset("client")
            for stream in (other, *streams.safe):
                assert stream.goes_on()


def test_what_conntrack_forgot_goes_on_at_fail_safe_ports(lab, enforcer):
    with Streams(lab, 4) as streams:
        change(enforcer, closed("egress"), "host.yaml")
        lab.node.exec(["conntrack", "-F"])
        ssh, dns, web = streams.safe
        assert ssh.pushes("client") and ssh.pushes("server")
        assert dns.pushes("client") and dns.pushes("server")
        assert web.pushes("client") and web.pushes("server")


def test_what_conntrack_knows_the_wrong_way_round_goes_on(lab, enforcer):
    """The node, which answers at a fail-safe port, is taken for who began."""
    with Streams(lab, 4) as streams:
        lab.node.exec(["conntrack", "-F"])
        assert streams.safe[0].pushes("server") and streams.began.pushes("client")
        change(enforcer, closed("egress"), "host.yaml")
        assert streams.safe[0].pushes("server") and streams.safe[0].pushes("client")
        assert streams.began.is_cut("server")
    assert enforcer.status()["connections"]["cut"] == 1


@pytest.mark.parametrize("version", [4, 6])
def test_what_the_node_began_to_who_is_governed_goes_on(lab, enforcer, version):
    """Policy for ingress does not bind the node, also where conntrack forgot what it began."""
    change(enforcer, """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: web, namespace: /shop}
spec: {mandatory: {ingress: [{action: deny}]}}
""", "web.yaml")
    for first, second in (("client", "server"), ("server", "client")):
        with Stream(lab, "node-1", "web", 80, version) as stream:
            lab.node.exec(["conntrack", "-F"])
            assert stream.pushes(first) and stream.pushes(second)
