"""The two ways in which a set of policies gets into the kernels of the nodes.

    with EnforcerWay(lab, directory) as way:
        way.apply(policies, options)         # in force on all nodes, or Refused
"""

import contextlib
import shutil
import signal
import sys
import pathlib
from typing import NamedTuple

import yaml

from enforcerd import Enforcer, kill
from faultlab import NftFaults
from lab import wait_until
from policylab import HOME, WORKLOAD_NETWORKS
from policyrules import NATIVE

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

DAEMON_TIMEOUT_S = 60
TOO_LARGE = "program-too-large"
# So few workloads never need a program of more than its limits: nobody is asked.
NEVER_TOO_LARGE = 60


class Refused(Exception):
    """Nodes whose program the compiler refuses, by name."""

    def __init__(self, nodes):
        super().__init__(f"refused for {', '.join(nodes)}")
        self.nodes = nodes


class Options(NamedTuple):
    """What governs verdicts beside the documents."""

    cluster_default: str = "allow"
    ip_blocks: str = "always"
    gate: bool = False  # unknown addresses of the workloads' networks are closed
    reject: bool = False  # denied packets are answered
    keep: bool = False  # connections that come to be forbidden go on

    @classmethod
    def roll(cls, rng):
        return cls(rng.choice(["allow", "deny"]),
                   rng.choice(["always", "always", "never"]), rng.random() < 0.4,
                   rng.random() < 0.2, rng.random() < 0.2)

    def arguments(self):
        return ["--cluster-default", self.cluster_default,
                "--ip-blocks-match-pods", self.ip_blocks]


# --- the two ways into the kernel ---


def compile_program(directory, options, node):
    """The text of a node's program; Refused if it would be too large."""
    gate = ["--workload-networks", ",".join(WORKLOAD_NETWORKS)]
    done = rf.run("compile", directory, "--node", node, "-o", "nft",
                  *options.arguments(), *(gate if options.gate else []),
                  *(["--reject"] if options.reject else []))
    if done.returncode == 2 and f"[{TOO_LARGE}]" in done.stderr:
        raise Refused([node])
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusing(directory, options, nodes):
    """The names of those nodes for which the compiler refuses what is there."""
    names = []
    for node in nodes if len(HOME) > NEVER_TOO_LARGE else ():
        try:
            compile_program(directory, options, node.name)
        except Refused:
            names.append(node.name)
    return names


class CompiledWay:
    """`ringfence compile ... -o nft | nft -f -` on every node."""

    name = "compile"

    def __init__(self, lab, change=lambda text: text):
        self.lab = lab
        self.change = change  # what befalls a program on its way

    def begin(self):
        """Something is about to change."""

    def apply(self, directory, options):
        programs = [(node, compile_program(directory, options, node.name))
                    for node in self.lab.nodes]
        for node, program in programs:
            node.nft(self.change(program))

    def holding(self, _directory, _refused):
        """Nodes that go on as before: nobody has told them."""
        return []

    def keep(self, _directory):
        """Everything that is worth keeping is known already."""

    def errors(self):
        return []


