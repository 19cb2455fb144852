"""Misbehaviour on demand: a list of faults, the first that matches a request strikes.

    [ { "path": "^/api/v1/pods", "method": "GET", "verb": "list", "user": "alice",
        "times": 1, "delayMs": 100, "do": "status", "code": 503, "retryAfter": 1 } ]

Every condition is optional; `path` is a regular expression on the request target as it was
received.  `times` counts down, absent means always.  What can be done:

    status     answer with `code`, a Status body and Retry-After if `retryAfter` is there
    raw        answer with `code`, `headers` ([[name, value]]) and `body`
    close      end the connection without an answer (HTTP/2: reset the stream)
    reset      the same with a TCP RST, HTTP/2 too
    hang       no answer, until the client goes away
    cut        answer as usual, drop the connection behind `after` bytes of the body
    goaway     answer as usual with Connection: close (HTTP/2: GOAWAY)
    continue   answer as usual (useful with delayMs)
"""

import asyncio
import json
import re

from . import status

_ACTIONS = ("status", "raw", "close", "reset", "hang", "cut", "goaway", "continue")
_KEYS = frozenset(
    "path method verb user times delayMs do code retryAfter headers body after".split()
)


class FaultError(ValueError):
    """The list is not of the form described above."""


class Faults:
    """The list; `strike` is called for every authenticated request."""

    def __init__(self):
        self._rules = []

    def load(self, text):
        try:
            rules = json.loads(text)
            if not isinstance(rules, list):
                raise FaultError("not a list")
            for rule in rules:
                unknown = set(rule) - _KEYS
                if unknown:
                    raise FaultError(f"unknown keys {sorted(unknown)}")
                if rule.get("do", "continue") not in _ACTIONS:
                    raise FaultError(f"unknown action {rule['do']!r}")
                re.compile(rule.get("path", ""))
        except (ValueError, TypeError, re.error) as e:
            raise FaultError(f"faults: {e}") from e
        self._rules = rules

    def dump(self):
        return self._rules

    def _find(self, request):
        if request.path == "/test/faults":
            return None
        for rule in self._rules:
            if rule.get("times", 1) <= 0:
                continue
            wanted = (
                ("method", request.method),
                ("verb", request.info.verb),
                ("user", request.identity.name),
            )
            if any(key in rule and rule[key] != value for key, value in wanted):
                continue
            if re.search(rule.get("path", ""), request.target):
                return rule
        return None

    async def strike(self, request, writer):
        """True if the request was answered (or dropped) here."""
        rule = self._find(request)
        if not rule:
            return False
        if "times" in rule:
            rule["times"] -= 1
        await asyncio.sleep(rule.get("delayMs", 0) / 1000)
        do = rule.get("do", "continue")
        if do == "status":
            raise self._status(rule)
        if do == "raw":
            for name, value in rule.get("headers", ()):
                writer.set(name, value)
            writer.write_head(rule.get("code", 200))
            await writer.write(rule.get("body", "").encode())
        elif do in ("close", "reset"):
            writer.abort(reset=do == "reset")
        elif do == "hang":
            await asyncio.Event().wait()
        elif do == "cut":
            writer.cut_after = rule.get("after", 0)
        elif do == "goaway":
            writer.set("Connection", "close")
        return do in ("raw", "close", "reset", "hang")

    @staticmethod
    def _status(rule):
        code, retry = rule.get("code", 500), rule.get("retryAfter")
        if code == 429:
            return status.too_many_requests(retry or 1)
        details = {"retryAfterSeconds": retry} if retry else None
        reason = {503: "ServiceUnavailable", 504: "Timeout"}.get(code, "InternalError")
        text = "fault on demand"
        return status.ApiError(code, reason, text, details, retry_after=retry)
