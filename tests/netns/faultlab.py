"""Faults, while policy changes and packets flow.

    with sealed(lab, directory, files, faults) as (enforcer, start):
        storm = Storm(lab, enforcer, seed, world, faults, start)
        with storm.packets():
            storm.run(seconds)
            storm.settle()
        storm.seen                      # packets, by what was to become of them

Every policy that the storm writes forbids FORBIDDEN and allows ALLOWED, whatever else it
says; so whichever of them is in force at an instant, a packet of the first kind that
arrives, or one of the second that does not, is a fault of ours.
"""

import contextlib
import json
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

from enforcerd import WAIT_S, Enforcer, Watch, ended, kill, rf
from lab import wait_until

FORBIDDEN = [("world", "db", "tcp", 5432), ("web", "db", "tcp", 80),
             ("mon", "db", "udp", 53)]
ALLOWED = [("web", "db", "tcp", 5432), ("web", "db", "udp", 53),
           ("mon", "db", "tcp", 9100), ("world", "web", "tcp", 80)]
BLAST_PORT = 9  # of db; no policy ever opens it
PORTS = range(7000, 7040)  # some of which web may reach, now these, now those
RECOVER_S = 30

WORKLOAD = """\
---
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {{name: extra-{n}, namespace: {ns}, labels: {{app: {app}}}}}
spec: {{node: {node}, ips: [10.1.1.{n}, "fd00:1::1:{n}"]}}
"""
DB = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{name: db, namespace: /acme/shop}}
spec:
  workloads: {{matchLabels: {{app: db}}}}
  allow:
    ingress:
      - {{name: web, from: [{{workloads: {{matchLabels: {{app: web}}}}}}],
         ports: [5432/tcp, 53/udp{ports}]}}
      - {{from: [{{namespace: /ops}}], ports: [9100/tcp]}}
"""
GUARD = """\
---
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {{name: guard-{n}, namespace: {ns}}}
spec:
  mandatory:
    {direction}:
      - {{name: g{n}, action: {action}, {peers}: [{{cidr: 198.51.100.{n}/32}}, {{cidr: "fd09::{n}/128"}}]}}
  default:
    egress: [{{action: allow, ports: [{n}/tcp, 10-{n}0/udp]}}]
