"""A client certificate says who; the directory says what he is now, and a list what was revoked."""

import json
import os
import signal
import subprocess

import pytest

import gate_lab
import pki
from gate_lab import PODS, audit, pids, role_status, status, wait_until

LONG = 40  # nothing here takes so long unless it fails
CHECKS = "accounts: {{ checkEvery: 1s, grace: 60s }}"


def make_crl(directory, ca, *revoked):
    """CA.crl, with the certificates of these names on it."""
    work = os.path.join(directory, f"{ca}-crl")
    os.makedirs(work, exist_ok=True)
    config = os.path.join(work, "cnf")
    with open(config, "w") as f:
        f.write(
            f"[ca]\ndefault_ca = d\n[d]\ndatabase = {work}/index\ndefault_md = sha256\n"
            f"default_crl_days = 30\ncertificate = {directory}/{ca}.crt\n"
            f"private_key = {directory}/{ca}.key\n"
        )
    open(os.path.join(work, "index"), "a").close()
    run = ["openssl", "ca", "-batch", "-config", config]
    for name in revoked:
        subprocess.run(
            run + ["-revoke", os.path.join(directory, f"{name}.crt")],
            check=True, capture_output=True,
        )  # fmt: skip
    new = os.path.join(work, "new")
    subprocess.run(run + ["-gencrl", "-out", new], check=True, capture_output=True)
    os.replace(new, os.path.join(directory, f"{ca}.crl"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    config = {
        "nested: walk }}": "nested: walk }}\n  " + CHECKS,
        "workers: 1": "workers: 2",
    }
    with gate_lab.make(tmp_path_factory.mktemp("certificates"), config) as lab:
        yield lab
        gate_lab.assert_clean(lab.gate)


def configure(lab, old, new):
    with open(lab.gate.config) as f:
        text = f.read()
    assert old in text
    with open(lab.gate.config, "w") as f:
        f.write(text.replace(old, new))


def user_certificate(lab, cn, *groups):
    name = f"cn-{cn}-{len(groups)}"
    pki.make_leaf(lab.pki, name, "users-ca", cn, groups, usage=pki.CLIENT)
    return name


def code(lab, certificate, path=PODS):
    with lab.gate.http1(certificate=certificate) as c:
        return c.request("GET", path).status


def actions(lab, user):
    """What the log says of an account."""
    found = audit(lab.gate, "search", "--kind", "account", "-o", "json")
    events = [json.loads(line) for line in found.stdout.splitlines()]
    return [e["verb"] for e in events if e["objectRef"]["name"] == user]


def becomes(lab, certificate, wanted, path=PODS):
    """Every worker comes to say it."""

    def all_say():
        try:
            return {code(lab, certificate, path) for _ in range(6)} == {wanted}
        except ConnectionError:  # an answer that had begun when the right to it ended is cut
            return False

    wait_until(all_say, LONG, f"the answer {wanted}")


def test_groups_are_the_directory_s(lab):
    """Whatever groups the certificate claims."""
    claims = user_certificate(lab, "bob", "acme-admins", "globex-admins")
    with lab.gate.http2(certificate=claims) as c:
        who = c.request("GET", "/ringfence/v1/whoami").json()
        assert who["user"] == "bob" and who["uid"]
        assert "globex-admins" not in who["groups"] and "acme-admins" not in who["groups"]
        assert "acme-shop-devs" in who["groups"]
        assert c.request("GET", PODS).status == 200
        assert c.request("GET", "/api/v1/namespaces/globex-prod/pods").status == 403
    seen = [r for r in lab.seen(PODS) if r["user"] == "bob"][-1]
    assert set(seen["groups"]) == set(who["groups"])


def test_user_whom_the_directory_does_not_have(lab):
    nobody = user_certificate(lab, "nobody-here")
    assert code(lab, nobody) == 401
    assert code(lab, nobody) == 401
    said = 'certificate-refused user="nobody-here"'
    wait_until(lambda: said in gate_lab.stderr(lab.gate))
    lab.ldap.add_user("nobody-here")
    lab.ldap.add_member("acme-shop-devs", "nobody-here")
    becomes(lab, nobody, 200)
    lab.ldap.delete_user("nobody-here")
    becomes(lab, nobody, 401)


def test_locked_account_ends_requests_and_streams_until_it_is_unlocked(lab):
    bob, alice = user_certificate(lab, "bob"), user_certificate(lab, "alice")
    with (
        lab.gate.http2(certificate=bob, timeout=LONG) as c,
        lab.gate.http2(certificate=alice, timeout=LONG) as d,
    ):
        mine, others = c.start("GET", PODS + "?watch=1"), d.start("GET", PODS + "?watch=1")
        for connection, stream in ((c, mine), (d, others)):
            connection.wait(stream, until=lambda r: r.status_line)
        lab.ldap.lock("bob")
        try:
            c.wait(mine)
            becomes(lab, bob, 401)
            assert c.request("GET", PODS).status == 401  # on the old connection, too
            assert code(lab, alice) == 200
        finally:
            lab.ldap.unlock("bob")
        becomes(lab, bob, 200)
        d.request("GET", "/healthz")  # what came for the other stream is read before it
        assert not d.responses[others].complete and others not in d.resets
    said = 'account-suspended user="bob" reason="certificate: the account is locked"'
    assert said in gate_lab.stderr(lab.gate)
    assert actions(lab, "bob") == ["suspend-account", "restore-account"]


def test_who_comes_by_both_is_on_record_once(lab):
    lab.ldap.add_user("both")
    lab.ldap.add_member("acme-shop-devs", "both")
    certificate = user_certificate(lab, "both")
    token = gate_lab.login(lab.gate, "both", "both-secret").json()["token"]

    def by_token():
        return gate_lab.get(lab.gate, token).status

    with lab.gate.http1(certificate=certificate) as c:
        answer = c.request("GET", PODS, lab.gate.bearer(token=token))
    assert answer.status == 200
    assert len(wait_until(lambda: lab.gate.audit_of(answer.header("audit-id")))) == 1
    becomes(lab, certificate, 200)
    lab.ldap.lock("both")
    becomes(lab, certificate, 401)
    wait_until(lambda: by_token() == 401, LONG)
    lab.ldap.unlock("both")
    becomes(lab, certificate, 200)
    wait_until(lambda: by_token() == 200, LONG)
    assert actions(lab, "both") == ["suspend-account", "restore-account"]
    lab.ldap.delete_user("both")


def test_group_that_is_lost_is_lost_with_the_next_check(lab):
    lab.ldap.add_member("acme-shop-devs", "erin")
    erin = user_certificate(lab, "erin")
    assert code(lab, erin) == 200
    lab.ldap.remove_member("acme-shop-devs", "erin")
    becomes(lab, erin, 403)


def test_account_locked_while_the_role_is_away(lab):
    """Workers tell the next auth process whom they know, and it looks at them."""
    bob = user_certificate(lab, "bob")
    with lab.gate.http2(certificate=bob, timeout=LONG) as c:
        stream = c.start("GET", PODS + "?watch=1")
        c.wait(stream, until=lambda r: r.status_line)
        old = pids(lab.gate, "auth")
        os.kill(old[0], signal.SIGKILL)
        lab.ldap.lock("bob")
        try:
            c.wait(stream)
            becomes(lab, bob, 401)
        finally:
            lab.ldap.unlock("bob")
    becomes(lab, bob, 200)
    assert pids(lab.gate, "auth") != old


def test_directory_that_is_away_is_no_answer(lab):
    """Who is known goes on; of others nobody can tell."""
    alice, carol = user_certificate(lab, "alice"), user_certificate(lab, "dave")
    becomes(lab, alice, 200)
    before = role_status(lab.gate, "auth")["certificateChecks"]
    lab.ldap.stop_server()
    try:
        becomes(lab, carol, 503)
        assert {code(lab, alice) for _ in range(6)} == {200}
    finally:
        lab.ldap.start_server()
    wait_until(lambda: code(lab, carol) != 503, LONG, "an answer")
    assert role_status(lab.gate, "auth")["certificateChecks"] > before


def test_known_user_outlives_a_restart_without_a_directory(lab):
    """As tokens do, until the grace is over; who may not use his account is not remembered as one
    who may."""
    lab.ldap.add_user("locked-then")
    names = {n: user_certificate(lab, n) for n in ("alice", "carol", "locked-then")}
    becomes(lab, names["alice"], 200)
    becomes(lab, names["locked-then"], 403)
    lab.ldap.lock("locked-then")
    becomes(lab, names["locked-then"], 401)
    lab.gate.stop()
    lab.ldap.stop_server()
    try:
        lab.gate.start_again()
        becomes(lab, names["alice"], 200)
        with lab.gate.http1(certificate=names["alice"]) as c:
            assert "acme-admins" in c.request("GET", "/ringfence/v1/whoami").json()["groups"]
        assert code(lab, names["locked-then"]) in (401, 503)
        assert code(lab, user_certificate(lab, "never-seen")) == 503
        assert 'certificate-recalled user="alice"' in gate_lab.stderr(lab.gate)
    finally:
        lab.ldap.start_server()
    # The directory's word counts again as soon as there is one.
    becomes(lab, names["locked-then"], 401)
    becomes(lab, names["alice"], 200)
    lab.ldap.delete_user("locked-then")


def test_revoked_certificate_ends_at_once(lab):
    """On connections that are open, and on new ones."""
    good, bad = user_certificate(lab, "alice"), user_certificate(lab, "alice", "x")
    make_crl(lab.pki, "users-ca")
    configure(lab, "users-ca.crt", f"users-ca.crt, crl: {lab.pki}/users-ca.crl")
    lab.gate.reload()
    wait_until(lambda: " reloaded " in gate_lab.stderr(lab.gate), LONG, "the list")
    with lab.gate.http2(certificate=bad, timeout=LONG) as c:
        stream = c.start("GET", PODS + "?watch=1")
        c.wait(stream, until=lambda r: r.status_line)
        assert code(lab, bad) == 200
        make_crl(lab.pki, "users-ca", bad)
        c.wait(stream)
        wait_until(lambda: c.request("GET", PODS).status == 401, LONG, "the list")
        becomes(lab, bad, 401)
        becomes(lab, good, 200)
    assert "certificate revoked" in gate_lab.stderr(lab.gate)


def test_grace_comes_to_an_end(lab):
    alice = user_certificate(lab, "alice")
    becomes(lab, alice, 200)
    configure(lab, "grace: 60s", "grace: 2s")
    before = pids(lab.gate, "auth")
    lab.gate.reload()
    wait_until(lambda: status(lab.gate)["ready"] and pids(lab.gate, "auth") != before, LONG)
    becomes(lab, alice, 200)
    lab.ldap.stop_server()
    try:
        becomes(lab, alice, 503)
    finally:
        lab.ldap.start_server()
    becomes(lab, alice, 200)


def test_certificate_s_own_word_where_it_is_wanted(lab):
    stranger = user_certificate(lab, "nobody-here", "acme-shop-devs")
    becomes(lab, stranger, 401)
    configure(lab, "users-ca.crt", "users-ca.crt, clientUsers: certificate")
    lab.gate.reload()
    becomes(lab, stranger, 200)
    with lab.gate.http1(certificate=stranger) as c:
        who = c.request("GET", "/ringfence/v1/whoami").json()
    assert who["groups"] == ["acme-shop-devs", "system:authenticated"]
