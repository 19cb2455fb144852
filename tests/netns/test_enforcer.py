"""The daemon: policy from files into the kernel, whatever becomes of the files."""

import os
import pathlib
import re
import signal
import socket

import pytest

import lab as lab_module
from enforcerd import WAIT_S, Watch, rf
from lab import wait_until
from shop import ALLOWED, DB, PORTS, WORKLOAD, enforcer, idle, lab, world  # noqa: F401

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

NODE_9 = """\
apiVersion: v1
kind: Node
metadata: {name: node-9}
status: {addresses: [{type: InternalIP, address: 192.0.2.9}]}
---
"""
NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {tier: gold}}
---
"""
OUTSIDE = """\
apiVersion: ringfence.dev/v1alpha1
kind: ExternalNetwork
metadata: {name: cards, namespace: /}
spec: {cidrs: [198.51.100.0/24]}
---
"""


PAYS = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: pays, namespace: /acme/shop}
spec: {mandatory: {egress: [{action: deny, to: [{external: cards}]}]}}
"""


def everything(lab):
    """Every connection between hosts that are not nodes, over both families."""
    hosts = [host for host in lab.hosts if host.kind != "node"]
    return [(src.name, dst.address(version), proto, port)
            for src in hosts for dst in hosts if src is not dst
            for version in (4, 6)
            for proto, port in map(lab_module.parse_port, PORTS)]


def states(lab, probes):
    return [result.state for result in lab.probe_many(probes, confirm=True)]


def wanted(lab, probe):
    src, address, proto, port = probe
    dst = lab.owner(address).name
    return dst != "db" or (src, dst, proto, port) in ALLOWED


# --- enforcing ---


def test_every_connection_is_as_policy_says(lab, enforcer):
    probes = everything(lab)
    for probe, state in zip(probes, states(lab, probes)):
        assert (state == "open") == wanted(lab, probe), probe
    assert enforcer.status()["state"] == "enforcing"
    assert enforcer.ask("diff").returncode == 0


def test_established_connection_goes_on_when_rules_are_replaced(lab, enforcer):
    with lab.connect("web", lab.host("db").address(4), "tcp", 5432) as connection:
        assert connection.state == "open"
        before = enforcer.generation()
        enforcer.write("db.yaml", DB.replace("name: web,", "name: web-tier,"))
        enforcer.wait_generation(before + 1)
        assert connection.ask() == "open"


def test_denied_is_refused_when_so_configured(lab, idle):
    idle.write_config(denied="reject")
    with idle:
        assert lab.probe("world", "db", "tcp", 80).state == "refused"
        assert lab.probe("world", "db", "udp", 53).state == "refused"
        assert lab.probe("web", "db", "tcp", 5432).state == "open"


def test_cluster_default_deny_closes_what_no_policy_allows(lab, idle):
    idle.write_config(clusterDefault="deny")
    with idle:
        assert lab.probe("web", "mon", "tcp", 80).state == "closed"
        assert lab.probe("web", "db", "tcp", 5432).state == "closed"  # web's egress


def test_node_reaches_its_workloads_and_they_reach_it(lab, enforcer):
    assert lab.probe("node-1", "db", "tcp", 80).state == "open"
    assert lab.probe("web", "node-1", "tcp", 80).state == "open"
    assert enforcer.status()["state"] == "enforcing"


# --- changes ---


def test_edit_takes_effect_both_ways(lab, enforcer):
    before = enforcer.generation()
    enforcer.write("db.yaml", DB.replace("5432/tcp", "80/tcp"))
    enforcer.wait_generation(before + 1)
    assert lab.probe("web", "db", "tcp", 80).state == "open"
    assert lab.probe("web", "db", "tcp", 5432).state == "closed"
    (enforcer.policy / "db.yaml").unlink()
    enforcer.wait_generation(before + 2)
    assert lab.probe("world", "db", "tcp", 5432).state == "open"


