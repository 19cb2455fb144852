"""Kernels that lack what Routes and limits need: found out at the start, told, and what cannot
be followed is denied. The daemon asks this kernel by names that it does not know
(shim/nft_faults.c), so that the refusals are the kernel's own.

RINGFENCE_LACKS   what translation needs, one kernel a word (default nat; "nat masq
                  hash,numgen" is all that there is)
"""

import os
import signal

import pytest

import lab as lab_module
from enforcerd import Enforcer, rf
from lab import Lab, wait_until
from shop import workloads

SHIM = rf.build_dir() / "tests" / "libnft-faults.so"
REASON = lab_module.skip_reason() or (None if SHIM.exists() else f"{SHIM} is not built")
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

FAR = {4: "203.0.113.9", 6: "2001:db8::9"}
VIP = {4: "198.51.100.80", 6: "fd0a::80"}
PLACES = {"web": "/acme", "api": "/acme", "fw": "/acme"}
STEERING = {"mark": "0x0ff00000", "priority": 10000, "tables": "10000-10099"}
DOCUMENTS = """\
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: {name: /acme}
---
apiVersion: ringfence.dev/v1alpha1
kind: Route
metadata: {name: out, namespace: /acme}
spec:
  default:
    egress:
      - {name: direct, action: direct, ports: [81/tcp]}
      - {name: own, action: route, source: [198.51.100.7, "fd0a::7"]}
    ingress:
      - {name: web, action: publish, address: [198.51.100.80, "fd0a::80"], ports: [80/tcp],
         balance: hash, to: [{workloads: {}}]}
    via:
      - {action: through, to: [{workloads: {matchLabels: {app: api}}}], ports: [81/tcp],
         through: {workloads: {matchLabels: {app: fw}}}, onFailure: deny}
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: {name: acme, namespace: /acme}
spec: {network: {connectionsPerSecond: 1000, connections: 1000}}
---
"""


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        lab.add_workloads(list(PLACES))
        lab.add_outside("world", ["203.0.113.0/24", "2001:db8::/32"])
        lab.listen_all([80, 81])
        yield lab


@pytest.fixture
def lacking(lab, tmp_path):
    """Starts a daemon on a kernel that knows none of these."""
    files = {"all.yaml": DOCUMENTS + workloads(lab, PLACES)}
    started = []

    def start(lacks):
        started.append(Enforcer(lab.node, tmp_path, files, metrics="127.0.0.1:9477",
                                steering=STEERING))
        return started[0].start(wrap=["env", f"LD_PRELOAD={SHIM}",
                                      f"RINGFENCE_NFT_LACKS={lacks}"])
    yield start
    for enforcer in started:
        enforcer.stop()
        enforcer.check_sanitizers()
    lab.node.exec(["nft", "flush", "ruleset"])


def outcomes(lab):
    """{what is tried: who answers, and which client it sees}"""
    tried = {"leaves": ("web", FAR, 80), "direct": ("web", FAR, 81),
             "published": ("world", VIP, 80), "inside": ("web", None, 80),
             "through": ("web", None, 81)}
    probes = {(what, family): (src, to[family] if to else str(lab.host("api").address(family)),
                               "tcp", port)
              for what, (src, to, port) in tried.items() for family in (4, 6)}
    results = lab.probe_many(list(probes.values()), confirm=True)
    return {key: (result.who, result.client[0]) if result.open else None
            for key, result in zip(probes, results)}


@pytest.mark.parametrize("lacks", os.environ.get("RINGFENCE_LACKS", "nat").split())
def test_without_translation_routes_that_need_it_are_denied(lab, lacking, lacks):
    enforcer = lacking(lacks)
    wait_until(lambda: enforcer.status()["kernel"]["translation"] is False
               and enforcer.status()["kernel"]["verified"], 30, "it to be told")
    enforcer.wait_log("routes-not-followed")
    assert "NOTHING IS PUBLISHED" in enforcer.ask("status", "-o", "text").stdout
    assert enforcer.metric("ringfence_translation_enforced") == 0
    came = outcomes(lab)
    for family in (4, 6):
        own = str(lab.host("web").address(family))
        assert came["leaves", family] is None
        assert came["published", family] is None
        assert came["through", family] is None  # which way is picked by hash
        assert came["direct", family] == ("world", own)
        assert came["inside", family] == ("api", own)
    denied = next(rule for rule in enforcer.ask_json("rules") if rule["rule"] == "own")
    assert denied["action"] == "deny" and denied["packets"] >= 2
    assert "the kernel puts on no addresses" in enforcer.log()
    assert " error " not in enforcer.log()


def test_without_fib_nothing_is_steered_and_the_rest_is_in_force(lab, lacking):
    enforcer = lacking("fib")
    wait_until(lambda: enforcer.status()["kernel"]["steering"] is False
               and enforcer.status()["kernel"]["verified"], 30, "it to be told")
    enforcer.wait_log("nothing-steered")
    assert "NOTHING IS STEERED" in enforcer.ask("status", "-o", "text").stdout
    assert enforcer.metric("ringfence_steering_enforced") == 0
    enforcer.wait_log("sources-not-validated")
    assert "sources:    not validated" in enforcer.ask("status", "-o", "text").stdout
    assert enforcer.status()["kernel"]["sourceValidation"] is False
    assert enforcer.metric("ringfence_source_validation_enforced") == 0
    came = outcomes(lab)
    for family, source in ((4, "198.51.100.7"), (6, "fd0a::7")):
        assert came["through", family] is None
        assert came["leaves", family] == ("world", source)
        assert came["published", family][1] == str(lab.host("world").address(family))
    assert " error " not in enforcer.log()
    # and so it is with settings that come anew
    generation = enforcer.generation()
    enforcer.write_config(denied="reject")
    enforcer.process.send_signal(signal.SIGHUP)
    enforcer.wait_generation(generation + 1)
    assert outcomes(lab)["through", 4] is None
    assert " error " not in enforcer.log()


def test_without_limits_the_rest_is_in_force(lab, lacking):
    enforcer = lacking("limit,connlimit")
    wait_until(lambda: enforcer.status()["kernel"]["limitsRates"] is False, 30, "it to be told")
    assert enforcer.status()["kernel"]["limitsConnections"] is False
    enforcer.wait_log("limits-not-enforced")
    came = outcomes(lab)
    for family, source in ((4, "198.51.100.7"), (6, "fd0a::7")):
        assert came["leaves", family] == ("world", source)
        assert came["published", family][1] == str(lab.host("world").address(family))
