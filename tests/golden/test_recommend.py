"""`ringfence recommend`: what was seen is allowed, and nothing else is."""

import itertools
import json
import pathlib
import random
import re
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
sys.path.insert(0, str(HERE))
import rf  # noqa: E402
from test_explain import CASES, NATIVE, SEED, can, write  # noqa: E402

KINDS = ("policy", "networkpolicy")
OUTSIDE = ["192.0.2.1", "192.0.2.2", "198.51.100.7"]
PORTS = [80, 81, 443, 8080]


def recommend(path, flows, *options):
    done = rf.run("recommend", path, "--flows", "-", *options, stdin=flows)
    assert done.returncode in (0, 1), done.stderr
    return done


def flow(src, dst, port, proto="tcp 6"):
    return f"{proto} 9 ESTABLISHED src={src} dst={dst} sport=1 dport={port}\n"


def pod(name, owner, namespace, address, labels, port=8080, **spec):
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": "u", "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"pod-template-hash": name, **labels},
            "ownerReferences": [reference],
        },
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": port}]}], **spec},
        "status": {"phase": "Running", "podIP": address},
    }


def place(path, *namespaces):
    spec = {"kubernetes": {"namespaces": list(namespaces)}}
    return {"apiVersion": NATIVE, "kind": "Namespace", "metadata": {"name": path}, "spec": spec}


# ---- the whole of it, over random worlds and flows


def random_world(dice):
    """Owners that their labels tell apart: {address: owner}, and the documents."""
    documents = [place("/x", "n0"), place("/x/y", "n1"), place("/z", "n2")]
    owners, number = {}, 0
    for namespace in ("n0", "n1", "n2"):
        for which in range(dice.randint(1, 4)):
            labels = {"app": f"{namespace}-{which // 2}", "tier": f"t{which % 2}"}
            if which % 2 == 0 and dice.random() < 0.5:
                labels["app.kubernetes.io/name"] = f"{namespace}-{which}"
            port = dice.choice([80, 8080])
            for replica in range(dice.randint(1, 3)):
                number += 1
                address = f"10.0.0.{number}"
                name = f"{namespace}-{which}"
                documents.append(pod(f"{name}-{replica}", name, namespace, address, labels, port))
                owners[address] = name
    return documents, owners


def random_flows(dice, owners):
    ends = list(owners) + OUTSIDE
    flows = []
    for _ in range(dice.randint(1, 25)):
        src, dst = dice.sample(ends, 2)
        flows.append((src, dst, dice.choice(PORTS)))
    return [one for one in flows if one[0] in owners or one[1] in owners]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_seen_is_allowed_and_nothing_else(kind, tmp_path):
    dice = random.Random(SEED)
    print("seed", SEED)
    denied = 0
    for case in range(CASES):
        documents, owners = random_world(dice)
        world = write(tmp_path / "world.yaml", documents)
        flows = random_flows(dice, owners)
        if not flows:
            continue
        text = "".join(flow(*one) for one in flows)
        done = recommend(world, text, "--kind", kind)
        assert done.returncode == 0, done.stderr
        policy = tmp_path / "policy.yaml"
        policy.write_text(done.stdout)
        checked = json.loads(rf.run("check", "-o", "json", world, policy).stdout)
        # Nobody was seen asking for DNS, and the policy says so.
        wrong = [d for d in checked if d["severity"] != "note" and d["code"] != "cuts-dns"]
        assert not wrong
        replayed = rf.run("replay", world, policy, "--flows", "-", stdin=text)
        assert replayed.returncode == 0, f"seed {SEED} case {case}\n{replayed.stdout}"
        group = lambda address: owners.get(address, address)  # noqa: E731
        seen = {(group(src), group(dst), port) for src, dst, port in flows}
        known = {end for src, dst, _ in seen for end in (src, dst)}
        asked = [
            (src, dst, port)
            for src, dst in itertools.permutations(list(owners) + OUTSIDE, 2)
            for port in PORTS
            if {group(src), group(dst)} & known & set(owners.values())
        ]
        answers = can([world, policy], [f"{src} {dst} {port}/tcp" for src, dst, port in asked])
        for (src, dst, port), answer in zip(asked, answers):
            wanted = (group(src), group(dst), port) in seen
            assert (answer == "allow") == wanted, f"seed {SEED} case {case}: {src} {dst} {port}"
            denied += not wanted
    assert denied > 0


