"""The daemon when things go wrong: killed roles, foreign hands on the table, restarts.

The law in all of them: what policy forbids stays forbidden at every moment; what it allows
stays allowed.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading

import pytest

import lab as lab_module
from enforcerd import WAIT_S, Enforcer, Watch, ended, kill, rf, set_in_use
from faultlab import ALLOWED, FORBIDDEN, watched
from lab import wait_until
from shop import DB, lab, world  # noqa: F401

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.fixture
def enforcer(lab, tmp_path):
    with Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB}) as it:
        it.wait_settled()
        yield it
    lab.node.exec(["nft", "flush", "ruleset"])


@pytest.fixture
def plain(lab, tmp_path):
    """As enforcer, with a table that others can change, as older kernels have it."""
    with Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB},
                  tableOwner="never") as it:
        it.wait_settled()
        assert not it.status()["kernel"]["owned"]
        yield it
    lab.node.exec(["nft", "flush", "ruleset"])


@pytest.fixture
def owned(enforcer):
    """As enforcer, where the kernel has tables that belong to somebody."""
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert enforcer.status()["kernel"]["owned"] == (release >= (6, 9))
    if release < (6, 9):
        pytest.skip("tables have owners that they outlive since Linux 6.9")
    return enforcer


def check_enforcing(lab):
    probes = FORBIDDEN + ALLOWED
    for probe, result in zip(probes, lab.probe_many(probes, confirm=True)):
        assert result.state == ("open" if probe in ALLOWED else "closed"), probe


def packets(lab):
    """What the rule chains have counted, by number."""
    text = lab.node.exec(["nft", "list", "table", "inet", "ringfence"]).stdout
    return {chain: int(count) for chain, count in re.findall(
        r"chain (rule_\d+) {\s+counter packets (\d+)", text)}


# --- killed ---


@pytest.mark.parametrize("role", ["engine", "kernel"])
def test_killed_role_comes_back_and_nothing_is_let_through(lab, enforcer, role):
    with watched(lab) as watch:
        for _ in range(3):
            pid = enforcer.role(role)
            kill(pid)
            watch.wait_rounds(1)
            wait_until(lambda: enforcer.answers() and any(
                r["name"] == role and r["pid"] != pid  # noqa: B023
                for r in enforcer.status()["roles"]), 60, f"a new {role}")
            enforcer.wait_state("enforcing")
            watch.wait_rounds(1)
    restarts = {r["name"]: r["restarts"] for r in enforcer.status()["roles"]}
    assert restarts[role] == 3
    assert enforcer.log().count(f"role-ended role={role} status=137") == 3
    # and it still does its work
    before = enforcer.generation()
    enforcer.write("db.yaml", DB.replace("5432", "80"))
    enforcer.wait_generation(before + 1)
    assert lab.probe("web", "db", "tcp", 80).state == "open"
    assert lab.probe("web", "db", "tcp", 5432).state == "closed"
    wait_until(lambda: enforcer.status()["flows"]["reading"], 60, "flows to be read")
    lab.probe("world", "db", "tcp", 443, 100)
    wait_until(lambda: any(flow["dst"].get("port") == 443
                           for flow in enforcer.flows()), 60, "a record")


def test_signals_of_other_daemons_end_nothing(lab, enforcer):
    """SIGUSR1 opens logs again elsewhere; here it is nobody's, and must not open a gap."""
    roles = enforcer.status()["roles"]
    with watched(lab) as watch:
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            enforcer.process.send_signal(number)
        watch.wait_rounds(1)
        before = enforcer.generation()
        enforcer.write("db.yaml", DB.replace("9100/tcp", "9100/tcp, 7000/tcp"))
        enforcer.wait_generation(before + 1)
    assert enforcer.status()["roles"] == roles


def test_killed_audit_role_comes_back(lab, tmp_path):
    audit = tmp_path / "audit"
    it = Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB},
                  audit={"directory": str(audit), "mode": "required"})
    with it:
        pid = it.role("audit")
        kill(pid)
        before = it.generation()
        it.write("db.yaml", DB.replace("5432", "80"))
        it.wait_generation(before + 1)
        assert lab.probe("web", "db", "tcp", 80).state == "open"
        assert it.role("audit") != pid
    lab.node.exec(["nft", "flush", "ruleset"])


