"""A validating webhook, asked as the original asks one: between deciding what is to be stored and
storing it.  While it thinks, everything else goes on, so that requests race as they really do.
"""

import asyncio
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
    """One webhook with failurePolicy Fail, of one server or several, which are asked in turn."""

    def __init__(self, urls, ca, cert, key, timeout=10.0, commit_delay=0.0):
        self.urls = itertools.cycle(urllib.parse.urlsplit(url) for url in urls)
        self.timeout, self.commit_delay = timeout, commit_delay
        self.context = ssl.create_default_context(cafile=ca)
        if cert:
            self.context.load_cert_chain(cert, key)

    async def review(self, request, pending, dry_run):
        """Texts of warnings; ApiError if it refuses or does not answer."""
        review = self._review(request, pending, dry_run)
        try:
            answer = await asyncio.wait_for(self._post(review), self.timeout)
            response = answer["response"]
            if response["uid"] != review["request"]["uid"]:
                raise ValueError("another uid")
        except (OSError, ssl.SSLError, ValueError, KeyError, asyncio.TimeoutError) as e:
            text = f'failed calling webhook "{NAME}": failed to call webhook: {e!r}'
            raise status.ApiError(
                500, "InternalError", f"Internal error occurred: {text}"
            ) from e
        if not response["allowed"]:
            said = response.get("status") or {}
            why = said.get("message") or said.get("reason") or "without explanation"
            text = f'admission webhook "{NAME}" denied the request: {why}'
            raise status.ApiError(
                said.get("code", 400), said.get("reason", "BadRequest"), text
            )
        return response.get("warnings") or []

    def _review(self, request, pending, dry_run):
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
                "userInfo": {"username": user.name, "groups": list(user.groups)},
                "object": obj,
                "oldObject": old,
                "dryRun": dry_run,
            },
        }

    async def _post(self, review):
        url = next(self.urls)
        body = json.dumps(review).encode()
        reader, writer = await asyncio.open_connection(
            url.hostname, url.port, ssl=self.context
        )
        try:
            writer.write(
                f"POST {url.path}?timeout=10s HTTP/1.1\r\nHost: {url.netloc}\r\n"
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


def _scale(obj):
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata = {k: obj["metadata"][k] for k in keys if k in obj["metadata"]}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
    }
