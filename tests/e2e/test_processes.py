"""Roles die and come back; the configuration is judged before it holds; nobody has more power
than it needs."""

import os
import signal
import subprocess
import threading

import pytest

import gate_lab
from gate_lab import PODS, audit, call, get, login, pids, program, status, wait_until


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with gate_lab.make(
        tmp_path_factory.mktemp("processes"), {"workers: 1": "workers: 2"}
    ) as made:
        yield made
        gate_lab.assert_clean(made.gate)


def proc(pid, name):
    with open(f"/proc/{pid}/{name}") as f:
        return f.read()


@pytest.mark.parametrize("role", ["audit", "auth", "key", "status", "worker"])
def test_role_has_no_power(lab, role):
    for pid in pids(lab.gate, role):
        text = proc(pid, "status")
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        if os.geteuid() == 0:
            assert fields["Uid"].split()[0] != "0"
        assert int(fields["CapEff"], 16) == 0 and int(fields["CapPrm"], 16) == 0
        assert fields["NoNewPrivs"] == "1"


@pytest.mark.parametrize("role", ["audit", "auth", "key", "status", "worker"])
def test_killed_role_comes_back(lab, role):
    token = lab.gate.token()
    before = pids(lab.gate, role)
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def renewed():
        try:
            state = status(lab.gate)
        except subprocess.CalledProcessError:
            return False
        now = [r["pid"] for r in state["roles"] if r["role"] == role]
        return state["ready"] and not set(now) & set(before)

    wait_until(renewed, 15, f"a new {role}")
    wait_until(lambda: get(lab.gate, token).status == 200, 10, "an answer")
    assert login(lab.gate, "alice", "alice-secret").status == 201
    assert get(lab.gate, "rf_nonsense").status == 401


def test_known_tokens_go_on_while_auth_is_away(lab):
    token = lab.gate.token()
    # Both workers know the token.
    for _ in range(16):
        assert get(lab.gate, token).status == 200
    os.kill(pids(lab.gate, "auth")[0], signal.SIGKILL)
    for _ in range(16):
        assert get(lab.gate, token).status == 200
    wait_until(lambda: status(lab.gate)["ready"], 15, "auth")