def test_second_daemon_of_a_network_leaves_the_first_alone(lab, plain, tmp_path):
    """Wherever its socket is, and though anybody could change the table."""
    other = tmp_path / "other"
    other.mkdir()
    second = Enforcer(lab.node, other, {"world.yaml": world(lab)}, tableOwner="never",
                      metrics=False, flows={"group": 120})
    second.start(ready=False)
    assert second.process.wait(WAIT_S) == 1
    assert "another enforcer runs in this network namespace" in second.log()
    assert "role-ended" not in second.log()  # nor was it tried again
    assert plain.status()["kernel"]["heals"] == 0
    check_enforcing(lab)


@pytest.mark.parametrize("mode", ["best-effort", "required"])
def test_logs_that_cannot_be_opened_leave_no_node_without_policy(lab, tmp_path, mode):
    """A required one holds back what is new, also at the start: all is closed then."""
    disk = tmp_path / "disk"
    disk.write_text("no directory")
    it = Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB},
                  audit={"directory": str(disk / "audit"), "mode": mode},
                  flows={"file": str(disk / "flows.jsonl")})
    with it.start(ready=mode == "best-effort"):
        it.wait_state("enforcing" if mode == "best-effort" else "closed")
        assert lab.probe("mon", "db", "tcp", 5432).state == "closed"
        assert lab.probe("web", "db", "tcp", 5432).open == (mode == "best-effort")
        asked = it.ask("explain", "/acme/shop/web", "/acme/shop/db", "5432/tcp", check=False)
        assert asked.stderr.endswith(
            "" if mode == "best-effort" else "from or to workloadNetworks is denied, but what the node sends\n")
        assert asked.returncode == (0 if mode == "best-effort" else 2)
        wait_until(lambda: it.status()["flows"]["unwritten"] > 0, 60, "a record")
        assert not it.status()["audit"]["writable"]
        disk.unlink()
        disk.mkdir()
        wait_until(lambda: it.status()["audit"]["writable"], 60, "the audit log")
        it.wait_state("enforcing")
        assert lab.probe("web", "db", "tcp", 5432).open
        kill(it.role("audit"))  # which finds no disk any more
        disk.rename(tmp_path / "gone")
        wait_until(lambda: "audit-directory" in it.log().rpartition("audit-writable")[2]
                   or "status=1" in it.log().rpartition("status=137")[2], 60, "another try")
        assert it.process.poll() is None and it.status()["state"] == "enforcing"
    lab.node.exec(["nft", "flush", "ruleset"])


def test_killed_parent_takes_all_roles_along_and_rules_stay(lab, enforcer):
    pids = [role["pid"] for role in enforcer.status()["roles"]]
    with watched(lab) as watch:
        enforcer.stop(signal.SIGKILL)
        for pid in pids:
            wait_until(lambda: ended(pid), 60, f"process {pid} to end")  # noqa: B023
        watch.wait_rounds(2)
        enforcer.start()
        watch.wait_rounds(2)


def test_sigterm_leaves_the_rules_in_force_and_restart_has_no_gap(lab, enforcer):
    with watched(lab) as watch:
        for _ in range(3):
            assert enforcer.stop() == 0
            assert not enforcer.socket.exists()
            watch.wait_rounds(1)
            enforcer.start()
            watch.wait_rounds(1)
    assert enforcer.ask("diff").returncode == 0


def of_another_version(listed):
    """The table as a version might leave it that knows of no limits, and of sets of its own."""
    kept, inside = [], False
    for line in listed.splitlines()[1:-1]:
        inside = inside or re.match(r"\t(set|map|chain) (limit|part)", line)
        if not inside and not re.search(r"@limit|@part|\blimit_|^\tflags ", line):
            kept.append(line)
        inside = inside and line != "\t}"
    return "\n".join(["delete table inet ringfence", "table inet ringfence {", *kept,
                      "\tset of_old {", "\t\ttype ipv4_addr", "\t}",
                      "\tchain old {", "\t\tip saddr @of_old accept", "\t}", "}", ""])


