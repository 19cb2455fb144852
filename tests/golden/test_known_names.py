"""Rules with domain names: what tenants know is given, or a name itself is asked about."""

import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import rf  # noqa: E402

NATIVE = "apiVersion: ringfence.dev/v1alpha1\n"
WORLD = f"""
{NATIVE}kind: Workload
metadata: {{ name: web, namespace: /acme/shop }}
spec: {{ node: n1, ips: [10.1.0.1, "fd00::1"] }}
---
{NATIVE}kind: Workload
metadata: {{ name: etl, namespace: /bi }}
spec: {{ node: n1, ips: [10.1.0.2] }}
---
{NATIVE}kind: ExternalNetwork
metadata: {{ name: cards, namespace: / }}
spec: {{ cidrs: [192.0.2.0/24], fqdns: ["*.cards.example"] }}
---
{NATIVE}kind: Policy
metadata: {{ name: out, namespace: / }}
spec:
  mandatory:
    egress:
      - {{ name: resolver, action: allow, to: [{{ cidr: 198.51.100.53/32 }}] }}
      - {{ name: no-ads, action: deny, to: [{{ fqdn: ads.example }}], ports: [80/tcp] }}
  allow:
    egress:
      - {{ name: pay, to: [{{ external: cards }}] }}
"""
KNOWN = """
# what the node learnt
resolver 198.51.100.54
/acme api.cards.example 203.0.113.7 60
/acme api.cards.example 2001:db8::7
/acme API.Cards.Example. 203.0.113.8
/acme ads.example 203.0.113.9
/acme www.example 203.0.113.10
/acme api.cards.example 10.1.0.2
/bi www.example 203.0.113.7
"""


@pytest.fixture(name="world")
def fixture_world(tmp_path):
    (tmp_path / "world.yaml").write_text(WORLD)
    (tmp_path / "known").write_text(KNOWN)
    return tmp_path


def line_of(text):
    return next(number for number, line in enumerate(WORLD.splitlines(), 1) if text in line)


def test_list_says_what_it_cannot_tell(world):
    done = rf.run("list", str(world / "world.yaml"))
    assert done.returncode == 0
    assert done.stderr.endswith(
        "ringfence list: 2 rules by domain name, of which only a node knows the addresses: what they allow by name "
        "is not told\n"
        f"  deny: Policy /out rule 1 \"no-ads\" ({world}/world.yaml:{line_of('no-ads')}:9): ads.example\n"
        f"  allow: Policy /out rule 0 \"pay\" ({world}/world.yaml:{line_of('name: pay')}:9): *.cards.example\n")
    # Without what is allowed by name, and with everything outside denied that may be meant.
    outside = [line for line in done.stdout.splitlines() if line.startswith("/acme/shop/web") and "[External]" in line]
    assert "/acme/shop/web[Workload] => 198.51.100.53-198.51.100.53[External] : All Connections" in outside
    assert "/acme/shop/web[Workload] => 192.0.2.0-192.0.2.255[External] : SCTP 1-65535,TCP 1-79,81-65535,UDP 1-65535" \
        in outside
    assert len(outside) == 2


def can(world, *question, known=True):
    options = ["--learnt", str(world / "known")] if known else []
    done = rf.run("can", *options, str(world / "world.yaml"), "--", *question)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "src, dst, port, verdict",
    [
        ("/acme/shop/web", "203.0.113.7", "443/tcp", "allow"),
        ("/acme/shop/web", "203.0.113.8", "443/tcp", "allow"),  # however it is spelt
        ("/acme/shop/web", "2001:db8::7", "443/tcp", "allow"),
        ("/acme/shop/web", "192.0.2.9", "443/tcp", "allow"),  # by number
        ("/acme/shop/web", "203.0.113.10", "443/tcp", "deny"),  # another name
        ("/acme/shop/web", "203.0.113.11", "443/tcp", "deny"),  # no name
        ("/bi/etl", "203.0.113.7", "443/tcp", "deny"),  # another tenant's
        ("/acme/shop/web", "10.1.0.2", "443/tcp", "deny"),  # a name never leads inside
        ("/acme/shop/web", "203.0.113.9", "80/tcp", "deny"),
        ("/acme/shop/web", "203.0.113.7", "80/tcp", "allow"),
        ("/acme/shop/web", "192.0.2.9", "80/tcp", "deny"),  # it may be what is denied
        ("/acme/shop/web", "198.51.100.53", "80/tcp", "allow"),
    ],
)
def test_addresses(world, src, dst, port, verdict):
    assert can(world, src, dst, port) == verdict


