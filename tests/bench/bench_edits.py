#!/usr/bin/env python3
"""What one edit of each kind of document takes of the daemon of one node: the path that is
taken, and the processor's time, for what comes, what takes its place, and what goes.

`here` is a namespace that has workloads on the node, `elsewhere` one that has none. Each
document is a source, as each object of a watched cluster is. Where the path is `node` the
node's program was compiled anew, where it is `whole` all sources were loaded: those are the
exceptions, and targets count them.
"""

import json
import pathlib
import sys
import tempfile

from cluster import Place
from measure import Cluster, arguments, helper, result, run, target

NODE = 2  # whose edits are measured
ROUNDS = 15
POLICIES, WORKLOADS = 2000, 20000
NODE_SIZES = (110, 549)

API = "apiVersion: ringfence.dev/v1alpha1\n"
#: Always there: a name for the outside, and who names it.
CARDS = API + ("kind: ExternalNetwork\nmetadata: {{name: cards, namespace: {path}}}\n"
               "spec: {{cidrs: [{cidr}]}}\n")
PAYS = API + ("kind: Policy\nmetadata: {{name: {name}, namespace: {path}}}\n"
              "spec: {{mandatory: {{egress: [{{action: deny, to: [{{external: cards}}], "
              "ports: [{port}/tcp]}}]}}}}\n")
POD = ("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {kube}, labels: "
       "{labels}}}\nspec: {{nodeName: {node}, containers: [{{name: main, ports: "
       "[{{name: http, containerPort: {port}}}]}}]}}\n"
       "status: {{podIP: {ip}, podIPs: [{{ip: {ip}}}]}}\n")
NODE_DOC = ("apiVersion: v1\nkind: Node\nmetadata: {{name: worker-99999, labels: {{zone: z}}}}\n"
            "status: {{addresses: [{{type: InternalIP, address: {ip}}}]}}\n")
KUBE = ("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {kube}, labels: {{tenant: {tenant}, "
        "env: {env}}}}}\n")
TREE = API + ("kind: Namespace\nmetadata: {{name: {path}, labels: {{tenant: {tenant}}}}}\n"
              "spec: {{owners: [{owner}], kubernetes: {{namespaces: [{kube}]}}}}\n")
NETWORK_POLICY = ("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
                  "metadata: {{name: bench, namespace: {kube}}}\nspec: {{podSelector: {{}}, "
                  "ingress: [{{ports: [{{port: {port}}}]}}]}}\n")
ROUTE = API + "kind: Route\nmetadata: {{name: bench, namespace: {path}}}\nspec: {spec}\n"
OTHER = API + "kind: {kind}\nmetadata: {{name: bench, namespace: {path}}}\nspec: {spec}\n"
SERVICE = ("apiVersion: v1\nkind: Service\nmetadata: {{name: bench, namespace: {kube}}}\n"
           "spec: {{selector: {{app: x}}, clusterIP: 10.96.0.{last}, ports: [{{port: 80}}]}}\n")


def routes(here, elsewhere):
    """Of what leaves, what is published, and what is gone through."""
    leaves = "{{default: {{egress: [{{action: route, source: [192.0.2.{}]}}]}}}}"
    publishes = ("{{default: {{ingress: [{{action: publish, address: [192.0.2.80], "
                 "ports: [{}/tcp], to: [{{workloads: {{}}}}]}}]}}}}")
    via = ("{{default: {{via: [{{action: through, ports: [{}/tcp], to: [{{workloads: {{}}}}], "
           "through: {{workloads: {{matchLabels: {{tier: backend}}}}}}}}]}}}}")
    for name, spec, path in (
            ("route_leaves_here", leaves, here.path),
            ("route_leaves_elsewhere", leaves, elsewhere.path),
            ("route_publishes_here", publishes, here.path),
            ("route_publishes_elsewhere", publishes, elsewhere.path),
            ("route_via_here", via, here.path),
            ("route_via_elsewhere", via, elsewhere.path)):
        yield name, [ROUTE.format(path=path, spec=spec.format(number)) for number in (7, 8)]


def silent(here):
    """What means nothing to a node, and limits, which do."""
    for name, kind, spec, values in (
            ("quota_of_requests", "Quota", "{{requests: {{perSecond: {}}}}}", (1, 2)),
            ("quota_of_network_here", "Quota", "{{network: {{connections: {}}}}}", (100, 200)),
            ("access", "Access", "{{groups: [{}], default: [{{action: allow, verbs: [get], "
             "resources: [pods]}}]}}", ("a", "b")),
            ("test", "Test", "{{expect: [{{from: 192.0.2.1, to: 192.0.2.2, verdict: {}}}]}}",
             ("allow", "deny"))):
        yield name, [OTHER.format(kind=kind, path=here.path, spec=spec.format(value))
                     for value in values]


