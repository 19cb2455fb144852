"""Rules by domain name where answers wait: who has an answer of the node's own resolver may use it,
from the first packet on; and what that resolver believes, forwards and puts up with."""

import os
import signal
import socket
import struct
import subprocess
import threading

import pytest

import lab as lab_module
from dnslab import (A, AAAA, ANY, AXFR, CNAME, HTTPS, Upstream, addresses, answer, ask,
                    ask_tcp, asked_type, name_bytes, question, rcode, record, says)
from enforcerd import Enforcer, kill, rf, role_facts
from lab import Lab, wait_until
from shop import workloads
from test_names import audit, known, recorded

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLACES = {"web": "/acme/shop", "etl": "/bi", "free": "/free"}
REAL, FAKE, STRANGER = "192.0.2.53", "192.0.2.55", "192.0.2.99"
OWN = {4: "169.254.20.10", 6: "fd00:53::10"}
NAMES = int(os.environ.get("RINGFENCE_NAMES", "100"))
SERVICE, REAL6 = "10.96.0.10", "2001:db8:53::53"
SERVFAIL, NXDOMAIN, REFUSED, FORMERR, NOTIMP = 2, 3, 5, 1, 4
FORGED, TRUE, HALF = "203.0.113.66", "203.0.113.20", "203.0.113.24"
HINT = {4: "203.0.113.25", 6: "2001:db8:c::25"}
RECORDS = """\
no-resolv
no-hosts
no-daemon
user=root
bind-interfaces
listen-address=192.0.2.53,2001:db8:53::53
host-record=six.cards.example,203.0.113.7,2001:db8:c::7
host-record=real.example,203.0.113.10
cname=middle.example,real.example
cname=www.cards.example,middle.example
host-record=hole.cards.example,203.0.113.11
host-record=after.cards.example,203.0.113.12
host-record=killed.cards.example,203.0.113.13
host-record=stopped.cards.example,203.0.113.14
host-record=t1.cards.example,203.0.113.15
host-record=t2.cards.example,203.0.113.16
host-record=nobody.example,203.0.113.17
host-record=reload.cards.example,203.0.113.19
host-record=calm.cards.example,203.0.113.18
host-record=less.cards.example,203.0.113.21
host-record=service.cards.example,203.0.113.22
host-record=over6.cards.example,203.0.113.23
txt-record=words.cards.example,any
"""
POLICY = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{name: out, namespace: {ns}}}
spec:
  allow:
    egress:
      - {{name: dns, to: [{{cidr: 169.254.20.10/32}}, {{cidr: "fd00:53::10/128"}}], ports: [53/udp, 53/tcp]}}
      - {{name: pay, to: [{{fqdn: "*.cards.example"}}], ports: [443/tcp]}}
