"""HTTP/2 server side on top of python3-h2, with the settings of the API server."""

import asyncio

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

from .message import ClientGone, Request, ResponseWriter

MAX_STREAMS = 100
STREAM_WINDOW = 256 * 1024
MAX_FRAME = 256 * 1024
MAX_HEADER_LIST = 1 << 20
GOAWAY_SECONDS = 1.0


class _Stream:
    """The receiving half of a stream and the task that serves it."""

    def __init__(self, connection, stream_id):
        self.connection, self.id = connection, stream_id
        self.chunks = asyncio.Queue()
        self.window_open = asyncio.Event()
        self.remote_ended = False
        self.reset = False
        self.task = None

    async def read(self):
        if self.remote_ended and self.chunks.empty():
            return b""
        data, flow_bytes = await self.chunks.get()
        if data is None:
            raise ClientGone("the stream was reset")
        if flow_bytes:
            self.connection.acknowledge(self.id, flow_bytes)
            await self.connection.flush()
        return data

    def drop_unread(self):
        """Give the window of unread data back to the connection."""
        while not self.chunks.empty():
            _, flow_bytes = self.chunks.get_nowait()
            self.connection.acknowledge(self.id, flow_bytes)


class Writer2(ResponseWriter):
    """A response on HTTP/2."""

    BUFFER = 4096

    def __init__(self, request, connection, stream):
        super().__init__(request)
        self._connection, self._stream = connection, stream

    async def _send_head(self, headers, end=False):
        close = [v for k, v in headers if k == "Connection"] == ["close"]
        pairs = [(":status", str(self.status))]
        pairs += [(k.lower(), v) for k, v in headers if k != "Connection"]
        self._connection.send_headers(self._stream, pairs, end)
        if close:
            self._connection.begin_goaway()
        await self._connection.flush()

    async def _send_body(self, data):
        await self._connection.send_data(self._stream, data, False)

    async def _send_whole(self, headers, body):
        await self._send_head(headers, end=not body)
        if body:
            await self._connection.send_data(self._stream, body, True)

    async def _send_end(self):
        await self._connection.send_data(self._stream, b"", True)

    def abort(self, reset=False):
        """RST_STREAM in the middle of the response; with `reset` drop the connection."""
        self.finished = True
        if reset:
            self._connection.stream.abort(True)
        else:
            self._connection.reset_stream(
                self._stream, h2.errors.ErrorCodes.INTERNAL_ERROR
            )


