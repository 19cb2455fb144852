"""CustomResourceDefinitions as an API server takes them: the structural rules, what rules in CEL may
cost, and what these say of texts, by an interpreter of the language that knows nothing of our generator.
"""

import copy
import functools
import json
import math
import os
import pathlib
import sys

import jsonschema
import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "double"))
import rf  # noqa: E402
from kubeapi import cel  # noqa: E402
from test_schema import (  # noqa: E402
    as_json_schema, check_structural, crds, loader_errors, native, schema_of,
)  # fmt: skip

API = pathlib.Path(os.environ.get("RINGFENCE_API", rf.ROOT.parent / "shared" / "api"))
SAMPLE = rf.ROOT / "samples" / "kubernetes" / "base" / "crds" / "crds.yaml"

# apiextensions' limits of what one rule may cost, and all rules of a definition together.
RULE_BUDGET = 10_000_000
CRD_BUDGET = 100_000_000


def schema_roots():
    for crd in crds():
        for version in crd["spec"]["versions"]:
            yield crd["metadata"]["name"], version["schema"]["openAPIV3Schema"]


# ---- the shape


def test_the_rules_accept_definitions_that_api_servers_run():
    """check_structural is our reading of the rules: here is what it is held against."""
    found = sorted(API.glob("*.crd.yaml"))
    if not found:
        pytest.skip("no definitions to compare with: RINGFENCE_API")
    for path in found:
        for version in yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]["versions"]:
            check_known(version["schema"]["openAPIV3Schema"])


def check_known(schema):
    """As check_structural, for definitions that also have defaults and the like."""
    schema = copy.deepcopy(schema)

    def strip(node):
        if isinstance(node, dict):
            for key in ("default", "x-kubernetes-map-type", "minLength", "nullable"):
                if not isinstance(node.get(key), dict) or key == "default":
                    node.pop(key, None)
            for value in node.values():
                strip(value)
        elif isinstance(node, list):
            for value in node:
                strip(value)

    strip(schema)
    check_structural(schema, "")


