"""Objects with resource versions, their history, and those who watch them.

Everything happens in the event loop's thread; a change is visible to every reader at once.
Objects are dicts without kind and apiVersion and are never changed in place once stored.
"""

import asyncio
import bisect
from collections import deque

from . import resources
from .status import encode

MAX_HISTORY = 200_000
MAX_QUEUED_EVENTS = 100_000
_DEFINITION = "CustomResourceDefinition"


class Entry:
    """One version of one object."""

    __slots__ = ("key", "namespace", "obj", "rv", "_json")

    def __init__(self, key, namespace, obj, rv):
        self.key, self.namespace, self.obj, self.rv = key, namespace, obj, rv
        self._json = None

    @property
    def json(self):
        """The object as an item of a list, encoded once."""
        if self._json is None:
            self._json = encode(self.obj)
        return self._json


class Event:
    """A change: `entry` after it (for DELETED the last state), `before` or None."""

    __slots__ = ("rv", "type", "entry", "before", "cache")

    def __init__(self, rv, type, entry, before):
        self.rv, self.type, self.entry, self.before = rv, type, entry, before
        self.cache = {}


class TooOld(Exception):
    """The history does not reach back to the version asked for; `floor` is where it starts."""

    def __init__(self, floor):
        super().__init__(floor)
        self.floor = floor


def key_of(namespace, name):
    return f"{namespace}/{name}" if namespace else name


def stamped(metadata, rv):
    """A copy of metadata with another resourceVersion, in its place behind the uid."""
    head = ("name", "generateName", "namespace", "selfLink", "uid")
    result = {key: metadata[key] for key in head if key in metadata}
    result["resourceVersion"] = str(rv)
    for key, value in metadata.items():
        result.setdefault(key, value)
    return result


class Watcher:
    """Events of one collection from one version on; `get` waits for the next."""

    def __init__(self, collection, namespace):
        self._collection, self.namespace = collection, namespace
        self.queue = asyncio.Queue()

    def offer(self, event):
        if self.namespace and event.entry.namespace != self.namespace:
            return
        if self.queue.qsize() < MAX_QUEUED_EVENTS:
            self.queue.put_nowait(event)
        else:
            self.end("slow")

    def end(self, why):
        """Make the reader end: "slow", "cut", "reset" or "gone"."""
        self.queue.put_nowait(why)

    def misbehave(self, how, amount):
        """Make the reader do something that it should not; see watch.py."""
        self.queue.put_nowait((how, amount))

    async def get(self, timeout):
        """The next Event, a reason (str) to end, a misdeed (tuple), or None after `timeout`
        seconds."""
        if not self.queue.empty():
            return self.queue.get_nowait()
        try:
            return await asyncio.wait_for(self.queue.get(), timeout)
        except asyncio.TimeoutError:
            return None

    def close(self):
        self._collection.watchers.discard(self)


class Collection:
    """All objects of one resource."""

    def __init__(self):
        self.entries = {}
        self.keys = []
        self.history = deque()
        self.watchers = set()
        self.floor = 0
        self.last_rv = 0

    def put(self, entry):
        if entry.key not in self.entries:
            bisect.insort(self.keys, entry.key)
        self.entries[entry.key] = entry

    def drop(self, key):
        del self.entries[key]
        del self.keys[bisect.bisect_left(self.keys, key)]

    def publish(self, event):
        self.last_rv = event.rv
        self.history.append(event)
        if len(self.history) > MAX_HISTORY:
            self.floor = self.history.popleft().rv
        for watcher in list(self.watchers):
            watcher.offer(event)


