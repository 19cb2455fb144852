"""The chain that every request goes through, and the routes."""

import asyncio
import functools
import gzip
import json
import ssl
import sys
import traceback
import uuid

from . import discovery, negotiate, requestinfo, resources, reviews, status, streams
from . import tables, testpaths, tls
from .authn import AuthenticationFailed, impersonate
from .faults import Faults
from .http1 import BadRequest, Connection1
from .http2 import Connection2
from .message import BodyTooLarge, ClientGone
from .rest import Rest, typed
from .watch import Watch

HANDSHAKE_SECONDS = 10.0
GZIP_FROM_BYTES = 128 * 1024
# Priority and fairness: admin is exempt, everybody else shares one level.
_EXEMPT = (
    "7f054f10-0000-4000-8000-000000000001",
    "25fa6e10-0000-4000-8000-000000000002",
)
_SHARED = (
    "24a2b2e1-0000-4000-8000-000000000003",
    "3cd52877-0000-4000-8000-000000000004",
)
_HEALTH = ("/healthz", "/livez", "/readyz")


class Server:
    """Everything a request needs; one for each listener."""

    def __init__(self, options, store, authenticator, authorizer, log):
        self.options, self.store = options, store
        self.authenticator, self.authorizer = authenticator, authorizer
        self.log = log
        self.faults = Faults()
        self.rest = Rest(store, self._finish_deletion)
        self.connections = set()
        self.address = ""
        self._last_connection = 0

    # Connections.

    async def accept(self, reader, writer, context):
        """Serve one TCP connection; the callback of asyncio.start_server."""
        stream = tls.TlsStream(reader, writer, context)
        self._last_connection += 1
        number = self._last_connection
        try:
            await asyncio.wait_for(stream.handshake(), HANDSHAKE_SECONDS)
        except (OSError, ssl.SSLError, asyncio.TimeoutError):
            writer.close()
            return
        kind = Connection2 if stream.alpn == "h2" else Connection1
        connection = kind(stream, number, self.handle)
        self.connections.add(connection)
        try:
            await connection.serve()
        except (OSError, ssl.SSLError):
            pass
        finally:
            self.connections.discard(connection)
            await stream.close()

    # The chain.

    async def handle(self, request, writer):
        """Answer one request; never raises but for a client that is gone."""
        writer.set("Audit-Id", request.header("Audit-ID") or str(uuid.uuid4()))
        writer.set("Cache-Control", "no-cache, private")
        try:
            await self._chain(request, writer)
        except status.ApiError as e:
            await self._answer_error(request, writer, e)
        except BodyTooLarge:
            await self._answer_error(request, writer, status.too_large())
        except (ClientGone, BadRequest, OSError, ssl.SSLError):
            raise
        except Exception as e:
            traceback.print_exc(file=sys.stderr)
            error = status.ApiError(500, "InternalError", f"double: {e!r}")
            await self._answer_error(request, writer, error)

    async def _chain(self, request, writer):
        try:
            request.info = requestinfo.classify(
                request.method, request.path, request.query
            )
        except requestinfo.InvalidRequestInfo as e:
            self.log.request(request, request.received_headers)
            raise status.internal_error_text(request.target, str(e)) from e
        await self._authenticate(request, writer)
        body = await self._read_body(request)
        await self._impersonate(request)
        self.log.request(request, request.received_headers)
        info, exempt = request.info, "system:masters" in request.identity.groups
        if not info.long_running or info.verb == "watch":
            schema, level = _EXEMPT if exempt else _SHARED
            writer.set("X-Kubernetes-Pf-Flowschema-Uid", schema)
            writer.set("X-Kubernetes-Pf-Prioritylevel-Uid", level)
        if await self.faults.strike(request, writer):
            return
        if request.path.startswith("/test/"):
            await testpaths.serve(self, request, writer)
            return
        if not self.authorizer.allowed(request.identity, info):
            raise status.forbidden(info, request.identity.name)
        await self._route(request, writer, body)

    async def _authenticate(self, request, writer):
        try:
            request.identity = await self.authenticator.authenticate(request)
        except AuthenticationFailed:
            self.log.request(request, request.received_headers)
            self._discourage(request, writer)
            raise status.unauthorized() from None
        if request.identity.anonymous:
            self._discourage(request, writer)

    @staticmethod
    def _discourage(request, writer):
        # HTTP/2 is dear: who is nobody has to connect again for each request.
        if request.protocol == "HTTP/2.0":
            writer.set("Connection", "close")

    async def _read_body(self, request):
        """The body, unless the handler reads it or it never ends."""
        test = request.path.startswith("/test/") and request.path[len("/test/") :]
        if request.method == "CONNECT" or test in testpaths.UNREAD_BODY:
            return b""
        if request.header("Upgrade") and request.protocol != "HTTP/2.0":
            return b""
        try:
            return await request.read_body(None if test else 3 * 1024 * 1024)
        except (BodyTooLarge, ClientGone, BadRequest):
            self.log.request(request, request.received_headers)
            raise

    async def _impersonate(self, request):
        try:
            effective = impersonate(request, request.identity, self.authorizer)
        except status.ApiError:
            self.log.request(request, request.received_headers)
            raise
        if effective is not request.identity:
            request.original_identity = request.identity
            request.identity = effective

    async def _answer_error(self, request, writer, error):
        if writer.started:
            writer.abort()
            return
        if error.nosniff:
            writer.set("X-Content-Type-Options", "nosniff")
        if error.retry_after:
            writer.set("Retry-After", str(error.retry_after))
        if error.text is not None:
            writer.set("Content-Type", "text/plain; charset=utf-8")
            body = error.text.encode()
        else:
            writer.set("Content-Type", "application/json")
            body = self._json(request, error.status(), error.pretty)
        writer.write_head(error.code)
        await writer.write(body)

    # Answers.

    @staticmethod
    def _json(request, obj, indented=False):
        encoded = obj if isinstance(obj, bytes) else status.encode(obj)
        if indented or negotiate.pretty(request):
            text = json.dumps(json.loads(encoded), indent=2, ensure_ascii=False)
            return text.encode() + (b"" if indented else b"\n")
        return encoded + b"\n"

    async def answer(self, request, writer, obj, code=200):
        """Send an object (dict or encoded JSON)."""
        body = self._json(request, obj)
        writer.set("Content-Type", "application/json")
        if (
            len(body) >= GZIP_FROM_BYTES
            and request.method == "GET"
            and "gzip" in request.header("Accept-Encoding")
        ):
            writer.set("Content-Encoding", "gzip")
            writer.add("Vary", "Accept-Encoding")
            body = await asyncio.to_thread(gzip.compress, body, 1)
        writer.write_head(code)
        await writer.write(body)

    async def _answer_text(self, writer, text):
        writer.set("Content-Type", "text/plain; charset=utf-8")
        writer.set("X-Content-Type-Options", "nosniff")
        await writer.write(text)

    # Routes.

    async def _route(self, request, writer, body):
        info = request.info
        if info.is_resource:
            await self._route_resource(request, writer, body)
            return
        parts = [part for part in request.path.split("/") if part]
        top = "/" + (parts[0] if parts else "")
        if top in _HEALTH:
            await self._answer_text(writer, b"ok")
        elif request.method not in ("GET", "HEAD"):
            raise status.method_not_allowed()
        elif request.path.rstrip("/") == "/version":
            writer.set("Content-Type", "application/json")
            await writer.write(discovery.version_body())
        elif top in ("/api", "/apis"):
            await self._discovery(request, writer, parts)
        elif top == "/openapi":
            await self._openapi(request, writer, "/".join(parts[1:]))
        elif request.path == "/metrics":
            count = len(self.connections)
            await self._answer_text(writer, b"double_connections %d\n" % count)
        else:
            raise status.page_not_found()

    async def _discovery(self, request, writer, parts):
        core = parts[0] == "api"
        if len(parts) == 1:
            version = negotiate.aggregated_discovery(request)
            if version:
                await self._aggregated(request, writer, core, version)
                return
            negotiate.wanted(request, True)
            obj = (
                discovery.api_versions(self.address)
                if core
                else discovery.api_group_list()
            )
        elif len(parts) == 2 and not core:
            obj = discovery.api_group(parts[1])
        elif len(parts) == (2 if core else 3):
            obj = discovery.api_resource_list("" if core else parts[1], parts[-1])
        else:
            obj = None
        if obj is None:
            raise status.page_not_found()
        await self.answer(request, writer, obj)

    async def _aggregated(self, request, writer, core, version):
        body = _aggregated_body(core, version)
        tag = discovery.etag(body)
        writer.set("Cache-Control", "public")
        writer.set("Etag", tag)
        writer.set("Vary", "Accept")
        if request.header("If-None-Match") == tag:
            writer.write_head(304)
            return
        writer.set("Content-Type", discovery.AGGREGATED % version)
        await writer.write(body + b"\n")

    async def _openapi(self, request, writer, path):
        accept = request.header("Accept")
        writer.set("Content-Type", "application/json")
        if path == "v2":
            body = discovery.openapi_v2()
            if "application/com.github.proto-openapi.spec.v2" in accept:
                body = discovery.openapi_v2_protobuf()
                media = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
                writer.set("Content-Type", media)
        elif path in ("v3", "v3/"):
            body = status.encode(discovery.openapi_v3_index())
        else:
            body = discovery.openapi_v3_document(path[len("v3/") :])
        if body is None:
            raise status.page_not_found()
        writer.set("Accept-Ranges", "bytes")
        writer.set("Content-Length", str(len(body)))
        writer.set("Etag", discovery.etag(body))
        writer.set("Last-Modified", self.options.started)
        writer.set("Vary", "Accept")
        await writer.write(body)

    async def _route_resource(self, request, writer, body):
        info = request.info
        resource = resources.find(info.group, info.version, info.resource)
        if not resource:
            known = (info.group, info.version) in resources.GROUP_VERSIONS
            raise status.no_such_resource() if known else status.page_not_found()
        if not _well_formed(request, info, resource):
            raise status.no_such_resource()
        namespace = info.namespace if resource.namespaced else ""
        if info.subresource:
            await self._subresource(request, writer, resource, namespace, body)
        elif info.verb == "watch":
            await self._watch(request, writer, resource, namespace)
        else:
            await self._verb(request, writer, resource, namespace, body)

    async def _watch(self, request, writer, resource, namespace):
        if not resource.stored or request.method != "GET":
            raise status.method_not_allowed()
        form = negotiate.wanted(request, False)
        watch = Watch(self, request, resource, namespace, form)
        end = self.log.stream(request, "watch", resource.name)
        why = "client"
        try:
            why = await watch.run(writer)
        finally:
            end(why)

    async def _verb(self, request, writer, resource, namespace, body):
        verb, name = request.info.verb, request.info.name
        listing = request.method == "GET" and not request.info.parts[1:]
        if listing:
            verb = "list"
        elif request.method == "DELETE" and not request.info.parts[1:]:
            verb = "deletecollection"
        if request.method == "HEAD" or verb not in resource.verbs:
            raise status.method_not_allowed()
        if (verb == "create") != (request.method == "POST" and not name):
            raise status.method_not_allowed()
        if verb in ("update", "patch", "get", "delete") and not name:
            raise status.method_not_allowed()
        handler = getattr(self, f"_verb_{verb}")
        await handler(request, writer, resource, namespace, name, body)

    async def _verb_list(self, request, writer, resource, namespace, name, body):
        form = negotiate.wanted(request, True)
        metadata, entries = self.rest.list(request, resource, namespace)
        encoded = self.rest.encode_list(request, resource, metadata, entries, form)
        await self.answer(request, writer, encoded)

    async def _verb_get(self, request, writer, resource, namespace, name, body):
        form = negotiate.wanted(request, False)
        entry = self.rest.get(resource, namespace, name)
        await self._answer_object(request, writer, resource, entry.obj, form)

    async def _answer_object(self, request, writer, resource, obj, form, code=200):
        if form.form == "table":
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            include = request.parameter("includeObject") or "Metadata"
            table = tables.table(resource, [obj], metadata, include, form.version)
            await self.answer(request, writer, table, code)
        elif form.form == "partial":
            await self.answer(request, writer, tables.partial_metadata(obj), code)
        else:
            await self.answer(request, writer, typed(resource, obj), code)

    @staticmethod
    def _warn(writer, warnings):
        for text in warnings:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            writer.add("Warning", f'299 - "{quoted}"')

    async def _verb_create(self, request, writer, resource, namespace, name, body):
        form = negotiate.wanted(request, False)
        obj = negotiate.decode_object(request, body, resource)
        if not resource.stored:
            if resource.name == "bindings":
                raise status.method_not_allowed()
            answer = reviews.review(self, request, resource, namespace, obj)
            await self.answer(request, writer, answer, 201)
            return
        if resource.namespaced and not namespace:
            raise status.method_not_allowed()
        obj, warnings = self.rest.create(request, resource, namespace, obj)
        obj, more = await self.rest.admit(request, obj)
        self._warn(writer, warnings + more)
        await self._answer_object(request, writer, resource, obj, form, 201)

    async def _verb_update(
        self, request, writer, resource, namespace, name, body, sub=""
    ):
        form = negotiate.wanted(request, False)
        obj = negotiate.decode_object(request, body, resource)
        obj, warnings = self.rest.replace(request, resource, namespace, name, obj, sub)
        obj, more = await self.rest.admit(request, obj)
        self._warn(writer, warnings + more)
        await self._answer_object(request, writer, resource, obj, form)

    async def _verb_patch(
        self, request, writer, resource, namespace, name, body, sub=""
    ):
        form = negotiate.wanted(request, False)
        media, document = negotiate.decode_patch(request, body)
        obj, created, warnings = self.rest.patch(
            request, resource, namespace, name, media, document, sub
        )
        obj, more = await self.rest.admit(request, obj)
        self._warn(writer, warnings + more)
        code = 201 if created else 200
        await self._answer_object(request, writer, resource, obj, form, code)

    async def _verb_delete(self, request, writer, resource, namespace, name, body):
        negotiate.wanted(request, False)
        options = negotiate.decode_delete_options(request, body)
        entry = self.rest.get(resource, namespace, name)
        warnings = await self.rest.admit_deletion(request, resource, [entry], options)
        answer = self.rest.delete(request, resource, namespace, name, options)
        self._warn(writer, warnings)
        await self.answer(request, writer, answer)

    async def _verb_deletecollection(
        self, request, writer, resource, namespace, name, body
    ):
        form = negotiate.wanted(request, True)
        options = negotiate.decode_delete_options(request, body)
        _, listed = self.rest.list(request, resource, namespace)
        await self.rest.admit_deletion(request, resource, listed, options)
        metadata, entries = self.rest.delete_collection(
            request, resource, namespace, options
        )
        encoded = self.rest.encode_list(request, resource, metadata, entries, form)
        await self.answer(request, writer, encoded)

    # Subresources.

    async def _subresource(self, request, writer, resource, namespace, body):
        info, sub = request.info, request.info.subresource
        if sub not in resource.subresources:
            raise status.no_such_resource()
        if sub == "proxy":
            await testpaths.PATHS["echo"](self, request, writer)
            return
        if request.method == "HEAD" or info.verb not in resource.sub_kind(sub)[3]:
            raise status.method_not_allowed()
        entry = self.rest.get(resource, namespace, info.name)
        if sub in ("exec", "attach", "portforward"):
            await streams.serve_upgrade(self, request, writer, resource, entry.obj, sub)
        elif sub == "log":
            await streams.serve_log(self, request, writer, resource, entry.obj)
        elif sub == "eviction":
            eviction = negotiate.decode_delete_options(request, body)
            options = eviction.get("deleteOptions") or {}
            self.rest.delete(request, resource, namespace, info.name, options)
            success = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
            success.update(status="Success", code=201)
            await self.answer(request, writer, success, 201)
        elif sub == "scale":
            await self._scale(request, writer, resource, namespace, entry, body)
        elif sub in ("status", "finalize", "approval", "ephemeralcontainers"):
            await self._plain_subresource(request, writer, resource, namespace, body)
        else:
            raise status.ApiError(501, "NotImplemented", f"the double has no {sub}")

    async def _plain_subresource(self, request, writer, resource, namespace, body):
        name, sub = request.info.name, request.info.subresource
        sub = "status" if sub in ("status", "approval") else ""
        handlers = {"patch": self._verb_patch, "update": self._verb_update}
        if request.info.verb == "get":
            await self._verb_get(request, writer, resource, namespace, name, body)
        else:
            handler = handlers[request.info.verb]
            await handler(request, writer, resource, namespace, name, body, sub)

    async def _scale(self, request, writer, resource, namespace, entry, body):
        info = request.info
        if info.verb != "get":
            try:
                document = json.loads(body)
                replicas = int((document.get("spec") or {}).get("replicas", 0))
            except (ValueError, AttributeError, TypeError) as e:
                raise status.bad_request(f"cannot decode Scale: {e}") from e
            obj = self.rest.patch(
                request, resource, namespace, info.name,
                "application/merge-patch+json", {"spec": {"replicas": replicas}},
            )[0]  # fmt: skip
            obj, warnings = await self.rest.admit(request, obj)
            self._warn(writer, warnings)
        else:
            obj = entry.obj
        metadata = obj["metadata"]
        keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        replicas = (obj.get("spec") or {}).get("replicas", 0)
        scale = {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {key: metadata[key] for key in keys if key in metadata},
            "spec": {"replicas": replicas} if replicas else {},
            "status": {"replicas": (obj.get("status") or {}).get("replicas", 0)},
        }
        await self.answer(request, writer, scale)

    # What kubelet and namespace controller would do.

    def _finish_deletion(self, resource, entry):
        delay = self.options.finish_deletion_ms
        if delay < 0:
            return
        uid, name = entry.obj["metadata"].get("uid"), entry.obj["metadata"]["name"]

        def finish():
            current = self.store.get(resource, entry.namespace, name)
            if not current or current.obj["metadata"].get("uid") != uid:
                return
            if current.obj["metadata"].get("finalizers"):
                return
            if resource.is_namespace:
                self.rest.empty_namespace(name)
            else:
                self.store.remove(resource, entry.namespace, name)

        asyncio.get_running_loop().call_later(delay / 1000, finish)


@functools.lru_cache
def _aggregated_body(core, version):
    return status.encode(discovery.aggregated(core, version))


def _well_formed(request, info, resource):
    """Does the path have the shape of a route?  (What classifies need not be one.)"""
    if info.verb == "proxy":
        return False  # the old prefix is not served any more
    if len(info.parts) > 3 and info.subresource != "proxy":
        return False
    if any(not part for part in info.parts[:2]):
        return False
    if info.namespace and not resource.namespaced and info.resource != "namespaces":
        return False
    return True
