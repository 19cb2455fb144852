"""The directory of the tests: binds, groups, TLS, locks, trouble."""

import os
import subprocess

import pytest

from process import wait_until
from slapd import Slapd, SlapdError, with_member_of


@pytest.fixture(scope="module")
def directory(pki):
    with Slapd.with_pki(pki) as server:
        yield server


def bind(server, dn, password, *options, url=None, ca=None):
    """(exit status, output) of ldapwhoami with the password policy control."""
    environment = {
        "LDAPCONF": "/dev/null",
        "HOME": "/nonexistent",
        "PATH": os.environ["PATH"],
    }
    environment["LDAPTLS_CACERT"] = ca or server.ca or "/dev/null"
    environment["LDAPTLS_REQCERT"] = "demand"
    argv = ["ldapwhoami", "-x", "-H", url or server.url, "-e", "ppolicy", *options]
    result = subprocess.run(
        argv + ["-D", dn, "-w", password],
        env=environment,
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stdout + result.stderr


def groups(server, uid, base="people"):
    found = server.search(f"(uid={uid})", "memberOf")
    return sorted(v.split(",")[0][3:] for v in found[0][1].get("memberOf", []))


def test_every_documented_password_binds(directory):
    for uid in "alice bob carol dave erin frank grace root nobody Mixed.Case".split():
        assert bind(directory, directory.user_dn(uid), f"{uid}-secret")[0] == 0, uid
    assert bind(directory, directory.bind_dn, directory.bind_password)[0] == 0
    odd = directory.user_dn("o'brien (test)*")
    assert bind(directory, odd, "quote'(*)-secret")[0] == 0
    kim = "cn=O'Hara\\2C Kim\\2BCo,ou=people,dc=example,dc=org"
    assert bind(directory, kim, "kim-secret")[0] == 0


def test_wrong_password_is_refused(directory):
    assert bind(directory, directory.user_dn("alice"), "wrong")[0] == 49


def test_groups_by_member_and_member_of(directory):
    assert groups(directory, "dave") == ["globex-admins", "globex-devs"]
    assert groups(directory, "nobody") == []
    assert groups(directory, "kim") == ["acme-devs"]
    filter = "(member=uid=dave,ou=people,dc=example,dc=org)"
    names = sorted(
        attributes["cn"][0] for _, attributes in directory.search(filter, "cn")
    )
    assert names == groups(directory, "dave")
    nested = directory.search("(cn=acme-shop-devs)", "memberOf")[0][1]["memberOf"]
    assert nested == ["cn=acme-devs,ou=groups,dc=example,dc=org"]


def test_overlay_keeps_member_of(directory):
    directory.add_member("globex-devs", "nobody")
    try:
        assert groups(directory, "nobody") == ["globex-devs"]
    finally:
        directory.remove_member("globex-devs", "nobody")
    assert groups(directory, "nobody") == []


def test_starttls_and_ldaps_with_the_right_ca_only(directory, pki):
    alice = (directory.user_dn("alice"), "alice-secret")
    assert bind(directory, *alice, "-ZZ")[0] == 0
    assert bind(directory, *alice, url=directory.ldaps_url)[0] == 0
    wrong = os.path.join(pki, "wrong-ca.crt")
    assert bind(directory, *alice, "-ZZ", ca=wrong)[0] != 0
    assert bind(directory, *alice, url=directory.ldaps_url, ca=wrong)[0] != 0


@pytest.mark.parametrize(
    "uid, status, text",
    [
        ("locked", 49, "Account locked"),
        ("expired", 49, "Password expired"),
        ("mustchange", 0, "Password must be changed"),
    ],
)
def test_password_policy_speaks(directory, uid, status, text):
    code, output = bind(directory, directory.user_dn(uid), f"{uid}-secret")
    assert (code, text in output) == (status, True), output


def test_account_can_be_locked_and_unlocked(directory):
    erin = (directory.user_dn("erin"), "erin-secret")
    directory.lock("erin")
    try:
        assert bind(directory, *erin)[0] == 49
    finally:
        directory.unlock("erin")
    assert bind(directory, *erin)[0] == 0


def test_too_many_failures_lock(pki):
    with Slapd() as server:
        for _ in range(5):
            assert bind(server, server.user_dn("bob"), "wrong")[0] == 49
        code, output = bind(server, server.user_dn("bob"), "bob-secret")
        assert (code, "Account locked" in output) == (49, True)


def test_service_account_reads_and_others_do_not(directory):
    def search(dn, password):
        argv = [
            "ldapsearch",
            "-x",
            "-LLL",
            "-H",
            directory.url,
            "-D",
            dn,
            "-w",
            password,
        ]
        argv += ["-b", directory.suffix, "(uid=alice)", "uid", "userPassword"]
        return subprocess.run(argv, capture_output=True, text=True).stdout

    seen = search(directory.bind_dn, directory.bind_password)
    assert "uid: alice" in seen and "userPassword" not in seen
    assert "uid: alice" not in search(directory.user_dn("bob"), "bob-secret")


def test_clear_text_bind_can_be_forbidden(pki):
    with Slapd.with_pki(pki, require_tls=True) as server:
        alice = (server.user_dn("alice"), "alice-secret")
        code, output = bind(server, *alice)
        assert (code, "Confidentiality required" in output) == (13, True)
        assert bind(server, *alice, "-ZZ")[0] == 0


def test_changes_and_new_entries(directory):
    directory.add_user("zoe")
    try:
        assert bind(directory, directory.user_dn("zoe"), "zoe-secret")[0] == 0
        directory.set_password("zoe", "other")
        assert bind(directory, directory.user_dn("zoe"), "other")[0] == 0
    finally:
        directory.delete_user("zoe")
    assert directory.search("(uid=zoe)") == []
    with pytest.raises(SlapdError, match="No such object"):
        directory.delete_user("zoe")


def test_trouble_on_demand(pki):
    with Slapd() as server:
        server.pause()
        assert not server.answers(timeout=0.3)
        server.resume()
        wait_until(server.answers, 5, "an answer")
        port = server.port
        server.kill_server()
        assert not server.answers(timeout=0.3)
        server.start_server()
        assert (server.port, groups(server, "bob")) == (port, ["acme-shop-devs"])
        path = server.directory
    assert not os.path.exists(path)


def test_several_run_side_by_side():
    with Slapd() as first, Slapd() as second:
        first.delete_user("bob")
        assert second.search("(uid=bob)") != []
        assert first.port != second.port


def test_command_line(pki, tmp_path):
    from process import Child, program

    cert = [
        f"--cert={pki}/ldap.crt",
        f"--key={pki}/ldap.key",
        f"--ca={pki}/ldap-ca.crt",
    ]
    argv = program("slapd.py") + ["--dir", str(tmp_path / "d"), *cert]
    with Child(argv, str(tmp_path / "err")) as child:
        plain, secure = child.ready
        for url in (f"ldap://{plain}", f"ldaps://{secure}"):
            argv = [
                "ldapwhoami",
                "-x",
                "-H",
                url,
                "-D",
                "uid=bob,ou=people,dc=example,dc=org",
            ]
            environment = dict(os.environ, LDAPTLS_CACERT=f"{pki}/ldap-ca.crt")
            subprocess.run(argv + ["-w", "bob-secret"], check=True, env=environment)
        with open(tmp_path / "d" / "slapd.pid") as f:
            pid = int(f.read())
        child.kill()  # not even a chance to clean up
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 5, "slapd's end")


def test_unusable_ldif_is_reported(tmp_path):
    bad = tmp_path / "bad.ldif"
    bad.write_text("dn: nonsense\n")
    with pytest.raises(SlapdError, match="slapadd"):
        Slapd(ldif=str(bad))


def test_member_of_is_derived_from_folded_and_encoded_lines():
    text = (
        "dn: uid=a,dc=x\nuid: a\n\n"
        "dn:: Y249ZyxkYz14\nmember: uid=a,\n dc=x\n\n"  # cn=g,dc=x
    )
    assert "memberOf:: Y249ZyxkYz14" in with_member_of(text).split("\n\n")[0]
