"""The certificates of the tests."""

import os
import subprocess
import sys

import pytest

import pki as pki_module


def openssl(*argv):
    result = subprocess.run(["openssl", *argv], capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def verify(pki, ca, name, purpose):
    path = os.path.join(pki, name + ".crt")
    argv = ["-purpose", purpose, "-no-CApath", "-no-CAstore", "-CAfile"]
    return openssl("verify", *argv, os.path.join(pki, ca + ".crt"), path)


def purpose(usage):
    return "sslclient" if usage == pki_module.CLIENT else "sslserver"


@pytest.mark.parametrize("row", pki_module.STANDARD, ids=lambda row: row[0])
def test_leaf_verifies_against_its_ca_only(pki, row):
    name, ca, _, _, _, usage, expired = row
    code, output = verify(pki, ca, name, purpose(usage))
    if expired:
        assert code != 0 and "certificate has expired" in output
    else:
        assert code == 0, output
    for other in pki_module.CAS:
        if other != ca:
            assert verify(pki, other, name, purpose(usage))[0] != 0
    wrong = "sslserver" if purpose(usage) == "sslclient" else "sslclient"
    assert verify(pki, ca, name, wrong)[0] != 0


def test_names_and_key(pki):
    text = openssl("x509", "-in", f"{pki}/gate.crt", "-noout", "-text")[1]
    for wanted in ("127.0.0.1", "0:0:0:0:0:0:0:1", "DNS:localhost", "DNS:gate.example"):
        assert wanted in text
    assert "P-256" in text
    text = openssl("x509", "-in", f"{pki}/user.crt", "-noout", "-subject")[1]
    assert text.strip() == "subject=O = acme-admins, O = all-staff, CN = alice"
    for name in ("gate", "user-expired", "cluster-ca"):
        assert os.stat(f"{pki}/{name}.key").st_mode & 0o777 == 0o600


def test_command_line_makes_everything(tmp_path):
    directory = str(tmp_path / "new")
    program = os.path.join(os.path.dirname(pki_module.__file__), "pki.py")
    subprocess.run([sys.executable, program, directory], check=True)
    assert len(os.listdir(directory)) == 2 * (
        len(pki_module.CAS) + len(pki_module.STANDARD)
    )


def test_failure_is_reported(tmp_path):
    with pytest.raises(pki_module.PkiError, match="openssl req"):
        pki_module.make_leaf(str(tmp_path), "a", "no-such-ca", "a")
