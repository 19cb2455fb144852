"""The systemd units: as confined as what they run can be, by systemd's own measure."""

import pathlib
import re
import shutil
import subprocess

import pytest

UNITS = pathlib.Path(__file__).resolve().parents[2] / "samples" / "systemd"

# 0 is perfect, 10 is bare. What is left: the parents begin as root and change users, roots
# and owners for their roles; the network is what it is all about.
MOST = {"ringfence-audit-copy@": 1.3, "ringfence-boot": 1.6, "ringfence-enforcer": 2.9, "ringfence-gate": 2.9}


def test_every_unit_has_a_figure():
    assert {path.stem for path in UNITS.glob("*.service")} == set(MOST)


@pytest.mark.parametrize("unit", MOST)
def test_unit_that_restarts_is_not_given_up(unit):
    """Unless told otherwise systemd gives up what starts five times within ten seconds."""
    said = dict(re.findall(r"^(\w+)=(.*)$", (UNITS / f"{unit}.service").read_text(), re.M))
    assert ("Restart" in said) == (said.get("Type") != "oneshot")
    if "Restart" in said:
        assert said.get("StartLimitIntervalSec") == "0" or 5 * int(said["RestartSec"]) > 10


def test_enforcer_outlives_a_role_that_lacks_memory():
    """The default of OOMPolicy is stop; and what enforces policy is not what is in the way."""
    unit = (UNITS / "ringfence-enforcer.service").read_text()
    assert re.search(r"^OOMPolicy=continue$", unit, re.M)
    assert -1000 < int(re.search(r"^OOMScoreAdjust=(-\d+)$", unit, re.M)[1]) < 0


def test_enforcer_sees_what_it_reads_of_proc():
    """In /proc/sys it reads whether bridges are filtered; what is not there counts as not."""
    code = (UNITS.parents[1] / "enforcer" / "cni" / "bridge.c").read_text()
    unit = (UNITS / "ringfence-enforcer.service").read_text()
    assert '"/proc/sys/' in code
    assert not re.search(r"^ProcSubset=pid", unit, re.M)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
@pytest.mark.parametrize("unit", MOST)
def test_unit_is_confined(unit):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager",
         str(UNITS / f"{unit}.service")], capture_output=True, text=True, timeout=60,
        check=False)
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)
    if not found and "offline" in done.stderr:
        pytest.skip("this systemd cannot look at files")
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST[unit], done.stdout
