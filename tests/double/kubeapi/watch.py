"""Watches: a stream of events, one JSON document a line.

On demand (POST /test/misbehave-watches) an open watch does what the original never should:

    silent     says nothing any more, and stays open
    repeat     sends the first of its last N events once more
    stale      sends a bookmark that is N versions old
    hold       sends nothing for N milliseconds, so that other kinds are ahead
    drip       from now on sends every event in pieces of N bytes
"""

import asyncio
import random
import time
from collections import deque

from . import status, tables
from .resources import EMPTY
from .rest import selector_of, typed, version_parameter, integer_parameter
from .store import Event, TooOld, stamped

BOOKMARK_SECONDS = 60.0
BOOKMARK_BEFORE_END = 2.0
REPEATABLE = 100
MISDEEDS = ("silent", "repeat", "stale", "hold", "drip")


def _line(kind, obj):
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), obj)


class _Encoder:
    """Events in the form that the client accepts."""

    def __init__(self, request, resource, form):
        self._resource, self._form = resource, form
        self._include = request.parameter("includeObject") or "Metadata"
        self._first_table = True

    def event(self, kind, event, entry):
        if self._form.form == "table":
            return _line(kind, self._table(entry.obj))
        key = (kind, self._form.form, self._form.version, self._resource.api_version)
        key += (entry.rv,)
        line = event.cache.get(key)
        if line is None:
            line = event.cache[key] = _line(kind, self._object(entry))
        return line

    def _object(self, entry):
        if self._form.form == "partial":
            return status.encode(tables.partial_metadata(entry.obj))
        head = status.encode(typed(self._resource, {}))
        return head[:-1] + b"," + entry.json[1:]

    def _table(self, obj):
        columns, self._first_table = self._first_table, False
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        return status.encode(
            tables.table(
                self._resource,
                [obj],
                metadata,
                self._include,
                self._form.version,
                columns,
            )
        )

    def bookmark(self, rv, initial_end=False):
        metadata = {"resourceVersion": str(rv), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj = {"metadata": metadata, **EMPTY.get(self._resource.kind, {})}
        if self._form.form == "table":
            obj["metadata"]["name"] = ""
            return _line("BOOKMARK", self._table(obj))
        if self._form.form == "partial":
            return _line("BOOKMARK", status.encode(tables.partial_metadata(obj)))
        return _line("BOOKMARK", status.encode(typed(self._resource, obj)))


def _seen_through(selector, event):
    """(type, entry) of an event for a watcher with a selector, or None."""
    now = event.type != "DELETED" and selector.matches(event.entry.obj)
    before = event.before is not None and selector.matches(event.before.obj)
    if event.type == "DELETED":
        return ("DELETED", event.entry) if before else None
    if now:
        return ("MODIFIED" if before else "ADDED"), event.entry
    if before:
        # It left: the old object, at the version of the change.
        metadata = stamped(event.before.obj["metadata"], event.rv)
        obj = dict(event.before.obj, metadata=metadata)
        entry = type(event.entry)(event.entry.key, event.entry.namespace, obj, event.rv)
        return "DELETED", entry
    return None


class Watch:
    """One watch request; `run` writes until it ends and returns why."""

    def __init__(self, server, request, resource, namespace, form):
        self._server, self._request, self._resource = server, request, resource
        self._namespace = namespace
        self._selector = selector_of(request, resource)
        self._encoder = _Encoder(request, resource, form)
        self._bookmarks = request.flag("allowWatchBookmarks")
        self._start = version_parameter(request)
        self._initial = request.flag("sendInitialEvents")
        self._check_initial()
        self._sent, self._piece = deque(maxlen=REPEATABLE), 0
        timeout = integer_parameter(request, "timeoutSeconds")
        if timeout <= 0:
            timeout = random.uniform(1, 2) * server.options.min_request_timeout
        self._end = time.monotonic() + timeout

    def _check_initial(self):
        if self._request.parameter("sendInitialEvents") is None:
            return
        match = self._request.parameter("resourceVersionMatch")
        if match != "NotOlderThan" or (self._initial and not self._bookmarks):
            raise status.ApiError(
                422,
                "Invalid",
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan "
                "and allowWatchBookmarks",
                {"group": "meta.k8s.io", "kind": "ListOptions"},
            )

    async def run(self, writer):
        writer.set("Content-Type", "application/json")
        writer.write_head(200)
        await writer.flush()
        store, rv = self._server.store, self._start
        initial = self._initial or not rv
        if initial and self._request.parameter("sendInitialEvents") is not None:
            initial = self._initial
        if initial or not rv:
            rv = store.rv
        try:
            watcher = store.watch(self._resource, self._namespace, rv)
        except TooOld as e:
            await self._too_old(writer, rv, e.floor)
            return "gone"
        try:
            if initial:
                await self._send_initial(writer, rv)
            return await self._follow(writer, watcher, rv)
        finally:
            watcher.close()

    async def _too_old(self, writer, rv, floor):
        error = status.expired(f"too old resource version: {rv} ({floor})")
        await writer.write(_line("ERROR", status.encode(error.status())))

    async def _send_initial(self, writer, rv):
        lines = []
        for entry in self._server.store.entries(self._resource, self._namespace):
            if self._selector.matches(entry.obj):
                event = Event(entry.rv, "ADDED", entry, None)
                lines.append(self._encoder.event("ADDED", event, entry))
        for line in lines:
            await writer.write(line)
            await writer.flush()
        if self._initial:
            await writer.write(self._encoder.bookmark(rv, initial_end=True))
            await writer.flush()

    async def _follow(self, writer, watcher, rv):
        next_bookmark = self._next_bookmark()
        while True:
            now = time.monotonic()
            if now >= self._end:
                return "timeout"
            if self._bookmarks and now >= next_bookmark:
                await writer.write(
                    self._encoder.bookmark(max(rv, self._known(watcher)))
                )
                await writer.flush()
                next_bookmark = self._next_bookmark(after=now)
            wait = self._end - now
            if self._bookmarks:
                wait = min(wait, max(0.0, next_bookmark - now))
            item = await watcher.get(wait)
            if isinstance(item, str):
                return await self._end_early(writer, item, rv)
            if isinstance(item, tuple):
                await self._misbehave(writer, rv, *item)
                continue
            if item is not None and item.rv > rv:
                rv = item.rv
                seen = _seen_through(self._selector, item)
                if seen:
                    await self._send(
                        writer, self._encoder.event(seen[0], item, seen[1])
                    )

    async def _send(self, writer, line):
        self._sent.append(line)
        piece = self._piece or len(line)
        for start in range(0, len(line), piece):
            await writer.write(line[start : start + piece])
            await writer.flush()

    async def _misbehave(self, writer, rv, how, amount):
        if how == "silent":
            await asyncio.Event().wait()
        elif how == "repeat":
            for line in list(self._sent)[-amount:][:1]:
                await writer.write(line)
        elif how == "stale":
            await writer.write(self._encoder.bookmark(max(1, rv - amount)))
        elif how == "hold":
            await asyncio.sleep(amount / 1000)
        elif how == "drip":
            self._piece = amount
        await writer.flush()

    def _known(self, watcher):
        """Bookmarks name the newest version whose events were all delivered."""
        if watcher.queue.empty():
            return self._server.store.collection(self._resource).last_rv
        return 0

    def _next_bookmark(self, after=None):
        now = after or time.monotonic()
        at = min(
            now + self._server.options.bookmark_seconds, self._end - BOOKMARK_BEFORE_END
        )
        # One shortly before the end, none behind that.
        return at if at > now else self._end + 1

    async def _end_early(self, writer, why, rv):
        if why == "gone":
            await self._too_old(writer, rv, self._server.store.rv)
        elif why == "cut":
            writer.abort()
        elif why == "reset":
            writer.abort(reset=True)
        return why
