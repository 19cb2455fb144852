"""DNS in a lab: a client, and a resolver that lies."""

import secrets
import socket
import struct
import threading

A, AAAA = 1, 28


def name_bytes(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def question(name, kind, ident):
    return struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + name_bytes(name) + struct.pack("!2H", kind, 1)


def answer(query, address, ident=None, name=None):
    """What a resolver would say to a query; or with another id, or of another name."""
    body = query[12:] if name is None else name_bytes(name) + query[-4:]
    ident = query[:2] if ident is None else struct.pack("!H", ident)
    record = b"\xc0\x0c" + struct.pack("!2HIH", A, 1, 300, 4) + socket.inet_aton(address)
    return ident + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + body + record


def ask(host, server, name, kind=A, timeout_s=10):
    """Asks from a host; the answer's bytes."""
    def query():
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect((server, 53))
            ident = secrets.randbelow(65536)
            sock.send(question(name, kind, ident))
            while True:
                reply = sock.recv(4096)
                if struct.unpack("!H", reply[:2])[0] == ident and reply[12:-4].startswith(name_bytes(name)):
                    return reply
    return host.enter_and(query)


class Liar:
    """Answers every question three times: first what would be forged, then what is true."""

    def __init__(self, host, address, forged, true):
        self.forged, self.true = forged, true
        self.sock = host.enter_and(lambda: self._open(address))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @staticmethod
    def _open(address):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 53))
        return sock

    def _serve(self):
        while True:
            try:
                query, client = self.sock.recvfrom(4096)
            except OSError:
                return
            ident = struct.unpack("!H", query[:2])[0]
            for reply in (answer(query, self.forged, ident=ident ^ 1),
                          answer(query, self.forged, name="pay.cards.example"),
                          answer(query, self.true),
                          answer(query, self.forged)):  # too late
                self.sock.sendto(reply, client)

    def close(self):
        self.sock.close()
