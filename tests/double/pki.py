#!/usr/bin/python3
"""Keys and certificates for tests: P-256, made with the openssl command.

    python3 pki.py DIR        makes the standard set in DIR (about half a second)

Files (each NAME.crt has its NAME.key, mode 0600):

    gate-ca       signs gate                  the listener of the gate
                        admission             its listener for API servers
    cluster-ca    signs apiserver, admin      the API server; admin is CN=admin, O=system:masters
                        cluster-user          CN=carol, O=acme-admins, O=all-staff
    front-proxy-ca signs front-proxy          CN=front-proxy-client
                        front-proxy-other     another CN, not among the allowed names
    users-ca      signs user                  CN=alice, O=acme-admins, O=all-staff
                        user-expired          the same, ended yesterday
    ldap-ca       signs ldap                  the directory
    wrong-ca      signs gate-wrong, user-wrong, front-proxy-wrong, apiserver-wrong, ldap-wrong
                                              right names, wrong signer
    gate-expired, apiserver-expired, ldap-expired
                                              right signer, ended yesterday
    apiserver-othername, ldap-othername       right signer, no name that a client here would use

Server certificates name 127.0.0.1, ::1, localhost and what is listed in STANDARD.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

LOCAL_NAMES = ("IP:127.0.0.1", "IP:::1", "DNS:localhost")
SERVER, CLIENT, BOTH = "serverAuth", "clientAuth", "serverAuth,clientAuth"


class PkiError(RuntimeError):
    """The openssl command failed; the text is what it said."""


def _openssl(*args, directory=None):
    result = subprocess.run(
        ("openssl",) + args,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "OPENSSL_CONF": "/dev/null",
        },
    )
    if result.returncode:
        raise PkiError(f"openssl {args[0]}: {result.stderr.decode(errors='replace')}")
    return result.stdout


def _subject(cn, organizations):
    def escape(text):
        return text.replace("\\", "\\\\").replace("/", "\\/")

    # O before CN, as kubeadm and most tools write it.
    return "".join(f"/O={escape(o)}" for o in organizations) + f"/CN={escape(cn)}"


def make_ca(directory, name, cn=None, days=30):
    """Make the self-signed NAME.crt and NAME.key."""
    _new_key_and_certificate(
        directory,
        name,
        _subject(cn or name, ()),
        [
            "basicConstraints=critical,CA:TRUE",
            "keyUsage=critical,keyCertSign,cRLSign",
            "subjectKeyIdentifier=hash",
        ],
        days=days,
    )


def make_leaf(
    directory,
    name,
    ca,
    cn,
    organizations=(),
    names=(),
    usage=BOTH,
    days=30,
    expired=False,
):
    """Make NAME.crt and NAME.key signed by CA (a name in the same directory).

    `names` are subjectAltName entries in openssl's spelling ("DNS:a", "IP:::1").  An expired
    one was valid for a day and ended a day ago.
    """
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={usage}",
    ]
    if names:
        extensions.append("subjectAltName=" + ",".join(names))
    subject = _subject(cn, organizations)
    if expired:
        _expired_certificate(directory, name, ca, subject, extensions)
    else:
        _new_key_and_certificate(directory, name, subject, extensions, days, ca)


def _new_key_and_certificate(directory, name, subject, extensions, days, ca=None):
    args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    # /dev/null as configuration: nothing of the machine's openssl.cnf leaks in.
    args += ["-config", "/dev/null", "-nodes", "-sha256", "-days", str(days)]
    args += ["-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.crt"]
    for extension in extensions:
        args += ["-addext", extension]
    if ca:
        args += ["-CA", f"{ca}.crt", "-CAkey", f"{ca}.key"]
    _openssl(*args, directory=directory)
    os.chmod(os.path.join(directory, f"{name}.key"), 0o600)


_CA_CONFIG = """\
[ca]
default_ca = d
[d]
new_certs_dir = {work}
database = {work}/index
serial = {work}/serial
default_md = sha256
policy = p
unique_subject = no
x509_extensions = x
[p]
organizationName = optional
commonName = supplied
[x]
{extensions}
"""


def _expired_certificate(directory, name, ca, subject, extensions):
    # `openssl req` of OpenSSL 3.0 cannot date back; `openssl ca` can.
    now = datetime.now(timezone.utc)
    start, end = ((now - timedelta(days=d)).strftime("%Y%m%d%H%M%SZ") for d in (2, 1))
    with tempfile.TemporaryDirectory(dir=directory) as work:
        config = os.path.join(work, "cnf")
        with open(config, "w") as f:
            f.write(_CA_CONFIG.format(work=work, extensions="\n".join(extensions)))
        open(os.path.join(work, "index"), "w").close()
        with open(os.path.join(work, "serial"), "w") as f:
            f.write(os.urandom(8).hex() + "\n")
        args = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        args += ["-config", "/dev/null", "-nodes", "-subj", subject]
        args += ["-keyout", f"{name}.key", "-out", f"{work}/csr"]
        _openssl(*args, directory=directory)
        args = ["ca", "-batch", "-notext", "-config", config, "-in", f"{work}/csr"]
        args += ["-out", f"{name}.crt", "-cert", f"{ca}.crt", "-keyfile", f"{ca}.key"]
        args += ["-startdate", start, "-enddate", end, "-preserveDN"]
        _openssl(*args, directory=directory)
    os.chmod(os.path.join(directory, f"{name}.key"), 0o600)


CAS = ("gate-ca", "cluster-ca", "front-proxy-ca", "users-ca", "ldap-ca", "wrong-ca")

_KUBERNETES = ("DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc")
_OTHER = ("DNS:other.example", "IP:192.0.2.1")
_ALICE = ("acme-admins", "all-staff")

# name, CA, CN, O, extra names (None: only names that no client here uses), usage, expired
STANDARD = (
    ("gate", "gate-ca", "gate", (), ("DNS:gate.example",), SERVER, False),
    ("admission", "gate-ca", "admission", (), (), SERVER, False),
    ("gate-expired", "gate-ca", "gate", (), ("DNS:gate.example",), SERVER, True),
    ("gate-wrong", "wrong-ca", "gate", (), ("DNS:gate.example",), SERVER, False),
    ("apiserver", "cluster-ca", "kube-apiserver", (), _KUBERNETES, SERVER, False),
    (
        "apiserver-expired",
        "cluster-ca",
        "kube-apiserver",
        (),
        _KUBERNETES,
        SERVER,
        True,
    ),
    ("apiserver-wrong", "wrong-ca", "kube-apiserver", (), _KUBERNETES, SERVER, False),
    ("apiserver-othername", "cluster-ca", "kube-apiserver", (), None, SERVER, False),
    ("admin", "cluster-ca", "admin", ("system:masters",), None, CLIENT, False),
    ("cluster-user", "cluster-ca", "carol", _ALICE, None, CLIENT, False),
    ("front-proxy", "front-proxy-ca", "front-proxy-client", (), None, CLIENT, False),
    ("front-proxy-other", "front-proxy-ca", "somebody-else", (), None, CLIENT, False),
    ("front-proxy-wrong", "wrong-ca", "front-proxy-client", (), None, CLIENT, False),
    ("user", "users-ca", "alice", _ALICE, None, CLIENT, False),
    ("user-expired", "users-ca", "alice", _ALICE, None, CLIENT, True),
    ("user-wrong", "wrong-ca", "alice", _ALICE, None, CLIENT, False),
    ("ldap", "ldap-ca", "ldap", (), ("DNS:ldap.example.org",), SERVER, False),
    ("ldap-expired", "ldap-ca", "ldap", (), ("DNS:ldap.example.org",), SERVER, True),
    ("ldap-wrong", "wrong-ca", "ldap", (), ("DNS:ldap.example.org",), SERVER, False),
    ("ldap-othername", "ldap-ca", "ldap", (), None, SERVER, False),
)


def _names(name, extra, usage):
    if usage == CLIENT:
        return ()
    return _OTHER if extra is None else LOCAL_NAMES + extra


def make_standard(directory):
    """Make every file listed at the top of this module; returns the directory."""
    os.makedirs(directory, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda name: make_ca(directory, name), CAS))

        def leaf(row):
            name, ca, cn, organizations, extra, usage, expired = row
            names = _names(name, extra, usage)
            make_leaf(
                directory, name, ca, cn, organizations, names, usage, expired=expired
            )

        list(pool.map(leaf, STANDARD))
    return directory


def main():
    parser = argparse.ArgumentParser(description="Make the certificates of the tests.")
    parser.add_argument("directory", metavar="DIR")
    args = parser.parse_args()
    try:
        make_standard(args.directory)
    except (OSError, PkiError) as e:
        sys.exit(f"pki: {e}")


if __name__ == "__main__":
    main()
