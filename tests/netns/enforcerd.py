"""The daemon in a node of a lab.

    with Enforcer(lab.node, tmp_path, {"a.yaml": "..."}) as enforcer:
        enforcer.write("a.yaml", "...")
        enforcer.wait_generation(2)
        enforcer.status()["state"]

Everything that it needs is below one directory: configuration, policy, logs, socket. It
ends with the block, or with the lab at the latest.
"""

import json
import os
import pathlib
import re
import signal
import sys
import threading

import yaml

from lab import LabError, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import longrun  # noqa: E402, F401  (for those who take it from here)
import rf  # noqa: E402

NETWORKS = ["10.1.0.0/16", "fd00:1::/32"]
WAIT_S = 60  # for what happens at once on a machine that has nothing else to do


class Enforcer:
    """One daemon. Keywords are keys of its configuration; None leaves one out."""

    def __init__(self, host, directory, policies=None, **config):
        self.host = host
        self.directory = pathlib.Path(directory)
        self.policy = self.directory / "policy"
        self.log_path = self.directory / "log"
        self.socket = self.directory / "enforcer.sock"
        self.config_path = self.directory / "enforcer.yaml"
        self.flow_path = self.directory / "flows.jsonl"
        self.process = None
        self.config = {
            "node": host.name,
            "sources": [{"directory": str(self.policy)}],
            "workloadNetworks": NETWORKS,
            "routeAddresses": [{"network": "0.0.0.0/0"}, {"network": "::/0"}],
            "flows": {"file": str(self.flow_path)},
            "control": str(self.socket),
        } | config
        self.policy.mkdir(exist_ok=True)
        for name, text in (policies or {}).items():
            self.write(name, text)
        self.write_config()

    # --- files ---

    def write_config(self, **changes):
        self.config |= changes
        config = {key: value for key, value in self.config.items()
                  if value is not None}
        self.config_path.write_text(yaml.safe_dump(config, sort_keys=False))

    def write(self, name, text):
        """Write a policy file as editors do: a new file takes its place."""
        self.policy.mkdir(exist_ok=True)
        new = self.policy / f".{name}.new"
        new.write_text(text)
        new.rename(self.policy / name)

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def flows(self):
        """All records of the flow log."""
        if not self.flow_path.exists():
            return []
        return [json.loads(line) for line in self.flow_path.read_text().splitlines()]

    # --- life ---

    def start(self, ready=True, wrap=()):
        """Start it; with `ready`, wait until policy is in force."""
        read_fd, write_fd = os.pipe()
        try:
            with open(self.log_path, "a", encoding="utf-8") as log:
                self.process = self.host.popen(
                    [*wrap, rf.program("ringfence-enforcer"), "--config",
                     str(self.config_path), "--ready-fd", str(write_fd)],
                    pass_fds=[write_fd], stdout=log, stderr=log)
            os.close(write_fd)
            write_fd = -1
            if ready:
                os.set_blocking(read_fd, False)
                self._wait_ready(read_fd)
        finally:
            os.close(read_fd)
            if write_fd >= 0:
                os.close(write_fd)
        return self

    def _wait_ready(self, fd):
        said = b""

        def done():
            nonlocal said
            try:
                data = os.read(fd, 100)
            except BlockingIOError:
                return False
            said += data
            return said.endswith(b"\n") or not data

        wait_until(done, WAIT_S, "the daemon to be ready")
        assert said == b"READY\n", self.log()

    def stop(self, number=signal.SIGTERM):
        """End it, and its roles; returns its exit status."""
        if self.process is None:
            return None
        # They answer at the socket until they see that their parent is gone, and no other starts meanwhile.
        killed = number == signal.SIGKILL and self.answers()
        roles = [role["pid"] for role in self.status()["roles"]] if killed else []
        self.process.send_signal(number)
        status = self.process.wait(WAIT_S)
        wait_until(lambda: all(map(ended, roles)), WAIT_S, "its roles to end")
        self.process = None
        return status

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_exception):
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.check_sanitizers()

    def check_sanitizers(self):
        """A sanitizer's report is no ordinary line of the log."""
        log = self.log()
        assert "Sanitizer" not in log and "runtime error:" not in log, log

    # --- asking ---

    def ask(self, *words, check=True):
        """A command of the client; a CompletedProcess."""
        return self.host.exec([rf.program("ringfence-enforcer"), words[0], "--control",
                               str(self.socket), *words[1:]], check=check)

    def enforces(self, workload):
        """True if the policy in force, all of it, has this workload."""
        asked = self.ask("explain", workload, "192.0.2.1", "80/tcp", "-o", "json",
                         check=False)
        return asked.returncode == 0 and not json.loads(asked.stdout).get("pending")

    def ask_json(self, *words, check=True):
        done = self.ask(*words, "-o", "json", check=check)
        if done.returncode not in (0, 1):  # there is no answer
            raise LabError(f"{' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def status(self):
        return self.ask_json("status", check=False)  # 1: nothing is in force

    def answers(self):
        return self.ask("status", check=False).returncode in (0, 1)

    def role(self, name):
        """The pid of a role."""
        return next(role["pid"] for role in self.status()["roles"]
                    if role["name"] == name)

    def source(self, index=0):
        return self.status()["sources"][index]

    def rules(self):
        """{comment without its place: rule}"""
        return {re.sub(r" \S+:\d+$", "", rule["comment"]): rule
                for rule in self.ask_json("rules")}

    def page(self, path):
        """(status code, body) of a page of the metrics listener."""
        done = self.host.exec(["curl", "-s", "-w", "\n%{http_code}",
                               f"http://127.0.0.1:9477{path}"])
        body, _, code = done.stdout.rpartition("\n")
        return int(code), body

    def metric(self, name):
        for line in self.page("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise KeyError(name)

    # --- waiting ---

    def generation(self):
        return self.status().get("generation", 0)

    def wait_generation(self, number):
        wait_until(lambda: self.generation() >= number, WAIT_S,
                   f"generation {number}")

    def wait_state(self, state):
        wait_until(lambda: self.answers() and self.status()["state"] == state, WAIT_S,
                   f"state {state}")

    def wait_log(self, pattern, since=0):
        """Wait for a line of the log that matches, behind `since` bytes."""
        return wait_until(lambda: re.search(pattern, self.log()[since:]), WAIT_S,
                          f"a line of the log like {pattern}")

    def wait_settled(self):
        """Wait until what was committed has been read back."""
        wait_until(lambda: self.status()["kernel"]["verified"], WAIT_S,
                   "the table to be verified")


def role_facts(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    return {"uid": facts["Uid"].split()[1], "caps": int(facts["CapEff"], 16),
            "permitted": int(facts["CapPrm"], 16), "locked": facts["NoNewPrivs"],
            "seccomp": facts["Seccomp"], "root": os.listdir(f"/proc/{pid}/root")}


def set_in_use(host, name):
    """A set's name as it is now: once it has been replaced, there is a copy of it."""
    text = host.exec(["nft", "-t", "list", "table", "inet", "ringfence"]).stdout
    return re.search(rf"(?:set|map) ({name}(?:_b)?) ", text)[1]


def ended(pid):
    """Whether a process is gone, or has nothing any more."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state.rpartition(")")[2].split()[0] in "ZX"


def kill(pid):
    """kill -9, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: ended(pid), WAIT_S, f"process {pid} to end")


class Watch:
    """Probes again and again, from a thread, to see whether anything changes meanwhile.

        with Watch(lab, [("web", "db", "tcp", 80)]) as watch:
            ...
        watch.states        # {probe: set of states}
    """

    def __init__(self, lab, probes, timeout_ms=150):
        self.lab = lab
        self.probes = probes
        self.timeout_ms = timeout_ms
        self.rounds = 0
        self.states = {probe: set() for probe in probes}
        self.error = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self._end.is_set():
                results = self.lab.probe_many(self.probes, self.timeout_ms)
                for probe, result in zip(self.probes, results):
                    self.states[probe].add(result.state)
                self.rounds += 1
        except Exception as error:  # told by __exit__
            self.error = error

    def __enter__(self):
        self._thread.start()
        self.wait_rounds(1)
        return self

    def wait_rounds(self, more):
        """Wait until as many more rounds have begun and ended."""
        target = self.rounds + more + 1
        wait_until(lambda: self.rounds >= target or self.error, WAIT_S, "probes")

    def stop(self):
        self._end.set()
        self._thread.join(WAIT_S)

    def __exit__(self, *_exception):
        self.stop()
        if self.error:
            raise self.error
