"""`kubectl ringfence` with Debian's kubectl, against a cluster (the double) through a kubeconfig."""

import json
import os
import shutil
import stat
import subprocess

import pytest
import yaml

import proxy_lab
from proxy_lab import ApiServer, client, pki_module
from kubectls import kubeconfig  # after proxy_lab, which knows where it is

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(not KUBECTL, reason="no kubectl")
NATIVE = "ringfence.dev/v1alpha1"
TOOLS = os.path.join(proxy_lab.BUILD, "policy-lang")

# `exec` is answered here: the double runs nothing. Everything else is kubectl's.
WRAPPER = """\
#!/bin/sh
for word; do
    if [ "$word" = exec ]; then
        echo "$*" >>{log}
        exec cat {flows}
    fi
done
exec {kubectl} "$@"
"""

# A socket is there before anybody listens at it, however short that is as a rule.
LATE = """\
#!/usr/bin/python3
import os, socket, sys, time

if "proxy" in sys.argv:
    path = sys.argv[sys.argv.index("--unix-socket") + 1]
    socket.socket(socket.AF_UNIX).bind(path)
    time.sleep(0.3)
    os.unlink(path)
os.execv({kubectl!r}, sys.argv)
"""


def pod(name, namespace, ip, node="worker-1", **labels):
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels,
                     "annotations": {"big": "x" * 1000}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i:1", "ports": [
            {"name": "pg", "containerPort": 5432}]}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    }  # fmt: skip


def native(kind, name, spec, namespace=None, **more):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": NATIVE, "kind": kind, "metadata": metadata, "spec": spec, **more}


def cluster():
    crds = subprocess.run(
        [f"{TOOLS}/ringfence", "schema", "-o", "crds"], capture_output=True, text=True, check=True
    )
    for crd in yaml.load_all(crds.stdout, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        crd["spec"]["versions"][0].pop("schema")  # the double does not look at it
        yield crd
    for name in ("shop", "bi", "ringfence"):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker-1"}}
    yield pod("web", "shop", "10.0.0.1", app="web")
    yield pod("db", "shop", "10.0.0.2", app="db")
    yield pod("etl", "bi", "10.0.0.3", node="worker-2", app="etl")
    for node in ("worker-1", "worker-2"):
        yield pod(f"enforcer-{node}", "ringfence", f"192.0.2.{node[-1]}", node,
                  **{"app.kubernetes.io/name": "ringfence-enforcer"})  # fmt: skip
    yield native("Namespace", "acme", {"path": "/acme/shop", "kubernetes": {"namespaces": ["shop"]}})
    conditions = [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
         "lastTransitionTime": "2026-11-22T15:57:58Z", "observedGeneration": 1},
        {"type": "InForce", "status": "False", "reason": "Partly", "message": "1 of 2 nodes",
         "lastTransitionTime": "2026-11-22T15:57:58Z", "observedGeneration": 1},
    ]  # fmt: skip
    yield native("Policy", "db", {
        "workloads": {"matchLabels": {"app": "db"}},
        "allow": {"ingress": [{"name": "from-web", "ports": ["pg"],
                               "from": [{"workloads": {"matchLabels": {"app": "web"}}}]}]},
    }, "shop", status={"conditions": conditions})  # fmt: skip


def flow(src, dst, verdict="deny"):
    return json.dumps({
        "time": "2026-11-26T12:00:00.000000Z", "verdict": verdict, "direction": "ingress",
        "src": {"address": src, "port": 40000}, "dst": {"address": dst, "port": 5432}, "protocol": "tcp",
        "reason": "policy", "count": 1,
    })  # fmt: skip


def write_program(path, text):
    with open(path, "w") as f:
        f.write(text)
        os.fchmod(f.fileno(), stat.S_IRWXU)


