"""What `ringfence-enforcer COMMAND` asks and tells, with a daemon that says what it is told to."""

import contextlib
import json
import os
import pathlib
import pty
import re
import socket
import subprocess
import sys
import threading

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

WAIT_S = 60


class Daemon:
    """A socket at which a question has the answer that belongs to it; None: never any."""

    def __init__(self, directory, answers):
        self.path = directory / "enforcer.sock"
        self.answers = answers
        self.asked = []
        self.held = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.socket.accept()
                with contextlib.suppress(ConnectionError):
                    self._answer(conn)

    def _answer(self, conn):
        question = conn.makefile().readline().strip()
        answer = self.answers.get(question, self.answers.get(question.split()[0], ""))
        self.asked.append(question)  # whoever sees it there may put other answers in place
        if answer is None or question.startswith("flows-follow"):
            self.held.append(conn)
        if answer is not None:
            conn.sendall(answer.encode())
        if conn not in self.held:
            conn.close()

    def ask(self, *words, **options):
        return subprocess.run(
            [rf.program("ringfence-enforcer"), words[0], "--control", self.path, *words[1:]],
            capture_output=True, text=True, timeout=WAIT_S, check=False, **options)


@pytest.fixture
def daemon(tmp_path):
    daemons = []

    def make(**answers):
        daemons.append(Daemon(tmp_path, {key.replace("_", "-"): value
                                         for key, value in answers.items()}))
        return daemons[0]

    yield make
    for it in daemons:
        it.socket.close()


# --- flows ---


def end(address, port=None, **more):
    return {"address": address} | ({} if port is None else {"port": port}) | more


def flow(second, src, dst, protocol="tcp", verdict="deny", direction="ingress", **policy):
    return {"time": f"2026-11-27T10:00:{second:02d}.000001Z", "verdict": verdict,
            "direction": direction, "src": src, "dst": dst, "protocol": protocol,
            "tenant": "acme", "policy": policy or None, "reason": "rule", "count": 1}


WEB = {"workload": "web", "namespace": "/acme/shop"}
DB = {"workload": "db", "namespace": "/acme/shop/data"}
OTHER = {"workload": "web", "namespace": "/acme2"}
FLOWS = [
    flow(1, end("10.1.0.1", 4000, **WEB), end("10.1.0.2", 5432, **DB),
         kind="Policy", namespace="/acme/shop", name="db"),
    flow(2, end("10.1.0.9", 4001, **OTHER), end("10.1.0.2", 53, **DB), "udp",
         kind="Policy", namespace="/", name="db"),
    flow(3, end("fd00:1::1", 4002, **WEB), end("2001:db8::7", 443, name="api.example.org"),
         direction="egress", verdict="allow", kind="Policy", namespace="/acme", name="web"),
    flow(4, end("192.168.0.1", node="node-1"), end("10.1.0.1", **WEB), "icmp", verdict="audit"),
    flow(5, end("10.1.0.1", 4003, **WEB), end("10.1.0.2", 5432, **DB), verdict="cut",
         kind="NetworkPolicy", namespace="/acme/shop", name="other"),
    {"time": "2026-11-27T10:00:06.000000Z", "verdict": "deny", "policy": None,
     "reason": "cluster-default", "count": 90},  # many flows
]
LINES = "".join(json.dumps(record) + "\n" for record in FLOWS)
# Options: the numbers of the records that they want.
FILTERS = [
    (["--verdict", "deny"], [1, 2, 6]),
    (["--verdict", "audit"], [4]),
    (["--direction", "egress"], [3]),
    (["--namespace", "/"], [1, 2, 3, 4, 5]),
    (["--namespace", "/acme"], [1, 2, 3, 4, 5]),
    (["--namespace", "/acme/"], [1, 2, 3, 4, 5]),
    (["--namespace", "/acme2"], [2]),
    (["--namespace", "/acme/shop/data"], [1, 2, 5]),
    (["--namespace", "/acme/sho"], []),
    (["--from", "/acme/shop"], [1, 3, 5]),
    (["--from", "/acme/shop/web"], [1, 3, 5]),
    (["--from", "/acme/shop/we"], []),
    (["--from", "web"], [1, 2, 3, 5]),
    (["--to", "/acme/shop/data/db"], [1, 2, 5]),
    (["--to", "/acme/shop"], [1, 2, 4, 5]),
    (["--from", "10.1.0.0/29"], [1, 5]),
    (["--from", "10.1.0.9"], [2]),
    (["--from", "fd00:1::/32"], [3]),
    (["--from", "node/node-1"], [4]),
    (["--from", "node/node-2"], []),
    (["--to", "api.example.org"], [3]),
    (["--port", "5432"], [1, 5]),
    (["--port", "53/udp"], [2]),
    (["--port", "53/tcp"], []),
    (["--port", "ICMP"], [4]),
    (["--port", "tcp"], [1, 3, 5]),
    (["--policy", "db"], [1, 2]),
    (["--policy", "/acme/shop/db"], [1]),
    (["--policy", "/db"], [2]),
    (["--since", "2026-11-27T10:00:05Z"], [5, 6]),
    (["--since", "2026-11-27T11:00:04.5+01:00"], [5, 6]),
    (["--since", "1s"], []),
    (["--from", "/acme/shop", "--verdict", "cut"], [5]),
    (["--verdict", "deny", "--count", "2"], [2, 6]),
    (["--verdict", "deny", "--count", "0"], []),
]


