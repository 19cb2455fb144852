"""Routes to domain names, with a real resolver: a tenant that has learnt an address by a name
leaves for it as the Route says; others, and other addresses, as without it."""

import subprocess

import pytest

import lab as lab_module
from dnslab import A, AAAA, ask
from enforcerd import Enforcer
from lab import Lab, wait_until
from shop import workloads

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLACES = {"web": "/acme/shop", "etl": "/bi"}
FAMILIES = [4, 6]
RESOLVER = {4: "192.0.2.53", 6: "2001:db8:53::53"}
CARDS = {4: "203.0.113.7", 6: "2001:db8:c::7"}
BANK = {4: "203.0.113.9", 6: "2001:db8:c::9"}
OWN = {4: "198.51.100.7", 6: "fd0a::7"}
RECORDS = """\
no-resolv
no-hosts
no-daemon
user=root
bind-interfaces
listen-address=192.0.2.53,2001:db8:53::53
local-ttl=60
host-record=api.cards.example,203.0.113.7,2001:db8:c::7
host-record=bank.example,203.0.113.9,2001:db8:c::9
"""
ROUTES = "".join(f"""\
apiVersion: ringfence.dev/v1alpha1
kind: {kind}
---
""" for kind in ["""ExternalNetwork
metadata: {name: cards, namespace: /acme}
spec: {fqdns: ["*.cards.example"]}""", """Route
metadata: {name: out, namespace: /acme}
spec:
  default:
    egress:
      - {name: dns, action: direct, ports: [53/udp]}
      - {name: cards, action: route, to: [{external: cards}], source: [198.51.100.7, "fd0a::7"]}
      - {name: no-bank, action: deny, to: [{fqdn: bank.example}], ports: [81/tcp]}"""])


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dns")
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("dns", list(RESOLVER.values()))
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8:c::/48"])
        lab.listen_all([80, 81], ["world"])
        (directory / "dnsmasq.conf").write_text(RECORDS)
        lab.host("dns").popen(["/usr/sbin/dnsmasq", "-C", str(directory / "dnsmasq.conf")],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        files = {"routes.yaml": ROUTES, "world.yaml": workloads(lab, PLACES)}
        with Enforcer(lab.node, tmp_path_factory.mktemp("names"), files,
                      dns={"resolvers": list(RESOLVER.values()), "group": 101}):
            yield lab


def seen(lab, src, dst, port=80):
    """The client that the world sees, or how the probe ended."""
    result = lab.probe(src, dst, "tcp", port, confirm=True)
    return result.client[0] if result.open else result.state


def is_closed(lab, src, dst, port):
    return lab.probe(src, dst, "tcp", port).state == "closed"


def learn(lab, src, name, family):
    def once():
        try:
            return ask(lab.host(src), RESOLVER[family], name, A if family == 4 else AAAA, 1)
        except OSError:
            return None
    wait_until(once, 30, f"an answer about {name}")


@pytest.mark.parametrize("family", FAMILIES)
def test_who_knows_the_name_leaves_by_the_route(lab, family):
    own = {name: str(lab.host(name).address(family)) for name in PLACES}
    assert seen(lab, "web", CARDS[family]) == own["web"]  # nobody has asked
    learn(lab, "web", "api.cards.example", family)
    wait_until(lambda: seen(lab, "web", CARDS[family]) == OWN[family], 30, "the source")
    learn(lab, "etl", "api.cards.example", family)
    assert seen(lab, "etl", CARDS[family]) == own["etl"]  # no route of its own
    assert seen(lab, "web", BANK[family]) == own["web"]  # no such name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_route_that_denies_a_name_denies_what_nobody_has_named(lab, family):
    own = str(lab.host("web").address(family))
    stranger = {4: "203.0.113.77", 6: "2001:db8:c::77"}[family]
    assert is_closed(lab, "web", stranger, 81)
    learn(lab, "web", "bank.example", family)
    assert is_closed(lab, "web", BANK[family], 81)
    learn(lab, "web", "api.cards.example", family)
    wait_until(lambda: seen(lab, "web", CARDS[family], 81) == OWN[family], 30, "its own name")
    assert seen(lab, "web", stranger, 80) == own