def pods(cluster, here):
    """Of this node and of others."""
    def pod(name, like, node, ip, port=8080):
        return POD.format(name=name, kube=like.place.kube, labels=json.dumps(like.labels),
                          node=cluster.nodes[node], ip=ip, port=port)
    apps = [w.app for w in cluster.workloads if w.node == NODE and not w.native]
    first = apps[0]
    others = [app for app in cluster.apps if app.place == here and app not in apps]
    new = others[0] if others else first
    far = cluster.workloads[NODE + 1].app
    return (
        ("pod_elsewhere", [pod("bench", app, NODE + 1, "10.250.0.1") for app in (far, first)]),
        ("pod_here", [pod("bench", app, NODE, "10.250.0.1") for app in (first, apps[1])]),
        ("pod_here_of_a_new_kind", [
            pod("bench", app, NODE, "10.250.0.1") for app in (new, first)]),
        ("pod_here_ports", [
            pod("bench", first, NODE, "10.250.0.1", port) for port in (8080, 8443)]))


ELSEWHERE = Place("/org/bench/far/prod", "bench-far-prod", "bench", "far", "prod", {})
ELSEWHERE_PODS = 50


def ends(cluster):
    """A namespace that has workloads on the node, and one that has none."""
    return next(w.place for w in cluster.workloads if w.node == NODE), ELSEWHERE


def more(cluster):
    """What the cluster has for this benchmark."""
    yield CARDS.format(path="/", cidr="203.0.113.0/24")
    for place in ends(cluster):
        yield PAYS.format(name="pays", path=place.path, port=443)
    yield TREE.format(path=ELSEWHERE.path, tenant="bench", owner="bench", kube=ELSEWHERE.kube)
    yield KUBE.format(kube=ELSEWHERE.kube, tenant="bench", env="prod")
    for i in range(1, ELSEWHERE_PODS + 1):
        yield POD.format(name=f"far-{i}", kube=ELSEWHERE.kube, labels="{tier: backend}",
                         node=cluster.nodes[NODE + 1], ip=f"10.251.0.{i}", port=8080)


def edits(cluster):
    """By name, the two documents of each."""
    here, elsewhere = ends(cluster)
    yield from pods(cluster, here)
    yield from routes(here, elsewhere)
    yield from silent(here)
    yield "service", [SERVICE.format(kube=here.kube, last=n) for n in (1, 2)]
    yield "node", [NODE_DOC.format(ip=ip) for ip in ("172.30.0.1", "172.30.0.2")]
    for name, place in (("here", here), ("elsewhere", elsewhere)):
        cidrs = ("192.0.2.0/24", "198.51.100.0/24")
        yield f"policy_{name}", [NETWORK_POLICY.format(kube=place.kube, port=port)
                                 for port in (80, 81)]
        yield f"external_named_{name}", [CARDS.format(path=place.path, cidr=cidr)
                                         for cidr in cidrs]
        yield f"external_names_{name}", [PAYS.format(
            name="bench", path=place.path, port=port)
                                         for port in (80, 81)]
        parent = place.path.rpartition("/")[0]
        head = f"# instead of name: {place.path}\n"
        yield f"place_{name}", [
            head + TREE.format(path=path, tenant=place.tenant, owner=place.tenant,
                               kube=place.kube) for path in (f"{parent}/moved", place.path)]
        yield f"owners_{name}", [
            head + TREE.format(path=place.path, tenant=place.tenant, owner=owner,
                               kube=place.kube) for owner in ("a", "b")]
        yield f"labels_{name}", [
            f"# instead of name: {place.kube}\n" + KUBE.format(
                kube=place.kube, tenant=place.tenant, env=env) for env in ("a", "b")]
    yield "external", [CARDS.format(path="/bench", cidr=cidr)
                       for cidr in ("192.0.2.0/24", "198.51.100.0/24")]


def point(policies, workloads, pods_per_node, rounds):
    """One size."""
    cluster = Cluster(1, policies, workloads, pods_per_node=pods_per_node)
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as directory:
        base, changes = pathlib.Path(directory, "base"), pathlib.Path(directory, "edits")
        cluster.write(base)
        changes.mkdir()
        (base / "30-more.yaml").write_text("---\n".join(more(cluster)), encoding="ascii")
        for name, texts in edits(cluster):
            (changes / f"{name}.yaml").write_text("---\n".join(texts), encoding="ascii")
        return json.loads(run(helper("bench-edits"), cluster.nodes[NODE], rounds, base,
                              changes)["stdout"])


def main():
    """All sizes."""
    args = arguments(__doc__)
    sizes = [(100, 600, 60)] if args.quick else [
        (POLICIES, WORKLOADS, local) for local in NODE_SIZES]
    if args.size:
        sizes = [size if len(size) == 3 else (*size, NODE_SIZES[0]) for size in args.sizes]
    points = [point(*size, 1 if args.quick else ROUNDS) for size in sizes]
    paths = [step["path"] for p in points for kind in p["edits"].values()
             for step in kind.values()]
    result("edits", points, targets=[
        target("edits that load all sources", paths.count("whole"), 0, ""),
        target("edits that compile the node anew", paths.count("node"), 0, "")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
