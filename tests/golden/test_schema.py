"""`ringfence schema` and the loader agree: what the one accepts, the other does.

The documents are the samples, the golden cases, seeds that use every field, and random
mutations of all of these (the seed is printed; RINGFENCE_SCHEMA_CASES sets how many). What
a schema cannot say is listed in EXCEPTIONS, by diagnostic code and message.
"""

import copy
import functools
import json
import os
import pathlib
import random
import re
import subprocess
import sys

import jsonschema
import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
NATIVE = "ringfence.dev/v1alpha1"
CASES = int(os.environ.get("RINGFENCE_SCHEMA_CASES", "800"))

# What needs more than the document: other documents, arithmetic, or the whole grammar
# of IPv6. An error of the loader that is one of these is not held against the schema.
EXCEPTIONS = [
    ("unknown-external", ""),
    ("duplicate-object", ""),
    ("placed-twice", ""),
    ("which-cluster", ""),
    ("bad-except", ""),
    ("bad-path", "leads above /"),
    ("node-subject", "stands at /, not at"),  # a relative path may lead there
    ("bad-path", "differs from the path in metadata.name"),
    ("bad-port", "ends before it begins"),
    ("bad-cidr", '"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/'),
    ("bad-address", '"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*"'),
    ("bad-quantity", "[0-9]{10,}"),
    # what the actions of a Route need and exclude
    ("bad-rule", "^only |^an egress route leads|^two next hops|^what is published has|^a range cannot"),
    ("bad-rule", "both say where to go|needs exactly one published port|^a published port is"),
    ("missing-field", "^the action .* needs"),
    ("outside-subtree", ""),
    ("too-many", "must have from 1 to|has one address, or one of each family"),
    ("bad-value", '"targetPort" must be between'),
]


