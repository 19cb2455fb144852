"""That benchmarks still run, and that their clusters are what they say."""

import json
import pathlib
import subprocess
import sys

import pytest
import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

import rf  # noqa: E402  (found by the line above)
from cluster import Cluster  # noqa: E402
from measure import exponent  # noqa: E402

NAMES = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def runner(*args):
    return subprocess.run([HERE / "run", *args], capture_output=True, text=True,
                          check=False, timeout=120)


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_prints_points_when_quick(name):
    done = runner("--quick", name)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["machine"]["cores"] > 0
    assert found["failed"] == []
    one = found["benchmarks"][name]
    assert one["name"] == name and one["points"]


def test_runner_refuses_a_name_that_is_none():
    done = runner("--quick", "nonesuch")
    assert done.returncode == 2
    assert "nonesuch" in done.stderr and "parse" in done.stderr


def test_runner_explains_itself():
    done = runner("--help")
    assert done.returncode == 0 and "--quick" in done.stdout


def test_cluster_is_the_same_for_the_same_seed(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        Cluster(seed, 60, 200).write(tmp_path / name)
    read = {name: b"".join(path.read_bytes() for path in sorted((tmp_path / name).iterdir()))
            for name in "abc"}
    assert read["a"] == read["b"] != read["c"]


def test_cluster_is_refused_by_nobody(tmp_path):
    Cluster(3, 400, 1000, detail="full").write(tmp_path)
    done = rf.run("check", tmp_path)
    assert done.returncode == 0, done.stderr


def test_cluster_has_what_was_asked_for(tmp_path):
    Cluster(4, 200, 500).write(tmp_path)
    kinds = {}
    for path in sorted(tmp_path.iterdir()):
        for document in yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader):
            kinds[document["kind"]] = kinds.get(document["kind"], 0) + 1
    policies = ("NetworkPolicy", "Policy", "AdminNetworkPolicy", "ClusterNetworkPolicy",
                "BaselineAdminNetworkPolicy")
    assert kinds["Pod"] + kinds["Workload"] == 500 and kinds["Workload"] > 0
    assert sum(kinds[kind] for kind in policies) == 200
    assert all(kinds[kind] > 0 for kind in policies)


def test_json_says_what_yaml_says(tmp_path):
    cluster = Cluster(5, 60, 120)
    cluster.write(tmp_path / "yaml")
    cluster.write(tmp_path / "json", "json")
    answers = [rf.run("list", tmp_path / form).stdout for form in ("yaml", "json")]
    assert answers[0] == answers[1] != ""


def test_edits_change_so_many_policies():
    before, after = (Cluster(6, 100, 300, edits=edits).policies for edits in (0, 5))
    assert len(before) == len(after)
    assert 1 <= sum(x != y for x, y in zip(before, after)) <= 5


def test_questions_can_be_asked(tmp_path):
    cluster = Cluster(7, 50, 200)
    cluster.write(tmp_path)
    questions = cluster.questions(200)
    done = rf.run("can", tmp_path, "--batch", "-", stdin="".join(questions))
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"allow", "deny"}


@pytest.mark.parametrize("power", (0.5, 1, 2))
def test_exponent_is_the_power(power):
    sizes = (10, 100, 1000)
    assert exponent(sizes, [3 * size ** power for size in sizes]) == pytest.approx(power)
