"""What the client wants to get and what it sends."""

import json

from . import protobuf, status

JSON = "application/json"
_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


class Wanted:
    """`form` is "object", "table" or "partial"; `version` that of meta.k8s.io."""

    def __init__(self, form="object", version="v1", media=JSON):
        self.form, self.version, self.media = form, version, media


def _clauses(accept):
    for position, part in enumerate(accept.split(",")):
        media, *parameters = [piece.strip() for piece in part.split(";")]
        values = dict(p.partition("=")[::2] for p in parameters if p)
        try:
            quality = float(values.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if media and quality > 0:
            yield -quality, position, media.lower(), values


def wanted(request, list_like):
    """How to answer.  ApiError 406 if nothing is acceptable.

    The double answers in JSON only; protobuf and CBOR have to stand beside it.
    """
    accept = ",".join(request.header_values("Accept")) or "*/*"
    known = False
    for _, _, media, values in sorted(_clauses(accept), key=lambda c: c[:2]):
        if media not in (JSON, "application/*", "*/*", "application/yaml"):
            continue
        known = True
        media = JSON if media != "application/yaml" else media
        kind = values.get("as")
        if not kind:
            return Wanted(media=media)
        version = values.get("v", "v1")
        if values.get("g") != "meta.k8s.io" or version not in ("v1", "v1beta1"):
            continue
        if kind == "Table":
            return Wanted("table", version)
        expected = "PartialObjectMetadataList" if list_like else "PartialObjectMetadata"
        if kind == expected or kind == "PartialObjectMetadata":
            return Wanted("partial", version)
    raise status.not_acceptable(pretty_body=not known)


def aggregated_discovery(request):
    """The version of apidiscovery.k8s.io that is preferred to the legacy form, or None."""
    accept = ",".join(request.header_values("Accept")) or "*/*"
    for _, _, media, values in sorted(_clauses(accept), key=lambda c: c[:2]):
        if media not in (JSON, "application/*", "*/*"):
            continue
        if not values.get("as"):
            return None
        version = values.get("v")
        if values["as"] == "APIGroupDiscoveryList" and version in ("v2", "v2beta1"):
            if values.get("g") == "apidiscovery.k8s.io":
                return version
    return None


def pretty(request):
    """Does the client get indented JSON?"""
    if request.parameter("pretty") is not None:
        return request.flag("pretty")
    agent = request.header("User-Agent")
    return agent.startswith(("curl", "Wget", "Mozilla/5.0"))


def _summary(data):
    if not data:
        return "<empty>"
    if data[:1] == b"{":
        text = data[:30].decode("utf-8", "replace")
    else:
        text = data[:30].hex()
    return text + (" ..." if len(data) > 30 else "")


def _go_json_error(data, error):
    if error.pos >= len(data.rstrip()) or "Unterminated" in error.msg:
        return "unexpected end of JSON input"
    return f"invalid character {error.doc[error.pos]!r} looking for beginning of value"


def _load_yaml(data, kind):
    try:
        import yaml
    except ImportError:
        raise status.unsupported_media_type([JSON]) from None
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as e:
        raise _unrecognized(kind, f"yaml: {e}", data) from e


def _unrecognized(kind, why, data):
    return status.bad_request(
        f"the object provided is unrecognized (must be of type {kind}): couldn't get "
        f"version/kind; json parse error: {why} ({_summary(data)})"
    )


def decode_object(request, data, resource):
    """The object in a request body.  ApiError 400 or 415."""
    media = request.header("Content-Type", JSON).split(";")[0].strip().lower()
    if media == "application/yaml":
        obj = _load_yaml(data, resource.kind)
    elif media == protobuf.MEDIA_TYPE:
        obj = protobuf.decode(data, resource.kind)
    elif media == JSON:
        try:
            obj = json.loads(data)
        except json.JSONDecodeError as e:
            raise _unrecognized(resource.kind, _go_json_error(data, e), data) from e
        except UnicodeDecodeError as e:
            raise _unrecognized(resource.kind, "invalid UTF-8", data) from e
    else:
        raise status.unsupported_media_type(
            [JSON, "application/yaml", protobuf.MEDIA_TYPE]
        )
    if not isinstance(obj, dict):
        why = "json: cannot unmarshal into Go value of type struct"
        raise _unrecognized(resource.kind, why, data)
    return check_kind(obj, resource.api_version, resource.kind)


def check_kind(obj, api_version, kind):
    """Default apiVersion and kind, or ApiError 400 if they are others."""
    given = obj.get("apiVersion") or api_version
    if given != api_version:
        raise status.bad_request(
            f"the API version in the data ({given}) does not match the expected API "
            f"version ({api_version})"
        )
    if (obj.get("kind") or kind) != kind:
        raise status.bad_request(
            f'{obj["kind"]} in version "{api_version.rpartition("/")[2]}" cannot be '
            f"handled as a {kind}: converting ({obj['kind']}) to ({kind}): unknown conversion"
        )
    if not isinstance(obj.setdefault("metadata", {}), dict):
        raise status.bad_request(f"{kind}.metadata is not an object")
    return obj


def decode_delete_options(request, data):
    """DeleteOptions of a DELETE or Eviction's body, {} where there is none."""
    media = request.header("Content-Type", JSON).split(";")[0].strip().lower()
    if not data.strip():
        return {}
    if media == protobuf.MEDIA_TYPE:
        return protobuf.decode(data, "DeleteOptions")
    try:
        options = json.loads(data)
    except ValueError as e:
        raise status.bad_request(f"cannot decode DeleteOptions: {e}") from e
    return options if isinstance(options, dict) else {}


def decode_patch(request, data):
    """(media type, document) of a patch."""
    media = request.header("Content-Type").split(";")[0].strip().lower()
    if media not in _PATCH_TYPES:
        raise status.unsupported_media_type(_PATCH_TYPES)
    try:
        return media, json.loads(data)
    except ValueError as e:
        if media == "application/apply-patch+yaml":
            return media, _load_yaml(data, "object")
        raise status.bad_request(f"error decoding patch: {e}") from e
