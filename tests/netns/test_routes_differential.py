"""Random Routes and real packets: what the language says is what the kernel does.

Every answer of the oracle (routegen.py) is probed, over IPv4 and IPv6: which source the
outside sees, which workload answers at a published port and which client it sees, what is
refused. After that, after each of a random series of edits. Routes get into the kernel in
two ways: by the daemon that follows a directory, or printed by `ringfence compile`.

RINGFENCE_ROUTE_PROBES   probes by way of the daemon (default 1200)
RINGFENCE_ROUTE_EDITS    edits of a set (default 3)
RINGFENCE_SEED           the first set's seed; number N has the seed N higher. It is always
                         printed, and a failure tells which to give for its set alone.

tests/netns/route-differential runs it at length.
"""

import ipaddress
import json
import os
import pathlib
import random
import re
import sys

import pytest
import yaml

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until
from routegen import API, FAR, LISTEN, RIGHTS, VIPS, RouteWorld

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PROBES = int(os.environ.get("RINGFENCE_ROUTE_PROBES", "1200"))
EDITS = int(os.environ.get("RINGFENCE_ROUTE_EDITS", "3"))
SEED = int(os.environ.get("RINGFENCE_SEED") or random.SystemRandom().randrange(10**8))
NAMES = [f"w{i}" for i in range(1, 7)]
EXPLAINED = 4  # answers of the evaluator that are looked at in each state
REPORTED = 6
RETRIES = 3
RETRY_TIMEOUT_MS = 900
MISTAKE_SETS = 12


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(NAMES)
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all(LISTEN)
        yield lab


def new_world(lab, seed, daemon):
    return RouteWorld(random.Random(seed), {name: lab.host(name).addresses for name in NAMES},
                      lab.node.name, daemon)


def version(address):
    return ipaddress.ip_address(address).version


def write(world, directory):
    """Only what has changed, as people do."""
    files = {name: yaml.safe_dump_all(documents, sort_keys=False)
             for name, documents in world.files().items()}
    for path in directory.glob("*.yaml"):
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        path = directory / name
        if not path.exists() or path.read_text() != text:
            new = directory / f".{name}.new"
            new.write_text(text)
            new.rename(path)


# --- the two ways into the kernel ---


class DaemonWay:
    daemons = True

    def __init__(self, daemon):
        self.daemon = daemon
        self.states = 0

    def apply(self, world):
        """A workload without an address tells one state of the directory from the next."""
        write(world, self.daemon.policy)
        self.states += 1
        name = f"state-{self.states}"
        self.daemon.write("zz.yaml", yaml.safe_dump(
            {"apiVersion": API, "kind": "Workload", "spec": {},
             "metadata": {"name": name, "namespace": "/"}}))
        if self.daemon.process is None:
            self.daemon.start()
        wait_until(lambda: self.daemon.ask("explain", f"/{name}", "192.0.2.1", "80/tcp",
                                           check=False).returncode == 0, 60, name)

    @property
    def directory(self):
        return self.daemon.policy


class CompiledWay:
    daemons = False

    def __init__(self, lab, directory):
        self.lab = lab
        self.directory = directory
        self.change = lambda text: text

    def apply(self, world):
        write(world, self.directory)
        done = rf.run("compile", self.directory, "--node", world.node, "-o", "nft")
        assert done.returncode == 0, done.stderr
        self.lab.node.nft(self.change(done.stdout))


# --- what should be, what is ---


