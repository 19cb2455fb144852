#!/usr/bin/env python3
"""What a packet that opens a flow pays for network limits, by the number of namespaces above
the workload that have one. `none`: our table without Quotas; `miss`: the node has limits, this
workload none; then limits of new connections, of bytes in both directions, and of open
connections. What the kernel does to count those grows with how many there are, so they have
points of their own: `open`, with as many flows as were opened before the measurement ends.
Each packet opens a flow; nothing is denied. As the benchmark dataplane measures.

And what TCP makes of a limit of bytes: the part of it that one workload alone gets, and each of
two at once, of which one has eight connections and the other has one (`share`)."""

import json
import pathlib
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))

from bench_dataplane import PACKETS, ROUNDS, SINK, load, measure, to_server  # noqa: E402
from lab import Lab  # noqa: E402
from measure import arguments, growth, program, result, run  # noqa: E402

LEVELS = (1, 2, 4, 8)
OPEN = (100, 1000, 10000)
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


def cost(lab, packets, rounds):
    """Nanoseconds of the processor a packet to the server."""
    return measure(lab, to_server(lab), (0, 1), packets, rounds)


def level_point(lab, levels, packets, rounds):
    """So many namespaces with limits."""
    p = {"levels": levels}
    load(lab, ours(lab, levels, None))
    p["none_ns"] = cost(lab, packets, rounds)
    everything = KINDS["new"] | KINDS["bytes"] | KINDS["open"]
    load(lab, ours(lab, levels, everything, limited=False))
    p["miss_ns"] = cost(lab, packets, rounds)
    for kind in ("new", "bytes"):
        load(lab, ours(lab, levels, KINDS[kind]))
        p[f"{kind}_ns"] = cost(lab, packets, rounds)
    for kind in ("miss", "new", "bytes"):
        p[f"{kind}_over_none_us"] = (p[f"{kind}_ns"] - p["none_ns"]) / 1e3
    return p


def open_point(lab, count, rounds):
    """So many open connections, at one namespace."""
    p = {"open": count}
    for name, network in (("none", None), ("open", KINDS["open"])):
        load(lab, ours(lab, 1, network))
        p[f"{name}_ns"] = cost(lab, count, min(3, rounds))
    p["open_over_none_us"] = (p["open_ns"] - p["none_ns"]) / 1e3
    return p


def pour(lab, src, until):
    """Send what goes through until then; the bytes that arrived."""
    server = str(lab.host("server").address(4))
    total = 0
    with lab.host("server").enter_and(lambda: socket.create_server((server, 0))) as listener:
        out = lab.host(src).enter_and(lambda: socket.create_connection(listener.getsockname()))
        inlet, _ = listener.accept()
    inlet.settimeout(0.5)
    chunk = bytes(65536)

    def send():
        try:
            while time.monotonic() < until:
                out.send(chunk)
        except OSError:
            pass  # the other end has gone

    out.settimeout(0.5)
    sender = threading.Thread(target=send)
    sender.start()
    while time.monotonic() < until:
        try:
            total += len(inlet.recv(1 << 20))
        except TimeoutError:
            pass
    inlet.close()
    sender.join()
    out.close()
    return total


def poured(lab, wanted, seconds):
    """Bytes per second that each workload got, with as many connections as it wants."""
    got = dict.fromkeys(wanted, 0)
    lock = threading.Lock()
    until = time.monotonic() + seconds

    def one(src):
        total = pour(lab, src, until)
        with lock:
            got[src] += total

    threads = [threading.Thread(target=one, args=(src,))
               for src, count in wanted.items() for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {src: total / seconds for src, total in got.items()}


def share_point(lab, limit, seconds):
    """What TCP makes of a limit: parts of it."""
    load(lab, ours(lab, 1, {"egressBytesPerSecond": limit, "guaranteedPercent": 50}))
    alone = poured(lab, {"client": 1}, seconds)
    two = poured(lab, {"client": 8, "other": 1}, seconds)
    return {"limit_bytes_per_s": limit, "alone_at_most": 0.75, "alone": alone["client"] / limit,
            "eight_connections": two["client"] / limit, "one_connection": two["other"] / limit}


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
        share = share_point(lab, 10000000, 1 if args.quick else 20)
    result("limits", levels, open=counts, share=share,
           growth=growth(levels, "levels", "new_ns", "bytes_ns") |
           growth(counts, "open", "open_ns"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
