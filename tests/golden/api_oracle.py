"""What an API server would say of a policy document: an oracle beside our loader.

For the three kinds of policy.networking.k8s.io it reads their CustomResourceDefinitions
(RINGFENCE_API or ../shared/api; not part of this repository) and applies them as the
apiextensions server does: structural schema, then the CEL rules, of which there are four.
For NetworkPolicy it follows pkg/apis/networking/validation and the decoder of Go
structures. It knows nothing of our loader, and is itself tested against recorded verdicts.
"""

import ipaddress
import re

import yaml

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


class Refused(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Refused(why)


# ---- metadata, the same for all


def is_subdomain(text):
    return len(text) <= 253 and NAME.fullmatch(text) is not None


def is_qualified(text):
    prefix, slash, name = text.rpartition("/")
    if slash and not (prefix and is_subdomain(prefix)):
        return False
    return len(name) <= 63 and PART.fullmatch(name) is not None


def is_label_value(text):
    return text == "" or (len(text) <= 63 and PART.fullmatch(text) is not None)


META = {
    "name": str,
    "generateName": str,
    "namespace": str,
    "labels": dict,
    "annotations": dict,
    "uid": str,
    "resourceVersion": str,
    "creationTimestamp": str,
    "finalizers": list,
}


def check_texts(values):
    for value in values.values():
        need(value is None or isinstance(value, str), "not a string")


def check_meta(meta, namespaced):
    need(isinstance(meta or {}, dict), "metadata")
    meta = {key: value for key, value in (meta or {}).items()}
    for key, value in meta.items():
        need(key in META, f"metadata.{key}")
        need(value is None or type(value) is META[key], f"metadata.{key} is of the wrong type")
    need(meta.get("name") or meta.get("generateName"), "no name")
    if meta.get("name"):
        need(is_subdomain(meta["name"]), "bad name")
    if namespaced:
        namespace = meta.get("namespace") or "default"
        need(len(namespace) <= 63 and LABEL.fullmatch(namespace), "bad namespace")
    else:
        need(not meta.get("namespace"), "a cluster-scoped object in a namespace")
    for key in ("labels", "annotations"):
        check_texts(meta.get(key) or {})
    for key, value in (meta.get("labels") or {}).items():
        need(is_qualified(key) and is_label_value(value or ""), "bad label")
    for key in meta.get("annotations") or {}:
        need(is_qualified(key.lower()), "bad annotation")


# ---- custom resources


def is_cidr(text):
    address, slash, length = text.partition("/")
    if not slash or not re.fullmatch(r"0|[1-9][0-9]*", length) or "%" in address:
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.version == 6 and parsed.ipv4_mapped is not None
    return not mapped and int(length) <= parsed.max_prefixlen


def named_port_is_alone(peers, ports, kinds, name):
    named = any(name in port for port in ports or [])
    return not named or not any(kind in peer for peer in peers for kind in kinds)


def cel(rule, value):
    """The rules of these CRDs, by their text."""
    rule = " ".join(rule.split())
    if rule == "isCIDR(self)":
        return is_cidr(value)
    if rule == "self.start < self.end":
        return value["start"] < value["end"]
    if rule == "self.metadata.name == 'default'":
        return value["metadata"].get("name") == "default"
    kinds = re.findall(r"has\(peer\.(\w+)\)", rule)
    form = r"has\(self\.(\w+)\) && self\.\w+\.exists\(\w+, has\(\w+\.(\w+)\)"
    ports, name = re.search(form, rule).groups()
    return named_port_is_alone(value["to"], value.get(ports), kinds, name)


TYPES = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}

BOUNDS = {
    "minimum": lambda v, b: v >= b,
    "maximum": lambda v, b: v <= b,
    "minLength": lambda v, b: len(v) >= b,
    "maxLength": lambda v, b: len(v) <= b,
    "minItems": lambda v, b: len(v) >= b,
    "maxItems": lambda v, b: len(v) <= b,
    "minProperties": lambda v, b: len(v) >= b,
    "maxProperties": lambda v, b: len(v) <= b,
    "enum": lambda v, b: v in b,
    "pattern": lambda v, b: re.search(b, v) is not None,
}


def check_schema(schema, value, where):
    need(TYPES[schema["type"]](value), f"{where}: type")
    if schema["type"] == "object":
        check_object(schema, value, where)
    elif schema["type"] == "array":
        for i, item in enumerate(value):
            check_schema(schema["items"], item, f"{where}[{i}]")
        if schema.get("x-kubernetes-list-type") == "set":
            need(len(set(value)) == len(value), f"{where}: duplicates")
    for key, holds in BOUNDS.items():
        need(key not in schema or holds(value, schema[key]), f"{where}: {key}")
    for rule in schema.get("x-kubernetes-validations", []):
        need(cel(rule["rule"], value), f"{where}: {rule['rule']}")


def check_object(schema, value, where):
    properties = schema.get("properties", {})
    more = schema.get("additionalProperties")
    # A null that the schema does not allow is dropped, or replaced by the default.
    for key in [key for key, inner in value.items() if inner is None]:
        if key in properties or more is not None:
            del value[key]
    for key, inner in properties.items():
        if key not in value and "default" in inner:
            value[key] = inner["default"]
    for key in schema.get("required", []):
        need(key in value, f"{where}: no {key}")
    for key, inner in value.items():
        need(key in properties or more is not None, f"{where}: unknown {key}")
        if where == "" and key in ("metadata", "status"):
            continue
        check_schema(properties.get(key, more), inner, f"{where}.{key}")


