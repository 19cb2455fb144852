"""The answers that are computed: who am I, may I, is this token good."""

from . import status
from .authn import AuthenticationFailed, Identity
from .requestinfo import RequestInfo
from .rest import now_text


def _attributes(spec):
    """RequestInfo of resourceAttributes or nonResourceAttributes."""
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        raise status.bad_request(
            "spec.resourceAttributes: Invalid value: exactly one of nonResourceAttributes "
            "or resourceAttributes must be specified"
        )
    if path is not None:
        return RequestInfo(path.get("path", ""), path.get("verb", ""))
    info = RequestInfo("", resource.get("verb", ""))
    info.is_resource = True
    for field in ("group", "version", "resource", "subresource", "name", "namespace"):
        setattr(info, field, resource.get(field, ""))
    return info


def _decision(server, identity, spec):
    return {"allowed": server.authorizer.allowed(identity, _attributes(spec))}


def _identity_of(spec):
    extra = {key.lower(): values for key, values in (spec.get("extra") or {}).items()}
    return Identity(
        spec.get("user", ""), spec.get("groups") or [], spec.get("uid", ""), extra
    )


def _self_subject(server, request, namespace, obj):
    obj["metadata"] = {"creationTimestamp": now_text()}
    return {"status": {"userInfo": request.identity.user_info()}}


def _self_access(server, request, namespace, obj):
    spec = obj.get("spec") or {}
    return {"spec": spec, "status": _decision(server, request.identity, spec)}


def _access(server, request, namespace, obj):
    spec = obj.get("spec") or {}
    return {"spec": spec, "status": _decision(server, _identity_of(spec), spec)}


def _rules(server, request, namespace, obj):
    where = (obj.get("spec") or {}).get("namespace")
    if not where:
        raise status.bad_request("no namespace on request")
    resource, path = server.authorizer.rules_review(request.identity, where)
    answer = {"resourceRules": resource, "nonResourceRules": path, "incomplete": False}
    return {"spec": {}, "status": answer}


def _token(server, request, namespace, obj):
    spec = obj.get("spec") or {}
    try:
        identity = server.authenticator.identity_of_token(spec.get("token", ""))
    except AuthenticationFailed:
        return {"spec": spec, "status": {"user": {}, "error": "invalid bearer token"}}
    answer = {"authenticated": True, "user": identity.user_info()}
    return {"spec": spec, "status": answer}


_REVIEWS = {
    "selfsubjectreviews": _self_subject,
    "selfsubjectaccessreviews": _self_access,
    "localsubjectaccessreviews": _access,
    "subjectaccessreviews": _access,
    "selfsubjectrulesreviews": _rules,
    "tokenreviews": _token,
}


def review(server, request, resource, namespace, obj):
    """The answer to POST on a review resource."""
    obj["metadata"] = {"creationTimestamp": None}
    rest = _REVIEWS[resource.name](server, request, namespace, obj)
    head = {"kind": resource.kind, "apiVersion": resource.api_version}
    return {**head, "metadata": obj["metadata"], **rest}
