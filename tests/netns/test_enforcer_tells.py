"""The daemon: what it tells of itself and of traffic, and to whom."""

import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess

import pytest

import lab as lab_module
from enforcerd import WAIT_S, rf, role_facts, set_in_use
from lab import wait_until
from shop import DB, enforcer, idle, lab  # noqa: F401

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


# --- flows ---


def test_denied_flow_is_logged_with_names_policy_and_place(lab, enforcer):
    result = lab.probe("web", "db", "tcp", 80)
    assert result.state == "closed"
    wait_until(enforcer.flows, 60, "a record")
    flow = enforcer.flows()[0]
    web, db = lab.host("web"), lab.host("db")
    assert flow["verdict"] == "deny" and flow["direction"] == "ingress"
    assert flow["protocol"] == "tcp" and flow["tenant"] == "acme"
    assert flow["reason"] == "isolation" and flow["count"] == 1
    assert flow["src"] | {"port": 0} == {
        "address": web.address(4), "port": 0, "workload": "web",
        "namespace": "/acme/shop"}
    assert flow["dst"] == {"address": db.address(4), "port": 80, "workload": "db",
                           "namespace": "/acme/shop"}
    assert flow["policy"] == {
        "kind": "Policy", "namespace": "/acme/shop", "name": "db",
        "file": f"{enforcer.policy}/db.yaml", "line": 8}
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", flow["time"])


def test_flow_of_a_mandatory_rule_names_the_rule(lab, enforcer):
    before = enforcer.generation()
    enforcer.write("guard.yaml", """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: guard, namespace: /acme}
spec:
  mandatory:
    egress:
      - {name: no-test-net, action: deny, to: [{cidr: 203.0.113.0/24},
                                               {cidr: "2001:db8::/32"}]}
""")
    enforcer.wait_generation(before + 1)
    address = lab.host("world").address(6)
    assert lab.probe("web", address, "udp", 53).state == "closed"
    wait_until(enforcer.flows, 60, "a record")
    flow = enforcer.flows()[0]
    assert (flow["direction"], flow["reason"], flow["protocol"]) == (
        "egress", "rule", "udp")
    assert flow["dst"] == {"address": address, "port": 53}
    assert flow["policy"] == {
        "kind": "Policy", "namespace": "/acme", "name": "guard", "rule": 0,
        "ruleName": "no-test-net", "file": f"{enforcer.policy}/guard.yaml", "line": 7}


def test_same_flows_are_counted_and_none_is_lost(lab, enforcer):
    address = lab.host("db").address(4)
    lab.probe_many([("web", address, "tcp", 80)] * 50 +
                   [("mon", address, "udp", 53)] * 30, 200)

    def total(source):
        return sum(flow["count"] for flow in enforcer.flows()
                   if flow["src"].get("workload") == source)

    wait_until(lambda: (total("web"), total("mon")) == (50, 30), 60, "all counts")
    assert len(enforcer.flows()) < 20
    assert enforcer.status()["flows"]["lost"] == 0
    assert enforcer.metric('ringfence_flow_packets_total{verdict="deny"}') == 80


def test_allowed_flows_of_a_subtree_are_told_on_request(lab, idle):
    """Of whom it was asked, and of nobody else: at that end, whatever rule it was."""
    everyone = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: everyone, namespace: /}
spec:
  allow:
    ingress: [{name: probes, ports: [80/tcp]}]
