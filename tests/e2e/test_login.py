"""Logins against a real directory, and the login tool."""

import base64
import json
import os
import stat
import subprocess

import pytest

import gate_lab
from gate_lab import call, get, login, program


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with gate_lab.make(tmp_path_factory.mktemp("login")) as made:
        yield made
        gate_lab.assert_clean(made.gate)


def test_right_password_gives_a_token_that_works(lab):
    answer = login(lab.gate, "alice", "alice-secret")
    assert answer.status == 201
    body = answer.json()
    assert body["user"] == "alice"
    assert body["groups"] == ["acme-admins", "acme-staff"]
    assert body["token"].startswith("rf_" + body["id"] + "_")
    assert get(lab.gate, body["token"]).status == 200


def test_groups_are_found_upwards(lab):
    assert login(lab.gate, "bob", "bob-secret").json()["groups"] == [
        "acme-devs",
        "acme-shop-devs",
        "acme-staff",
    ]


def test_groups_that_contain_each_other_end(lab):
    groups = login(lab.gate, "grace", "grace-secret").json()["groups"]
    assert groups == ["initech-devs", "loop-a", "loop-b"]


def test_name_comes_from_the_entry_in_lower_case(lab):
    for typed in ("Mixed.Case", "mixed.case", "MIXED.CASE"):
        answer = login(lab.gate, typed, "Mixed.Case-secret")
        assert (answer.status, answer.json()["user"]) == (201, "mixed.case")


def test_name_in_a_dn_with_escapes_is_found(lab):
    answer = login(lab.gate, "kim", "kim-secret")
    assert answer.status == 201
    assert "acme-devs" in answer.json()["groups"]


@pytest.mark.parametrize(
    "user, password",
    [
        ("erin", "wrong"),
        ("erin", ""),
        ("", "erin-secret"),
        ("erin", "erin-secret\0"),
        ("erin\0", "erin-secret"),
        ("unknown", "unknown-secret"),
        ("*", "erin-secret"),
        ("eri*", "erin-secret"),
        ("erin)(uid=*", "erin-secret"),
        ("erin)(|(uid=*", "erin-secret"),
        ("*)(objectClass=*", "erin-secret"),
        ("o'brien (test)*", "quote'(*)-secret"),  # found, but no name that may be asserted
        ("mustchange", "mustchange-secret"),
        ("expired", "expired-secret"),
        ("locked", "locked-secret"),
    ],
)
def test_refused(lab, user, password):
    answer = login(lab.gate, user, password)
    assert answer.status == 401, answer.body
    assert answer.json()["reason"] == "Unauthorized"


def test_account_locked_after_login_is_refused(lab):
    assert login(lab.gate, "frank", "frank-secret").status == 201
    lab.ldap.lock("frank")
    try:
        assert login(lab.gate, "frank", "frank-secret").status == 401
    finally:
        lab.ldap.unlock("frank")


def test_password_is_not_taken_on_other_requests(lab):
    basic = base64.b64encode(b"alice:alice-secret").decode()
    with lab.gate.http1() as c:
        answer = c.request("GET", gate_lab.PODS, [("Authorization", f"Basic {basic}")])
    assert answer.status == 401
    assert lab.seen(gate_lab.PODS + "?basic") == []


def test_same_wrong_password_does_not_lock_the_account(lab):
    """The directory locks after five failures; a client in a loop sends many more."""
    for _ in range(12):
        assert login(lab.gate, "dave", "old-password").status in (401, 429)
    entry = lab.ldap.search("(uid=dave)", "pwdFailureTime", "pwdAccountLockedTime")
    assert "pwdAccountLockedTime" not in str(entry)


def test_guessing_is_slowed_down(lab):
    statuses = [login(lab.gate, "carol", f"guess-{i}").status for i in range(12)]
    assert statuses[0] == 401
    assert 429 in statuses
    answer = login(lab.gate, "carol", "guess-again")
    assert answer.status == 429
    assert int(answer.header("retry-after")) >= 1


# ---- the tool ----


