"""The house rules: that they hold, and that their checks can fail."""
import importlib.machinery
import importlib.util
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("common", "policy-lang", "enforcer", "authn")
ARROWS = ROOT / "tests" / "house" / "arrows.py"


def arrows(tree):
    return subprocess.run([sys.executable, ARROWS, tree], capture_output=True, text=True,
                          check=False)


def test_arrows_hold():
    run = arrows(ROOT)
    assert run.returncode == 0, run.stdout


@pytest.fixture(name="copy")
def copy_of_rooms(tmp_path):
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room)
    return tmp_path


@pytest.mark.parametrize("room, line", [
    ("common", '#include "policy-lang/model/model.h"'),
    ("policy-lang", '#include "enforcer/engine/plan.h"'),
    ("policy-lang/model", '#include "policy-lang/lint/lint.h"'),
    ("policy-lang", '#include "authn/request/identity.h"'),
    ("enforcer", '#include "authn/request/identity.h"'),
    ("authn", '#include "enforcer/wire/ops.h"'),
    ("authn", "#include <libnftnl/rule.h>"),
    ("enforcer", "#include <ldap.h>"),
    ("enforcer", "#include <nghttp2/nghttp2.h>"),
    ("policy-lang", "#include <yaml.h>"),
    ("policy-lang", "static int s(void) { return socket(1, 1, 0); }"),
    ("policy-lang", 'static char *s(void) { return getenv("HOME"); }'),
    ("policy-lang", "static long s(void) { return time(0); }"),
])
def test_a_broken_arrow_is_found(copy, room, line):
    (copy / room / "broken.c").write_text(f"/* {line} */\n{line}\n")
    run = arrows(copy)
    assert run.returncode == 1
    assert f"{room}/broken.c:2:" in run.stdout
    assert f"{room}/broken.c:1:" not in run.stdout, "a comment is no arrow"


@pytest.mark.parametrize("room, library", [
    ("common", "rf-policy"), ("policy-lang", "PkgConfig::NFTNL"),
    ("enforcer", "rf-authn"), ("authn", "PkgConfig::NFTNL"), ("authn", "rf-enforcer"),
])
def test_a_forbidden_library_is_found(copy, room, library):
    with open(copy / room / "CMakeLists.txt", "a", encoding="utf-8") as cmake:
        cmake.write(f"target_link_libraries(x PRIVATE {library})\n")
    run = arrows(copy)
    assert run.returncode == 1
    assert library.rpartition(":")[2] in run.stdout


def test_an_empty_tree_is_no_success(tmp_path):
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "CMakeLists.txt").write_text("")
    assert arrows(tmp_path).returncode == 1


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True,
                         text=True, check=True).stdout
    return [ROOT / name for name in out.splitlines()]


def test_manual_pages_are_well_formed():
    pages = tracked("*.1", "*.5", "*.7", "*.8")
    assert pages
    run = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages],
                         capture_output=True, text=True, check=False)
    found = [line for line in run.stdout.splitlines()
             if ": WARNING:" in line or ": ERROR:" in line]
    assert not found, "\n".join(found)


def test_every_program_is_documented():
    pages = {page.name for page in tracked("*.1", "*.5", "*.7", "*.8")}
    assert {"ringfence.1", "ringfence-enforcer.8", "ringfence-gate.8", "ringfence-login.1",
            "ringfence-audit.1"} <= pages


def test_python_compiles():
    for path in tracked("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


def test_the_repository_names_no_workplace():
    """No path of a build machine, no host of a registry."""
    words = ["/work" + "/", "deb.debian" + ".org", "registry.npm" + "js"]
    for path in tracked("*"):
        if path.is_symlink() or not path.is_file():
            continue
        text = path.read_bytes()
        for word in words:
            assert word.encode() not in text, f"{path}: {word}"


def program(*parts):
    """A program in Python, as a module."""
    path = ROOT.joinpath("tests", *parts)
    loader = importlib.machinery.SourceFileLoader(parts[-1], str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(parts[-1], loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


def replaced_once(name, file, text, replacement):
    """The file's text after it, in which the next replacement is made."""
    assert file.count(text) == 1, name
    assert replacement != text, name
    return file.replace(text, replacement)


def test_texts_that_mutants_replace_are_in_their_files():
    """The run takes minutes; that its list keeps up with the code does not."""
    for name, _, _, file, text, replacement in program("property", "mutants").MUTANTS:
        source = (ROOT / "policy-lang" / file).read_text(encoding="utf-8")
        replaced_once(name, source, text, replacement)


def test_checks_that_are_taken_out_of_the_gate_are_there():
    """The same of tests/e2e/weakened, and its tests are some."""
    rows = program("e2e", "weakened").WEAKENED
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        files = {}
        for file, text, replacement in row.edits:
            source = files.get(file) or (ROOT / file).read_text(encoding="utf-8")
            files[file] = replaced_once(row.name, source, text, replacement)
        file, _, test = row.test.partition("::")
        source = (ROOT / "tests" / "e2e" / file).read_text(encoding="utf-8")
        assert f"def {test.partition('[')[0]}(" in source, row.name