"""
    db, web, mon = (str(lab.host(name).address(4)) for name in ("db", "web", "mon"))

    def told(verdict="allow"):
        return {(flow["src"]["workload"], flow["dst"].get("workload"), flow["dst"].get("port"),
                 flow["policy"]["name"], flow["policy"].get("ruleName"), flow["direction"],
                 flow["tenant"]) for flow in idle.flows() if flow["verdict"] == verdict}

    def probe(*probes):
        """Once, and one that is denied behind them: what was to be told has been."""
        for each in probes:
            assert lab.probe(*each).state == "open", each
        before = len([flow for flow in idle.flows() if flow["verdict"] == "deny"])
        wait_until(lambda: lab.probe("web", db, "tcp", 9100, 50) and len(
            [flow for flow in idle.flows() if flow["verdict"] == "deny"]) > before, 60, "the end")

    idle.write("everyone.yaml", everyone)
    with idle:
        probe(("web", db, "tcp", 5432), ("web", mon, "tcp", 80))
        assert told() == set()
        idle.write_config(flows=idle.config["flows"] | {"allowed": ["/acme/shop"]})
        before = idle.generation()
        idle.process.send_signal(signal.SIGHUP)
        idle.wait_generation(before + 1)
        idle.wait_settled()
        # The rule of / logs for mon as well, who is none of them.
        probe(("web", db, "tcp", 5432), ("web", mon, "tcp", 80), ("mon", web, "tcp", 80))
        mine = {("web", "db", 5432, "db", "web", "ingress", "acme"),
                ("mon", "web", 80, "everyone", "probes", "ingress", "acme")}
        assert told() == mine
        assert idle.ask("diff").returncode == 0
        assert idle.metric('ringfence_flow_packets_total{verdict="allow"}') == 2
        # Rules that come one by one, and those that change.
        before = idle.generation()
        idle.write("db.yaml", DB.replace("name: web,", "name: front,").replace(
            "9100/tcp]", "9100/tcp]}\n      - {name: probes, ports: [80/tcp]"))
        idle.wait_generation(before + 1)
        probe(("web", db, "tcp", 5432), ("mon", db, "tcp", 80))
        mine |= {("web", "db", 5432, "db", "front", "ingress", "acme")}
        assert mine < told() and {row[:3] for row in told() - mine} == {("mon", "db", 80)}
        idle.wait_settled()
        assert idle.ask("diff").returncode == 0
        # Nothing of it is left when it is not asked for any more.
        idle.write_config(flows={"file": str(idle.flow_path)})
        before = idle.generation()
        idle.process.send_signal(signal.SIGHUP)
        idle.wait_generation(before + 1)
        seen = len(idle.flows())
        probe(("web", db, "tcp", 5432))
        assert {flow["verdict"] for flow in idle.flows()[seen:]} == {"deny"}


def test_icmp_flow_has_no_ports(lab, enforcer):
    def denied():
        """Connections of an earlier test that linger are cut, which is told as well."""
        return [flow for flow in enforcer.flows() if flow["verdict"] == "deny"]

    assert lab.probe("world", "db", "icmp").state == "closed"
    wait_until(denied, 60, "a record")
    flow = denied()[0]
    assert flow["protocol"] == "icmp"
    assert "port" not in flow["src"] and "port" not in flow["dst"]


def as_line(flow):
    """A record as people read it."""
    def end(which):
        address, port = flow[which]["address"], flow[which].get("port")
        name = flow[which].get("workload")
        text = f"{flow[which]['namespace']}/{name} " if name else ""
        text += f"[{address}]" if port and ":" in address else address
        return f"{text}:{port}" if port else text

    policy = flow["policy"]
    rule = f" rule {policy['rule']}" if "rule" in policy else ""
    return (f"{flow['time']} {flow['verdict']} {flow['direction']} {end('src')} > {end('dst')} "
            f"{flow['protocol']} x{flow['count']}: {flow['reason']}, {policy['kind']} "
            f"{policy['namespace']}/{policy['name']}{rule}, {policy['file']}:{policy['line']}")


def test_flows_command_shows_recent_and_follows(lab, enforcer):
    lab.probe("web", "db", "tcp", 80)
    wait_until(enforcer.flows, 60, "a record")
    recent = enforcer.ask("flows").stdout.splitlines()
    assert json.loads(recent[0]) == enforcer.flows()[0]
    reader = lab.node.popen(
        [rf.program("ringfence-enforcer"), "flows", "--follow", "--count", "0",
         "--control", str(enforcer.socket)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        os.set_blocking(reader.stdout.fileno(), False)
        seen = b""

        def follow():
            nonlocal seen
            lab.probe("mon", "db", "udp", 53, 50)
            seen += reader.stdout.read() or b""
            return b"\n" in seen

        wait_until(follow, 60, "a followed record")
        assert json.loads(seen.splitlines()[0])["src"]["workload"] == "mon"
        # The engine is another: so is what it has counted.
        os.kill(enforcer.role("engine"), signal.SIGKILL)
        assert reader.stderr.readline().endswith(b"the daemon has ended; waiting for another\n")
        assert re.search(rb"it goes on; missed: 0 records, and what", reader.stderr.readline())
        seen = b""
        wait_until(follow, 60, "a record of another engine")
        lab.probe("world", str(lab.host("db").address(6)), "tcp", 80)
        wait_until(lambda: any(":" in flow["src"]["address"] for flow in enforcer.flows()),
                   30, "a record of IPv6")
        told = [json.loads(line) for line in enforcer.ask("flows").stdout.splitlines()]
        text = enforcer.ask("flows", "--count", str(len(told)), "-o", "text").stdout
        assert text.splitlines() == [as_line(flow) for flow in told]
        assert re.search(r"deny ingress \[2001:db8::1\]:\d+ > /acme/shop/db \[fd00:1::\d\]:80 tcp "
                         r"x\d+: isolation, Policy /acme/shop/db, \S+/db\.yaml:8$", text, re.M)
    finally:
        reader.kill()
        reader.wait()
        reader.stdout.close()
        reader.stderr.close()


def test_flow_file_is_reopened_on_sighup(lab, enforcer):
    lab.probe("web", "db", "tcp", 80, 100)
    wait_until(enforcer.flows, 60, "a record")
    enforcer.flow_path.rename(enforcer.directory / "flows.old")
    enforcer.process.send_signal(signal.SIGHUP)
    wait_until(enforcer.flow_path.exists, 60, "a new file")
    lab.probe("mon", "db", "udp", 53, 100)
    wait_until(enforcer.flows, 60, "a record in the new file")


def test_flow_log_goes_on_when_its_disk_was_full(lab, idle):
    """What is half written spoils no record but its own; what was lost is counted."""
    small = idle.directory / "small"
    small.mkdir()
    idle.write_config(flows={"file": str(small / "flows.jsonl")})
    idle.start(wrap=["unshare", "-m", "sh", "-c",
                     f"mount -t tmpfs -o size=16k tmpfs {small} && exec \"$@\"", "sh"])
    path = pathlib.Path(f"/proc/{idle.process.pid}/root{small}/flows.jsonl")
    address = lab.host("db").address(4)
    ports = iter(range(1000, 60000))

    def filled():
        lab.probe_many([("web", address, "tcp", next(ports)) for _ in range(50)], 50)
        return "error engine: flow-log" in idle.log()

    wait_until(filled, 60, "the disk to be full")
    assert not path.read_bytes().endswith(b"}\n")
    assert idle.metric("ringfence_flow_write_failures_total") >= 1
    lab.node.exec(["nsenter", "-t", str(idle.process.pid), "-m", "mount", "-o",
                   "remount,size=1m", str(small)])

    def told():
        lab.probe("mon", "db", "udp", 53, 50)
        lines = path.read_bytes().splitlines()
        return lines if lines[-1].endswith(b"}") else None

    lines = wait_until(told, 60, "a whole record")
    assert json.loads(lines[-1])["verdict"] == "deny"
    assert len([line for line in lines if not line.endswith(b"}")]) == 1

    def adds_up():
        whole = sum(line.endswith(b"}") for line in path.read_bytes().splitlines())
        flows = idle.status()["flows"]
        return whole + flows["unwritten"] == flows["records"]

    wait_until(adds_up, 60, "each record to be in the file or counted")
    assert idle.metric("ringfence_flow_records_unwritten_total") >= 1
    idle.stop()


# --- control, audit, confinement ---


def test_control_socket_is_for_root_alone(enforcer):
    """So is the one that takes its place when somebody has deleted it, until a restart."""
    def is_private():
        mode = enforcer.socket.stat()
        return stat.S_IMODE(mode.st_mode) == 0o600 and mode.st_uid == 0

    assert is_private()
    enforcer.write_config(controlGroup="nogroup")
    enforcer.process.send_signal(signal.SIGHUP)
    enforcer.wait_log('fields="controlGroup" message="change with a restart only"')
    enforcer.socket.unlink()
    wait_until(enforcer.answers, 60, "another socket")
    assert is_private() and "warn enforcer: control-socket" in enforcer.log()


def test_explain_says_what_the_tool_says(enforcer):
    words = ["/acme/shop/web", "/acme/shop/db", "80/tcp"]
    told = rf.run("explain", enforcer.policy, "--", *words)
    assert enforcer.ask("explain", *words).stdout == told.stdout
    asked = enforcer.ask_json("explain", *words)
    assert asked == json.loads(
        rf.run("explain", enforcer.policy, "-o", "json", "--", *words).stdout)
    assert asked["verdict"] == "deny"


def test_explain_knows_the_node_s_own_addresses(lab, enforcer):
    """Which no document tells; of some without a kernel role nobody does, and there is an answer."""
    def end(address="127.0.0.1"):
        return enforcer.ask_json("explain", "203.0.113.1", address, "80/tcp")["dst"]

    assert end() == "node/node-1"
    assert end(str(lab.node.address(4))) == "node/node-1"
    assert enforcer.ask_json("explain", str(lab.node.address(6)), "/acme/shop/web",
                             "80/tcp")["src"] == "node/node-1"
    assert enforcer.ask_json("explain", "203.0.113.1", "203.0.113.2", "80/tcp")["dst"] == \
        "203.0.113.2"
    os.kill(enforcer.process.pid, signal.SIGSTOP)  # it starts no other
    try:
        os.kill(enforcer.role("kernel"), signal.SIGKILL)
        wait_until(lambda: end() == "127.0.0.1", 60, "it to be noticed")
    finally:
        os.kill(enforcer.process.pid, signal.SIGCONT)


def test_explain_knows_that_nothing_passes_to_whom_nobody_knows(lab, enforcer):
    """As the kernel has it, and whatever policy says; a tool does not know of these networks."""
    def verdict(src, dst):
        asked = enforcer.ask_json("explain", src, dst, "80/tcp")
        return asked["verdict"], asked["families"][0].get("closed")

    assert verdict("/acme/shop/web", "10.1.9.9") == ("deny", "10.1.9.9")
    assert verdict("fd00:1::9:9", "/ops/mon") == ("deny", "fd00:1::9:9")
    assert verdict("node/node-1", "10.1.9.9") == ("allow", None)
    assert verdict("/acme/shop/web", "203.0.113.9") == ("allow", None)
    assert verdict("/acme/shop/web", "10.1.0.3") == ("allow", None)
    text = enforcer.ask("explain", "/acme/shop/web", "10.1.9.9", "80/tcp").stdout
    assert text.startswith("deny: ") and "note: 10.1.9.9 is in workloadNetworks" in text
    assert "both ends allow it, and the node does not" in text


def test_client_refuses_what_makes_no_sense(lab, enforcer):
    for words, text in [
            (["explain", "/acme/shop/web", "/acme/shop/bd", "80/tcp"], "db"),
            (["explain", "/acme/shop/web"], "usage"),
            (["status", "-o", "xml"], "xml"),
            (["flows", "--count", "all"], "all"),
            (["flows", "--bogus"], "flows: no such option"),
            (["rules", "of-mine"], "takes options alone"),
    ]:
        done = enforcer.ask(*words, check=False)
        assert done.returncode == 2 and text in done.stderr, words
    done = lab.node.exec([rf.program("ringfence-enforcer"), "status", "--control",
                          str(enforcer.directory / "none.sock")], check=False)
    assert done.returncode == 2 and "none.sock" in done.stderr
    assert "is it running?" in done.stderr
    done = lab.node.exec(["setpriv", "--reuid", "65534", "--clear-groups",
                          rf.program("ringfence-enforcer"), "status", "--control",
                          str(enforcer.socket)], check=False)
    assert done.returncode == 2 and "root alone" in done.stderr
    done = lab.node.exec([rf.program("ringfence-enforcer"), "flow", "--control",
                          str(enforcer.socket)], check=False)
    assert done.returncode == 2 and "no such command: flow (" in done.stderr


def test_socket_survives_nonsense(lab, enforcer):
    for question in (b"\n", b"nonsense\n", b"status now\n", b"\0\xff\n",
                     b"x" * 10000, b"explain a b c d e f\n", b""):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(enforcer.socket))
            sock.sendall(question)
            sock.shutdown(socket.SHUT_WR)
            try:
                answer = b"".join(iter(lambda: sock.recv(4096), b""))
            except ConnectionResetError:
                answer = b""
            assert answer == b"" or "error" in json.loads(answer), question
    assert enforcer.status()["state"] == "enforcing"


def test_pages(enforcer):
    assert enforcer.page("/healthz") == (200, "ok\n")
    assert enforcer.page("/readyz") == (200, "enforcing\n")
    assert enforcer.page("/nothing")[0] == 404
    code, text = enforcer.page("/metrics")
    assert code == 200
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)) > 20
    for line in text.splitlines():
        assert re.fullmatch(
            r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[0-9.]+',
            line), line
    assert enforcer.metric("ringfence_local_workloads") == 3


def test_metrics_at_every_address_are_those_of_both_families(lab, idle):
    idle.write_config(metrics="[::]:9477")
    with idle:
        assert idle.page("/healthz") == (200, "ok\n")  # over IPv4
        assert lab.node.exec(["curl", "-s", "http://[::1]:9477/healthz"]).stdout == "ok\n"


def test_roles_have_what_they_need_and_nothing_more(enforcer):
    net_admin = 1 << 12
    for role, caps in (("engine", 0), ("kernel", net_admin)):
        facts = role_facts(enforcer.role(role))
        assert facts["uid"] != "0", role
        assert facts["caps"] == facts["permitted"] == caps, role
        assert facts["locked"] == "1" and facts["root"] == [], role
        assert rf.sanitized() or facts["seccomp"] == "2", role


def test_audit_log_has_programs_and_denials(lab, idle):
    audit = idle.directory / "audit"
    idle.write_config(audit={"directory": str(audit), "mode": "required"})
    with idle:
        assert role_facts(idle.role("audit"))["uid"] != "0"
        lab.probe("web", "db", "tcp", 80, 100)
        wait_until(idle.flows, 60, "a record")
        lines = wait_until(lambda: [
            line for line in map(json.loads, (audit / "log-0.jsonl").read_text()
                                 .splitlines()) if line["verb"] == "deny-flow"], 60)
        deny = lines[0]
        assert deny["kind"] == "Event" and deny["apiVersion"] == "audit.k8s.io/v1"
        assert deny["objectRef"] | {"apiGroup": ""} == {
            "resource": "workloads", "namespace": "/acme/shop", "name": "db",
            "apiGroup": ""}
        assert deny["sourceIPs"] == [lab.host("web").address(4)]
        notes = deny["annotations"]
        assert notes["ringfence.dev/tenant"] == "acme"
        assert notes["ringfence.dev/service"] == "80/tcp"
        assert f"{idle.policy}/db.yaml:8" in notes["ringfence.dev/decided-by"]
        before = idle.generation()
        idle.write("db.yaml", DB.replace("9100", "9101"))
        idle.wait_generation(before + 1)
        idle.write("bad.yaml", "x: [")
        refused = wait_until(lambda: [
            event for event in map(json.loads, (audit / "log-0.jsonl").read_text()
                                   .splitlines()) if event["verb"] == "edit"], 60)
        # No number that the next daemon gives again.
        assert refused[0]["auditID"][9:] != "0000-4000-8000-000000000000"
    events = [json.loads(line)
              for line in (audit / "log-0.jsonl").read_text().splitlines()]
    applied = [event for event in events if event["verb"] == "apply"]
    assert [event["stage"] for event in applied] == ["RequestReceived",
                                                     "ResponseComplete"] * 2
    for first, second in (applied[:2], applied[2:]):
        assert first["auditID"] == second["auditID"]
    numbers = [event["annotations"]["ringfence.dev/generation"] for event in applied]
    assert numbers == ["1", "1", "2", "2"]
    assert {path.name for path in audit.iterdir()} >= {"checkpoint", "key.pub"}


def test_who_asks_for_tenants_traffic_is_on_record(lab, idle):
    """As the kernel says who that is; what tells of nobody's traffic is not."""
    audit = idle.directory / "audit"
    idle.write_config(audit={"directory": str(audit)})
    web, db = lab.host("web").address(4), lab.host("db").address(4)
    with idle:
        idle.ask("status")
        idle.ask("explain", web, db, "80/tcp", check=False)
        idle.ask("flows")
        idle.ask("trace", web, db, "80/tcp", "--wait", "1", check=False)

        def asked():
            return {event["objectRef"]["name"]: event for event in map(
                json.loads, (audit / "log-0.jsonl").read_text().splitlines())
                if event["verb"] == "ask"}
        wait_until(lambda: "trace" in asked(), 30, "a record of the question")
        events = asked()
    assert set(events) == {"flows", "trace"}
    assert events["trace"]["user"]["username"] == (
        f"ringfence:node:{idle.host.name}:uid:{os.getuid()}")
    notes = events["trace"]["annotations"]
    assert notes["ringfence.dev/words"].split()[:3] == [web, db, "80/tcp"]
    assert int(notes["ringfence.dev/pid"]) >= 0


