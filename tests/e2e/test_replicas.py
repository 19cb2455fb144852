"""Two gates that share tokens and quotas through a real etcd of three members."""

import concurrent.futures
import itertools
import json
import os
import threading

import pytest

import gate_lab
import pki
import proxy_lab
from gate_lab import PODS, get
from proxy_lab import Gate, wait_until

from etcd import Etcd, Forwarder

QUOTAS = """\
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: shop, namespace: /acme/shop }
spec: { requests: { perDay: 64 } }
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: all, namespace: / }
spec: { perUser: { inFlight: 6 } }
---
apiVersion: ringfence.dev/v1alpha1
kind: Namespace
metadata: { name: /initech }
spec: { owners: [initech-admins] }
"""

STATE = """\
state:
  directory: {directory}/state
  etcd:
    endpoints: [ {etcd} ]
    ca: {etcd_pki}/ca.crt
    certificate: {etcd_pki}/etcd.crt
    key: {etcd_pki}/etcd.key
    keepSeconds: 15
"""


ALL_PODS = "/api/v1/pods"

CHANGES = {
    "state: {{ directory: {directory}/state }}\n": STATE,
    "workers: 1": "workers: 1\ntokens: {{ maxPerUser: 60 }}",
}


long = pytest.mark.skipif(
    not os.environ.get("RINGFENCE_E2E_LONG"), reason="waits for leases, or timeouts; RINGFENCE_E2E_LONG=1"
)


class Pair:
    """Gate a reaches all members, gate b by ways that can be cut."""

    def __init__(self, lab, etcd, ways):
        self.lab, self.etcd, self.ways = lab, etcd, ways
        self.a = lab.gate
        endpoints = ", ".join(f"https://127.0.0.1:{w.port}" for w in ways)
        self.b = Gate(lab, {"etcd": endpoints, "etcd_pki": etcd.pki})


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    directory = tmp_path_factory.mktemp("replicas")
    with Etcd(directory) as etcd:
        ways = [Forwarder(port) for port in etcd.ports]
        with gate_lab.make(
            directory,
            CHANGES,
            policy=proxy_lab.POLICY + QUOTAS,
            gate_options={"etcd": ", ".join(etcd.endpoints), "etcd_pki": etcd.pki},
        ) as lab:
            with gate_lab.config_of(CHANGES):
                made = Pair(lab, etcd, ways)
            try:
                wait_until(lambda: members(made.a) == members(made.b) == 2, 30, "two members")
                wait_until(lambda: open_for_all(made), 30, "both to serve")
                yield made
            finally:
                made.b.stop()
                for way in ways:
                    way.stop()
            gate_lab.assert_clean(made.a)
            gate_lab.assert_clean(made.b)


def auth(gate):
    for part in gate_lab.status(gate)["parts"]:
        if part["role"] == "auth":
            return part["status"]
    return {}


def members(gate):
    return auth(gate).get("replicas")


def issued(gate, user):
    """A login, tried until etcd has answered in time: the machine may be busy."""

    def attempt():
        answer = gate_lab.login(gate, user, f"{user}-secret")
        return answer.status == 201 and answer.json()

    return wait_until(attempt, 30, "a login")


def token(gate, user):
    if user not in gate._tokens:
        gate._tokens[user] = issued(gate, user)["token"]
    return gate._tokens[user]


def revoke(gate, made):
    """Revoked here and in etcd; what was not answered in time is found done."""
    path = f"/ringfence/v1/tokens/{made['id']}"
    wait_until(
        lambda: gate_lab.call(gate, "DELETE", path, made["token"]).status in (204, 401),
        30,
        "a revocation",
    )


def open_for_all(pair):
    return all(
        get(gate, token(gate, "grace"), "/test/slow?ms=1").status == 200
        for gate in (pair.a, pair.b)
    )


def test_token_of_one_is_good_at_the_other_and_its_end_too(pair):
    made = issued(pair.a, "grace")
    wait_until(
        lambda: get(pair.b, made["token"], "/test/slow?ms=1").status == 200, 30, "the token"
    )
    revoke(pair.b, made)
    wait_until(
        lambda: gate_lab.has_ended(pair.a, made["token"], "/test/slow?ms=1"), 30, "its end"
    )


