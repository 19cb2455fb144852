"""Which API servers are asked, and which are believed."""

import os
import shutil
import socket
import ssl

import pytest

from proxy_lab import Gate, header_values, lab, make_lab, process, wait_until  # noqa: F401

PODS = "/api/v1/namespaces/shop-prod/pods"


@pytest.fixture
def second_gate(lab):
    """second_gate(**options): another gate in front of the same API server."""
    gates = []

    def start(**options):
        gates.append(Gate(lab, options))
        return gates[-1]

    yield start
    for gate in gates:
        gate.stop()


@pytest.mark.parametrize(
    "certificate", ["apiserver-wrong", "apiserver-expired", "apiserver-othername"]
)
def test_server_that_cannot_prove_who_it_is_gets_nothing(tmp_path_factory, certificate):
    own = make_lab(tmp_path_factory, api_certificate=certificate)
    try:
        with own.gate.http2() as c:
            answer = c.request("GET", PODS, own.gate.bearer())
            assert answer.status == 503
            assert answer.header("retry-after")
        assert not own.api.requests()
    finally:
        own.close()


def test_impersonation_carries_the_user(lab, second_gate):
    gate = second_gate(identity="impersonate", upstream_certificate="admin")
    target = f"/test/echo?{os.urandom(4).hex()}"
    with gate.http2() as c:
        headers = gate.bearer() + [("x-remote-user", "root")]
        assert c.request("GET", target, headers).status == 200
        assert c.request("GET", PODS, gate.bearer()).status == 200
    seen = lab.last_seen(target)
    assert seen["impersonator"] == "admin"
    assert seen["user"] == "alice"
    assert set(seen["groups"]) == {"acme-admins", "acme-staff", "system:authenticated"}
    assert header_values(seen, "x-remote-user") == []
    assert "system:authenticated" not in header_values(seen, "impersonate-group")


def test_connection_takes_no_identity_away(lab, second_gate):
    """Where it is impersonated, a request without its user would be the gate's own."""
    gate = second_gate(identity="impersonate", upstream_certificate="admin")
    target = f"/test/echo?{os.urandom(4).hex()}"
    names = "Impersonate-User, Impersonate-Group, Impersonate-Uid, X-Remote-User, Audit-Id"
    with gate.http1() as c:
        c.request("GET", target, gate.bearer() + [("Connection", names)])
    seen = lab.last_seen(target)
    assert seen["user"] == "alice"
    assert set(header_values(seen, "impersonate-group")) == {"acme-admins", "acme-staff"}


def test_front_proxy_of_another_ca_is_nobody_to_the_server(lab, second_gate):
    """It fails closed: the API server does not believe the headers."""
    gate = second_gate(upstream_certificate="front-proxy-wrong")
    with gate.http2() as c:
        assert c.request("GET", PODS, gate.bearer()).status in (401, 503)


def test_requests_go_to_the_servers_that_answer(lab, second_gate):
    dead = process.free_port()
    gate = second_gate(upstream=f"https://127.0.0.1:{dead}, {lab.api.url}")
    with gate.http2() as c:
        statuses = [c.request("GET", PODS, gate.bearer()).status for _ in range(20)]
    assert statuses == [200] * 20


def test_server_that_accepts_and_says_nothing_is_given_up(lab, second_gate):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        gate = second_gate(upstream=f"{address}, {lab.api.url}")
        with gate.http2() as c:
            streams = [c.start("GET", PODS, gate.bearer()) for _ in range(6)]
            assert [c.wait(s).status for s in streams] == [200] * 6


