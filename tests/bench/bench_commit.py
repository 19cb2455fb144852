#!/usr/bin/env python3
"""One transaction's cost by its number of elements: ours, from the engine's operations through
the encoding for the kernel role and its checks; a bare netlink sender of the same messages,
which were made before the clock runs; and nft(8) with the same elements. Ours and the bare
sender take turns, and what we achieve of its speed is the median of one turn beside another;
the same of processor time, in which the kernel's work for the sender is counted."""

import sys

from measure import arguments, growth, helper, inside, result, target

ELEMENTS = (1, 10, 100, 1000, 10000, 100000)
QUICK_ELEMENTS = (1, 100)
RUNS = 31
LEAST_RUNS = 15  # at 100,000 elements a turn is some tenths of a second


def point(elements, quick, runs):
    """One size."""
    each = 3 if quick else max(LEAST_RUNS, min(RUNS, 300000 // elements))
    p = inside("unshare", "-n", helper("bench-kernel"), "commit", elements, each,
               runs=runs)
    for way in ("add", "delete"):
        p[f"{way}_nft_over_ours"] = p[f"nft_{way}_us"] / p[f"{way}_us"]
    return p


def main():
    """All sizes."""
    args = arguments(__doc__)
    points = [point(n, args.quick, args.runs)
              for n in (QUICK_ELEMENTS if args.quick else ELEMENTS)]
    last = points[-1]
    result("commit", points,
           growth=growth(points, "elements", "add_us", "delete_us"),
           targets=[target("of what a bare sender achieves, adding",
                           last["add_of_bare"], 0.8, "", at_least=True),
                    target("of what a bare sender achieves, deleting",
                           last["delete_of_bare"], 0.8, "", at_least=True)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
