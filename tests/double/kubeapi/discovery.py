"""Discovery, legacy and aggregated; versions; OpenAPI with what kubectl looks for in it."""

import hashlib
import json

from . import resources, status

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList"
VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0-ringfence-double",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.23.5",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def version_body():
    return json.dumps(VERSION, indent=2).encode()


def api_versions(address):
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
        ],
    }


def _groups():
    groups = {}
    for group, version in resources.GROUP_VERSIONS:
        if group:
            groups.setdefault(group, []).append(version)
    return groups


def _group(name, versions):
    listed = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def api_group_list():
    groups = [_group(name, versions) for name, versions in _groups().items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(name):
    """APIGroup of /apis/NAME, or None."""
    versions = _groups().get(name)
    if not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def api_resource_list(group, version):
    """APIResourceList of a group version, or None."""
    found = resources.of_group_version(group, version)
    if not found:
        return None
    rows = []
    for r in found:
        rows.append(_legacy_row(r))
        rows += [_legacy_subresource(r, sub) for sub in r.subresources]
    rows.sort(key=lambda row: row["name"])
    out = {"kind": "APIResourceList"}
    if group:
        out["apiVersion"] = "v1"  # the core group's answer has none
    out["groupVersion"] = f"{group}/{version}" if group else version
    out["resources"] = rows
    return out


def _legacy_row(r):
    row = {
        "name": r.name,
        "singularName": r.singular,
        "namespaced": r.namespaced,
        "kind": r.kind,
        "verbs": r.verbs,
    }
    if r.short_names:
        row["shortNames"] = r.short_names
    if r.categories:
        row["categories"] = r.categories
    if r.stored:
        row["storageVersionHash"] = r.storage_hash
    return row


def _legacy_subresource(r, sub):
    group, version, kind, verbs = r.sub_kind(sub)
    row = {"name": f"{r.name}/{sub}", "singularName": "", "namespaced": r.namespaced}
    if group:
        row["group"] = group
    if version:
        row["version"] = version
    row.update(kind=kind, verbs=verbs)
    return row


def aggregated(core, wanted_version):
    """APIGroupDiscoveryList of /api (core) or /apis."""
    items = []
    by_group = {"": ["v1"]} if core else _groups()
    for name, versions in by_group.items():
        metadata = {"name": name} if name else {}
        metadata["creationTimestamp"] = None
        listed = [
            {
                "version": v,
                "resources": [
                    _aggregated_row(r) for r in resources.of_group_version(name, v)
                ],
                "freshness": "Current",
            }
            for v in versions
        ]
        items.append({"metadata": metadata, "versions": listed})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{wanted_version}",
        "metadata": {},
        "items": items,
    }


def _kind(group, version, kind):
    return {"group": group, "version": version, "kind": kind}


def _aggregated_row(r):
    row = {
        "resource": r.name,
        "responseKind": _kind("", "", r.kind),
        "scope": "Namespaced" if r.namespaced else "Cluster",
        "singularResource": r.singular,
        "verbs": r.verbs,
    }
    if r.short_names:
        row["shortNames"] = r.short_names
    if r.categories:
        row["categories"] = r.categories
    if r.subresources:
        row["subresources"] = []
        for sub in r.subresources:
            group, version, kind, verbs = r.sub_kind(sub)
            row["subresources"].append(
                {
                    "subresource": sub,
                    "responseKind": _kind(group, version, kind),
                    "verbs": verbs,
                }
            )
    return row


def etag(body):
    return '"' + hashlib.sha512(body).hexdigest().upper() + '"'


def _gv_path(group, version):
    return f"apis/{group}/{version}" if group else f"api/{version}"


def openapi_v3_index():
    paths = {}
    for group, version in resources.GROUP_VERSIONS:
        path = _gv_path(group, version)
        digest = etag(openapi_v3_document(path)).strip('"')
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def openapi_v3_document(path):
    """The document of `api/v1` or `apis/GROUP/VERSION` as bytes, or None.

    It holds what kubectl asks it for: that objects can be patched with dryRun and
    fieldValidation, so that validation is the server's business.
    """
    for group, version in resources.GROUP_VERSIONS:
        if path == _gv_path(group, version):
            break
    else:
        return None
    paths = {}
    for r in resources.of_group_version(group, version):
        if not r.stored:
            continue
        where = "namespaces/{namespace}/" if r.namespaced else ""
        names = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")
        paths[f"/{path}/{where}{r.name}/{{name}}"] = {
            "patch": {
                "description": f"partially update the specified {r.kind}",
                "parameters": [
                    {"name": n, "in": "query", "schema": {"type": "string"}}
                    for n in names
                ],
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": _kind(group, version, r.kind),
            }
        }
    document = {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "1.32"},
        "paths": paths,
        "components": {"schemas": {}},
    }
    return status.encode(document)


def openapi_v2():
    return status.encode(
        {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": "v1.32.0"},
            "paths": {},
            "definitions": {},
        }
    )


def _field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


def openapi_v2_protobuf():
    """The same as an openapi.v2.Document message."""
    info = _field(1, b"Kubernetes") + _field(2, b"v1.32.0")
    return _field(1, b"2.0") + _field(2, info) + _field(8, b"") + _field(9, b"")
