"""Who is asking: front proxy, client certificate, token, anonymous; then impersonation."""

from . import status
from .message import bad_escape
from .requestinfo import RequestInfo
from urllib.parse import unquote_to_bytes

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ANONYMOUS = "system:anonymous"
_AUTHN_GROUP = "authentication.k8s.io"
_SERVICE_ACCOUNT = "system:serviceaccount:"


class Identity:
    """A user as the API server knows him."""

    def __init__(self, name, groups=(), uid="", extra=None):
        self.name, self.groups, self.uid = name, list(groups), uid
        self.extra = extra or {}

    @property
    def anonymous(self):
        return self.name == ANONYMOUS

    def user_info(self):
        """authentication.k8s.io/v1 UserInfo."""
        info = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        if self.groups:
            info["groups"] = self.groups
        if self.extra:
            info["extra"] = {key: self.extra[key] for key in sorted(self.extra)}
        return info

    def with_authenticated(self):
        marks = (AUTHENTICATED, UNAUTHENTICATED)
        if not self.anonymous and not any(mark in self.groups for mark in marks):
            self.groups.append(AUTHENTICATED)
        return self


class AuthenticationFailed(Exception):
    """Credentials were presented and none is good: 401."""


def unescape_extra_key(name):
    """Key of an X-Remote-Extra-/Impersonate-Extra- header: lower case, %-decoded if valid."""
    key = name.lower()
    if bad_escape(key):
        return key
    return unquote_to_bytes(key).decode("utf-8", "replace")


def _extra(request, prefix):
    extra = {}
    for name, value in request.headers:
        if name.lower().startswith(prefix):
            key = unescape_extra_key(name[len(prefix) :])
            extra.setdefault(key, []).append(value)
    return extra


def _implied_groups(name):
    """Groups that a service account's name implies."""
    if not name.startswith(_SERVICE_ACCOUNT):
        return []
    namespace = name[len(_SERVICE_ACCOUNT) :].split(":")[0]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]


class Authenticator:
    """The chain of authenticators.

    `front_proxy` and `clients` are tls.Verifier or None; `tokens` maps a bearer token to an
    Identity factory.
    """

    def __init__(
        self, front_proxy, front_proxy_names, clients, tokens, allow_anonymous=True
    ):
        self._front_proxy, self._names = front_proxy, front_proxy_names
        self._clients, self._tokens = clients, tokens
        self._allow_anonymous = allow_anonymous

    async def authenticate(self, request):
        """Identity of the request.  AuthenticationFailed: answer 401.

        As in the API server an authenticator that fails does not stop those behind it; its
        error counts only if none of them succeeds.
        """
        failed = False
        for attempt in (self._by_front_proxy, self._by_certificate, self._by_token):
            try:
                identity = await attempt(request)
            except AuthenticationFailed:
                failed = True
                continue
            if identity:
                request.drop_headers(lambda name: name == "authorization")
                return identity.with_authenticated()
        if failed or not self._allow_anonymous:
            raise AuthenticationFailed
        return Identity(ANONYMOUS, [UNAUTHENTICATED])

    async def _by_front_proxy(self, request):
        certificate = request.connection.certificate
        if not certificate or not self._front_proxy:
            return None
        if not await self._front_proxy.verify(certificate):
            raise AuthenticationFailed
        if self._names and certificate.common_name not in self._names:
            raise AuthenticationFailed
        name = request.header("X-Remote-User")
        if not name:
            return None
        identity = Identity(
            name,
            request.header_values("X-Remote-Group"),
            request.header("X-Remote-Uid"),
            _extra(request, "x-remote-extra-"),
        )
        request.drop_headers(lambda header: header.startswith("x-remote-"))
        return identity

    async def _by_certificate(self, request):
        certificate = request.connection.certificate
        if not certificate or not self._clients:
            return None
        if not await self._clients.verify(certificate) or not certificate.common_name:
            raise AuthenticationFailed
        credential = f"X509SHA256={certificate.fingerprint}"
        return Identity(
            certificate.common_name,
            certificate.organizations,
            extra={"authentication.kubernetes.io/credential-id": [credential]},
        )

    async def _by_token(self, request):
        scheme, _, token = request.header("Authorization").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        return self.identity_of_token(token.strip())

    def identity_of_token(self, token):
        """Identity behind a bearer token; AuthenticationFailed if it is not known."""
        row = self._tokens.get(token)
        if not row:
            raise AuthenticationFailed
        name, uid, groups, extra = row
        return Identity(name, groups, uid, extra).with_authenticated()