def test_server_that_is_not_ready_is_left_alone(lab, second_gate):
    """It answers everything, but says that it must not be asked; and then that it may."""
    other = lab.start_api(name="other")
    try:
        lab.faults({"path": "^/readyz", "do": "status", "code": 503, "times": 1000})
        gate = second_gate(upstream=f"{lab.api.url}, {other.url}")
        said = lambda text: text in open(gate.stderr_path, errors="replace").read()  # noqa: E731
        wait_until(lambda: said("upstream-ejected"), 30, "the ejection")
        mark = f"/test/echo?{os.urandom(4).hex()}"
        with gate.http2() as c:
            for _ in range(8):
                assert c.request("GET", mark, gate.bearer()).status == 200
        assert not lab.seen(mark) and len(other.requests(target=mark)) == 8
        lab.faults()
        wait_until(lambda: said("upstream-ready"), 30, "its return")
        with gate.http2() as c:
            for _ in range(4):
                assert c.request("GET", mark, gate.bearer()).status == 200
        assert lab.seen(mark)
    finally:
        lab.faults()
        other.stop()


def test_certificate_is_renewed_without_a_signal(lab, second_gate, tmp_path):
    """Both files are replaced, one after the other."""
    for suffix in ("crt", "key"):
        shutil.copy(os.path.join(lab.pki, f"front-proxy-wrong.{suffix}"), tmp_path / f"fp.{suffix}")
    gate = second_gate(upstream_certificate=os.path.relpath(tmp_path / "fp", lab.pki))

    def status():
        with gate.http2() as c:
            return c.request("GET", PODS, gate.bearer()).status

    assert status() in (401, 503)
    for suffix in ("crt", "key"):
        shutil.copy(os.path.join(lab.pki, f"front-proxy.{suffix}"), tmp_path / "new")
        os.rename(tmp_path / "new", tmp_path / f"fp.{suffix}")
    wait_until(lambda: status() == 200, 30, "the new certificate")


def test_answer_goes_on_while_its_connection_is_retired(lab, second_gate):
    gate = second_gate()
    with gate.http2() as c:
        slow = c.start("GET", "/test/slow?ms=1500&retired", gate.bearer())
        wait_until(lambda: lab.seen("/test/slow?ms=1500&retired"))
        gate.reload()
        assert c.wait(slow).body == b"ok\n"
        assert c.request("GET", PODS, gate.bearer()).status == 200


def test_reloads_fail_no_request(lab, second_gate):
    """However often a request that waits for a connection is moved to a new one."""
    gate = second_gate()
    statuses = []
    for _ in range(40):
        gate.reload()
        with gate.http2() as c:
            answer = c.request("POST", "/test/sink", gate.bearer(), b"{}")
            statuses.append(answer and answer.status)
    assert statuses == [200] * 40


@pytest.mark.parametrize(
    "version,works",
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
def test_old_tls_is_refused(lab, version, works):
    context = lab.gate.context("http/1.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", lab.gate.port), 5) as raw:
        if works:
            with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
                assert s.selected_alpn_protocol() == "http/1.1"
        else:
            with pytest.raises((ssl.SSLError, OSError)):
                context.wrap_socket(raw, server_hostname="127.0.0.1")


def test_without_alpn_it_is_http_1(lab):
    context = lab.gate.context("http/1.1")
    context = ssl.create_default_context(cafile=os.path.join(lab.pki, "gate-ca.crt"))
    with socket.create_connection(("127.0.0.1", lab.gate.port), 5) as raw:
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")


def test_session_is_resumed(lab):
    context = lab.gate.context("http/1.1")
    session, resumed = None, []
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", lab.gate.port), 5) as raw:
            with context.wrap_socket(
                raw, server_hostname="127.0.0.1", session=session
            ) as s:
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                s.recv(4096)
                resumed.append(s.session_reused)
                session = s.session
    assert resumed == [False, True, True]


def test_certificate_of_a_resumed_session_still_names_the_user(lab):
    context = lab.gate.context("http/1.1", "user")
    session = None
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", lab.gate.port), 5) as raw:
            with context.wrap_socket(
                raw, server_hostname="127.0.0.1", session=session
            ) as s:
                s.sendall(b"GET /ringfence/v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n")
                got = s.recv(8192)
                assert b"200 OK" in got and b'"user":"alice"' in got
                session = s.session
