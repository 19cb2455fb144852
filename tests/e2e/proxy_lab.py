"""A gate in front of the double of an API server, for the tests of the proxy.

`lab` is a fixture of module scope: certificates, directory, API server, gate.  Import it
into a test module; `@pytest.mark.parametrize("lab", [...], indirect=True)` gives the API server
other arguments.
"""

import base64
import json
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "double"))

import client  # noqa: E402
import pki as pki_module  # noqa: E402
import process  # noqa: E402
from apiserver import ApiServer  # noqa: E402
from slapd import Slapd  # noqa: E402

BUILD = os.environ.get(
    "RINGFENCE_BUILD", os.path.join(os.path.dirname(os.path.dirname(HERE)), "build/release")
)
BIND_PASSWORD = "service-secret"


def _sanitized():
    try:
        with open(os.path.join(BUILD, "authn/ringfence-gate"), "rb") as f:
            return b"__asan_init" in f.read()
    except OSError:
        return False


SANITIZED = _sanitized()

POLICY = """\
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: { name: /acme/shop }
spec: { kubernetes: { namespaces: [shop-prod, shop-dev] } }
---
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: { name: /globex }
spec: { kubernetes: { namespaces: [globex-prod] } }
---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: everyone, namespace: / }
spec:
  groups: ["system:authenticated"]
  default:
    - { action: allow, verbs: ["*"], nonResourceURLs: ["/test/*"] }
    - { action: allow, verbs: [create], resources: [selfsubjectaccessreviews.authorization.k8s.io] }
---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: acme, namespace: /acme }
spec:
  groups: [acme-admins]
  default:
    - { action: deny, verbs: ["*"], resources: [secrets] }
    - { action: allow, verbs: ["*"], resources: ["*"] }
---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: readers, namespace: /acme/shop }
spec:
  groups: [acme-shop-devs]
  default:
    - { action: allow, verbs: [get, list, watch], resources: ["*"] }
---
apiVersion: ringfence.dev/v1alpha1
kind: Access
metadata: { name: globex, namespace: /globex }
spec:
  groups: [globex-admins]
  default:
    - { action: allow, verbs: ["*"], resources: ["*"] }
"""

SEED = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in ("shop-prod", "shop-dev", "globex-prod")
    ]
    + [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop-prod"},
            "spec": {
                "nodeName": "worker-1",
                "containers": [{"name": "c", "image": "example.invalid/app:1"}],
            },
        }
        for name in ("web-0", "web-1")
    ],
}

CONFIG = """\
listen: [ "127.0.0.1:{port}" ]
tls: {{ certificate: {pki}/gate.crt, key: {pki}/gate.key, clientCA: {pki}/users-ca.crt }}
upstream:
  servers: [ {upstream} ]
  ca: {pki}/cluster-ca.crt
  identity: {identity}
  certificate: {pki}/{upstream_certificate}.crt
  key: {pki}/{upstream_certificate}.key
ldap:
  servers: [ {ldap} ]
  ca: {pki}/ldap-ca.crt
  bind: {{ dn: "cn=ringfence,dc=example,dc=org", passwordFile: {directory}/ldap.secret }}
  users: {{ base: "ou=people,dc=example,dc=org", filter: "(uid={{}})", name: uid }}
  groups: {{ base: "ou=groups,dc=example,dc=org", filter: "(member={{}})", name: cn, nested: walk }}
policy: [ {directory}/policy.d ]
state: {{ directory: {directory}/state }}
audit: {{ directory: {directory}/audit, mode: required }}
control: {directory}/gate.sock
workers: 1
"""


