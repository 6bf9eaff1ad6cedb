"""Receive notifications of alarms, and believe only those that the hub signed (Standard Webhooks).

Needs nothing but Python.

WEBHOOK_SECRET=… python examples/receive_webhook.py 9000
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer

SECONDS_APART_MAX = 300


def is_genuine(headers: Mapping[str, str], body: bytes, secret: bytes, now_s: float) -> bool:
    """Say whether the hub signed this message, and not long ago. `secret`: the bytes themselves."""
    moment = headers.get("webhook-timestamp", "")
    if not moment.isdigit() or abs(now_s - int(moment)) > SECONDS_APART_MAX:
        return False
    signed = f"{headers.get('webhook-id', '')}.{moment}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    return hmac.compare_digest(expected, headers.get("webhook-signature", ""))


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is genuine, also the second time: the hub sends again what it is not sure of."""

    secret = b""
    seen: set[str] = set()  # noqa: RUF012 - one for all requests

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not is_genuine(dict(self.headers), body, self.secret, time.time()):
            self.send_error(401)
            return
        if self.headers["webhook-id"] not in self.seen:
            self.seen.add(self.headers["webhook-id"])
            print(json.dumps(json.loads(body)), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


def secret_bytes(text: str) -> bytes:
    """Return what a secret stands for: with `whsec_` before it the decoded base64, else the text itself."""
    text = text.strip()
    return base64.b64decode(text.removeprefix("whsec_")) if text.startswith("whsec_") else text.encode()


if __name__ == "__main__":
    Receiver.secret = secret_bytes(os.environ["WEBHOOK_SECRET"])
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
