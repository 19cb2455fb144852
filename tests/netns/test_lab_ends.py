"""A lab leaves nothing behind, however its process ends, and harms nobody else's."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

import lab as lab_module
from lab import Lab, LabError, sweep, wait_until
from netlab import kernel
from netlab.wiring import Wiring

HERE = os.path.dirname(os.path.abspath(__file__))
REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def own_names():
    """The namespaces of this process: others may have labs at the same time."""
    return [name for name in kernel.names() if name.startswith(f"rf-{os.getpid()}-")]


@pytest.fixture
def nothing_left():
    """A test that must leave no namespace and no file descriptor behind."""
    files = sorted(os.listdir("/proc/self/fd"))
    before = own_names()
    yield
    assert own_names() == before
    assert sorted(os.listdir("/proc/self/fd")) == files


def test_nothing_is_left_after_the_block(nothing_left):
    with Lab() as lab:
        lab.add_workloads(["a", "b"])
        lab.listen_all([80, "53/udp", "9/sctp"])
        assert lab.probe("a", "b", "tcp", 80).open


def test_nothing_is_left_after_an_exception(nothing_left):
    with pytest.raises(ZeroDivisionError):
        with Lab() as lab:
            lab.add_workloads(["a", "b"])
            process = lab.workload("a").popen(["sleep", "1000"])
            lab.listen_all([80])
            raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL


def test_daemon_that_left_its_parent_ends_with_the_lab():
    with Lab() as lab:
        command = "setsid sleep 1000 <&- >/dev/null 2>&1 & echo $!"
        pid = int(lab.node.exec(["sh", "-c", command]).stdout)
        assert is_running(pid)
        assert kernel.processes([lab.node.netns]) == [pid]
    assert not is_running(pid)


def test_nothing_is_left_when_building_fails(nothing_left, monkeypatch):
    with Lab() as lab:
        before = own_names()
        with monkeypatch.context() as patch:
            def fail(_):
                raise LabError("no luck")

            patch.setattr(Wiring, "run", fail)
            with pytest.raises(LabError, match="no luck"):
                lab.add_workloads(["a", "b"])
        assert own_names() == before
        lab.add_workloads(["a", "b"])
        assert lab.probe("a", "b", "icmp").open


def test_command_of_ip_that_fails_is_named(nothing_left):
    with pytest.raises(LabError, match="(?s)node-1: ip route .*10.1.0.1/32.*exists"):
        with Lab() as lab:
            lab.node.exec(["ip", "route", "add", "unreachable", "10.1.0.1/32"])
            lab.add_workload("a")


CHILD = """
import os, signal, sys
sys.path.insert(0, {here!r})
from lab import Lab
for name in ("SIGTERM", "SIGHUP", "SIGINT"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
{start}
lab = Lab()
lab.__enter__()
print(lab.prefix, flush=True)
lab.add_workloads([f"w{{i}}" for i in range({count})])
lab.node.popen(["sleep", "1000"])
lab.listen_all([80, "53/udp"])
print("built", flush=True)
{end}
"""


@contextlib.contextmanager
def child(end, count=2, start=""):
    """Another process with a lab; yields (process, the prefix of its names)."""
    text = CHILD.format(here=HERE, end=end, count=count, start=start)
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE,
                               text=True)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        sweep()  # ends what the lab of a killed process still holds the pipe with
        process.stdout.close()


def left_by(prefix):
    assert prefix.startswith("rf-")
    return [name for name in kernel.names() if name.startswith(prefix)]


def is_running(pid):
    """Whether a process is there, and no zombie that its new parent has yet to see."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_is_left_after_a_signal(number):
    with child("signal.pause()") as (process, prefix):
        assert process.stdout.readline() == "built\n"
        netns = left_by(prefix)
        assert len(netns) == 3
        sleepers = kernel.processes(netns)
        assert len(sleepers) == 1
        process.send_signal(number)
        assert process.wait(20) == -number
        assert left_by(prefix) == []
        assert not is_running(sleepers[0])


def test_nothing_is_left_after_a_signal_amid_building():
    with child("signal.pause()", count=200) as (process, prefix):
        wait_until(lambda: len(left_by(prefix)) > 20, what="half a lab")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
        assert left_by(prefix) == []


def test_nothing_is_left_when_a_process_just_ends():
    with child("sys.exit(3)") as (process, prefix):
        assert process.wait(20) == 3
        assert left_by(prefix) == []


def test_handler_of_the_program_is_left_alone():
    start = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))"
    with child("signal.pause()", start=start) as (process, prefix):
        assert process.stdout.readline() == "built\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 4
        assert left_by(prefix) == []


def test_forked_child_does_not_remove_its_parents_lab():
    with Lab() as lab:
        pid = os.fork()
        if pid == 0:
            try:
                lab.close()
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert left_by(lab.prefix)


def test_sweep_removes_what_the_dead_left_and_only_that():
    foreign = f"rf-keep-{os.getpid()}"
    with Lab() as own, child("signal.pause()") as (living, living_prefix), \
            child("signal.pause()") as (dead, dead_prefix):
        own.add_workloads(["a", "b"])
        for process in (living, dead):
            assert process.stdout.readline() == "built\n"
        try:
            subprocess.run(["ip", "netns", "add", foreign], check=True)
            sleeper, = kernel.processes(left_by(dead_prefix))
            dead.kill()
            dead.wait()
            subprocess.run([sys.executable, f"{HERE}/lab.py", "sweep"], check=True)
            assert left_by(dead_prefix) == []
            assert not is_running(sleeper)
            assert len(left_by(living_prefix)) == 3
            assert foreign in kernel.names()
            assert own.probe("a", "b", "icmp").open
        finally:
            subprocess.run(["ip", "netns", "del", foreign], check=True)


def test_sweep_knows_a_reused_process_number():
    # our own number, but of a process that started at another time
    name = f"rf-{os.getpid()}-1xabcd-0-old"
    os.close(os.open(f"{kernel.RUN_DIR}/{name}", os.O_CREAT | os.O_EXCL))
    sweep()
    assert name not in kernel.names()


def test_usage_error_of_the_command():
    done = subprocess.run([sys.executable, f"{HERE}/lab.py", "sweeep"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr
