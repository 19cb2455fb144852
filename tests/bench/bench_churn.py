#!/usr/bin/env python3
"""Changes of a large cluster, one at a time, on one node: the compile side. Beside it what
compiling the whole model costs, which is what each would cost without."""

import sys

from measure import arguments, generated, growth, helper, inside, result, target

CHANGES = 20000
QUICK_CHANGES = 200
SIZES = ((1000, 1000), (1000, 15000), (5000, 50000), (10000, 150000))
NODE = "worker-00002"


def point(policies, workloads, changes, runs):
    """One size."""
    with generated(policies, workloads) as (directory, _, _):
        p = inside(helper("bench-changes"), NODE, changes, directory, runs=runs)
    assert p["equal"] == 1
    p["changes_per_s"] = 1e6 / p["relabel_us"]
    p["changes_per_cpu_s"] = 1e6 / p["relabel_cpu_us"]
    p["times_cheaper"] = p["compile_cpu_s"] / (p["relabel_cpu_us"] / 1e6)
    return p


def main():
    """All sizes."""
    args = arguments(__doc__)
    sizes = args.sizes if args.quick or args.size else SIZES
    points = [point(*size, QUICK_CHANGES if args.quick else CHANGES, args.runs)
              for size in sizes]
    last = points[-1]
    result(
        "churn", points,
        growth=growth(points, "workloads", "relabel_cpu_us", "swap_cpu_us",
                      "compile_cpu_s"),
        targets=[
            target("changes of workloads", last["changes_per_cpu_s"], 1000, "1/s",
                   at_least=True),
            target("99 of 100 changes", last["relabel_p99_us"], 5000, "us"),
            target("compiling anew", last["compile_cpu_s"], 1, "s"),
        ])
    return 0


if __name__ == "__main__":
    sys.exit(main())
