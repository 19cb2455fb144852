"""Random policies and real packets: what the evaluator says is what the kernel does.

Each set of policies is judged by `ringfence can` and put in force in the kernels of two
nodes; then sockets find out. A probe is open if and only if its verdict is allow. The
program gets into the kernel in two ways: printed by `ringfence compile` and loaded by
nft, or by the daemon that follows a directory.

RINGFENCE_PROBES   probes of each way (default 4000)
RINGFENCE_SEED     the first set's seed; set number N has the seed N higher. It is
                   always printed, and a failure tells which to give for its set alone.
RINGFENCE_EDITS    edits of a set, each with its probes (default 3)
RINGFENCE_EDIT_PROBES   probes after each (default 120)
RINGFENCE_EDIT_CONNECTIONS   connections that are there when each comes (default 2)
RINGFENCE_DIFFERENTIAL_FAULTS   not empty: something breaks in the daemons between edits

tests/netns/differential runs it at length.
"""

import ipaddress
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import sys
import tempfile
import time
from typing import NamedTuple

import pytest

import lab as lab_module
import policylab
from enforceways import (
    NEVER_TOO_LARGE, CompiledWay, EnforcerWay, Options, Refused, compile_program)
from lab import Lab, LabError
from policygen import PolicySet
from policylab import HOME, LOCAL, NODES, OUTSIDE, WORKLOAD_NETWORKS

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import longrun  # noqa: E402
import rf  # noqa: E402

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PROBES = int(os.environ.get("RINGFENCE_PROBES", "4000"))
SEED = int(os.environ.get("RINGFENCE_SEED") or random.SystemRandom().randrange(10**8))
PROBES_OF_A_SET = 250
PROBES_AFTER_AN_EDIT = int(os.environ.get("RINGFENCE_EDIT_PROBES", "120"))
EDITS_WITHOUT = 20  # so many may happen to find no connection that policy allows
CONNECTIONS = int(os.environ.get("RINGFENCE_EDIT_CONNECTIONS", "2"))
EDITS = int(os.environ.get("RINGFENCE_EDITS", "3"))
FAULTS = bool(os.environ.get("RINGFENCE_DIFFERENTIAL_FAULTS"))
CANDIDATES = max(1500, 4 * PROBES_AFTER_AN_EDIT)
REPORTED = 6  # differences that are told in full
RETRIES = 2
RETRY_TIMEOUT_MS = 900
MISTAKE_SETS = 12
NETWORKS = [ipaddress.ip_network(text) for text in WORKLOAD_NETWORKS]


@pytest.fixture(scope="module")
def lab():
    with Lab(LOCAL, NODES[LOCAL], policylab.neighbours()) as lab:
        policylab.build(lab)
        yield lab


@pytest.fixture(autouse=True)
def clean(request):
    """No program stays in a node when a test has ended."""
    yield
    if "lab" in request.fixturenames:
        for node in request.getfixturevalue("lab").nodes:
            node.exec(["nft", "flush", "ruleset"])


# --- what should be, what is ---


def query(probe):
    """A candidate as `ringfence can` reads it."""
    service = probe.proto if probe.port == 0 else f"{probe.port}/{probe.proto}"
    return f"{probe.src_addr} {probe.dst_addr} {service}"


def verdicts(directory, options, probes):
    """What the evaluator says: True for allow."""
    done = rf.run("can", directory, "--batch", "-", *options.arguments(),
                  stdin="".join(query(probe) + "\n" for probe in probes))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert len(lines) == len(probes) and set(lines) <= {"allow", "deny"}, lines
    return [line == "allow" for line in lines]


def is_gated(known, probe):
    """True if the probe meets a node's gate: an end that should be a workload, unknown.

    What a node itself sends passes no gate of its own, and what a host sends itself none.
    """
    def unknown(text):
        address = ipaddress.ip_address(text)
        return address not in known and any(address in net for net in NETWORKS)

    dst = host_at(probe.dst_addr)
    if probe.src == dst:
        return False  # which never leaves it
    dst_node = OUTSIDE[dst][0] if dst in OUTSIDE else HOME.get(dst, dst)
    return unknown(probe.src_addr) or (
        unknown(probe.dst_addr) and probe.src != dst_node)


def host_at(text):
    return policylab.owner(ipaddress.ip_address(text))


