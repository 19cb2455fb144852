"""SPDY/3.1 (draft-mbelshe-httpbis-spdy-00), as much as kubectl of before 1.30 speaks.

Exec and attach: a stream each for error, stdin, stdout, stderr, resize, of the type that the
header `streamtype` says. Portforward: a stream for data and one for errors of each connection.
"""

import asyncio
import struct
import zlib

from .message import ClientGone

SYN_STREAM, SYN_REPLY, PING, GOAWAY = 1, 2, 6, 7
FIN = 1
_VERSION = 0x8003

# Section 2.6.10.1 of the draft: words that headers are compressed with.
_NAMES = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language "
    "accept-ranges age allow authorization cache-control connection content-base "
    "content-encoding content-language content-length content-location content-md5 "
    "content-range content-type date etag expect expires from host if-match if-modified-since "
    "if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer "
    "transfer-encoding upgrade user-agent vary via warning www-authenticate method get status "
    "200_OK version HTTP/1.1 url public set-cookie keep-alive origin"
)
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
    "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _counted(text):
    data = text.encode()
    return struct.pack(">I", len(data)) + data


DICTIONARY = b"".join(_counted(n.replace("_", " ")) for n in _NAMES.split()) + _REST.encode()


def _headers(block):
    """name -> value of a block that is no longer compressed."""
    at = 4
    strings = []
    for _ in range(2 * struct.unpack_from(">I", block)[0]):
        length = struct.unpack_from(">I", block, at)[0]
        strings.append(block[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return dict(zip(strings[::2], strings[1::2]))


class Spdy:
    """The server's side of one connection; what is done is for who inherits."""

    def __init__(self, stream, early, counted):
        self._stream, self._unread, self._counted = stream, early, counted
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self.done = False

    async def _need(self, count):
        while len(self._unread) < count:
            chunk = await self._stream.read()
            if not chunk:
                raise ClientGone("closed inside a frame")
            self._counted["in"] += len(chunk)
            self._unread += chunk
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    async def _write(self, data):
        self._counted["out"] += len(data)
        await self._stream.write(data)

    async def _control(self, kind, payload):
        await self._write(struct.pack(">HHI", _VERSION, kind, len(payload)) + payload)

    async def send(self, stream, data, fin=False):
        """Data of a stream; `fin`: the last."""
        flags = FIN if fin else 0
        await self._write(struct.pack(">II", stream, flags << 24 | len(data)) + data)

    async def _one(self):
        first, second = struct.unpack(">II", await self._need(8))
        fin, body = bool(second >> 24 & FIN), await self._need(second & 0xFFFFFF)
        if not first & 0x80000000:
            await self.data(first, body, fin)
            return
        kind = first & 0xFFFF
        if kind == SYN_STREAM:
            stream = struct.unpack_from(">I", body)[0]
            block = self._deflate.compress(struct.pack(">I", 0))
            block += self._deflate.flush(zlib.Z_SYNC_FLUSH)
            headers = _headers(self._inflate.decompress(body[10:]))
            await self._control(SYN_REPLY, struct.pack(">I", stream) + block)
            await self.opened(stream, headers)
            if fin:
                await self.data(stream, b"", True)
        elif kind == PING:
            await self._control(PING, body)
        elif kind == GOAWAY:
            self.done = True

    async def opened(self, stream, headers):
        """The client has a new stream."""
        raise NotImplementedError

    async def data(self, stream, data, fin):
        """It has sent something."""
        raise NotImplementedError

    async def _rest(self):
        while True:
            await self._need(1)

    async def run(self):
        """Until the client has gone, or all is done."""
        try:
            while not self.done:
                await self._one()
            await asyncio.wait_for(self._rest(), 5)
        except (ClientGone, asyncio.TimeoutError):
            pass
        await self._stream.close()


class Command(Spdy):
    """Exec and attach: prints the command line, echoes standard input, ends with success."""

    def __init__(self, request, stream, early, counted):
        super().__init__(stream, early, counted)
        self._line = [v for k, v in request.query if k == "command"]
        self._wanted = {"error"} | {n for n in ("stdin", "stdout", "stderr") if request.flag(n)}
        self._wanted |= {"resize"} if request.flag("tty") else set()
        self._ids = {}

    async def opened(self, stream, headers):
        self._ids[headers.get("streamtype")] = stream
        if not self._wanted <= set(self._ids):
            return
        text = (" ".join(self._line) or "attached").encode() + b"\n"
        await self.send(self._ids["stdout"], text)
        if "stdin" not in self._wanted:
            await self._finish()

    async def data(self, stream, data, fin):
        if stream != self._ids.get("stdin") or self.done:
            return
        if data:
            await self.send(self._ids["stdout"], data)
        if fin:
            await self._finish()

    async def _finish(self):
        for name in ("stdout", "stderr"):
            if name in self._ids:
                await self.send(self._ids[name], b"", True)
        await self.send(self._ids["error"], b'{"metadata":{},"status":"Success"}', True)
        self.done = True


class Forward(Spdy):
    """Portforward: whatever is sent to the pod's port, it answers."""

    def __init__(self, stream, early, counted):
        super().__init__(stream, early, counted)
        self._errors, self._of = {}, {}

    async def opened(self, stream, headers):
        connection = headers.get("requestid")
        if headers.get("streamtype") == "error":
            self._errors[connection] = stream
        else:
            self._of[stream] = connection

    async def data(self, stream, data, fin):
        if stream not in self._of:
            return
        await self.send(stream, data, fin)
        if fin:
            await self.send(self._errors.pop(self._of.pop(stream)), b"", True)
