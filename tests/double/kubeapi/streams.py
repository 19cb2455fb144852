"""Upgrades and logs: exec, attach, portforward, log.

Modes (option --streams, or for one request the first `command` of exec):

    raw       (double:raw)       101, then every byte comes back; half-close is passed on
    half      (double:half)      as raw, and behind the client's half-close one line more:
                                 "eof after N bytes"
    channels  (double:channels)  101, then what is spoken over WebSocket (v4/v5.channel.k8s.io)
                                 or SPDY (spdy.py): prints the command line, echoes standard
                                 input, ends with success.  Portforward, by SPDY or by SPDY in
                                 a WebSocket, echoes each connection.
    refuse    (double:refuse)    403 instead of 101
    none      (double:none)      what a cluster without kubelets answers: 404
"""

import asyncio
import base64
import hashlib
import struct

from . import spdy, status
from .message import ClientGone

MODES = ("raw", "half", "channels", "refuse", "none")
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_EXEC_PROTOCOLS = tuple(f"v{n}.channel.k8s.io" for n in (5, 4, 3, 2)) + (
    "channel.k8s.io",
    "base64.channel.k8s.io",
    "v4.base64.channel.k8s.io",
)
_PORT_PROTOCOLS = (
    "SPDY/3.1+portforward.k8s.io",
    "portforward.k8s.io",
    "v4.channel.k8s.io",
)


def _tokens(request, name):
    return [
        t.strip()
        for v in request.header_values(name)
        for t in v.split(",")
        if t.strip()
    ]


def _pick(offered, known):
    return next((protocol for protocol in offered if protocol in known), None)


def mode_of(request, default):
    command = request.parameter("command") or ""
    name = command[len("double:") :] if command.startswith("double:") else ""
    return name if name in MODES else default


def no_kubelet(resources_pods, pod):
    """What the API server says when the pod's node is nowhere to be found."""
    return status.not_found(resources_pods, (pod.get("spec") or {}).get("nodeName", ""))


async def serve_upgrade(server, request, writer, resource, pod, sub):
    """exec, attach, portforward."""
    mode = mode_of(request, server.options.streams)
    if mode == "none":
        raise no_kubelet(resource, pod)
    if mode == "refuse":
        raise status.ApiError(403, "Forbidden", "upgrade refused", {}, nosniff=True)
    upgrade = request.header("Upgrade")
    asked = [token.lower() for token in _tokens(request, "Connection")]
    if "upgrade" not in asked or not upgrade or not writer.may_hijack:
        raise status.bad_request("Upgrade request required")
    known = _PORT_PROTOCOLS if sub == "portforward" else _EXEC_PROTOCOLS
    if upgrade.lower() == "websocket":
        headers, protocol = _websocket_headers(request, known)
    elif upgrade.upper() == "SPDY/3.1":
        protocol = _pick(_tokens(request, "X-Stream-Protocol-Version"), known)
        headers = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]
        if protocol:
            headers.append(("X-Stream-Protocol-Version", protocol))
    else:
        raise status.bad_request(f"unable to upgrade: unexpected protocol {upgrade}")
    stream, early = await writer.hijack(101, headers)
    end = server.log.stream(request, "stream", sub)
    counted = {"in": 0, "out": 0}
    try:
        if mode != "channels":
            await _echo(stream, early, counted, mode == "half")
        elif upgrade.lower() != "websocket" and sub == "portforward":
            await spdy.Forward(stream, early, counted).run()
        elif upgrade.lower() != "websocket":
            await spdy.Command(request, stream, early, counted).run()
        elif protocol == "SPDY/3.1+portforward.k8s.io":
            tunnel = _Tunnel(stream, early, counted)
            await spdy.Forward(tunnel, b"", {"in": 0, "out": 0}).run()
        elif sub == "portforward":
            await _echo(stream, early, counted, False)
        else:
            await _Channels(request, stream, early, protocol, counted).run()
        end("ended", **counted)
    except BaseException as e:
        end(type(e).__name__, **counted)
        raise


def _websocket_headers(request, known):
    key = request.header("Sec-WebSocket-Key")
    if request.header("Sec-WebSocket-Version") != "13" or not key:
        raise status.bad_request("websocket: unsupported version or missing key")
    accept = base64.b64encode(
        hashlib.sha1(key.encode() + _WEBSOCKET_GUID).digest()
    ).decode()
    protocol = _pick(_tokens(request, "Sec-WebSocket-Protocol"), known)
    headers = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
    headers.append(("Sec-WebSocket-Accept", accept))
    if protocol:
        headers.append(("Sec-WebSocket-Protocol", protocol))
    return headers, protocol


