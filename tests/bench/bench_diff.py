#!/usr/bin/env python3
"""`diff`: a cluster and the same with a policy changed, with many, and with itself."""

import sys
import tempfile

from cluster import Cluster
from measure import arguments, generated, growth, helper, inside, program, result, run, target

EDITS = 20


def compare(directory, policies, workloads, edits, runs):
    """The cluster and itself with so many policies changed."""
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as other:
        Cluster(1, policies, workloads, edits=edits).write(other)
        p = inside(helper("bench-connectivity"), "diff", directory, other, runs=runs)
        whole = run(program(), "diff", "-o", "md", directory, other, ok=(0, 1))
    p["edits"] = edits
    p["answer_s"] = p["diff_s"] + p["print_s"]
    p["answer_cpu_s"] = p["diff_cpu_s"] + p["print_cpu_s"]
    p["whole_rss_peak_bytes"] = whole["rss_peak_bytes"]
    p["markdown_bytes"] = len(whole["stdout"])
    return p


def point(policies, workloads, runs):
    """One size: one change; then many, and none."""
    with generated(policies, workloads) as (directory, _, written):
        p = compare(directory, policies, workloads, 1, runs)
        many = compare(directory, policies, workloads, min(EDITS, policies // 4), 1)
        none = compare(directory, policies, workloads, 0, 1)
    assert none["rows"] == 0 and none["policies"] == 0
    return {
        **p, "changed": p["policies"], "policies": policies, "workloads": workloads,
        "bytes": written,
        "many": {key: many[key] for key in ("edits", "answer_s", "answer_cpu_s", "rows",
                                            "text_bytes")},
        "none_answer_cpu_s": none["answer_cpu_s"],
    }


def main():
    """All sizes."""
    args = arguments(__doc__)
    points = [point(*size, args.runs) for size in args.sizes]
    last = points[-1]
    result(
        "diff", points,
        growth=growth(points, "policies", "answer_cpu_s", "diff_rss_bytes", "load_cpu_s"),
        targets=[
            target("a difference after parsing, of the processor", last["answer_cpu_s"], 1, "s"),
            target("text for one changed policy", max(p["text_bytes"] for p in points),
                   1 << 20, "bytes"),
        ])
    return 0


if __name__ == "__main__":
    sys.exit(main())