def test_table_of_another_version_becomes_ours_without_a_gap(lab, enforcer):
    """An upgrade, or the way back from one: the sets that are there are not those we need."""
    listed = lab.node.exec(["nft", "list", "table", "inet", "ringfence"]).stdout
    other = of_another_version(listed)
    assert "limit_new" in listed and "limit_new" not in other
    with watched(lab) as watch:
        for _ in range(2):
            assert enforcer.stop() == 0
            lab.node.nft(other)
            watch.wait_rounds(1)
            enforcer.start()
            watch.wait_rounds(1)
    enforcer.wait_settled()
    assert enforcer.ask("diff").returncode == 0
    now = lab.node.exec(["nft", "-t", "list", "table", "inet", "ringfence"]).stdout
    assert "limit_new" in now and "of_old" not in now


def test_policy_that_changed_while_nobody_looked_is_in_force_after_restart(
        lab, enforcer):
    enforcer.stop()
    enforcer.write("db.yaml", DB.replace("5432", "80"))
    enforcer.start()
    assert lab.probe("web", "db", "tcp", 80).state == "open"
    assert lab.probe("web", "db", "tcp", 5432).state == "closed"


def test_bad_policy_at_restart_leaves_the_table_as_it_is(lab, enforcer):
    enforcer.stop()
    enforcer.write("db.yaml", "kind: [\n")
    mark = len(enforcer.log())
    enforcer.start(ready=False)
    enforcer.wait_log("program-refused", mark)
    check_enforcing(lab)
    enforcer.write("db.yaml", DB)
    enforcer.wait_state("enforcing")
    check_enforcing(lab)


# --- foreign hands ---


def wait_healed(enforcer, lab, count, change):
    """Make a change; it is undone in time, and once."""
    change()
    wait_until(lambda: enforcer.status()["kernel"]["heals"] >= count, WAIT_S,
               "the table to be healed")
    enforcer.wait_settled()
    check_enforcing(lab)
    assert enforcer.status()["kernel"]["heals"] == count
    assert enforcer.ask("diff").returncode == 0


def nft(lab, text):
    return lambda: lab.node.nft(text)


# What others may do to the table of ours, and what is in it. The last ones only open.
CHANGES = {
    "flush ruleset": "flush ruleset",
    "delete table": "delete table inet ringfence",
    "flush table": "flush table inet ringfence",
    "flush chain": "flush chain inet ringfence forward",
    "flush map": "flush map inet ringfence {rest}",
    "insert rule": "insert rule inet ringfence forward accept",
    "insert into rule chain": "insert rule inet ringfence {rule} accept",
    "add element": "add element inet ringfence {out} {{ 10.1.0.200 }}",
    "delete element": "delete element inet ringfence {into} {{ {db} }}",
    "flush interval": "flush set inet ringfence {gate}",
    "put to sleep": "add table inet ringfence {{ flags dormant; }}",
    "chain policy": "add chain inet ringfence forward {{ policy drop; }}",
    # The same rules, but after those of others: what they accept is judged all the same, and
    # what they translate is seen as it was not meant to be.
    "chain priority": "delete table inet ringfence\n{later}",
}


def change_text(lab, name):
    sets = {"rest": "cell4_in_rest", "out": "local4_out", "into": "local4_in",
            "gate": "gate4"}
    listed = lab.node.exec(["nft", "list", "table", "inet", "ringfence"]).stdout
    later = re.sub(r"(type filter hook forward priority )[^;]+;", r"\g<1>77;", listed)
    assert later != listed
    return CHANGES[name].format(
        later=re.sub(r"^\tflags .*\n", "", later, flags=re.M), rule=next(iter(packets(lab))), db=lab.host("db").address(4),
        **{key: set_in_use(lab.node, name) for key, name in sets.items()})


@pytest.mark.parametrize("name", CHANGES)
def test_foreign_change_is_healed(lab, plain, name):
    wait_healed(plain, lab, 1, nft(lab, change_text(lab, name)))
    assert re.search('table-healed generation=1 reason="', plain.log())
    assert plain.metric("ringfence_heals_total") == 1


