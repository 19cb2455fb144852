#!/usr/bin/env python3
"""The gate beside nginx and HAProxy as plain TLS proxies, in the same run.

One processor each: the proxy on one, load and server on the other. A server that hands out bytes
(nginx) stands for the API server. The gate does what the others do not: a token for each
request, access, quotas at two levels, and an audit log in mode `required`. Processor time is of
the proxy's processes, all of them; latencies are the client's. The others speak HTTP/1.1 to the
server: nginx knows no other, and h2load does not count answers without a reason phrase.

Two ways of asking: as fast as answers come, where processor time counts and latency is that of
the queue; and at a fixed rate far below that, where latency is what the proxy adds and processor
time is higher for everyone, since less is done at once.
"""

import contextlib
import itertools
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from measure import arguments, result, target

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "double")]

import process  # noqa: E402  (found by the line above)
import proxy_lab  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
SIZES = (2048, 200 * 1024)
CLIENTS = 16
PER_CLIENT = 125  # requests a second of each, at the fixed rate
PATH = "/api/v1/namespaces/shop-prod/pods"
QUOTAS = """\
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: shop, namespace: /acme/shop }
spec:
  requests: { perSecond: 1000000, burst: 1000000, inFlight: 10000, perDay: 1000000000 }
  perUser: { perSecond: 1000000, burst: 1000000, inFlight: 10000 }
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: acme, namespace: /acme }
spec: { requests: { perSecond: 1000000, burst: 1000000, inFlight: 10000 } }
"""
NGINX = """\
daemon off; master_process off; worker_processes 1; pid {directory}/{name}.pid;
error_log {directory}/{name}.log error;
events {{ worker_connections {connections}; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {directory}/{name}.body; proxy_temp_path {directory}/{name}.proxy;
  fastcgi_temp_path {directory}/{name}.f; uwsgi_temp_path {directory}/{name}.u;
  scgi_temp_path {directory}/{name}.s;
  {more}
  server {{
    listen 127.0.0.1:{port} ssl http2; ssl_certificate {pki}/{certificate}.crt;
    ssl_certificate_key {pki}/{certificate}.key; ssl_protocols TLSv1.3;
    {location}
  }}
}}
"""
HAPROXY = """\
global
  nbthread 1
  tune.h2.max-concurrent-streams 250
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 127.0.0.1:{port} ssl crt {directory}/haproxy.pem alpn h2,http/1.1
  default_backend b
backend b
  server s 127.0.0.1:{server} ssl verify required ca-file {pki}/cluster-ca.crt alpn http/1.1
"""


def pinned(core, command):
    """A command on one processor, if there are two."""
    taskset = shutil.which("taskset")
    return [taskset, "-c", str(core), *command] if taskset and os.cpu_count() > 1 else command


def start(core, *command):
    """A server in a process of its own."""
    return process.popen(pinned(core, list(map(str, command))), stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)


def tree(pid):
    """A process and all below it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                for child in f.read().split():
                    found += tree(int(child))
    return found


def cpu_seconds(pids):
    """Processor time that they have used."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def nginx(directory, name, pki, certificate, location, more="", connections=4096):
    """One nginx process, of so many connections, either side's counted; (port, process)."""
    port = process.free_port()
    path = pathlib.Path(directory, name + ".conf")
    path.write_text(NGINX.format(directory=directory, name=name, port=port, pki=pki,
                                 certificate=certificate, location=location, more=more,
                                 connections=connections),
                    encoding="ascii")
    core = 1 if name == "server" else 0
    return port, start(core, shutil.which("nginx") or "/usr/sbin/nginx", "-c", path)


