"""The lab of proxy_lab.py with other configurations, and what its tests of logins, tokens,
audit, quotas and processes share."""

import base64
import contextlib
import json
import os
import subprocess

import pytest

import proxy_lab
from proxy_lab import BUILD, Lab, wait_until  # noqa: F401

PODS = "/api/v1/namespaces/shop-prod/pods"


def program(name):
    return os.path.join(BUILD, "authn", name)


@contextlib.contextmanager
def config_of(changes):
    """While it lasts, gates that are made have each `old` of `changes` replaced by its `new`."""
    text = proxy_lab.CONFIG
    for old, new in dict(changes).items():
        assert old in text, old
        text = text.replace(old, new)
    before, proxy_lab.CONFIG = proxy_lab.CONFIG, text
    try:
        yield
    finally:
        proxy_lab.CONFIG = before


@contextlib.contextmanager
def make(directory, config=(), **kwargs):
    """A lab whose gate.yaml is changed so."""
    with config_of(config):
        made = Lab(directory, **kwargs)
    try:
        yield made
    finally:
        made.close()


def login(gate, user, password, body=None):
    """The answer to one login."""
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    data = json.dumps(body).encode() if body is not None else b""
    headers = [("Authorization", f"Basic {credentials}")]
    if not data:
        headers.append(("Content-Length", "0"))
    with gate.http1(timeout=30) as c:
        return c.request("POST", "/ringfence/v1/login", headers, data)


def call(gate, method, path, token, body=None):
    data = json.dumps(body).encode() if body is not None else b""
    headers = [("Authorization", f"Bearer {token}")] if token else []
    if method == "POST" and not data:
        headers.append(("Content-Length", "0"))
    with gate.http1(timeout=30) as c:
        return c.request(method, path, headers, data)


def get(gate, token, path=PODS):
    return call(gate, "GET", path, token)


def has_ended(gate, token, path=PODS):
    """To be asked until it is so: an answer that had begun when the token ended is cut."""
    try:
        return get(gate, token, path).status == 401
    except ConnectionError:
        return False


def status(gate):
    """What the control socket says."""
    out = subprocess.run(
        ["curl", "-sS", "--unix-socket", os.path.join(gate.directory, "gate.sock"),
         "http://gate/status"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    return json.loads(out)


def metrics(gate):
    """The Prometheus text."""
    return subprocess.run(
        ["curl", "-sS", "--unix-socket", os.path.join(gate.directory, "gate.sock"),
         "http://gate/metrics"],
        capture_output=True, text=True, timeout=10, check=True,
    ).stdout  # fmt: skip


def role_status(gate, role):
    """What the one process of a role says of itself."""
    (part,) = [p["status"] for p in status(gate)["parts"] if p["role"] == role]
    return part


def pids(gate, role):
    return [r["pid"] for r in status(gate)["roles"] if r["role"] == role]


def audit(gate, *arguments):
    """ringfence-audit COMMAND DIRECTORY ..."""
    command, *rest = arguments
    return subprocess.run(
        [program("ringfence-audit"), command, os.path.join(gate.directory, "audit"), *rest],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def stderr(gate):
    with open(gate.stderr_path, errors="replace") as f:
        return f.read()


@contextlib.contextmanager
def small_disk(path, size):
    """A file system of that size."""
    os.mkdir(path)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path):
    """Leaves no block free: `ballast` has them."""
    with open(os.path.join(path, "ballast"), "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"\0" * 4096)
        except OSError:
            pass


def assert_clean(gate):
    """No sanitizer complained, and no role was killed by its filter."""
    text = stderr(gate)
    assert "Sanitizer" not in text and "runtime error" not in text, text[-3000:]
    assert "status=159" not in text, text[-3000:]
