"""Fixtures shared by the tests of the doubles themselves."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import pki as pki_module  # noqa: E402


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """A directory with the standard certificates."""
    return pki_module.make_standard(str(tmp_path_factory.mktemp("pki")))


@pytest.fixture(scope="session")
def api(pki, tmp_path_factory):
    """A double that everyone who is authenticated may use, shared by the tests."""
    from apiserver import ApiServer

    with ApiServer(str(tmp_path_factory.mktemp("api")), pki) as server:
        yield server


@pytest.fixture
def connect(pki):
    """connect(api, certificate=None, alpn=("http/1.1",)): a client.Connection or Http2."""
    import client

    opened = []

    def open_connection(api, certificate=None, alpn="http/1.1"):
        cert = os.path.join(pki, f"{certificate}.crt") if certificate else None
        key = os.path.join(pki, f"{certificate}.key") if certificate else None
        ca = os.path.join(pki, "cluster-ca.crt")
        context = client.client_context(ca, cert, key, (alpn,))
        kind = client.Http2 if alpn == "h2" else client.Connection
        opened.append(kind(api.host, api.port, context))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()