class Connection2:
    """One HTTP/2 connection."""

    protocol = "HTTP/2.0"

    def __init__(self, stream, identity, handler):
        self.stream, self.id, self._handler = stream, identity, handler
        self.certificate = stream.peer_certificate()
        self._streams = {}
        self._going_away = False
        self._closing = None
        self._last_stream = 0
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        self._h2 = h2.connection.H2Connection(config)
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                codes.MAX_FRAME_SIZE: MAX_FRAME,
                codes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                codes.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST,
                codes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            },
        )
        self._h2.max_inbound_frame_size = MAX_FRAME
        self._h2.decoder.max_header_list_size = MAX_HEADER_LIST

    async def serve(self):
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(STREAM_WINDOW * MAX_STREAMS)
        await self.flush()
        try:
            while True:
                data = await self.stream.read()
                if not data:
                    return
                try:
                    events = self._h2.receive_data(data)
                except h2.exceptions.ProtocolError:
                    await self.flush()  # the GOAWAY that says why
                    return
                for event in events:
                    self._dispatch(event)
                await self.flush()
        finally:
            await self._end_streams()

    async def _end_streams(self):
        tasks = [s.task for s in self._streams.values() if s.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _dispatch(self, event):
        handle = self._HANDLERS.get(type(event))
        if handle:
            handle(self, event)

    def _on_request(self, event):
        if self._going_away:
            return  # behind the GOAWAY: the client knows that it was not looked at
        self._last_stream = max(self._last_stream, event.stream_id)
        stream = _Stream(self, event.stream_id)
        self._streams[event.stream_id] = stream
        stream.task = asyncio.ensure_future(self._serve_stream(stream, event.headers))

    def _on_data(self, event):
        stream = self._streams.get(event.stream_id)
        if stream:
            stream.chunks.put_nowait((event.data, event.flow_controlled_length))
        else:
            self.acknowledge(event.stream_id, event.flow_controlled_length)

    def _on_end(self, event):
        stream = self._streams.get(event.stream_id)
        if stream:
            stream.remote_ended = True
            stream.chunks.put_nowait((b"", 0))

    def _on_reset(self, event):
        stream = self._streams.get(event.stream_id)
        if stream:
            stream.reset = True
            stream.chunks.put_nowait((None, 0))
            stream.task.cancel()

    def _on_window(self, event):
        stream_id = getattr(event, "stream_id", 0) or 0
        for stream in self._streams.values():
            if stream_id in (0, stream.id):
                stream.window_open.set()

    _HANDLERS = {
        h2.events.RequestReceived: _on_request,
        h2.events.DataReceived: _on_data,
        h2.events.StreamEnded: _on_end,
        h2.events.StreamReset: _on_reset,
        h2.events.WindowUpdated: _on_window,
        h2.events.RemoteSettingsChanged: _on_window,
    }

    async def _serve_stream(self, stream, pairs):
        pseudo = [(k, v) for k, v in pairs if k.startswith(":")]
        headers = [(k, v) for k, v in pairs if not k.startswith(":")]
        special = dict(pseudo)
        target = special.get(":path", special.get(":authority", ""))
        request = Request(
            self,
            self.protocol,
            special.get(":method", ""),
            target,
            headers,
            stream.read,
        )
        request.pseudo, request.stream_id = pseudo, stream.id
        writer = Writer2(request, self, stream)
        try:
            await self._handler(request, writer)
            await writer.finish()
            if not stream.remote_ended:
                # The rest of the body is not wanted.
                self.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)
        except (ClientGone, OSError):
            pass
        finally:
            stream.drop_unread()
            del self._streams[stream.id]
            await self.flush()
            if self._going_away and not self._streams:
                # Closing at once would reset a connection on which more is coming in,
                # and the answer with it.
                loop = asyncio.get_running_loop()
                loop.call_later(GOAWAY_SECONDS, self._close_idle)

    def _close_idle(self):
        if not self._streams:
            self._closing = asyncio.ensure_future(self.stream.close())

    def send_headers(self, stream, pairs, end):
        try:
            self._h2.send_headers(stream.id, pairs, end_stream=end)
        except h2.exceptions.ProtocolError as e:
            raise ClientGone(str(e)) from e

    async def send_data(self, stream, data, end):
        """Send within the peer's windows; waits for them to open."""
        view = memoryview(data)
        try:
            while view:
                window = self._h2.local_flow_control_window(stream.id)
                if window <= 0:
                    stream.window_open.clear()
                    await stream.window_open.wait()
                    continue
                size = min(len(view), window, self._h2.max_outbound_frame_size)
                last = end and size == len(view)
                self._h2.send_data(stream.id, bytes(view[:size]), end_stream=last)
                view = view[size:]
                await self.flush()
            if end and not data:
                self._h2.end_stream(stream.id)
                await self.flush()
        except h2.exceptions.ProtocolError as e:
            raise ClientGone(str(e)) from e

    def acknowledge(self, stream_id, flow_bytes):
        if flow_bytes:
            try:
                self._h2.acknowledge_received_data(flow_bytes, stream_id)
            except h2.exceptions.ProtocolError:
                pass  # the stream or the connection is closed

    def reset_stream(self, stream, code):
        try:
            self._h2.reset_stream(stream.id, code)
        except h2.exceptions.ProtocolError:
            pass

    def begin_goaway(self):
        """GOAWAY after which the running streams finish and the connection ends.

        h2's own close_connection() would forbid the answers that are still to be sent.
        """
        if not self._going_away:
            self._going_away = True
            frame = hyperframe.frame.GoAwayFrame(0, last_stream_id=self._last_stream)
            self.stream.queue(self._h2.data_to_send() + frame.serialize())

    async def flush(self):
        data = self._h2.data_to_send()
        if data:
            self.stream.queue(data)
        await self.stream.drain()
