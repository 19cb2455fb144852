"""Flow records at others': an IPFIX collector (its decoder is written from RFC 7011) and a
journal (its reader from systemd's description of the native protocol)."""

import ipaddress
import socket
import struct

import pytest

import lab as lab_module
from enforcerd import Enforcer
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