---
"""


MORE = """\
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: more, namespace: /more, labels: {{app: a{app}}}}}
spec: {{node: node-2, ips: [10.2.0.1]}}
{namespace}"""
CHANGED = """\
---
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {{name: /more/n{i}}}
"""


class Tricks:
    """What the first resolver does about a name that it has heard of; of others it wants to know nothing."""

    def __init__(self):
        self.asked = []
        self.go_on = threading.Event()

    def reply(self, query, name, tcp):
        self.asked.append(name)
        ident = struct.unpack("!H", query[:2])[0]
        first = name.split(".")[0].lower()
        if first == "lie":
            yield STRANGER, answer(query, FORGED)
            yield answer(query, FORGED, ident=ident ^ 1)
            yield answer(query, FORGED, name="pay.cards.example")
            yield query + b"\0"
            yield answer(query, TRUE)
            yield answer(query, FORGED)  # too late
        elif first == "big" and not tcp:
            yield query[:2] + struct.pack("!5H", 0x8380, 1, 0, 0, 0) + query[12:]
        elif first == "big":
            records = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", A, 1, 300, 4) + bytes([203, 0, 113, 100 + i])
                               for i in range(60))
            yield query[:2] + struct.pack("!5H", 0x8180, 1, 60, 0, 0) + query[12:] + records
        elif first.startswith("storm"):
            for i in range(64):
                yield answer(query, FORGED, ident=(ident + 1 + i) % 65536)
        elif first == "service" and asked_type(query) == HTTPS:
            hints = struct.pack("!2H", 4, 4) + socket.inet_aton(HINT[4]) + \
                struct.pack("!2H", 6, 16) + socket.inet_pton(socket.AF_INET6, HINT[6])
            yield says(query, record(HTTPS, struct.pack("!H", 1) + b"\0" + hints))
        elif first == "wide":
            yield says(query, *(record(A, bytes([203, 0, 113, 170 + i])) for i in range(60)))
        elif first == "none":
            yield says(query, code=NXDOMAIN if asked_type(query) == A else 0)
        elif first == "alias":
            yield says(query, record(CNAME, name_bytes("half.example")))
        elif first == "half":
            yield says(query, record(A, socket.inet_aton(HALF)))
        elif first == "late":
            self.go_on.wait(60)
            yield answer(query, FORGED)
        elif not first.startswith("hole"):
            yield query[:2] + struct.pack("!5H", 0x8180 | REFUSED, 1, 0, 0, 0) + query[12:]


@pytest.fixture(scope="module")
def tricks():
    return Tricks()


@pytest.fixture(scope="module")
def lab(tmp_path_factory, tricks):
    directory = tmp_path_factory.mktemp("dns")
    records = RECORDS + "".join(f"host-record=n{i}.cards.example,198.18.{i // 250}.{1 + i % 250}\n" for i in range(NAMES))
    records += "".join(f"host-record=c{i}.cards.example,198.19.{i // 250}.{1 + i % 250}\n" for i in range(NAMES))
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("dns", [REAL, REAL6, FAKE, STRANGER])
        lab.add_outside("world", ["203.0.113.0/24", "198.18.0.0/15", "2001:db8:c::/48"])
        lab.listen_all([80, 443], ["world"])
        for address in OWN.values():
            lab.node.exec(["ip", "addr", "add", address, "dev", "lo"] + (["nodad"] if ":" in address else []))
        (directory / "dnsmasq.conf").write_text(records)
        lab.host("dns").popen(["/usr/sbin/dnsmasq", "-C", str(directory / "dnsmasq.conf")],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        upstream = Upstream(lab.host("dns"), FAKE, tricks.reply)
        tricks.heard = upstream.heard
        yield lab
        upstream.close()


@pytest.fixture(scope="module")
def enforcer(lab, tmp_path_factory):
    files = {"policy.yaml": POLICY.format(ns="/acme") + POLICY.format(ns="/bi"),
             "world.yaml": workloads(lab, PLACES)}
    dns = {"resolvers": [FAKE, REAL], "mode": "hold", "listen": [f"{OWN[4]}:53", f"[{OWN[6]}]:53"]}
    directory = tmp_path_factory.mktemp("hold")
    with Enforcer(lab.node, directory, files, dns=dns, audit=audit(directory)) as it:
        wait_until(lambda: rcode(ask(lab.host("free"), OWN[4], "real.example")) == 0, 30, "dnsmasq")
        yield it
    lab.node.exec(["nft", "flush", "ruleset"])
    lab.conntrack_flush()


def counted(enforcer, what):
    return enforcer.status()["names"]["resolver"][what]


def connects(address, port=443):
    """Whether one can connect from here; the first packet alone decides: it is not sent again in time."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(30)
        return sock.connect_ex((address, port)) == 0


def denied(enforcer, address):
    return [flow for flow in enforcer.flows() if flow["dst"]["address"] == address and flow["dst"]["port"] == 443]


def opens(lab, enforcer, src, address):
    """The first packet gets through: none was denied."""
    assert lab.host(src).enter_and(lambda: connects(address))
    assert not denied(enforcer, address)


def is_denied(lab, enforcer, address):
    """What nobody named is, and all that was denied before is on record as well."""
    assert lab.probe("web", address, "tcp", 443, timeout_ms=200).state != "open"
    wait_until(lambda: denied(enforcer, address), 30, "a record of what is denied")


