"""`ringfence audit search|export|check|report|verify --against` on logs that were made by
other code than ours (tests/lib/auditlog.py)."""

import base64
import csv
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import auditlog  # noqa: E402
import rf  # noqa: E402
from auditlog import event, flow  # noqa: E402

HOSTILE = "<img src=x onerror=document.title='owned'>"
EVENTS = [
    event(0, verb="list"),
    event(1, verb="list"),
    event(2, user="bob", verb="delete", name="web-0", code=403, address="10.9.9.9"),
    event(3, user="bob", verb="delete", name="web-0", code=403, address="10.9.9.9"),
    event(4, user="", verb="get", code=401, address="fd00::9"),
    event(5, user="carol", tenant="/beta", namespace="beta", code=429),
    event(6, verb="create", resource="networkpolicies", group="networking.k8s.io", name="np",
          stage="RequestReceived"),
    event(6, verb="create", resource="networkpolicies", group="networking.k8s.io", name="np",
          code=201, second=7),
    event(8, verb="patch", resource="namespaces", namespace="shop-prod", name="shop-prod"),
    event(9, verb="post", uri="/ringfence/v1/login", resource="", tenant="/", token_issued="t1"),
    event(10, user="erin", verb="post", uri="/ringfence/v1/login", resource="", tenant="/", code=401),
    event(11, verb="post", uri="/ringfence/v1/tokens", resource="tokens", namespace="", name="t2",
          group="ringfence.dev", tenant="/", code=201, token="t1", token_issued="t2"),
    event(12, verb="delete", uri="/ringfence/v1/tokens/t2", resource="tokens", namespace="", name="t2",
          group="ringfence.dev", tenant="/", code=204, token="t1"),
    event(13, verb="update", name="lost", stage="RequestReceived"),
    event(14, user="ringfence:node:worker-1", verb="apply", uri="", resource="programs", namespace="",
          name="worker-1", group="ringfence.dev", tenant="", generation="7"),
    event(15, user="ringfence:node:worker-1", verb="heal", uri="", resource="programs", namespace="",
          name="worker-1", group="ringfence.dev", tenant="", generation="8"),
    flow(16, count=3),
    flow(17, count=4),
    flow(18, verb="audit-flow", count=2),
    event(19, user="ringfence:gate", verb="audit-resumed", uri="", resource="", tenant="/"),
    event(20, user=HOSTILE, tenant="/acme/" + HOSTILE, namespace="x", name="=1+1\n\x1b[31m\u202e",
          verb="get", uri="/api/v1/namespaces/x/pods?" + HOSTILE),
    event(21, verb="get", resource="pods", namespace="metrics", group="metrics.k8s.io",
          tenant="/acmeish"),
    event(22, verb="create", resource="pods", code=503),
    event(23, user="ringfence:gate", verb="suspend-account", uri="", resource="accounts",
          namespace="", name="bob", group="ringfence.dev", tenant="/", detail="locked"),
]  # fmt: skip
LINES = auditlog.lines_of(EVENTS)


def kind(e):
    """Which kind an event is, said once more."""
    code = e.get("responseStatus", {}).get("code", 0)
    ref = e.get("objectRef", {})
    if e["stage"] == "RequestReceived":
        return "started"
    if not e["requestURI"]:
        return {"apply": "applied", "heal": "healed", "deny-flow": "flow-denied",
                "audit-flow": "flow-watched", "audit-resumed": "gap", "suspend-account": "account"}[e["verb"]]  # fmt: skip
    if e["requestURI"] == "/ringfence/v1/login":
        return "login" if code < 400 else "login-failed"
    if code in (401, 403):
        return "denied"
    if code == 429:
        return "limited"
    if code >= 500:
        return "failed"
    if e["verb"] in ("get", "list", "watch"):
        return "read"
    if ref["resource"] == "tokens":
        return "token"
    return {"networkpolicies": "policy", "namespaces": "admin"}.get(ref["resource"], "change")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return auditlog.Key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def log(tmp_path_factory, key):
    return auditlog.write(tmp_path_factory.mktemp("log") / "audit", LINES, key, segments=3)


def audit(*args, status=0):
    done = subprocess.run([rf.program("ringfence-audit"), *map(str, args)],
                          capture_output=True, timeout=240, check=False)
    assert "Sanitizer" not in done.stderr.decode(), done.stderr
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode()


