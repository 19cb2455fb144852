"""Real clients through the gate: kubectl, the Python client of Kubernetes, curl."""

import json
import os
import shutil
import socket
import subprocess
import uuid

import pytest

from proxy_lab import header_values, lab, process, wait_until  # noqa: F401
from kubectls import PROGRAMS, kubeconfig  # after proxy_lab, which knows where it is

pytestmark = [
    pytest.mark.parametrize(
        "lab", [{"api_arguments": ["--streams", "channels"]}], indirect=True
    )
]
needs_kubectl = pytest.mark.skipif(not PROGRAMS, reason="no kubectl")
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="no curl")


def fresh(name):
    """A name that nothing has yet: clients share what there is."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=PROGRAMS)
def kubectl(request, lab, tmp_path):
    """kubectl(arguments, input=None): its standard output; `check=False`: the process."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        kubeconfig(
            f"https://127.0.0.1:{lab.gate.port}",
            os.path.join(lab.pki, "gate-ca.crt"),
            {"token": lab.gate.token()},
            namespace="shop-prod",
        )
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KUBECONFIG": str(path),
    }

    def run(*arguments, input=None, check=True, start=False):
        argv = [request.param, "--request-timeout=20s", *arguments]
        if start:
            return process.popen(
                [request.param, *arguments],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        done = subprocess.run(
            argv,
            env=environment,
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check:
            assert done.returncode == 0, done.stderr
            return done.stdout
        return done

    return run


@needs_kubectl
def test_kubectl_reads_and_writes(kubectl):
    assert "web-0" in kubectl("get", "pods")
    assert "web-0" in kubectl("get", "pods", "-o", "name")
    assert "Name:" in kubectl("describe", "pod", "web-0")
    manifest = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "by-kubectl"},
            "data": {"a": "b"},
        }
    )
    assert "created" in kubectl("apply", "--validate=false", "-f", "-", input=manifest)
    changed = manifest.replace('"b"', '"c"')
    assert "configured" in kubectl("apply", "--validate=false", "-f", "-", input=changed)
    assert kubectl("get", "configmap", "by-kubectl", "-o", "jsonpath={.data.a}") == "c"
    assert "deleted" in kubectl("delete", "configmap", "by-kubectl")


@needs_kubectl
def test_kubectl_shows_a_refusal_as_the_api_server_words_it(kubectl):
    done = kubectl("get", "pods", "-n", "globex-prod", check=False)
    assert done.returncode != 0
    assert "Error from server (Forbidden)" in done.stderr
    assert 'User "alice" cannot list resource "pods"' in done.stderr
    done = kubectl("get", "pods", "--as", "root", check=False)
    assert done.returncode != 0
    assert "cannot impersonate" in done.stderr
    done = kubectl("get", "pods", "--token", "nonsense", check=False)
    assert done.returncode != 0
    assert "Unauthorized" in done.stderr or "logged in" in done.stderr


@needs_kubectl
def test_kubectl_watches(kubectl):
    watch = kubectl("get", "configmaps", "-w", "-o", "name", start=True)
    try:
        line = b""

        def wanted(text):
            nonlocal line
            line = watch.stdout.readline()
            return text in line

        name = fresh("watched")
        kubectl("create", "configmap", name, "--from-literal=a=b")
        wait_until(lambda: wanted(name.encode()), what="the event")
    finally:
        watch.kill()
        watch.wait()
        watch.stdout.close()


@needs_kubectl
def test_kubectl_follows_logs(kubectl):
    logs = kubectl("logs", "-f", "web-0", start=True)
    try:
        assert logs.stdout.readline()
        assert logs.stdout.readline()
    finally:
        logs.kill()
        logs.wait()
        logs.stdout.close()


def users_of(lab, path, since=0):
    """Who the API server took for the client of each such request, past so many."""
    return [r["user"] for r in lab.api.requests()[since:] if path in r["target"]]


@needs_kubectl
def test_kubectl_executes(lab, kubectl):
    """By SPDY; by WebSocket, where kubectl knows how (1.30 and later)."""
    since = len(lab.api.requests())
    text = "hello\n" * 20000
    assert kubectl("exec", "-i", "web-0", "--", "cat", input=text) == "cat\n" + text
    assert kubectl("exec", "web-0", "--", "ls", "-l") == "ls -l\n"
    assert users_of(lab, "/exec", since) == ["alice", "alice"]


