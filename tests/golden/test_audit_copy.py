"""`ringfence audit copy`: what leaves the machine is what was signed, whatever breaks on the
way; and it convicts whoever changes the log afterwards."""

import contextlib
import json
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "lib"), str(ROOT / "double")]
import auditlog  # noqa: E402
import pki  # noqa: E402
import rf  # noqa: E402
from etcd import Etcd  # noqa: E402

LINES = auditlog.lines_of([auditlog.event(i, user=f"u{i}\n\u2014") for i in range(40)])
FRAME = re.compile(
    rb"<110>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]+) ringfence-audit - "
    rb"(event|checkpoint) - (.*)", re.DOTALL)  # fmt: skip


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return auditlog.Key(tmp_path_factory.mktemp("key"))


def tool(*args, status=0):
    done = subprocess.run([rf.program("ringfence-audit"), *map(str, args)],
                          capture_output=True, timeout=240, check=False)
    assert b"Sanitizer" not in done.stderr, done.stderr
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return (done.stdout + done.stderr).decode()


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# ---- a directory ----


def test_directory_has_what_is_signed_and_grows(tmp_path, key):
    log = auditlog.write(tmp_path / "log", LINES[:20], key, segments=2, signed=15)
    copy = tmp_path / "copy"
    tool("copy", log, copy, "--once")
    assert (copy / "log-0.jsonl").read_bytes() == (log / "log-0.jsonl").read_bytes()
    text = b"".join(line + b"\n" for line in LINES[10:15])
    assert (copy / "log-1.jsonl").read_bytes() == text  # not what nobody signed yet
    assert (copy / "checkpoints").read_text() == key.checkpoint(LINES[:15])
    assert (copy / "key.pub").read_text() == key.public
    # Killed within a line, and started again when the log has grown.
    with open(copy / "log-1.jsonl", "r+b") as f:
        f.truncate(len(text) - 7)
    auditlog.write(log, LINES[:20], key, segments=2)
    tool("copy", log, copy, "--once")
    assert (copy / "log-1.jsonl").read_bytes() == (log / "log-1.jsonl").read_bytes()
    assert (copy / "checkpoints").read_text() == key.checkpoint(LINES[:15]) + key.checkpoint(LINES[:20])
    assert tool("verify", log, "--against", copy).startswith("intact: ")
    # A log that has lost lines since is no longer copied, and convicted.
    auditlog.write(log, LINES[:18], key, segments=1)
    (log / "log-1.jsonl").unlink()
    assert "has lines that the log has not" in tool("copy", log, copy, "--once", status=2)
    assert tool("verify", log, "--against", copy, status=1).startswith("broken: ")


def test_directory_of_another_log_is_refused(tmp_path, key):
    log = auditlog.write(tmp_path / "log", LINES[:3], key)
    tool("copy", log, tmp_path / "copy", "--once")
    other = auditlog.write(tmp_path / "other", LINES[:5], auditlog.Key(tmp_path))
    assert "another log" in tool("copy", other, tmp_path / "copy", "--once", status=2)


def test_log_is_no_copy_of_itself(tmp_path, key):
    log = auditlog.write(tmp_path / "log", LINES[:3], key)
    (tmp_path / "link").symlink_to(log)
    before = sorted(log.iterdir())
    for target in (log, f"{log}/../log", tmp_path / "link"):
        assert "is the log itself" in tool("copy", log, target, "--once", status=2)
    assert sorted(log.iterdir()) == before


def test_log_that_is_not_signed_is_not_copied(tmp_path, key):
    log = auditlog.write(tmp_path / "log", LINES[:3], key)
    (log / "checkpoint").write_text(auditlog.Key(tmp_path).checkpoint(LINES[:3]))
    tool("copy", log, tmp_path / "copy", "--once", status=2)
    assert not (tmp_path / "copy" / "log-0.jsonl").exists()


# ---- syslog ----


