"""A network of namespaces in which to try out policies with real packets.

    with Lab() as lab:
        lab.add_workloads(["web", "db"])
        lab.add_outside("internet", ["203.0.113.0/24"])
        lab.listen_all([80, "53/udp"])
        lab.node.nft("table inet t { ... }")
        assert lab.probe("web", "db", "tcp", 80).state == "open"

A node is a router between veth pairs, as on a Kubernetes node: every workload has host
addresses (/32, /128) and a default route to its node, the node one route for each
address. Outside hosts hang on a node in the same way and may own whole networks.
Further nodes, with workloads behind them, are meshed with the first.

Addresses given by the lab: workload N of node I is 10.I.0.N and fd00:I::N, node I is
192.168.0.I and fd00:ff::I, outside host N is 203.0.113.N and 2001:db8::N. On a node
the interface of workload `web` is `wl-web`, of an outside host `out-NAME`.

All of it is gone after the with block, after an exception, at exit and when SIGINT,
SIGTERM or SIGHUP ends the process. After SIGKILL the next lab, or `lab.py sweep`,
removes what is left; the names tell which process they belong to.
"""

import fcntl
import ipaddress
import os
import re
import resource
import socket
import struct
import sys

from netlab import answer, kernel
from netlab.exits import exits, new_prefix, sweep
from netlab.host import Host, LabError, wait_until
from netlab.matrix import Matrix, matrix
from netlab.ports import parse_port
from netlab.wiring import Wiring, set_sysctls
from probe import (
    DEFAULT_PARALLEL, DEFAULT_TIMEOUT_MS, Connection, Probe, ProbeError, Result)
from probe import probe_many as probe_many_hosts

__all__ = ["Connection", "Host", "Lab", "LabError", "Matrix", "Probe", "ProbeError",
           "Result", "matrix", "parse_port", "skip_reason", "sweep", "wait_until"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./@:-]*")
_INTERFACE_NAME_BYTES = 15
_READY_TIMEOUT_S = 10
_SIOCGIFFLAGS = 0x8913
_IFF_RUNNING = 0x40


def skip_reason():
    """Why no lab can be built here, or None. For pytest.mark.skipif."""
    try:
        with Lab():
            return None
    except (LabError, OSError) as error:
        return f"no network namespaces: {error}"


def _raise_file_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _split(texts):
    """Sort address texts into host addresses and networks."""
    addresses, networks = [], []
    for text in texts:
        network = ipaddress.ip_network(text)
        if network.num_addresses == 1:
            addresses.append(network.network_address)
        else:
            networks.append(network)
    return addresses, networks


def _own_address(network):
    """The address from which the owner of a network speaks unless told otherwise."""
    if network.prefixlen == 0:
        return ipaddress.ip_address(
            "198.51.100.1" if network.version == 4 else "2001:db8:ffff::1")
    return network[1]