def test_the_first_packet_after_an_answer_always_passes(lab, enforcer):
    def ask_and_connect():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.connect((OWN[4], 53))
            for i in range(NAMES):
                sock.send(question(f"n{i}.cards.example", A, i))
                reply = sock.recv(4096)
                assert reply[:2] == struct.pack("!H", i) and rcode(reply) == 0
                assert connects(addresses(reply, 1)[0])
    lab.host("web").enter_and(ask_and_connect)
    is_denied(lab, enforcer, "203.0.113.250")
    assert {flow["dst"]["address"] for flow in enforcer.flows()} == {"203.0.113.250"}
    wait_until(lambda: counted(enforcer, "held") >= NAMES, 30, "all to be counted")
    assert counted(enforcer, "late") == 0
    wait_until(lambda: sum(int(event["annotations"].get("ringfence.dev/count", 1))
                           for event in recorded(enforcer, "name-learnt")) == NAMES, 30, "each to be on record")


def test_no_packet_comes_too_early_whatever_else_changes(lab, enforcer):
    """Files change, all is loaded anew, the kernel role is killed: an answer may fail, but none is too early."""
    done = threading.Event()
    connected = []

    def change():
        for i in range(1000):
            enforcer.write("more.yaml", MORE.format(app=i, namespace="" if i % 8 else CHANGED.format(i=i)))
            if done.wait(0.02):
                return

    def connect_all():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.connect((OWN[4], 53))
            for i in range(NAMES):
                while not connected[i:]:
                    sock.send(question(f"c{i}.cards.example", A, i))
                    reply = sock.recv(4096)
                    if rcode(reply) == 0 and connects(addresses(reply, 1)[0]):
                        connected.append(addresses(reply, 1)[0])
                if i == NAMES // 2:
                    kill(enforcer.role("kernel"))

    before = len(enforcer.flows())
    changes = threading.Thread(target=change)
    changes.start()
    try:
        lab.host("web").enter_and(connect_all)
    finally:
        done.set()
        changes.join()
    assert len(connected) == NAMES
    is_denied(lab, enforcer, "203.0.113.251")
    assert not [flow for flow in enforcer.flows()[before:] if flow["dst"]["address"] in connected]


@pytest.mark.parametrize("family, kind, address", [(4, AAAA, "2001:db8:c::7"), (6, A, "203.0.113.7")])
def test_both_families_carry_both(lab, enforcer, family, kind, address):
    assert rcode(ask(lab.host("web"), OWN[family], "six.cards.example", kind)) == 0
    opens(lab, enforcer, "web", address)
    assert lab.probe("etl", address, "tcp", 443, timeout_ms=200).state != "open"


def test_an_alias_leads_to_addresses(lab, enforcer):
    reply = ask(lab.host("web"), OWN[4], "WWW.cards.example")
    assert b"\3WWW\5cards" in reply  # as it was asked
    opens(lab, enforcer, "web", "203.0.113.10")


def test_many_queries_over_one_connection(lab, enforcer):
    replies = ask_tcp(lab.host("web"), OWN[6], ["t1.cards.example", "t2.cards.example", "none.cards.example"])
    assert [rcode(reply) for reply in replies] == [0, 0, NXDOMAIN]
    for address in ("203.0.113.15", "203.0.113.16"):
        opens(lab, enforcer, "web", address)


def test_what_is_too_long_comes_over_tcp(lab, enforcer):
    short = ask(lab.host("web"), OWN[4], "big.cards.example")
    assert short[2] & 2 and len(short) < 100
    long, = ask_tcp(lab.host("web"), OWN[4], ["big.cards.example"])
    for address in addresses(long, 60)[::20]:
        opens(lab, enforcer, "web", address)


def test_what_does_not_fit_the_question_is_passed_over(lab, enforcer):
    before = counted(enforcer, "forged")
    reply = ask(lab.host("web"), OWN[4], "lie.cards.example")
    assert addresses(reply, 1) == [TRUE]
    opens(lab, enforcer, "web", TRUE)
    assert not [entry for entry in known(enforcer) if entry[2] == FORGED]
    wait_until(lambda: counted(enforcer, "forged") == before + 3, 30, "forged answers to be counted")


