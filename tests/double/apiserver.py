#!/usr/bin/python3
"""A test double of the Kubernetes API server, 1.32 on the wire.

    python3 apiserver.py --listen 127.0.0.1:0 --cert apiserver.crt --key apiserver.key \\
        --client-ca cluster-ca.crt --front-proxy-ca front-proxy-ca.crt \\
        --front-proxy-names front-proxy-client --log requests.jsonl

runs in the foreground until SIGTERM and prints `READY HOST:PORT` when it listens.  It speaks
HTTP/1.1 and HTTP/2, authenticates as the real one does, keeps objects in memory, watches,
pages, prints tables, upgrades connections, writes down every request (kubeapi/reqlog.py),
and misbehaves on demand (kubeapi/testpaths.py, kubeapi/faults.py).  README.md says what it
leaves out.

From Python: `with ApiServer(directory, pki) as api: ... api.url, api.requests() ...`.
"""

import argparse
import asyncio
import email.utils
import json
import os
import signal
import ssl
import sys

import process

HERE = os.path.dirname(os.path.abspath(__file__))


class ApiServer(process.Child):
    """The double in a process of its own, with the certificates of a pki.py directory.

    `arguments` are further command line arguments.  Attributes: `host`, `port`, `url`,
    `log_path`.
    """

    def __init__(
        self, directory, pki, arguments=(), port=0, cert="apiserver", name="api"
    ):
        def pem(file):
            return os.path.join(pki, file)

        os.makedirs(directory, exist_ok=True)
        self.log_path = os.path.join(directory, f"{name}-requests.jsonl")
        argv = process.program("apiserver.py")
        argv += ["--listen", f"127.0.0.1:{port}", "--log", self.log_path]
        argv += ["--cert", pem(f"{cert}.crt"), "--key", pem(f"{cert}.key")]
        argv += ["--client-ca", pem("cluster-ca.crt")]
        argv += ["--front-proxy-ca", pem("front-proxy-ca.crt")]
        argv += ["--front-proxy-names", "front-proxy-client"]
        super().__init__(argv + list(arguments), os.path.join(directory, f"{name}.err"))
        self.host, _, port_text = self.ready[0].rpartition(":")
        self.port = int(port_text)
        self.url = f"https://{self.ready[0]}"

    def log(self):
        """Every line of the log so far, decoded."""
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def requests(self, **fields):
        """The requests so far whose fields have these values, in order."""
        return [
            record
            for record in self.log()
            if record["event"] == "request"
            and all(record[key] == value for key, value in fields.items())
        ]


def _load_seed(server, path):
    """Objects of a JSON or YAML file: one object, a List, or YAML documents."""
    with open(path, "rb") as f:
        text = f.read()
    try:
        documents = [json.loads(text)]
    except ValueError:
        import yaml

        documents = list(yaml.safe_load_all(text))
    for document in documents:
        if document:
            _seed_one(server, document)


def _seed_one(server, document):
    from kubeapi import resources, rest, store, strategy

    metadata = document.get("metadata") or {}
    if document.get("kind", "").endswith("List") and "items" in document:
        for item in document["items"]:
            _seed_one(server, item)
        if metadata.get("resourceVersion"):
            server.store.rv = max(server.store.rv, int(metadata["resourceVersion"]))
        return
    resource = resources.find_kind(
        document.get("apiVersion", ""), document.get("kind", "")
    )
    if not resource or not resource.stored:
        raise ValueError(
            f"{document.get('apiVersion')} {document.get('kind')}: not known"
        )
    namespace = metadata.get("namespace", "default") if resource.namespaced else ""
    if resource.namespaced:
        metadata["namespace"] = namespace
    elif "namespace" in metadata:
        raise ValueError(f"{resource.kind} {metadata.get('name')} has a namespace")
    version = metadata.pop("resourceVersion", None)
    if version is None:
        metadata.setdefault("uid", _seed_uid(resource, namespace, metadata["name"]))
        metadata.setdefault("creationTimestamp", rest.now_text())
        if resource.counts_generation:
            metadata.setdefault("generation", 1)
        given = document.get("status")
        strategy.apply_defaults(resource, document)
        if given:
            document["status"] = given
    obj = rest.ordered(document)
    if version is None:
        server.store.put(resource, namespace, obj)
    else:
        obj["metadata"] = store.stamped(obj["metadata"], version)
        server.store.seed(resource, namespace, obj, int(version))


def _seed_uid(resource, namespace, name):
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{resource.name}/{namespace}/{name}"))


_BASE_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


def _add_base_namespaces(server):
    from kubeapi import resources

    namespaces = resources.find("", "v1", "namespaces")
    for name in _BASE_NAMESPACES:
        if not server.store.get(namespaces, "", name):
            document = {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name},
            }
            _seed_one(server, document)