class Receiver:
    """Takes frames by octet counting. `hang_up`: closes each of the first connections after so
    many bytes."""

    def __init__(self, context=None, hang_up=()):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.context, self.hang_up = context, list(hang_up)
        self.frames, self.connections = [], 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                self.connections += 1
                limit = self.hang_up.pop(0) if self.hang_up else None
                with contextlib.suppress(OSError, ssl.SSLError), client:
                    if self.context:
                        client = self.context.wrap_socket(client, server_side=True)
                    self.take(client, limit)
                    client.close()

    def take(self, client, limit):
        data, seen = b"", 0
        while limit is None or seen < limit:
            chunk = client.recv(512 if limit else 65536)
            if not chunk:
                return
            data, seen = data + chunk, seen + len(chunk)
            while m := re.match(rb"([1-9]\d*) ", data):
                end = m.end() + int(m[1])
                if len(data) < end:
                    break
                self.frames.append(data[m.end():end])
                data = data[end:]

    def close(self):
        self.socket.close()

    def messages(self, kind):
        found = [FRAME.fullmatch(f) for f in self.frames]
        assert all(found), self.frames
        return [m[4] for m in found if m[3] == kind]


@pytest.fixture
def receive():
    made = []

    def start(*args, **kwargs):
        made.append(Receiver(*args, **kwargs))
        return made[-1]

    yield start
    for r in made:
        r.close()


def test_syslog_has_every_line_and_the_checkpoint(tmp_path, key, receive):
    log = auditlog.write(tmp_path / "log", LINES, key, segments=3, signed=30)
    receiver = receive()
    state = tmp_path / "state"
    target = f"syslog://127.0.0.1:{receiver.port}"
    tool("copy", log, target, "--once", "--state", state)
    wait_until(lambda: receiver.messages(b"checkpoint"))
    assert receiver.messages(b"event") == LINES[:30]
    assert json.loads(receiver.messages(b"checkpoint")[0]) == {"checkpoint": key.checkpoint(LINES[:30])}
    assert FRAME.fullmatch(receiver.frames[3])[1] == b"2026-03-01T00:00:03.000001Z"
    assert state.read_text() == "30\n"
    auditlog.write(log, LINES, key, segments=3)
    tool("copy", log, target, "--once", "--state", state)
    wait_until(lambda: len(receiver.messages(b"checkpoint")) == 2)
    assert receiver.messages(b"event") == LINES
    kept = tmp_path / "kept.log"
    kept.write_bytes(b"".join(f + b"\n" for f in receiver.frames))
    assert tool("verify", log, "--against", kept).startswith("intact: ")
    changed = auditlog.write(tmp_path / "changed", LINES[:-1], key)
    assert tool("verify", changed, "--against", kept, status=1).startswith("broken: ")


def test_syslog_peer_that_hangs_up_gets_all_in_the_end(tmp_path, key, receive):
    log = auditlog.write(tmp_path / "log", LINES, key)
    receiver = receive(hang_up=(700, 5000))
    process = subprocess.Popen(
        [rf.program("ringfence-audit"), "copy", log, f"syslog://127.0.0.1:{receiver.port}"],
        stderr=subprocess.PIPE)  # fmt: skip
    try:
        wait_until(lambda: receiver.messages(b"checkpoint"))
        assert process.poll() is None
        assert set(receiver.messages(b"event")) == set(LINES)
        assert receiver.connections >= 2
    finally:
        process.kill()
        process.communicate()