def test_edit_in_place_is_noticed(lab, enforcer):
    before = enforcer.generation()
    with open(enforcer.policy / "db.yaml", "r+", encoding="utf-8") as file:
        file.write(DB.replace("9100", "9199"))
    enforcer.wait_generation(before + 1)
    assert lab.probe("mon", "db", "tcp", 9100).state == "closed"


def test_new_file_in_new_directory_is_noticed(lab, enforcer):
    before = enforcer.generation()
    deep = enforcer.policy / "more" / "yet"
    deep.mkdir(parents=True)
    (deep / "web.yaml").write_text(DB.replace("name: db,", "name: web,").replace(
        "app: db", "app: web"))
    enforcer.wait_generation(before + 1)
    assert lab.probe("world", "web", "tcp", 80).state == "closed"


def test_config_map_swap_is_noticed(lab, idle):
    """Kubernetes swaps a link that the visible files go through."""
    (idle.policy / "db.yaml").unlink()
    (idle.policy / "world.yaml").unlink()
    for version, text in (("..1", DB), ("..2", DB.replace("5432", "80"))):
        (idle.policy / version).mkdir()
        (idle.policy / version / "db.yaml").write_text(text)
        (idle.policy / version / "world.yaml").write_text(world(lab))
    (idle.policy / "..data").symlink_to("..1")
    for name in ("db.yaml", "world.yaml"):
        (idle.policy / name).symlink_to(f"..data/{name}")
    with idle:
        assert lab.probe("web", "db", "tcp", 5432).state == "open"
        before = idle.generation()
        (idle.policy / "..data_tmp").symlink_to("..2")
        (idle.policy / "..data_tmp").rename(idle.policy / "..data")
        idle.wait_generation(before + 1)
        assert lab.probe("web", "db", "tcp", 5432).state == "closed"
        assert lab.probe("web", "db", "tcp", 80).state == "open"


def test_many_edits_end_with_the_last(lab, enforcer):
    for port in range(1000, 1040):
        enforcer.write("db.yaml", DB.replace("5432", str(port)))
    enforcer.write("db.yaml", DB.replace("5432", "80"))
    wait_until(lambda: lab.probe("web", "db", "tcp", 80).state == "open", 60)
    assert enforcer.ask("diff").returncode == 0


def test_nothing_happens_when_nothing_is_different(enforcer):
    before = enforcer.status()
    for _ in range(3):
        enforcer.write("db.yaml", DB)
    os.utime(enforcer.policy / "world.yaml")
    mark = len(enforcer.log())
    # the end of what was to happen: another edit, which does count
    enforcer.write("db.yaml", DB.replace("5432", "5433"))
    enforcer.wait_generation(before["generation"] + 1)
    assert enforcer.generation() == before["generation"] + 1
    assert len(re.findall("program-applied", enforcer.log()[mark:])) == 1


def test_edit_of_one_rule_keeps_counters_of_others(lab, enforcer):
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    name = "Policy /acme/shop/db ingress allow rule 0 web"
    rule = next(rule for text, rule in enforcer.rules().items()
                if rule["rule"] == "web")
    assert rule["packets"] >= 1, name
    before = enforcer.generation()
    # behind the rule, so that its place is the same
    enforcer.write("db.yaml", DB.replace("9100/tcp", "9101/tcp"))
    enforcer.wait_generation(before + 1)
    after = next(r for r in enforcer.rules().values() if r["rule"] == "web")
    assert after["packets"] == rule["packets"]


def test_counters_go_on_whatever_is_made_anew(lab, enforcer):
    """The rule's place, the whole table, the daemon."""
    def web():
        return next(r for r in enforcer.ask_json("rules") if r["rule"] == "web")

    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    before = web()
    assert before["packets"] >= 1
    number = enforcer.generation()
    enforcer.write("db.yaml", "# another line\n" + DB)
    enforcer.wait_generation(number + 1)
    assert web()["line"] == before["line"] + 1
    assert web()["packets"] == before["packets"]
    enforcer.stop()
    enforcer.start()
    assert web()["packets"] == before["packets"] and web()["bytes"] == before["bytes"]
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    assert web()["packets"] == before["packets"] + 1