class Loader(yaml.CSafeLoader):
    """YAML as Kubernetes has it: a date is a string."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, expr) for tag, expr in pairs if not tag.endswith(":timestamp")]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def documents(path):
    try:
        text = path.read_text()
        docs = list(yaml.load_all(text, Loader)) if NATIVE in text else []
        json.dumps(docs)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError):
        return []
    return [d for d in docs if isinstance(d, dict) and d.get("apiVersion") == NATIVE]


SELECTOR = {
    "matchLabels": {"app": "web", "example.org/tier": "x_1", "empty": ""},
    "matchExpressions": [
        {"key": "a", "operator": "In", "values": ["b", "c"]},
        {"key": "a", "operator": "NotIn", "values": ["b"]},
        {"key": "a", "operator": "Exists"},
        {"key": "a", "operator": "DoesNotExist", "values": []},
    ],
}


def native(kind, spec, **metadata):
    meta = {"name": "seed", "namespace": "/acme/shop", **metadata}
    return {"apiVersion": NATIVE, "kind": kind, "metadata": meta, "spec": spec}


def rules(peer, **more):
    return [
        {
            "name": "r",
            peer: [
                {"workloads": SELECTOR, "namespace": "../x", "serviceAccount": "sa"},
                {"namespaces": SELECTOR},
                {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]},
                {"cidr": "fd00::/8"},
                {"fqdn": "*.example.org"},
                {"node": "worker-1"},
                {"node": SELECTOR},
                {"external": "seed"},
            ],
            "ports": ["443/tcp", "8000-8080/udp", "metrics", "http/tcp", "icmp", "tcp"],
            **more,
        },
        {**more},
    ]


SEEDS = [
    {
        "apiVersion": NATIVE,
        "kind": "Namespace",
        "metadata": {"name": "/acme/shop", "labels": {"a": "b"}, "annotations": {"x": "y"}},
        "spec": {"kubernetes": {"namespaces": ["shop", "s-2"]}, "owners": ["acme-admins"]},
    },
    {
        "apiVersion": NATIVE,
        "kind": "Namespace",
        "metadata": {"name": "acme"},
        "spec": {"path": "/acme/a.b/c_d"},
    },
    native(
        "Workload",
        {
            "node": "worker-1.example",
            "ips": ["10.0.0.1", "fd00::1"],
            "ports": [{"name": "pg", "port": 5432, "protocol": "udp"}, {"name": "x", "port": 1}],
            "serviceAccount": "sa",
        },
        labels={"app": "db"},
        annotations={"note": "x"},
    ),
    native("ExternalNetwork", {"cidrs": ["203.0.113.0/24", "2001:db8::/32"], "fqdns": ["a.example"]}),
    native(
        "Policy",
        {
            "workloads": SELECTOR,
            "priority": 5,
            "enforcement": "audit",
            "mandatory": {"ingress": rules("from", action="pass"), "egress": rules("to", action="deny")},
            "allow": {"ingress": rules("from"), "egress": rules("to", action="allow")},
            "default": {"ingress": rules("from", action="deny"), "egress": rules("to", action="allow")},
        },
    ),
    native(
        "Access",
        {
            "users": ["ann"],
            "groups": ["devs", "system:authenticated"],
            "priority": -3,
            "mandatory": [
                {"action": "deny", "verbs": ["*"], "resources": ["secrets", "*/scale", "pods/exec"]},
                {"action": "allow", "verbs": ["get"], "nonResourceURLs": ["/metrics", "/x/*"]},
            ],
            "default": [
                {
                    "name": "n",
                    "action": "pass",
                    "verbs": ["get", "list"],
                    "resources": ["deployments.apps"],
                    "names": ["a"],
                },
                {"action": "allow", "verbs": ["get"], "resources": ["*"], "resourceNames": ["a"]},
            ],
        },
    ),
    native(
        "Quota",
        {
            "requests": {
                "perSecond": 50,
                "burst": 100,
                "inFlight": 20,
                "watches": 100,
                "perDay": 1000000,
                "bodyBytes": "3Mi",
            },
            "perUser": {"perSecond": 0.5, "burst": 20, "bodyBytes": 4096},
            "perToken": {"inFlight": 2, "perDay": 1000},
            "network": {
                "connectionsPerSecond": 10,
                "burst": 20,
                "connections": 100,
                "egressBytesPerSecond": "100M",
                "guaranteedPercent": 50,
                "ingressBytesPerSecond": 1000,
            },
            "objects": {"pods": 200, "requests.cpu": "64", "count/deployments.apps": "1e3"},
        },
    ),
]

SEEDS += [
    native(
        "Route",
        {
            "workloads": SELECTOR,
            "priority": 1,
            "mandatory": {
                "egress": [
                    {
                        "name": "r",
                        "action": "route",
                        "to": [{"cidr": "198.51.100.0/24"}, {"fqdn": "a.example"}],
                        "ports": ["443/tcp"],
                        "source": ["203.0.113.7", "203.0.113.8/31"],
                        "gateway": ["gw-1", "gw-2"],
                    },
                    {"action": "route", "gateway": SELECTOR, "nextHop": ["10.9.0.254", "fd00::1"]},
                    {"action": "route", "table": 100},
                    {"action": "deny"},
                ]
            },
            "default": {
                "ingress": [
                    {
                        "action": "publish",
                        "address": ["203.0.113.80"],
                        "ports": ["443/tcp"],
                        "targetPort": 8443,
                        "balance": "hash",
                        "to": [{"workloads": SELECTOR, "weight": 3}],
                    },
                    {
                        "action": "publish",
                        "address": ["203.0.113.80"],
                        "ports": ["80/tcp"],
                        "targetPort": "http",
                        "to": [{"namespace": "."}],
                    },
                ],
                "via": [
                    {
                        "action": "through",
                        "from": [{"namespace": "."}],
                        "to": [{"namespace": "/ops/db"}],
                        "ports": ["5432/tcp"],
                        "through": {"namespace": "/ops/fw", "workloads": SELECTOR},
                        "balance": "random",
                        "onFailure": "deny",
                    },
                    {"action": "pass"},
                ],
            },
        },
    ),
    native(
        "Test",
        {
            "names": [{"name": "api.example.org", "addresses": ["203.0.113.7", "2001:db8::7"]}],
            "expect": [
                {
                    "name": "n",
                    "from": "shop-prod/web",
                    "to": ["shop-prod/db", {"namespace": "/globex", "workloads": SELECTOR}],
                    "ports": ["5432/tcp", "http"],
                    "verdict": "allow",
                    "by": "web",
                    "family": 4,
                    "route": {"source": ["203.0.113.7"], "gateway": ["gw-1"],
                              "nextHop": ["192.0.2.1"], "through": ["/ops/fw"],
                              "leadsTo": {"workloads": SELECTOR}},
                },
                {"from": {"namespace": "."}, "to": ["10.0.0.1", "api.example.org"], "verdict": "deny"},
            ]
        },
    ),
]

STRINGS = [
    "", "x", "X", "a b", "a.b", "a_b", "-a", "a-", "a--b", "*", "*/scale", "/", "/a", "/a/", "//",
    "/a//b", ".", "..", "../x", "./", "a/b", "10.0.0.1", "10.0.0.0/8", "10.0.0.0/33", "10.0.0.256",
    "10.0.0.1/8", "fd00::1", "fd00::/8", "fd00::/129", "443", "443/tcp", "0/tcp", "65536/tcp",
    "65535/TCP", "1-2/udp", "443/icmp", "icmp", "ICMPV6", "tcp", "metrics/tcp", "a-very-long-port-name",
    "3Mi", "-1", "500m", "1e3", "1.5Gi", ".5", "1.", "In", "Exists", "NotIn", "allow", "deny", "pass",
    "Allow", "example.org", "*.example.org", "*.org", "example.org.", "org", "a" * 63, "a" * 64,
    "a" * 254, "/" + "/".join("a" * 17), "/" + "/".join("a" * 16), "\u00e9", "a\tb", 'a"b',
    "system:masters", "example.org/x", "UPPER.example.org/x", "/metrics*", "/a*b", "east/shop", "east/worker-1", "a/b/c",
]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, -1, 65535, 65536, 2147483646, 2147483647, -2147483648, 1.5, 3.0, -0.5,
    2**62, 2**63 - 1, [], {}, [None], [""], ["x"], [1], [{}], {"x": "y"}, {"x": None},
    {"matchLabels": {"a": "b"}},
]  # fmt: skip
FIELDS = [
    "name", "namespace", "path", "generateName", "status", "spec", "kubernetes", "cluster", "cidr",
    "except", "external", "fqdn", "node", "workloads", "namespaces", "serviceAccount", "action",
    "from", "to", "ports", "verbs", "resources", "names", "resourceNames", "nonResourceURLs",
    "matchLabels", "matchExpressions", "key", "operator", "values", "priority", "enforcement", "ingress", "egress",
    "unknown", "podSelector", "verdict", "by", "family", "expect", "source", "gateway", "weight",
    "nextHop", "table", "address", "targetPort", "balance", "through", "onFailure", "via", "labels", "users", "groups", "port", "protocol",
]  # fmt: skip


def places(node, found):
    """Every (container, key) below a node."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(pairs):
        found.append((node, key))
        if isinstance(value, (dict, list)):
            places(value, found)
    return found


