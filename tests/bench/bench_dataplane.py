#!/usr/bin/env python3
"""What a packet pays on its way through a node, by the number of policies on the workload that it
is for: our table; one set, one chain and one rule for each policy, all of which are tried in
turn, as Calico and kube-router lay them out; a table that only accepts what is established; none.
Beside them what tells how fast the machine is: the prototype of our layout, which paid 0.45 us
where ours is to pay 0.40; and the look-ups alone that a layout of classes cannot do without.
`ours` takes sources as they say, as all of these do; `validated` asks the way back to them first,
as a node does unless it is told otherwise.

The packet is of a peer that all policies name. `hot` and `spread` packets open a flow each: all
for the last policy's port, or for every policy's in turn. A `known` one is of a flow that was
answered. `most_rules` and `most_lookups` are of the rules that are in force at the node and that
a packet which opens a flow can meet, rule chains excepted: the same for any number of
policies. Namespaces of one machine, packets of UDP; processor time of the sender, which is all
that happens to the packet; the least of several rounds, in each of which the tables take turns.
"""

import json
import pathlib
import re
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))

from dataplane_peers import (  # noqa: E402
    ESTABLISHED, FIRST_PORT, look_ups, prototype, set_per_policy)
from lab import Lab, wait_until  # noqa: E402
from measure import arguments, growth, helper, program, result, run, target  # noqa: E402

POLICIES = (10, 100, 1000, 10000)
PEERS = 100000
QUICK = ((3, 30), (30, 60))
PACKETS = 40000
ROUNDS = 7
KNOWN_PORT = 900  # that no other flow has

# Packets are counted and end where they arrive: nobody answers.
SINK = """\
table inet sink {
  counter seen { }
  chain prerouting {
    type filter hook prerouting priority raw
    udp dport 1-65535 counter name seen drop
  }
}
"""


def peers_of(policies, peers, family=4):
    """Addresses of each policy's peers, the client's excepted."""
    found = [[] for _ in range(policies)]
    for i in range(max(peers, policies)):
        found[i % policies].append(
            f"10.{50 + i // 62500}.{i // 250 % 250}.{1 + i % 250}" if family == 4
            else f"fd00:50::{i // 65535:x}:{1 + i % 65535:x}")
    return found


def documents(lab, policies, family):
    """What ours is compiled from."""
    yield ("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n"
           "apiVersion: v1\nkind: Pod\n"
           "metadata: {name: server, namespace: shop, labels: {app: server}}\n"
           f"spec: {{nodeName: node-1}}\nstatus: {{podIP: '{to_server(lab, family)[1]}'}}\n---\n"
           "apiVersion: v1\nkind: Pod\n"
           "metadata: {name: client, namespace: shop, labels: {app: client}}\n"
           f"spec: {{nodeName: other}}\nstatus: {{podIP: '{lab.host('client').address(family)}'}}\n")
    for i, addresses in enumerate(policies):
        for j, address in enumerate(addresses):
            yield ("apiVersion: v1\nkind: Pod\n"
                   f"metadata: {{name: p{i}-{j}, namespace: shop, labels: {{app: a{i}}}}}\n"
                   f"spec: {{nodeName: other}}\nstatus: {{podIP: '{address}'}}\n")
        yield ("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
               f"metadata: {{name: n{i}, namespace: shop}}\n"
               "spec:\n  podSelector: {matchLabels: {app: server}}\n  ingress:\n"
               "    - from: [{podSelector: {matchExpressions: [{key: app, operator: In, "
               f"values: [a{i}, client]}}]}}}}]\n"
               f"      ports: [{{protocol: UDP, port: {FIRST_PORT + i}}}]\n")


def ours(lab, policies, scratch, family=4, *options):
    """Our table, as nft(8) takes it."""
    source = pathlib.Path(scratch) / "all.yaml"
    source.write_text("---\n".join(documents(lab, policies, family)), encoding="utf-8")
    return run(program(), "compile", source, "--node", "node-1", "-o", "nft",
               "--workload-networks", {4: "10.0.0.0/8", 6: "fd00::/16"}[family],
               *options)["stdout"].decode()