def test_a_resolver_that_is_silent_is_not_waited_for(lab, enforcer, tricks):
    assert addresses(ask(lab.host("web"), OWN[4], "hole.cards.example"), 1) == ["203.0.113.11"]
    assert "hole.cards.example" in tricks.asked
    opens(lab, enforcer, "web", "203.0.113.11")


def test_an_answer_that_comes_too_late_is_none(lab, enforcer, tricks):
    before = counted(enforcer, "failed")
    reply = ask(lab.host("web"), OWN[4], "late.cards.example")
    assert rcode(reply) in (SERVFAIL, REFUSED) and len(reply) < 60
    tricks.go_on.set()
    assert counted(enforcer, "failed") >= before
    assert not [entry for entry in known(enforcer) if entry[2] == FORGED]


def test_what_is_no_query_is_refused(lab, enforcer):
    def say(message):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.connect((OWN[4], 53))
            sock.send(message)
            return sock.recv(512)
    plain = question("real.example", A, 7)
    two = plain[:4] + struct.pack("!H", 2) + plain[6:] + plain[12:]
    update = plain[:2] + struct.pack("!H", 5 << 11) + plain[4:]
    host = lab.host("web")
    assert rcode(host.enter_and(lambda: say(two))) == FORMERR
    assert rcode(host.enter_and(lambda: say(update))) == NOTIMP
    before, role = counted(enforcer, "malformed"), enforcer.role("dns")
    for junk in (b"", b"\0" * 11, plain[:-1], plain[:2] + b"\x81\x80" + plain[4:], plain + b"\0" * 5000):
        assert rcode(host.enter_and(lambda junk=junk: (send_only(junk), say(plain))[1])) == 0
    wait_until(lambda: counted(enforcer, "malformed") == before + 5, 30, "junk to be counted")
    assert enforcer.role("dns") == role


def send_only(message):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(message, (OWN[4], 53))


@pytest.mark.parametrize("version", OWN)
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_nobody_else_listens_there(lab, enforcer, version, kind):
    """Whoever may bind on the node gets none of what workloads ask."""
    def listen():
        with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, kind) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((OWN[version], 53))
            if kind == socket.SOCK_STREAM:
                sock.listen()
    with pytest.raises(OSError, match="in use"):
        lab.node.enter_and(listen)


def test_only_workload_networks_are_answered(lab, enforcer):
    before = counted(enforcer, "strangers")
    with pytest.raises(OSError):
        ask(lab.node, OWN[4], "real.example", timeout_s=0.2)
    wait_until(lambda: counted(enforcer, "strangers") > before, 30, "a stranger to be counted")


def test_who_has_no_rules_by_name_teaches_nothing(lab, enforcer):
    assert rcode(ask(lab.host("free"), OWN[4], "nobody.example")) == 0
    assert not [entry for entry in known(enforcer) if entry[1] == "nobody.example"]


def test_a_flood_of_one_tenant_is_its_own(lab, enforcer):
    def flood():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((OWN[4], 53))
            for i in range(1500):
                sock.send(question(f"hole-{i}.bi.example", A, i))
    before = counted(enforcer, "over")
    lab.host("etl").enter_and(flood)
    assert addresses(ask(lab.host("web"), OWN[4], "calm.cards.example"), 1) == ["203.0.113.18"]
    opens(lab, enforcer, "web", "203.0.113.18")
    wait_until(lambda: counted(enforcer, "over") > before, 30, "the flood to be cut")


