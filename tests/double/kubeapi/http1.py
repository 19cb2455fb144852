"""HTTP/1.1 server side, as Go's net/http speaks it."""

import asyncio

from .message import ClientGone, Request, ResponseWriter, bad_escape

MAX_HEADER_BYTES = 1 << 20
TOKEN = frozenset(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

REASONS = {
    100: "Continue", 101: "Switching Protocols", 200: "OK", 201: "Created", 202: "Accepted",
    204: "No Content", 301: "Moved Permanently", 302: "Found", 303: "See Other",
    304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 409: "Conflict", 410: "Gone",
    411: "Length Required", 413: "Request Entity Too Large", 415: "Unsupported Media Type",
    417: "Expectation Failed", 422: "Unprocessable Entity", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout", 505: "HTTP Version Not Supported",
}  # fmt: skip


class BadRequest(Exception):
    """A request that cannot be parsed; answered in plain text, the connection is closed."""

    def __init__(self, status, text=""):
        super().__init__(text)
        self.status, self.text = status, text


class _Buffered:
    """Bytes of the connection that were read but not yet consumed."""

    def __init__(self, stream):
        self.stream, self.data = stream, b""

    async def fill(self):
        chunk = await self.stream.read()
        self.data += chunk
        return bool(chunk)

    async def head(self):
        """Everything up to the empty line; None if the peer closed before a first byte."""
        searched = 0
        while True:
            while self.data[:2] == b"\r\n" and searched == 0:
                self.data = self.data[2:]  # an empty line before the request line
            for end in (b"\r\n\r\n", b"\n\n", b"\n\r\n"):
                at = self.data.find(end, max(0, searched - 3))
                if at >= 0:
                    head = self.data[:at]
                    self.data = self.data[at + len(end) :]
                    return head
            searched = len(self.data)
            if searched > MAX_HEADER_BYTES + 4096:
                raise BadRequest(431)
            if not await self.fill():
                if self.data:
                    raise ClientGone("closed inside a request head")
                return None

    async def some(self, limit):
        if not self.data and not await self.fill():
            raise ClientGone("closed inside a request body")
        chunk, self.data = self.data[:limit], self.data[limit:]
        return chunk

    async def line(self):
        while b"\n" not in self.data:
            if len(self.data) > 4096:
                raise BadRequest(400)
            if not await self.fill():
                raise ClientGone("closed inside a request body")
        line, self.data = self.data.split(b"\n", 1)
        return line.rstrip(b"\r")


class _Body:
    """Reads one request body from the connection; `kind` is a length or "chunked"."""

    def __init__(self, buffered, kind, before_read):
        self.buffered, self.kind, self.before_read = buffered, kind, before_read
        self.left = 0 if kind == "chunked" else kind
        self.first = True
        self.consumed = asyncio.Event()
        if kind == 0:
            self.consumed.set()

    @property
    def done(self):
        return self.consumed.is_set()

    async def read(self):
        if self.done:
            return b""
        if self.before_read:
            await self.before_read()
            self.before_read = None
        if self.left == 0:
            await self._next_chunk()
            if self.done:
                return b""
        chunk = await self.buffered.some(min(self.left, 65536))
        self.left -= len(chunk)
        if self.kind != "chunked" and self.left == 0:
            self.consumed.set()
        return chunk

    async def _next_chunk(self):
        if not self.first:
            if await self.buffered.line():
                raise BadRequest(400, "malformed chunked encoding")
        self.first = False
        size = (await self.buffered.line()).split(b";")[0].strip()
        try:
            if not size or any(c not in b"0123456789abcdefABCDEF" for c in size):
                raise ValueError
            self.left = int(size, 16)
        except ValueError:
            raise BadRequest(400, "malformed chunked encoding") from None
        if self.left == 0:
            while await self.buffered.line():
                pass  # trailers are read and dropped
            self.consumed.set()


def _parse_head(head):
    lines = [line.rstrip(b"\r") for line in head.split(b"\n")]
    words = lines[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[0] or any(c not in TOKEN for c in words[0]):
        raise BadRequest(400)
    method, target, version = words
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(505 if version.startswith("HTTP/") else 400)
    headers = []
    for line in lines[1:]:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or any(c not in TOKEN for c in name):
            raise BadRequest(400)
        if any(c in value for c in "\0\r\n"):
            raise BadRequest(400)
        headers.append((name, value.strip(" \t")))
    return method, target, version, headers


def _values(headers, name):
    return [v for k, v in headers if k.lower() == name]


def _check_target(method, target):
    if method == "CONNECT":
        return
    if target.lower().startswith(("http://", "https://")):
        return
    if not (target.startswith("/") or target == "*") or bad_escape(
        target.split("?")[0]
    ):
        raise BadRequest(400)


def _body_kind(headers, version):
    encodings = _values(headers, "transfer-encoding")
    lengths = {v for v in _values(headers, "content-length")}
    if encodings and version == "HTTP/1.1":
        if len(encodings) > 1 or encodings[0].lower() != "chunked":
            raise BadRequest(501, "Unsupported transfer encoding")
        return "chunked"
    if not lengths:
        return 0
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise BadRequest(400)
    return int(length)


class Writer1(ResponseWriter):
    """A response on HTTP/1.1."""

    def __init__(self, request, stream, version, keep_alive):
        super().__init__(request)
        self._stream, self._version = stream, version
        self.keep_alive = keep_alive
        self._chunked = False
        self.hijacked = False
        self.may_hijack = True
        self.before_hijack = None

    def _streaming_headers(self):
        if self._version == "HTTP/1.0":
            self.keep_alive = False
            return []
        if not self._has_body():
            return []
        self._chunked = True
        return [("Transfer-Encoding", "chunked")]

    async def _send_head(self, headers):
        if self.get("Connection") == "close":
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append(("Connection", "close"))
        await self._stream.write(self._head_bytes(headers))

    def _head_bytes(self, headers):
        reason = REASONS.get(self.status, f"status code {self.status}")
        lines = [f"{self._version} {self.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def _send_body(self, data):
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        await self._stream.write(data)

    async def _send_whole(self, headers, body):
        await self._send_head(headers)
        if body:
            await self._stream.write(body)

    async def _send_end(self):
        if self._chunked:
            await self._stream.write(b"0\r\n\r\n")

    async def hijack(self, status, headers):
        """Send a bare head (101) and hand over the connection: (stream, bytes read ahead)."""
        self.status, self._head_sent, self.finished = status, True, True
        self.hijacked, self.keep_alive = True, False
        await self.before_hijack()
        await self._stream.write(self._head_bytes(headers))
        return self._stream, self.request.connection.take_buffered()

    def abort(self, reset=False):
        """Drop the connection in the middle of the response."""
        self.finished, self.keep_alive = True, False
        self._stream.abort(reset)


class Connection1:
    """One HTTP/1.1 connection; requests are served one after the other."""

    protocol = "HTTP/1.1"

    def __init__(self, stream, identity, handler):
        self.stream, self.id, self._handler = stream, identity, handler
        self._buffered = _Buffered(stream)
        self._current = None
        self.certificate = stream.peer_certificate()

    def take_buffered(self):
        data, self._buffered.data = self._buffered.data, b""
        return data

    async def serve(self):
        while True:
            try:
                head = await self._buffered.head()
                if head is None:
                    return
                again = await self._serve_one(head)
            except BadRequest as e:
                await self._refuse(e)
                return
            if not again:
                return

    async def _serve_one(self, head):
        method, target, version, headers = _parse_head(head)
        hosts = _values(headers, "host")
        if version == "HTTP/1.1" and len(hosts) != 1:
            text = (
                "missing required Host header" if not hosts else "too many Host headers"
            )
            raise BadRequest(400, text)
        _check_target(method, target)
        kind = _body_kind(headers, version)
        tokens = ",".join(_values(headers, "connection")).lower().split(",")
        tokens = {token.strip() for token in tokens}
        keep_alive = "close" not in tokens
        if version == "HTTP/1.0":
            keep_alive = "keep-alive" in tokens
        expects = [v.lower() for v in _values(headers, "expect")]
        before = self._continue if "100-continue" in expects else None
        body = _Body(self._buffered, kind, before)
        request = Request(self, version, method, target, headers, body.read)
        writer = Writer1(request, self.stream, version, keep_alive)
        await self._run(request, writer, body)
        if writer.hijacked:
            return False
        await writer.finish()
        if not writer.keep_alive:
            return False
        if await self._skip_body(body):
            return True
        await self._linger()
        return False

    async def _run(self, request, writer, body):
        """Run the handler; end it when the client goes away meanwhile."""
        task = asyncio.ensure_future(self._handler(request, writer))
        gone = []

        async def until_gone():
            # Reading ahead is possible only once the body is consumed, as in net/http.
            await body.consumed.wait()
            try:
                while await self._buffered.fill():
                    if len(self._buffered.data) > MAX_HEADER_BYTES:
                        return  # pipelined requests; look no further ahead
            except OSError:
                pass
            gone.append(True)
            task.cancel()

        watch = asyncio.ensure_future(until_gone())

        async def stop_watch():
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

        writer.before_hijack = stop_watch
        try:
            await task
        except asyncio.CancelledError:
            if gone:
                raise ClientGone("closed while the request was served") from None
            raise
        finally:
            task.cancel()
            await stop_watch()

    async def _skip_body(self, body):
        """Read a little of a body that the handler left; False: close instead."""
        if body.before_read and not body.done:
            return False  # the client waits for a 100 that is not going to come
        for _ in range(8):
            if body.done:
                return True
            await body.read()
        return body.done

    async def _continue(self):
        await self.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _refuse(self, error):
        reason = REASONS[error.status]
        text = f"{error.status} {reason}" + (f": {error.text}" if error.text else "")
        await self.stream.write(
            f"HTTP/1.1 {error.status} {reason}\r\nContent-Type: text/plain; "
            f"charset=utf-8\r\nConnection: close\r\n\r\n{text}".encode()
        )
        await self._linger()

    async def _linger(self):
        await self.stream.shut_write()
        try:
            await asyncio.wait_for(self._drain_input(), 0.5)
        except asyncio.TimeoutError:
            pass

    async def _drain_input(self):
        # Closing with unread input would reset the connection, and the answer with it.
        while await self.stream.read():
            pass
