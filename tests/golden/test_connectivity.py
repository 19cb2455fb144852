"""`list` beyond plain pairs, and `diff`: groups, focus, exposure, what a change opens."""

import csv
import io
import json
import pathlib
import re
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE.parent / "bench")]
import rf  # noqa: E402
from cluster import Cluster  # noqa: E402

WORLD = "world.yaml"
NEW = "diff/new.yaml"


def run(*args, **kwargs):
    return rf.run(*args, cwd=HERE, **kwargs)


@pytest.fixture(scope="module", name="cluster")
def _cluster(tmp_path_factory):
    """A generated cluster, large enough to have groups and sets of every form."""
    path = tmp_path_factory.mktemp("cluster")
    Cluster(7, 80, 160).write(path)
    return path


# ---- recorded answers: `$ ARGUMENTS`, then standard output


DIFFS = sorted(HERE.glob("diff/*.txt"))


@pytest.mark.parametrize("path", DIFFS, ids=lambda path: path.stem)
def test_golden_diff(path):
    command, expected = path.read_text().split("\n", 1)
    done = run(*command.removeprefix("$ ").split())
    assert done.stdout == expected
    assert done.returncode == (0 if path.stem == "same" else 1), done.stderr


# ---- groups


def expand_json(told):
    """Every pair that a grouped listing stands for, by its names alone."""
    names = {group["name"]: set(group["members"]) for group in told["groups"]}
    names |= {name: {name} for name in told["singles"]}
    everybody = set().union(*names.values()) if names else set()
    for one in told["sets"]:
        members = set(everybody) if one["base"] == "*" else set(names.get(one["base"], ()))
        for name in one["with"]:
            members |= names[name]
        for name in one["without"]:
            members -= names[name]
        names[one["name"]] = members
    pairs = []
    for line in told["connections"]:
        for src in names.get(line["src"], {line["src"]}):
            pairs += [(src, dst, line["conn"])
                      for dst in names.get(line["dst"], {line["dst"]}) if src != dst]
    return sorted(pairs)


def expand_csv(text):
    """The same from CSV."""
    names, lines = {}, []
    for record, name, value, conn in list(csv.reader(io.StringIO(text)))[1:]:
        if record == "member":
            names.setdefault(name, set()).add(value)
        elif record == "set":
            everybody = set().union(*(names[key] for key in names if not key.startswith("set-")
                                      and not key.endswith("**")))
            names[name] = set(everybody) if value == "*" else set(names.get(value, ()))
        elif record == "with":
            names[name] |= names[value]
        elif record == "without":
            names[name] -= names[value]
        else:
            lines.append((name, value, conn))
    return sorted((src, dst, conn) for a, b, conn in lines for src in names.get(a, {a})
                  for dst in names.get(b, {b}) if src != dst)


def pairs_of(*args):
    done = run("list", "--pairs", "-o", "json", *args)
    assert done.returncode == 0, done.stderr
    return sorted((row["src"], row["dst"], row["conn"]) for row in json.loads(done.stdout))


@pytest.mark.parametrize("options", [[], ["--nodes"], ["--family", "6"],
                                     ["--cluster-default", "deny"]], ids=" ".join)
def test_groups_expand_to_the_pairs(options, cluster):
    told = json.loads(run("list", "--group", "-o", "json", *options, cluster).stdout)
    want = pairs_of(*options, cluster)
    assert len(want) > 100 and len(told["connections"]) < len(want)
    assert expand_json(told) == want
    assert expand_csv(run("list", "--group", "-o", "csv", *options, cluster).stdout) == want