def mutate(rnd, doc):
    node, key = rnd.choice(places(doc, []))
    if node is doc and key in ("apiVersion", "kind"):
        return
    choice = rnd.randrange(8)
    if choice == 0:
        del node[key]
    elif choice == 1:
        node[key] = None
    elif choice <= 3:
        node[key] = copy.deepcopy(rnd.choice(VALUES))
    elif choice <= 5:
        node[key] = rnd.choice(STRINGS)
    elif isinstance(node, list):
        node.append(copy.deepcopy(rnd.choice([*node, *VALUES])))
    elif choice == 6:
        node[rnd.choice(FIELDS)] = copy.deepcopy(rnd.choice([*VALUES, *STRINGS, node[key]]))
    else:
        node[rnd.choice(STRINGS)] = node.pop(key)


def unique(doc, number, was):
    """Keeps documents of one run from being each other's duplicates."""
    meta = doc.get("metadata")
    if not isinstance(meta, dict) or meta.get("name") != was:
        return
    spec = doc.get("spec")
    if doc["kind"] != "Namespace":
        meta["name"] = f"m{number}"
    elif str(was).startswith("/"):
        if not isinstance(spec, dict) or spec.get("path") is None:
            meta["name"] = f"/m{number}"
    elif isinstance(spec, dict) and spec.get("path") == "/acme/a.b/c_d":
        spec["path"] = f"/m{number}/a.b/c_d"


def loader_errors(docs, directory):
    """The errors of `check`, by the index of the document."""
    errors = {i: [] for i in range(len(docs))}
    for start in range(0, len(docs), 100):
        batch = directory / str(start)
        batch.mkdir()
        for i, doc in enumerate(docs[start : start + 100], start):
            (batch / f"{i:06}.json").write_text(json.dumps(doc))
        done = rf.run("check", "-o", "json", batch)
        found = json.loads(done.stdout)
        assert len(found) < 1000, "more diagnostics than are kept"
        for d in found:
            if d["severity"] == "error":
                errors[int(pathlib.Path(d["file"]).stem)].append((d["code"], d["message"]))
    return errors


