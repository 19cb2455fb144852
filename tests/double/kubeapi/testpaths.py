"""Answers on demand under /test/, for everyone who is authenticated.

    /test/echo                     what was received: method, target, headers in order, body hash
    /test/status?code=C            an empty answer with that status (&retryAfter=S)
    /test/slow?ms=M[&n=N]          waits M ms, then N bytes (default: "ok\\n")
    /test/drip?n=N&ms=M            N pieces "x\\n", M ms apart, each flushed
    /test/bytes?n=N[&chunk=C]      N bytes in pieces of C; &length=1 with a Content-Length
    /test/sink[?ms=M]              reads the body (M ms pause between pieces), tells its length
    /test/deaf                     answers 200 without reading the body
    /test/hang                     no answer, until the client goes away
    /test/close?n=N[&how=H]        N bytes of 2N announced, then the connection ends: H "close"
                                   (default; on HTTP/2 the stream is reset) or "reset" (TCP RST)
    /test/redirect?to=URL&code=C   Location (default code 302)
    /test/headers?n=N&size=S       N response headers of S bytes
    /test/state                    version, watches, connections
    /test/faults                   GET, PUT, DELETE the list of faults (faults.py)
    POST /test/compact             the history is forgotten: 410 for what is older
    POST /test/cut-watches?how=H   every open watch ends: "end", "cut", "reset" or "gone"
    POST /test/misbehave-watches?how=H&n=N[&resource=R][&one=1]
                                   open watches (of a resource; one of them) do what watch.py
                                   says of H
    POST /test/apply               a list of {"put": OBJECT} and {"delete": OBJECT}: so it is
                                   now, without a check, as if the cluster had done it
"""

import asyncio
import json
import random
import uuid

from . import resources, rest, status
from .faults import FaultError
from .watch import MISDEEDS

_PATTERN = bytes(range(32, 127)) * 700


async def _echo(server, request, writer):
    answer = {
        "method": request.method,
        "target": request.target,
        "protocol": request.protocol,
        "pseudo": request.pseudo,
        "headers": request.received_headers,
        "connection": request.connection.id,
        "user": request.identity.user_info(),
        "bodyLength": request.body_length,
        "bodySha256": request.body_sha256,
    }
    writer.set("Content-Type", "application/json")
    await writer.write(json.dumps(answer).encode() + b"\n")


async def _status(server, request, writer):
    if retry := request.parameter("retryAfter"):
        writer.set("Retry-After", retry)
    writer.write_head(request.number("code", 200))


async def _slow(server, request, writer):
    await asyncio.sleep(request.number("ms") / 1000)
    count = request.number("n", -1)
    await _send_pattern(writer, count) if count >= 0 else await writer.write(b"ok\n")


async def _drip(server, request, writer):
    end = server.log.stream(request, "stream", "drip")
    try:
        for _ in range(request.number("n", 10)):
            await writer.write(b"x\n")
            await writer.flush()
            await asyncio.sleep(request.number("ms", 100) / 1000)
        end("complete")
    except BaseException as e:
        end(type(e).__name__)
        raise


async def _send_pattern(writer, count, size=65536):
    size = max(1, min(size, len(_PATTERN)))
    while count > 0:
        piece = _PATTERN[: min(size, count)]
        count -= len(piece)
        await writer.write(piece)


async def _bytes(server, request, writer):
    count = request.number("n", 1024)
    writer.set("Content-Type", "application/octet-stream")
    if request.flag("length"):
        writer.set("Content-Length", str(count))
    await _send_pattern(writer, count, request.number("chunk", 65536))


async def _sink(server, request, writer):
    async for _ in request.chunks():
        await asyncio.sleep(request.number("ms") / 1000)
    await writer.write(b"%d %s\n" % (request.body_length, request.body_sha256.encode()))


async def _deaf(server, request, writer):
    await writer.write(b"ok\n")


async def _hang(server, request, writer):
    end = server.log.stream(request, "stream", "hang")
    try:
        await asyncio.Event().wait()
    finally:
        end("client")