def test_top_tells_the_busiest_rules(lab, enforcer):
    with Watch(lab, [("web", "db", "udp", 53), ("world", "db", "tcp", 80)], 100):
        found = enforcer.ask_json("top", "--count", "5")
        assert {rule["comment"].split(":")[0].rsplit(" ", 1)[0] for rule in found} == {
            "Policy /acme/shop/db ingress allow rule 0 (web)",
            "Policy /acme/shop/db ingress isolation"}
        assert all(rule["packetsPerSecond"] > 0 for rule in found)
        assert len(enforcer.ask_json("top", "--count", "1")) == 1
        text = enforcer.ask("top").stdout
    assert text.startswith("   PACKETS/S") and "allow rule 0 (web)" in text
    assert enforcer.ask("top", "--interval", "0", check=False).returncode == 2


# --- bad input ---


def test_bad_edit_keeps_the_last_good_program(lab, enforcer):
    before = enforcer.generation()
    text = DB.replace("ingress:\n      - {name", "ingres:\n      - {name")
    enforcer.write("db.yaml", text)
    enforcer.wait_state("stale")
    place = f"{enforcer.policy}/db.yaml:7:5"
    assert re.search(f'policy-error at="{place}" code=unknown-field', enforcer.log())
    source = enforcer.source()
    assert source["state"] == "bad" and source["errorCount"] == 1
    assert source["errors"][0].startswith(f"{place}: error: ")
    assert 'did you mean "ingress"' in source["errors"][0]
    assert enforcer.generation() == before
    assert enforcer.metric("ringfence_load_failures_total") == 1
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    assert lab.probe("world", "db", "tcp", 5432).state == "closed"
    assert place in enforcer.ask("status").stdout
    enforcer.write("db.yaml", DB.replace("5432", "80"))
    enforcer.wait_generation(before + 1)
    assert enforcer.status()["state"] == "enforcing"
    assert enforcer.source()["errors"] == []
    assert lab.probe("web", "db", "tcp", 80).state == "open"


def test_bad_file_does_not_hold_up_others(lab, enforcer):
    before = enforcer.generation()
    enforcer.write("bad.yaml", "kind: [\n")
    enforcer.wait_state("stale")
    enforcer.write("db.yaml", DB.replace("5432", "80"))
    enforcer.wait_generation(before + 1)
    assert lab.probe("web", "db", "tcp", 80).state == "open"
    assert enforcer.status()["state"] == "stale"
    assert enforcer.metric("ringfence_edits_refused_total") == 1
    assert enforcer.metric('ringfence_compiles_total{kind="incremental"}') == 1
    assert enforcer.metric('ringfence_compiles_total{kind="whole"}') == 1
    enforcer.write("bad.yaml", "# nothing\n")
    enforcer.wait_state("enforcing")


def test_bad_files_do_not_hold_up_what_takes_a_whole_load(lab, enforcer):
    """What they said before goes on: one that was there, and one that is new."""
    before = enforcer.generation()
    enforcer.write("db.yaml", DB.replace("5432/tcp", "5432/tpc"))
    enforcer.wait_state("stale")
    enforcer.write("bad.yaml", PAYS.replace("egress:", "nothing: 1, egress:"))
    wait_until(lambda: len(enforcer.source()["badFiles"]) == 2, WAIT_S, "bad files")
    since = {file["file"]: file["since"] for file in enforcer.source()["badFiles"]}
    assert since.keys() == {f"{enforcer.policy}/{n}" for n in ("bad.yaml", "db.yaml")}
    # A name for the outside, which the new one may have been refused for.
    enforcer.write("new.yaml", NAMESPACE + NODE_9 + OUTSIDE)
    enforcer.wait_generation(before + 1)
    assert enforcer.metric('ringfence_compiles_total{kind="whole"}') == 2
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    assert lab.probe("world", "db", "tcp", 5432).state == "closed"
    status = enforcer.status()
    assert status["state"] == "stale"
    assert {file["file"]: file["since"] for file in enforcer.source()["badFiles"]} == since
    text = enforcer.ask("status").stdout
    assert all(f"bad file:   {file} since {time}" in text for file, time in since.items())
    label = f'{{directory="{enforcer.policy}"}}'
    assert enforcer.metric(f"ringfence_source_bad_files{label}") == 2
    enforcer.write("db.yaml", DB.replace("5432", "80"))
    wait_until(lambda: lab.probe("web", "db", "tcp", 80).state == "open", WAIT_S, "db")
    (enforcer.policy / "bad.yaml").unlink()
    enforcer.wait_state("enforcing")
    assert enforcer.source()["badFiles"] == []