# ---- which words are chosen

TWO = [
    place("/acme/shop", "shop"),
    place("/acme/data", "data"),
    pod("web-1", "web", "shop", "10.0.0.1", {"app": "web", "app.kubernetes.io/name": "front", "zone": "a"}),
    pod("web-2", "web", "shop", "10.0.0.2", {"app": "web", "app.kubernetes.io/name": "front", "zone": "b"}),
    pod("db-1", "db", "data", "10.0.0.3", {"app": "db", "tier": "store"}, port=5432),
    pod("log-1", "log", "data", "10.0.0.4", {"app": "db", "tier": "log"}),
]


def words(tmp_path, documents, flows, *options):
    return recommend(write(tmp_path / "w.yaml", documents), flows, *options).stdout


def test_the_smallest_set_of_labels_is_chosen_and_the_usual_ones_first(tmp_path):
    text = words(tmp_path, TWO, flow("10.0.0.1", "10.0.0.3", 5432))
    assert 'workloads: {matchLabels: {"app.kubernetes.io/name": "front"}}' in text
    assert 'workloads: {matchLabels: {"tier": "store"}}' in text  # app=db is the log's, too
    assert "pod-template-hash" not in text and "zone" not in text


def test_owners_that_no_label_tells_apart_are_one(tmp_path):
    documents = [*TWO, pod("twin-1", "twin", "data", "10.0.0.5", {"app": "db", "tier": "store"})]
    text = words(tmp_path, documents, flow("10.0.0.1", "10.0.0.3", 5432))
    assert text.count("\nkind: Policy") == 2 and 'matchLabels: {"tier": "store"}' in text
    bare = [place("/b", "b"), pod("p-1", "p", "b", "10.0.0.6", {}), pod("q-1", "q", "b", "10.0.0.7", {"app": "q"})]
    text = words(tmp_path, bare, flow("10.0.0.6", "192.0.2.1", 443), "--kind", "networkpolicy")
    assert "podSelector: {} # no label tells its workloads from others" in text
    assert text.count("\nkind: NetworkPolicy") == 1


def test_a_port_has_its_name_where_that_means_nothing_else(tmp_path):
    flows = flow("10.0.0.4", "10.0.0.1", 8080) + flow("10.0.0.4", "10.0.0.3", 8080)
    text = words(tmp_path, TWO, flows)
    assert text.count("ports: [http/tcp]") == 2  # at the web, and in the log's egress to it
    assert text.count("ports: [8080/tcp]") == 2  # the database calls another port http
    other = [*TWO, pod("web-3", "web", "shop", "10.0.0.9", {"app": "web", "app.kubernetes.io/name": "front"}, 9090)]
    assert "http" not in words(tmp_path, other, flows)


def test_the_outside_is_what_was_seen_or_as_wide_as_asked_for(tmp_path):
    flows = "".join(flow(f"192.0.2.{last}", "10.0.0.1", 8080) for last in (4, 5, 6, 7, 9))
    text = words(tmp_path, TWO, flows)
    assert 'from: [{cidr: "192.0.2.4/30"}, {cidr: "192.0.2.9/32"}]' in text
    assert "exactly the addresses that were seen" in text
    assert 'from: [{cidr: "192.0.2.0/24"}]' in words(tmp_path, TWO, flows, "--widen", "24,64")
    wide = words(tmp_path, TWO, flows, "--widen", "0,0")
    assert 'from: [{cidr: "128.0.0.0/1"}]' in wide  # the other half has the pods
    near = words(tmp_path, TWO, flow("10.0.0.200", "10.0.0.1", 8080), "--widen", "8,8")
    assert 'from: [{cidr: "10.0.0.128/25"}]' in near