def haproxy(directory, pki, server):
    """One HAProxy process; (port, process)."""
    port = process.free_port()
    pem = pathlib.Path(directory, "haproxy.pem")
    pem.write_bytes(b"".join(pathlib.Path(pki, f"gate.{x}").read_bytes()
                             for x in ("crt", "key")))
    path = pathlib.Path(directory, "haproxy.conf")
    path.write_text(HAPROXY.format(directory=directory, pki=pki, port=port, server=server),
                    encoding="ascii")
    return port, start(0, shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-q", "-f", path)


def h2load(port, protocol, token, size, requests, fixed, directory):
    """Runs the load; (requests a second, sorted latencies in microseconds)."""
    log = pathlib.Path(directory, "h2load.log")
    log.unlink(missing_ok=True)
    command = ["h2load", "-n", str(requests), "-c", str(CLIENTS), "-t", "1",
               "-H", f"authorization: Bearer {token}", "--log-file", str(log)]
    command += ["--h1"] if protocol == "h1" else ["-m", "8"]
    command += ["--rps", str(PER_CLIENT)] if fixed else []
    command.append(f"https://127.0.0.1:{port}{PATH}?size={size}")
    began = time.monotonic()
    done = subprocess.run(pinned(1, command), capture_output=True, text=True, check=True)
    wall = time.monotonic() - began
    rows = [line.split("\t") for line in log.read_text(encoding="ascii").splitlines()]
    if len(rows) < requests or any(row[1] != "200" for row in rows):
        logs = "".join(p.read_text(errors="replace")[-800:] for p in pathlib.Path(directory).glob("*.log") if p != log)
        raise SystemExit(f"not all answers were good:\n{done.stdout[-1500:]}\n{logs}")
    return requests / wall, sorted(int(row[2]) for row in rows)


def measure(name, port, pids, protocol, size, fixed, token, args, directory):
    """The median of several runs."""
    requests = args.requests // (10 if size > 10000 else 3 if fixed else 1)
    samples = []
    for run in range(args.runs + 1):
        before = cpu_seconds(pids)
        rate, latencies = h2load(port, protocol, token, size, requests, fixed, directory)
        used = cpu_seconds(pids) - before
        if run != 0 or args.quick:  # the first one warms up
            samples.append({
                "cpu_us": used / requests * 1e6, "rate": rate,
                "p50_us": latencies[len(latencies) // 2],
                "p99_us": latencies[min(len(latencies) * 99 // 100, len(latencies) - 1)],
            })
    return {"proxy": name, "protocol": protocol, "bytes": size,
            "load": "fixed rate" if fixed else "saturation",
            **{key: statistics.median(s[key] for s in samples) for key in samples[0]}}


def proxies(directory, lab, server, stack):
    """name -> (port, pids) of whatever is installed."""
    found = {"direct": (server, [])}
    ours = proxy_lab.Gate(lab, {"upstream": f"https://127.0.0.1:{server}"})
    stack.callback(ours.stop)
    pids = tree(ours.process.pid)
    if shutil.which("taskset") and os.cpu_count() > 1:
        for pid in pids:
            subprocess.run(["taskset", "-a", "-p", "-c", "0", str(pid)], check=True,
                           stdout=subprocess.DEVNULL)
    found["gate"] = (ours.port, pids)
    token = ours.token("alice")
    more = f"upstream u {{ server 127.0.0.1:{server}; keepalive 256; keepalive_requests 1000000000; }}"
    location = (
        "location / { proxy_pass https://u; proxy_http_version 1.1; proxy_set_header Connection \"\";"
        f" proxy_ssl_trusted_certificate {lab.pki}/cluster-ca.crt; proxy_ssl_verify on;"
        " proxy_ssl_name localhost; proxy_ssl_protocols TLSv1.3; proxy_ssl_session_reuse on; }")
    if shutil.which("nginx") or os.path.exists("/usr/sbin/nginx"):
        port, child = nginx(directory, "proxy", lab.pki, "gate", location, more)
        stack.callback(child.kill)
        found["nginx"] = (port, [child.pid])
    if shutil.which("haproxy") or os.path.exists("/usr/sbin/haproxy"):
        port, child = haproxy(directory, lab.pki, server)
        stack.callback(child.kill)
        found["haproxy"] = (port, [child.pid])
    return found, token


def ratios(points):
    """The gate's processor time beside each other proxy's, and the latency that each adds."""
    by = {(p["proxy"], p["protocol"], p["bytes"], p["load"]): p for p in points}
    out = {}
    for (proxy, *rest), p in by.items():
        mine, bare = by.get(("gate", *rest)), by.get(("direct", *rest))
        if not mine or not bare or proxy in ("gate", "direct") or p["cpu_us"] == 0:
            continue
        out[" ".join(map(str, (proxy, *rest)))] = {
            "cpu": mine["cpu_us"] / p["cpu_us"], "p99": mine["p99_us"] / p["p99_us"],
            "gate adds to p99, us": mine["p99_us"] - bare["p99_us"],
            "it adds to p99, us": p["p99_us"] - bare["p99_us"]}
    return out


def targets_of(compared):
    """What is asked of HTTP/2 and 2 KB."""
    found = []
    for load in ("saturation", "fixed rate"):
        value = compared.get(f"nginx h2 2048 {load}")
        if value and load == "saturation":
            found.append(target("processor time, gate to nginx h2 2048", value["cpu"], 1, "ratio"))
        elif value:
            found.append(target("p99 that the gate adds at a fixed rate, h2 2048",
                                value["gate adds to p99, us"], 500, "us"))
    return found


def main():
    """Every proxy, protocol and size."""
    args = arguments(__doc__)
    args.requests = 300 if args.quick else 60000
    server_programs = shutil.which("nginx") or os.path.exists("/usr/sbin/nginx")
    if not server_programs or not shutil.which("h2load"):
        result("gate", [{"skipped": "nginx or h2load is not installed"}])
        return 0
    points = []
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as directory, \
            contextlib.ExitStack() as stack:
        lab = proxy_lab.Lab(directory, policy=proxy_lab.POLICY + QUOTAS)
        stack.callback(lab.close)
        files = pathlib.Path(directory, "files")
        files.mkdir()
        for size in SIZES:
            (files / f"{size}.json").write_bytes(b'{"a":"' + b"x" * (size - 8) + b'"}')
        os.chmod(directory, 0o755)
        location = f"location / {{ root {files}; try_files /$arg_size.json =404; }}"
        server, child = nginx(directory, "server", lab.pki, "apiserver", location)
        stack.callback(child.kill)
        found, token = proxies(directory, lab, server, stack)
        for port in [port for port, _ in found.values()]:
            process.wait_until(lambda port=port: answers(port), 30, "a server")
        sizes = SIZES[:1] if args.quick else SIZES
        for protocol, size, fixed in itertools.product(("h1", "h2"), sizes, (False, True)):
            if fixed and size != SIZES[0]:
                continue
            for name, (port, pids) in found.items():
                points.append(measure(name, port, pids, protocol, size, fixed, token, args,
                                      directory))
    compared = ratios(points)
    result("gate", points, ratios=compared, targets=targets_of(compared))
    return 0


def answers(port):
    """True once somebody listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