def read_token_file(path):
    """Kubernetes' static token file: token,user,uid[,"group,group"] in each line; then, which only the
    token of a service account has in the original, a key of `extra` and its value."""
    import csv

    tokens = {}
    with open(path, newline="") as f:
        for row in csv.reader(f):
            if len(row) >= 3:
                groups = [g.strip() for g in row[3].split(",")] if len(row) > 3 else []
                extra = {row[4]: [row[5]]} if len(row) == 6 else {}
                tokens[row[0]] = (row[1], row[2], [g for g in groups if g], extra)
    return tokens


def _impersonation_requests(request):
    """[(kind, namespace, name, api version, field path)] in the API server's order."""
    wanted = []
    user = request.header("Impersonate-User")
    if user.startswith(_SERVICE_ACCOUNT) and user.count(":") == 3:
        namespace, name = user.split(":")[2:]
        wanted.append(("ServiceAccount", namespace, name, "", ""))
    elif user:
        wanted.append(("User", "", user, "", ""))
    for group in request.header_values("Impersonate-Group"):
        wanted.append(("Group", "", group, "", ""))
    version = _AUTHN_GROUP + "/v1"
    for key, values in _extra(request, "impersonate-extra-").items():
        wanted += [("UserExtra", "", value, version, key) for value in values]
    if uid := request.header("Impersonate-Uid"):
        wanted.append(("UID", "", uid, version, ""))
    if wanted and not user:
        shown = " ".join(
            f"{{{kind} {namespace} {name}  {api}  {path}}}"
            for kind, namespace, name, api, path in wanted
        )
        raise status.internal_error_text(
            request.target, f"requested [{shown}] without impersonating a user"
        )
    return wanted


_IMPERSONATED = {
    "ServiceAccount": ("", "serviceaccounts"),
    "User": ("", "users"),
    "Group": ("", "groups"),
    "UserExtra": (_AUTHN_GROUP, "userextras"),
    "UID": (_AUTHN_GROUP, "uids"),
}


def impersonate(request, identity, authorizer):
    """The identity that the Impersonate-* headers ask for, or `identity` itself.

    Each value takes one authorization; ApiError when one is refused.
    """
    wanted = _impersonation_requests(request)
    if not wanted:
        return identity
    target = Identity("", [])
    for kind, namespace, name, _, path in wanted:
        info = RequestInfo("", "impersonate")
        info.is_resource = True
        info.group, info.resource = _IMPERSONATED[kind]
        info.version, info.name, info.namespace = "v1", name, namespace
        info.subresource = path
        if not authorizer.allowed(identity, info):
            raise status.forbidden(info, identity.name)
        if kind == "ServiceAccount":
            target.name = f"{_SERVICE_ACCOUNT}{namespace}:{name}"
        elif kind == "User":
            target.name = name
        elif kind == "Group":
            target.groups.append(name)
        elif kind == "UserExtra":
            target.extra.setdefault(path, []).append(name)
        else:
            target.uid = name
    if not target.groups:
        target.groups = _implied_groups(target.name)
    if target.name == ANONYMOUS:
        if UNAUTHENTICATED not in target.groups:
            target.groups.append(UNAUTHENTICATED)
    else:
        target.with_authenticated()
    request.drop_headers(lambda header: header.startswith("impersonate-"))
    return target
