"""What a broker grants: the properties of its CONNACK, the codes of its SUBACK, and its version's known faults.

MQTT 5, sections 3.2 and 3.9. MQTT 3.1.1 has none of the properties; there the defaults hold.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

VERSION_TOPIC: Final = "$SYS/broker/version"
"""Where Mosquitto says, retained, which version it is."""
RECEIVE_MAXIMUM_SAFE: Final = 20
"""Messages under way at once with which every broker that we know counts correctly."""

_QOS_ASKED: Final = 1
_FAILURE: Final = 0x80
_MOSQUITTO: Final = re.compile(r"mosquitto version (\d+)\.(\d+)(?:\.(\d+))?")
_COUNTS_RIGHT: Final = (2, 0, 13)
_SAYS_TAKEN_OVER: Final = (2, 0, 15)
_REMEDY: Final = "upgrade it to 2.0.22 or newer"
_REASONS: Final = {
    0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error",
    0x83: "implementation specific error", 0x84: "unsupported protocol version", 0x85: "client id not valid",
    0x86: "bad username or password", 0x87: "not authorized", 0x88: "server unavailable", 0x89: "server busy",
    0x8A: "banned", 0x8B: "server shutting down", 0x8C: "bad authentication method", 0x8D: "keep alive timeout",
    0x8E: "session taken over", 0x8F: "topic filter invalid", 0x90: "topic name invalid",
    0x93: "receive maximum exceeded", 0x94: "topic alias invalid", 0x95: "packet too large",
    0x96: "message rate too high", 0x97: "quota exceeded", 0x98: "administrative action",
    0x99: "payload format invalid", 0x9A: "retain not supported", 0x9B: "QoS not supported",
    0x9C: "use another server", 0x9D: "server moved", 0x9E: "shared subscriptions not supported",
    0x9F: "connection rate exceeded", 0xA0: "maximum connect time", 0xA1: "subscription identifiers not supported",
    0xA2: "wildcard subscriptions not supported",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BrokerTerms:
    """What a broker has granted a connection."""

    session_present: bool = False
    keepalive_s: int = 0
    """The longest silence that both sides allow, 0 without a limit."""
    qos_max: int = 2
    retain_available: bool = True
    wildcards_available: bool = True
    packet_bytes_max: int | None = None
    receive_max: int = 65_535
    """Messages at QoS 1 that it takes before it has acknowledged one of them."""
    session_s: int | None = None
    """How long it keeps the session, where it is not as long as was asked."""
    client_id: str | None = None
    """The client id that it gave, where it is not the one that was asked for."""


def terms_of(properties: Mapping[str, Sequence[Any]], *, session_present: bool, keepalive_s: int) -> BrokerTerms:
    """Read the properties of a CONNACK, each a list of values. `keepalive_s` is what was asked for.

    A broker that allows a longer silence, or any, is kept to ours: a client may always speak sooner.
    """

    def first(name: str, default: Any) -> Any:  # noqa: ANN401 - as the property has it
        values = properties.get(name)
        return values[0] if values else default

    client_id = first("assigned_client_identifier", None)
    return BrokerTerms(
        session_present=session_present,
        keepalive_s=min(int(first("server_keep_alive", keepalive_s)) or keepalive_s, keepalive_s),
        qos_max=int(first("max_qos", 2)),
        retain_available=bool(first("retain_available", 1)),
        wildcards_available=bool(first("wildcard_subscription_available", 1)),
        packet_bytes_max=first("maximum_packet_size", None),
        receive_max=max(1, int(first("receive_maximum", 65_535))),
        session_s=first("session_expiry_interval", None),
        client_id=client_id.decode(errors="replace") if isinstance(client_id, bytes) else client_id,
    )


def unfit(terms: BrokerTerms, filters: Sequence[str], *, clean: bool, retains: bool) -> str | None:
    """Return why a hub cannot work on these terms, None if it can.

    Args:
        terms: what the broker granted.
        filters: what the link subscribes to.
        clean: the link asked for a new session.
        retains: the link publishes retained messages.
    """
    if terms.qos_max < _QOS_ASKED:
        return f"the broker takes messages at QoS {terms.qos_max} only (Maximum QoS); the hub needs 1"
    if retains and not terms.retain_available:
        return "the broker keeps no retained messages (Retain Available 0); presence and the hub's state need them"
    if not terms.wildcards_available and any(set("+#") & set(one) for one in filters):
        return "the broker has no wildcard subscriptions; the hub listens to all lockers by one"
    if clean and terms.session_present:
        return "the broker went on with a session where a new one was asked for, which MQTT forbids"
    return None


def refused_filters(filters: Sequence[str], codes: Sequence[int]) -> str | None:
    """Return which subscriptions were refused or granted at a lower QoS, and why; None if all are as asked."""
    if len(codes) != len(filters):
        return f"the broker answered {len(filters)} subscriptions with {len(codes)} codes"
    wrong = [f"{one}: {_granted(code)}" for one, code in zip(filters, codes, strict=True) if not _is_as_asked(code)]
    return f"the broker does not serve {'; '.join(wrong)}" if wrong else None


def reason(code: int) -> str:
    """Return a reason code with its name."""
    return f"{_REASONS.get(code, 'unknown reason')} (0x{code:02X})"


def receive_maximum(version: str | None, wanted: int) -> int:
    """Return how many messages a broker of this version may have under way to us at once, `wanted` at the most.

    Mosquitto before 2.0.13 counts them wrongly: with many it drops what waits, far below its limits, and may stop
    delivering. What is not known is taken for no better.
    """
    known = _version(version)
    return wanted if known is not None and known >= _COUNTS_RIGHT else min(wanted, RECEIVE_MAXIMUM_SAFE)


def miscounts(version: str | None) -> bool:
    """Say whether a broker of this version is known to count messages under way wrongly."""
    known = _version(version)
    return known is not None and known < _COUNTS_RIGHT


def faults(version: str | None) -> list[str]:
    """Return what is known to be wrong with a broker of this version, as sentences."""
    known = _version(version)
    if known is None:
        return []
    found = []
    if miscounts(version):
        found.append(
            f"{version} counts messages under way wrongly and drops waiting telemetry far below its limits; over "
            f"MQTT 5 the hub takes {RECEIVE_MAXIMUM_SAFE} at a time (Receive Maximum), which avoids it; over MQTT "
            f"3.1.1 it cannot limit the broker: {_REMEDY} (2.0.13 and newer count correctly)"
        )
    if known < _SAYS_TAKEN_OVER:
        found.append(
            f"{version} does not say that a session was taken over by another client, so that a hub asks the "
            f"database after each lost connection: {_REMEDY} (2.0.15 and newer say it)"
        )
    return found


def _version(text: str | None) -> tuple[int, int, int] | None:
    found = _MOSQUITTO.search(text or "")
    return None if found is None else (int(found[1]), int(found[2]), int(found[3] or 0))


def _is_as_asked(code: int) -> bool:
    return code == _QOS_ASKED


def _granted(code: int) -> str:
    return f"refused, {reason(code)}" if code >= _FAILURE else f"granted at QoS {code} instead of {_QOS_ASKED}"