def test_full_audit_disk_holds_changes_but_keeps_enforcing(lab, idle):
    """`required`: what cannot be recorded does not come into force."""
    audit = idle.directory / "audit"
    audit.mkdir()
    idle.write_config(audit={"directory": str(audit), "mode": "required"},
                      tableOwner="never")
    # a small file system of the daemon's own, gone with it
    idle.start(wrap=["unshare", "-m", "sh", "-c",
                     f"mount -t tmpfs -o size=256k tmpfs {audit} && exec \"$@\"", "sh"])
    inside = pathlib.Path(f"/proc/{idle.process.pid}/root{audit}")
    before = idle.generation()
    filler = inside / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    # the log's last page may still take a line or two: records of denials
    wait_until(lambda: "audit-not-writable" in idle.log() or lab.probe(
        "web", "db", "tcp", 80, 50).open, 60, "the log to be full")
    assert not idle.status()["audit"]["writable"]
    assert "program-held" not in idle.log()
    idle.write("db.yaml", DB.replace("5432", "80"))
    idle.wait_log("program-held")
    assert idle.generation() == before
    assert lab.probe("web", "db", "tcp", 80).state == "closed"
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    lab.node.exec(["nft", "flush", "ruleset"])  # healing is not held up
    wait_until(lambda: lab.probe("web", "db", "tcp", 80, 100).state == "closed", 60)
    filler.unlink()
    idle.wait_generation(before + 1)
    wait_until(lambda: lab.probe("web", "db", "tcp", 80).state == "open", 60)
    idle.stop()


