"""An API server as the source of policy: what it says is enforced, however it says it.

RINGFENCE_KUBE_HISTORIES: how many random histories (default 30; tests/netns/kube-histories
runs 1,000). RINGFENCE_SEED: which.
"""

import difflib
import json
import os
import pathlib
import random
import re
import signal

import pytest

import kubehistory
import lab as lab_module
from enforcerd import Enforcer, kill, longrun, rf
from kubelab import (
    ADMIN_KINDS, NATIVE, NATIVE_KINDS, Cluster, env_count, make_pki, namespace, node, pod,
    thing)
from lab import Lab, wait_until

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

HISTORIES = env_count("RINGFENCE_KUBE_HISTORIES", 30)
SEED = env_count("RINGFENCE_SEED", random.SystemRandom().randrange(2**32))
WAIT_S = 60
# A table that has nothing that nft's text does not know, or not yet.
PLAIN = {"tableOwner": "never", "established": {"adoptSeconds": 0}}


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(["web", "db", "mon"])
        lab.listen_all([80, 5432])
        yield lab


@pytest.fixture
def cluster(lab, pki, tmp_path):
    with Cluster(lab.node, tmp_path / "cluster", pki,
                 arguments=["--bookmark-seconds", "0.3"]) as it:
        yield it
    lab.node.exec(["nft", "flush", "ruleset"])


def db_policy(app="web", port=5432):
    return thing("NetworkPolicy", "db", "shop", spec={
        "podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": app}}}],
                     "ports": [{"port": port}]}]})


def pod_of(lab, name, app=None, home="shop"):
    host = lab.host(name)
    return pod(home, name, {"app": app or name}, ips=host.v4 + host.v6)


def world(lab):
    return [namespace("shop"), node("node-1", *lab.node.v4, *lab.node.v6),
            *(pod_of(lab, name) for name in ("web", "db", "mon")), db_policy()]


def is_open(lab, src, dst, port=5432):
    return lab.probe(src, dst, "tcp", port).state == "open"


def wait_open(lab, src, dst, wanted, port=5432):
    wait_until(lambda: is_open(lab, src, dst, port) == wanted, WAIT_S,
               f"{src} to {dst} to be {'open' if wanted else 'closed'}")


def wait_good(enforcer, index=0, state="good"):
    wait_until(lambda: enforcer.source(index)["state"] == state, WAIT_S,
               f"source {index} to be {state}")


def kinds_of(enforcer, index=0):
    return {kind["name"]: kind for kind in enforcer.source(index)["kinds"]}


def wait_objects(enforcer, kind, count):
    """What the daemon says of its clusters is a moment behind what it does."""
    wait_until(lambda: kinds_of(enforcer)[kind]["objects"] == count, WAIT_S,
               f"{count} {kind}")


# --- packets follow the cluster ---


def test_traffic_follows_pods_and_policies(lab, cluster, tmp_path):
    cluster.apply(*world(lab))
    with Enforcer(lab.node, tmp_path, sources=[cluster.source()]) as enforcer:
        assert is_open(lab, "web", "db") and not is_open(lab, "mon", "db")
        cluster.apply(pod_of(lab, "web", "other"))
        wait_open(lab, "web", "db", False)
        cluster.apply(db_policy("mon"))
        wait_open(lab, "mon", "db", True)
        cluster.delete(pod_of(lab, "mon"))
        wait_open(lab, "mon", "db", False)
        cluster.apply(pod_of(lab, "mon"))
        wait_open(lab, "mon", "db", True)
        cluster.delete(db_policy())
        wait_open(lab, "web", "db", True)
        assert enforcer.ask("diff").returncode == 0
        wait_objects(enforcer, "pods", 3)
        kinds = kinds_of(enforcer)
        assert kinds["pods"]["phase"] == "watching"
        assert kinds["clusternetworkpolicies"]["phase"] == "absent"
        assert enforcer.metric(
            'ringfence_kube_objects{source="kubernetes",kind="pods"}') == 3
        assert "pods" in enforcer.ask("status").stdout


