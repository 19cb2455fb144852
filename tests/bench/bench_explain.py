#!/usr/bin/env python3
"""Explanations: one through the command line, many from the inside."""

import json
import pathlib
import sys
import tempfile

from measure import arguments, generated, growth, helper, inside, program, result, run, target

QUESTIONS = 1000
QUICK_QUESTIONS = 50


def point(policies, workloads, questions, runs):
    """One size."""
    with generated(policies, workloads) as (directory, cluster, written), \
            tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "questions"
        lines = cluster.questions(questions)
        file.write_text("".join(lines), encoding="ascii")
        one = run(program(), "explain", "-o", "json", directory, "--", *lines[0].split(),
                  ok=(0, 1))
        p = inside(helper(), "ask", directory, "--", file, runs=runs)
    return {
        "policies": policies, "workloads": workloads, "bytes": written,
        "one_s": one["wall_s"], "parse_s": p["read_s"] + p["load_s"],
        "one_rss_peak_bytes": one["rss_peak_bytes"],
        "answer_bytes": len(json.dumps(json.loads(one["stdout"]))),
        "after_parse_s": p["names_s"] + p["explain_s"] / p["explained"],
        "explain_us_each": p["explain_s"] / p["explained"] * 1e6,
    }


def main():
    """All sizes."""
    args = arguments(__doc__)
    questions = QUICK_QUESTIONS if args.quick else QUESTIONS
    points = [point(*size, questions, args.runs) for size in args.sizes]
    result(
        "explain", points,
        growth=growth(points, "policies", "after_parse_s", "explain_us_each"),
        targets=[target("an explanation after parsing", points[-1]["after_parse_s"], 1, "s")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
