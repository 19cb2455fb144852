"""Beside kube-proxy, in both of its modes: rules of its shape, ours, and what passes.

Policy sees pods behind Services and never the Service; the client of a NodePort where its packet
enters, though the pod sees the node; what anybody drops is dropped; nobody's rules are touched.
"""

import json
import re
import shutil

import pytest

import lab as lab_module
from enforcerd import Enforcer, rf
from lab import Lab, wait_until

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

SERVICE, PORT, NODE_PORT = "10.96.0.10", 5432, 30432
WAIT_S = 60

IPTABLES = """\
*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-EXT-DB - [0:0]
:KUBE-SVC-DB - [0:0]
:KUBE-SEP-DB - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SERVICES -d {service}/32 -p tcp -m tcp --dport {port} -j KUBE-SVC-DB
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p tcp -m tcp --dport {node_port} -j KUBE-EXT-DB
-A KUBE-EXT-DB -j KUBE-MARK-MASQ
-A KUBE-EXT-DB -j KUBE-SVC-DB
-A KUBE-SVC-DB -j KUBE-SEP-DB
-A KUBE-SEP-DB -s {pod}/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-DB -p tcp -m tcp -j DNAT --to-destination {pod}:{port}
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
COMMIT
*filter
:KUBE-FORWARD - [0:0]
:OTHERS - [0:0]
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -j OTHERS
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A OTHERS -p tcp -m tcp --dport 81 -j DROP
COMMIT
"""

NFTABLES = """\
table ip kube-proxy {{
  chain mark-for-masquerade {{
    meta mark set meta mark | 0x4000
  }}
  chain masquerading {{
    meta mark & 0x4000 == 0 return
    meta mark set meta mark ^ 0x4000
    masquerade fully-random
  }}
  chain endpoint-db {{
    ip saddr {pod} jump mark-for-masquerade
    meta l4proto tcp dnat to {pod}:{port}
  }}
  chain service-db {{
    goto endpoint-db
  }}
  chain external-db {{
    jump mark-for-masquerade
    goto service-db
  }}
  map service-ips {{
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = {{ {service} . tcp . {port} : goto service-db }}
  }}
  map service-nodeports {{
    type inet_proto . inet_service : verdict
    elements = {{ tcp . {node_port} : goto external-db }}
  }}
  chain services {{
    ip daddr . meta l4proto . th dport vmap @service-ips
    fib daddr type local meta l4proto . th dport vmap @service-nodeports
  }}
  chain nat-prerouting {{
    type nat hook prerouting priority dstnat
    jump services
  }}
  chain nat-output {{
    type nat hook output priority -100
    jump services
  }}
  chain nat-postrouting {{
    type nat hook postrouting priority srcnat
    jump masquerading
  }}
  chain others {{
    type filter hook forward priority filter
    tcp dport 81 drop
  }}
}}
"""

POLICY = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{ name: db, namespace: /shop }}
spec:
  workloads: {{ matchLabels: {{ app: db }} }}
  allow:
    ingress:
      - {{ from: [{{ workloads: {{ matchLabels: {{ app: web }} }} }}], ports: [5432/tcp, 81/tcp] }}
      - {{ from: [{{ cidr: {laptop}/32 }}], ports: [5432/tcp] }}
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{ name: leave, namespace: /shop }}
spec:
  workloads: {{ matchLabels: {{ app: web }} }}
  allow:
    egress: [{{ to: [{{ workloads: {{ matchLabels: {{ app: db }} }} }}], ports: [5432/tcp, 81/tcp] }}]
---
# It names the Service, which nobody sees.
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{ name: by-service, namespace: /ops }}
spec:
  allow:
    egress: [{{ to: [{{ cidr: {service}/32 }}] }}]
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{ name: open, namespace: /free }}
spec:
  allow: {{ ingress: [{{}}] }}
