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
FOR_THE_NODE = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: node, namespace: /}
spec: {node: {}, mandatory: {ingress: [{action: deny, ports: [81/tcp]}]}}
"""
ALWAYS = ["ct state established,related accept", "meta nfproto ipv4 jump forward4",
          "meta nfproto ipv6 jump forward6", "meta priority set none"]


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

        def write(name, text, count, whole):
            """A change, how many rules are in `forward` then, and whether all was made anew."""
            seen = len(enforcer.log())
            generation = enforcer.generation()
            enforcer.write(name, text)
            wait_until(lambda: enforcer.generation() > generation, 30, f"{name} in force")
            assert len(chain(lab, "forward")) == count, (name, chain(lab, "forward"))
            assert ("whole=true" in enforcer.wait_log("program-applied.*", seen)[0]) == whole
            enforcer.wait_settled()

        write("quota.yaml", QUOTA, 8, True)
        # an edit of one policy, not a whole load
        write("node.yaml", FOR_THE_NODE, 8, True)
        assert any("host" in rule for rule in chain(lab, "output"))
        write("node.yaml", "# nothing\n", 8, False)
        write("quota.yaml", "# nothing\n", 8, False)
        write("node.yaml", FOR_THE_NODE, 8, False)
        write("quota.yaml", QUOTA, 8, False)
        assert enforcer.ask("diff").returncode == 0
        assert lab.probe_many([("web", "db", "tcp", 80)])[0].state != "closed"
