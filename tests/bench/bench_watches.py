#!/usr/bin/env python3
"""Idle watches through the gate: memory of its worker for each, beside nginx in the same run.

As clients do, a hundred share one HTTP/2 connection. Two stand-ins of API servers hold the other
end, for a gate opens so many connections to each, and each takes so many streams. nginx speaks
HTTP/1.1 to them, so each of its watches has a connection of its own there; of these the stand-in
holds fewer, and the figure is for each. Memory is what is resident, after as before, and
excludes the kernel's. --size N[,NGINX]: so many watches; a fifth of them through nginx unless that
is said.
"""

import contextlib
import pathlib
import resource
import shutil
import sys
import tempfile
import time

from measure import arguments, growth, result, target

import bench_gate
from bench_gate import cpu_seconds, nginx, tree

import gate_lab  # noqa: E402  (bench_gate says where)
import process  # noqa: E402
import proxy_lab  # noqa: E402
from client import Http2  # noqa: E402

SIZES = ((1000, 250), (10000, 2000))
QUICK_SIZES = ((40, 20), (80, 40))
STREAMS = 100  # of one connection
TARGET = 20 * 1024
SPARE = 500  # connections beside the watches: those that warm up, the clients'
WATCH = bench_gate.PATH + "?watch=1"
NGINX_MORE = "http2_max_concurrent_streams 256; keepalive_timeout 600s;"


def resident(pids):
    """Bytes of these processes."""
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


class Watches:
    """Open watches, each of which has been answered."""

    def __init__(self, lab, port, token):
        self.lab, self.port, self.connections = lab, port, []
        self.headers = [("authorization", f"Bearer {token}")]

    def _connect(self, count):
        context = proxy_lab.client.client_context(
            f"{self.lab.pki}/gate-ca.crt", alpn=("h2",))
        connection = Http2("localhost", self.port, context, 300)
        self.connections.append(connection)
        streams = [connection.start("GET", WATCH, self.headers) for _ in range(count)]
        for stream in streams:
            answer = connection.wait(stream, lambda r: r.status)
            if answer is None or answer.status != 200 or answer.complete:
                raise SystemExit(f"no watch: {answer and (answer.status, answer.body)}")

    def open(self, count):
        while count > 0:
            self._connect(min(count, STREAMS))
            count -= STREAMS

    def close(self):
        for connection in self.connections:
            connection.close()
        self.connections = []


def measure(proxy, lab, port, pids, token, count):
    """One size: a first connection warms up, the others count."""
    watches = Watches(lab, port, token)
    try:
        watches.open(STREAMS if count > 2 * STREAMS else 10)
        before, cpu, began = resident(pids), cpu_seconds(pids), time.monotonic()
        watches.open(count)
        used, opened = cpu_seconds(pids) - cpu, time.monotonic() - began
        after = resident(pids)
    finally:
        watches.close()
    return {"proxy": proxy, "watches": count, "bytes_per_watch": (after - before) / count,
            "cpu_us_per_watch": 1e6 * used / count, "open_s": opened}


def gate_of(lab, other, stack):
    """A gate with one worker before both servers: (port, pids of the worker, token)."""
    gate = proxy_lab.Gate(lab, {"upstream": f"{lab.api.url}, {other.url}"})
    stack.callback(gate.stop)
    return gate, gate.worker_pids(), gate.token("alice")


def size_of(given, files):
    """(watches through the gate, through nginx)."""
    count = given[0]
    few = given[1] if len(given) > 1 else max(count // 5, 1)
    if count < 1 or few < 1 or len(given) > 2:
        raise SystemExit("--size N or N,NGINX: numbers of watches")
    if few + SPARE > files:
        raise SystemExit(f"{few} watches through nginx take more files than the {files} there may be "
                         "open: raise ulimit -n, or give fewer")
    return count, few


def nginx_of(lab, directory, few, stack):
    location = (
        f"location / {{ proxy_pass {lab.api.url}; proxy_http_version 1.1; proxy_buffering off;"
        f" proxy_read_timeout 600s; proxy_ssl_certificate {lab.pki}/admin.crt;"
        f" proxy_ssl_certificate_key {lab.pki}/admin.key; proxy_ssl_name localhost;"
        f" proxy_ssl_trusted_certificate {lab.pki}/cluster-ca.crt; proxy_ssl_verify on; }}")
    port, child = nginx(directory, "proxy", lab.pki, "gate", location, NGINX_MORE, few + SPARE)
    stack.callback(child.kill)
    process.wait_until(lambda: bench_gate.answers(port), 30, "nginx")
    return port, [child.pid]


def main():
    """Each size, each proxy."""
    args = arguments(__doc__)
    sizes = args.sizes if "--size" in " ".join(sys.argv) else QUICK_SIZES if args.quick else SIZES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sizes = [size_of(size, hard) for size in sizes]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    has_nginx = shutil.which("nginx") or pathlib.Path("/usr/sbin/nginx").exists()
    points = []
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as directory, \
            contextlib.ExitStack() as stack:
        pathlib.Path(directory).chmod(0o755)
        lab = proxy_lab.Lab(directory)
        stack.callback(lab.close)
        other = lab.start_api(name="other")
        stack.callback(other.stop)
        for count, few in sizes:
            # Another one for each size: memory that was used once stays.
            gate, pids, token = gate_of(lab, other, stack)
            points.append(measure("gate", lab, gate.port, pids, token, count))
            gate_lab.assert_clean(gate)
            gate.stop()
            if has_nginx:
                port, pids = nginx_of(lab, directory, few, stack)
                points.append(measure("nginx", lab, port, pids, "none", few))
    ours = [p for p in points if p["proxy"] == "gate"]
    peers = [p for p in points if p["proxy"] == "nginx"]
    ratios = {}
    if peers:
        ratios["gate to nginx"] = ours[-1]["bytes_per_watch"] / max(peers[-1]["bytes_per_watch"], 1)
    targets = [] if args.quick else [
        target(f"memory of each of {ours[-1]['watches']} idle watches",
               ours[-1]["bytes_per_watch"], TARGET, "bytes")]
    result("watches", points, ratios=ratios, targets=targets,
           growth=growth(ours, "watches", "bytes_per_watch", "cpu_us_per_watch"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
