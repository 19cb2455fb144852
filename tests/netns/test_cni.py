"""The CNI plugin, run as a container runtime runs it: environment, standard input, chain."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

import lab as lab_module
from enforcerd import Enforcer, rf
from lab import Lab, wait_until

REASON = lab_module.skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

PLUGINS = pathlib.Path("/usr/lib/cni")
BR_NETFILTER = pathlib.Path("/proc/sys/net/bridge")
WAIT_S = 60  # for a machine that is busy
WHOLE = 'ringfence_compiles_total{kind="whole"}'
WORLD = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: {name: closed, namespace: /shop}
spec: {default: {ingress: [{action: deny}]}}
"""
WORKLOAD = """\
apiVersion: ringfence.dev/v1alpha1
kind: Workload
metadata: {name: web, namespace: /shop}
spec: {node: node-1, ips: [10.1.7.2, "fd00:1:0:7::2"]}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop}
spec: {nodeName: node-1, containers: [{name: c}]}
"""


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        yield lab


@pytest.fixture
def enforcer(lab, tmp_path):
    with Enforcer(lab.node, tmp_path, {"world.yaml": WORLD}) as it:
        yield it
    lab.node.exec(["nft", "flush", "ruleset"])


@pytest.fixture
def netns(lab):
    """A container's network namespace; the lab's prefix has it swept if we are killed."""
    name = f"{lab.prefix}cni"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.fixture(scope="module")
def routed(lab):
    """A container's network namespace, whose eth0 is a veth that the node routes."""
    name = f"{lab.prefix}routed"
    subprocess.run(["ip", "netns", "add", name], check=True)
    lab.node.exec(["ip", "link", "add", "rfhost", "type", "veth", "peer", "name", "eth0",
                   "netns", f"/run/netns/{name}"])
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "del", name], check=True)


def program():
    return pathlib.Path(rf.build_dir()) / "enforcer" / "ringfence-cni"


def environment(command, netns=None, **changes):
    env = {"CNI_COMMAND": command, "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0",
           "CNI_NETNS": netns, "CNI_PATH": str(PLUGINS), "PATH": os.environ["PATH"]}
    env |= changes
    return {key: value for key, value in env.items() if value is not None}


def start(host, path, config, env):
    words = ["env", "-i", *(f"{key}={value}" for key, value in env.items()), str(path)]
    process = host.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(config if isinstance(config, str) else json.dumps(config))
    process.stdin.close()
    process.stdin = None
    return process


def finish(process):
    out, _ = process.communicate(timeout=WAIT_S)
    return process.returncode, json.loads(out) if out else None


def run(host, path, config, env):
    return finish(start(host, path, config, env))


def ours(enforcer, **more):
    return {"cniVersion": "1.0.0", "name": "net", "type": "ringfence-cni",
            "socket": str(enforcer.socket), "timeoutSeconds": 60} | more


def bridge(tmp_path):
    return {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "cni0",
            "isGateway": True, "ipam": {
                "type": "host-local", "dataDir": str(tmp_path / "ipam"),
                "ranges": [[{"subnet": "10.1.7.0/24"}]]}}


PREVIOUS = {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/x"}],
            "ips": [{"address": "10.1.7.2/24", "gateway": "10.1.7.1", "interface": 0},
                    {"address": "fd00:1:0:7::2/64", "interface": 0}],
            "routes": [], "dns": {"nameservers": ["10.0.0.10"]}, "other": [1.5, None]}


@pytest.mark.skipif(not (PLUGINS / "bridge").exists(), reason="there is no bridge plugin")
def test_chain_behind_bridge_waits_for_policy(lab, tmp_path, enforcer, netns):
    """What real plugins make is held until policy knows it, and comes out unchanged."""
    first = bridge(tmp_path)
    status, made = run(lab.node, PLUGINS / "bridge", first, environment("ADD", netns))
    assert status == 0, made
    addresses = [item["address"].split("/")[0] for item in made["ips"]]
    assert addresses == ["10.1.7.2"]
    second = ours(enforcer, prevResult=made)
    if not BR_NETFILTER.exists():
        second["unfiltered"] = "allow"
    waiting = start(lab.node, program(), second, environment("ADD", netns))
    generation = enforcer.generation()
    enforcer.write("more.yaml", WORLD.replace("closed", "other"))
    enforcer.wait_generation(generation + 1)  # it has answered others meanwhile
    assert waiting.poll() is None
    enforcer.write("workload.yaml", WORKLOAD)
    status, passed = finish(waiting)
    assert status == 0 and passed == made
    known = lab.node.exec(["nft", "list", "map", "inet", "ringfence", "cell4_in_rest"])
    assert "10.1.7.2" in known.stdout
    assert run(lab.node, program(), second, environment("CHECK", netns)) == (0, None)
    (enforcer.policy / "workload.yaml").unlink()
    enforcer.wait_generation(generation + 3)
    status, error = run(lab.node, program(), second, environment("CHECK", netns))
    assert status != 0 and error["code"] == 100
    assert "10.1.7.2" in error["details"]
    for _ in range(2):  # what is gone is gone
        assert run(lab.node, program(), second, environment("DEL", netns)) == (0, None)
        status, error = run(
            lab.node, PLUGINS / "bridge", first, environment("DEL", netns))
        assert status == 0, error