def test_last_state_stays_when_server_and_daemon_die(lab, cluster, tmp_path):
    cluster.apply(*world(lab))
    with Enforcer(lab.node, tmp_path, sources=[cluster.source()]) as enforcer:
        cluster.stop()
        wait_good(enforcer, state="unreadable")
        assert enforcer.source()["errors"][0].startswith("kubernetes/")
        assert is_open(lab, "web", "db") and not is_open(lab, "mon", "db")
        kill(enforcer.role("engine"))
        kill(enforcer.process.pid)
        enforcer.process.wait()
        assert is_open(lab, "web", "db") and not is_open(lab, "mon", "db")
        enforcer.start(ready=False)
        wait_until(lambda: enforcer.answers() and enforcer.status()["sources"][0]["errors"],
                   WAIT_S, "the daemon to say that there is no server")
        assert is_open(lab, "web", "db") and not is_open(lab, "mon", "db")
        cluster.start()  # the same port, and all of it forgotten
        cluster.apply(*world(lab), db_policy("mon"))
        enforcer.process.send_signal(signal.SIGHUP)  # tries at once
        wait_open(lab, "mon", "db", True)
        wait_open(lab, "web", "db", False)


def test_engine_and_role_come_back(lab, pki, tmp_path):
    """From a server that speaks HTTP/1.1 alone."""
    with Cluster(lab.node, tmp_path / "cluster", pki, arguments=["--no-h2"]) as cluster:
        cluster.apply(*world(lab))
        with Enforcer(lab.node, tmp_path, sources=[cluster.source()]) as enforcer:
            kill(enforcer.role("engine"))
            enforcer.wait_state("enforcing")
            cluster.apply(db_policy("mon"))
            wait_open(lab, "mon", "db", True)
            kill(enforcer.role("kube"))
            cluster.apply(db_policy("web"))
            wait_open(lab, "mon", "db", False)
            assert is_open(lab, "web", "db")
    lab.node.exec(["nft", "flush", "ruleset"])


