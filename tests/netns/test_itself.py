"""A workload reaches itself through a Service, as kube-proxy translates it: what policy says of
all others is nothing to it."""

import pytest

import lab as lab_module
from lab import wait_until
from shop import DB, enforcer, idle, lab  # noqa: F401
from test_established import Stream, change
from test_steering import STEERING

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

SERVICE = {4: "192.0.2.10", 6: "fd00:99::10"}
NOBODY = DB.replace("ports: [5432/tcp, 53/udp]", "ports: [1/tcp]").replace(
    "  allow:\n    ingress:\n", "  allow:\n    egress: []\n    ingress:\n")


@pytest.fixture
def service(lab):
    """Translated to db, and masqueraded where db is the client."""
    rules = "".join(f"""
        table {family} services {{
            chain to {{
                type nat hook prerouting priority dstnat;
                {family} daddr {SERVICE[version]} dnat to {lab.host("db").address(version)};
            }}
            chain from {{
                type nat hook postrouting priority srcnat;
                {family} saddr {lab.host("db").address(version)} {family} daddr \
{lab.host("db").address(version)} masquerade;
            }}
        }}
        """ for family, version in (("ip", 4), ("ip6", 6)))
    lab.node.nft(rules)
    yield
    lab.node.exec(["nft", "flush", "ruleset"])


@pytest.mark.parametrize("version", [4, 6])
def test_workload_reaches_itself_by_a_service(lab, enforcer, service, version):
    address = SERVICE[version]

    def reached():
        return {src: lab.probe(src, address, "tcp", 5432).open
                for src in ("db", "web", "mon", "world")}

    assert reached() == {"db": True, "web": True, "mon": False, "world": False}
    with Stream(lab, "db", "db", 5432, version, address) as stream:
        assert stream.goes_on()
        change(enforcer, NOBODY)
        assert stream.goes_on() and enforcer.status()["connections"]["cut"] <= 1  # of web
    assert reached() == {"db": True, "web": False, "mon": False, "world": False}
    told = enforcer.ask("explain", str(lab.host("db").address(version)),
                        str(lab.host("db").address(version)), "5432/tcp")
    assert told.stdout.startswith("allow")


VIA = """\
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {{name: walls, namespace: /acme}}
spec:
  default:
    via:
      - {{action: {action}, ports: [5432/tcp]{through}}}
"""
DENIED = VIA.format(action="deny", through="")
THROUGH = VIA.format(action="through", through=", through: {namespace: /ops}")


@pytest.mark.parametrize("steering", [None, STEERING])
@pytest.mark.parametrize("route", [DENIED, THROUGH])
def test_routes_lead_nobody_away_from_itself(lab, idle, service, route, steering):
    """What governs db is a Route alone, by which others do not get through."""
    idle.write("db.yaml", "# nothing\n")
    idle.write_config(steering=steering)
    with idle:
        assert lab.probe("web", SERVICE[4], "tcp", 5432).open
        change(idle, route, "route.yaml")
        for address in SERVICE.values():
            assert not lab.probe("web", address, "tcp", 5432).open
            assert lab.probe("db", address, "tcp", 5432).open


def test_who_has_no_policy_is_as_before(lab, enforcer, service):
    enforcer.write("db.yaml", "# nothing\n")
    wait_until(lambda: lab.probe("mon", SERVICE[4], "tcp", 5432).open, 30, "no policy")
    assert lab.probe("db", SERVICE[4], "tcp", 5432).open
