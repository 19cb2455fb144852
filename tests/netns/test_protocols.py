"""Protocols without ports, and packets in pieces, through the real kernel: rules without
ports are of every protocol, all others of their own alone."""

import contextlib
import socket

import pytest

import lab as lab_module
from lab import wait_until
from shop import enforcer, lab  # noqa: F401
from test_established import change

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

# GRE, ESP, UDP-Lite, of nobody; of IPv6 also what says that nothing follows
OTHERS = [(proto, version) for proto in (47, 50, 136, 253) for version in (4, 6)] + [(59, 6)]
TRACKED = [send for send in OTHERS if send[0] in (47, 50, 253)]  # by conntrack
HEAD = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: db, namespace: /acme/shop}
spec:
  workloads: {matchLabels: {app: db}}
"""
FROM_WEB = "from: [{workloads: {matchLabels: {app: web}}}]"
EVERYTHING = HEAD + f"  allow: {{ingress: [{{{FROM_WEB}}}]}}\n"
WITH_PORTS = HEAD + (
    f"  allow: {{ingress: [{{{FROM_WEB}, ports: [tcp, 1-65535/udp, sctp, icmp, icmpv6]}}]}}\n")
BUT_WITH_PORTS = HEAD + "  mandatory: {ingress: [{action: deny, ports: [tcp, udp, sctp]}]}\n"


def check(lab, src, dst, wanted):
    """Of all of OTHERS, each sent twice, those that are wanted arrive, and nothing else."""
    with contextlib.ExitStack() as stack:
        def open_socket(host, proto, version):
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            sock = stack.enter_context(lab.host(host).enter_and(
                lambda: socket.socket(family, socket.SOCK_RAW, proto)))
            sock.setblocking(False)
            return sock

        listeners = {send: open_socket(dst, *send) for send in OTHERS}
        for send in OTHERS:
            sender = open_socket(src, *send)
            for _ in range(2):  # the second, of a connection that is known
                sender.sendto(b"of-ringfence", (lab.host(dst).address(send[1]), 0))
        # Behind all of them, by the same way.
        assert lab.probe(src, "web" if src == "mon" else "mon", "tcp", 80).open
        counts = dict.fromkeys(OTHERS, 0)

        def arrived():
            for send, sock in listeners.items():
                with contextlib.suppress(BlockingIOError):
                    while True:
                        counts[send] += sock.recv(200).endswith(b"of-ringfence")
            return all(counts[send] == 2 for send in wanted)

        wait_until(arrived, 30, "packets")
        assert counts == {send: 2 * (send in wanted) for send in OTHERS}


def test_other_protocols_are_of_rules_without_ports_alone(lab, enforcer):
    change(enforcer, EVERYTHING)
    check(lab, "web", "db", OTHERS)
    check(lab, "mon", "db", [])
    cut = enforcer.status()["connections"]["cut"]
    change(enforcer, WITH_PORTS)
    assert enforcer.status()["connections"]["cut"] - cut == len(TRACKED)
    check(lab, "web", "db", [])
    change(enforcer, BUT_WITH_PORTS)
    check(lab, "mon", "db", OTHERS)
    assert lab.probe("mon", "db", "tcp", 80).state == "closed"


def test_neighbour_discovery_that_is_routed_is_judged(lab, enforcer):
    """It is of a link; what a router sends on as such could carry anything to anybody."""
    change(enforcer, EVERYTHING)
    types = range(133, 138)
    address = (lab.host("db").address(6), 0)

    def open_socket(host):
        return lab.host(host).enter_and(
            lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))

    with open_socket("db") as listener, open_socket("web") as web, open_socket("mon") as mon:
        listener.setblocking(False)
        came = []

        def arrived():
            with contextlib.suppress(BlockingIOError):
                while True:
                    came.append(listener.recv(200))
            return sum(packet.endswith(b"web") for packet in came) == len(types)

        for name, sender in ("mon", mon), ("web", web):
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
            for number in types:
                sender.sendto(bytes([number, 0]) + bytes(6) + name.encode(), address)
        wait_until(arrived, 30, "packets")
        assert not any(packet.endswith(b"mon") for packet in came)


@pytest.mark.parametrize("version", [4, 6])
def test_pieces_of_a_packet_fare_as_the_whole(lab, enforcer, version):
    """Ports are in the first piece alone."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    change(enforcer, HEAD + (
        f"  allow: {{ingress: [{{{FROM_WEB}, ports: [7053/udp]}}]}}\n"))

    def listen(port):
        sock = lab.host("db").enter_and(lambda: socket.socket(family, socket.SOCK_DGRAM))
        sock.bind((str(lab.host("db").address(version)), port))
        return sock

    with (listen(7053) as allowed, listen(7054) as denied,
          lab.host("web").enter_and(
              lambda: socket.socket(family, socket.SOCK_DGRAM)) as sender):
        for port in (7054, 7053):
            sender.sendto(bytes(5000), (str(lab.host("db").address(version)), port))
        allowed.settimeout(30)
        assert len(allowed.recv(6000)) == 5000
        denied.setblocking(False)
        with pytest.raises(BlockingIOError):
            denied.recv(6000)