SERVICE = "/initech/deploy"


def service(gate, user, method, path, wanted, body=None):
    """Tried until etcd has answered in time."""

    def attempt():
        answer = gate_lab.call(gate, method, "/ringfence/v1/" + path, token(gate, user), body)
        return answer.status == wanted and (answer.json() if answer.body else True)

    return wait_until(attempt, 30, f"{method} {path}")


def test_service_account_of_one_is_known_to_the_other_and_its_end_too(pair):
    service(pair.a, "frank", "POST", "serviceaccounts" + SERVICE, 201)
    made = service(pair.b, "frank", "POST", "serviceaccounttokens" + SERVICE, 201, {})
    both_say(pair, made, 403, "the token")  # nothing here is below its node
    service(pair.b, "frank", "DELETE", "serviceaccounts" + SERVICE, 204)
    both_say(pair, made, 401, "its end")
    # Nor does one whose declaration says what is not known here mean anything.
    service(pair.a, "frank", "POST", "serviceaccounts" + SERVICE, 201)
    made = service(pair.b, "frank", "POST", "serviceaccounttokens" + SERVICE, 201, {})
    both_say(pair, made, 403, "the token")
    rows = {k: json.loads(v) for k, v in pair.etcd.get(TOKENS + b"+").items()}
    ((key, row),) = [(k, r) for k, r in rows.items() if not r["removed"]]
    pair.etcd.put(key, json.dumps({**row, "only": "weekends"}).encode())
    both_say(pair, made, 401, "a declaration that is not understood to end it")


def test_tokens_of_a_user_are_counted_at_all_gates(pair):
    """Where one has made as many as are allowed, the other makes no more."""
    refused = auth(pair.b)["tokensRefused"]
    for gate in (pair.a, pair.b):  # before there is no room but a login's
        token(gate, "erin")
    body = {"name": "many"}

    def create(gate):
        return gate_lab.call(gate, "POST", "/ringfence/v1/tokens", token(gate, "erin"), body)

    wait_until(lambda: create(pair.a).status == 403, 30, "the last of them")
    wait_until(lambda: create(pair.b).status == 403, 30, "the other to know")
    assert auth(pair.b)["tokensRefused"] > refused
    listed = gate_lab.call(pair.a, "GET", "/ringfence/v1/tokens", token(pair.a, "erin"))
    many = [t for t in listed.json()["tokens"] if t["name"] == "many" and not t["revoked"]]
    for made in many[:20]:  # the other may have made some before it heard of all
        path = f"/ringfence/v1/tokens/{made['id']}"
        assert gate_lab.call(pair.a, "DELETE", path, token(pair.a, "erin")).status in (204, 503)
    wait_until(lambda: create(pair.b).status == 201, 30, "their place")


def test_user_by_certificate_whom_one_has_seen_is_known_to_the_other(pair):
    """When there is no directory to ask."""
    pki.make_leaf(pair.lab.pki, "cn-erin", "users-ca", "erin", usage=pki.CLIENT)
    pki.make_leaf(pair.lab.pki, "cn-frank", "users-ca", "frank", usage=pki.CLIENT)

    def code(gate, name):
        with gate.http1(certificate=name) as c:
            return c.request("GET", "/ringfence/v1/whoami").status

    wait_until(lambda: code(pair.a, "cn-erin") == 200, 30, "erin at one")
    wait_until(lambda: any(k.endswith(b"/tokens/@erin") for k in pair.etcd.get(b"/ringfence/")), 30)
    pair.lab.ldap.stop_server()
    try:
        wait_until(lambda: code(pair.b, "cn-erin") == 200, 30, "erin at the other")
        assert code(pair.b, "cn-frank") == 503
    finally:
        pair.lab.ldap.start_server()
    wait_until(lambda: code(pair.b, "cn-frank") == 200, 30, "the directory")