@pytest.mark.parametrize("name", CHANGES)
def test_change_while_nobody_looked_is_undone_at_start(lab, plain, name):
    plain.stop()
    lab.node.nft(change_text(lab, name))
    plain.start()
    check_enforcing(lab)
    plain.wait_settled()
    assert plain.ask("diff").returncode == 0


def test_heals_again_and_again(lab, plain):
    for count in range(1, 6):
        wait_healed(plain, lab, count, nft(lab, "flush ruleset"))


def try_everything(lab):
    """Whatever others may do to our table, the table stays; flushing all is no error."""
    before = packets(lab)
    for name in CHANGES:
        text = change_text(lab, name)
        if name == "flush ruleset":
            lab.node.nft(text)
        else:
            with pytest.raises(lab_module.LabError, match="Operation not permitted|busy"):
                lab.node.nft(text)
    assert packets(lab) == before


def test_owned_table_is_out_of_reach(lab, owned):
    assert owned.metric("ringfence_table_owned") == 1
    try_everything(lab)
    check_enforcing(lab)
    assert owned.status()["kernel"]["heals"] == 0
    assert owned.ask("diff").returncode == 0


def test_others_at_work_elsewhere_disturb_no_owned_table(lab, owned):
    """Whether they come between our commit and the look at its rules, or while it looks."""
    over = threading.Event()

    def others():
        while not over.is_set():
            lab.node.nft("add table inet other; delete table inet other")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        at_work = pool.submit(others)
        try:
            for i in range(20):
                before = owned.generation()
                owned.write("db.yaml", DB.replace("name: web", f"name: web{i}"))
                owned.wait_generation(before + 1)
        finally:
            over.set()
        at_work.result()
    owned.wait_settled()
    assert owned.status()["kernel"]["heals"] == 0
    assert owned.ask("diff").returncode == 0


@pytest.mark.parametrize("role", ["kernel", "engine"])
def test_owned_table_stays_so_when_a_role_dies(lab, owned, role):
    """In the very moment: the socket is the parent's too."""
    pid = owned.role(role)
    os.kill(owned.process.pid, signal.SIGSTOP)  # it starts no other
    try:
        kill(pid)
        try_everything(lab)
    finally:
        os.kill(owned.process.pid, signal.SIGCONT)
    wait_until(lambda: owned.answers() and any(
        r["name"] == role and r["pid"] != pid for r in owned.status()["roles"]), 60)
    owned.wait_state("enforcing")
    try_everything(lab)
    change = DB.replace("5432", "80")
    before = owned.generation()
    owned.write("db.yaml", change)
    owned.wait_generation(before + 1)
    check = lab.probe("web", "db", "tcp", 80)
    assert check.state == "open"


def test_table_without_owner_is_adopted_by_the_next_daemon(lab, owned):
    """Even before it knows what policy says."""
    before = packets(lab)
    owned.stop(signal.SIGKILL)
    owned.write("db.yaml", "kind: [\n")
    mark = len(owned.log())
    owned.start(ready=False)
    owned.wait_log("program-refused", mark)
    assert packets(lab).keys() == before.keys()
    try_everything(lab)
    check_enforcing(lab)
    owned.write("db.yaml", DB)
    owned.wait_state("enforcing")
    try_everything(lab)


def test_closed_table_of_boot_is_adopted(lab, asleep):
    boot(asleep)
    asleep.write("db.yaml", "kind: [\n")
    asleep.start(ready=False)
    asleep.wait_log("program-refused")
    if not asleep.status()["kernel"]["owned"]:
        pytest.skip("tables have owners that they outlive since Linux 6.9")
    lab.node.nft("flush ruleset")
    assert lab.probe("world", "web", "tcp", 80).state == "closed"


def test_second_daemon_is_told_whose_the_table_is(lab, owned, tmp_path):
    other = Enforcer(lab.node, tmp_path / "b", world_of(tmp_path / "b", lab), metrics=False,
                     flows={"group": 101})
    other.start(ready=False)
    try:
        other.wait_log("kernel-refused .*belongs to another process")
        assert not other.status()["kernel"]["owned"]
        check_enforcing(lab)
        owned.stop()
        other.wait_state("enforcing")
    finally:
        other.stop()


