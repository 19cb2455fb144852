"""What the API server does to objects of particular kinds: defaults and checks.

Defaults are those that clients of the tests look at.  Validation is complete for metadata
names and partial for NetworkPolicy; other kinds are taken as they come.
"""

import base64
import re
import zlib

from . import status

DNS_SUBDOMAIN = re.compile(
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
)
DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'-' or '.', and must start and end with an alphanumeric character (e.g. "
    "'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
    "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def check_name(resource, name):
    """ApiError 422 unless `name` may name an object of the resource."""
    if not name:
        cause = (
            "FieldValueRequired",
            "Required value: name or generateName is required",
        )
        raise status.invalid(resource, "", [cause + ("metadata.name",)])
    if resource.group == "rbac.authorization.k8s.io":
        if name in (".", "..") or "/" in name or "%" in name:
            text = f"Invalid value: \"{name}\": may not contain '/'"
            raise status.invalid(resource, name, [_bad("metadata.name", text)])
        return
    label = resource.kind in ("Namespace", "Service")
    pattern, rule = (
        (DNS_LABEL, _LABEL_RULE) if label else (DNS_SUBDOMAIN, _SUBDOMAIN_RULE)
    )
    limit = 63 if label else 253
    if len(name) > limit or not pattern.match(name):
        if len(name) > limit:
            rule = f"must be no more than {limit} characters"
        text = f'Invalid value: "{name}": {rule}'
        raise status.invalid(resource, name, [_bad("metadata.name", text)])


def _bad(field, text):
    return ("FieldValueInvalid", text, field)


def _setdefaults(target, **values):
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = value


def _container_defaults(container):
    _setdefaults(
        container,
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="Always"
        if re.search(r"(:latest|^[^:@]+|/[^:@]+)$", container.get("image", ""))
        else "IfNotPresent",
    )
    for port in container.get("ports") or ():
        _setdefaults(port, protocol="TCP")


def _pod_spec_defaults(spec):
    for container in (spec.get("containers") or []) + (
        spec.get("initContainers") or []
    ):
        _container_defaults(container)
    _setdefaults(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )


def _tolerations():
    return [
        {
            "key": f"node.kubernetes.io/{what}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
        for what in ("not-ready", "unreachable")
    ]


def _pod(obj, old):
    if old:
        return
    spec = obj.setdefault("spec", {})
    _pod_spec_defaults(spec)
    _setdefaults(
        spec,
        tolerations=_tolerations(),
        priority=0,
        enableServiceLinks=True,
        preemptionPolicy="PreemptLowerPriority",
    )
    obj["status"] = {"phase": "Pending", "qosClass": "BestEffort"}


def _namespace(obj, old):
    labels = obj["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    if not old:
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}


def _network_policy(obj, old):
    spec = obj.setdefault("spec", {})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                _setdefaults(port, protocol="TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress"] + (["Egress"] if spec.get("egress") else [])


def _service(obj, old):
    spec = obj.setdefault("spec", {})
    _setdefaults(spec, type="ClusterIP", sessionAffinity="None")
    for port in spec.get("ports") or ():
        _setdefaults(port, protocol="TCP")
        _setdefaults(port, targetPort=port.get("port"))
    if spec["type"] != "ExternalName" and not spec.get("clusterIP"):
        old_ip = ((old or {}).get("spec") or {}).get("clusterIP")
        name = f"{obj['metadata'].get('namespace')}/{obj['metadata']['name']}"
        number = zlib.crc32(name.encode()) % 65000
        spec["clusterIP"] = old_ip or f"10.96.{number // 250}.{number % 250 + 1}"
    if spec.get("clusterIP"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    _setdefaults(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    _setdefaults(spec, internalTrafficPolicy="Cluster")
    if not old:
        obj["status"] = {"loadBalancer": {}}


def _deployment(obj, old):
    spec = obj.setdefault("spec", {})
    rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
    _setdefaults(
        spec,
        replicas=1,
        strategy={"type": "RollingUpdate", "rollingUpdate": rolling},
        revisionHistoryLimit=10,
        progressDeadlineSeconds=600,
    )
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    _pod_spec_defaults(template.setdefault("spec", {}))
    if not old:
        obj["status"] = {}


def _secret(obj, old):
    _setdefaults(obj, type="Opaque")
    plain = obj.pop("stringData", None)
    if plain:
        data = obj.setdefault("data", {})
        for key, value in plain.items():
            data[key] = base64.b64encode(value.encode()).decode()


_DEFAULTS = {
    "Pod": _pod,
    "Namespace": _namespace,
    "NetworkPolicy": _network_policy,
    "Service": _service,
    "Deployment": _deployment,
    "Secret": _secret,
}


def apply_defaults(resource, obj, old=None):
    """Fill in what the server fills in; `old` is the object before an update."""
    handler = _DEFAULTS.get(resource.kind)
    if handler and resource.group in ("", "apps", "networking.k8s.io"):
        handler(obj, old)


# The fields of a NetworkPolicy's spec; None is a leaf, a list wraps its element.
_SELECTOR = {
    "matchLabels": None,
    "matchExpressions": [{"key": None, "operator": None, "values": None}],
}
_PEERS = [
    {
        "podSelector": _SELECTOR,
        "namespaceSelector": _SELECTOR,
        "ipBlock": {"cidr": None, "except": None},
    }
]
_PORTS = [{"protocol": None, "port": None, "endPort": None}]
_KNOWN_FIELDS = {
    "NetworkPolicy": {
        "apiVersion": None,
        "kind": None,
        "metadata": None,
        "spec": {
            "podSelector": _SELECTOR,
            "ingress": [{"from": _PEERS, "ports": _PORTS}],
            "egress": [{"to": _PEERS, "ports": _PORTS}],
            "policyTypes": None,
        },
    }
}


def unknown_fields(resource, obj):
    """Paths of the fields that the kind does not have; removes them."""
    found = []
    schema = _KNOWN_FIELDS.get(resource.kind)
    if schema:
        _prune(obj, schema, "", found)
    return found


def _prune(value, schema, path, found):
    if isinstance(schema, list):
        for index, item in enumerate(value if isinstance(value, list) else ()):
            _prune(item, schema[0], f"{path}[{index}]", found)
    elif isinstance(schema, dict) and isinstance(value, dict):
        for key in list(value):
            inner = f"{path}.{key}" if path else key
            if key not in schema:
                found.append(inner)
                del value[key]
            else:
                _prune(value[key], schema[key], inner, found)


def _check_port(port, path, causes):
    number = port.get("port")
    bad = "must be between 1 and 65535, inclusive"
    if isinstance(number, int) and not 1 <= number <= 65535:
        causes.append(_bad(f"{path}.port", f"Invalid value: {number}: {bad}"))
    end = port.get("endPort")
    if end is None:
        return
    if number is None:
        text = "Required value: port must be specified when endPort is specified"
        causes.append(("FieldValueRequired", text, f"{path}.endPort"))
    elif not isinstance(number, int):
        text = (
            f'Invalid value: "{number}": must be an integer when endPort is specified'
        )
        causes.append(_bad(f"{path}.port", text))
    elif end < number:
        text = f"Invalid value: {end}: must be greater than or equal to `port`"
        causes.append(_bad(f"{path}.endPort", text))


def _check_network_policy(obj):
    causes, spec = [], obj.get("spec") or {}
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{i}]"
            for j, port in enumerate(rule.get("ports") or ()):
                _check_port(port, f"{path}.ports[{j}]", causes)
            for j, peer in enumerate(rule.get(peers) or ()):
                if not peer:
                    text = "Required value: must specify a peer"
                    causes.append(("FieldValueRequired", text, f"{path}.{peers}[{j}]"))
    return causes


def _check_bundles(resource, obj):
    """What is no base64 cannot be read into bytes at all."""
    for hook in obj.get("webhooks") or ():
        try:
            base64.b64decode(hook["clientConfig"].get("caBundle", ""), validate=True)
        except ValueError as e:
            text = f'{resource.kind} in version "v1" cannot be handled as a {resource.kind}: illegal base64 data'
            raise status.ApiError(400, "BadRequest", text) from e


def check(resource, obj):
    """ApiError 422 with every cause, if there is one."""
    if resource.kind == "ValidatingWebhookConfiguration":
        _check_bundles(resource, obj)
    if resource.kind == "NetworkPolicy":
        causes = _check_network_policy(obj)
        if causes:
            raise status.invalid(resource, obj["metadata"]["name"], causes)
