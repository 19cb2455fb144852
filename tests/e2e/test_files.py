"""Whose files the gate reads, and who may write them."""

import os
import pathlib
import subprocess

import pytest

import gate_lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of others are root's to make")

STRANGER = 65531


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with gate_lab.make(tmp_path_factory.mktemp("files")) as made:
        yield made


def gate(lab, *options):
    """What ringfence-gate says of the lab's configuration, before it listens."""
    config = os.path.join(lab.gate.directory, "gate.yaml")
    return subprocess.run(
        [gate_lab.program("ringfence-gate"), *options, "--config", config],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "name, change, said",
    [
        ("gate.yaml", lambda p: os.chmod(p, 0o646), "others may write it"),
        ("gate.yaml", lambda p: os.chown(p, STRANGER, 0), "others may write it"),
        ("ldap.secret", lambda p: os.chmod(p, 0o640), "others may read this secret"),
        ("ldap.secret", lambda p: os.chown(p, STRANGER, 0), "somebody else's"),
        ("gate.key", lambda p: os.chown(p, STRANGER, 0), "somebody else's"),
        ("gate.key", lambda p: os.chmod(p, 0o604), "others may read this secret"),
    ],
)
def test_file_that_others_have_in_hand_is_refused(lab, name, change, said):
    directory = lab.pki if name.endswith(".key") else lab.gate.directory
    path = pathlib.Path(directory, name)
    before = path.stat()
    change(path)
    try:
        done = gate(lab, "--check")
        assert done.returncode == 2 and said in done.stderr and name in done.stderr, done.stderr
    finally:
        os.chown(path, before.st_uid, before.st_gid)
        path.chmod(before.st_mode & 0o777)
    assert gate(lab, "--check").returncode == 0


@pytest.mark.parametrize("name", ["state", "audit"])
def test_directory_of_somebody_else_is_not_taken_over(lab, name):
    """He may have put something there, or keep it open."""
    lab.gate.stop()
    path = os.path.join(lab.gate.directory, name)
    owner = os.stat(path).st_uid
    os.chown(path, STRANGER, 0)
    try:
        done = gate(lab)
        assert done.returncode != 0 and "belongs to somebody else" in done.stderr
        assert os.stat(path).st_uid == STRANGER
        # Nor is a link to one's own directory what was asked for.
        os.rename(path, path + ".away")
        os.symlink(path + ".away", path)
        done = gate(lab)
        assert done.returncode != 0 and name in done.stderr
        os.unlink(path)
        os.rename(path + ".away", path)
    finally:
        os.chown(path, owner, owner)
    lab.gate.start_again()
