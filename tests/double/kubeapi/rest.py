"""The verbs on objects: list, get, create, update, patch, delete, deletecollection."""

import asyncio
import copy
import base64
import datetime
import json
import random
import uuid

from . import negotiate, patch, status, strategy, tables
from .admission import Pending
from .resources import RESOURCES, find
from .selectors import Selector, SelectorError
from .store import TooOld

_METADATA_ORDER = (
    "name generateName namespace selfLink uid resourceVersion generation creationTimestamp "
    "deletionTimestamp deletionGracePeriodSeconds labels annotations ownerReferences "
    "finalizers managedFields"
).split()
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
NAMESPACES = find("", "v1", "namespaces")


def now_text(delta_seconds=0):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=delta_seconds)).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )


def ordered(obj):
    """The object with its members in the order the server writes them."""
    metadata = obj["metadata"]
    known = {
        k: metadata[k] for k in _METADATA_ORDER if metadata.get(k) not in (None, {}, [])
    }
    rest = {k: v for k, v in obj.items() if k not in ("kind", "apiVersion", "metadata")}
    first = {k: rest.pop(k) for k in ("spec", "data") if k in rest}
    last = {"status": rest.pop("status")} if "status" in rest else {}
    return {"metadata": known, **first, **rest, **last}


def typed(resource, obj):
    return {"kind": resource.kind, "apiVersion": resource.api_version, **obj}


def selector_of(request, resource):
    try:
        return Selector(
            resource,
            request.parameter("labelSelector", ""),
            request.parameter("fieldSelector", ""),
        )
    except SelectorError as e:
        raise status.bad_request(str(e)) from e


