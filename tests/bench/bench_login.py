#!/usr/bin/env python3
"""Logins through the gate against a real slapd: a thousand a minute, each over a connection of its
own, as people's tools make them; and as many as it takes. Beside them what no login can do
without: a TLS connection to slapd and one bind. A login is found by a search, its groups by
others, and its token is on disk, and on record, before it is answered. Latency counts from when
the login was due, so that one that waits for others is not forgotten. --size LOGINS,PER_MINUTE.
"""

import base64
import concurrent.futures
import contextlib
import functools
import itertools
import socket
import ssl
import sys
import tempfile
import threading
import time

from measure import arguments, result, target

import bench_gate
from bench_gate import cpu_seconds, tree

import gate_lab  # noqa: E402  (bench_gate says where)
import proxy_lab  # noqa: E402

SIZES = ((250, 1000), (1000, 1000))  # logins, a minute
QUICK_SIZES = ((5, 600), (10, 600))
SATURATED = 16  # clients that log in one login after the other
USERS = ("alice", "bob", "carol", "dave", "erin", "frank", "grace")
TARGET_S = 1.0


def ber(tag, *parts):
    body = b"".join(parts)
    assert len(body) < 128
    return bytes([tag, len(body)]) + body


@functools.cache
def ldap_context(pki):
    return ssl.create_default_context(cafile=f"{pki}/ldap-ca.crt")


def plain_bind(lab, user):
    """TLS and one bind: the least that a login costs."""
    context = ldap_context(lab.pki)
    host, port = lab.ldap.ldaps_url.removeprefix("ldaps://").rsplit(":", 1)
    dn = f"uid={user},ou=people,dc=example,dc=org".encode()
    request = ber(0x30, ber(2, b"\x01"), ber(
        0x60, ber(2, b"\x03"), ber(4, dn), ber(0x80, f"{user}-secret".encode())))
    with context.wrap_socket(socket.create_connection((host, int(port)), 60),
                             server_hostname=host) as tls:
        tls.sendall(request)
        if b"\x0a\x01\x00" not in tls.recv(4096):
            raise SystemExit("a bind was refused")


@functools.cache
def gate_context(pki):
    return proxy_lab.client.client_context(f"{pki}/gate-ca.crt")


def gate_login(lab, user):
    credentials = base64.b64encode(f"{user}:{user}-secret".encode()).decode()
    headers = [("Authorization", f"Basic {credentials}"), ("Content-Length", "0")]
    with proxy_lab.client.Connection(
            "localhost", lab.gate.port, gate_context(lab.pki), 60) as c:
        answer = c.request("POST", "/ringfence/v1/login", headers)
    if answer.status != 201:
        raise SystemExit(f"a login was answered with {answer.status}: {answer.body}")


def percentiles(latencies):
    ordered = sorted(latencies)
    at = lambda p: ordered[min(len(ordered) * p // 100, len(ordered) - 1)]  # noqa: E731
    return {"p50_ms": 1e3 * at(50), "p99_ms": 1e3 * at(99), "max_ms": 1e3 * ordered[-1]}


def at_rate(what, lab, count, per_minute):
    """`count` of them, each begun when it is due."""
    began = time.monotonic()

    def one(i):
        due = began + i * 60 / per_minute
        time.sleep(max(0, due - time.monotonic()))
        what(lab, USERS[i % len(USERS)])
        return time.monotonic() - due

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        return list(pool.map(one, range(count)))


def saturated(what, lab, count):
    """Clients that never rest."""
    numbers, lock, latencies = itertools.count(), threading.Lock(), []

    def client(_):
        while True:
            with lock:
                i = next(numbers)
            if i >= count:
                return
            began = time.monotonic()
            what(lab, USERS[i % len(USERS)])
            latencies.append(time.monotonic() - began)

    with concurrent.futures.ThreadPoolExecutor(SATURATED) as pool:
        list(pool.map(client, range(SATURATED)))
    return latencies


def measure(kind, what, lab, pids, count, per_minute):
    """One point; per_minute 0: as many as it takes."""
    before = {name: cpu_seconds(p) for name, p in pids.items()}
    began = time.monotonic()
    latencies = at_rate(what, lab, count, per_minute) if per_minute else saturated(what, lab, count)
    wall = time.monotonic() - began
    used = {f"{name}_cpu_ms": 1e3 * (cpu_seconds(p) - before[name]) / count
            for name, p in pids.items()}
    return {"kind": kind, "logins": count, "due_per_minute": per_minute,
            "per_minute": 60 * count / wall, **percentiles(latencies), **used}


def main():
    """Each size at its rate; the last one also without."""
    args = arguments(__doc__)
    sizes = args.sizes if "--size" in " ".join(sys.argv) else QUICK_SIZES if args.quick else SIZES
    points = []
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as directory, \
            contextlib.ExitStack() as stack:
        lab = proxy_lab.Lab(directory)
        stack.callback(lab.close)
        pids = {"gate": tree(lab.gate.process.pid), "slapd": [lab.ldap.pid]}
        for user in USERS:  # the first one of each opens connections
            gate_login(lab, user)
        for count, rate in sizes:
            points.append(measure("login", gate_login, lab, pids, count, rate))
            points.append(measure("plain bind", plain_bind, lab, pids, count, rate))
        points.append(measure("login", gate_login, lab, pids, count, 0))
        points.append(measure("plain bind", plain_bind, lab, pids, count, 0))
        gate_lab.assert_clean(lab.gate)
    due = [p for p in points if p["due_per_minute"]]
    ours, peer = ([p for p in due if p["kind"] == k][-1] for k in ("login", "plain bind"))
    most = {p["kind"]: p["per_minute"] for p in points if not p["due_per_minute"]}
    ratios = {"p50, login to plain bind": ours["p50_ms"] / peer["p50_ms"],
              "most a minute, login to plain bind": most["login"] / most["plain bind"]}
    targets = [] if args.quick else [
        target("logins a minute that were due", ours["per_minute"], 0.98 * ours["due_per_minute"],
               "a minute", at_least=True),
        target("p99 of a login at that rate", ours["p99_ms"], 1e3 * TARGET_S, "ms")]
    result("login", points, ratios=ratios, targets=targets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
