"""`ringfence replay`: recorded flows of every kind, judged as `can` judges."""

import csv
import io
import json
import pathlib
import random
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
sys.path.insert(0, str(HERE))
import rf  # noqa: E402
from test_explain import CASES, SEED, can, world, write  # noqa: E402

WORLD = HERE / "world.yaml"
FLOWS = HERE / "flows"
DB = "/acme/data/db-1[Workload]"
WEB = "shop-prod/web-7d9f[ReplicaSet]"
CRON = "shop-prod/cron[Pod]"


def replay(flows, *options, paths=(WORLD,), stdin=""):
    done = rf.run("replay", "-o", "json", *options, *paths, "--flows", flows, stdin=stdin)
    return done, (json.loads(done.stdout) if done.stdout else None)


def rows(told):
    return {
        (row["src"], row["dst"], row["service"], row["was"], row["verdict"]): row["count"]
        for row in told["rows"]
    }


CONNTRACK = {
    (WEB, DB, "5432/tcp", "allow", "allow"): 2,  # one dialled a service's address, one is IPv6
    (CRON, DB, "icmp", "allow", "deny"): 1,
    (CRON, DB, "53/udp", "allow", "deny"): 1,
    (CRON, DB, "protocol 47", "allow", "deny"): 1,
}


@pytest.mark.parametrize("path", sorted(FLOWS.glob("conntrack*")), ids=lambda path: path.name)
def test_what_conntrack_prints(path):
    """Lists and events, text and XML, as conntrack 1.4.7 printed one table."""
    for options in ([], ["--format", "conntrack"]):
        done, told = replay(path, *options)
        assert done.returncode == 1 and rows(told) == CONNTRACK
        assert told["flows"] == {"closed": 3, "opened": 0, "same": 2, "new": 0}


def test_the_node_s_own_flow_log():
    done, told = replay(FLOWS / "own.jsonl")
    assert done.returncode == 1
    assert rows(told) == {
        ("198.51.100.9", WEB, "8080/tcp", "allow", "deny"): 5,
        (CRON, "203.0.113.5", "443/tcp", "deny", "allow"): 1,
        (CRON, DB, "5432/tcp", "deny", "deny"): 4,
        (WEB, DB, "5432/tcp", "allow", "allow"): 2,
        ("192.0.2.9", WEB, "8080/tcp", "allow", "allow"): 1,
    }
    assert [row["change"] for row in told["rows"]] == ["closed", "opened", "same", "same", "same"]
    assert told["unknownEnds"] == 6
    assert "77 flows were too many" in done.stderr
    closed = told["rows"][0]
    assert closed["line"] == 4 and closed["decider"]["reason"] == "isolation"
    assert (closed["decider"]["rule"]["policy"], closed["decider"]["rule"]["line"]) == ("web", 61)


def test_hubble_s_flows():
    """Replies and status messages are no flows; a pod that has gone is its ReplicaSet."""
    for options in ([], ["--format", "hubble"]):
        done, told = replay(FLOWS / "hubble.jsonl", *options)
        assert done.returncode == 1
        assert rows(told) == {
            (CRON, DB, "icmp", "allow", "deny"): 1,
            (CRON, DB, "53/udp", "deny", "deny"): 1,
            (WEB, DB, "5432/tcp", "allow", "allow"): 2,
        }
        assert done.stderr.count("\n") == 3  # the model's own warning


def test_kinds_of_records_may_be_mixed():
    text = "".join(path.read_text() + "\n" for path in sorted(FLOWS.iterdir()))
    _, told = replay("-", stdin=text)
    assert sum(told["flows"].values()) == 5 * 5 + 13 + 4


def test_a_baseline_takes_the_place_of_what_was_recorded(tmp_path):
    open_world = WORLD.read_text().replace("{name: closed, action: deny}", "{name: closed, action: pass}")
    baseline = tmp_path / "before.yaml"
    baseline.write_text(open_world)
    flow = "tcp 6 9 ESTABLISHED src=192.0.2.1 dst=10.1.0.9 sport=1 dport=22 src=10.1.0.9 dst=192.0.2.1 sport=22 dport=1\n"
    done, told = replay("-", "--baseline", baseline, stdin=flow)
    assert (done.returncode, told["flows"]["closed"]) == (1, 1)
    done, told = replay("-", "--baseline", WORLD, stdin=flow)
    assert (done.returncode, told["flows"]["same"], told["rows"][0]["was"]) == (0, 1, "deny")
    done, told = replay("-", "--baseline", WORLD, paths=[baseline], stdin=flow)
    assert (done.returncode, told["flows"]["opened"]) == (0, 1)
    nobody = tmp_path / "empty.yaml"
    nobody.write_text("")
    named = (FLOWS / "own.jsonl").read_text().splitlines()[0]
    done, told = replay("-", "--baseline", nobody, stdin=named)
    assert (done.returncode, told["flows"]["new"]) == (0, 4)


