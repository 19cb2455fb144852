#!/usr/bin/env python3
"""Files to model: reading, YAML, loading, beside YAML parsers that make less of the same
bytes (libyaml's bare events; Python's CSafeLoader, which makes dictionaries)."""

import pathlib
import sys
import time

import yaml

from measure import arguments, generated, growth, helper, inside, result, target

PEER_BYTES = 8_000_000  # Python's loader is slow: a part of the bytes tells its speed


def python_loader(directory):
    """Bytes a second of yaml.CSafeLoader over whole files, up to PEER_BYTES."""
    loader = getattr(yaml, "CSafeLoader", None)
    if loader is None:
        return None
    taken, spent = 0, 0.0
    for path in sorted(pathlib.Path(directory).iterdir(), key=lambda p: p.stat().st_size):
        data = path.read_bytes()
        if taken + len(data) > PEER_BYTES:  # cut between documents
            cut = data[:PEER_BYTES - taken].rfind(b"\n---\n")
            data = data[:cut + 1] if cut > 0 else b""
        began = time.monotonic()
        for _ in yaml.load_all(data, Loader=loader):
            pass
        spent += time.monotonic() - began
        taken += len(data)
        if taken >= PEER_BYTES * 9 // 10:
            break
    return taken / spent


def point(policies, workloads, detail, runs):
    """One size."""
    with generated(policies, workloads, detail=detail) as (directory, _, _):
        p = inside(helper(), "load", directory, runs=runs)
        peer = python_loader(directory)
    p["detail"] = detail
    p["parse_s"] = p["read_s"] + p["load_s"]
    p["objects"] = p["policies"] + p["workloads"] + p["namespaces"]
    p["mb_per_s"] = p["bytes"] / p["parse_s"] / 1e6
    p["documents_mb_per_s"] = p["bytes"] / p["documents_s"] / 1e6
    p["libyaml_mb_per_s"] = p["bytes"] / p["libyaml_s"] / 1e6
    p["python_mb_per_s"] = peer / 1e6 if peer else None
    p["over_libyaml"] = p["mb_per_s"] / p["libyaml_mb_per_s"]
    p["over_python"] = p["mb_per_s"] / p["python_mb_per_s"] if peer else None
    p["model_bytes_per_object"] = p["model_bytes"] / p["objects"]
    p["rss_peak_per_input_byte"] = p["rss_peak_bytes"] / p["bytes"]
    return p


def main():
    """Lean pods at every size; full ones, as a cluster's dump has them, at one."""
    args = arguments(__doc__)
    points = [point(*size, "lean", args.runs) for size in args.sizes]
    full = point(*args.sizes[min(1, len(args.sizes) - 1)], "full", args.runs)
    last = points[-1]
    result(
        "parse", points, full=full,
        growth=growth(points, "bytes", "parse_s", "documents_s", "lint_s", "model_bytes",
                      "rss_peak_bytes"),
        targets=[
            target("read, YAML and load", last["mb_per_s"], 50, "MB/s", at_least=True),
            target("the same for full pods", full["mb_per_s"], 50, "MB/s", at_least=True),
            target("lints", last["lint_s"], 1, "s"),
        ])
    return 0


if __name__ == "__main__":
    sys.exit(main())