def test_what_is_in_flight_is_shared(pair):
    """Six for each user: three at each gate."""
    together = threading.Barrier(12)

    def slow(gate):
        with gate.http1(timeout=60) as c:
            together.wait(60)
            bearer = gate.bearer(token=token(gate, "frank"))
            return c.request("GET", "/test/slow?ms=4000", bearer).status

    for gate in (pair.a, pair.b):
        token(gate, "frank")
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(slow, [pair.a, pair.b] * 6))
    assert sorted(answers) == [200] * 6 + [429] * 6


def test_days_count_is_not_exceeded_by_more_than_the_bound(pair):
    """64 for both; what nobody was granted is 1/32 at each: at most two more."""
    tokens = {gate: token(gate, "alice") for gate in (pair.a, pair.b)}
    counted = []

    def some(gate):
        got = sum(get(gate, tokens[gate]).status == 200 for _ in range(10))
        counted.append(got)
        return got

    def all_used():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(some, (pair.a, pair.b)))
        return sum(counted) >= 64

    wait_until(all_used, 60, "the day's count")
    assert 64 <= sum(counted) <= 64 + 2
    # From here on nobody has any more.
    assert some(pair.a) + some(pair.b) <= 2
    assert sum(counted) <= 64 + 2


RING = b"/ringfence/keys/lists"


def ring(pair):
    value = pair.etcd.get(b"/ringfence/keys/")[RING]
    assert value[:4] == b"rfk1" and len(value) == 4 + 3 * 32
    return value


def turn(pair):
    """What each replica does when it has seen the same ring for an hour."""
    before = ring(pair)
    pair.etcd.put(RING, before[:4] + os.urandom(32) + before[4:68])
    return before


def next_page(gate, user, page):
    return get(gate, token(gate, user), f"{ALL_PODS}?limit=1&continue={page}")


def first_page(gate):
    return get(gate, token(gate, "alice"), f"{ALL_PODS}?limit=1").json()["metadata"]["continue"]


def names(answer):
    assert answer.status == 200, answer.body
    return [(i["metadata"]["namespace"], i["metadata"]["name"]) for i in answer.json()["items"]]


def by_turns(pair):
    """The whole list, each page from the other gate."""
    gates = itertools.cycle((pair.b, pair.a))
    answer = get(pair.a, token(pair.a, "alice"), f"{ALL_PODS}?limit=1")
    seen = names(answer)
    while page := answer.json()["metadata"].get("continue"):
        answer = next_page(next(gates), "alice", page)
        seen += names(answer)
    return seen


def test_page_of_one_goes_on_at_the_other(pair):
    whole = names(get(pair.a, token(pair.a, "alice"), ALL_PODS))
    assert whole and by_turns(pair) == whole
    page = first_page(pair.a)
    # It is sealed all the same: nobody else's, and of no other list.
    assert next_page(pair.b, "dave", page).status == 410
    # One turn of the ring later it still opens at both; after two its key is gone.
    turn(pair)

    def sealed_with_the_next():
        return next_page(pair.a, "alice", first_page(pair.b)).status == 200

    wait_until(sealed_with_the_next, 30, "pages after a turn")
    assert next_page(pair.a, "alice", page).status == 200
    turn(pair)
    turn(pair)
    for gate in (pair.a, pair.b):
        wait_until(lambda: next_page(gate, "alice", page).status == 410, 30, "the key's end")  # noqa: B023
    # A ring that somebody spoilt is made anew.
    pair.etcd.put(RING, b"none")
    wait_until(lambda: len(pair.etcd.get(b"/ringfence/keys/")[RING]) == 100, 30, "a ring")


