"""The few MQTT packets with which a broker is asked what an account may do, and what its answers mean.

MQTT 5: a broker says in CONNACK, SUBACK and PUBACK why it refuses; with 3.1.1 a refused publication looks like one
that was taken.
"""

from dataclasses import dataclass, field
from typing import Final

REFUSED: Final = 0x80
"""Reason codes from here on are refusals, in CONNACK (MQTT 5), SUBACK and PUBACK."""

_KEEPALIVE_S: Final = 30
_USERNAME, _PASSWORD, _CLEAN = 0x80, 0x40, 0x02
_SESSION_EXPIRY, _RECEIVE_MAXIMUM = 0x11, 0x21
_REASONS: Final = {
    0x84: "it does not speak MQTT 5", 0x86: "the password is wrong, or there is no such account",
    0x87: "not authorised", 0x88: "it is not available", 0x89: "it is busy", 0x8A: "banned",
    0x97: "a quota is exceeded", 0x9F: "too many connections in a short time",
    1: "it does not speak MQTT 5", 4: "the password is wrong, or there is no such account", 5: "not authorised",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProbeAccount:
    """Whom to connect as, and what has to be allowed."""

    username: str | None
    password: str | None
    client_id: str
    subscribe: tuple[str, ...] = ()
    publish: tuple[tuple[str, bytes], ...] = ()
    """Topics and payloads, sent at QoS 1 and never retained: nobody may be harmed by them."""
    session_s: int = 0
    """Above 0: the session is kept as it is, and for so long afterwards."""


@dataclass(slots=True)
class Answers:
    """What the broker said; an entry for each filter and topic, None where it said nothing."""

    connack: int | None = None
    suback: dict[str, int] = field(default_factory=dict)
    puback: dict[str, int] = field(default_factory=dict)


def reason(code: int) -> str:
    """Return what a reason code says."""
    return _REASONS.get(code, f"reason code 0x{code:02x}")


def connect(account: ProbeAccount) -> bytes:
    """Return CONNECT, with at most one message at a time on its way to us."""
    flags = 0 if account.session_s else _CLEAN
    payload = _text(account.client_id)
    if account.username is not None:
        flags |= _USERNAME
        payload += _text(account.username)
    if account.password is not None:
        flags |= _PASSWORD
        payload += _text(account.password)
    properties = bytes([_RECEIVE_MAXIMUM, 0, 1])
    if account.session_s:
        properties += bytes([_SESSION_EXPIRY]) + account.session_s.to_bytes(4, "big")
    head = _text("MQTT") + bytes([5, flags]) + _KEEPALIVE_S.to_bytes(2, "big")
    return _packet(0x10, head + _length(len(properties)) + properties + payload)


def subscribe(number: int, topic_filter: str) -> bytes:
    """Return SUBSCRIBE at QoS 1."""
    return _packet(0x82, number.to_bytes(2, "big") + b"\0" + _text(topic_filter) + b"\1")


def publish(number: int, topic: str, payload: bytes) -> bytes:
    """Return PUBLISH at QoS 1."""
    return _packet(0x32, _text(topic) + number.to_bytes(2, "big") + b"\0" + payload)


DISCONNECT: Final = b"\xe0\x00"


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, byte = divmod(value, 128)
        encoded.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _length(len(body)) + body
