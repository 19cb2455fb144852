"""`ringfence test`: Test documents, what they accept, and what they report."""

import json
import pathlib
import random
import sys
import xml.etree.ElementTree as xml

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
sys.path.insert(0, str(HERE))
import rf  # noqa: E402
from test_explain import CASES, NATIVE, SEED, can, world, write  # noqa: E402

WORLD = HERE / "world.yaml"


def document(*expectations, name="t", namespace="/acme"):
    return {
        "apiVersion": NATIVE,
        "kind": "Test",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"expect": list(expectations)},
    }


def expect(src, dst, verdict, *ports, **more):
    made = {"from": src, "to": dst, "verdict": verdict, **more}
    return {**made, "ports": list(ports)} if ports else made


@pytest.fixture(name="run")
def runner(tmp_path):
    def run(*expectations, options=(), paths=(WORLD,), form="json"):
        path = write(tmp_path / "tests.yaml", [document(*expectations)] if expectations else [])
        done = rf.run("test", "-o", form, *options, *paths, path)
        return done, (json.loads(done.stdout) if form == "json" and done.stdout else done.stdout)

    return run


HOLD = [
    expect("shop-prod/web-7d9f", "/acme/data/db-1", "allow", "5432/tcp"),
    expect("shop-prod/web-7d9f", "/acme/data/db-1", "allow", "pg", by="db"),
    expect("shop-prod/web-7d9f", "/acme/data/db-1", "allow", "pg", by="/acme/data/db"),
    expect("shop-prod/web-7d9f", "/acme/data/db-1", "allow", "pg", by="Policy /acme/data/db rule 0"),
    expect("shop-prod/cron", ["/acme/data/db-1", "10.1.0.7"], "deny", "5432/tcp", "icmp", by="db"),
    expect("shop-prod/cron", "169.254.169.254", "deny", by="no-metadata"),
    expect("shop-prod/cron", "192.0.2.1", "allow", "tcp", by="cluster-default"),
    expect("192.0.2.9", "shop-prod/web-7d9f", "deny", "1-8079/tcp", "8081-65535/tcp", "udp"),
    expect("192.0.2.9", "shop-prod/web-7d9f", "allow", "http"),
    expect("fd00::8", "/acme/data/db-1", "allow", "5432/tcp", family=6),
    expect({"namespace": "/acme/shop"}, "169.254.169.254", "deny"),
    expect({"workloads": {"matchLabels": {"app": "web"}}, "namespace": "/"}, "/acme/data/db-1", "allow", "pg"),
    expect({"namespace": "/"}, {"namespace": "/acme/shop"}, "deny", "22/tcp"),
]


@pytest.mark.parametrize("one", HOLD, ids=str)
def test_what_holds_is_told_to_hold(run, one):
    done, told = run(one)
    assert done.returncode == 0, done.stdout
    assert (told["passed"], told["failed"]) == (1, 0) and told["results"][0]["checks"] > 0


@pytest.mark.parametrize("one", [o for o in HOLD if "by" not in o], ids=str)
def test_the_opposite_of_what_holds_fails(run, one):
    opposite = {**one, "verdict": "deny" if one["verdict"] == "allow" else "allow"}
    done, told = run(opposite)
    assert done.returncode == 1
    [result] = told["results"]
    assert not result["ok"] and result["failed"] == result["checks"]
    assert all(failure["found"] == one["verdict"] for failure in result["failures"])


FAIL = [
    (expect("shop-prod/wev-7d9f", "10.1.0.7", "deny", "1/tcp"), 'did you mean "shop-prod/web-7d9f"?'),
    (expect("shop-prod/cron", "/acme/data/db-2", "deny", "1/tcp"), 'did you mean "/acme/data/db-1"?'),
    (expect("10.1.0.7", "fd00::8", "deny", "1/tcp"), "no pair of addresses"),
    (expect("10.1.0.7", "192.0.2.1", "allow", "pg"), 'gives no port the name "pg"'),
    (expect({"workloads": {"matchLabels": {"app": "none"}}}, "10.1.0.7", "deny"), "there is none of"),
    (expect({"namespace": "/acme/data"}, {"namespace": "/acme/data"}, "allow"), "nothing was asked"),
    (expect("shop-prod/cron", "169.254.169.254", "deny", by="no-metadta"), 'did you mean "no-metadata"?'),
    (expect("192.0.2.9", "shop-prod/web-7d9f", "deny", "tcp"), "expected deny, found allow"),
    (expect("192.0.2.9", "shop-prod/web-7d9f", "allow", "8080-8081/tcp"), "expected allow, found deny"),
]