class Gate:
    """ringfence-gate in a process tree of its own."""

    def __init__(self, lab, options=None):
        self.lab = lab
        self.directory = os.path.join(lab.directory, f"gate-{lab.gates}")
        lab.gates += 1
        for name in ("policy.d", "state", "audit"):
            os.makedirs(os.path.join(self.directory, name))
        self.write_policy(lab.policy)
        with open(os.path.join(self.directory, "ldap.secret"), "w") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(BIND_PASSWORD)
        self.port = process.free_port()
        values = {
            "port": self.port,
            "pki": lab.pki,
            "upstream": lab.api.url,
            "identity": "front-proxy",
            "upstream_certificate": "front-proxy",
            "ldap": lab.ldap.ldaps_url,
            "directory": self.directory,
        }
        values.update(options or {})
        self.config = os.path.join(self.directory, "gate.yaml")
        with open(self.config, "w") as f:
            f.write(CONFIG.format(**values))
        self.stderr_path = os.path.join(self.directory, "gate.err")
        self._start()
        self._tokens = {}

    def _start(self):
        read_end, write_end = os.pipe()
        with open(self.stderr_path, "ab") as err:
            self.process = process.popen(
                [
                    os.path.join(BUILD, "authn/ringfence-gate"),
                    "--config",
                    self.config,
                    "--ready-fd",
                    str(write_end),
                ],
                stdin=subprocess.DEVNULL,
                stderr=err,
                pass_fds=[write_end],
            )
        os.close(write_end)
        with os.fdopen(read_end) as ready:
            line = ready.readline()
        if line != "READY\n":
            self.stop()
            with open(self.stderr_path, errors="replace") as err:
                raise RuntimeError(f"the gate did not start: {err.read()[-3000:]}")

    def start_again(self):
        """After stop()."""
        self._start()

    def write_policy(self, text):
        with open(os.path.join(self.directory, "policy.d", "policy.yaml"), "w") as f:
            f.write(text)

    def reload(self):
        self.process.send_signal(1)

    def _said(self, event):
        with open(self.stderr_path, errors="replace") as f:
            return f.read().count(f" {event} ")

    def load_policy(self, text):
        """Puts a policy into force: it is when this returns."""
        before = self._said("in-force")
        self.write_policy(text)
        self.reload()
        wait_until(lambda: self._said("in-force") > before, 20, "the new policy")

    def drain(self):
        self.process.terminate()

    def wait(self, timeout=40):
        return self.process.wait(timeout)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        with open(self.stderr_path, errors="replace") as f:
            said = f.read()
        assert "Sanitizer" not in said and "runtime error" not in said, said[-5000:]

    def worker_pids(self):
        """Processes of the tree whose name says worker."""
        out = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
        ).stdout
        return [int(line.split()[0]) for line in out.splitlines() if "worker" in line]

    def memory(self):
        """Resident bytes of the workers."""
        total = 0
        for pid in self.worker_pids():
            with open(f"/proc/{pid}/statm") as f:
                total += int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return total

    def login(self, user):
        """A fresh login token: the API's answer."""
        credentials = base64.b64encode(f"{user}:{user}-secret".encode()).decode()
        with self.http1() as c:
            answer = c.request(
                "POST",
                "/ringfence/v1/login",
                [("Authorization", f"Basic {credentials}"), ("Content-Length", "0")],
            )
        assert answer.status == 201, answer.body
        return answer.json()

    def token(self, user="alice"):
        if user not in self._tokens:
            self._tokens[user] = self.login(user)["token"]
        return self._tokens[user]

    def revoke(self, user):
        """Ends the user's token: it is gone when this returns."""
        token = self._tokens.pop(user)
        token_id = token.split("_")[1]
        with self.http1() as c:
            answer = c.request(
                "DELETE", f"/ringfence/v1/tokens/{token_id}", self.bearer(token=token)
            )
        assert answer.status == 204, answer.body

    def bearer(self, user="alice", token=None):
        return [("authorization", f"Bearer {token or self.token(user)}")]

    def context(self, alpn, certificate=None):
        pem = lambda suffix: (  # noqa: E731
            os.path.join(self.lab.pki, f"{certificate}.{suffix}") if certificate else None
        )
        ca = os.path.join(self.lab.pki, "gate-ca.crt")
        return client.client_context(ca, pem("crt"), pem("key"), (alpn,))

    def http1(self, certificate=None, timeout=30.0):
        return client.Connection(
            "127.0.0.1", self.port, self.context("http/1.1", certificate), timeout
        )

    def http2(self, certificate=None, timeout=30.0):
        return client.Http2(
            "127.0.0.1", self.port, self.context("h2", certificate), timeout
        )

    def connect(self, protocol, **kwargs):
        return self.http2(**kwargs) if protocol == "h2" else self.http1(**kwargs)

    def audit_events(self):
        """Every event on disk, in order."""
        events = []
        directory = os.path.join(self.directory, "audit")
        names = [n for n in os.listdir(directory) if n.startswith("log-") and n.endswith(".jsonl")]
        for name in sorted(names, key=lambda n: int(n[4:].split(".")[0])):
            with open(os.path.join(directory, name)) as f:
                events += [json.loads(line) for line in f if line.endswith("\n")]
        return events

    def audit_of(self, audit_id):
        return [e for e in self.audit_events() if e["auditID"] == audit_id]


class Lab:
    def __init__(
        self,
        directory,
        api_arguments=(),
        policy=POLICY,
        gate_options=None,
        api_certificate="apiserver",
    ):
        self.directory = str(directory)
        self.gates = 0
        self.policy = policy
        self.pki = pki_module.make_standard(os.path.join(self.directory, "pki"))
        seed = os.path.join(self.directory, "seed.json")
        with open(seed, "w") as f:
            json.dump(SEED, f)
        self.api_arguments = ["--seed", seed, "--streams", "raw", *api_arguments]
        self.api_certificate = api_certificate
        self.api = self.start_api()
        self.ldap = Slapd.with_pki(self.pki)
        self.gate = Gate(self, gate_options)

    def start_api(self, port=0, name="api"):
        return ApiServer(
            self.directory,
            self.pki,
            self.api_arguments,
            port=port,
            cert=self.api_certificate,
            name=name,
        )

    def close(self):
        for part in (self.gate, self.ldap, self.api):
            part.stop()

    def faults(self, *rules):
        """Tells the API server to misbehave."""
        context = client.client_context(
            os.path.join(self.pki, "cluster-ca.crt"),
            os.path.join(self.pki, "admin.crt"),
            os.path.join(self.pki, "admin.key"),
        )
        with client.Connection("127.0.0.1", self.api.port, context) as c:
            body = json.dumps(list(rules)).encode()
            assert c.request("PUT", "/test/faults", body=body).status == 200

    def as_admin(self, method, path, body=b"", headers=()):
        """Straight to the API server, past the gate."""
        context = client.client_context(
            os.path.join(self.pki, "cluster-ca.crt"),
            os.path.join(self.pki, "admin.crt"),
            os.path.join(self.pki, "admin.key"),
        )
        with client.Connection("127.0.0.1", self.api.port, context) as c:
            return c.request(method, path, headers, body)

    def seen(self, target):
        """What the API server saw of requests for that target."""
        return self.api.requests(target=target)

    def last_seen(self, target):
        return self.seen(target)[-1]


def make_lab(tmp_path_factory, **kwargs):
    directory = tmp_path_factory.mktemp("proxy")
    return Lab(directory, **kwargs)


@pytest.fixture(scope="module")
def lab(request, tmp_path_factory):
    made = make_lab(tmp_path_factory, **getattr(request, "param", {}))
    try:
        yield made
    finally:
        made.close()


def header_values(record, name):
    """Of one request in the API server's log."""
    return [v for k, v in record["headers"] if k.lower() == name]


def wait_until(condition, timeout=process.PATIENCE, what="condition"):
    return process.wait_until(condition, timeout, what)