def load(lab, text):
    """The node's table, instead of whatever was there; seconds that nft(8) takes for it."""
    with tempfile.NamedTemporaryFile("w", suffix=".nft", encoding="utf-8") as file:
        file.write("flush ruleset\n" + text)
        file.flush()
        began = time.monotonic()
        lab.node.exec(["nft", "-f", file.name], timeout=300)
        return time.monotonic() - began


def arrived(lab, sink):
    """Packets that came through to it."""
    counters = json.loads(lab.host(sink).exec(
        ["nft", "-j", "list", "counters"]).stdout)["nftables"]
    return sum(c["counter"]["packets"] for c in counters if "counter" in c)


def to_server(lab, family=4):
    """The way from the client to the server."""
    return "client", str(lab.host("server").address(family)), "server"


def send(lab, way, ports, packets, own=None, own_port=0):
    """Nanoseconds of the processor a packet; all must have come through. `way`: from which host, to
    which address, and whom that leads to; `own`: the address that it has, if it has several. Each
    from another port, or all from `own_port`."""
    src, dst, sink = way
    own = own or str(lab.host(src).address(6 if ":" in dst else 4))
    before = arrived(lab, sink)
    done = lab.host(src).exec(
        [helper("bench-packets"), own, dst, str(ports[0]), str(ports[1]), str(packets),
         str(own_port)])
    wait_until(lambda: arrived(lab, sink) - before == packets, 30, "all packets to arrive")
    return json.loads(done.stdout)["cpu_ns"]


def measure(lab, way, ports, packets, rounds):
    """The least of some rounds, each of new flows."""
    times = []
    for _ in range(rounds):
        lab.conntrack_flush()
        times.append(send(lab, way, (FIRST_PORT + ports[0], ports[1]), packets))
    return min(times)


def measure_known(lab, way, port, packets):
    """The same of one flow that was answered, so that it is established."""
    family = 6 if ":" in way[1] else 4
    lab.conntrack_flush()
    send(lab, way, (FIRST_PORT + port, 1), 1, own_port=KNOWN_PORT)
    lab.host("server").exec([
        "python3", "-c", "import socket, sys; "
        f"s = socket.socket(socket.AF_INET{'6' if family == 6 else ''}, socket.SOCK_DGRAM); "
        "s.bind((sys.argv[1], int(sys.argv[2]))); s.sendto(b'', (sys.argv[3], int(sys.argv[4])))",
        way[1], str(FIRST_PORT + port),
        str(lab.host("client").address(family)), str(KNOWN_PORT)])
    wait_until(lambda: "UNREPLIED" not in lab.node.exec(
        ["conntrack", "-L", "-f", f"ipv{family}", "-p", "udp", "--dport", str(FIRST_PORT + port)]).stdout, 30,
        "the answer to be seen")
    return send(lab, way, (FIRST_PORT + port, 1), packets, own_port=KNOWN_PORT)


def met(text, family):
    """(rules, look-ups) of the constant chains that a packet of the family which opens a flow can
    meet."""
    other = {4: "ipv6", 6: "ipv4"}[family]
    chains = dict(re.findall(r"\tchain (\w+) {\n(.*?)\n\t}", text, re.DOTALL))
    found, todo = [], ["forward"]
    while todo:
        rules = [rule.strip() for rule in chains.pop(todo.pop(), "").splitlines()
                 if " hook " not in rule and f"nfproto {other}" not in rule]
        ends = [i for i, rule in enumerate(rules)
                if re.fullmatch(rf"(meta nfproto ipv{family} )?goto \w+", rule)]
        rules = rules[:ends[0] + 1] if ends else rules
        found += rules
        todo += [name for rule in rules for name in re.findall(r"(?:jump|goto) (\w+)", rule)]
    return len(found), sum(rule.count("@") for rule in found)