def version_parameter(request):
    """resourceVersion as a number, None where it is absent."""
    text = request.parameter("resourceVersion") or ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise status.bad_request(
            f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def integer_parameter(request, name):
    text = request.parameter(name) or ""
    try:
        return int(text) if text else 0
    except ValueError:
        raise status.bad_request(
            f'strconv.ParseInt: parsing "{text}": invalid syntax'
        ) from None


def _encode_continue(rv, start):
    token = {"v": "meta.k8s.io/v1", "rv": rv, "start": start + "\0"}
    text = json.dumps(token, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_continue(text):
    try:
        padded = text + "=" * (-len(text) % 4)
        token = json.loads(base64.urlsafe_b64decode(padded))
        if token["v"] != "meta.k8s.io/v1":
            raise ValueError
        return int(token["rv"]), str(token["start"])
    except (ValueError, KeyError, TypeError):
        raise status.bad_request(
            "continue key is not valid: illegal base64 data or unknown version"
        ) from None


class Rest:
    """The verbs on one store.

    `finisher(resource, entry)` is told about objects that are marked as deleted: it stands
    for the kubelet and the namespace controller.
    """

    def __init__(self, store, finisher):
        self.store, self._finisher = store, finisher
        self._applied = {}  # what a field manager applied last
        self.webhook = None  # with one, the server stores what it has agreed to

    # Reading.

    def list(self, request, resource, namespace):
        """(metadata, [Entry]) of a list request."""
        selector = selector_of(request, resource)
        limit = integer_parameter(request, "limit")
        wanted_rv = version_parameter(request)
        match = request.parameter("resourceVersionMatch") or ""
        token = request.parameter("continue") or ""
        self._check_match(wanted_rv, match, token)
        if token:
            rv, start = _decode_continue(token)
            entries, rv = self._continued(resource, namespace, rv, start)
        else:
            entries, rv, limit = self._fresh(
                resource, namespace, wanted_rv, match, limit
            )
        chosen = [e for e in entries if selector.matches(e.obj)]
        metadata = {"resourceVersion": str(rv)}
        if limit and len(chosen) > limit:
            start = chosen[limit - 1].key
            if namespace:
                start = start[len(namespace) + 1 :]
            metadata["continue"] = _encode_continue(rv, start)
            if selector.empty:
                metadata["remainingItemCount"] = len(chosen) - limit
            chosen = chosen[:limit]
        return metadata, chosen

    @staticmethod
    def _check_match(rv, match, token):
        if token and rv:
            text = "specifying resource version is not allowed when using continue"
            raise status.bad_request(text)
        if match and match not in ("Exact", "NotOlderThan"):
            raise status.bad_request(
                f'resourceVersionMatch: Unsupported value: "{match}": supported values: '
                '"Exact", "NotOlderThan", ""'
            )
        if match and rv is None:
            raise status.bad_request(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless "
                "resourceVersion is provided"
            )
        if match == "Exact" and rv == 0:
            raise status.bad_request(
                'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is '
                'forbidden for resourceVersion "0"'
            )

    def _fresh(self, resource, namespace, rv, match, limit):
        current = self.store.rv
        if rv == 0:
            # Served from the watch cache: its own version, and never in pages.
            cached = self.store.collection(resource).last_rv or current
            return self.store.entries(resource, namespace), cached, 0
        if rv and rv > current:
            raise status.too_large_resource_version(rv, current)
        if rv and (match == "Exact" or (limit and not match)):
            try:
                return self.store.entries_at(resource, namespace, rv), rv, limit
            except TooOld:
                raise status.expired(
                    "The resourceVersion for the provided list is too old."
                ) from None
        return self.store.entries(resource, namespace), current, limit

    def _continued(self, resource, namespace, rv, start):
        if rv < 0:
            entries, rv = self.store.entries(resource, namespace), self.store.rv
        else:
            try:
                entries = self.store.entries_at(resource, namespace, rv)
            except TooOld:
                again = _encode_continue(-1, start.rstrip("\0"))
                raise status.expired(
                    "The provided continue parameter is too old to display a consistent "
                    "list result. You can start a new list without the continue parameter, "
                    "or use the continue token in this response to retrieve the remainder "
                    "of the results. Continuing with the provided token results in an "
                    "inconsistent list - objects that were created, modified, or deleted "
                    "between the time the first chunk was returned and now may show up in "
                    "the list.",
                    {"continue": again},
                ) from None
        prefix = namespace + "/" if namespace else ""
        return [e for e in entries if e.key >= prefix + start], rv

    def encode_list(self, request, resource, metadata, entries, form):
        """The body of a list answer in the form wanted."""
        if form.form == "table":
            include = request.parameter("includeObject") or "Metadata"
            objects = [e.obj for e in entries]
            table = tables.table(resource, objects, metadata, include, form.version)
            return status.encode(table)
        if form.form == "partial":
            items = [tables.partial_metadata(e.obj) for e in entries]
            kind, version = "PartialObjectMetadataList", f"meta.k8s.io/{form.version}"
            return status.encode(
                {
                    "kind": kind,
                    "apiVersion": version,
                    "metadata": metadata,
                    "items": items,
                }
            )
        head = {"kind": resource.kind + "List", "apiVersion": resource.api_version}
        head["metadata"] = metadata
        items = b",".join([e.json for e in entries])
        return status.encode(head)[:-1] + b',"items":[' + items + b"]}"

    def get(self, resource, namespace, name):
        """The Entry of one object.  ApiError 404."""
        entry = self.store.get(resource, namespace, name)
        if not entry:
            raise status.not_found(resource, name)
        return entry

    # Writing.

    def _field_warnings(self, request, resource, obj):
        """Handle unknown fields as fieldValidation says; returns Warning texts."""
        mode = request.parameter("fieldValidation") or "Warn"
        found = strategy.unknown_fields(resource, obj)
        texts = [f'unknown field "{path}"' for path in found]
        if texts and mode == "Strict":
            raise status.bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a '
                f"{resource.kind}: strict decoding error: " + ", ".join(texts)
            )
        return texts if mode == "Warn" else []

    def _placed(self, resource, namespace, obj):
        """Check and set the namespace of an object that is written."""
        given = obj["metadata"].get("namespace") or ""
        if not resource.namespaced:
            obj["metadata"].pop("namespace", None)
            return
        if given and given != namespace:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent "
                "on the request"
            )
        obj["metadata"]["namespace"] = namespace

    def create(self, request, resource, namespace, obj):
        """Create from a decoded body; returns (object, warnings)."""
        metadata = obj["metadata"]
        warnings = self._field_warnings(request, resource, obj)
        self._placed(resource, namespace, obj)
        if metadata.get("resourceVersion"):
            raise status.bad_request(
                "resourceVersion should not be set on objects to be created"
            )
        if not metadata.get("name") and metadata.get("generateName"):
            suffix = "".join(random.choices(_SUFFIX_LETTERS, k=5))
            metadata["name"] = metadata["generateName"] + suffix
        name = metadata.get("name") or ""
        strategy.check_name(resource, name)
        if resource.namespaced:
            self._check_namespace(resource, namespace, name)
        if self.store.get(resource, namespace, name):
            raise status.already_exists(resource, name)
        metadata.update(uid=str(uuid.uuid4()), creationTimestamp=now_text())
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"):
            metadata.pop(key, None)
        if resource.counts_generation:
            metadata["generation"] = 1
        strategy.apply_defaults(resource, obj)
        strategy.check(resource, obj)
        obj = ordered(obj)
        home = namespace if resource.namespaced else ""
        if self.webhook:
            request.pending = Pending("CREATE", resource, home, obj, None)
        elif not dry_run(request):
            self.store.put(resource, home, obj)
        return obj, warnings

    def _check_namespace(self, resource, namespace, name):
        home = self.store.get(NAMESPACES, "", namespace)
        if not home:
            raise status.not_found(NAMESPACES, namespace)
        if home.obj["metadata"].get("deletionTimestamp"):
            qualified = resource.name + (f".{resource.group}" if resource.group else "")
            why = (
                f"unable to create new content in namespace {namespace} because it is "
                "being terminated"
            )
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            details = {"name": name, "kind": resource.name, "causes": [cause]}
            if resource.group:
                details["group"] = resource.group
            text = f'{qualified} "{name}" is forbidden: {why}'
            raise status.ApiError(403, "Forbidden", text, details)

    def replace(self, request, resource, namespace, name, obj, sub=""):
        """PUT; returns (object, warnings)."""
        metadata = obj["metadata"]
        warnings = self._field_warnings(request, resource, obj)
        self._placed(resource, namespace, obj)
        if metadata.get("name") and metadata["name"] != name:
            raise status.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on "
                f"the URL ({name})"
            )
        metadata["name"] = name
        old = self.get(resource, namespace, name)
        new = self._merge_update(request, resource, namespace, old, obj, sub)
        return new, warnings

    def _merge_update(self, request, resource, namespace, old, obj, sub):
        """Check versions, keep what clients may not change, store if it is a change."""
        metadata, before = obj["metadata"], old.obj["metadata"]
        name = before["name"]
        given = metadata.get("resourceVersion")
        if given and given != before["resourceVersion"]:
            raise status.conflict(resource, name)
        if metadata.get("uid") and metadata["uid"] != before["uid"]:
            raise status.conflict(
                resource, name,
                f"Precondition failed: UID in precondition: {metadata['uid']}, UID in "
                f"object meta: {before['uid']}",
            )  # fmt: skip
        for key in (
            "uid", "creationTimestamp", "resourceVersion", "generation", "deletionTimestamp",
            "deletionGracePeriodSeconds", "generateName", "managedFields", "namespace",
        ):  # fmt: skip
            if key in before:
                metadata[key] = before[key]
            else:
                metadata.pop(key, None)
        if sub == "status":
            obj = {**old.obj, "metadata": metadata, "status": obj.get("status") or {}}
        elif resource.has_status and "status" in old.obj:
            obj["status"] = old.obj["status"]
        obj.pop("kind", None)
        obj.pop("apiVersion", None)
        if sub != "status":
            strategy.apply_defaults(resource, obj, old.obj)
            strategy.check(resource, obj)
        if resource.counts_generation and obj.get("spec") != old.obj.get("spec"):
            metadata["generation"] = before.get("generation", 0) + 1
        obj = ordered(obj)
        home = namespace if resource.namespaced else ""
        if self.webhook and obj != old.obj:
            request.pending = Pending(
                "UPDATE", resource, home, obj, old.obj, request.info.subresource
            )
            return obj
        if obj == old.obj or dry_run(request):
            return obj
        entry = self.store.put(resource, home, obj)
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            if resource.kind == "Pod" or resource.is_namespace:
                self._finisher(resource, entry)
            else:
                self.store.remove(resource, home, name)
        return entry.obj

    def patch(self, request, resource, namespace, name, media, document, sub=""):
        """PATCH; returns (object, created, warnings)."""
        old = self.store.get(resource, namespace, name)
        if media == "application/apply-patch+yaml":
            return self._apply(request, resource, namespace, name, old, document, sub)
        if not old:
            raise status.not_found(resource, name)
        target = typed(resource, json.loads(status.encode(old.obj)))
        if media == "application/json-patch+json":
            obj = patch.json_patch(target, document)
        elif not isinstance(document, dict):
            raise status.bad_request("error decoding patch: it is not an object")
        elif media == "application/merge-patch+json":
            obj = patch.merge(target, document)
        else:
            obj = patch.strategic(target, document)
        return self._patched(request, resource, namespace, old, obj, sub)

    def _patched(self, request, resource, namespace, old, obj, sub):
        negotiate.check_kind(obj, resource.api_version, resource.kind)
        warnings = self._field_warnings(request, resource, obj)
        name = old.obj["metadata"]["name"]
        if obj["metadata"].get("name") != name:
            text = "Invalid value: metadata.name: field is immutable"
            cause = ("FieldValueInvalid", text, "metadata.name")
            raise status.invalid(resource, name, [cause])
        new = self._merge_update(request, resource, namespace, old, obj, sub)
        return new, False, warnings

    def _apply(self, request, resource, namespace, name, old, document, sub):
        """Server-side apply: a merge, and what its manager no longer says is taken away."""
        manager = request.parameter("fieldManager")
        if not manager:
            raise status.ApiError(
                422, "Invalid",
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is "
                "required for apply patch",
                {"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [{
                    "reason": "FieldValueRequired",
                    "message": "Required value: is required for apply patch",
                    "field": "fieldManager",
                }]},
            )  # fmt: skip
        if not isinstance(document, dict):
            raise status.bad_request("error decoding YAML: it is not an object")
        key = (resource.group, resource.name, namespace, name, manager)
        before, self._applied[key] = self._applied.get(key), copy.deepcopy(document)
        if not old:
            document.setdefault("metadata", {}).setdefault("name", name)
            negotiate.check_kind(document, resource.api_version, resource.kind)
            obj, warnings = self.create(request, resource, namespace, document)
            return obj, True, warnings
        target = typed(resource, json.loads(status.encode(old.obj)))
        patch.disown(target, before or {}, document)
        obj = patch.strategic(target, document)
        return self._patched(request, resource, namespace, old, obj, sub)

    async def admit(self, request, obj):
        """Asks the webhook about what the verb left pending, and stores it; (object, warnings)."""
        pending = getattr(request, "pending", None)
        if pending is None:
            return obj, []
        request.pending = None
        warnings = await self.webhook.review(request, pending, dry_run(request))
        if self.webhook.commit_delay:
            await asyncio.sleep(self.webhook.commit_delay)
        if dry_run(request):
            return obj, warnings
        name = pending.obj["metadata"]["name"]
        now = self.store.get(pending.resource, pending.home, name)
        if pending.operation == "CREATE" and now:
            raise status.already_exists(pending.resource, name)
        if pending.operation == "UPDATE" and (
            not now
            or now.obj["metadata"]["resourceVersion"]
            != pending.old["metadata"]["resourceVersion"]
        ):
            raise status.conflict(pending.resource, name)
        return self.store.put(pending.resource, pending.home, pending.obj).obj, warnings

    # Deleting.

    async def admit_deletion(self, request, resource, entries, options):
        """Asks the webhooks about each; texts of warnings."""
        warnings = []
        if not self.webhook or not self.webhook.asks_deletions:
            return warnings
        dry = dry_run(request) or bool(options.get("dryRun"))
        for entry in entries:
            pending = Pending("DELETE", resource, entry.namespace, None, entry.obj)
            warnings += await self.webhook.review(request, pending, dry)
        return warnings

    def delete(self, request, resource, namespace, name, options):
        """DELETE; returns the object or the Status to answer with."""
        entry = self.get(resource, namespace, name)
        obj = self._delete_entry(request, resource, entry, options)
        if resource.returns_deleted:
            return typed(resource, obj)
        details = {"name": name}
        if resource.group:
            details["group"] = resource.group
        details.update(kind=resource.name, uid=obj["metadata"]["uid"])
        answer = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
        return {**answer, "status": "Success", "details": details}

    def _delete_entry(self, request, resource, entry, options):
        metadata = entry.obj["metadata"]
        wanted = options.get("preconditions") or {}
        for key, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            if wanted.get(key) and wanted[key] != metadata[key]:
                raise status.conflict(
                    resource, metadata["name"],
                    f"Precondition failed: {label} in precondition: {wanted[key]}, {label} "
                    f"in object meta: {metadata[key]}",
                )  # fmt: skip
        grace = options.get("gracePeriodSeconds")
        if grace is None and request.parameter("gracePeriodSeconds"):
            grace = integer_parameter(request, "gracePeriodSeconds")
        if dry_run(request) or options.get("dryRun"):
            return entry.obj
        if resource.kind == "Pod":
            return self._delete_pod(resource, entry, grace)
        if resource.is_namespace or metadata.get("finalizers"):
            return self._mark_deleted(resource, entry, None)
        return self.store.remove(resource, entry.namespace, metadata["name"]).obj

    def _delete_pod(self, resource, entry, grace):
        spec = entry.obj.get("spec") or {}
        if grace is None:
            grace = spec.get("terminationGracePeriodSeconds", 30)
        if not spec.get("nodeName"):
            grace = 0  # no kubelet to wait for
        obj = self._mark_deleted(resource, entry, grace)
        name = entry.obj["metadata"]["name"]
        if grace == 0 and not entry.obj["metadata"].get("finalizers"):
            return self.store.remove(resource, entry.namespace, name).obj
        return obj

    def _mark_deleted(self, resource, entry, grace):
        metadata = dict(entry.obj["metadata"])
        if metadata.get("deletionTimestamp") and grace != 0:
            return entry.obj
        metadata["deletionTimestamp"] = now_text(grace or 0)
        if grace is not None:
            metadata["deletionGracePeriodSeconds"] = grace
        obj = {**entry.obj, "metadata": metadata}
        if resource.is_namespace:
            obj["status"] = {"phase": "Terminating"}
        marked = self.store.put(resource, entry.namespace, ordered(obj))
        self._finisher(resource, marked)
        return marked.obj

    def delete_collection(self, request, resource, namespace, options):
        """DELETE on a collection; returns (list metadata, deleted entries)."""
        metadata, entries = self.list(request, resource, namespace)
        for entry in entries:
            self._delete_entry(request, resource, entry, options)
        return metadata, entries

    def empty_namespace(self, name):
        """What the namespace controller does: remove everything in it, then itself."""
        for resource in RESOURCES:
            if resource.namespaced and resource.stored:
                for entry in self.store.entries(resource, name):
                    self.store.remove(resource, name, entry.obj["metadata"]["name"])
        if self.store.get(NAMESPACES, "", name):
            self.store.remove(NAMESPACES, "", name)


def dry_run(request):
    return "All" in [v for k, v in request.query if k == "dryRun"]