def test_formats_say_the_same():
    _, told = replay(FLOWS / "own.jsonl")
    want = [(row["change"], row["src"], row["dst"], row["service"], str(row["count"])) for row in told["rows"]]
    run = ["replay", WORLD, "--flows", FLOWS / "own.jsonl"]
    table = list(csv.reader(io.StringIO(rf.run(*run, "-o", "csv").stdout)))
    assert table[0] == ["change", "src", "dst", "service", "count", "was", "verdict", "decider"]
    assert [tuple(row[:5]) for row in table[1:]] == want
    lines = [line for line in rf.run(*run, "-o", "md").stdout.splitlines() if line.startswith("| ")]
    assert [tuple(cell.strip() for cell in line.split("|")[1:6]) for line in lines[1:]] == want
    text = rf.run(*run).stdout
    assert text.startswith("closed: was allowed, would be denied\n       5  deny  198.51.100.9 => ")
    assert "5 would be closed, 1 opened, 7 stay as they are, 0 of unknown fate\n" in text
    assert '6 not judged: an end is not known here ("/acme/shop/gone", line 7)' in text
    changed = rf.run(*run, "--changed-only").stdout
    assert "the same\n" not in changed and "7 stay as they are" in changed


BAD = [
    ("{", ""),
    ("[1, 2]", "which protocol"),
    ('{"verdict": "deny"} {}', "one JSON object"),
    ('{"verdict": "maybe", "src": {}, "dst": {}}', "allow or deny"),
    ('{"verdict": "deny", "src": {"address": "10.1.0.300"}, "dst": {"address": "10.1.0.7"}}', "an address"),
    ('{"verdict": "deny", "src": {"address": "10.1.0.3"}, "dst": {"address": "fd00::7"}, "protocol": "icmp"}', "two families"),
    ('{"verdict": "deny", "src": {}, "dst": {"address": "10.1.0.7"}, "protocol": "icmp"}', "who the source is"),
    ('{"verdict": "deny", "src": {"address": "10.1.0.8"}, "dst": {"address": "10.1.0.7"}, "protocol": "tcp"}', "which port"),
    ('{"verdict": "deny", "src": {"address": "10.1.0.8"}, "dst": {"address": "10.1.0.7", "port": 70000}, "protocol": "tcp"}', "1 to 65535"),
    ('{"verdict": "deny", "src": 5, "dst": {}, "protocol": "tcp"}', "an object"),
    ('{"verdict": "deny", "count": 0, "src": {}, "dst": {}}', '"count"'),
    ('{"flow": {"IP": {"source": "x"}, "l4": {"TCP": {"destination_port": 1}}}}', "an address"),
    ("tcp 6 5 ESTABLISHED src=10.0.0.1 sport=1 dport=2", "source and a destination"),
    ("tcp 6 5 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1", "which port"),
    ("what is this", "which protocol"),
    ("<flow><meta/></flow>", "which protocol"),
    ("tcp " + "x" * 70000, "too long"),
]


@pytest.mark.parametrize("line, why", BAD, ids=lambda value: value[:40])
def test_a_bad_line_is_told_and_is_not_the_end(line, why):
    good = (FLOWS / "conntrack-list.txt").read_text()
    done, told = replay("-", stdin=f"{good}{line}\n{good}")
    assert sum(told["flows"].values()) == 10
    assert "-:6: " in done.stderr and why in done.stderr
    assert "1 of 11 lines are no flows" in done.stderr
    done, told = replay("-", stdin=line)
    assert done.returncode == 2 and told is None and "there is no flow in it" in done.stderr


def test_no_flow_at_all_is_an_error(tmp_path):
    for text in ("", "\n\n# nothing\n", "conntrack v1.4.7 (conntrack-tools): 0 flow entries have been shown.\n"):
        assert replay("-", stdin=text)[0].returncode == 2
    assert replay(tmp_path / "absent")[0].returncode == 2
    assert rf.run("replay", WORLD).returncode == 2
    assert rf.run("replay", "-", "--flows", "-").returncode == 2
    assert rf.run("replay", WORLD, "--flows", "x", "--format", "pcap").returncode == 2


def test_many_kinds_of_flows_are_counted_beyond_what_is_told_apart():
    lines = [
        f"udp 17 9 src=198.18.{i // 65536}.{i % 250} dst=10.1.0.9 sport=1 dport={i % 60000 + 1}"
        for i in range(100_010)
    ]
    kinds = len({line.split(" src=")[1] for line in lines})
    done, told = replay("-", stdin="\n".join(lines + lines))
    assert done.returncode == 1 and told["flows"]["closed"] == 2 * len(lines)
    assert len(told["rows"]) == min(kinds, 100_000)
    assert told["beyond"]["closed"] == 2 * (kinds - len(told["rows"]))


def test_every_row_is_what_can_says(tmp_path):
    dice = random.Random(SEED)
    print("seed", SEED)
    ends = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "192.0.2.1"]
    for case in range(CASES):
        path = write(tmp_path / "world.yaml", world(dice))
        flows = []
        for _ in range(60):
            src, dst = dice.sample(ends, 2)
            flows.append((src, dst, dice.choice([79, 80, 81, 82, 85, 90])))
        text = "".join(f"tcp 6 9 ESTABLISHED src={s} dst={d} sport=1 dport={p}\n" for s, d, p in flows)
        done, told = replay("-", paths=[path], stdin=text)
        answers = can([path], [f"{s} {d} {p}/tcp" for s, d, p in flows])
        closed = answers.count("deny")
        assert told["flows"] == {"closed": closed, "opened": 0, "same": 60 - closed, "new": 0}
        assert done.returncode == (1 if closed else 0)
        questions = [f"{row['src']} {row['dst']} {row['service']}" for row in told["rows"]]
        assert can([path], questions) == [row["verdict"] for row in told["rows"]], f"case {case}"
        assert sum(row["count"] for row in told["rows"]) == 60
