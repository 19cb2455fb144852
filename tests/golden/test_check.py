"""Golden diagnostics: `ringfence check` on check/NAME.yaml prints check/NAME.txt.

There is a case for every code that loading and the lints can give, named after it. A first line
`# options: ...` gives the tool options. RINGFENCE_UPDATE_GOLDEN=1 writes the expectations
anew; read what changed before keeping it.
"""

import os
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "check"
TOO_LARGE = {"lint-limit"}  # for a file; see check_lint.c
CASES = sorted(path.stem for path in HERE.glob("*.yaml"))
ROW = re.compile(r'X\((CODE_\w+),\s*"([a-z-]+)",\s*DIAG_(\w+),')


def codes():
    """Every code that `check` gives (the compiler has some of its own): its severity."""
    room = rf.ROOT / "policy-lang"
    sources = [*room.glob("load*.c"), *room.glob("lint*.c"), room / "schema.c"]
    text = "\n".join(path.read_text() for path in sources)
    rows = ROW.findall((room / "codes.h").read_text())
    return {code: level.lower() for name, code, level in rows if re.search(rf"\b{name}\b", text)}


def check(case):
    text = (HERE / f"{case}.yaml").read_text()
    first = text.splitlines()[0]
    options = first.removeprefix("# options:").split() if first.startswith("# options:") else []
    return rf.run("check", *options, f"{case}.yaml", cwd=HERE)


@pytest.mark.parametrize("case", CASES)
def test_diagnostics_are_as_expected(case):
    done = check(case)
    expected = HERE / f"{case}.txt"
    if os.environ.get("RINGFENCE_UPDATE_GOLDEN"):
        expected.write_text(done.stderr)
    assert done.stderr == expected.read_text()
    assert done.stdout == ""
    assert done.returncode == (2 if ": error: " in done.stderr else 0)


def test_every_code_has_a_case():
    assert codes().keys() - TOO_LARGE == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_case_shows_its_code_at_its_severity(case):
    assert re.search(rf": {codes()[case]}: .* \[{case}\]$", check(case).stderr, re.MULTILINE)