def bundles_held(pid):
    """Sealed texts of sources that a process holds in memory."""
    links = [os.readlink(path) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    return [link for link in links if "ringfence-bundle" in link]


def test_texts_are_not_held_once_they_are_in_force(lab, cluster, tmp_path):
    """And come again when they are needed: here, for other settings."""
    cluster.apply(*world(lab))
    with Enforcer(lab.node, tmp_path, sources=[cluster.source()],
                  clusterDefault="deny") as enforcer:
        def none_held():
            return not any(bundles_held(enforcer.role(name)) for name in ("engine", "kube"))

        wait_until(none_held, WAIT_S, "nothing to be held")
        enforcer.write_config(clusterDefault="allow")
        enforcer.process.send_signal(signal.SIGHUP)
        wait_open(lab, "web", "db", True)
        assert enforcer.log().count("kube-whole") == 2
        wait_until(none_held, WAIT_S, "nothing to be held again")
        cluster.apply(db_policy("mon"))
        wait_open(lab, "mon", "db", True)
        assert enforcer.ask("diff").returncode == 0


def test_event_that_is_repeated_changes_nothing(lab, cluster, tmp_path):
    cluster.apply(*world(lab))
    with Enforcer(lab.node, tmp_path, sources=[cluster.source()]) as enforcer:
        cluster.apply(pod_of(lab, "web", "other"))
        cluster.delete(pod_of(lab, "mon"))
        cluster.apply(pod_of(lab, "mon", "web"))
        wait_open(lab, "mon", "db", True)
        assert not is_open(lab, "web", "db")
        for number in (3, 2):  # the label, the deletion
            cluster.misbehave("repeat", number, "pods")
        cluster.misbehave("stale", 3, "pods")
        wait_until(lambda: kinds_of(enforcer)["pods"]["repeated"] == 2, WAIT_S, "repeated")
        cluster.apply(pod_of(lab, "db"))  # behind them: there is nothing left to wait for
        assert is_open(lab, "mon", "db") and not is_open(lab, "web", "db")
        assert kinds_of(enforcer)["pods"]["lists"] == 1


# --- kinds, objects, access ---


def test_kind_that_comes_later_is_noticed(lab, cluster, tmp_path):
    cluster.apply(*world(lab))
    with Enforcer(lab.node, tmp_path, sources=[cluster.source()]) as enforcer:
        assert is_open(lab, "web", "db")
        cluster.apply(*ADMIN_KINDS, *NATIVE_KINDS)
        cluster.apply(thing("ClusterNetworkPolicy", "no", spec={
            "tier": "Admin", "priority": 1, "subject": {"namespaces": {}},
            "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]}))
        wait_open(lab, "web", "db", False)
        wait_objects(enforcer, "clusternetworkpolicies", 1)


def test_object_with_mistakes_is_refused_alone(lab, cluster, tmp_path):
    cluster.apply(*NATIVE_KINDS, *world(lab))
    audit = tmp_path / "audit"
    with Enforcer(lab.node, tmp_path, sources=[cluster.source()],
                  audit={"directory": str(audit), "mode": "required"}) as enforcer:
        bad = db_policy()
        bad["spec"]["podSelector"] = {"matchLabels": {"app": "not/a/value"}}
        cluster.apply(bad)
        wait_good(enforcer, state="bad")
        (error,) = enforcer.source()["errors"]
        assert error.startswith("kubernetes/networkpolicies/shop/db:1:")
        assert not is_open(lab, "mon", "db")  # what it said before goes on
        cluster.apply(pod_of(lab, "web", "other"))  # and others' changes are taken
        wait_open(lab, "web", "db", False)
        assert enforcer.metric('ringfence_source_errors{directory="kubernetes"}') == 1
        wait_until(lambda: any("kubernetes/networkpolicies/shop/db" in line for f in
                               audit.glob("log-*.jsonl") for line in
                               f.read_text().splitlines()), WAIT_S, "the audit log")
        cluster.apply(db_policy("other"))
        wait_good(enforcer)
        wait_open(lab, "web", "db", True)


CARD = thing("ExternalNetwork", "card", "shop", spec={"cidrs": ["203.0.113.0/24"]})
USES_CARD = thing("Policy", "uses-card", "shop", spec={
    "workloads": {"matchLabels": {"app": "none"}},
    "allow": {"egress": [{"to": [{"external": "card"}]}]}})


@pytest.mark.parametrize("when", ["at the start", "later"])
def test_tenant_closes_itself_alone_by_a_mistake(lab, cluster, tmp_path, when):
    """What it refers to is gone, so what it said before does not go either: what it may select is closed,
    and policy of all others goes on."""
    cluster.apply(*NATIVE_KINDS, *world(lab), namespace("ops"), USES_CARD,
                  pod_of(lab, "mon", home="ops"), *([CARD] if when == "later" else []))
    cluster.delete(pod_of(lab, "mon"))
    with Enforcer(lab.node, tmp_path, sources=[cluster.source()]) as enforcer:
        if when == "later":
            assert is_open(lab, "web", "db")
            cluster.delete(CARD)
        wait_good(enforcer, state="bad")
        (error,) = enforcer.source()["errors"]
        assert error.startswith("kubernetes/policies.ringfence.dev/shop/uses-card:1:")
        wait_open(lab, "web", "db", False)
        assert not is_open(lab, "web", "mon", 80), "in both directions"
        assert "document-refused" in json.dumps(enforcer.rules())
        # Others' changes are taken.
        cluster.apply(thing("NetworkPolicy", "mon", "ops", spec={
            "podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "192.168.0.0/16"}}]}]}))
        wait_until(lambda: "ops/mon" in json.dumps(enforcer.rules()), WAIT_S, "the policy of ops")
        cluster.apply(CARD)
        wait_good(enforcer)
        wait_open(lab, "web", "db", True)
        assert not is_open(lab, "mon", "db")


def test_token_is_read_again_when_it_is_refused(lab, pki, tmp_path):
    tokens, token = tmp_path / "tokens.csv", tmp_path / "token"
    tokens.write_text("first,admin,1,system:masters\nsecond,admin,1,system:masters\n")
    token.write_text("wrong\n")
    with Cluster(lab.node, tmp_path / "cluster", pki,
                 arguments=["--token-file", str(tokens), "--no-anonymous"]) as cluster:
        cluster.write_kubeconfig({"tokenFile": str(token)})
        cluster.apply(*world(lab))
        enforcer = Enforcer(lab.node, tmp_path, sources=[cluster.source()])
        with enforcer.start(ready=False):
            wait_until(lambda: enforcer.answers() and enforcer.source()["errors"], WAIT_S,
                       "the daemon to say that it is refused")
            assert "401" in enforcer.source()["errors"][0]
            assert "wrong" not in enforcer.log()
            token.write_text("second\n")
            enforcer.wait_state("enforcing")
            wait_open(lab, "web", "db", True)
            assert not is_open(lab, "mon", "db")
    lab.node.exec(["nft", "flush", "ruleset"])


def test_policy_names_peers_of_another_cluster(lab, pki, tmp_path):
    """Two clusters and a directory, which places their namespaces."""
    tree = "".join(f"""\
apiVersion: {NATIVE}
kind: Namespace
metadata: {{name: /{path}}}
spec: {{kubernetes: {{cluster: {cluster}, namespaces: [shop]}}}}
---
""" for path, cluster in (("acme/shop", "east"), ("acme/west", "west")))
    policy = thing("Policy", "db", "shop", spec={
        "workloads": {"matchLabels": {"app": "db"}},
        "allow": {"ingress": [{"from": [{"namespace": "/acme/west"}]}]}})
    with Cluster(lab.node, tmp_path / "east", pki, "east") as east, \
            Cluster(lab.node, tmp_path / "west", pki, "west") as west:
        east.apply(*NATIVE_KINDS, namespace("shop"),
                   node("node-1", *lab.node.v4, *lab.node.v6), pod_of(lab, "db"),
                   pod_of(lab, "web"), policy)
        west.apply(namespace("shop"), pod_of(lab, "mon"))
        enforcer = Enforcer(lab.node, tmp_path, {"tree.yaml": tree})
        enforcer.write_config(
            sources=[{"directory": str(enforcer.policy)}, east.source(), west.source()])
        with enforcer:
            wait_open(lab, "mon", "db", True)
            assert not is_open(lab, "web", "db")
            west.delete(pod_of(lab, "mon"))
            wait_open(lab, "mon", "db", False)
            names = [source["directory"] for source in enforcer.status()["sources"]]
            assert names[1:] == ["east", "west"]
    lab.node.exec(["nft", "flush", "ruleset"])


# --- more than can be taken ---

STORM_BATCHES, STORM_BATCH, STORM_BYTES = 4, 50, 50_000
SLACK_KB = 6 * 1024  # of a heap, for what is read at once


def memory_kb(pid, key="VmHWM"):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(rf"^{key}:\s+(\d+)", f.read(), re.MULTILINE)[1])


def received(lab, cluster):
    """(bytes that have come over the role's connections, of these the ones that wait to be read)"""
    text = lab.node.exec(["ss", "-tniH", "state", "established", "dport", f"= :{cluster.port}"]).stdout
    return (sum(map(int, re.findall(r"bytes_received:(\d+)", text))),
            sum(map(int, re.findall(r"^(\d+)\s+\d+\s", text, re.MULTILINE))))


def storm(lab):
    """Many large pods that come and go, and one that changes all the while; how it ends is new."""
    for number in range(STORM_BATCHES * STORM_BATCH):
        big = {f"big-{i}": "x" * 63 for i in range(STORM_BYTES // 70)}  # which are kept
        passing = pod("shop", f"storm-{number}", big, ips=[f"10.1.9.{number % 250 + 1}"])
        labels = pod_of(lab, "web", f"app-{number}")
        yield from ({"put": passing}, {"put": labels}, {"delete": passing})
    yield {"put": db_policy("mon")}
    yield {"put": pod("shop", "last")}


def pour(lab, cluster):
    """Says all of it; how many bytes that is."""
    operations = list(storm(lab))
    for start in range(0, len(operations), 3 * STORM_BATCH):
        cluster.change(operations[start : start + 3 * STORM_BATCH])
    return STORM_BATCHES * STORM_BATCH * 2 * STORM_BYTES


@pytest.mark.parametrize("who", ["engine", "kube"])
def test_more_than_is_taken_costs_no_memory_and_loses_nothing(lab, cluster, tmp_path, who):
    """The engine hangs: its source goes on reading, and keeps how things are, not how they came to be.
    The source hangs: what it does not read waits at the server."""
    cluster.apply(*world(lab))
    with Enforcer(lab.node, tmp_path, sources=[cluster.source()]) as enforcer:
        kube, engine = enforcer.role("kube"), enforcer.role("engine")
        before, (read, _) = memory_kb(kube), received(lab, cluster)
        os.kill(enforcer.role(who), signal.SIGSTOP)
        try:
            said = pour(lab, cluster)
            assert said > 3 * SLACK_KB * 1024
            if who == "engine":
                wait_until(lambda: received(lab, cluster)[0] - read >= said and
                           received(lab, cluster)[1] == 0, WAIT_S, "all of it to be read")
            else:
                wait_until(lambda: received(lab, cluster)[1] > 0, WAIT_S, "something to wait")
        finally:
            os.kill(kube, signal.SIGCONT)
            os.kill(engine, signal.SIGCONT)
        wait_objects(enforcer, "pods", 4)  # the last of them is there
        wait_open(lab, "mon", "db", True)
        wait_until(lambda: enforcer.ask("diff", check=False).returncode == 0, WAIT_S, "all of it")
        assert not is_open(lab, "web", "db")
        if not rf.sanitized():  # which keep what is freed
            assert memory_kb(kube) - before < SLACK_KB, f"{said} bytes were said"
        assert (enforcer.role("kube"), enforcer.role("engine")) == (kube, engine)


# --- histories ---


def listing(text):
    """A table as nft prints it, without counters, places and order; of a set that is replaced
    whole there are two, one after the other. What a large set was made to have room for is left
    out too: that is of the day on which its table was made."""
    text = re.sub(r"packets \d+ bytes \d+", "packets 0 bytes 0", text)
    text = re.sub(r' \S+:\d+"', '"', text)
    text = re.sub(r"\b(\w+)_b\b", r"\1", text)
    text = re.sub(r"\n\s*size \d+\b(?!\n\s*flags dynamic)", "", text)
    return sorted(line for block in re.split(r"\n\t}\n", text) if not constant(block)
                  for line in block.splitlines())


def constant(block):
    """The name of a chain that is there whatever policy says."""
    found = re.search(r"^\tchain (?!rule_\d)(\w+) {$", block, re.MULTILINE)
    return found and found[1]


def constants(text):
    """The rules of these chains."""
    return {(constant(block), line) for block in re.split(r"\n\t}\n", re.sub(
        r"packets \d+ bytes \d+", "packets 0 bytes 0", re.sub(r"\b(\w+)_b\b", r"\1", text)))
        if constant(block) for line in block.splitlines()}


def compiled(lab, enforcer, documents, directory):
    """The table that follows from documents, by way of a file."""
    (directory / "state.json").write_text(json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": documents}))
    done = rf.run("compile", directory, "--node", "node-1", "--workload-networks",
                  ",".join(enforcer.config["workloadNetworks"]), "-o", "nft")
    assert done.returncode == 0, done.stderr
    printed = lab.host("mon").exec(
        ["unshare", "-n", "sh", "-c", "nft -f - && nft list table inet ringfence"],
        input=done.stdout).stdout
    return printed


def enforced(lab):
    return lab.node.exec(["nft", "list", "table", "inet", "ringfence"]).stdout


def is_rule(line):
    """A line of a chain that is not its head, or its hook."""
    return line.strip() and not re.match(r"\s*(chain|type|}) ?", line)


def idles(rule, text):
    """Whether it looks for something in a set that is empty, or leads to rules that all do."""
    led = re.search(r" jump (\w+)$", rule)
    behind = [r for chain, r in constants(text)
              if led and chain == led[1] and is_rule(r)]
    if behind and all(idles(r, text) for r in behind):
        return True
    names = re.findall(r"@(\w+)", rule)
    blocks = {re.sub(r"_b$", "", name): block for name, block in re.findall(
        r"^\t(?:set|map) (\w+) {\n(.*?)^\t}$", text, re.MULTILINE | re.DOTALL)}
    return any("elements = {" not in blocks[re.sub(r"_b$", "", name)] for name in names)


def reached(text):
    """Constant chains that packets come to: hooks, and what rules that do not idle lead to."""
    rules = {}
    for chain, rule in constants(text):
        rules.setdefault(chain, []).append(rule)
    found, ahead = set(), [chain for chain in rules if any(" hook " in r for r in rules[chain])]
    while ahead:
        chain = ahead.pop()
        if chain in rules and chain not in found:
            found.add(chain)
            ahead += [to for rule in rules[chain] if not idles(rule, text)
                      for to in re.findall(r"\b(?:jump|goto) (\w+)", rule)]
    return found


def test_only_chains_that_something_leads_to_are_reached():
    text = ("table inet ringfence {\n\tset a {\n\t\ttype ipv4_addr\n\t}\n\n"
            "\tset b {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1 }\n\t}\n\n"
            "\tchain route4 {\n\t\tjump steer\n\t}\n\n\tchain steer {\n\t\taccept\n\t}\n\n"
            "\tchain forward {\n\t\ttype filter hook forward priority -10\n"
            "\t\tip saddr @a jump route4\n\t\tip saddr @b jump stray\n\t}\n\n"
            "\tchain stray {\n\t\tgoto decide\n\t}\n\n\tchain decide {\n\t\taccept\n\t}\n}\n")
    assert reached(text) == {"forward", "stray", "decide"}


def test_only_rules_that_find_nothing_idle():
    text = ("table inet ringfence {\n\tset gate4_b {\n\t\ttype ipv4_addr\n\t}\n\n\tmap rules {\n"
            "\t\ttype classid : verdict\n\t\telements = { 0:3 : goto rule_3 }\n\t}\n}\n")
    assert idles("ip saddr @gate4 drop", text) and idles("ip saddr @gate4_b drop", text)
    assert not idles("meta priority vmap @rules", text) and not idles("accept", text)


def is_enforced(lab, wanted):
    """The constant chains may have rules that were of use before, and idle now."""
    there = enforced(lab)
    surplus, met = constants(there) - constants(wanted), reached(there)
    return (listing(there) == listing(wanted) and constants(there) >= constants(wanted)
            and all(idles(rule, there) for chain, rule in surplus
                    if chain in met and is_rule(rule)))


@pytest.mark.skipif(HISTORIES == 0, reason="no histories are wanted")
def test_what_is_enforced_is_what_the_last_state_compiles_to(lab, cluster, tmp_path, capsys):
    with capsys.disabled():
        print(f"\nkube: RINGFENCE_SEED={SEED} RINGFENCE_KUBE_HISTORIES={HISTORIES}")
    rng = random.Random(SEED)
    state = kubehistory.State(rng)
    directory = tmp_path / "state"
    directory.mkdir()
    cluster.apply(*ADMIN_KINDS, *NATIVE_KINDS)
    cluster.change(state.begin())
    with Enforcer(lab.node, tmp_path, sources=[cluster.source(silentSeconds=1)],
                  **PLAIN) as enforcer:
        over = longrun.clock()
        for number in range(HISTORIES):
            if over():
                longrun.report(ended=True)
                break
            longrun.report(histories=1)
            done = kubehistory.run(state, cluster, rng, rng.randint(1, 8))
            cluster.faults()
            wanted = compiled(lab, enforcer, state.documents(), directory)
            try:
                wait_until(lambda: is_enforced(lab, wanted), WAIT_S, "the last state")
            except lab_module.LabError:
                differences = "\n".join(difflib.unified_diff(
                    listing(wanted), listing(enforced(lab)), "compiled", "enforced",
                    lineterm="", n=0))
                pytest.fail(f"seed {SEED}, history {number}: {done}\n{differences}\n"
                            + enforcer.log()[-5000:])
        assert enforcer.ask("diff").returncode == 0
