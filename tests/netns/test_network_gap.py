"""What policy says of networks, whole tables being replaced: no packet fares otherwise.

Networks are in interval sets, which answer nothing until a table made anew is all there.
"""

import contextlib
import re
import signal
import socket
import threading

import pytest

import lab as lab_module
from enforcerd import Enforcer, kill, rf, set_in_use
from faultlab import NftFaults, Witness
from lab import Lab, wait_until
from shop import TREE, workloads

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PORT = 7
MANY = 1500  # networks: the more there are, the longer a commit takes
MORE = "".join(f", {{cidr: 198.{18 + i // 250}.{i % 250}.0/24}}" for i in range(MANY))
ALLOWED = ("world", "web", "udp", PORT)
FORBIDDEN = ("world", "db", "udp", PORT)
POLICY = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{name: web, namespace: /acme/shop}}
spec:
  workloads: {{matchLabels: {{app: web}}}}
  allow:
    ingress: [{{from: [{{cidr: 203.0.113.0/24}}, {{cidr: "2001:db8::/32"}}{more}], ports: [7/udp]}}]
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{name: db, namespace: /acme/shop}}
spec:
  workloads: {{matchLabels: {{app: db}}}}
  mandatory:
    ingress:
      - {{action: deny, from: [{{cidr: 203.0.113.0/24}}, {{cidr: "2001:db8::/32"}}]}}
      - {{action: allow}}
"""


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(["web", "db"])
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        yield lab


class Stream:
    """Datagrams from new ports, one after the other, while the block lasts."""

    def __init__(self, lab, src, names):
        self._end = threading.Event()
        self._targets = [(family, lab.host(name).address(version)) for name in names
                         for family, version in ((socket.AF_INET, 4),
                                                 (socket.AF_INET6, 6))]
        self._thread = threading.Thread(target=lab.host(src).enter_and, args=[self._run],
                                        daemon=True)

    def _run(self):
        while not self._end.is_set():
            for family, address in self._targets:
                with socket.socket(family, socket.SOCK_DGRAM) as sock:
                    with contextlib.suppress(OSError):  # an answer to an earlier one
                        sock.sendto(b"x", (address, PORT))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._end.set()
        self._thread.join()


def check(lab):
    """A witness over ALLOWED and FORBIDDEN: (packets before our table, and behind it)."""
    witness = Witness(lab, [ALLOWED, FORBIDDEN])

    @contextlib.contextmanager
    def running():
        with contextlib.closing(witness):
            with Stream(lab, "world", ["web", "db"]):
                wait_until(lambda: min(witness.read()[f"before{i}"]
                                       for i in range(2)) > 100, 20, "packets")
                yield
            counts = witness.read_at_rest()
            assert counts["after0"] == counts["before0"], counts
            assert counts["after1"] == 0, counts
    return running()


def as_other_hook(lab, name):
    """The ruleset in which the chain is of a later priority, and all else as it is."""
    listed = lab.node.exec(["nft", "list", "chain", "inet", "ringfence", name]).stdout
    later = re.sub(r"(priority )[^;]+;", r"\g<1>77;", listed)
    assert later != listed
    return f"delete chain inet ringfence {name}\n{later}"


@pytest.mark.parametrize("owner", ["auto", "never"])
def test_no_packet_sees_half_a_table(lab, tmp_path, owner):
    world = TREE + workloads(lab, dict.fromkeys(("web", "db"), "/acme/shop"))
    shim = rf.build_dir() / "tests" / "libnft-faults.so"
    faults = NftFaults(tmp_path / "faults") if shim.exists() else None
    it = Enforcer(lab.node, tmp_path, {"world.yaml": world, "web.yaml": POLICY.format(more=MORE)},
                  tableOwner=owner, metrics=False)

    def start():
        it.start(wrap=["env", *faults.environment()] if faults else [])
        it.wait_settled()

    def reload(group):
        generation = it.generation()
        it.write_config(flows={"group": group})
        it.process.send_signal(signal.SIGHUP)
        it.wait_generation(generation + 1)

    def stray_element():
        name = set_in_use(lab.node, "local4_out")
        lab.node.nft(f"add element inet ringfence {name} {{ 10.1.0.200 }}")

    def other_hook():
        """A base chain of ours that is another, with the same rules."""
        lab.node.nft(as_other_hook(lab, "forward"))

    def heal(count, spoil=stray_element):
        spoil()
        wait_until(lambda: it.status()["kernel"]["heals"] == count, 30, "healing")
        it.wait_settled()

    def wait_for_another(pid):
        """A kernel role, and what it has to do is done."""
        wait_until(lambda: it.answers() and pid not in (roles := {
            role["name"]: role["pid"] for role in it.status()["roles"]}).values()
            and "kernel" in roles, 30, "a new role")
        it.wait_state("enforcing")
        it.wait_settled()
        wait_until(lambda: it.ask("diff", check=False).returncode == 0, 30, "the table")

    def kill_kernel():
        pid = it.role("kernel")
        kill(pid)
        wait_for_another(pid)

    def die_amid_a_swap(number):
        """After the copies are made, that is, before any rule refers to them."""
        pid = it.role("kernel")
        faults.add("dies_after")
        it.write("web.yaml", POLICY.format(more=MORE + f", {{cidr: 192.0.2.{number}/32}}"))
        wait_for_another(pid)

    start()
    try:
        with check(lab):
            if not it.status()["kernel"]["owned"]:
                for count in range(1, 4):
                    heal(count)
                for count in range(4, 9):
                    heal(count, other_hook)
            reload(102)
            reload(100)
            kill_kernel()
            for number in range(2 if faults else 0):
                die_amid_a_swap(number)
            it.stop()
            start()
        assert it.ask("diff").returncode == 0
    finally:
        it.__exit__()
        lab.node.exec(["nft", "flush", "ruleset"])
