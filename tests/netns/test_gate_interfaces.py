"""workloadNetworks by interface: nobody but a workload that is known is behind it."""

import pytest

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

WORKLOAD = """\
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: {name}, namespace: /shop}}
spec: {{node: node-1, ips: [{v4}, "{v6}"]}}
---
"""
TREE = "apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: {name: /shop}\n---\n"


def test_only_known_workloads_pass(tmp_path):
    with Lab() as lab:
        hosts = lab.add_workloads(["web", "db", "late"])  # behind wl-web, wl-db, wl-late
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all([80])

        def document(host):
            return WORKLOAD.format(
                name=host.name, v4=host.address(4), v6=host.address(6))

        def unwanted(known):
            """Connections that are not as they should be when these are known."""
            wrong = []
            ends = ["web", "db", "late", "world", "node-1"]
            probes = [(src, str(lab.host(dst).address(version)), "tcp", 80)
                      for src in ends for dst in ends if src != dst
                      for version in (4, 6)]
            for probe, result in zip(probes, lab.probe_many(probes, confirm=True)):
                dst = lab.owner(probe[1]).name
                strangers = {probe[0], dst} & {"web", "db", "late"} - known
                # What a node sends by itself passes no gate.
                wanted = not strangers or (probe[0] == "node-1" and dst in strangers)
                if result.open != wanted:
                    wrong.append((probe, result.state))
            return wrong

        text = TREE + "".join(document(host) for host in hosts if host.name != "late")
        with Enforcer(lab.node, tmp_path, {"world.yaml": text},
                      workloadNetworks=["wl-*"]) as enforcer:
            assert unwanted({"web", "db"}) == []
            denied = wait_until(
                lambda: [flow for flow in enforcer.flows()
                         if flow["reason"] == "not-programmed"], 30, "a record of it")
            assert denied[0]["verdict"] == "deny"
            generation = enforcer.generation()
            enforcer.write("late.yaml", document(lab.host("late")))
            enforcer.wait_generation(generation + 1)
            wait_until(lambda: unwanted({"web", "db", "late"}) == [], 30, "all to pass")
            enforcer.stop()
        lab.node.exec(["nft", "flush", "ruleset"])