async def _echo(stream, data, counted, tell_end):
    """Every byte back; the peer's half-close is answered with ours."""
    while True:
        if data:
            counted["in"] += len(data)
            await stream.write(data)
            counted["out"] += len(data)
        data = await stream.read()
        if not data:
            if tell_end:
                await stream.write(b"eof after %d bytes\n" % counted["in"])
            await stream.shut_write()
            return


class _WebSocket:
    """Frames of one connection."""

    def __init__(self, stream, early, counted):
        self._stream, self._data, self._counted = stream, early, counted

    async def _need(self, count):
        while len(self._data) < count:
            chunk = await self._stream.read()
            if not chunk:
                raise ClientGone("closed inside a frame")
            self._counted["in"] += len(chunk)
            self._data += chunk
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    async def _frame(self):
        """(opcode, payload) of the next frame."""
        first, second = await self._need(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack(">H", await self._need(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", await self._need(8))[0]
        mask = await self._need(4) if second & 0x80 else b"\0\0\0\0"
        payload = await self._need(length)
        return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(payload))

    async def _send(self, opcode, payload):
        length = len(payload)
        if length < 126:
            head = struct.pack(">BB", 0x80 | opcode, length)
        elif length < 65536:
            head = struct.pack(">BBH", 0x80 | opcode, 126, length)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 127, length)
        self._counted["out"] += len(payload)
        await self._stream.write(head + payload)


class _Tunnel(_WebSocket):
    """A connection of SPDY within: what `Spdy` reads and writes."""

    async def read(self):
        while True:
            opcode, payload = await self._frame()
            if opcode == 8:
                return b""
            if opcode in (0, 2) and payload:
                return payload

    async def write(self, data):
        await self._send(2, data)

    async def close(self):
        await self._send(8, struct.pack(">H", 1000))
        await self._stream.close()


class _Channels(_WebSocket):
    """The remote command protocol over WebSocket."""

    STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255

    def __init__(self, request, stream, early, protocol, counted):
        super().__init__(stream, early, counted)
        self._request, self._protocol = request, protocol or ""

    async def _send_channel(self, channel, data):
        if "base64" in self._protocol:
            payload = str(channel).encode() + base64.b64encode(data)
            await self._send(1, payload)
        else:
            await self._send(2, bytes([channel]) + data)

    async def run(self):
        command = [v for k, v in self._request.query if k == "command"]
        if command and command[0].startswith("double:"):
            command = command[1:]
        text = (" ".join(command) or "attached").encode() + b"\n"
        await self._send_channel(self.STDOUT, text)
        if self._request.flag("stdin"):
            await self._echo_stdin()
        success = b'{"metadata":{},"status":"Success"}'
        if self._protocol not in ("channel.k8s.io", "base64.channel.k8s.io"):
            await self._send_channel(self.ERROR, success)
        await self._send(8, struct.pack(">H", 1000))
        try:
            await asyncio.wait_for(self._until_close(), 5)
        except (asyncio.TimeoutError, ClientGone):
            pass
        await self._stream.close()

    async def _until_close(self):
        while (await self._frame())[0] != 8:
            pass

    async def _echo_stdin(self):
        while True:
            opcode, payload = await self._frame()
            if opcode == 9:
                await self._send(10, payload)
            elif opcode == 8:
                return
            elif opcode in (0, 1, 2) and payload:
                if payload[0] == self.CLOSE:
                    return
                if payload[0] in (self.STDIN, ord("0")) and len(payload) > 1:
                    await self._send_channel(self.STDOUT, payload[1:])


async def serve_log(server, request, writer, resource, pod):
    """`log`: lines "NAME line N"; with follow one every --log-interval-ms for ever."""
    if server.options.streams == "none":
        raise no_kubelet(resource, pod)
    name, count = pod["metadata"]["name"], server.options.log_lines
    first = 0
    if request.parameter("tailLines") is not None:
        first = max(0, count - request.number("tailLines"))
    stamp = "2026-01-01T00:00:00.000000000Z " if request.flag("timestamps") else ""

    def line(number):
        return f"{stamp}{name} line {number}\n".encode()

    writer.set("Content-Type", "text/plain")
    await writer.write(b"".join(line(n) for n in range(first, count)))
    if not request.flag("follow"):
        return
    await writer.flush()
    end = server.log.stream(request, "stream", "log")
    number = count
    try:
        while True:
            await asyncio.sleep(server.options.log_interval_ms / 1000)
            namespace = pod["metadata"]["namespace"]
            if not server.store.get(resource, namespace, name):
                end("the pod is gone")
                return
            await writer.write(line(number))
            await writer.flush()
            number += 1
    except BaseException as e:
        end(type(e).__name__)
        raise