class Lab:
    """A node and whatever is added to it. Not for use by several threads at once,
    but for probes and commands.

    neighbours="static" spares address resolution (with several hundred workloads the
    machine's neighbour tables overflow otherwise); by default ARP and neighbour
    discovery are real, and rules that break them show.
    """

    def __init__(self, node_name="node-1", node_addresses=None, neighbours="dynamic"):
        if neighbours not in ("dynamic", "static"):
            raise ValueError("neighbours must be dynamic or static")
        self._node_arguments = (node_name, node_addresses)
        self._static = neighbours == "static"
        self._pid = os.getpid()
        self.prefix = new_prefix()
        self.children = []
        self._hosts = {}
        self._next_number = {}
        self._next_netns = 0
        self._listeners = {}
        self._answerer = None
        self._closed = False

    # --- life ---

    def __enter__(self):
        sweep()
        _raise_file_limit()
        exits.add(self)
        try:
            self._answerer = answer.Answerer()
            self.add_node(*self._node_arguments)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        """Remove everything. Idempotent; does nothing in a forked child."""
        if self._closed or os.getpid() != self._pid:
            return
        with exits.step():
            if self._answerer is not None:
                self._answerer.stop()
            mine = [name for name in kernel.names() if name.startswith(self.prefix)]
            kernel.kill_processes(mine)
            for process in self.children:
                process.kill()
                process.wait()
            for host in self._hosts.values():
                self._close_files(host)
            for name in mine:
                kernel.remove(name)
            self._closed = True
            exits.discard(self)

    @staticmethod
    def _close_files(host):
        if host.control is not None:
            host.control.close()
        if host.fd >= 0:
            os.close(host.fd)
            host.fd = -1

    # --- who is there ---

    @property
    def features(self):
        """What this kernel offers: sctp is "socket" or "raw" (a stand-in answers)."""
        return {"sctp": "socket" if answer.has_sctp_sockets() else "raw"}

    @property
    def hosts(self):
        """All hosts, in the order in which they came."""
        return list(self._hosts.values())

    @property
    def nodes(self):
        return [host for host in self.hosts if host.kind == "node"]

    @property
    def workloads(self):
        return [host for host in self.hosts if host.kind == "workload"]

    @property
    def node(self):
        """The first node."""
        return self.hosts[0]

    def host(self, name):
        """The host of that name; a Host is returned as it is."""
        if isinstance(name, Host):
            return name
        if name not in self._hosts:
            raise LabError(f"no host {name!r} in the lab")
        return self._hosts[name]

    workload = host
    outside = host

    def owner(self, address):
        """The host that has an address, itself or in a network of its, or None."""
        address = ipaddress.ip_address(address)
        best, length = None, -1
        for host in self.hosts:
            if address in host.addresses:
                return host
            for network in host.networks:
                if address in network and network.prefixlen > length:
                    best, length = host, network.prefixlen
        return best

    # --- building ---

    def add_node(self, name, addresses=None):
        """Add a node, linked to those that are there already."""
        host = self._plan("node", name, addresses, None, None)
        self._build([host])
        return host

    def add_workload(self, name, addresses=None, *, node=None, family=None):
        """Add one workload; see add_workloads()."""
        return self.add_workloads({name: addresses}, node=node, family=family)[0]

    def add_workloads(self, workloads, *, node=None, family=None):
        """Add many at once, which is much faster than one by one.

        `workloads` is names, or a dictionary of names and their addresses (texts; None
        lets the lab choose, of `family` 4 or 6 or else of both), `node` the node or
        its name, by default the first.
        """
        if not isinstance(workloads, dict):
            workloads = dict.fromkeys(workloads)
        return self._add_all("workload", workloads, node, family)

    def add_outside(self, name, addresses=None, *, node=None, family=None):
        """Add a host outside the cluster.

        Among its addresses may be networks, such as 203.0.113.0/24 or 0.0.0.0/0: it
        answers at every address in them, and may probe from each (src_addr=), except
        those that other hosts have.
        """
        return self._add_all("outside", {name: addresses}, node, family)[0]

    def _add_all(self, kind, hosts, node, family):
        node = self.host(node) if node else self.node
        planned = []
        try:
            for name, addresses in hosts.items():
                planned.append(self._plan(kind, name, addresses, node, family))
        except BaseException:
            for host in planned:
                del self._hosts[host.name]
            raise
        self._build(planned)
        return planned

    def _plan(self, kind, name, texts, node, family):
        """Make a Host, with its names and addresses, and enter it in the books."""
        if not _NAME.fullmatch(name):
            raise LabError(f"not a host name: {name!r}")
        if name in self._hosts:
            raise LabError(f"there is a host {name!r} already")
        addresses, networks = _split(texts or ())
        host = Host(self, name, kind, addresses, networks, node)
        # workloads are counted on each node, others throughout the lab
        count = node if kind == "workload" else kind
        host.number = self._next_number[count] = self._next_number.get(count, 0) + 1
        if texts is None:
            host.addresses = self._choose_addresses(host, family)
        for network in networks:
            if not host.address(network.version):
                host.addresses.append(_own_address(network))
        if kind != "outside" and networks:
            raise LabError(f"{name}: only outside hosts can own networks")
        for other in self.hosts:
            for own in other.addresses + other.networks:
                if own in host.addresses + networks:
                    raise LabError(f"{name}: {own} belongs to {other.name}")
        for own in host.addresses:
            if kind != "node" and not node.address(own.version):
                raise LabError(f"{node.name} has no IPv{own.version} address, which "
                               f"{name} needs as its gateway")
        slug = re.sub(r"[^A-Za-z0-9_.-]", ".", name)
        host.netns = f"{self.prefix}{self._next_netns}-{slug[:32]}"
        self._next_netns += 1
        if kind != "node":
            host.interface = self._choose_interface(host, slug)
        self._hosts[name] = host
        return host

    @staticmethod
    def _choose_addresses(host, family):
        if host.kind == "node":
            low = host.number
            texts = f"192.168.0.{low}", f"fd00:ff::{low:x}"
        elif host.kind == "outside":
            low = host.number
            texts = f"203.0.113.{low}", f"2001:db8::{low:x}"
        else:
            low, i = host.number, host.node.number
            texts = f"10.{i}.{low >> 8}.{low & 255}", f"fd00:{i:x}::{low:x}"
        both = [ipaddress.ip_address(text) for text in texts]
        return [own for own in both if family in (None, own.version)]

    def _choose_interface(self, host, slug):
        head = "wl-" if host.kind == "workload" else "out-"
        taken = {other.interface for other in self.hosts if other.node is host.node}
        name = head + slug
        if len(name) > _INTERFACE_NAME_BYTES or name in taken:
            tail = f"~{self._next_netns}"
            name = name[:_INTERFACE_NAME_BYTES - len(tail)] + tail
        return name

    def _build(self, hosts):
        """Bring planned hosts into being; on failure take them out of the books."""
        with exits.step():
            try:
                self._create_namespaces(hosts)
                wiring = Wiring(self.hosts, self._static)
                for host in hosts:
                    wiring.add_host(host)
                wiring.run()
                self._wait_for_links(hosts)
            except BaseException:
                for host in hosts:
                    self._forget(host)
                raise

    def _create_namespaces(self, hosts):
        by_netns = {host.netns: host for host in hosts}

        def configure(netns):
            host = by_netns[netns]
            set_sysctls(host)
            host.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        try:
            fds = kernel.create(list(by_netns), configure)
        except PermissionError as error:
            raise LabError(f"a lab needs root: {error}") from error
        for netns, fd in fds.items():
            by_netns[netns].fd = fd

    def _wait_for_links(self, hosts):
        def running():
            while waiting:
                host, interface = waiting[-1]
                request = struct.pack("16sH22x", interface.encode(), 0)
                reply = fcntl.ioctl(host.control, _SIOCGIFFLAGS, request)
                if not struct.unpack_from("H", reply, 16)[0] & _IFF_RUNNING:
                    return False
                waiting.pop()
            return True

        waiting = [(host, "eth0") for host in hosts if host.kind != "node"]
        waiting += [(host.node, host.interface) for host in hosts
                    if host.kind != "node"]
        for host in hosts:
            for other, interface in host.links.items():
                waiting += [(host, interface), (other, other.links[host])]
        wait_until(running, _READY_TIMEOUT_S, "links to come up")

    def remove(self, name):
        """Remove a workload or an outside host, with its routes and listeners."""
        host = self.host(name)
        if host.kind == "node":
            raise LabError("a node stays as long as its lab")
        with exits.step():
            wiring = Wiring(self.hosts)
            wiring.remove_host(host)
            wiring.run()
            self._forget(host)

    def _forget(self, host):
        self._hosts.pop(host.name, None)
        for other in self.nodes:
            other.links.pop(host, None)
        self._answerer.drop_name(host.name)
        for key in [key for key in self._listeners if key[0] is host]:
            del self._listeners[key]
        kernel.kill_processes([host.netns])
        self._close_files(host)
        kernel.remove(host.netns)

    def change_addresses(self, host, address, add):
        """Host.add_address() and remove_address()."""
        if add and self.owner(address) and address in self.owner(address).addresses:
            raise LabError(f"{address} belongs to {self.owner(address).name}")
        if not add and address not in host.addresses:
            raise LabError(f"{host.name} does not have {address}")
        if add and not host.node.address(address.version):
            raise LabError(f"{host.node.name} has no IPv{address.version} address")
        with exits.step():
            wiring = Wiring(self.hosts, self._static)
            if add:
                wiring.add_address(host, address)
                host.addresses.append(address)
            else:
                wiring.remove_address(host, address)
                host.addresses.remove(address)
            wiring.run()

    # --- listeners ---

    def listen(self, host, proto, port):
        """Answer on a port at all addresses of a host, present and to come.

        Idempotent.
        """
        self._listen_many([(self.host(host), *parse_port((proto, port)))])

    def listen_all(self, ports, hosts=None):
        """Answer on each of `ports` (see parse_port) at every host, or at `hosts`."""
        hosts = self.hosts if hosts is None else [self.host(host) for host in hosts]
        ports = [parse_port(port) for port in ports]
        self._listen_many([(host, *port) for host in hosts for port in ports])

    def unlisten(self, host, proto, port):
        """Stop answering; connections that stand stay."""
        host = self.host(host)
        key = (host, *parse_port((proto, port)))
        if proto == "sctp" and not answer.has_sctp_sockets():
            self._sctp_ports(host).discard(port)
            return
        for sock in self._listeners.pop(key, ()):
            self._answerer.drop(sock)

    def _listen_many(self, wanted):
        def open_all():
            where = None
            for host, proto, port in wanted:
                if (host, proto, port) in self._listeners:
                    continue
                if host is not where:
                    kernel.enter(host.fd)
                    where = host
                self._listen_here(host, proto, port)

        kernel.in_thread(open_all)

    def _listen_here(self, host, proto, port):
        """Open listeners; the calling thread is in the host's namespace."""
        if proto == "icmp":
            raise LabError("the kernel answers ICMP by itself")
        if proto == "sctp" and not answer.has_sctp_sockets():
            self._sctp_ports(host).add(port)
            return
        sockets = []
        try:
            for family in (socket.AF_INET, socket.AF_INET6):
                if proto == "udp":
                    sock = answer.open_datagram(family, socket.SOCK_DGRAM, port)
                else:
                    protocol = answer.sctp.IPPROTO_SCTP if proto == "sctp" else 0
                    sock = answer.open_stream(family, port, protocol)
                sockets.append(sock)
        except OSError as error:
            for sock in sockets:
                sock.close()
            raise LabError(f"{host.name}: port {port}/{proto}: {error}") from error
        serve = self._answerer.serve_udp if proto == "udp" \
            else self._answerer.serve_stream
        for sock in sockets:
            serve(sock, host.name)
        self._listeners[host, proto, port] = sockets

    def _sctp_ports(self, host):
        """The set of open SCTP ports of a host, by its raw sockets."""
        key = (host, "sctp", None)
        if key not in self._listeners:
            ports = self._listeners[key] = set()
            for family in (socket.AF_INET, socket.AF_INET6):
                sock = host.enter_and(lambda f=family: answer.open_datagram(
                    f, socket.SOCK_RAW, 0, answer.sctp.IPPROTO_SCTP))
                self._answerer.serve_sctp(sock, host.name, ports)
        return self._listeners[key]

    # --- probing ---

    def probe(self, src, dst, proto="tcp", port=0, timeout_ms=None, *, src_addr=None,
              src_port=0, **options):
        """One probe between hosts or their names; a host as `dst` is its first address.

        Options are those of probe.probe_many().
        """
        item = Probe(src, dst, proto, port, src_addr, src_port)
        if timeout_ms is not None:
            options["timeout_ms"] = timeout_ms
        return self.probe_many([item], **options)[0]

    def probe_many(self, probes, timeout_ms=DEFAULT_TIMEOUT_MS,
                   parallel=DEFAULT_PARALLEL, **options):
        """probe.probe_many() between hosts or their names."""
        items = [self._resolve(Probe(*item)) for item in probes]
        if any(item.proto == "sctp" for item in items) \
                and not answer.has_sctp_sockets():
            for host in self.hosts:
                self._sctp_ports(host)  # a host without listener is to say so: ABORT
        return probe_many_hosts(items, timeout_ms, parallel, **options)

    def connect(self, src, dst, proto, port, **options):
        """Open a Connection that stays."""
        item = self._resolve(Probe(src, dst, proto, port))
        return Connection(item.src, item.dst, proto, port, **options)

    def _resolve(self, item):
        """Put hosts for names, and for a destination an address of a common version."""
        src, dst = self.host(item.src), item.dst
        if isinstance(dst, str) and dst in self._hosts:
            dst = self._hosts[dst]
        if not isinstance(dst, Host):
            return item._replace(src=src)
        own = [ipaddress.ip_address(item.src_addr)] if item.src_addr else src.addresses
        versions = {address.version for address in own}
        common = [str(address) for address in dst.addresses
                  if address.version in versions]
        if not common:
            raise LabError(f"{src.name} and {dst.name} share no IP version")
        return item._replace(src=src, dst=common[0])

    def conntrack_flush(self, node=None):
        """Make a node forget all connections."""
        (node or self.node).exec(["conntrack", "-F"])


def main(arguments):
    if arguments != ["sweep"]:
        print("usage: lab.py sweep", file=sys.stderr)
        return 2
    for netns in sweep():
        print(f"removed {netns}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