def test_nodes_icmp_and_other_protocols(tmp_path):
    documents = [
        *TWO,
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"},
         "status": {"addresses": [{"type": "InternalIP", "address": "10.9.0.1"}]}},
    ]
    flows = (
        flow("10.9.0.1", "10.0.0.1", 8080)
        + "icmp 1 9 src=10.0.0.1 dst=10.0.0.3 type=8 code=0 id=1\n"
        + "gre 47 9 src=10.0.0.1 dst=10.0.0.3\n"
    )
    world = write(tmp_path / "w.yaml", documents)
    native = recommend(world, flows)
    assert 'from: [{node: "w1"}]' in native.stdout and "ports: [icmp]" in native.stdout
    assert native.returncode == 1 and "1 flows are left out: this kind" in native.stderr
    kube = recommend(world, flows, "--kind", "networkpolicy")
    assert 'from: [{ipBlock: {cidr: "10.9.0.1/32"}}]' in kube.stdout
    assert kube.returncode == 1 and "2 flows are left out: this kind" in kube.stderr
    assert "icmp" not in kube.stdout.lower()


def test_what_was_denied_is_no_reason_to_allow(tmp_path):
    deny = {"verdict": "deny", "src": {"address": "10.0.0.4"}, "dst": {"address": "10.0.0.3", "port": 22},
            "protocol": "tcp", "count": 3, "time": "2026-01-02T03:04:05Z"}
    gone = {**deny, "verdict": "allow", "src": {"address": "10.0.0.77", "workload": "gone", "namespace": "/x"}}
    flows = json.dumps(deny) + "\n" + json.dumps(gone) + "\n" + flow("10.0.0.1", "10.0.0.3", 5432)
    done = recommend(write(tmp_path / "w.yaml", TWO), flows)
    assert "22/tcp" not in done.stdout and done.returncode == 1
    assert "# Left out: 3 that were denied, 3 with an end that is not known" in done.stdout
    assert "# 1 owners of workloads were never seen" in done.stdout


def test_comments_say_how_often_and_when_and_nothing_that_a_log_smuggles_in(tmp_path):
    def record(time, count):
        return json.dumps({"verdict": "allow", "time": time, "count": count, "protocol": "tcp",
                           "src": {"address": "10.0.0.1"}, "dst": {"address": "10.0.0.3", "port": 5432}})

    flows = "\n".join([record("2026-01-02T03:04:05Z", 2), record("2026-01-03T03:04:05Z", 5),
                       record("x\nkind: Policy", 1), record("y" * 100, 1)])
    text = words(tmp_path, TWO, flows)
    assert text.count("# seen 9 times, first 2026-01-02T03:04:05Z, last 2026-01-03T03:04:05Z\n") == 2
    assert not re.search(r"^(x|kind: Policy$.*\n.*x)", text, re.MULTILINE)
    assert rf.run("check", write(tmp_path / "w.yaml", TWO), "-", stdin=text).returncode == 0


def test_output_does_not_depend_on_the_order_of_flows(tmp_path):
    dice = random.Random(SEED)
    documents, owners = random_world(dice)
    flows = [flow(*one) for one in random_flows(dice, owners)] or [flow("10.0.0.1", "192.0.2.1", 80)]
    first = words(tmp_path, documents, "".join(flows))
    dice.shuffle(flows)
    assert words(tmp_path, documents, "".join(flows)) == first


def test_mistakes(tmp_path):
    world = write(tmp_path / "w.yaml", TWO)
    assert rf.run("recommend", world).returncode == 2
    for wrong in ("24", "33,64", "24,129", "a,b", "24,"):
        assert rf.run("recommend", world, "--flows", "-", "--widen", wrong).returncode == 2
    assert rf.run("recommend", world, "--flows", "-", "--kind", "Policy").returncode == 2
    assert rf.run("recommend", world, "--flows", "-", stdin="").returncode == 2