# --- trace ---


def trace(lab, enforcer, probe, *words):
    """The answer to `trace` of the probe's first packet, which comes when it is waited for."""
    asking = lab.node.popen(
        [rf.program("ringfence-enforcer"), "trace", "--control", str(enforcer.socket),
         "-o", "json", *words], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: "ringfence-trace" in trace_tables(lab) or asking.poll() is not None,
               WAIT_S, "the trace to begin")
    lab.probe(*probe)
    return json.loads(asking.communicate(timeout=WAIT_S)[0])


def trace_tables(lab):
    return lab.node.exec(["nft", "list", "tables"]).stdout


def test_trace_follows_a_denied_packet(lab, enforcer):
    answer = trace(lab, enforcer, ("web", lab.host("db").address(6), "tcp", 80),
                   "/acme/shop/web", "/acme/shop/db", "80/tcp")
    assert answer["verdict"] == "drop"
    chains = [step["chain"] for step in answer["steps"]]
    assert chains[:3] == ["forward", "first6", "forward6"]
    assert chains[3].startswith("ingress6")
    assert "decide" in chains
    last = answer["steps"][-1]
    assert last["chain"].startswith("rule_") and last["action"] == "deny"
    assert last["rule"].startswith("Policy /acme/shop/db ingress isolation")
    assert f"{enforcer.policy}/db.yaml:8" in last["rule"]
    assert "ringfence-trace" not in trace_tables(lab)


