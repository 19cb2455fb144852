"""The Table form of objects, which `kubectl get` prints."""

import datetime

_NAME = ("Name", "string", "name", "Name of the object.", 0)
_AGE = ("Age", "string", "", "Time since the object was created.", 0)


def _column(name, priority=0, type="string"):
    return (name, type, "", f"{name} of the object.", priority)


def parse_time(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=datetime.timezone.utc
    )


def human_duration(seconds):
    """A duration as kubectl shows it: 5s, 3m20s, 4h, 2d3h."""
    seconds = int(seconds)
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = seconds // 3600
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    years, rest = divmod(days, 365)
    if years < 8:
        return f"{years}y{rest}d" if rest else f"{years}y"
    return f"{years}y"


def _age(obj):
    created = obj["metadata"].get("creationTimestamp")
    if not created:
        return "<unknown>"
    now = datetime.datetime.now(datetime.timezone.utc)
    return human_duration((now - parse_time(created)).total_seconds())


def _selector(labels):
    if not labels:
        return "<none>"
    return ",".join(f"{k}={labels[k]}" for k in sorted(labels))


def _pod(obj):
    spec, state = obj.get("spec") or {}, obj.get("status") or {}
    containers = state.get("containerStatuses") or []
    ready = sum(1 for c in containers if c.get("ready"))
    restarts = sum(c.get("restartCount", 0) for c in containers)
    reason = state.get("reason") or state.get("phase") or ""
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason") or reason
    if obj["metadata"].get("deletionTimestamp"):
        reason = "Terminating"
    total = len(spec.get("containers") or [])
    gates = spec.get("readinessGates") or []
    true = {
        c["type"] for c in state.get("conditions") or () if c.get("status") == "True"
    }
    met = sum(1 for gate in gates if gate.get("conditionType") in true)
    return [
        obj["metadata"]["name"],
        f"{ready}/{total}",
        reason,
        str(restarts),
        _age(obj),
        state.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        state.get("nominatedNodeName") or "<none>",
        f"{met}/{len(gates)}" if gates else "<none>",
    ]


def _namespace(obj):
    phase = (obj.get("status") or {}).get("phase") or ""
    return [obj["metadata"]["name"], phase, _age(obj)]


def _service(obj):
    spec = obj.get("spec") or {}
    ports = []
    for port in spec.get("ports") or ():
        text = str(port.get("port"))
        if port.get("nodePort"):
            text += f":{port['nodePort']}"
        ports.append(f"{text}/{port.get('protocol', 'TCP')}")
    return [
        obj["metadata"]["name"],
        spec.get("type", "ClusterIP"),
        spec.get("clusterIP") or "<none>",
        ",".join(spec.get("externalIPs") or ()) or "<none>",
        ",".join(ports) or "<none>",
        _age(obj),
        _selector(spec.get("selector")),
    ]


def _deployment(obj):
    spec, state = obj.get("spec") or {}, obj.get("status") or {}
    containers = ((spec.get("template") or {}).get("spec") or {}).get(
        "containers"
    ) or []
    return [
        obj["metadata"]["name"],
        f"{state.get('readyReplicas', 0)}/{spec.get('replicas', 1)}",
        state.get("updatedReplicas", 0),
        state.get("availableReplicas", 0),
        _age(obj),
        ",".join(c.get("name", "") for c in containers),
        ",".join(c.get("image", "") for c in containers),
        _selector((spec.get("selector") or {}).get("matchLabels")),
    ]


def _config_map(obj):
    count = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
    return [obj["metadata"]["name"], count, _age(obj)]


def _secret(obj):
    kind = obj.get("type", "Opaque")
    return [obj["metadata"]["name"], kind, len(obj.get("data") or {}), _age(obj)]


def _network_policy(obj):
    selector = (obj.get("spec") or {}).get("podSelector") or {}
    return [obj["metadata"]["name"], _selector(selector.get("matchLabels")), _age(obj)]


def _event(obj):
    about = obj.get("involvedObject") or {}
    return [
        _age(obj),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        (obj.get("message") or "").strip(),
        obj["metadata"]["name"],
    ]


def _node(obj):
    state = obj.get("status") or {}
    ready = any(
        c.get("type") == "Ready" and c.get("status") == "True"
        for c in state.get("conditions") or ()
    )
    version = (state.get("nodeInfo") or {}).get("kubeletVersion", "")
    name = obj["metadata"]["name"]
    return [name, "Ready" if ready else "NotReady", "<none>", _age(obj), version]


def _plain(obj):
    return [
        obj["metadata"]["name"],
        obj["metadata"].get("creationTimestamp") or "<unknown>",
    ]


_PLAIN_COLUMNS = [_NAME, ("Created At", "date", "", "Time of creation.", 0)]

_TABLES = {
    "Pod": (
        [_NAME]
        + [_column(n) for n in ("Ready", "Status", "Restarts")]
        + [_AGE]
        + [_column(n, 1) for n in ("IP", "Node", "Nominated Node", "Readiness Gates")],
        _pod,
    ),
    "Namespace": ([_NAME, _column("Status"), _AGE], _namespace),
    "Service": (
        [_NAME]
        + [_column(n) for n in ("Type", "Cluster-IP", "External-IP", "Port(s)")]
        + [_AGE, _column("Selector", 1)],
        _service,
    ),
    "Deployment": (
        [_NAME, _column("Ready")]
        + [_column(n, 0, "integer") for n in ("Up-to-date", "Available")]
        + [_AGE]
        + [_column(n, 1) for n in ("Containers", "Images", "Selector")],
        _deployment,
    ),
    "ConfigMap": ([_NAME, _column("Data", 0, "integer"), _AGE], _config_map),
    "Secret": (
        [_NAME, _column("Type"), _column("Data", 0, "integer"), _AGE],
        _secret,
    ),
    "NetworkPolicy": ([_NAME, _column("Pod-Selector"), _AGE], _network_policy),
    "Event": (
        [_column(n) for n in ("Last Seen", "Type", "Reason", "Object", "Message")]
        + [("Name", "string", "name", "Name of the object.", 1)],
        _event,
    ),
    "Node": (
        [_NAME, _column("Status"), _column("Roles"), _AGE, _column("Version")],
        _node,
    ),
}


def partial_metadata(obj):
    """PartialObjectMetadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def table(resource, objects, metadata, include="Metadata", version="v1", columns=True):
    """A Table of objects (dicts with kind and apiVersion left out)."""
    definitions, row = _TABLES.get(resource.kind, (_PLAIN_COLUMNS, _plain))
    rows = []
    for obj in objects:
        entry = {"cells": row(obj)}
        if include == "Object":
            shown = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
            entry["object"] = shown
        elif include != "None":
            entry["object"] = partial_metadata(obj)
        rows.append(entry)
    keys = ("name", "type", "format", "description", "priority")
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": [dict(zip(keys, d)) for d in definitions]
        if columns
        else None,
        "rows": rows,
    }
