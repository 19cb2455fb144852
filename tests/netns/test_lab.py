"""The lab itself: what it says about reachability must be true of the packets."""

import collections
import contextlib
import ipaddress
import os
import select
import socket
import subprocess
import threading
import time

import pytest

import lab as lab_module
import probe as probe_module
from lab import Lab, LabError, ProbeError, matrix, parse_port
from netlab import kernel, sctp

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PROTOCOLS = {"tcp": 80, "udp": 53, "sctp": 9, "icmp": 0}
REJECTS = {
    "tcp reset": ("tcp dport 80", "reject with tcp reset", "tcp"),
    "tcp icmp": ("tcp dport 80", "reject", "tcp"),
    "tcp prohibited": ("tcp dport 80", "reject with icmpx admin-prohibited", "tcp"),
    "udp icmp": ("udp dport 53", "reject", "udp"),
    "udp prohibited": ("udp dport 53", "reject with icmpx admin-prohibited", "udp"),
    "sctp icmp": ("sctp dport 9", "reject", "sctp"),
    "echo prohibited": ("", "reject with icmpx admin-prohibited", "icmp"),
}
ECHO_REQUEST = {4: "icmp type echo-request", 6: "icmpv6 type echo-request"}


@pytest.fixture(scope="module")
def shared():
    """Two nodes, workloads of all kinds, and two outside hosts that own networks."""
    with Lab() as lab:
        lab.add_workloads(["web", "shop/db"])
        lab.add_workloads({"two": ["10.1.1.1", "10.1.1.2", "fd00:1::a1", "fd00:1::a2"]})
        lab.add_workload("only4", family=4)
        lab.add_workload("only6", family=6)
        lab.add_outside("corp", ["10.0.0.0/8", "fd00::/16"])
        lab.add_outside("world", ["0.0.0.0/0", "::/0"])
        lab.add_node("node-2")
        lab.add_workload("remote", node="node-2")
        lab.add_outside("far", ["172.16.0.0/12", "2001:db8:77::/48"], node="node-2")
        lab.listen_all([80, "53/udp", "9/sctp"])
        yield lab


@pytest.fixture
def rules(shared):
    """Load rules into chain `forward` of the first node, for one test."""
    def load(text, hook="forward"):
        shared.node.nft(f"table inet t {{ chain c {{ type filter hook {hook} "
                        f"priority 0;\n{text}\n}}; }}\n")

    yield load
    shared.node.exec(["nft", "flush", "ruleset"])


def every_pair(lab, proto):
    """(source, address, protocol, port) for all that share an IP version."""
    return [(src, str(dst), proto, PROTOCOLS[proto])
            for src in lab.hosts for host in lab.hosts for dst in host.addresses
            if src.address(dst.version)]


def states(lab, probes, **options):
    return [result.state for result in lab.probe_many(probes, **options)]


# --- connectivity ---


@pytest.mark.parametrize("proto", PROTOCOLS)
def test_every_host_reaches_every_address_when_there_are_no_rules(shared, proto):
    probes = every_pair(shared, proto)
    assert len(probes) > 100
    for (src, dst, _, port), result in zip(probes, shared.probe_many(probes)):
        assert result.state == "open", (src, dst, result)
        assert result.local == (dst, port)
        assert ipaddress.ip_address(result.client[0]) in src.addresses
        if proto != "icmp":
            assert result.who == shared.owner(dst).name


@pytest.mark.parametrize("proto", ["tcp", "udp", "sctp"])
@pytest.mark.parametrize("dst", ["shop/db", "node-1", "world", "remote"])
def test_probe_is_refused_when_nothing_listens(shared, proto, dst):
    for address in map(str, shared.host(dst).addresses):
        assert shared.probe("web", address, proto, 4321).state == "refused"


def test_outside_host_answers_in_all_of_its_networks_but_not_for_others(shared):
    expected = {
        "8.8.8.8": "world", "2600::1": "world", "10.77.3.4": "corp",
        "fd00:1234::1": "corp", "172.31.255.254": "far", "2001:db8:77:ffff::1": "far",
        "10.1.1.2": "two", "fd00:2::1": "remote", "192.168.0.2": "node-2",
    }
    probes = [(src, dst, proto, PROTOCOLS[proto]) for dst in expected
              for src in ("two", "remote", "corp", "world", "far")
              for proto in ("tcp", "udp", "sctp")]
    for (src, dst, *_), result in zip(probes, shared.probe_many(probes)):
        assert (result.state, result.who) == ("open", expected[dst]), (src, dst)


