"""Random Routes, against what the language says of them.

The oracle below is written from ringfence-policy(5) alone: for a workload and a kind the
first match going down through `mandatory`, else the first going up through `default`;
`pass` leaves the level. Every answer of it is probed on a node that a daemon runs on.
RINGFENCE_ROUTE_SETS says how many sets, RINGFENCE_SEED which come first.
"""

import ipaddress
import os
import random

import pytest
import yaml

import lab as lab_module
from enforcerd import Enforcer
from lab import Lab, wait_until

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

SETS = int(os.environ.get("RINGFENCE_ROUTE_SETS", "2"))
SEED = int(os.environ.get("RINGFENCE_SEED", "0")) or random.SystemRandom().randrange(1 << 32)

PLACES = {"a1": ("/a", "x"), "a2": ("/a", "v"), "b1": ("/a/b", "x"), "c1": ("/a/b/c", "v"),
          "d1": ("/d", "x")}
LEVELS = ["/", "/a", "/a/b", "/a/b/c", "/d"]
NETWORKS = ["203.0.113.0/24", "203.0.113.0/25", "203.0.113.128/26", "2001:db8::/32",
            "2001:db8:1::/48", "0.0.0.0/0", "::/0"]
FAR = ["203.0.113.9", "203.0.113.130", "203.0.113.250", "2001:db8::9", "2001:db8:1::9"]
SOURCES = [["198.51.100.7"], ["fd0a::7"], ["198.51.100.8", "fd0a::8"],
           ["198.51.100.16/30", "fd0a::10/127"], ["198.51.100.32", "198.51.100.33"]]
VIPS = ["198.51.100.80", "198.51.100.81", "fd0a::80"]
LISTEN = [("tcp", 80), ("tcp", 81), ("tcp", 8000), ("tcp", 8001), ("udp", 80), ("udp", 8000)]
PORTS = [None, ["80/tcp"], ["tcp"], ["80-81/tcp", "80/udp"], ["8000-8001/tcp"], ["udp"]]
PUBLISHED = [["80/tcp"], ["80-81/tcp"], ["8000-8001/tcp"], ["8000/udp"], ["80/udp", "81/tcp"],
             ["79-8001/tcp"]]


# --- making Routes ---


def chance(dice, one_in):
    return dice.randrange(one_in) == 0


def leaving(dice):
    rule = {"action": dice.choice(["route", "route", "route", "direct", "deny", "pass"])}
    if not chance(dice, 3):
        rule["to"] = [{"cidr": text} for text in dice.sample(NETWORKS, dice.randint(1, 2))]
    if (ports := dice.choice(PORTS)) is not None:
        rule["ports"] = ports
    if rule["action"] == "route":
        rule["source"] = dice.choice(SOURCES)
    return rule


def publishing(dice):
    rule = {"action": dice.choice(["publish"] * 4 + ["deny", "pass"])}
    ports = dice.choice(PUBLISHED)
    if rule["action"] != "publish":
        if chance(dice, 2):
            rule["address"] = dice.sample(VIPS, 1)
        return rule | ({"ports": ports} if chance(dice, 2) else {})
    rule |= {"address": dice.sample(VIPS, dice.randint(1, 3)), "ports": ports}
    if len(ports) == 1 and ports != PUBLISHED[-1] and chance(dice, 3):
        rule["targetPort"] = 8000
    if chance(dice, 2):
        rule["balance"] = dice.choice(["hash", "random"])
    rule["to"] = [{"workloads": {"matchLabels": {"app": app}} if app else {},
                   "weight": dice.choice([0, 1, 1, 2, 40])}
                  for app in dice.sample(["x", "v", ""], dice.randint(1, 2))]
    return rule


def make_routes(dice, number):
    """Route documents; one rule of them makes no two sets the same."""
    routes = [{"metadata": {"name": "unlike", "namespace": "/"},
               "spec": {"default": {"egress": [
                   {"action": "direct", "to": [{"cidr": f"192.0.2.{number % 250}/32"}]}]}}}]
    for level in LEVELS:
        for i in range(dice.choice([0, 1, 1, 2])):
            spec = {"priority": dice.randrange(2)}
            if chance(dice, 3):
                spec["workloads"] = {"matchLabels": {"app": dice.choice("xv")}}
            for phase in ("mandatory", "default"):
                spec[phase] = {
                    "egress": [leaving(dice) for _ in range(dice.randrange(3))],
                    "ingress": [publishing(dice) for _ in range(dice.randrange(3))]}
            routes.append({"metadata": {"name": f"r{i}", "namespace": level}, "spec": spec})
    return [{"apiVersion": "ringfence.dev/v1alpha1", "kind": "Route"} | route
            for route in routes]


# --- what they say ---


def has_port(text, proto, port):
    ports, _, of = text.rpartition("/")
    if of != proto:
        return False
    low, _, high = ports.partition("-")
    return not ports or int(low) <= port <= int(high or low)


def takes_ports(rule, proto, port):
    return "ports" not in rule or any(has_port(text, proto, port) for text in rule["ports"])


def in_any(address, networks):
    address = ipaddress.ip_address(address)
    return any(address in ipaddress.ip_network(text) for text in networks)


