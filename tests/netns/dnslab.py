"""DNS in a lab: a client, and a resolver that lies."""

import secrets
import socket
import struct
import threading

A, CNAME, AAAA, HTTPS, AXFR, ANY = 1, 5, 28, 65, 252, 255


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


def record(kind, data, ttl=300):
    """Of the name that was asked for."""
    return b"\xc0\x0c" + struct.pack("!2HIH", kind, 1, ttl, len(data)) + data


def says(query, *records, code=0):
    """An answer of these records; what the query has behind its question is not repeated."""
    end = query.index(0, 12) + 5
    return query[:2] + struct.pack("!5H", 0x8180 | code, 1, len(records), 0, 0) + query[12:end] + b"".join(records)


def asked_type(query):
    return struct.unpack("!H", query[query.index(0, 12) + 1:][:2])[0]


def receive_exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionError("the connection ended early")
        data += more
    return data


def receive_message(sock):
    """One message of a TCP connection."""
    return receive_exactly(sock, struct.unpack("!H", receive_exactly(sock, 2))[0])


def framed(message):
    return struct.pack("!H", len(message)) + message


def ask_tcp(host, server, names, kind=A, timeout_s=10):
    """Asks over one connection, all at once; the answers' bytes, in the order of names."""
    def query():
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect((server, 53))
            sock.sendall(b"".join(framed(question(name, kind, i)) for i, name in enumerate(names)))
            replies = [receive_message(sock) for _ in names]
            assert [reply[:2] for reply in replies] == [struct.pack("!H", i) for i in range(len(names))]
            return replies
    return host.enter_and(query)


def rcode(reply):
    return reply[3] & 15


def addresses(reply, count):
    """The IPv4 addresses of the last records, which are all that is behind them."""
    return [socket.inet_ntoa(reply[len(reply) - 16 * i - 4:len(reply) - 16 * i]) for i in reversed(range(count))]


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


class Upstream:
    """A resolver whose answers a function makes: reply(query, name, tcp) yields bytes for the asker, or
    (address, bytes) to send from another of the host's addresses."""

    def __init__(self, host, address, reply):
        self.reply, self.address, self.closed = reply, address, False
        self.heard = []  # (name, port, bytes) of each query over UDP
        self.udp, self.tcp = host.enter_and(self._open)
        self.host = host
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def _open(self):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((self.address, 53))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((self.address, 53))
        tcp.listen()
        return udp, tcp

    @staticmethod
    def _name(query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        return ".".join(labels)

    def _send(self, reply, client):
        if isinstance(reply, bytes):
            self.udp.sendto(reply, client)
            return
        address, data = reply

        def send():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((address, 0))
                sock.sendto(data, client)
        self.host.enter_and(send)

    def _answer(self, query, client):
        for reply in self.reply(query, self._name(query), False):
            try:
                self._send(reply, client)
            except OSError:
                return

    def _serve_udp(self):
        while True:
            try:
                query, client = self.udp.recvfrom(4096)
            except OSError:
                return
            if not query:
                return  # the end
            self.heard.append((self._name(query), client[1], query))
            threading.Thread(target=self._answer, args=(query, client), daemon=True).start()

    def _serve_tcp(self):
        while True:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            with sock:
                query = receive_message(sock)
                for reply in self.reply(query, self._name(query), True):
                    sock.sendall(framed(reply))

    def close(self):
        for sock in (self.udp, self.tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # a socket for datagrams is not connected
            sock.close()


class Liar(Upstream):
    """Answers every question several times: first what would be forged, then what is true."""

    def __init__(self, host, address, forged, true):
        self.forged, self.true = forged, true
        super().__init__(host, address, self._lie)

    def _lie(self, query, _name, _tcp):
        ident = struct.unpack("!H", query[:2])[0]
        yield answer(query, self.forged, ident=ident ^ 1)
        yield answer(query, self.forged, name="pay.cards.example")
        yield answer(query, self.true)
        yield answer(query, self.forged)  # too late
