"""The gate's half: kubectl and curl as two users of two tenants, through ringfence-gate, in
front of a stand-in for the API server; the directory is a real slapd."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import pki
from apiserver import ApiServer
from slapd import Slapd

HERE = pathlib.Path(__file__).resolve().parent


class Gate:
    def __init__(self, screen, build, work):
        self.screen = screen
        self.build = build
        self.work = work
        self.daemon = build / "authn" / "ringfence-gate"
        self.login = build / "authn" / "ringfence-login"
        self.pki = work / "pki"
        self.audit = work / "audit"
        self.url = None
        self.api = self.ldap = self.process = None

    # ---- setting up ----

    def start_backends(self):
        self.work.mkdir()
        self.work.chmod(0o755)
        pki.make_standard(str(self.pki))
        self.ldap = Slapd.with_pki(str(self.pki))
        self.api = ApiServer(str(self.work / "api"), str(self.pki),
                             ["--seed", str(HERE / "objects.yaml")])

    def start_gate(self):
        secret = self.work / "ldap.secret"
        secret.write_text("service-secret\n")
        secret.chmod(0o600)
        shutil.copytree(HERE.parent / "policies", self.work / "policy.d")
        port = free_port()
        self.url = f"https://127.0.0.1:{port}"
        pem = self.pki
        config = {
            "listen": [f"127.0.0.1:{port}"],
            "tls": {"certificate": f"{pem}/gate.crt", "key": f"{pem}/gate.key"},
            "upstream": {"servers": [self.api.url], "ca": f"{pem}/cluster-ca.crt",
                         "identity": "front-proxy", "certificate": f"{pem}/front-proxy.crt",
                         "key": f"{pem}/front-proxy.key"},
            "ldap": {"servers": [self.ldap.ldaps_url], "ca": f"{pem}/ldap-ca.crt",
                     "bind": {"dn": "cn=ringfence,dc=example,dc=org",
                              "passwordFile": str(secret)},
                     "users": {"base": "ou=people,dc=example,dc=org", "filter": "(uid={})",
                               "name": "uid"},
                     "groups": {"base": "ou=groups,dc=example,dc=org",
                                "filter": "(member={})", "name": "cn", "nested": "walk"}},
            "policy": [str(self.work / "policy.d")],
            "state": {"directory": str(self.work / "state")},
            "audit": {"directory": str(self.audit), "mode": "required"},
            "control": str(self.work / "gate.sock"),
        }
        path = self.work / "gate.yaml"
        path.write_text(json.dumps(config, indent=2))
        read, write = os.pipe()
        with open(self.work / "gate.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [self.daemon, "--config", path, "--ready-fd", str(write)],
                pass_fds=[write], stderr=log)
        os.close(write)
        with os.fdopen(read) as ready:
            return ready.read().strip() == "READY"

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for backend in (self.api, self.ldap):
            if backend is not None:
                backend.stop()

    # ---- clients ----

    def kubeconfig(self, user):
        """What an administrator hands out: no credential in it, only how to get one."""
        password = self.work / f"{user}.password"
        password.write_text(f"{user}-secret\n")
        password.chmod(0o600)
        path = self.work / f"{user}.kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "gate",
            "clusters": [{"name": "gate", "cluster": {
                "server": self.url, "certificate-authority": f"{self.pki}/gate-ca.crt"}}],
            "contexts": [{"name": "gate", "context": {"cluster": "gate", "user": user}}],
            "users": [{"name": user, "user": {"exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "interactiveMode": "Never",
                "command": str(self.login),
                "args": ["login", "--server", self.url, "--ca", f"{self.pki}/gate-ca.crt",
                         "--user", user, "--password-file", str(password)],
                "env": [{"name": "XDG_CACHE_HOME", "value": str(self.work / f"{user}.cache")}],
            }}}],
        }))
        return path

    def kubectl(self, user, *arguments):
        self.screen.command(f"kubectl {' '.join(arguments)}   # {user}")
        environment = {**os.environ, "HOME": str(self.work),
                       "KUBECONFIG": str(self.work / f"{user}.kubeconfig")}
        run = subprocess.run(["kubectl", *arguments], capture_output=True, text=True,
                             env=environment, check=False, timeout=60)
        self.screen.say((run.stdout + run.stderr).strip())
        return run

    def curl(self, *arguments):
        """Returns status, headers (lower-cased names) and body."""
        run = subprocess.run(
            ["curl", "-sS", "-i", "--max-time", "20", "--cacert", f"{self.pki}/gate-ca.crt",
             *arguments], capture_output=True, text=True, check=False)
        head, _, body = run.stdout.partition("\n\n")  # text mode folds CR LF
        lines = head.splitlines()
        status = int(lines[0].split()[1]) if lines else 0
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        return status, headers, body

    def get(self, token, path):
        return self.curl("-H", f"Authorization: Bearer {token}", self.url + path)


def free_port():
    import process
    return process.free_port()


def show(gate):
    screen = gate.screen
    screen.step("The gate: a directory, an API server, and policy between them",
                "slapd holds the users of three tenants. The gate asks it who somebody is, asks "
                "the same tree of policy what they may do, and passes the request on with the "
                "user's name. A stand-in plays the API server; everything else is real.")
    gate.start_backends()
    screen.check(gate.start_gate(), "the gate says READY")

    screen.step("kubectl logs in by itself, as bob of acme",
                "The kubeconfig holds no credential: kubectl runs `ringfence login`, which asks "
                "for a password (here from a file) and keeps a token of 12 hours.")
    gate.kubeconfig("bob")
    gate.kubeconfig("erin")
    run = gate.kubectl("bob", "get", "pods", "-n", "shop-prod")
    screen.check(run.returncode == 0 and "web-1" in run.stdout,
                 "bob sees the pods of his namespace")
    run = gate.kubectl("bob", "get", "secrets", "-n", "shop-prod")
    screen.check(run.returncode != 0 and "forbidden" in run.stderr.lower(),
                 "but not its secrets: Access /acme/shop/developers denies that")
    run = gate.kubectl("bob", "get", "pods", "-n", "bi")
    screen.check(run.returncode != 0 and "forbidden" in run.stderr.lower(),
                 "and nothing of another tenant")
    run = gate.kubectl("erin", "get", "pods", "-n", "bi")
    screen.check(run.returncode == 0 and "report-1" in run.stdout,
                 "erin of globex sees her own")
    seen = gate.api.requests(user="bob")
    names = [name.lower() for name, _ in seen[-1]["headers"]]
    screen.check("x-remote-user" in names and "authorization" not in names,
                 "the API server saw bob by name, and no credential of his")

    screen.step("A quota: globex may make 2 requests a second, 6 at once",
                "Quotas hold for a whole subtree. The seventh request is refused with 429 and "
                "a Retry-After, before the API server sees it.")
    status, _, body = gate.curl("-u", "erin:erin-secret", "-X", "POST",
                                gate.url + "/ringfence/v1/login")
    screen.check(status == 201, "curl logs erin in", body)
    erin = json.loads(body)
    time.sleep(3.2)  # the bucket refills: 2 a second, 6 in all
    screen.command("for i in 1 .. 9: curl -H 'Authorization: Bearer rf_...' .../namespaces/bi/pods")
    answers = [gate.get(erin["token"], "/api/v1/namespaces/bi/pods") for _ in range(9)]
    statuses = [status for status, _, _ in answers]
    screen.say(" ".join(map(str, statuses)))
    screen.check(statuses[:6] == [200] * 6 and 429 in statuses[6:],
                 "six pass, then 429", str(statuses))
    refused = next(answer for answer in answers if answer[0] == 429)
    screen.check(int(refused[1].get("retry-after", 0)) >= 1,
                 "with Retry-After, and a Status body that names the quota", str(refused))
    screen.say(json.loads(refused[2])["message"])

    screen.step("A token is revoked, and does not work any more",
                "Not within a minute, not after a cache has expired: on the next request.")
    status, _, body = gate.curl("-H", f"Authorization: Bearer {erin['token']}", "-X", "DELETE",
                                f"{gate.url}/ringfence/v1/tokens/{erin['id']}")
    screen.command(f"curl -X DELETE .../ringfence/v1/tokens/{erin['id']}")
    screen.check(status == 204, "revoked: 204", f"{status} {body}")
    status, _, _ = gate.get(erin["token"], "/api/v1/namespaces/bi/pods")
    screen.check(status == 401, "the next request: 401", str(status))

    screen.step("The audit log of all that",
                "One record for every request, on disk before its answer ended, in a Merkle "
                "tree with signed checkpoints: nobody can change a line afterwards.")
    lines = []
    for _ in range(50):  # reads are on disk by the next group commit
        lines = [json.loads(line) for segment in sorted(gate.audit.glob("log-*.jsonl"))
                 for line in segment.read_text().splitlines()]
        if any(r.get("responseStatus", {}).get("code") == 401 for r in lines):
            break
        time.sleep(0.1)
    for record in lines[-14:]:
        screen.say(f"{record['stageTimestamp'][11:23]} "
                   f"{record['user'].get('username', '-'):8} "
                   f"{record.get('responseStatus', {}).get('code', '...')!s:4} "
                   f"{record['verb']:8} {record['requestURI'][:60]}")
    codes = {record.get("responseStatus", {}).get("code") for record in lines}
    screen.check({200, 201, 204, 401, 403, 429} <= codes,
                 "every kind of answer is recorded, refusals too", str(codes))
    screen.check(not any("secret" in json.dumps(r.get("user", {})) or erin["token"] in
                         json.dumps(r) for r in lines), "and no secret is in it")
    command = [gate.build / "authn" / "ringfence-audit", "verify", gate.audit]
    time.sleep(1.5)  # the checkpoint is renewed once a second
    screen.command("ringfence audit verify audit/")
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    screen.say((run.stdout + run.stderr).strip())
    screen.check(run.returncode == 0, "the log is intact", run.stderr)
    copy = gate.work / "tampered"
    shutil.copytree(gate.audit, copy)
    segment = copy / "log-0.jsonl"
    segment.write_text(segment.read_text().replace('"code":403', '"code":200', 1))
    run = subprocess.run([*command[:2], copy], capture_output=True, text=True, check=False)
    screen.say((run.stdout + run.stderr).strip())
    screen.check(run.returncode == 1, "a copy in which one 403 was made a 200 is found out")
