"""Random Routes and real packets: what the language says is what the kernel does.

Every answer of the oracle (routegen.py) is probed, over IPv4 and IPv6: which source the
outside sees, which workload answers at a published port and which client it sees, what is
refused; and of connections between workloads of two nodes, which workload they go through,
both ways. After that, after each of a random series of edits. Routes get into the kernel in
two ways: by the daemons that follow a directory, or printed by `ringfence compile`, which
leaves out what needs ways.

RINGFENCE_ROUTE_PROBES   probes by way of the daemon (default 1200)
RINGFENCE_ROUTE_EDITS    edits of a set (default 3)
RINGFENCE_SEED           the first set's seed; number N has the seed N higher. It is always
                         printed, and a failure tells which to give for its set alone.

tests/netns/route-differential runs it at length.
"""

import copy
import json
import os
import pathlib
import random
import re
import sys
from typing import Any, NamedTuple

import pytest
import yaml

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until
from routegen import API, FAR, LISTEN, RIGHTS, VIPS, RouteWorld, version
from test_gateways import all_up
from test_steering import STEERING, route
from test_via import forward, make_neighbours

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import longrun  # noqa: E402
import rf  # noqa: E402

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PROBES = int(os.environ.get("RINGFENCE_ROUTE_PROBES", "1200"))
EDITS = int(os.environ.get("RINGFENCE_ROUTE_EDITS", "3"))
SEED = int(os.environ.get("RINGFENCE_SEED") or random.SystemRandom().randrange(10**8))
NAMES = [f"w{i}" for i in range(1, 7)]
OTHERS = ["w7", "w8"]  # on another node, the second without IPv6
NODES = {"node-1": 101, "node-2": 102}
NETWORKS = ["10.1.0.0/16", "10.2.0.0/16", "fd00:1::/32", "fd00:2::/32"]
WITHIN = (80, 40)  # connections within of which a rule speaks, and others
EXPLAINED = 6  # answers of the evaluator that are looked at in each state
REPORTED = 6
RETRIES = 12  # a node that is taken for down is up again after three seconds
RETRY_TIMEOUT_MS = 900
MISTAKE_SETS = 12
# What a workload forwards, as it is: whose it is, on its way there or back.
KEY = "{family} saddr . {family} daddr . meta l4proto . th sport . th dport"
WALL = "table inet wall {\n" + "".join(f"""
  set seen{n} {{ typeof {KEY.format(family=family)}; flags dynamic; size 65535; }}
""" for n, family in ((4, "ip"), (6, "ip6"))) + """
  chain through {
    type filter hook forward priority 0; policy accept
    meta nfproto ipv4 meta l4proto {tcp, udp} update @seen4 { %s }
    meta nfproto ipv6 meta l4proto {tcp, udp} update @seen6 { %s }
  }
}
""" % (KEY.format(family="ip"), KEY.format(family="ip6"))


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(NAMES)
        lab.add_node("node-2")
        lab.add_workloads(OTHERS, node="node-2")
        world = lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        make_neighbours(lab, {w.name: w.node.name for w in lab.workloads}, NODES)
        for own in world.addresses + world.networks:
            route(lab.host("node-2"), str(own), "192.0.2.101" if own.version == 4 else "fd0b::101")
        for workload in lab.workloads:
            forward(workload, WALL)
        lab.listen_all(LISTEN)
        yield lab


def new_world(lab, seed, daemon):
    homes = {name: ("node-1", lab.host(name).addresses) for name in NAMES}
    if daemon:
        homes |= {name: ("node-2", lab.host(name).addresses[:count])
                  for count, name in zip((2, 1), OTHERS)}
    return RouteWorld(random.Random(seed), homes, daemon)


def write(files, directory):
    """Only what has changed, as people do."""
    files = {name: yaml.safe_dump_all(documents, sort_keys=False)
             for name, documents in files.items()}
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


def as_it_is(text):
    return text


class DaemonWay:
    """A daemon on each node; both follow one directory."""

    daemons = True

    def __init__(self, lab, directory):
        rights = [{"network": network, "namespace": path} for network, path in RIGHTS]
        self.directory = directory / "policy"
        self.change = as_it_is
        self.states = 0
        self.at = {}
        for name in NODES:
            own = directory / name
            own.mkdir()
            self.at[name] = Enforcer(
                lab.host(name), own, metrics=False, routeAddresses=rights, steering=STEERING,
                workloadNetworks=NETWORKS, sources=[{"directory": str(self.directory)}])
        self.directory.mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for daemon in self.at.values():
            daemon.__exit__(*exception)

    def apply(self, world):
        """A workload without an address tells one state of the directory from the next."""
        self.states += 1
        name = f"state-{self.states}"
        marker = {"apiVersion": API, "kind": "Workload", "spec": {},
                  "metadata": {"name": name, "namespace": "/"}}
        write(self.change(world.files()) | {"zz.yaml": [marker]}, self.directory)
        for daemon in self.at.values():
            if daemon.process is None:
                daemon.start()
            wait_until(lambda d=daemon: d.enforces(f"/{name}"), 60, name)
            wait_until(lambda d=daemon: all_up(d), 60, "the other node to be up")


