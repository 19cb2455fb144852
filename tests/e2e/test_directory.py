"""What a directory can say, and what a login makes of it: a real slapd, a double with Active
Directory's habits, and servers that are silent, slow or lie. `ringfence-gate --check-user` runs
the code of a login and tells its reasons."""

import os
import socket
import subprocess
import sys
import time

import pytest

import gate_lab
import proxy_lab

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../double"))

import ldapd  # noqa: E402
import pki as pki_module  # noqa: E402
from slapd import Slapd  # noqa: E402

ALLOWED, DENIED, UNAVAILABLE = 0, 1, 3
SCHEMA = os.path.join(proxy_lab.HERE, "../double/accounts.schema")

CONFIG = """\
listen: [ "127.0.0.1:1" ]
tls: { certificate: PKI/gate.crt, key: PKI/gate.key }
upstream:
  servers: [ "https://127.0.0.1:1" ]
  ca: PKI/cluster-ca.crt
  certificate: PKI/front-proxy.crt
  key: PKI/front-proxy.key
policy: [ DIR/policy.yaml ]
ldap:
  servers: [ SERVERS ]
  ca: PKI/ldap-ca.crt
  timeoutSeconds: 1
  loginTimeoutSeconds: 3
"""
BIND = """\
  bind: { dn: "cn=ringfence,dc=example,dc=org", passwordFile: DIR/service }
"""
USERS = """\
  users: { base: "ou=people,dc=example,dc=org" }
  groups: { base: "ou=groups,dc=example,dc=org" }
"""


class Answer:
    def __init__(self, done):
        self.code, self.stderr = done.returncode, done.stderr
        self.lines = [line.split(None, 1) for line in done.stdout.splitlines()]
        self.groups = [line[1] for line in self.lines if line[0] == "group"]
        self.reason = "".join(line[1] for line in self.lines if line[0] == "reason")

    def __repr__(self):
        return f"{self.code} {self.lines} {self.stderr}"