def search(log, *args, status=0):
    return [json.loads(line) for line in audit("search", log, "-o", "json", *args,
                                               status=status).splitlines()]


def under(path, subtree):
    return subtree == "/" or path == subtree or path.startswith(subtree + "/")


FILTERS = {
    ("--user", "bob"): lambda e: e["user"].get("username") == "bob",
    ("--user", HOSTILE): lambda e: e["user"].get("username") == HOSTILE,
    ("--tenant", "/acme"): lambda e: under(e["annotations"].get("ringfence.dev/tenant", ""), "/acme"),
    ("--tenant", "/"): lambda e: True,
    ("--verb", "list"): lambda e: e["verb"] == "list",
    ("--resource", "pods"): lambda e: e.get("objectRef", {}).get("resource") == "pods",
    ("--resource", "pods.metrics.k8s.io"):
        lambda e: e.get("objectRef", {}).get("apiGroup") == "metrics.k8s.io",
    ("--namespace", "beta"): lambda e: e.get("objectRef", {}).get("namespace") == "beta",
    ("--name", "web-0"): lambda e: e.get("objectRef", {}).get("name") == "web-0",
    ("--code", "403"): lambda e: e.get("responseStatus", {}).get("code") == 403,
    ("--code", "4xx"): lambda e: 400 <= e.get("responseStatus", {}).get("code", 0) < 500,
    ("--source", "10.9.0.0/16"): lambda e: e["sourceIPs"][0].startswith("10.9."),
    ("--source", "fd00::9"): lambda e: e["sourceIPs"][0] == "fd00::9",
    ("--stage", "RequestReceived"): lambda e: e["stage"] == "RequestReceived",
    ("--id", "id-6"): lambda e: e["auditID"] == "id-6",
    ("--token", "t2"): lambda e: "t2" in (e["annotations"].get("ringfence.dev/token-issued"),
                                          e.get("objectRef", {}).get("name")),
    ("--text", "onerror"): lambda e: "onerror" in json.dumps(e),
    ("--since", "2026-03-01T00:00:05Z", "--until", "2026-03-01T00:00:08.000001Z"):
        lambda e: 5 <= int(e["stageTimestamp"][17:19]) < 8,
    ("--user", "bob", "--verb", "delete", "--code", "403"): lambda e: e["user"].get("username") == "bob",
    **{("--kind", k): lambda e, k=k: kind(e) == k for k in map(kind, EVENTS)},
    ("--kind", "denied,limited"): lambda e: kind(e) in ("denied", "limited"),
}  # fmt: skip


@pytest.mark.parametrize("options", FILTERS, ids=" ".join)
def test_search_finds_exactly_what_matches(log, options):
    expected = [e for e in EVENTS if FILTERS[options](e)]
    assert expected
    assert search(log, *options) == expected
    rows = list(csv.DictReader(io.StringIO(audit("search", log, "-o", "csv", *options))))
    assert [int(r["index"]) for r in rows] == [EVENTS.index(e) for e in expected]
    assert [r["kind"] for r in rows] == [kind(e) for e in expected]


def test_nothing_found_is_1_and_bad_values_are_2(log, tmp_path):
    assert search(log, "--user", "nobody", status=1) == []
    for options in (["--since", "yesterday"], ["--code", "many"], ["--code", "6xx"],
                    ["--source", "here"], ["--kind", "bad"], ["--tenant", "acme"],
                    ["--user", "a", "--user", "b"], ["--limit", "0"], ["-o", "html"],
                    ["--key", "x"]):  # fmt: skip
        audit("search", log, *options, status=2)
    audit("search", tmp_path / "none", status=2)
    assert len(search(log, "--limit", "3")) == 3


def test_text_controls_no_terminal_and_csv_holds_no_formula(log):
    text = audit("search", log, "--user", HOSTILE)
    assert "\x1b" not in text and "\u202e" not in text and text.count("\n") == 1
    (row,) = csv.DictReader(io.StringIO(audit("search", log, "-o", "csv", "--user", HOSTILE)))
    assert row["name"].startswith("'=1+1") and row["user"] == HOSTILE