def read_schemas(directory):
    """(apiVersion, kind) -> schema."""
    schemas = {}
    for path in directory.glob("*.crd.yaml"):
        crd = yaml.load(path.read_text(), yaml.CSafeLoader)
        for version in crd["spec"]["versions"]:
            key = f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]
            schemas[key] = version["schema"]["openAPIV3Schema"]
    return schemas


# ---- NetworkPolicy: (fields of a structure) or [item]; null is the zero value everywhere

INT = int
INT_OR_STRING = (int, str)
SELECTOR = {
    "matchLabels": {"*": str},
    "matchExpressions": [{"key": str, "operator": str, "values": [str]}],
}
PEER = {
    "podSelector": SELECTOR,
    "namespaceSelector": SELECTOR,
    "ipBlock": {"cidr": str, "except": [str]},
}
PORT = {"protocol": str, "port": INT_OR_STRING, "endPort": INT}
SPEC = {
    "podSelector": SELECTOR,
    "ingress": [{"from": [PEER], "ports": [PORT]}],
    "egress": [{"to": [PEER], "ports": [PORT]}],
    "policyTypes": [str],
}


def decode(shape, value):
    """The value as a Go structure would have it; None where a pointer would be nil."""
    if value is None:
        return None
    if isinstance(shape, list):
        need(isinstance(value, list), "not a list")
        return [zero(shape[0]) if item is None else decode(shape[0], item) for item in value]
    if isinstance(shape, dict):
        need(isinstance(value, dict), "not a map")
        if "*" in shape:
            return {key: "" if v is None else decode(shape["*"], v) for key, v in value.items()}
        need(value.keys() <= shape.keys(), "unknown field")
        return {key: decode(shape[key], v) for key, v in value.items() if v is not None}
    need(isinstance(value, shape) and not isinstance(value, bool), "wrong type")
    need(not isinstance(value, int) or -(2**31) <= value < 2**31, "does not fit")
    return value


def zero(shape):
    return {} if isinstance(shape, dict) else ""


def check_selector(selector):
    for key, value in (selector.get("matchLabels") or {}).items():
        need(is_qualified(key) and is_label_value(value), "bad label")
    for e in selector.get("matchExpressions") or []:
        values = e.get("values") or []
        need(e.get("operator") in ("In", "NotIn", "Exists", "DoesNotExist"), "operator")
        need((len(values) > 0) == (e["operator"] in ("In", "NotIn")), "values")
        need(is_qualified(e.get("key") or ""), "key")
        for value in values:
            need(is_label_value(value), "value")


def is_port_name(text):
    return (
        len(text) <= 15
        and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text) is not None
        and re.search("[a-z]", text) is not None
    )


def check_port(port):
    need(port.get("protocol", "TCP") in ("TCP", "UDP", "SCTP"), "protocol")
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, int):
        need(1 <= number <= 65535, "port")
        need(end is None or number <= end <= 65535, "endPort")
        return
    need(end is None, "endPort")
    need(number is None or is_port_name(number), "port's name")


def sloppy_network(text):
    """Go's old ParseCIDR: leading zeros are decimal, a mapped address stays 16 bytes."""
    address, slash, length = text.partition("/")
    need(slash and re.fullmatch("[0-9]+", length) and len(length) < 8, "no network")
    if ":" not in address:
        parts = address.split(".")
        need(len(parts) == 4 and all(re.fullmatch("[0-9]+", p) for p in parts), "no network")
        address = ".".join(str(int(p)) for p in parts)
    try:
        need("%" not in address, "zone")
        network = ipaddress.ip_network(f"{address}/{int(length)}", strict=False)
    except ValueError as error:
        raise Refused(str(error)) from error
    return network


def unmapped(address):
    return getattr(address, "ipv4_mapped", None) or address


def check_block(block):
    cidr = sloppy_network(block.get("cidr") or "")
    for text in block.get("except") or []:
        inner = sloppy_network(text)
        # A mapped network's address is of four bytes to Go, its mask of sixteen: no
        # network contains such an address, and it contains none.
        mapped = [unmapped(n.network_address).version != n.version for n in (cidr, inner)]
        need(inner.version == cidr.version and mapped[0] == mapped[1], "except")
        need(inner.prefixlen > cidr.prefixlen and inner.subnet_of(cidr), "except")


def check_peer(peer):
    set_ = [key for key in ("podSelector", "namespaceSelector", "ipBlock") if key in peer]
    need(set_, "a peer")
    need("ipBlock" not in peer or len(set_) == 1, "ipBlock is alone")
    for key in ("podSelector", "namespaceSelector"):
        check_selector(peer.get(key, {}))
    if "ipBlock" in peer:
        check_block(peer["ipBlock"])


def check_network_policy(document):
    need(set(document) <= {"apiVersion", "kind", "metadata", "spec", "status"}, "unknown field")
    need(not document.get("status"), "status")
    spec = decode(SPEC, document.get("spec")) or {}
    check_selector(spec.get("podSelector") or {})
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction) or []:
            for port in rule.get("ports") or []:
                check_port(port)
            for peer in rule.get(peers) or []:
                check_peer(peer)
    types = spec.get("policyTypes") or []
    need(len(types) <= 2 and set(types) <= {"Ingress", "Egress"}, "policyTypes")


# ---- all


def verdict(schemas, document):
    """None if the server would accept the document (which may be changed); else why not."""
    kind = document.get("apiVersion"), document.get("kind")
    try:
        if kind == ("networking.k8s.io/v1", "NetworkPolicy"):
            check_meta(document.get("metadata"), True)
            check_network_policy(document)
        else:
            need(all(isinstance(k, str) for k in kind) and kind in schemas, "no such kind")
            check_meta(document.get("metadata"), False)
            check_schema(schemas[kind], document, "")
    except Refused as why:
        return str(why) or "refused"
    return None
