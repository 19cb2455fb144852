"""Validating webhooks, asked as the original asks them: between deciding what is to be stored and
storing it.  While one thinks, everything else goes on, so that requests race as they really do.

`Webhook` is one that the command line names; `Configured` are those of the
ValidatingWebhookConfigurations that are stored, after the ValidatingAdmissionPolicies (policies.py).
"""

import asyncio
import base64
import itertools
import json
import ssl
import urllib.parse
import uuid

from . import status

NAME = "budgets.ringfence.dev"


class Pending:
    """A change that waits for the webhook's word."""

    def __init__(self, operation, resource, home, obj, old, subresource=""):
        self.operation, self.resource, self.home = operation, resource, home
        self.obj, self.old, self.subresource = obj, old, subresource


class Webhook:
    """One webhook, of one server or several, which are asked in turn."""

    asks_deletions = False

    def __init__(self, urls, ca, cert, key, timeout=10, commit_delay=0.0, name=NAME, pem=None):
        self.urls = itertools.cycle(urllib.parse.urlsplit(url) for url in urls)
        self.timeout, self.commit_delay, self.name = timeout, commit_delay, name
        self.context = ssl.create_default_context(cafile=ca, cadata=pem)
        if cert:
            self.context.load_cert_chain(cert, key)

    async def review(self, request, pending, dry_run, fail=True):
        """Texts of warnings; ApiError if it refuses or, with `fail`, does not answer."""
        review = admission_review(request, pending, dry_run)
        try:
            answer = await asyncio.wait_for(self._post(review), self.timeout)
            response = answer["response"]
            if response["uid"] != review["request"]["uid"]:
                raise ValueError("another uid")
        except (OSError, ssl.SSLError, ValueError, KeyError, asyncio.TimeoutError) as e:
            if not fail:
                return []
            text = f'failed calling webhook "{self.name}": failed to call webhook: {e!r}'
            raise status.ApiError(
                500, "InternalError", f"Internal error occurred: {text}"
            ) from e
        if not response["allowed"]:
            said = response.get("status") or {}
            why = said.get("message") or said.get("reason") or "without explanation"
            text = f'admission webhook "{self.name}" denied the request: {why}'
            raise status.ApiError(
                said.get("code", 400), said.get("reason", "BadRequest"), text, said.get("details")
            )
        return response.get("warnings") or []

    async def _post(self, review):
        url = next(self.urls)
        body = json.dumps(review).encode()
        reader, writer = await asyncio.open_connection(
            url.hostname, url.port, ssl=self.context
        )
        try:
            writer.write(
                f"POST {url.path}?timeout={self.timeout}s HTTP/1.1\r\nHost: {url.netloc}\r\n"
                "User-Agent: kube-apiserver-admission\r\n"
                f"Content-Length: {len(body)}\r\nAccept: application/json, */*\r\n"
                "Content-Type: application/json\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            answer = await reader.readexactly(int(fields["content-length"]))
        except asyncio.IncompleteReadError as e:
            raise OSError("the webhook hung up") from e
        finally:
            writer.close()
        if head[0].split()[1] != "200":
            raise OSError(f"{head[0]}: {answer[:200]!r}")
        return json.loads(answer)


def admission_review(request, pending, dry_run):
    """What webhooks are sent."""
    resource = pending.resource
    where = {"group": resource.group, "version": resource.version}

    def full(obj):
        if obj is None:
            return None
        return {"kind": resource.kind, "apiVersion": resource.api_version, **obj}

    obj, old = full(pending.obj), full(pending.old)
    kind = {**where, "kind": resource.kind}
    if pending.subresource == "scale":
        kind = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        obj, old = _scale(obj), _scale(old)
    user = request.identity
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": str(uuid.uuid4()),
            "kind": kind,
            "resource": {**where, "resource": resource.name},
            **({"subResource": pending.subresource} if pending.subresource else {}),
            "requestKind": kind,
            "requestResource": {**where, "resource": resource.name},
            "name": (pending.obj or pending.old)["metadata"]["name"],
            "namespace": pending.home,
            "operation": pending.operation,
            "userInfo": user.user_info(),
            "object": obj,
            "oldObject": old,
            "dryRun": dry_run,
        },
    }