def test_line_that_is_no_json_is_told_and_the_rest_is_found(tmp_path, key):
    log = auditlog.write(tmp_path / "log", [LINES[0], b"{broken", LINES[1]], key)
    for command in (["search", log], ["export", log], ["export", log, "--proofs", tmp_path / "out"]):
        done = subprocess.run([rf.program("ringfence-audit"), *command, "-o", "json"],
                              capture_output=True, check=False)
        assert done.returncode == 2 and b"line 1 is no JSON" in done.stderr
        assert done.stdout.splitlines() == ([b"2 records with their proofs"] if "--proofs" in command
                                            else [LINES[0], LINES[1]])  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "out").glob("*.json")) == ["0.json", "2.json"]


# ---- proofs ----


def test_export_writes_proofs_that_anybody_can_check(log, key, tmp_path):
    out = tmp_path / "out"
    audit("export", log, "--kind", "denied", "--proofs", out)
    denied = [i for i, e in enumerate(EVENTS) if kind(e) == "denied"]
    assert sorted(int(p.stem) for p in out.glob("*.tlog-proof")) == denied
    hashes = [auditlog.leaf_hash(line) for line in LINES]
    for i in denied:
        assert (out / f"{i}.json").read_bytes() == LINES[i]
        head, note = (out / f"{i}.tlog-proof").read_text().split("\n\n", 1)
        path = [base64.b64encode(h).decode() for h in auditlog.path_of(i, hashes)]
        assert head.split("\n") == ["c2sp.org/tlog-proof@v1", f"index {i}", *path]
        assert note == key.checkpoint(LINES)
    public = log / "key.pub"
    assert audit("check", out, "--key", public) == f"{len(denied)} proved, 0 not\n"
    spoilt = out / f"{denied[0]}.json"
    spoilt.write_bytes(spoilt.read_bytes().replace(b"bob", b"eve"))
    audit("check", out, "--key", public, status=1)
    audit("check", out, "--key", tmp_path / "none", status=2)


@pytest.mark.parametrize("count", [1, 2, 7, 23])
def test_every_line_of_every_size_is_proved(tmp_path, key, count):
    log = auditlog.write(tmp_path / "log", LINES[:count], key)
    audit("export", log, "--proofs", tmp_path / "out")
    hashes = [auditlog.leaf_hash(line) for line in LINES[:count]]
    for i in range(count):
        head = (tmp_path / "out" / f"{i}.tlog-proof").read_text().split("\n\n")[0].split("\n")
        assert head[2:] == [base64.b64encode(h).decode() for h in auditlog.path_of(i, hashes)]
    assert audit("check", tmp_path / "out", "--key", log / "key.pub") == f"{count} proved, 0 not\n"


def test_no_proof_of_a_log_that_was_changed(tmp_path, key):
    log = auditlog.write(tmp_path / "log", LINES, key)
    text = (log / "log-0.jsonl").read_bytes()
    (log / "log-0.jsonl").write_bytes(text.replace(b'"bob"', b'"eve"', 1))
    audit("export", log, "--proofs", tmp_path / "out", status=2)
    assert not list((tmp_path / "out").glob("*.tlog-proof"))


# ---- verify, with what was kept elsewhere ----


def cut(log, key):
    return LINES[:-4]


def edit(log, key):
    return [LINES[0].replace(b"alice", b"carol"), *LINES[1:]]


def swap(log, key):
    return [LINES[1], LINES[0], *LINES[2:]]


def remove(log, key):
    return LINES[:2] + LINES[3:]


def insert(log, key):
    return LINES[:2] + [LINES[2]] + LINES[2:]


