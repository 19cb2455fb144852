#!/usr/bin/python3
"""A real OpenLDAP server for tests, from a temporary directory; /etc is only read.

    python3 slapd.py --dir D [--ldif F] [--port P] [--tls-port P2] [--cert C --key K --ca CA]

runs in the foreground until SIGTERM and prints, once it answers,

    READY 127.0.0.1:P [127.0.0.1:P2]

Port 0 (the default) chooses.  With a certificate the first port offers StartTLS and the
second one is LDAPS; without one there is only the first.  --require-tls refuses binds in
clear text.  The data base is mdb with the overlays memberof and ppolicy; the LDIF is loaded
with slapadd.  Root DN: cn=admin,SUFFIX, password "admin-secret".
"""

import argparse
import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import process

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = os.path.join(HERE, "seed.ldif")
SUFFIX = "dc=example,dc=org"
ROOT_PASSWORD = "admin-secret"

_SLAPD = "/usr/sbin/slapd"
_SLAPADD = "/usr/sbin/slapadd"
# BindRequest, version 3, anonymous: the shortest question that a directory answers.
_ANONYMOUS_BIND = bytes.fromhex("300c020101600702010304008000")

_CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
{schema}
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile {directory}/slapd.pid
argsfile {directory}/slapd.args
sizelimit size.soft={sizelimit} size.hard={sizelimit} size.prtotal=unlimited
threads 8
{tls}
{security}
database mdb
suffix "{suffix}"
rootdn "cn=admin,{suffix}"
rootpw {root_password}
directory {directory}/db
maxsize 1073741824
dbnosync
index objectClass,uid,cn,member,memberOf,entryUUID eq
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
memberof-refint TRUE
overlay ppolicy
ppolicy_default "cn=default,ou=policies,{suffix}"
ppolicy_use_lockout
access to attrs=userPassword by anonymous auth by self write by * none
access to * by dn.exact="cn=ringfence,{suffix}" read by self read by anonymous auth by * none
"""


class SlapdError(RuntimeError):
    """slapd or one of its tools failed; the text is what it said."""


def _run(argv, text=None):
    result = subprocess.run(
        argv, input=text, capture_output=True, text=True, env=_environment()
    )
    if result.returncode:
        raise SlapdError(
            f"{os.path.basename(argv[0])}: exit {result.returncode}: "
            f"{result.stderr.strip()} {result.stdout.strip()}"
        )
    return result.stdout


def _environment():
    # The machine's and the user's ldap.conf must not alter what a test sees.
    return dict(os.environ, LDAPNOINIT="1")


def ldif_entries(text):
    """Split LDIF into [(dn, [line, ...])]; lines are unfolded, comments dropped."""
    lines = []
    for line in text.splitlines():
        if line.startswith(" ") and lines:
            lines[-1] += line[1:]
        elif not line.startswith("#"):
            lines.append(line)
    entries, block = [], []
    for line in lines + [""]:
        if line:
            block.append(line)
        elif block:
            if not block[0].lower().startswith("version:"):
                entries.append((ldif_value(block[0]), block))
            block = []
    return entries


def ldif_value(line):
    """The value of `name: value` or `name:: base64`."""
    _, _, value = line.partition(":")
    if value.startswith(":"):
        return base64.b64decode(value[1:].strip()).decode()
    return value.strip()


def _dn_key(dn):
    return ",".join(part.strip() for part in dn.lower().split(","))


def with_member_of(text):
    """Add the memberOf values that the overlay would have kept.

    slapadd runs no overlays, so a directory filled by it would miss them.
    """
    entries = ldif_entries(text)
    groups = {}
    for dn, lines in entries:
        for line in lines:
            if line.lower().startswith("member:"):
                groups.setdefault(_dn_key(ldif_value(line)), []).append(dn)
    out = []
    for dn, lines in entries:
        for group in groups.get(_dn_key(dn), ()):
            value = base64.b64encode(group.encode()).decode()
            lines = lines + [f"memberOf:: {value}"]
        out.append("\n".join(lines))
    return "\n\n".join(out) + "\n"


class Slapd:
    """A running directory; use as a context manager.

    Attributes: `url`, `ldaps_url` (None without a certificate), `ldapi_url` (for
    administration), `port`, `tls_port`, `suffix`, `bind_dn` and `bind_password` of the
    service account of the seed.
    """

    def __init__(
        self,
        directory=None,
        ldif=SEED,
        port=0,
        tls_port=0,
        certificate=None,
        key=None,
        ca=None,
        host="127.0.0.1",
        suffix=SUFFIX,
        require_tls=False,
        sizelimit=500,
        schema=None,
    ):
        self.schema = schema
        self._own_directory = directory is None
        self.directory = os.path.abspath(
            directory or tempfile.mkdtemp(prefix="ringfence-slapd-")
        )
        self.host, self.suffix = host, suffix
        self.certificate, self.key, self.ca = certificate, key, ca
        self.require_tls, self.sizelimit = require_tls, sizelimit
        self.root_dn, self.root_password = f"cn=admin,{suffix}", ROOT_PASSWORD
        self.bind_dn, self.bind_password = f"cn=ringfence,{suffix}", "service-secret"
        self._wanted = (port, tls_port)
        self._process = None
        try:
            self._prepare(ldif)
            self._start_on_free_ports()
        except BaseException:
            self.stop()
            raise

    @classmethod
    def with_pki(cls, pki, name="ldap", **kwargs):
        """A Slapd that shows NAME.crt of a directory made by pki.py."""
        return cls(
            certificate=os.path.join(pki, f"{name}.crt"),
            key=os.path.join(pki, f"{name}.key"),
            ca=os.path.join(pki, "ldap-ca.crt"),
            **kwargs,
        )

    def _prepare(self, ldif):
        os.makedirs(os.path.join(self.directory, "db"), mode=0o700, exist_ok=True)
        self._config = os.path.join(self.directory, "slapd.conf")
        tls = ""
        if self.certificate:
            tls = (
                f"TLSCertificateFile {os.path.abspath(self.certificate)}\n"
                f"TLSCertificateKeyFile {os.path.abspath(self.key)}\n"
                f"TLSCACertificateFile {os.path.abspath(self.ca)}\n"
                "TLSVerifyClient never"
            )
        with open(self._config, "w") as f:
            f.write(
                _CONFIG.format(
                    directory=self.directory,
                    suffix=self.suffix,
                    root_password=self.root_password,
                    sizelimit=self.sizelimit,
                    tls=tls,
                    schema=f"include {self.schema}" if self.schema else "",
                    security="security simple_bind=128" if self.require_tls else "",
                )
            )
        if not ldif or os.path.exists(os.path.join(self.directory, "db", "data.mdb")):
            return  # a restart goes on with the data that is there
        with open(ldif) as f:
            text = with_member_of(f.read())
        loaded = os.path.join(self.directory, "loaded.ldif")
        with open(loaded, "w") as f:
            f.write(text)
        _run([_SLAPADD, "-q", "-f", self._config, "-l", loaded])

    def _start_on_free_ports(self):
        for attempt in range(5):
            self.port = self._wanted[0] or process.free_port(self.host)
            self.tls_port = None
            if self.certificate:
                self.tls_port = self._wanted[1] or process.free_port(
                    self.host, avoid=(self.port,)
                )
            if self._start():
                return
            if all(self._wanted):
                break
        raise SlapdError(f"slapd does not start: {self._stderr()}")

    def _start(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        socket_path = os.path.join(self.directory, "ldapi")
        self.ldapi_url = "ldapi://" + socket_path.replace("/", "%2F")
        self.url = f"ldap://{host}:{self.port}"
        self.ldaps_url = f"ldaps://{host}:{self.tls_port}" if self.tls_port else None
        urls = [self.url, self.ldapi_url] + ([self.ldaps_url] if self.tls_port else [])
        with open(os.path.join(self.directory, "slapd.err"), "wb") as err:
            # -d 0 keeps it in the foreground, so that it is our child and dies with us.
            self._process = process.popen(
                [_SLAPD, "-f", self._config, "-h", " ".join(urls), "-d", "0"],
                stdin=subprocess.DEVNULL,
                stdout=err,
                stderr=err,
                env=_environment(),
            )
        end = time.monotonic() + 15
        while time.monotonic() < end:
            if self._process.poll() is not None:
                return False
            if self.answers():
                return True
            time.sleep(0.01)
        self.stop_server()
        raise SlapdError(f"slapd does not answer: {self._stderr()}")

    def _stderr(self):
        try:
            with open(os.path.join(self.directory, "slapd.err"), errors="replace") as f:
                return f.read()[-2000:].strip()
        except OSError:
            return "(no output)"

    def answers(self, timeout=1.0):
        """True if the plain listener answers an anonymous bind (even with a refusal)."""
        try:
            with socket.create_connection((self.host, self.port), timeout) as s:
                s.settimeout(timeout)
                s.sendall(_ANONYMOUS_BIND)
                return s.recv(1) == b"\x30"
        except OSError:
            return False

    @property
    def pid(self):
        return self._process.pid

    # Trouble on demand.

    def pause(self):
        """SIGSTOP: connections are accepted by the kernel, nothing is answered."""
        process.stop_threads(self._process.pid)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def stop_server(self):
        """End slapd, keep the data: connection refused from here on."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._process:
            self._process.wait()

    def kill_server(self):
        """SIGKILL, keep the data."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def start_server(self):
        """Start again on the same ports with the same data."""
        if not self._start():
            raise SlapdError(f"slapd does not start again: {self._stderr()}")

    def stop(self):
        """End slapd and remove the directory if it is our own."""
        self.stop_server()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    # Changing the data; all as the root DN over the UNIX socket.

    def _as_root(self, tool, *args, text=None):
        who = ["-x", "-D", self.root_dn, "-w", self.root_password]
        return _run([tool, "-H", self.ldapi_url] + who + list(args), text)

    def modify(self, ldif):
        """Apply LDIF change records with ldapmodify."""
        return self._as_root("/usr/bin/ldapmodify", text=ldif)

    def add(self, ldif):
        """Add entries with ldapadd."""
        return self._as_root("/usr/bin/ldapadd", text=ldif)

    def delete(self, dn):
        return self._as_root("/usr/bin/ldapdelete", dn)

    def search(self, filter="(objectClass=*)", *attributes, base=None, scope="sub"):
        """[(dn, {attribute: [value, ...]})] as the root DN sees it."""
        text = self._as_root(
            "/usr/bin/ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-s", scope,
            "-b", base or self.suffix, filter, *attributes,
        )  # fmt: skip
        found = []
        for dn, lines in ldif_entries(text):
            values = {}
            for line in lines[1:]:
                values.setdefault(line.split(":")[0], []).append(ldif_value(line))
            found.append((dn, values))
        return found

    def user_dn(self, uid):
        return f"uid={uid},ou=people,{self.suffix}"

    def group_dn(self, cn):
        return f"cn={cn},ou=groups,{self.suffix}"

    def _replace(self, dn, attribute, *values):
        lines = [f"dn: {dn}", "changetype: modify", f"replace: {attribute}"]
        self.modify("\n".join(lines + [f"{attribute}: {v}" for v in values]) + "\n")

    def set_password(self, uid, password):
        self._replace(self.user_dn(uid), "userPassword", password)

    def lock(self, uid):
        self._replace(self.user_dn(uid), "pwdAccountLockedTime", "000001010000Z")

    def unlock(self, uid):
        self._replace(self.user_dn(uid), "pwdAccountLockedTime")

    def add_user(self, uid, password=None, extra=""):
        self.add(
            f"dn: {self.user_dn(uid)}\nobjectClass: inetOrgPerson\nuid: {uid}\n"
            f"cn: {uid}\nsn: {uid}\nuserPassword: {password or uid + '-secret'}\n{extra}"
        )

    def delete_user(self, uid):
        self.delete(self.user_dn(uid))

    def _member(self, verb, group, dn):
        self.modify(
            f"dn: {self.group_dn(group)}\nchangetype: modify\n{verb}: member\nmember: {dn}\n"
        )

    def add_member(self, group, uid):
        self._member("add", group, self.user_dn(uid))

    def remove_member(self, group, uid):
        self._member("delete", group, self.user_dn(uid))


def main():
    parser = argparse.ArgumentParser(description="Run an OpenLDAP server for tests.")
    parser.add_argument("--dir", help="work directory; kept (default: a temporary one)")
    parser.add_argument(
        "--ldif", default=SEED, help="default: the seed beside this file"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls-port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--suffix", default=SUFFIX)
    parser.add_argument("--cert", help="certificate for StartTLS and LDAPS")
    parser.add_argument("--key")
    parser.add_argument("--ca")
    parser.add_argument("--require-tls", action="store_true")
    parser.add_argument("--sizelimit", type=int, default=500)
    parser.add_argument("--outlive-parent", action="store_true")
    args = parser.parse_args()
    if args.cert and not (args.key and args.ca):
        parser.error("--cert needs --key and --ca")
    if not args.outlive_parent:
        process.die_with_parent()
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
    # A handler, so that the signal is not ignored by default while it is blocked.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        server = Slapd(
            directory=args.dir,
            ldif=args.ldif,
            port=args.port,
            tls_port=args.tls_port,
            certificate=args.cert,
            key=args.key,
            ca=args.ca,
            host=args.host,
            suffix=args.suffix,
            require_tls=args.require_tls,
            sizelimit=args.sizelimit,
        )
    except (OSError, SlapdError) as e:
        sys.exit(f"slapd: {e}")
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with server:
        words = [f"{args.host}:{server.port}"]
        if server.tls_port:
            words.append(f"{args.host}:{server.tls_port}")
        process.say_ready(*words)
        while signal.sigwait(signals) == signal.SIGCHLD:
            if server._process.poll() is not None:
                sys.exit(f"slapd: ended by itself: {server._stderr()}")


if __name__ == "__main__":
    main()
