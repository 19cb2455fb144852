"""The traps of the policy languages that we read, one file each in traps/.

A file is policy for the cluster in traps/fixture, and says what must come of it:

    #: allow|deny SRC DST PORT/PROTO     a question and its answer
    #: options OPTION...                 for every reading of the file
    #: asking OPTION...                  for its questions
    #: warning CODE                      `check` warns, and the file is good
    #: error CODE LINE                   `check` refuses the file there
    #: alone                             without the fixture

Every file is also read with its addresses and those of the fixture turned into IPv6,
which must change no answer. Expected answers come from the text of the Kubernetes and
network-policy APIs. A trap that one reading of one file cannot show is a function here,
or a test elsewhere: see ELSEWHERE.
"""

import json
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
TRAPS = HERE / "traps"
FIXTURE = TRAPS / "fixture"


def read(path):
    said = {"allow": [], "deny": [], "warning": [], "error": []}
    questions, options, asking, alone = [], [], [], False
    for line in path.read_text().splitlines():
        if not line.startswith("#: "):
            continue
        key, *rest = line[3:].split()
        if key in ("allow", "deny"):
            questions.append((" ".join(rest), key))
        elif key == "options":
            options += rest
        elif key == "asking":
            asking += rest
        elif key == "alone":
            alone = True
        else:
            said[key].append(rest)
    return said, questions, options, asking, ([] if alone else [FIXTURE]) + [path]


FILES = sorted(TRAPS.glob("*.yaml"))

# Both families are in these already.
OF_BOTH = [path for path in FILES if path.name.startswith("22-")]

ADDRESS = re.compile(r'"?\b(\d+)\.(\d+)\.(\d+)\.(\d+)(/\d+)?\b"?')


def in_ipv6(text):
    """The same in IPv6: what was in a prefix still is, and nothing else."""

    def turn(match):
        a, b, c, d = (int(part) for part in match.groups()[:4])
        length = f"/{int(match[5][1:]) + 32}" if match[5] else ""
        quote = "" if text.startswith("#: ") else '"'
        return f"{quote}2001:db8:{a * 256 + b:x}:{c * 256 + d:x}::{length}{quote}"

    if text.startswith("#: "):
        text = re.sub(r"\bicmp$", "icmpv6", text)
    return ADDRESS.sub(turn, re.sub(r"\bicmp\b(?=\])", "icmpv6", text))


def in_families():
    return [(path, "ipv4") for path in FILES] + [
        (path, "ipv6") for path in FILES if path not in OF_BOTH
    ]


def written_in_ipv6(path, directory):
    for source in [path, *sorted(FIXTURE.glob("*.yaml"))]:
        lines = [in_ipv6(line) for line in source.read_text().splitlines(keepends=True)]
        assert not ADDRESS.search("".join(lines))
        (directory / source.name).write_text("".join(lines))
    return directory / path.name


@pytest.mark.parametrize(
    "path, family", in_families(), ids=lambda value: getattr(value, "stem", value)
)
def test_trap(path, family, tmp_path):
    if family == "ipv6":
        path = written_in_ipv6(path, tmp_path)
    said, questions, options, asking, inputs = read(path)
    if FIXTURE in inputs and family == "ipv6":
        inputs = [*(tmp_path / source.name for source in FIXTURE.glob("*.yaml")), path]
    assert questions or said["error"] or said["warning"], "the file expects nothing"
    done = rf.run("check", *options, *inputs, "-o", "json")
    found = json.loads(done.stdout)
    errors = [[d["code"], str(d["line"])] for d in found if d["severity"] == "error"]
    warnings = [[d["code"]] for d in found if d["severity"] == "warning"]
    assert sorted(errors) == sorted(said["error"])
    for code in said["warning"]:
        assert code in warnings
    assert done.returncode == (2 if errors else 0)
    answers = rf.run(
        "can",
        *options,
        *asking,
        *inputs,
        "--batch",
        "-",
        stdin="\n".join(question for question, _ in questions),
    )
    if errors:
        assert answers.returncode == 2 and answers.stdout == "", "answered from bad input"
        return
    assert answers.returncode == 0, answers.stderr
    got = list(zip([q for q, _ in questions], answers.stdout.split()))
    assert got == questions


# ---- traps that are changes: a question before and after


def ask(question, *documents):
    done = rf.run("can", FIXTURE, "-", "--", *question.split(), stdin="\n---\n".join(documents))
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.strip()


def network_policy(name, spec):
    return f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: x}}
spec: {spec}
"""


def admin(name, priority, *rules, tier="Admin"):
    return f"""
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: {name}}}
spec:
  tier: {tier}
  priority: {priority}
  subject: {{namespaces: {{matchLabels: {{team: x}}}}}}
  ingress: [{", ".join(rules)}]
