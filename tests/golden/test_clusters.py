"""Several clusters in one tree: a Kubernetes policy sees its own cluster only, native
documents see all of them. Expected answers come from the text of the two languages.
"""

import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

TREE = """
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {name: /acme/shop}
spec:
  kubernetes: {cluster: east, namespaces: [shop, west/shop]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {name: db, namespace: /acme/shop, labels: {app: db}}
spec: {cluster: east, node: n1, ips: [10.0.5.1, "fd00:0:5::1"]}
---
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {name: bare, namespace: /acme/shop, labels: {app: web}}
spec: {ips: [10.0.6.1, "fd00:0:6::1"]}
"""

CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1}
status: {podIPs: [{ip: 10.NUMBER.0.1}, {ip: "fd00:NUMBER::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n1}
status: {podIPs: [{ip: 10.NUMBER.0.2}, {ip: "fd00:NUMBER::2"}]}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 10.9.NUMBER.1}]}
"""

ADMIN = """
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: one}
spec:
  tier: Admin
  priority: 1
"""

NETPOL = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: one, namespace: shop}
"""

NATIVE = """
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: one, namespace: /acme/shop}
"""

ALL = "  subject: {namespaces: {}}\n"
DENY_ALL = "ingress: [{action: Deny, from: [{namespaces: {}}]}]\n"

# What stands in east, what in the tree, options, questions and answers.
CASES = {
    "subjects are of the policy's cluster": (
        ADMIN + ALL + "  " + DENY_ALL,
        "",
        [],
        {
            "east/shop/db east/shop/web 80/tcp": "deny",
            "west/shop/db west/shop/web 80/tcp": "allow",
            "east/shop/web /acme/shop/db[Workload] 80/tcp": "deny",
            "east/shop/web /acme/shop/bare 80/tcp": "allow",
        },
    ),
    "and so are peers": (
        ADMIN + ALL + "  " + DENY_ALL,
        "",
        [],
        {
            "west/shop/db east/shop/web 80/tcp": "allow",
            "/acme/shop/bare east/shop/web 80/tcp": "allow",
            "/acme/shop/db[Workload] east/shop/web 80/tcp": "deny",
        },
    ),
    "a namespaceSelector of a NetworkPolicy sees its cluster": (
        NETPOL + "spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}\n",
        "",
        [],
        {
            "east/shop/db east/shop/web 80/tcp": "allow",
            "west/shop/db east/shop/web 80/tcp": "deny",
            "west/shop/db west/shop/web 80/tcp": "allow",
        },
    ),
    "to an ipBlock the other cluster is the outside": (
        NETPOL + 'spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}\n',
        "",
        ["--ip-blocks-match-pods=never"],
        {
            "10.1.0.2 10.1.0.1 80/tcp": "deny",
            "10.2.0.2 10.1.0.1 80/tcp": "allow",
            "10.0.5.1 10.1.0.1 80/tcp": "deny",
            "10.0.6.1 10.1.0.1 80/tcp": "allow",
            "fd00:2::2 fd00:1::1 80/tcp": "deny",
        },
    ),
    "networks match the pods of every cluster": (
        ADMIN + ALL + '  egress: [{action: Deny, to: [{networks: [10.2.0.0/16, "fd00:2::/64"]}]}]\n',
        "",
        [],
        {
            "10.1.0.1 10.2.0.1 80/tcp": "deny",
            "fd00:1::1 fd00:2::1 80/tcp": "deny",
            "10.1.0.1 10.1.0.2 80/tcp": "allow",
        },
    ),
    "nodes are of the policy's cluster": (
        ADMIN + ALL + "  egress: [{action: Deny, to: [{nodes: {}}]}]\n",
        "",
        [],
        {
            "east/shop/web node/east/n1 22/tcp": "deny",
            "east/shop/web node/west/n1 22/tcp": "allow",
        },
    ),
    "native documents see the whole tree": (
        "",
        NATIVE + "spec: {mandatory: {ingress: [{action: deny, from: [{workloads: {}}]}]}}\n",
        [],
        {
            "east/shop/db west/shop/web 80/tcp": "deny",
            "west/shop/db /acme/shop/bare 80/tcp": "deny",
        },
    ),
    "a native peer may name a cluster": (
        "",
        NATIVE
        + "spec:\n  mandatory:\n    ingress:\n"
        + "      - {action: deny, from: [{cluster: west}, {node: n1, cluster: east}]}\n",
        [],
        {
            "west/shop/db east/shop/web 80/tcp": "deny",
            "east/shop/db east/shop/web 80/tcp": "allow",
            "node/east/n1 west/shop/web 80/tcp": "deny",
            "node/west/n1 east/shop/web 80/tcp": "allow",
            "node/east/n1 east/shop/web 80/tcp": "allow",  # its own node
        },
    ),
    "names say which cluster they mean": (
        "",
        "",
        [],
        {
            "shop/web 192.0.2.1 80/tcp": "error",
            "/acme/shop/web 192.0.2.1 80/tcp": "error",
            "west/shop/web 192.0.2.1 80/tcp": "allow",
            "shop/bare 192.0.2.1 80/tcp": "allow",
            "west/shop/bare 192.0.2.1 80/tcp": "allow",
            "node/n1 east/shop/web 80/tcp": "error",
            "north/shop/web 192.0.2.1 80/tcp": "error",
        },
    ),
}