def numbers(text):
    return [FLOWS.index(json.loads(line)) + 1 for line in text.splitlines()]


@pytest.mark.parametrize("options, wanted", FILTERS, ids=lambda value: " ".join(map(str, value)))
def test_flows_that_are_wanted(daemon, options, wanted):
    it = daemon(flows=LINES)
    done = it.ask("flows", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert numbers(done.stdout) == wanted
    assert it.asked == ["flows 1000"]  # all that there are: the last of these is another's


def test_flows_without_a_filter_come_as_they_are(daemon):
    it = daemon(flows=LINES + "no record\n")
    assert it.ask("flows", "--count", "7").stdout == LINES + "no record\n"
    assert it.asked == ["flows 7"]


@pytest.mark.parametrize("options", [[], ["--verdict", "deny"], ["-o", "text"]], ids=" ".join)
def test_flows_that_end_in_the_midst_of_one(daemon, options):
    """What came is told, and that not all did."""
    it = daemon(flows=LINES + LINES[:50])
    done = it.ask("flows", *options)
    it.answers = {"flows": LINES}
    assert done.returncode == 2 and done.stdout
    assert done.stdout == it.ask("flows", *options).stdout
    assert done.stderr == "ringfence-enforcer flows: the answer ends in the midst of a line\n"


def mark(engine, records, lost=0):
    return json.dumps({"mark": {"engine": engine, "records": records, "lost": lost}}) + "\n"


@contextlib.contextmanager
def following(daemon, *options):
    process = subprocess.Popen(
        [rf.program("ringfence-enforcer"), "flows", "--follow", "--control", daemon.path,
         "--timeout", "1", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_flows_that_follow_are_wanted_as_well(daemon):
    """Of what there was the last; then what comes, at once, until no daemon is there."""
    it = daemon(flows_follow=LINES + "\n")
    with following(it, "--verdict", "deny", "--count", "1") as process:
        assert numbers(process.stdout.readline()) == [6]
        assert it.asked == ["flows-follow 1000 mark"]
        for record in (FLOWS[4], FLOWS[1]):
            it.held[0].sendall(json.dumps(record).encode()[:50])
            it.held[0].sendall(json.dumps(record).encode()[50:] + b"\n")
        assert numbers(process.stdout.readline()) == [2]
        it.path.unlink()
        it.held[0].close()
        assert process.communicate(timeout=WAIT_S) == ("", (
            "ringfence-enforcer flows: the daemon has ended; waiting for another\n"
            "ringfence-enforcer flows: there is no daemon any more\n"))
        assert process.returncode == 2


def test_flows_that_follow_go_on_when_the_daemon_does(daemon):
    """From where they ended, whatever was wanted of it; and how many were missed is told."""
    one, two, three = (json.dumps(FLOWS[i]) + "\n" for i in (0, 1, 2))
    it = daemon(flows_follow=one + mark(7, 100, 3))
    with following(it, "-o", "json") as process:
        assert numbers(process.stdout.readline()) == [1]
        it.held[0].sendall(two.encode())
        assert numbers(process.stdout.readline()) == [2]

        def after(answer, line, missed):
            it.answers = {"flows-follow": answer}
            it.held[-1].sendall(b'{"half')  # no record: it comes again, or never
            it.held[-1].close()
            assert process.stdout.readline() == line
            assert process.stderr.readline().endswith("has ended; waiting for another\n")
            assert process.stderr.readline() == (
                f"ringfence-enforcer flows: it goes on; missed: {missed}\n")

        # The same, which counts what it could not send.
        after(three + mark(7, 105, 3), three, "3 records")
        after(one + mark(7, 106, 8), one, "0 records, 5 logged packets")
        # Another begins anew.
        after(two + mark(9, 3, 1), two, "2 records, and what had not been told when it ended, "
                                        "1 logged packets")
        # One of before, that does not tell where it is.
        after(three + "\n", three, "it is not known how many")
        after(one + "\n", one, "it is not known how many")
        assert it.asked == ["flows-follow 100 mark"] + [
            f"flows-follow 1000 mark {place}" for place in ("7 101", "7 105", "7 106", "9 3")
        ] + ["flows-follow 0 mark"]


def test_flows_as_yaml(daemon):
    done = daemon(flows=LINES).ask("flows", "-o", "yaml", "--verdict", "cut")
    assert done.stdout.startswith("---\n")
    assert list(yaml.safe_load_all(done.stdout)) == [FLOWS[4]]


# --- values ---

STRANGE = ["", "yes", "No", "on", "~", "null", "1", "0x1", "1e3", "- a", "a: b", "a #b", "#", "'",
           '"', "a\nb", "\t", " a", "a ", "é", "2026-11-27", "{a}", "[", "&a", "*a", "!a", "%a",
           "@a", "`a", "?", "? a", "/a", "=", "<<", ".inf", "a:", "x,y", "\u0085", "\u2028", "\u2029",
           "\ufeff", "\x7f\x9b", "\U0001f600", "\x01", "\\N"]
VALUE = {"generation": 1, "strange": STRANGE, "y": None, "yes": True, "a b": {}, "1": [],
         "deep": [[1, [2, {"x": [{"y": 1, "z": []}, []]}]], [], {"k": {"l": -1.5}}],
         "quoted: key": "plain-text (and more) 1.2"}


def test_yaml_is_what_json_says(daemon):
    it = daemon(status=json.dumps(VALUE))
    for form, read in (("yaml", yaml.safe_load), ("json", json.loads)):
        done = it.ask("status", "-o", form)
        assert (done.returncode, done.stderr) == (0, "")
        assert read(done.stdout) == VALUE, done.stdout
    assert "\nquoted" not in it.ask("status", "-o", "yaml").stdout


RULES = [{"number": 3, "action": "deny", "direction": "ingress", "comment": "not programmed yet",
          "kind": "", "namespace": "", "policy": "", "packets": 0, "bytes": 0}] + [
    {"number": 10 + i, "action": action, "direction": direction, "comment": f"rule {i}",
     "kind": "Policy", "namespace": space, "policy": policy, "packets": packets, "bytes": 9}
    for i, (action, direction, space, policy, packets) in enumerate([
        ("allow", "ingress", "/acme", "web", 0), ("deny", "egress", "/acme/shop", "web", 5),
        ("deny", "ingress", "/", "web", 0)])]


@pytest.mark.parametrize("options, wanted", [
    ([], [3, 10, 11, 12]),
    (["--verdict", "deny"], [3, 11, 12]),
    (["--direction", "egress"], [11]),
    (["--namespace", "/acme"], [10, 11]),
    (["--namespace", "/"], [10, 11, 12]),
    (["--policy", "web"], [10, 11, 12]),
    (["--policy", "/web"], [12]),
    (["--policy", "/acme/shop/web"], [11]),
    (["--used"], [11]),
    (["--unused", "--verdict", "deny"], [3, 12]),
    (["--used", "--policy", "nobody"], []),
])
def test_rules_that_are_wanted(daemon, options, wanted):
    it = daemon(rules=json.dumps(RULES))
    told = json.loads(it.ask("rules", *options, "-o", "json").stdout)
    assert told == [rule for rule in RULES if rule["number"] in wanted]
    assert yaml.safe_load(it.ask("rules", *options, "-o", "yaml").stdout) == told
    lines = it.ask("rules", *options).stdout.splitlines()
    assert lines[0].split() == ["PACKETS", "BYTES", "VERDICT", "NUMBER", "RULE"]
    assert [int(line.split()[3]) for line in lines[1:]] == wanted


def test_busiest_rules_that_are_wanted(daemon):
    it = daemon(rules=json.dumps(RULES))
    process = subprocess.Popen(
        [rf.program("ringfence-enforcer"), "top", "--control", it.path, "--verdict", "deny", "-o",
         "json"], stdout=subprocess.PIPE, text=True)
    while not it.asked:
        assert process.poll() is None
    it.answers["rules"] = json.dumps([rule | {"packets": rule["packets"] + 2} for rule in RULES])
    told = json.loads(process.communicate(timeout=WAIT_S)[0])
    assert {rule["number"]: rule["packetsPerSecond"] for rule in told} == {3: 2, 11: 2, 12: 2}


def test_top_that_follows_goes_on_past_a_reading_that_there_is_not(daemon):
    """As while the kernel role starts; without a daemon it ends."""
    it = daemon(rules=json.dumps(RULES))
    process = subprocess.Popen(
        [rf.program("ringfence-enforcer"), "top", "--control", it.path, "--follow"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for answer in ('{"error": "the kernel role does not answer; try again"}', json.dumps(RULES)):
        asked = len(it.asked)
        while len(it.asked) == asked:
            assert process.poll() is None, process.communicate()
        it.answers["rules"] = answer
    it.socket.close()
    it.path.unlink()
    err = process.communicate(timeout=WAIT_S)[1]
    assert process.returncode == 2
    assert "does not answer" in err and "cannot reach the daemon" in err


def test_status_and_diff_say_by_their_exit_what_they_found(daemon):
    """In every form."""
    it = daemon(status='{"state":"closed"}', diff='{"count":1,"rules":"same","differences":[]}')
    for form in ("text", "json", "yaml"):
        assert it.ask("status", "-o", form).returncode == 1
        assert it.ask("diff", "-o", form).returncode == 1
    it.answers |= {"status": '{"generation":1}',
                   "diff": '{"count":0,"rules":"different","differences":[]}'}
    assert it.ask("status", "-o", "json").returncode == 0
    assert it.ask("diff", "-o", "yaml").returncode == 1
    it.answers["diff"] = '{"count":0,"rules":"same","differences":[]}'
    assert it.ask("diff", "-o", "yaml").returncode == 0


# --- what goes wrong ---


QUESTIONS = ("status", "rules", "flows", "names", "diff", "trace", "explain-text")
COMMANDS = [["status"], ["rules"], ["flows"], ["top"], ["names"], ["diff"],
            ["trace", "a", "b", "1/tcp", "--wait", "1"], ["explain", "a", "b", "1/tcp"]]


def test_daemon_that_is_stuck(daemon):
    """Nobody waits for ever; but who follows, who has asked for it."""
    it = daemon(**dict.fromkeys(QUESTIONS))
    asking = {words[0]: subprocess.Popen(
        [rf.program("ringfence-enforcer"), *words, "--control", it.path, "--timeout", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for words in COMMANDS}
    follows = subprocess.Popen(
        [rf.program("ringfence-enforcer"), "flows", "--follow", "--control", it.path, "--timeout", "1"])
    for command, process in asking.items():
        out, error = process.communicate(timeout=WAIT_S)
        assert process.returncode == 2 and out == ""
        assert error.startswith(f"ringfence-enforcer {command}: the daemon is there, but does")
    assert follows.poll() is None
    follows.kill()
    follows.wait()


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_daemon_that_gives_no_answer(daemon, words):
    it = daemon(**dict.fromkeys(QUESTIONS, '{"error":"not \\"now\\""}\n'))
    done = it.ask(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f'ringfence-enforcer {words[0]}: not "now"\n'
    if words[0] != "flows":  # there may be none
        it.answers = dict.fromkeys(QUESTIONS, "")
        assert "no answer" in it.ask(*words).stderr
        it.answers = dict.fromkeys(QUESTIONS, "{]")
        done = it.ask(*words)
        assert done.returncode == 2 and "cannot be read" in done.stderr


@pytest.mark.parametrize("words", [
    ["status", "--count", "3"], ["status", "--follow"], ["rules", "--follow"], ["rules", "--from", "/a"],
    ["diff", "--verdict", "deny"], ["explain", "--wait", "1", "a", "b", "1/tcp"], ["top", "--wait", "1"],
    ["top", "--used"], ["trace", "--interval", "1", "a", "b", "1/tcp"], ["names", "--since", "1h"],
    ["flows", "--unused"], ["status", "--timeout"], ["flows", "-n"],
], ids=" ".join)
def test_options_of_other_commands_are_refused(daemon, words):
    it = daemon()
    done = it.ask(*words)
    assert done.returncode == 2 and "no such option, or it lacks a value" in done.stderr
    assert it.asked == []


@pytest.mark.parametrize("words, text", [
    (["flows", "--verdict", "drop"], "no such verdict (deny, allow, cut, audit): drop"),
    (["rules", "--verdict", "cut"], "no such verdict of a rule (deny, allow, audit): cut"),
    (["flows", "--direction", "in"], "no such direction (ingress, egress): in"),
    (["flows", "--namespace", "shop"], "no path of a namespace, such as /acme/shop: shop"),
    (["flows", "--from", "a/b"], "no address, network, path, node/NAME or name: a/b"),
    (["flows", "--to", ""], "no address, network, path, node/NAME or name: "),
    (["flows", "--from", "node/"], "no address, network, path, node/NAME or name: node/"),
    (["flows", "--port", "0"], "no port or protocol, such as 443/tcp, 443 or tcp: 0"),
    (["flows", "--port", "65536/tcp"], "such as 443/tcp, 443 or tcp: 65536/tcp"),
    (["flows", "--port", "http/tcp"], "such as 443/tcp, 443 or tcp: http/tcp"),
    (["flows", "--port", "443/http"], "such as 443/tcp, 443 or tcp: 443/http"),
    (["flows", "--since", "yesterday"], "no time, and no duration such as 90s or 2h30m: yesterday"),
    (["flows", "--policy", ""], "no name of a policy: "),
    (["flows", "--policy", "/"], "no name of a policy: /"),
    (["rules", "--policy", "/acme/"], "no name of a policy: /acme/"),
    (["rules", "--used", "--unused"], "it goes with no --used: unused"),
    (["flows", "-n", "1001"], "no number up to 1000: 1001"),
    (["top", "--interval", "0"], "no number of seconds from 1 to 3600: 0"),
    (["trace", "--wait", "301", "a", "b", "1/tcp"], "no number of seconds from 1 to 300: 301"),
    (["rules", "-xy"], "no such option, or it lacks a value: -x"),
    (["rules", "-\u00e9"], "no such option, or it lacks a value"),
    (["flows", "-o"], "no such option, or it lacks a value: -o"),
    (["rules", "--bogus=1"], "no such option, or it lacks a value: --bogus=1"),
    (["top", "--interval"], "no such option, or it lacks a value: --interval"),
    (["explain", "a b", "", "1/tcp"], "no address, path, name or port: a b"),
    (["explain", "a", "", "b 1/tcp"], "no address, path, name or port: "),
    (["trace", "a", "b", "1/tcp\nb"], "no address, path, name or port: 1/tcp b"),
    (["status", "now"], "it takes options alone (try --help)"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_values_that_make_no_sense_are_refused(daemon, words, text):
    it = daemon()
    done = it.ask(*words)
    assert done.returncode == 2 and done.stderr.rstrip("\n").endswith(text), done.stderr
    assert done.stderr.startswith(f"ringfence-enforcer {words[0]}: ") and it.asked == []


def test_too_few_words_are_told_the_usage(daemon):
    it = daemon()
    for command in ("trace", "explain"):
        done = it.ask(command, "a", "b")
        assert (done.returncode, done.stdout, it.asked) == (2, "", [])
        assert done.stderr == f"usage: ringfence-enforcer {command} [OPTION...] SRC DST PORT/PROTO\n"


HOSTILE = "\x1b[2J\r\x07\u009b1mx\u202ey"  # clears screens, overwrites, turns text round


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_texts_hide_nothing_from_a_terminal(daemon, words):
    """Neither errors nor answers, whoever wrote what is in them."""
    it = daemon(**dict.fromkeys(QUESTIONS, json.dumps({"error": HOSTILE}) + "\n"))
    shown = it.ask(*words).stderr
    assert "[2J" in shown and set(shown[:-1]) <= set(map(chr, range(0x20, 0x7f))) | {"\ufffd"}
    texts = {"status": json.dumps({"generation": 1, "sources": [{"errors": [HOSTILE]}]}),
             "diff": json.dumps({"count": 1, "differences": [{"what": "extra", "meaning": HOSTILE}]}),
             "trace": json.dumps({"steps": [{"chain": HOSTILE}]}),
             "flows": json.dumps(FLOWS[0] | {"src": end("10.1.0.1", workload=HOSTILE)}) + "\n",
             "names": f"/acme {HOSTILE}\n", "explain-text": f"allow: {HOSTILE}\n",
             "rules": json.dumps([RULES[0] | {"comment": HOSTILE}])}
    it.answers = texts
    if words != ["top"]:  # there is nothing to count
        shown = it.ask(*words, "-o", "text").stdout
        assert "[2J" in shown and not set(shown) & set(HOSTILE) - set("[2J1mxy")


@pytest.mark.parametrize("words", [["status"], ["rules", "-o", "yaml"], ["flows"], ["top"]],
                         ids=" ".join)
def test_answer_that_cannot_be_written_is_none(daemon, words):
    it = daemon(status="{}", rules=json.dumps(RULES), flows=LINES)
    command = " ".join([rf.program("ringfence-enforcer"), *words, "--control", str(it.path)])
    done = subprocess.run(["sh", "-c", f"{command} >/dev/full"], capture_output=True, text=True,
                          timeout=WAIT_S, check=False)
    assert done.returncode == 2 and "cannot be written" in done.stderr


def test_flows_at_a_terminal_are_for_people(daemon):
    it = daemon(flows=LINES)
    master, slave = pty.openpty()
    done = subprocess.run([rf.program("ringfence-enforcer"), "flows", "--control", it.path, "-n", "6"],
                          stdout=slave, timeout=WAIT_S, check=False)
    os.close(slave)
    text = ""
    with contextlib.suppress(OSError):  # the end of what is there
        while True:
            text += os.read(master, 65536).decode().replace("\r", "")
    os.close(master)
    assert done.returncode == 0
    assert text.splitlines()[2] == (
        "2026-11-27T10:00:03.000001Z allow egress /acme/shop/web [fd00:1::1]:4002 > "
        "api.example.org [2001:db8::7]:443 tcp x1: rule, Policy /acme/web")
    assert text.splitlines()[5] == (
        "2026-11-27T10:00:06.000000Z deny many flows x90: cluster-default")


def test_help_of_a_command_has_its_options_alone():
    def told(*words):
        done = subprocess.run([rf.program("ringfence-enforcer"), *words, "--help"],
                              capture_output=True, text=True, check=True)
        assert max(map(len, done.stdout.splitlines())) <= 105
        return done.stdout
    assert "--interval" in told("top") and "--interval" not in told("flows")
    assert "--since" in told("flows") and "--since" not in told("rules")
    assert "--wait S" in told("trace") and "SRC DST PORT/PROTO" in told("trace")
    assert "[flows, top]" in told()


# --- completion ---


def completed(shell, line, directory):
    """What a shell offers for a line."""
    script = directory / shell
    script.write_text(subprocess.run([rf.program("ringfence-enforcer"), "completion", shell],
                                     capture_output=True, text=True, check=True).stdout)
    checked = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    words = line.split(" ")
    if shell == "bash":
        text = (f"source {script}; COMP_WORDS=({' '.join(word or chr(39) * 2 for word in words)}); "
                f"COMP_CWORD={len(words) - 1}; _ringfence_enforcer; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        argv = ["bash", "--norc", "-c", text]
    else:
        argv = ["fish", "--no-config", "-c", f"source {script}; complete -C $argv[1]", line]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=WAIT_S, check=True,
                          env={**os.environ, "HOME": str(directory)}, cwd=directory)
    assert done.stderr == ""
    return {row.split("\t")[0] for row in done.stdout.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_shells_complete_what_help_tells(shell, tmp_path):
    (tmp_path / "a.yaml").write_text("")
    names = {words[0] for words in COMMANDS}
    assert completed(shell, "ringfence-enforcer ", tmp_path) >= names
    for name in names:
        told = subprocess.run([rf.program("ringfence-enforcer"), name, "--help"],
                              capture_output=True, text=True, check=True).stdout
        options = set(re.findall(r"--[a-z]+", told))
        found = completed(shell, f"ringfence-enforcer {name} --", tmp_path)
        assert found - {"--help"} == options, name
    assert completed(shell, "ringfence-enforcer flows --verdict ", tmp_path) == {
        "deny", "allow", "cut", "audit"}
    for command in ("rules", "top"):  # rules have an action
        assert completed(shell, f"ringfence-enforcer {command} --verdict ", tmp_path) == {
            "deny", "allow", "audit"}
    assert completed(shell, "ringfence-enforcer rules -o j", tmp_path) == {"json"}
    if shell == "bash":  # of the daemon itself
        assert "a.yaml" in completed(shell, "ringfence-enforcer --config a", tmp_path)
    assert "a.yaml" in completed(shell, "ringfence-enforcer status --config a", tmp_path)


def test_completion_of_zsh_is_clean(tmp_path):
    script = tmp_path / "script"
    script.write_text(subprocess.run([rf.program("ringfence-enforcer"), "completion", "zsh"],
                                     capture_output=True, text=True, check=True).stdout)
    done = subprocess.run(["zsh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([rf.program("ringfence-enforcer"), "completion", "tcsh"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "bash, zsh or fish" in done.stderr