def test_policy_that_named_an_external_network_too_early_is_taken_when_that_comes(lab, enforcer):
    before = enforcer.generation()
    world = lab.host("world").address(4)
    enforcer.write("pays.yaml", PAYS)
    enforcer.wait_state("stale")
    assert lab.probe("web", "world", "tcp", 80).state == "open"
    enforcer.write("cards.yaml", OUTSIDE.replace("198.51.100.0/24", f"{world}/32"))
    enforcer.wait_generation(before + 1)
    enforcer.wait_state("enforcing")
    assert lab.probe("web", "world", "tcp", 80).state == "closed"


def test_policy_that_moves_to_another_file_stays(lab, enforcer):
    """First it is in both, of which one is refused; then only that one is left."""
    before = enforcer.generation()
    enforcer.write("moved.yaml", DB)
    enforcer.wait_state("stale")
    (enforcer.policy / "db.yaml").unlink()
    enforcer.wait_state("enforcing")
    assert enforcer.source()["badFiles"] == []
    assert enforcer.generation() > before
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    assert lab.probe("world", "db", "tcp", 5432).state == "closed"


def test_who_names_an_external_network_follows_it_without_a_load(lab, enforcer):
    world = lab.host("world").address(4)
    enforcer.write("cards.yaml", OUTSIDE)
    wait_until(lambda: enforcer.metric("ringfence_edits_total") == 1, WAIT_S, "cards")
    enforcer.write("pays.yaml", PAYS)
    for net, state in ((f"{world}/32", "closed"), ("198.51.100.0/24", "open")):
        enforcer.write("cards.yaml", OUTSIDE.replace("198.51.100.0/24", net))
        wait_until(lambda: lab.probe("web", "world", "tcp", 80).state == state, WAIT_S, net)
    assert enforcer.metric('ringfence_compiles_total{kind="whole"}') == 1
    assert enforcer.metric("ringfence_edit_fallbacks_total") == 0


def test_other_nodes_workload_is_one_element(lab, enforcer):
    before = enforcer.generation()
    peer = WORKLOAD.replace("node-1", "node-2").replace("---", "")
    for number in (7, 8):
        enforcer.write("peer.yaml", peer.format(
            name="peer", ns="/acme/shop", v4=f"10.1.9.{number}", v6=f"fd00:1::9:{number}"))
        before += 1
        enforcer.wait_generation(before)
        known = lab.node.exec(
            ["nft", "list", "set", "inet", "ringfence", "known4"]).stdout
        assert [f"10.1.9.{n}" in known for n in (7, 8)] == [number == 7, number == 8]
    (enforcer.policy / "peer.yaml").unlink()
    enforcer.wait_generation(before + 1)
    assert enforcer.metric('ringfence_compiles_total{kind="whole"}') == 1
    assert enforcer.metric('ringfence_compiles_total{kind="incremental"}') == 3
    assert lab.probe("web", "db", "tcp", 5432).state == "open"


