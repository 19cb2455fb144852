"""Which kubectl programs clients' tests use: RINGFENCE_KUBECTL, separated by ':', or the path's. And what
they are told of a cluster."""

import os
import shutil

import yaml

#: Those that were named.
NAMED = [p for p in os.environ.get("RINGFENCE_KUBECTL", "").split(":") if p]
_found = shutil.which("kubectl")
PROGRAMS = NAMED or ([_found] if _found else [])


def kubeconfig(server, authority, user, context="it", **more):
    """The text of a kubeconfig. `user`: how it proves who it is; `more` of the context."""
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{"name": "c", "cluster": {
            "server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u", **more}}],
    })  # fmt: skip
