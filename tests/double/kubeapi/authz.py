"""May they: everything for everyone signed in, or RBAC-like rules from a JSON file.

    { "rules": [ { "users": ["alice"], "groups": ["acme-devs"],
                   "namespaces": ["shop-prod"],
                   "verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"],
                   "resourceNames": [], "nonResourceURLs": [] } ] }

A rule applies to the users and groups that it names.  Without `namespaces` it holds in every
namespace and at cluster scope, with them in those alone.  "*" is everything, in `resources`
also "*/scale".  The group system:masters may do everything.  The cluster's default rules
(discovery, health, self reviews) always hold.
"""

import json

ALL = "*"

_DEFAULT_RULES = [
    {
        "groups": ["system:authenticated"],
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {
        "groups": ["system:authenticated"],
        "verbs": ["create"],
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["selfsubjectreviews"],
    },
    {
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "verbs": ["get"],
        "nonResourceURLs": ["/.well-known", "/.well-known/*"],
    },
    {
        "groups": ["system:authenticated", "system:unauthenticated"],
        "verbs": ["get"],
        "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"],
    },
    {
        "groups": ["system:authenticated"],
        "verbs": ["get"],
        "nonResourceURLs": [
            "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi",
            "/openapi/*", "/readyz", "/version", "/version/",
        ],
    },
]  # fmt: skip


class RuleError(ValueError):
    """The rules file does not have the form described above."""


_KEYS = frozenset(
    "users groups namespaces verbs apiGroups resources resourceNames nonResourceURLs".split()
)


def read_rules(path):
    with open(path) as f:
        try:
            rules = json.load(f)["rules"]
        except (ValueError, KeyError, TypeError) as e:
            raise RuleError(f"{path}: {e!r}") from e
    for number, rule in enumerate(rules):
        unknown = set(rule) - _KEYS
        if unknown or not all(isinstance(v, list) for v in rule.values()):
            raise RuleError(f"{path}: rule {number}: unknown or malformed: {rule}")
    return rules


def _has(values, value):
    return ALL in values or value in values


def _covers_resource(rule, info):
    if not _has(rule.get("apiGroups", ()), info.group):
        return False
    resources = rule.get("resources", ())
    wanted = info.full_resource
    if not _has(resources, wanted):
        if not info.subresource or f"*/{info.subresource}" not in resources:
            return False
    names = rule.get("resourceNames", ())
    return not names or info.name in names


def _covers_path(rule, path):
    for pattern in rule.get("nonResourceURLs", ()):
        if pattern == ALL or pattern == path:
            return True
        if pattern.endswith("*") and path.startswith(pattern[:-1]):
            return True
    return False


class Authorizer:
    """`rules` None: everything for everyone but anonymous."""

    def __init__(self, rules=None):
        self._allow_all = rules is None
        self._rules = _DEFAULT_RULES + (rules or [])

    def rules_for(self, identity, namespace=None):
        """The rules that hold for an identity in a namespace (None: at cluster scope)."""
        for rule in self._rules:
            if identity.name not in rule.get("users", ()) and not (
                set(identity.groups) & set(rule.get("groups", ()))
            ):
                continue
            namespaces = rule.get("namespaces")
            if not namespaces or _has(namespaces, namespace or ""):
                yield rule

    def allowed(self, identity, info):
        """May `identity` do what the RequestInfo says?"""
        if "system:masters" in identity.groups:
            return True
        if self._allow_all and not identity.anonymous:
            return True
        for rule in self.rules_for(identity, info.namespace):
            if not _has(rule.get("verbs", ()), info.verb):
                continue
            if info.is_resource and _covers_resource(rule, info):
                return True
            if not info.is_resource and _covers_path(rule, info.path):
                return True
        return False

    def rules_review(self, identity, namespace):
        """(resourceRules, nonResourceRules) as SelfSubjectRulesReview shows them."""
        everything = [{"verbs": [ALL], "apiGroups": [ALL], "resources": [ALL]}]
        every_path = [{"verbs": [ALL], "nonResourceURLs": [ALL]}]
        if "system:masters" in identity.groups:
            return everything, every_path
        resource, path = [], []
        for rule in self.rules_for(identity, namespace):
            if "resources" in rule:
                keys = ("verbs", "apiGroups", "resources", "resourceNames")
                resource.append({k: rule[k] for k in keys if rule.get(k)})
            elif not rule.get("namespaces"):
                path.append({k: rule[k] for k in ("verbs", "nonResourceURLs")})
        if self._allow_all and not identity.anonymous:
            return resource + everything, path + every_path
        return resource, path
