"""A cluster so large that a node's first program comes bit by bit, into sets that are made
for a number of elements; and one that outgrows them."""

import re

import pytest

import lab as lab_module
from enforcerd import Enforcer, Watch
from lab import Lab
from shop import DB, PLACES, TREE, workloads

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

# In /ops, whom db takes: each is in peer4_in and in known4. Together more than a chunk.
MANY = 11000
MORE = 14000  # and so the sets, which have room for 24,576, are full
OTHER = """\
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: other-{i}, namespace: /ops}}
spec: {{node: node-2, ips: [10.1.{high}.{low}]}}
---
"""
ALLOWED = [("web", "db", "tcp", 5432), ("mon", "db", "tcp", 9100)]
FORBIDDEN = [("web", "db", "tcp", 80), ("mon", "db", "tcp", 5432),
             ("world", "db", "tcp", 5432)]


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("world", ["203.0.113.0/24"])
        lab.listen_all([80, 5432, 9100])
        yield lab


def others(first, count):
    """Workloads of another node, behind the lab's own addresses."""
    return "".join(OTHER.format(i=i, high=100 + i // 250, low=1 + i % 250)
                   for i in range(first, first + count))


def size_of(lab, name):
    """(what the set has room for, how many are in it)."""
    text = lab.node.exec(["nft", "list", "table", "inet", "ringfence"]).stdout
    block = re.search(rf"\t(?:set|map) {name}(_b)? {{\n(.*\n)*?\t}}", text)[0]
    return int(re.search(r"\tsize (\d+)", block)[1]), block.count("10.1.")


def test_large_program_is_enforced_and_outgrows_its_sets(lab, tmp_path):
    world = TREE + workloads(lab, PLACES)
    with Enforcer(lab.node, tmp_path, {"world.yaml": world, "db.yaml": DB,
                                       "many.yaml": others(0, MANY)}) as enforcer:
        log = enforcer.log()
        assert re.search(r"closed generation=0 .*\n(.*\n)*.*"
                         r"program-applied generation=1 .*whole=true", log), log
        for src, dst, proto, port in ALLOWED:
            assert lab.probe(src, dst, proto, port).state == "open"
        assert size_of(lab, "peer4_in") == (24576, MANY + 2)  # and web, mon
        assert enforcer.ask("diff").returncode == 0
        with Watch(lab, ALLOWED + FORBIDDEN) as watch:
            enforcer.write("more.yaml", others(MANY, MORE))
            enforcer.wait_log("table-outgrown")
            enforcer.wait_log("program-applied generation=2")
            watch.wait_rounds(1)
        assert {state for probe in ALLOWED for state in watch.states[probe]} == {"open"}
        assert "open" not in {state for probe in FORBIDDEN
                              for state in watch.states[probe]}
        assert size_of(lab, "peer4_in")[1] == MANY + MORE + 2
        assert size_of(lab, "known4")[0] >= 2 * (MANY + MORE)
        assert enforcer.ask("diff").returncode == 0
        assert enforcer.status()["state"] == "enforcing"
        assert "kernel-refused" not in enforcer.log()
    lab.node.exec(["nft", "flush", "ruleset"])
