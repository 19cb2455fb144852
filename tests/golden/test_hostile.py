"""Inputs made to hurt: each ends, in memory that grows with its size at most, with the
diagnostic that says what is wrong or with none if nothing is.

Nothing is measured. The kernel ends a run that needs more than a multiple of its input's
size in memory, or many times the processor time that any of them takes on a slow and busy
machine: what grows with the square of its input needs more than that. Sizes and limits grow
by RINGFENCE_HOSTILE_SCALE; at 20 (minutes) squares of the dearest items are found as well.
"""

import os
import pathlib
import resource
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402  (found by the line above)

SCALE = int(os.environ.get("RINGFENCE_HOSTILE_SCALE", "1"))
SANITIZED = rf.sanitized()
SECONDS = 20 * SCALE * (10 if SANITIZED else 1)  # of the processor; each takes less than 0.5
MEMORY = 64_000_000
MEMORY_PER_BYTE = 64
NATIVE = "apiVersion: ringfence.dev/v1alpha1\n"
POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"


def policy(spec):
    return NATIVE + "kind: Policy\nmetadata: {name: p, namespace: /a}\nspec:\n" + spec


def network_policy(spec):
    return ("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
            "metadata: {name: p}\nspec:\n  podSelector: {}\n" + spec)


def addresses(n):
    return [f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in range(n)]


def laughs(n):
    lines = ["a0: &a0 x"]
    for i in range(1, n):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]")
    return "\n".join(lines) + "\n"


def merges(n):
    lines = ["m0: &m0 {k: v}"]
    for i in range(1, n):
        lines.append(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}")
    return "\n".join(lines) + "\n"


def pods(n, body):
    return "---\n".join(POD.replace("name: a", f"name: p{i}") + body(i) for i in range(n))


def rules_of_one_external(n):
    return "---\n".join([
        NATIVE + "kind: Workload\nmetadata: {name: w, namespace: /a}\n"
        "spec: {node: n1, ips: [10.99.0.1]}\n",
        NATIVE + "kind: ExternalNetwork\nmetadata: {name: e, namespace: /a}\nspec:\n  cidrs:\n"
        + "".join(f"  - {a}/32\n" for a in addresses(2 * n)[::2]) + "  fqdns:\n"
        + "".join(f"  - h{i}.example.org\n" for i in range(n)),
        policy("  allow:\n    egress:\n" + "    - to: [{external: e}]\n" * n)])


def peers_of_one_external(n):
    return "---\n".join([
        NATIVE + "kind: Workload\nmetadata: {name: w, namespace: /a}\n"
        "spec: {node: n1, ips: [10.99.0.1]}\n",
        NATIVE + "kind: ExternalNetwork\nmetadata: {name: e, namespace: /a}\nspec:\n  cidrs:\n"
        + "".join(f"  - {a}/32\n" for a in addresses(2 * n)[::2]),
        policy("  allow:\n    egress:\n    - to:\n" + "      - {external: e}\n" * n)])


def names_of_ports(n):
    return "---\n".join([
        NATIVE + f"kind: Workload\nmetadata: {{name: w{i}, namespace: /a}}\n"
        f"spec: {{node: n1, ips: [{a}], ports: [{{name: n{i}, port: {i + 1}}}]}}\n"
        for i, a in enumerate(addresses(n))] + [
        policy("  allow:\n    ingress:\n" + "".join(
            f"    - ports: [n{i}]\n" for i in range(n)))])


