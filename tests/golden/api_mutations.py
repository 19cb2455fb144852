"""Policy documents damaged in one place each, in every way that we could think of."""

import copy
import json
import pathlib

import yaml

BASES = list(yaml.safe_load_all((pathlib.Path(__file__).parent / "api_documents.yaml").read_text()))

# What any field is set to.
VALUES = [None, 5, 0, -1, 1, 79, 80, 65535, 65536, 70000, 1000, 1001, 2147483648, 1099511627776,
 1180591620717411303424, 1.5, True, False, [], {}, [None], [{}], [5], ["x"], ["x", "x"], [[]],
 {"bogus": 1}, "", "x", "UPPER", "Allow", "Accept", "Deny", "Pass", "allow", "Drop", "Admin",
 "Baseline", "TCP", "tcp", "UDP", "SCTP", "ICMP", "In", "NotIn", "Exists", "DoesNotExist",
 "Gt", "Ingress", "Egress", "a b", "-x", "x-", "a.b", "a_b", "A.b", "a..b", ".a", "a.", "*",
 "Ünï", "Ü" * 60,
 "Ü" * 100,
 "Ü" * 101,
 "Ü" * 34, "x" * 15, "x" * 16,
 "x" * 63,
 "x" * 64,
 "x" * 100,
 "x" * 101,
 "x" * 253,
 "x" * 254,
 "x" * 300,
 "a/b", "a/b/c", "/a", "a/", "example.org/x", "Example.org/x", "EXAMPLE.org/x", "a-b", "a--b",
 "8080", "80", "1a", "a---", "http", "10.0.0.0/8", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0",
 "10.0.0.0/", "/8", "010.0.0.0/8", "10.0.0.0/08", "10.0.0/8", " 10.0.0.0/8", "10.0.0.0/8 ",
 "10.0.0.0/-1", "10.0.0.0/+8", "10.1.0.0/16", "10.0.0.0/8/8", "0.0.0.0/0", "1.2.3.4/0",
 "256.0.0.0/8", "::/0", "::/129", "fd00::/8", "fd00::1/8", "fd00:1::/32", "FD00::/8",
 "fe80::1%eth0/64", "::ffff:10.0.0.0/104", "::ffff:10.0.0.0/8", "::ffff:a00:0/104",
 "::10.0.0.0/104", "0:0:0:0:0:0:0:0/0", "0000:0000:0000:0000:0000:0000:0000:0000/128",
 "0000:0000:0000:0000:0000:0000:255.255.255.255/128", "1::2::3/64", ":::/0", "fd00::/008",
 "00fd00::/8", "10.0.0.0/32", "10.255.255.255/32", "fd00::1/128", "1.2.3.4/32", "fd00::/7",
 "10.0.0.0/7", "10.0.0.0/9", "11.0.0.0/9", "example.org", "example.org.", "*.example.org",
 "*.org", "org", "*.", "*", "a.*.org", "*.*.org", "exa_mple.org", "-a.org", "a-.org",
 "a..org", ".org", "Example.ORG", "*example.org", "xn--a.org", "a.b.c.d.e.f",
 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.org",
 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.org", "1.2.3.4",
 "example.org/x", {"matchLabels": {"a b": "c"}}, {"matchLabels": None},
 {"matchLabels": {"a": 5}}, {"matchLabels": {"a": None}}, {"matchLabels": {"": "x"}},
 {"matchLabels": {"a": "x" * 64}},
 {"matchExpressions": None}, {"matchExpressions": [None]},
 {"matchExpressions": [{"key": "a", "operator": "In", "values": []}]},
 {"matchExpressions": [{"key": "a", "operator": "In", "values": [None]}]},
 {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]},
 {"matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]},
 {"matchExpressions": [{"key": "a", "operator": "Exists", "values": None}]},
 {"matchExpressions": [{"key": "a"}]}, {"matchExpressions": [{"operator": "Exists"}]},
 {"matchExpressions": [{"key": "", "operator": "Exists"}]},
 {"matchExpressions": [{"key": "a", "operator": ""}]}, ["10.0.0.0/8", "10.0.0.0/8"],
 ["10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8",
  "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8",
  "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8",
  "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8",
  "10.0.0.0/8", "10.0.0.0/8"],
 ["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16",
  "10.6.0.0/16", "10.7.0.0/16", "10.8.0.0/16", "10.9.0.0/16", "10.10.0.0/16", "10.11.0.0/16",
  "10.12.0.0/16", "10.13.0.0/16", "10.14.0.0/16", "10.15.0.0/16", "10.16.0.0/16",
  "10.17.0.0/16", "10.18.0.0/16", "10.19.0.0/16", "10.20.0.0/16", "10.21.0.0/16",
  "10.22.0.0/16", "10.23.0.0/16", "10.24.0.0/16"],
 ["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16",
  "10.6.0.0/16", "10.7.0.0/16", "10.8.0.0/16", "10.9.0.0/16", "10.10.0.0/16", "10.11.0.0/16",
  "10.12.0.0/16", "10.13.0.0/16", "10.14.0.0/16", "10.15.0.0/16", "10.16.0.0/16",
  "10.17.0.0/16", "10.18.0.0/16", "10.19.0.0/16", "10.20.0.0/16", "10.21.0.0/16",
  "10.22.0.0/16", "10.23.0.0/16", "10.24.0.0/16", "10.25.0.0/16"],
 ["10.0.0.0/8", "10.0.0.1/8"],
 ["a0.example.org", "a1.example.org", "a2.example.org", "a3.example.org", "a4.example.org",
  "a5.example.org", "a6.example.org", "a7.example.org", "a8.example.org", "a9.example.org",
  "a10.example.org", "a11.example.org", "a12.example.org", "a13.example.org",
  "a14.example.org", "a15.example.org", "a16.example.org", "a17.example.org",
  "a18.example.org", "a19.example.org", "a20.example.org", "a21.example.org",
  "a22.example.org", "a23.example.org", "a24.example.org"],
 ["a0.example.org", "a1.example.org", "a2.example.org", "a3.example.org", "a4.example.org",
  "a5.example.org", "a6.example.org", "a7.example.org", "a8.example.org", "a9.example.org",
  "a10.example.org", "a11.example.org", "a12.example.org", "a13.example.org",
  "a14.example.org", "a15.example.org", "a16.example.org", "a17.example.org",
  "a18.example.org", "a19.example.org", "a20.example.org", "a21.example.org",
  "a22.example.org", "a23.example.org", "a24.example.org", "a25.example.org"],
 ["example.org", "example.org"], ["example.org", "EXAMPLE.org"], ["10.0.0.0/40"],
 ["10.0.0.0/8", None], ["10.0.0.0/8", 5], ["Ingress"], ["Ingress", "Ingress"],
 ["Ingress", "Egress", "Ingress"], ["Egress"], ["ingress"], ["In"], ["a", "a"], ["bad value"],
 [""], {"start": 5, "end": 5}, {"start": 5, "end": 4}, {"start": 5, "end": 6},
 {"start": 0, "end": 6}, {"start": 5}, {"end": 5}, {"start": 1, "end": 65536}, {"number": 80},
 {"number": 80, "range": {"start": 1, "end": 2}},
 {"number": None, "range": {"start": 1, "end": 2}}, {"number": 0}, {"range": {}},
 {"destinationPort": {"number": 1}}, {"destinationPort": None}, {"destinationPort": {}},
 {"tcp": {"destinationPort": {"number": 1}}, "udp": {"destinationPort": {"number": 1}}},
 {"tcp": {}}, {"tcp": None}, {"tcp": None, "destinationNamedPort": "x"},
 {"destinationNamedPort": ""}, {"destinationNamedPort": "x"}, {"namedPort": ""},
 {"namedPort": "x"}, {"namedPort": "x", "portNumber": {"protocol": "TCP", "port": 1}},
 {"portNumber": {"port": 1}}, {"portNumber": {"protocol": "TCP"}},
 {"portNumber": {"protocol": "X", "port": 1}}, {"portRange": {"start": 1, "end": 2}},
 {"portRange": {"start": 2, "end": 1}}, {"portRange": {"start": 2, "end": 2, "protocol": ""}},
 {"namespaces": {}}, {"pods": {}}, {"pods": {"podSelector": {}}},
 {"pods": {"namespaceSelector": {}}}, {"pods": {"namespaceSelector": {}, "podSelector": {}}},
 {"namespaces": {}, "pods": {"namespaceSelector": {}, "podSelector": {}}},
 {"namespaces": None},
 {"namespaces": None, "pods": {"namespaceSelector": {}, "podSelector": {}}}, {"nodes": {}},
 {"networks": ["10.0.0.0/8"]}, {"networks": []}, {"domainNames": ["example.org"]},
 {"domainNames": []}, {"networks": ["10.0.0.0/8"], "nodes": {}}, {"podSelector": {}},
 {"podSelector": None}, {"namespaceSelector": {}},
 {"podSelector": {}, "namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}},
 {"ipBlock": None}, {"ipBlock": None, "podSelector": {}},
 {"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}, {"ipBlock": {}},
 {"ipBlock": {"cidr": None}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": [None]}},
 {"ipBlock": {"cidr": "10.0.0.0/8", "except": None}},
 {"podSelector": None, "namespaceSelector": None}, {"port": None},
 {"port": "http", "protocol": None}, {"port": 80, "endPort": 79}, {"port": 80, "endPort": 80},
 {"port": 80, "endPort": 65536}, {"endPort": 90}, {"port": "http", "endPort": 90},
 {"protocol": ""}, {"port": 0}, {"port": ""}, {"port": 80, "endPort": None},
 {"port": 80, "endPort": 0}, {"port": True}, {"port": 1.5},
 {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]},
 {"cidr": "10.0.0.0/8", "except": ["10.0.0.1/9"]},
 {"cidr": "10.0.0.5/8", "except": ["10.0.0.0/9"]},
 {"cidr": "10.0.0.0/8", "except": ["fd00::/16"]}, {"cidr": "::/0", "except": ["10.0.0.0/8"]},
 {"cidr": "::/0", "except": ["::ffff:10.0.0.0/104"]},
 {"cidr": "0.0.0.0/0", "except": ["::ffff:10.0.0.0/104"]},
 {"cidr": "::ffff:10.0.0.0/104", "except": ["::ffff:10.1.0.0/112"]},
 {"cidr": "::ffff:10.0.0.0/104", "except": ["10.1.0.0/16"]},
 {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.0.0/16"]},
 {"cidr": "10.0.0.0/8", "except": ["010.1.0.0/16"]},
 {"cidr": "0.0.0.0/0", "except": ["0.0.0.0/1"]}, {"cidr": "", "except": []},
 {"cidr": "10.0.0.0/8", "except": [""]}, {"cidr": "::/0", "except": ["::/1"]},
 {"cidr": "fd00::/8", "except": ["fe00::/16"]}]
VALUES += [".".join(["x" * 60] * 4), ".".join(["x" * 60] * 4) + ".org"]

# What any map gets as a further field.
FIELDS = [
    ("bogus", 1),
    ("bogus", None),
    ("Bogus", {}),
    ("status", {}),
    ("namespace", "x"),
    ("generateName", "x-"),
    ("labels", {"a b": "c"}),
    ("annotations", {"a b": "c"}),
    ("annotations", {"A.b/C": "c"}),
]


def paths(node, path=()):
    yield path
    items = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in items:
        yield from paths(node[key], path + (key,))


def changed(base, path, change):
    """A copy of the document after change(parent, key) there."""
    document = copy.deepcopy(base)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return document


def setter(value):
    def change(parent, key):
        parent[key] = copy.deepcopy(value)

    return change


def remover(parent, key):
    del parent[key]


def renamer(parent, key):
    parent[key.capitalize() if key[0].islower() else key.lower()] = parent.pop(key)


def append_null(parent, key):
    parent[key].append(None)


def repeater(count):
    def change(parent, key):
        parent[key] = [copy.deepcopy(parent[key][0]) for _ in range(count)]

    return change


def mutations(base):
    """What is done, and path and change for changed(), of every mutation of a document."""
    for path in paths(base):
        if not path:
            continue
        where = ".".join(map(str, path))
        node = base
        for key in path:
            node = node[key]
        for value in VALUES:
            yield f"{where} = {json.dumps(value)[:80]}", path, setter(value)
        yield f"without {where}", path, remover
        if isinstance(path[-1], str):
            yield f"{where} in another case", path, renamer
        if isinstance(node, dict):
            for key, value in FIELDS:
                yield f"{key} in {where}", path + (key,), setter(value)
        if isinstance(node, list) and node:
            for count in (2, 25, 26, 100, 101):
                yield f"{count} of {where}", path, repeater(count)
            yield f"null in {where}", path, append_null
