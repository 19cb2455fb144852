"""The README's first policy: what it shows is what the tool says."""

import re
import shutil
import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

README = (rf.ROOT / "README.md").read_text()
SECTION = README.split("## A first policy\n")[1].split("\n## ")[0]
BLOCKS = [
    re.sub("^    ", "", block, flags=re.M).strip("\n") + "\n"
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", SECTION, flags=re.M)
]


@pytest.fixture(name="branch")
def _branch(tmp_path):
    (tmp_path / "samples").mkdir()
    for name in ("samples/policies", "next"):
        shutil.copytree(rf.ROOT / "samples/policies", tmp_path / name)
    return tmp_path


def test_first_policy_goes_as_the_readme_tells(branch):
    policy, refused, opened, failed = BLOCKS
    file = branch / "next/80-dev.yaml"
    file.write_text(policy)
    done = rf.run("check", "next", cwd=branch)
    assert done.returncode == 2 and refused in done.stderr
    file.write_text(policy.replace("workload:", "workloads:"))
    assert rf.run("check", "next", cwd=branch).returncode == 0
    done = rf.run("diff", "samples/policies", "next", cwd=branch)
    assert done.returncode == 1 and opened in done.stdout
    done = rf.run("test", "next", cwd=branch)
    assert done.returncode == 1 and failed in done.stdout