def test_workload_that_comes_with_a_change_of_a_watched_policy_is_known(lab, enforcer):
    watched = DB.replace("name: db,", "name: watched,").replace(
        "spec:\n", "spec:\n  enforcement: audit\n")
    before = enforcer.generation()
    enforcer.write("watched.yaml", watched)
    enforcer.wait_generation(before + 1)
    peer = WORKLOAD.replace("node-1", "node-2").replace("---", "")
    for number in range(7, 10):  # both are one edit, if nothing comes between
        enforcer.write("watched.yaml", watched.replace("9100", f"910{number}"))
        enforcer.write("peer.yaml", peer.format(
            name="peer", ns="/acme/shop", v4=f"10.1.9.{number}", v6=f"fd00:1::9:{number}"))
        for name, address in (("known4", f"10.1.9.{number}"), ("known6", f"fd00:1::9:{number}")):
            wait_until(
                lambda name=name, address=address: f" {address} " in lab.node.exec(
                    ["nft", "list", "set", "inet", "ringfence", name]).stdout.replace(",", " "),
                what=f"{address} to be in the kernel")
    assert enforcer.ask("diff").returncode == 0


def test_every_error_is_told(enforcer):
    enforcer.write("bad.yaml", "kind: [\n")
    enforcer.write("worse.yaml", DB.replace("/tcp", "/tpc").replace("name: db,", ""))
    enforcer.wait_state("stale")
    wait_until(lambda: enforcer.source()["errorCount"] >= 4, 60)
    files = {error.split(":")[0] for error in enforcer.source()["errors"]}
    assert files == {str(enforcer.policy / "bad.yaml"),
                     str(enforcer.policy / "worse.yaml")}
    assert enforcer.log().count("policy-error") >= enforcer.source()["errorCount"]


@pytest.mark.parametrize("reloads", [False, True])
@pytest.mark.parametrize("how, why", [("gone", "No such file"), ("replaced", "no policy file")])
def test_vanished_directory_keeps_the_last_good_program(lab, enforcer, how, why, reloads):
    before = enforcer.generation()
    away = enforcer.directory / "away"
    enforcer.policy.rename(away)
    if how == "replaced":
        enforcer.policy.mkdir()
    wait_until(lambda: enforcer.source()["errorCount"] == 1, WAIT_S, "it to be told")
    if reloads:
        enforcer.process.send_signal(signal.SIGHUP)
        enforcer.wait_log("reloaded")
    wait_until(lambda: why in str(enforcer.source()["errors"]), WAIT_S, "why")
    assert enforcer.status()["state"] == "stale"
    source = enforcer.source()
    assert source["state"] == "unreadable"
    assert str(enforcer.policy) in source["errors"][0]
    assert lab.probe("world", "db", "tcp", 5432).state == "closed"
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    (away / "db.yaml").write_text(DB.replace("5432", "80"))
    if how == "replaced":
        enforcer.policy.rmdir()
    away.rename(enforcer.policy)
    enforcer.wait_state("enforcing")
    enforcer.wait_generation(before + 1)
    wait_until(lambda: lab.probe("web", "db", "tcp", 80).state == "open", WAIT_S, "its change")


@pytest.mark.parametrize("whole", [False, True])
def test_unreadable_file_says_what_it_said_before(lab, enforcer, whole):
    """Who can write one file stops no change of others, whether all are read again or some."""
    wrong = {"db.yaml": "cannot be read: No such file or directory",
             "pipe.yaml": "is neither a file nor a directory"}
    (enforcer.policy / "link").symlink_to("nowhere")
    (enforcer.policy / "link").rename(enforcer.policy / "db.yaml")
    os.mkfifo(enforcer.policy / "pipe.yaml")
    wait_until(lambda: enforcer.source()["errorCount"] == 2, WAIT_S, "both to be told of")
    if whole:
        enforcer.process.send_signal(signal.SIGHUP)
        enforcer.wait_log("reloaded")
    enforcer.write("mon.yaml", DB.replace("db", "mon").replace("/acme/shop", "/ops"))
    wait_until(lambda: lab.probe("db", "mon", "tcp", 80).state == "closed", WAIT_S, "an edit")
    source = enforcer.source()
    assert source["errors"] == [f"{enforcer.policy}/{name}: error: {why} [file-read]"
                                for name, why in wrong.items()]
    assert [file["file"] for file in source["badFiles"]] == [
        str(enforcer.policy / name) for name in wrong]
    assert lab.probe("world", "db", "tcp", 5432).state == "closed"
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    (enforcer.policy / "pipe.yaml").unlink()
    enforcer.write("db.yaml", DB)
    enforcer.wait_state("enforcing")


