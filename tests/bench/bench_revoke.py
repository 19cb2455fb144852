#!/usr/bin/env python3
"""Policy tightens: how long until the connections that it now forbids are gone.

A daemon on a node of two workloads; so many flows, half of them on a port that policy then no
longer allows. From the moment that the file takes the other's place: until the new policy is
in force, and until the last of the forbidden connections is cut; the others must stay. Beside
it, on as many flows, what `conntrack -D` takes to delete half of them by their port, which is
what one does by hand where the enforcer lets them go on."""

import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))

from enforcerd import Enforcer  # noqa: E402
from lab import Lab, wait_until  # noqa: E402
from measure import arguments, growth, helper, result, target  # noqa: E402

FLOWS = (1000, 10000, 50000, 100000)
QUICK_FLOWS = (100,)
MOST_AT_ONCE = 50000
PORTS = (5000, 6000)
WAIT_S = 120

WORLD = """\
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: {name}, namespace: /shop, labels: {{app: {name}}}}}
spec: {{node: node-1, ips: [{address}]}}
"""
POLICY = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{name: server, namespace: /shop}}
spec:
  workloads: {{matchLabels: {{app: server}}}}
  allow: {{ingress: [{{from: [{{workloads: {{matchLabels: {{app: client}}}}}}],
                      ports: [{ports}]}}]}}
"""


def policy(*ports):
    """What lets the client in at these."""
    return POLICY.format(ports=", ".join(f"{port}/udp" for port in ports))


def open_flows(lab, count):
    """Half of them to each port."""
    for port in PORTS:
        left, first = count // 2, 0
        while left > 0:
            some = min(left, MOST_AT_ONCE)
            lab.host("client").exec(
                [helper("bench-packets"), str(lab.host("client").address(4)),
                 str(lab.host("server").address(4)), str(port + first), "1", str(some)])
            left, first = left - some, first + 1


def tracked(lab):
    """Flows that the node knows."""
    done = lab.node.exec(["conntrack", "-C"])
    return int(done.stdout)


def allow_both(lab, enforcer, count):
    """Policy that lets both kinds in, and so many of them."""
    generation = enforcer.generation()
    text = policy(*[p + i for p in PORTS for i in range(2)])
    enforcer.write("policy.yaml", f"{text}# {generation}\n")  # another text than before
    wait_until(lambda: enforcer.generation() > generation, WAIT_S, "it to be in force")
    lab.conntrack_flush()
    open_flows(lab, count)
    return enforcer.generation()


def revoke(lab, enforcer, count):
    """Seconds until in force, until cut; of one tightening."""
    generation = allow_both(lab, enforcer, count)
    before, cut = tracked(lab), enforcer.status()["connections"]["cut"]
    forbidden = before // 2
    began = time.monotonic()
    enforcer.write("policy.yaml", policy(PORTS[0], PORTS[0] + 1))
    wait_until(lambda: enforcer.generation() > generation, WAIT_S, "it to be in force")
    in_force = time.monotonic() - began
    wait_until(lambda: enforcer.status()["connections"]["cut"] - cut >= forbidden, WAIT_S,
               "all to be cut")
    all_cut = time.monotonic() - began
    after = tracked(lab)
    assert after >= before - forbidden - 10, "more was cut than is forbidden"
    return in_force, all_cut, before


def by_hand(lab, enforcer, count):
    """Seconds that conntrack(8) takes for the same."""
    allow_both(lab, enforcer, count)
    began = time.monotonic()
    lab.node.exec(["conntrack", "-D", "-p", "udp", "--dport", str(PORTS[1])],
                  timeout=WAIT_S)
    return time.monotonic() - began


def point(lab, enforcer, count):
    """One number of flows."""
    in_force, all_cut, flows = revoke(lab, enforcer, count)
    list_us = enforcer.status()["connections"]["lastMicroseconds"]
    p = {"flows": flows, "in_force_s": in_force, "cut_s": all_cut,
         "cut_after_in_force_s": all_cut - in_force, "list_s": list_us / 1e6,
         "conntrack_s": by_hand(lab, enforcer, count)}
    p["conntrack_over_ours"] = p["conntrack_s"] / max(p["list_s"], 1e-6)
    return p


def main():
    """Every number."""
    args = arguments(__doc__)
    counts = QUICK_FLOWS if args.quick else FLOWS
    with Lab(neighbours="static") as lab, tempfile.TemporaryDirectory() as scratch:
        lab.add_workloads(["client", "server"])
        lab.host("server").exec(["nft", "-f", "-"], input="""\
table ip sink {
  chain prerouting {
    type filter hook prerouting priority raw
    udp dport 1-65535 drop
  }
}
""")
        docs = "---\n".join(WORLD.format(name=name, address=lab.host(name).address(4))
                            for name in ("client", "server"))
        files = {"world.yaml": docs, "policy.yaml": policy(*PORTS)}
        with Enforcer(lab.node, scratch, files, flows=None,
                      established={"adoptSeconds": 0}) as enforcer:
            points = [point(lab, enforcer, count) for count in counts]
    last = points[-1]
    result("revoke", points, growth=growth(points, "flows", "list_s", "conntrack_s"),
           targets=[target(f"{last['flows']} flows listed, judged, half of them cut",
                           last["list_s"], 0.15, "s")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