class Lab:
    def __init__(self, directory):
        self.directory = str(directory)
        self.pki = pki_module.make_standard(os.path.join(self.directory, "pki"))
        seed = os.path.join(self.directory, "seed.json")
        with open(seed, "w") as f:
            json.dump({"kind": "List", "items": list(cluster())}, f)
        self.api = ApiServer(self.directory, self.pki, ["--seed", seed, "--streams", "channels"])
        self.flows = os.path.join(self.directory, "flows.jsonl")
        self.execs = os.path.join(self.directory, "execs.jsonl")
        bin = os.path.join(self.directory, "bin")
        os.mkdir(bin)
        kubectl = WRAPPER.format(log=self.execs, flows=self.flows, kubectl=KUBECTL)
        write_program(os.path.join(bin, "kubectl"), kubectl)
        self.environment = {
            "HOME": self.directory, "PATH": f"{bin}:{TOOLS}:{os.environ['PATH']}",
            "KUBECONFIG": self.kubeconfig(),
        }  # fmt: skip

    def kubeconfig(self):
        def pem(name):
            return os.path.join(self.pki, name)

        path = os.path.join(self.directory, "kubeconfig")
        user = {"client-certificate": pem("admin.crt"), "client-key": pem("admin.key")}
        with open(path, "w") as f:
            f.write(
                kubeconfig(self.api.url, pem("cluster-ca.crt"), user, "east", namespace="shop")
            )
        return path

    def __call__(self, *words, text=None):
        return subprocess.run(
            ["kubectl", "ringfence", *words], capture_output=True, text=True, input=text,
            env=self.environment, timeout=120, check=False,
        )  # fmt: skip

    def faults(self, *rules):
        context = client.client_context(
            *(os.path.join(self.pki, n) for n in ("cluster-ca.crt", "admin.crt", "admin.key"))
        )
        with client.Connection("127.0.0.1", self.api.port, context) as c:
            body = json.dumps(list(rules)).encode()
            assert c.request("PUT", "/test/faults", body=body).status == 200


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("plugin"))
    yield made
    made.api.stop()


def left_behind():
    return {name for name in os.listdir("/tmp") if name.startswith("kubectl-ringfence.")}


def test_can_takes_pods_as_kubectl_names_them(lab):
    before = left_behind()
    done = lab("can", "web", "db", "5432")
    assert (done.returncode, done.stdout) == (0, "allow\n"), done.stderr
    done = lab("can", "bi/etl", "pod/db", "5432/tcp")
    assert (done.returncode, done.stdout) == (1, "deny\n"), done.stderr
    done = lab("can", "-n", "bi", "etl", "shop/db", "5432")
    assert done.returncode == 1
    # Whoever else asks meanwhile takes his away.
    proxy_lab.wait_until(lambda: left_behind() <= before, what="nothing left")


def test_kubectl_that_does_not_listen_yet_is_waited_for(lab, tmp_path):
    write_program(tmp_path / "kubectl", LATE.format(kubectl=KUBECTL))
    environment = {**lab.environment, "PATH": f"{tmp_path}:{lab.environment['PATH']}"}
    done = subprocess.run(
        ["kubectl-ringfence", "can", "web", "db", "5432"], capture_output=True, text=True,
        env=environment, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "allow\n"), done.stderr


def test_explain_names_the_object_and_its_line(lab):
    done = lab("explain", "web", "db", "5432")
    assert done.returncode == 0, done.stderr
    assert "live/Policy/shop/db.json:" in done.stdout
    assert "from-web" in done.stdout


