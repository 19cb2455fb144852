"""Routes in the tool's answers: `can` and `explain` agree, and policy is asked of the original
client and the real destination."""

import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import rf  # noqa: E402

WORLD = "routes.yaml"
WEB, CANARY, DB = "/acme/shop/web-1", "/acme/shop/canary", "/ops/db"
PUBLISHED = "203.0.113.80"


def run(*args, **kwargs):
    return rf.run(*args, cwd=HERE, **kwargs)


def can(*questions, paths=(WORLD,)):
    done = run("can", *paths, "--batch", "-", stdin="\n".join(questions) + "\n")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def explain(*question):
    done = run("explain", "-o", "json", WORLD, "--", *question)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def edited(tmp_path, old, new):
    text = (HERE / WORLD).read_text()
    assert text.count(old) == 1
    path = tmp_path / "edited.yaml"
    path.write_text(text.replace(old, new))
    return (path,)


def test_a_route_that_denies_is_a_denial():
    assert can(f"{WEB} 192.0.2.9 25/tcp", f"{WEB} 192.0.2.9 443/tcp") == ["deny", "allow"]
    # It has a source of one family only, and what it cannot follow it refuses.
    assert can(f"{WEB} 2001:db8::9 443/tcp", f"{WEB} 2001:db8::9 53/udp") == ["deny", "allow"]


def test_a_published_address_does_not_bypass_policy():
    # Policy opens 8000-8500 at web to 192.0.2.0/24; https leads to 8443, 9443 and the canary.
    assert can(
        f"192.0.2.9 {PUBLISHED} 443/tcp",
        f"192.0.2.9 {PUBLISHED} 8500/tcp",
        f"192.0.2.9 {PUBLISHED} 8501/tcp",
        f"198.51.100.9 {PUBLISHED} 8500/tcp",
    ) == ["allow", "allow", "deny", "deny"]
    told = explain("198.51.100.9", PUBLISHED, "443/tcp")["families"][0]["routes"]["ingress"]
    assert {t["workload"]: (t["verdict"], t["port"], t["share"]) for t in told["targets"]} == {
        "/acme/shop/web-1[Workload]": ("deny", 8443, "9/20"),
        "/acme/shop/web-2[Workload]": ("deny", 9443, "9/20"),
        "/acme/shop/canary[Workload]": ("allow", 8443, "1/10"),
    }


def test_a_published_address_with_nobody_behind_it_is_closed(tmp_path):
    # A port that no workload gives that name.
    paths = edited(tmp_path, "targetPort: https", "targetPort: nowhere")
    assert can(f"192.0.2.9 {PUBLISHED} 443/tcp", paths=paths) == ["deny"]


def test_via_refuses_when_nothing_is_there_to_go_through(tmp_path):
    gone = edited(tmp_path, "labels: { app: fw } }", "labels: { app: none } }")
    assert can(f"{WEB} {DB} 5432/tcp") == ["allow"]
    assert can(f"{WEB} {DB} 5432/tcp", paths=gone) == ["deny"]


@pytest.mark.parametrize(
    "src, dst",
    [
        (WEB, "198.51.100.9"),
        (WEB, "192.0.2.9"),
        (WEB, "2001:db8::9"),
        (WEB, PUBLISHED),
        (WEB, DB),
        (CANARY, PUBLISHED),
        ("192.0.2.9", PUBLISHED),
        ("198.51.100.9", PUBLISHED),
        ("192.0.2.9", WEB),
    ],
)
def test_can_and_explain_agree_at_the_edges_of_every_interval(src, dst):
    for family in explain(src, dst)["families"]:
        questions, want = [], []
        for interval in family["intervals"]:
            if interval["proto"] in ("tcp", "udp"):
                for port in {interval["from"], interval["to"]}:
                    questions.append(f"{src} {dst} {port}/{interval['proto']}")
                    want.append(interval["verdict"])
        assert can(*questions) == want
        # And one port inside each, asked alone.
        for interval in [i for i in family["intervals"] if i["proto"] == "tcp"][:3]:
            port = (interval["from"] + interval["to"]) // 2
            assert explain(src, dst, f"{port}/tcp")["verdict"] == interval["verdict"]


TEST = """
---
apiVersion: ringfence.dev/v1alpha1
kind: Test
metadata: {{ name: t, namespace: /acme/shop }}
spec:
  expect:
    - {{ from: {{ namespace: /acme/shop }}, to: 192.0.2.9, ports: [{ports}], verdict: deny, by: {by} }}
"""


@pytest.mark.parametrize(
    "ports, by, status",
    [
        ("25/tcp", "not-by-mail", 0),
        ("25/tcp", "edge", 0),
        ("25/tcp", "Route /acme/edge", 0),
        ("25/tcp", "published", 1),
        ("24-25/tcp", "not-by-mail", 1),
    ],
)
def test_an_expectation_can_name_a_route(tmp_path, ports, by, status):
    path = tmp_path / "world.yaml"
    path.write_text((HERE / WORLD).read_text() + TEST.format(ports=ports, by=by))
    done = run("test", path)
    assert done.returncode == status, done.stdout
    assert ("route (egress): " in done.stdout) == (by == "published")


