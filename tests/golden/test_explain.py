"""`ringfence explain` against what `can` answers: intervals, deciders, and what would be
without them."""

import json
import os
import pathlib
import random
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import rf  # noqa: E402

FIXTURE = HERE / "traps" / "fixture"
SEED = int(os.environ.get("RINGFENCE_SEED", random.randrange(2**32)))
CASES = int(os.environ.get("RINGFENCE_EXPLAIN_CASES", "25"))
NATIVE = "ringfence.dev/v1alpha1"
PORTED = ("tcp", "udp", "sctp")


def explain(paths, *question, options=()):
    done = rf.run("explain", "-o", "json", *options, *paths, "--", *question)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def can(paths, questions, options=()):
    done = rf.run("can", *options, *paths, "--batch", "-", stdin="\n".join(questions) + "\n")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


# ---- a random world, as documents that can be edited


def service(dice):
    return dice.choice(["80/tcp", "80-90/tcp", "85/udp", "web", "tcp", "icmp", "1-1024/sctp", "90/tcp"])


def peer(dice):
    return dice.choice(
        [
            {"workloads": {"matchLabels": {"app": dice.choice("abc")}}, "namespace": "/"},
            {"namespace": dice.choice(["/", "/x", "/x/y"])},
            {"cidr": dice.choice(["10.0.0.0/8", "10.0.0.2/32", "0.0.0.0/0"])},
        ]
    )


def rule(dice, phase, side):
    made = {"action": "allow" if phase == "allow" else dice.choice(["allow", "deny", "pass"])}
    if dice.random() < 0.7:
        made[side] = [peer(dice) for _ in range(dice.randint(1, 2))]
    if dice.random() < 0.8:
        made["ports"] = [service(dice) for _ in range(dice.randint(1, 3))]
    return made


def policy(dice, number):
    spec = {}
    if dice.random() < 0.5:
        spec["workloads"] = {"matchLabels": {"app": dice.choice("abc")}}
    for phase in ("mandatory", "allow", "default"):
        for direction, side in (("ingress", "from"), ("egress", "to")):
            if dice.random() < (0.25 if phase == "allow" else 0.5):
                rules = [rule(dice, phase, side) for _ in range(dice.randint(1, 3))]
                spec.setdefault(phase, {})[direction] = rules
    metadata = {"name": f"p{number}", "namespace": dice.choice(["/", "/x", "/x/y"])}
    return {"apiVersion": NATIVE, "kind": "Policy", "metadata": metadata, "spec": spec}


def world(dice):
    documents = [
        {"apiVersion": NATIVE, "kind": "Namespace", "metadata": {"name": path}}
        for path in ("/", "/x", "/x/y")
    ]
    for number, (name, path) in enumerate([("a", "/x/y"), ("b", "/x"), ("c", "/x/y")], 1):
        documents.append(
            {
                "apiVersion": NATIVE,
                "kind": "Workload",
                "metadata": {"name": name, "namespace": path, "labels": {"app": name}},
                "spec": {
                    "ips": [f"10.0.0.{number}"],
                    "ports": [{"name": "web", "port": 80 + number, "protocol": "tcp"}],
                },
            }
        )
    return documents + [policy(dice, number) for number in range(dice.randint(2, 6))]


def write(path, documents):
    path.write_text("\n---\n".join(json.dumps(document) for document in documents))
    return path


# ---- intervals


def check_intervals(family, told):
    """Without gaps, and no two neighbours alike."""
    for proto in PORTED:
        rows = [row for row in told if row["proto"] == proto]
        assert rows[0]["from"] == 1 and rows[-1]["to"] == 65535, family
        for one, next_one in zip(rows, rows[1:]):
            assert next_one["from"] == one["to"] + 1
            keys = ("verdict", "egress", "ingress")
            assert any(one[key] != next_one[key] for key in keys)