class Bench:
    """Asks directories about users."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.pki = pki_module.make_standard(os.path.join(self.directory, "pki"))
        self.secret("service", "service-secret")
        with open(os.path.join(self.directory, "policy.yaml"), "w") as f:
            f.write(proxy_lab.POLICY)

    def secret(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def ask(self, servers, user, password=None, users=USERS, bind=BIND, more=""):
        servers = [servers] if isinstance(servers, str) else servers
        if any(s.startswith("ldap:") for s in servers) and "startTLS" not in more:
            more += "  insecure: true\n"
        text = (CONFIG + bind + users + more).replace("PKI", self.pki)
        text = text.replace("DIR", self.directory)
        text = text.replace("SERVERS", ", ".join(f'"{s}"' for s in servers))
        config = os.path.join(self.directory, "gate.yaml")
        with open(config, "w") as f:
            f.write(text)
        argv = [gate_lab.program("ringfence-gate"), "--config", config]
        argv += ["--check-user", user]
        if password is not None:
            argv += ["--password-file", self.secret("password", password)]
        answer = Answer(subprocess.run(argv, capture_output=True, text=True, timeout=120))
        assert answer.code in (ALLOWED, DENIED, UNAVAILABLE), answer
        assert "Sanitizer" not in answer.stderr and "runtime error" not in answer.stderr
        return answer


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("directory"))


@pytest.fixture(scope="module")
def slapd(bench):
    with Slapd.with_pki(bench.pki, schema=SCHEMA, sizelimit=50) as server:
        yield server


# ---- accounts ----


def stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))


def filetime(seconds):
    return (int(time.time() + seconds) + 11644473600) * 10**7


DAY = 86400
STATES = [
    ("userAccountControl", lambda: 512, None),
    ("userAccountControl", lambda: 514, "the account is disabled"),
    ("msDS-User-Account-Control-Computed", lambda: 0x10, "the account is locked"),
    ("msDS-User-Account-Control-Computed", lambda: 0x800000, "the password has expired"),
    ("accountExpires", lambda: 0, None),
    ("accountExpires", lambda: 2**63 - 1, None),
    ("accountExpires", lambda: filetime(DAY), None),
    ("accountExpires", lambda: filetime(-DAY), "the account has expired"),
    ("pwdLastSet", lambda: filetime(-DAY), None),
    ("pwdLastSet", lambda: 0, "the password must be changed"),
    ("nsAccountLock", lambda: "false", None),
    ("nsAccountLock", lambda: "TRUE", "the account is disabled"),
    ("nsAccountLock", lambda: "perhaps", "an attribute of the account's state"),
    ("accountUnlockTime", lambda: stamp(-DAY), None),
    ("accountUnlockTime", lambda: stamp(DAY), "the account is locked"),
    ("accountUnlockTime", lambda: "19700101000000Z", "the account is locked"),
    ("passwordExpirationTime", lambda: stamp(-DAY), "the password has expired"),
    ("krbPasswordExpiration", lambda: stamp(DAY), None),
    ("krbPasswordExpiration", lambda: stamp(-DAY), "the password has expired"),
    ("krbPrincipalExpiration", lambda: stamp(-DAY), "the account has expired"),
    ("shadowExpire", lambda: -1, None),
    ("shadowExpire", lambda: int(time.time() // DAY) + 2, None),
    ("shadowExpire", lambda: int(time.time() // DAY) - 2, "the account has expired"),
]


@pytest.mark.parametrize("attribute, value, reason", STATES)
def test_account_state(bench, slapd, attribute, value, reason):
    """The password is right each time: what refuses is the account's state."""
    dn = slapd.user_dn("erin")
    change = f"dn: {dn}\nchangetype: modify\n"
    slapd.modify(
        change + f"add: objectClass\nobjectClass: accountState\n-\n"
        f"add: {attribute}\n{attribute}: {value()}\n"
    )
    try:
        answer = bench.ask(slapd.ldaps_url, "erin", "erin-secret")
    finally:
        slapd.modify(
            change + f"delete: {attribute}\n-\n"
            "delete: objectClass\nobjectClass: accountState\n"
        )
    assert answer.code == (DENIED if reason else ALLOWED), answer
    assert reason is None or reason in answer.reason


@pytest.mark.parametrize(
    "user, reason",
    [
        ("locked", "the account is locked"),
        ("expired", "the password has expired"),
        ("mustchange", "the password must be changed"),
    ],
)
def test_ppolicy_by_its_control_and_by_its_attributes(bench, slapd, user, reason):
    for password in (f"{user}-secret", None):
        answer = bench.ask(slapd.ldaps_url, user, password)
        assert (answer.code, reason in answer.reason) == (DENIED, True), answer


def test_lock_of_limited_time_is_over_where_the_policy_says_so(bench, slapd):
    policy = f"cn=brief,ou=policies,{slapd.suffix}"
    slapd.add(
        f"dn: {policy}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: brief\n"
        "pwdAttribute: userPassword\npwdLockout: TRUE\npwdLockoutDuration: 600\n"
    )
    dn = slapd.user_dn("frank")
    slapd._replace(dn, "pwdAccountLockedTime", stamp(-3600))
    try:
        assert bench.ask(slapd.ldaps_url, "frank").code == DENIED  # nobody knows for how long
        users = USERS.replace("org\" }\n", f'org", passwordPolicy: "{policy}" }}\n', 1)
        assert bench.ask(slapd.ldaps_url, "frank", users=users).code == ALLOWED
        slapd._replace(dn, "pwdAccountLockedTime", stamp(-10))
        answer = bench.ask(slapd.ldaps_url, "frank", users=users)
        assert (answer.code, answer.reason) == (DENIED, "the account is locked")
    finally:
        slapd._replace(dn, "pwdAccountLockedTime")


# ---- names ----


