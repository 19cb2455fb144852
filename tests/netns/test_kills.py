"""kill -9 of any process at any instant: no packet that policy forbids comes through.

RINGFENCE_KILLS scales it up (tests/netns/kills does); the seed is RINGFENCE_SEED or told.
"""

import os
import random

import pytest

import lab as lab_module
from enforcerd import Enforcer, longrun
from faultlab import DB, KillStorm, sealed
from shop import lab, world  # noqa: F401

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

KILLS = int(os.environ.get("RINGFENCE_KILLS", "8"))
AT_REST = 25  # kills, after which all must become as the last policy says


@pytest.mark.parametrize("owner", ["auto", "never"])
def test_killed_at_any_instant_nothing_comes_through(lab, tmp_path, capsys, owner):  # noqa: F811
    seed = int(os.environ.get("RINGFENCE_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        print(f"\nkills: RINGFENCE_SEED={seed} RINGFENCE_KILLS={KILLS} owner={owner}")
    over = longrun.clock()
    with sealed(lab, tmp_path, {"world.yaml": world(lab), "db.yaml": DB.format(ports="")},
                tableOwner=owner) as (enforcer, start):
        storm = KillStorm(lab, enforcer, seed, world(lab), start=start)
        with storm.packets():
            storm.settle()
            while storm.kills() < KILLS and not over():
                storm.kill_one()
                if storm.kills() % AT_REST == 0:
                    storm.settle()
            storm.settle()
        victims = {f"of_the_{name}": count for name, count in storm.counts.items()}
        longrun.report(kills=storm.kills(), **victims, **storm.seen,
                       ended=storm.kills() < KILLS)