WAY = """
---
apiVersion: ringfence.dev/v1alpha1
kind: Test
metadata: {{ name: t, namespace: /acme/shop }}
spec: {{ expect: [{{ from: {src}, to: {dst}, ports: [{ports}], verdict: {verdict}, family: 4, route: {route} }}] }}
"""
BANK = (WEB, "198.51.100.9", "443/tcp")
MAIL = (WEB, "192.0.2.9", "80/tcp")
HTTPS = ("192.0.2.1", PUBLISHED, "443/tcp")
INSIDE = (WEB, DB, "5432/tcp")
APPS = "{ workloads: { matchLabels: { app: %s } } }"


@pytest.mark.parametrize(
    "ends, route, problem",
    [
        (BANK, "{ source: [203.0.113.64/28], gateway: [gw-2, gw-1], nextHop: [10.9.0.254] }", None),
        (BANK, "{ source: [203.0.113.0/24] }", None),
        (BANK, "{ source: [203.0.113.64/29] }", "it leaves with 203.0.113.64/28"),
        (BANK, "{ gateway: [gw-1, gw-2] }", "it leaves by gw-2, gw-1"),
        (BANK, "{ gateway: [gw-2] }", "it leaves by gw-2, gw-1"),
        (BANK, "{ nextHop: [10.9.0.253] }", "its next hop is 10.9.0.254"),
        (BANK, "{ direct: true }", "a Route says how it leaves"),
        (MAIL, "{ source: [203.0.113.7] }", None),
        (MAIL, "{ nextHop: [10.9.0.254] }", "its next hop is the node's choice"),
        (HTTPS, "{ leadsTo: [%s, %s] }" % (APPS % "web", CANARY), None),
        (HTTPS, "{ leadsTo: %s }" % (APPS % "web"), "it may lead to /acme/shop/canary"),
        (HTTPS, "{ through: /ops/fw-1 }", "it goes through nothing"),
        (INSIDE, "{ through: /ops/fw-1 }", None),
        (INSIDE, "{ through: { namespace: /ops, workloads: { matchLabels: { app: fw } } } }", None),
        (INSIDE, "{ through: /ops/db }", "it may go through /ops/fw-1"),
        (INSIDE, "{ through: /ops/none }", "none"),
        (INSIDE, "{ direct: true }", "it goes through something"),
        (INSIDE, "{ source: [203.0.113.7] }", "it leaves with its own address"),
        (INSIDE, "{ leadsTo: /ops/db }", "nobody publishes it"),
        ((DB, "192.0.2.9", "80/tcp"), "{ direct: true }", None),
        ((DB, "192.0.2.9", "80/tcp"), "{ gateway: [gw-1] }", "it leaves by its own node"),
        ((WEB, "198.51.100.9", "442-443/tcp"), "{ gateway: [gw-2, gw-1] }", "its own node"),
    ],
)
def test_an_expectation_can_say_how_it_goes(tmp_path, ends, route, problem):
    path = tmp_path / "world.yaml"
    src, dst, ports = ends
    path.write_text((HERE / WORLD).read_text() + WAY.format(
        src=src, dst=dst, ports=ports, verdict="allow", route=route))
    done = run("test", path)
    assert (done.returncode, done.stderr) == (1 if problem else 0, ""), done.stdout
    assert (problem or "") in done.stdout


@pytest.mark.parametrize(
    "verdict, route, said",
    [
        ("allow", "{}", "says something"),
        ("allow", "{ direct: false }", '"direct" is true'),
        ("allow", "{ direct: true, source: [203.0.113.7] }", "stands alone"),
        ("deny", "{ source: [203.0.113.7] }", "goes nowhere"),
        ("allow", "{ source: [203.0.113.x] }", "neither an address nor a network"),
        ("allow", "{ gateway: [[]] }", "a gateway must be"),
        ("allow", "{ gateway: [] }", '"gateway" must have at least one node'),
        ("allow", "{ gateway: [], source: [203.0.113.0/24] }", '"gateway" must have at least one node'),
        ("allow", "{ through: nobody }", "an end is"),
        ("allow", "{ sources: [203.0.113.7] }", "sources"),
    ],
)
def test_what_an_expectation_cannot_say_of_routes(tmp_path, verdict, route, said):
    path = tmp_path / "world.yaml"
    path.write_text((HERE / WORLD).read_text() + WAY.format(
        src=WEB, dst="198.51.100.9", ports="443/tcp", verdict=verdict, route=route))
    done = run("test", path)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr and f"{path}:" in done.stderr


