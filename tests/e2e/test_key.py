"""Private keys are in one process, which signs handshakes for the others: nobody else's memory has
them; it may die and come back; they change without a connection lost."""

import base64
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

import gate_lab  # puts the doubles into the path
import pki
from gate_lab import get, metrics, pids, role_status, status, wait_until


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with gate_lab.make(tmp_path_factory.mktemp("key"), {"workers: 1": "workers: 2"}) as made:
        yield made
        gate_lab.assert_clean(made.gate)


def stop(pid):
    """It may be running on another processor when the signal is sent: wait until it does not."""
    os.kill(pid, signal.SIGSTOP)
    stat = pathlib.Path(f"/proc/{pid}/stat")
    wait_until(lambda: stat.read_text(encoding="utf-8").rpartition(") ")[2][0] == "T", 30)


def forms_of(path):
    """What a P-256 key is in memory: the number from either end, and its text."""
    der = subprocess.run(
        ["openssl", "ec", "-in", path, "-outform", "DER"], capture_output=True, check=True
    ).stdout
    assert der[5:7] == b"\x04\x20"  # SEQUENCE, version 1, OCTET STRING of 32 bytes
    number = der[7:39]
    with open(path) as f:
        text = "".join(line for line in f if not line.startswith("-")).replace("\n", "")
    assert number in base64.b64decode(text)
    return {"number": number, "reversed": number[::-1], "text": text[32:96].encode()}


def found_in(pid, forms):
    """Which of them a process has in its memory."""
    found = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if " r" not in line or "[v" in line or end - start > 1 << 28:
                continue
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, OverflowError, ValueError):
                continue
            found |= {name for name, form in forms.items() if form in data}
    return found


def handshake(gate):
    with gate.http1(timeout=30):
        pass


def waiting(lab):
    """How many handshakes do, in all workers."""
    parts = status(lab.gate)["parts"]
    return sum(p["status"]["keyWaiting"] for p in parts if p["role"] == "worker")


def assert_in_the_key_process_alone(gate, *files):
    """These private keys are in no other memory of the gate."""
    roles = [r for r in status(gate)["roles"] if r["role"] != "key"]
    others = {"monitor": gate.process.pid, **{f"{r['role']} {r['pid']}": r["pid"] for r in roles}}
    (key,) = pids(gate, "key")
    for path in files:
        forms = forms_of(path)
        try:
            # One who looks everywhere finds it there.
            assert found_in(key, forms) & {"number", "reversed"}, path
        except PermissionError:
            pytest.skip("the memory of others cannot be read here")
        assert {name: found_in(pid, forms) for name, pid in others.items()} == dict.fromkeys(
            others, set()
        ), path


def test_private_keys_are_in_the_key_process_alone(lab):
    for _ in range(8):  # everybody has done what he does with a key
        handshake(lab.gate)
    assert get(lab.gate, lab.gate.token()).status == 200
    assert_in_the_key_process_alone(
        lab.gate, *(os.path.join(lab.pki, f"{name}.key") for name in ("gate", "front-proxy"))
    )


def test_signatures_are_counted(lab):
    before = role_status(lab.gate, "key")["signatures"]
    handshake(lab.gate)
    assert role_status(lab.gate, "key")["signatures"] > before
    text = metrics(lab.gate)
    assert re.search(r"^ringfence_gate_key_signatures_total [1-9]", text, re.M)
    assert re.search(r"^ringfence_gate_key_waiting 0$", text, re.M)
    assert re.search(r"^ringfence_gate_keys 2$", text, re.M)


def test_handshakes_wait_for_the_next_key_process(lab):
    """New connections wait while there is none; those that there are go on."""
    token = lab.gate.token()
    old = pids(lab.gate, "key")[0]
    results = []

    def connect():
        try:
            results.append(get(lab.gate, token).status)
        except OSError as e:
            results.append(e)

    with lab.gate.http1() as c:
        headers = lab.gate.bearer(token=token)
        assert c.request("GET", gate_lab.PODS, headers).status == 200
        stop(old)
        threads = [threading.Thread(target=connect) for _ in range(4)]
        for thread in threads:
            thread.start()
        # None of them for longer than a handshake may take, however slow all this is.
        wait_until(lambda: waiting(lab) >= 1, what="handshakes that wait")
        assert c.request("GET", gate_lab.PODS, headers).status == 200
        os.kill(old, signal.SIGKILL)
        for thread in threads:
            thread.join(30)
        assert c.request("GET", gate_lab.PODS, headers).status == 200
    assert results == [200] * 4
    wait_until(lambda: status(lab.gate)["ready"], what="ready")
    assert pids(lab.gate, "key")[0] != old


def test_client_that_leaves_while_it_waits(lab):
    (key,) = pids(lab.gate, "key")
    hello = lab.gate.context("http/1.1")
    workers = pids(lab.gate, "worker")
    stop(key)
    try:
        for _ in range(8):
            raw = socket.create_connection(("127.0.0.1", lab.gate.port))
            raw.settimeout(0.2)
            with pytest.raises(OSError):
                hello.wrap_socket(raw, server_hostname="localhost")
            raw.close()
    finally:
        os.kill(key, signal.SIGCONT)
    assert get(lab.gate, lab.gate.token()).status == 200
    wait_until(lambda: waiting(lab) == 0, what="nobody who waits")
    assert pids(lab.gate, "worker") == workers


def test_no_handshake_fails_while_keys_change(lab, tmp_path):
    """Certificates and keys are replaced, and found, while clients come all the time."""
    stop = threading.Event()
    failures, served = [], []

    def connect():
        while not stop.is_set():
            try:
                with lab.gate.http1() as c:
                    served.append(c.socket.getpeercert(binary_form=True))
            except OSError as e:
                failures.append(e)

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        made = tmp_path / "new"
        shutil.copytree(lab.pki, made)
        pki.make_leaf(made, "gate", "gate-ca", "gate", names=pki.LOCAL_NAMES, usage=pki.SERVER)
        text = gate_lab.stderr(lab.gate)
        before = text.count(" keys-in-force "), text.count(" in-force ")
        for suffix in ("key", "crt"):
            os.replace(made / f"gate.{suffix}", os.path.join(lab.pki, f"gate.{suffix}"))
        wait_until(
            lambda: gate_lab.stderr(lab.gate).count(" keys-in-force ") > before[0]
            and gate_lab.stderr(lab.gate).count(" in-force ") >= before[1] + 2,
            what="the new keys",
        )
        wait_until(lambda: len(set(served)) == 2, what="the new certificate")
        count = len(served)
        wait_until(lambda: len(served) > count + 2, what="more handshakes")
    finally:
        stop.set()
        thread.join(60)
    assert failures == []
    assert len(set(served)) == 2
