"""`ringfence-cni install` and `uninstall`: files as runtimes find them."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

PROGRAM = rf.build_dir() / "enforcer" / "ringfence-cni"
LAST = {"type": "ringfence-cni"}
FLANNEL = """\
{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
"""
SINGLE = '{"cniVersion": "0.4.0", "name": "n", "type": "bridge", "ipam": {"type": "dhcp"}}'
WAIT_S = 60


class Node:
    """The two directories of a node."""

    def __init__(self, directory):
        self.bin, self.net = directory / "bin", directory / "net.d"
        self.bin.mkdir()
        self.net.mkdir()

    def argv(self, command, *options):
        return [PROGRAM, command, "--bin-dir", self.bin, "--net-dir", self.net, *options]

    def run(self, command, *options):
        done = subprocess.run(self.argv(command, *options), capture_output=True, text=True,
                              timeout=WAIT_S, check=False)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr
        return done

    def install(self, *options):
        done = self.run("install", *options)
        assert done.returncode == 0, done.stderr
        return done

    def write(self, name, text, mode=0o600):
        (self.net / name).write_text(text)
        (self.net / name).chmod(mode)

    def read(self, name):
        return json.loads((self.net / name).read_text())

    def files(self):
        """Every name and content: what must stay as it is."""
        return {path.name: path.read_bytes() for path in self.net.iterdir()}

    def in_use(self):
        """What a runtime takes: the first file by name of those endings (libcni)."""
        names = sorted(path.name for path in self.net.iterdir()
                       if path.suffix in (".conf", ".conflist", ".json"))
        return names[0] if names else None


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_list_gets_the_plugin_and_keeps_everything_else(node):
    node.write("10-flannel.conflist", FLANNEL, 0o644)
    node.install()
    wanted = json.loads(FLANNEL)
    wanted["plugins"].append(LAST)
    assert node.read("10-flannel.conflist") == wanted
    assert list(node.read("10-flannel.conflist")) == ["name", "cniVersion", "plugins"]
    assert (node.net / "10-flannel.conflist").stat().st_mode & 0o777 == 0o644
    before = (node.net / "10-flannel.conflist").stat().st_ino
    node.install()
    assert (node.net / "10-flannel.conflist").stat().st_ino == before, "written again"
    assert node.run("install", "--check").returncode == 0
    assert node.run("uninstall").returncode == 0
    assert node.read("10-flannel.conflist") == json.loads(FLANNEL)
    assert not list(node.bin.iterdir())
    assert node.run("uninstall").returncode == 0


def test_program_runs_without_libraries(node):
    node.write("a.conflist", FLANNEL)
    node.install()
    installed = node.bin / "ringfence-cni"
    assert installed.read_bytes() == PROGRAM.read_bytes()
    assert installed.stat().st_mode & 0o7777 == 0o755
    if not rf.sanitized():
        done = subprocess.run(["ldd", installed], capture_output=True, text=True, check=False)
        assert "statically linked" in done.stdout
    installed.write_bytes(b"another version")
    assert node.run("install", "--check").returncode == 1
    node.install()
    assert installed.read_bytes() == PROGRAM.read_bytes()


@pytest.mark.parametrize("ending", ["conf", "json"])
def test_single_plugin_becomes_a_list_and_comes_back(node, ending):
    node.write(f"20-n.{ending}", SINGLE)
    node.install("--timeout", "5", "--socket", "/run/x.sock", "--allow-unfiltered")
    assert node.in_use() == "20-n.conflist"
    assert node.read("20-n.conflist") == {
        "cniVersion": "0.4.0", "name": "n", "plugins": [
            {"type": "bridge", "ipam": {"type": "dhcp"}},
            LAST | {"socket": "/run/x.sock", "timeoutSeconds": 5, "unfiltered": "allow"}]}
    node.install()
    assert node.read("20-n.conflist")["plugins"][-1] == LAST, "options that are others now"
    # Its owner writes it anew.
    node.write(f"20-n.{ending}", SINGLE.replace("bridge", "ptp"))
    node.install("--file", f"20-n.{ending}")
    assert node.read("20-n.conflist")["plugins"][0]["type"] == "ptp"
    assert node.run("install", "--check", "--file", f"20-n.{ending}").returncode == 0
    assert node.run("uninstall").returncode == 0
    assert node.files() == {f"20-n.{ending}": SINGLE.replace("bridge", "ptp").encode()}


# Somebody's list that the plugin was put into, or a list of ours that somebody added to.
ADDED = json.dumps(json.loads(FLANNEL) | {"plugins": [*json.loads(FLANNEL)["plugins"], LAST]})


@pytest.mark.parametrize("other", [FLANNEL, ADDED, "{"], ids=["a list", "one with it", "no list"])
def test_list_of_somebody_else_is_not_replaced(node, other):
    """Of one name but for the ending: runtimes take the single plugin then."""
    node.write("20-n.conf", SINGLE)
    node.write("20-n.conflist", other)
    before = node.files()
    done = node.run("install")
    assert done.returncode == 1 and "20-n.conflist is there as well" in done.stderr, done.stderr
    assert node.files() == before
    (node.net / "20-n.conf").unlink()
    node.write("20-n.conflist", FLANNEL)
    node.install()
    assert node.read("20-n.conflist")["plugins"][-1] == LAST


def test_first_configuration_counts(node):
    node.write("10-calico.conflist", FLANNEL)
    node.write("20-flannel.conflist", FLANNEL)
    node.write("00-readme.txt", "no configuration")
    node.install()
    assert node.read("10-calico.conflist")["plugins"][-1] == LAST
    assert LAST not in node.read("20-flannel.conflist")["plugins"]
    node.write("05-new.conflist", FLANNEL)
    node.install()
    assert node.read("05-new.conflist")["plugins"][-1] == LAST
    node.install("--file", "20-flannel.conflist")
    assert node.run("uninstall").returncode == 0
    for name in ("05-new", "10-calico", "20-flannel"):
        assert node.read(f"{name}.conflist") == json.loads(FLANNEL)


def test_plugin_moves_behind_those_that_came_later(node):
    plugins = json.loads(FLANNEL)
    plugins["plugins"][1:1] = [LAST, LAST]
    node.write("a.conflist", json.dumps(plugins))
    node.install()
    assert node.read("a.conflist")["plugins"] == json.loads(FLANNEL)["plugins"] + [LAST]


BAD = {
    "cut in the middle": FLANNEL[:60],
    "a key twice": FLANNEL.replace('"cniVersion"', '"name"'),
    "no object": "[]",
    "nothing": "",
    "no name": FLANNEL.replace('"name": "cbr0",', ""),
    "no plugins": '{"name": "n", "cniVersion": "1.0.0"}',
    "plugins that are none": '{"name": "n", "cniVersion": "1.0.0", "plugins": {"type": "x"}}',
    "a plugin without a type": FLANNEL.replace('"portmap"', "1"),
    "nobody to follow": '{"name": "n", "cniVersion": "1.0.0", "plugins": []}',
    "nobody but us": '{"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "ringfence-cni"}]}',
    "too old a version": FLANNEL.replace("0.3.1", "0.2.0"),
    "no version": FLANNEL.replace('"cniVersion": "0.3.1",', ""),
    "too new a version": FLANNEL.replace("0.3.1", "2.0.0"),
    "too much": FLANNEL + " " * (1 << 20),
    "numbers that no program keeps": FLANNEL.replace('"cbr0",', '"cbr0", "x": ' + "9" * 30 + ","),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_understood_stays(node, what):
    node.write("10-x.conflist", BAD[what])
    before = node.files()
    done = node.run("install")
    assert done.returncode == 1 and "10-x.conflist" in done.stderr, done.stderr
    assert node.files() == before
    assert node.run("install", "--best-effort").returncode == 0
    assert node.run("install", "--check").returncode == 1
    assert node.files() == before


def test_no_configuration_yet(node):
    done = node.run("install")
    assert done.returncode == 1 and "no network configuration" in done.stderr
    assert (node.bin / "ringfence-cni").exists(), "the program is there already"
    assert node.run("install", "--best-effort").returncode == 0
    node.bin.rename(node.bin.parent / "elsewhere")
    node.write("a.conflist", FLANNEL)
    assert node.run("install").returncode == 1
    assert node.read("a.conflist") == json.loads(FLANNEL), "names a program that is not there"


def test_directory_that_cannot_be_written_keeps_what_is_there(node):
    """As on a full disk: nothing is half of anything."""
    node.write("a.conflist", FLANNEL)
    shutil.copy(PROGRAM, node.bin / "ringfence-cni")
    before = node.files()
    mount = f"mount --bind {node.net} {node.net} && mount -o remount,bind,ro {node.net} && "
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", mount + 'exec "$@"', "sh", *node.argv("install")],
        capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 1 and "Read-only" in done.stderr, done.stderr
    assert node.files() == before


@pytest.mark.parametrize("options", [
    ["--timeout", "0"], ["--timeout", "301"], ["--socket", "x"], ["--file", "a/b.conf"],
    ["--file", "x"], ["--watch", "--check"], ["--nothing"], ["more"]])
def test_options_that_are_wrong(node, options):
    node.write("a.conflist", FLANNEL)
    assert node.run("install", *options).returncode == 2
    assert node.files() == {"a.conflist": FLANNEL.encode()}


@pytest.mark.parametrize("option", ["--check", "--best-effort", "--file=a.conflist"])
def test_uninstall_does_nothing_where_an_option_is_not_its_own(node, option):
    node.write("a.conflist", FLANNEL)
    node.install()
    before = node.files()
    done = node.run("uninstall", option)
    assert done.returncode == 2 and option.split("=")[0] in done.stderr, done.stderr
    assert node.files() == before and (node.bin / "ringfence-cni").exists()


def wait_until(condition, what):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


def test_watcher_puts_it_back(node):
    """Whatever becomes of the directory; and it ends when it is told to."""
    def there(name):
        return (node.net / name).exists() and LAST in node.read(name).get("plugins", [])

    watcher = subprocess.Popen(node.argv("install", "--watch"), stderr=subprocess.PIPE)
    try:
        wait_until((node.bin / "ringfence-cni").exists, "the program")
        node.write("10-x.conflist", FLANNEL[:50])
        new = node.net / ".new"
        new.write_text(FLANNEL)
        new.rename(node.net / "10-x.conflist")
        wait_until(lambda: there("10-x.conflist"), "the plugin")
        node.write("05-first.conf", SINGLE)
        wait_until(lambda: there("05-first.conflist"), "the first file")
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(WAIT_S) == 0
        assert there("05-first.conflist"), "a restart changes nothing"
    finally:
        watcher.kill()
        watcher.wait()
        watcher.stderr.close()


def test_random_lists_come_back_as_they_were(node):
    """Whatever other plugins are called and hold."""
    seed = int(os.environ.get("RINGFENCE_SEED", random.SystemRandom().randrange(2**32)))
    print(f"RINGFENCE_SEED={seed}")
    rng = random.Random(seed)

    def value(depth):
        kind = rng.randrange(7 if depth < 3 else 5)
        if kind == 5:
            return [value(depth + 1) for _ in range(rng.randrange(3))]
        if kind == 6:
            return {f"k{i}": value(depth + 1) for i in range(rng.randrange(3))}
        return [None, True, rng.randrange(-2**40, 2**40), rng.random(), 'ü"\\\n'][kind]

    for _ in range(20):
        plugins = [{"type": f"t{i}", "x": value(0)} for i in range(rng.randint(1, 4))]
        before = {"cniVersion": rng.choice(["0.3.0", "0.4.0", "1.0.0", "1.1.0"]),
                  "name": "n", "more": value(0), "plugins": plugins}
        node.write("a.conflist", json.dumps(before))
        node.install()
        assert node.read("a.conflist") == before | {"plugins": plugins + [LAST]}
        assert node.run("uninstall").returncode == 0
        assert node.read("a.conflist") == before