def test_plain_table_becomes_owned_by_the_next_daemon(lab, plain):
    plain.stop()
    plain.write_config(tableOwner="auto")
    with watched(lab) as watch:
        plain.start()
        watch.wait_rounds(1)
    if plain.status()["kernel"]["owned"]:
        try_everything(lab)


def test_foreign_tables_are_left_alone_and_ours_is_not_made_again(lab, enforcer):
    assert lab.probe("web", "db", "tcp", 5432).state == "open"
    before = packets(lab)
    looks = enforcer.metric("ringfence_looks_total")
    for i in range(5):
        lab.node.nft(f"table inet other {{ chain c{i} {{ counter; }}; }}")
        wait_until(lambda: enforcer.metric("ringfence_looks_total") > looks, 60,
                   "a look at the table")
        looks = enforcer.metric("ringfence_looks_total")
    assert enforcer.status()["kernel"]["heals"] == 0
    assert packets(lab) == before
    assert "c4" in lab.node.exec(["nft", "list", "table", "inet", "other"]).stdout
    # a change of policy right after a foreign one is not too late for good
    generation = enforcer.generation()
    enforcer.write("db.yaml", DB.replace("5432", "80"))
    lab.node.nft("table inet other { chain last { counter; }; }")
    enforcer.wait_generation(generation + 1)
    assert lab.probe("web", "db", "tcp", 80).state == "open"


def test_edits_arrive_while_others_keep_changing_the_ruleset(lab, enforcer):
    noise = lab.node.popen(["sh", "-c",
                            "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); "
                            "nft add table inet noise; nft delete table inet noise; "
                            "done"])
    try:
        for port in (80, 5432, 9100, 80):
            before = enforcer.generation()
            enforcer.write("db.yaml", DB.replace("5432/tcp", f"{port}/tcp"))
            enforcer.wait_generation(before + 1)
            assert lab.probe("web", "db", "tcp", port).state == "open"
        assert lab.probe("web", "db", "tcp", 5432).state == "closed"
    finally:
        noise.kill()
        noise.wait()
    wait_until(lambda: enforcer.ask("diff", check=False).returncode == 0, 60)