# name: (items, what makes it, the code that must be told; None: accepted)
CASES = {
    # nesting
    "deep-flow-list": (1000000, lambda n: "[" * n, "yaml-limit"),
    "deep-flow-map": (1000000, lambda n: "{a: " * n, "yaml-limit"),
    "deep-closed": (400000, lambda n: "a: " + "[" * n + "]" * n + "\n", "yaml-limit"),
    "deep-block": (1500, lambda n: "".join(" " * i + "a:\n" for i in range(n)), "yaml-limit"),
    "deep-dashes": (400000, lambda n: "- " * n + "a\n", "yaml-limit"),
    "deep-questions": (400000, lambda n: "? " * n + "a\n", "yaml-limit"),
    "deep-json": (1000000, lambda n: '{"a":[' * n, "yaml-limit"),
    # aliases
    "billion-laughs": (20, laughs, "yaml-limit"),
    "billion-merges": (20, merges, "yaml-limit"),
    "many-anchors": (75000, lambda n: "".join(f"a{i}: &a{i} x\n" for i in range(n)), None),
    "one-anchor-often": (75000, lambda n: "".join(f"a{i}: &a x\n" for i in range(n)), None),
    "many-aliases": (75000, lambda n: "a: &a x\nb: [" + "*a, " * n + "]\n", None),
    "aliases-of-a-map": (30000, lambda n: "a: &a {b: c}\nb: [" + "*a, " * n + "]\n", None),
    "alias-in-itself": (1, lambda n: "a: &a [*a]\n", "yaml-alias"),
    "aliases-to-nothing": (60000, lambda n: "b: [" + "*a, " * n + "]\n", "yaml-alias"),
    # size
    "long-plain-scalar": (10000000, lambda n: "a: " + "x" * n + "\n", None),
    "long-quoted-scalar": (10000000, lambda n: 'a: "' + "x" * n + '"\n', None),
    "long-escapes": (2000000, lambda n: 'a: "' + "\\n" * n + '"\n', None),
    "long-block-scalar": (400000, lambda n: "a: |\n" + "  some text\n" * n, None),
    "long-folded-lines": (400000, lambda n: "a: b\n" + "  more\n" * n, None),
    "long-key": (2000000, lambda n: "x" * n + ": a\n", "yaml-syntax"),
    "long-key-in-json": (2000000, lambda n: '{"' + "x" * n + '": 1}', None),
    "many-long-keys": (6000, lambda n: "".join("k" * 990 + f"{i}: a\n" for i in range(n)), None),
    "long-number": (4000000, lambda n: "a: " + "7" * n + "\n", None),
    "long-fraction": (4000000, lambda n: "a: 0." + "7" * n + "\n", None),
    "long-hexadecimal": (4000000, lambda n: "a: 0x" + "f" * n + "\n", None),
    "great-exponent": (1, lambda n: "a: 1e99999999999\n", None),
    "great-exponent-in-json": (1, lambda n: '{"a": 1e99999999999}', "yaml-number"),
    "many-blanks": (10000000, lambda n: "a:" + " " * n + "b\n", None),
    "many-empty-lines": (2500000, lambda n: "a:\n" + "\n" * n + "  b\n", None),
    "many-comments": (1000000, lambda n: "# hello\n" * n + "a: b\n", None),
    "one-long-comment": (10000000, lambda n: "#" + "x" * n + "\na: b\n", None),
    # count
    "many-documents": (250000, lambda n: "a: 1\n---\n" * n, None),
    "many-empty-documents": (2000000, lambda n: "---\n" * n, None),
    "many-odd-documents": (100000, lambda n: "a: 1\n---\na: !!str 1\n---\n" * n, None),
    "many-broken-documents": (400000, lambda n: "a: [\n---\n" * n, "yaml-syntax"),
    "many-keys": (150000, lambda n: "".join(f"k{i}: 1\n" for i in range(n)), None),
    "many-equal-keys": (150000, lambda n: "k: 1\n" * n, "duplicate-key"),
    "many-boolean-keys": (50000, lambda n: "---\n".join("y: 1\n" for _ in range(n)), None),
    "many-items": (500000, lambda n: "a:\n" + "- b\n" * n, None),
    "many-json-items": (500000, lambda n: '{"a":[' + "1," * n + "1]}", None),
    "many-json-values": (150000, lambda n: "{}\n" * n, None),
    "many-tags": (50000, lambda n: "a:\n" + "- !x y\n" * n, "yaml-tag"),
    # bytes
    "nul": (1, lambda n: "a: b\0c\n", "yaml-text"),
    "nul-escaped": (1, lambda n: 'a: "b\\0c"\n', "yaml-text"),
    "utf-16": (20000, lambda n: ("a: b\n" * n).encode("utf-16"), "yaml-text"),
    "latin-1": (1, lambda n: "a: é\n".encode("latin-1"), "yaml-text"),
    "mark": (20000, lambda n: "\ufeff" + "".join(f"k{i}: é\n" for i in range(n)), None),
    "mark-inside": (1, lambda n: "a: b\n\ufeffc: d\n", "yaml-text"),
    "crlf": (150000, lambda n: "".join(f"k{i}: v\r\n" for i in range(n)), None),
    "cr": (150000, lambda n: "".join(f"k{i}: v\r" for i in range(n)), None),
    "tabs": (1, lambda n: "a:\n\tb: c\n", "yaml-syntax"),
    "not-ascii": (150000, lambda n: "".join(f"k{i}: Größe 漢字 🙂\n" for i in range(n)), None),
    "odd-line-ends": (150000, lambda n: "".join(f"k{i}: v\u2028" for i in range(n)), None),
    "unclosed-quote": (1500000, lambda n: 'a: "' + "x y\n " * (n // 5), "yaml-syntax"),
    "unclosed-quotes": (400000, lambda n: "a: 'b\n---\n" * n, "yaml-syntax"),
    # objects
    "many-labels": (100000, lambda n: POD + "  labels:\n" + "".join(
        f"    k{i}: v\n" for i in range(n)), None),
    "labels-backwards": (100000, lambda n: POD + "  labels:\n" + "".join(
        f"    k{n - i:06}: v\n" for i in range(n)), None),
    "many-pods": (25000, lambda n: pods(n, lambda i: ""), None),
    "many-equal-pods": (25000, lambda n: "---\n".join([POD] * n), "duplicate-object"),
    "pods-of-one-address": (25000, lambda n: pods(
        n, lambda i: "status: {podIP: 10.0.0.1}\n"), None),
    "pods-of-one-owner": (25000, lambda n: pods(
        n, lambda i: "  ownerReferences: [{kind: ReplicaSet, name: x}]\n"), None),
    "pods-of-many-namespaces": (25000, lambda n: pods(
        n, lambda i: f"  namespace: n{i}\n"), None),
    "many-addresses-of-a-pod": (100000, lambda n: POD + "status:\n  podIPs:\n" + "".join(
        f"  - ip: {a}\n" for a in addresses(n)), "too-many"),
    "many-addresses-of-a-workload": (100000, lambda n: NATIVE + "kind: Workload\n"
                                     "metadata: {name: w, namespace: /a}\nspec:\n  ips:\n"
                                     + "".join(f"  - {a}\n" for a in addresses(n)), "too-many"),
    "many-container-ports": (50000, lambda n: POD + "spec:\n  containers:\n  - name: c\n"
                             "    ports:\n" + "    - {name: p, containerPort: 1}\n" * n, None),
    "items-in-items": (60000, lambda n: "apiVersion: v1\nkind: List\nitems:\n"
                       + "- {apiVersion: v1, kind: List, items: []}\n" * n, None),
    "misspelt-fields": (60000, lambda n: policy("".join(
        f"  mandatry{i}: 1\n" for i in range(n))), "unknown-field"),
    "misspelt-kinds": (60000, lambda n: "---\n".join(
        NATIVE + f"kind: Polcy{i}\n" for i in range(n)), "unknown-kind"),
    "unrelated-kinds": (25000, lambda n: "---\n".join(
        f"apiVersion: example.org/v1\nkind: K{i}\n" for i in range(n)), None),
    "unknown-namespaces": (15000, lambda n: "---\n".join(
        NATIVE + f"kind: Workload\nmetadata: {{name: w, namespace: /a{i}}}\nspec: {{}}\n"
        for i in range(n)), None),
    "long-path": (1000000, lambda n: NATIVE + "kind: Namespace\nmetadata: {name: "
                  + "/a" * n + "}\n", "bad-path"),
    "many-dots": (1000000, lambda n: policy("  allow: {ingress: [{from: [{namespace: "
                  + "../" * n + "..}]}]}\n"), "bad-path"),
    "many-placements": (100000, lambda n: NATIVE + "kind: Namespace\nmetadata: {name: /a}\n"
                        "spec:\n  kubernetes:\n    namespaces:\n" + "".join(
                            f"    - n{i}\n" for i in range(n)), None),
    "many-equal-placements": (15000, lambda n: "---\n".join(
        NATIVE + f"kind: Namespace\nmetadata: {{name: /a{i}}}\n"
        "spec: {kubernetes: {namespaces: [x]}}\n" for i in range(n)), "placed-twice"),
    # rules
    "many-rules": (25000, lambda n: policy("  allow:\n    ingress:\n" + "".join(
        f"    - {{from: [{{cidr: {a}/32}}], ports: [{i % 60000 + 1}/tcp]}}\n"
        for i, a in enumerate(addresses(n)))), None),
    "many-equal-rules": (25000, lambda n: policy("  default:\n    ingress:\n"
                         + "    - {action: deny, from: [{cidr: 10.0.0.0/8}]}\n" * n), None),
    "many-peers": (25000, lambda n: network_policy("  ingress:\n  - from:\n" + "".join(
        f"    - ipBlock: {{cidr: {a}/32}}\n" for a in addresses(n))), None),
    "many-excepts": (100000, lambda n: network_policy(
        "  ingress:\n  - from:\n    - ipBlock:\n        cidr: 10.0.0.0/8\n"
        "        except:\n" + "".join(f"        - {a}/32\n" for a in addresses(n))), None),
    "many-cidrs": (400000, lambda n: NATIVE + "kind: ExternalNetwork\n"
                   "metadata: {name: e, namespace: /}\nspec:\n  cidrs:\n" + "".join(
                       f"  - {a}/32\n" for a in addresses(n)), None),
    "many-ports": (200000, lambda n: policy("  allow:\n    ingress:\n    - ports:\n" + "".join(
        f"      - {i % 65535 + 1}/tcp\n" for i in range(n))), None),
    "many-values": (50000, lambda n: policy(
        "  workloads:\n    matchExpressions:\n    - key: a\n      operator: In\n"
        "      values:\n" + "".join(f"      - v{n - i}\n" for i in range(n))
        + "  allow: {ingress: []}\n"), None),
    "many-requirements": (25000, lambda n: policy(
        "  workloads:\n    matchExpressions:\n" + "".join(
            f"    - {{key: k{n - i}, operator: Exists}}\n" for i in range(n))
        + "  allow: {ingress: []}\n"), None),
    "many-policies": (10000, lambda n: "---\n".join(
        policy("  workloads: {matchLabels: {a: b}}\n  allow: {ingress: []}\n").replace(
            "name: p", f"name: p{i}") for i in range(n)), None),
    "policies-of-equal-priority": (7500, lambda n: "---\n".join(
        policy("  mandatory:\n    ingress:\n    - {action: "
               + ("allow" if i % 2 else "deny") + ", from: [{cidr: 10.0.0.0/8}]}\n").replace(
                   "name: p", f"name: p{i}") for i in range(n)), None),
    "not-one-value-each": (6000, lambda n: policy(
        "  workloads:\n    matchExpressions:\n" + "".join(
            f"    - {{key: a, operator: NotIn, values: [v{i}]}}\n" for i in range(n))
        + "  allow: {ingress: []}\n"), None),
    "publications-of-one-address": (6000, lambda n: "---\n".join(
        NATIVE + f"kind: Route\nmetadata: {{name: r{i}, namespace: /a}}\nspec: {{default: "
        "{ingress: [{action: publish, address: [192.0.2.1], ports: [80/tcp], "
        "to: [{workloads: {}}]}]}}\n" for i in range(n)), "route-conflict"),
    "access-of-many-groups": (8000, lambda n: "---\n".join(
        NATIVE + f"kind: Access\nmetadata: {{name: {x}, namespace: /a}}\nspec:\n  groups:\n"
        + "".join(f"  - g{i}\n" for i in range(n)[::step]) + "  default:\n" + "".join(
            f"  - {{action: deny, verbs: [get], resources: [{x}{i}]}}\n" for i in range(n))
        for x, step in (("first", -1), ("second", 1))), None),
    "unknown-externals": (40000, lambda n: policy("  allow:\n    egress:\n" + "".join(
        f"    - to: [{{external: e{i}}}]\n" for i in range(n))), "unknown-external"),
    "rules-of-one-external": (1000, rules_of_one_external, None),
    "peers-of-one-external": (4000, peers_of_one_external, None),
    "great-quantity": (2000000, lambda n: NATIVE + "kind: Quota\nmetadata: {name: q, "
                       "namespace: /}\nspec: {requests: {bodyBytes: \"" + "9" * n + "\"}}\n",
                       "bad-quantity"),
}


# More of these is more than a limit allows, or grows by itself.
FIXED = ("billion-laughs", "billion-merges", "many-aliases", "aliases-of-a-map", "deep-block",
         "rules-of-one-external", "peers-of-one-external")


def items(name):
    """How many. Under a sanitizer, which asks for neither time nor memory, an eighth of what
    is accepted: what must be refused is as large as that takes."""
    count, _, code = CASES[name]
    if SANITIZED and code is None:
        return max(count // 8, 1)
    return count if count == 1 or name in FIXED else count * SCALE


def limited(seconds, memory):
    def set_limits():
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not SANITIZED:  # their shadow is terabytes of address space
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    return set_limits


def run_limited(argv, seconds, memory):
    return subprocess.run(argv, capture_output=True, check=False,
                          preexec_fn=limited(seconds, memory))


@pytest.mark.parametrize("name", CASES)
def test_hostile_input_costs_no_more_than_its_size(name, tmp_path):
    _, make, code = CASES[name]
    text = make(items(name))
    data = text if isinstance(text, bytes) else text.encode()
    path = tmp_path / ("input.json" if "json" in name else "input.yaml")
    path.write_bytes(data)
    done = run_limited([rf.program(), "check", path], SECONDS,
                       MEMORY + MEMORY_PER_BYTE * len(data))
    told = (done.stdout + done.stderr).decode(errors="replace")
    assert "Sanitizer" not in told and "runtime error" not in told, told[-4000:]
    if code is None:
        assert done.returncode == 0, (done.returncode, told[-2000:])
    else:
        assert done.returncode == 2, (done.returncode, told[-2000:])
        assert f"[{code}]" in told, told[-2000:]
    assert len(told) < 1_500_000, "diagnostics are limited"


@pytest.mark.parametrize("count, make", [
    (1000, rules_of_one_external), (1000, peers_of_one_external), (2000, names_of_ports)])
def test_compiling_hostile_input_costs_no_more_than_its_size(count, make, tmp_path):
    data = make(count // 8 if SANITIZED else count).encode()
    path = tmp_path / "input.yaml"
    path.write_bytes(data)
    done = run_limited([rf.program(), "compile", path, "--node", "n1", "-o", "json"], SECONDS,
                       MEMORY + MEMORY_PER_BYTE * len(data))
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_does_not_pass_for_what_is_said_of_an_unreadable_file(tmp_path, mark):
    (tmp_path / "a.yaml").write_bytes(mark + b"\0unreadable: \x1b[2Jall is well")
    for done in (rf.run("check", tmp_path), rf.run("check", "-", stdin=(tmp_path / "a.yaml").read_text(
            encoding="utf-8"))):
        assert done.returncode == 2
        assert "1:1: error: a NUL byte: this is not a text [yaml-text]" in done.stderr
        assert "[file-read]" not in done.stderr and "well [" not in done.stderr


def test_limit_of_memory_bites(tmp_path):
    """What this file limits with can fail: less than what is needed ends it."""
    path = tmp_path / "items.json"
    path.write_text('{"a":[' + "1," * 1000000 + "1]}")
    if SANITIZED:
        pytest.skip("no limit of address space under a sanitizer")
    done = run_limited([rf.program(), "check", path], SECONDS, 60_000_000)
    assert done.returncode not in (0, 2)


def test_limit_of_time_bites():
    done = run_limited([sys.executable, "-c", "while True: pass"], 1, 1_000_000_000)
    assert done.returncode == -signal.SIGKILL  # at the hard limit, which is the soft one
