#!/usr/bin/python3
"""An API server that costs as little as one can: lists are pages that were rendered before it
listens, watches are what it is told to send. It counts what it was asked and what it sent.

    server = Server(kinds)            # {url of a list: Kind}
    server.start(certificates)        # listens in a thread; server.port
    server.send(url, line)            # an event to the watches of that kind
    server.counts()                   # {"requests": {...}, "bytes": ...}

HTTP/1.1 alone. For measuring the client; the double (tests/double) is the one that behaves.
"""

import asyncio
import re
import ssl
import threading
import time
import urllib.parse

PAGE = 500
REVISION = 1000


class Kind:
    """Objects of one kind: their texts in JSON, without kind and apiVersion."""

    def __init__(self, kind, version, items):
        self.pages = []
        self.item_bytes = sum(map(len, items))
        self.count = len(items)
        for at in range(0, max(1, len(items)), PAGE):
            more = at + PAGE < len(items)
            head = (f'{{"kind":"{kind}List","apiVersion":"{version}","metadata":{{'
                    f'"resourceVersion":"{REVISION}"'
                    + (f',"continue":"{at + PAGE}","remainingItemCount":{len(items) - at - PAGE}'
                       if more else "") + '},"items":[')
            self.pages.append((head + ",".join(items[at:at + PAGE]) + "]}\n").encode())
        self.watchers = set()


def _head(status, more):
    return (f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}\r\n\r\n").encode()


class Server:
    """See above. The thread is the loop's; everything else may be called from any other."""

    def __init__(self, kinds):
        self.kinds = kinds
        self.loop = asyncio.new_event_loop()
        self.port = None
        self.requests = {}
        self.bytes = {"list": 0, "watch": 0}
        self.last_list = None

    # --- life ---

    def start(self, pki):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(f"{pki}/apiserver.crt", f"{pki}/apiserver.key")
        context.set_alpn_protocols(["http/1.1"])
        began = threading.Event()

        async def listen():
            server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=context)
            self.port = server.sockets[0].getsockname()[1]
            began.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(listen())
            self.loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        began.wait()

    def counts(self):
        return {"requests": dict(self.requests), "bytes": dict(self.bytes)}

    def watching(self, url):
        return len(self.kinds[url].watchers)

    # --- events ---

    def send(self, url, events):
        """Lines to every watch of a kind, soon; a list that then has the time when they left."""
        text = "".join(events).encode()
        chunk = b"%x\r\n%s\r\n" % (len(text), text)
        left = []

        def write():
            left.append(time.monotonic())
            for writer in self.kinds[url].watchers:
                writer.write(chunk)
                self.bytes["watch"] += len(text)

        self.loop.call_soon_threadsafe(write)
        return left

    # --- connections ---

    async def _connection(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = re.match(rb"GET (\S+) HTTP/1.1\r\n", head)
                if not target or not await self._answer(target[1].decode(), writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _answer(self, target, writer):
        path, _, query = target.partition("?")
        words = dict(urllib.parse.parse_qsl(query))
        verb = "watch" if words.get("watch") else "list"
        kind = self.kinds.get(path)
        self.requests[verb] = self.requests.get(verb, 0) + 1
        if kind is None:
            self.requests["absent"] = self.requests.get("absent", 0) + 1
            body = b'{"kind":"Status","apiVersion":"v1","status":"Failure","code":404}\n'
            writer.write(_head("404 Not Found", f"Content-Length: {len(body)}") + body)
            await writer.drain()
            return True
        if verb == "watch":
            return await self._watch(kind, writer)
        page = kind.pages[int(words.get("continue", 0)) // PAGE]
        writer.write(_head("200 OK", f"Content-Length: {len(page)}") + page)
        await writer.drain()
        self.bytes["list"] += len(page)
        self.last_list = time.monotonic()
        return True

    async def _watch(self, kind, writer):
        """Until the client is gone: whatever it says is its end."""
        writer.write(_head("200 OK", "Transfer-Encoding: chunked"))
        await writer.drain()
        kind.watchers.add(writer)
        try:
            while not writer.is_closing():
                await asyncio.sleep(1)
        finally:
            kind.watchers.discard(writer)
        return False
