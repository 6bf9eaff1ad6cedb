"""The one error of the wire, and the closed list of its reasons."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a message was not accepted. Stored with it in quarantine and used as a metric label."""

    TOPIC = "topic"
    """The topic is not one of this protocol, or its shard is not its locker's."""
    TOO_LARGE = "too_large"
    """The payload is longer than the protocol allows."""
    MALFORMED = "malformed"
    """The payload is not JSON in UTF-8."""
    SCHEMA = "schema"
    """The JSON is well formed, but a field is missing, of a wrong type or out of its range."""
    VERSION = "version"
    """The message is of a protocol version that this side does not speak."""


class WireError(ValueError):
    """A message that breaks the protocol. `reason` is for machines, the text for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