def test_no_acknowledged_change_is_lost_when_audit_dies(lab):
    """Changes go on while the audit role is killed again and again: what was answered with
    success has both its records, and nothing reached the API server without the first."""
    token = lab.gate.token()
    answers = []
    stop = threading.Event()

    def change():
        n = 0
        while not stop.is_set() and n < 400:
            n += 1
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"t{threading.get_ident()}-{n}"},
            }
            path = "/api/v1/namespaces/shop-prod/configmaps"
            try:
                answers.append(call(lab.gate, "POST", path, token, body))
            except (OSError, EOFError, ValueError):
                pass

    threads = [threading.Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        wait_until(lambda: status(lab.gate)["ready"], 15, "ready")
        os.kill(pids(lab.gate, "audit")[0], signal.SIGKILL)
        count = len(answers)
        wait_until(lambda: len(answers) > count + 5, 15, "more answers")
    stop.set()
    for thread in threads:
        thread.join(30)
    wait_until(lambda: status(lab.gate)["ready"], 15, "ready")
    events = {}
    for event in lab.gate.audit_events():
        events.setdefault(event["auditID"], []).append(event["stage"])
    good = [a for a in answers if a.status == 201]
    assert good
    for answer in good:
        stages = events[answer.header("audit-id")]
        assert "RequestReceived" in stages and "ResponseComplete" in stages
    for request in lab.api.requests(verb="create", user="alice"):
        (audit_id,) = [v for k, v in request["headers"] if k.lower() == "audit-id"]
        assert "RequestReceived" in events[audit_id]
    wait_until(lambda: audit(lab.gate, "verify").returncode == 0, 5, "an intact log")


def test_stuck_worker_does_not_keep_a_revoked_token(lab):
    """A worker that cannot confirm is ended before the revocation is answered."""
    token = login(lab.gate, "alice", "alice-secret").json()["token"]
    for _ in range(12):
        assert get(lab.gate, token).status == 200
    victim = pids(lab.gate, "worker")[0]
    path = "/ringfence/v1/tokens/" + token.split("_")[1]
    answer = None
    os.kill(victim, signal.SIGSTOP)
    try:
        for _ in range(20):  # until the connection lands on the other worker
            try:
                with lab.gate.http1(timeout=6) as c:
                    answer = c.request("DELETE", path, lab.gate.bearer(token=token))
                break
            except OSError:
                continue
    finally:
        try:
            os.kill(victim, signal.SIGCONT)
        except ProcessLookupError:
            pass
    assert answer is not None and answer.status in (204, 401)
    wait_until(lambda: status(lab.gate)["ready"], 15, "ready")
    assert victim not in pids(lab.gate, "worker")
    assert {get(lab.gate, token).status for _ in range(8)} == {401}


# ---- reload ----


def test_reload_of_a_bad_policy_changes_nothing(lab):
    token = lab.gate.token("bob")
    assert get(lab.gate, token).status == 200
    lab.gate.write_policy("kind: Access\nmetadata: { name: x }\nspec: { actoin: deny }\n")
    lab.gate.reload()
    wait_until(lambda: "reload-failed" in gate_lab.stderr(lab.gate), 20, "the refusal")
    assert "policy.yaml:" in gate_lab.stderr(lab.gate)
    assert get(lab.gate, token).status == 200
    lab.gate.write_policy(lab.policy)


BROKEN = {
    "gate.crt": "no certificate\n",
    "gate.key": "-----BEGIN PRIVATE KEY-----\nnone\n-----END PRIVATE KEY-----\n",
    "users-ca.crt": "",
    "cluster-ca.crt": "none\n",
    "front-proxy.key": None,  # another's
    "gate.yaml": "listen: everywhere\n",
}


def test_files_that_are_broken_leave_what_was_in_force(lab):
    """With a signal, or found by a look; the next good ones are taken."""
    token = lab.gate.token("bob")

    def failures():
        return gate_lab.stderr(lab.gate).count(" reload-failed")

    for name, text in BROKEN.items():
        directory = lab.gate.directory if name == "gate.yaml" else lab.pki
        path = os.path.join(directory, name)
        with open(path) as f:
            good = f.read()
        if text is None:
            with open(os.path.join(lab.pki, "user.key")) as f:
                text = f.read()
        before = failures()
        try:
            with open(path, "w") as f:
                f.write(text)
            lab.gate.reload()
            wait_until(lambda: failures() > before, 20, f"the refusal of {name}")  # noqa: B023
            assert get(lab.gate, token).status == 200, name
        finally:
            with open(path, "w") as f:
                f.write(good)
        reloaded = gate_lab.stderr(lab.gate).count(" reloaded ")
        lab.gate.reload()
        wait_until(
            lambda: gate_lab.stderr(lab.gate).count(" reloaded ") > reloaded,  # noqa: B023
            20,
            f"the good {name}",
        )
        assert get(lab.gate, token).status == 200


def test_reload_of_a_good_policy_holds_and_ends_streams(lab):
    token = lab.gate.token("bob")
    with lab.gate.http2() as c:
        stream = c.start("GET", PODS + "?watch=1", lab.gate.bearer(token=token))
        c.wait(stream, until=lambda r: r.status_line)
        lab.gate.write_policy(lab.policy.replace("[acme-shop-devs]", "[nobody-at-all]"))
        lab.gate.reload()
        c.wait(stream)  # ends, well before the client's time is over
    assert get(lab.gate, token).status == 403
    lab.gate.write_policy(lab.policy)
    lab.gate.reload()
    wait_until(lambda: get(lab.gate, token).status == 200, 10, "the old policy")


# ---- start and end ----


def test_check(lab, tmp_path):
    def check(path):
        return subprocess.run(
            [program("ringfence-gate"), "--config", str(path), "--check"],
            capture_output=True,
            text=True,
        )

    assert check(lab.gate.config).returncode == 0
    with open(lab.gate.config) as f:
        good = f.read()
    broken = {
        "lisen: []\n" + good: "did you mean",
        good.replace("ldaps://", "ldap://"): "clear text",
        good.replace("gate.key", "users-ca.crt"): "",
        good.replace("gate.key", "missing.key"): "missing.key",
        good.replace("mode: required", "mode: sometimes"): "required",
        good.replace("(uid={})", "(uid=alice)"): "{}",
    }
    for text, wanted in broken.items():
        path = tmp_path / "gate.yaml"
        path.write_text(text)
        done = check(path)
        assert done.returncode == 2, text
        assert wanted in done.stderr, done.stderr
    assert check(tmp_path / "none.yaml").returncode == 2


def test_second_gate_on_the_same_address_does_not_start(lab):
    done = subprocess.run(
        [program("ringfence-gate"), "--config", lab.gate.config],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "listen" in done.stderr
    assert get(lab.gate, lab.gate.token()).status == 200


def test_role_cannot_be_started_by_hand():
    for role in ("worker", "auth", "audit", "key"):
        done = subprocess.run(
            [program("ringfence-gate"), f"--role={role}", "--fds=0"],
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 2


def test_death_of_the_monitor_ends_everything(tmp_path):
    with gate_lab.make(tmp_path) as lab:
        roles = [r["pid"] for r in status(lab.gate)["roles"]]
        lab.gate.process.kill()
        lab.gate.process.wait()

        def gone(pid):
            try:
                return "State:\tZ" in proc(pid, "status")
            except (FileNotFoundError, ProcessLookupError):
                return True

        wait_until(lambda: all(gone(pid) for pid in roles), 10, "the end of the roles")