def leaves_by(rule, address):
    return "to" not in rule or in_any(address, [peer["cidr"] for peer in rule["to"]])


def published_at(rule, address):
    return "address" not in rule or in_any(address, rule["address"])


def selects(selector, name):
    wanted = selector.get("matchLabels", {}).get("app")
    return wanted is None or wanted == PLACES[name][1]


def in_subtree(name, level):
    place = PLACES[name][0]
    return level == "/" or place == level or place.startswith(level + "/")


def depth(route):
    level = route["metadata"]["namespace"]
    return 0 if level == "/" else level.count("/")


def rank(route):
    meta = route["metadata"]
    return (meta["namespace"], route["spec"].get("priority", 0), meta["name"])


def walk(routes, name, kind, match):
    """(route, phase, index, rule) of the first match, or None."""
    mine = [route for route in routes if in_subtree(name, route["metadata"]["namespace"])
            and selects(route["spec"].get("workloads", {}), name)]
    for phase, sign in (("mandatory", 1), ("default", -1)):
        passed = set()
        for route in sorted(mine, key=lambda route: (sign * depth(route), rank(route))):
            if depth(route) in passed:
                continue
            rules = route["spec"].get(phase, {}).get(kind, [])
            for index, rule in enumerate(rules):
                if not match(rule):
                    continue
                if rule["action"] == "pass":
                    passed.add(depth(route))
                    break
                return route, phase, index, rule
    return None


def leaves(routes, name, own, address, proto, port):
    """The addresses that it may leave with; none: it does not leave."""
    found = walk(routes, name, "egress", lambda rule: takes_ports(rule, proto, port)
                 and leaves_by(rule, address))
    if found is None or found[3]["action"] == "direct":
        return {own}
    version = ipaddress.ip_address(address).version
    pools = [ipaddress.ip_network(text) for text in found[3].get("source", ())]
    return {str(each) for pool in pools if pool.version == version for each in pool}


def leads(routes, address, proto, port):
    """{(workload, port)} that a published port may lead to; None: nobody publishes it."""
    def match(rule):
        return takes_ports(rule, proto, port) and published_at(rule, address)
    answers = {name: walk(routes, name, "ingress", match) for name in PLACES}
    claims = [found for found in answers.values() if found and
              found[3]["action"] == "publish"]
    if not claims:
        return None
    order = {"mandatory": 1, "default": -1}
    route, _, _, rule = min(claims, key=lambda found: (
        found[1] == "default", order[found[1]] * depth(found[0]), rank(found[0]), found[2]))
    to = port
    if "targetPort" in rule:
        to = rule["targetPort"] + port - int(rule["ports"][0].split("-")[0].split("/")[0])
    ends = set()
    for name, found in answers.items():
        target = next((target for target in rule["to"] if selects(target["workloads"], name)),
                      None)
        if (found and found[3] is rule and target and target["weight"]
                and in_subtree(name, route["metadata"]["namespace"])):
            ends.add((name, to))
    return ends


# --- asking the kernel ---


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all([(proto, port) for proto, port in LISTEN])
        yield lab


def documents(lab):
    api = "ringfence.dev/v1alpha1"
    return [{"apiVersion": api, "kind": "Namespace", "metadata": {"name": level}}
            for level in LEVELS] + [
        {"apiVersion": api, "kind": "Workload",
         "metadata": {"name": name, "namespace": level, "labels": {"app": app}},
         "spec": {"node": lab.node.name,
                  "ips": [str(each) for each in lab.host(name).addresses]}}
        for name, (level, app) in PLACES.items()]


def check(lab, routes):
    asked = []
    for name in PLACES:
        for address in FAR:
            own = str(lab.host(name).address(ipaddress.ip_address(address).version))
            for proto, port in LISTEN:
                asked.append(((name, address, proto, port),
                              leaves(routes, name, own, address, proto, port), None))
    for address in VIPS:
        for proto, port in LISTEN:
            ends = leads(routes, address, proto, port)
            open_ends = {end for end in ends or () if (proto, end[1]) in LISTEN}
            asked += [(("world", address, proto, port), None, open_ends)] * 3
    results = lab.probe_many([probe for probe, _, _ in asked], confirm=True)
    for (probe, clients, ends), result in zip(asked, results):
        if clients is not None:
            right = result.client[0] in clients if result.open else not clients
        else:
            right = ((result.who, result.local[1]) in ends if result.open else
                     not ends or len({port for _, port in ends}) == 0)
        assert right, (probe, result, result.client, clients, ends)


@pytest.mark.parametrize("number", range(SETS))
def test_kernel_does_what_the_language_says(lab, tmp_path, number):
    seed = SEED + number
    print(f"RINGFENCE_SEED={seed}")
    routes = make_routes(random.Random(seed), seed)
    text = yaml.safe_dump_all(documents(lab) + routes, sort_keys=False)
    with Enforcer(lab.node, tmp_path, {"all.yaml": text}) as it:
        wait_until(lambda: it.status()["state"] == "enforcing", 30, "the program")
        check(lab, routes)
    lab.node.exec(["nft", "flush", "ruleset"])
