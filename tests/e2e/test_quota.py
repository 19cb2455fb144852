"""Quotas hold for the gate, not for each worker; exact whatever arrives at once."""

import concurrent.futures
import os
import threading
import time

import pytest

import gate_lab
import proxy_lab
from gate_lab import PODS, get

QUOTAS = """\
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: acme, namespace: /acme }
spec: { requests: { perDay: 40 } }
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: shop, namespace: /acme/shop }
spec: { perUser: { perDay: 15 } }
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: globex, namespace: /globex }
spec: { requests: { perSecond: 2, burst: 7 } }
---
apiVersion: ringfence.dev/v1alpha1
kind: Quota
metadata: { name: all, namespace: / }
spec: { perUser: { inFlight: 3, watches: 2 } }
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with gate_lab.make(
        tmp_path_factory.mktemp("quota"),
        {"workers: 1": "workers: 2"},
        policy=proxy_lab.POLICY + QUOTAS,
    ) as made:
        yield made
        gate_lab.assert_clean(made.gate)


def at_once(count, function, threads=8):
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda _: function(), range(count)))


def test_requests_in_flight_of_one_user(lab):
    token = lab.gate.token("frank")
    together = threading.Barrier(12)

    def slow():
        with lab.gate.http1(timeout=30) as c:
            together.wait(20)
            return c.request("GET", "/test/slow?ms=1500", lab.gate.bearer(token=token))

    answers = at_once(12, slow, threads=12)
    statuses = sorted(a.status for a in answers)
    assert statuses == [200] * 3 + [429] * 9
    refused = next(a for a in answers if a.status == 429)
    assert int(refused.header("retry-after")) >= 1
    assert refused.json()["reason"] == "TooManyRequests"
    # What is over is given back.
    assert get(lab.gate, token, "/test/slow?ms=1").status == 200


def test_watches_are_counted_apart(lab):
    token = lab.gate.token("dave")
    path = "/api/v1/namespaces/globex-prod/pods?watch=1"
    with lab.gate.http2() as c:
        streams = [c.start("GET", path, lab.gate.bearer(token=token)) for _ in range(2)]
        for stream in streams:
            assert c.wait(stream, until=lambda r: r.status_line).status == 200
        third = c.start("GET", path, lab.gate.bearer(token=token))
        assert c.wait(third).status == 429
        assert get(lab.gate, token, "/test/slow?ms=1").status == 200


def test_rate_and_burst(lab):
    """Seven at once, then two a second; the watches above took three of them at most."""
    token = lab.gate.token("dave")
    path = "/api/v1/namespaces/globex-prod/pods"
    deadline = time.monotonic() + 10
    while get(lab.gate, token, path).status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(4)  # the bucket fills: 7 take 3.5 s
    begin = time.monotonic()
    statuses = [get(lab.gate, token, path).status for _ in range(30)]
    took = time.monotonic() - begin
    assert 7 <= statuses.count(200) <= 7 + 2 * took + 1
    assert set(statuses) == {200, 429} or took > 11  # so slowly none is too many


def test_exact_count_over_both_workers_and_the_smallest_limit_on_the_path(lab):
    """15 for each user in the shop, 40 for everybody below /acme: alice and bob get 15 each,
    and what was refused in the shop was not charged above it."""
    counts = {}
    for user in ("alice", "bob"):
        token = lab.gate.token(user)

        def one(token=token):
            while True:
                status = get(lab.gate, token).status
                if status != 429 or counts.get("done"):
                    return status
                return status

        statuses = []
        for _ in range(20):  # at most three in flight: one after the other in pairs
            statuses += at_once(2, one, threads=2)
        counts[user] = statuses.count(200)
        assert set(statuses) == {200, 429}
    assert counts == {"alice": 15, "bob": 15}


def test_refusal_names_the_limit(lab):
    answer = get(lab.gate, lab.gate.token("alice"))
    assert answer.status == 429
    assert "/acme" in answer.json()["message"]
    assert int(answer.header("retry-after")) >= 1


def test_quota_survives_the_death_of_a_worker(lab):
    """What a killed worker held in flight is given back; counts of the day are not."""
    import signal

    token = lab.gate.token("grace")
    with lab.gate.http1() as c:
        c.send(
            b"GET /test/hang HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            + token.encode()
            + b"\r\n\r\n"
        )
        proxy_lab.wait_until(lambda: lab.seen("/test/hang"), what="the request upstream")
        before = gate_lab.pids(lab.gate, "worker")
        for pid in before:
            os.kill(pid, signal.SIGKILL)

    def all_new():
        state = gate_lab.status(lab.gate)
        now = [r["pid"] for r in state["roles"] if r["role"] == "worker"]
        return state["ready"] and not set(now) & set(before)

    proxy_lab.wait_until(all_new, what="new workers")
    assert sorted(
        a.status for a in at_once(3, lambda: get(lab.gate, token, "/test/slow?ms=500"), 3)
    ) == [200, 200, 200]
    assert get(lab.gate, lab.gate.token("alice"), PODS).status == 429


def test_counts_of_the_day_survive_a_restart(lab):
    """Those of a subtree, of a user, and no others: grace has her places in flight back."""
    text = gate_lab.metrics(lab.gate)
    assert 'ringfence_gate_quota_requests_today{namespace="/acme",quota="acme"} 30\n' in text
    tokens = {user: lab.gate.token(user) for user in ("alice", "grace")}
    lab.gate.stop()
    lab.gate.start_again()
    assert get(lab.gate, tokens["alice"], PODS).status == 429
    assert get(lab.gate, tokens["grace"], "/test/slow?ms=1").status == 200
    text = gate_lab.metrics(lab.gate)
    assert 'ringfence_gate_quota_requests_today{namespace="/acme",quota="acme"} 30\n' in text
    assert 'ringfence_gate_quota_document_refused_total{namespace="/acme/shop",quota="shop"} 1\n' in text


def test_counts_that_could_not_be_written_are_written_later(lab):
    """Also when nothing has been counted since."""
    token = lab.gate.token("carol")
    complaints = gate_lab.stderr(lab.gate).count(" quota-days ")
    in_the_way = os.path.join(lab.gate.directory, "state", "quota.days.new")
    os.mkdir(in_the_way)
    assert get(lab.gate, token, PODS).status == 403  # and charged
    proxy_lab.wait_until(
        lambda: gate_lab.stderr(lab.gate).count(" quota-days ") > complaints, what="a complaint"
    )
    os.rmdir(in_the_way)
    lab.gate.stop()
    lab.gate.start_again()
    text = gate_lab.metrics(lab.gate)
    assert 'ringfence_gate_quota_requests_today{namespace="/acme",quota="acme"} 31\n' in text


def test_one_tenants_load_leaves_the_others_their_share(tmp_path_factory):
    """Four places at the API server; globex wants forty, and acme gets its own all the same."""
    with gate_lab.make(
        tmp_path_factory.mktemp("fair"), {"  ca: {pki}/cluster-ca.crt\n": "  ca: {pki}/cluster-ca.crt\n  maxInFlight: 4\n"}
    ) as own:  # fmt: skip
        slow = {"path": "^/api/v1/namespaces/", "delayMs": 300}
        own.faults(slow)
        order = []

        def one(user, path):
            answer = get(own.gate, own.gate.token(user), path)
            order.append(user)
            return answer.status

        for user in ("dave", "alice"):
            own.gate.token(user)
        with concurrent.futures.ThreadPoolExecutor(44) as pool:
            flood = [
                pool.submit(one, "dave", "/api/v1/namespaces/globex-prod/pods") for _ in range(40)
            ]
            proxy_lab.wait_until(
                lambda: sum(u["waiting"] for u in upstreams(own)) > 20, 30, "a queue"
            )
            few = [pool.submit(one, "alice", PODS) for _ in range(4)]
            assert {f.result() for f in flood + few} == {200}
        # Alice came when most of dave's waited, and was not behind them.
        last = max(i for i, user in enumerate(order) if user == "alice")
        assert order[last:].count("dave") >= 5, order
        gate_lab.assert_clean(own.gate)


def upstreams(lab):
    return [
        u
        for part in gate_lab.status(lab.gate)["parts"]
        if part["role"] == "worker"
        for u in part["status"]["upstreams"]
    ]
