"""The loader's verdicts beside those of a real API server.

RINGFENCE_RECORDED or ../shared/recorded has documents, most of them damaged in one place,
with the verdict of an API server under strict field validation; RINGFENCE_CORPUS or
../shared/corpus has files that an API server refuses; RINGFENCE_API or ../shared/api has
the CustomResourceDefinitions. None is part of this repository: where they are absent
these tests are skipped. RINGFENCE_MUTATIONS is how many damaged documents are judged
beside the oracle (api_oracle.py), RINGFENCE_SEED which.
"""

import copy
import json
import os
import pathlib
import random
import re
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]
import api_mutations  # noqa: E402
import api_oracle  # noqa: E402
import rf  # noqa: E402

SHARED = rf.ROOT.parent / "shared"
RECORDED = pathlib.Path(os.environ.get("RINGFENCE_RECORDED", SHARED / "recorded"))
API = pathlib.Path(os.environ.get("RINGFENCE_API", SHARED / "api"))
CORPUS = pathlib.Path(os.environ.get("RINGFENCE_CORPUS", SHARED / "corpus"))

# What a request's path tells the server, a file must say itself.
NOT_IN_A_FILE = re.compile(r"^(?:\w+) (?:(?:apiVersion|kind) = null|without (?:apiVersion|kind))$")

# A v1alpha1 "pods" without podSelector is found in files that never met this CRD; it can
# only mean every pod, and is a warning.
ABSENT_SELECTOR = re.compile(
    r"^(?:Baseline)?AdminNetworkPolicy "
    r"(?:without \S+\.pods\.podSelector|\S+\.pods\.podSelector = null)$"
)

# Underscores in the name of a NetworkPolicy, likewise.
ODD_NAME = re.compile(r'^NetworkPolicy metadata\.name = "[a-z0-9]+_[a-z0-9_]+"$')


def rows():
    path = RECORDED / "validation.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    # Sanitizers see the same code in each; starting them takes long.
    return [json.loads(line) for line in (lines[::16] if rf.sanitized() else lines)]


ROWS = rows()


def expected(row):
    """Whether we accept the row's document: as the server does, but for the above."""
    case = row["case"]
    if NOT_IN_A_FILE.match(case):
        return False
    if ABSENT_SELECTOR.match(case) or ODD_NAME.match(case):
        return True
    return row["accepted"]


@pytest.mark.skipif(not ROWS, reason="no recorded verdicts here")
@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_verdict_is_the_servers(row):
    done = rf.run("check", "-", stdin=json.dumps(row["document"]))
    assert done.returncode == (0 if expected(row) else 2), (row["case"], row["message"], done.stderr)
    assert (done.returncode == 2) == (": error: " in done.stderr)


DEPARTURES = [row for row in ROWS if expected(row) != row["accepted"]]


# What a server tolerates is a warning to us; what we tolerate, --strict refuses.
@pytest.mark.skipif(not ROWS, reason="no recorded verdicts here")
@pytest.mark.parametrize(
    "row", DEPARTURES, ids=[row["case"] for row in DEPARTURES]
)
def test_strict_verdict_is_the_servers(row):
    done = rf.run("check", "--strict", "-", stdin=json.dumps(row["document"]))
    accepted = row["accepted"] and not NOT_IN_A_FILE.match(row["case"])
    assert (done.returncode == 2) == (not accepted), done.stderr


SCHEMAS = api_oracle.read_schemas(API)


@pytest.mark.skipif(not (ROWS and SCHEMAS), reason="no recorded verdicts or no CRDs here")
def test_oracle_knows_every_recorded_verdict():
    wrong = [
        (row["case"], row["accepted"])
        for row in ROWS
        if not NOT_IN_A_FILE.match(row["case"])
        and (api_oracle.verdict(SCHEMAS, copy.deepcopy(row["document"])) is None) != row["accepted"]
    ]
    assert not wrong


# Where we depart from the server's answer: documents of other kinds are none of ours, and
# there is no domain name of more than 253 bytes.
def departs(document):
    kind = document.get("apiVersion"), document.get("kind")
    other = all(isinstance(text, str) for text in kind) and kind not in KINDS
    texts = re.findall(r'"[^"]{254,}"', json.dumps(document, ensure_ascii=False))
    return other or any("." in text for text in texts)


KINDS = {(base["apiVersion"], base["kind"]) for base in api_mutations.BASES}


@pytest.mark.parametrize("base", api_mutations.BASES, ids=lambda base: base["kind"])
def test_verdict_of_damaged_document_is_the_oracles(base):
    if not SCHEMAS and base["kind"] != "NetworkPolicy":
        pytest.skip("no CRDs here")
    count = int(os.environ.get("RINGFENCE_MUTATIONS", 300)) // len(api_mutations.BASES)
    seed = int(os.environ.get("RINGFENCE_SEED", time.time_ns() % 100000))
    every = list(api_mutations.mutations(base))
    wrong = []
    for what, path, change in random.Random(seed).sample(every, min(count, len(every))):
        document = api_mutations.changed(base, path, change)
        if departs(document):
            continue
        why = api_oracle.verdict(SCHEMAS, copy.deepcopy(document))
        done = rf.run("check", "--strict", "-", stdin=json.dumps(document))
        if (done.returncode == 2) != (why is not None) or done.returncode not in (0, 1, 2):
            wrong.append((what, why, done.stderr))
    assert not wrong, f"RINGFENCE_SEED={seed}"


# The line with the damage, and whether it is an error. A null podSelector is legal and
# means every pod (the server takes it, and conformance manifests have it): a warning.
MALFORMED = {
    "api_version_wrong_value": 1,
    "endport_wrong_range": 19,
    "endport_wrong_type": 20,
    "ipblock_empty": 15,
    "matchexpressions_key_does_not_exist": 10,
    "matchexpressions_key_null": 10,
    "matchexpressions_key_wrong_value_form": 9,
    "matchexpressions_operator_has_no_value": 11,
    "matchexpressions_operator_missing": 9,
    "metadata_is_null": 4,
    "metadata_name_null": 5,
    "metadata_name_wrong_type": 6,
    "metadata_wrong_keys": 6,
    "mixed_ipv4_cidr_ipv6_except": 15,
    "mixed_ipv6_cidr_ipv4_except": 15,
    "peer_namespaceselector_wrong_keys": 22,
    "peers_wrong_keys": 19,
    "port_wrong_range": 18,
    "ports_wrong_keys": 24,
    "protocol_wrong_value": 20,
    "spec_egress_wrong_type": 17,
    "spec_ingress_wrong_keys": 17,
    "spec_ingress_wrong_type": 17,
    "spec_podselector_has_no_value": 8,
    "spec_podselector_wrong_keys": 9,
    "spec_podselector_wrong_type": 9,
    "spec_wrong_keys": 9,
    "spec_wrong_type": 8,
}
LEGAL = {"spec_podselector_has_no_value"}

FILES = sorted(CORPUS.glob("malformed/*.yaml"))


@pytest.mark.skipif(not FILES, reason="no corpus here")
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_malformed_file_is_refused_at_its_line(path):
    done = rf.run("check", path)
    severity = "warning" if path.stem in LEGAL else "error"
    assert done.returncode == (0 if path.stem in LEGAL else 2), done.stderr
    lines = {int(line) for line in re.findall(rf":(\d+):\d+: {severity}: ", done.stderr)}
    assert lines
    if path.stem in MALFORMED:
        assert MALFORMED[path.stem] in lines, done.stderr
