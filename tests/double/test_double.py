"""The double of the API server against recordings of a real one.

RINGFENCE_RECORDED names the directory of recordings.  Where it is not set and none lies
beside the repository, the tests that need one are skipped.
"""

import copy
import json
import os
import re

import pytest

import client
from apiserver import ApiServer

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = os.environ.get("RINGFENCE_RECORDED") or os.path.normpath(
    os.path.join(HERE, "..", "..", "..", "shared", "recorded")
)
needs_recordings = pytest.mark.skipif(
    not os.path.isdir(RECORDED), reason=f"no recordings in {RECORDED}"
)

CERTIFICATES = {"admin": "admin", "fp": "front-proxy", "none": None}
EXEMPT, SHARED = "7f054f10", "24a2b2e1"  # how the flow schemas' uids begin, in both

# What the double leaves out, and why.
NOT_IMPLEMENTED = {
    "013-list-pods-protobuf": "no protobuf",
}
# Their bodies are the double's own; head and framing are compared.
OWN_BODY = {
    "001-version", "059-audit-id-given", "014-list-pods-gzip", "015-openapi-v3-networking",
}  # fmt: skip
# Replayed by tests of their own, since they need a state or change it.
SEPARATE = {
    "016-watch-pods",
    "021-continue-expired",
    "034-patch-merge",
    "035-patch-apply",
}


def recording_names():
    if not os.path.isdir(RECORDED):
        return []
    names = {
        f[: -len(".request")] for f in os.listdir(RECORDED) if f.endswith(".request")
    }
    return sorted(names - SEPARATE)


class Recording:
    """One recorded exchange."""

    def __init__(self, name):
        base = os.path.join(RECORDED, name)
        with open(base + ".request", "rb") as f:
            self.request = f.read()
        with open(base + ".response", "rb") as f:
            self.response = parse_response(f.read(), self.method)
        with open(base + ".note") as f:
            self.certificate = CERTIFICATES[f.readline().split(": ")[1].strip()]

    @property
    def method(self):
        return self.request.split(b" ", 1)[0].decode()

    @property
    def target(self):
        return self.request.split(b" ", 2)[1].decode()


class _Bytes(client.Connection):
    """A recorded byte string in place of a connection."""

    def __init__(self, data):
        self.data = data

    def _fill(self):
        raise AssertionError("the recording ends inside a response")


def parse_response(data, method):
    source = _Bytes(data)
    response = source.read_response(method)
    assert not source.data
    return response


def recorded_seed(path):
    """The cluster of the recordings as a seed file."""
    items = []
    for name, api_version, kind in (
        ("009-list-namespaces", "v1", "Namespace"),
        ("008-list-pods-all", "v1", "Pod"),
        ("010-list-networkpolicies", "networking.k8s.io/v1", "NetworkPolicy"),
    ):
        for item in Recording(name).response.json()["items"]:
            items.append({"apiVersion": api_version, "kind": kind, **item})
    seed = {"kind": "List", "metadata": {"resourceVersion": "272"}, "items": items}
    with open(path, "w") as f:
        json.dump(seed, f)


@pytest.fixture(scope="module")
def start_recorded(pki, tmp_path_factory):
    """Starts the double with the state that the recordings began with."""
    directory = str(tmp_path_factory.mktemp("recorded"))
    seed, rbac = os.path.join(directory, "seed.json"), os.path.join(
        directory, "rbac.json"
    )
    recorded_seed(seed)
    with open(rbac, "w") as f:
        json.dump({"rules": []}, f)
    arguments = ["--seed", seed, "--bare", "--compact-seed", "--rbac", rbac]

    def start(name, *more):
        return ApiServer(directory, pki, arguments + list(more), name=name)

    return start


@pytest.fixture(scope="module")
def recorded_api(start_recorded):
    with start_recorded("reading", "--streams", "none") as api:
        yield api


