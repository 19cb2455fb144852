"""Connections that are there when policy changes.

When policy tightens, those that it now forbids end, and no others; nobody brings them back
by what is still under way, from either side. What was there before anybody tracked it
goes on if policy allows it.
"""

import contextlib
import os
import re
import select
import signal
import socket
import struct

import pytest

import lab as lab_module
from enforcerd import Enforcer, kill
from lab import wait_until
from shop import DB, lab, world  # noqa: F401

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

WITHOUT_WEB = DB.replace("ports: [5432/tcp, 53/udp]", "ports: [5433/tcp]")
VIP = {4: "192.0.2.10", 6: "2001:db8:ff::10"}


@pytest.fixture
def idle(lab, tmp_path):
    """A daemon that is not started yet, on a node that knows no connections."""
    it = Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB},
                  established={"adoptSeconds": 0})
    lab.node.exec(["conntrack", "-F"])
    yield it
    it.__exit__()
    lab.node.exec(["nft", "flush", "ruleset"])


@pytest.fixture
def enforcer(idle):
    with idle:
        yield idle


class Stream:
    """A TCP connection with both of its ends in hand."""

    def __init__(self, lab, src, dst, port, version, address=None):
        address = address or lab.host(dst).address(version)
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with lab.host(dst).enter_and(lambda: socket.socket(family)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((lab.host(dst).address(version), port + 10000))
            listener.listen()
            self.client = lab.host(src).enter_and(lambda: socket.socket(family))
            self.client.settimeout(2)
            self.client.connect((address, port + 10000))
            self.server, _ = listener.accept()
        self.server.settimeout(2)

    def close(self):
        """At once: an end that says good-bye again and again would be heard by later tests."""
        for end in (self.client, self.server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    @staticmethod
    def _passes(sender, receiver):
        word = os.urandom(8)
        try:
            sender.send(word)
            return receiver.recv(8) == word
        except OSError:
            return False

    def goes_on(self):
        """Whether words pass, the first from the server."""
        return self.pushes("server") and self.pushes("client")

    def pushes(self, first="server", patience_s=2.0):
        """Whether a word passes in one direction."""
        sender, receiver = ((self.server, self.client) if first == "server"
                            else (self.client, self.server))
        receiver.settimeout(patience_s)
        return self._passes(sender, receiver)

    def is_cut(self, first="server"):
        """Whether a word gets lost; it would have come twice by then, sent again."""
        return not self.pushes(first, 0.35)

    def is_reset(self, end):
        """Wait until an end knows that the connection is over."""
        sock = self.server if end == "server" else self.client
        poller = select.poll()
        poller.register(sock, select.POLLERR | select.POLLHUP)
        return bool(poller.poll(2000))


# db takes web on 15432/tcp and 53/udp, monitoring on 19100/tcp and 53/udp, as DB does
STREAMS = DB.replace("5432/tcp", "15432/tcp").replace(
    "ports: [9100/tcp]", "ports: [19100/tcp, 53/udp]")
TIGHT = STREAMS.replace("ports: [15432/tcp, 53/udp]", "ports: [1/tcp]")


def tracked(lab):
    """{(protocol, src, dst, sport, dport): id} of what the node's conntrack knows."""
    found = {}
    for family in ("ipv4", "ipv6"):
        done = lab.node.exec(["conntrack", "-L", "-f", family, "-o", "id"])
        for line in done.stdout.splitlines():
            match = re.match(r"(\w+) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)",
                             line)
            if match:
                found[match.groups()] = re.search(r"id=(\d+)", line)[1]
    return found


def wait_listed(enforcer, generation=None):
    """Wait until the connections have been judged by what is in force now."""
    if generation:
        enforcer.wait_generation(generation)
    wait_until(lambda: enforcer.status()["connections"]["judged"], 60,
               "connections to be judged")


def change(enforcer, text, name="db.yaml"):
    before = enforcer.generation()
    enforcer.write(name, text)
    wait_listed(enforcer, before + 1)


# --- cutting ---


@pytest.mark.parametrize("version", [4, 6])
def test_exactly_what_is_forbidden_is_cut(lab, enforcer, version):
    change(enforcer, STREAMS)
    with (Stream(lab, "web", "db", 5432, version) as web,
          Stream(lab, "mon", "db", 9100, version) as mon,
          Stream(lab, "db", "web", 80, version) as out,
          Stream(lab, "world", "web", 80, version) as world_web):
        streams = [web, mon, out, world_web]
        assert all(stream.goes_on() for stream in streams)
        change(enforcer, TIGHT)
        assert web.is_cut("server")
        assert web.is_reset("server")
        assert web.is_cut("client")
        assert web.is_reset("client")
        assert all(stream.goes_on() for stream in streams[1:])
    assert enforcer.metric("ringfence_connections_cut_total") == 1


def test_ten_thousand_and_none_but_the_forbidden(lab, enforcer):
    """Half of the UDP flows, and half of the TCP connections; ids tell that the rest is
    what it was."""
    change(enforcer, STREAMS)
    with contextlib.ExitStack() as stack:
        streams = {
            (src, version): [stack.enter_context(Stream(lab, src, "db", port, version))
                             for _ in range(25)]
            for src, port in (("web", 5432), ("mon", 9100)) for version in (4, 6)}
        for src in ("web", "mon"):
            for version in (4, 6):
                send_many(lab, src, "db", 53, version, 2500)
        before = tracked(lab)
        assert len(before) >= 10_000
        change(enforcer, TIGHT)
        after = tracked(lab)
        web = {lab.host("web").address(version) for version in (4, 6)}
        db = {lab.host("db").address(version) for version in (4, 6)}
        kept = {flow: number for flow, number in before.items()
                if not (flow[1] in web and flow[2] in db)}
        assert len(kept) >= 5050 and len(before) - len(kept) == 5050
        assert after == kept
        for (src, _), some in streams.items():
            for stream in some:
                if src == "mon":
                    assert stream.goes_on()
                else:
                    stream.server.send(b"x")
                    assert stream.is_reset("server")
    status = enforcer.status()["connections"]
    assert status["cut"] == 5050 and status["kept"] == 0
    wait_until(lambda: cut_count(enforcer) == 5050, 60, "records of all of them")


def send_many(lab, src, dst, port, version, count):
    """UDP flows with a source port each, answered or not."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    target = (lab.host(dst).address(version), port)

    def send():
        for number in range(count):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.bind(("", 20000 + number))
                sock.sendto(b"x", target)

    lab.host(src).enter_and(send)


def cut_count(enforcer):
    return sum(flow["count"] for flow in enforcer.flows() if flow["verdict"] == "cut")


def test_cut_is_told_with_names_and_rule(lab, enforcer):
    change(enforcer, STREAMS)
    with Stream(lab, "web", "db", 5432, 4):
        change(enforcer, TIGHT)
        flow = wait_until(lambda: [f for f in enforcer.flows()
                                   if f["verdict"] == "cut"], 5, "a record")[0]
    assert flow["src"]["workload"] == "web" and flow["dst"]["workload"] == "db"
    assert flow["dst"]["port"] == 15432 and flow["protocol"] == "tcp"
    assert (flow["direction"], flow["reason"]) == ("ingress", "isolation")
    assert flow["policy"]["name"] == "db" and flow["policy"]["line"] == 8
    assert '"verdict":"cut"' in enforcer.ask("flows").stdout


@pytest.mark.parametrize("version", [4, 6])
def test_udp_and_icmp_are_cut(lab, enforcer, version):
    change(enforcer, DB.replace("53/udp", "53/udp, icmp, icmpv6"))
    assert lab.probe("web", lab.host("db").address(version), "icmp").state == "open"
    with lab.connect("web", lab.host("db").address(version), "udp", 53) as udp:
        assert udp.state == "open"
        change(enforcer, WITHOUT_WEB)
        assert udp.ask() == "closed"
    assert enforcer.status()["connections"]["cut"] == 2


def test_egress_that_a_mandatory_rule_forbids_is_cut(lab, enforcer):
    with (Stream(lab, "web", "world", 80, 4) as stream,
          Stream(lab, "mon", "world", 80, 4) as other):
        change(enforcer, """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: guard, namespace: /acme}
spec:
  mandatory: {egress: [{name: nothing, action: deny, to: [{cidr: 203.0.113.0/24}]}]}
""", "guard.yaml")
        assert stream.is_cut("server") and stream.is_reset("server")
        assert other.goes_on()
    flow = next(f for f in enforcer.flows() if f["verdict"] == "cut")
    assert flow["direction"] == "egress" and flow["policy"]["ruleName"] == "nothing"


def test_translated_connection_is_judged_by_where_it_ends(lab, enforcer):
    lab.node.nft(f"""
        table inet services {{ chain translate {{
            type nat hook prerouting priority dstnat;
            ip daddr {VIP[4]} tcp dport 10080 dnat ip to {lab.host("db").address(4)}:15432;
            ip daddr {VIP[4]} tcp dport 19100 dnat ip to {lab.host("db").address(4)}:19100;
        }}
        }}""")
    change(enforcer, STREAMS)
    with via(lab, "web", 80, 5432) as web, via(lab, "mon", 9100, 9100) as mon:
        assert web.goes_on() and mon.goes_on()
        change(enforcer, TIGHT)
        assert web.is_cut("server") and web.is_reset("server")
        assert mon.goes_on()


@contextlib.contextmanager
def via(lab, src, port, real_port):
    """A stream to db through the address of a service."""
    with lab.host("db").enter_and(socket.socket) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((lab.host("db").address(4), real_port + 10000))
        listener.listen()
        stream = Stream.__new__(Stream)
        stream.client = lab.host(src).enter_and(socket.socket)
        stream.client.settimeout(2)
        stream.client.connect((VIP[4], port + 10000))
        stream.server, _ = listener.accept()
        stream.server.settimeout(2)
    with stream:
        yield stream


def test_what_the_node_began_is_never_cut(lab, enforcer):
    """No document knows the node's address; policy would forbid it to others."""
    with Stream(lab, "node-1", "db", 80, 4) as v4, Stream(lab, "node-1", "db", 80, 6) as v6:
        change(enforcer, TIGHT)
        assert v4.goes_on() and v6.goes_on()


def test_workload_that_is_no_longer_known_is_cut_off(lab, enforcer):
    with Stream(lab, "mon", "web", 80, 4) as mon, Stream(lab, "db", "web", 80, 4) as db:
        change(enforcer, world(lab).replace("name: mon", "name: nom").replace(
            str(lab.host("mon").address(4)), "10.1.200.200"), "world.yaml")
        assert mon.is_cut("server")
        assert db.goes_on()


def test_policy_that_tightened_while_nobody_looked_cuts_at_start(lab, enforcer):
    change(enforcer, STREAMS)
    with (Stream(lab, "web", "db", 5432, 6) as web,
          Stream(lab, "mon", "db", 9100, 6) as mon):
        enforcer.stop()
        enforcer.write("db.yaml", TIGHT)
        enforcer.start()
        wait_listed(enforcer)
        assert web.is_cut("server") and web.is_reset("server")
        assert mon.goes_on()


@pytest.mark.parametrize("role", ["engine", "kernel"])
def test_killed_in_between_cuts_all_the_same(lab, enforcer, role):
    change(enforcer, STREAMS)
    with (Stream(lab, "web", "db", 5432, 4) as web,
          Stream(lab, "mon", "db", 9100, 4) as mon):
        generation = enforcer.generation()
        pid = enforcer.role(role)
        enforcer.write("db.yaml", TIGHT)
        kill(pid)
        wait_until(lambda: enforcer.answers() and any(
            r["name"] == role and r["pid"] != pid
            for r in enforcer.status()["roles"]), 20, f"a new {role}")
        enforcer.wait_state("enforcing")
        wait_until(lambda: enforcer.generation() > generation or role == "engine", 60)
        wait_until(lambda: web.is_cut("client"), 60)
        assert web.is_reset("client")
        assert mon.goes_on()


def test_foreign_flush_lets_nothing_in_for_good(lab, idle):
    """What got through while the table was gone ends when it is back."""
    idle.write_config(tableOwner="never")
    enforcer = idle.start()
    kill(enforcer.role("engine"))
    lab.node.exec(["nft", "flush", "ruleset"])
    try:
        stream = Stream(lab, "world", "db", 80, 4)
    except OSError:
        pytest.skip("healed before anything got through")
    with stream:
        enforcer.wait_state("enforcing")
        wait_listed(enforcer)
        assert stream.is_cut("server") or stream.is_cut("client")


# --- keeping ---


def test_established_keep_goes_on(lab, idle):
    idle.write_config(established="keep")
    with idle:
        change(idle, STREAMS)
        with Stream(lab, "web", "db", 5432, 4) as web:
            change(idle, TIGHT)
            assert web.goes_on()
            lab.node.exec(["conntrack", "-F"])
            # in mid-stream it is judged like any other packet: the server may
            assert web.pushes("server")
            assert idle.status()["connections"]["judged"]  # nothing waits for it
        assert lab.probe("web", "db", "tcp", 15432).state == "closed"


def test_what_was_kept_ends_once_nothing_is(lab, idle):
    idle.write_config(established="keep")
    with idle:
        change(idle, STREAMS)
        with Stream(lab, "web", "db", 5432, 4) as web:
            change(idle, TIGHT)
            assert web.goes_on()
            seen = len(idle.log())
            idle.write_config(established={"adoptSeconds": 0})
            idle.process.send_signal(signal.SIGHUP)
            idle.wait_log(" reloaded ", seen)
            wait_until(lambda: web.is_cut("client"), 30, "the end of it")
            assert web.is_reset("client")


@pytest.mark.parametrize("established,kept", [
    ({"keep": ["/acme"]}, True),
    ({"keep": ["/acme"], "cut": ["/acme/shop"]}, False),
    ({"default": "keep", "cut": ["/acme/sho"]}, True),
    ({"default": "keep", "cut": ["/"]}, False),
    ({"keep": ["/ops"]}, False),  # the other end's namespace is not asked
])
def test_established_is_kept_by_subtree(lab, idle, established, kept):
    idle.write_config(established={"adoptSeconds": 0} | established)
    with idle:
        change(idle, STREAMS)
        with Stream(lab, "web", "db", 5432, 4) as web:
            change(idle, TIGHT)
            assert web.goes_on() if kept else web.is_cut()
        connections = idle.status()["connections"]
        assert (connections["cut"], connections["kept"] > 0) == (int(not kept), kept)


OPS_MAY_NOT = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: ops, namespace: /ops}
spec: {mandatory: {egress: [{action: deny, to: [{namespace: /acme}]}]}}
"""
EVERYBODY_MAY = OPS_MAY_NOT.replace("/ops", "/").replace(
    "{mandatory: {egress: [{action: deny, to: [{namespace: /acme}]}]}}",
    "{mandatory: {egress: [{action: allow}], ingress: [{action: allow}]}}")


@pytest.mark.parametrize("version,default,before,kept,cut", [
    (4, "allow", {}, {"ops.yaml": OPS_MAY_NOT}, {"db.yaml": TIGHT.replace("19100", "1")}),
    # the same rule at both ends: the cluster's default
    (6, "deny", {"ops.yaml": EVERYBODY_MAY},
     {"ops.yaml": EVERYBODY_MAY.replace("egress: [{action: allow}], ", "")},
     {"ops.yaml": "# nothing\n"}),
])
def test_what_one_end_keeps_the_other_ends(lab, idle, version, default, before, kept, cut):
    """Policy of both ends forbids it at last, and one subtree alone keeps."""
    idle.write("db.yaml", STREAMS if default == "allow" else "# nothing\n")
    for name, text in before.items():
        idle.write(name, text)
    idle.write_config(established={"adoptSeconds": 0, "keep": ["/ops"]},
                      clusterDefault=default)
    with idle, Stream(lab, "mon", "db", 9100, version) as mon:
        assert mon.goes_on()
        (name, text), = kept.items()
        change(idle, text, name)
        assert mon.goes_on() and idle.status()["connections"]["cut"] == 0
        (name, text), = cut.items()
        change(idle, text, name)
        assert mon.is_cut("server") and mon.is_reset("server")
        flow = wait_until(lambda: [f for f in idle.flows() if f["verdict"] == "cut"], 30,
                          "a record")[0]
    assert flow["direction"] == "ingress" and flow["dst"]["workload"] == "db"


# --- only watching ---


def audited(enforcer):
    return [flow for flow in enforcer.flows() if flow["verdict"] == "audit"]


@pytest.mark.parametrize("established", ["cut", "keep"])
def test_policy_in_audit_denies_nothing_and_tells_what_it_would(lab, idle, established):
    watched = STREAMS.replace("spec:\n", "spec:\n  enforcement: audit\n")
    idle.write("db.yaml", watched)
    idle.write_config(established=established)
    with idle:
        assert idle.status()["auditPolicies"] == 1 and idle.status()["policies"] == 0
        assert "watched:    1 policies, which deny nothing" in idle.ask("status").stdout
        with (Stream(lab, "world", "db", 80, 4) as forbidden,
              Stream(lab, "web", "db", 5432, 6) as allowed):
            assert forbidden.goes_on() and allowed.goes_on()
            wait_until(lambda: audited(idle), 60, "a record")
            lists = idle.status()["connections"]["lists"]
            wait_until(lambda: idle.status()["connections"]["lists"] >= lists + 1, 60,
                       "another list")
            status = idle.status()
            assert status["connections"]["audited"] == 1  # and told of once
            assert status["connections"]["cut"] == 0
            assert [rule["connections"] for rule in status["audited"]] == [1]
            flow, = audited(idle)
            assert flow["dst"]["workload"] == "db" and flow["reason"] == "isolation"
            assert flow["policy"]["name"] == "db" and flow["direction"] == "ingress"
            rule, = idle.ask_json("rules", "--verdict", "audit", "--used")
            assert (rule["action"], rule["packets"], rule["bytes"]) == ("audit", 1, 0)
            assert (rule["policy"], rule["isolation"], rule["file"], rule["line"]) == (
                "db", True, flow["policy"]["file"], flow["policy"]["line"])
            numbers = [rule["number"] for rule in idle.ask_json("rules")]
            assert rule["number"] in numbers and numbers == sorted(set(numbers))
            asked = idle.ask_json("explain", "203.0.113.1", "/acme/shop/db", "80/tcp")
            assert asked["verdict"] == "allow"
            assert asked["families"][0]["watched"]["ingress"]["reason"] == "isolation"
            assert "would deny: 1 connections by Policy /acme/shop/db" in \
                idle.ask("status").stdout
            assert idle.metric("ringfence_audit_denied_connections_total") == 1
            assert idle.metric('ringfence_flow_packets_total{verdict="deny"}') == 0
            assert forbidden.goes_on()
            change(idle, STREAMS)
            if established == "cut":
                assert forbidden.is_cut("server") and allowed.goes_on()
            assert lab.probe("world", "db", "tcp", 10080).state == "closed"


# --- in mid-stream ---


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("end", ["server", "client"])
def test_mid_stream_of_an_unknown_connection_is_reset(lab, enforcer, version, end):
    """Although policy lets either end open a connection to the other."""
    change(enforcer, STREAMS)
    with Stream(lab, "web", "db", 5432, version) as web:
        lab.node.exec(["conntrack", "-F"])
        assert web.is_cut(end)
        assert web.is_reset(end)
        assert not tracked(lab)
    rule = next(r for r in enforcer.ask_json("rules") if r["number"] == 4)
    assert rule["packets"] >= 1
    wait_until(lambda: any(f["reason"] == "midstream" for f in enforcer.flows()), 60)


def test_mid_stream_that_no_policy_governs_goes_on(lab, enforcer):
    with Stream(lab, "world", "web", 80, 4) as stream:
        lab.node.exec(["conntrack", "-F"])
        assert stream.goes_on()


# --- adopting ---


@pytest.mark.parametrize("version", [4, 6])
def test_allowed_connection_of_before_is_adopted(lab, idle, version):
    """From the first word on, whichever end says it; the others end with the window."""
    idle.write("db.yaml", STREAMS)
    idle.write_config(established={"adoptSeconds": 2}, boot="open")
    with (Stream(lab, "web", "db", 5432, version) as web,
          Stream(lab, "web", "db", 5432, version) as other,
          Stream(lab, "world", "db", 80, version) as forbidden):
        assert not tracked(lab)  # nobody has looked yet
        with idle:
            assert web.pushes("server") and web.pushes("client")
            assert other.pushes("client") and other.pushes("server")
            assert forbidden.is_cut("server")
            idle.wait_log("adoption-ends adopted=2")
            # what waited to be sent again, comes, and is reset
            assert forbidden.is_reset("server")
            assert web.goes_on() and other.goes_on()
            change(idle, TIGHT)
            assert web.is_cut("server") and web.is_reset("server")
        assert idle.log().count("adoption-ends") == 1


def test_what_is_cut_is_not_adopted(lab, idle):
    """In the very moment in which others are, from either side."""
    idle.write_config(established={"adoptSeconds": 60})
    with idle:
        change(idle, STREAMS)
        with Stream(lab, "web", "db", 5432, 4) as web:
            change(idle, TIGHT)
            assert web.is_cut("server") and web.is_cut("client")
            assert not tracked(lab)


def test_later_programs_adopt_nothing(lab, enforcer):
    change(enforcer, STREAMS)
    with Stream(lab, "web", "db", 5432, 4) as web:
        enforcer.stop()
        enforcer.write_config(established={"adoptSeconds": 60})
        lab.node.exec(["conntrack", "-F"])
        enforcer.start()
        assert web.is_cut("server") and web.is_reset("server")


def test_forged_mid_stream_is_not_adopted(lab, idle):
    """A workload that may not open a connection cannot make one by pretending that it is
    there: what is adopted is what policy allows."""
    idle.write("db.yaml", STREAMS)
    idle.write_config(established={"adoptSeconds": 60})
    with Stream(lab, "world", "db", 80, 4) as stream:
        with idle:
            assert stream.is_cut("client") and stream.is_cut("server")
            assert not tracked(lab)
