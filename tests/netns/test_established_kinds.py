"""Connections of every kind are cut when policy comes to forbid them, and no others: those
that belong to another, of other zones, half open, translated at either end.
"""

import contextlib
import socket

import pytest

import lab as lab_module
from lab import wait_until
from shop import lab  # noqa: F401
from test_established import (STREAMS, TIGHT, VIP, Stream, change, enforcer,  # noqa: F401
                              idle, send_many, tracked)

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

CONTROL = 21
FTP = STREAMS.replace("15432/tcp", f"{CONTROL}/tcp")
HELPER = f"""
table inet helpers {{
    ct helper ftp {{ type "ftp" protocol tcp; }}
    chain assign {{
        type filter hook prerouting priority -150;
        tcp dport {CONTROL} ct helper set "ftp";
    }}
}}
"""


@contextlib.contextmanager
def listening(lab, name, port):
    with lab.host(name).enter_and(socket.socket) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((lab.host(name).address(4), port))
        sock.listen()
        yield sock


def connected(lab, src, address, listener):
    """A stream from a host to who listens, by an address."""
    stream = Stream.__new__(Stream)
    stream.client = lab.host(src).enter_and(socket.socket)
    stream.client.settimeout(2)
    stream.client.connect(address)
    stream.server, _ = listener.accept()
    stream.server.settimeout(2)
    return stream


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("translated", [False, True])
def test_what_belongs_to_another_is_cut_with_it(lab, enforcer, translated, gone):
    """FTP's data, to a port that policy knows nothing of; its control may be a Service's, and
    may be over."""
    db = str(lab.host("db").address(4))
    door = VIP[4] if translated else db
    lab.node.nft(HELPER)
    lab.node.nft(f"""table ip services {{ chain to {{
        type nat hook prerouting priority dstnat;
        ip daddr {VIP[4]} dnat to {db};
    }}
    }}""")
    change(enforcer, FTP)
    with listening(lab, "db", CONTROL) as at_control, listening(lab, "db", 2050) as at_data:
        with (connected(lab, "web", (door, CONTROL), at_control) as control,
              Stream(lab, "mon", "db", 9100, 4) as other):
            control.server.send(b"220 who is there?\r\n")
            assert control.client.recv(100).endswith(b"?\r\n")
            control.server.send(
                f"227 Entering Passive Mode ({db.replace('.', ',')},8,2)\r\n".encode())
            assert control.client.recv(100).endswith(b"8,2)\r\n")
            with connected(lab, "web", (door, 2050), at_data) as data:
                assert data.goes_on() and control.goes_on()
                if gone:
                    lab.node.exec(["conntrack", "-D", "-p", "tcp", "--dport", str(CONTROL)])
                change(enforcer, FTP.replace("19100/tcp", "19100/tcp, 9/tcp"))
                assert data.goes_on()
                change(enforcer, TIGHT)
                assert control.is_cut("client") and data.is_cut("client")
                assert data.is_reset("client") and other.goes_on()
    assert enforcer.status()["connections"]["cut"] == (1 if gone else 2)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("zone", ["ct zone set 7", "ct original zone set 7"])
def test_connections_of_other_zones_are_cut(lab, enforcer, zone, version):
    lab.node.nft(f"""table inet zones {{ chain assign {{
        type filter hook prerouting priority raw;
        {zone};
    }}
    }}""")
    change(enforcer, STREAMS)
    with (Stream(lab, "web", "db", 5432, version) as web,
          Stream(lab, "mon", "db", 9100, version) as mon):
        change(enforcer, TIGHT)
        assert web.is_cut("server") and web.is_reset("server")
        assert mon.goes_on()
    assert enforcer.status()["connections"]["cut"] == 1


def test_what_waits_for_an_answer_is_cut(lab, enforcer):
    """A connection that is half open, and a datagram that nobody answers."""
    change(enforcer, STREAMS)
    lab.host("db").nft("""table inet deaf { chain input {
        type filter hook input priority 0;
        tcp dport 15432 drop
    }
    }""")
    with lab.host("web").enter_and(socket.socket) as half:
        half.setblocking(False)
        half.connect_ex((lab.host("db").address(4), 15432))
        send_many(lab, "web", "db", 53, 6, 1)
        wait_until(lambda: len(tracked(lab)) == 2, 20, "both of them")
        change(enforcer, TIGHT)
        assert not tracked(lab)
    lab.host("db").exec(["nft", "flush", "ruleset"])
    assert enforcer.status()["connections"]["cut"] == 2


@pytest.mark.parametrize("version", [4, 6])
def test_connection_whose_source_is_translated_is_cut(lab, enforcer, version):
    lab.node.nft("""table inet router { chain out {
        type nat hook postrouting priority srcnat;
        oifname "outer" masquerade
    }
    }""")
    with (Stream(lab, "web", "world", 80, version) as web,
          Stream(lab, "mon", "world", 80, version) as mon):
        change(enforcer, """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: guard, namespace: /acme}
spec: {mandatory: {egress: [{action: deny, to: [{cidr: 203.0.113.0/24}, {cidr: "2001:db8::/32"}]}]}}
""", "guard.yaml")
        assert web.is_cut("server") and mon.goes_on()
    assert enforcer.status()["connections"]["cut"] == 1