class CompiledWay:
    daemons = False

    def __init__(self, lab, directory):
        self.lab = lab
        self.directory = directory
        self.change = as_it_is

    def apply(self, world):
        write(world.files(), self.directory)
        done = rf.run("compile", self.directory, "--node", "node-1", "-o", "nft")
        assert done.returncode == 0, done.stderr
        self.lab.node.nft(self.change(done.stdout))


# --- what should be, what is ---


class Came(NamedTuple):
    """Of a connection that came about."""

    who: str
    port: int
    client: str
    wall: Any = None  # what it went through; None: nothing


class Wanted(NamedTuple):
    probe: tuple
    ends: set  # of Came; None among them: it may be closed; empty: it is
    key: Any = None  # of one key `part` of what came is the same each time
    part: str = "who"


class Trial:
    def __init__(self, lab, way, seed):
        self.lab = lab
        self.way = way
        self.seed = seed
        self.world = new_world(lab, seed, way.daemons)
        self.history = []
        self.probes = self.open = self.late = self.through = 0

    def run(self):
        self.way.apply(self.world)
        wrong = self.differences() + self.explained()
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
        return [*self.leaving(), *self.arriving(), *(self.within() if self.way.daemons else ())]

    def leaving(self):
        world = self.world
        for name in NAMES:
            for address in FAR:
                for proto, port in LISTEN:
                    found = world.leaving_rule(name, address, proto, port)
                    ends = {Came("world", port, client)
                            for client in world.leaves(name, address, proto, port)}
                    key = found and found.rule.get("source") and not world.workloads[name].gone \
                        and (name, id(found.rule), version(address))
                    yield Wanted((name, address, proto, port), ends, key, "client")

    def arriving(self):
        world = self.world
        for address in VIPS:
            family = version(address)
            there = [name for name, workload in world.workloads.items() if workload.has(family)]
            for proto, port in LISTEN:
                found, _ = world.published_rule(address, proto, port)
                leads = {end for end in world.leads(address, proto, port)
                         if (proto, end[1]) in LISTEN}
                sticky = found and found.rule.get("balance") == "hash"
                for src in ["world"] * 3 + there[:1] + there[-1:]:
                    ends = set().union(*(self.arrives(src, end, family, proto) for end in leads))
                    yield Wanted((src, address, proto, port), ends,
                                 sticky and (src, address, proto, port))

    def arrives(self, src, end, family, proto):
        """What may become of what is translated on the node of its client."""
        dst, port = end
        client = str(self.host_of(src, dst).address(family))
        if src == "world" or not self.way.daemons:
            return {Came(dst, port, client)}
        home = {name: workload.node for name, workload in self.world.workloads.items()}
        walls = self.world.goes(src, dst, family, proto, port)
        # what comes by the node that has translated it again is refused
        return {None if wall and home[src] in (home[wall], home[dst]) else
                Came(dst, port, client, wall) for wall in walls} or {None}

    def host_of(self, src, dst):
        """Whom the other end sees: kept, but where a workload reaches itself."""
        return self.lab.host(src).node if src == dst else self.lab.host(src)

    def within(self):
        """Mostly what some rule speaks of."""
        world, dice = self.world, self.world.dice
        every = [(src, dst, family, *service) for src in world.workloads
                 for dst in world.workloads if src != dst for family in (4, 6)
                 for service in LISTEN]
        dice.shuffle(every)
        left = dict(zip((True, False), WITHIN))
        for src, dst, family, proto, port in every:
            found = world.sending_rule(src, dst, proto, port)
            if left[found is not None] == 0:
                continue
            left[found is not None] -= 1
            there = world.workloads[src].has(family) and world.workloads[dst].has(family)
            client = str(self.lab.host(src).address(family))
            walls = world.goes(src, dst, family, proto, port) if there else ()
            address = str(self.lab.host(dst).address(family))
            yield Wanted((src, address, proto, port),
                         {Came(dst, port, client, wall) for wall in walls},
                         found and (src, dst, family, id(found.rule)), "wall")

    def differences(self, retries=RETRIES):
        wanted = self.wanted()
        for node in NODES:
            self.lab.conntrack_flush(self.lab.host(node))
        self.forget()
        results = self.lab.probe_many([w.probe for w in wanted])
        self.probes += len(wanted)
        # The machine may be busy: what is silent and should not be is tried again.
        for _ in range(retries):
            late = [i for i, w in enumerate(wanted)
                    if w.ends and None not in w.ends and results[i].state == "closed"]
            again = self.lab.probe_many([wanted[i].probe for i in late], RETRY_TIMEOUT_MS)
            self.late += sum(result.open for result in again)
            for i, result in zip(late, again):
                results[i] = result
        seen = self.seen()
        came = [self.came(w, result, seen) for w, result in zip(wanted, results)]
        self.open += sum(result.open for result in results)
        self.through += sum(bool(got and got.wall) for got in came)
        wrong = [(w.probe, result.state, got, "wanted", w.ends)
                 for w, result, got in zip(wanted, results, came)
                 if got not in (w.ends or {None})]
        return wrong + self.strays(wanted, seen) + self.unsteady(wanted, came)

    @staticmethod
    def unsteady(wanted, came):
        """Of a pool a workload has one address; by hash a client has one workload, and two
        ends go through one."""
        seen = {}
        for w, got in zip(wanted, came):
            if w.key and got:
                seen.setdefault(w.key, set()).add(getattr(got, w.part))
        return [(key, "is now this, now that", got) for key, got in seen.items() if len(got) > 1]

    # --- who forwarded what ---

    def forget(self):
        for workload in self.lab.workloads:
            for family in (4, 6):
                workload.exec(["nft", "flush", "set", "inet", "wall", f"seen{family}"])

    def seen(self):
        """{(client, its port, server, its port, protocol) or the other way round: names}"""
        out = {}
        for workload in self.lab.workloads:
            text = workload.exec(["nft", "-j", "list", "sets", "inet"]).stdout
            for each in json.loads(text)["nftables"]:
                for elem in each.get("set", {}).get("elem", ()):
                    src, dst, proto, sport, dport = elem.get("elem", {}).get("val", elem)["concat"]
                    out.setdefault((src, sport, dst, dport, proto), set()).add(workload.name)
        return out

    @staticmethod
    def came(wanted, result, seen):
        """A Came, or None; what went half through something is nothing that is wanted."""
        if not result.open:
            return None
        proto = wanted.probe[2]
        there = seen.get((*result.client, *result.local, proto), set())
        back = seen.get((*result.local, *result.client, proto), set())
        wall = next(iter(there), None) if len(there) <= 1 and there == back else \
            f"{sorted(there)}, and back {sorted(back)}"
        return Came(result.who, result.local[1], result.client[0], wall)

    def strays(self, wanted, seen):
        """What was forwarded though nothing that was tried goes there."""
        goes = set()
        for w in wanted:
            for end in w.ends - {None}:
                if end.wall:
                    server = str(self.lab.host(end.who).address(version(end.client)))
                    goes.add((end.wall, end.client, server, end.port, w.probe[2]))
        return [(name, "forwarded", flow) for flow, names in seen.items() for name in names
                if not goes & {(name, flow[0], flow[2], flow[3], flow[4]),
                               (name, flow[2], flow[0], flow[1], flow[4])}]

    # --- the evaluator's own answer ---

    def explained(self):
        dice, world = self.world.dice, self.world
        wrong = []
        for _ in range(EXPLAINED):
            proto, port = dice.choice(LISTEN)
            kind = dice.choice(world.kinds)
            workload = world.workloads[dice.choice(NAMES)]
            if kind != "ingress" and workload.gone:
                continue
            if kind == "egress":
                src, dst = workload.display(world.kube), dice.choice(FAR)
                found = world.leaving_rule(workload.name, dst, proto, port)
            elif kind == "via":
                other = world.workloads[dice.choice([*world.workloads])]
                if other.gone or other is workload:
                    continue
                src, dst = workload.display(world.kube), other.display(world.kube)
                found = world.sending_rule(workload.name, other.name, proto, port)
            else:
                src, dst = "203.0.113.9", dice.choice(VIPS)
                src = "2001:db8::9" if version(dst) == 6 else src
                found, _ = world.without_rights().published_rule(dst, proto, port)
            told = self.explain(kind, src, dst, f"{port}/{proto}")
            own = found and (found.route["metadata"]["namespace"],
                             found.route["metadata"]["name"], found.phase, found.index)
            if told != own:
                wrong.append((src, dst, proto, port, "explained", told, "wanted", own))
        return wrong

    def explain(self, kind, src, dst, service):
        done = rf.run("explain", self.way.directory, "-o", "json", "--", src, dst, service)
        assert done.returncode in (0, 1), done.stderr
        routes = json.loads(done.stdout)["families"][0].get("routes") or {}
        rule = (routes.get(kind) or {}).get("rule")
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
    probes = opened = late = through = sets = edits = 0
    over = longrun.clock()
    with DaemonWay(lab, tmp_path) as way:
        while probes < PROBES and not over():
            trial = Trial(lab, way, SEED + sets)
            trial.run()
            done = 0
            while done < EDITS and not over():
                trial.edit()
                done += 1
            sets += 1
            edits += done
            probes, opened = probes + trial.probes, opened + trial.open
            late, through = late + trial.late, through + trial.through
    lab.node.exec(["nft", "flush", "ruleset"])
    lab.host("node-2").exec(["nft", "flush", "ruleset"])
    announce(f"route-differential: {probes} probes of {sets} sets and {edits} edits, "
             f"{opened} open, {through} of them through something, {late} late")
    longrun.report(probes=probes, open=opened, through_something=through, sets=sets,
                   edits=edits, late=late, ended=probes < PROBES)
    if over() and not probes:
        pytest.skip("the minutes were over before anything was tried")
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
def notices(lab):
    """Whether a mistake makes a difference; without it the set, once looked at, is as it should be.
    What is silent is asked again: slowness is no mistake."""
    seen = set()

    def check(way, seed, change, without=()):
        if (type(way), seed) not in seen:
            way.change = as_it_is
            Trial(lab, way, seed).run()
        seen.add((type(way), seed))
        trial = Trial(lab, way, seed)
        for kind in without:
            setattr(trial, kind, tuple)
        way.change = change
        way.apply(trial.world)
        return trial.differences(retries=1)
    return check


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed(lab, notices, tmp_path, mistake):
    """Few sets are enough; one in which it makes no difference is passed."""
    change, first = MISTAKES[mistake]
    way = CompiledWay(lab, tmp_path)
    for seed in range(first, first + MISTAKE_SETS):
        if notices(way, seed, change):
            lab.node.exec(["nft", "flush", "ruleset"])
            return
    pytest.fail(f"{mistake}: nobody noticed in {MISTAKE_SETS} sets")