@pytest.mark.parametrize("family", (4, 6))
def test_trace_follows_an_allowed_packet_through(lab, enforcer, family):
    answer = trace(lab, enforcer, ("web", lab.host("db").address(family), "udp", 53),
                   lab.host("web").address(family), "/acme/shop/db", "53/udp")
    assert answer["verdict"] == "accept"
    rules = [step for step in answer["steps"] if "rule" in step]
    assert len(rules) == 1 and rules[0]["verdict"] == "return"
    assert "(web)" in rules[0]["rule"]


def test_trace_says_what_is_wrong(lab, enforcer):
    def asked(*words):
        done = enforcer.ask("trace", *words, check=False)
        assert done.returncode == 2
        return done.stderr

    assert "no such packet came" in asked("--wait", "1", "/acme/shop/web",
                                          "/acme/shop/db", "81/tcp")
    assert "/acme/shop/wbe" in asked("/acme/shop/wbe", "/acme/shop/db", "81/tcp")
    assert "no number of seconds" in asked("--wait", "0", "a", "b", "1/tcp")
    first = lab.node.popen(
        [rf.program("ringfence-enforcer"), "trace", "--control", str(enforcer.socket),
         "/acme/shop/web", "/acme/shop/db", "82/tcp"], stdout=subprocess.DEVNULL)
    try:
        # Once its table is there, it is the one that came first.
        wait_until(lambda: "ringfence-trace" in trace_tables(lab), WAIT_S, "the first trace")
        assert "another trace is under way" in asked(
            "--wait", "1", "/acme/shop/web", "/acme/shop/db", "83/tcp")
    finally:
        first.kill()
        first.wait()


