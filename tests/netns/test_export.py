"""Flow records at others': an IPFIX collector (its decoder is written from RFC 7011) and a
journal (its reader from systemd's description of the native protocol)."""

import ipaddress
import socket
import struct

import pytest

import lab as lab_module
from enforcerd import Enforcer, kill
from lab import Lab, wait_until
from shop import DB, PORTS, world

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

WAIT_S = 60
ENTERPRISE = 32473  # RFC 5612: for documentation
NAMES = {  # of IANA's registry
    2: "packetDeltaCount", 4: "protocolIdentifier", 7: "sourceTransportPort",
    8: "sourceIPv4Address", 11: "destinationTransportPort", 12: "destinationIPv4Address",
    27: "sourceIPv6Address", 28: "destinationIPv6Address", 61: "flowDirection",
    152: "flowStartMilliseconds", 233: "firewallEvent", 302: "selectorId",
    335: "selectorName"}
OWN = {1: "source", 2: "destination", 3: "tenant", 4: "verdict", 5: "reason"}


class Collector:
    """What a collecting process does with datagrams (RFC 7011 sections 3, 8, 9)."""

    def __init__(self):
        self.templates = {}
        self.records = []
        self.sequence = None

    def begin_session(self):
        """Of a stream: templates belong to it (section 10.4)."""
        self.templates = {}

    def take_stream(self, data):
        """Whole messages from the front of a stream; returns the rest."""
        while len(data) >= 4 and len(data) >= int.from_bytes(data[2:4], "big"):
            length = int.from_bytes(data[2:4], "big")
            self.take(data[:length])
            data = data[length:]
        return data

    def take(self, data):
        version, length, _time, sequence, domain = struct.unpack_from("!HHIII", data)
        assert version == 10 and length == len(data) <= 1400
        assert self.sequence is None or sequence == self.sequence
        at = 16
        records = 0
        while at < length:
            set_id, set_length = struct.unpack_from("!HH", data, at)
            assert set_length >= 4 and at + set_length <= length
            body = data[at + 4:at + set_length]
            if set_id == 2:
                self._take_templates(domain, body)
            else:
                records += self._take_records(self.templates[domain, set_id], body)
            at += set_length
        self.sequence = sequence + records

    def _take_templates(self, domain, body):
        while body:
            template, count = struct.unpack_from("!HH", body)
            assert template >= 256
            body = body[4:]
            fields = []
            for _ in range(count):
                element, size = struct.unpack_from("!HH", body)
                body = body[4:]
                names = NAMES
                if element & 0x8000:
                    assert struct.unpack_from("!I", body)[0] == ENTERPRISE
                    body = body[4:]
                    element &= 0x7fff
                    names = OWN
                fields.append((names[element], size))
            self.templates[domain, template] = fields

    def _take_records(self, fields, body):
        count = 0
        while body:
            record = {}
            for name, size in fields:
                if size == 65535:
                    size, body = body[0], body[1:]
                    assert size < 255  # longer ones have another form
                    record[name] = body[:size].decode()
                elif "Address" in name:
                    record[name] = str(ipaddress.ip_address(body[:size]))
                else:
                    record[name] = int.from_bytes(body[:size], "big")
                body = body[size:]
            self.records.append(record)
            count += 1
        return count


