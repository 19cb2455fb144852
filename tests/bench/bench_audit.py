#!/usr/bin/env python3
"""The audit log: records a second with a flush of the disk for every batch, beside plain
write(2) and fdatasync(2) of the same bytes; searches, verify and report on a large log,
beside grep, jq and sha256sum of the same files. --size BYTES,BATCH: one log of that size."""

import json
import pathlib
import shutil
import sys
import tempfile

from measure import arguments, helper, inside, program, result, run, target

BATCHES = (1, 16, 256, 4096)
RECORD = 1000  # bytes, about


def written(size, batch, runs):
    """Both writers; a batch of one is given fewer records, for it waits for every flush."""
    point = {"batch": batch}
    for writer in ("log", "plain"):
        samples = []
        for _ in range(runs):
            with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as directory:
                samples.append(inside(helper("bench-audit"), writer, directory, size, batch))
        best = min(samples, key=lambda s: s["wall_s"])
        prefix = "" if writer == "log" else "plain_"
        point["records"] = best["records"]
        point[prefix + "records_per_s"] = best["records"] / best["wall_s"]
        point[prefix + "cpu_us_per_record"] = 1e6 * best["cpu_s"] / best["records"]
    point["over_plain"] = point["records_per_s"] / point["plain_records_per_s"]
    return point


def log_files(directory):
    files = sorted(pathlib.Path(directory).glob("log-*.jsonl"),
                   key=lambda p: int(p.stem.removeprefix("log-")))
    return files, sum(p.stat().st_size for p in files)


def rate(name, done, size):
    return {"name": name, "wall_s": done["wall_s"], "cpu_s": done["cpu_s"],
            "mb_per_s": size / done["wall_s"] / 1e6, "rss_peak_bytes": done["rss_peak_bytes"],
            "lines": done["stdout"].count(b"\n")}


def searched(directory, runs):
    """Searches of one log, each beside grep for what it is about."""
    files, size = log_files(directory)
    with open(files[len(files) // 2], encoding="utf-8") as f:
        event = json.loads(f.readline())
    moment = event["stageTimestamp"]
    cases = {
        "by id": ["--id", event["auditID"]],
        "by id, without indexes": ["--id", event["auditID"], "--no-index"],
        "by name": ["--name", event["objectRef"]["name"]],
        "by user": ["--user", event["user"]["username"]],
        "by subtree": ["--tenant", "/acme/t7"],
        "refused": ["--kind", "denied", "--code", "403"],
        "one second": ["--since", moment[:19] + "Z", "--until", moment[:19] + ".999999Z"],
        "nothing": ["--name", "no-such-name"],
    }
    rows = []
    for name, options in cases.items():
        samples = [run(program("ringfence-audit"), "search", directory, "-o", "json", *options,
                       ok=(0, 1)) for _ in range(runs)]
        rows.append(rate(name, min(samples, key=lambda s: s["wall_s"]), size))
    for name, command in {
        "grep by id": ["grep", "-hF", event["auditID"], *files],
        "grep by user": ["grep", "-hF", f'"username":"{event["user"]["username"]}"', *files],
    }.items():
        rows.append(rate(name, run(*command, ok=(0, 1)), size))
    if shutil.which("jq"):
        one = files[0]
        done = run("jq", "-c", f'select(.auditID == "{event["auditID"]}")', one)
        rows.append(rate("jq by id, one segment", done, one.stat().st_size))
    return rows, size


def read_whole(directory, runs):
    """What reads everything, beside sha256sum."""
    files, size = log_files(directory)
    rows = []
    for name, command in {
        "verify": [program("ringfence-audit"), "verify", directory],
        "report": [program("ringfence-audit"), "report", directory, "-o", "json"],
        "sha256sum": ["sha256sum", *files],
        "wc -l": ["wc", "-l", *files],
    }.items():
        samples = [run(*command) for _ in range(runs)]
        rows.append(rate(name, min(samples, key=lambda s: s["wall_s"]), size))
    return rows


def main():
    """Writing in batches of growing size; then one log, large, searched and verified."""
    args = arguments(__doc__)
    size = 2_000_000 if args.quick else 1_000_000_000
    if len(args.sizes) == 1:
        size = args.sizes[0][0]
    points = []
    for batch in BATCHES:
        records = min(size // RECORD, (20 if args.quick else 2000) * min(batch, 256))
        points.append(written(records * RECORD, batch, args.runs))
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as directory:
        inside(helper("bench-audit"), "log", directory, size, 4096)
        searches, size = searched(directory, args.runs)
        whole = read_whole(directory, args.runs)
    found = {row["name"]: row for row in searches + whole}
    result(
        "audit", points, log_bytes=size, searches=searches, whole=whole,
        targets=[
            target("records of a batch of 256 over plain writes", points[2]["over_plain"], 0.5,
                   "ratio", at_least=True),
            target("a search by id over grep",
                   found["by id"]["wall_s"] / found["grep by id"]["wall_s"], 0.5, "ratio"),
            target("a search by user over grep",
                   found["by user"]["wall_s"] / found["grep by user"]["wall_s"], 2, "ratio"),
            target("verify over sha256sum",
                   found["verify"]["wall_s"] / found["sha256sum"]["wall_s"], 3, "ratio"),
            target("memory of a search", found["by user"]["rss_peak_bytes"] / 1e6, 32, "MB"),
        ])
    return 0


if __name__ == "__main__":
    sys.exit(main())