@pytest.mark.parametrize("one, problem", FAIL, ids=str)
def test_what_cannot_be_asked_or_does_not_hold_fails(run, one, problem):
    done, told = run(one)
    assert done.returncode == 1
    failures = told["results"][0]["failures"]
    assert any(problem in failure["problem"] for failure in failures), failures


def test_the_port_that_breaks_an_expectation_is_named(run):
    _, told = run(expect("192.0.2.9", "shop-prod/web-7d9f", "deny", "tcp"))
    [failure] = told["results"][0]["failures"]
    assert failure["service"] == "8080/tcp"
    assert failure["ingress"]["rule"]["policy"] == "web"
    _, told = run(expect("192.0.2.9", "shop-prod/web-7d9f", "allow", "8080-9000/tcp"))
    assert told["results"][0]["failures"][0]["service"] == "8081-9000/tcp"


def test_ports_are_allowed_where_one_family_allows_them(tmp_path):
    def workload(name, number):
        spec = {"ips": [f"10.0.0.{number}", f"fd00::{number}"]}
        metadata = {"name": name, "namespace": "/x", "labels": {"app": name}}
        return {"apiVersion": NATIVE, "kind": "Workload", "metadata": metadata, "spec": spec}

    def rule(cidr, ports):
        return {"from": [{"cidr": cidr}], "ports": [ports]}

    rules = [rule("fd00::/16", "80-90/tcp"), rule("10.0.0.0/8", "85-99/tcp")]
    policy = {
        "apiVersion": NATIVE, "kind": "Policy", "metadata": {"name": "p", "namespace": "/x"},
        "spec": {"workloads": {"matchLabels": {"app": "b"}}, "allow": {"ingress": rules}},
    }
    for ports, verdict, family, holds in [
        ("80-99/tcp", "allow", None, True),
        ("80-99/tcp", "allow", 4, False),
        ("80-84/tcp", "deny", 4, True),
        ("91-99/tcp", "deny", 6, True),
        ("80-84/tcp", "deny", None, False),
        ("1-79/tcp", "deny", None, True),
        ("79-80/tcp", "allow", None, False),
    ]:
        one = expect("/x/a", "/x/b", verdict, ports, **({"family": family} if family else {}))
        documents = [workload("a", 1), workload("b", 2), policy, document(one, namespace="/x")]
        done = rf.run("test", write(tmp_path / "w.yaml", documents))
        assert (done.returncode == 0) == holds, (ports, verdict, family, done.stdout)


def test_the_report_says_what_decided_instead(run):
    done, text = run(
        expect("shop-prod/cron", "/acme/data/db-1", "allow", "5432/tcp", name="cron too"), form="text"
    )
    assert done.returncode == 1
    assert "FAIL  /acme/t: cron too (" in text and "tests.yaml:1:" in text
    assert "expected allow, found deny" in text
    assert "Policy /acme/data/db isolates it" in text and "world.yaml:53:7" in text
    assert "without it: denied by the default rule \"closed\"" in text
    assert text.endswith("0 expectations hold, 1 does not (1 check)\n")


def test_junit_is_what_its_readers_take(run):
    odd = 'a < b & "c" \u00e9'
    done, text = run(
        expect("shop-prod/cron", "169.254.169.254", "deny", name="one"),
        expect("shop-prod/cron", "169.254.169.254", "allow", name=odd),
        form="junit",
    )
    assert done.returncode == 1
    root = xml.fromstring(text)
    assert root.tag == "testsuites" and (root.get("tests"), root.get("failures")) == ("2", "1")
    [suite] = root
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("/acme/t", "2", "1")
    good, bad = suite
    assert good.find("failure") is None
    assert bad.get("name") == '/acme/t: a < b & "c" \u00e9'
    assert bad.find("failure").get("message") == "expected allow, found deny"
    assert "no-metadata" in bad.find("failure").text


def test_a_filter_leaves_out(run):
    two = [expect("shop-prod/cron", "169.254.169.254", "deny", name=name) for name in ("one", "two")]
    done, told = run(*two, options=["--filter", "t: two"])
    assert done.returncode == 0
    assert [result["name"] for result in told["results"]] == ["two"] and told["leftOut"] == 1
    done, _ = run(*two, options=["--filter", "three"])
    assert (done.returncode, done.stdout) == (2, "") and '"three"' in done.stderr