def written(tmp_path, east, tree):
    options = []
    for number, name in ((1, "east"), (2, "west")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.yaml").write_text(CLUSTER.replace("NUMBER", str(number)))
        options.append(f"--cluster={name}={tmp_path / name}")
    (tmp_path / "east" / "policy.yaml").write_text(east)
    (tmp_path / "tree.yaml").write_text(TREE + "---" + tree if tree else TREE)
    return options


@pytest.mark.parametrize("name", CASES)
def test_cluster(tmp_path, name):
    east, tree, more, questions = CASES[name]
    options = written(tmp_path, east, tree) + more
    done = rf.run("can", *options, tmp_path, "--batch", "-", stdin="\n".join(questions))
    assert dict(zip(questions, done.stdout.split())) == questions, done.stderr


def test_one_named_cluster_has_everything(tmp_path):
    """Policy in a directory of its own is for the only cluster that there is."""
    (tmp_path / "dump").mkdir()
    (tmp_path / "dump" / "all.yaml").write_text(CLUSTER.replace("NUMBER", "1"))
    (tmp_path / "policy.yaml").write_text(NETPOL + "spec: {podSelector: {}}\n")
    done = rf.run(
        "can", f"--cluster=only={tmp_path / 'dump'}", tmp_path, "--", "shop/db", "shop/web", "80/tcp"
    )
    assert (done.returncode, done.stdout) == (1, "deny\n"), done.stderr


def test_program_is_one_clusters_node(tmp_path):
    options = written(tmp_path, NETPOL + "spec: {podSelector: {}}\n", "")
    done = rf.run("compile", *options, tmp_path, "--node", "east/n1", "-o", "json")
    assert done.returncode == 0, done.stderr
    cells = json.dumps(json.loads(done.stdout))
    assert "10.1.0.1" in cells and "/east/policy.yaml" in cells
    other = rf.run("compile", *options, tmp_path, "--node", "west/n1", "-o", "json")
    assert other.returncode == 0 and "/east/policy.yaml" not in other.stdout
    unclear = rf.run("compile", *options, tmp_path, "--node", "n1", "-o", "json")
    assert 'one node "n1"' in unclear.stderr and "east/n1, west/n1" in unclear.stderr


def test_workload_on_a_node_that_two_clusters_have_must_say_which(tmp_path):
    options = written(tmp_path, "", TREE.split("---")[1].replace("cluster: east, ", "").replace("db,", "x,"))
    done = rf.run("check", *options, tmp_path, "-o", "json")
    found = [(d["code"], d["line"]) for d in json.loads(done.stdout) if d["severity"] == "error"]
    assert [code for code, _ in found] == ["which-cluster"] and done.returncode == 2