def test_nothing_is_said_that_the_kernel_does_not_know(lab, enforcer):
    """An engine that says nothing is waited for once; what comes next fails at once."""
    engine = enforcer.role("engine")
    before = {what: counted(enforcer, what) for what in ("late", "unheard")}
    os.kill(engine, signal.SIGSTOP)
    try:
        assert rcode(ask(lab.host("web"), OWN[4], "words.cards.example", 16)) == 0  # has no address
        assert rcode(ask(lab.host("web"), OWN[4], "stopped.cards.example")) == SERVFAIL
        for name in ("stopped.cards.example", "t1.cards.example", "six.cards.example"):
            assert rcode(ask(lab.host("web"), OWN[4], name)) == SERVFAIL
        assert rcode(ask(lab.host("web"), OWN[4], "none.cards.example")) == NXDOMAIN
        assert rcode(ask(lab.host("web"), OWN[4], "none.cards.example", AAAA)) == 0
    finally:
        os.kill(engine, signal.SIGCONT)
    wait_until(lambda: rcode(ask(lab.host("web"), OWN[4], "stopped.cards.example")) == 0, 30, "the engine")
    opens(lab, enforcer, "web", "203.0.113.14")
    wait_until(lambda: counted(enforcer, "unheard") >= before["unheard"] + 3, 30, "what failed to be counted")
    assert counted(enforcer, "late") == before["late"] + 1
    assert "engine-silent" in enforcer.log() and "engine-heard" in enforcer.log()


def test_it_is_told_how_it_goes(enforcer):
    assert enforcer.metric("ringfence_dns_resolver_held_total") >= NAMES
    assert enforcer.metric("ringfence_dns_resolver_waiting") >= 0
    text = enforcer.ask("status").stdout
    assert "resolver:   connected yes, " in text and "names:      " in text
    assert enforcer.status()["names"]["mode"] == "hold"


def test_the_role_has_no_privilege(enforcer):
    facts = role_facts(enforcer.role("dns"))
    assert facts["uid"] != "0" and facts["caps"] == facts["permitted"] == 0
    assert facts["locked"] == "1" and facts["root"] == []
    assert rf.sanitized() or facts["seccomp"] == "2"


def resolvers_are(enforcer, resolvers):
    since = len(enforcer.log())
    enforcer.write_config(dns=enforcer.config["dns"] | {"resolvers": resolvers})
    enforcer.process.send_signal(signal.SIGHUP)
    enforcer.wait_log("reloaded", since)


def test_hints_of_services_wait_as_addresses_do(lab, enforcer):
    assert rcode(ask(lab.host("web"), OWN[4], "service.cards.example", HTTPS)) == 0
    for address in HINT.values():
        opens(lab, enforcer, "web", address)
    assert {entry[2] for entry in known(enforcer) if entry[1] == "service.cards.example"} == set(HINT.values())


@pytest.mark.parametrize("tell", [ask, lambda host, server, name, kind: ask_tcp(host, server, [name], kind)[0]])
def test_little_is_said_of_whatever_there_is(lab, enforcer, tricks, tell):
    reply = tell(lab.host("web"), OWN[4], "whatever.cards.example", ANY)
    assert rcode(reply) == 0 and reply.endswith(b"\7RFC8482\0")
    assert rcode(tell(lab.host("web"), OWN[4], "whatever.cards.example", AXFR)) == REFUSED
    assert "whatever.cards.example" not in tricks.asked


def test_an_alias_without_an_address_is_another_name(lab, enforcer):
    """What another answer says of whom it leads to is of that name, as if nobody had led there."""
    assert rcode(ask(lab.host("web"), OWN[4], "alias.cards.example")) == 0
    assert addresses(ask(lab.host("web"), OWN[4], "half.example"), 1) == [HALF]
    assert [entry for entry in known(enforcer) if entry[2] == HALF] == [("/acme", "half.example", HALF)]
    is_denied(lab, enforcer, HALF)


def test_a_query_goes_as_it_is_from_anywhere(lab, enforcer, tricks):
    """With its EDNS and its letters' case; with another port and id each time."""
    count, option = 24, b"\0\0\x29" + struct.pack("!HIH", 4096, 0, 0)

    def ask_all():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.connect((OWN[4], 53))
            for i in range(count):
                query = bytearray(question(f"wIDe.X{i}.example", A, i) + option)
                query[11] = 1
                sock.send(query)
                reply = sock.recv(4096)
                assert len(reply) > 900 and reply[:2] == query[:2] and b"\4wIDe" in reply
    lab.host("free").enter_and(ask_all)
    heard = [(port, query) for name, port, query in tricks.heard if name.startswith("wIDe.")]
    assert len(heard) == count
    for i, (_, query) in enumerate(heard):
        assert query[2:] == question(f"wIDe.X{i}.example", A, 0)[2:11] + b"\1" + question(
            f"wIDe.X{i}.example", A, 0)[12:] + option
    # Of 28,000 ports and 65,536 ids, hardly two are the same.
    assert len({port for port, _ in heard}) > count - 4
    assert len({query[:2] for _, query in heard}) > count - 4
    assert [query[:2] for _, query in heard] != sorted(query[:2] for _, query in heard)