# --- the same of what goes through something: mistakes in what the daemons are told ---


def every_rule(kind, change):
    """All rules of a kind, changed."""
    def changed(files):
        files = copy.deepcopy(files)
        for documents in files.values():
            for route in documents:
                for phase in ("mandatory", "default") if route["kind"] == "Route" else ():
                    for rule in route["spec"].get(phase, {}).get(kind, ()):
                        change(rule)
        return files
    return changed


def levels_swapped(files):
    files = copy.deepcopy(files)
    for documents in files.values():
        for route in documents:
            if route["kind"] == "Route" and route["metadata"]["name"] != "keep":
                spec = route["spec"]
                spec["mandatory"], spec["default"] = spec["default"], spec["mandatory"]
    return files


def all_ready(files):
    files = copy.deepcopy(files)
    for pod in files["world.yaml"]:
        for condition in pod.get("status", {}).get("conditions", ()):
            condition["status"] = "True"
    return files


def nobody_forwards(rule):
    rule.pop("through", None)
    if rule["action"] == "through":
        rule["action"] = "direct"
        rule.pop("onFailure", None)


TOLD_WRONG = {
    "all goes directly": (every_rule("via", nobody_forwards), 5),
    "a failure opens": (every_rule("via", lambda rule: rule["action"] == "through" and
                                   rule.update(onFailure="direct")), 5),
    "mandatory is default": (levels_swapped, 5),
    "all are ready": (all_ready, 5),
}


@pytest.fixture(scope="module")
def ways(lab, tmp_path_factory):
    with DaemonWay(lab, tmp_path_factory.mktemp("told")) as way:
        yield way


@pytest.mark.parametrize("mistake", TOLD_WRONG)
def test_what_goes_another_way_is_noticed(notices, ways, mistake):
    change, first = TOLD_WRONG[mistake]
    for seed in range(first, first + MISTAKE_SETS):
        if notices(ways, seed, change, without=("leaving", "arriving")):
            return
    pytest.fail(f"{mistake}: nobody noticed in {MISTAKE_SETS} sets")
