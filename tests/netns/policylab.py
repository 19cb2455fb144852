"""The hosts that random policy sets speak of, and the words that they speak with.

    with Lab(LOCAL, NODES[LOCAL]) as lab:
        build(lab)

One node under test with workloads of all kinds (both IP versions, one of them, several
addresses), a second node, and outside hosts that own networks, one of them all the rest
of both address spaces. RINGFENCE_WORKLOADS asks for more of the first kind than there are.
"""

import functools
import ipaddress
import os

NODES = {
    "worker-1": ["192.168.1.1", "192.168.1.101", "fd00:ff::1"],
    "worker-2": ["192.168.1.2", "fd00:ff::2"],
}
LOCAL = "worker-1"
REMOTE = "worker-2"
WORKLOADS = {
    LOCAL: {f"a{i}": [f"10.1.0.{i}", f"fd00:1::{i:x}"] for i in range(1, 9)}
    | {
        "a9": ["10.1.0.9", "10.1.4.9", "fd00:1::9", "fd00:1:0:4::9"],  # never a pod
        "a10": ["10.1.4.10"],
        "a11": ["10.1.4.11"],
        "a12": ["10.1.0.12"],
        "a13": ["fd00:1:0:4::d"],
        "a14": ["fd00:1::e"],
    },
    REMOTE: {
        "b1": ["10.2.0.1", "fd00:2::1"],
        "b2": ["10.2.0.2", "fd00:2::2"],
        "b3": ["10.2.0.3"],
        "b4": ["fd00:2::4"],
    },
}
MORE = int(os.environ.get("RINGFENCE_WORKLOADS", "0"))
WORKLOADS[LOCAL] |= {f"c{i}": [f"10.1.{16 + (i >> 8)}.{i & 255}", f"fd00:1:0:c::{i:x}"]
                     for i in range(1, MORE + 1)}
# `world` answers for every address that nobody else has
OUTSIDE = {
    "corp": (LOCAL, ["203.0.113.0/24", "2001:db8:1::/48"]),
    "site": (REMOTE, ["192.0.2.0/24", "2001:db8:2::/48"]),
    "world": (LOCAL, ["0.0.0.0/0", "::/0"]),
}
WORKLOAD_NETWORKS = ["10.1.0.0/16", "10.2.0.0/16", "fd00:1::/32", "fd00:2::/32"]
HOME = {name: node for node, hosts in WORKLOADS.items() for name in hosts}
ADDRESSES = {
    name: [ipaddress.ip_address(text) for text in texts]
    for hosts in (NODES, *WORKLOADS.values())
    for name, texts in hosts.items()
}

# Every host answers on all of these. Neighbours are among them, for the ends of ranges.
PORTS = {
    "tcp": [1, 22, 53, 79, 80, 81, 442, 443, 444, 1023, 1024, 5432, 7999, 8000, 8001,
            8040, 8080, 8081, 9090, 9091, 30000, 65534, 65535],
    "udp": [1, 52, 53, 54, 123, 443, 5000, 8000, 8080, 9090, 30000, 65535],
    "sctp": [9, 80, 443, 8080],
}
PORT_NAMES = {
    "http": [("tcp", 80), ("tcp", 8080), ("tcp", 8000), ("sctp", 80)],
    "metrics": [("tcp", 9090), ("tcp", 9091), ("udp", 9090)],
    "dns": [("udp", 53), ("tcp", 53)],
    "db": [("tcp", 5432), ("tcp", 443)],
}
WIDE_RANGES = [(1, 65535), (1, 1023), (1024, 65535), (2, 65534), (80, 8080), (53, 443)]

LABELS = {
    "app": ["web", "db", "cache", "lb"],
    "tier": ["front", "back"],
    "example.com/gen": ["1", "true", ""],
}
NS_LABELS = {"team": ["red", "blue"], "env": ["prod", "dev"]}
NODE_LABELS = {"zone": ["z1", "z2"]}
ACCOUNTS = ["default", "builder"]
EXTERNALS = ["partner", "bank", "cloud"]
TOP_STEPS = ["acme", "ops", "lab"]
STEPS = ["shop", "pay", "prod", "dev", "team-1"]

# Not worth a probe: no host could have them.
_UNUSABLE = [
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
]
_USABLE6 = [ipaddress.ip_network(text) for text in ("2000::/3", "fd00::/8")]


def neighbours():
    """With hundreds of workloads the machine's neighbour tables would overflow."""
    return "static" if MORE > 100 else "dynamic"


def build(lab):
    """Add all hosts to a Lab that was made with `node_name` and `node_addresses`."""
    lab.add_node(REMOTE, NODES[REMOTE])
    for node, hosts in WORKLOADS.items():
        lab.add_workloads(hosts, node=node)
    for name, (node, networks) in OUTSIDE.items():
        lab.add_outside(name, networks, node=node)
    lab.listen_all([(proto, port) for proto, ports in PORTS.items() for port in ports])


@functools.cache
def owner(address):
    """The name of the host that has an address."""
    for name, addresses in ADDRESSES.items():
        if address in addresses:
            return name
    inside = [(ipaddress.ip_network(text).prefixlen, name)
              for name, (_, networks) in OUTSIDE.items() for text in networks
              if address in ipaddress.ip_network(text)]
    return max(inside)[1]


def usable(address):
    if address.version == 6:
        return any(address in network for network in _USABLE6)
    return not any(address in network for network in _UNUSABLE)