def test_a_resolver_that_floods_is_not_asked_for_ever(lab, enforcer, tricks):
    """So many answers that do not fit end a query: they do not make it ask on."""
    resolvers_are(enforcer, [FAKE])
    tries = iter(range(100))

    def fails():
        name = f"storm{next(tries)}.cards.example"
        return rcode(ask(lab.host("web"), OWN[4], name)) == SERVFAIL and tricks.asked.count(name) == 4
    wait_until(fails, 30, "the query to fail")


@pytest.mark.parametrize("resolver, name, address", [
    (SERVICE, "service.cards.example", "203.0.113.22"), (REAL6, "over6.cards.example", "203.0.113.23")])
def test_resolvers_are_wherever_the_node_finds_them(lab, enforcer, resolver, name, address):
    """Behind a Service's address, which kube-proxy translates for the node as well; and over IPv6."""
    lab.node.nft("table ip kube-proxy { chain output { type nat hook output priority -100; "
                 f"ip daddr {SERVICE} meta l4proto {{ tcp, udp }} th dport 53 dnat to {REAL}; }}; }}")
    lab.node.exec(["ip", "route", "add", SERVICE, "via", REAL])  # as a default route would
    try:
        resolvers_are(enforcer, [resolver])
        for tell in (ask, lambda host, server, name: ask_tcp(host, server, [name])[0]):
            wait_until(lambda tell=tell: rcode(tell(lab.host("web"), OWN[4], name)) == 0, 30, "an answer")
        opens(lab, enforcer, "web", address)
    finally:
        lab.node.exec(["nft", "delete", "table", "ip", "kube-proxy"])
        lab.node.exec(["ip", "route", "del", SERVICE])


def test_other_resolvers_are_asked_after_a_reload(lab, enforcer, tricks):
    resolvers_are(enforcer, [REAL])

    def only_the_other():
        before = len(tricks.asked)
        assert addresses(ask(lab.host("web"), OWN[4], "reload.cards.example"), 1) == ["203.0.113.19"]
        return len(tricks.asked) == before
    wait_until(only_the_other, 30, "the other resolver alone to be asked")
    opens(lab, enforcer, "web", "203.0.113.19")


def test_a_reload_without_dns_leaves_the_resolver_as_it_is(lab, enforcer):
    """What listens changes with a restart only: so does whom it asks, when nobody says whom else."""
    since, role = len(enforcer.log()), enforcer.role("dns")
    dns = enforcer.config["dns"]
    enforcer.write_config(dns=None)
    enforcer.process.send_signal(signal.SIGHUP)
    enforcer.wait_log("reloaded", since)
    assert "dns.listen" in enforcer.log()[since:]
    assert addresses(ask(lab.host("web"), OWN[4], "less.cards.example"), 1) == ["203.0.113.21"]
    opens(lab, enforcer, "web", "203.0.113.21")
    assert enforcer.role("dns") == role
    enforcer.write_config(dns=dns)


@pytest.mark.parametrize("role", ["dns", "engine"])
def test_another_role_takes_over(lab, enforcer, role):
    name = {"dns": "killed", "engine": "after"}[role]
    before = enforcer.role(role)
    kill(before)

    def once():
        try:
            reply = ask(lab.host("web"), OWN[4], f"{name}.cards.example", timeout_s=1)
            return rcode(reply) == 0 and addresses(reply, 1)
        except OSError:
            return None
    address, = wait_until(once, 60, "an answer")
    opens(lab, enforcer, "web", address)
    assert enforcer.role(role) != before
