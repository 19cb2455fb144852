"""A directory that does not answer is not a directory that says no."""

import contextlib
import os
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import gate_lab
from gate_lab import get, login, wait_until


LONG = bool(os.environ.get("RINGFENCE_E2E_LONG"))
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


class Stuttering:
    """TLS in front of a directory. While there is `pieces`, it makes of the record that an answer
    is what is sent of it, one piece after the other."""

    def __init__(self, pki, backend):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(
            os.path.join(pki, "ldap.crt"), os.path.join(pki, "ldap.key")
        )
        self.backend = backend
        self.pieces = None
        self.broken = 0
        self.end = threading.Event()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.end.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                taken = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, client):
        received, made, lock = ssl.MemoryBIO(), ssl.MemoryBIO(), threading.Lock()
        tls = self.context.wrap_bio(received, made, server_side=True)
        with contextlib.suppress(OSError), client:
            with socket.create_connection(("127.0.0.1", self.backend)) as server:
                back = (client, server, tls, made, lock)
                while data := client.recv(65536):
                    with lock:
                        received.write(data)
                        client.sendall(self._questions(tls, made, server))
                    if tls.version() and back:
                        threading.Thread(target=self._answers, args=back, daemon=True).start()
                        back = None

    def _questions(self, tls, made, server):
        """Passes on what is complete; what TLS has to say to it."""
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
            while question := tls.read(65536):
                server.sendall(question)
        return made.read()

    def _answers(self, client, server, tls, made, lock):
        with contextlib.suppress(OSError):
            while answer := server.recv(65536):
                with lock:
                    tls.write(answer)
                    record = made.read()
                if self.pieces is None:
                    client.sendall(record)
                    continue
                self.broken += 1
                for piece in self.pieces(record):
                    client.sendall(piece)
                    if self.end.wait(0.2):
                        return


def half_and_no_more(record):
    """A black hole in the middle of an answer."""
    yield record[: len(record) // 2]
    while True:
        yield b""


def byte_by_byte(record):
    """Bytes without an end: there is always another one, and never the last."""
    head, size = record[:3], 16000
    yield head + size.to_bytes(2, "big")
    while True:
        yield b"."


def behind(lab, front):
    """Has the gate ask by way of `front`."""
    (first,) = gate_lab.pids(lab.gate, "auth")
    with open(lab.gate.config) as f:
        text = f.read().replace(lab.ldap.ldaps_url, f"ldaps://127.0.0.1:{front.port}")
    with open(lab.gate.config, "w") as f:
        f.write(text)
    lab.gate.reload()

    def another():
        state = gate_lab.status(lab.gate)
        return state["ready"] and first not in [r["pid"] for r in state["roles"]]

    wait_until(another, 30, "another auth")


def test_answer_that_does_not_end_is_cut(lab):
    """In a record that grows for ever libldap stays, past all its timeouts, and now and then it does
    in half a record: threads are given up, clients are answered, and with many such threads the
    process becomes another one."""
    with Stuttering(lab.pki, lab.ldap.port) as front:
        behind(lab, front)
        (auth,) = gate_lab.pids(lab.gate, "auth")
        token = lab.gate.token()
        assert get(lab.gate, token).status == 200
        front.pieces = byte_by_byte
        with ThreadPoolExecutor(9) as pool:
            # More than one of a user would wait for their turn.
            answers = pool.map(lambda i: login(lab.gate, f"user-{i}", "x"), range(9))
            assert {a.status for a in answers} == {503}
        assert front.broken >= 8
        front.pieces, front.broken = half_and_no_more, 0
        wait_until(lambda: gate_lab.pids(lab.gate, "auth") not in ([auth], []), 30, "another auth")
        assert "directory-threads-lost" in gate_lab.stderr(lab.gate)
        assert get(lab.gate, token).status == 200
        wait_until(lambda: gate_lab.status(lab.gate)["ready"], 30, "ready")
        assert_unavailable(lab.gate)
        assert front.broken >= 1
        front.pieces = None
        wait_until(lambda: login(lab.gate, "alice", "alice-secret").status == 201, 30, "login")


@pytest.mark.skipif(not LONG, reason="takes its time; RINGFENCE_E2E_LONG=1")
def test_look_at_accounts_that_does_not_end_is_given_up(tmp_path):
    """Its thread is lost, and another looks again."""
    quick = CA + "\n  timeoutSeconds: 1\n  loginTimeoutSeconds: 1"
    quick += "\n  accounts: {{ checkEvery: 1s, grace: 60s }}"
    with gate_lab.make(tmp_path, {CA: quick}) as lab, Stuttering(lab.pki, lab.ldap.port) as front:
        behind(lab, front)
        (auth,) = gate_lab.pids(lab.gate, "auth")
        token = lab.gate.token()
        front.pieces = byte_by_byte
        said = lambda: gate_lab.stderr(lab.gate).count(" accounts-check-hangs ")  # noqa: E731
        wait_until(lambda: said() >= 1, 60, "a look that is given up")
        assert gate_lab.role_status(lab.gate, "auth")["loginsLost"] >= 1
        assert get(lab.gate, token).status == 200  # nobody said anything against the account
        lab.ldap.lock("alice")
        # With many lost the process becomes another.
        wait_until(lambda: gate_lab.pids(lab.gate, "auth") not in ([auth], []), 120, "another")
        front.pieces = None
        wait_until(lambda: gate_lab.has_ended(lab.gate, token), 60, "a look that ends")
        gate_lab.assert_clean(lab.gate)


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
    # Connections that were kept and are dead say nothing of the next.
    for user in ("bob", "carol"):
        assert login(lab.gate, user, f"{user}-secret").status == 201
    lab.ldap.stop_server()
    lab.ldap.start_server()
    assert login(lab.gate, "alice", "alice-secret").status == 201
    assert login(lab.gate, "bob", "wrong").status == 401


def test_directory_that_hangs_is_given_up(lab):
    token = lab.gate.token()
    lab.ldap.pause()
    try:
        assert_unavailable(lab.gate)
        assert get(lab.gate, token).status == 200
    finally:
        lab.ldap.resume()
    wait_until(lambda: login(lab.gate, "alice", "alice-secret").status == 201, 30, "login")


@pytest.mark.skipif(not LONG, reason="waits for timeouts; RINGFENCE_E2E_LONG=1")
def test_directory_that_dies_within_a_login_says_nothing(lab):
    """Neither that the password was wrong, nor that a guess failed."""
    lab.ldap.pause()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(login, lab.gate, "alice", "alice-secret") for _ in range(4)]
        wait_until(
            lambda: gate_lab.role_status(lab.gate, "auth")["loginsRunning"] != 0
            or all(a.done() for a in asked),
            30,
            "the logins to begin",
        )
        lab.ldap.kill_server()
        answers = [a.result() for a in asked]
    assert {a.status for a in answers} == {503}
    lab.ldap.start_server()
    status = gate_lab.role_status(lab.gate, "auth")
    assert status["loginsDenied"] == status["loginsThrottled"] == 0
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