def test_pod_is_known_by_what_the_runtime_tells(lab, enforcer, routed):
    """Its status has no address until it runs."""
    before = enforcer.generation()
    enforcer.write("pod.yaml", POD)
    enforcer.wait_generation(before + 1)
    wholes = enforcer.metric(WHOLE)
    args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0"
    config = ours(enforcer, prevResult=PREVIOUS, cniVersion="1.1.0")
    env = environment("ADD", routed, CNI_ARGS=args)
    status, passed = run(lab.node, program(), config, env)
    assert status == 0, passed
    assert passed == PREVIOUS | {"cniVersion": "1.1.0"}
    known = lab.node.exec(["nft", "list", "set", "inet", "ringfence", "known4"])
    assert "10.1.7.2" in known.stdout
    told = enforcer.ask("explain", "192.0.2.1", "10.1.7.2", "80/tcp")
    assert "shop/web-0" in told.stdout
    # Another pod with that address is not what was asked for.
    other = env | {"CNI_ARGS": args.replace("web-0", "web-1"), "CNI_CONTAINERID": "c2"}
    status, error = run(
        lab.node, program(), config | {"timeoutSeconds": 1}, other)
    assert status != 0 and error["code"] == 11 and error["cniVersion"] == "1.1.0"
    assert "does not know that pod" in error["details"]

    def forgotten():
        done = lab.node.exec(["nft", "list", "set", "inet", "ringfence", "known4"])
        return "10.1.7.2" not in done.stdout

    garbage = config | {"cni.dev/valid-attachments": [
        {"containerID": "c1", "ifname": "eth0"}]}
    assert run(lab.node, program(), garbage, environment("GC")) == (0, None)
    assert not forgotten()
    # Whatever has become of the configuration meanwhile.
    assert run(lab.node, program(), config | {"timeoutSecond": 1}, environment("DEL")) == (0, None)
    wait_until(forgotten, WAIT_S, "the address to be forgotten")
    status, _ = run(lab.node, program(), config, env)
    assert status == 0
    assert run(lab.node, program(), garbage | {"cni.dev/valid-attachments": None},
               environment("GC")) == (0, None)
    wait_until(forgotten, WAIT_S, "the address to be forgotten again")
    # Of all that only this pod was looked at.
    assert enforcer.metric(WHOLE) == wholes


def test_without_an_enforcer(lab, tmp_path, routed):
    """Nothing starts, everything ends."""
    nobody = {"cniVersion": "1.1.0", "name": "net", "type": "ringfence-cni",
              "socket": str(tmp_path / "none.sock"), "timeoutSeconds": 1,
              "prevResult": PREVIOUS, "cni.dev/valid-attachments": []}
    status, error = run(lab.node, program(), nobody, environment("ADD", routed))
    assert status != 0 and error["code"] == 11
    assert "not in force after 1 s" in error["msg"]
    assert "the enforcer is not there" in error["details"]
    status, error = run(lab.node, program(), nobody, environment("STATUS"))
    assert status != 0 and error["code"] == 50
    for command in ("DEL", "GC"):
        assert run(lab.node, program(), nobody, environment(command)) == (0, None)


def test_enforcer_that_never_answers(lab, tmp_path, routed):
    path = tmp_path / "slow.sock"
    config = {"cniVersion": "0.4.0", "name": "net", "type": "ringfence-cni",
              "socket": str(path), "timeoutSeconds": 1, "prevResult": PREVIOUS}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        status, error = run(lab.node, program(), config, environment("ADD", routed))
    assert status != 0 and error["code"] == 11
    assert "no answer" in error["details"]


