"""Audit logs made without our writer: RFC 6962 trees, C2SP checkpoints and keys, signed by
openssl(1). An independent oracle for everything that reads or verifies a log."""

import base64
import hashlib
import json
import pathlib
import subprocess

ORIGIN = "gate.example/audit"


def leaf_hash(line):
    return hashlib.sha256(b"\0" + line).digest()


def root_of(hashes):
    """RFC 6962 2.1, as it is written there."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\1" + root_of(hashes[:k]) + root_of(hashes[k:])).digest()


def path_of(index, hashes):
    """RFC 6962 2.1.1: the audit path of a leaf."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if index < k:
        return path_of(index, hashes[:k]) + [root_of(hashes[k:])]
    return path_of(index - k, hashes[k:]) + [root_of(hashes[:k])]


class Key:
    """An Ed25519 key and its name."""

    def __init__(self, directory, name=ORIGIN):
        self.name = name
        self.path = pathlib.Path(directory) / f"key-{abs(hash((name, id(self))))}.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path],
                       check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"],
                             check=True, capture_output=True).stdout
        typed = b"\x01" + der[-32:]
        self.id = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]
        self.public = f"{name}+{self.id.hex()}+{base64.b64encode(typed).decode()}\n"

    def checkpoint(self, lines):
        """The signed note over so many lines."""
        root = root_of([leaf_hash(line) for line in lines])
        text = f"{self.name}\n{len(lines)}\n{base64.b64encode(root).decode()}\n"
        message = self.path.with_suffix(".text")
        message.write_bytes(text.encode())
        signature = subprocess.run(
            ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", message],
            check=True, capture_output=True).stdout
        signed = base64.b64encode(self.id + signature).decode()
        return f"{text}\n— {self.name} {signed}\n"


def lines_of(events):
    return [json.dumps(e, separators=(",", ":"), ensure_ascii=False).encode() for e in events]


def write(directory, lines, key, segments=1, signed=None):
    """A log of those lines; `signed`: how many of them the checkpoint covers."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    per = -(-max(len(lines), 1) // segments)
    for n in range(segments):
        part = lines[n * per:(n + 1) * per]
        (directory / f"log-{n}.jsonl").write_bytes(b"".join(line + b"\n" for line in part))
    (directory / "key.pub").write_text(key.public)
    (directory / "checkpoint").write_text(
        key.checkpoint(lines[:len(lines) if signed is None else signed]))
    return directory


# ---- events, as the gate and the enforcer write them ----


def event(n, user="alice", verb="get", uri="/api/v1/namespaces/shop-prod/pods", resource="pods",
          namespace="shop-prod", name="", group="", code=200, stage="ResponseComplete",
          tenant="/acme/shop/prod", address="10.0.0.9", second=None, **annotations):
    ref = {"resource": resource, "namespace": namespace, "name": name, "apiGroup": group,
           "apiVersion": "v1"}
    second = n if second is None else second
    stamp = f"2026-03-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000001Z"
    made = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": f"id-{n}", "stage": stage, "requestURI": uri, "verb": verb,
        "user": {"username": user} if user else {}, "sourceIPs": [address], "userAgent": "kubectl/v1",
    }  # fmt: skip
    if resource:
        made["objectRef"] = {k: v for k, v in ref.items() if v}
    if stage != "RequestReceived":
        made["responseStatus"] = {"metadata": {}, "code": code}
    made["requestReceivedTimestamp"] = made["stageTimestamp"] = stamp
    made["annotations"] = {"authorization.k8s.io/decision": "allow" if code < 400 else "forbid"}
    if tenant:
        made["annotations"]["ringfence.dev/tenant"] = tenant
    for key, value in annotations.items():
        made["annotations"]["ringfence.dev/" + key.replace("_", "-")] = value
    return made


def flow(n, verb="deny-flow", tenant="/acme/shop/prod", count=1, source="/acme/shop/prod/web",
         destination="/beta/db", service="5432/tcp"):
    return event(n, user="ringfence:node:worker-1", verb=verb, uri="", resource="workloads",
                 group="ringfence.dev", namespace=tenant, name="web", tenant=tenant,
                 code=403 if verb == "deny-flow" else 200, direction="egress", reason="rule",
                 address="10.1.0.7", source=source, destination=destination, service=service,
                 count=str(count))