@contextlib.contextmanager
def halted(pid):
    """The process does nothing meanwhile; what comes for it waits."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_diff_names_what_is_different(lab, plain):
    """The kernel role has the question before it looks whether anything has changed."""
    db = lab.host("db").address(4)
    kernel = plain.role("kernel")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(plain.socket))
        with halted(kernel):
            name = set_in_use(lab.node, "local4_in")
            lab.node.nft(f"delete element inet ringfence {name} {{ {db} }}")
            client.sendall(b"diff\n")
            plain.status()  # so the engine has passed it on
        answer = json.load(client.makefile())
    [missing] = [d for d in answer["differences"] if d["what"] == "missing"]
    assert (missing["set"], missing["address"]) == ("local4_in", db)
    plain.wait_settled()
    wait_until(lambda: plain.ask("diff", check=False).returncode == 0, 60)


def test_trace_ends_with_the_engine_that_asked_for_it(lab, enforcer):
    """Its answer is nothing to the next, however soon that has come."""
    engine, kernel = enforcer.role("engine"), enforcer.role("kernel")

    def tables():
        return lab.node.exec(["nft", "list", "tables"]).stdout

    asking = lab.node.popen(
        [rf.program("ringfence-enforcer"), "trace", "--control", str(enforcer.socket),
         "--wait", "120", "/acme/shop/web", "/acme/shop/db", "82/tcp"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: "ringfence-trace" in tables(), 60, "the trace")
    with halted(kernel):
        kill(engine)
        wait_until(lambda: enforcer.answers() and enforcer.role("engine") != engine, 60,
                   "another engine")
    assert asking.wait(60) == 2
    wait_until(lambda: "ringfence-trace" not in tables(), 60, "the trace to end")
    enforcer.wait_state("enforcing")
    assert enforcer.status()["kernel"]["connected"]
    assert "message-refused" not in enforcer.log()
    assert enforcer.role("kernel") == kernel


def test_foreign_flush_while_the_engine_is_dead_is_healed_by_the_next(lab, plain):
    kill(plain.role("engine"))
    lab.node.exec(["nft", "flush", "ruleset"])
    plain.wait_state("enforcing")
    wait_until(lambda: lab.probe("world", "db", "tcp", 5432, 100).state == "closed", 60)
    check_enforcing(lab)


# --- refusals ---


def hold_flow_group(host, group):
    """A socket that has an NFLOG group, until it is closed."""
    netfilter, config, command, bind, request_ack = 12, 4 << 8 | 1, 1, 1, 5
    sock = host.enter_and(
        lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netfilter))
    sock.bind((0, 0))
    body = struct.pack("!BBH", 0, 0, group) + struct.pack("=HHBxxx", 5, command, bind)
    sock.send(struct.pack("=IHHII", 16 + len(body), config, request_ack, 1, 0) + body)
    assert struct.unpack_from("=i", sock.recv(4096), 16)[0] == 0
    return sock


def test_flow_group_that_another_has_is_told_and_taken_when_free(lab, asleep):
    """Policy is in force all the same."""
    with hold_flow_group(lab.node, 100) as holder, asleep:
        asleep.wait_log("flows-not-read group=100")
        check_enforcing(lab)
        assert not asleep.status()["flows"]["reading"]
        holder.close()
        wait_until(lambda: asleep.status()["flows"]["reading"], 60, "the group")
        lab.probe("web", "db", "tcp", 80, 100)
        wait_until(asleep.flows, 60, "a record")


def world_of(directory, lab):
    directory.mkdir()
    return {"world.yaml": world(lab), "db.yaml": DB}


def test_check_finds_no_fault_with_the_configuration(enforcer):
    done = enforcer.host.exec([rf.program("ringfence-enforcer"), "--config",
                               str(enforcer.config_path), "--check"])
    assert done.returncode == 0 and done.stderr == ""


# --- before the daemon ---


def boot(enforcer):
    return enforcer.host.exec([rf.program("ringfence-enforcer"), "--config",
                               str(enforcer.config_path), "--boot"])


@pytest.fixture
def asleep(lab, tmp_path):
    """A node without a table, and a daemon that is not started."""
    it = Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB})
    yield it
    it.__exit__()
    lab.node.exec(["nft", "flush", "ruleset"])


def test_boot_closes_workloads_until_the_daemon_knows_policy(lab, asleep):
    assert lab.probe("world", "web", "tcp", 80).state == "open"
    boot(asleep)
    with Watch(lab, FORBIDDEN) as watch:
        assert {lab.probe(*probe).state for probe in ALLOWED} == {"closed"}
        asleep.start()
        watch.wait_rounds(1)
    assert all(states == {"closed"} for states in watch.states.values())
    check_enforcing(lab)


@pytest.mark.parametrize("left", [
    None,
    "add set inet ringfence local4_in_b { type ipv4_addr; }",  # ended amid a change
    "add set inet ringfence of_the_next_version { type ipv4_addr; }",
    "insert rule inet ringfence forward meta mark 0x7 accept",
])
def test_boot_leaves_a_table_as_it_is(lab, asleep, left):
    asleep.start()
    asleep.stop()
    if left is not None:
        lab.node.nft(left)
    boot(asleep)
    check_enforcing(lab)


def test_boot_closes_a_table_that_says_nothing(lab, asleep):
    lab.node.nft("add table inet ringfence")
    for _ in range(2):  # what it has made is one of ours
        boot(asleep)
        assert lab.probe("world", "web", "tcp", 80).state == "closed"
    asleep.start()
    check_enforcing(lab)


def test_boot_does_nothing_when_boot_is_open(lab, asleep):
    asleep.write_config(boot="open")
    boot(asleep)
    assert lab.probe("world", "web", "tcp", 80).state == "open"
    assert lab.node.exec(["nft", "list", "tables"]).stdout == ""
