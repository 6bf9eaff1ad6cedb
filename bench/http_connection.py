"""HTTP/1.1 over one kept-alive socket: a request is one write, and nothing is between it and the clock."""

import socket
from typing import Final

from bench.processes import HOST, BenchError

_READ_BYTES: Final = 262_144
_END_OF_HEAD: Final = b"\r\n\r\n"


class HttpConnection:
    """A connection to the hub. Answers must have a Content-Length, as the hub's have."""

    def __init__(self, port: int, *, timeout_s: float = 15.0) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = f"{HOST}:{port}".encode()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def prepared(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return a request as it goes out."""
        head = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method.encode(), path.encode(), self._host)
        if body:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        return head + b"\r\n" + body

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a prepared request; return the status and the body of its answer."""
        self._socket.sendall(request)
        data = b""
        while _END_OF_HEAD not in data:
            data += self._more()
        head, _, body = data.partition(_END_OF_HEAD)
        length = _content_length(head)
        while len(body) < length:
            body += self._more()
        return int(head.split(b" ", 2)[1]), body

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask for a path."""
        return self.ask(self.prepared("GET", path))

    def _more(self) -> bytes:
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise BenchError("the hub closed the HTTP connection")
        return data


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise BenchError("the hub's answer has no Content-Length")
