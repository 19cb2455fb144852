#!/usr/bin/env python3
"""A node starts: from nothing to enforcing, in a large cluster of which it runs 110 pods, or 1,000.

Measured inside the daemon, in a namespace of its own: reading and loading the documents,
compiling the node's program, committing it (in chunks, behind the closed gate), and memory of
its processes and of the kernel's table. Beside it, in the same run, what the same table costs
others: `nft -f` of the same content.
"""

import collections
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))

from cluster import PODS_PER_NODE  # noqa: E402
from measure import arguments, generated, growth, program, result, run, target  # noqa: E402

WAIT_S = 300
#: Policies, workloads, pods of a node.
SIZES = ((1000, 10000), (3000, 50000), (3000, 50000, 1000), (10000, 150000))


def memory(pid, field="VmHWM"):
    """Bytes of a process's memory: at its peak, or now."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{field}:\s+(\d+) kB", text)[1]) * 1024


def descendants(pid):
    """A process and its children, by name."""
    pids = [pid]
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        pids += [int(text) for text in file.read().split()]
    names = {}
    for each in pids:
        comm = pathlib.Path(f"/proc/{each}/comm").read_text(encoding="utf-8").strip()
        names["parent" if each == pid else comm] = each
    return names


def busiest_node(cluster):
    """The node that runs most, and how many workloads."""
    counts = collections.Counter(workload.node for workload in cluster.workloads)
    index, count = counts.most_common(1)[0]
    return cluster.nodes[index] if isinstance(index, int) else index, count


def start(directory, node, scratch):
    """Starts the daemon in a network namespace; its process, once policy is in force."""
    config = pathlib.Path(scratch) / "enforcer.yaml"
    config.write_text(f"""\
node: {node}
sources: [{{directory: {directory}}}]
workloadNetworks: [10.0.0.0/8, "fd00::/8"]
control: {scratch}/enforcer.sock
metrics: false
""", encoding="utf-8")
    read_fd, write_fd = os.pipe()
    log = open(pathlib.Path(scratch) / "log", "w", encoding="utf-8")
    began = time.monotonic()
    process = subprocess.Popen(
        ["unshare", "-n", program("ringfence-enforcer"), "--config", config,
         "--ready-fd", str(write_fd)], pass_fds=[write_fd], stdout=log, stderr=log)
    os.close(write_fd)
    with os.fdopen(read_fd) as ready:
        if ready.read() != "READY\n":
            text = (pathlib.Path(scratch) / "log").read_text(encoding="utf-8")
            raise SystemExit(f"the daemon did not start:\n{text[-2000:]}")
    return process, time.monotonic() - began


def applied(scratch):
    """What the daemon said of its first program."""
    text = (pathlib.Path(scratch) / "log").read_text(encoding="utf-8")
    line = re.search(r"program-applied .*", text)[0]
    return {key: int(value) for key, value in re.findall(r"([a-z-]+)=(\d+)", line)}


def nft_load(directory, node):
    """Seconds that nft(8) takes to load the same table."""
    with tempfile.TemporaryDirectory() as scratch:
        text = pathlib.Path(scratch) / "program.nft"
        done = run(program(), "compile", directory, "--node", node, "-o", "nft",
                   "--workload-networks", "10.0.0.0/8,fd00::/8")
        text.write_bytes(done["stdout"])
        return run("unshare", "-n", "nft", "-f", text)["wall_s"]


def point(runs, policies, workloads, pods_per_node=PODS_PER_NODE):
    """One size; the run that was quickest from snapshot to enforced counts."""
    best = None
    with generated(policies, workloads, pods_per_node=pods_per_node) as (directory, cluster, written):
        node, local = busiest_node(cluster)
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as scratch:
                process, wall = start(directory, node, scratch)
                said = applied(scratch)
                pids = descendants(process.pid)
                figures = {
                    "policies": policies, "workloads": workloads, "local": local,
                    "bytes": written, "operations": said["operations"],
                    "ready_s": wall, "load_s": said["load-us"] / 1e6,
                    "compile_s": said["compile-us"] / 1e6,
                    "commit_s": said["commit-us"] / 1e6,
                    "enforced_s": said["enforce-us"] / 1e6,
                    "rss_bytes": {name: memory(pid, "VmRSS")
                                  for name, pid in pids.items()},
                    "rss_peak_bytes": {name: memory(pid) for name, pid in pids.items()},
                }
                process.send_signal(signal.SIGTERM)
                process.wait(WAIT_S)
            if best is None or figures["enforced_s"] < best["enforced_s"]:
                best = figures
        best["nft_load_s"] = nft_load(directory, node)
    best["commit_over_nft"] = best["commit_s"] / best["nft_load_s"]
    best["engine_rss_bytes"] = best["rss_bytes"]["engine"]
    return best


def main():
    """Every size."""
    args = arguments(__doc__)
    sizes = args.sizes if args.quick or "--size" in sys.argv else SIZES
    points = [point(args.runs, *size) for size in sizes]
    last = points[-1]
    result(
        "coldstart", points,
        growth=growth(points, "workloads", "load_s", "compile_s", "commit_s",
                      "engine_rss_bytes"),
        targets=[
            target("parsed snapshot to enforced", last["enforced_s"], 1, "s"),
            target("memory of the engine afterwards", last["engine_rss_bytes"],
                   100e6, "bytes"),
            target("commit, of what nft takes for the same", last["commit_over_nft"], 1,
                   ""),
        ])
    return 0


if __name__ == "__main__":
    sys.exit(main())
