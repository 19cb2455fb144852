"""A calendar that is set back or forward by hours while the gate runs (clock_shim.c)."""

import os
import pathlib
import struct
import subprocess

import pytest

import gate_lab
from gate_lab import PODS, audit, get, login, wait_until
from proxy_lab import SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be the first library")

HOUR = 3600 * 10**9
CHECKS = "accounts: {{ checkEvery: 1s, grace: 24h }}"
LONG = 40  # nothing here takes so long unless it fails


class Clock:
    def __init__(self, directory):
        self.path = directory / "ahead"
        self.set(0)
        self.library = directory / "clock_shim.so"
        source = pathlib.Path(__file__).with_name("clock_shim.c")
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", self.library, source, "-ldl"],
            check=True,
        )

    def set(self, ahead):
        with open(self.path, "r+b" if self.path.exists() else "wb") as f:
            f.write(struct.pack("=q", ahead))


@pytest.fixture
def lab(tmp_path, monkeypatch):
    clock = Clock(tmp_path)
    config = {
        "nested: walk }}": "nested: walk }}\n  " + CHECKS,
        "workers: 1": "workers: 1\ntokens: {{ loginTTL: 12h, idleTTL: 1h }}",
    }
    with gate_lab.make(tmp_path / "lab", config) as made:
        made.gate.stop()
        with monkeypatch.context() as m:
            m.setenv("LD_PRELOAD", str(clock.library))
            m.setenv("CLOCK_SHIM", str(clock.path))
            made.gate.start_again()
        made.clock = clock
        yield made
        gate_lab.assert_clean(made.gate)


def token_of(lab, user):
    answer = login(lab.gate, user, f"{user}-secret")
    assert answer.status == 201, answer.body
    return answer.json()["token"]


def minded(lab, hours):
    """The gate has looked at its clocks since."""
    wait_until(
        lambda: any(
            abs(int(line.rpartition("seconds=")[2]) - hours * 3600) < 60
            for line in gate_lab.stderr(lab.gate).splitlines()
            if " clock-set seconds=" in line
        ),
        LONG,
        "the gate to see it",
    )


def test_set_back_accounts_are_looked_at_as_before(lab):
    token = token_of(lab, "bob")
    assert get(lab.gate, token).status == 200
    lab.clock.set(-6 * HOUR)
    minded(lab, -6)
    assert get(lab.gate, token).status == 200
    lab.ldap.lock("bob")
    try:
        wait_until(lambda: gate_lab.has_ended(lab.gate, token), LONG, "its end")
    finally:
        lab.ldap.unlock("bob")
    wait_until(lambda: get(lab.gate, token).status == 200, LONG, "its return")
    assert audit(lab.gate, "verify").returncode == 0


def test_set_forward_tokens_in_use_go_on_and_end_when_they_expire(lab):
    token, idle = token_of(lab, "alice"), token_of(lab, "alice")
    with lab.gate.http2(timeout=LONG) as c:
        stream = c.start("GET", PODS + "?watch=1", lab.gate.bearer(token=token))
        c.wait(stream, until=lambda r: r.status_line)
        lab.clock.set(6 * HOUR)
        minded(lab, 6)
        # Neither has been idle for an hour, whatever the calendar says.
        assert get(lab.gate, token).status == get(lab.gate, idle).status == 200
        assert not c.responses[stream].complete
        lab.clock.set(13 * HOUR)
        c.wait(stream)  # it ends
        wait_until(lambda: gate_lab.has_ended(lab.gate, token), LONG, "its end")
    fresh = token_of(lab, "alice")
    assert get(lab.gate, fresh).status == 200
    # Back in the present it lives no longer than it was made for, from then.
    lab.clock.set(0)
    minded(lab, -13)
    assert get(lab.gate, fresh).status == 200
    assert audit(lab.gate, "verify").returncode == 0
