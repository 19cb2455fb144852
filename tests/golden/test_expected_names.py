"""`ringfence test` with domain names: what a document says of them holds for all that it asks, and nowhere else."""

import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
sys.path.insert(0, str(HERE))
import rf  # noqa: E402
from test_expectations import document, expect  # noqa: E402
from test_explain import write  # noqa: E402
from test_known_names import WORLD  # noqa: E402

WEB, ETL = "/acme/shop/web", "/bi/etl"
NAMES = [
    {"name": "api.cards.example", "addresses": ["203.0.113.7", "2001:db8::7", "10.1.0.2"]},
    {"name": "WWW.Example.", "addresses": ["203.0.113.7", "203.0.113.10"]},
    {"name": "ads.example", "addresses": ["203.0.113.9"]},
    {"name": "six.cards.example", "addresses": ["2001:db8::6"]},
    {"name": "inside.cards.example", "addresses": ["10.1.0.2", "fd00::1"]},
]
HOLD = [
    expect(WEB, "api.cards.example", "allow", "443/tcp", by="pay"),
    expect([WEB, ETL], "API.cards.example.", "allow", "443/tcp"),  # both tenants asked for it
    expect(WEB, "www.example", "allow", "443/tcp", by="pay"),  # of its addresses one is another name's
    expect(WEB, "203.0.113.7", "allow", "443/tcp", by="pay"),
    expect(WEB, "203.0.113.10", "deny", "443/tcp", by="isolation"),
    expect(WEB, "203.0.113.11", "deny", "443/tcp", by="isolation"),
    expect(WEB, "10.1.0.2", "deny", "443/tcp"),
    expect(WEB, "ads.example", "deny", "80/tcp", by="no-ads"),
    expect(WEB, "203.0.113.12", "deny", "80/tcp", by="no-ads"),  # it may be the one
    expect(WEB, "api.cards.example", "allow", "80/tcp", by="pay"),
    expect(WEB, "six.cards.example", "allow", "443/tcp", family=6),
    expect(WEB, "unlisted.cards.example", "allow", "443/tcp", by="pay"),  # stands for any
    expect(WEB, "cards.example", "deny", "443/tcp"),
    expect({"namespace": "/"}, ["api.cards.example", "six.cards.example"], "allow", "1-79/tcp", "udp"),
]


@pytest.fixture(name="run")
def runner(tmp_path):
    def run(*documents):
        (tmp_path / "world.yaml").write_text(WORLD)
        done = rf.run("test", "-o", "json", tmp_path / "world.yaml", write(tmp_path / "tests.yaml", list(documents)))
        return done, json.loads(done.stdout) if done.stdout else None

    return run


def named(*expectations, names=NAMES, **more):
    made = document(*expectations, **more)
    made["spec"]["names"] = names
    return made


@pytest.mark.parametrize("one", HOLD, ids=str)
def test_what_holds_is_told_to_hold(run, one):
    done, told = run(named(one))
    assert done.returncode == 0, done.stdout
    assert told["results"][0]["checks"] > 0


@pytest.mark.parametrize("one", [one for one in HOLD if "by" not in one], ids=str)
def test_the_opposite_fails(run, one):
    opposite = {**one, "verdict": "deny" if one["verdict"] == "allow" else "allow"}
    done, told = run(named(opposite))
    assert done.returncode == 1 and told["results"][0]["failed"] == told["results"][0]["checks"]


def test_names_are_of_their_document(run):
    """An address that one document has a name for has none in the next, nor has the name that address."""
    ask = expect(WEB, "203.0.113.7", "deny", "443/tcp")
    other = [{"name": "api.cards.example", "addresses": ["203.0.113.99"]}]
    done, told = run(named(expect(WEB, "203.0.113.7", "allow", "443/tcp"), name="a"), document(ask, name="b"),
                     named(ask, expect(WEB, "203.0.113.99", "allow", "443/tcp"), names=other, name="c"))
    assert done.returncode == 0, done.stdout
    assert told["passed"] == 4


@pytest.mark.parametrize("src, dst, problem", [
    (WEB, "inside.cards.example", "a name never leads inside"),
    ("192.0.2.1", "api.cards.example", "only workloads know addresses by names"),
    (WEB, "six.cards.example", "no pair of addresses"),
])
def test_what_cannot_be_asked_fails(run, src, dst, problem):
    done, told = run(named(expect(src, dst, "allow", "443/tcp", family=4)))
    assert done.returncode == 1
    [failure] = told["results"][0]["failures"]
    assert problem in failure["problem"] and failure["to"] == dst


def test_the_failure_names_the_name(run):
    _, told = run(named(expect([WEB, ETL], "ads.example", "allow", "80/tcp")))
    failures = told["results"][0]["failures"]
    assert [(failure["from"], failure["to"]) for failure in failures] == [
        (f"{src}[Workload]", "ads.example") for src in (WEB, ETL)]
    assert {failure["egress"]["rule"]["name"] for failure in failures} == {"no-ads"}


def mistaken(names, to="api.example", src="a/b"):
    return f"spec:\n  names: {names}\n  expect: [{{from: {src}, to: \"{to}\", verdict: deny}}]\n"


MANY = ", ".join(f"198.18.{i // 250}.{i % 250}" for i in range(8193))
WRONG = [
    (mistaken("[{name: '*.example.org', addresses: [192.0.2.1]}]"), "bad-name", (5, 18)),
    (mistaken("[{name: localhost, addresses: [192.0.2.1]}]"), "bad-name", (5, 18)),
    (mistaken("[{name: a.example, addresses: [192.0.2]}]"), "bad-address", (5, 41)),
    (mistaken("[{name: a.example, addresses: [192.0.2.0/24]}]"), "bad-address", (5, 41)),
    (mistaken("[{name: a.example, addresses: []}]"), "too-many", (5, 40)),
    (mistaken("[{name: a.example}]"), "missing-field", (5, 11)),
    (mistaken("[{fqdn: a.example, name: a.example, addresses: [192.0.2.1]}]"), "unknown-field", (5, 12)),
    (mistaken("[{name: a.example, addresses: [192.0.2.1]}, {name: A.example., addresses: [192.0.2.2]}]"),
     "duplicate-value", (5, 61)),
    (mistaken(f"[{{name: a.example, addresses: [{MANY}]}}]"), "too-many", (5, 10)),
    (mistaken("[]", to="203.0.113.300"), "bad-value", (6, 28)),
    (mistaken("[{name: 203.0.113.300, addresses: [192.0.2.1]}]"), "bad-name", (5, 18)),
    (mistaken("{a.example: [192.0.2.1]}"), "wrong-type", (5, 10)),
    (mistaken("[]", to="*.example.org"), "bad-value", (6, 28)),
    (mistaken("[]", src="a.example.org"), "bad-value", (6, 19)),
]


@pytest.mark.parametrize("spec, code, place", WRONG, ids=lambda value: str(value)[:60])
def test_a_mistake_is_told_at_its_place(spec, code, place, tmp_path):
    (tmp_path / "t.yaml").write_text(
        f"apiVersion: ringfence.dev/v1alpha1\nkind: Test\nmetadata: {{name: t, namespace: /}}\n{spec}")
    [one] = json.loads(rf.run("check", "-o", "json", tmp_path / "t.yaml").stdout)
    assert (one["severity"], one["code"], (one["line"], one["column"])) == ("error", code, place)
    assert rf.run("test", tmp_path / "t.yaml").returncode == 2
