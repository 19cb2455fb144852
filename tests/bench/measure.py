"""What every benchmark shares: where the programs are, timing, memory, growth, the result.

A benchmark is a file bench_NAME.py that prints one JSON object: result() makes it.

    args = arguments(__doc__)                       # .sizes, .runs, .quick
    with generated(policies, workloads) as (directory, cluster, written):
        seconds = run(program(), "list", directory)["wall_s"]
    result("list", points, growth=growth(points, "workloads", "wall_s"), targets=[...])
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import rf  # noqa: E402  (found by the line above)
from cluster import Cluster  # noqa: E402

#: Policies and workloads of a cluster, small to large: what growth is measured over.
SIZES = ((1000, 1000), (1000, 10000), (3000, 30000), (10000, 100000))
QUICK_SIZES = ((20, 100), (40, 300))


def arguments(description, *more):
    """Reads --quick and --size; the namespace has .quick, .sizes and .runs. `more`: options of
    this benchmark alone, each its name and what argparse is told of it."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true",
                        help="tiny sizes, once: shows that it runs, not how fast")
    parser.add_argument("--size", metavar="POLICIES,WORKLOADS", action="append",
                        help="this cluster instead of the usual ones; may be repeated; to "
                        "coldstart a third number is how many pods a node has")
    parser.add_argument("--runs", type=int, help="repetitions of which the median counts")
    for name, told in more:
        parser.add_argument(name, **told)
    args = parser.parse_args()
    args.sizes = QUICK_SIZES if args.quick else SIZES
    if args.size:
        args.sizes = tuple(tuple(map(int, size.split(","))) for size in args.size)
    args.runs = args.runs or (1 if args.quick else 3)
    return args


def program(name="ringfence"):
    """The path of one of our programs."""
    return rf.program(name)


def helper(name="bench-language"):
    """The path of a program that was built for benchmarks."""
    return str(rf.build_dir() / "tests" / "bench" / name)


@contextlib.contextmanager
def generated(policies, workloads, **kwargs):
    """A cluster's files for as long as the block runs: (directory, cluster, bytes)."""
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as directory:
        cluster = Cluster(1, policies, workloads, **kwargs)
        written = cluster.write(directory)
        yield directory, cluster, written


def run(*command, stdin=None, ok=(0,)):
    """Runs a command: seconds of wall clock and of processor, peak memory, output.

    An exit status that is not among `ok` ends the benchmark: a failure is no figure.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(list(map(str, command)), stdin=stdin, stdout=out,
                                   stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        if process.returncode not in ok:
            err.seek(max(0, err.seek(0, os.SEEK_END) - 2000))
            raise SystemExit(f"{command}: exit status {process.returncode}\n"
                             f"{err.read().decode(errors='replace')}")
        return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime,
                "rss_peak_bytes": usage.ru_maxrss * 1024, "stdout": out.read()}


def inside(*command, runs=1):
    """Runs a program that prints JSON, `runs` times; the median of each number."""
    samples = [json.loads(run(*command)["stdout"]) for _ in range(runs)]
    return {key: statistics.median(sample[key] for sample in samples)
            for key in samples[0]}


def exponent(sizes, values):
    """The power of the size by which the value grows: 1 is linear. None: too few points."""
    pairs = [(math.log(size), math.log(value)) for size, value in zip(sizes, values)
             if size > 0 and value > 0]
    if len({x for x, _ in pairs}) < 2:
        return None
    return round(statistics.linear_regression(*zip(*pairs)).slope, 2)


def growth(points, by, *names):
    """The exponents of several figures of points, by the size named `by`."""
    return {name: exponent([p[by] for p in points], [p[name] for p in points])
            for name in names}


def target(what, value, limit, unit, at_least=False):
    """A number to reach, and whether it was."""
    met = value >= limit if at_least else value <= limit
    return {"what": what, "value": round(value, 4), "limit": limit, "unit": unit,
            "relation": ">=" if at_least else "<=", "met": met}


def rounded(value):
    """Six digits tell all that there is to know."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def result(name, points, **more):
    """Prints the benchmark's object: points of growing size, and what they say."""
    json.dump(rounded({"name": name, "points": points, **more}), sys.stdout, indent=1)
    print()
