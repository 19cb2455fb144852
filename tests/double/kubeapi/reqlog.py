"""The record of what was received: one JSON line for each request.

    {"event": "request", "id": 7, "time": "...", "connection": 3, "stream": 1,
     "protocol": "HTTP/2.0", "tls": "TLSv1.3", "method": "GET", "target": "/api?x=1",
     "pseudo": [[":method", "GET"], ...], "headers": [["accept", "*/*"], ...],
     "client_cn": "front-proxy-client", "user": "alice", "groups": [...], "uid": "",
     "extra": {}, "impersonator": null, "verb": "list", "object": {...},
     "body_length": 0, "body_sha256": "...", "body_complete": true}

A refused credential has user null.  Watches and other streams add lines with event
"watch-start", "watch-end", "stream-start", "stream-end" and the id of their request.
Lines are written before the answer is sent (for a request whose body is not read, before
its answer too, with body_complete false).
"""

import datetime
import json
import os


class RequestLog:
    """Appends to a file; path None: keeps nothing."""

    def __init__(self, path):
        self._fd = None
        if path:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(path, flags, 0o644)
        self._last_id = 0

    def _write(self, record):
        if self._fd is not None:
            text = json.dumps(record, ensure_ascii=True, separators=(",", ":"))
            os.write(self._fd, text.encode() + b"\n")

    @staticmethod
    def _now():
        now = datetime.datetime.now(datetime.timezone.utc)
        return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def request(self, request, received_headers):
        self._last_id += 1
        request.log_id = self._last_id
        connection, identity = request.connection, request.identity
        original = request.original_identity
        info = request.info
        self._write(
            {
                "event": "request",
                "id": request.log_id,
                "time": self._now(),
                "connection": connection.id,
                "stream": request.stream_id,
                "protocol": request.protocol,
                "tls": connection.stream.tls_version,
                "method": request.method,
                "target": request.target,
                "pseudo": request.pseudo,
                "headers": received_headers,
                "client_cn": connection.certificate.common_name
                if connection.certificate
                else None,
                "user": identity.name if identity else None,
                "groups": identity.groups if identity else [],
                "uid": identity.uid if identity else "",
                "extra": identity.extra if identity else {},
                "impersonator": original.name if original else None,
                "verb": info.verb if info else None,
                "object": info.object_reference() if info else None,
                "body_length": request.body_length,
                "body_sha256": request.body_sha256,
                "body_complete": request.body_complete,
            }
        )

    def stream(self, request, kind, what):
        """Record the start of a stream; returns the function that records its end."""
        base = {"id": request.log_id, "connection": request.connection.id, "what": what}
        self._write({"event": f"{kind}-start", "time": self._now(), **base})
        ended = []

        def end(reason, **more):
            if not ended:
                ended.append(True)
                record = {"event": f"{kind}-end", "time": self._now(), **base}
                self._write({**record, "reason": reason, **more})

        return end