def test_list_passes_options_on(lab):
    done = lab("list", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = {(c["src"], c["dst"]): c["conn"] for c in json.loads(done.stdout)}
    assert found["shop/web[Pod]", "shop/db[Pod]"] == "TCP 5432"
    assert ("bi/etl[Pod]", "shop/db[Pod]") not in found


def test_diff_puts_files_in_the_place_of_what_there_is(lab, tmp_path):
    change = native("Policy", "db", {
        "workloads": {"matchLabels": {"app": "db"}},
        "allow": {"ingress": [{"ports": ["pg"], "from": [{"namespace": "/bi"}]}]},
    }, "shop")  # fmt: skip
    path = tmp_path / "change.yaml"
    path.write_text(yaml.safe_dump(change))
    done = lab("diff", "-f", str(path))
    assert done.returncode == 1, done.stderr
    assert "+ bi/etl[Pod] => shop/db[Pod] : TCP 5432" in done.stdout
    assert "- shop/web[Pod] => shop/db[Pod] : TCP 5432" in done.stdout
    same = lab("diff", "-f", "-", text=yaml.safe_dump(list(cluster())[-1]))
    assert same.returncode == 0 and same.stdout == "nothing differs\n", same.stdout + same.stderr
    homeless = lab("diff", "-f", "-", text=yaml.safe_dump(native("Policy", "x", {"allow": {}})))
    assert homeless.returncode == 2 and "does not say its namespace" in homeless.stderr
    assert lab("diff").returncode == 2


def test_flows_are_asked_of_the_pods_node(lab):
    with open(lab.flows, "w") as f:
        lines = [flow("10.0.0.9", "10.0.0.2"), flow("10.0.0.3", "10.0.0.8")]
        f.write("\n".join(lines) + "\n")
    done = lab("flows", "db", "--count", "7")
    assert done.stdout == lines[0] + "\n", done.stderr
    with open(lab.execs) as f:
        assert f.readlines()[-1] == (
            "exec --namespace ringfence enforcer-worker-1 --container enforcer -- "
            "ringfence-enforcer flows --count 7\n"
        )
    both = lab("flows")
    assert both.stdout.splitlines() == 2 * lines
    assert lab("flows", "--enforcer-namespace", "elsewhere").returncode == 2


def test_a_live_denial_is_explained(lab):
    with open(lab.flows, "w") as f:
        f.write(flow("10.0.0.3", "10.0.0.2") + "\n" + flow("10.0.0.1", "10.0.0.2", "allow") + "\n")
    done = lab("explain", "--denied", "db")
    assert done.returncode == 0 and done.stdout.startswith("deny: bi/etl"), done.stderr
    assert "the last denied: 10.0.0.3 -> 10.0.0.2 5432/tcp, on worker-1" in done.stderr
    assert "live/Policy/shop/db.json:" in done.stdout and "bi/etl" in done.stdout
    done = lab("explain", "--denied", "web")
    assert done.returncode == 2 and "has denied nothing of it lately" in done.stderr


def test_status_is_what_the_documents_say(lab):
    done = lab("status", "-o", "json")
    rows = {(r["kind"], r["namespace"], r["name"]): r for r in json.loads(done.stdout)}
    row = rows["Policy", "shop", "db"]
    assert (row["accepted"], row["inForce"], row["message"]) == ("True", "False", "1 of 2 nodes")
    assert rows["Namespace", "", "acme"]["accepted"] == "-"
    text = lab("status").stdout
    assert [line.split() for line in text.splitlines() if "shop/db" in line] == [
        ["Policy", "shop/db", "True", "False", "1", "of", "2", "nodes"]
    ]


def test_what_may_not_be_read_is_said(lab):
    status = {"kind": "Status", "reason": "Forbidden", "message": "policies is forbidden", "code": 403}
    refused = {"path": f"^/apis/{NATIVE}/policies", "do": "raw", "code": 403,
               "headers": [["content-type", "application/json"]], "body": json.dumps(status)}  # fmt: skip
    lab.faults(refused)
    try:
        done = lab("can", "bi/etl", "db", "5432")
        assert done.returncode == 1, done.stderr
        assert "policies are only those of the namespace shop" in done.stderr
        done = lab("can", "-n", "bi", "etl", "shop/db", "5432")
        assert (done.returncode, done.stdout) == (0, "allow\n"), "and the policy of shop is not known"
        assert "policies are only those of the namespace bi" in done.stderr
    finally:
        lab.faults()


def test_no_answer_is_made_of_what_is_not_known(lab):
    lab.faults({"path": f"^/apis/{NATIVE}/policies", "do": "status", "code": 500})
    try:
        done = lab("can", "bi/etl", "db", "5432")
        assert (done.returncode, done.stdout) == (2, "")
        assert "policies cannot be read: (InternalError)" in done.stderr
    finally:
        lab.faults()


def test_mistakes_are_told_and_end_with_2(lab):
    for words in (["nonsense"], ["can", "a"], ["flows", "--follow"], ["explain", "--denied"],
                  ["status", "-o", "xml"], ["list", "-n"]):  # fmt: skip
        done = lab(*words)
        assert done.returncode == 2 and done.stderr, words
    assert lab("--help").returncode == 0
    gone = lab("list", "--server", "https://127.0.0.1:1")
    assert gone.returncode == 2 and "cannot be read" in gone.stderr
