"""Rules by domain name, with a real resolver: what a tenant gets in answers opens, for it alone,
what its rules allow by these names."""

import json
import os
import re
import subprocess

import pytest

import lab as lab_module
from dnslab import A, AAAA, HTTPS, Liar, Upstream, ask, record, says
from enforcerd import Enforcer, kill
from lab import Lab, wait_until
from shop import workloads

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLACES = {"web": "/acme/shop", "job": "/acme/batch", "etl": "/bi"}
RESOLVER = {4: "192.0.2.53", 6: "2001:db8:53::53"}
SERVICE = "10.96.0.10"
LIAR, STRANGER = "192.0.2.55", "192.0.2.99"
API = {4: "203.0.113.7", 6: "2001:db8:c::7"}
COMPILED = ['compiles_total{kind="node"}', 'compiles_total{kind="whole"}']
RECORDS = """\
no-resolv
no-hosts
no-daemon
user=root
bind-interfaces
listen-address=192.0.2.53,2001:db8:53::53,192.0.2.99
local-ttl=1
host-record=api.cards.example,203.0.113.7,2001:db8:c::7
host-record=cards.example,203.0.113.8
host-record=other.example,203.0.113.7
host-record=bank.example,203.0.113.9
host-record=inside.cards.example,{inside}
host-record=real.example,203.0.113.10
cname=www.cards.example,real.example
"""
POLICY = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: out, namespace: /acme}
spec:
  allow:
    egress:
      - {name: dns, to: [{cidr: 192.0.2.0/24}, {cidr: "2001:db8:53::/64"}], ports: [53/udp]}
      - {name: pay, to: [{fqdn: "*.cards.example"}], ports: [443/tcp]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: out, namespace: /bi}
spec:
  allow:
    egress:
      - {name: dns, to: [{cidr: 192.0.2.0/24}], ports: [53/udp]}
      - {name: other, to: [{fqdn: other.example}], ports: [443/tcp]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: banks, namespace: /bi}