def read_entry(data):
    """One entry of the journal's native protocol."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, rest = rest[8:8 + size], rest[8 + size:]
            assert rest[:1] == b"\n"
            rest = rest[1:]
        fields[name.decode()] = value.decode()
        data = rest
    return fields


def drain(sock, take):
    while True:
        try:
            take(sock.recv(65536))
        except BlockingIOError:
            return


def test_collectors_get_what_the_flow_log_has(tmp_path):
    with Lab() as lab:
        lab.add_workloads(["web", "db", "mon"])
        lab.listen_all(PORTS)
        collector, entries = Collector(), []
        udp = lab.node.enter_and(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        journal.bind(str(tmp_path / "journal"))
        for sock in (udp, journal):
            sock.setblocking(False)
        flows = {"file": str(tmp_path / "flows.jsonl"), "journal": str(tmp_path / "journal"),
                 "ipfix": {"collector": f"127.0.0.1:{udp.getsockname()[1]}", "domain": 7,
                           "enterprise": ENTERPRISE}}
        with udp, journal, Enforcer(lab.node, tmp_path, {
                "world.yaml": world(lab), "db.yaml": DB}, flows=flows) as enforcer:
            db = lab.host("db")
            probes = [(src, str(db.address(version)), proto, port)
                      for src in ("web", "mon") for version in (4, 6)
                      for proto, port in (("tcp", 80), ("udp", 53), ("tcp", 9100))]
            for _ in range(3):
                lab.probe_many(probes)

            def totals():
                drain(udp, collector.take)
                drain(journal, lambda data: entries.append(read_entry(data)))
                told = [sum(flow["count"] for flow in enforcer.flows()),
                        sum(each["packetDeltaCount"] for each in collector.records),
                        sum(int(each["RINGFENCE_COUNT"]) for each in entries)]
                return told if told[0] >= 18 and len(set(told)) == 1 else None

            wait_until(totals, WAIT_S, "all of them to have all")
            assert enforcer.metric('ringfence_flow_exported_records_total'
                                   '{receiver="ipfix"}') == len(collector.records)
            assert enforcer.metric('ringfence_flow_export_lost_records_total'
                                   '{receiver="journal"}') == 0
            web = str(lab.host("web").address(6))
            mine = [each for each in collector.records
                    if each.get("sourceIPv6Address") == web
                    and each["destinationTransportPort"] == 80]
            assert mine[0] | {
                "destinationIPv6Address": str(db.address(6)), "protocolIdentifier": 6,
                "flowDirection": 0, "firewallEvent": 3, "source": "/acme/shop/web",
                "destination": "/acme/shop/db", "tenant": "acme", "verdict": "deny",
                "reason": "isolation"} == mine[0]
            assert mine[0]["selectorName"].startswith("Policy /acme/shop/db ingress")
            entry = next(each for each in entries if each.get("RINGFENCE_DST_PORT") == "80"
                         and each["RINGFENCE_SRC_ADDRESS"] == web)
            assert entry | {
                "RINGFENCE_VERDICT": "deny", "RINGFENCE_DIRECTION": "ingress",
                "RINGFENCE_SRC_WORKLOAD": "web", "RINGFENCE_DST_NAMESPACE": "/acme/shop",
                "RINGFENCE_POLICY": "db", "RINGFENCE_TENANT": "acme", "PRIORITY": "5",
                "SYSLOG_IDENTIFIER": "ringfence-enforcer"} == entry
            assert entry["MESSAGE"].startswith("deny /acme/shop/web to /acme/shop/db, tcp 80")


class Stream:
    """A collecting process over TCP: one session at a time."""

    def __init__(self, host, collector, port=0):
        self.collector = collector
        self.listener = host.enter_and(lambda: socket.socket(socket.AF_INET))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen()
        self.listener.setblocking(False)
        self.session, self.rest, self.sessions = None, b"", 0

    @property
    def port(self):
        return self.listener.getsockname()[1]

    def drain(self):
        try:
            if self.session is None:
                self.session = self.listener.accept()[0]
                self.session.setblocking(False)
                self.rest = b""
                self.sessions += 1
                self.collector.begin_session()
            while data := self.session.recv(65536):
                self.rest = self.collector.take_stream(self.rest + data)
            self.session = None
        except BlockingIOError:
            pass

    def close(self):
        if self.session is not None:
            self.session.close()
        self.session = None
        self.listener.close()


def test_collector_over_tcp_that_comes_and_goes(tmp_path):
    """Each session begins with templates; records wait for the next, and are told once."""
    with Lab() as lab:
        lab.add_workloads(["web", "db", "mon"])
        collector = Collector()
        stream = Stream(lab.node, collector)
        port = stream.port
        stream.close()  # it is not there yet
        flows = {"file": str(tmp_path / "flows.jsonl"), "ipfix": {
            "collector": f"127.0.0.1:{port}", "protocol": "tcp", "domain": 7}}
        with Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB},
                      flows=flows) as enforcer:
            address = str(lab.host("db").address(4))

            def deny(number):
                before = sum(flow["count"] for flow in enforcer.flows())
                lab.probe_many([("web", address, "udp", 1000 + i) for i in range(number)], 100)
                wait_until(lambda: sum(flow["count"] for flow in enforcer.flows()) >=
                           before + number, WAIT_S, "the flow log")

            def has_all():
                stream.drain()
                return (sum(each["packetDeltaCount"] for each in collector.records) ==
                        sum(flow["count"] for flow in enforcer.flows()))

            def lost():
                return enforcer.metric('ringfence_flow_export_lost_records_total'
                                       '{receiver="ipfix"}')

            deny(5)
            enforcer.wait_log("export receiver=ipfix detail=")
            stream = Stream(lab.node, collector, port)
            wait_until(has_all, WAIT_S, "what came before the collector")
            deny(5)
            wait_until(has_all, WAIT_S, "what came with it")
            stream.close()  # it ends, having read all
            deny(5)
            stream = Stream(lab.node, collector, port)
            wait_until(has_all, WAIT_S, "what came while it was gone")
            assert stream.sessions == 1 and lost() == 0
            assert enforcer.metric('ringfence_flow_exported_records_total'
                                   '{receiver="ipfix"}') == len(collector.records)
            ports = [each["destinationTransportPort"] for each in collector.records
                     if each["sourceIPv4Address"] == str(lab.host("web").address(4))]
            assert set(ports) == {1000, 1001, 1002, 1003, 1004}
            # The engine's successor goes on, in a session of its own.
            kill(enforcer.role("engine"))
            wait_until(lambda: enforcer.answers() and
                       enforcer.status()["flows"]["reading"], WAIT_S, "another engine")
            collector.sequence = None  # it counts from the start
            deny(5)
            wait_until(has_all, WAIT_S, "what came after it")
            stream.close()


def test_journal_that_is_started_again_is_found(tmp_path):
    with Lab() as lab:
        lab.add_workloads(["web", "db", "mon"])
        path, entries = tmp_path / "journal", []

        def journal():
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.bind(str(path))
            sock.setblocking(False)
            return sock

        with Enforcer(lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB},
                      flows={"journal": str(path)}) as enforcer:
            enforcer.wait_log("flow-export")  # there is none yet
            for number in (1, 2):
                with journal() as sock:
                    def told():
                        lab.probe("web", "db", "tcp", 80, 50)
                        drain(sock, lambda data: entries.append(read_entry(data)))  # noqa: B023
                        return entries

                    wait_until(told, WAIT_S, f"journal {number}")
                path.unlink()
                entries.clear()