@pytest.mark.parametrize(
    "copy, tampering",
    [("directory", t) for t in (cut, edit, swap, remove, insert)]
    + [(c, t) for c in ("checkpoints", "syslog", "notes", "lines") for t in (cut, edit)],
)
def test_who_signs_the_log_anew_is_found_by_the_copy(log, key, tmp_path, tampering, copy):
    """The worst case: whoever tampers has the key, and signs what he leaves."""
    kept = tmp_path / "kept"
    early, late = key.checkpoint(LINES[:12]), key.checkpoint(LINES)
    if copy == "directory":
        shutil.copytree(log, kept)
    elif copy == "lines":
        kept.mkdir()
        (kept / "log-0.jsonl").write_bytes(b"".join(line + b"\n" for line in LINES[:-2]))
    elif copy == "checkpoints":
        kept.mkdir()
        (kept / "checkpoints").write_text(early + late)
    elif copy == "syslog":
        other = '<110>1 2026-03-01T00:00:00Z h ringfence - event - {"kind":"Event","x":{"checkpoint":"no"}}\n'
        wrap = "<110>1 2026-03-01T00:00:00Z h ringfence - checkpoint - "
        notes = [json.dumps({"checkpoint": n}, separators=(",", ":")) for n in (early, late)]
        kept.write_text(other + "".join(wrap + n + "\n" for n in notes))
    else:
        kept.write_text("mail:\n\n" + early + "\n\nand later\n" + late + "yours\n")
    assert audit("verify", log, "--against", kept).startswith("intact: ")
    bad = auditlog.write(tmp_path / "bad", tampering(log, key), key, segments=2)
    assert audit("verify", bad).startswith("intact: ")  # by itself it cannot be seen
    assert audit("verify", bad, "--against", kept, status=1).startswith("broken: ")


def test_log_that_goes_on_agrees_with_an_older_copy(log, key, tmp_path):
    (tmp_path / "kept").write_text(key.checkpoint(LINES[:5]) + key.checkpoint(LINES[:9]))
    assert audit("verify", log, "--against", tmp_path / "kept").startswith("intact: ")


def test_copy_of_another_log_tells_nothing_and_another_key_is_told(log, tmp_path):
    other = auditlog.Key(tmp_path, "elsewhere/audit")
    (tmp_path / "other").write_text(other.checkpoint(LINES))
    audit("verify", log, "--against", tmp_path / "other", status=2)
    (tmp_path / "empty").write_text("")
    audit("verify", log, "--against", tmp_path / "empty", status=2)
    audit("verify", log, "--against", tmp_path / "none", status=2)
    anew = auditlog.Key(tmp_path)
    (tmp_path / "anew").write_text(anew.checkpoint(LINES))
    assert "another key" in audit("verify", log, "--against", tmp_path / "anew", status=1)


def test_several_checkpoints(log, key, tmp_path):
    for n in (3, 11):
        (tmp_path / f"c{n}").write_text(key.checkpoint(LINES[:n]))
    options = ["--checkpoint", tmp_path / "c3", "--checkpoint", tmp_path / "c11"]
    assert audit("verify", log, *options).startswith("intact: ")
    bad = auditlog.write(tmp_path / "bad", edit(log, key), key)
    audit("verify", bad, *options, status=1)


# ---- the report ----


def report(log, *options, status=0):
    return json.loads(audit("report", log, "-o", "json", *options, status=status))


def table(paper, name):
    (found,) = [t for t in paper["tables"] if t["id"] == name]
    return [dict(zip(found["heads"], row)) for row in found["rows"]]


def test_report_counts_what_search_finds(log):
    for options in ([], ["--tenant", "/acme"], ["--since", "2026-03-01T00:00:09Z"]):
        paper = report(log, *options)
        found = search(log, *options)
        assert paper["summary"]["all"] == len(found)
        for name, count in paper["summary"].items():
            if name != "all" and options != ["--tenant", "/acme"]:
                hits = search(log, *options, "--kind", name, status=0 if count else 1)
                assert len(hits) == count == sum(kind(e) == name for e in found)
        for t in paper["tables"]:
            if "Records" in t["heads"]:
                assert t["records"] == sum(int(r[t["heads"].index("Records")]) for r in t["rows"])
            else:
                assert t["records"] == len(t["rows"])