"""
HOMES = {"web": "/shop", "db": "/shop", "mon": "/ops", "free": "/free"}


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(list(HOMES))
        for name in ("laptop", "phone"):
            lab.add_outside(name)
        lab.listen_all([81, PORT], [lab.host("db"), lab.host("free")])
        yield lab


def world(lab):
    documents = [{"apiVersion": "ringfence.dev/v1alpha1", "kind": "Workload",
                  "metadata": {"name": name, "namespace": home, "labels": {"app": name}},
                  "spec": {"node": lab.node.name, "ips": list(lab.host(name).v4)}}
                 for name, home in HOMES.items()]
    documents += [{"apiVersion": "ringfence.dev/v1alpha1", "kind": "Namespace",
                   "metadata": {"name": home}} for home in sorted(set(HOMES.values()))]
    values = {"laptop": lab.host("laptop").v4[0], "service": SERVICE}
    return POLICY.format(**values) + "---\n" + "\n---\n".join(map(json.dumps, documents))


class Proxy:
    """kube-proxy's rules in one of its modes."""

    def __init__(self, lab, mode):
        self.node, self.mode = lab.node, mode
        values = {"service": SERVICE, "pod": lab.host("db").v4[0], "port": PORT,
                  "node_port": NODE_PORT}
        if mode == "nftables":
            self.node.nft(NFTABLES.format(**values))
        else:
            self.node.exec([f"{mode}-restore", "--noflush"], input=IPTABLES.format(**values))

    def rules(self):
        """As they are now, without counters."""
        if self.mode == "nftables":
            return self.node.exec(["nft", "list", "table", "ip", "kube-proxy"]).stdout
        text = self.node.exec([f"{self.mode}-save"]).stdout
        return re.sub(r"\[\d+:\d+\]", "", re.sub(r"(?m)^#.*\n", "", text))

    def remove(self):
        self.node.exec(["nft", "flush", "ruleset"])
        if self.mode == "iptables-legacy":
            for table in ("nat", "filter"):
                self.node.exec([self.mode, "-t", table, "-F"])
                self.node.exec([self.mode, "-t", table, "-X"])


@pytest.fixture(params=["nftables", "iptables-nft", "iptables-legacy"])
def proxy(lab, request):
    if request.param != "nftables":
        if not shutil.which(request.param):
            pytest.skip(f"there is no {request.param}")
        done = lab.node.exec([request.param, "-t", "nat", "-L", "-n"], check=False)
        if done.returncode != 0:
            pytest.skip(f"{request.param}: {done.stderr.strip().splitlines()[-1]}")
    it = Proxy(lab, request.param)
    yield it
    it.remove()


def is_open(lab, src, dst, port):
    return lab.probe(src, dst, "tcp", port).state == "open"


def peer_of(lab, src, dst, port):
    """As whom the pod sees it."""
    with lab.connect(src, dst, "tcp", port) as connection:
        assert connection is not None
        told = lab.host("db").exec(["ss", "-Htn", "state", "established", "sport", f"= :{PORT}"]).stdout
    return {re.sub(r"^\[?(?:::ffff:)?([\d.]+)\]?:\d+$", r"\1", line.split()[3])
            for line in told.splitlines()}


def test_policy_sees_pods_behind_services(lab, proxy, tmp_path):
    node = lab.node.v4[0]
    before = proxy.rules()
    for src in ("web", "mon"):
        assert is_open(lab, src, SERVICE, PORT), "the rules are as kube-proxy's"
    assert is_open(lab, "phone", node, NODE_PORT)
    assert peer_of(lab, "phone", node, NODE_PORT) & set(lab.node.v4), "masqueraded"
    with Enforcer(lab.node, tmp_path, {"world.yaml": world(lab)}):
        assert is_open(lab, "web", SERVICE, PORT)
        assert is_open(lab, "web", lab.host("db").v4[0], PORT)
        # Its egress names the Service's address: what it reaches is the pod.
        assert not is_open(lab, "mon", SERVICE, PORT)
        assert not is_open(lab, "free", SERVICE, PORT), "db lets web in"
        # The client decides, where its packet enters; not the node, as whom the pod sees it.
        assert is_open(lab, "laptop", node, NODE_PORT)
        assert not is_open(lab, "phone", node, NODE_PORT)
        assert peer_of(lab, "laptop", node, NODE_PORT) <= set(lab.node.v4)
        # Allowed here, dropped there.
        assert not is_open(lab, "web", lab.host("db").v4[0], 81)
        assert not is_open(lab, "mon", lab.host("free").v4[0], 81)
        assert proxy.rules() == before
    lab.node.exec([rf.program("ringfence-enforcer"), "--remove"])
    assert proxy.rules() == before, "what is taken away is ours alone"
    wait_until(lambda: is_open(lab, "mon", SERVICE, PORT), WAIT_S, "no policy")