"""


ACCEPT_ALL = "{action: Accept, from: [{namespaces: {}}]}"
DENY_ALL = "{action: Deny, from: [{namespaces: {}}]}"
PASS_ALL = "{action: Pass, from: [{namespaces: {}}]}"

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: new, namespace: {ns}, labels: {labels}}}
spec: {{containers: [{{name: c}}]}}
status: {{podIPs: [{{ip: 10.7.0.1}}, {{ip: "fd00:7::1"}}]}}
"""

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {{name: w, labels: {labels}}}
"""


def test_trap_30_labels_of_pods_and_namespaces_count_as_they_are_now():
    """Whoever is relabelled is somebody else: subject, peer, and namespace alike."""
    policy = network_policy(
        "by-label",
        "{podSelector: {matchLabels: {tier: db}}, "
        "ingress: [{from: [{namespaceSelector: {matchLabels: {env: prod}}}]}]}",
    )
    subject = [POD.format(ns="x", labels=labels) for labels in ("{tier: db}", "{tier: web}")]
    assert [ask("y/a x/new 80/tcp", policy, pod) for pod in subject] == ["deny", "allow"]
    db = POD.format(ns="x", labels="{tier: db}").replace("new", "db").replace("7", "8")
    peer = POD.format(ns="w", labels="{}")
    spaces = [NAMESPACE.format(labels=labels) for labels in ("{env: prod}", "{env: dev}")]
    answers = [ask("w/new x/db 80/tcp", policy, db, peer, space) for space in spaces]
    assert answers == ["allow", "deny"]


def test_trap_31_network_policy_has_no_deny_no_log_no_order():
    """What a NetworkPolicy cannot say is refused, not left out; what nobody selects is open."""
    for field in ("action: Deny", "log: true", "priority: 1", "tier: Admin"):
        policy = network_policy("more", f"{{podSelector: {{}}, ingress: [{{{field}}}]}}")
        done = rf.run("check", "-", stdin=policy)
        assert done.returncode == 2 and "[unknown-field]" in done.stderr, field
    other = network_policy("none", "{podSelector: {matchLabels: {pod: b}}}")
    assert ask("y/a x/a 80/tcp", other) == "allow"


@pytest.mark.parametrize("question", ["y/a x/a 80/tcp", "10.2.0.1 10.1.0.1 80/tcp"])
def test_trap_45_every_live_change_of_the_conformance_tests_counts(question):
    """Rules swapped, priorities passed by, a NetworkPolicy deleted, tiers changed."""
    both = [admin("one", 50, ACCEPT_ALL, DENY_ALL), admin("one", 50, DENY_ALL, ACCEPT_ALL)]
    assert [ask(question, policy) for policy in both] == ["allow", "deny"]
    other = admin("other", 50, ACCEPT_ALL)
    passed = [admin("one", priority, DENY_ALL) for priority in (60, 40)]
    assert [ask(question, other, policy) for policy in passed] == ["allow", "deny"]
    closed = network_policy("closed", "{podSelector: {}}")
    baseline = admin("base", 1, ACCEPT_ALL, tier="Baseline")
    assert [ask(question, baseline, *more) for more in ([closed], [])] == ["deny", "allow"]
    let = [admin("one", 1, rule) for rule in (PASS_ALL, ACCEPT_ALL)]
    assert [ask(question, policy, closed) for policy in let] == ["deny", "allow"]
    tiers = [admin("one", 1, ACCEPT_ALL, tier=tier) for tier in ("Baseline", "Admin")]
    assert [ask(question, policy, closed) for policy in tiers] == ["deny", "allow"]


def test_trap_32_every_value_of_a_selector_is_a_look_up_and_not_a_product():
    """Selectors with many labels and many values cost their length (a known tool made
    2^19 sets of such a policy)."""
    keys = "\n".join(
        f"      - {{key: k{i}, operator: NotIn, values: [{', '.join(f'v{j}' for j in range(40))}]}}"
        for i in range(20)
    )
    policy = f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: big, namespace: x}}
spec:
  podSelector:
    matchExpressions:
{keys}
"""
    done = rf.run("can", FIXTURE, "-", "--", "y/a", "x/a", "80/tcp", stdin=policy)
    assert (done.returncode, done.stdout) == (1, "deny\n"), done.stderr


# ---- every trap has its test

# Traps about the life of workloads and connections need a kernel.
ELSEWHERE = {
    27: [("netns/test_enforcer.py", "test_unknown_workload_is_closed_by_the_gate")],
    28: [("netns/test_enforcer.py", "test_established_connection_goes_on_when_rules_are_replaced")],
    # Connections: a change judges new ones; the configuration cannot ask for more yet.
    44: [
        ("netns/test_enforcer.py", "test_established_connection_goes_on_when_rules_are_replaced"),
        ("netns/test_enforcer.py", "test_edit_takes_effect_both_ways"),
    ],
}


def test_every_trap_has_a_test():
    shown = {int(path.name[:2]) for path in FILES}
    shown |= {int(number) for number in re.findall(r"test_trap_(\d+)_", " ".join(globals()))}
    for number, tests in ELSEWHERE.items():
        for file, name in tests:
            text = (HERE.parent / file).read_text()
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file} has no {name}"
        shown.add(number)
    assert shown == set(range(1, 46))