def verdicts_by_port(told):
    """What the intervals say of every port of every protocol that has any."""
    return {
        (row["proto"], port): row["verdict"]
        for row in told
        if row["proto"] in PORTED
        for port in range(row["from"], row["to"] + 1)
    }


def compare_with_can(paths, src, dst, every_port=True):
    told = explain(paths, src, dst)
    for family in told["families"]:
        options = ["--family", str(family["family"])]
        check_intervals(family["family"], family["intervals"])
        said = verdicts_by_port(family["intervals"])
        ports = list(said)
        if not every_port:
            edges = {row[key] for row in family["intervals"] for key in ("from", "to")} - {None}
            near = {edge + step for edge in edges for step in (-1, 0, 1)}
            ports = [key for key in ports if key[1] in near]
        questions = [f"{src} {dst} {port}/{proto}" for proto, port in ports]
        wrong = [
            (question, answer)
            for question, answer, port in zip(questions, can(paths, questions, options), ports)
            if answer != said[port]
        ]
        assert not wrong, f"seed {SEED}: {wrong[:5]}"
        for row in family["intervals"]:
            if row["proto"].startswith("icmp"):
                assert can(paths, [f"{src} {dst} {row['proto']}"], options) == [row["verdict"]]


@pytest.mark.parametrize(
    "src, dst",
    [
        ("shop-prod/web-7d9f", "/acme/data/db-1"),
        ("shop-prod/cron", "/acme/data/db-1"),
        ("192.0.2.9", "shop-prod/web-7d9f"),
        ("node/worker-1", "shop-prod/cron"),
    ],
)
def test_intervals_say_of_every_port_what_can_says(src, dst):
    compare_with_can([HERE / "world.yaml"], src, dst, every_port=src == "192.0.2.9")


def test_intervals_follow_traps():
    for trap in sorted((HERE / "traps").glob("34-*.yaml")) + sorted((HERE / "traps").glob("13-*.yaml")):
        compare_with_can([FIXTURE, trap], "y/a", "x/a", every_port=False)


def test_intervals_in_random_worlds(tmp_path):
    dice = random.Random(SEED)
    print("seed", SEED)
    cut = 0
    for case in range(CASES):
        path = write(tmp_path / f"{case}.yaml", world(dice))
        src, dst = dice.sample(["/x/y/a", "/x/b", "/x/y/c", "192.0.2.1"], 2)
        compare_with_can([path], src, dst, every_port=False)
        cut += len(explain([path], src, dst, "tcp")["families"][0]["intervals"]) > 1
    assert cut > 0, "no port was told from another"


# ---- who decides, and what would be without


def without(documents, decision):
    """The documents without what decided."""
    left = json.loads(json.dumps(documents))
    source = decision["rule"]
    [found] = [
        document
        for document in left
        if document["kind"] == "Policy"
        and document["metadata"]["name"] == source["policy"]
        and document["metadata"]["namespace"] == source["namespace"]
    ]
    block = found["spec"][decision["phase"]]
    if decision["reason"] == "isolation":
        del block[decision["direction"]]
    else:
        del block[decision["direction"]][source["index"]]
    return left


def test_otherwise_is_what_holds_once_the_decider_is_gone(tmp_path):
    dice = random.Random(SEED)
    print("seed", SEED)
    seen = set()
    for case in range(CASES):
        documents = world(dice)
        path = write(tmp_path / "world.yaml", documents)
        src, dst = dice.sample(["/x/y/a", "/x/b", "/x/y/c"], 2)
        port = f"{dice.choice([79, 80, 81, 82, 85, 90])}/tcp"
        told = explain([path], src, dst, port)["families"][0]
        for direction in ("egress", "ingress"):
            decision = told[direction]
            if decision["otherwise"] is None:
                assert decision["reason"] not in ("rule", "isolation")
                continue
            seen.add((decision["reason"], decision["phase"]))
            changed = write(tmp_path / "changed.yaml", without(documents, decision))
            after = explain([changed], src, dst, port)["families"][0][direction]
            expected = decision["otherwise"]
            assert after["verdict"] == expected["verdict"], f"seed {SEED} case {case}"
            assert after["reason"] == expected["reason"], f"seed {SEED} case {case}"
            if expected["rule"] is not None:
                assert after["rule"]["policy"] == expected["rule"]["policy"]
    assert len(seen) > 1, seen


