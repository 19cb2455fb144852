"""Kubernetes' protobuf request bodies, as far as kubectl's typed clients send them.

A message is described by `number:name:type` fields.  Types: s string, i integer, b boolean,
y bytes, t Time, q Quantity, p IntOrString, another message's name; capital I and B keep zero
values (they are pointers in Go); `[]` in front repeats, `{}` in front is a map from string.
Other members of the kinds are not known: the request is refused, nothing is dropped silently.
"""

import base64
import datetime

from . import status

MAGIC = b"k8s\0"
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"

_SCHEMA_TEXT = """
ObjectMeta: 1:name:s 2:generateName:s 3:namespace:s 4:selfLink:s 5:uid:s 6:resourceVersion:s
 7:generation:i 8:creationTimestamp:t 9:deletionTimestamp:t 10:deletionGracePeriodSeconds:I
 11:labels:{}s 12:annotations:{}s 13:ownerReferences:[]OwnerReference 14:finalizers:[]s
OwnerReference: 1:kind:s 3:name:s 4:uid:s 5:apiVersion:s 6:controller:B 7:blockOwnerDeletion:B
LabelSelector: 1:matchLabels:{}s 2:matchExpressions:[]Requirement
Requirement: 1:key:s 2:operator:s 3:values:[]s
ConfigMap: 1:metadata:ObjectMeta 2:data:{}s 3:binaryData:{}y 4:immutable:B
Secret: 1:metadata:ObjectMeta 2:data:{}y 3:type:s 4:stringData:{}s 5:immutable:B
Namespace: 1:metadata:ObjectMeta 2:spec:NamespaceSpec 3:status:-
NamespaceSpec: 1:finalizers:[]s
ServiceAccount: 1:metadata:ObjectMeta 4:automountServiceAccountToken:B
ResourceQuota: 1:metadata:ObjectMeta 2:spec:QuotaSpec 3:status:-
QuotaSpec: 1:hard:{}q 2:scopes:[]s
Service: 1:metadata:ObjectMeta 2:spec:ServiceSpec 3:status:-
ServiceSpec: 1:ports:[]ServicePort 2:selector:{}s 3:clusterIP:s 4:type:s 5:externalIPs:[]s
 7:sessionAffinity:s 8:loadBalancerIP:s 9:loadBalancerSourceRanges:[]s 10:externalName:s
 11:externalTrafficPolicy:s 12:healthCheckNodePort:i 13:publishNotReadyAddresses:b
 17:ipFamilyPolicy:s 18:clusterIPs:[]s 19:ipFamilies:[]s
ServicePort: 1:name:s 2:protocol:s 3:port:i 4:targetPort:p 5:nodePort:i 6:appProtocol:s
PodTemplateSpec: 1:metadata:ObjectMeta 2:spec:PodSpec
PodSpec: 2:containers:[]Container 3:restartPolicy:s 4:terminationGracePeriodSeconds:I
 5:activeDeadlineSeconds:I 6:dnsPolicy:s 7:nodeSelector:{}s 8:serviceAccountName:s
 9:serviceAccount:s 10:nodeName:s 11:hostNetwork:b 12:hostPID:b 13:hostIPC:b 16:hostname:s
 17:subdomain:s 19:schedulerName:s 20:initContainers:[]Container 24:priorityClassName:s
Container: 1:name:s 2:image:s 3:command:[]s 4:args:[]s 5:workingDir:s 6:ports:[]ContainerPort
 7:env:[]EnvVar 8:resources:Resources 13:terminationMessagePath:s 14:imagePullPolicy:s
 16:stdin:b 17:stdinOnce:b 18:tty:b 20:terminationMessagePolicy:s
ContainerPort: 1:name:s 2:hostPort:i 3:containerPort:i 4:protocol:s 5:hostIP:s
EnvVar: 1:name:s 2:value:s
Resources: 1:limits:{}q 2:requests:{}q
Pod: 1:metadata:ObjectMeta 2:spec:PodSpec 3:status:-
Deployment: 1:metadata:ObjectMeta 2:spec:DeploymentSpec 3:status:-
DeploymentSpec: 1:replicas:I 2:selector:LabelSelector 3:template:PodTemplateSpec
 4:strategy:Strategy 5:minReadySeconds:i 6:revisionHistoryLimit:I 7:paused:b
 9:progressDeadlineSeconds:I
Strategy: 1:type:s 2:rollingUpdate:RollingUpdate
RollingUpdate: 1:maxUnavailable:p 2:maxSurge:p
Job: 1:metadata:ObjectMeta 2:spec:JobSpec 3:status:-
JobSpec: 1:parallelism:I 2:completions:I 3:activeDeadlineSeconds:I 4:selector:LabelSelector
 6:template:PodTemplateSpec 7:backoffLimit:I
Role: 1:metadata:ObjectMeta 2:rules:[]PolicyRule
ClusterRole: 1:metadata:ObjectMeta 2:rules:[]PolicyRule
PolicyRule: 1:verbs:[]s 2:apiGroups:[]s 3:resources:[]s 4:resourceNames:[]s
 5:nonResourceURLs:[]s
RoleBinding: 1:metadata:ObjectMeta 2:subjects:[]Subject 3:roleRef:RoleRef
ClusterRoleBinding: 1:metadata:ObjectMeta 2:subjects:[]Subject 3:roleRef:RoleRef
Subject: 1:kind:s 2:apiGroup:s 3:name:s 4:namespace:s
RoleRef: 1:apiGroup:s 2:kind:s 3:name:s
SelfSubjectReview: 1:metadata:ObjectMeta 2:status:-
SelfSubjectAccessReview: 1:metadata:ObjectMeta 2:spec:SelfAccessSpec 3:status:-
SelfAccessSpec: 1:resourceAttributes:ResourceAttributes 2:nonResourceAttributes:PathAttributes
SubjectAccessReview: 1:metadata:ObjectMeta 2:spec:AccessSpec 3:status:-
LocalSubjectAccessReview: 1:metadata:ObjectMeta 2:spec:AccessSpec 3:status:-
AccessSpec: 1:resourceAttributes:ResourceAttributes 2:nonResourceAttributes:PathAttributes
 3:user:s 4:groups:[]s 6:uid:s
ResourceAttributes: 1:namespace:s 2:verb:s 3:group:s 4:version:s 5:resource:s 6:subresource:s
 7:name:s
PathAttributes: 1:path:s 2:verb:s
SelfSubjectRulesReview: 1:metadata:ObjectMeta 2:spec:RulesSpec 3:status:-
RulesSpec: 1:namespace:s
TokenReview: 1:metadata:ObjectMeta 2:spec:TokenSpec 3:status:-
TokenSpec: 1:token:s 2:audiences:[]s
Eviction: 1:metadata:ObjectMeta 2:deleteOptions:DeleteOptions
DeleteOptions: 1:gracePeriodSeconds:I 2:preconditions:Preconditions 3:orphanDependents:B
 4:propagationPolicy:s 5:dryRun:[]s
Preconditions: 1:uid:s 2:resourceVersion:s
"""


