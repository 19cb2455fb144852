#!/usr/bin/env python3
"""What a packet pays for being translated on its way through a node, by the number of routes
there are: published ports that lead to a workload, and ports to which a workload leaves with an
address of its own each. Ours; a rule of nft(8) for each route, tried in turn, as they are usually
written; one such rule alone; no translation. Each packet opens a flow: `hot` ones are all for the
last route's port, `spread` ones for every route's in turn. Or (`known`) all are of one flow, for the
last route's port, which has been answered. As the benchmark dataplane measures."""

import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))

from bench_dataplane import (FIRST_PORT, PACKETS, ROUNDS, SINK, load, measure,  # noqa: E402
                             send)
from dataplane_peers import ESTABLISHED  # noqa: E402
from lab import Lab  # noqa: E402
from measure import arguments, growth, program, result, run  # noqa: E402

ROUTES = (10, 100, 1000, 10000)
QUICK = (3, 30)
VIP = "198.51.100.80"
FAR = "203.0.113.9"
CLIENT = 1024  # the port of a flow that is known


def source(i):
    """The address that route i leaves with."""
    return f"198.18.{i // 250}.{1 + i % 250}"


def documents(lab, count):
    """What ours is compiled from."""
    api = "apiVersion: ringfence.dev/v1alpha1\n"
    yield (f"{api}kind: Workload\nmetadata: {{name: server, namespace: /shop}}\n"
           f"spec: {{node: node-1, ips: [{lab.host('server').address(4)}]}}\n")
    yield (f"{api}kind: Route\nmetadata: {{name: all, namespace: /shop}}\nspec:\n"
           "  default:\n    ingress:\n" + "".join(
               f"      - {{action: publish, address: [{VIP}], ports: [{FIRST_PORT + i}/udp], "
               "to: [{workloads: {}}]}\n" for i in range(count)) + "    egress:\n" + "".join(
               f"      - {{action: route, to: [{{cidr: 203.0.113.0/24}}], "
               f"ports: [{FIRST_PORT + i}/udp], source: [{source(i)}]}}\n"
               for i in range(count)))


def ours(lab, count):
    """Our table, as nft(8) takes it."""
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "all.yaml"
        path.write_text("---\n".join(documents(lab, count)), encoding="utf-8")
        return run(program(), "compile", path, "--node", "node-1", "-o",
                   "nft")["stdout"].decode()


def plain(lab, ports):
    """The usual shape: a rule each."""
    server = lab.host("server").address(4)
    return ESTABLISHED + "table ip plain {\n" + "".join([
        "chain in {\ntype nat hook prerouting priority dstnat\n",
        *(f"ip daddr {VIP} udp dport {port} dnat to {server}\n" for port in ports),
        "}\nchain out {\ntype nat hook postrouting priority srcnat\n",
        *(f"ip saddr {server} ip daddr 203.0.113.0/24 udp dport {port} "
          f"snat to {source(port - FIRST_PORT)}\n" for port in ports),
        "}\n}\n"])


def known(lab, way, back, port, packets, rounds):
    """The same of packets of one flow, which has been answered: to `back`."""
    src, dst, sink = way
    lab.conntrack_flush()
    send(lab, way, (port, 1), 1, own_port=CLIENT)
    send(lab, (sink, back, src), (CLIENT, 1), 1, None if sink == "server" else dst, port)
    return min(send(lab, way, (port, 1), packets, own_port=CLIENT) for _ in range(rounds))


def point(lab, count, packets, rounds):
    """One number of routes."""
    server = str(lab.host("server").address(4))
    ways = {"publish": ("world", VIP, "server"), "leave": ("server", FAR, "world")}
    straight = {"publish": ("world", server, "server"), "leave": ways["leave"]}
    hot, spread = (count - 1, 1), (0, count)
    last = FIRST_PORT + count - 1
    few = max(1, packets // max(1, count // 100))  # it takes as much longer
    world = str(lab.host("world").address(4))
    back = {"publish": world, "leave": source(count - 1)}
    p = {"routes": count}
    load(lab, ESTABLISHED)
    for name, way in straight.items():
        p[f"{name}_untranslated_ns"] = measure(lab, way, hot, packets, rounds)
        p[f"{name}_untranslated_known_ns"] = known(
            lab, way, {"publish": world, "leave": server}[name], last, packets, rounds)
    load(lab, plain(lab, [last]))
    for name, way in ways.items():
        p[f"{name}_one_rule_ns"] = measure(lab, way, hot, packets, rounds)
    load(lab, ours(lab, count))
    for name, way in ways.items():
        p[f"{name}_ours_hot_ns"] = measure(lab, way, hot, packets, rounds)
        p[f"{name}_ours_spread_ns"] = measure(lab, way, spread, packets, rounds)
        p[f"{name}_ours_known_ns"] = known(lab, way, back[name], last, packets, rounds)
    load(lab, plain(lab, range(FIRST_PORT, last + 1)))
    for name, way in ways.items():
        p[f"{name}_rules_hot_ns"] = measure(lab, way, hot, few, max(1, rounds // 2))
        p[f"{name}_rules_spread_ns"] = measure(lab, way, spread, few, max(1, rounds // 2))
        p[f"{name}_rules_known_ns"] = known(lab, way, back[name], last, packets, rounds)
    for name in ways:
        for what in ("ours_hot", "ours_spread", "rules_hot", "rules_spread"):
            p[f"{name}_{what}_over_one_rule_us"] = (
                p[f"{name}_{what}_ns"] - p[f"{name}_one_rule_ns"]) / 1e3
    return p


def main():
    """Every number of routes."""
    args = arguments(__doc__)
    sizes = args.sizes if args.size else [(n,) for n in (QUICK if args.quick else ROUTES)]
    with Lab(neighbours="static") as lab:
        lab.add_workloads(["server"])
        lab.add_outside("world", ["203.0.113.0/24"])
        for name in ("server", "world"):
            lab.host(name).exec(["nft", "-f", "-"], input=SINK)
        points = [point(lab, size[0], 500 if args.quick else PACKETS,
                        1 if args.quick else ROUNDS) for size in sizes]
    result("routes", points, growth=growth(
        points, "routes", *(f"{way}_{what}_{kind}_ns" for way in ("publish", "leave")
                            for what in ("ours", "rules") for kind in ("hot", "spread", "known"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