BROKEN = {
    "no type": {"type": "object", "properties": {"a": {"maxLength": 1}}},
    "a type within anyOf": {"type": "string", "anyOf": [{"type": "string"}]},
    "a field within anyOf alone": {"type": "object", "anyOf": [{"properties": {"a": {}}}]},
    "an array without items": {"type": "array"},
    "fields and further fields": {
        "type": "object", "properties": {}, "additionalProperties": {"type": "string"},
    },
    "a type and int-or-string": {"type": "string", "x-kubernetes-int-or-string": True},
    "a keyword that is not known": {"type": "object", "patternProperties": {}},
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_the_rules_refuse_what_is_not_structural(what):
    with pytest.raises((AssertionError, KeyError)):
        check_structural(BROKEN[what], "")


@pytest.mark.parametrize("crd", crds(), ids=lambda crd: crd["metadata"]["name"])
def test_versions_are_ready_for_another(crd):
    spec = crd["spec"]
    assert spec["conversion"] == {"strategy": "None"}
    assert [v["name"] for v in spec["versions"] if v["storage"]] == ["v1alpha1"]
    assert all(v["served"] for v in spec["versions"])
    names = spec["names"]
    assert names["categories"] == ["ringfence"]
    assert names["listKind"] == names["kind"] + "List"
    for version in spec["versions"]:
        columns = {c["name"]: c for c in version["additionalPrinterColumns"]}
        assert "Age" in columns
        for column in columns.values():
            assert column["jsonPath"].startswith(".")
            assert column["type"] in ("string", "integer", "number", "boolean", "date")


def test_short_names_are_nobody_elses():
    shorts = [name for crd in crds() for name in crd["spec"]["names"]["shortNames"]]
    assert len(set(shorts)) == len(shorts)
    builtin = "po svc ns no cm ds rs deploy sts ep ev limits pv pvc rc quota sa ing netpol pdb anp banp cnp"
    assert not set(shorts) & set(builtin.split())


@pytest.mark.parametrize("crd", crds(), ids=lambda crd: crd["metadata"]["name"])
def test_kubectl_apply_has_room_for_it(crd):
    """It keeps what it applied in an annotation, and these have 256 KiB together."""
    assert len(json.dumps(crd, separators=(",", ":"))) < 250 * 1024


def test_the_sample_is_what_the_tool_prints():
    assert SAMPLE.read_text() == schema_of("-o", "crds")


# ---- what rules in CEL cost


@functools.cache
def program(rule):
    """As an API server compiles it: of what it does not know it makes no rule."""
    return cel.Program(rule, {"self"})


def rules_of(node, times, where=""):
    """(where, times that it is asked at most, rule, schema node)"""
    for rule in node.get("x-kubernetes-validations", []):
        yield where, times, rule, node
    for name, sub in node.get("properties", {}).items():
        yield from rules_of(sub, times, f"{where}.{name}")
    if "items" in node:
        yield from rules_of(node["items"], times * node.get("maxItems", math.inf), f"{where}[]")
    if "additionalProperties" in node:
        more = times * node.get("maxProperties", math.inf)
        yield from rules_of(node["additionalProperties"], more, f"{where}{{}}")


def test_rules_in_cel_are_bounded():
    seen = 0
    for name, schema in schema_roots():
        total = 0
        for where, times, rule, node in rules_of(schema, 1):
            assert node["type"] == "string" and "maxLength" in node, f"{name} {where}"
            cost = times * program(rule["rule"]).cost(4 * node["maxLength"])
            assert cost <= RULE_BUDGET, f"{name} {where}: {cost:.0f}"
            assert rule["message"], f"{name} {where}"
            total += cost
            seen += 1
        assert total <= CRD_BUDGET, f"{name}: {total:.0f}"
    assert seen > 20


# ---- what they mean


NETWORKS = """10.0.0.0/8 fd00::/8 ::/0 1::2::3/64 1:2:3:4:5:6:7/64 12345::/16 :::/8 1:2:3:4:5:6:7:8/128
1:2:3:4:5:6:7:8:9/64 ::1.2.3.4/96 fd00::%eth0/64 ::ffff:10.0.0.0/104 10.0.0.0/33 fd00::/129""".split()
PORTS = """443/tcp 80-80/tcp 81-80/tcp 1-65535/udp 65535-1/sctp 80-tcp 80-81 9-100/tcp 100-9/tcp metrics
http/tcp icmp tcp 8000-x/tcp a-1-2/tcp""".split()


def judge(schema, path, text):
    """What the schema's place says of a text: its patterns, its length, its rules."""
    for step in path:
        schema = schema["items"] if step == "[]" else schema["properties"][step]
    plain = jsonschema.Draft202012Validator(as_json_schema(schema)).is_valid(text)
    rules = schema.get("x-kubernetes-validations", [])
    assert rules, path
    # Which API servers do not ask of what is too long, or does not fit a pattern.
    return plain and all(holds(rule["rule"], text) for rule in rules)


def holds(rule, text):
    """What is no answer is a refusal."""
    try:
        return program(rule).evaluate({"self": text}) is True
    except cel.Failed:
        return False


def test_rules_in_cel_say_what_check_says(tmp_path):
    """The two exceptions that JSON Schema has (IPv6, ranges of ports) are none here."""
    policy = dict(schema_roots())["policies.ringfence.dev"]
    rule = ("spec", "allow", "ingress", "[]")
    cases = [((*rule, "from", "[]", "cidr"), {"from": [{"cidr": t}]}, t) for t in NETWORKS]
    cases += [((*rule, "ports", "[]"), {"ports": [t]}, t) for t in PORTS]
    docs = [native("Policy", {"allow": {"ingress": [body]}}, name=f"p{i}")
            for i, (_, body, _) in enumerate(cases)]  # fmt: skip
    errors = loader_errors(docs, tmp_path)
    verdicts = {}
    for i, (path, _, text) in enumerate(cases):
        verdicts[text] = judge(policy, path, text)
        assert verdicts[text] == (not errors[i]), (text, errors[i])
    assert set(verdicts.values()) == {True, False}
    assert not verdicts["81-80/tcp"] and verdicts["80-tcp"] and not verdicts["1::2::3/64"]


def test_every_rule_in_cel_takes_what_is_good_and_refuses_what_is_not():
    """Wherever it stands: one that is always true, or never, or no rule at all, says nothing."""
    texts = {"10.0.0.1", *NETWORKS, *PORTS}
    for name, schema in schema_roots():
        for where, _, rule, _ in rules_of(schema, 1):
            verdicts = {text: holds(rule["rule"], text) for text in texts}
            assert set(verdicts.values()) == {True, False}, f"{name} {where}: {json.dumps(rule)}"
            if "isCIDR" not in rule["rule"] and "isIP" not in rule["rule"]:
                assert [t for t in PORTS if not verdicts[t]] == ["81-80/tcp", "65535-1/sctp", "100-9/tcp"]


def test_rules_that_are_none_are_noticed():
    for rule in ("self.matchs('a')", "isIP(self", "isIP(self, 1)", "it == 'a'", "self == a"):
        with pytest.raises(cel.Malformed):
            program(rule)
    with pytest.raises(cel.Failed):
        program("self < 1").evaluate({"self": "a"})