def test_diff_tells_routes(tmp_path):
    new = edited(tmp_path, "source: [203.0.113.64/28]", "source: [203.0.113.64/27]")
    done = run("diff", "-o", "json", WORLD, *new)
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert (told["same"], told["connections"], told["policies"]) == (False, [], [])
    (change,) = told["routes"]
    assert change["change"] == "changed"
    assert change["text"].startswith("Route /acme/shop/shop default egress rule 0: ")
    assert "source 203.0.113.64/28; " in change["text"].split(" -> ")[0]
    assert "source 203.0.113.64/27; " in change["text"].split(" -> ")[1]
    for output in ("txt", "md"):
        assert change["text"].split(" -> ")[0] in run("diff", "-o", output, WORLD, *new).stdout


@pytest.mark.parametrize(
    "old, new",
    [
        ("name: edge, namespace: /acme }\nspec:", "name: edge, namespace: /acme }\nspec:\n  priority: 1"),
        ("workloads: { matchLabels: { app: web } }\n  default:\n    egress", "default:\n    egress"),
        ("{ name: not-by-mail, ", "{ "),
        ("{ name: below-decides, action: pass", "{ name: below-decides, action: direct"),
        ("balance: hash", "balance: random"),
        ("targetPort: https", "targetPort: 8443"),
        ("weight: 9 }", "weight: 8 }"),
        ("gateway: [gw-2, gw-1]", "gateway: [gw-1, gw-2]"),
        ("nextHop: [10.9.0.254]", "nextHop: [10.9.0.253]"),
        ("ports: [8000-8999/tcp]", "ports: [8000-8998/tcp]"),
        ("workloads: { matchLabels: { app: fw } } }", "workloads: { matchLabels: { app: fw } } }\n        onFailure: direct"),
        ('fqdns: ["*.bank.example"]', 'fqdns: ["*.banc.example"]'),
    ],
)
def test_diff_misses_no_part_of_a_route(tmp_path, old, new):
    done = run("diff", "-o", "json", WORLD, *edited(tmp_path, old, new))
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["routes"]


def test_diff_does_not_take_spelling_for_a_change(tmp_path):
    text = (HERE / WORLD).read_text()
    path = tmp_path / "same.yaml"
    path.write_text("\n---\n".join(reversed(text.split("\n---\n"))))
    assert run("diff", WORLD, path).stdout == "nothing differs\n"


# ---- order among routes


def publication(name, namespace, phase="default", ports="443/tcp", address="203.0.113.80", before=""):
    return (
        f"---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
        f"metadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n  {phase}:\n    ingress:\n{before}"
        f"      - {{ action: publish, address: [{address}], ports: [{ports}], to: [{{ workloads: {{}} }}] }}\n"
    )


def guard(namespace, *rules, phase="mandatory"):
    lines = "".join(f"      - {{ {rule} }}\n" for rule in rules)
    return (
        f"---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
        f"metadata: {{ name: guard, namespace: {namespace} }}\nspec:\n  {phase}:\n    ingress:\n{lines}"
    )


DENY = "action: deny, address: [203.0.113.0/24]"
PASS = "action: pass, address: [203.0.113.80]"


@pytest.mark.parametrize(
    "documents, codes",
    [
        # Two answers at one level, in part or whole, and beside each other in the tree.
        ([publication("a", "/t"), publication("b", "/t")], {"route-conflict"}),
        ([publication("a", "/t", ports="1-443/tcp"), publication("b", "/t", ports="443-999/tcp")], {"route-conflict"}),
        ([publication("a", "/t"), publication("b", "/u")], {"route-conflict"}),
        ([publication("a", "/t", "mandatory"), publication("b", "/u")], {"route-conflict"}),
        ([publication("a", "/t/x"), publication("b", "/u/y")], {"route-conflict"}),
        # Not the same.
        ([publication("a", "/t"), publication("b", "/u", ports="444/tcp")], set()),
        ([publication("a", "/t"), publication("b", "/u", ports="443/udp")], set()),
        ([publication("a", "/t"), publication("b", "/u", address="203.0.113.81")], set()),
        # The nearest default, and what is mandatory above, override: that is what they are for.
        ([publication("a", "/t"), publication("b", "/t/x")], set()),
        ([publication("a", "/t", "mandatory"), publication("b", "/t/x")], {"route-shadowed"}),
        # An ancestor keeps an address for one of its subtrees.
        ([guard("/u", DENY), publication("a", "/t"), publication("b", "/u")], {"route-shadowed"}),
        ([guard("/u", PASS, DENY), publication("b", "/u")], set()),
        ([guard("/u", PASS, DENY), publication("a", "/t"), publication("b", "/u")], {"route-conflict"}),
        ([guard("/u", DENY, PASS), publication("b", "/t")], {"route-shadowed"}),
        # A default that comes before another of its level; one further up takes nothing.
        ([guard("/t", DENY, phase="default").replace("guard", "a"), publication("b", "/t")], {"route-shadowed"}),
        ([guard("/t", DENY, phase="default"), publication("b", "/t/x")], set()),
    ],
)
def test_check_knows_who_overrides_whom(documents, codes):
    done = run("check", "-o", "json", "-", stdin="".join(documents))
    told = json.loads(done.stdout)
    assert {d["code"] for d in told if d["code"].startswith("route-")} == codes, done.stdout