def build_server(options):
    """The Server that the options describe."""
    from kubeapi import admission, authn, authz, reqlog, server, store, tls

    front_proxy = (
        tls.Verifier(options.front_proxy_ca) if options.front_proxy_ca else None
    )
    clients = tls.Verifier(options.client_ca) if options.client_ca else None
    tokens = authn.read_token_file(options.token_file) if options.token_file else {}
    names = [n for n in (options.front_proxy_names or "").split(",") if n]
    authenticator = authn.Authenticator(
        front_proxy, names, clients, tokens, not options.no_anonymous
    )
    rules = authz.read_rules(options.rbac) if options.rbac else None
    log = reqlog.RequestLog(options.log)
    built = server.Server(
        options, store.Store(), authenticator, authz.Authorizer(rules), log
    )
    if options.webhook:
        built.rest.webhook = admission.Webhook(
            options.webhook.split(","), options.webhook_ca, options.webhook_cert, options.webhook_key,
            commit_delay=options.webhook_commit_delay_ms / 1000,
        )  # fmt: skip
    if options.webhooks:
        from kubeapi import policies, resources

        def registered(plural):
            return resources.find("admissionregistration.k8s.io", "v1", plural)

        kinds = {
            "configurations": registered("validatingwebhookconfigurations"),
            "namespaces": resources.find("", "v1", "namespaces"),
        }
        stored = policies.Policies(
            built.store, registered("validatingadmissionpolicies"),
            registered("validatingadmissionpolicybindings"),
        )  # fmt: skip
        built.rest.webhook = admission.Configured(
            built.store, kinds, options.webhook_cert, options.webhook_key, stored
        )
    for path in options.seed:
        _load_seed(built, path)
    if not options.bare:
        _add_base_namespaces(built)
    if options.compact_seed:
        built.store.compact()
    if options.faults:
        with open(options.faults, "rb") as f:
            built.faults.load(f.read())
    return built


async def serve(options, built):
    from kubeapi import tls

    alpn = ["http/1.1"] if options.no_h2 else ["h2", "http/1.1"]
    context = tls.server_context(options.cert, options.key, alpn)
    host, _, port = options.listen.rpartition(":")
    listener = await asyncio.start_server(
        lambda r, w: built.accept(r, w, context),
        host.strip("[]"),
        int(port),
        backlog=1024,
    )
    address = listener.sockets[0].getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    built.address = f"{shown}:{address[1]}"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    process.say_ready(built.address)
    await stop.wait()
    listener.close()


def parser():
    p = argparse.ArgumentParser(
        description="A test double of the Kubernetes API server."
    )
    p.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    p.add_argument("--cert", required=True)
    p.add_argument("--key", required=True)
    p.add_argument("--client-ca", help="CA of ordinary client certificates (CN, O)")
    p.add_argument("--front-proxy-ca", help="CA of the front proxy's certificate")
    p.add_argument(
        "--front-proxy-names", help="allowed CNs, comma separated (none: any)"
    )
    p.add_argument("--token-file", help='token,user,uid,"group,...",extra key,value in each line')
    p.add_argument(
        "--no-anonymous", action="store_true", help="401 without credentials"
    )
    p.add_argument(
        "--rbac", metavar="FILE", help="rules (kubeapi/authz.py); default: allow"
    )
    p.add_argument("--log", metavar="FILE", help="a JSON line for each request")
    p.add_argument("--seed", metavar="FILE", action="append", default=[])
    p.add_argument("--bare", action="store_true", help="no default, kube-system, ...")
    p.add_argument(
        "--compact-seed", action="store_true", help="older than the seed is 410"
    )
    p.add_argument("--faults", metavar="FILE", help="misbehave (kubeapi/faults.py)")
    p.add_argument("--no-h2", action="store_true")
    p.add_argument(
        "--streams",
        default="raw",
        choices=("raw", "half", "channels", "refuse", "none"),
    )
    p.add_argument(
        "--log-lines", type=int, default=3, help="lines that a pod's log has"
    )
    p.add_argument("--log-interval-ms", type=int, default=200, help="with follow")
    p.add_argument(
        "--finish-deletion-ms", type=int, default=50,
        help="until deleted pods and namespaces are gone; -1: never",
    )  # fmt: skip
    p.add_argument("--bookmark-seconds", type=float, default=60.0)
    p.add_argument("--min-request-timeout", type=float, default=1800.0)
    p.add_argument("--webhook", metavar="URL,...", help="validates; failure is refusal")
    p.add_argument(
        "--webhooks", action="store_true",
        help="those of ValidatingWebhookConfigurations (kubeapi/admission.py)",
    )  # fmt: skip
    p.add_argument("--webhook-ca")
    p.add_argument("--webhook-cert")
    p.add_argument("--webhook-key")
    p.add_argument(
        "--webhook-commit-delay-ms", type=float, default=0,
        help="between its word and storing",
    )  # fmt: skip
    p.add_argument("--outlive-parent", action="store_true")
    return p


def main():
    options = parser().parse_args()
    if not options.outlive_parent:
        process.die_with_parent()
    options.started = email.utils.formatdate(usegmt=True)
    try:
        built = build_server(options)
        asyncio.run(serve(options, built))
    except (OSError, ValueError, ssl.SSLError) as e:
        sys.exit(f"apiserver: {e}")


if __name__ == "__main__":
    main()