class Configured:
    """Every webhook of the configurations in the store, one after the other, by name.

    Of a configuration: rules (groups, versions, resources and subresources, operations, scope),
    matchPolicy, namespaceSelector (matchLabels, matchExpressions), failurePolicy, timeoutSeconds,
    clientConfig.url and caBundle.
    """

    asks_deletions = True
    commit_delay = 0.0

    def __init__(self, store, kinds, cert, key, policies):
        self.store, self.kinds, self.cert, self.key = store, kinds, cert, key
        self.policies = policies
        self.hooks = {}  # (url, caBundle, name, timeout) -> Webhook

    async def review(self, request, pending, dry_run):
        warnings = []
        self.policies.check(admission_review(request, pending, dry_run), pending)
        for hook in self._matching(pending):
            fail = hook.get("failurePolicy", "Fail") == "Fail"
            asked = self._hook(hook)
            warnings += await asked.review(request, pending, dry_run, fail)
        return warnings

    def _hook(self, hook):
        client = hook["clientConfig"]
        timeout = hook.get("timeoutSeconds", 10)
        key = client["url"], client.get("caBundle", ""), hook["name"], timeout
        if key not in self.hooks:
            pem = base64.b64decode(key[1]).decode() or None
            self.hooks[key] = Webhook(
                [key[0]], None, self.cert, self.key, timeout, name=hook["name"], pem=pem
            )
        return self.hooks[key]

    def _matching(self, pending):
        configurations = self.store.entries(self.kinds["configurations"], "")
        for entry in sorted(configurations, key=lambda e: e.obj["metadata"]["name"]):
            for hook in entry.obj.get("webhooks") or []:
                exact = hook.get("matchPolicy", "Equivalent") == "Exact"
                rules = hook.get("rules") or []
                if any(rule_takes(r, pending, exact) for r in rules) and self._in_scope(
                    hook.get("namespaceSelector") or {}, pending
                ):
                    yield hook

    def _in_scope(self, selector, pending):
        """Of a Namespace its own labels count; other objects of the cluster are always asked about."""
        if pending.resource is self.kinds["namespaces"]:
            labels = (pending.obj or pending.old)["metadata"].get("labels") or {}
        elif pending.home:
            home = self.store.get(self.kinds["namespaces"], "", pending.home)
            labels = (home.obj["metadata"].get("labels") or {}) if home else {}
            labels = {"kubernetes.io/metadata.name": pending.home, **labels}
        else:
            return True
        return _selects(selector, labels)


def rule_takes(rule, pending, exact):
    def among(key, value):
        return value in rule.get(key, []) or "*" in rule.get(key, [])

    resource = pending.resource
    name = f"{resource.name}/{pending.subresource}" if pending.subresource else resource.name
    resources = rule.get("resources", [])
    wanted = name in resources or "*/*" in resources or f"{resource.name}/*" in resources
    wanted = wanted or (not pending.subresource and "*" in resources)
    scope = rule.get("scope", "*")
    # The double serves each kind in one version, or in several that are the same.
    return (
        among("operations", pending.operation)
        and among("apiGroups", resource.group)
        and (not exact or among("apiVersions", resource.version))
        and wanted
        and scope in ("*", "Namespaced" if resource.namespaced else "Cluster")
    )


def _selects(selector, labels):
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for e in selector.get("matchExpressions") or []:
        has = e["key"] in labels
        inside = labels.get(e["key"]) in (e.get("values") or [])
        holds = {
            "In": has and inside, "NotIn": not has or not inside, "Exists": has, "DoesNotExist": not has,
        }  # fmt: skip
        if not holds[e["operator"]]:
            return False
    return True


def _scale(obj):
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata = {k: obj["metadata"][k] for k in keys if k in obj["metadata"]}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
    }