def test_direct_bind_by_a_dn_escapes_the_name(bench, slapd):
    users = USERS.replace("org\" }\n", 'org", bindAs: "uid={},ou=people,dc=example,dc=org" }\n', 1)
    answer = bench.ask(slapd.ldaps_url, "alice", "alice-secret", users=users, bind="")
    assert answer.code in (ALLOWED, UNAVAILABLE)  # slapd shows its groups to the service alone
    for typed in ("alice,ou=people,dc=example,dc=org", "alice+cn=Alice Archer", "alice\\"):
        answer = bench.ask(slapd.ldaps_url, typed, "alice-secret", users=users, bind="")
        assert answer.code == DENIED, answer
    wrong = bench.ask(slapd.ldaps_url, "alice", "wrong", users=users, bind="")
    assert wrong.code == DENIED
    both = bench.ask(slapd.ldaps_url, "alice", "alice-secret", users=users)
    assert both.groups == ["acme-admins"]
    users = users.replace("uid={}", "cn={}").replace(
        'dc=org", bindAs', 'dc=org", filter: "(cn={})", bindAs'
    )
    answer = bench.ask(slapd.ldaps_url, "O'Hara, Kim+Co", "kim-secret", users=users)
    assert (answer.code, answer.groups) == (ALLOWED, ["acme-devs"]), answer


def test_empty_password_never_reaches_a_server(bench):
    with ldapd.Ldapd({}, {}) as server:
        for password in ("\0", "a\0b"):
            assert bench.ask(server.url, "alice", password).code == DENIED
        assert server.connections == 0


# ---- groups ----


def test_groups_by_name(bench, slapd):
    slapd.add(
        f"dn: cn=unix,ou=groups,{slapd.suffix}\nobjectClass: nameGroup\ncn: unix\n"
        "memberUid: alice\n"
    )
    users = USERS.replace(
        'groups: { base: "ou=groups,dc=example,dc=org" }',
        'groups: { base: "ou=groups,dc=example,dc=org", filter: "(memberUid={})", by: name }',
    )
    assert bench.ask(slapd.ldaps_url, "alice", users=users).groups == ["unix"]
    assert bench.ask(slapd.ldaps_url, "bob", users=users).groups == []


def test_member_of_and_upwards_through_member_of(bench, slapd):
    flat = USERS.replace('groups: { base: "ou=groups,dc=example,dc=org" }', "GROUPS")
    users = flat.replace("GROUPS", "groups: { memberOf: memberOf }")
    assert bench.ask(slapd.ldaps_url, "bob", users=users).groups == ["acme-shop-devs"]
    users = flat.replace("GROUPS", "groups: { memberOf: memberOf, nested: walk }")
    assert bench.ask(slapd.ldaps_url, "bob", users=users).groups == [
        "acme-devs", "acme-shop-devs", "acme-staff",
    ]  # fmt: skip
    assert bench.ask(slapd.ldaps_url, "grace", users=users).groups == [
        "initech-devs", "loop-a", "loop-b",
    ]  # fmt: skip


def test_missing_base_of_groups_is_no_empty_list(bench, slapd):
    users = USERS.replace("ou=groups,", "ou=nowhere,")
    assert bench.ask(slapd.ldaps_url, "alice", users=users).code == UNAVAILABLE


def active_directory(groups=5, depth=0, **options):
    """A user in `groups` groups, of which the first is in a chain of `depth` others."""
    people, places = "ou=people,dc=example,dc=org", "ou=groups,dc=example,dc=org"
    user = f"cn=Ann,{people}"
    entries = {
        people: {"ou": ["people"]},
        places: {"ou": ["groups"]},
        user: {
            "uid": ["Ann"],
            "userAccountControl": ["512"],
            "objectGUID": [bytes(range(16))],
            "memberOf": [f"cn=g{i},{places}" for i in range(groups)],
        },
    }
    for i in range(groups):
        entries[f"cn=g{i},{places}"] = {
            "cn": [f"g{i}"],
            "objectClass": ["group"],
            "member": [user],
            "objectSid": [b"\x01\x05sid-%d" % i],
        }
    below = f"cn=g0,{places}"
    for i in range(depth):
        dn = f"cn=n{i},{places}"
        entries[dn] = {
            "cn": [f"n{i}"],
            "objectClass": ["group"],
            "member": [below],
            "objectSid": [b"\x01\x05n-%d" % i],
        }
        entries[below]["memberOf"] = [dn]
        below = dn
    if depth:  # and around
        entries[f"cn=g0,{places}"]["member"].append(below)
    passwords = {"cn=ringfence,dc=example,dc=org": "service-secret", user: "ann-secret"}
    return entries, passwords, options


