"""`ringfence compile` prints a program that nft loads, and that the kernel follows.

The first half: what is printed loads, replaces what was there, holds what the JSON form
says, and what nft lists of it loads again as the same. The second half, with real
packets: who reaches whom in a lab is what `ringfence can` says.
"""

import collections
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import sys

import pytest

import lab as lab_module
from lab import Lab, matrix

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

REASON = lab_module.skip_reason() or (None if shutil.which("nft") else "there is no nft")
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN_WORLD = HERE.parent / "golden" / "world.yaml"

# Every set has an element, the ends of the address space are in intervals, and neighbours
# of intervals and ranges touch.
EVERYTHING = """
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {name: a, namespace: /x, labels: {app: a}}
spec: {node: n1, ips: [10.1.0.1, "fd00::1"], ports: [{name: http, port: 80, protocol: tcp}]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {name: b, namespace: /x, labels: {app: b}}
spec: {node: n2, ips: [10.1.0.2, "fd00::2"], ports: [{name: http, port: 80, protocol: tcp}]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {name: wall, namespace: /w}
spec: {node: n1, ips: [10.1.0.3, "fd00::3"]}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: all, namespace: /x}
spec:
  workloads: {matchLabels: {app: a}}
  default:
    ingress:
      - action: allow
        from: [{workloads: {matchLabels: {app: b}}}]
        ports: [http, 1-999/udp, 1000-2000/udp]
      - action: deny
        from: [{cidr: 0.0.0.0/1}, {cidr: "::/1"}]
        ports: [tcp, sctp, icmp, icmpv6]
      - action: allow
        name: "quotes \\" and \\\\ and ümlauts"
        from: [{cidr: 128.0.0.0/1}, {cidr: "8000::/1"}]
      - {action: deny, from: [{cidr: 255.255.255.255/32}, {workloads: {matchLabels: {app: b}}}]}
      - {action: deny, ports: [8000-9000/tcp, 22/tcp]}
    egress:
      - action: allow
        to: [{workloads: {matchLabels: {app: b}}}]
        ports: [http, 1-999/udp, 1000-2000/udp]
      - {action: allow, to: [{fqdn: api.cards.example}], ports: [443/tcp]}
      - {action: deny, to: [{cidr: 0.0.0.0/1}, {cidr: "::/1"}], ports: [tcp, sctp, icmp, icmpv6]}
      - {action: allow, to: [{cidr: 128.0.0.0/1}, {cidr: "8000::/1"}]}
      - {action: deny, to: [{cidr: 255.255.255.255/32}, {workloads: {matchLabels: {app: b}}}]}
      - {action: deny, ports: [8000-9000/tcp, 22/tcp]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: {name: network, namespace: /x}
spec:
  network: {connectionsPerSecond: 0.5, burst: 9, connections: 30, egressBytesPerSecond: 1M,
            ingressBytesPerSecond: 100}
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: nodes, namespace: /}
spec:
  node: n1
  default:
    ingress:
      - {action: allow, from: [{workloads: {matchLabels: {app: b}}}], ports: [80/tcp, icmp]}
      - {action: deny, ports: [8000-9000/tcp]}
    egress:
      - {action: allow, to: [{workloads: {matchLabels: {app: b}}}], ports: [80/tcp, icmp]}
      - {action: deny, ports: [8000-9000/tcp]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: out, namespace: /x}
spec:
  default:
    egress:
      - {action: deny, to: [{cidr: 203.0.113.0/24}, {cidr: "2001:db8::/32"}], ports: [25/tcp, 6000-6999/udp]}
      - {name: named, action: route, to: [{fqdn: "*.cards.example"}], source: [198.51.100.7, "fd0a::7"]}
      - {name: one, action: route, to: [{cidr: 203.0.113.0/24}], source: [198.51.100.7, "fd0a::7"]}
      - {name: hop, action: route, ports: [26/tcp], nextHop: [192.0.2.77, "fd0b::77"]}
      - {name: pool, action: route, source: [198.51.100.16/30, "fd0a::10/126"]}
    ingress:
      - {action: publish, address: [198.51.100.80, "fd0a::80"], ports: [443/tcp],
         targetPort: http, to: [{workloads: {matchLabels: {app: a}}}]}
      - {action: publish, address: [198.51.100.80, "fd0a::80"], ports: [8000-8099/udp, 9/sctp],
         to: [{workloads: {}}]}
      - {action: publish, address: [198.51.100.80, "fd0a::80"], ports: [81/tcp], balance: hash,
         to: [{workloads: {matchLabels: {app: a}}, weight: 97},
              {workloads: {matchLabels: {app: b}}, weight: 3}]}
      - {action: publish, address: [198.51.100.80, "fd0a::80"], ports: [82/tcp],
         to: [{workloads: {matchLabels: {app: a}}, weight: 1},
              {workloads: {matchLabels: {app: b}}, weight: 999}]}
    via:
      - {action: deny, to: [{workloads: {matchLabels: {app: b}}}], ports: [25/tcp]}
      - {action: through, to: [{workloads: {matchLabels: {app: b}}}], ports: [6000-6999/udp],
         through: {namespace: /w}}
      - {action: through, to: [{namespace: /w}], through: {workloads: {matchLabels: {app: b}}}}
      - {action: through, through: {namespace: /w}}
"""

