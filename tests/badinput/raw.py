"""MQTT packets as bytes, right or wrong: nothing here refuses anything."""

import contextlib
import socket
import time


def variable(value: int) -> bytes:
    """A variable byte integer."""
    encoded = bytearray()
    while True:
        value, byte = divmod(value, 128)
        encoded.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + variable(len(body)) + body


def connect(
    username: str, password: str, *, version: int = 4, keepalive_s: int = 60, properties: bytes = b""
) -> bytes:
    name, secret = username.encode(), password.encode()
    told = variable(len(properties)) + properties if version == 5 else b""
    head = text(b"MQTT") + bytes([version, 0xC2]) + keepalive_s.to_bytes(2, "big")
    return packet(0x10, head + told + text(name) + text(name) + text(secret))


def publish(
    topic: bytes,
    payload: bytes,
    number: int,
    *,
    qos: int = 1,
    retain: bool = False,
    properties: bytes | None = None,
) -> bytes:
    told = b"" if properties is None else variable(len(properties)) + properties
    first = 0x30 | qos << 1 | retain
    return packet(first, text(topic) + (number.to_bytes(2, "big") if qos else b"") + told + payload)


def throw(host: str, port: int, data: bytes, quiet_s: float = 0.05, listen_s: float = 5.0) -> bytes:
    """Send bytes on a connection of their own; return what came back until it was closed or quiet, or so long."""
    heard = b""
    deadline = time.monotonic() + listen_s
    with (
        contextlib.suppress(ConnectionError, TimeoutError),
        socket.create_connection((host, port), timeout=5) as link,
    ):
        link.sendall(data)
        link.settimeout(quiet_s)
        while time.monotonic() < deadline and (more := link.recv(65_536)):
            heard += more
    return heard