def point(lab, family, count, peers, packets, rounds):
    """One number of policies."""
    policies = peers_of(count, peers, family)
    way, hot, spread = to_server(lab, family), (count - 1, 1), (0, count)
    with tempfile.TemporaryDirectory() as scratch:
        text = ours(lab, policies, scratch, family, "--trust-sources")
        validated = ours(lab, policies, scratch, family)
    rules, lookups = met(text, family)
    p = {"policies": count, "family": family, "peers": sum(map(len, policies)) + 1,
         "most_rules": rules, "most_lookups": lookups}
    ends = [str(lab.host(name).address(family)) for name in ("server", "client")]
    tables = {"none": "", "established": ESTABLISHED, "ours": text, "validated": validated,
              "prototype": prototype(*ends, policies, family),
              "look_ups": look_ups(*ends, policies, family)}

    def least(name, found):
        p[name] = min(p.get(name, found), found)

    for _ in range(rounds):
        for name, table in tables.items():
            least(f"{name}_load_s", load(lab, table))
            least(f"{name}_hot_ns", measure(lab, way, hot, packets, 1))
            least(f"{name}_spread_ns", measure(lab, way, spread, packets, 1))
            if name in ("established", "ours", "validated"):
                least(f"{name}_known_ns", measure_known(lab, way, hot[0], packets))
    p["set_per_policy_load_s"] = load(lab, set_per_policy(*ends, policies, family))
    few = max(1, packets // max(1, count // 100))  # it takes as much longer
    p["set_per_policy_hot_ns"] = measure(lab, way, hot, few, max(1, rounds // 2))
    p["set_per_policy_spread_ns"] = measure(lab, way, spread, few, max(1, rounds // 2))
    for kind in ("hot", "spread"):
        for name in ("ours", "validated", "prototype", "look_ups", "set_per_policy"):
            own = p[f"ours_{kind}_ns"] - p[f"established_{kind}_ns"]
            other = p[f"{name}_{kind}_ns"] - p[f"established_{kind}_ns"]
            p[f"{name}_{kind}_over_established_us"] = other / 1e3
            if name in ("prototype", "look_ups"):  # less than nothing is noise
                p[f"ours_{kind}_over_{name}"] = own / max(other, 1)
        p[f"set_per_policy_{kind}_over_ours"] = (
            p[f"set_per_policy_{kind}_ns"] / p[f"ours_{kind}_ns"])
    for name in ("ours", "validated"):
        p[f"{name}_known_over_established_us"] = (
            p[f"{name}_known_ns"] - p["established_known_ns"]) / 1e3
    p["packets_per_s"] = 1e9 / p["ours_hot_ns"]
    return p


def main():
    """Every number of policies."""
    args = arguments(__doc__, ("--family", {"type": int, "choices": (4, 6), "default": 4}))
    sizes = QUICK if args.quick else [(n, PEERS) for n in POLICIES]
    if args.size:
        sizes = args.sizes
    with Lab(neighbours="static") as lab:
        lab.add_workloads(["client", "server"])
        lab.host("server").exec(["nft", "-f", "-"], input=SINK)
        points = [point(lab, args.family, *size, 500 if args.quick else PACKETS,
                        1 if args.quick else ROUNDS) for size in sizes]
    thousand = next((p for p in points if p["policies"] >= 1000), points[-1])
    result("dataplane", points,
           growth=growth(points, "policies", "ours_hot_ns", "ours_spread_ns",
                         "set_per_policy_hot_ns"),
           targets=[target(f"over accepting what is established, "
                           f"{thousand['policies']} policies",
                           thousand["ours_hot_over_established_us"], 0.4, "us"),
                    target("the same with sources validated",
                           thousand["validated_hot_over_established_us"], 0.4, "us"),
                    target("the same of a flow that is known",
                           thousand["validated_known_over_established_us"], 0.1, "us"),
                    target("of what the prototype pays here, which paid 0.45 us",
                           thousand["ours_hot_over_prototype"], 0.4 / 0.45, ""),
                    target("look-ups more at most policies than at fewest",
                           points[-1]["most_lookups"] - points[0]["most_lookups"], 0, "")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
