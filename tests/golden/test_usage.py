"""A command line that a daemon does not understand: what is wrong with it, and where help is."""

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

MISTAKES = [
    ("ringfence-gate --bogus", "unrecognized option '--bogus'"),
    ("ringfence-gate --check-user", "'--check-user' requires an argument"),
    ("ringfence-gate start", "it takes options only"),
    ("ringfence-gate --password-file x", "--password-file goes with --check-user"),
    ("ringfence-gate --resource-quotas", "--resource-quotas goes with --check"),
    ("ringfence-gate --ready-fd x", "--ready-fd takes a number"),
    ("ringfence-gate --check --config /", "the configuration is one file, and / is a directory"),
    ("ringfence-enforcer --check --config /", "the configuration is one file, and / is a directory"),
    ("ringfence-enforcer --bogus", "unrecognized option '--bogus'"),
    ("ringfence-enforcer --config", "'--config' requires an argument"),
    ("ringfence-enforcer start", "no such command: start (try --help)"),
    ("ringfence-enforcer --ready-fd x", "--ready-fd takes a number"),
    ("ringfence-enforcer status -o xml", "no such output format (text, json, yaml): xml"),
    ("ringfence-enforcer flows --count many", "no number up to 1000: many"),
    ("ringfence-enforcer explain a b", "usage: "),
]


@pytest.mark.parametrize(("line", "text"), MISTAKES)
def test_a_mistake_is_named_in_a_line_or_two(line, text):
    program, *words = line.split()
    done = subprocess.run([rf.program(program), *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert text in done.stderr
    assert len(done.stderr.splitlines()) <= 2