def test_trace_that_nobody_waits_for_ends(lab, enforcer):
    """The next need not wait until the time is up that somebody gave it who has gone."""
    gone = lab.node.popen(
        [rf.program("ringfence-enforcer"), "trace", "--control", str(enforcer.socket), "--wait",
         "300", "/acme/shop/web", "/acme/shop/db", "82/tcp"], stdout=subprocess.DEVNULL)
    wait_until(lambda: "ringfence-trace" in trace_tables(lab), WAIT_S, "the first trace")
    gone.terminate()
    gone.wait()
    wait_until(lambda: "ringfence-trace" not in trace_tables(lab), WAIT_S, "its table to go")
    answer = trace(lab, enforcer, ("web", "db", "tcp", 80), "/acme/shop/web", "/acme/shop/db",
                   "80/tcp")
    assert answer["verdict"] == "drop"


PUBLISHED = """\
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: front, namespace: /acme/shop}
spec:
  default:
    ingress:
      - {name: pub, action: publish, to: [{workloads: {matchLabels: {app: db}}}], ports: [80/tcp],
         address: ["198.51.100.80", "2001:db8:100::80"], targetPort: 5432}
    egress:
      - {name: out, action: route, to: [{cidr: 203.0.113.0/24}], source: [198.51.100.7]}
"""


def test_trace_follows_what_is_published(lab, enforcer):
    """By the address that the client knows, through the translation, to the verdict; and by the
    one that the workload has."""
    before = enforcer.generation()
    enforcer.write("route.yaml", PUBLISHED)
    enforcer.wait_generation(before + 1)
    web = lab.host("web").address(4)
    for client, verdict, rule in (
            ("world", "drop", "Policy /acme/shop/db ingress isolation"),
            ("web", "accept", "Policy /acme/shop/db ingress allow rule 0 (web)")):
        answer = trace(lab, enforcer, (client, "198.51.100.80", "tcp", 80),
                       str(lab.host(client).address(4)), "198.51.100.80", "80/tcp")
        assert answer["verdict"] == verdict
        steps = answer["steps"]
        assert steps[0]["chain"] == "route_in"
        told = [step["rule"] for step in steps if "rule" in step]
        assert told[0].startswith("Route /acme/shop/front ingress default rule 0 (pub)")
        assert told[1].startswith(rule) and len(told) == 2
        assert all("rule" in step or "meaning" in step for step in steps)
    answer = trace(lab, enforcer, ("web", "198.51.100.80", "tcp", 80), web, "/acme/shop/db",
                   "5432/tcp")
    assert [step["chain"] for step in answer["steps"]][0] == "forward"
    assert answer["verdict"] == "accept"
    # What leaves, with another source.
    answer = trace(lab, enforcer, ("web", "203.0.113.1", "tcp", 80), web, "203.0.113.1", "80/tcp")
    assert answer["verdict"] == "accept"
    assert any(step.get("rule", "").startswith("Route /acme/shop/front egress")
               for step in answer["steps"])
    assert all("rule" in step or "meaning" in step for step in answer["steps"])


