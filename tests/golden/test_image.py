"""The images: nothing here can pull or build one, so what can be tested is. The file system that
the recipe makes is made by the same script, and its programs run in it."""

import hashlib
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import manifests  # noqa: E402
import rf  # noqa: E402

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root enters another root"),
    pytest.mark.skipif(rf.sanitized(), reason="images are made of what is shipped"),
]
KINDS = ("enforcer", "gate")
RECIPE = (manifests.IMAGE / "Containerfile").read_text()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def images(directory):
    return {kind: manifests.make_image(kind, directory) for kind in KINDS}


def files(root):
    """{path: what it is}, times included."""
    found = {}
    for path in sorted(root.rglob("*")):
        st = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(st.st_mode) else b""
        found[str(path.relative_to(root))] = (
            stat.filemode(st.st_mode), st.st_uid, st.st_gid, st.st_mtime,
            hashlib.sha256(content).hexdigest())
    return found


def programs(root):
    return [path for path in root.rglob("*") if path.is_file() and ".so" not in path.name
            and path.read_bytes()[:4] == b"\x7fELF"]


def run(root, *words, **options):
    return subprocess.run(["chroot", root, *words], capture_output=True, text=True, timeout=60,
                          check=False, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_libraries_are_those_that_programs_link(images, kind):
    root = images[kind]
    linked = set()
    for program in programs(root):
        # As the loader says, on this machine, not as the script says.
        interpreter = re.search(rb"/lib\S*/ld-linux[^\0]*", program.read_bytes())
        if not interpreter:
            continue  # needs none
        loader = interpreter[0].decode()
        linked.add(loader.rpartition("/")[2])
        told = subprocess.run([loader, "--list", program], capture_output=True, text=True,
                              check=True).stdout
        linked |= set(re.findall(r"^\s*(\S+) => /", told, re.MULTILINE))
        inside = run(root, loader, "--list", "/" + str(program.relative_to(root)))
        assert inside.returncode == 0 and "not found" not in inside.stdout, inside.stdout
    there = {path.name for path in root.rglob("*") if ".so" in path.name}
    assert there == {name for name in linked if not name.startswith("linux-vdso")}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_else_is_in_it(images, kind):
    root = images[kind]
    ours = programs(root)
    for path in root.rglob("*"):
        assert not path.is_symlink() and not path.lstat().st_mode & 0o6000, path
        if path.is_file():
            assert (path in ours or ".so" in path.name or
                    str(path.relative_to(root)).startswith(("etc/", "usr/share/doc/"))), path
    licences = {path.name for path in (root / "usr/share/doc").iterdir()}
    assert {"ringfence", "libc6", "libssl3"} <= licences
    assert ("libnftnl11" in licences) == (kind == "enforcer")


def test_programs_run_in_it(images, tmp_path):
    enforcer, gate = images["enforcer"], images["gate"]
    assert run(enforcer, "/usr/bin/ringfence", "version").returncode == 0
    for root in (enforcer, gate):
        version = run(root, "/usr/bin/ringfence", "--version")
        assert version.returncode == 0 and version.stdout.startswith("ringfence "), version.stderr
    shutil.copy(manifests.SAMPLES / "base" / "node" / "enforcer.yaml", enforcer / "etc/ringfence")
    done = run(enforcer, "/usr/sbin/ringfence-enforcer", "--check",
               env=dict(os.environ, RINGFENCE_NODE="worker-1"))
    assert (done.returncode, done.stderr) == (0, "")
    done = run(enforcer, "/usr/libexec/cni/ringfence-cni", "install", "--help")
    assert done.returncode == 0
    # As the image's user. Its own files are not there: it says which, each with its place.
    shutil.copy(manifests.SAMPLES / "base" / "gate" / "gate.yaml", gate / "etc/ringfence")
    done = subprocess.run(["chroot", "--userspec=65532:65532", gate, "/usr/sbin/ringfence-gate",
                           "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "/secrets/tls/tls.crt" in done.stderr, done.stderr
    codes = set(re.findall(r"\[([a-z-]+)\]$", done.stderr, re.MULTILINE))
    assert codes <= {"config-file", "file-read"}, "the configuration itself is good"


def test_same_input_makes_the_same_bytes(images, directory):
    again = directory / "again"
    subprocess.run([manifests.IMAGE / "assemble", directory / "stage", again, "gate"], check=True,
                   env=dict(os.environ, SOURCE_DATE_EPOCH="1700000000"))
    first = files(images["gate"])
    first.pop("etc/ringfence/gate.yaml", None)  # of the test before
    second = files(again)
    assert first.keys() == second.keys()
    changed = {name for name in first if first[name] != second[name]} - {"etc/ringfence"}
    assert not changed


# --- the recipe ---


def instructions():
    text = re.sub(r"\\\n\s*", "", RECIPE)
    return [line.split(maxsplit=1) for line in text.splitlines()
            if line and not line.startswith("#")]


def test_recipe_names_what_is_in_its_context():
    ignored = (rf.ROOT / ".dockerignore").read_text().split()
    assert all("*" not in pattern and "/" not in pattern for pattern in ignored), "as the next line reads them"
    runs = " ".join(value for word, value in instructions() if word == "RUN")
    named = set(re.findall(r"\b(?:tests|samples)/[\w./-]+", runs))
    assert len(named) == 3
    for path in named | {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "NOTICE"}:
        assert (rf.ROOT / path).is_file() and path.split("/")[0] not in ignored, path
        assert not path.startswith("samples") or os.access(rf.ROOT / path, os.X_OK), path


def test_recipe_installs_what_the_tests_install():
    runs = [value for word, value in instructions() if word == "RUN"]
    assert any(". tests/lib/install.sh; install_packages build" in value for value in runs)
    assert not re.search(r"apt(-get)? install", RECIPE), "a second list"


def test_recipe_ends_in_images_of_nothing_else():
    stages, stage = {}, None
    for word, value in instructions():
        if word == "FROM":
            stage = value.split(" AS ")[1]
            stages[stage] = [(word, value)]
        elif stage:
            stages[stage].append((word, value))
    assert set(stages) == {"build", *KINDS}
    for kind in KINDS:
        words = dict(stages[kind])
        assert words["FROM"].startswith("scratch")
        assert words["COPY"] == f"--from=build /image/{kind} /"
        assert [w for w, _ in stages[kind]].count("COPY") == 1
        assert f'org.opencontainers.image.title="ringfence-{kind}"' in words["LABEL"]
        assert f"samples/image/assemble /stage /image/{kind} {kind}" in RECIPE
        version = re.search(r'image\.version="([^"]*)"', words["LABEL"])[1]
        assert f"VERSION {version} " in (rf.ROOT / "CMakeLists.txt").read_text()
    assert dict(stages["gate"])["USER"] == "65532:65532"
    assert "SOURCE_DATE_EPOCH" in dict(stages["build"])["ENV"]


def test_build_makes_every_program_that_is_installed():
    build = (manifests.IMAGE / "build").read_text()
    installed = [name for room in ("policy-lang", "enforcer", "authn") for names in re.findall(
        r"install\(TARGETS ([a-z -]+?)(?: RUNTIME|\))", (rf.ROOT / room / "CMakeLists.txt").read_text())
        for name in names.split()]
    assert len(installed) >= 7
    assert [name for name in installed
            if not re.search(rf"(?<![a-z-]){name}(?![a-z-])", build)] == []