async def _close(server, request, writer):
    count = request.number("n", 1000)
    writer.set("Content-Type", "application/octet-stream")
    writer.set("Content-Length", str(2 * count))
    await writer.flush()
    await _send_pattern(writer, count)
    writer.abort(reset=request.parameter("how") == "reset")


async def _redirect(server, request, writer):
    writer.set("Location", request.parameter("to", "/"))
    writer.write_head(request.number("code", 302))


async def _headers(server, request, writer):
    for number in range(request.number("n", 10)):
        writer.set(f"X-Test-{number:05}", "v" * request.number("size", 10))
    await writer.write(b"ok\n")


async def _state(server, request, writer):
    answer = {
        "resourceVersion": str(server.store.rv),
        "watches": sum(len(c.watchers) for c in server.store.collections()),
        "connections": len(server.connections),
    }
    writer.set("Content-Type", "application/json")
    await writer.write(json.dumps(answer).encode() + b"\n")


async def _faults(server, request, writer):
    if request.method in ("PUT", "POST"):
        try:
            server.faults.load(request.body)
        except FaultError as e:
            raise status.bad_request(str(e)) from e
    elif request.method == "DELETE":
        server.faults.load(b"[]")
    writer.set("Content-Type", "application/json")
    await writer.write(json.dumps(server.faults.dump()).encode() + b"\n")


async def _compact(server, request, writer):
    server.store.compact()
    await writer.write(b"%d\n" % server.store.rv)


async def _cut_watches(server, request, writer):
    count = server.store.end_watches(request.parameter("how") or "end")
    await writer.write(b"%d\n" % count)


async def _misbehave(server, request, writer):
    how, wanted = request.parameter("how"), request.parameter("resource")
    if how not in MISDEEDS:
        raise status.bad_request(f"unknown misdeed {how!r}")
    watchers = [
        watcher
        for resource in resources.RESOURCES
        if not wanted or wanted == resource.name
        for watcher in server.store.collection(resource).watchers
    ]
    if request.flag("one") and watchers:
        watchers = [random.choice(watchers)]
    for watcher in watchers:
        watcher.misbehave(how, request.number("n", 1))
    await writer.write(b"%d\n" % len(watchers))


def _apply_one(server, operation):
    ((verb, obj),) = operation.items()
    resource = resources.find_kind(obj["apiVersion"], obj["kind"])
    if not resource or not resource.stored or verb not in ("put", "delete"):
        raise status.bad_request(f"cannot {verb} {obj['apiVersion']} {obj['kind']}")
    metadata = dict(obj["metadata"])
    namespace = metadata.get("namespace", "") if resource.namespaced else ""
    old = server.store.get(resource, namespace, metadata["name"])
    if verb == "delete":
        if old:
            server.store.remove(resource, namespace, metadata["name"])
        return
    kept = old.obj["metadata"] if old else {}
    metadata["uid"] = kept.get("uid") or str(uuid.uuid4())
    metadata["creationTimestamp"] = kept.get("creationTimestamp") or rest.now_text()
    server.store.put(resource, namespace, rest.ordered({**obj, "metadata": metadata}))


async def _apply(server, request, writer):
    try:
        for operation in json.loads(request.body):
            _apply_one(server, operation)
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise status.bad_request(f"apply: {e!r}") from e
    await writer.write(b"%d\n" % server.store.rv)


PATHS = {
    "echo": _echo,
    "status": _status,
    "slow": _slow,
    "drip": _drip,
    "bytes": _bytes,
    "sink": _sink,
    "deaf": _deaf,
    "hang": _hang,
    "close": _close,
    "redirect": _redirect,
    "headers": _headers,
    "state": _state,
    "faults": _faults,
    "compact": _compact,
    "cut-watches": _cut_watches,
    "misbehave-watches": _misbehave,
    "apply": _apply,
}
# These read the body themselves (or not at all), so it is not read before the log line.
UNREAD_BODY = ("sink", "deaf", "hang")


async def serve(server, request, writer):
    name = request.path[len("/test/") :]
    handler = PATHS.get(name)
    if not handler:
        raise status.page_not_found()
    await handler(server, request, writer)