def in_groups(how):
    return USERS.replace('groups: { base: "ou=groups,dc=example,dc=org"', "groups: { " + how)


BASE = 'base: "ou=groups,dc=example,dc=org"'


@pytest.mark.parametrize(
    "how",
    [
        BASE + ", nested: walk",
        BASE + ', nested: ad, filter: "(&(objectClass=group)(member={}))"',
        BASE + ", nested: tokenGroups",
        "memberOf: memberOf, nested: walk",
    ],
)
def test_nested_groups_of_active_directory(bench, how):
    entries, passwords, options = active_directory(3, 4, range_size=2, page_limit=2)
    expected = [f"g{i}" for i in range(3)] + [f"n{i}" for i in range(4)]
    with ldapd.Ldapd(entries, passwords, **options) as server:
        answer = bench.ask(server.url, "ann", "ann-secret", users=in_groups(how))
        assert (answer.code, answer.groups) == (ALLOWED, expected), answer
        assert bench.ask(server.url, "ann", "wrong", users=in_groups(how)).code == DENIED


def test_pages_are_read_to_their_end(bench):
    entries, passwords, _ = active_directory(600)
    with ldapd.Ldapd(entries, passwords) as server:
        answer = bench.ask(server.url, "ann", "ann-secret")
        assert sorted(answer.groups) == sorted(f"g{i}" for i in range(600))
        pages = [s for s in server.searches if s.base.startswith("ou=groups")]
        assert [s.cookie for s in pages] == [b"", b"500"]


@pytest.mark.parametrize("how", ["memberOf: memberOf", BASE + ", nested: tokenGroups"])
def test_ranges_are_read_to_their_end(bench, how):
    entries, passwords, _ = active_directory(100)
    with ldapd.Ldapd(entries, passwords, range_size=33) as server:
        answer = bench.ask(server.url, "ann", users=in_groups(how))
        assert sorted(answer.groups) == sorted(f"g{i}" for i in range(100)), answer


def test_slapd_that_limits_a_search_gives_all_pages(bench, slapd):
    """50 entries at once is its limit; the seed and these have more."""
    names = [f"many-{i}" for i in range(60)]
    for name in names:
        slapd.add(
            f"dn: {slapd.group_dn(name)}\nobjectClass: groupOfNames\ncn: {name}\n"
            f"member: {slapd.user_dn('frank')}\n"
        )
    answer = bench.ask(slapd.ldaps_url, "frank")
    assert set(names) <= set(answer.groups), answer


@pytest.mark.parametrize(
    "groups, depth, reason", [(1025, 0, "more than 1024 groups"), (1, 18, "levels deep")]
)
def test_too_many_groups_are_refused_and_never_cut(bench, groups, depth, reason):
    entries, passwords, _ = active_directory(groups, depth)
    with ldapd.Ldapd(entries, passwords) as server:
        answer = bench.ask(server.url, "ann", users=in_groups(BASE + ", nested: walk"))
        assert (answer.code, reason in answer.reason) == (DENIED, True), answer


def test_two_entries_are_nobody(bench):
    entries, passwords, _ = active_directory(1)
    entries["cn=Ann2,ou=people,dc=example,dc=org"] = {"uid": ["ann"]}
    with ldapd.Ldapd(entries, passwords) as server:
        answer = bench.ask(server.url, "ann", "ann-secret")
        assert (answer.code, answer.reason) == (DENIED, "several entries match")
        assert server.binds == ["cn=ringfence,dc=example,dc=org"]