@pytest.mark.parametrize("proto", PROTOCOLS)
@pytest.mark.parametrize("src, address", [
    ("two", "10.1.1.2"), ("two", "fd00:1::a2"), ("corp", "10.200.0.9"),
    ("world", "2600::99"), ("far", "172.16.9.9")])
def test_source_address_and_port_are_as_chosen(shared, proto, src, address):
    port = 0 if proto == "icmp" else 4567
    result = shared.probe(src, "shop/db", proto, PROTOCOLS[proto], src_addr=address,
                          src_port=port)
    assert (result.state, result.client) == ("open", (address, port))


def test_spoofed_source_arrives_but_gets_no_answer(shared, rules):
    rules("ip saddr 10.1.99.99 tcp dport 80 tcp flags syn counter accept")
    result = shared.probe("web", "remote", "tcp", 80, src_addr="10.1.99.99")
    assert result.state == "closed"
    assert "counter packets 1 " in shared.node.exec(["nft", "list", "ruleset"]).stdout


@pytest.mark.parametrize("proto", ["udp", "sctp"])
def test_no_source_port_is_used_twice(shared, proto):
    probe = ("web", "shop/db", proto, PROTOCOLS[proto])
    results = shared.probe_many([probe] * 1000) + shared.probe_many([probe] * 1000)
    assert len({result.client for result in results}) == 2000


# --- rules ---


@pytest.mark.parametrize("match, proto", [
    ("ip daddr {v4} tcp dport 80", "tcp"), ("ip6 daddr {v6} udp dport 53", "udp"),
    ("ip daddr {v4} sctp dport 9", "sctp"), ("ip6 daddr {v6} icmpv6 type echo-request",
                                             "icmp")])
def test_dropped_pair_is_closed_and_only_that(shared, rules, match, proto):
    web, db = shared.workload("web"), shared.workload("shop/db")
    match = match.format(v4=db.v4[0], v6=db.v6[0])
    rules(f"iifname {web.interface} {match} drop")
    dropped = (web, db.v4[0] if "ip daddr" in match else db.v6[0])
    probes = every_pair(shared, proto)
    found = states(shared, probes)
    assert [item[:2] for item, state in zip(probes, found) if state == "closed"] \
        == [dropped]
    assert set(found) == {"open", "closed"}


def test_probe_is_closed_when_the_answer_is_dropped(shared, rules):
    rules("tcp sport 80 drop; udp sport 53 drop; sctp sport 9 drop; "
          "icmp type echo-reply drop")
    for proto, port in PROTOCOLS.items():
        assert shared.probe("web", "shop/db", proto, port).state == "closed"


def test_probe_is_closed_when_only_the_handshake_passes(shared, rules):
    rules("tcp flags & psh == psh drop")
    result = shared.probe("web", "shop/db", "tcp", 80)
    assert (result.state, result.detail) == ("closed", "connected, but no answer")
    assert shared.probe("web", "shop/db", "tcp", 80, answered=False).state == "open"


@pytest.mark.parametrize("name", REJECTS)
@pytest.mark.parametrize("version", [4, 6])
def test_rejected_probe_is_refused(shared, rules, name, version):
    match, verdict, proto = REJECTS[name]
    rules(f"{match or ECHO_REQUEST[version]} {verdict}")
    db = shared.workload("shop/db")
    result = shared.probe("web", db.address(version), proto, PROTOCOLS[proto])
    assert result.state == "refused", result


@pytest.mark.parametrize("verdict_and_state", [("drop", "closed"),
                                               ("reject", "refused")])
def test_node_sees_its_own_output_rules(shared, rules, verdict_and_state):
    verdict, state = verdict_and_state
    rules(f"tcp dport 80 {verdict}; udp dport 53 {verdict}; sctp dport 9 {verdict}",
          hook="output")
    for proto in ("tcp", "udp", "sctp"):
        for address in map(str, shared.workload("web").addresses):
            result = shared.probe("node-1", address, proto, PROTOCOLS[proto])
            assert result.state == state, (proto, address)
        assert shared.probe("web", "shop/db", proto, PROTOCOLS[proto]).state == "open"