def test_enforcer_that_others_keep_busy(lab, tmp_path):
    """More ask at once than wait in its socket: even what is asked only once comes to it."""
    path = tmp_path / "busy.sock"
    config = {"cniVersion": "1.1.0", "name": "net", "type": "ringfence-cni", "socket": str(path)}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        listener.settimeout(WAIT_S)
        with contextlib.ExitStack() as others:
            with contextlib.suppress(BlockingIOError):
                while True:
                    other = others.enter_context(socket.socket(socket.AF_UNIX))
                    other.setblocking(False)
                    other.connect(str(path))
            process = start(lab.node, program(), config, environment("STATUS"))
            waits = pathlib.Path(f"/proc/{process.pid}/wchan")
            wait_until(lambda: process.poll() is not None
                       or waits.read_text(encoding="ascii") == "unix_wait_for_peer", 30, "it to ask")
        assert process.poll() is None
        asked = b""
        while not asked:  # the others have gone away
            with listener.accept()[0] as connection:
                asked = connection.recv(100)
                if asked:
                    connection.sendall(b'{"state": "enforcing"}\n')
    assert asked == b"status\n"
    assert finish(process) == (0, None)


def test_enforcer_that_comes_late(lab, tmp_path, routed):
    """It may be starting, or be started anew."""
    with Enforcer(lab.node, tmp_path, {"a.yaml": WORKLOAD}) as enforcer:
        enforcer.stop()
        waiting = start(lab.node, program(), ours(enforcer, prevResult=PREVIOUS),
                        environment("ADD", routed))
        enforcer.start()
        assert finish(waiting)[0] == 0
        config = ours(enforcer, cniVersion="1.1.0")
        assert run(lab.node, program(), config, environment("STATUS")) == (0, None)
    lab.node.exec(["nft", "flush", "ruleset"])


def test_status_is_good_while_some_policy_is_in_force(lab, tmp_path):
    """Not while nothing is, though the daemon answers; but with the last good one."""
    it = Enforcer(lab.node, tmp_path, {"a.yaml": "kind: [\n"})
    config = ours(it, cniVersion="1.1.0")
    it.start(ready=False)
    try:
        it.wait_state("closed")
        status, error = run(lab.node, program(), config, environment("STATUS"))
        assert (status, error["code"], error["details"]) == (1, 50, "closed")
        it.write("a.yaml", WORKLOAD)
        it.wait_state("enforcing")
        assert run(lab.node, program(), config, environment("STATUS")) == (0, None)
        it.write("a.yaml", "kind: [\n")
        it.wait_state("stale")
        assert run(lab.node, program(), config, environment("STATUS")) == (0, None)
    finally:
        it.stop()
        lab.node.exec(["nft", "flush", "ruleset"])


# --- what policy does not reach ---


def set_bridges(lab, family, value):
    """As if br_netfilter were told so, in this node."""
    path = f"/proc/sys/net/bridge/bridge-nf-call-{family}"
    lab.node.exec(["sh", "-c", f"echo {value} >{path}"])


@pytest.mark.skipif(not BR_NETFILTER.exists(), reason="there is no br_netfilter")
@pytest.mark.skipif(not (PLUGINS / "bridge").exists(), reason="there is no bridge plugin")
def test_container_behind_a_bridge_that_filters_nothing_does_not_start(
        lab, tmp_path, enforcer, netns):
    enforcer.write("workload.yaml", WORKLOAD)
    first = bridge(tmp_path)
    first["ipam"]["ranges"].append([{"subnet": "fd00:1:0:7::/64"}])
    status, made = run(lab.node, PLUGINS / "bridge", first, environment("ADD", netns))
    assert status == 0, made
    config = ours(enforcer, prevResult=made)
    try:
        for family in ("iptables", "ip6tables"):
            set_bridges(lab, family, 0)
            for command in ("ADD", "CHECK"):
                status, error = run(lab.node, program(), config, environment(command, netns))
                assert status != 0 and error["code"] == 101, error
                assert "cni0" in error["details"]
                assert f"bridge-nf-call-{family} = 1" in error["details"]
            # The bridge's own setting will do, and so will saying that it is known.
            lab.node.exec(["ip", "link", "set", "cni0", "type", "bridge",
                           f"nf_call_{family}", "1"])
            assert run(lab.node, program(), config, environment("CHECK", netns)) == (0, None)
            lab.node.exec(["ip", "link", "set", "cni0", "type", "bridge",
                           f"nf_call_{family}", "0"])
            assert run(lab.node, program(), config | {"unfiltered": "allow"},
                       environment("ADD", netns)) == (0, made)
            assert run(lab.node, program(), config, environment("DEL", netns)) == (0, None)
            set_bridges(lab, family, 1)
    finally:
        for family in ("iptables", "ip6tables"):
            set_bridges(lab, family, 1)
        run(lab.node, PLUGINS / "bridge", first, environment("DEL", netns))


