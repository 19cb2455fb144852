"""What the gate's TLS does not do: early data, renegotiation, compression; and whose tickets open."""

import os
import re
import signal
import socket
import ssl
import struct
import subprocess

import pytest

import gate_lab
from gate_lab import pids, wait_until

LONG = 30


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with gate_lab.make(tmp_path_factory.mktemp("tls"), {"workers: 1": "workers: 2"}) as made:
        yield made
        gate_lab.assert_clean(made.gate)


def s_client(lab, *options, send=b""):
    """What openssl's client says, and its exit status."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{lab.gate.port}", "-alpn", "http/1.1",
         "-CAfile", os.path.join(lab.pki, "gate-ca.crt"), *options],
        input=send, capture_output=True, timeout=60,
    )  # fmt: skip
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


CLOSING = b"GET /healthz HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n"


def test_early_data_is_not_taken(lab, tmp_path):
    """It could be replayed: a change would be made again."""
    session, early = str(tmp_path / "session"), tmp_path / "early"
    early.write_bytes(CLOSING)
    said = s_client(lab, "-tls1_3", "-sess_out", session, "-ign_eof", send=CLOSING)
    assert "Max Early Data: 0" in said
    said = s_client(
        lab, "-tls1_3", "-sess_in", session, "-early_data", str(early), "-ign_eof", send=CLOSING
    )
    assert "Reused, TLSv1.3" in said and "Early data was not sent" in said
    assert said.count("HTTP/1.1 200") == 1


def test_renegotiation_is_refused(lab):
    """It costs the gate more than the client, and could change who the client is."""
    said = s_client(lab, "-tls1_2", send=b"R\n")
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said, said[-600:]
    # The server's side of RFC 5746: nobody can have begun the connection for the client.
    assert "Secure Renegotiation IS supported" in said


def hello(compressions):
    """A ClientHello of TLS 1.2 with these compression methods."""

    def vector(size, data):
        return len(data).to_bytes(size, "big") + data

    def extension(kind, data):
        return struct.pack("!H", kind) + vector(2, data)

    extensions = (
        extension(10, vector(2, struct.pack("!HH", 29, 23)))  # groups
        + extension(11, vector(1, b"\0"))  # points
        + extension(13, vector(2, struct.pack("!HHH", 0x0403, 0x0804, 0x0401)))
        + extension(16, vector(2, vector(1, b"http/1.1")))
    )
    suites = struct.pack("!HHH", 0xC02B, 0xC02F, 0xC030)
    body = b"\x03\x03" + os.urandom(32) + b"\0" + vector(2, suites) + vector(1, compressions)
    handshake = b"\x01" + vector(3, body + vector(2, extensions))
    return b"\x16\x03\x01" + vector(2, handshake)


def first_record(lab, data):
    with socket.create_connection(("127.0.0.1", lab.gate.port), timeout=LONG) as s:
        s.sendall(data)
        head = s.recv(5, socket.MSG_WAITALL)
        return head[0], s.recv(int.from_bytes(head[3:5], "big"), socket.MSG_WAITALL)


def test_compression_is_not_agreed_on(lab):
    """Lengths would tell of secrets."""
    kind, message = first_record(lab, hello(b"\x01\x40\x00"))
    assert kind == 0x16 and message[0] == 2  # a ServerHello
    session = message[4 + 2 + 32]
    assert message[4 + 2 + 32 + 1 + session + 2] == 0
    kind, message = first_record(lab, hello(b"\x01"))
    assert kind == 0x15 and message[0] == 2  # a fatal alert


def context(lab):
    made = ssl.create_default_context(cafile=os.path.join(lab.pki, "gate-ca.crt"))
    made.check_hostname = False
    made.maximum_version = ssl.TLSVersion.TLSv1_2  # the session is there after the handshake
    made.set_alpn_protocols(["http/1.1"])
    return made


def resumed(lab, made, session):
    """Whether the gate goes on with the session; and the one that there is then."""
    with socket.create_connection(("127.0.0.1", lab.gate.port), timeout=LONG) as raw:
        with made.wrap_socket(raw, server_hostname="localhost", session=session) as s:
            return s.session_reused, s.session


def test_tickets_open_in_every_worker_and_not_after_the_gate(lab):
    """Their keys are the workers' in memory, and never on disk."""
    made = context(lab)
    _, session = resumed(lab, made, None)
    before = pids(lab.gate, "worker")
    assert all(resumed(lab, made, session)[0] for _ in range(8))
    os.kill(before[0], signal.SIGKILL)
    wait_until(
        lambda: len(now := pids(lab.gate, "worker")) == 2 and before[0] not in now, LONG, "another"
    )
    assert all(resumed(lab, made, session)[0] for _ in range(8))
    lab.gate.stop()
    lab.gate.start_again()
    assert resumed(lab, made, session)[0] is False


def test_old_versions_and_weak_suites_are_refused(lab):
    for options in (
        ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0"),  # no forward secrecy
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    ):
        said = s_client(lab, *options)
        assert re.search(r"Cipher is \(NONE\)|no protocols available", said), said[-600:]