class EnforcerWay:
    """The daemon on every node, all following one directory."""

    name = "enforcer"

    def __init__(self, lab, directory):
        self.directory = directory
        self.nodes = lab.nodes
        self.options = None
        self.states = 0
        self.seen = {}
        self.daemons = []
        self.faults = {}  # node -> what its kernel role's transactions meet
        for node in lab.nodes:
            (directory / node.name).mkdir()
            self.daemons.append(Enforcer(node, directory / node.name, metrics=False))
            if (rf.build_dir() / "tests" / "libnft-faults.so").exists():
                self.faults[node.name] = NftFaults(directory / node.name / "faults")

    def _start(self, daemon):
        """With its transactions in our hand, none of which fails at the start."""
        faults = self.faults.get(daemon.host.name)
        if faults:
            faults.clear()
        daemon.start(wrap=["env", *faults.environment()] if faults else ())

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with contextlib.ExitStack() as stack:
            for daemon in self.daemons:
                stack.push(daemon)

    def begin(self):
        """Something is about to change: what is logged from here on is about that."""
        self.seen = {daemon.host.name: len(daemon.log()) for daemon in self.daemons
                     if daemon.process is not None}

    def apply(self, directory, options):
        """Wait until what is in the directory is in force on all nodes.

        A workload without node and address, written last, tells one state of the
        directory from the next and matters to no connection.
        """
        refused = refusing(directory, options, self.nodes)
        if refused:
            raise Refused(refused)
        for daemon in self.daemons if options != self.options else ():
            self._configure(daemon, directory, options)
        self.options = options
        self.states += 1
        name = f"state-{self.states}"
        marker = {"apiVersion": NATIVE, "kind": "Workload",
                  "metadata": {"name": name, "namespace": "/"}, "spec": {}}
        half = self.directory / "marker"
        half.write_text(yaml.safe_dump(marker))
        half.rename(directory / "99-marker.yaml")
        for daemon in self.daemons:
            wait_until(lambda d=daemon: self._knows(d, f"/{name}"), DAEMON_TIMEOUT_S,
                       f"{daemon.host.name} to enforce {name}")

    def holding(self, directory, refused):
        """Those of the nodes that have refused it, by the options that they run with.

        They were not told of others, so that it is known what they go on with. A daemon that
        set policies aside instead goes on with neither.
        """
        names = [] if self.options is None else [
            name for name in refusing(directory, self.options, self.nodes)
            if name in refused and name in self.seen]
        for daemon in self.daemons:
            if daemon.host.name in names:
                became = daemon.wait_log(
                    f"(?s)code={TOO_LARGE} .*?program-(refused|applied) ",
                    self.seen[daemon.host.name])
                if became[1] == "applied":
                    names.remove(daemon.host.name)
        return names

    def _configure(self, daemon, directory, options):
        """Start it, or have it read its configuration again."""
        daemon.write_config(
            sources=[{"directory": str(directory)}],
            clusterDefault=options.cluster_default,
            ipBlocksMatchPods=options.ip_blocks,
            boot="closed" if options.gate else "open",
            workloadNetworks=WORKLOAD_NETWORKS if options.gate else [],
            denied="reject" if options.reject else "drop",
            established="keep" if options.keep else "cut",
            hostProtection=True)
        if daemon.process is None:
            self._start(daemon)
            return
        seen = len(daemon.log())
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log(" reloaded ", seen)

    @staticmethod
    def _knows(daemon, workload):
        """True if the policy in force has this workload."""
        assert daemon.process.poll() is None, daemon.log()[-4000:]
        return daemon.enforces(workload)

    # --- faults: what is in force afterwards is what the directory says ---

    def break_something(self, rng):
        """Break something in one daemon; returns what, in words."""
        daemon = rng.choice(self.daemons)
        fault = rng.choice([self._kill_role, self._kill_role, self._kill_parent,
                            self._foreign_change, self._reload, self._bad_source,
                            self._no_source]
                           + [self._nft_fault] * 3 * (daemon.host.name in self.faults))
        fault(daemon, rng)
        return f"{fault.__name__[1:]} at {daemon.host.name}"

    @staticmethod
    def _kill_role(daemon, rng):
        wait_until(daemon.answers, DAEMON_TIMEOUT_S, "the last role to be back")
        pids = [role["pid"] for role in daemon.status()["roles"]]
        with contextlib.suppress(ProcessLookupError):
            kill(rng.choice([pid for pid in pids if pid not in (0, daemon.process.pid)]))

    def _kill_parent(self, daemon, _rng):
        daemon.stop(signal.SIGKILL)
        self._start(daemon)

    def _nft_fault(self, daemon, rng):
        """Of the next transaction: not sent, refused, its answer lost (ENOBUFS), the role ends
        before it or after it."""
        self.faults[daemon.host.name].add(rng.choice(NftFaults.KINDS))

    def _no_source(self, daemon, _rng):
        """The directory vanishes, and comes back; what is in force stays."""
        policies = self.directory / "policies"
        away = self.directory / "away"
        policies.rename(away)
        try:
            wait_until(lambda: daemon.answers() and daemon.source()["state"] == "unreadable",
                       DAEMON_TIMEOUT_S, "the directory to be missed")
        finally:
            away.rename(policies)

    @staticmethod
    def _foreign_change(daemon, rng):
        """What the kernel lets others do to a table that is not theirs."""
        command = rng.choice(["flush ruleset", "flush chain inet ringfence forward",
                              "flush set inet ringfence local4_in",
                              "flush set inet ringfence local4_in_b",
                              "insert rule inet ringfence input accept"])
        daemon.host.exec(["nft", command], check=False)

    @staticmethod
    def _reload(daemon, _rng):
        daemon.process.send_signal(signal.SIGHUP)

    def _bad_source(self, daemon, _rng):
        """Refused; what is in force stays, until the source is good again."""
        bad = self.directory / "policies" / "98-bad.yaml"
        seen = len(daemon.log())
        bad.write_text("kind: [")
        daemon.wait_log("(program|edit)-refused", seen)
        bad.unlink()

    def settle(self):
        """Wait until the daemons have judged the connections that there are, if they do."""
        for daemon in () if self.options.keep else self.daemons:
            wait_until(lambda d=daemon: d.answers() and d.status()["connections"]["judged"],
                       DAEMON_TIMEOUT_S, f"{daemon.host.name} to judge connections")

    def keep(self, directory):
        """Put what the daemons say beside the rest of a report."""
        for daemon in self.daemons:
            if daemon.process is None:
                continue
            name = daemon.host.name
            shutil.copy(daemon.log_path, directory / f"{name}.log")
            for question in ("status", "diff"):
                told = daemon.ask(question, check=False)
                (directory / f"{name}-{question}.txt").write_text(
                    told.stdout + told.stderr)

    def errors(self):
        """What the daemons complained of last."""
        return [f"{daemon.host.name}: {line}" for daemon in self.daemons
                for line in daemon.log().splitlines() if " error " in line][-6:]