@pytest.mark.skipif(not BR_NETFILTER.exists(), reason="there is no br_netfilter")
def test_daemon_says_that_a_bridge_filters_nothing(lab, enforcer):
    """By its address, and by the name of an interface that hangs on it."""
    def told():
        return {(item["bridge"], item["family"]) for item in enforcer.status()["unfiltered"]}

    def reload_until(wanted):
        enforcer.process.send_signal(signal.SIGHUP)  # looks at once
        wait_until(lambda: told() == wanted, WAIT_S, f"the daemon to say {wanted}")

    lab.node.exec(["ip", "link", "del", "cni0"], check=False)  # of another test
    for words in (["link", "add", "rfbr0", "type", "bridge"], ["link", "set", "rfbr0", "up"],
                  ["addr", "add", "10.1.9.1/24", "dev", "rfbr0"],
                  ["addr", "add", "192.0.2.1/24", "dev", "rfbr0"],
                  ["link", "add", "rfv0", "type", "veth", "peer", "name", "rfv1"],
                  ["link", "set", "rfv0", "master", "rfbr0"]):
        lab.node.exec(["ip", *words])
    try:
        reload_until(set())
        assert enforcer.page("/readyz")[0] == 200
        set_bridges(lab, "iptables", 0)
        reload_until({("rfbr0", 4)})
        assert enforcer.page("/readyz") == (503, "enforcing\nunfiltered: rfbr0 IPv4\n")
        assert enforcer.metric("ringfence_unfiltered_bridges") == 1
        assert "bridge rfbr0" in enforcer.ask("status").stdout
        assert "bridge-nf-call-iptables = 1" in enforcer.log()
        set_bridges(lab, "ip6tables", 0)  # it has no IPv6 address of workloads
        enforcer.write_config(workloadNetworks=["rfv*"])
        reload_until({("rfbr0", 4), ("rfbr0", 6)})
        enforcer.write_config(unfiltered="allow")
        enforcer.process.send_signal(signal.SIGHUP)
        wait_until(lambda: enforcer.page("/readyz")[0] == 200, WAIT_S, "it to be put up with")
        for family in ("iptables", "ip6tables"):
            set_bridges(lab, family, 1)
        reload_until(set())
    finally:
        for family in ("iptables", "ip6tables"):
            set_bridges(lab, family, 1)
        lab.node.exec(["ip", "link", "del", "rfbr0"])
        lab.node.exec(["ip", "link", "del", "rfv0"])


def test_interface_without_an_end_on_the_node_does_not_start(lab, enforcer, netns):
    enforcer.write("workload.yaml", WORKLOAD)
    config = ours(enforcer, prevResult=PREVIOUS)
    status, error = run(lab.node, program(), config, environment("ADD", netns))
    assert status != 0 and error["code"] == 101
    assert "eth0 cannot be looked at" in error["details"]  # there is none yet
    lab.node.exec(["ip", "link", "add", "rfmac", "type", "veth", "peer", "name", "rfmac1"])
    lab.node.exec(["ip", "link", "add", "eth0", "link", "rfmac", "netns", netns,
                   "type", "macvlan"])
    status, error = run(lab.node, program(), config, environment("ADD", netns))
    assert status != 0 and error["code"] == 101
    assert "macvlan" in error["details"]
    assert run(lab.node, program(), config | {"unfiltered": "allow"},
               environment("ADD", netns)) == (0, PREVIOUS)
    lab.node.exec(["ip", "link", "del", "rfmac"])


def test_only_root_announces(lab, tmp_path):
    with tempfile.TemporaryDirectory() as public, Enforcer(
            lab.node, tmp_path, {"a.yaml": WORKLOAD}, controlGroup="nogroup",
            control=f"{public}/enforcer.sock") as enforcer:
        os.chmod(public, 0o755)
        enforcer.socket = pathlib.Path(public) / "enforcer.sock"
        script = ("import socket, sys; s = socket.socket(socket.AF_UNIX); "
                  "s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode() + b'\\n'); "
                  "print(s.recv(65536).decode())")
        for question in ("attach c/eth0 shop web 10.1.7.2 1", "detach c/eth0", "keep -"):
            words = [sys.executable, "-c", script, str(enforcer.socket), question]
            done = lab.node.exec(words)
            assert "root" not in done.stdout
            done = lab.node.exec(["setpriv", "--reuid=65534", "--regid=65534",
                                  "--clear-groups", *words], check=False)
            assert "only root" in done.stdout, done.stderr
    lab.node.exec(["nft", "flush", "ruleset"])