def test_many_pairs_are_told_in_groups_unless_asked_for(tmp_path):
    """1,100 pods that nobody tells apart: more than a million pairs, and one group."""
    (tmp_path / "pods.yaml").write_text("".join(
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{i}, namespace: shop}}\n"
        f"spec: {{containers: [{{name: c}}]}}\nstatus: {{podIP: 10.1.{i // 250}.{i % 250 + 1}}}\n"
        for i in range(1100)))
    done = run("list", tmp_path)
    assert done.returncode == 0 and "1211100 connections, told in groups" in done.stderr
    assert "group-1: 1100 in shop\n" in done.stdout
    assert "group-1 => group-1 : All Connections\n" in done.stdout
    assert len(done.stdout.splitlines()) < 1110
    every = run("list", "--pairs", "--focus", "shop/p0", tmp_path)
    assert len(every.stdout.splitlines()) == 2 * 1099 + 2


# ---- focus


def ends(pair):
    return pair[0], pair[1]


@pytest.mark.parametrize("options, keep", [
    (["--focus", "{a}"], lambda p, a, b: a in ends(p)),
    (["--focus", "{a},{b}"], lambda p, a, b: a in ends(p) or b in ends(p)),
    (["--focus", "{a}", "--focus", "{b}", "--focus-direction", "egress"],
     lambda p, a, b: p[0] in (a, b)),
    (["--focus", "{a}", "--focus-direction", "ingress"], lambda p, a, b: p[1] == a),
    (["--focus", "{a}", "--focus-peer", "{b}"], lambda p, a, b: set(ends(p)) == {a, b}),
    (["--focus", "{a},{b}", "--focus-peer", "{b}"],
     lambda p, a, b: b in ends(p) and (p[0] in (a, b) and p[1] in (a, b))),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_focus_is_a_part_of_the_listing(options, keep, cluster):
    every = pairs_of(cluster)
    inside = [pair for pair in every if "[External]" not in pair[0] + pair[1]]
    a, b = next(pair[:2] for pair in inside if pair[0] != pair[1])
    got = pairs_of(*[option.format(a=a, b=b) for option in options], cluster)
    assert got == [pair for pair in every if keep(pair, a, b)] and got


def test_namespace_is_a_subtree(cluster):
    every = pairs_of(cluster)
    got = pairs_of("--namespace", "/org/tenant-0000", cluster)
    mine = re.compile(r"^(/org/tenant-0000/|tenant-0000-)")
    assert got == [pair for pair in every if mine.match(pair[0]) or mine.match(pair[1])] and got


def has_port(conn, port):
    """Whether a connection's text has a TCP port."""
    if conn == "All Connections":
        return True
    proto = ""
    for item in conn.split(","):
        if " " in item:
            proto, item = item.split(" ")
        first, _, last = item.partition("-")
        if proto == "TCP" and first.isdigit() and int(first) <= port <= int(last or first):
            return True
    return False


def test_port_cuts_to_it(cluster):
    got = pairs_of("--port", "5432/tcp", cluster)
    assert {pair[2] for pair in got} == {"TCP 5432"}
    assert [pair[:2] for pair in got] == [
        pair[:2] for pair in pairs_of(cluster) if has_port(pair[2], 5432)]


def test_port_may_be_icmp():
    got = pairs_of("--port", "icmp", WORLD)
    assert got and {pair[2] for pair in got} == {"ICMP"}


REFUSED = [
    (["list", "--focus", "shop-prod/wev-7d9f"], 'did you mean "shop-prod/web-7d9f"?'),
    (["list", "--focus", "192.0.2.1"], "can be a peer"),
    (["list", "--namespace", "/acme/shp"], 'did you mean "/acme/shop"?'),
    (["list", "--namespace", "shop-prd"], 'did you mean "shop-prod"?'),
    (["list", "--port", "80"], "not PORT/PROTO"),
    (["list", "--focus-direction", "egress"], "go with --focus"),
    (["list", "--focus-direction", "sideways", "--focus", "shop-prod/cron"], "ingress"),
    (["list", "--exposure", "-o", "md"], "txt or json"),
]


@pytest.mark.parametrize("args, message", REFUSED, ids=lambda value: " ".join(value)[:40])
def test_list_refuses(args, message):
    done = run(*args, WORLD)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_node_in_focus_makes_nodes_ends():
    got = pairs_of("--focus", "node/worker-1", WORLD)
    assert ("node/worker-1[Node]", "shop-prod/cron[Pod]", "All Connections") in got


# ---- exposure


EXPOSED = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{port: 5432}]
    - from: [{namespaceSelector: {matchLabels: {env: ops}}, podSelector: {}}]
      ports: [{port: 9100}]
  egress:
    - to: [{namespaceSelector: {}}]
      ports: [{port: 53, protocol: UDP}]
    - to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [cache, queue]}]}}]
      ports: [{port: amqp}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: ops-only-over-tls}
