"""`list` against expectations that nobody on this project wrote.

The data (manifests and the connections that they allow, from static tools of the field)
is not part of this repository: RINGFENCE_CORPUS or ../shared/corpus; absent, skipped.
"""

import ipaddress
import os
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

CORPUS = pathlib.Path(os.environ.get("RINGFENCE_CORPUS", rf.ROOT.parent / "shared" / "corpus"))
CASES = sorted(CORPUS.glob("connectivity/*/expected.txt"))

# These expectations take hostNetwork pods and finished pods for ordinary pods. We do not:
# with both made ordinary in the input, everything must be equal here, too.
ORDINARY_PODS = {
    "ipblockstest_2",
    "semanticDiff-same-topologies-new1",
    "semanticDiff-same-topologies-new1a",
    "semanticDiff-same-topologies-old1",
}

LINE = re.compile(r"^(?P<src>.*) => (?P<dst>.*) : (?P<conn>.*)$")


def union(ranges):
    merged = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return merged


def parse(text):
    """Pairs of workloads, and for the outside the union of ranges of equal connections."""
    pairs, outside = {}, {}
    for line in text.splitlines():
        if not line.strip() or "{" in line:
            continue
        src, dst, conn = LINE.match(line.strip()).group("src", "dst", "conn")
        if src.endswith("[External]") or dst.endswith("[External]"):
            inward = src.endswith("[External]")
            span = (src if inward else dst).removesuffix("[External]").split("-")
            bounds = tuple(int(ipaddress.IPv4Address(end)) for end in span)
            key = (dst if inward else src, inward, conn)
            outside.setdefault(key, []).append(bounds)
        else:
            assert (src, dst) not in pairs, f"listed twice: {line}"
            pairs[src, dst] = conn
    return pairs, {key: union(ranges) for key, ranges in outside.items()}


def listed(path):
    done = rf.run("list", "--ip-blocks-match-pods=never", path)
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def make_ordinary(source, target):
    for path in sorted(source.rglob("*")):
        if not path.is_file():
            continue
        text = path.read_text()
        text = re.sub(r'("?hostNetwork"?:\s*)true', r"\1false", text)
        text = re.sub(r'("?phase"?:\s*"?)(Succeeded|Failed)', r"\1Running", text)
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)


@pytest.mark.skipif(not CASES, reason="the corpus is not here")
@pytest.mark.parametrize("expected", CASES, ids=[path.parent.name for path in CASES] or None)
def test_connectivity(expected, tmp_path):
    source = expected.parent / "input"
    if expected.parent.name in ORDINARY_PODS:
        make_ordinary(source, tmp_path)
        source = tmp_path
    assert listed(source) == parse(expected.read_text())


@pytest.mark.skipif(not CASES, reason="the corpus is not here")
@pytest.mark.parametrize("name", sorted(ORDINARY_PODS))
def test_host_network_pods_are_not_ordinary(name):
    """Where the corpus differs, it does so because of them: as they are, the list differs."""
    case = CORPUS / "connectivity" / name
    assert listed(case / "input") != parse((case / "expected.txt").read_text())