def decider(world, dst, port):
    done = rf.run(
        "explain", "-o", "json", "--learnt", str(world / "known"), str(world / "world.yaml"), "--", "/acme/shop/web", dst, port
    )
    assert done.returncode == 0, done.stderr
    way = json.loads(done.stdout)["families"][0]["egress"]
    return way["reason"], (way["rule"] or {}).get("name")


def test_a_resolver_is_not_denied_for_having_no_name(world):
    assert decider(world, "198.51.100.54", "80/tcp")[0] == "isolation"
    assert decider(world, "198.51.100.55", "80/tcp") == ("rule", "no-ads")


def test_without_knowledge(world):
    assert can(world, "/acme/shop/web", "203.0.113.7", "443/tcp", known=False) == "deny"
    assert can(world, "/acme/shop/web", "192.0.2.9", "443/tcp", known=False) == "allow"


@pytest.mark.parametrize("known", [True, False])
def test_names(world, known):
    """A name that nobody knows an address of is judged as well as one that somebody knows."""
    ask = lambda name, port, src="/acme/shop/web": can(world, src, name, port, known=known)  # noqa: E731
    assert ask("api.cards.example", "443/tcp") == "allow"
    assert ask("new.cards.example", "443/tcp") == "allow"
    assert ask("cards.example", "443/tcp") == "deny"
    assert ask("ads.example", "80/tcp") == "deny"
    assert ask("new.cards.example", "80/tcp", "/bi/etl") == "allow"


def test_explain_says_what_is_known(world):
    def explain(dst, port):
        done = rf.run("explain", "--learnt", str(world / "known"), str(world / "world.yaml"), "--", "/acme/shop/web", dst, port)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "note: /acme knows it as ads.example" in explain("203.0.113.9", "80/tcp")
    assert "knows it by no name" in explain("203.0.113.99", "80/tcp")
    assert "to api.cards.example (203.0.113.7), 443/tcp" in explain("api.cards.example", "443/tcp")
    text = explain("unheard.example", "80/tcp")
    assert "no outside address of unheard.example is known" in text and "1.0.0" not in text


def test_only_workloads_know_names(world):
    done = rf.run("can", str(world / "world.yaml"), "--", "198.51.100.1", "api.cards.example", "443/tcp")
    assert done.returncode == 2 and "only workloads know addresses by names" in done.stderr


@pytest.mark.parametrize(
    "line, message",
    [
        ("acme a.example 192.0.2.1", "is no tenant"),
        ("/acme/shop a.example 192.0.2.1", "is no tenant"),
        ("/acme localhost 192.0.2.1", "is no domain name"),
        ("/acme *.a.example 192.0.2.1", "is no domain name"),
        ("/acme a.example 192.0.2", "is no address"),
        ("/acme a.example 192.0.2.1 soon", "no number of seconds"),
        ("/acme a.example", "a line is TENANT NAME ADDRESS"),
        ("/acme a.example 192.0.2.1 1 2", "a line is TENANT NAME ADDRESS"),
        ("resolver here", "is no address"),
        ("/acme " + "a" * 70000, "too long"),
    ],
)
def test_bad_lines(world, line, message):
    (world / "known").write_text("# one\n" + line + "\n")
    done = rf.run("can", "--learnt", str(world / "known"), str(world / "world.yaml"), "--", "/bi/etl", "192.0.2.1", "1/tcp")
    assert done.returncode == 2 and done.stdout == ""
    assert "known:2: " in done.stderr and message in done.stderr


def test_the_program_bears_what_is_known(world):
    def program(*options):
        done = rf.run("compile", *options, "--node", "n1", "-o", "json", str(world / "world.yaml"))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["sets"]

    blind, seeing = program(), program("--learnt", str(world / "known"))
    assert "203.0.113.7" in json.dumps(seeing["peer4_out"]) and "203.0.113.7" not in json.dumps(blind)
    assert json.dumps(blind["peer4_out_net"]) == json.dumps(seeing["peer4_out_net"])
