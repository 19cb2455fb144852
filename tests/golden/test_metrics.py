"""Metrics of the node daemon: what it tells, the manual lists, and dashboards and alerts ask for.

What it tells is read from the code, so that series that only some nodes have count too;
tests/netns looks at the page itself.
"""

import json
import pathlib
import re
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

SAMPLES = rf.ROOT / "samples"
DASHBOARDS = [SAMPLES / "grafana" / "ringfence-node.json",
              SAMPLES / "kubernetes" / "base" / "monitoring" / "ringfence-node.json"]
RULES = SAMPLES / "kubernetes" / "base" / "monitoring" / "rules.yaml"


SOURCES = {path.name: path for path in sorted((rf.ROOT / "enforcer").rglob("*.c"))}


def source(name):
    """C, its strings joined."""
    return re.sub(r'"\s*\n\s*"', "", SOURCES[name].read_text())


def told():
    """{name: (type, help)} of all that the code can tell."""
    found = {}
    for name in SOURCES:
        text = source(name)
        for name, kind, words in re.findall(
                r'\bprometheus_(?:add|head)\(\s*&?\w+,\s*"(?:ringfence_|(?=process_))(\w+)",'
                r'\s*"(counter|gauge)",\s*"([^"]*)"', text):
            found[name] = (kind, words)
        for name, words in re.findall(
                r'\bprometheus_add_seconds\(\s*out,\s*"ringfence_(\w+)",\s*"([^"]*)"', text):
            found[name] = ("gauge", words)
        for name, words in re.findall(
                r'\bhistogram_write\(\s*out,\s*"ringfence_(\w+)",\s*"([^"]*)"', text):
            found[name] = ("histogram", words)
    for name, kind, words in re.findall(
            r'\{"ringfence_(\w+)",\s*"(counter|gauge)",\s*"([^"]*)",\s*offsetof',
            source("kube_report.c")):
        found[name] = (kind, words)
    table = re.search(r"dns_count_words\[DNS_COUNTS\] = \{(.*?)\n\};", source("dns_messages.c"),
                      re.S)[1]
    for constant, name, words in re.findall(r'\[(\w+)\] = \{"(\w+)",\s*"([^"]*)"', table):
        gauge = constant == "DNS_COUNT_WAITING"
        found[f"dns_resolver_{name}{'' if gauge else '_total'}"] = (
            "gauge" if gauge else "counter", words)
    return found


def listed():
    """{name: (type, words)} of the manual's list."""
    page = (rf.ROOT / "enforcer" / "ringfence-enforcer.8").read_text()
    section = re.search(r"^\.Sh METRICS\n(.*?)^\.Sh ", page, re.M | re.S)[1]
    return {name: (kind, words.replace("\n", " ").strip()) for name, kind, words in re.findall(
        r"^\.It Li (\w+) Pq (\w+)\n(.*?)(?=^\.)", section, re.M | re.S)}


def asked(text):
    """Metrics that expressions name, without what histograms add to theirs."""
    histograms = {name for name, (kind, _) in told().items() if kind == "histogram"}
    names = set(re.findall(r"\bringfence_(\w+)", text))
    return {next((h for h in histograms if re.fullmatch(rf"{h}_(bucket|sum|count)", name)),
                 name) for name in names}


def test_code_is_read_whole():
    """What has no name where it is told is told in the ways that told() knows of."""
    nameless = {name: len(re.findall(r"\bprometheus_(?:add|head|add_seconds)\("
                                          r"(?!\s*&?\w+,\s*\"(?:ringfence|process)_)", path.read_text()))
                for name, path in SOURCES.items()}
    assert {name: n for name, n in nameless.items() if n} == {
        "histogram.c": 1,       # histogram_write's
        "kube_report.c": 1,     # the table's
        "metrics_engine.c": 1,  # the resolver's
    }
    assert not any("# HELP" in path.read_text() for path in SOURCES.values())
    assert len(told()) > 90 and all(words for _, words in told().values())


def test_manual_lists_what_is_told_and_nothing_else():
    assert listed() == told()


def test_names_are_as_prometheus_wants_them():
    for name, (kind, _) in told().items():
        assert (kind == "counter") == name.endswith("_total"), name


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.parent.name)
def test_dashboards_ask_for_what_there_is(path):
    text = "\n".join(target["expr"] for panel in json.loads(path.read_text())["panels"]
                     for target in panel["targets"])
    assert len(asked(text)) > 15 and asked(text) <= told().keys()


def test_alerts_ask_for_what_there_is():
    text = "\n".join(rule["expr"] for document in yaml.safe_load_all(RULES.read_text())
                     for group in document["spec"]["groups"] for rule in group["rules"])
    names = {name for name in asked(text) if not name.startswith("gate_")}
    assert len(names) > 5 and names <= told().keys()