def test_trace_follows_what_the_node_sends(lab, enforcer):
    """Without host protection no rule of policy is on its way. Whether a document says which
    addresses the node has does not matter."""
    web, world = (str(lab.host(name).address(4)) for name in ("web", "world"))
    answer = trace(lab, enforcer, ("node-1", web, "tcp", 80), "node/node-1", web, "80/tcp")
    assert [step["chain"] for step in answer["steps"]] == ["output"]
    answer = trace(lab, enforcer, ("world", str(lab.node.address(4)), "tcp", 80), world,
                   "node/node-1", "80/tcp")
    assert [step["chain"] for step in answer["steps"]] == ["input"]
    before = enforcer.generation()
    enforcer.write("node.yaml", f"""\
apiVersion: v1
kind: Node
metadata: {{name: node-1}}
status: {{addresses: [{{type: InternalIP, address: "{lab.node.address(4)}"}}]}}
""")
    enforcer.wait_generation(before + 1)
    answer = trace(lab, enforcer, ("node-1", web, "tcp", 80), "node/node-1", web, "80/tcp")
    assert answer["verdict"] == "accept"
    assert [step["chain"] for step in answer["steps"]] == ["output"]
    answer = trace(lab, enforcer, ("web", str(lab.node.address(4)), "tcp", 80), web, "node/node-1",
                   "80/tcp")
    assert answer["verdict"] == "accept" and answer["steps"][0]["chain"] == "input"


# --- metrics ---


def samples(text):
    """{name of a sample: number of its lines}, having checked that all is well-formed."""
    types, found = {}, {}
    label = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"'
    line_form = re.compile(rf"([a-zA-Z_:]\w*)(\{{{label}(?:,{label})*\}})? (\S+)")
    seen = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types and f"# HELP {name} " in text, name
            assert kind != "counter" or name.endswith("_total"), name
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = line_form.fullmatch(line)
            assert match, line
            base = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert types.get(match[1]) or types.get(base) == "histogram", line
            assert (match[1], match[2]) not in seen, line
            seen.add((match[1], match[2]))
            float(match[3])
            found[match[1]] = found.get(match[1], 0) + 1
    return found


def test_metrics_are_well_formed_and_count_rules(lab, enforcer):
    before = enforcer.generation()
    enforcer.write("db.yaml", DB.replace("name: web,", r'name: "a \"b\" \\ c",'))
    enforcer.wait_generation(before + 1)
    assert lab.probe("web", "db", "tcp", 80).state == "closed"
    code, text = enforcer.page("/metrics")
    found = samples(text)
    assert code == 200 and found["ringfence_rule_packets_total"] >= 3
    assert r'rule="a \"b\" \\ c"' in text
    assert re.search(r'ringfence_rule_packets_total\{number="\d+",action="deny",'
                     r'direction="ingress",kind="Policy",namespace="/acme/shop",'
                     r'policy="db",rule="isolation"\} [1-9]', text)
    assert 'ringfence_policy_drop_packets_total{direction="ingress"} 0' not in text
    assert enforcer.metric("ringfence_policy_programming_duration_seconds_count") >= 2
    assert enforcer.metric('ringfence_commit_duration_seconds_bucket{le="+Inf"}') >= 2


def test_metrics_of_processes_are_what_the_kernel_counts(enforcer):
    def fields(role):
        text = pathlib.Path(f"/proc/{enforcer.role(role)}/stat").read_text("ascii")
        return [int(word) for word in text.rpartition(")")[2].split()[1:]]

    for role in ("parent", "kernel", "engine"):
        before = fields(role)
        cpu_s = enforcer.metric(f'process_cpu_seconds_total{{role="{role}"}}')
        after = fields(role)
        assert sum(before[10:12]) <= round(cpu_s * os.sysconf("SC_CLK_TCK")) <= sum(after[10:12])
        told = enforcer.metric(f'process_resident_memory_bytes{{role="{role}"}}')
        resident = fields(role)[20] * os.sysconf("SC_PAGESIZE")
        assert told == pytest.approx(resident, rel=0.5)


