"""Golden diagnostics: `ringfence check` on check/NAME.yaml prints check/NAME.txt.

There is a case for every code that loading and the lints can give, named after it. A first line
`# options: ...` gives the tool options. RINGFENCE_UPDATE_GOLDEN=1 writes the expectations
anew; read what changed before keeping it.
"""

import functools
import json
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


@functools.cache
def codes():
    """Every code that `check` gives (the compiler has some of its own): its severity."""
    room = rf.ROOT / "policy-lang"
    sources = [*room.glob("load/*.c"), *room.glob("lint/*.c")]
    text = "\n".join(path.read_text() for path in sources)
    rows = ROW.findall((room / "model" / "codes.h").read_text())
    return {code: level.lower() for name, code, level in rows if re.search(rf"\b{name}\b", text)}


@functools.cache
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


# ---- the samples that are wrong on purpose, and those that are right


SAMPLES = rf.ROOT / "samples"
BROKEN = sorted((SAMPLES / "broken").glob("*.broken"))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken_sample_says_what_stands_beside_it(path):
    done = rf.run("check", path.name, cwd=path.parent)
    expected = path.with_suffix(".txt")
    if os.environ.get("RINGFENCE_UPDATE_GOLDEN"):
        expected.write_text(done.stderr)
    assert done.stderr == expected.read_text()
    assert re.search(r": (error|warning|note): ", done.stderr)
    assert done.returncode == (2 if ": error: " in done.stderr else 0)


def test_broken_samples_are_a_dozen_and_each_has_its_text():
    assert len(BROKEN) >= 12
    assert {path.stem for path in BROKEN} == {
        path.stem for path in (SAMPLES / "broken").glob("*.txt")
    }


@pytest.mark.parametrize("samples", [rf.sample_directories(), [SAMPLES / "policies"], [SAMPLES / "kubernetes" / "base"]],
                         ids=["all", "policies", "kubernetes"])
def test_samples_have_no_error(samples):
    done = rf.run("check", *samples, cwd=rf.ROOT)
    assert done.returncode == 0, done.stderr
    assert ": error: " not in done.stderr and ".broken:" not in done.stderr


# ---- SARIF, and comments that silence


IGNORED = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: closed, namespace: shop }
spec:
  podSelector: {}
  policyTypes: [Ingress]  # ringfence:ignore isolates-wholly opened one by one elsewhere
"""


def sarif(text, *options):
    done = rf.run("check", "-o", "sarif", *options, "-", stdin=text)
    [run] = json.loads(done.stdout)["runs"]
    return run, done.returncode


def test_sarif_explains_its_rules_and_says_how_it_ended():
    text = (HERE / "shadowed-rule.yaml").read_text()
    run, status = sarif(text, "--strict")
    assert status == 1
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    [rule] = run["tool"]["driver"]["rules"]
    [result] = run["results"]
    assert (rule["id"], rule["defaultConfiguration"]) == ("shadowed-rule", {"level": "warning"})
    assert (result["ruleId"], result["ruleIndex"], result["level"]) == (
        "shadowed-rule",
        0,
        "warning",
    )
    assert rule["shortDescription"]["text"].endswith(".")
    assert rf.run("help", "shadowed-rule").stdout.count(rule["help"]["markdown"]) == 1
    [related] = result["relatedLocations"]
    assert related["physicalLocation"]["region"]["startLine"] == 12
    assert related["message"]["text"] == "shadowed by this"


def test_fingerprints_stay_when_lines_move_and_differ_between_places():
    text = (HERE / "isolates-wholly.yaml").read_text()
    twice = text + "---\n" + text.replace("name: ", "name: other-")

    def prints(of):
        run, _ = sarif(of)
        return [result["partialFingerprints"]["ringfenceLine/v1"] for result in run["results"]]

    assert prints("# moved\n\n" + text) == prints(text) != []
    assert len(set(prints(twice))) == len(prints(twice)) == 2 * len(prints(text))
    assert set(prints(text)) < set(prints(twice))


def test_comment_silences_in_every_format_and_under_strict():
    done = rf.run("check", "--strict", "-", stdin=IGNORED)
    assert (done.returncode, done.stderr) == (0, "no errors\n")
    assert sarif(IGNORED)[0]["results"] == []
    assert json.loads(rf.run("check", "-o", "json", "-", stdin=IGNORED).stdout) == []
    plain = IGNORED.split("  # ringfence")[0] + "\n"
    assert "[isolates-wholly]" in rf.run("check", "-", stdin=plain).stderr
