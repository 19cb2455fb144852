"""Commands that prove something at length: what they take, what they refuse, how they end."""

import os
import pathlib
import select
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import longrun  # noqa: E402
import rf  # noqa: E402

COMMANDS = {  # and what they count
    "netns/differential": "probes", "netns/route-differential": "probes",
    "netns/kube-histories": "histories", "netns/kills": "kills", "netns/faults": "minutes",
    "netns/soak": "minutes", "property/run": "cases", "property/mutants": "cases",
}


def run(command, *arguments):
    return subprocess.run([ROOT / "tests" / command, *arguments], capture_output=True, text=True,
                          check=False, timeout=60)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_there_is(command):
    done = run(command, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: ")
    for word in ("--seed", "--minutes", f"--{COMMANDS[command]}", "Exit status: 0"):
        assert word in done.stdout, word


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("arguments", [["--{}", "0", "--seed", "1"], ["nonsense"]],
                         ids=" ".join)
def test_nonsense_is_refused(command, arguments):
    done = run(command, *(word.format(COMMANDS[command]) for word in arguments))
    assert done.returncode == 2 and done.stdout == ""
    assert "usage: " in done.stderr and "error: " in done.stderr


@pytest.mark.parametrize("option", ["--probes=many", "--probes=-3", "--seed=-1", "--seed=x",
                                    "--minutes=nan", "--minutes=0", "--minute=3"])
def test_no_number_is_refused(option, capsys):
    with pytest.raises(SystemExit) as refused:
        longrun.parser("", probes=1).parse_args([option])
    assert refused.value.code == 2 and "error: " in capsys.readouterr().err


def test_one_line_says_what_was_done():
    if not (rf.build_dir() / "tests" / "property").is_dir():
        pytest.skip("no property tests are built")
    done = run("property/run", "--cases", "3", "--seed", "7", "laws")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("property: ok: 3 cases of laws, seed 7, ")


@pytest.mark.parametrize("done, status", [
    ([], 2), ([{"ended": True}], 2), ([{"probes": 0, "open": 0, "ended": True}], 2),
    ([{"probes": 0, "probes_passed_by": 9}, {"sets": 3}], 2), ([{"probes": 0}, {"probes": 2}], 0),
    ([{"probes_of_it": 1}], 0)], ids=str)
def test_nothing_done_is_no_success(capsys, done, status):
    """Nor if other things were counted meanwhile."""
    args = longrun.seeded(longrun.parser("", probes=1).parse_args(["--seed", "5"]))
    it = longrun.Run("it", args)
    for counts in done:
        it.add(counts)
    assert it.finish() == status
    assert capsys.readouterr().out.startswith("it: nothing was tried: " if status else "it: ok: ")


def test_few_cases_are_no_mistake():
    """Where they ask nothing by chance, there are more."""
    if not (rf.build_dir() / "tests" / "property").is_dir():
        pytest.skip("no property tests are built")
    for seed in range(3, 7):
        done = run("property/run", "--cases", "1", "--seed", str(seed), "laws", "routes")
        assert done.returncode == 0, done.stdout


COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
sys.path.insert(0, sys.argv[1])
import longrun
args = longrun.seeded(longrun.parser("").parse_args(["--seed", "5"]))
run = longrun.Run("it", args)
run.pytest(sys.argv[2], "waits", FIFO=sys.argv[3])
sys.exit(run.finish())
"""
TEST = """
import os, time, pytest

@pytest.fixture
def built():
    with open(os.environ["FIFO"], "w") as file:
        print("built", file=file, flush=True)
        yield
        print("taken down", file=file, flush=True)

def test_that_waits(built):
    time.sleep(600)
"""


@pytest.mark.parametrize("number, told", [(signal.SIGINT, b"taken down\n"), (signal.SIGTERM, b"")])
def test_who_is_interrupted_ends_what_it_has_started(tmp_path, number, told):
    """As a terminal does it, or somebody else; SIGTERM ends a test that has no network at once."""
    fifo, test = tmp_path / "fifo", tmp_path / "test_it.py"
    os.mkfifo(fifo)
    test.write_text(TEST)
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def said():
        select.select([fd], [], [], 60)
        return os.read(fd, 100)

    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, ROOT / "tests" / "lib", test, fifo],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert said() == b"built\n"
        os.killpg(process.pid, number)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert error == "it: interrupted: seed 5\n"
        assert said() == told and said() == b""  # nobody has it any more
    finally:
        process.kill()
        process.wait()
        os.close(fd)