def test_what_a_directory_says_stays_text_on_a_terminal(bench):
    entries, passwords, _ = active_directory(1)
    spoken = "ann\x1b[31m\u009b31m\u202e"
    entries["cn=Ann,ou=people,dc=example,dc=org"]["uid"] = [spoken, "ann"]
    with ldapd.Ldapd(entries, passwords) as server:
        answer = bench.ask(server.url, "ann")
    assert answer.code == DENIED
    assert answer.reason.endswith("may not be used here: ann?[31m?31m?"), answer


# ---- servers that lie ----


class Lies(ldapd.Ldapd):
    """`about` says in which searches to lie: those below the groups' base."""

    def is_groups(self, search):
        return search.base.startswith("ou=groups")

    def on_search(self, connection, message_id, search):
        if self.is_groups(search):
            self.lie(connection, message_id, search)
        else:
            super().on_search(connection, message_id, search)

    def one(self, connection, message_id, search):
        (dn, *_) = self.matches(search)
        self.send(connection, ldapd.message(message_id, ldapd.entry(dn, [("cn", ["g0"])])))


class CutsTheList(Lies):
    def lie(self, connection, message_id, search):
        self.one(connection, message_id, search)
        self.done(connection, message_id, ldapd.SIZE_LIMIT)


class TimeLimit(Lies):
    def lie(self, connection, message_id, search):
        self.one(connection, message_id, search)
        self.done(connection, message_id, 3)


class HangsUp(Lies):
    def lie(self, connection, message_id, search):
        self.one(connection, message_id, search)
        connection.shutdown(socket.SHUT_RDWR)


class NeverDone(Lies):
    def lie(self, connection, message_id, search):
        self.one(connection, message_id, search)


class OtherMessage(Lies):
    def lie(self, connection, message_id, search):
        self.done(connection, message_id + 1000, ldapd.SUCCESS)


class PagesForEver(Lies):
    def lie(self, connection, message_id, search):
        control = [ldapd.page_control(b"again")]
        self.done(connection, message_id, ldapd.SUCCESS, control)


class Garbage(Lies):
    def lie(self, connection, message_id, search):
        self.send(connection, b"\x30\x84\xff\xff\xff\xff" + b"\xa5" * 100)


class TooLarge(Lies):
    def lie(self, connection, message_id, search):
        self.send(connection, b"\x30\x84\x7f\xff\xff\xf0" + bytes(64))


class Dribbles(Lies):
    def lie(self, connection, message_id, search):
        data = ldapd.message(message_id, ldapd.result(0x65, ldapd.SUCCESS))
        for i in range(len(data) - 1):
            time.sleep(0.5)
            self.send(connection, data[i : i + 1])


@pytest.mark.parametrize(
    "lie",
    [CutsTheList, TimeLimit, HangsUp, NeverDone, OtherMessage, PagesForEver, Garbage,
     TooLarge, Dribbles],
)  # fmt: skip
def test_half_an_answer_is_none(bench, lie):
    """Fewer groups than there are would lift what policy denies to one of the others."""
    entries, passwords, _ = active_directory(3)
    with lie(entries, passwords) as server:
        assert bench.ask(server.url, "ann", "ann-secret").code == UNAVAILABLE
        with ldapd.Ldapd(entries, passwords) as honest:
            answer = bench.ask([server.url, honest.url], "ann", "ann-secret")
            assert (answer.code, answer.groups) == (ALLOWED, ["g0", "g1", "g2"])


class RangeStandsStill(ldapd.Ldapd):
    def shown(self, dn, search):
        out = super().shown(dn, search)
        return [
            ("memberOf;range=0-1", v) if n.startswith("memberOf;range=") else (n, v)
            for n, v in out
        ]


def test_range_that_stands_still_is_no_answer(bench):
    entries, passwords, _ = active_directory(5)
    with RangeStandsStill(entries, passwords, range_size=2) as server:
        how = in_groups("memberOf: memberOf")
        assert bench.ask(server.url, "ann", users=how).code == UNAVAILABLE