def test_report_says_who_did_what(log, key):
    paper = report(log)
    assert paper["intact"] is True
    denied = table(paper, "denied")
    assert denied[0]["User"] == "bob" and denied[0]["Records"] == "2"
    assert denied[0]["First"] == EVENTS[2]["stageTimestamp"]
    assert denied[0]["Last"] == EVENTS[3]["stageTimestamp"]
    (policy,) = table(paper, "policy")
    assert policy["Resource"] == "networkpolicies.networking.k8s.io" and policy["Status"] == "201"
    assert [(t["Action"], t["Token"]) for t in table(paper, "tokens")] == [
        ("created", "t2"), ("revoked", "t2")]  # fmt: skip
    assert [(t["Token"], t["Records"]) for t in table(paper, "token-use")] == [("t1", "2")]
    assert [f["User"] for f in table(paper, "logins-failed")] == ["erin"]
    assert [u["Audit id"] for u in table(paper, "unfinished")] == ["id-13"]
    (flows,) = table(paper, "flows-denied")
    assert flows["Records"] == "2" and flows["Connections"] == "7"
    assert len(table(paper, "flows-watched")) == len(table(paper, "gaps")) == 1
    assert len(table(paper, "applied")) == len(table(paper, "healed")) == 1
    facts = paper["integrity"]
    assert facts["checkpoint"] == key.checkpoint(LINES)
    assert facts["root"] == key.checkpoint(LINES).split("\n")[2]
    assert facts["lines"] == facts["signed"] == str(len(LINES))
    assert facts["key"] == key.public.strip() and facts["gaps"] == "1"


def test_report_keeps_apart_what_differs_in_where_a_cell_ends(tmp_path, key):
    parts = [("a\x1fb", "c"), ("a", "b\x1fc"), ("1:a", "c"), ("1", "a1:c"), ("", "a\x1fb\x1fc")]
    lines = auditlog.lines_of(event(n, user=u, tenant=t) for n, (u, t) in enumerate(parts))
    paper = report(auditlog.write(tmp_path / "log", lines, key))
    rows = table(paper, "access")
    assert len(rows) == len(parts) and {r["Records"] for r in rows} == {"1"}


def test_report_of_a_log_that_is_not_whole_says_so(tmp_path, key):
    log = auditlog.write(tmp_path / "log", LINES, key)
    text = (log / "log-0.jsonl").read_bytes()
    (log / "log-0.jsonl").write_bytes(text.replace(b'"bob"', b'"eve"', 1))
    paper = report(log, status=1)
    assert paper["intact"] is False and "BROKEN" in paper["integrity"]["verdict"]
    assert 'class="broken"' in audit("report", log, status=1)


def test_report_as_csv_has_the_same_tables(log):
    rows = list(csv.reader(io.StringIO(audit("report", log, "-o", "csv"))))
    paper = report(log)
    for t in paper["tables"]:
        assert [r[1:] for r in rows if r[0] == "#" + t["id"]] == [t["heads"]]
        assert len([r for r in rows if r[0] == t["id"]]) == len(t["rows"])
    assert not [c for r in rows for c in r if c[:1] in tuple("=+-@")]


@pytest.mark.skipif(not shutil.which("chromedriver"), reason="no chromium")
def test_report_page_in_a_browser(log, tmp_path):
    pytest.importorskip("selenium", reason="no python3-selenium")
    import browser  # noqa: PLC0415

    (tmp_path / "report.html").write_text(audit("report", log))
    driver = browser.start(tmp_path / "profile")
    try:
        driver.get((tmp_path / "report.html").as_uri())
        assert driver.title == "Audit report"
        shown = driver.execute_script("""
            return Object.fromEntries([...document.querySelectorAll('section[id]')].map((s) => [
                s.id, [...s.querySelectorAll('tbody tr')].map(
                    (r) => [...r.children].map((c) => c.textContent))]));
        """)
        for t in report(log)["tables"]:
            unsafe = re.compile("[\x00-\x1f\u202e]")
            assert shown[t["id"]] == [[unsafe.sub("?", c) for c in row] for row in t["rows"]]
        assert ["all", str(len(EVENTS))] in shown["summary"]
        # The style is in force, so its digest is right; and nothing was refused.
        assert driver.execute_script(
            "return getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse"
        assert [e["message"] for e in driver.get_log("browser")] == []
        assert driver.execute_script(
            "return document.querySelectorAll('img, script, iframe, object').length") == 0
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert driver.execute_script(
            "return getComputedStyle(document.querySelector('nav')).display") == "none"
        assert driver.execute_script(
            "return document.documentElement.scrollWidth <= innerWidth")
    finally:
        driver.quit()


def test_report_page_is_one_file_and_escapes_everything(log):
    page = audit("report", log)
    assert "<img" not in page and "<script" not in page and "\x1b" not in page
    assert not re.search(r"(src|href)=[\"'](?!#)", page)
    assert "&lt;img src=x onerror=document.title=&#39;owned&#39;&gt;" in page
