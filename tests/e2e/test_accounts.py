"""What happens to an account happens to its tokens, within the interval of the checks."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import gate_lab
from gate_lab import PODS, audit, call, get, login, pids, status, wait_until

LONG = 40  # nothing here takes so long unless it fails
CHECKS = "accounts: {{ checkEvery: 1s, grace: 60s }}"
LOCKOUT = "lockout: {{ attempts: 4, window: 5m }}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    config = {
        "nested: walk }}": "nested: walk }}\n  " + CHECKS + "\n  " + LOCKOUT,
        "workers: 1": "workers: 2",
    }
    with gate_lab.make(tmp_path_factory.mktemp("accounts"), config) as made:
        yield made
        gate_lab.assert_clean(made.gate)


def token_of(lab, user):
    answer = login(lab.gate, user, f"{user}-secret")
    assert answer.status == 201, answer.body
    return answer.json()["token"]


def becomes(lab, token, *wanted, path=PODS):
    """Every worker comes to say it, and keeps to it."""

    def all_say():
        try:
            return {get(lab.gate, token, path).status for _ in range(6)} <= set(wanted)
        except ConnectionError:  # an answer that had begun when the token ended is cut
            return False

    wait_until(all_say, LONG, f"the answer {wanted}")


def watch(lab, connection, token):
    stream = connection.start("GET", PODS + "?watch=1", lab.gate.bearer(token=token))
    connection.wait(stream, until=lambda r: r.status_line)
    return stream


def test_locked_account_ends_tokens_and_streams_until_it_is_unlocked(lab):
    token, other = token_of(lab, "bob"), token_of(lab, "alice")
    with lab.gate.http2(timeout=LONG) as c, lab.gate.http2(timeout=LONG) as d:
        mine, others = watch(lab, c, token), watch(lab, d, other)
        lab.ldap.lock("bob")
        try:
            c.wait(mine)
            becomes(lab, token, 401)
            assert call(lab.gate, "GET", "/ringfence/v1/tokens", token).status == 401
            assert get(lab.gate, other).status == 200
        finally:
            lab.ldap.unlock("bob")
        becomes(lab, token, 200)
        d.request("GET", "/healthz")  # what came for the other stream is read before it
        assert not d.responses[others].complete and others not in d.resets
    said = 'account-suspended user="bob" reason="the account is locked"'
    assert said in gate_lab.stderr(lab.gate)


def test_what_becomes_of_accounts_is_on_record(lab):
    """Also while there is nobody to write it."""
    user = "onrecord"
    lab.ldap.add_user(user)
    token = token_of(lab, user)
    becomes(lab, token, 403)
    log = os.path.join(lab.gate.directory, "audit")
    os.rename(log, log + ".away")
    os.kill(pids(lab.gate, "audit")[0], signal.SIGKILL)
    lab.ldap.lock(user)
    try:
        wait_until(lambda: f'account-suspended user="{user}"' in gate_lab.stderr(lab.gate), LONG)
    finally:
        os.rename(log + ".away", log)
        becomes(lab, token, 401)
        lab.ldap.unlock(user)
    becomes(lab, token, 403)

    def found():
        said = audit(lab.gate, "search", "--kind", "account", "-o", "json").stdout
        events = [json.loads(line) for line in said.splitlines()]
        return [e for e in events if e["objectRef"]["name"] == user]

    wait_until(lambda: len(found()) >= 2, LONG)
    suspended, restored = found()
    assert suspended["verb"] == "suspend-account" and restored["verb"] == "restore-account"
    assert suspended["user"]["username"] == "ringfence:gate"
    assert suspended["annotations"]["ringfence.dev/detail"] == "the account is locked"
    report = json.loads(audit(lab.gate, "report", "-o", "json").stdout)
    (table,) = [t for t in report["tables"] if t["id"] == "accounts"]
    rows = [[*r.values()] if isinstance(r, dict) else r for r in table["rows"]]
    assert [r[1:3] for r in rows if user in r] == [[user, "suspended"], [user, "restored"]]
    lab.ldap.delete_user(user)


def test_wrong_passwords_at_once_stay_below_the_directory_s_limit(lab):
    lab.ldap.add_user("guessed")
    with ThreadPoolExecutor(12) as pool:
        answers = pool.map(lambda i: login(lab.gate, "guessed", f"wrong-{i}"), range(36))
        codes = [answer.status for answer in answers]
    assert set(codes) <= {401, 429}
    assert 1 <= codes.count(401) <= 3
    lab.ldap.delete_user("guessed")


def test_group_that_is_lost_is_lost_with_the_next_check(lab):
    lab.ldap.add_member("acme-shop-devs", "erin")
    token = token_of(lab, "erin")
    assert get(lab.gate, token).status == 200
    with lab.gate.http2(timeout=LONG) as c:
        stream = watch(lab, c, token)
        lab.ldap.remove_member("acme-shop-devs", "erin")
        c.wait(stream)
        becomes(lab, token, 403)
    lab.ldap.add_member("acme-shop-devs", "erin")
    becomes(lab, token, 200)
    lab.ldap.remove_member("acme-shop-devs", "erin")
    becomes(lab, token, 403)


def test_deleted_account_is_not_the_next_one_of_that_name(lab):
    lab.ldap.add_user("temp")
    lab.ldap.add_member("acme-shop-devs", "temp")
    token = token_of(lab, "temp")
    assert get(lab.gate, token).status == 200
    lab.ldap.delete_user("temp")
    becomes(lab, token, 401)
    lab.ldap.add_user("temp")
    lab.ldap.add_member("acme-shop-devs", "temp")
    fresh = token_of(lab, "temp")
    becomes(lab, fresh, 200)
    assert get(lab.gate, token).status == 401
    lab.ldap.delete_user("temp")


def test_account_locked_while_the_role_is_away(lab):
    token = token_of(lab, "carol")
    becomes(lab, token, 200, 403)
    os.kill(pids(lab.gate, "auth")[0], signal.SIGKILL)
    lab.ldap.lock("carol")
    try:
        becomes(lab, token, 401)
    finally:
        lab.ldap.unlock("carol")


def test_grace_of_a_directory_that_is_away_comes_to_an_end(lab):
    token = token_of(lab, "alice")
    becomes(lab, token, 200)
    with open(lab.gate.config) as f:
        text = f.read()
    with open(lab.gate.config, "w") as f:
        f.write(text.replace("grace: 60s", "grace: 2s"))
    before = pids(lab.gate, "auth")
    lab.gate.reload()
    wait_until(lambda: status(lab.gate)["ready"] and pids(lab.gate, "auth") != before, LONG)
    becomes(lab, token, 200)
    lab.ldap.stop_server()
    becomes(lab, token, 503)  # neither allowed nor denied
    lab.ldap.start_server()
    becomes(lab, token, 200)
