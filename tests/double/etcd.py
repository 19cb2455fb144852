"""A real etcd of several members, for tests: Debian's etcd-server, TLS with client certificates.

    with Etcd(directory) as etcd:
        etcd.endpoints           # https://127.0.0.1:PORT of each member
        etcd.pki                 # ca.crt, etcd.crt, etcd.key: for members and clients
        etcd.get(b"/prefix/")    # {key: value}; etcd.put(key, value)
        etcd.kill(0)             # a member is gone; etcd.leader(), etcd.alive() say which are there
        with Forwarder(port) as way:     # a way to one member that can be cut
            way.cut()
"""

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request

import pki as pki_module
import process

PROGRAM = shutil.which("etcd") or "/usr/bin/etcd"


def b64(data):
    return base64.b64encode(data).decode()


class Etcd:
    """A cluster; it answers when the constructor returns."""

    def __init__(self, directory, members=3):
        self.pki = os.path.join(str(directory), "etcd-pki")
        os.makedirs(self.pki)
        pki_module.make_ca(self.pki, "ca", "etcd-ca")
        pki_module.make_leaf(self.pki, "etcd", "ca", "etcd", names=pki_module.LOCAL_NAMES)
        self.ports = [process.free_port() for _ in range(members)]
        peers = [process.free_port() for _ in range(members)]
        self.endpoints = [f"https://127.0.0.1:{port}" for port in self.ports]
        cluster = ",".join(f"m{i}=http://127.0.0.1:{p}" for i, p in enumerate(peers))
        self._members = [
            self._start(os.path.join(str(directory), f"etcd-{i}"), i, peers[i], cluster)
            for i in range(members)
        ]
        process.wait_until(self._healthy, 60, "etcd")

    def _start(self, directory, i, peer, cluster):
        os.makedirs(directory)
        pem = os.path.join(self.pki, "etcd")
        with open(os.path.join(directory, "log"), "wb") as log:
            return process.popen(
                [
                    PROGRAM, "--name", f"m{i}", "--data-dir", os.path.join(directory, "data"),
                    "--listen-client-urls", self.endpoints[i],
                    "--advertise-client-urls", self.endpoints[i],
                    "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                    "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                    "--initial-cluster", cluster,
                    "--cert-file", pem + ".crt", "--key-file", pem + ".key",
                    "--trusted-ca-file", os.path.join(self.pki, "ca.crt"),
                    "--client-cert-auth",
                    "--heartbeat-interval", "100", "--election-timeout", "1000",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def _context(self):
        context = ssl.create_default_context(cafile=os.path.join(self.pki, "ca.crt"))
        context.load_cert_chain(
            os.path.join(self.pki, "etcd.crt"), os.path.join(self.pki, "etcd.key")
        )
        return context

    def _call(self, path, **request):
        """Bytes of the request travel in base64; the answer is as etcd wrote it."""
        body = {k: b64(v) if isinstance(v, bytes) else v for k, v in request.items()}
        return self._ask(self._alive(), path, json.dumps(body).encode())

    def _alive(self):
        return next(e for e, m in zip(self.endpoints, self._members) if m.poll() is None)

    def _ask(self, endpoint, path, body):
        with urllib.request.urlopen(
            urllib.request.Request(endpoint + path, body), timeout=10, context=self._context()
        ) as answer:
            return json.load(answer)

    def get(self, prefix):
        """{key: value} of all below a prefix, which ends with a slash."""
        end = prefix[:-1] + bytes([prefix[-1] + 1])
        found = self._call("/v3/kv/range", key=prefix, range_end=end).get("kvs", [])
        return {
            base64.b64decode(kv["key"]): base64.b64decode(kv.get("value", "")) for kv in found
        }

    def put(self, key, value):
        self._call("/v3/kv/put", key=key, value=value)

    def put_all(self, rows):
        """All of {key: value} in one transaction, of 128 at most: they share a revision."""
        puts = [{"request_put": {"key": b64(k), "value": b64(v)}} for k, v in rows.items()]
        self._call("/v3/kv/txn", success=puts)

    def compact(self):
        """Forgets all but the present, of which it returns the revision."""
        revision = self._call("/v3/kv/range", key=b"none")["header"]["revision"]
        self._call("/v3/kv/compaction", revision=revision, physical=True)
        return int(revision)

    def leader(self):
        """[the member that leads], or []."""

        def leads(i):
            said = self._ask(self.endpoints[i], "/v3/maintenance/status", b"{}")
            return said["header"]["member_id"] == said.get("leader")

        return [i for i in self.alive() if leads(i)]

    def alive(self):
        return [i for i, member in enumerate(self._members) if member.poll() is None]

    def _healthy(self):
        context = self._context()
        for endpoint in self.endpoints:
            try:
                with urllib.request.urlopen(
                    endpoint + "/health", timeout=5, context=context
                ) as answer:
                    if b'"true"' not in answer.read():
                        return False
            except OSError:
                return False
        return True

    def kill(self, i):
        self._members[i].kill()
        self._members[i].wait()

    def stop(self):
        for member in self._members:
            if member.poll() is None:
                member.kill()
                member.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Forwarder:
    """Passes connections on to a port of this machine, until it is cut, or silent while it is held."""

    def __init__(self, port):
        self._target, self._up = port, True
        self._open = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._up:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._open |= {near, far}
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, source, sink):
        try:
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        except OSError:
            pass
        self._close(source, sink)

    def _close(self, *sockets):
        with self._lock:
            for s in sockets:
                self._open.discard(s)
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def cut(self):
        self._up = False
        with self._lock:
            sockets = list(self._open)
        self._close(*sockets)

    def hold(self):
        self._flowing.clear()

    def mend(self):
        self._up = True
        self._flowing.set()

    def stop(self):
        self.cut()
        self._flowing.set()
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
