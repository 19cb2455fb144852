"""How the API server classifies a request: verb, group, resource, namespace, name."""

import re

from .selectors import SelectorError, parse_field_selector

SPECIAL_VERBS = ("proxy", "watch")
NAMESPACE_SUBRESOURCES = ("status", "finalize")
_METHODS = {
    "POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch",
    "DELETE": "delete",
}  # fmt: skip
LONG_RUNNING_SUBRESOURCES = ("attach", "exec", "proxy", "log", "portforward")
_PATH_SEGMENT = re.compile(r"^(?!\.\.?$)[^/%]*$")


class InvalidRequestInfo(Exception):
    """A special verb without anything behind it."""


class RequestInfo:
    """`is_resource` False: only `path` and `verb` mean something."""

    def __init__(self, path, verb):
        self.path, self.verb = path, verb
        self.is_resource = False
        self.group = self.version = self.namespace = ""
        self.resource = self.subresource = self.name = ""
        self.parts = []
        self.via_prefix = False

    @property
    def full_resource(self):
        return self.resource + ("/" + self.subresource if self.subresource else "")

    @property
    def long_running(self):
        if self.is_resource and self.subresource in LONG_RUNNING_SUBRESOURCES:
            return True
        return self.verb in ("watch", "proxy")

    def object_reference(self):
        """The objectRef of an audit event, None for a request that names no resource."""
        if not self.is_resource:
            return None
        fields = (
            ("resource", self.resource),
            ("namespace", self.namespace),
            ("name", self.name),
            ("apiGroup", self.group),
            ("apiVersion", self.version),
            ("subresource", self.subresource),
        )
        return {key: value for key, value in fields if value}


def classify(method, path, query):
    """RequestInfo of a request; `path` is decoded, `query` a list of pairs."""
    info = RequestInfo(path, method.lower())
    trimmed = path.strip("/")
    parts = trimmed.split("/") if trimmed else []
    if len(parts) < 3 or parts[0] not in ("api", "apis"):
        return info
    prefix, parts = parts[0], parts[1:]
    if prefix == "apis":
        if len(parts) < 3:
            return info
        info.group, parts = parts[0], parts[1:]
    info.is_resource = True
    info.version, parts = parts[0], parts[1:]
    if parts[0] in SPECIAL_VERBS:
        if len(parts) < 2:
            raise InvalidRequestInfo(
                f"unable to determine kind and namespace from url, {path}"
            )
        info.verb, parts = parts[0], parts[1:]
        info.via_prefix = True
    else:
        info.verb = _METHODS.get(method, "")
    if parts[0] == "namespaces" and len(parts) > 1:
        info.namespace = parts[1]
        if len(parts) > 2 and parts[2] not in NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    info.parts = parts
    if len(parts) >= 3 and info.verb != "proxy":
        info.subresource = parts[2]
    if len(parts) >= 2:
        info.name = parts[1]
    info.resource = parts[0]
    _refine_verb(info, query)
    return info


def _refine_verb(info, query):
    if info.name:
        return
    if info.verb == "get":
        watch, name = _list_options(query)
        info.verb = "watch" if watch else "list"
        info.name = name
    elif info.verb == "delete":
        info.verb = "deletecollection"


def _list_options(query):
    """(watch, name) from the parameters of a list."""
    first = {}
    for key, value in query:
        first.setdefault(key, value)
    watch = "watch" in first and first["watch"].lower() not in ("false", "0")
    try:
        for key in ("limit", "timeoutSeconds"):
            if first.get(key):
                int(first[key])
        selector = parse_field_selector(first.get("fieldSelector", ""))
    except (SelectorError, ValueError):
        return watch, ""
    for field, operator, value in selector:
        if field == "metadata.name" and operator == "=" and _PATH_SEGMENT.match(value):
            return watch, value
    return watch, ""
