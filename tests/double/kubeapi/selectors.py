"""Label and field selectors."""

import re


class SelectorError(ValueError):
    """The selector cannot be parsed; the text is the API server's."""


def parse_field_selector(text):
    """[(field, "=" or "!=", value), ...]"""
    terms = []
    for part in re.split(r"(?<!\\),", text):
        if not part:
            continue
        match = re.match(r"^(.*?)(!=|==|=)(.*)$", part, re.S)
        if not match:
            raise SelectorError(
                f'invalid selector: "{text}"; can\'t understand "{part}"'
            )
        field, operator, value = match.groups()
        value = re.sub(r"\\([\\,=])", r"\1", value)
        terms.append((field, "!=" if operator == "!=" else "=", value))
    return terms


_LABEL_TERM = re.compile(
    r"""^\s*(?:
        (?P<not>!)\s*(?P<absent>[^\s,=!()]+) |
        (?P<key>[^\s,=!()]+)\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\) |
        (?P<key2>[^\s,=!()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s,=!()]*) |
        (?P<exists>[^\s,=!()]+)
    )\s*(?:,|$)""",
    re.X,
)


def parse_label_selector(text):
    """[(key, operator, {values})] with the operators in, notin, exists, absent."""
    terms, at = [], 0
    while at < len(text):
        match = _LABEL_TERM.match(text[at:])
        if not match:
            raise SelectorError(
                f"unable to parse requirement: found '{text[at:]}', "
                "expected: in, notin, =, ==, !=, gt, lt, exists"
            )
        at += match.end()
        g = match.groupdict()
        if g["absent"]:
            terms.append((g["absent"], "absent", set()))
        elif g["key"]:
            values = {v.strip() for v in g["values"].split(",")}
            terms.append((g["key"], g["set"], values))
        elif g["key2"]:
            operator = "notin" if g["op"] == "!=" else "in"
            terms.append((g["key2"], operator, {g["value"]}))
        else:
            terms.append((g["exists"], "exists", set()))
    return terms


def _labels_match(terms, labels):
    for key, operator, values in terms:
        if operator == "in":
            ok = key in labels and labels[key] in values
        elif operator == "notin":
            ok = key not in labels or labels[key] not in values
        else:
            ok = (key in labels) == (operator == "exists")
        if not ok:
            return False
    return True


# Fields that each resource can be selected by, beside metadata.name and metadata.namespace,
# with the path in the object.
FIELDS = {
    "pods": {
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
    },
    "events": {
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
        "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion",
        "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
    },
    "secrets": {"type"},
    "nodes": {"spec.unschedulable"},
    "namespaces": {"status.phase"},
    "services": {"spec.clusterIP", "spec.type"},
}  # fmt: skip


class Selector:
    """A label selector and a field selector together."""

    def __init__(self, resource, labels="", fields=""):
        self.labels = parse_label_selector(labels)
        self.fields = parse_field_selector(fields)
        self.empty = not self.labels and not self.fields
        known = FIELDS.get(resource.name, set()) | {"metadata.name"}
        if resource.namespaced:
            known = known | {"metadata.namespace"}
        for field, _, _ in self.fields:
            if field not in known:
                raise SelectorError(
                    f'Unable to find "{resource.gvr_text}" that match label selector '
                    f'"{labels}", field selector "{fields}": field label not supported: '
                    f"{field}"
                )

    def matches(self, obj):
        if self.empty:
            return True
        if not _labels_match(self.labels, obj["metadata"].get("labels") or {}):
            return False
        for field, operator, value in self.fields:
            if (_field(obj, field) == value) != (operator == "="):
                return False
        return True


def _field(obj, path):
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return str(obj).lower()
    return "" if obj is None else str(obj)
