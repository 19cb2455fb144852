#!/usr/bin/env python3
"""Changes of a large cluster, one at a time, on one node.

First the compile side, and beside it what compiling the whole model costs, which is what each
change would cost without. Then down to the kernel: pods that get another address, so many a
second, each from its YAML to the commit, with the latency from when it was due; beside it, on
the same table, nft(8) with the same change, and a bare netlink sender of the same messages;
then the node's own pods, which go, and others like them that come, one at a time (own_*). In
the end the kernel's table is compared with one that is compiled from scratch.
"""

import sys

from measure import arguments, generated, growth, helper, inside, result, target

CHANGES = 20000
QUICK_CHANGES = 200
RATES = (100, 1000)
SECONDS = 5
SIZES = ((1000, 1000), (1000, 15000), (5000, 50000), (10000, 150000))
NODE = "worker-00002"


def compiling(directory, changes, runs):
    """The compiler alone."""
    p = inside(helper("bench-changes"), NODE, changes, directory, runs=runs)
    assert p["equal"] == 1
    p["changes_per_s"] = 1e6 / p["relabel_us"]
    p["changes_per_cpu_s"] = 1e6 / p["relabel_cpu_us"]
    p["times_cheaper"] = p["compile_cpu_s"] / (p["relabel_cpu_us"] / 1e6)
    return p


def to_the_kernel(directory, rate, changes, runs):
    """From YAML to the kernel, at one rate."""
    p = inside("unshare", "-n", helper("bench-kernel"), "churn", NODE, rate, changes,
               directory, runs=runs)
    assert p["equal"] == 1
    p["nft_over_ours"] = p["nft_us"] / p["alone_us"]
    p["ours_over_bare"] = p["alone_us"] / p["bare_us"]
    return p


def point(policies, workloads, quick, runs):
    """One size."""
    with generated(policies, workloads) as (directory, _, _):
        p = compiling(directory, QUICK_CHANGES if quick else CHANGES, runs)
        p["kernel"] = {
            f"{rate}/s": to_the_kernel(
                directory, rate, QUICK_CHANGES if quick else rate * SECONDS, runs)
            for rate in (RATES[-1:] if quick else RATES)}
    return p


def main():
    """All sizes."""
    args = arguments(__doc__)
    sizes = args.sizes if args.quick or args.size else SIZES
    points = [point(*size, args.quick, args.runs) for size in sizes]
    last = points[-1]
    kernel = last["kernel"][f"{RATES[-1]}/s"]
    result(
        "churn", points,
        growth=growth(points, "workloads", "relabel_cpu_us", "swap_cpu_us",
                      "compile_cpu_s"),
        targets=[
            target("changes of workloads, compiled", last["changes_per_cpu_s"], 1000,
                   "1/s", at_least=True),
            target(f"99 of 100 changes at {RATES[-1]} a second, event to kernel",
                   kernel["p99_us"], 5000, "us"),
            target("changes to the kernel in a second of one processor",
                   1e6 / kernel["cpu_us"], 1000, "1/s", at_least=True),
            target("compiling anew", last["compile_cpu_s"], 1, "s"),
        ])
    return 0


if __name__ == "__main__":
    sys.exit(main())
