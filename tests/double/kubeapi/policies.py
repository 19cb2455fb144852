"""ValidatingAdmissionPolicies that are stored and bound: of a policy its resource rules,
failurePolicy, variables and validations; of a binding its policy and actions. No parameters, no
matchConditions, no selectors.
"""

import functools

from . import cel, status
from .admission import rule_takes

NAMES = {"object", "oldObject", "request", "variables"}
CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}


@functools.cache
def _program(expression):
    return cel.Program(expression, NAMES)


class Policies:
    """`kinds`: the resources of policies and of bindings."""

    def __init__(self, store, policies, bindings):
        self.store, self.policies, self.bindings = store, policies, bindings

    def check(self, review, pending):
        """ApiError if a policy denies what the AdmissionReview's request wants."""
        for entry in sorted(self.store.entries(self.bindings, ""), key=lambda e: e.obj["metadata"]["name"]):
            binding = entry.obj["spec"]
            policy = self.store.get(self.policies, "", binding["policyName"])
            if policy is None or "Deny" not in binding["validationActions"]:
                continue
            rules = policy.obj["spec"].get("matchConstraints", {}).get("resourceRules", [])
            if not any(rule_takes(rule, pending, False) for rule in rules):
                continue
            why = denied(policy.obj["spec"], review["request"])
            if why:
                raise _error(pending, policy.obj, entry.obj, *why)


def denied(spec, request):
    """(reason, message) of the first validation that does not hold; None if all do."""
    names = {"object": request["object"], "oldObject": request["oldObject"], "request": request,
             "variables": {}}  # fmt: skip
    try:
        for variable in spec.get("variables", []):
            names["variables"][variable["name"]] = _program(variable["expression"]).evaluate(names)
        for validation in spec["validations"]:
            if _program(validation["expression"]).evaluate(names) is not True:
                return validation.get("reason", "Invalid"), _message(validation, names)
    except (cel.Failed, cel.Malformed) as e:
        if spec.get("failurePolicy", "Fail") == "Fail":
            return "Invalid", f"expression resulted in error: {e}"
    return None


def _message(validation, names):
    try:
        text = _program(validation.get("messageExpression", "''")).evaluate(names)
    except cel.Failed:
        text = ""
    return text or validation.get("message") or f"failed expression: {validation['expression']}"


def _error(pending, policy, binding, reason, message):
    resource, name = pending.resource, (pending.obj or pending.old)["metadata"]["name"]
    qualified = resource.name + ("." + resource.group if resource.group else "")
    return status.ApiError(
        CODES[reason], reason,
        f'{qualified} "{name}" is forbidden: ValidatingAdmissionPolicy \'{policy["metadata"]["name"]}\' with '
        f"binding '{binding['metadata']['name']}' denied request: {message}",
        {"name": name, "group": resource.group, "kind": resource.name},
    )  # fmt: skip