def _parse_schema(text):
    schema = {}
    for line in text.strip().replace("\n ", " ").splitlines():
        name, _, fields = line.partition(":")
        schema[name] = {}
        for field in fields.split():
            number, member, kind = field.split(":")
            schema[name][int(number)] = (member, kind)
    return schema


_SCHEMA = _parse_schema(_SCHEMA_TEXT)
_KEEP_ZERO = ("I", "B", "t", "p", "q", "y")


class _Malformed(Exception):
    """The bytes are no protobuf message."""


def _varint(data, at):
    value, shift = 0, 0
    while True:
        if at >= len(data) or shift > 63:
            raise _Malformed("bad varint")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data):
    """(number, value) of each field; value is an int or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise _Malformed("cut short")
        else:
            raise _Malformed(f"wire type {wire}")
        yield number, value


def _signed(value):
    return value - (1 << 64) if value >= 1 << 63 else value


def _time(data):
    seconds = dict(_fields(data)).get(1)
    if seconds is None:
        return None
    when = datetime.datetime.fromtimestamp(_signed(seconds), datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(data):
    fields = dict(_fields(data))
    if fields.get(1):
        return fields.get(3, b"").decode()
    return _signed(fields.get(2, 0))


def _scalar(kind, value):
    if kind in ("i", "I", "b", "B"):
        if not isinstance(value, int):
            raise _Malformed("a number was expected")
        return _signed(value) if kind in "iI" else bool(value)
    if not isinstance(value, bytes):
        raise _Malformed("bytes were expected")
    if kind == "s":
        return value.decode()
    if kind == "y":
        return base64.b64encode(value).decode()
    if kind == "t":
        return _time(value)
    if kind == "q":
        return dict(_fields(value)).get(1, b"").decode()
    if kind == "p":
        return _int_or_string(value)
    return _message(kind, value)


def _message(name, data):
    schema, result = _SCHEMA[name], {}
    for number, value in _fields(data):
        member, kind = schema.get(number, (None, None))
        if member is None:
            if value:
                raise _Malformed(f"the double does not know field {number} of {name}")
            continue
        if kind == "-":
            continue
        if kind.startswith("{}"):
            pair = dict(_fields(value))
            entry = _scalar(kind[2:], pair.get(2, b""))
            result.setdefault(member, {})[pair.get(1, b"").decode()] = entry
        elif kind.startswith("[]"):
            result.setdefault(member, []).append(_scalar(kind[2:], value))
        else:
            scalar = _scalar(kind, value)
            if scalar is not None and (scalar or kind in _KEEP_ZERO):
                result[member] = scalar
    return result


def decode(data, kind):
    """The object in a request body, with apiVersion and kind.  ApiError 400 or 415."""
    if not data.startswith(MAGIC):
        raise status.bad_request(
            "provided data does not appear to be a protobuf message"
        )
    try:
        envelope = dict(_fields(data[len(MAGIC) :]))
        head = dict(_fields(envelope.get(1, b"")))
        given = head.get(2, b"").decode() or kind
        if given not in _SCHEMA:
            raise status.unsupported_media_type(
                ["application/json", "application/yaml"]
            )
        obj = _message(given, envelope.get(2, b""))
    except (_Malformed, UnicodeDecodeError, TypeError) as e:
        raise status.bad_request(f"{kind} in protobuf cannot be decoded: {e}") from e
    if version := head.get(1, b"").decode():
        obj["apiVersion"] = version
    obj["kind"] = given
    return obj
