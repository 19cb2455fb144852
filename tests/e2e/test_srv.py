"""Directory servers by SRV records: a real name server (dnsmasq) and a real slapd, in a network of the
test's own, whose resolver asks nobody else."""

import os
import shutil
import subprocess
import sys

import pytest

import gate_lab  # noqa: F401  puts the doubles into the path

HERE = os.path.dirname(os.path.abspath(__file__))
USERS = os.path.join(HERE, "srv_users")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not os.path.exists("/usr/sbin/dnsmasq"),
    reason="needs root and dnsmasq",
)


def test_servers_are_found_by_their_records(tmp_path):
    """`srv_users` is this test's other half, behind unshare."""
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, USERS, tmp_path],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "6 as they should"