@needs_kubectl
def test_kubectl_attaches(lab, kubectl):
    since = len(lab.api.requests())
    done = kubectl("attach", "-i", "web-0", input="typed\n")
    assert done.endswith("attached\ntyped\n")
    assert users_of(lab, "/attach", since) == ["alice"]


@needs_kubectl
def test_kubectl_executes_nothing_for_who_may_not(lab, kubectl):
    done = kubectl("exec", "-n", "globex-prod", "web-0", "--", "id", check=False)
    assert done.returncode != 0
    assert "Error from server (Forbidden)" in done.stderr
    assert users_of(lab, "/globex-prod/pods/web-0") == []


@needs_kubectl
def test_kubectl_forwards_ports(lab, kubectl):
    """Several connections at once over one upgraded connection, each with its own end."""
    since = len(lab.api.requests())
    pod = json.loads(kubectl("get", "pod", "web-0", "-o", "json"))
    pod["status"]["phase"] = "Running"
    path = "/api/v1/namespaces/shop-prod/pods/web-0/status"
    kubectl("replace", "--raw", path, "-f", "-", input=json.dumps(pod))
    forward = kubectl("port-forward", "web-0", ":80", "--address", "127.0.0.1", start=True)
    try:
        line = forward.stdout.readline().decode()
        assert line.startswith("Forwarding from 127.0.0.1:"), line
        port = int(line.split(":")[1].split()[0])
        with socket.create_connection(("127.0.0.1", port), 20) as first, \
                socket.create_connection(("127.0.0.1", port), 20) as second:
            for number, connection in enumerate((second, first)):
                sent = bytes([number]) * 100000
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                with connection.makefile("rb") as answer:
                    assert answer.read() == sent
    finally:
        forward.kill()
        forward.wait()
        forward.stdout.close()
    assert users_of(lab, "/portforward", since) == ["alice"]


@needs_curl
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_uploads_and_downloads(lab, tmp_path, version):
    data = tmp_path / "data"
    data.write_bytes(os.urandom(5_000_000))
    base = [
        "curl",
        "-sS",
        version,
        "--cacert",
        os.path.join(lab.pki, "gate-ca.crt"),
        "-H",
        f"Authorization: Bearer {lab.gate.token()}",
        "--max-time",
        "30",
    ]
    url = f"https://127.0.0.1:{lab.gate.port}"
    sent = subprocess.run(
        [*base, "--data-binary", f"@{data}", f"{url}/test/sink"],
        capture_output=True,
        text=True,
    )
    import hashlib

    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    assert sent.stdout.split() == ["5000000", digest], sent.stderr
    got = subprocess.run(
        [*base, f"{url}/test/bytes?n=5000000"], capture_output=True
    )
    assert len(got.stdout) == 5_000_000, got.stderr


# ---- the Python client: HTTP/1.1 by urllib3, exec by WebSocket ----


@pytest.fixture
def api(lab):
    client = pytest.importorskip("kubernetes.client")
    configuration = client.Configuration()
    configuration.host = f"https://127.0.0.1:{lab.gate.port}"
    configuration.ssl_ca_cert = os.path.join(lab.pki, "gate-ca.crt")
    configuration.api_key = {"authorization": f"Bearer {lab.gate.token()}"}
    with client.ApiClient(configuration) as connection:
        yield client.CoreV1Api(connection)


def test_python_client_reads_writes_and_watches(api):
    from kubernetes import client, watch

    names = [p.metadata.name for p in api.list_namespaced_pod("shop-prod").items]
    assert {"web-0", "web-1"} <= set(names)
    found = api.list_pod_for_all_namespaces(limit=1)
    assert found.metadata._continue and len(found.items) == 1
    version = api.list_namespaced_config_map("shop-prod").metadata.resource_version
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="by-python"), data={"a": "b"})
    api.create_namespaced_config_map("shop-prod", body)
    api.patch_namespaced_config_map("by-python", "shop-prod", {"data": {"a": "c"}})
    api.delete_namespaced_config_map("by-python", "shop-prod")
    events = watch.Watch().stream(
        api.list_namespaced_config_map, "shop-prod", resource_version=version,
        timeout_seconds=30,
    )  # fmt: skip
    kinds = []
    for event in events:
        if event["object"].metadata.name == "by-python":
            kinds.append((event["type"], (event["object"].data or {}).get("a")))
        if event["type"] == "DELETED":
            break
    assert [k for k, _ in kinds] == ["ADDED", "MODIFIED", "DELETED"]
    assert [value for _, value in kinds[:2]] == ["b", "c"]
    with pytest.raises(client.ApiException) as refused:
        api.list_namespaced_pod("globex-prod")
    assert refused.value.status == 403
    assert 'User "alice" cannot list' in json.loads(refused.value.body)["message"]


