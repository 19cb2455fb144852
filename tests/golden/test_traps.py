"""The traps of the policy languages that we read, one file each in traps/.

A file is policy for the cluster in traps/fixture, and says what must come of it:

    #: allow|deny SRC DST PORT/PROTO     a question and its answer
    #: options OPTION...                 for every reading of the file
    #: asking OPTION...                  for its questions
    #: warning CODE                      `check` warns, and the file is good
    #: error CODE LINE                   `check` refuses the file there
    #: alone                             without the fixture

Expected answers come from the text of the Kubernetes and network-policy APIs.
"""

import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

TRAPS = pathlib.Path(__file__).parent / "traps"
FIXTURE = TRAPS / "fixture"


def read(path):
    said = {"allow": [], "deny": [], "warning": [], "error": []}
    questions, options, asking, alone = [], [], [], False
    for line in path.read_text().splitlines():
        if not line.startswith("#: "):
            continue
        key, *rest = line[3:].split()
        if key in ("allow", "deny"):
            questions.append((" ".join(rest), key))
        elif key == "options":
            options += rest
        elif key == "asking":
            asking += rest
        elif key == "alone":
            alone = True
        else:
            said[key].append(rest)
    return said, questions, options, asking, ([] if alone else [FIXTURE]) + [path]


FILES = sorted(TRAPS.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_trap(path):
    said, questions, options, asking, inputs = read(path)
    assert questions or said["error"] or said["warning"], "the file expects nothing"
    done = rf.run("check", *options, *inputs, "-o", "json")
    found = json.loads(done.stdout)
    errors = [[d["code"], str(d["line"])] for d in found if d["severity"] == "error"]
    warnings = [[d["code"]] for d in found if d["severity"] == "warning"]
    assert sorted(errors) == sorted(said["error"])
    for code in said["warning"]:
        assert code in warnings
    assert done.returncode == (2 if errors else 0)
    answers = rf.run(
        "can",
        *options,
        *asking,
        *inputs,
        "--batch",
        "-",
        stdin="\n".join(question for question, _ in questions),
    )
    if errors:
        assert answers.returncode == 2 and answers.stdout == "", "answered from bad input"
        return
    assert answers.returncode == 0, answers.stderr
    got = list(zip([q for q, _ in questions], answers.stdout.split()))
    assert got == questions


def test_every_value_of_a_selector_is_a_look_up_and_not_a_product():
    """Selectors with many labels and many values cost their length (a known tool made
    2^19 sets of such a policy)."""
    keys = "\n".join(
        f"      - {{key: k{i}, operator: NotIn, values: [{', '.join(f'v{j}' for j in range(40))}]}}"
        for i in range(20)
    )
    policy = f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: big, namespace: x}}
spec:
  podSelector:
    matchExpressions:
{keys}
"""
    done = rf.run("can", FIXTURE, "-", "--", "y/a", "x/a", "80/tcp", stdin=policy, timeout=20)
    assert (done.returncode, done.stdout) == (1, "deny\n"), done.stderr