def expected_states(wanted, options):
    """All ports have listeners: only a rule that rejects makes a refusal."""
    if wanted:
        return ("open",)
    return ("closed", "refused") if options.reject else ("closed",)


def as_lab_probe(probe):
    proto = "icmp" if probe.proto == "icmpv6" else probe.proto
    return probe.src, probe.dst_addr, proto, probe.port, probe.src_addr


def choose(rng, probes, wanted, count):
    """As many that are to be open as closed, as far as there are so many of both."""
    order = rng.sample(range(len(probes)), len(probes))
    parts = [[i for i in order if wanted[i]], [i for i in order if not wanted[i]]]
    parts.sort(key=len)
    few = parts[0][:count // 2]
    return few + parts[1][:count - len(few)]


class State(NamedTuple):
    """What a set was when it was put in force."""

    directory: pathlib.Path
    options: Options
    known: set  # addresses


class Trial:
    """One way, one set of policies at a time.

    What the compiler refuses as too large the daemons have to refuse as well, and to go on
    with what they had. That is known by probes, too, of connections within a node: other
    nodes may have taken their part of what it refused.
    """

    def __init__(self, lab, way, directory):
        self.lab = lab
        self.way = way
        self.directory = directory
        self.probes = self.open = self.late = self.sets = self.edits = self.faults = 0
        self.refused = self.held = 0  # sets, and nodes that went on as before
        self.kept = []  # (probe, connection) from before the edit that is next
        self.connections = self.cut = 0
        self.good = {}  # node -> its last State

    def run(self, policies, options, count, history=()):
        """Put the set in force and probe; fail with a report if anything differs.

        False: the compiler refuses it, and so did the daemons.
        """
        self.way.begin()
        self.prepare(policies)
        state = State(self.directory, options, policies.known_addresses())
        refused = None
        try:
            self.way.apply(self.directory, options)
        except Refused as refusal:
            refused = refusal.nodes
        except (AssertionError, LabError) as error:
            Report(self, policies, state, history).fail(
                f"not put in force: {error}", self.way.errors())
        if refused is not None:
            self._close_kept()
            self._check_held(policies, refused, count, history)
            return False
        self._check_kept(policies, state, history)
        self._check(policies, state, count, history)
        self._remember(state)
        return True

    # --- connections that are there when policy changes ---

    def open_some(self, before, policies):
        """Some that are allowed: half of them forbidden by what comes next, if there are any. None
        that a node began: whatever its policy, it is never ended."""
        after = before._replace(directory=self.directory.with_name("next"),
                                known=policies.known_addresses())
        after.directory.mkdir(exist_ok=True)
        policies.write(after.directory)
        found = [probe for probe in policies.candidates(CANDIDATES)
                 if probe.proto in ("tcp", "udp") and probe.src not in NODES
                 and probe.src != host_at(probe.dst_addr)]
        allowed = [(probe, stays) for probe, was, stays in zip(
            found, self.expect(before, found), self.expect(after, found)) if was]
        wanted = [stays for _, stays in allowed]
        for i in choose(policies.rng, allowed, wanted, CONNECTIONS):
            probe = allowed[i][0]
            connection = self.lab.connect(probe.src, probe.dst_addr, probe.proto, probe.port,
                                          src_addr=probe.src_addr,
                                          timeout_ms=RETRY_TIMEOUT_MS)
            if connection.state == "open":
                self.kept.append((probe, connection))
            else:
                connection.close()

    def _close_kept(self):
        """Nodes go on with what they had, or not: what becomes of connections is not known."""
        for _, connection in self.kept:
            connection.close()
        self.kept = []

    def _check_kept(self, policies, state, history):
        """What policy allows goes on, and what it has come to forbid is cut, or kept."""
        kept, self.kept = self.kept, []
        if not kept:
            return
        try:
            self.way.settle()
        except LabError as error:
            Report(self, policies, state, history).fail(str(error), self.way.errors())
        wanted = self.expect(state, [probe for probe, _ in kept])
        wrong = []
        for (probe, connection), allowed in zip(kept, wanted):
            goes_on = allowed or state.options.keep
            with connection:
                # it is tried again, in case that the machine is busy, or the daemon not done
                for timeout_ms in (RETRY_TIMEOUT_MS if goes_on else 100, RETRY_TIMEOUT_MS):
                    was = connection.ask(timeout_ms)
                    if (was == "open") == goes_on:
                        break
            self.connections += 1
            self.cut += was != "open"
            if (was == "open") != goes_on:
                wrong.append(f"{probe.src} -> {host_at(probe.dst_addr)}: {query(probe)}, a "
                             f"connection that was there: wanted {_word(goes_on)}, was {was}")
        if wrong:
            Report(self, policies, state, history).fail(
                f"{len(wrong)} connections are not what policy made of them", wrong)

    def _check(self, policies, state, count, history, within=None):
        differences = self.differences(policies, state, count, within)
        if differences:
            report = Report(self, policies, state, history)
            report.fail(
                f"{len(differences)} connections are not what the evaluator says"
                + (f" of what {within} had before it refused another" if within else ""),
                report.differences(differences))

    def _remember(self, state):
        """A copy of what is in force now, where it may be needed."""
        if len(HOME) <= NEVER_TOO_LARGE:
            return
        kept = self.directory.with_name("last-good")
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(state.directory, kept)
        self.good = {node.name: state._replace(directory=kept)
                     for node in self.lab.nodes}

    def _check_held(self, policies, refused, count, history):
        self.refused += 1
        holding = self.way.holding(self.directory, refused)
        for name in holding:
            if name in self.good:
                self.held += 1
                self._check(policies, self.good[name], count, history, within=name)
        self.good = {name: state for name, state in self.good.items() if name in holding}

    def prepare(self, policies):
        policies.write(self.directory)
        done = rf.run("check", self.directory)
        assert done.returncode == 0, (
            f"the generator made a bad set of seed {policies.seed}:\n"
            f"{done.stdout}{done.stderr}")

    @staticmethod
    def expect(state, probes):
        allowed = verdicts(state.directory, state.options, probes)
        if not state.options.gate:
            return allowed
        return [allow and not is_gated(state.known, probe)
                for allow, probe in zip(allowed, probes)]

    def differences(self, policies, state, count, within=None):
        """[(probe, wanted open, result)] of those that are not as they should be."""
        return self._without_late(
            self.first_differences(policies, state, count, within))

    def first_differences(self, policies, state, count, within=None):
        """The same with what may only have been late."""
        candidates = [
            probe for probe in policies.candidates(CANDIDATES)
            if within is None or
            within == HOME.get(probe.src) == HOME.get(host_at(probe.dst_addr))]
        wanted = self.expect(state, candidates)
        chosen = choose(policies.rng, candidates, wanted, count)
        for node in self.lab.nodes:
            self.lab.conntrack_flush(node)
        results = self.lab.probe_many([as_lab_probe(candidates[i]) for i in chosen])
        self.probes += len(chosen)
        self.open += sum(result.open for result in results)
        for i, result in zip(chosen, results):
            assert result.who in (None, host_at(candidates[i].dst_addr)), (
                f"{candidates[i]} was answered by {result.who}")
        return [(candidates[i], wanted[i], result) for i, result in zip(chosen, results)
                if result.state not in expected_states(wanted[i], state.options)]

    def _without_late(self, found):
        """What was silent and should not be is tried again: the machine may be busy."""
        for _ in range(RETRIES):
            silent = [item for item in found if item[1] and item[2].state == "closed"]
            if not silent:
                break
            again = self.lab.probe_many([as_lab_probe(probe) for probe, _, _ in silent],
                                        RETRY_TIMEOUT_MS)
            late = [item for item, result in zip(silent, again) if result.open]
            self.late += len(late)
            found = [item for item in found if item not in late]
        return found


# --- telling what is wrong ---


def counters(node):
    """Rule chain -> (packets, comment), as the node's kernel counts."""
    done = node.exec(["nft", "-j", "list", "table", "inet", "ringfence"], check=False)
    if done.returncode != 0:
        return {}
    counts = {}
    for item in json.loads(done.stdout)["nftables"]:
        rule = item.get("rule")
        if not rule:
            continue
        for part in rule["expr"]:
            if "counter" in part and isinstance(part["counter"], dict):
                counts[rule["chain"]] = (part["counter"]["packets"],
                                         rule.get("comment", ""))
    return counts


class Report:
    """A failure, told so that it can be understood and had again."""

    def __init__(self, trial, policies, state, history):
        self.trial = trial
        self.policies = policies
        self.state = state
        self.options = state.options
        self.history = history
        self.kept = pathlib.Path(tempfile.mkdtemp(prefix="ringfence-differential-"))
        shutil.copytree(state.directory, self.kept / "policies")
        for node in trial.lab.nodes:
            self._keep_program(node)
        trial.way.keep(self.kept)

    def _keep_program(self, node):
        listing = node.exec(["nft", "list", "ruleset"], check=False).stdout
        (self.kept / f"{node.name}-kernel.nft").write_text(listing)
        try:
            printed = compile_program(self.state.directory, self.options, node.name)
        except Refused as refused:
            printed = f"# {refused}\n"
        (self.kept / f"{node.name}-compiled.nft").write_text(printed)

    def fail(self, what, more=()):
        """End the test. The set's seed alone brings it back."""
        seed = self.policies.seed
        lines = [f"{what} (way: {self.trial.way.name}, seed {seed}, {self.options})",
                 f"kept: {self.kept}",
                 f"again: RINGFENCE_SEED={seed} RINGFENCE_PROBES=1 "
                 f"RINGFENCE_WORKLOADS={policylab.MORE} RINGFENCE_EDITS={EDITS} "
                 f"RINGFENCE_EDIT_PROBES={PROBES_AFTER_AN_EDIT} "
                 f"RINGFENCE_EDIT_CONNECTIONS={CONNECTIONS} "
                 f"RINGFENCE_DIFFERENTIAL_FAULTS={1 if FAULTS else ''}"]
        if self.history:
            lines.append("edits: " + "; ".join(self.history))
        report = "\n".join([*lines, *more])
        (self.kept / "report.txt").write_text(report)
        pytest.fail(report, pytrace=False)

    def differences(self, differences):
        """Lines about each: the first ones in full."""
        lines = []
        for probe, wanted, result in differences[:REPORTED]:
            lines += ["", self._one(probe, wanted, result)]
        return lines + [f"    {query(probe)}: wanted {_word(wanted)}, was {result}"
                        for probe, wanted, result in differences[REPORTED:]]

    def _one(self, probe, wanted, result):
        nodes = self.trial.lab.nodes
        before = [counters(node) for node in nodes]
        again = self.trial.lab.probe_many([as_lab_probe(probe)])[0]
        moved = []
        for node, old in zip(nodes, before):
            for chain, (packets, comment) in counters(node).items():
                more = packets - old.get(chain, (0, ""))[0]
                if more:
                    moved.append(f"    {node.name} {chain} +{more}: {comment}")
        family = "6" if ":" in probe.dst_addr else "4"
        ask = ["explain", self.kept / "policies", *self.options.arguments(), "--family",
               family, "--", *query(probe).split()]
        told = rf.run(*ask)
        return "\n".join([
            f"{probe.src} -> {host_at(probe.dst_addr)}: {query(probe)}",
            f"  wanted {_word(wanted)}, was {result}, and once more {again}",
            f"  gate closed to it: {is_gated(self.state.known, probe)}"
            if self.options.gate else "  no gate",
            "  counters that moved:", *(moved or ["    none"]),
            "  ringfence " + shlex.join(map(str, ask)),
            *("    " + line for line in (told.stdout + told.stderr).splitlines())])


def _word(wanted):
    return "open" if wanted else "closed"


@pytest.fixture
def announce(capsys):
    """Print although pytest captures: a random test has to tell its seed."""
    def say(text):
        with capsys.disabled():
            print(f"\n{text}")
    return say


def summary(trial, started):
    return (f"differential/{trial.way.name}: {trial.probes} probes of {trial.sets} "
            f"sets and {trial.edits} edits, {trial.open} open, {trial.late} late, "
            f"{trial.refused} sets refused while {trial.held} nodes went on, "
            f"{time.monotonic() - started:.0f} s")


def check_lateness(trial):
    """Retries are for a busy machine; a program that loses packets loses them all."""
    assert trial.late <= max(20, trial.open // 2), summary(trial, time.monotonic())
    assert trial.open and trial.open < trial.probes


# --- the tests ---


def test_compiled_programs_do_what_the_evaluator_says(lab, tmp_path, announce):
    announce(f"differential/compile: RINGFENCE_SEED={SEED} RINGFENCE_PROBES={PROBES}")
    trial = Trial(lab, CompiledWay(lab), tmp_path)
    started = time.monotonic()
    while trial.probes < PROBES:
        policies = PolicySet(SEED + trial.sets)
        trial.run(policies, Options.roll(policies.rng), PROBES_OF_A_SET)
        trial.sets += 1
    announce(summary(trial, started))
    check_lateness(trial)


def test_the_daemon_does_what_the_evaluator_says(lab, tmp_path, announce):
    announce(f"differential/enforcer: RINGFENCE_SEED={SEED} RINGFENCE_PROBES={PROBES}")
    started = time.monotonic()
    directory = tmp_path / "policies"
    directory.mkdir()
    over = longrun.clock()
    with EnforcerWay(lab, tmp_path) as way:
        trial = Trial(lab, way, directory)
        while trial.probes < PROBES and not over():
            policies = PolicySet(SEED + trial.sets)
            options = Options.roll(policies.rng)
            taken = trial.run(policies, options, PROBES_OF_A_SET)
            history = []
            while taken and len(history) < EDITS * (2 if FAULTS else 1) and not over():
                before = State(directory, options, policies.known_addresses())
                history.append(policies.edit())
                trial.open_some(before, policies)
                if FAULTS:
                    history.append(way.break_something(policies.rng))
                    trial.faults += 1
                taken = trial.run(policies, options, PROBES_AFTER_AN_EDIT, history)
                trial.edits += 1
            trial.sets += 1
    announce(summary(trial, started))
    longrun.report(probes=trial.probes, open=trial.open, sets=trial.sets, edits=trial.edits,
                   faults=trial.faults, connections_when_it_changed=trial.connections,
                   of_them_cut=trial.cut, late=trial.late, ended=trial.probes < PROBES)
    if over() and not trial.probes:
        pytest.skip("the minutes were over before anything was tried")
    check_lateness(trial)
    assert trial.connections or trial.edits < EDITS_WITHOUT, (
        f"no connection was there at any of {trial.edits} edits")


# --- the test itself: each of these mistakes must be noticed ---


def turn_busiest(action, into):
    """The opposite verdict in one chain rule_N: that which most packets came to."""
    def change(lab, text):
        packets = counters(lab.node)
        body = r"{\n[^}]* " + action + r"\b"
        chains = [chain for chain in re.findall(r"\tchain (rule_\d+) " + body, text)
                  if packets.get(chain, (0,))[0]]
        if not chains:
            return text
        busiest = max(chains, key=lambda chain: packets[chain][0])
        return re.sub(rf"\tchain {busiest} {body}",
                      lambda match: match[0][:-len(action)] + into, text)
    return change


def lose_elements(sets):
    """Sets and maps of these names without elements."""
    def change(_lab, text):
        return re.sub(rf"(\t(?:set|map) {sets} {{[^}}]*)\t\telements = {{[^}}]*}}\n",
                      r"\1", text)
    return change


def shorten_ranges(_lab, text):
    """Port ranges without their last port."""
    def shorter(match):
        return f"{match[1]}{match[2]}-{max(int(match[2]), int(match[3]) - 1)} :"
    return re.sub(r"( \d+ \. )(\d+)-(\d+) :", shorter, text).replace("-0 :", " :")


MISTAKES = {
    "an allow that denies": turn_busiest("return", "drop"),
    "a deny that allows": turn_busiest("drop", "return"),
    "governed addresses lost": lose_elements("local[46]_(?:in|out)"),
    "classes lost": lose_elements("peer[46]_(?:in|out)"),
    "networks lost": lose_elements("peer[46]_(?:in|out)_net"),
    "ports lost": lose_elements("cell[46]_(?:in|out)"),
    "ranges lost": lose_elements("cell[46]_(?:in|out)_range"),
    "any-port cells lost": lose_elements("cell[46]_(?:in|out)_any"),
    "ranges one port short": shorten_ranges,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_program_is_noticed(lab, tmp_path, mistake):
    """Few sets are enough; one in which it makes no difference is passed."""
    for seed in range(MISTAKE_SETS):
        policies = PolicySet(seed)
        trial = Trial(lab, CompiledWay(lab), tmp_path)
        trial.prepare(policies)
        state = State(tmp_path, Options(), policies.known_addresses())
        trial.way.apply(tmp_path, Options())
        assert trial.differences(policies, state, PROBES_OF_A_SET) == []
        trial.way.change = lambda text: MISTAKES[mistake](lab, text)
        trial.way.apply(tmp_path, Options())
        if trial.first_differences(policies, state, PROBES_OF_A_SET):
            return
    pytest.fail(f"{mistake}: nobody noticed in {MISTAKE_SETS} sets")
