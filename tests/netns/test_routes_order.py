"""Routes beside what else there is: policy of both ends, Services as kube-proxy translates
them, what a CNI masquerades, and SCTP.

Policy judges the client and the workload as they are, whoever translates; what no Route
decides is others' to translate; what one decides is not.
"""

import pytest

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab
from shop import workloads

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLACES = {"web": "/acme", "api": "/acme", "db": "/acme", "mon": "/ops"}
FAMILIES = [4, 6]
OWN = {4: "198.51.100.7", 6: "fd0a::7"}
VIP = {4: "198.51.100.80", 6: "fd0a::80"}
FAR = {4: "203.0.113.9", 6: "2001:db8::9"}
BANK = {4: "203.0.113.200", 6: "2001:db8:b::1"}
SERVICE = {4: "10.96.0.10", 6: "fd96::10"}
PORTS = [80, 81, 5432, 8080, "80/sctp", "8080/sctp"]
TREE = "".join(f"""\
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {{name: {path}}}
---
""" for path in ("/acme", "/ops"))
# web may leave for the bank alone, and reach db; api may go to the published address, which
# is nobody; mon takes in the address that acme leaves with, which is nobody either.
DOCUMENTS = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: web, namespace: /acme}
spec:
  workloads: {matchLabels: {app: web}}
  allow:
    egress:
      - to: [{cidr: 203.0.113.192/26}, {cidr: "2001:db8:b::/48"}]
      - to: [{workloads: {matchLabels: {app: db}}}]
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: api, namespace: /acme}
spec:
  workloads: {matchLabels: {app: api}}
  allow:
    egress: [{to: [{cidr: 198.51.100.0/24}, {cidr: "fd0a::/64"}]}]
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: db, namespace: /acme}
spec:
  workloads: {matchLabels: {app: db}}
  allow:
    ingress: [{from: [{namespace: /acme}, {cidr: 203.0.113.9/32}, {cidr: "2001:db8::9/128"}],
               ports: [8080/tcp, 8080/sctp]}]
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: mon, namespace: /ops}
spec:
  allow:
    ingress: [{from: [{cidr: 198.51.100.0/24}, {cidr: "fd0a::/64"}]}]
---
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: out, namespace: /acme}
spec:
  default:
    egress:
      - {name: own, action: route, source: [198.51.100.7, "fd0a::7"]}
    ingress:
      - {name: db, action: publish, address: [198.51.100.80, "fd0a::80"], ports: [80/tcp],
         targetPort: 8080, to: [{workloads: {matchLabels: {app: db}}}]}
      - {name: sctp, action: publish, address: [198.51.100.80, "fd0a::80"], ports: [80/sctp],
         targetPort: 8080, to: [{workloads: {matchLabels: {app: db}}}]}
      - {name: same, action: publish, address: [198.51.100.80, "fd0a::80"], ports: [8080/sctp],
         to: [{workloads: {matchLabels: {app: db}}}]}
---
"""
# As kube-proxy has it in its nftables mode, and a CNI that masquerades what leaves.
OTHERS = """
table ip kube-proxy {
  chain nat-prerouting { type nat hook prerouting priority dstnat; ip daddr 10.96.0.10 tcp dport 80 dnat to %s:8080; }
  chain nat-output { type nat hook output priority -100; ip daddr 10.96.0.10 tcp dport 80 dnat to %s:8080; }
  chain cni { type nat hook postrouting priority srcnat; ip saddr 10.1.0.0/16 ip daddr 203.0.113.0/24 masquerade; }
}
table ip6 kube-proxy {
  chain nat-prerouting { type nat hook prerouting priority dstnat; ip6 daddr fd96::10 tcp dport 80 dnat to [%s]:8080; }
  chain nat-output { type nat hook output priority -100; ip6 daddr fd96::10 tcp dport 80 dnat to [%s]:8080; }
  chain cni { type nat hook postrouting priority srcnat; ip6 saddr fd00:1::/32 ip6 daddr 2001:db8::/32 masquerade; }
}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all(PORTS)
        db = [str(lab.host("db").address(family)) for family in FAMILIES]
        lab.node.nft(OTHERS % (db[0], db[0], db[1], db[1]))
        files = {"all.yaml": TREE + DOCUMENTS + workloads(lab, PLACES)}
        with Enforcer(lab.node, tmp_path_factory.mktemp("order"), files):
            yield lab


def outcome(lab, src, dst, proto, port, **more):
    """(who answers, at which port, which client it sees), or how the probe ended."""
    result = lab.probe(src, dst, proto, port, confirm=True, **more)
    return (result.who, result.local[1], result.client[0]) if result.open else result.state


def own(lab, name, family):
    return str(lab.host(name).address(family))


def test_policy_names_ends_as_they_are(lab):
    """All that it closes, at once; what it opens is below."""
    closed = [probe for family in FAMILIES for probe in (
        ("web", FAR[family], "tcp", 80),       # not the bank, whatever source is put on
        ("db", own(lab, "mon", family), "tcp", 80),  # lets in that source, which nobody has
        ("api", VIP[family], "tcp", 80),       # may reach the published address, which is db
        ("mon", VIP[family], "tcp", 80),       # whom db does not let in
        ("world", VIP[family], "tcp", 80, BANK[family]),
        ("world", VIP[family], "sctp", 8080, BANK[family]),
        ("api", SERVICE[family], "tcp", 80),
        ("mon", SERVICE[family], "tcp", 80))]
    results = lab.probe_many(closed)
    assert [probe for probe, result in zip(closed, results) if result.state != "closed"] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_source_is_put_on_after_egress_policy(lab, family):
    assert outcome(lab, "web", BANK[family], "tcp", 80) == ("world", 80, OWN[family])


@pytest.mark.parametrize("family", FAMILIES)
def test_published_address_leads_to_the_workload_at_its_own_port(lab, family):
    web = own(lab, "web", family)
    assert outcome(lab, "web", VIP[family], "tcp", 80) == ("db", 8080, web)
    friend = FAR[family]
    assert outcome(lab, "world", VIP[family], "tcp", 80, src_addr=friend) == ("db", 8080, friend)


@pytest.mark.parametrize("family", FAMILIES)
def test_sctp_is_published(lab, family):
    friend = FAR[family]
    for port in (8080, 80):
        assert outcome(lab, "world", VIP[family], "sctp", port, src_addr=friend) == (
            "db", 8080, friend)


@pytest.mark.parametrize("family", FAMILIES)
def test_services_are_others_to_translate(lab, family):
    assert outcome(lab, "web", SERVICE[family], "tcp", 80) == ("db", 8080, own(lab, "web", family))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_route_decides_others_do_not_masquerade(lab, family):
    assert outcome(lab, "db", FAR[family], "tcp", 80) == ("world", 80, OWN[family])
    node = outcome(lab, "mon", FAR[family], "tcp", 80)
    assert node[0] == "world" and node[2] == str(lab.node.address(family))