def test_syslog_by_tls_checks_the_name(tmp_path, key, receive):
    log = auditlog.write(tmp_path / "log", LINES[:5], key)
    pki.make_ca(tmp_path, "ca")
    pki.make_leaf(tmp_path, "good", "ca", "receiver", names=["IP:127.0.0.1"])
    pki.make_leaf(tmp_path, "other", "ca", "elsewhere", names=["DNS:elsewhere.example"])
    for name, status in (("good", 0), ("other", 2)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
        receiver = receive(context)
        target = f"syslog+tls://127.0.0.1:{receiver.port}"
        tool("copy", log, target, "--ca", tmp_path / "ca.crt", "--once", status=status)
        if status == 0:
            wait_until(lambda: receiver.messages(b"checkpoint"))
            assert receiver.messages(b"event") == LINES[:5]
            tool("copy", log, target, "--once", status=2)  # no authority of the system's
        else:
            assert receiver.frames == []


def test_syslog_by_tls_shows_who_comes(tmp_path, key, receive):
    """To a peer that takes nothing from strangers."""
    log = auditlog.write(tmp_path / "log", LINES[:5], key)
    pki.make_ca(tmp_path, "ca")
    pki.make_leaf(tmp_path, "peer", "ca", "receiver", names=["IP:127.0.0.1"])
    pki.make_leaf(tmp_path, "ours", "ca", "copier", usage=pki.CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "peer.crt", tmp_path / "peer.key")
    context.load_verify_locations(tmp_path / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = receive(context)
    target = f"syslog+tls://127.0.0.1:{receiver.port}"
    how = ["--ca", tmp_path / "ca.crt", "--once"]
    ours = ["--tls-certificate", tmp_path / "ours.crt", "--tls-key", tmp_path / "ours.key"]
    tool("copy", log, target, *how, status=2)
    assert receiver.frames == []
    tool("copy", log, target, *how, *ours)
    wait_until(lambda: receiver.messages(b"checkpoint"))
    assert receiver.messages(b"event") == LINES[:5]
    assert "go together" in tool("copy", log, target, *how, *ours[:2], status=2)
    assert "go together" in tool("copy", log, "syslog://h", *how, *ours, status=2)
    (tmp_path / "ours.key").chmod(0o644)
    assert "ours.key" in tool("copy", log, target, *how, *ours, status=2)


@pytest.mark.parametrize("target", ["syslog://", "syslog://:514", "syslog://h:0", "syslog://h:x",
                                    "syslog://[::1]x", "syslog://[::1", "syslog+tls://h:70000"])  # fmt: skip
def test_targets_that_are_none(tmp_path, key, target):
    log = auditlog.write(tmp_path / "log", LINES[:1], key)
    assert "syslog://HOST:PORT" in tool("copy", log, target, "--once", status=2)


# ---- etcd ----


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    with Etcd(tmp_path_factory.mktemp("etcd"), members=1) as made:
        yield made


def at(etcd, *prefix):
    hosts = ",".join(e.removeprefix("https://") for e in etcd.endpoints)
    return f"etcd://{hosts}{''.join(prefix)}"


def there(etcd, prefix=b"/ringfence/audit/"):
    return {k.decode(): v.decode() for k, v in etcd.get(prefix).items()}


def credentials(etcd):
    pem = pathlib.Path(etcd.pki)
    return ("--ca", pem / "ca.crt", "--etcd-certificate", pem / "etcd.crt", "--etcd-key", pem / "etcd.key")  # fmt: skip


def test_checkpoints_in_etcd_convict_a_log_that_was_cut_off(tmp_path, key, etcd):
    log = auditlog.write(tmp_path / "log", LINES[:15], key, segments=2)
    how = credentials(etcd)
    tool("copy", log, at(etcd), "--once", *how)
    auditlog.write(log, LINES[:20], key, segments=2)
    tool("copy", log, at(etcd), "--once", *how)
    tool("copy", log, at(etcd), "--once", *how)  # again: it is there, and the same
    name = "+".join(key.public.split("+")[:2])
    assert there(etcd) == {
        f"/ringfence/audit/{name}/{size:020}": key.checkpoint(LINES[:size]) for size in (15, 20)
    }
    assert tool("verify", log, "--against", at(etcd), *how).startswith("intact: ")
    report = tool("report", log, "-o", "json", "--against", at(etcd), *how)
    assert "intact" in report
    # Cut off together with its checkpoint, or signed anew with other lines.
    auditlog.write(log, LINES[:18], key, segments=1)
    (log / "log-1.jsonl").unlink()
    assert tool("verify", log).startswith("intact: ")
    assert tool("verify", log, "--against", at(etcd), *how, status=1).startswith("broken: ")
    assert "signs 18 lines and the copy has 20" in tool(
        "copy", log, at(etcd), "--once", *how, status=2
    )
    auditlog.write(log, [LINES[1], *LINES[1:20]], key, segments=1)
    assert tool("verify", log, "--against", at(etcd), *how, status=1).startswith("broken: ")
    assert "another checkpoint of 20 lines" in tool(
        "copy", log, at(etcd), "--once", *how, status=2
    )


def test_only_the_newest_checkpoints_stay_in_etcd(tmp_path, key, etcd):
    """And the one that is left convicts a log that lost what it had signed."""
    log, where, how = tmp_path / "log", at(etcd, "/kept/"), credentials(etcd)
    other = auditlog.write(tmp_path / "other", LINES[:3], auditlog.Key(tmp_path, "gate.example/other"))
    tool("copy", other, where, "--once", *how)
    for count in (4, 7, 9, 12, 20):
        auditlog.write(log, LINES[:count], key)
        tool("copy", log, where, "--once", "--keep", "2", *how)
    sizes = [int(k.rpartition("/")[2]) for k in there(etcd, b"/kept/")]
    assert sorted(sizes) == [3, 12, 20]  # another log's is not touched
    assert tool("verify", log, "--against", where, *how).startswith("intact: ")
    auditlog.write(log, LINES[:11], key)
    assert tool("verify", log, "--against", where, *how, status=1).startswith("broken: ")
    tool("copy", log, where, "--keep", "-1", *how, status=2)


def test_logs_lie_beside_each_other_and_prefixes_apart(tmp_path, key, etcd):
    how = credentials(etcd)
    for name, k in (("one", key), ("two", auditlog.Key(tmp_path, "gate.example/other"))):
        log = auditlog.write(tmp_path / name, LINES[:7], k)
        tool("copy", log, at(etcd, "/elsewhere/"), "--once", *how)
    for name in ("one", "two"):
        tool("verify", tmp_path / name, "--against", at(etcd, "/elsewhere/"), *how)
    assert len(there(etcd, b"/elsewhere/")) == 2
    said = tool("verify", log, "--against", at(etcd, "/nothing/"), *how, status=2)
    assert "nothing of this log" in said
    # Signed anew, all of it, with another key of the same name: what was there before tells.
    anew = auditlog.write(tmp_path / "anew", LINES[:7], auditlog.Key(tmp_path))
    tool("copy", anew, at(etcd, "/elsewhere/"), "--once", *how)
    assert "not signed by the key" in tool(
        "verify", anew, "--against", at(etcd, "/elsewhere/"), *how, status=1
    )


@pytest.mark.parametrize("target, options, said", [
    ("etcd://127.0.0.1:1", (), "--ca"),
    ("etcd://", ("--ca", "{ca}"), "members"),
    ("etcd://a:x", ("--ca", "{ca}"), "etcd://HOST:PORT"),
    ("etcd://a:1/b", ("--ca", "{ca}"), "slash"),
    ("etcd://a:1", ("--ca", "{ca}", "--etcd-key", "{ca}"), "go together"),
    ("etcd://127.0.0.1:1", ("--ca", "{ca}"), "etcd: "),
])  # fmt: skip
def test_etcd_that_cannot_be_asked_is_told(tmp_path, key, etcd, target, options, said):
    log = auditlog.write(tmp_path / "log", LINES[:3], key)
    options = [o.format(ca=pathlib.Path(etcd.pki) / "ca.crt") for o in options]
    assert said in tool("copy", log, target, "--once", *options, status=2)
    assert said in tool("verify", log, "--against", target, *options, status=2)