def test_raw_sctp_is_valid_to_connection_tracking(shared, rules):
    rules("meta l4proto sctp ct state invalid drop; "
          "meta l4proto sctp ct state established counter accept")
    for address in shared.workload("shop/db").addresses:
        assert shared.probe("web", str(address), "sctp", 9).state == "open"
    # INIT ACK and the ABORT that ends the association, of two probes
    assert "counter packets 4 " in shared.node.exec(["nft", "list", "ruleset"]).stdout


@pytest.mark.parametrize("proto", PROTOCOLS)
@pytest.mark.parametrize("timeout_ms, confirm, packets", [
    (900, False, 1), (100, True, 2)])
def test_nothing_is_sent_twice_when_it_is_dropped(shared, rules, proto, timeout_ms,
                                                  confirm, packets):
    match = "icmp type echo-request" if proto == "icmp" else \
        f"{proto} dport {PROTOCOLS[proto]}"
    rules(f"{match} counter drop")
    result = shared.probe("web", "shop/db", proto, PROTOCOLS[proto], timeout_ms,
                          confirm=confirm)
    assert result.state == "closed"
    listing = shared.node.exec(["nft", "list", "ruleset"]).stdout
    assert f"counter packets {packets} " in listing


def test_confirm_finds_what_a_first_try_missed(shared, rules):
    rules("tcp dport 80 ct state new limit rate over 1/minute burst 1 packets accept; "
          "tcp dport 80 ct state new drop")
    result = shared.probe("web", "shop/db", "tcp", 80, 100)
    assert result.state == "closed"
    shared.node.exec(["nft", "flush", "ruleset"])
    rules("tcp dport 80 ct state new limit rate over 1/minute burst 1 packets accept; "
          "tcp dport 80 ct state new drop")
    result = shared.probe("web", "shop/db", "tcp", 80, 100, confirm=True)
    assert result.state == "open"


def test_many_dropped_probes_cost_one_timeout(shared, rules):
    rules("tcp dport 80 drop; udp dport 53 drop")
    probes = [item for proto in ("tcp", "udp")
              for item in every_pair(shared, proto) if item[0].name == "web"] * 20
    probes = [item for item in probes if shared.owner(item[1]) not in
              (shared.node, shared.host("web"))]
    assert len(probes) > 400
    started = time.monotonic()
    assert set(states(shared, probes)) == {"closed"}
    assert time.monotonic() - started < 80  # one after the other: more than 160 s


# --- whose answer ---


@contextlib.contextmanager
def udp_server(host, port, reply):
    """A server that is none of the lab's: answers a datagram with reply(datagram)."""
    def open_socket():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("", port))
        return sock

    def serve():
        while not select.select([sock, stop], [], [])[0].count(stop):
            data, client = sock.recvfrom(2048)
            sock.sendto(reply(data), client)

    stop = os.eventfd(0)
    sock = host.enter_and(open_socket)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        os.eventfd_write(stop, 1)
        thread.join()
        sock.close()
        os.close(stop)


def test_answer_to_another_probe_is_ignored(shared):
    late = b"ringfence-lab 0123456789abcdef shop/db 10.1.0.2 5353 10.1.0.1 4000\n"
    with udp_server(shared.workload("shop/db"), 5353, lambda _: late):
        assert shared.probe("web", "shop/db", "udp", 5353).state == "closed"


def test_foreign_answer_is_open_but_names_nobody(shared):
    with udp_server(shared.workload("shop/db"), 5353, lambda data: b"hello"):
        result = shared.probe("web", "shop/db", "udp", 5353)
    assert (result.state, result.who) == ("open", None)


# --- mistakes of the caller ---


@pytest.mark.parametrize("arguments, options", [
    (("only4", "fd00:1::1", "tcp", 80), {}),
    (("only6", "10.1.0.1", "udp", 53), {}),
    (("web", "10.1.0.2", "tcp", 80), {"src_addr": "fd00:1::1"}),
    (("web", "10.1.0.2", "tcp", 80), {"src_port": 80}),
])
def test_probe_that_cannot_be_sent_raises(shared, arguments, options):
    with pytest.raises(ProbeError):
        shared.probe(*arguments, **options)


@pytest.mark.parametrize("arguments", [
    ("web", "only4x", "tcp", 80), ("web", "10.1.0.2", "tcpx", 80),
    ("web", "10.1.0.2", "tcp", 80, 0), ("web", "10.1.0.2", "tcp", 80, 1000)])
def test_nonsense_raises_value_error(shared, arguments):
    with pytest.raises(ValueError):
        shared.probe(*arguments)