def normalize_header(name, value):
    name = name.lower()
    if name == "audit-id":
        return (
            "uuid"
            if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value)
            else value
        )
    if name in ("date", "last-modified"):
        shape = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
        return "date" if re.fullmatch(shape, value) else value
    if name == "x-kubernetes-pf-flowschema-uid":
        return value[:8]
    if name == "x-kubernetes-pf-prioritylevel-uid":
        return value[:8]
    if name == "etag":
        return "etag" if re.fullmatch(r'"[0-9A-F]{128}"', value) else value
    if name == "content-length":
        return "length"
    return value


def compare_heads(ours, theirs):
    assert ours.status_line == theirs.status_line
    assert ours.names == theirs.names
    for (name, mine), (_, expected) in zip(ours.headers, theirs.headers):
        assert normalize_header(name, mine) == normalize_header(name, expected), name


# Values that differ between clusters, or that the double does not compute.
_VOLATILE = {"uid", "creationTimestamp", "resourceVersion", "generation"}


def normalize(value, own=()):
    """Drop managedFields; `own` names members whose value only has to be there."""
    if isinstance(value, dict):
        result = {}
        for key, inner in value.items():
            if key == "managedFields" or (key == "description" and "priority" in value):
                continue
            result[key] = "present" if key in own and inner else normalize(inner, own)
        return result
    if isinstance(value, list):
        return [normalize(inner, own) for inner in value]
    if isinstance(value, str):
        value = re.sub(r"X509SHA256=[0-9a-f]{64}", "X509SHA256=…", value)
        value = re.sub(r"^(too old resource version: \d+) \(\d+\)$", r"\1 (…)", value)
        value = re.sub(r"^(127\.0\.0\.1|192\.0\.2\.2):\d+$", "address", value)
    return value


def compare_bodies(name, ours, theirs):
    if name in OWN_BODY:
        assert ours.body
        return
    if not theirs.body:
        assert not ours.body
        return
    if b"text/plain" in theirs.header("Content-Type").encode():
        assert ours.body == theirs.body
        return
    if name in ("004-discovery-aggregated", "003-discovery-apis"):
        assert ours.body == theirs.body  # to the letter
    created = theirs.status == 201
    own = _VOLATILE if created or "034" in name or "035" in name else ()
    mine, expected = ours.json(), theirs.json()
    if expected.get("kind") == "Table":
        for table in (mine, expected):
            for row in table["rows"]:
                assert re.fullmatch(r"\d+[smhdy]\w*", row["cells"][4])
                row["cells"][4] = "age"
    assert normalize(mine, own) == normalize(expected, own)
    assert ours.body.endswith(b"\n") == theirs.body.endswith(b"\n")


@needs_recordings
@pytest.mark.parametrize("name", recording_names())
def test_answer_equals_recording(name, recorded_api, connect):
    if name in NOT_IMPLEMENTED:
        pytest.skip(f"not implemented: {NOT_IMPLEMENTED[name]}")
    recording = Recording(name)
    with connect(recorded_api, recording.certificate) as connection:
        connection.send(recording.request)
        ours = connection.read_response(recording.method)
    compare_heads(ours, recording.response)
    compare_bodies(name, ours, recording.response)
    if name not in OWN_BODY:
        assert len(ours.chunks) == len(recording.response.chunks)


def to_http2(recording):
    """(method, path, headers, body) of a recorded request."""
    head, _, body = recording.request.partition(b"\r\n\r\n")
    headers = []
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() not in ("host", "connection", "upgrade"):
            headers.append((name.lower(), value.strip()))
    return recording.method, recording.target, headers, body


@needs_recordings
@pytest.mark.parametrize("name", recording_names())
def test_answer_over_http2_equals_recording(name, recorded_api, connect):
    if name in NOT_IMPLEMENTED or name.startswith(("056", "057")):
        pytest.skip("not implemented, or not possible over HTTP/2")
    recording = Recording(name)
    with connect(recorded_api, recording.certificate, "h2") as connection:
        ours = connection.request(*to_http2(recording))
    theirs = recording.response
    assert ours.status == theirs.status
    wanted = [n.lower() for n in theirs.names if n != "Transfer-Encoding"]
    mine = [n for n in ours.names if n != "content-length"]
    assert mine == [n for n in wanted if n != "content-length"]
    compare_bodies(name, ours, theirs)


