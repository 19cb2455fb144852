"""JSON patch, merge patch and (the useful part of) strategic merge patch."""

import copy

from . import status

# Lists that strategic merge patch merges, by the field that tells elements apart.
_MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "ports": ("containerPort", "port"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "addresses": ("type",),
    "podIPs": ("ip",),
    "taints": ("key",),
}


def merge(target, patch):
    """RFC 7386; returns the result, changes neither argument."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def disown(target, before, now):
    """Removes the fields of maps that were applied before and are not any more, in place."""
    for key, value in before.items():
        if key not in now:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(now[key], dict) and key in target:
            disown(target[key], value, now[key])


def strategic(target, patch, field=""):
    """Strategic merge patch with the merge keys above; other lists are replaced."""
    if isinstance(patch, list):
        return _strategic_list(target, patch, field)
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace" or not isinstance(target, dict):
        target = {}
    result = dict(target)
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.split("/", 1)[1]
            result[name] = [v for v in result.get(name) or () if v not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = strategic(result.get(key), value, key)
    return result


def _strategic_list(target, patch, field):
    keys = _MERGE_KEYS.get(field)
    items = [item for item in patch if isinstance(item, dict)]
    if field == "finalizers":
        return list(dict.fromkeys((target or []) + patch))
    if not keys or len(items) != len(patch):
        return [strategic(None, item) for item in patch]
    key = next((k for k in keys if all(k in item for item in items)), None)
    if key is None:
        return [strategic(None, item) for item in patch]
    result = list(target or [])
    for item in items:
        at = next((i for i, o in enumerate(result) if o.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(strategic(None, item))
        else:
            result[at] = strategic(result[at], item)
    return result


def _pointer(text):
    if text == "":
        return []
    if not text.startswith("/"):
        raise ValueError(f"bad pointer {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _step(node, part):
    return node[int(part)] if isinstance(node, list) else node[part]


def _locate(document, path):
    parts = _pointer(path)
    if not parts:
        raise ValueError("the whole document cannot be replaced")
    node = document
    for part in parts[:-1]:
        node = _step(node, part)
    return node, parts[-1]


def _add(document, path, value):
    node, last = _locate(document, path)
    if isinstance(node, list):
        node.insert(len(node) if last == "-" else int(last), value)
    else:
        node[last] = value


def _remove(document, path):
    node, last = _locate(document, path)
    value = _step(node, last)
    del node[int(last) if isinstance(node, list) else last]
    return value


def _apply_one(document, operation):
    op, path = operation["op"], operation["path"]
    if op == "add":
        _add(document, path, operation["value"])
    elif op == "remove":
        _remove(document, path)
    elif op == "replace":
        _remove(document, path)
        _add(document, path, operation["value"])
    elif op == "move":
        _add(document, path, _remove(document, operation["from"]))
    elif op == "copy":
        node, last = _locate(document, operation["from"])
        _add(document, path, copy.deepcopy(_step(node, last)))
    elif op == "test":
        node, last = _locate(document, path)
        if _step(node, last) != operation["value"]:
            raise ValueError(f"testing value {path} failed")
    else:
        raise ValueError(f"unexpected kind: {op}")


def json_patch(target, operations):
    """RFC 6902.  ApiError 400 or 422 for a patch that cannot be applied."""
    if not isinstance(operations, list):
        raise status.bad_request("error decoding patch: it is not a list")
    document = copy.deepcopy(target)
    try:
        for operation in operations:
            _apply_one(document, operation)
    except (KeyError, IndexError, ValueError, TypeError) as e:
        raise status.ApiError(
            422, "Invalid", f"the server rejected our request due to an error in our "
            f"request: {e}", {},
        ) from e  # fmt: skip
    return document
