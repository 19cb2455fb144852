"""The commands of ip that turn planned hosts into a network.

Nothing here runs by itself: methods of Wiring add lines to Commands, which run as one
process for each namespace. The node side comes first (Wiring.outer), because it makes
the veth pairs of which the other side (Wiring.inner) finds its end.
"""

import ipaddress
import re
import subprocess

from netlab import kernel
from netlab.host import COMMAND_TIMEOUT_S, LabError, search_path

GATEWAY6 = "fe80::1"       # every node, on the interface of each of its hosts
NETWORK_HOST6 = "fe80::2"  # an outside host that owns networks, as their next hop
NETWORK_HOST4 = "169.254.0.2"

# Every probe must be judged by the rules under test alone: no duplicate address
# detection, no reverse path filter, no limit on the ICMP errors that tell a refusal.
_SYSCTLS = (
    ("ipv4/ping_group_range", "0 2147483647"),
    ("ipv4/icmp_ratemask", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/icmp/ratelimit", "0"),
)
_OPTIONAL_SYSCTLS = (  # a namespace has them in newer kernels only
    ("ipv4/icmp_msgs_per_sec", "1000000"),
    ("ipv4/icmp_msgs_burst", "1000000"),
)
_NODE_SYSCTLS = (  # the first one resets others, so these come before the rest
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
)
_NETWORK_HOST_SYSCTLS = (
    ("ipv6/ip_nonlocal_bind", "1"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
)


def set_sysctls(host):
    """Prepare the calling thread's namespace, which is still empty, for `host`."""
    settings = _SYSCTLS
    if host.kind == "node":
        settings = _NODE_SYSCTLS + _SYSCTLS
    elif host.networks:
        settings = _SYSCTLS + _NETWORK_HOST_SYSCTLS
    for key, value in settings:
        kernel.set_sysctl(key, value)
    for key, value in _OPTIONAL_SYSCTLS:
        kernel.set_sysctl(key, value, must_exist=False)


def full(own):
    """An address or network as text with its prefix length."""
    return str(ipaddress.ip_network(own))


def is_inside(own, network):
    """Whether an address or a network lies within a larger network."""
    own = ipaddress.ip_network(own)
    return own.version == network.version and own != network and own.subnet_of(network)


def _device(host):
    return "lo" if host.kind == "node" else "eth0"


def _mac(host, end):
    kind = 0 if host.kind == "workload" else 1
    number = divmod(host.number, 256)
    return ":".join(f"{byte:02x}" for byte in (2, end, kind, host.node.number, *number))


class Commands:
    """Commands for ip, collected for each namespace and run all at once."""

    _AT_ONCE = 16

    def __init__(self):
        self._by_host = {}

    def add(self, host, *lines):
        self._by_host.setdefault(host, []).extend(lines)

    def run(self):
        """Run them, a process for each namespace; LabError with what ip said."""
        todo = list(self._by_host.items())
        while todo:
            some, todo = todo[:self._AT_ONCE], todo[self._AT_ONCE:]
            kernel.in_thread(lambda batch=some: self._run(batch))

    @staticmethod
    def _run(batch):
        running = []
        try:
            for host, lines in batch:
                kernel.enter(host.fd)
                process = subprocess.Popen(
                    ["ip", "-batch", "-"], stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                    env={"PATH": search_path()}, start_new_session=True)
                running.append((host, lines, process))
            for host, lines, process in running:
                err = process.communicate("\n".join(lines) + "\n",
                                          COMMAND_TIMEOUT_S)[1]
                if process.returncode != 0:
                    at = re.search(r"Command failed -:(\d+)", err)
                    line = lines[int(at[1]) - 1] if at else lines[0]
                    raise LabError(f"{host.name}: ip {line}: {err.strip()}")
        finally:
            for _, _, process in running:
                if process.poll() is None:
                    process.kill()
                    process.communicate()


class Wiring:
    """One change to the network of a lab. `hosts` is all that it has, new ones too."""

    def __init__(self, hosts, static_neighbours=False):
        self._hosts = hosts
        self._nodes = [host for host in hosts if host.kind == "node"]
        self._static = static_neighbours
        self.outer = Commands()
        self.inner = Commands()

    def run(self):
        self.outer.run()
        self.inner.run()

    def add_host(self, host):
        """Everything that a new host needs, on it and elsewhere."""
        if host.kind == "node":
            self._link_node(host)
        else:
            self._link_host(host)
        for own in host.addresses:
            self._add_own(host, own)
        for own in host.addresses + host.networks:
            self._route(host, own, "add")
        for network in host.networks:
            self._own_network(host, network)

    def remove_host(self, host):
        for own in host.addresses + host.networks:
            self._route(host, own, "del")
        self.inner.add(host.node, f"link del {host.interface}")

    def add_address(self, host, own):
        self._add_own(host, own)
        if self._static and host.kind != "node":
            self._fix_neighbour(host, str(own))
        self._route(host, own, "add")

    def remove_address(self, host, own):
        self._route(host, own, "del")
        self.inner.add(host, f"addr del {full(own)} dev {_device(host)}")

    def _link_node(self, node):
        self.outer.add(node, "link set lo up")
        for other in self._nodes:
            if other is node or node in other.links:
                continue
            node.links[other] = f"nd-{other.number}"
            other.links[node] = f"nd-{node.number}"
            self.outer.add(node, f"link add {node.links[other]} type veth peer name "
                                 f"{other.links[node]} netns {other.netns}")
            for one, two in ((node, other), (other, node)):
                self.inner.add(
                    one, f"link set {one.links[two]} up",
                    f"addr add fe80::1:{one.number:x}/64 dev {one.links[two]} nodad")
            # the new node is not known to the other yet, nor what is behind that
            for host in self._hosts:
                if host.node is other:
                    for own in host.addresses + host.networks:
                        self._route_between_nodes(node, host, own, "add")

    def _link_host(self, host):
        addresses = ["", ""]
        if self._static:
            addresses = [f"address {_mac(host, 1)} ", f"address {_mac(host, 2)} "]
        self.outer.add(
            host.node,
            f"link add {host.interface} {addresses[0]}type veth "
            f"peer name eth0 {addresses[1]}netns {host.netns}",
            f"addr add {GATEWAY6}/64 dev {host.interface} nodad",
            f"link set {host.interface} up")
        self.inner.add(host, "link set lo up", "link set eth0 up")
        ends = [str(own) for own in host.addresses]
        if host.networks:
            ends += [NETWORK_HOST4, NETWORK_HOST6]
            self.inner.add(
                host, f"addr add {NETWORK_HOST4}/32 dev eth0 scope link",
                f"addr add {NETWORK_HOST6}/64 dev eth0 nodad",
                # any rule of one's own makes IPv4 look up the tables one by one,
                # without which a "throw" in table local ends the look-up
                "rule add pref 1 lookup local")
        if self._static:
            for gateway in filter(None, [host.node.address(4), GATEWAY6]):
                self.inner.add(host, f"neigh replace {gateway} lladdr {_mac(host, 1)} "
                                     "dev eth0 nud permanent")
            for end in ends:
                self._fix_neighbour(host, end)

    def _fix_neighbour(self, host, end):
        self.outer.add(host.node, f"neigh replace {end} lladdr {_mac(host, 2)} "
                                  f"dev {host.interface} nud permanent")

    def _add_own(self, host, own):
        """The address itself, and the default route of its IP version."""
        nodad = " nodad" if own.version == 6 else ""
        commands = self.outer if host.kind == "node" else self.inner
        commands.add(host, f"addr add {full(own)} dev {_device(host)}{nodad}")
        if host.kind == "node":
            return
        if own.version == 6:
            commands.add(host, f"route replace ::/0 via {GATEWAY6} dev eth0")
        else:
            commands.add(host, f"route replace 0.0.0.0/0 via {host.node.address(4)} "
                               "dev eth0 onlink")

    def _own_network(self, host, network):
        """Make all addresses of a network local, but for those that others have."""
        for other in self._hosts:
            for own in other.addresses + other.networks:
                if other is not host and is_inside(own, network):
                    self._yield_to(host, own)
        if is_inside(ipaddress.ip_address(GATEWAY6), network):
            self._yield_to(host, ipaddress.ip_network("fe80::/10"))
        self.inner.add(host, f"route add local {network} dev lo table local")

    def _yield_to(self, host, own):
        self.inner.add(host, f"route replace throw {full(own)} table local")

    def _route(self, host, own, verb):
        """Add or delete the routes to one address or network, on all other hosts."""
        if host.kind != "node":
            self._route_on_own_node(host, own, verb)
        for node in self._nodes:
            if node is not host.node:
                self._route_between_nodes(node, host, own, verb)
        for other in self._hosts:
            if other is host or not any(is_inside(own, n) for n in other.networks):
                continue
            if verb == "add":
                self._yield_to(other, own)
            else:
                self.inner.add(other, f"route del throw {full(own)} table local")

    def _route_on_own_node(self, host, own, verb):
        node = host.node
        via, onlink = "", ""
        if own in host.networks:
            # one next hop, so that a whole network costs one neighbour
            via = f"via {NETWORK_HOST6 if own.version == 6 else NETWORK_HOST4} "
            onlink = " onlink"
        source = node.address(own.version)
        self.inner.add(node, f"route {verb} {full(own)} {via}dev {host.interface} "
                             f"src {source}{onlink}")

    def _route_between_nodes(self, node, host, own, verb):
        """A route on `node` to what another node, or a host behind that, has."""
        other = host.node
        device = node.links[other]
        source = node.address(own.version)
        if own.version == 6:
            via = f"via fe80::1:{other.number:x} dev {device}"
        elif host is other:
            via = f"dev {device}"
        else:
            via = f"via {other.address(4)} dev {device} onlink"
        source = f" src {source}" if source else ""
        self.inner.add(node, f"route {verb} {full(own)} {via}{source}")