@long
def test_who_waits_for_etcd_keeps_nobody_waiting(pair):
    """While a token is on its way to members that are silent, others are answered."""
    known = token(pair.b, "grace")
    tokens = "/ringfence/v1/tokens"

    def others_first():
        wait_until(lambda: auth(pair.b)["etcdConnected"], 30, "the members")
        for way in pair.ways:
            way.hold()
        try:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                waits = pool.submit(gate_lab.call, pair.b, "POST", tokens, known, {"name": "w"})
                listed = [get(pair.b, known, tokens).status for _ in range(20)]
                first = not waits.done()
                for way in pair.ways:
                    way.mend()
                # It is told, or that it may not be; then it is sent when they answer again.
                assert waits.result().status in (201, 503)
        finally:
            for way in pair.ways:
                way.mend()
        return first and listed == [200] * 20

    # On a busy machine the silence may be over before they have been asked.
    wait_until(others_first, 60, "others' answers before the one that waits")
    open_again = lambda: auth(pair.b)["etcdConnected"]  # noqa: E731
    wait_until(open_again, 30, "the members")


TOKENS = b"/ringfence/tokens/"


def code_at(gate, made):
    """0 for an answer that had begun when the token ended, and was cut."""
    try:
        return get(gate, made["token"], "/test/slow?ms=1").status
    except ConnectionError:
        return 0


def both_say(pair, made, code, what):
    for gate in (pair.a, pair.b):
        wait_until(lambda: code_at(gate, made) == code, 30, what)  # noqa: B023


def test_rows_of_another_version_grant_nothing_and_stay(pair):
    """Replicas are replaced one by one: a later version may say more of a token."""
    made = issued(pair.a, "grace")
    key = TOKENS + made["id"].encode()
    wait_until(lambda: code_at(pair.b, made) == 200, 30, "the token")
    row = json.loads(pair.etcd.get(TOKENS)[key])
    # What is not known here may narrow it: it is nobody's, and is not written back without that.
    narrowed = json.dumps({**row, "sources2": "192.0.2.0/24"}).encode()
    pair.etcd.put(key, narrowed)
    both_say(pair, made, 401, "a token that is not understood to end")
    assert pair.etcd.get(TOKENS)[key] == narrowed
    # Where it says nothing it changes nothing; nor does it keep an end from coming.
    pair.etcd.put(key, json.dumps({**row, "sources2": "", "pin": None}).encode())
    both_say(pair, made, 200, "the token")
    ended = {**row, "pin": 0, "revoked": row["created"], "revoked_by": "somebody"}
    pair.etcd.put(key, json.dumps(ended).encode())
    both_say(pair, made, 401, "the token's end")
    # What is no token is left where it is.
    before = auth(pair.b)["rowsForeign"]
    other = TOKENS + b"=session"
    pair.etcd.put(other, b'{"kind":"session","name":"grace"}')
    wait_until(lambda: auth(pair.b)["rowsForeign"] == before + 1, 30, "the other row")
    assert other in pair.etcd.get(TOKENS)
    assert get(pair.b, token(pair.b, "grace"), "/test/slow?ms=1").status == 200


def test_all_that_was_written_meanwhile_comes_however_much(pair):
    """More than one answer holds, which ends within a transaction's rows."""
    made = issued(pair.a, "grace")
    row = json.loads(pair.etcd.get(TOKENS)[TOKENS + made["id"].encode()])
    wait_until(lambda: code_at(pair.b, made) == 200, 30, "the token")
    for way in pair.ways:
        way.cut()
    before = auth(pair.b)["tokensLive"]
    ids = [f"many{n:06}" for n in range(1120)]
    for at in range(0, len(ids), 112):
        pair.etcd.put_all(
            {
                TOKENS + i.encode(): json.dumps({**row, "id": i, "name": i}).encode()
                for i in ids[at : at + 112]
            }
        )
    for way in pair.ways:
        way.mend()
    wait_until(lambda: auth(pair.b).get("tokensLive", 0) >= before + len(ids), 30, "all of them")
    # More than an answer of the gate's holds, too: those that are good are there first.
    revoke(pair.b, {**made, "id": ids[0]})
    said = get(pair.b, made["token"], "/ringfence/v1/tokens").json()
    shown = [t["id"] for t in said["tokens"]]
    assert len(shown) + said["omitted"] > len(ids) and ids[0] not in shown
    assert len(shown) > 100 and not any(t["revoked"] for t in said["tokens"])