def test_lab_error_when_a_name_is_unknown_or_no_version_is_shared(shared):
    with pytest.raises(LabError, match="no host 'nobody'"):
        shared.probe("nobody", "web", "tcp", 80)
    with pytest.raises(LabError, match="share no IP version"):
        shared.probe("only4", "only6", "tcp", 80)


@pytest.mark.parametrize("spec, expected", [
    (80, ("tcp", 80)), ("80", ("tcp", 80)), ("80/TCP", ("tcp", 80)),
    ("53/udp", ("udp", 53)), (("sctp", 9), ("sctp", 9)), ("icmp", ("icmp", 0))])
def test_parse_port(spec, expected):
    assert parse_port(spec) == expected


@pytest.mark.parametrize("spec", [0, 65536, "x", "80/gre", ("tcp", -1)])
def test_parse_port_refuses(spec):
    with pytest.raises(ValueError):
        parse_port(spec)


@pytest.mark.parametrize("name, addresses, message", [
    ("web", None, "already"), ("a b", None, "not a host name"),
    ("new", ["10.1.0.1"], "belongs to web"), ("new", ["10.9.0.0/24"], "only outside")])
def test_host_that_cannot_be_is_not_added(shared, name, addresses, message):
    before = [host.name for host in shared.hosts]
    with pytest.raises(LabError, match=message):
        shared.add_workloads({"first": None, name: addresses})
    assert [host.name for host in shared.hosts] == before


# --- SCTP by hand ---


def test_crc32c_of_the_known_vector():
    assert sctp.crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C


def test_damaged_sctp_is_no_packet():
    packet = sctp.init(1000, 9, 7)
    assert sctp.Packet(packet).kind == sctp.INIT
    for i in range(len(packet)):
        damaged = packet[:i] + bytes([packet[i] ^ 1]) + packet[i + 1:]
        with pytest.raises(ValueError):
            sctp.Packet(damaged)
        with pytest.raises(ValueError):
            sctp.Packet(packet[:i])


# --- connections that stay ---


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_connection_tells_when_it_is_cut(shared, rules, proto):
    port = PROTOCOLS[proto]
    with shared.connect("web", "shop/db", proto, port) as connection:
        assert connection.state == "open"
        assert connection.ask() == "open"
        rules(f"{proto} dport {port} drop")
        assert connection.ask(100) == "closed"
        shared.node.exec(["nft", "flush", "ruleset"])
        rules(f"{proto} dport {port} reject" + (" with tcp reset" * (proto == "tcp")))
        assert connection.ask(900) == "refused"


def test_connection_says_how_opening_went(shared, rules):
    rules("tcp dport 80 drop")
    with shared.connect("web", "shop/db", "tcp", 80) as dropped, \
            shared.connect("web", "shop/db", "tcp", 4321) as refused:
        assert (dropped.state, refused.state) == ("closed", "refused")


def test_conntrack_flush_forgets_connections(shared, rules):
    def count():
        return int(shared.node.exec(["conntrack", "-C"]).stdout)

    rules("ct state established accept")
    with shared.connect("web", "shop/db", "tcp", 80) as connection:
        assert connection.state == "open"
        assert count() > 0
        shared.conntrack_flush()
        assert count() == 0


# --- change while it lives ---


def test_workload_comes_and_goes(shared):
    def namespaces():
        return [name for name in kernel.names() if name.startswith(shared.prefix)]

    before = namespaces()
    late = shared.add_workload("late", ["10.9.9.9", "fd00:9::9"])
    shared.listen("late", "tcp", 80)
    for src in ("web", "remote", "corp", "far"):
        for dst in ("10.9.9.9", "fd00:9::9"):
            assert shared.probe(src, dst, "tcp", 80).who == "late"
    late.add_address("10.9.9.10")
    late.remove_address("10.9.9.9")
    assert shared.probe("remote", "10.9.9.10", "tcp", 80).who == "late"
    # the address is in a network of corp's, who has it back now
    assert shared.probe("remote", "10.9.9.9", "tcp", 80).who == "corp"
    shared.unlisten("late", "tcp", 80)
    assert shared.probe("web", "10.9.9.10", "tcp", 80).state == "refused"
    shared.remove("late")
    assert shared.probe("web", "fd00:9::9", "tcp", 80).who == "corp"
    assert namespaces() == before
    with pytest.raises(LabError):
        shared.workload("late")


