"""Requests and responses, the same for HTTP/1.1 and HTTP/2.

A handler gets a Request and a ResponseWriter.  The writer imitates Go's net/http, because
that is what the API server answers with: headers sorted by name, then Date, then
Content-Length or Transfer-Encoding; a body that fits into the buffer when the handler is
done has a Content-Length, anything else is chunked, one chunk for each write.
"""

import email.utils
import hashlib
from urllib.parse import unquote_to_bytes

MAX_BODY_BYTES = 3 * 1024 * 1024


class BodyTooLarge(Exception):
    """The body is longer than the API server accepts."""


class ClientGone(ConnectionError):
    """The client closed the connection or reset the stream."""


def parse_query(query):
    """Go's url.ParseQuery: list of (key, value); pairs with ';' or bad escapes are dropped."""
    pairs = []
    for part in query.split("&"):
        if not part or ";" in part:
            continue
        key, _, value = part.partition("=")
        if bad_escape(key) or bad_escape(value):
            continue
        pairs.append((_unescape(key), _unescape(value)))
    return pairs


def _unescape(text):
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def bad_escape(text):
    """True if a '%' is not followed by two hexadecimal digits."""
    at = text.find("%")
    while at >= 0:
        digits = text[at + 1 : at + 3]
        if len(digits) < 2 or any(c not in "0123456789abcdefABCDEF" for c in digits):
            return True
        at = text.find("%", at + 1)
    return False


class Request:
    """What was received.

    `target` is the request target as it came; `headers` is the list of (name, value) in the
    order and spelling received (pseudo headers of HTTP/2 are in `pseudo`).  `read_chunk` is
    an async function that returns the next piece of the body, b"" at its end, and raises
    ClientGone when it never ends.
    """

    def __init__(self, connection, protocol, method, target, headers, read_chunk):
        self.connection = connection
        self.protocol = protocol
        self.method = method
        self.target = target
        self.headers = headers
        self.pseudo = []
        self.stream_id = 0
        self.identity = None
        self.original_identity = None
        self.info = None
        self.body = b""  # once read_body was called
        self.body_length = 0
        self.body_complete = False
        self.log_id = 0
        self.received_headers = list(headers)
        self._read_chunk = read_chunk
        self._digest = hashlib.sha256()
        raw_path, _, self.query_string = target.partition("?")
        self.raw_path = raw_path
        self.path = unquote_to_bytes(raw_path).decode("utf-8", "surrogateescape")
        self.query = parse_query(self.query_string)

    def header(self, name, default=""):
        """The first value of a header."""
        wanted = name.lower()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value
        return default

    def header_values(self, name):
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def drop_headers(self, predicate):
        """Remove the headers whose lower-case name satisfies `predicate`."""
        self.headers = [h for h in self.headers if not predicate(h[0].lower())]

    def parameter(self, name, default=None):
        """The first value of a query parameter."""
        for key, value in self.query:
            if key == name:
                return value
        return default

    def flag(self, name):
        """A boolean parameter: absent, "false" and "0" are false, anything else is true."""
        value = self.parameter(name)
        return value is not None and value.lower() not in ("false", "0")

    def number(self, name, default=0):
        """An integer parameter, `default` where it is absent or not a number."""
        try:
            return int(self.parameter(name, default))
        except ValueError:
            return default

    async def chunks(self):
        """The pieces of the body; counts and hashes them."""
        while not self.body_complete:
            chunk = await self._read_chunk()
            if chunk:
                self.body_length += len(chunk)
                self._digest.update(chunk)
                yield chunk
            else:
                self.body_complete = True

    async def read_body(self, limit=MAX_BODY_BYTES):
        """The whole body.  BodyTooLarge past `limit` (None: no limit)."""
        parts = []
        async for chunk in self.chunks():
            parts.append(chunk)
            if limit is not None and self.body_length > limit:
                raise BodyTooLarge
        self.body = b"".join(parts)
        return self.body

    @property
    def body_sha256(self):
        return self._digest.hexdigest()


class ResponseWriter:
    """Go's http.ResponseWriter; the two protocols supply the _send_* functions."""

    BUFFER = 2048
    may_hijack = False

    def __init__(self, request):
        self.request = request
        self.headers = []
        self.status = None
        self.bytes_sent = 0
        self.finished = False
        self.cut_after = None
        self._buffer = []
        self._buffered = 0
        self._head_sent = False

    def set(self, name, value):
        """Set a header, replacing what it was."""
        self.headers = [h for h in self.headers if h[0] != name]
        self.headers.append((name, value))

    def add(self, name, value):
        self.headers.append((name, value))

    def get(self, name):
        return next((v for k, v in self.headers if k == name), None)

    def remove(self, name):
        self.headers = [h for h in self.headers if h[0] != name]

    def write_head(self, status):
        if self.status is None:
            self.status = status

    @property
    def started(self):
        """True once the head is on its way and cannot be changed."""
        return self._head_sent

    async def write(self, data):
        self.write_head(200)
        if not data:
            return
        if not self._head_sent and self._buffered + len(data) <= self.BUFFER:
            self._buffer.append(data)
            self._buffered += len(data)
            return
        await self._flush(data)

    async def flush(self):
        """Send the head and what was written, now."""
        self.write_head(200)
        await self._flush(b"")

    async def _flush(self, data):
        if not self._head_sent:
            self._head_sent = True
            await self._send_head(self._final_headers(None))
        body = b"".join(self._buffer) + data if self._buffer else data
        self._buffer, self._buffered = [], 0
        if body and self._has_body():
            if self.cut_after is not None:
                await self._cut(body)
            self.bytes_sent += len(body)
            await self._send_body(body)

    async def _cut(self, body):
        """A fault: drop the connection once `cut_after` bytes of the body are sent."""
        left = self.cut_after - self.bytes_sent
        if len(body) > left:
            if left > 0:
                await self._send_body(body[:left])
            self.abort()
            raise ClientGone("cut on demand")

    async def finish(self):
        """End the response; called once by the server after the handler."""
        if self.finished:
            return
        self.finished = True
        self.write_head(200)
        if self._head_sent:
            await self._send_end()
            return
        if self.cut_after is not None and self._buffer:
            await self._flush(b"")  # the cut needs a body that is under way
            await self._send_end()
            return
        self._head_sent = True
        body = b"".join(self._buffer)
        headers = self._final_headers(len(body))
        if not self._has_body():
            body = b""
        self.bytes_sent += len(body)
        await self._send_whole(headers, body)

    def _has_body(self):
        return self.request.method != "HEAD" and self.status not in (204, 304)

    def _final_headers(self, length):
        headers = sorted(self.headers, key=lambda h: h[0])
        names = {name for name, _ in headers}
        if "Date" not in names:
            headers.append(("Date", email.utils.formatdate(usegmt=True)))
        if "Content-Length" not in names and self.status not in (204, 304):
            if length is not None:
                headers.append(("Content-Length", str(length)))
            else:
                headers += self._streaming_headers()
        return headers

    def _streaming_headers(self):
        return []
