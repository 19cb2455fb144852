#!/usr/bin/env python3
"""Questions: the first answer after parsing, and a batch of them, through the command line
and from the inside."""

import pathlib
import sys
import tempfile

from measure import arguments, generated, growth, helper, inside, program, result, run, target

QUESTIONS = 1_000_000
QUICK_QUESTIONS = 500
INSIDE_QUESTIONS = 100_000


def point(policies, workloads, questions, runs):
    """One size: a batch through `ringfence can`, then its parts."""
    with generated(policies, workloads) as (directory, cluster, written), \
            tempfile.TemporaryDirectory() as scratch:
        many = pathlib.Path(scratch) / "questions"
        some = pathlib.Path(scratch) / "some"
        lines = cluster.questions(questions)
        many.write_text("".join(lines), encoding="ascii")
        some.write_text("".join(lines[:INSIDE_QUESTIONS]), encoding="ascii")
        words = lines[0].split()
        one = run(program(), "can", directory, "--", *words, ok=(0, 1))
        batch = run(program(), "can", directory, "--batch", many)
        p = inside(helper(), "ask", directory, "--", some, runs=runs)
    answers = batch["stdout"].splitlines()
    assert len(answers) == questions and set(answers) <= {b"allow", b"deny"}
    return {
        "policies": policies, "workloads": workloads, "bytes": written,
        "one_s": one["wall_s"], "parse_s": p["read_s"] + p["load_s"],
        "after_parse_s": p["names_s"] + p["first_answer_s"],
        "batch_questions": questions, "batch_s": batch["wall_s"],
        "batch_allowed": answers.count(b"allow"),
        "batch_rss_peak_bytes": batch["rss_peak_bytes"],
        "batch_after_load_us_each":
            max(0.0, batch["wall_s"] - one["wall_s"]) / questions * 1e6,
        "cold_us_each": p["cold_s"] / p["questions"] * 1e6,
        "warm_us_each": p["warm_s"] / p["questions"] * 1e6,
    }


def main():
    """All sizes."""
    args = arguments(__doc__)
    questions = QUICK_QUESTIONS if args.quick else QUESTIONS
    points = [point(*size, questions, args.runs) for size in args.sizes]
    last = points[-1]
    result(
        "can", points,
        growth=growth(points, "workloads", "after_parse_s", "cold_us_each",
                      "warm_us_each", "batch_rss_peak_bytes"),
        targets=[
            target("the first answer after parsing", last["after_parse_s"], 1, "s"),
            target("a question of a batch, warm", last["warm_us_each"], 10, "us"),
        ])
    return 0


if __name__ == "__main__":
    sys.exit(main())