class BindSays(ldapd.Ldapd):
    """The user's bind has another result."""

    def __init__(self, entries, passwords, code, text=""):
        super().__init__(entries, passwords)
        self.code, self.text = code, text

    def on_bind(self, connection, message_id, dn, password):
        self.binds.append(dn)
        code, text = (0, "") if dn.startswith("cn=ringfence") else (self.code, self.text)
        more = ldapd.sequence(ldapd.octets("ldap://evil"), tag=0xA3) if code == 10 else b""
        self.send(connection, ldapd.message(message_id, ldapd.result(0x61, code, text, more)))


@pytest.mark.parametrize(
    "code, text, result, reason",
    [
        (49, "", DENIED, "Invalid credentials"),
        (49, "80090308: AcceptSecurityContext error, data 52e, v4563", DENIED, "a wrong password"),
        (49, "80090308: AcceptSecurityContext error, data 775, v4563", DENIED, "locked"),
        (49, "80090308: AcceptSecurityContext error, data 533, v4563", DENIED, "disabled"),
        (49, "80090308: AcceptSecurityContext error, data 532, v4563", DENIED, "expired"),
        (49, "80090308: AcceptSecurityContext error, data 773, v4563", DENIED, "must be changed"),
        (49, "80090308: AcceptSecurityContext error, data 701, v4563", DENIED, "expired"),
        (10, "", DENIED, "Referral"),
        (14, "", DENIED, ""),
        (19, "", DENIED, ""),
        (53, "", DENIED, ""),
        (51, "", UNAVAILABLE, "busy"),
        (52, "", UNAVAILABLE, "unavailable"),
        (80, "", UNAVAILABLE, ""),
        (1, "", UNAVAILABLE, ""),
    ],
)
def test_result_of_a_bind(bench, code, text, result, reason):
    entries, passwords, _ = active_directory(1)
    with BindSays(entries, passwords, code, text) as server, ldapd.Ldapd(entries, passwords) as b:
        answer = bench.ask(server.url, "ann", "ann-secret")
        assert answer.code == result, answer
        assert reason.lower() in answer.reason.lower()
        # No is final: the next server is not asked, where it would count a second time.
        answer = bench.ask([server.url, b.url], "ann", "ann-secret")
        assert answer.code == (DENIED if result == DENIED else ALLOWED)
        assert bool(b.binds) == (result == UNAVAILABLE)


# ---- servers without TLS, or half of it ----


class StartTls(ldapd.Ldapd):
    def __init__(self, then):
        super().__init__({}, {})
        self.then = then

    def on_extended(self, connection, message_id, oid):
        assert oid == ldapd.START_TLS
        self.send(connection, ldapd.message(message_id, ldapd.result(0x78, 0)))
        self.then(connection)


def in_clear(connection):
    """Goes on in clear text, whatever comes."""
    connection.sendall(ldapd.message(2, ldapd.result(0x61, 0)))


@pytest.mark.parametrize(
    "then",
    [
        None,
        lambda c: None,
        lambda c: c.shutdown(socket.SHUT_RDWR),
        in_clear,
        lambda c: c.sendall(b"\x16\x03\x03\x40\x00" + bytes(100)),
    ],
    ids=["refuses", "silent", "hangs up", "in clear", "half a record"],
)
def test_without_tls_no_password_is_sent(bench, then):
    server = StartTls(then) if then else ldapd.Ldapd({}, {})
    with server:
        answer = bench.ask(server.url, "ann", "ann-secret", more="  startTLS: true\n")
        assert answer.code == UNAVAILABLE, answer
        assert server.binds == []


def test_certificate_of_another_name_is_no_directory(bench):
    with Slapd.with_pki(bench.pki, name="ldap-othername") as server:
        assert bench.ask(server.ldaps_url, "alice", "alice-secret").code == UNAVAILABLE