class Store:
    """The cluster's state."""

    def __init__(self):
        self.rv = 0
        self._collections = {}

    def collection(self, resource):
        return self._collections.setdefault(resource.store_key, Collection())

    def collections(self):
        return self._collections.values()

    def _next(self):
        self.rv += 1
        return self.rv

    def get(self, resource, namespace, name):
        """The current Entry or None."""
        return self.collection(resource).entries.get(key_of(namespace, name))

    def seed(self, resource, namespace, obj, rv):
        """Put an object at a version of the past, without an event."""
        collection = self.collection(resource)
        name = obj["metadata"]["name"]
        collection.put(Entry(key_of(namespace, name), namespace, obj, rv))
        collection.last_rv = max(collection.last_rv, rv)
        self.rv = max(self.rv, rv)

    def put(self, resource, namespace, obj):
        """Create or replace; stamps obj's resourceVersion and returns the Entry."""
        collection = self.collection(resource)
        key = key_of(namespace, obj["metadata"]["name"])
        before = collection.entries.get(key)
        rv = self._next()
        obj["metadata"] = stamped(obj["metadata"], rv)
        entry = Entry(key, namespace, obj, rv)
        collection.put(entry)
        kind = "MODIFIED" if before else "ADDED"
        collection.publish(Event(rv, kind, entry, before))
        if resource.kind == _DEFINITION:
            resources.define(obj)
        return entry

    def remove(self, resource, namespace, name):
        """Delete; returns the last state, stamped with the version of the deletion."""
        collection = self.collection(resource)
        key = key_of(namespace, name)
        before = collection.entries[key]
        rv = self._next()
        obj = dict(before.obj, metadata=stamped(before.obj["metadata"], rv))
        entry = Entry(key, namespace, obj, rv)
        collection.drop(key)
        collection.publish(Event(rv, "DELETED", entry, before))
        if resource.kind == _DEFINITION:
            for custom in resources.undefine(obj):
                self._forget(custom)
        return entry

    def _forget(self, resource):
        """A resource that is served no longer: its objects are gone, its watches end."""
        for entry in self.entries(resource):
            self.remove(resource, entry.namespace, entry.obj["metadata"]["name"])
        for watcher in list(self.collection(resource).watchers):
            watcher.end("end")

    def entries(self, resource, namespace=""):
        """The current entries in key order."""
        collection = self.collection(resource)
        return self._in_order(collection.entries, collection.keys, namespace)

    def entries_at(self, resource, namespace, rv):
        """The entries as they were at `rv`.  TooOld if that is not known any more."""
        collection = self.collection(resource)
        if rv < collection.floor:
            raise TooOld(collection.floor)
        if rv >= collection.last_rv:
            return self.entries(resource, namespace)
        entries = dict(collection.entries)
        for event in reversed(collection.history):
            if event.rv <= rv:
                break
            if event.before:
                entries[event.entry.key] = event.before
            else:
                entries.pop(event.entry.key, None)
        return self._in_order(entries, sorted(entries), namespace)

    @staticmethod
    def _in_order(entries, keys, namespace):
        if not namespace:
            return [entries[key] for key in keys]
        prefix = namespace + "/"
        start = bisect.bisect_left(keys, prefix)
        end = bisect.bisect_left(keys, namespace + "0")  # "0" follows "/"
        return [entries[key] for key in keys[start:end]]

    def watch(self, resource, namespace, rv):
        """A Watcher that starts behind `rv`.  TooOld if events in between are lost."""
        collection = self.collection(resource)
        if rv < collection.floor:
            raise TooOld(collection.floor)
        watcher = Watcher(collection, namespace)
        missed = []
        for event in reversed(collection.history):
            if event.rv <= rv:
                break
            missed.append(event)
        for event in reversed(missed):
            watcher.offer(event)
        collection.watchers.add(watcher)
        return watcher

    def compact(self):
        """Forget the history: older versions are 410 from now on."""
        for collection in self._collections.values():
            collection.history.clear()
            collection.floor = self.rv

    def end_watches(self, why):
        """End every open watch; returns how many there were."""
        watchers = [w for c in self._collections.values() for w in c.watchers]
        for watcher in watchers:
            watcher.end(why)
        return len(watchers)