class Tool:
    def __init__(self, lab, directory):
        self.lab, self.home = lab, str(directory)
        self.password = os.path.join(self.home, "password")
        with open(self.password, "w") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write("bob-secret\n")

    def run(self, name, *arguments, **environment):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.home,
            "RINGFENCE_PASSWORD_FILE": self.password,
            "RINGFENCE_USER": "bob",
            **environment,
        }
        return subprocess.run(
            [program(name), *arguments],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def login(self, *more, **environment):
        return self.run(
            "ringfence-login",
            "login",
            "--server",
            f"https://127.0.0.1:{self.lab.gate.port}",
            "--ca",
            os.path.join(self.lab.pki, "gate-ca.crt"),
            *more,
            **environment,
        )

    def cached(self):
        directory = os.path.join(self.home, ".cache", "ringfence")
        return [os.path.join(directory, n) for n in os.listdir(directory) if n != "current"]


@pytest.fixture
def tool(lab, tmp_path):
    return Tool(lab, tmp_path)


def exec_info(version="v1"):
    return json.dumps(
        {
            "kind": "ExecCredential",
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "spec": {"interactive": False},
        }
    )


def test_tool_logs_in_and_keeps_the_token_for_itself(lab, tool):
    done = tool.login()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("logged in as bob until ")
    (path,) = tool.cached()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_plugin_answers_in_the_version_asked_for(lab, tool, version):
    done = tool.login(KUBERNETES_EXEC_INFO=exec_info(version))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["kind"] == "ExecCredential"
    assert answer["apiVersion"] == f"client.authentication.k8s.io/{version}"
    assert get(lab.gate, answer["status"]["token"]).status == 200
    again = json.loads(tool.login(KUBERNETES_EXEC_INFO=exec_info(version)).stdout)
    assert again["status"] == answer["status"]


def test_plugin_refuses_a_version_it_does_not_know(tool):
    done = tool.login(KUBERNETES_EXEC_INFO=exec_info("v9"))
    assert done.returncode == 1
    assert "v1beta1" in done.stderr and done.stdout == ""


def test_whoami_token_and_logout(lab, tool):
    assert tool.login().returncode == 0
    done = tool.run("ringfence-whoami", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["user"] == "bob"
    assert "user:       bob" in tool.run("ringfence-whoami").stdout
    done = tool.run(
        "ringfence-token", "create", "--name", "ci", "--ttl", "1h",
        "--scope", '{"verbs": ["list"]}',
    )  # fmt: skip
    token = done.stdout.strip()
    assert get(lab.gate, token).status == 200
    assert " ci" in tool.run("ringfence-token", "list").stdout
    token_id = token.split("_")[1]
    assert tool.run("ringfence-token", "revoke", token_id).returncode == 0
    assert get(lab.gate, token).status == 401
    (path,) = tool.cached()
    with open(path) as f:
        own = json.load(f)["token"]
    assert tool.run("ringfence-logout").stdout == "logged out\n"
    assert tool.cached() == []
    assert get(lab.gate, own).status == 401
    assert tool.run("ringfence-whoami").returncode == 1


def test_token_made_by_password_outlives_the_login(lab, tool):
    assert tool.login().returncode == 0
    create = ["ringfence-token", "create", "-o", "json", "--ttl", "700h"]
    short = json.loads(tool.run(*create).stdout)
    long = json.loads(tool.run(*create, "--password-file", tool.password).stdout)
    assert long["expires"] > short["expires"]
    assert get(lab.gate, long["token"]).status == 200


def test_tool_rotates_by_name_and_goes_on_with_its_own_token(lab, tool):
    assert tool.login("--ttl", "2h").returncode == 0
    create = ["ringfence-token", "create", "--name"]
    first = tool.run(*create, "deploy").stdout.strip()
    done = tool.run("ringfence-token", "rotate", "deploy")
    assert done.returncode == 0, done.stderr
    assert get(lab.gate, first).status == 401
    assert get(lab.gate, done.stdout.strip()).status == 200
    tool.run(*create, "deploy")
    done = tool.run("ringfence-token", "rotate", "deploy")
    assert done.returncode == 1 and "several" in done.stderr
    done = tool.run("ringfence-token", "rotate", "nothing")
    assert done.returncode == 1 and 'no token "nothing"' in done.stderr
    (path,) = tool.cached()
    with open(path) as f:
        own = json.load(f)["id"]
    assert tool.run("ringfence-token", "rotate", own).returncode == 0
    assert tool.run("ringfence-whoami").returncode == 0


def test_tool_rotates_by_name_again_once_the_overlap_is_over(lab, tool):
    assert tool.login("--ttl", "2h").returncode == 0
    first = tool.run("ringfence-token", "create", "--name", "nightly").stdout.strip()
    done = tool.run("ringfence-token", "rotate", "nightly", "--overlap", "1s")
    assert done.returncode == 0, done.stderr
    gate_lab.wait_until(lambda: gate_lab.has_ended(lab.gate, first), 30, "the overlap's end")
    second = done.stdout.strip()
    done = tool.run("ringfence-token", "rotate", "nightly")
    assert done.returncode == 0, done.stderr
    assert get(lab.gate, second).status == 401


def test_tool_trusts_no_other_authority(lab, tool):
    done = tool.login("--ca", os.path.join(lab.pki, "ldap-ca.crt"))
    assert done.returncode == 1
    assert "certificate" in done.stderr
    assert "bob-secret" not in done.stderr


def test_tool_refuses_clear_text_and_open_password_files(lab, tool):
    done = tool.run("ringfence-login", "login", "--server", "http://127.0.0.1:1")
    assert done.returncode == 2
    os.chmod(tool.password, 0o644)
    done = tool.login()
    assert done.returncode == 1 and "password" in done.stderr


def test_tool_does_not_use_a_token_file_that_others_may_read(lab, tool):
    assert tool.login().returncode == 0
    (path,) = tool.cached()
    os.chmod(path, 0o644)
    assert tool.run("ringfence-whoami").returncode == 1


def test_tool_without_a_terminal_says_what_to_do(lab, tool):
    done = tool.login(RINGFENCE_USER="bob", RINGFENCE_PASSWORD_FILE="/nonexistent")
    assert done.returncode == 1 and "/nonexistent" in done.stderr


def test_kubeconfig_calls_the_tool(lab, tool):
    config = json.loads(tool.login("--kubeconfig").stdout)
    assert config["clusters"][0]["cluster"]["server"] == (
        f"https://127.0.0.1:{lab.gate.port}"
    )
    plugin = config["users"][0]["user"]["exec"]
    assert plugin["command"] == "ringfence" and plugin["args"][0] == "login"
    assert call(lab.gate, "GET", "/version", lab.gate.token("bob")).status == 200
