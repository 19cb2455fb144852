"""The tool `ringfence`: what it answers, where it says it, and how it exits."""

import csv
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import rf  # noqa: E402

WORLD = "world.yaml"
QUESTION = ["--", "shop-prod/web-7d9f", "/acme/data/db-1", "5432/tcp"]


def run(*args, **kwargs):
    return rf.run(*args, cwd=HERE, **kwargs)


def can(*question, options=(), **kwargs):
    return run("can", *options, WORLD, "--", *question, **kwargs)


def batch(text, options=(), world=WORLD):
    return run("can", *options, world, "--batch", "-", stdin=text)


# ---- recorded answers: `$ ARGUMENTS`, then standard output


GOLDEN = sorted(HERE.glob("explain/*.txt")) + sorted(HERE.glob("list/*.txt"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden(path):
    command, expected = path.read_text().split("\n", 1)
    done = run(*command.removeprefix("$ ").split())
    assert done.returncode == 0, done.stderr
    if os.environ.get("RINGFENCE_UPDATE_GOLDEN"):
        path.write_text(f"{command}\n{done.stdout}")
        return
    assert done.stdout == expected


def test_formats_are_what_their_readers_take():
    rows = [line.split(" : ") for line in run("list", WORLD).stdout.splitlines()]
    want = [(*ends.split(" => "), conn) for ends, conn in rows]
    listed = json.loads(run("list", "-o", "json", WORLD).stdout)
    assert [(row["src"], row["dst"], row["conn"]) for row in listed] == want
    table = list(csv.reader(io.StringIO(run("list", "-o", "csv", WORLD).stdout)))
    assert table[0] == ["src", "dst", "conn"]
    assert [tuple(row) for row in table[1:]] == want
    explained = json.loads(run("explain", "-o", "json", WORLD, *QUESTION).stdout)
    assert explained["verdict"] == "allow"
    assert [family["family"] for family in explained["families"]] == [4, 6]
    decided = [
        step for step in explained["families"][0]["ingress"]["steps"] if step["result"] == "decided"
    ]
    assert [(step["level"], step["rule"]["line"]) for step in decided] == [("/acme/data", 53)]


# ---- can


def as_list(documents, form):
    """A List as kubectl prints it: what it is stands in front of and behind its items."""
    if form == "json":
        return json.dumps({"apiVersion": "v1", "items": documents, "kind": "List",
                           "metadata": {"resourceVersion": ""}}, indent=4)
    text = yaml.safe_dump(documents, default_flow_style=form == "flow")
    return f"apiVersion: v1\nitems:\n{text}kind: List\nmetadata:\n  resourceVersion: ''\n"


@pytest.mark.parametrize("form", ["json", "yaml", "nested"])
def test_a_list_says_what_its_items_say(form, tmp_path):
    documents = [d for d in yaml.safe_load_all((HERE / WORLD).read_text()) if d is not None]
    path = tmp_path / ("world.json" if form == "json" else "world.yaml")
    if form == "nested":
        half = len(documents) // 2
        documents = [*documents[:half],
                     {"kind": "List", "apiVersion": "v1", "items": documents[half:]}]
    path.write_text(as_list(documents, form))
    wanted, got = (rf.run("list", file, "-o", "json") for file in (HERE / WORLD, path))
    assert got.returncode == 0, got.stderr
    assert got.stdout == wanted.stdout


def test_items_of_a_list_are_complained_of_where_they_stand():
    """Those before a place that is no YAML, too."""
    text = ("apiVersion: v1\nitems:\n"
            "- metadata:\n    name: a\n  spec: {policyTypes: [Egres]}\n"
            "- metadata: {name: b}\n  sepc: {}\n"
            "- {}}\n"
            "kind: NetworkPolicyList\n")
    text = text.replace("v1\n", "networking.k8s.io/v1\n", 1)
    done = rf.run("check", "-", stdin=text)
    assert done.returncode == 2
    for place in ("-:5:24: error: ", "-:7:3: error: ", "-:8:5: error: "):
        assert place in done.stderr, done.stderr
    whole = rf.run("check", "-", stdin=text.replace("- {}}\n", ""))
    assert "-:5:24: error: " in whole.stderr and "-:7:3: error: " in whole.stderr


def test_can_answers_by_word_and_exit_status():
    yes = can("shop-prod/web-7d9f", "/acme/data/db-1", "5432/tcp")
    assert (yes.returncode, yes.stdout) == (0, "allow\n")
    no = can("shop-prod/cron", "/acme/data/db-1", "5432/tcp")
    assert (no.returncode, no.stdout) == (1, "deny\n")


def test_can_knows_ends_by_all_their_names():
    lines = [
        line.rsplit(" ", 1)
        for line in (HERE / "can/names.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    done = batch("".join(question + "\n" for question, _ in lines))
    assert list(zip([q for q, _ in lines], done.stdout.split())) == [tuple(line) for line in lines]
    assert done.returncode == 2  # there are lines that cannot be answered


REFUSED = [
    (["shop-prod/wev-7d9f", "10.1.0.7", "80/tcp"], 'did you mean "shop-prod/web-7d9f"?'),
    (["shop-prod/nothing-like-it", "10.1.0.7", "80/tcp"], "no workload"),
    (["node/worker-2", "10.1.0.7", "80/tcp"], 'did you mean "node/worker-1"?'),
    (["10.1.0.300", "10.1.0.7", "80/tcp"], "no address and no name"),
    (["10.1.0.0/24", "10.1.0.7", "80/tcp"], "is a network"),
    (["10.1.0.7", "10.1.0.7", "80"], "not PORT/PROTO"),
    (["10.1.0.7", "10.1.0.7", "tcp"], "not PORT/PROTO"),
    (["10.1.0.7", "10.1.0.7", "80/quic"], 'no protocol "quic"'),
    (["10.1.0.7", "10.1.0.7", "0/tcp"], "not a port"),
    (["10.1.0.7", "10.1.0.7", "65536/tcp"], "not a port"),
    (["10.1.0.7", "10.1.0.7", "http/tcp"], "not a port"),
    (["10.1.0.7", "10.1.0.7", "1/icmp"], "has no ports"),
    (["10.1.0.7", "fd00::8", "80/tcp"], "no address family in common"),
    (["fd00::7", "fd00::8", "icmp"], "no pair of IPv4 addresses"),
    (["10.1.0.7", "10.1.0.8"], "the question is missing"),
]


@pytest.mark.parametrize("question, message", REFUSED, ids=lambda value: " ".join(value)[:40])
def test_can_refuses_what_it_cannot_answer(question, message):
    done = can(*question)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    if len(question) == 3:
        many = batch(" ".join(question) + "\n10.1.0.7 10.1.0.7 1/tcp\n")
        assert (many.returncode, many.stdout) == (2, "error\nallow\n")
        assert message in many.stderr and "-:1:" in many.stderr


def test_can_takes_a_family():
    assert can("fd00::8", "/acme/data/db-1", "80/tcp", options=["--family", "6"]).returncode == 1
    four = can("fd00::8", "/acme/data/db-1", "80/tcp", options=["--family", "4"])
    assert four.returncode == 2 and "IPv4" in four.stderr


def test_can_takes_a_cluster_default():
    question = ["shop-prod/cron", "192.0.2.1", "443/tcp"]
    assert can(*question).stdout == "allow\n"
    assert can(*question, options=["--cluster-default", "deny"]).stdout == "deny\n"
    assert can(*question, options=["--cluster-default=allow"]).stdout == "allow\n"


def test_can_reads_directories_and_standard_input(tmp_path):
    text = (HERE / WORLD).read_text()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "world.yml").write_text(text)
    (tmp_path / "notes.txt").write_text("not: [yaml")
    assert rf.run("can", tmp_path, *QUESTION).stdout == "allow\n"
    assert rf.run("can", "-", *QUESTION, stdin=text).stdout == "allow\n"
    both = run("can", "-", "--batch", "-", stdin=text)
    assert both.returncode == 2 and "standard input" in both.stderr
    assert rf.run("can", tmp_path / "absent", *QUESTION).returncode == 2


@pytest.mark.parametrize("command", ["can", "explain", "list"])
def test_no_answer_comes_from_input_with_errors(command, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: {name: x}\nspec: {allwo: {}}\n")
    done = run(command, WORLD, bad, *(QUESTION if command != "list" else []))
    assert (done.returncode, done.stdout) == (2, "")
    assert "bad.yaml:4" in done.stderr and "error:" in done.stderr
    if command == "can":
        many = run("can", WORLD, bad, "--batch", "-", stdin="10.1.0.7 10.1.0.8 80/tcp\n")
        assert (many.returncode, many.stdout) == (2, "")


# ---- can --batch


def test_batch_keeps_the_order_and_goes_on_after_a_bad_line(tmp_path):
    text = (
        "shop-prod/web-7d9f /acme/data/db-1 5432/tcp\n"
        "\n"
        "# a comment\n"
        "shop-prod/web-7d9f /acme/data/db-1\n"
        "  shop-prod/cron\t/acme/data/db-1   5432/tcp\r\n"
        "shop-prod/cron nobody/nowhere 1/tcp more\n"
        "10.1.0.8 10.1.0.7 5432/tcp"
    )
    done = batch(text)
    assert done.stdout == "allow\nerror\ndeny\nerror\nallow\n"
    assert done.returncode == 2
    assert "-:4:" in done.stderr and "-:6:" in done.stderr
    path = tmp_path / "questions"
    path.write_text("10.1.0.8 10.1.0.7 5432/tcp\n10.1.0.9 10.1.0.7 5432/tcp\n")
    done = run("can", WORLD, "--batch", path)
    assert (done.returncode, done.stdout, done.stderr.count("error")) == (0, "allow\ndeny\n", 0)
    assert run("can", WORLD, "--batch", tmp_path / "absent").returncode == 2


def test_batch_answers_each_line_as_it_comes():
    with subprocess.Popen(
        [rf.program(), "can", HERE / WORLD, "--batch", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    ) as tool:
        try:
            for question, answer in [("10.1.0.8", "allow"), ("10.1.0.9", "deny")]:
                tool.stdin.write(f"{question} 10.1.0.7 5432/tcp\n")
                tool.stdin.flush()
                assert tool.stdout.readline() == answer + "\n"
            tool.stdin.close()
            assert tool.wait(timeout=120) == 0
        finally:
            tool.kill()


def test_batch_goes_on_after_a_line_that_is_too_long():
    good = "10.1.0.8 10.1.0.7 5432/tcp"
    for filler in ("x" * 70000, "x" * 300000, good + " " * 65536):
        done = batch(f"{good}\n{filler}\n{good}\n{filler}")
        assert done.stdout.split() == ["allow", "error", "allow", "error"]
        assert "-:2: the line is too long" in done.stderr and "-:4:" in done.stderr
    assert batch(good + " " * 65000 + "\n").stdout == "allow\n"


def test_batch_tells_programs_who_decided():
    text = "10.1.0.8 10.1.0.7 5432/tcp\nbad\nshop-prod/cron 169.254.169.254 80/tcp\n"
    done = batch(text, options=["-o", "json"])
    assert done.returncode == 2
    allow, error, deny = [json.loads(line) for line in done.stdout.splitlines()]
    assert (allow["verdict"], allow["ingress"]["rule"]["line"]) == ("allow", 53)
    assert allow["src"] == "shop-prod/web-7d9f[ReplicaSet]" and allow["service"] == "5432/tcp"
    assert error["line"] == 2 and "SRC DST PORT/PROTO" in error["error"]
    assert (deny["verdict"], deny["egress"]["reason"]) == ("deny", "rule")
    assert (deny["egress"]["rule"]["name"], deny["egress"]["phase"]) == ("no-metadata", "mandatory")
    one = can(*text.splitlines()[0].split(), options=["-o", "json"])
    assert one.returncode == 0 and json.loads(one.stdout) == allow


def test_batch_of_many_lines_is_answered_line_by_line():
    lines = ["10.1.0.8 10.1.0.7 5432/tcp", "10.1.0.9 10.1.0.7 5432/tcp", "bad"] * 20000
    done = batch("\n".join(lines) + "\n")
    assert done.stdout.split() == ["allow", "deny", "error"] * 20000


def test_batch_ends_at_a_line_without_end():
    done = batch("x" * 200_000)
    assert done.returncode == 2 and "too long" in done.stderr


def test_batch_takes_bytes_of_any_kind():
    done = subprocess.run(
        [rf.program(), "can", HERE / WORLD, "--batch", "-"],
        input=b"\x00\xff\xfe 10.1.0.7 80/tcp\n10.1.0.8 10.1.0.7 5432/tcp\n",
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"error\nallow\n")


# ---- names


def test_a_name_of_several_workloads_is_refused(tmp_path):
    (tmp_path / "two.yaml").write_text(
        """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: s}
spec: {selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {containers: []}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web, namespace: s}
spec: {selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, spec: {containers: []}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: s}
spec: {podSelector: {matchLabels: {app: s}}}
"""
    )
    def ask(name):
        return rf.run("can", tmp_path, "--", "192.0.2.1", name, "80/tcp")

    both = ask("s/web")
    assert both.returncode == 2 and "several workloads" in both.stderr
    assert ask("s/web[Deployment]").stdout == "allow\n"
    assert ask("s/web[StatefulSet]").stdout == "deny\n"


def test_a_pods_own_name_comes_before_an_owners(tmp_path):
    (tmp_path / "two.yaml").write_text(
        """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: s, labels: {app: own}}
spec: {containers: []}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  namespace: s
  labels: {app: owned}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: web, uid: u, controller: true}]
spec: {containers: []}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: s}
spec: {podSelector: {matchLabels: {app: owned}}}
"""
    )
    assert rf.run("can", tmp_path, "--", "192.0.2.1", "s/web", "80/tcp").stdout == "allow\n"
    owned = rf.run("can", tmp_path, "--", "192.0.2.1", "s/web[StatefulSet]", "80/tcp")
    assert owned.stdout == "deny\n"


CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {nodeName: n1, containers: []}
status: {podIP: 10.NUMBER.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: shop}
spec: {nodeName: n1, hostNetwork: true, containers: []}
status: {podIP: 10.9.NUMBER.1}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec: {podSelector: {}}
"""


def test_clusters_are_told_apart(tmp_path):
    options = []
    for number, name in enumerate(["east", "west"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yaml").write_text(CLUSTER.replace("NUMBER", str(number)))
        options.append(f"--cluster={name}={tmp_path / name}")
    questions = {
        "shop/web 10.1.0.1 80/tcp": "error",
        "east/shop/web west/shop/web 80/tcp": "deny",
        "east/shop/host east/shop/web 80/tcp": "allow",
        "east/shop/host west/shop/web 80/tcp": "deny",
        "node/n1 east/shop/web 80/tcp": "error",
        "node/west/n1 west/shop/web 80/tcp": "allow",
        "node/east/n1 west/shop/web 80/tcp": "deny",
        "10.9.1.1 10.1.0.1 80/tcp": "allow",
        "10.9.0.1 10.1.0.1 80/tcp": "deny",
    }
    done = rf.run("can", *options, tmp_path, "--batch", "-", stdin="\n".join(questions))
    assert dict(zip(questions, done.stdout.split())) == questions
    listed = rf.run("list", *options, tmp_path).stdout
    assert "east/shop/host[Pod] => east/shop/web[Pod] : All Connections\n" in listed
    assert "=> west/shop/web[Pod]" not in listed.replace("west/shop/host[Pod] => west/shop/web", "")


# ---- check


CLEAN = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"


def test_check_exits_by_the_worst_it_found(tmp_path):
    clean, warned, wrong = (tmp_path / f"{name}.yaml" for name in ("clean", "warned", "wrong"))
    clean.write_text(CLEAN)
    warned.write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {name: p, namespace: s}\nspec: {podSelector: null, policyTypes: [Ingress]}\n"
    )
    wrong.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: Shop}\n")
    for path, plain, strict in [(clean, 0, 0), (warned, 0, 1), (wrong, 2, 2)]:
        assert rf.run("check", path).returncode == plain
        assert rf.run("check", "--strict", path).returncode == strict


def test_check_speaks_text_to_standard_error_and_machines_to_standard_output(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(CLEAN + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: Shop}\n")
    text = rf.run("check", bad)
    assert text.stdout == "" and "bad.yaml:7:18: error: " in text.stderr
    assert text.stderr.rstrip().endswith("1 error")
    told = rf.run("check", "-o", "json", bad)
    [one] = json.loads(told.stdout)
    assert (one["severity"], one["line"], one["column"]) == ("error", 7, 18)
    assert told.stderr == "1 error\n"
    sarif = json.loads(rf.run("check", "-o", "sarif", bad).stdout)
    assert sarif["version"] == "2.1.0"
    [result] = sarif["runs"][0]["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (result["level"], region["startLine"]) == ("error", 7)
    assert json.loads(rf.run("check", "-o", "json", "-", stdin=CLEAN).stdout) == []


LINTS = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: x}
spec: {podSelector: {matchLabels: {app: nobody}}, policyTypes: [Ingress]}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: x, labels: {app: p}}
"""
UNFILTERED = {"isolates-wholly", "selects-nothing", "unselected-workloads"}


@pytest.mark.parametrize("options, told, strict", [
    ([], UNFILTERED, 1),
    (["--severity", "note"], UNFILTERED, 1),
    (["--severity", "warning"], {"selects-nothing"}, 1),
    (["--severity", "error"], set(), 0),
    (["--select", "selects-nothing"], {"selects-nothing"}, 1),
    (["--select", "isolates-wholly,unselected-workloads"],
     {"isolates-wholly", "unselected-workloads"}, 0),
    (["--select", "isolates-wholly", "--select", "selects-nothing"],
     {"isolates-wholly", "selects-nothing"}, 1),
    (["--select", "unknown-field"], set(), 0),
    (["--ignore", "selects-nothing"], UNFILTERED - {"selects-nothing"}, 0),
    (["--ignore", "selects-nothing, isolates-wholly", "--severity", "note"],
     {"unselected-workloads"}, 0),
    (["--select", "selects-nothing", "--ignore", "selects-nothing"], set(), 0),
])
def test_check_tells_what_is_asked_for(options, told, strict):
    done = rf.run("check", "--strict", "-o", "json", *options, "-", stdin=LINTS)
    assert {d["code"] for d in json.loads(done.stdout)} == told
    assert done.returncode == strict
    counted = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", done.stderr)}
    assert sum(counted.values()) == len(json.loads(done.stdout)), done.stderr


def test_check_tells_errors_whatever_is_asked_for():
    text = LINTS.replace("policyTypes: [Ingress]", "sepc: {}")
    for options in (["--select", "selects-nothing"], ["--severity", "error"],
                    ["--ignore", "selects-nothing"]):
        done = rf.run("check", *options, "-", stdin=text)
        assert done.returncode == 2 and "[unknown-field]" in done.stderr
    # One that is a warning until the server's judgement is asked for.
    odd = (HERE / "check" / "odd-name.yaml").read_text()
    done = rf.run("check", "--strict", "--ignore", "odd-name", "-", stdin=odd)
    assert done.returncode == 2 and "[odd-name]" in done.stderr
    done = rf.run("check", "--ignore", "odd-name", "-", stdin=odd)
    assert done.returncode == 0 and "odd-name" not in done.stderr


@pytest.mark.parametrize("options, message", [
    (["--ignore", "unknown-field"], "errors cannot be silenced"),
    (["--ignore", "no-ownr"], 'there is no code "no-ownr" (did you mean no-owner?)'),
    (["--select", ""], 'there is no code ""'),
    (["--select", "no-owner,"], 'there is no code ""'),
    (["--severity", "fatal"], "error or warning or note"),
])
def test_check_refuses_codes_that_there_are_not(options, message):
    done = rf.run("check", *options, "-", stdin=LINTS)
    assert done.returncode == 2 and message in done.stderr


# ---- mistakes of those who write their first policy

FIRST = """apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: { name: dev-reads-db, namespace: / }
spec:
  workloads: { matchLabels: { app: db } }
  allow:
    ingress:
      - { name: from-dev, from: [{ namespace: /dev }], ports: [pg] }
---
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: { name: db, namespace: /, labels: { app: db } }
spec: { ports: [{ name: pg, port: 5432, protocol: tcp }] }
"""


@pytest.mark.parametrize("right, wrong, advice", [
    ("{ matchLabels: { app: db } }\n  a", "{ app: db }\n  a", "labels stand in matchLabels"),
    ("workloads:", "podSelector:", 'native policies say "workloads"'),
    ("  allow:", "allow:", "what belongs to spec is indented below it"),
    ("[pg]", "[5432]", "write 5432/tcp"),
    ("[pg]", "[{ port: 5432, protocol: TCP }]", "write 443/tcp, 8000-8080/tcp, or a port's name"),
    ("[pg]", "[postgresql]", '/db[Workload] has ports named "pg"'),
    ("[pg]", "pg", 'one item is written [ ... ], or on a line that begins with "- "'),
    ("[{ namespace: /dev }]", "{ namespace: /dev }", "one item is written [ ... ]"),
    ("namespace: / }", "namespace: acme/shop }", "a path begins with /"),
    ("kind: Policy", "kind: policy", "did you mean Policy?"),
    ("ingress:", "ingres:", 'did you mean "ingress"?'),
    ("from: [", "to: [", 'an ingress rule has "from"'),
])
def test_a_mistake_is_answered_with_what_to_write(right, wrong, advice):
    assert right in FIRST
    done = rf.run("check", "-", stdin=FIRST.replace(right, wrong, 1))
    assert advice in done.stderr


# ---- the command line

USAGE = [
    (["lst"], 'did you mean "list"?'),
    (["adit"], 'did you mean "audit"?'),
    (["whoam"], 'did you mean "whoami"?'),
    (["versio"], 'did you mean "version"?'),
    (["../../bin/sh"], "no command"),
    (["no-such-command-at-all"], "see ringfence help"),
    (["list"], "no PATH"),
    (["list", "--no-such-option", WORLD], "no option --no-such-option"),
    (["list", "-o", "xml", WORLD], "txt, json, csv, md, dot"),
    (["list", "--family", "5", WORLD], "4 or 6"),
    (["list", "--cluster-default", "perhaps", WORLD], "allow or deny"),
    (["list", "--cluster", "east", WORLD], "NAME=PATH"),
    (["list", "--family"], "needs an argument"),
    (["can", "--nodes", WORLD], "no option --nodes"),
]


@pytest.mark.parametrize("args, message", USAGE, ids=lambda value: " ".join(value)[:40])
def test_a_mistake_on_the_command_line_is_an_error(args, message):
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_help_and_version_go_to_standard_output():
    assert run().returncode == 2
    listed = run("help").stdout
    for command in ("check", "can", "explain", "list", "compile"):
        assert f"\n  {command} " in listed
        told = run(command, "--help")
        assert told.returncode == 0 and told.stdout.startswith(f"usage: ringfence {command} ")
        assert run("help", command).stdout == told.stdout
    for word in ("help", "version"):
        assert run("help", word).stdout == listed
    assert run("version").stdout.startswith("ringfence ")
    assert run("--version").stdout == run("version").stdout


def test_another_command_is_a_program_in_the_path(tmp_path):
    program = tmp_path / "ringfence-hello"
    program.write_text('#!/bin/sh\necho "$0" "$@" | sed "s|.*/||"\nexit 7\n')
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = run("hello", "--flag", "a b", env=env)
    assert (done.returncode, done.stdout) == (7, "ringfence-hello --flag a b\n")
    assert run("help", "hello", env=env).stdout == "ringfence-hello --help\n"


def test_a_program_that_is_not_there_is_named(tmp_path):
    alone = tmp_path / "ringfence"
    shutil.copy(rf.program(), alone)
    for args in (["audit"], ["help", "audit"]):
        done = subprocess.run([alone, *args], env={**os.environ, "PATH": str(tmp_path)}, text=True,
                              capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "ringfence-audit is neither beside this program nor in PATH" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_an_answer_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [rf.program(), "can", HERE / WORLD, *QUESTION],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2 and "cannot be written" in done.stderr


def test_compile_takes_its_settings():
    base = ["compile", WORLD, "--node", "worker-1"]
    plain = run(*base)
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.startswith("table inet ringfence\n") and " group 100 " in plain.stdout
    # What a policy denies is dropped; TCP of a connection that nobody knows is reset.
    rejected = [line for line in plain.stdout.splitlines() if " reject" in line]
    assert len(rejected) == 1 and "tcp reset" in rejected[0]
    other = run(*base, "--log-group", "7", "--reject", "--workload-networks", "10.1.0.0/16,fd00::/8")
    assert " group 7 " in other.stdout and " group 100 " not in other.stdout
    assert other.stdout.count(" reject") > 1 and "{ 10.1.0.0-10.1.255.255 }" in other.stdout
    assert "{ fd00::-fdff:ffff" in other.stdout
    assert run(*base, "-o", "nft").stdout == plain.stdout
    assert json.loads(run(*base, "-o", "json").stdout)["sets"]
    unknown = run("compile", WORLD, "--node", "worker-9")
    assert unknown.returncode == 0 and "worker-1" in unknown.stderr
    for wrong in (["--log-group", "x"], ["--steering", "0x5"], ["--steering", ""], ["--workload-networks", "10.1.0.0"],
                  ["--route-addresses", "198.51.100.7"]):
        assert run(*base, *wrong).returncode == 2
    assert run("compile", WORLD).returncode == 2