"""


@contextlib.contextmanager
def sealed(lab, directory, files, faults=None, **config):
    """A daemon with small file systems of its own for its logs, and with faults loaded; and what
    starts it again."""
    enforcer = Enforcer(
        lab.node, directory, files, metrics=False, established={"adoptSeconds": 0},
        flows={"file": str(directory / "flows" / "flows.jsonl")},
        audit={"directory": str(directory / "audit"), "mode": "required"}, **config)
    for name in ("audit", "flows"):
        (directory / name).mkdir()
    mounts = " && ".join(f"mount -t tmpfs -o size=512k tmpfs {directory}/{name}"
                         for name in ("audit", "flows"))
    environment = " ".join(faults.environment()) if faults else ""

    def start():
        return enforcer.start(wrap=["unshare", "-m", "sh", "-c",
                                    f"{mounts} && exec env {environment} \"$@\"", "sh"])

    start()
    try:
        yield enforcer, start
        enforcer.check_sanitizers()
        assert enforcer.stop() == 0
    finally:
        if enforcer.process is not None and enforcer.process.poll() is None:
            enforcer.stop()
        lab.node.exec(["nft", "flush", "ruleset"])


class Blast:
    """Packets that no policy allows, from new ports all the time; counts those that come
    through."""

    def __init__(self, lab, sources, dst):
        self.sent = 0
        self.arrived = 0
        self._lab = lab
        self._dst = lab.host(dst)
        self._end = threading.Event()
        self._receivers = [self._dst.enter_and(lambda v=v: self._receiver(v))
                           for v in (4, 6)]
        self._threads = [
            threading.Thread(target=lab.host(src).enter_and, args=[self._send],
                             daemon=True) for src in sources]

    def _receiver(self, version):
        sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6,
                             socket.SOCK_DGRAM)
        if version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("", BLAST_PORT))
        sock.setblocking(False)
        return sock

    def _send(self):
        targets = [(socket.AF_INET, self._dst.address(4)),
                   (socket.AF_INET6, self._dst.address(6))]
        while not self._end.wait(0.002):
            for family, address in targets:
                with socket.socket(family, socket.SOCK_DGRAM) as sock:
                    with contextlib.suppress(OSError):  # an answer to an earlier one
                        sock.sendto(b"x", (address, BLAST_PORT))
                        self.sent += 1

    def count(self):
        for sock in self._receivers:
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.recv(16)
                    self.arrived += 1
        return self.arrived

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._end.set()
        for thread in self._threads:
            thread.join(10)
        self.count()

    def __exit__(self, *_exception):
        self.stop()
        for sock in self._receivers:
            sock.close()


class Witness:
    """Counts packets on the node, before our table and behind it.

    It has the last word, however late an answer may come on a machine that is busy. Its
    table is owned by a process that stays, so that flushing the ruleset leaves it.
    """

    def __init__(self, lab, flows):
        self.lab = lab
        self.flows = flows
        rules = {}
        for where, priority in (("before", -200), ("after", 200)):
            rules[where] = [f"type filter hook forward priority {priority};"]
            for i, (src, dst, proto, port) in enumerate(flows):
                rules[where] += [
                    f"{ip} saddr {lab.host(src).address(version)} "
                    f"{ip} daddr {lab.host(dst).address(version)} "
                    f"{proto} dport {port} counter name {where}{i}"
                    for ip, version in (("ip", 4), ("ip6", 6))]
        counters = "".join(f"counter {where}{i} {{ }}; "
                           for where in rules for i in range(len(flows)))
        chains = "".join(f"chain {where} {{ {'; '.join(lines)}; }}; ".replace(";;", ";")
                         for where, lines in rules.items())
        self._nft = lab.node.popen(["nft", "-i"], stdin=subprocess.PIPE, text=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        self._nft.stdin.write(
            f"table inet witness {{ flags owner; {counters} {chains} }}\n")
        self._nft.stdin.flush()
        wait_until(lambda: len(self.read()) == 2 * len(flows), 10, "the witness")

    def read(self):
        done = self.lab.node.exec(["nft", "-j", "list", "counters", "table", "inet",
                                   "witness"], check=False)
        if done.returncode != 0:
            return {}
        return {item["counter"]["name"]: item["counter"]["packets"]
                for item in json.loads(done.stdout)["nftables"] if "counter" in item}

    def read_at_rest(self):
        """Once nothing is on its way any more: the sender ends before its last packets do."""
        last = {}

        def is_at_rest():
            nonlocal last
            before, last = last, self.read()
            return last and last == before

        wait_until(is_at_rest, 30, "packets to end")
        return last

    def check(self):
        """Of what is forbidden nothing came through; of what is allowed nothing is lost."""
        counts = self.read_at_rest()
        seen = {"forbidden_packets_held": 0, "allowed_packets_passed": 0}
        for i, flow in enumerate(self.flows):
            before, after = counts[f"before{i}"], counts[f"after{i}"]
            assert before > 0, flow
            assert after == (before if flow in ALLOWED else 0), (flow, before, after)
            seen["allowed_packets_passed" if after else "forbidden_packets_held"] += before
        return seen

    def close(self):
        self._nft.stdin.close()
        self._nft.wait(10)


@contextlib.contextmanager
def watched(lab, flows=(), timeout_ms=150):
    """Probes of FORBIDDEN and ALLOWED from here to the end of the block, over which nothing
    forbidden comes through, and nothing allowed is lost. `flows`: more that are forbidden,
    which somebody else sends.
    """
    probes = FORBIDDEN + ALLOWED
    with (contextlib.closing(Witness(lab, [*probes, *flows])) as witness,
          Watch(lab, probes, timeout_ms) as watch):
        yield watch
        watch.wait_rounds(1)
        watch.stop()
        for probe, states in watch.states.items():
            assert states == {"closed"} or probe in ALLOWED, (probe, states)
            # late answers of a busy machine are none: the witness has counted them
            assert "open" in states or probe in FORBIDDEN, (probe, states)
        watch.seen = witness.check()


class NftFaults:
    """The page that tests/netns/shim/nft_faults.c reads."""

    KINDS = ("send_fails", "refused", "answers_lost", "dies_before", "dies_after")
    TOLD = ("transactions_not_sent", "transactions_refused", "answers_lost",
            "ends_before_a_transaction", "ends_after_one")

    def __init__(self, path):
        path.write_bytes(bytes(4096))
        path.chmod(0o666)
        self.path = path
        self._file = open(path, "r+b")  # as long as the mapping
        self._page = mmap.mmap(self._file.fileno(), 4096)

    def add(self, kind, times=1):
        struct.pack_into("<I", self._page, 4 * self.KINDS.index(kind), times)

    @contextlib.contextmanager
    def held(self, after):
        """In the block no more than so many transactions are sent; the next one waits."""
        struct.pack_into("<I", self._page, 40, after + 1)
        try:
            yield
        finally:
            struct.pack_into("<I", self._page, 40, 0)

    def clear(self):
        """Nothing more befalls it."""
        for kind in self.KINDS:
            self.add(kind, 0)

    def done(self):
        return dict(zip(self.KINDS, struct.unpack_from("<5I", self._page, 20)))

    def environment(self):
        return [f"LD_PRELOAD={rf.build_dir()}/tests/libnft-faults.so",
                f"RINGFENCE_NFT_FAULTS={self.path}"]


class Storm:
    """Random edits and faults; `owned`: the table is, so that others may try to flush it."""

    def __init__(self, lab, enforcer, seed, world, nft_faults=None, start=None):
        self.lab = lab
        self.enforcer = enforcer
        self.rng = random.Random(seed)
        self.world = world
        self.nft_faults = nft_faults
        self.start = start or enforcer.start
        self.ports = []
        self.counts = {}
        self.undo = []  # of faults that last, until the next one or the end
        self.owned = enforcer.status()["kernel"]["owned"]
        self.seen = {}  # packets, by what became of them, once there are no more

    # --- edits ---

    def edit(self):
        rng = self.rng
        self.ports = sorted(rng.sample(PORTS, rng.randrange(12)))
        self.enforcer.write("db.yaml", DB.format(
            ports="".join(f", {port}/tcp" for port in self.ports)))
        if rng.random() < 0.7:
            self.enforcer.write("world.yaml", self.world + "".join(
                WORKLOAD.format(n=n, ns=rng.choice(["/acme/shop", "/ops"]),
                                app=rng.choice(["web", "db", "x"]),
                                node=rng.choice(["node-1", "node-2"]))
                for n in rng.sample(range(1, 200), rng.randrange(40))))
        if rng.random() < 0.5:
            self.enforcer.write("guard.yaml", "".join(
                GUARD.format(n=n, ns=rng.choice(["/", "/acme", "/acme/shop", "/ops"]),
                             direction=way, peers="from" if way == "ingress" else "to",
                             action=rng.choice(["allow", "deny", "pass"]))
                for n in rng.sample(range(1, 200), rng.randrange(10))
                for way in [rng.choice(["ingress", "egress"])]) or "# nothing\n")

    # --- faults ---

    def children(self):
        """{name: pid} of the roles that there are at this moment."""
        pid = self.enforcer.process.pid
        found = {}
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                pids = [int(text) for text in file.read().split()]
            for child in pids:
                with open(f"/proc/{child}/comm", encoding="utf-8") as file:
                    found[file.read().strip()] = child
        return found

    def _role(self):
        roles = wait_until(self.children, RECOVER_S, "a role")
        return roles[self.rng.choice(sorted(roles))]

    def kill_role(self):
        kill(self._role())

    def kill_parent(self):
        self.enforcer.stop(signal.SIGKILL)
        self._begin()

    def restart(self):
        self.enforcer.stop()
        self._begin()

    def _begin(self):
        """A fault at its very start ends it, as it may; its supervisor starts it again."""
        try:
            self.start()
        except AssertionError:
            if not (self.nft_faults and self.enforcer.process.wait(RECOVER_S)):
                raise
            self.nft_faults.clear()
            self.start()

    def freeze_role(self):
        pid = self._role()
        os.kill(pid, signal.SIGSTOP)
        self.undo.append(lambda: self._thaw(pid))

    @staticmethod
    def _thaw(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def reload(self):
        self.enforcer.process.send_signal(signal.SIGHUP)

    def nft_fault(self):
        self.nft_faults.add(self.rng.choice(NftFaults.KINDS), self.rng.randrange(1, 4))

    def nft(self, text):
        """What is refused is refused."""
        self.lab.node.exec(["sh", "-c", f"echo '{text}' | nft -f -"], check=False)

    def foreign_table(self):
        self.nft("table inet foreign {}; delete table inet foreign")

    def foreign_element(self):
        """In a table that others can change: one that opens nothing."""
        for name in ("local4_out", "local4_out_b"):
            self.nft(f"add element inet ringfence {name} {{ 10.1.0.200 }}")

    def foreign_flush(self):
        self.nft(self.rng.choice([
            "flush ruleset", "delete table inet ringfence",
            "flush chain inet ringfence forward",
            "insert rule inet ringfence forward accept",
            f"delete element inet ringfence local4_in {{ "
            f"{self.lab.host('db').address(4)} }}"]))

    def source_vanishes(self):
        away = self.enforcer.directory / "away"
        self.enforcer.policy.rename(away)
        self.undo.append(lambda: away.rename(self.enforcer.policy))

    def source_turns_bad(self):
        bad = self.enforcer.policy / "bad.yaml"
        bad.write_text(self.rng.choice([
            "kind: [", "\0", "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nspec: 7\n",
            DB.format(ports=", 80/tcp").replace("ports:", "prts:")]))
        self.undo.append(bad.unlink)

    def disk_full(self):
        """Of the audit log (required) and of the flow log."""
        inside = f"/proc/{self.enforcer.process.pid}/root{self.enforcer.directory}"
        fillers = [f"{inside}/{name}/filler" for name in ("audit", "flows")]
        for filler in fillers:
            subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"],
                           stderr=subprocess.DEVNULL, check=False)
        self.undo.append(lambda: [self._remove(filler) for filler in fillers])

    @staticmethod
    def _remove(path):
        with contextlib.suppress(OSError):  # with its daemon, and its mount namespace
            os.unlink(path)

    def faults(self):
        """(weight, fault) of those that are possible here."""
        found = [(4, self.kill_role), (1, self.kill_parent), (1, self.restart),
                 (2, self.freeze_role), (1, self.reload), (1, self.foreign_table),
                 (2, self.source_vanishes), (2, self.source_turns_bad),
                 (1, self.disk_full)]
        if self.nft_faults:
            found.append((6, self.nft_fault))
        found.append((3, self.foreign_flush if self.owned else self.foreign_element))
        return found

    # --- running ---

    def _undo(self):
        for undo in self.undo:
            undo()
        self.undo = []

    def step(self):
        rng = self.rng
        self._undo()
        for _ in range(rng.randrange(1, 4)):
            self.edit()
        weights, faults = zip(*self.faults())
        fault = rng.choices(faults, weights)[0]
        self.pause(rng.random() * 0.08)
        fault()
        self.counts[fault.__name__] = self.counts.get(fault.__name__, 0) + 1
        if fault.__name__ not in ("source_vanishes",):
            self.edit()
        self.pause(rng.random() * 0.15)

    @staticmethod
    def pause(seconds):
        deadline = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= deadline, seconds + 5)

    def run(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.step()
            if self.rng.random() < 0.15:
                self.settle()

    def settle(self):
        """After the last fault everything is as the last policy says, to the element."""
        self._undo()
        if self.nft_faults:
            self.nft_faults.clear()
        self.edit()
        wait_until(self._is_settled, RECOVER_S, "the last policy to be in force")
        self.check_ports()

    def _is_settled(self):
        if not self.enforcer.answers():
            return False
        status = self.enforcer.status()
        if status["state"] != "enforcing" or not status["connections"]["judged"]:
            return False
        return self.reached() == self.ports and \
            self.enforcer.ask("diff", check=False).returncode == 0

    def reached(self):
        """The ports that web reaches; nobody listens there: what passes is refused."""
        results = self.lab.probe_many([("web", "db", "tcp", port) for port in PORTS], 150)
        return [port for port, result in zip(PORTS, results) if result.state != "closed"]

    def check_ports(self):
        assert self.reached() == self.ports

    # --- packets all the while ---

    @contextlib.contextmanager
    def packets(self):
        lab = self.lab
        blasts = [(src, "db", "udp", BLAST_PORT) for src in ("world", "mon")]
        with (watched(lab, blasts, 300) as watch, Blast(lab, ["world", "mon"], "db") as blast,
              lab.connect("web", lab.host("db").address(4), "tcp", 5432) as tcp,
              lab.connect("web", lab.host("db").address(6), "udp", 53) as udp):
            assert (tcp.state, udp.state) == ("open", "open")
            yield
            assert (tcp.ask(900), udp.ask(900)) == ("open", "open")
            blast.stop()
            assert blast.sent > 100 and blast.arrived == 0, (
                f"{blast.arrived} of {blast.sent} forbidden packets came through")
        self.seen = watch.seen


class KillStorm(Storm):
    """Edits, and kill -9 of any process at any instant after one: one that works, one that has
    only begun, the parent."""

    def kills(self):
        return sum(self.counts.values())

    def _processes(self):
        """{name: pid}: the parent is one of them, though not as often as its roles."""
        found = {"role that begins" if name in ("exe", "ringfence-enfor") else name: pid
                 for name, pid in self.children().items()}
        if self.rng.random() < 0.15:
            return {"parent": self.enforcer.process.pid}
        return found

    def kill_one(self):
        self.edit()
        self.pause(self.rng.random() * 0.25)
        found = wait_until(self._processes, RECOVER_S, "a process")
        name = self.rng.choice(sorted(found))
        roles = list(self.children().values())
        try:
            os.kill(found[name], signal.SIGKILL)
        except ProcessLookupError:
            return  # it ended by itself, which is no kill
        if name == "parent":
            self.enforcer.process.wait(WAIT_S)
            wait_until(lambda: all(map(ended, roles)), RECOVER_S, "its roles to end")
            self.start()
        self.counts[name] = self.counts.get(name, 0) + 1