def beyond_schema(error):
    code, message = error
    return any(code == c and re.search(pattern, message) for c, pattern in EXCEPTIONS)


def schema_of(*args):
    done = rf.run("schema", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def validator(*args):
    schema = json.loads(schema_of(*args))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def disagreements(docs, directory):
    whole = validator()
    for i, errors in loader_errors(docs, directory).items():
        refused = [e for e in errors if not beyond_schema(e)]
        told = list(whole.iter_errors(docs[i]))
        if bool(refused) != bool(told) and (refused or not errors):
            why = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in told]
            yield f"check: {errors}\nschema: {why}\n{json.dumps(docs[i])}"


def test_schema_and_loader_agree_on_what_people_wrote(tmp_path):
    paths = [*rf.ROOT.glob("samples/**/*.yaml"), *HERE.glob("**/*.yaml")]
    docs = [d for path in sorted(paths) for d in documents(path)] + SEEDS
    assert len(docs) > 50
    docs = [copy.deepcopy(d) for d in docs]
    for i, doc in enumerate(docs):
        unique(doc, i, (doc.get("metadata") or {}).get("name"))
    assert not list(disagreements(docs, tmp_path))


def test_seeds_are_accepted_and_use_every_field():
    whole = validator()
    used = set()

    def walk(node):
        for value in node.values() if isinstance(node, dict) else node:
            if isinstance(node, dict):
                used.update(node)
            if isinstance(value, (dict, list)):
                walk(value)

    for seed in SEEDS:
        whole.validate(seed)
        walk(seed)
    fields = set(re.findall(r'\{"(\w+)", TYPE_', "".join(
        (rf.ROOT / "policy-lang" / "load" / f"load_{name}.c").read_text()
        for name in ("policy", "access", "quota", "tree", "native", "selector", "test", "route", "route_rule")
    )))  # fmt: skip
    assert fields - used - {"cluster"} == set()


def test_schema_and_loader_agree_on_mutations(tmp_path):
    seed = int(os.environ.get("RINGFENCE_SEED", random.SystemRandom().randrange(2**32)))
    print(f"RINGFENCE_SEED={seed}")
    rnd = random.Random(seed)
    docs = []
    while len(docs) < CASES:
        doc = copy.deepcopy(rnd.choice(SEEDS))
        was = doc["metadata"]["name"]
        for _ in range(rnd.choice((1, 1, 1, 2, 3))):
            if doc:
                mutate(rnd, doc)
        unique(doc, len(docs), was)
        docs.append(doc)
    found = list(disagreements(docs, tmp_path))
    assert not found, f"{len(found)} of {CASES}:\n" + "\n\n".join(found[:5])
    whole = validator()
    refused = sum(not whole.is_valid(d) for d in docs[:300])
    assert 60 < refused < 290  # both answers are met


# How many bytes what a rule is called may have, and what says which rule: with its policy's path.
TITLE_BYTES = {"name": 253, "by": 2048}
TITLES = ["", "nobody: \u00e9", "a\tb", "a\nb", "a\x1b[31m", "a\x7f", "a\x9b"]
TITLES += ["a" * (most + more) for most in TITLE_BYTES.values() for more in (0, 1)]


def titled(text):
    """(field, a document in which it is that)"""
    expectation = {"from": "shop/a", "to": "shop/b", "verdict": "allow"}
    for block in ("ingress", "egress"):
        yield "name", native("Policy", {"allow": {block: [{"name": text}]}})
    for block in ("egress", "ingress", "via"):
        yield "name", native("Route", {"default": {block: [{"name": text, "action": "pass"}]}})
    for field in TITLE_BYTES:
        yield field, native("Test", {"expect": [{field: text, **expectation}]})


def test_schema_and_loader_agree_on_what_rules_are_called(tmp_path):
    cases = [(text, *case) for text in TITLES for case in titled(text)]
    for i, (_, _, doc) in enumerate(cases):
        doc["metadata"]["name"] = f"m{i}"
    errors = loader_errors([doc for _, _, doc in cases], tmp_path)
    for i, (text, field, doc) in enumerate(cases):
        taken = len(text) <= TITLE_BYTES[field] and (text.isprintable() or not text)
        assert validator().is_valid(doc) == taken, doc
        assert any(code == "bad-name" for code, _ in errors[i]) != taken, doc


