"""What nothing uses costs no packet anything: its rules are not there until something does."""

import re

import pytest

import lab as lab_module
from enforcerd import Enforcer
from lab import wait_until
from shop import lab, world  # noqa: F401

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

DB = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: db, namespace: /acme/shop}
spec:
  workloads: {matchLabels: {app: db}}
  allow:
    ingress: [{from: [{workloads: {matchLabels: {app: web}}}], ports: [80/tcp]}]
"""
QUOTA = """\
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: {name: much, namespace: /acme}
spec: {network: {connections: 100000}}
"""
# A direction, a network and ports that nothing was about so far.
FROM_DB = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: from-db, namespace: /acme/shop}
spec:
  workloads: {matchLabels: {app: db}}
  mandatory:
    egress: [{action: deny, to: [{cidr: 0.0.0.0/0}, {cidr: '::/0'}], ports: [5000-60000/tcp]}]
"""
FOR_THE_NODE = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: node, namespace: /}
spec: {node: {}, mandatory: {ingress: [{action: deny, ports: [81/tcp]}]}}
"""
# The first Route that leads out has all addresses inside listed.
ROUTE_OUT = """\
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: out, namespace: /acme/shop}
spec: {default: {egress: [{action: route, to: [{cidr: 203.0.113.0/24}], source: [203.0.113.7]}]}}
"""
ALWAYS = ["ct state established,related accept", "meta nfproto ipv6 goto first6",
          "jump forward4", "meta priority set none"]


def chain(lab, name):
    """The rules of a constant chain; none if it is not there."""
    text = lab.node.exec(["nft", "list", "chain", "inet", "ringfence", name],
                         check=False).stdout
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not re.match(r"table|chain|type|}", line)]


def test_rules_come_with_what_needs_them_and_stay(lab, tmp_path):  # noqa: F811
    files = {"world.yaml": world(lab), "db.yaml": DB}
    with Enforcer(lab.node, tmp_path, files, hostProtection=True, metrics=False) as enforcer:
        assert chain(lab, "forward") == ALWAYS
        assert chain(lab, "route_out") == chain(lab, "steer") == []
        assert not any("host" in rule for rule in chain(lab, "output"))

        def write(name, text, count):
            """A change, and how many rules are in `forward` then; the table is not made anew."""
            seen = len(enforcer.log())
            generation = enforcer.generation()
            enforcer.write(name, text)
            wait_until(lambda: enforcer.generation() > generation, 30, f"{name} in force")
            assert len(chain(lab, "forward")) == count, (name, chain(lab, "forward"))
            assert "whole=true" not in enforcer.wait_log("program-applied.*", seen)[0]
            enforcer.wait_settled()

        assert not [rule for rule in chain(lab, "forward4") if "_out" in rule]
        assert lab.probe_many([("db", "web", "tcp", 7000)])[0].state != "closed"
        write("from-db.yaml", FROM_DB, 4)
        assert [rule for rule in chain(lab, "forward4") if "@local4_out" in rule]
        assert [rule for rule in chain(lab, "egress_on6") if "@peer6_out_net" in rule]
        assert lab.probe_many([("db", "web", "tcp", 7000)])[0].state == "closed"
        write("quota.yaml", QUOTA, 6)
        assert chain(lab, "forward")[0] == ALWAYS[0]  # connections alone: known ones pay nothing
        # an edit of one policy, not a whole load
        write("node.yaml", FOR_THE_NODE, 6)
        assert any("host" in rule for rule in chain(lab, "output"))
        write("out.yaml", ROUTE_OUT, 7)
        assert chain(lab, "route_out")
        write("out.yaml", "# nothing\n", 7)
        write("node.yaml", "# nothing\n", 7)
        write("quota.yaml", "# nothing\n", 7)
        write("node.yaml", FOR_THE_NODE, 7)
        write("quota.yaml", QUOTA.replace("connections", "egressBytesPerSecond"), 8)
        assert chain(lab, "forward")[0] == "meta nfproto @limit_out jump limit_out"
        assert enforcer.ask("diff").returncode == 0
        assert lab.probe_many([("web", "db", "tcp", 80)])[0].state != "closed"