def test_metrics_are_told_without_a_kernel_role(enforcer):
    role = enforcer.role("kernel")
    os.kill(enforcer.process.pid, signal.SIGSTOP)  # it starts no other
    try:
        os.kill(role, signal.SIGKILL)
        wait_until(lambda: enforcer.page("/healthz")[0] == 503, 60, "it to be noticed")
        text = enforcer.page("/metrics")[1]
        samples(text)
        assert "ringfence_rule_counters_read 0" in text
    finally:
        os.kill(enforcer.process.pid, signal.SIGCONT)
    wait_until(lambda: enforcer.page("/healthz")[0] == 200, 60, "a new kernel role")


def test_dashboard_asks_for_what_there_is(enforcer):
    path = rf.ROOT / "samples" / "grafana" / "ringfence-node.json"
    dashboard = json.loads(path.read_text())
    found = samples(enforcer.page("/metrics")[1])
    asked = set()
    for panel in dashboard["panels"]:
        assert panel["title"] and panel["targets"]
        for target in panel["targets"]:
            asked |= set(re.findall(r"(?:ringfence|process)_\w+", target["expr"]))
    assert len(asked) > 15
    assert asked <= set(found), asked - set(found)


# --- what other programs see ---


def listing(node):
    """The table as nft prints it, counters at nothing."""
    text = node.exec(["nft", "list", "table", "inet", "ringfence"]).stdout
    return re.sub(r"packets \d+ bytes \d+", "packets 0 bytes 0", text)


@pytest.fixture
def plain(idle):
    """A daemon whose table has nothing that nft's text does not know, or not yet."""
    idle.write_config(tableOwner="never", established={"adoptSeconds": 0})
    with idle:
        yield idle


def test_listing_is_readable_and_loads_again(lab, plain):
    text = listing(lab.node)
    assert 'comment "Policy /acme/shop/db' in text
    plain.stop()
    lab.node.exec(["nft", "delete", "table", "inet", "ringfence"])
    lab.node.nft(text)
    assert listing(lab.node) == text
    assert lab.probe("world", "db", "tcp", 80).state == "closed"
    assert lab.probe("web", "db", "tcp", 5432).state == "open"


NODE = """\
apiVersion: v1
kind: Node
metadata: {{name: node-1}}
status:
  addresses: [{{type: InternalIP, address: {}}}, {{type: InternalIP, address: "{}"}}]
"""


def test_table_is_the_one_that_compile_prints(lab, plain):
    """Once a document says what the daemon knows by itself: which addresses the node has."""
    text = listing(lab.node)
    plain.write("node.yaml", NODE.format(*map(lab.node.address, (4, 6))))
    done = rf.run("compile", plain.policy, "--node", "node-1",
                  "--workload-networks", ",".join(plain.config["workloadNetworks"]),
                  "-o", "nft")
    assert done.returncode == 0, done.stderr
    plain.stop()
    lab.node.exec(["nft", "delete", "table", "inet", "ringfence"])
    lab.node.nft(done.stdout)
    assert sorted(listing(lab.node).splitlines()) == sorted(text.splitlines())


def test_diff_tells_in_terms_of_policy(lab, idle):
    """Asked while the kernel has something else; a plain table, which others can change."""
    idle.write_config(tableOwner="never")
    idle.start()
    idle.wait_settled()
    assert idle.ask("diff").stdout == "the kernel's table is as it should be\n"
    web, db = lab.host("web").address(4), lab.host("db").address(4)
    engine = idle.role("engine")

    def told():
        """What it says before it heals, which may use other sets; None if it was faster."""
        cells, out = (set_in_use(lab.node, name) for name in ("cell4_in", "local4_out"))
        listed = lab.node.exec(["nft", "list", "map", "inet", "ringfence", cells]).stdout
        cell = next(re.search(r"\S+ \. [\d.]+ \. tcp \. 5432", line)[0]
                    for line in listed.splitlines() if "tcp . 5432" in line)
        os.kill(engine, signal.SIGSTOP)
        try:
            lab.node.exec(["nft", f"delete element inet ringfence {cells} {{ {cell} }}; "
                                  f"add element inet ringfence {out} {{ 203.0.113.9 }}"])
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(idle.socket))
                client.sendall(b"diff\n")
                os.kill(engine, signal.SIGCONT)
                answer = json.loads(b"".join(iter(lambda: client.recv(65536), b"")))
        finally:
            os.kill(engine, signal.SIGCONT)
        idle.wait_settled()
        return answer if answer["count"] else None

    answer = wait_until(told, 60, "a difference to be told")
    meanings = {item["what"]: item["meaning"] for item in answer["differences"]}
    assert answer["count"] == 2
    assert meanings["missing"].startswith(
        f"ingress of /acme/shop/db ({db}) from /acme/shop/web ({web})")
    assert ", tcp 5432: Policy /acme/shop/db ingress allow rule 0 (web)" in meanings["missing"]
    assert meanings["extra"] == "policy judges the egress of 203.0.113.9"
