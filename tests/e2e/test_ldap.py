"""A directory that does not answer is not a directory that says no."""

import socket
import threading

import pytest

import gate_lab
from gate_lab import get, login, wait_until


CA = "  ca: {pki}/ldap-ca.crt"
QUICK = {CA: CA + "\n  timeoutSeconds: 1\n  loginTimeoutSeconds: 2"}


@pytest.fixture
def lab(tmp_path):
    with gate_lab.make(tmp_path, QUICK) as made:
        yield made
        gate_lab.assert_clean(made.gate)


class Silent:
    """Takes connections and never says anything."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.taken = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def _accept(self):
        while True:
            try:
                self.taken.append(self.listener.accept()[0])
            except OSError:
                return

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for taken in self.taken:
            taken.close()
        self.thread.join(5)


def assert_unavailable(gate):
    """An answer before the client's patience ends."""
    answer = login(gate, "alice", "alice-secret")
    assert answer.status == 503, answer.body
    assert int(answer.header("retry-after")) >= 1


def test_directory_down_refuses_nobody(lab):
    token = lab.gate.token()
    lab.ldap.kill_server()
    assert_unavailable(lab.gate)
    assert get(lab.gate, token).status == 200
    lab.ldap.start_server()
    wait_until(lambda: login(lab.gate, "alice", "alice-secret").status == 201, 30, "login")


def test_directory_that_hangs_is_given_up(lab):
    token = lab.gate.token()
    lab.ldap.pause()
    try:
        assert_unavailable(lab.gate)
        assert get(lab.gate, token).status == 200
    finally:
        lab.ldap.resume()
    wait_until(lambda: login(lab.gate, "alice", "alice-secret").status == 201, 30, "login")


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_server_that_never_speaks_is_given_up(tmp_path, scheme):
    config = {CA: QUICK[CA] + "\n  startTLS: true"}
    with Silent() as silent:
        options = {"ldap": f"{scheme}://127.0.0.1:{silent.port}"}
        with gate_lab.make(tmp_path, config, gate_options=options) as lab:
            assert_unavailable(lab.gate)
            gate_lab.assert_clean(lab.gate)


def test_second_server_answers_for_the_first(tmp_path):
    with Silent() as silent:
        config = {
            "servers: [ {ldap} ]": f"servers: [ 'ldaps://127.0.0.1:{silent.port}', {{ldap}} ]",
            CA: CA + "\n  timeoutSeconds: 1",
        }
        with gate_lab.make(tmp_path, config) as lab:
            assert login(lab.gate, "alice", "alice-secret").status == 201
            assert login(lab.gate, "alice", "wrong").status == 401
            (first, second) = gate_lab.role_status(lab.gate, "auth")["directory"]
            assert first["failures"] >= 1 and second["failures"] == 0


def test_start_tls(lab):
    """Over the port that speaks clear text until it is told otherwise."""
    with open(lab.gate.config) as f:
        text = f.read()
    assert lab.ldap.ldaps_url in text
    text = text.replace(lab.ldap.ldaps_url, lab.ldap.url)
    text = text.replace("ldap-ca.crt\n", "ldap-ca.crt\n  startTLS: true\n")
    with open(lab.gate.config, "w") as f:
        f.write(text)
    lab.gate.drain()
    assert lab.gate.wait() == 0
    lab.gate._start()
    assert login(lab.gate, "alice", "alice-secret").status == 201


def test_certificate_of_another_authority_is_no_directory(tmp_path):
    config = {"ca: {pki}/ldap-ca.crt": "ca: {pki}/users-ca.crt"}
    with gate_lab.make(tmp_path, config) as lab:
        assert_unavailable(lab.gate)
        assert "alice-secret" not in gate_lab.stderr(lab.gate)


def test_wrong_service_password_refuses_nobody(lab):
    lab.ldap.modify(
        "dn: cn=ringfence,dc=example,dc=org\nchangetype: modify\n"
        "replace: userPassword\nuserPassword: another\n"
    )
    assert_unavailable(lab.gate)
