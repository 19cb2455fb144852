"""Small synchronous HTTP clients for tests: exact bytes out, everything seen of what comes.

`Connection` is HTTP/1.1 (or anything else) over TLS; `Http2` a client on python3-h2.
"""

import json
import os
import socket
import ssl

import h2.config
import h2.connection
import h2.events
import hyperframe.frame


def client_context(ca, certificate=None, key=None, alpn=("http/1.1",)):
    """TLS context that trusts `ca` and shows a certificate; `ca` None trusts anyone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        context.load_verify_locations(ca)
    else:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate, key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Response:
    """`headers` is a list of pairs in the order received; `chunks` the pieces of the body."""

    def __init__(self, status_line, headers):
        self.status_line, self.headers = status_line, headers
        self.chunks = []
        self.complete = False

    @property
    def status(self):
        return int(self.status_line.split()[1])

    @property
    def body(self):
        return b"".join(self.chunks)

    def json(self):
        return json.loads(self.body)

    def header(self, name):
        name = name.lower()
        return next((v for k, v in self.headers if k.lower() == name), None)

    @property
    def names(self):
        return [name for name, _ in self.headers]


class Connection:
    """A TLS connection; use as a context manager."""

    def __init__(self, host, port, context, timeout=30.0, server_name=None):
        raw = socket.create_connection((host, port), timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(raw, server_hostname=server_name or host)
        except BaseException:
            raw.close()
            raise
        self.data = b""

    def send(self, data):
        self.socket.sendall(data)

    def read_some(self):
        """The next bytes, b"" at the end."""
        if self.data:
            data, self.data = self.data, b""
            return data
        try:
            return self.socket.recv(65536)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError, ConnectionResetError):
            return b""

    def half_close(self):
        """Send close_notify and go on reading.

        Python asks OpenSSL twice; what the peer answers in between would be an error. So
        the alert is written to a pair of sockets, where nothing can be read, and sent then.
        """
        timeout = self.socket.gettimeout()
        self.socket.setblocking(False)
        fd, kept = self.socket.fileno(), os.dup(self.socket.fileno())
        ours, other = socket.socketpair()
        ours.setblocking(False)
        try:
            os.dup2(ours.fileno(), fd)
            try:
                self.socket._sslobj.shutdown()
            except ssl.SSLWantReadError:
                pass  # the peer's close_notify is not there
            alert = other.recv(65536)
        finally:
            os.dup2(kept, fd)
            os.close(kept)
            ours.close()
            other.close()
        assert os.write(fd, alert) == len(alert)
        self.socket.settimeout(timeout)

    def _fill(self):
        more = self.socket.recv(65536)
        if not more:
            raise ConnectionError("closed inside a response")
        self.data += more

    def read_until(self, mark):
        while mark not in self.data:
            self._fill()
        head, self.data = self.data.split(mark, 1)
        return head

    def read_exactly(self, count):
        while len(self.data) < count:
            self._fill()
        data, self.data = self.data[:count], self.data[count:]
        return data

    def read_head(self):
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        return Response(lines[0], headers)

    def next_chunk(self, response):
        """The next chunk of a chunked body, b"" at its end."""
        size = int(self.read_until(b"\r\n").split(b";")[0], 16)
        chunk = self.read_exactly(size)
        self.read_until(b"\r\n")
        if not size:
            response.complete = True
        else:
            response.chunks.append(chunk)
        return chunk

    def read_response(self, method="GET"):
        """A whole response."""
        response = self.read_head()
        length = response.header("Content-Length")
        if method == "HEAD" or response.status in (101, 204, 304):
            pass
        elif response.header("Transfer-Encoding") == "chunked":
            while self.next_chunk(response):
                pass
        elif length is not None:
            response.chunks.append(self.read_exactly(int(length)))
        else:
            while data := self.read_some():
                response.chunks.append(data)
        response.complete = True
        return response

    def request(self, method, target, headers=(), body=b""):
        """Send a request and read the whole response."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        return self.read_response(method)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Http2:
    """One HTTP/2 connection; requests one after the other or side by side.

    `goaway` is the GOAWAY frame received, `resets` the error codes of streams that were reset.
    With `consume` False the windows of received data are not given back.
    """

    def __init__(self, host, port, context, timeout=30.0):
        raw = socket.create_connection((host, port), timeout)
        self.socket = context.wrap_socket(raw, server_hostname=host)
        config = h2.config.H2Configuration(client_side=True, header_encoding="latin-1")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.responses, self.resets = {}, {}
        self.goaway = None
        # python3-h2 takes no DATA behind a GOAWAY, though running streams may finish.
        self.h2._frame_dispatch_table[hyperframe.frame.GoAwayFrame] = self._on_goaway
        self.consume = True
        self._flush()

    def _flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def start(self, method, path, headers=(), body=b"", authority="test", end=True):
        """Send a request; returns the stream id."""
        stream = self.h2.get_next_available_stream_id()
        pairs = [(":method", method), (":scheme", "https")]
        pairs += [(":authority", authority), (":path", path), *headers]
        self.h2.send_headers(stream, pairs, end_stream=end and not body)
        self._flush()
        while body:
            window = self.h2.local_flow_control_window(stream)
            size = min(window, self.h2.max_outbound_frame_size, len(body))
            if size == 0:
                if not self.pump():
                    break
                continue
            self.h2.send_data(stream, body[:size], end_stream=end and size == len(body))
            body = body[size:]
            self._flush()
        return stream

    def pump(self):
        """Receive once; False when the connection has ended."""
        data = self.socket.recv(65536)
        if not data:
            return False
        for event in self.h2.receive_data(data):
            self._on_event(event)
        self._flush()
        return True

    def _on_event(self, event):
        if isinstance(event, h2.events.ResponseReceived):
            pairs = [(k, v) for k, v in event.headers if k != ":status"]
            status = dict(event.headers)[":status"]
            self.responses[event.stream_id] = Response(f"HTTP/2 {status}", pairs)
        elif isinstance(event, h2.events.DataReceived):
            if event.data:
                self.responses[event.stream_id].chunks.append(event.data)
            if self.consume:
                size = event.flow_controlled_length
                self.h2.acknowledge_received_data(size, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.responses[event.stream_id].complete = True
        elif isinstance(event, h2.events.StreamReset):
            self.resets[event.stream_id] = event.error_code

    def _on_goaway(self, frame):
        self.goaway = frame
        return [], []

    def wait(self, stream, until=None):
        """Receive until the response is complete (or `until(response)`)."""
        while True:
            response = self.responses.get(stream)
            if response and (response.complete or (until and until(response))):
                return response
            if stream in self.resets or not self.pump():
                return response

    def request(self, *args, **kwargs):
        return self.wait(self.start(*args, **kwargs))

    def reset(self, stream, code=8):
        self.h2.reset_stream(stream, code)
        self._flush()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
