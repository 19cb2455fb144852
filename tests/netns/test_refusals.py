"""What the kernel refuses is told at the policy's line, is tried again, and costs nothing that
is in force; and changes that never stop come into force all the while."""

import re
import threading

import pytest

import lab as lab_module
from enforcerd import rf
from faultlab import NftFaults, watched
from lab import wait_until
from shop import DB, idle, lab  # noqa: F401

SHIM = rf.build_dir() / "tests" / "libnft-faults.so"
REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.mark.skipif(not SHIM.exists(), reason=f"{SHIM} is not built")
def test_refusal_is_told_at_the_line_of_policy_and_tried_again(lab, idle, tmp_path):
    faults = NftFaults(tmp_path / "faults")
    idle.start(wrap=["env", *faults.environment()])
    idle.wait_settled()
    text = DB.replace("      - {from: [{namespace: /ops}], ports: [9100/tcp]}\n",
                      "      - {from: [{namespace: /ops}], ports: [9100/tcp]}\n"
                      "      - {name: more, from: [{namespace: /ops}], ports: [80/tcp]}\n")
    line = text.splitlines().index(next(x for x in text.splitlines() if "name: more" in x)) + 1
    with watched(lab):
        faults.add("refused", 4)  # the change alone, and all of the table again and again
        with faults.held(after=2):  # the chain, and its end: there is no other try meanwhile
            idle.write("db.yaml", text)
            found = idle.wait_log(
                r'kernel-refused at="?(\S+?):(\d+)(?::\d+)?"? operation')
            assert found[1].endswith("/db.yaml") and int(found[2]) == line
            wait_until(lambda: re.search(rf"db\.yaml:{line}:\d+: the kernel refused",
                                         idle.status()["kernel"]["refusal"]),
                       30, "it to be told")
            assert idle.status()["state"] == "stale"
        wait_until(lambda: lab.probe("mon", "db", "tcp", 80).open, 30, "another try")
    assert faults.done()["refused"] == 4
    assert idle.metric("ringfence_kernel_refusals_total") >= 2
    wait_until(lambda: idle.status()["kernel"]["refusal"] == "", 30, "it to be over")
    assert idle.ask("diff").returncode == 0


def test_changes_that_never_stop_come_into_force(idle):
    """Faster than what is written is waited for; the writer ends only when it has seen them."""
    idle.start()
    end = threading.Event()

    def write():
        number = 0
        while not end.wait(0.01):
            number += 1
            idle.write("db.yaml", DB.replace("9100/tcp", f"9100/tcp, {7000 + number}/tcp"))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        for _ in range(3):
            before = idle.generation()
            wait_until(lambda: idle.generation() > before, 60,  # noqa: B023
                       "a change to come into force")
        assert writer.is_alive()
    finally:
        end.set()
        writer.join()