BASE = {"cniVersion": "1.0.0", "name": "n", "type": "ringfence-cni",
        "prevResult": PREVIOUS, "socket": "/nonexistent", "timeoutSeconds": 1}
ADD = environment("ADD", "/x")
MISTAKES = {
    "no json": ("{", ADD, 6),
    "nothing": ("", ADD, 6),
    "a list": ("[]", ADD, 6),
    "the same key twice": ('{"cniVersion": "1.0.0", "cniVersion": "1.0.0"}', ADD, 6),
    "too much": (" " * (1 << 20) + "{}", ADD, 7),
    "an old version": (BASE | {"cniVersion": "0.2.0"}, ADD, 1),
    "no version": ({"name": "n"}, ADD, 1),
    "a field that is misspelt": (BASE | {"timeoutSecond": 1}, ADD, 2),
    "too long a time": (BASE | {"timeoutSeconds": 301}, ADD, 7),
    "no time": (BASE | {"timeoutSeconds": "1"}, ADD, 7),
    "a word that is none": (BASE | {"unfiltered": "yes"}, ADD, 7),
    "a relative socket": (BASE | {"socket": "s"}, ADD, 7),
    "no previous plugin": (BASE | {"prevResult": None}, ADD, 7),
    "no address": (BASE | {"prevResult": {"ips": []}}, ADD, 7),
    "addresses that are none": (BASE | {"prevResult": {"ips": [{"address": "x"}]}}, ADD, 7),
    "too many addresses": (
        BASE | {"prevResult": {"ips": [{"address": "10.0.0.1/8"}] * 17}}, ADD, 7),
    "no command": (BASE, environment("LAUNCH"), 4),
    "no container": (BASE, environment("ADD", "/x", CNI_CONTAINERID=None), 4),
    "a container with a slash": (BASE, environment("ADD", "/x", CNI_CONTAINERID="a/b"), 4),
    "no interface": (BASE, environment("DEL", CNI_IFNAME=""), 4),
    "two words of interface": (BASE, environment("ADD", "/x", CNI_IFNAME="a b"), 4),
    "no namespace": (BASE, environment("ADD"), 4),
    "half a pod": (BASE, environment("ADD", "/x", CNI_ARGS="K8S_POD_NAME=a"), 4),
    "a pod with a space": (
        BASE, environment("ADD", "/x", CNI_ARGS="K8S_POD_NAMESPACE=a;K8S_POD_NAME=b c"), 4),
    "no list of attachments": (BASE | {"cniVersion": "1.1.0"}, environment("GC"), 7),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_have_their_code(lab, mistake):
    config, env, code = MISTAKES[mistake]
    status, error = run(lab.node, program(), config, env)
    assert status != 0 and error["code"] == code, error
    assert error["msg"] and error["cniVersion"] in ("1.0.0", "1.1.0")


@pytest.mark.parametrize("wrong", [{"timeoutSecond": 1}, {"timeoutSeconds": 301}, {"socket": "s"},
                                   {"unfiltered": "yes"}], ids=str)
def test_no_wrong_field_keeps_a_container_alive(lab, wrong):
    assert run(lab.node, program(), BASE | wrong, environment("DEL")) == (0, None)


@pytest.mark.parametrize("pod", ["K8S_POD_NAMESPACE=a;K8S_POD_NAME=b_c", "K8S_POD_NAME=a", "x"])
def test_no_pod_that_is_none_keeps_a_container_alive(lab, pod):
    """Of a container, too, that did not start for that."""
    assert run(lab.node, program(), BASE, environment("ADD", "/x", CNI_ARGS=pod))[1]["code"] == 4
    assert run(lab.node, program(), BASE, environment("DEL", CNI_ARGS=pod)) == (0, None)


def test_version(lab):
    status, told = run(lab.node, program(), {"cniVersion": "1.0.0"},
                       {"CNI_COMMAND": "VERSION"})
    assert status == 0
    assert told == {"cniVersion": "1.0.0",
                    "supportedVersions": ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]}