def test_bad_policy_at_start_closes_workloads_until_it_is_repaired(lab, idle):
    idle.write("db.yaml", DB.replace("spec:", "spce:"))
    idle.start(ready=False)
    idle.wait_state("closed")
    assert idle.source()["state"] == "bad"
    assert idle.page("/readyz") == (503, "closed\n")
    for probe in [("web", "db", "tcp", 5432), ("web", "mon", "tcp", 80),
                  ("world", "web", "tcp", 80), ("web", "world", "tcp", 80)]:
        assert lab.probe(*probe).state == "closed", probe
    idle.write("db.yaml", DB)
    idle.wait_state("enforcing")
    assert idle.page("/readyz") == (200, "enforcing\n")
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    assert lab.probe("web", "mon", "tcp", 80).state == "open"


def test_boot_open_lets_everything_through_until_policy_is_known(lab, idle):
    idle.write("db.yaml", DB.replace("spec:", "spce:"))
    idle.write_config(boot="open")
    idle.start(ready=False)
    idle.wait_log("program-refused")
    assert idle.status()["state"] == "starting"
    assert lab.probe("world", "db", "tcp", 5432).state == "open"
    idle.write("db.yaml", DB)
    idle.wait_state("enforcing")
    assert lab.probe("world", "db", "tcp", 5432).state == "closed"


def test_unknown_workload_is_closed_by_the_gate(lab, enforcer):
    before = enforcer.generation()
    enforcer.write("world.yaml", world(lab).replace("name: mon", "name: nom").replace(
        str(lab.host("mon").address(4)), "10.1.200.200").replace(
        str(lab.host("mon").address(6)), "fd00:1::c8"))
    enforcer.wait_generation(before + 1)
    assert lab.probe("mon", "web", "tcp", 80).state == "closed"
    assert lab.probe("web", "mon", "tcp", 80).state == "closed"
    wait_until(lambda: {"not-programmed"} <= {f["reason"] for f in enforcer.flows()})


# --- configuration ---


def test_sighup_takes_a_new_source(lab, enforcer):
    before = enforcer.generation()
    more = enforcer.directory / "more"
    more.mkdir()
    (more / "web.yaml").write_text(DB.replace("name: db,", "name: web,").replace(
        "app: db", "app: web"))
    enforcer.write_config(sources=[{"directory": str(enforcer.policy)},
                                   {"directory": str(more)}])
    assert lab.probe("world", "web", "tcp", 80).state == "open"
    enforcer.process.send_signal(signal.SIGHUP)
    enforcer.wait_generation(before + 1)
    wait_until(lambda: lab.probe("world", "web", "tcp", 80).state == "closed", 60)
    assert [source["state"] for source in enforcer.status()["sources"]] == ["good"] * 2
    (more / "web.yaml").write_text("kind: [\n")
    wait_until(lambda: enforcer.source(1)["state"] == "bad", 60)
    assert enforcer.source(0)["state"] == "good"


def test_sighup_with_a_bad_configuration_changes_nothing(lab, enforcer):
    enforcer.config_path.write_text("node: node-1\nsorces: []\n")
    enforcer.process.send_signal(signal.SIGHUP)
    enforcer.wait_log("reload-refused")
    assert re.search(r'config at=".*enforcer.yaml:2:1" message=.*sorces', enforcer.log())
    status = enforcer.status()
    assert status["state"] == "enforcing" and status["configErrors"] > 0
    assert enforcer.metric("ringfence_config_last_reload_successful") == 0
    assert lab.probe("world", "db", "tcp", 80).state == "closed"
    enforcer.write_config()
    enforcer.process.send_signal(signal.SIGHUP)
    wait_until(lambda: enforcer.status()["configErrors"] == 0, 60)
    assert enforcer.metric("ringfence_config_last_reload_successful") == 1


