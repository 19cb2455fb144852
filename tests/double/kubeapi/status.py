"""The Status objects that errors are answered with."""

import json

_GO_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_GO_HTML.update({0x2028: "\\u2028", 0x2029: "\\u2029"})


def encode(obj):
    """JSON in Go's spelling: no blanks, HTML characters escaped, UTF-8."""
    text = json.dumps(obj, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_GO_HTML).encode("utf-8", "surrogateescape")


class ApiError(Exception):
    """An answer that is a Status object (or, with `text`, plain text)."""

    def __init__(self, code, reason, message, details=None, metadata=None, **more):
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details, self.metadata = details, metadata
        self.nosniff = more.get("nosniff", False)
        self.text = more.get("text")
        self.retry_after = more.get("retry_after")
        self.pretty = more.get("pretty", False)

    def status(self):
        body = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata or {}}
        body.update(status="Failure", message=self.message, reason=self.reason)
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def _qualified(resource):
    return resource.name + ("." + resource.group if resource.group else "")


def _details(resource, name, kind=None, **more):
    details = {}
    if name:
        details["name"] = name
    if resource.group:
        details["group"] = resource.group
    details["kind"] = kind or resource.name
    details.update(more)
    return details


def bad_request(message):
    return ApiError(400, "BadRequest", message)


def unauthorized():
    return ApiError(401, "Unauthorized", "Unauthorized")


def not_found(resource, name):
    return ApiError(
        404,
        "NotFound",
        f'{_qualified(resource)} "{name}" not found',
        _details(resource, name),
    )


def no_such_resource():
    return ApiError(
        404, "NotFound", "the server could not find the requested resource", {}
    )


def page_not_found():
    return ApiError(404, "NotFound", "", text="404 page not found\n", nosniff=True)


def method_not_allowed():
    return ApiError(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        {},
    )


def already_exists(resource, name):
    return ApiError(
        409,
        "AlreadyExists",
        f'{_qualified(resource)} "{name}" already exists',
        _details(resource, name),
    )


def conflict(resource, name, why=None):
    why = why or (
        "the object has been modified; please apply your changes to the latest version "
        "and try again"
    )
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {_qualified(resource)} "{name}": {why}',
        _details(resource, name),
    )


def invalid(resource, name, causes):
    """`causes` is a list of (reason, message, field)."""
    parts = [f"{field}: {message}" for _, message, field in causes]
    text = parts[0] if len(parts) == 1 else "[" + ", ".join(parts) + "]"
    kind = resource.kind + ("." + resource.group if resource.group else "")
    listed = [{"reason": r, "message": m, "field": f} for r, m, f in causes]
    return ApiError(
        422,
        "Invalid",
        f'{kind} "{name}" is invalid: {text}',
        _details(resource, name, resource.kind, causes=listed),
    )


def unsupported_media_type(accepted):
    return ApiError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted),
    )


def not_acceptable(pretty_body=True):
    return ApiError(
        406,
        "NotAcceptable",
        "406: Not Acceptable\n\nAvailable representations: application/json, "
        "application/yaml, application/vnd.kubernetes.protobuf, "
        "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
        if pretty_body
        else "only the following media types are accepted: application/json, "
        "application/yaml, application/vnd.kubernetes.protobuf",
        {} if pretty_body else None,
        pretty=pretty_body,
    )


def expired(message, metadata=None):
    return ApiError(410, "Expired", message, metadata=metadata)


def too_large():
    return ApiError(
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
    )


def too_large_resource_version(wanted, current):
    cause = {
        "reason": "ResourceVersionTooLarge",
        "message": "Too large resource version",
    }
    return ApiError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {wanted}, current: {current}",
        {"causes": [cause], "retryAfterSeconds": 1},
        retry_after=1,
    )


def too_many_requests(seconds=1):
    return ApiError(
        429,
        "TooManyRequests",
        "Too many requests, please try again later.",
        {"retryAfterSeconds": seconds},
        retry_after=seconds,
    )


def internal_error_text(target, message):
    """Errors of the handler chain before anything is known: plain text."""
    text = f'Internal Server Error: "{target}": {message}'
    for char, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(char, escaped)
    return ApiError(500, "InternalError", "", text=text + "\n", nosniff=True)


def forbidden(info, user, why=""):
    """The wording of a refused request, for RequestInfo and user name."""
    if not info.is_resource:
        message = f'forbidden: User "{user}" cannot {info.verb} path "{info.path}"'
        details = {}
    else:
        qualified = info.resource + ("." + info.group if info.group else "")
        named = f'{qualified} "{info.name}"' if info.name else qualified
        where = (
            f'in the namespace "{info.namespace}"'
            if info.namespace
            else "at the cluster scope"
        )
        message = (
            f'{named} is forbidden: User "{user}" cannot {info.verb} resource '
            f'"{info.full_resource}" in API group "{info.group}" {where}'
        )
        details = {}
        if info.name:
            details["name"] = info.name
        if info.group:
            details["group"] = info.group
        details["kind"] = info.resource
    if why:
        message += ": " + why
    return ApiError(403, "Forbidden", message, details, nosniff=True)