def test_schema_and_loader_agree_on_the_most_addresses_of_a_workload(tmp_path):
    whole = validator()
    for count, taken in ((256, True), (257, False)):
        doc = native("Workload", {"ips": [f"10.0.{i >> 8}.{i & 255}" for i in range(count)]})
        path = tmp_path / f"{count}.json"
        path.write_text(json.dumps(doc))
        assert whole.is_valid(doc) == taken
        done = rf.run("check", path)
        assert (done.returncode == 0) == taken, done.stdout + done.stderr
        assert taken or "more than 256 addresses [too-many]" in done.stdout + done.stderr
    (crd,) = (crd for crd in crds() if crd["spec"]["names"]["kind"] == "Workload")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["spec"]["properties"]["ips"]["maxItems"] == 256


def test_one_kind_is_the_same_as_its_part_of_the_whole():
    whole = json.loads(schema_of())
    for kind, part in whole["$defs"].items():
        one = json.loads(schema_of(kind))
        assert one.pop("$schema") == whole["$schema"]
        assert one == part
    assert sorted(whole["$defs"]) == sorted(kinds_of_the_loader())


def kinds_of_the_loader():
    """The native kinds that the loader reads."""
    text = (rf.ROOT / "policy-lang" / "load" / "load_apis.c").read_text()
    return re.findall(r'\{NATIVE, "(\w+)", STAGE_\w+,', text)


def test_every_field_is_described():
    def undescribed(schema, where):
        for name, value in schema.get("properties", {}).items():
            if name not in ("apiVersion", "kind", "metadata", "spec", "status"):
                if not value.get("description"):
                    yield f"{where}.{name}"
            yield from undescribed(value, f"{where}.{name}")
        for key in ("items", "then"):
            if key in schema:
                yield from undescribed(schema[key], f"{where}.{key}")

    for kind, schema in json.loads(schema_of())["$defs"].items():
        assert not list(undescribed(schema, kind))


def test_a_document_of_another_group_is_not_judged():
    whole = validator()
    whole.validate({"apiVersion": "v1", "kind": "Policy", "anything": 1})
    assert not whole.is_valid({"apiVersion": NATIVE, "kind": "Polici"})
    assert not whole.is_valid({"apiVersion": NATIVE})


def test_an_unknown_kind_is_refused_with_the_list():
    done = rf.run("schema", "Pod")
    assert done.returncode == 2
    assert 'no native kind "Pod"; there is Namespace, Workload' in done.stderr


# ---- CustomResourceDefinitions ----

JUNCTORS = ("allOf", "anyOf", "oneOf", "not")
IN_JUNCTORS_FORBIDDEN = {
    "description", "type", "default", "additionalProperties", "nullable", "title",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string",
}  # fmt: skip
KNOWN = {
    "description", "type", "format", "properties", "required", "items", "additionalProperties",
    "enum", "pattern", "maxLength", "minimum", "maximum", "multipleOf", "minItems", "maxItems",
    "minProperties", "maxProperties",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string",
    "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", *JUNCTORS,
}  # fmt: skip


def check_junctor(node, owner, where):
    """Within anyOf and its like: value validations only, of fields that exist outside."""
    assert not IN_JUNCTORS_FORBIDDEN & set(node), where
    assert set(node) <= KNOWN, where
    for name, sub in node.get("properties", {}).items():
        assert name in owner.get("properties", {}), f"{where}.{name}"
        check_junctor(sub, owner["properties"][name], f"{where}.{name}")
    for name in node.get("required", []):
        assert name in owner.get("properties", {}), f"{where}.{name}"
    check_junctors(node, owner, where)


def check_junctors(node, owner, where):
    for key in ("allOf", "anyOf", "oneOf"):
        for i, sub in enumerate(node.get(key, [])):
            check_junctor(sub, owner, f"{where}.{key}[{i}]")
    if "not" in node:
        check_junctor(node["not"], owner, f"{where}.not")


def check_structural(node, where):
    """The rules of apiextensions' structural schemas."""
    assert set(node) <= KNOWN, f"{where}: {set(node) - KNOWN}"
    loose = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
    assert ("type" in node) or loose, f"{where} has no type"
    assert not ("properties" in node and "additionalProperties" in node), where
    assert not (node.get("x-kubernetes-int-or-string") and "type" in node), where
    if node.get("type") == "array" or "items" in node:
        check_structural(node["items"], f"{where}[]")
    if "additionalProperties" in node:
        check_structural(node["additionalProperties"], f"{where}{{}}")
    for name, sub in node.get("properties", {}).items():
        check_structural(sub, f"{where}.{name}")
    assert set(node.get("required", [])) <= set(node.get("properties", {})), where
    if "pattern" in node:
        re.compile(node["pattern"])
        assert "(?" not in node["pattern"]  # RE2 knows no look-around
    check_junctors(node, node, where)


