"""workloadNetworks by interface: nobody but a workload that is known is behind it."""

import pytest

import lab as lab_module
from enforcerd import NETWORKS, Enforcer
from lab import Lab, wait_until
from test_established import Stream, change, wait_listed

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


NODE = """\
apiVersion: v1
kind: Node
metadata: {{name: {name}}}
status:
  addresses:
  - {{type: InternalIP, address: {v4}}}
  - {{type: InternalIP, address: "{v6}"}}
---
"""


def rest(lab, *names):
    return TREE + "".join(
        WORKLOAD.format(name=name, v4=lab.host(name).address(4),
                        v6=lab.host(name).address(6)) for name in names)


@pytest.fixture
def three(tmp_path):
    """Three workloads behind interfaces, and a daemon that knows them."""
    with Lab() as lab:
        lab.add_workloads(["web", "db", "gone"])
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        with Enforcer(lab.node, tmp_path, {"world.yaml": rest(lab, "web", "db", "gone")},
                      workloadNetworks=["wl-*"], established={"adoptSeconds": 0}) as it:
            yield lab, it
        lab.node.exec(["nft", "flush", "ruleset"])


@pytest.mark.parametrize("version", [4, 6])
def test_connections_of_who_is_gone_end(three, version):
    """Its interface is there still; so is everybody else's connection."""
    lab, enforcer = three
    with (Stream(lab, "world", "gone", 80, version) as taken,
          Stream(lab, "gone", "db", 80, version) as begun,
          Stream(lab, "node-1", "gone", 80, version) as node,
          Stream(lab, "world", "web", 80, version) as other,
          Stream(lab, "web", "db", 80, version) as another):
        change(enforcer, rest(lab, "web", "db"), "world.yaml")
        assert taken.is_cut("client") and begun.is_cut("server")
        assert node.pushes("client") and other.goes_on() and another.goes_on()
    assert enforcer.status()["connections"]["cut"] == 2
    flows = wait_until(lambda: [f for f in enforcer.flows() if f["verdict"] == "cut"], 30,
                       "records")
    assert {flow["reason"] for flow in flows} == {"not-programmed"}


def delete_set(node, name):
    """The one copy that there is of a set that no rule asks."""
    deleted = [node.exec(["nft", "delete", "set", "inet", "ringfence", copy],
                         check=False).returncode == 0 for copy in (name, name + "_b")]
    assert sorted(deleted) == [False, True]


def test_who_went_while_nobody_looked_is_gone(three):
    """Whether the table that was left is as this version makes it, or lacks a set."""
    lab, enforcer = three
    with (Stream(lab, "world", "gone", 80, 4) as gone,
          Stream(lab, "world", "db", 80, 4) as next_gone,
          Stream(lab, "world", "web", 80, 4) as other):
        for stream, stay, lacks in ((gone, ["web", "db"], False),
                                    (next_gone, ["web"], True)):
            enforcer.stop()
            if lacks:
                delete_set(lab.node, "nobody4")
            enforcer.write("world.yaml", rest(lab, *stay))
            enforcer.start()
            wait_listed(enforcer)
            assert stream.is_cut("client") and other.goes_on()


def test_a_node_that_takes_the_address_of_who_is_gone_keeps_it(three):
    lab, enforcer = three
    node = (NODE.format(name="node-2", v4=lab.host("gone").address(4),
                        v6=lab.host("gone").address(6)))
    with (Stream(lab, "gone", "db", 80, 4) as taken_over,
          Stream(lab, "db", "gone", 80, 6) as taken_over_too):
        change(enforcer, rest(lab, "web", "db") + node, "world.yaml")
        assert taken_over.goes_on() and taken_over_too.goes_on()


def test_who_moved_to_another_node_is_not_gone(three):
    """Policy judges it as before: what goes on elsewhere may go on."""
    lab, enforcer = three
    with (Stream(lab, "db", "gone", 80, 4) as moved,
          Stream(lab, "world", "web", 80, 4) as other):
        text = rest(lab, "web", "db", "gone")
        at = text.rindex("node: node-1")
        change(enforcer, text[:at] + "node: node-2" + text[at + 12:], "world.yaml")
        assert moved.goes_on() and other.goes_on()


@pytest.mark.parametrize("gate", [["wl-*"], NETWORKS])
@pytest.mark.parametrize("version", [4, 6])
def test_the_node_does_not_take_back_who_is_gone(three, version, gate):
    """What the node has yet to send would make the connection anew, as if it had begun it."""
    lab, enforcer = three
    enforcer.stop()
    enforcer.write_config(workloadNetworks=gate)
    enforcer.start()
    with (Stream(lab, "gone", "node-1", 80, version) as gone,
          Stream(lab, "web", "node-1", 80, version) as other):
        change(enforcer, rest(lab, "web", "db"), "world.yaml")
        assert gone.is_cut("server") and gone.is_cut("client")
        assert other.goes_on()