def test_python_client_follows_logs(api):
    lines = api.read_namespaced_pod_log(
        "web-0", "shop-prod", follow=True, _preload_content=False
    )
    try:
        assert lines.readline() and lines.readline()
    finally:
        lines.release_conn()


def test_python_client_executes_by_websocket(lab, api):
    """As kubectl does from 1.30 on."""
    from kubernetes import stream

    session = stream.stream(
        api.connect_get_namespaced_pod_exec, "web-0", "shop-prod", command=["cat"],
        stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False,
    )  # fmt: skip
    try:
        # The double says what it was asked to run, and echoes. This client waits for the socket
        # though a message may be in what TLS has deciphered: every further one wakes it.
        lines = []
        for _ in range(30):
            session.write_stdin("hello\n")
            line = session.readline_stdout(timeout=1)
            lines += [line] if line else []
            if len(lines) == 2:
                break
        assert lines == ["cat", "hello"]
    finally:
        session.close()
    seen = [r for r in lab.api.requests() if "/exec" in r["target"]][-1]
    assert (seen["user"], seen["method"]) == ("alice", "GET")
    assert header_values(seen, "sec-websocket-protocol") == ["v4.channel.k8s.io"]
    assert header_values(seen, "authorization") == []


# ---- across namespaces ----


@needs_kubectl
def test_kubectl_lists_all_namespaces(lab, kubectl):
    for name in (fresh("other") for _ in range(3)):
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "globex-prod"},
        }
        path = "/api/v1/namespaces/globex-prod/configmaps"
        headers = [("Content-Type", "application/json")]
        assert lab.as_admin("POST", path, json.dumps(body).encode(), headers).status == 201
    for arguments in ([], ["-o", "wide"], ["-o", "json"], ["--chunk-size", "1"],
                      ["-o", "name", "--chunk-size", "2"], ["--sort-by", ".metadata.name"],
                      ["-o", "custom-columns=N:.metadata.namespace,M:.metadata.name"]):  # fmt: skip
        out = kubectl("get", "pods", "-A", *arguments)
        assert "web-0" in out and "web-1" in out, arguments
        assert "globex" not in out
    assert "globex" not in kubectl("get", "configmaps,pods", "-A", "--chunk-size", "1")
    assert "No resources found" in kubectl("get", "services", "-A", check=False).stderr
    lines = kubectl("get", "namespaces").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["shop-dev", "shop-prod"]
    done = kubectl("get", "secrets", "-A", check=False)
    assert "Error from server (Forbidden)" in done.stderr
    done = kubectl("get", "nodes", check=False)
    assert done.returncode != 0 or "No resources found" in done.stderr


@needs_kubectl
def test_kubectl_watches_all_namespaces(lab, kubectl):
    appears = fresh("appears")
    watch = kubectl("get", "configmaps", "-A", "-w", "--no-headers", start=True)
    seen = b""
    try:
        wait_until(
            lambda: any("configmaps" in r["target"] and r["verb"] == "watch"
                        for r in lab.api.requests()), what="the watch")  # fmt: skip
        for namespace in ("globex-prod", "shop-dev"):
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": appears, "namespace": namespace},
            }
            path = f"/api/v1/namespaces/{namespace}/configmaps"
            headers = [("Content-Type", "application/json")]
            assert lab.as_admin("POST", path, json.dumps(body).encode(), headers).status == 201
        while appears.encode() not in seen:
            seen += watch.stdout.readline()
    finally:
        watch.kill()
        watch.wait()
        watch.stdout.close()
    assert b"shop-dev" in seen and b"globex" not in seen