def test_address_of_another_is_not_added(shared):
    with pytest.raises(LabError, match="belongs to shop/db"):
        shared.workload("web").add_address("10.1.0.2")
    with pytest.raises(LabError, match="does not have"):
        shared.workload("web").remove_address("10.1.0.2")


# --- commands and the table ---


def test_exec_runs_inside_and_reports_failure(shared):
    web = shared.workload("web")
    assert "10.1.0.1/32" in web.exec(["ip", "-br", "addr", "show", "eth0"]).stdout
    assert web.exec(["cat"], input="text").stdout == "text"
    assert web.exec(["false"], check=False).returncode == 1
    with pytest.raises(LabError, match="(?s)web: ip link show nosuch.*does not exist"):
        web.exec(["ip", "link", "show", "nosuch"])
    with pytest.raises(subprocess.TimeoutExpired):
        web.exec(["sleep", "60"], timeout=0.1)
    assert kernel.processes([web.netns]) == []


def test_matrix_shows_who_reaches_whom(capsys):
    with Lab() as lab:
        lab.add_workloads(["web", "db"])
        lab.add_outside("net", family=4)
        lab.listen_all([80, "53/udp"])
        lab.node.nft("""table inet t { chain c { type filter hook forward priority 0;
            ip saddr 10.1.0.1 ip daddr 10.1.0.2 tcp dport 80 drop
            ip saddr 203.0.113.1 ct state new reject
            udp dport 53 oifname "out-net" drop
        }; }\n""")
        table = matrix(lab, [80, "53/udp"])
        assert capsys.readouterr().out == """\
who reaches whom at 80/tcp, 53/udp

from \\ to  web            db                 net
---------  -------------  -----------------  ------
web        .              80/tcp(v6) 53/udp  80/tcp
db         80/tcp 53/udp  .                  80/tcp
net        -              -                  .

"""
        assert table.reachable("db", "web", ("tcp", 80))
        assert not table.reachable("web", "db", ("tcp", 80))
        assert table.states["net"]["web"]["udp", 53] == {4: "refused"}
        one = str(matrix(lab, [80], ["web", "node-1"], ["db"], show=False))
        assert [line.split() for line in one.splitlines()[2:]] \
            == [["web", "yes(v6)"], ["node-1", "yes"]]


def test_static_neighbours_need_no_resolution():
    with Lab(neighbours="static") as lab:
        lab.add_workloads(["a", "b"])
        lab.add_outside("o", ["198.18.0.0/15", "2001:db8:1::/48"])
        lab.listen_all([80])
        lab.node.nft("table netdev t { chain c { type filter hook ingress devices = "
                     "{ wl-a, wl-b, out-o } priority 0; ether type arp drop; icmpv6 "
                     "type { nd-neighbor-solicit, nd-neighbor-advert } drop; }; }\n")
        lab.workload("b").add_address("10.1.7.7")
        for dst in ("10.1.0.2", "fd00:1::2", "10.1.7.7", "198.19.1.1", "2001:db8:1::7"):
            assert lab.probe("a", dst, "tcp", 80).state == "open", dst
            assert lab.probe("o", lab.workload("a"), "tcp", 80).state == "open"


# --- speed, printed for people ---


def test_speed(capsys):
    lines = []

    def timed(what, function, count=0):
        started = time.monotonic()
        value = function()
        seconds = time.monotonic() - started
        rate = f", {count / seconds:.0f}/s" if count else ""
        lines.append(f"  {what}: {seconds:.2f} s{rate}")
        return value

    with Lab() as lab:
        timed("30 workloads", lambda: lab.add_workloads([f"w{i}" for i in range(30)]))
        timed("60 listeners", lambda: lab.listen_all([80, "53/udp"], lab.workloads))
        lab.listen_all([80, "53/udp", "9/sctp"])
        everything = {proto: every_pair(lab, proto) for proto in PROTOCOLS}
        for proto, probes in everything.items():
            results = timed(f"{len(probes)} {proto} probes",
                            lambda p=probes: lab.probe_many(p, confirm=True), len(probes))
            counted = collections.Counter(result.state for result in results)
            assert counted == {"open": len(probes)}
        lab.node.nft("table inet t { chain c { type filter hook forward priority 0; "
                     "tcp dport 80 drop; }; }\n")
        probes = everything["tcp"]
        timed(f"{len(probes)} dropped", lambda: lab.probe_many(probes), len(probes))
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert probe_module.DEFAULT_TIMEOUT_MS < 1000
