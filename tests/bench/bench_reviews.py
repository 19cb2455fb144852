#!/usr/bin/env python3
"""The webhook of policy, among many policies: a review of one that comes, changes, is refused or goes,
and following what a watch brings. Beside it, in the same run, the load of everything that each of
these would be without a model that is kept up."""

import sys

from measure import arguments, growth, helper, inside, result

ROUNDS = 201


def main():
    """Policies of each size; no workloads, for the webhook knows policy alone."""
    args = arguments(__doc__)
    points = []
    for policies in sorted({policies for policies, _ in args.sizes}):
        rounds = "3" if args.quick else str(ROUNDS)
        point = inside(helper("bench-reviews"), str(policies), rounds, runs=args.runs)
        point["load_over_create"] = point["load_us"] / point["create_us"]
        points.append(point)
    result("reviews", points,
           growth=growth(points, "policies", "load_us", "create_us", "refuse_us", "follow_change_us"),
           targets=[])
    return 0


if __name__ == "__main__":
    sys.exit(main())