def test_the_interval_around_a_port_is_that_of_the_whole_space(tmp_path):
    dice = random.Random(SEED + 1)
    for case in range(CASES):
        path = write(tmp_path / "world.yaml", world(dice))
        port = dice.choice([80, 81, 82, 85, 90, 443])
        whole = explain([path], "/x/y/a", "/x/b", "tcp")["families"][0]["intervals"]
        one = explain([path], "/x/y/a", "/x/b", f"{port}/tcp")["families"][0]
        [around] = [row for row in whole if row["from"] <= port <= row["to"]]
        assert one["interval"] == {key: around[key] for key in ("proto", "from", "to")}, case
        assert one["verdict"] == around["verdict"]


# ---- words


def text(*question, paths=(HERE / "world.yaml",)):
    done = rf.run("explain", *paths, "--", *question, cwd=HERE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_end_that_refuses_is_named():
    refused_in = text("shop-prod/cron", "/acme/data/db-1", "5432/tcp")
    assert "the source lets it out, the destination does not let it in" in refused_in
    refused_out = text("shop-prod/cron", "169.254.169.254", "80/tcp")
    assert "the destination would let it in, the source does not let it out" in refused_out
    assert "both ends must" not in text("shop-prod/web-7d9f", "/acme/data/db-1", "5432/tcp")


HOST = """
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop-prod}
spec: {hostNetwork: true, nodeName: worker-1, containers: [{name: c}]}
"""


def test_a_host_network_pod_is_told_to_be_its_node(tmp_path):
    (tmp_path / "host.yaml").write_text(HOST)
    paths = (HERE / "world.yaml", tmp_path / "host.yaml")
    told = text("shop-prod/agent", "shop-prod/cron", "80/tcp", paths=paths)
    assert "uses its node's network (hostNetwork): to every policy it is node/worker-1" in told
    listed = text("shop-prod/agent", paths=paths)
    assert "no policy of its own applies to a node" in listed
    assert "no policy of its own applies to the outside" in text("192.0.2.1")


def test_a_workload_s_policies_are_those_that_can_decide(tmp_path):
    """Whoever decides for a workload, at whatever port and peer, is listed for it."""
    dice = random.Random(SEED + 2)
    for _ in range(CASES):
        path = write(tmp_path / "world.yaml", world(dice))
        listed = explain([path], "/x/y/a")
        for direction, question in (("egress", ("/x/y/a", "/x/b")), ("ingress", ("/x/b", "/x/y/a"))):
            walk = listed[direction]["walk"]
            known = {
                (stop["phase"], stop["level"], row["policy"]["policy"])
                for stop in walk
                if stop["reached"]
                for row in stop["policies"]
            }
            for row in explain([path], *question)["families"][0]["intervals"]:
                decision = row[direction]
                if decision["rule"] is not None:
                    key = (decision["phase"], decision["level"], decision["rule"]["policy"])
                    assert key in known, f"seed {SEED}"
                isolated = decision["reason"] == "isolation"
                assert not isolated or listed[direction]["isolated"]


def test_limits_that_a_connection_is_charged_to_are_named(tmp_path):
    """Whoever opens it pays for it; bytes are charged at both ends."""
    (tmp_path / "all.yaml").write_text("".join(f"""\
apiVersion: {NATIVE}
kind: Workload
metadata: {{name: {name}, namespace: {ns}}}
spec: {{node: n1, ips: [{ip}]}}
---
""" for name, ns, ip in [("a", "/t/a", "10.0.0.1"), ("b", "/t/b", "10.0.0.2")]) + f"""\
apiVersion: {NATIVE}
kind: Quota
metadata: {{name: t, namespace: /t}}
spec: {{network: {{connections: 9, ingressBytesPerSecond: 5}}}}
---
apiVersion: {NATIVE}
kind: Quota
metadata: {{name: a, namespace: /t/a}}
spec: {{network: {{connectionsPerSecond: 1.5, connections: 7}}}}
""")
    def told(*question):
        return [(limit["end"], limit["limit"], limit["value"], limit["namespace"], limit["quota"])
                for limit in explain([tmp_path], *question).get("limits", [])]

    arriving = [(end, "ingressBytesPerSecond", 5, "/t", "t") for end in ("src", "dst")]
    assert told("/t/a/a", "/t/b/b", "80/tcp") == [
        ("src", "connections", 7, "/t/a", "a"), ("src", "connections", 9, "/t", "t"),
        ("src", "connectionsPerSecond", 1.5, "/t/a", "a"), *arriving]
    assert told("/t/b/b", "/t/a/a", "80/tcp") == [
        ("src", "connections", 9, "/t", "t"), *arriving]
    assert told("192.0.2.1", "/t/a/a", "80/tcp") == arriving[1:]
    assert told("/t/a/a", "/t/a/a", "80/tcp") == []
    assert told("192.0.2.1", "192.0.2.2", "80/tcp") == []


def test_what_watched_policies_would_have_is_told(tmp_path):
    """Beside the verdict, which they do not change; of an end or of both."""
    def policy(**rule):
        return {"apiVersion": NATIVE, "kind": "Policy", "metadata": {"name": "no", "namespace": "/"},
                "spec": {"enforcement": "audit", "mandatory": {"egress": [rule]}}}

    world = [{"apiVersion": NATIVE, "kind": "Workload", "metadata": {"name": "a", "namespace": "/"},
              "spec": {"ips": ["10.0.0.1"]}}]
    path = tmp_path / "world.json"

    def ask(*policies, output="json"):
        path.write_text("\n---\n".join(json.dumps(item) for item in [*world, *policies]))
        done = rf.run("explain", "-o", output, path, "--", "/a", "192.0.2.1", "80/tcp")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "watched" not in json.loads(ask())["families"][0]
    assert "only watched" not in ask(output="text")
    denies = policy(name="shut", action="deny", to=[{"cidr": "192.0.2.0/24"}])
    answer = json.loads(ask(denies))
    watched = answer["families"][0]["watched"]
    assert answer["verdict"] == "allow" and watched["verdict"] == "deny"
    assert watched["egress"]["rule"]["name"] == "shut"
    assert watched["ingress"]["rule"] is None
    assert ("(enforcement: audit): with them it would be denied\n"
            '  egress: denied by the mandatory rule "shut" of Policy /no') in ask(denies, output="text")
    elsewhere = policy(action="deny", to=[{"cidr": "192.0.3.0/24"}])
    assert "(enforcement: audit): they would change nothing" in ask(elsewhere, output="text")


def test_a_protocol_may_be_asked_about_by_its_number():
    """Which flows are told of; rules name none of them, and those without ports take it in."""
    path, pods = FIXTURE / "cluster.yaml", ("x/a", "y/a")
    assert can([path], [f"{' '.join(pods)} proto/{number}" for number in (47, 253)]) == ["allow", "allow"]
    for number in ("6", "17", "132"):
        done = rf.run("can", path, "--", *pods, f"proto/{number}")
        assert done.returncode == 2 and "443/tcp" in done.stderr
    for number in ("0", "256", "047", "-1"):
        assert rf.run("can", path, "--", *pods, f"proto/{number}").returncode == 2
    answer = explain([path], *pods, "proto/47")
    assert answer["proto"] == "47" and answer["verdict"] == "allow"
    assert answer["families"][0]["interval"]["proto"] == "other"
