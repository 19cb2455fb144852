"""No gap: random edits with faults in between, and packets all the while.

RINGFENCE_FAULT_SECONDS scales it up (tests/netns/faults does); the seed is RINGFENCE_SEED
or told.
"""

import os
import random

import pytest

import lab as lab_module
from enforcerd import Enforcer, rf
from faultlab import DB, PORTS, NftFaults, Storm
from shop import lab, world  # noqa: F401

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

SECONDS = float(os.environ.get("RINGFENCE_FAULT_SECONDS", "12"))


def start(enforcer, faults):
    """With small file systems of its own for its logs, and the faults loaded."""
    for name in ("audit", "flows"):
        (enforcer.directory / name).mkdir(exist_ok=True)
    mounts = " && ".join(f"mount -t tmpfs -o size=512k tmpfs {enforcer.directory}/{name}"
                         for name in ("audit", "flows"))
    environment = " ".join(faults.environment()) if faults else ""
    return enforcer.start(wrap=["unshare", "-m", "sh", "-c",
                                f"{mounts} && exec env {environment} \"$@\"", "sh"])


@pytest.mark.parametrize("owner", ["auto", "never"])
def test_no_fault_opens_a_gap(lab, tmp_path, capsys, owner):
    seed = int(os.environ.get("RINGFENCE_SEED") or random.SystemRandom().randrange(10**6))
    shim = rf.build_dir() / "tests" / "libnft-faults.so"
    faults = NftFaults(tmp_path / "faults") if shim.exists() else None
    enforcer = Enforcer(
        lab.node, tmp_path, {"world.yaml": world(lab), "db.yaml": DB.format(ports="")},
        tableOwner=owner, metrics=False, established={"adoptSeconds": 0},
        flows={"file": str(tmp_path / "flows" / "flows.jsonl")},
        audit={"directory": str(tmp_path / "audit"), "mode": "required"})
    start(enforcer, faults)
    try:
        storm = Storm(lab, enforcer, seed, world(lab), faults,
                      lambda: start(enforcer, faults))
        with capsys.disabled():
            print(f"\nfaults: RINGFENCE_SEED={seed} RINGFENCE_FAULT_SECONDS={SECONDS:g} "
                  f"owner={owner}")
        with storm.packets():
            storm.settle()
            storm.run(SECONDS / 2)
            storm.settle()
        with capsys.disabled():
            print(f"{storm.counts} {faults.done() if faults else ''}")
        assert set(PORTS) >= set(storm.ports)
        enforcer.check_sanitizers()
        assert enforcer.stop() == 0
    finally:
        if enforcer.process is not None and enforcer.process.poll() is None:
            enforcer.stop()
        lab.node.exec(["nft", "flush", "ruleset"])