@needs_recordings
def test_watch_equals_recording(start_recorded, connect):
    recording = Recording("016-watch-pods")
    expected = [json.loads(chunk) for chunk in recording.response.chunks]
    pods = "/api/v1/namespaces/shop-prod/pods"
    merge = [("Content-Type", "application/merge-patch+json")]
    new_pod = copy.deepcopy(next(e["object"] for e in expected if e["type"] == "ADDED"))
    del new_pod["metadata"]["resourceVersion"]
    status = next(
        e["object"]["status"]
        for e in expected
        if e["object"]["status"].get("podIP") == "10.1.0.99"
    )
    steps = [
        ("PATCH", f"{pods}/web-0", merge, {"metadata": {"labels": {"canary": "yes"}}}),
        ("POST", pods, [], new_pod),
        ("PATCH", f"{pods}/web-9/status", merge, {"status": status}),
        ("DELETE", f"{pods}/web-9?gracePeriodSeconds=0", [], None),
        ("PATCH", f"{pods}/web-0", merge, {"metadata": {"labels": {"canary": None}}}),
    ]
    with start_recorded("watching") as api, connect(api, "admin") as watch:
        watch.socket.settimeout(20)
        watch.send(recording.request)
        response = watch.read_head()
        compare_heads(response, recording.response)
        with connect(api, "admin") as other:
            for method, target, headers, body in steps:
                data = json.dumps(body).encode() if body else b""
                assert other.request(method, target, headers, data).status in (200, 201)
        while watch.next_chunk(response):
            pass
        ends = [r["reason"] for r in api.log() if r["event"] == "watch-end"]
    ours = [json.loads(chunk) for chunk in response.chunks]
    assert [e["type"] for e in ours] == [e["type"] for e in expected]
    versions = [e["object"]["metadata"]["resourceVersion"] for e in ours]
    assert versions == ["273", "274", "275", "276", "277", "278", "278"]
    own = {"uid", "creationTimestamp", "deletionTimestamp", "resourceVersion"}
    assert normalize(ours, own) == normalize(expected, own)
    assert ends == ["timeout"]


@needs_recordings
def test_patches_equal_recordings(start_recorded, connect):
    with start_recorded("patching") as api, connect(api, "admin") as connection:
        for name in ("034-patch-merge", "035-patch-apply"):
            recording = Recording(name)
            connection.send(recording.request)
            ours = connection.read_response()
            compare_heads(ours, recording.response)
            compare_bodies(name, ours, recording.response)


@needs_recordings
def test_expired_continue_equals_recording(start_recorded, connect):
    recording = Recording("021-continue-expired")
    with start_recorded("expiring") as api, connect(api, "admin") as connection:
        namespace = b'{"metadata": {"name": "later"}}'
        assert (
            connection.request("POST", "/api/v1/namespaces", (), namespace).status
            == 201
        )
        assert connection.request("POST", "/test/compact").body == b"273\n"
        connection.send(recording.request)
        ours = connection.read_response()
        compare_heads(ours, recording.response)
        compare_bodies("021-continue-expired", ours, recording.response)
        token = ours.json()["metadata"]["continue"]
        rest = connection.request("GET", f"/api/v1/pods?continue={token}").json()
    names = [item["metadata"]["name"] for item in rest["items"]]
    assert names == ["web-0", "web-1", "web-2", "web-10"] or len(names) == 4


def classification_rows():
    path = os.path.join(RECORDED, "request-classification.json")
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return json.load(f)


@needs_recordings
@pytest.mark.parametrize(
    "row",
    classification_rows(),
    ids=lambda row: f"{row['method']} {row['path']}" if isinstance(row, dict) else None,
)
def test_classification_equals_recording(row, recorded_api, connect):
    """The verb and the object in the double's log are those of the real audit log."""
    with connect(recorded_api, "admin") as connection:
        head = (
            f"{row['method']} {row['path']} HTTP/1.1\r\nHost: test\r\nAudit-ID: row\r\n"
        )
        connection.send((head + "Content-Length: 0\r\n\r\n").encode())
        connection.read_head()
    record = recorded_api.requests()[-1]
    assert record["target"] == row["path"]
    assert (record["verb"], record["object"]) == (row["verb"], row["object"])