def test_no_test_at_all_is_an_error(run):
    done, _ = run()
    assert (done.returncode, done.stdout) == (2, "") and "no Test document" in done.stderr
    done, told = run(options=["--allow-none"])
    assert done.returncode == 0 and told["results"] == []


def test_only_ten_failures_are_told_and_all_are_counted(run):
    many = [f"192.0.2.{i}" for i in range(1, 20)]
    _, told = run(expect(many, "shop-prod/cron", "allow", "22/tcp"))
    [result] = told["results"]
    assert result["failed"] == 19 and len(result["failures"]) == 10
    _, text = run(expect(many, "shop-prod/cron", "allow", "22/tcp"), form="text")
    assert "and 9 more" in text


def test_the_samples_hold():
    done = rf.run("test", rf.ROOT / "samples" / "policies")
    assert done.returncode == 0, done.stdout


# ---- mistakes in a Test are found when it is read

WRONG = [
    ("{from: a/b, to: c/d, verdict: alow}", "bad-value", 'did you mean "allow"?'),
    ("{from: a/b, to: c/d}", "missing-field", '"verdict"'),
    ("{from: a/b, too: c/d, verdict: deny}", "unknown-field", 'did you mean "to"?'),
    ("{from: a/b, to: c/d, action: deny, verdict: deny}", "unknown-field", '"verdict"'),
    ("{from: a/b, to: c/d, verdict: deny, ports: [443]}", "bad-port", "443/tcp"),
    ("{from: a/b, to: c/d, verdict: deny, ports: [443/quic]}", "bad-port", "quic"),
    ("{from: a/b, to: c/d, verdict: deny, ports: [70000/tcp]}", "bad-port", ""),
    ("{from: a/b, to: c/d, verdict: deny, family: 5}", "bad-value", "4 or 6"),
    ("{from: web, to: c/d, verdict: deny}", "bad-value", "NAMESPACE/NAME"),
    ("{from: [], to: c/d, verdict: deny}", "too-many", "at least one"),
    ("{from: {cidr: 10.0.0.0/8}, to: c/d, verdict: deny}", "bad-value", "workloads"),
    ("{from: {podSelector: {}}, to: c/d, verdict: deny}", "unknown-field", "workloads"),
    ("{from: {namespace: ../../x}, to: c/d, verdict: deny}", "bad-path", ""),
    ("{from: 3, to: c/d, verdict: deny}", "wrong-type", ""),
]


@pytest.mark.parametrize("text, code, said", WRONG, ids=lambda value: value[:50])
def test_a_mistake_is_told_at_its_line(text, code, said, tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(
        f"apiVersion: {NATIVE}\nkind: Test\nmetadata: {{name: t, namespace: /}}\n"
        f"spec:\n  expect:\n    - {text}\n"
    )
    [one] = json.loads(rf.run("check", "-o", "json", path).stdout)
    assert (one["severity"], one["code"], one["line"]) == ("error", code, 6)
    assert said in one["message"] + (one.get("hint") or "")
    assert rf.run("test", path).returncode == 2


@pytest.mark.parametrize("spec", ["", "spec: {}\n", "spec: {expekt: []}\n", "spec: {expect: {}}\n"])
def test_a_test_without_expectations_is_a_mistake(spec, tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(f"apiVersion: {NATIVE}\nkind: Test\nmetadata: {{name: t, namespace: /}}\n{spec}")
    assert rf.run("check", path).returncode == 2


# ---- against `can`


def test_ranges_hold_exactly_where_every_port_does(tmp_path):
    """An expectation over a range of ports is one over each of them."""
    dice = random.Random(SEED)
    print("seed", SEED)
    outcomes = set()
    for case in range(CASES):
        documents = world(dice)
        low = dice.randint(78, 90)
        high = low + dice.randint(1, 8)
        verdict = dice.choice(["allow", "deny"])
        test = document(expect("/x/y/a", "/x/b", verdict, f"{low}-{high}/tcp"), namespace="/x")
        path = write(tmp_path / "w.yaml", documents)
        told = rf.run("test", path, write(tmp_path / "t.yaml", [test])).returncode
        answers = can([path], [f"/x/y/a /x/b {port}/tcp" for port in range(low, high + 1)])
        assert (told == 0) == all(answer == verdict for answer in answers), f"seed {SEED} case {case}"
        outcomes.add(told)
    assert outcomes == {0, 1}