class Trial:
    def __init__(self, lab, way, seed):
        self.lab = lab
        self.way = way
        self.seed = seed
        self.world = new_world(lab, seed, way.daemons)
        self.history = []
        self.probes = self.open = self.late = 0

    def run(self):
        self.way.apply(self.world)
        wrong = self.differences() + self.unsteady + self.explained()
        if wrong:
            more = [f"... {len(wrong)} in all"] if len(wrong) > REPORTED else []
            pytest.fail("\n".join([
                f"again: RINGFENCE_SEED={self.seed} RINGFENCE_ROUTE_PROBES=1",
                f"kept: {self.way.directory}", "edits: " + "; ".join(self.history),
                *map(str, wrong[:REPORTED]), *more]), pytrace=False)

    def edit(self):
        self.history.append(self.world.edit())
        self.run()

    def wanted(self):
        """[(probe, {(who answers, at which port, client that it sees)}, key)]: of one key
        the same has to come each time."""
        world = self.world
        out = []
        for name in NAMES:
            for address in FAR:
                for proto, port in LISTEN:
                    found = world.leaving_rule(name, address, proto, port)
                    clients = world.leaves(name, address, proto, port)
                    key = found and found.rule.get("source") and not world.workloads[name].gone \
                        and (name, id(found.rule), version(address))
                    out.append(((name, address, proto, port),
                                {("world", port, client) for client in clients}, key))
        for address in VIPS:
            for proto, port in LISTEN:
                found, _ = world.published_rule(address, proto, port)
                ends = {end for end in world.leads(address, proto, port)
                        if (proto, end[1]) in LISTEN}
                sticky = found and found.rule.get("balance") == "hash"
                there = [name for name in NAMES if not world.workloads[name].gone]
                callers = ["world"] * 3 + there[:1] + there[-1:]
                for src in callers:
                    key = sticky and (src, address, proto, port)
                    out.append(((src, address, proto, port),
                                {(*end, self.client(src, end[0], address)) for end in ends},
                                key))
        return out

    def client(self, src, dst, address):
        """Kept, but where a workload reaches itself."""
        host = self.lab.node if src == dst else self.lab.host(src)
        return str(host.address(version(address)))

    def differences(self, retries=RETRIES):
        wanted = self.wanted()
        self.lab.conntrack_flush()
        results = self.lab.probe_many([probe for probe, _, _ in wanted])
        self.probes += len(wanted)
        # The machine may be busy: what is silent and should not be is tried again.
        for _ in range(retries):
            late = [i for i, (_, ends, _) in enumerate(wanted)
                    if ends and results[i].state == "closed"]
            again = self.lab.probe_many([wanted[i][0] for i in late], RETRY_TIMEOUT_MS)
            self.late += sum(result.open for result in again)
            for i, result in zip(late, again):
                results[i] = result
        self.open += sum(result.open for result in results)
        came = [(result.who, result.local[1], result.client[0]) if result.open else None
                for result in results]
        self.note_unsteady(wanted, came)
        return [(probe, result.state, got, "wanted", ends)
                for (probe, ends, _), result, got in zip(wanted, results, came)
                if (got not in ends if got else ends)]

    def note_unsteady(self, wanted, came):
        """Of a pool a workload has one address; by hash a client has one workload."""
        seen = {}
        for (_, _, key), got in zip(wanted, came):
            if key and got:
                leaves = got[0] == "world"
                seen.setdefault(key, set()).add(got[2] if leaves else got[0])
        self.unsteady = [(key, "is now this, now that", got)
                         for key, got in seen.items() if len(got) > 1]

    # --- the evaluator's own answer ---

    def explained(self):
        dice, world = self.world.dice, self.world
        wrong = []
        for _ in range(EXPLAINED):
            proto, port = dice.choice(LISTEN)
            if dice.randrange(2) == 0:
                workload = world.workloads[dice.choice(NAMES)]
                if workload.gone:
                    continue
                src, dst = workload.display(world.kube), dice.choice(FAR)
                found = world.leaving_rule(workload.name, dst, proto, port)
            else:
                src, dst = "203.0.113.9", dice.choice(VIPS)
                src = "2001:db8::9" if version(dst) == 6 else src
                found, _ = world.without_rights().published_rule(dst, proto, port)
            told = self.explain(src, dst, f"{port}/{proto}")
            own = found and (found.route["metadata"]["namespace"],
                             found.route["metadata"]["name"], found.phase, found.index)
            if told != own:
                wrong.append((src, dst, proto, port, "explained", told, "wanted", own))
        return wrong

    def explain(self, src, dst, service):
        done = rf.run("explain", self.way.directory, "-o", "json", "--", src, dst, service)
        assert done.returncode in (0, 1), done.stderr
        routes = json.loads(done.stdout)["families"][0].get("routes") or {}
        rule = ((routes.get("egress") or routes.get("ingress")) or {}).get("rule")
        return rule and (rule["namespace"], rule["route"], rule["phase"], rule["index"])


@pytest.fixture
def announce(capsys):
    """Print although pytest captures: a random test has to tell its seed."""
    def say(text):
        with capsys.disabled():
            print(f"\n{text}")
    return say


def test_the_daemon_does_what_the_language_says(lab, tmp_path, announce):
    announce(f"route-differential: RINGFENCE_SEED={SEED} RINGFENCE_ROUTE_PROBES={PROBES}")
    rights = [{"network": network, "namespace": path} for network, path in RIGHTS]
    probes = opened = late = sets = edits = 0
    with Enforcer(lab.node, tmp_path, metrics=False, routeAddresses=rights) as daemon:
        way = DaemonWay(daemon)
        while probes < PROBES:
            trial = Trial(lab, way, SEED + sets)
            trial.run()
            for _ in range(EDITS):
                trial.edit()
            sets += 1
            edits += EDITS
            probes, opened = probes + trial.probes, opened + trial.open
            late += trial.late
    lab.node.exec(["nft", "flush", "ruleset"])
    announce(f"route-differential: {probes} probes of {sets} sets and {edits} edits, "
             f"{opened} open, {late} late")
    assert 0 < opened < probes
    assert late <= max(20, opened // 2)


# --- the test itself: each of these mistakes must be noticed ---


def lose(sets):
    """Sets and maps of these names without elements."""
    def change(text):
        return re.sub(rf"(\t(?:set|map) {sets} {{[^}}]*)\t\telements = {{[^}}]*}}\n",
                      r"\1", text)
    return change


def open_denied(text):
    """A Route that denies lets through."""
    return text.replace(' drop comment "Route', ' return comment "Route')


# With the first set to try.
MISTAKES = {
    "inside is outside": (lose("inside[46]"), 2),
    "no source": (lose("end[46]"), 0),
    "ports lost": (lose("route_cell[46]"), 2),
    "published ranges lost": (lose("publish[46]_range"), 1),
    "ends by port lost": (lose("end[46]_port"), 3),
    "denied routes open": (open_denied, 1),
    "nobody reaches itself": (lose("self[46]"), 1),
}


@pytest.fixture(scope="module")
def sound(lab, tmp_path_factory):
    """Sees once to it that the set is as it should be without a mistake."""
    seen = set()

    def check(seed):
        if seed not in seen:
            Trial(lab, CompiledWay(lab, tmp_path_factory.mktemp("sound")), seed).run()
        seen.add(seed)
    return check


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed(lab, sound, tmp_path, mistake):
    """Few sets are enough; one in which it makes no difference is passed."""
    change, first = MISTAKES[mistake]
    for seed in range(first, first + MISTAKE_SETS):
        sound(seed)
        trial = Trial(lab, CompiledWay(lab, tmp_path), seed)
        trial.way.change = change
        trial.way.apply(trial.world)
        if trial.differences(retries=0):
            lab.node.exec(["nft", "flush", "ruleset"])
            return
    pytest.fail(f"{mistake}: nobody noticed in {MISTAKE_SETS} sets")
