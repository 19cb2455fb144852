"""What a node says in the cluster of what it holds in force."""

import pytest

import lab as lab_module
from enforcerd import Enforcer
from kubelab import NATIVE, NATIVE_KINDS, Cluster, definition, make_pki, namespace, node, pod, thing
from lab import Lab, wait_until

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))
REPORTS = definition("ringfence.dev", "v1alpha1", "nodereports", "NodeReport", "Cluster")
PATH = f"/apis/{NATIVE}/nodereports/node-1"
WAIT_S = 60


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(["web"])
        yield lab


@pytest.fixture
def cluster(lab, tmp_path):
    pki = make_pki(tmp_path / "pki")
    with Cluster(lab.node, tmp_path / "cluster", pki, arguments=["--bookmark-seconds", "0.3"]) as it:
        yield it
    lab.node.exec(["nft", "flush", "ruleset"])


def counted(enforcer, result):
    labels = f'source="kubernetes",result="{result}"'
    return enforcer.metric(f"ringfence_kube_node_reports_total{{{labels}}}")


def policy(name, port, **more):
    spec = {"allow": {"ingress": [{"ports": [port]}]}, **more}
    return thing("Policy", name, "shop", spec=spec)


def get(cluster, path):
    if cluster.connection is None:
        cluster.ask("GET", "/version")
    return cluster.connection.request("GET", path)


def report(cluster):
    answer = get(cluster, PATH)
    return answer.json()["spec"] if answer.status == 200 else None


def up_to(cluster, resource="policies.ringfence.dev"):
    said = report(cluster) or {"inForce": []}
    return next((int(k["resourceVersion"]) for k in said["inForce"] if k["resource"] == resource), 0)


def version(cluster, name):
    answer = get(cluster, f"/apis/{NATIVE}/namespaces/shop/policies/{name}")
    return int(answer.json()["metadata"]["resourceVersion"])


def test_a_node_says_what_it_holds_in_force(lab, cluster, tmp_path):
    cluster.apply(*NATIVE_KINDS, REPORTS, namespace("shop"), node("node-1", *lab.node.v4),
                  pod("shop", "web", ips=lab.host("web").v4), policy("first", "80/tcp"))
    with Enforcer(lab.node, tmp_path, sources=[cluster.source(reportSeconds=1)]) as enforcer:
        wait_until(lambda: up_to(cluster) >= version(cluster, "first"), WAIT_S, "the first report")
        said = report(cluster)
        assert said["refused"] == [] and said["refusedMore"] == 0 and said["validSeconds"] == 30
        cluster.apply(policy("second", "443/tcp"))
        wait_until(lambda: up_to(cluster) >= version(cluster, "second"), WAIT_S, "the second")
        cluster.apply(policy("bad", "443"))
        wait_until(lambda: report(cluster)["refused"], WAIT_S, "what is refused")
        (refused,) = report(cluster)["refused"]
        assert (refused["resource"], refused["namespace"], refused["name"]) == (
            "policies.ringfence.dev", "shop", "bad")  # fmt: skip
        assert "[bad-port]" in refused["message"]
        cluster.apply(policy("third", "8080/tcp"))
        wait_until(lambda: up_to(cluster) >= version(cluster, "third"), WAIT_S, "others go on")
        cluster.apply(policy("bad", "443/tcp"))
        wait_until(lambda: not report(cluster)["refused"], WAIT_S, "it is mended")
        wait_until(lambda: counted(enforcer, "taken") >= 3, WAIT_S, "reports to be counted")
        cluster.faults({"path": f"^{PATH}", "do": "status", "code": 500})
        failed = counted(enforcer, "failed")
        cluster.apply(policy("fourth", "8443/tcp"))
        wait_until(lambda: counted(enforcer, "failed") > failed, WAIT_S, "failures to be counted")
        cluster.faults()
        wait_until(lambda: up_to(cluster) >= version(cluster, "fourth"), WAIT_S, "the report to be written")
