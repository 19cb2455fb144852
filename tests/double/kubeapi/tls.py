"""TLS over asyncio streams with OpenSSL's memory BIOs.

asyncio's own TLS cannot half-close a connection and hides the transport; a double that has
to misbehave on demand needs both.  Like the API server it asks for a client certificate,
takes any in the handshake, and leaves judging it to the authenticators (authn.py).
"""

import asyncio
import ctypes
import hashlib
import ssl
import subprocess
import time

READ_SIZE = 65536

_libssl = ctypes.CDLL("libssl.so.3")
_VERIFY_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
# 1 for every chain.  Kept in a module variable: OpenSSL holds the address for ever.
_accept_any_chain = _VERIFY_CALLBACK(lambda store_context, argument: 1)
_libssl.SSL_CTX_set_cert_verify_callback.argtypes = [
    ctypes.c_void_p,
    _VERIFY_CALLBACK,
    ctypes.c_void_p,
]
_libssl.SSL_CTX_set_cert_verify_callback.restype = None


def server_context(certificate, key, alpn):
    """The listener's context: TLS 1.2 at least, ALPN, any client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(alpn)
    context.verify_mode = ssl.CERT_OPTIONAL
    # Python offers no way to accept a chain that does not verify, so OpenSSL is asked
    # itself; the SSL_CTX pointer is the first field of CPython's SSLContext object.
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    _libssl.SSL_CTX_set_cert_verify_callback(pointer, _accept_any_chain, None)
    return context


class PeerCertificate:
    """A client certificate as it came: DER bytes, common name, organizations."""

    def __init__(self, der, decoded):
        names = [pair for rdn in decoded.get("subject", ()) for pair in rdn]
        self.der = der
        self.fingerprint = hashlib.sha256(der).hexdigest()
        self.common_name = next((v for k, v in names if k == "commonName"), "")
        self.organizations = [v for k, v in names if k == "organizationName"]


class Verifier:
    """Does a client certificate chain to a CA file?  Answers are kept for a few seconds."""

    KEEP_SECONDS = 5.0

    def __init__(self, ca_file):
        self.ca_file = ca_file
        self._known = {}

    async def verify(self, certificate):
        now = time.monotonic()
        answer, until = self._known.get(certificate.der, (None, 0.0))
        if now < until:
            return answer
        answer = await asyncio.to_thread(self._verify, certificate.der)
        self._known[certificate.der] = (answer, now + self.KEEP_SECONDS)
        return answer

    def _verify(self, der):
        result = subprocess.run(
            ["openssl", "verify", "-purpose", "sslclient", "-no-CApath", "-no-CAstore"]
            + ["-CAfile", self.ca_file],
            input=ssl.DER_cert_to_PEM_cert(der).encode(),
            capture_output=True,
        )
        return result.returncode == 0


class TlsStream:
    """One accepted connection.  Reads are for one task; writes may come from several."""

    def __init__(self, reader, writer, context):
        self._reader, self._writer = reader, writer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._drain_lock = asyncio.Lock()
        self._ended = False
        self.peer_address = writer.get_extra_info("peername")

    async def handshake(self):
        """Raises ssl.SSLError or ConnectionError."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._send_pending()
                await self._feed()
            except ssl.SSLError:
                await self._send_pending()  # the alert
                raise
        await self._send_pending()

    async def _feed(self):
        data = await self._reader.read(READ_SIZE)
        if data:
            self._in.write(data)
        elif self._ended:
            raise ConnectionResetError("the peer is gone")
        else:
            self._ended = True
            self._in.write_eof()

    async def _send_pending(self):
        if self._out.pending:
            self._writer.write(self._out.read())
        async with self._drain_lock:
            await self._writer.drain()

    @property
    def alpn(self):
        return self._tls.selected_alpn_protocol()

    @property
    def tls_version(self):
        return self._tls.version()

    def peer_certificate(self):
        der = self._tls.getpeercert(True)
        return PeerCertificate(der, self._tls.getpeercert()) if der else None

    async def read(self, limit=READ_SIZE):
        """Up to `limit` bytes; b"" when the peer closed its direction."""
        while True:
            try:
                return self._tls.read(limit)
            except ssl.SSLWantReadError:
                if self._out.pending:  # an answer to a key update
                    await self._send_pending()
                await self._feed()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLEOFError:
                return b""  # TCP ended without close_notify

    def queue(self, data):
        """Encrypt at once, in the order of the calls; `drain` sends."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]

    async def drain(self):
        await self._send_pending()

    async def write(self, data):
        self.queue(data)
        await self._send_pending()

    async def shut_write(self):
        """Send close_notify; reading goes on (the half-close of an upgraded connection)."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # the peer's close_notify has not come yet; that is the point
        await self._send_pending()

    async def close(self):
        """close_notify, then close TCP."""
        try:
            await asyncio.wait_for(self.shut_write(), 1.0)
        except (OSError, ssl.SSLError, asyncio.TimeoutError, ValueError):
            pass
        self._writer.close()

    def abort(self, reset=False):
        """Drop the connection: no close_notify; with `reset` a TCP RST."""
        if reset:
            sock = self._writer.get_extra_info("socket")
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            sock.setsockopt(1, 13, linger)  # SOL_SOCKET, SO_LINGER {1, 0}
        self._writer.transport.abort()
