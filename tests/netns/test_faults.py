"""No gap: random edits with faults in between, and packets all the while.

RINGFENCE_FAULT_SECONDS scales it up (tests/netns/faults does); the seed is RINGFENCE_SEED
or told.
"""

import os
import random

import pytest

import lab as lab_module
from enforcerd import longrun, rf
from faultlab import DB, PORTS, NftFaults, Storm, sealed
from shop import lab, world  # noqa: F401

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

SECONDS = float(os.environ.get("RINGFENCE_FAULT_SECONDS", "12"))


@pytest.mark.parametrize("owner", ["auto", "never"])
def test_no_fault_opens_a_gap(lab, tmp_path, capsys, owner):  # noqa: F811
    seed = int(os.environ.get("RINGFENCE_SEED") or random.SystemRandom().randrange(10**6))
    shim = rf.build_dir() / "tests" / "libnft-faults.so"
    faults = NftFaults(tmp_path / "faults") if shim.exists() else None
    with capsys.disabled():
        print(f"\nfaults: RINGFENCE_SEED={seed} RINGFENCE_FAULT_SECONDS={SECONDS:g} "
              f"owner={owner}")
    with sealed(lab, tmp_path, {"world.yaml": world(lab), "db.yaml": DB.format(ports="")},
                faults, tableOwner=owner) as (enforcer, start):
        storm = Storm(lab, enforcer, seed, world(lab), faults, start)
        with storm.packets():
            storm.settle()
            storm.run(SECONDS / 2)
            storm.settle()
        with capsys.disabled():
            print(f"{storm.counts} {faults.done() if faults else ''}")
        longrun.report(faults=sum(storm.counts.values()), **storm.counts, **storm.seen,
                       **dict(zip(NftFaults.TOLD, faults.done().values() if faults else ())))
        assert set(PORTS) >= set(storm.ports)