KNOWN = tempfile.NamedTemporaryFile("w", prefix="ringfence-known")  # pylint: disable=consider-using-with
KNOWN.write("""resolver 192.0.2.53
resolver 2001:db8::53
/x api.cards.example 192.0.2.77
/x api.cards.example 2001:db8::77
""")
KNOWN.flush()
NETWORKS = "--workload-networks=10.1.0.0/16,10.2.0.0/16,fd00::/16,cali*,cali1,eth1"
PROGRAMS = {
    "empty": ("", "n1", []),
    "everything": (EVERYTHING, "n1", [NETWORKS, "--steering=0x0ff00000", f"--learnt={KNOWN.name}",
                                      "--route-addresses=198.51.100.0/24,fd0a::/64",
                                      "--uplinks=eth0,bond0,eth0"]),
    "everything-reject": (EVERYTHING, "n1", ["--reject", "--log-group=7"]),
    "everything-denied": (EVERYTHING, "n1", ["--cluster-default=deny"]),
    "elsewhere": (EVERYTHING, "n2", [NETWORKS]),
    "golden-world": (None, "worker-1", ["--workload-networks=10.1.0.0/16,0.0.0.0/0,::/0"]),
}


def compile_program(text, node, options, output="nft"):
    paths, stdin = (["-"], text) if text is not None else ([GOLDEN_WORLD], "")
    done = rf.run("compile", *options, *paths, "--node", node, "-o", output, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_namespace(script, directory):
    """Runs a shell script in a network namespace of its own, which ends with it."""
    return subprocess.run(["unshare", "-n", "sh", "-ec", script], cwd=directory, timeout=60,
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", PROGRAMS)
def test_text_loads_and_its_listing_loads_again(name, tmp_path):
    (tmp_path / "program").write_text(compile_program(*PROGRAMS[name]))
    done = in_namespace(
        """
        nft -f program
        nft -f program   # it replaces what is there
        nft list table inet ringfence > listed
        { echo 'table inet ringfence'; echo 'delete table inet ringfence'; cat listed; } > again
        nft -f again
        nft list table inet ringfence > listed-again
        nft list tables
        """, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "table inet ringfence\n"
    listed = (tmp_path / "listed").read_text()
    assert listed.count("chain ") >= 15
    assert listed == (tmp_path / "listed-again").read_text()


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_process_prints_the_same_bytes(name):
    """Nothing of it hangs on where memory lies or on the keys of hashes."""
    assert compile_program(*PROGRAMS[name]) == compile_program(*PROGRAMS[name])


def set_sizes(nft_json):
    items = [entry.get("set") or entry.get("map") for entry in nft_json["nftables"]]
    return {item["name"]: len(item.get("elem", [])) for item in items if item}


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernel_holds_what_json_says(name, tmp_path):
    (tmp_path / "program").write_text(compile_program(*PROGRAMS[name]))
    said = json.loads(compile_program(*PROGRAMS[name], output="json"))
    done = in_namespace("nft -f program; nft -j list table inet ringfence", tmp_path)
    assert done.returncode == 0, done.stderr
    held = json.loads(done.stdout)
    sizes = {set_name: len(elements) for set_name, elements in said["sets"].items()}
    assert set_sizes(held) == sizes
    chains = {entry["chain"]["name"] for entry in held["nftables"] if "chain" in entry}
    assert {f"rule_{rule['number']}" for rule in said["rules"]} == {
        chain for chain in chains if chain.startswith("rule_")}
    comments = {entry["rule"]["chain"]: entry["rule"].get("comment")
                for entry in reversed(held["nftables"]) if "rule" in entry}
    for rule in said["rules"]:
        assert comments[f"rule_{rule['number']}"] == rule["comment"]


def test_everything_has_everything():
    """The model above is worth loading: no set is empty but those that the kernel fills, and of
    addresses that a daemon has learnt."""
    said = json.loads(compile_program(*PROGRAMS["everything"], output="json"))
    assert [name for name, elements in said["sets"].items()
            if not elements and not re.match("part[46]_|nobody[46]$", name)] == []
    assert {rule["limit"]["kind"] for rule in said["rules"] if "limit" in rule} == {
        "connectionsPerSecond", "connections", "egressBytesPerSecond", "ingressBytesPerSecond"}


# ---- with packets

PORTS = [80, 443, 7050, 22, "53/udp", "9/sctp", "icmp"]

POLICY = """
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: guard, namespace: /}
spec:
  mandatory:
    ingress:
      - {name: no-ssh, action: deny, ports: [22/tcp]}
      - {name: delegated, action: pass, from: [{namespace: /shop}]}
      - {action: deny, from: [{cidr: 203.0.113.128/25}, {cidr: "2001:db8:bad::/48"}]}
    egress:
      - {action: deny, to: [{node: node-2}], ports: [443/tcp]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: web, namespace: /shop}
spec:
  workloads: {matchLabels: {app: web}}
  allow:
    ingress:
      - {ports: [http, icmp, icmpv6]}
      - {from: [{workloads: {matchLabels: {app: lb}}}], ports: [7000-7100/tcp, 53/udp]}
      - {from: [{cidr: 203.0.113.0/24}, {cidr: "2001:db8::/32"}], ports: [443/tcp]}
    egress:
      - {to: [{workloads: {matchLabels: {app: db}}}], ports: [443/tcp, sctp]}
      - {to: [{workloads: {matchLabels: {app: lb}}}]}
      - {to: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}], ports: [80/tcp]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: db, namespace: /shop}
spec:
  workloads: {matchLabels: {app: db}}
  allow:
    ingress:
      - {from: [{workloads: {matchLabels: {app: web}}}], ports: [443/tcp]}
      - {from: [{node: node-2}], ports: [80/tcp]}
"""

LABELS = {"web": "web", "db": "db", "lb": "lb", "remote": "web", "other": "other"}


def model_of(lab):
    """The lab as the model knows it: everybody but the ghost."""
    text = []
    for host in lab.workloads:
        if host.name == "ghost":
            continue
        space = "/else" if host.name == "other" else "/shop"
        ips = ", ".join(f'"{address}"' for address in host.addresses)
        text.append(f"""---
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: {host.name}, namespace: {space}, labels: {{app: {LABELS[host.name]}}}}}
spec: {{node: {host.node.name}, ips: [{ips}], ports: [{{name: http, port: 80, protocol: tcp}}]}}
""")
    for host in lab.nodes:
        addresses = ", ".join(
            f'{{type: InternalIP, address: "{address}"}}' for address in host.addresses)
        text.append("---\napiVersion: v1\nkind: Node\n"
                    f"metadata: {{name: {host.name}}}\nstatus: {{addresses: [{addresses}]}}\n")
    return "".join(text) + POLICY


@pytest.fixture(scope="module")
def shared():
    with Lab() as lab:
        lab.add_workloads(["web", "db", "lb", "ghost"])
        lab.add_node("node-2")
        lab.add_workloads(["remote", "other"], node="node-2")
        lab.add_outside("near", ["203.0.113.0/25", "2001:db8:900d::/48"])
        lab.add_outside("bad", ["203.0.113.128/25", "2001:db8:bad::/48"], node="node-2")
        lab.listen_all(PORTS[:-1])
        yield lab


def load(lab, options=()):
    model = model_of(lab)
    for node in lab.nodes:
        node.nft(compile_program(model, node.name, ["--reject", *options]))
        lab.conntrack_flush(node)
    return model


def ask(directory, model, questions, options=()):
    """{question: whether policy allows it}, by addresses, through `ringfence can`."""
    (directory / "model.yaml").write_text(model)
    lines = "".join(f"{src} {dst} {port}\n" for src, dst, port in questions)
    done = rf.run("can", *options, directory / "model.yaml", "--batch", "-", stdin=lines)
    answers = done.stdout.split()
    assert set(answers) <= {"allow", "deny"}, done.stdout + done.stderr
    return dict(zip(questions, (answer == "allow" for answer in answers), strict=True))


def question(lab, src, dst, port, version):
    proto, number = port
    text = {4: "icmp", 6: "icmpv6"}[version] if proto == "icmp" else f"{number}/{proto}"
    return str(lab.host(src).address(version)), str(lab.host(dst).address(version)), text


@pytest.mark.parametrize("options", [[], ["--cluster-default=deny"]], ids=["allow", "deny"])
def test_packets_go_where_policy_says(shared, tmp_path, options):
    model = load(shared, options)
    hosts = [host.name for host in shared.hosts if host.name != "ghost"]
    table = matrix(shared, PORTS, hosts, hosts, show=False)
    seen = {}
    for src, row in table.states.items():
        for dst, ports in row.items():
            for port, versions in ports.items():
                for version, state in versions.items():
                    seen[question(shared, src, dst, port, version)] = state
    allowed = ask(tmp_path, model, list(seen), options)
    wrong = {ask_: seen[ask_] for ask_ in seen if (seen[ask_] == "open") != allowed[ask_]}
    assert not wrong, f"{len(wrong)} of {len(seen)}, such as {list(wrong.items())[:20]}"
    # Both answers, and rejected rather than dropped.
    count = collections.Counter(seen.values())
    assert count["open"] > 100 and count["refused"] > 100 and not count["closed"], count


def counted(node, number):
    """How many packets the chain of a rule has counted."""
    listed = json.loads(node.exec(["nft", "-j", "list", "chain", "inet", "ringfence",
                                   f"rule_{number}"]).stdout)
    rule = next(entry["rule"] for entry in listed["nftables"] if "rule" in entry)
    return rule["expr"][0]["counter"]["packets"]


def test_egress_that_is_allowed_goes_on_to_ingress(shared, tmp_path):
    """web may speak to db at 443 and at 9/sctp; db lets it in at 443 alone."""
    load(shared)
    said = json.loads(compile_program(model_of(shared), "node-1", [], output="json"))
    rule = next(rule["number"] for rule in said["rules"] if rule["policy"] == "web"
                and rule["direction"] == "egress" and rule["index"] == 0
                and not rule["isolation"])
    isolation = next(rule["number"] for rule in said["rules"]
                     if rule["policy"] == "db" and rule["isolation"])
    assert (counted(shared.node, rule), counted(shared.node, isolation)) == (0, 0)
    assert shared.probe("web", "db", "tcp", 443).state == "open"
    assert (counted(shared.node, rule), counted(shared.node, isolation)) == (1, 0)
    assert shared.probe("web", "db", "sctp", 9).state == "refused"
    assert (counted(shared.node, rule), counted(shared.node, isolation)) == (2, 1)


def test_gate_is_closed_to_whom_nobody_knows(shared):
    networks = "--workload-networks=10.1.0.0/16,10.2.0.0/16,fd00:1::/64,fd00:2::/64"
    known = [("lb", "near", "tcp", 80), ("near", "web", "tcp", 443),
             ("other", "lb", "tcp", 80), ("lb", "node-1", "tcp", 80)]
    ghosts = [("ghost", "near", "tcp", 80), ("near", "ghost", "tcp", 80),
              ("ghost", "lb", "tcp", 80), ("lb", "ghost", "tcp", 80),
              ("other", "ghost", "tcp", 80), ("ghost", "node-1", "tcp", 80)]
    load(shared)
    states = [result.state for result in shared.probe_many(known + ghosts)]
    assert states == ["open"] * len(states)
    load(shared, [networks])
    for version in (4, 6):
        states = [result.state for result in shared.probe_many(
            [(src, shared.host(dst).address(version), proto, port)
             for src, dst, proto, port in known + ghosts])]
        assert states == ["open"] * len(known) + ["refused"] * len(ghosts), version
    # node-2 already keeps back what its own workload sends to the ghost.
    assert [counted(node, 3) for node in shared.nodes] == [2 * (len(ghosts) - 1), 2]