def test_leader_that_dies_is_not_missed(pair):
    """Nor what is forgotten of the past, which nobody reads."""
    pair.etcd.compact()
    (leader,) = wait_until(pair.etcd.leader, 30, "a leader")
    pair.etcd.kill(leader)
    new = issued(pair.a, "dave")["token"]
    wait_until(lambda: get(pair.b, new, "/test/slow?ms=1").status == 200, 30, "the token")
    pair.etcd.compact()
    new = issued(pair.b, "dave")
    wait_until(lambda: code_at(pair.a, new) == 200, 30, "a token after it")
    revoke(pair.b, new)
    wait_until(lambda: code_at(pair.a, new) == 401, 30, "its end")


@long
def test_replica_that_is_cut_off_closes_and_comes_back(pair):
    made = issued(pair.a, "grace")
    path = "/test/slow?ms=1"
    wait_until(lambda: get(pair.b, made["token"], path).status == 200, 30, "the token")
    for way in pair.ways:
        way.cut()
    wait_until(lambda: get(pair.b, made["token"], path).status == 503, 60, "it to close")
    assert get(pair.a, made["token"], path).status == 200
    # It is not waited for: the other has everything once its lease is over.
    wait_until(lambda: members(pair.a) == 1, 60, "its lease to end")
    # What is revoked meanwhile is revoked when it comes back.
    revoke(pair.a, made)
    for way in pair.ways:
        way.mend()
    wait_until(lambda: gate_lab.has_ended(pair.b, made["token"], path), 30, "its return")
    other = token(pair.b, "grace")
    wait_until(lambda: get(pair.b, other, path).status == 200, 30, "it to open")


@long
def test_without_etcd_nothing_is_issued_and_soon_nothing_served(pair):
    known = token(pair.a, "grace")
    for i in pair.etcd.alive()[:2]:
        pair.etcd.kill(i)
    wait_until(lambda: get(pair.a, known, "/test/slow?ms=1").status == 503, 60, "a to close")
    assert gate_lab.login(pair.a, "grace", "grace-secret").status in (500, 503)
    wait_until(lambda: get(pair.b, token(pair.b, "grace"), PODS).status == 503, 60, "b to close")


@long
def test_replica_that_cannot_store_what_others_revoke_closes(tmp_path):
    """Its disk is full: what it is told and cannot keep it must not pass over."""
    # Four MiB hold the store, and a log of it that is not folded back yet.
    with gate_lab.small_disk(tmp_path / "small", "4m") as small, Etcd(tmp_path, members=1) as etcd:
        options = {"etcd": etcd.endpoints[0], "etcd_pki": etcd.pki}
        with gate_lab.make(tmp_path / "lab", CHANGES, gate_options=options) as lab:
            elsewhere = STATE.replace("{directory}/state", str(small / "state"))
            with gate_lab.config_of({"state: {{ directory: {directory}/state }}\n": elsewhere}):
                b = Gate(lab, options)
            try:
                pair = Pair.__new__(Pair)
                pair.lab, pair.etcd, pair.a, pair.b = lab, etcd, lab.gate, b
                wait_until(lambda: members(b) == members(pair.a) == 2, 30, "two members")
                made, other = issued(pair.a, "grace"), issued(pair.a, "grace")
                both_say(pair, made, 200, "the token")
                both_say(pair, other, 200, "the token")
                gate_lab.fill(small)

                def revoked_and_not_known():
                    """What room the log has left is used up by further rows."""
                    revoke(pair.a, issued(pair.a, "grace"))
                    return " share-rows detail=" in gate_lab.stderr(b)

                wait_until(revoked_and_not_known, 60, "the end of the room")
                revoke(pair.a, made)
                wait_until(lambda: code_at(b, made) in (401, 503), 60, "it to close")
                wait_until(lambda: code_at(b, other) == 503, 60, "it to close for all")
                os.unlink(small / "ballast")
                wait_until(lambda: code_at(b, other) == 200, 30, "it to open")
                assert code_at(b, made) == 401
                gate_lab.assert_clean(b)
            finally:
                b.stop()