def test_many_sighups_are_few_reloads(lab, enforcer):
    """What has come meanwhile is done by one; policy does not wait for hundreds."""
    def arrived():
        text = pathlib.Path(f"/proc/{enforcer.process.pid}/status").read_text()
        pending = int(re.search(r"ShdPnd:\s*(\w+)", text)[1], 16)
        return not pending >> (signal.SIGHUP - 1) & 1

    for _ in range(300):
        enforcer.process.send_signal(signal.SIGHUP)
        wait_until(arrived)
    enforcer.write("db.yaml", DB.replace("5432", "80"))
    wait_until(lambda: lab.probe("web", "db", "tcp", 80).state == "open", WAIT_S, "an edit")
    assert 0 < enforcer.log().count("reloaded") < 300
    assert lab.probe("web", "db", "tcp", 5432).state == "closed"


def test_second_daemon_does_not_start(lab, enforcer):
    done = lab.node.exec([rf.program("ringfence-enforcer"), "--config",
                          str(enforcer.config_path)], check=False)
    assert done.returncode == 1 and "another enforcer" in done.stderr
    assert enforcer.status()["state"] == "enforcing"


def test_socket_left_by_a_killed_daemon_is_no_obstacle(lab, idle):
    idle.start()
    idle.stop(signal.SIGKILL)
    assert idle.socket.exists()
    with idle:
        assert idle.status()["state"] == "enforcing"


def test_error_about_two_files_names_both(enforcer):
    """Of two files that give the same name, the one at fault may be the other."""
    world = enforcer.policy / "world.yaml"
    enforcer.write("again.yaml", world.read_text().split("---\n")[0])
    enforcer.wait_state("stale")
    told = (f"{world}:3:18: error: Namespace /acme/shop is given twice "
            f"(the first one is here: {enforcer.policy}/again.yaml:3:18) [duplicate-object]")
    assert enforcer.source()["errors"] == [told]
    assert f"(the first one is here: {enforcer.policy}/again.yaml:3:18)" in enforcer.log()


def test_what_is_no_left_over_socket_stays(idle):
    """Who mistypes `control` loses no file by it, and nobody else his socket."""
    def refused(why):
        idle.start(ready=False)
        assert idle.process.wait(10) == 1 and why in idle.log()
        idle.process = None

    idle.socket.write_text("mine")
    refused("is no socket")
    assert idle.socket.read_text() == "mine"
    idle.socket.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(idle.socket))
        refused("Protocol wrong type")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"still there", str(idle.socket))
        assert other.recv(100) == b"still there"
    idle.socket.unlink()


@pytest.mark.parametrize("user", ["root", "nobody-else"])
def test_roles_run_as_somebody_but_root(idle, user):
    idle.write_config(user=user)
    idle.start(ready=False)
    assert idle.process.wait(10) == 1
    assert {"root": "roles must not run as root", "nobody-else": "no user"}[user] in idle.log()
    idle.process = None


def test_deeds_exclude_each_other(lab, enforcer):
    """Who wants to check before he removes must not find everything removed."""
    for words in (["--check", "--remove"], ["--boot", "--check"], ["--remove", "--boot"]):
        done = lab.node.exec([rf.program("ringfence-enforcer"), "--config",
                              str(enforcer.config_path), *words], check=False)
        assert (done.returncode, done.stdout) == (2, "") and "exclude each other" in done.stderr
    assert enforcer.ask("diff").returncode == 0


def test_missing_flow_directory_is_told_at_start(lab, idle):
    """It is no reason to leave a node without policy."""
    idle.write_config(flows={"file": "/nonexistent/dir/flows"})
    with idle.start():
        assert "/nonexistent/dir/flows" in idle.log()
        assert idle.status()["state"] == "enforcing"
    lab.node.exec(["nft", "flush", "ruleset"])