@functools.cache
def crds():
    return list(yaml.load_all(schema_of("-o", "crds"), yaml.CSafeLoader))


@pytest.mark.parametrize("crd", crds(), ids=lambda crd: crd["metadata"]["name"])
def test_crd_is_structural(crd):
    (version,) = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    assert schema["type"] == "object"
    check_structural(schema, crd["spec"]["names"]["kind"])
    assert version["subresources"] == {"status": {}}
    assert "conditions" in schema["properties"]["status"]["properties"]
    names = crd["spec"]["names"]
    assert crd["metadata"]["name"] == f"{names['plural']}.{crd['spec']['group']}"
    for column in version["additionalPrinterColumns"]:
        node = schema
        for step in column["jsonPath"].strip(".").split("."):
            if step == "creationTimestamp":
                break
            node = node["properties"].get(step, {"properties": {"creationTimestamp": {}}})
        assert node


def test_crds_are_of_every_kind_and_only_namespace_is_of_the_cluster():
    found = {c["spec"]["names"]["kind"]: c for c in crds()}
    assert sorted(found) == sorted(kinds_of_the_loader())
    cluster = [kind for kind, c in found.items() if c["spec"]["scope"] == "Cluster"]
    assert cluster == ["Namespace"]
    spec = found["Namespace"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert spec["required"] == ["path"]
    (one,) = yaml.load_all(schema_of("-o", "crds", "Policy"), yaml.CSafeLoader)
    assert one == found["Policy"]


def as_json_schema(node):
    """A structural schema as JSON Schema: closed where the API server prunes."""
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    out = {key: as_json_schema(value) for key, value in node.items() if key[:2] != "x-"}
    if node.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "number", "string"]
    return out


def test_crds_accept_the_seeds_and_refuse_what_the_loader_refuses():
    found = {c["spec"]["names"]["kind"]: c["spec"]["versions"][0] for c in crds()}
    judges = {
        kind: jsonschema.Draft202012Validator(as_json_schema(v["schema"]["openAPIV3Schema"]))
        for kind, v in found.items()
    }
    for seed in SEEDS[1:]:
        judges[seed["kind"]].validate(seed)
    refused = [
        ("Policy", {"allow": {"ingress": [{"from": [{}]}]}}),
        ("Policy", {"allow": {"ingress": [{"from": [{"cidr": "10.0.0.0/8", "fqdn": "a.b"}]}]}}),
        ("Policy", {"allow": {"ingress": [{"from": [{"except": []}]}]}}),
        ("Policy", {"default": {"ingress": [{}]}}),
        ("Policy", {"workloads": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
        ("Access", {"groups": []}),
        ("Namespace", {"owners": ["x"]}),
        ("Quota", {"requests": {"burst": -1}}),
    ]
    selectors = [{"matchLabels": ["a"]}, {"matchExpressions": [{"key": "a"}]}]
    refused += [
        ("Policy", {"allow": {"ingress": [{"from": [{"node": node}]}]}})
        for node in (0, 1, 7.5, -1, False, True, [], ["a"], "", "A_b", *selectors)
    ]
    refused += [
        ("Route", {"mandatory": {"egress": [{"action": "route", "gateway": gateway}]}})
        for gateway in (0, 1, 7.5, False, True, "", "gw-1", [], [1], ["A_b"], *selectors)
    ]
    ends = (0, 1, 7.5, False, True, "", "x", [], [1], ["x"], {"namespace": 1},
            {"workloads": {"matchLabels": 3}}, [{"workloads": 1}])
    refused += [
        ("Test", {"expect": [{"verdict": "deny", "from": end, "to": "a/b"}]}) for end in ends
    ]
    for kind, spec in refused:
        assert not judges[kind].is_valid(native(kind, spec)), (kind, spec)
        if all(word not in str(spec) for word in ("gateway", "cidr")):
            whole = validator(kind)
            assert not whole.is_valid(native(kind, spec)), (kind, spec)


def test_kubectl_reads_the_crds(tmp_path):
    path = tmp_path / "crds.yaml"
    path.write_text(schema_of("-o", "crds"))
    done = subprocess.run(
        ["kubectl", "annotate", "--local", "--dry-run=client", "-o", "name", "-f", path, "a=b"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(crds())