spec:
  mandatory:
    egress:
      - {name: no-bank, action: deny, to: [{fqdn: bank.example}], ports: [80/tcp]}
      - {name: web, action: allow, ports: [80/tcp]}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dns")
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("dns", [*RESOLVER.values(), LIAR, STRANGER])
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8:c::/48"])
        lab.listen_all([80, 443], ["world", "job"])
        (directory / "dnsmasq.conf").write_text(RECORDS.format(inside=lab.host("job").address(4)))
        lab.host("dns").popen(["/usr/sbin/dnsmasq", "-C", str(directory / "dnsmasq.conf")],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield lab


@pytest.fixture(scope="module")
def files(lab):
    return {"policy.yaml": POLICY, "world.yaml": workloads(lab, PLACES)}


def audit(directory):
    return {"directory": str(directory / "audit"), "mode": "best-effort"}


def recorded(enforcer, verb):
    """Records of names; those of a number of them, too."""
    log = enforcer.directory / "audit" / "log-0.jsonl"
    if not log.exists():
        return []  # the first line is still to come
    events = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [event for event in events if event["verb"] == verb]


@pytest.fixture
def enforcer(lab, files, tmp_path):
    dns = {"resolvers": [RESOLVER[4], RESOLVER[6], LIAR], "group": 101}
    with Enforcer(lab.node, tmp_path, files, dns=dns, audit=audit(tmp_path)) as it:
        yield it
    lab.node.exec(["nft", "flush", "ruleset"])
    lab.conntrack_flush()


def asked(lab, src, name, kind=A, server=RESOLVER[4]):
    """Asks, as soon as the resolver is there."""
    def once():
        try:
            return ask(lab.host(src), server, name, kind, 1)
        except OSError:
            return None
    return wait_until(once, 30, f"an answer about {name}")


def is_open(lab, src, dst, port=443):
    return lab.probe(src, dst, "tcp", port, timeout_ms=300).open


def opens(lab, src, dst, port=443):
    wait_until(lambda: is_open(lab, src, dst, port), 30, f"{src} to reach {dst}:{port}")


def known(enforcer):
    """{(tenant, name, address)}"""
    lines = enforcer.ask("names").stdout.splitlines()
    return {tuple(line.split()[:3]) for line in lines if line.startswith("/")}


def judged(enforcer):
    """Waits until connections have been judged by the program in force."""
    wait_until(lambda: enforcer.status()["connections"]["judged"]
               and enforcer.status()["connections"]["lists"] > 0, 30, "connections to be judged")


def learns(enforcer, *entry):
    wait_until(lambda: entry in known(enforcer), 30, f"{entry} to be learnt")


def compiled(enforcer):
    """How often all was."""
    return [enforcer.metric(f"ringfence_{name}") for name in COMPILED]


@pytest.mark.parametrize("family", [4, 6])
def test_an_answer_opens_what_its_tenant_may_reach_by_name(lab, enforcer, family):
    before = compiled(enforcer)
    assert not is_open(lab, "web", API[family])
    asked(lab, "web", "API.cards.Example", A if family == 4 else AAAA, RESOLVER[family])
    opens(lab, "web", API[family])
    opens(lab, "job", API[family])  # of the same tenant
    assert not is_open(lab, "web", API[family], 80)
    assert not is_open(lab, "etl", API[family])
    assert compiled(enforcer) == before
    assert ("/acme", "api.cards.example", API[family]) in known(enforcer)


def test_names_are_each_tenants_own(lab, enforcer):
    asked(lab, "etl", "api.cards.example")
    asked(lab, "web", "other.example")
    learns(enforcer, "/bi", "api.cards.example", API[4])
    learns(enforcer, "/acme", "other.example", API[4])
    assert not is_open(lab, "web", API[4]) and not is_open(lab, "etl", API[4])
    asked(lab, "etl", "other.example")
    opens(lab, "etl", API[4])
    assert not is_open(lab, "web", API[4])
    asked(lab, "web", "api.cards.example")
    opens(lab, "web", API[4])


def test_wildcard_and_alias(lab, enforcer):
    asked(lab, "web", "cards.example")
    learns(enforcer, "/acme", "cards.example", "203.0.113.8")
    assert not is_open(lab, "web", "203.0.113.8")
    asked(lab, "web", "www.cards.example")  # an alias of real.example
    opens(lab, "web", "203.0.113.10")
    assert ("/acme", "real.example", "203.0.113.10") not in known(enforcer)


def test_only_answers_of_configured_resolvers_count(lab, enforcer):
    asked(lab, "web", "api.cards.example", server=STRANGER)
    asked(lab, "web", "www.cards.example")
    learns(enforcer, "/acme", "www.cards.example", "203.0.113.10")
    assert ("/acme", "api.cards.example", API[4]) not in known(enforcer)
    assert not is_open(lab, "web", API[4])


def test_only_answers_to_what_was_asked_count(lab, enforcer):
    liar = Liar(lab.host("dns"), LIAR, "203.0.113.66", "203.0.113.11")
    try:
        reply = asked(lab, "web", "new.cards.example", server=LIAR)
        assert reply.endswith(bytes([203, 0, 113, 11]))
        learns(enforcer, "/acme", "new.cards.example", "203.0.113.11")
        opens(lab, "web", "203.0.113.11")
        wait_until(lambda: enforcer.status()["names"]["unasked"] >= 3, 30, "all forged answers to be seen")
        assert not [entry for entry in known(enforcer) if entry[2] == "203.0.113.66"]
        assert not is_open(lab, "web", "203.0.113.66")
    finally:
        liar.close()


def test_hints_of_services_teach_and_what_is_cut_does_not(lab, enforcer):
    def reply(query, name, _tcp):
        if name.startswith("service"):
            yield says(query, record(HTTPS, b"\0\1\0\0\4\0\4" + bytes([203, 0, 113, 12])))
        else:
            whole = says(query, record(A, bytes([203, 0, 113, 13])))
            yield whole[:2] + b"\x83" + whole[3:]

    upstream = Upstream(lab.host("dns"), LIAR, reply)
    try:
        asked(lab, "web", "cut.cards.example", server=LIAR)
        asked(lab, "web", "service.cards.example", HTTPS, server=LIAR)
        opens(lab, "web", "203.0.113.12")
        assert known(enforcer) == {("/acme", "service.cards.example", "203.0.113.12")}
        assert enforcer.status()["names"]["truncated"] == 1
        assert not is_open(lab, "web", "203.0.113.13")
    finally:
        upstream.close()


def test_a_name_never_leads_inside(lab, enforcer):
    asked(lab, "web", "inside.cards.example")
    learns(enforcer, "/acme", "inside.cards.example", str(lab.host("job").address(4)))
    assert not is_open(lab, "web", str(lab.host("job").address(4)))


def test_a_deny_by_name_holds_until_a_name_says_otherwise(lab, enforcer):
    assert not is_open(lab, "etl", "203.0.113.9", 80)
    assert not is_open(lab, "etl", API[4], 80)  # it may be the bank's
    asked(lab, "etl", "other.example")
    opens(lab, "etl", API[4], 80)
    asked(lab, "etl", "bank.example")
    learns(enforcer, "/bi", "bank.example", "203.0.113.9")
    assert not is_open(lab, "etl", "203.0.113.9", 80)


def test_what_is_known_is_told(lab, enforcer):
    asked(lab, "web", "api.cards.example")
    opens(lab, "web", API[4])
    assert not is_open(lab, "web", API[4], 80)
    record = wait_until(lambda: next(
        (f for f in enforcer.flows() if f["dst"]["address"] == API[4] and f["dst"]["port"] == 80), None), 30, "a record")
    assert record["dst"]["name"] == "api.cards.example" and record["tenant"] == "acme"
    text = enforcer.ask("explain", "/acme/shop/web", "api.cards.example", "443/tcp").stdout
    assert text.startswith("allow: ") and f"to api.cards.example ({API[4]})" in text
    assert "knows no address" in enforcer.ask(
        "explain", "/acme/shop/web", "unheard.example", "443/tcp", check=False).stderr
    lines = enforcer.ask("names").stdout.splitlines()
    assert lines[0] == f"resolver {RESOLVER[4]}"
    entry = next(line for line in lines if API[4] in line)
    assert re.fullmatch(r"/acme api\.cards\.example \S+ \d+", entry)
    assert 0 < int(entry.split()[3]) <= 60
    event = wait_until(lambda: recorded(enforcer, "name-learnt"), 30, "a record of it")[0]
    assert event["objectRef"] == {"resource": "names", "namespace": "/acme", "name": "api.cards.example",
                                  "apiGroup": "ringfence.dev"}
    assert event["annotations"] == {"ringfence.dev/tenant": "acme", "ringfence.dev/address": API[4]}
    told = enforcer.ask_json("names")
    assert RESOLVER[6] in told["resolvers"]
    entry = next(entry for entry in told["names"] if entry["address"] == API[4])
    assert (entry["tenant"], entry["name"]) == ("/acme", "api.cards.example") and 0 < entry["seconds"] <= 60
    names = enforcer.status()["names"]
    assert names["reading"] and names["known"] >= 1 and names["malformed"] == names["lost"] == 0
    assert enforcer.metric("ringfence_names_known") == names["known"]


def test_what_is_known_outlives_the_daemon(lab, enforcer):
    asked(lab, "web", "api.cards.example")
    opens(lab, "web", API[4])
    before = known(enforcer)
    with lab.connect("web", API[4], "tcp", 443) as connection:
        engine = enforcer.role("engine")
        wait_until(lambda: API[4] in (enforcer.directory / "enforcer.sock.names").read_text(), 30, "the file")
        kill(engine)
        wait_until(lambda: enforcer.answers() and enforcer.role("engine") != engine
                   and enforcer.status()["state"] == "enforcing", 30, "another engine")
        assert known(enforcer) == before
        enforcer.stop()
        enforcer.start()
        assert known(enforcer) == before
        judged(enforcer)
        assert connection.ask() == "open"
    assert is_open(lab, "web", API[4])
    with open(enforcer.directory / "enforcer.sock.names", "a", encoding="utf-8") as names:
        names.write("/acme not a line\n\0\n/acme cut.exam")
    enforcer.stop()
    enforcer.start()
    assert before <= known(enforcer)


def test_a_resolver_behind_a_service_is_believed(lab, files, tmp_path):
    """Workloads ask a Service's address, which kube-proxy translates: that is what is configured."""
    lab.node.nft("table ip kube-proxy { chain prerouting { type nat hook prerouting priority dstnat; "
                 f"ip daddr {SERVICE} udp dport 53 dnat to {RESOLVER[4]}; }}; }}")
    try:
        with Enforcer(lab.node, tmp_path, files, dns={"resolvers": [SERVICE]}) as enforcer:
            asked(lab, "web", "www.cards.example", server=RESOLVER[4])  # not by its own address
            asked(lab, "web", "api.cards.example", server=SERVICE)
            opens(lab, "web", API[4])
            assert known(enforcer) == {("/acme", "api.cards.example", API[4])}
            assert not is_open(lab, "web", "203.0.113.10")
    finally:
        lab.node.exec(["nft", "flush", "ruleset"])
        lab.conntrack_flush()


def test_who_knows_as_much_as_it_may_learns_nothing(lab, files, tmp_path):
    (tmp_path / "enforcer.sock.names").write_text("".join(
        f"/acme n{i}.cards.example 198.18.{i // 256}.{i % 256} 86400\n" for i in range(8192)))
    with Enforcer(lab.node, tmp_path, files, dns={"resolvers": [RESOLVER[4]]}, audit=audit(tmp_path)) as enforcer:
        asked(lab, "web", "api.cards.example")
        event = wait_until(lambda: recorded(enforcer, "name-refused"), 30, "a record of what is refused")[0]
        assert event["objectRef"]["name"] == "api.cards.example" and event["responseStatus"] == {"code": 403}
        assert enforcer.status()["names"]["known"] == 8192 and not is_open(lab, "web", API[4])
        asked(lab, "etl", "other.example")  # of another tenant
        opens(lab, "etl", API[4])
    lab.node.exec(["nft", "flush", "ruleset"])
    lab.conntrack_flush()


def test_without_dns_nothing_is_learnt(lab, files, tmp_path):
    with Enforcer(lab.node, tmp_path, files) as enforcer:
        asked(lab, "web", "api.cards.example")
        assert not is_open(lab, "web", API[4])
        assert "no names are learnt" in enforcer.ask("names", check=False).stderr
    lab.node.exec(["nft", "flush", "ruleset"])


@pytest.mark.skipif("RINGFENCE_NETNS_LONG" not in os.environ, reason="waits for more than a minute")
def test_what_is_over_is_forgotten_but_not_under_a_connection(lab, enforcer):
    asked(lab, "web", "api.cards.example")
    asked(lab, "web", "www.cards.example")
    opens(lab, "web", API[4])
    opens(lab, "web", "203.0.113.10")
    lab.conntrack_flush()
    with lab.connect("web", API[4], "tcp", 443) as connection:
        wait_until(lambda: ("/acme", "www.cards.example", "203.0.113.10") not in known(enforcer), 150,
                   "what nobody uses to be forgotten")
        assert not is_open(lab, "web", "203.0.113.10")
        wait_until(lambda: [event for event in recorded(enforcer, "name-forgotten")
                            if event["objectRef"]["name"] == "www.cards.example"], 30, "a record of it")
        assert ("/acme", "api.cards.example", API[4]) in known(enforcer)
        assert is_open(lab, "web", API[4])
        assert connection.ask() == "open"