spec:
  priority: 1
  subject: {namespaces: {}}
  ingress:
    - {action: Deny, from: [{namespaces: {matchLabels: {env: lab}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c}]}
status: {podIP: 10.1.0.1}
"""

EXPOSURE = """\
Egress exposure:
shop/db-0[Pod] => entire-cluster : UDP 53
shop/db-0[Pod] => pods with {app in (cache,queue)} in namespace shop : UDP 53,"amqp"

Ingress exposure:
shop/db-0[Pod] <= pods with {app=web} in namespace shop : TCP 5432
shop/db-0[Pod] <= any pod in namespaces with {env=ops} : TCP 9100
"""


def test_exposure_says_who_could_come(tmp_path):
    (tmp_path / "db.yaml").write_text(EXPOSED)
    done = run("list", "--exposure", tmp_path)
    assert (done.returncode, done.stdout) == (0, EXPOSURE), done.stderr


def test_admin_denies_narrow_exposure(tmp_path):
    """Without the NetworkPolicy everybody may come, but for the laboratory."""
    (tmp_path / "db.yaml").write_text(EXPOSED.split("---\n", 1)[1])
    told = json.loads(run("list", "--exposure", "-o", "json", tmp_path).stdout)
    ingress = {tuple(row["peer"]): row["conn"] for row in told if row["direction"] == "ingress"}
    assert ingress == {(): "All Connections",
                       ("any pod in namespaces with {env=lab}",): "No Connections"}


def test_exposure_can_be_focused():
    told = json.loads(run("list", "--exposure", "-o", "json", "--focus", "/acme/data/db-1",
                          WORLD).stdout)
    assert {row["workload"] for row in told} == {"/acme/data/db-1[Workload]"}


# ---- diff


def connections(text):
    return json.loads(text)["connections"]


def test_diff_turns_one_listing_into_the_other(tmp_path):
    """Every pair whose connection differs is told, and no other; in groups and by pair."""
    for name, edits in (("old", 0), ("new", 3)):
        Cluster(5, 80, 160, edits=edits).write(tmp_path / name)
    old, new = ({pair[:2]: pair[2] for pair in pairs_of(tmp_path / name)
                 if "[External]" not in pair[0] + pair[1]} for name in ("old", "new"))
    want = sorted((*pair, old.get(pair), new.get(pair)) for pair in old.keys() | new.keys()
                  if old.get(pair) != new.get(pair))
    done = run("diff", "--pairs", "-o", "json", tmp_path / "old", tmp_path / "new")
    assert done.returncode == 1, done.stderr
    got = sorted((row["src"], row["dst"], row["old"], row["new"])
                 for row in connections(done.stdout)
                 if "[External]" not in row["src"] + row["dst"])
    assert want and got == want
    grouped = json.loads(
        run("diff", "--group", "-o", "json", tmp_path / "old", tmp_path / "new").stdout)
    for row in grouped["connections"]:
        row["conn"] = (row["old"], row["new"])
    assert sorted((src, dst, *conn) for src, dst, conn in expand_json(grouped)
                  if "[External]" not in src + dst) == want


def test_diff_names_the_rule_that_decides():
    rows = {(row["src"], row["dst"]): row
            for row in connections(run("diff", "-o", "json", WORLD, NEW).stdout)}
    row = rows["shop-prod/web-7d9f[ReplicaSet]", "/acme/data/db-1[Workload]"]
    assert [(by["direction"], by["verdict"], by["file"]) for by in row["openedBy"]] == [
        ("ingress", "allow", NEW)]
    assert "pg" in (HERE / NEW).read_text().splitlines()[row["openedBy"][0]["line"] - 1]
    assert [(by["verdict"], by["by"]) for by in row["closedBy"]] == [
        ("deny", "Policy /acme/data/db")]


def test_diff_sees_what_a_listing_does_not_say(tmp_path):
    """From every port of three protocols to everything: ICMP is opened, too."""
    head = ("apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
            "metadata: {{name: {0}, namespace: /a}}\nspec: {{ips: [{1}]}}\n---\n")
    pods = head.format("w1", "10.0.0.1") + head.format("w2", "10.0.0.2")
    policy = ("apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
              "metadata: {name: p, namespace: /a}\nspec: {allow: {ingress: [%s]}}\n")
    (tmp_path / "old.yaml").write_text(pods + policy % "{ports: [tcp, udp, sctp]}")
    (tmp_path / "new.yaml").write_text(pods + policy % "{}")
    done = run("diff", tmp_path / "old.yaml", tmp_path / "new.yaml")
    assert done.returncode == 1
    assert ("~ /a/w1[Workload] => /a/w2[Workload] : SCTP 1-65535,TCP 1-65535,UDP 1-65535 -> "
            "All Connections\n") in done.stdout


def test_diff_of_words_alone_is_no_difference(tmp_path):
    text = (HERE / WORLD).read_text()
    (tmp_path / "renamed.yaml").write_text(text.replace("name: closed,", "name: shut,"))
    done = run("diff", WORLD, tmp_path / "renamed.yaml")
    assert (done.returncode, "~ Policy /guard" in done.stdout) == (0, True)


def test_diff_refuses_input_with_errors(tmp_path):
    (tmp_path / "bad.yaml").write_text("kind: [")
    for args in ((WORLD, tmp_path / "bad.yaml"), (tmp_path / "bad.yaml", WORLD)):
        done = run("diff", *args)
        assert (done.returncode, done.stdout) == (2, "") and "bad.yaml" in done.stderr
    assert run("diff", WORLD).returncode == 2


def exposure_of(selectors):
    """What a workload offers those who come, of whom each selector has a port denied."""
    rules = [f"{{action: deny, from: [{{workloads: {{matchLabels: {s}}}}}], ports: [{i + 1}/tcp]}}"
             for i, s in enumerate(selectors)]
    text = ("apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
            "metadata: {name: p, namespace: /}\nspec: {default: {ingress: ["
            + ", ".join([*rules, "{action: allow}"]) + "]}}\n---\n"
            "apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
            "metadata: {name: w, namespace: /}\nspec: {}\n")
    done = rf.run("list", "--exposure", "-o", "json", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    return [line for line in json.loads(done.stdout) if line["direction"] == "ingress"]


def test_exposure_is_exact_however_many_peers_exclude_each_other():
    lines = exposure_of([f"{{app: a{i}}}" for i in range(40)])
    assert all(line["exact"] for line in lines)
    assert len(lines) == 41 and max(len(line["peer"]) for line in lines) == 1


def test_exposure_is_exact_for_peers_that_one_workload_can_be_at_once():
    lines = exposure_of([f"{{app: a{i}}}" for i in range(10)] + ["{tier: x}", "{env: z}"])
    assert all(line["exact"] for line in lines)
    # None, each, and of the three labels any two or three.
    assert len(lines) == 1 + 12 + (10 + 10 + 1) + 10
    (both,) = [line for line in lines if len(line["peer"]) == 2
               and "tier=x" in str(line["peer"]) and "env=z" in str(line["peer"])]
    assert "11" not in both["conn"].replace("-", " ").replace(",", " ").split()
    assert not both["conn"].startswith("All")


def test_exposure_says_when_it_is_not_exact():
    lines = exposure_of([f"{{k{i}: a}}" for i in range(12)])
    assert not any(line["exact"] for line in lines)
