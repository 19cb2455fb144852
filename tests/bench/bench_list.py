#!/usr/bin/env python3
"""`list`: groups of a whole cluster, from the inside and through the command line; pairs
of a small one."""

import sys

from measure import arguments, generated, growth, helper, inside, program, result, run, target


def point(policies, workloads, runs):
    """One size, in groups."""
    with generated(policies, workloads) as (directory, _, written):
        p = inside(helper("bench-connectivity"), "list", directory, runs=runs)
        whole = run(program(), "list", "--group", directory)
    for clock in ("s", "cpu_s"):
        p[f"answer_{clock}"] = sum(p[f"{part}_{clock}"] for part in ("world", "relation", "print"))
    return {
        "policies": policies, "workloads": workloads, "bytes": written, **p,
        "whole_s": whole["wall_s"], "whole_cpu_s": whole["cpu_s"],
        "whole_rss_peak_bytes": whole["rss_peak_bytes"],
        "list_bytes_per_end": p["list_rss_bytes"] / p["parties"],
        "list_bytes_per_policy": p["list_rss_bytes"] / policies,
        "text_bytes_per_line": p["text_bytes"] / p["lines"],
    }


def pairs(policies, workloads):
    """Every pair of a cluster of the smallest size."""
    with generated(policies, workloads) as (directory, _, _):
        groups = run(program(), "list", "--group", directory)
        every = run(program(), "list", "--pairs", directory)
    count = every["stdout"].count(b"\n")
    return {
        "policies": policies, "workloads": workloads, "pairs": count,
        "us_per_pair": max(0.0, every["cpu_s"] - groups["cpu_s"]) / count * 1e6,
        "rss_over_groups_bytes": every["rss_peak_bytes"] - groups["rss_peak_bytes"],
    }


def main():
    """All sizes."""
    args = arguments(__doc__)
    points = [point(*size, args.runs) for size in args.sizes]
    last = points[-1]
    result(
        "list", points, pairs=pairs(*args.sizes[min(1, len(args.sizes) - 1)]),
        growth={
            "by_policies": growth(points, "policies", "answer_cpu_s", "list_rss_bytes", "lines",
                                  "text_bytes"),
            "by_lines": growth(points, "lines", "answer_cpu_s", "list_rss_bytes", "text_bytes"),
        },
        targets=[
            target("groups after parsing, of the processor", last["answer_cpu_s"], 1, "s"),
            target("memory over the model's", last["list_bytes_per_policy"], 32768,
                   "bytes a policy"),
        ])
    return 0


if __name__ == "__main__":
    sys.exit(main())
