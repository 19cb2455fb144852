#!/usr/bin/env python3
"""What a packet that opens a flow pays for network limits, by the number of namespaces above
the workload that have one. `none`: our table without Quotas; `miss`: the node has limits, this
workload none; then limits of new connections, of bytes in both directions, and of open
connections. What the kernel does to count those grows with how many there are, so they have
points of their own: `open`, with as many flows as were opened before the measurement ends.
Each packet opens a flow; nothing is denied. As the benchmark dataplane measures."""

import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))

from bench_dataplane import FIRST_PORT, PACKETS, ROUNDS, SINK, arrived, load  # noqa: E402
from lab import Lab, wait_until  # noqa: E402
from measure import arguments, growth, helper, program, result, run  # noqa: E402

LEVELS = (1, 2, 4, 8)
OPEN = (100, 1000, 10000, 40000)
API = "apiVersion: ringfence.dev/v1alpha1\n"
KINDS = {
    "new": {"connectionsPerSecond": 1000000, "burst": 1000000000},
    "bytes": {"egressBytesPerSecond": "15G", "ingressBytesPerSecond": "15G"},
    "open": {"connections": 4000000000},
}


def documents(lab, levels, network, limited):
    """A chain of namespaces with a workload at its end, and somebody else."""
    path = "".join(f"/n{i}" for i in range(levels))
    places = {"client": path, "other": path} if limited else {"client": "/free", "other": path}
    for name, place in places.items():
        yield (f"{API}kind: Workload\nmetadata: {{name: {name}, namespace: {place}}}\n"
               f"spec: {{node: node-1, ips: [{lab.host(name).address(4)}]}}\n")
    for i in range(levels if network else 0):
        yield (f"{API}kind: Quota\nmetadata: {{name: q, namespace: {path[:3 * (i + 1)]}}}\n"
               f"spec: {{network: {json.dumps(network)}}}\n")


def ours(lab, levels, network, limited=True):
    """Our table, as nft(8) takes it."""
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "all.yaml"
        path.write_text("---\n".join(documents(lab, levels, network, limited)),
                        encoding="utf-8")
        return run(program(), "compile", path, "--node", "node-1", "-o", "nft")["stdout"].decode()


def measure(lab, packets, rounds):
    """Nanoseconds of the processor a packet; all must have come through."""
    best = None
    for _ in range(rounds):
        lab.conntrack_flush()
        before = arrived(lab)
        done = lab.host("client").exec(
            [helper("bench-packets"), str(lab.host("client").address(4)),
             str(lab.host("server").address(4)), str(FIRST_PORT), "1", str(packets)])
        ns = json.loads(done.stdout)["cpu_ns"]
        wait_until(lambda: arrived(lab) - before == packets, 60, "all packets to arrive")
        best = ns if best is None else min(best, ns)
    return best


def level_point(lab, levels, packets, rounds):
    """So many namespaces with limits."""
    p = {"levels": levels}
    load(lab, ours(lab, levels, None))
    p["none_ns"] = measure(lab, packets, rounds)
    everything = KINDS["new"] | KINDS["bytes"] | KINDS["open"]
    load(lab, ours(lab, levels, everything, limited=False))
    p["miss_ns"] = measure(lab, packets, rounds)
    for kind in ("new", "bytes"):
        load(lab, ours(lab, levels, KINDS[kind]))
        p[f"{kind}_ns"] = measure(lab, packets, rounds)
    for kind in ("miss", "new", "bytes"):
        p[f"{kind}_over_none_us"] = (p[f"{kind}_ns"] - p["none_ns"]) / 1e3
    return p


def open_point(lab, count, rounds):
    """So many open connections, at one namespace."""
    p = {"open": count}
    for name, network in (("none", None), ("open", KINDS["open"])):
        load(lab, ours(lab, 1, network))
        p[f"{name}_ns"] = measure(lab, count, rounds)
    p["open_over_none_us"] = (p["open_ns"] - p["none_ns"]) / 1e3
    return p


def main():
    """Every number of levels, then of connections."""
    args = arguments(__doc__)
    packets, rounds = (500, 1) if args.quick else (PACKETS, ROUNDS)
    with Lab(neighbours="static") as lab:
        lab.add_workloads(["client", "other"])
        lab.add_outside("server", ["203.0.113.0/24"])
        lab.host("server").exec(["nft", "-f", "-"], input=SINK)
        levels = [level_point(lab, n, packets, rounds)
                  for n in (LEVELS[:2] if args.quick else LEVELS)]
        counts = [open_point(lab, n, rounds) for n in (OPEN[:2] if args.quick else OPEN)]
    result("limits", levels, open=counts,
           growth=growth(levels, "levels", "new_ns", "bytes_ns") |
           growth(counts, "open", "open_ns"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
